//! Settings of relationships in `pillion.yaml`: by which root field of the upstream their rows are looked up.

use apollo_compiler::Node as Syntax;
use apollo_compiler::ast::{Field, Value};

use crate::config::root_field_call;
use crate::config::root_field_call::RootFieldCall;
use crate::config::yaml::{Data, Fields, Node};
use crate::model::source::{Diagnostic, SourceLocation};
use crate::model::types::{Lookup, LookupPiece};

/// The settings of one relationship in `pillion.yaml`.
#[derive(Clone, Debug)]
pub struct RelationshipSettings {
    /// The object that has it.
    pub type_name: String,
    /// Its name.
    pub name: String,
    /// How its rows are looked up.
    pub lookup: Lookup,
    /// Its source location.
    pub place: SourceLocation,
}

const HELP: &str = "write Type.name: rootField(argument: $output_field)";

/// Reads `relationships`: `Order.customer: customerById(id: $customer_id)`.
pub fn read(file: Option<&Node>, diagnostics: &mut Vec<Diagnostic>) -> Vec<RelationshipSettings> {
    let mut relationships = Vec::new();
    let Some(file) = file.and_then(|file| Fields::of(file, "pillion.yaml", diagnostics)) else { return relationships };
    let Some(node) = file.get("relationships") else { return relationships };
    let Some(entries) = Fields::of(node, "relationships", diagnostics) else { return relationships };
    for (key, place, value) in entries.all() {
        let named = key.split_once('.').filter(|(_, name)| apollo_compiler::Name::is_valid_syntax(name));
        let text = matches!(value.data, Data::Text(_)).then(|| value.scalar_text()).flatten();
        let (Some((type_name, name)), Some(text)) = (named, text) else {
            let message = format!("\"{key}\" does not say how a relationship is looked up");
            diagnostics.push(Diagnostic::error(Some(place.clone()), message, HELP));
            continue;
        };
        match parse_lookup(&text) {
            Ok(lookup) => relationships.push(RelationshipSettings {
                type_name: type_name.to_owned(),
                name: name.to_owned(),
                lookup,
                place: place.clone(),
            }),
            Err(reason) => value.reject(format!("the lookup of \"{key}\": {reason}"), HELP, diagnostics),
        }
    }
    relationships
}

fn parse_lookup(text: &str) -> Result<Lookup, String> {
    let RootFieldCall { source, field } = root_field_call::parse(text, "root field of the upstream")?;
    Ok(Lookup::RootField {
        field: field.name.to_string(),
        arguments: field.arguments.iter().map(|argument| argument.name.to_string()).collect(),
        text: pieces(&source, &field),
    })
}

/// The arguments' text, cut where a field's value has to stand.
fn pieces(source: &str, field: &Syntax<Field>) -> Vec<LookupPiece> {
    let mut variables = Vec::new();
    for argument in &field.arguments {
        find_variables(&argument.value, &mut variables);
    }
    let span =
        |location: Option<apollo_compiler::parser::SourceSpan>| location.map(|at| (at.offset(), at.end_offset()));
    let start = field.arguments.first().and_then(|argument| span(argument.location())).map_or(0, |(start, _)| start);
    let end = field.arguments.last().and_then(|argument| span(argument.location())).map_or(0, |(_, end)| end);
    let mut pieces = Vec::new();
    let mut done = start;
    let push_text = |pieces: &mut Vec<LookupPiece>, range: std::ops::Range<usize>| {
        let text = source.get(range).unwrap_or_default();
        if !text.is_empty() {
            pieces.push(LookupPiece::Text(text.to_owned()));
        }
    };
    for (name, (start, end)) in variables.iter().filter_map(|(name, location)| Some((name, span(*location)?))) {
        push_text(&mut pieces, done..start);
        pieces.push(LookupPiece::Field((*name).to_owned()));
        done = end;
    }
    push_text(&mut pieces, done..end);
    pieces
}

type ParsedRelationship<'v> = Vec<(&'v str, Option<apollo_compiler::parser::SourceSpan>)>;

/// In the order of the text. The parser's limit bounds the recursion.
fn find_variables<'v>(value: &'v Syntax<Value>, found: &mut ParsedRelationship<'v>) {
    match value.as_ref() {
        Value::Variable(name) => found.push((name.as_str(), value.location())),
        Value::List(items) => items.iter().for_each(|item| find_variables(item, found)),
        Value::Object(fields) => fields.iter().for_each(|(_, field)| find_variables(field, found)),
        _ => {}
    }
}
