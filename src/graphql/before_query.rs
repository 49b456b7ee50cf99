//! Compiles the query of `before`: takes it to pieces, so that the queries of several calls can be one upstream operation,
//! kept apart by prefixes of their names.

use std::collections::BTreeSet;
use std::ops::Range;

use apollo_compiler::ast::{
    Argument, DirectiveList, Field, OperationDefinition, OperationType, Selection, Value, VariableDefinition,
};
use apollo_compiler::{Name, Node};

use crate::graphql::collect_fields::is_condition;
use crate::graphql::document::{Document, DocumentError, parse, range_of};
use crate::graphql::variable_uses::Uses;
use crate::model::before::{BeforeField, BeforeQuery, QueryPiece};
use crate::model::limits::Limits;

/// A query that was compiled, with its syntax tree.
pub struct CompiledQuery {
    /// The pieces.
    pub query: BeforeQuery,
    /// Its only operation.
    pub operation: Node<OperationDefinition>,
}

/// Why a text is no query that can be asked before a call, and the byte where it is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub offset: usize,
}

impl QueryError {
    fn new(message: impl Into<String>, range: Option<Range<usize>>) -> Self {
        Self { message: message.into(), offset: range.map_or(0, |range| range.start) }
    }
}

/// Compiles the text of a query.
///
/// # Errors
/// What keeps it from being asked.
///
/// # Examples
/// ```
/// use pillion::graphql::before_query::{compile, operation_text};
///
/// let query = compile("query ($id: Int!) { mine: article(id: $id) { id } }").unwrap().query;
/// assert_eq!(
///     operation_text(&[&query, &query]),
///     "query ($b0_id: Int!, $b1_id: Int!) { b0_mine: article(id: $b0_id) { id } b1_mine: article(id: $b1_id) { id } }"
/// );
/// ```
pub fn compile(text: &str) -> Result<CompiledQuery, Vec<QueryError>> {
    let document = parse(text, &Limits::default()).map_err(of_document)?;
    let [operation] = document.operations() else {
        return Err(vec![QueryError::new(
            "\"before\" must have one operation",
            document.operations().get(1).and_then(range_of),
        )]);
    };
    let errors = check(&document, operation);
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut insertions = Insertions::default();
    operation.variables.iter().for_each(|variable| insertions.variable_definition(variable));
    insertions.root_fields(operation);
    for name in fragment_names(&document) {
        if let Some(fragment) = document.fragment(&name) {
            insertions.name(&fragment.name);
            insertions.directives(&fragment.directives);
            insertions.selection_set(&fragment.selection_set);
        }
    }
    let pieces = |range: Option<Range<usize>>| insertions.pieces(text, range.unwrap_or_default());
    let definitions = operation.variables.iter().map(|variable| pieces(range_of(variable)));
    let query = BeforeQuery {
        text: text.to_owned(),
        definitions: joined(definitions, ", "),
        selection: joined(operation.selection_set.iter().map(|selection| pieces(selection_range(selection))), " "),
        fragments: joined(
            fragment_names(&document).iter().map(|name| pieces(document.fragment(name).and_then(range_of))),
            " ",
        ),
        fields: operation.selection_set.iter().filter_map(|selection| field_of(&document, selection)).collect(),
    };
    Ok(CompiledQuery { query, operation: operation.clone() })
}

fn of_document(error: DocumentError) -> Vec<QueryError> {
    match error {
        DocumentError::Invalid { diagnostics, .. } => diagnostics
            .into_iter()
            .map(|found| QueryError { message: found.message, offset: found.offset.unwrap_or_default() })
            .collect(),
        other => vec![QueryError::new(other.to_string(), None)],
    }
}

/// What the grammar allows and a query before a call may not have.
fn check(document: &Document, operation: &Node<OperationDefinition>) -> Vec<QueryError> {
    let mut errors = Vec::new();
    if operation.operation_type != OperationType::Query {
        let message = "\"before\" must be a query: it is asked, and changes nothing";
        errors.push(QueryError::new(message, range_of(operation)));
    }
    if let Some(directive) = operation.directives.first() {
        errors.push(QueryError::new("the operation of \"before\" may not have directives", range_of(directive)));
    }
    let mut names: Vec<&str> = Vec::new();
    for selection in &operation.selection_set {
        let Selection::Field(field) = selection else {
            let message = "a root field of \"before\" may not stand in a fragment";
            errors.push(QueryError::new(message, selection_range(selection)));
            continue;
        };
        if names.contains(&field.response_name().as_str()) {
            let message = format!("\"{}\" stands twice at the root of \"before\"", field.response_name());
            errors.push(QueryError::new(message, range_of(field)));
        }
        names.push(field.response_name());
        if let Some(condition) = field.directives.iter().find(|directive| is_condition(&directive.name)) {
            let message = format!("a root field of \"before\" may not have @{}", condition.name);
            errors.push(QueryError::new(message, range_of(condition)));
        }
    }
    let uses = Uses::of_operation(document, operation);
    let is_defined = |name: &str| operation.variables.iter().any(|variable| variable.name == name);
    let mut undefined: Vec<&str> = uses.variables.iter().copied().filter(|name| !is_defined(name)).collect();
    undefined.sort_unstable();
    errors.extend(undefined.into_iter().map(|name| {
        let offset = document.text.find(&format!("${name}"));
        QueryError::new(format!("the variable ${name} is not defined"), offset.map(|offset| offset..offset))
    }));
    errors
}

fn fragment_names(document: &Document) -> Vec<String> {
    let Some(operation) = document.operations().first() else { return Vec::new() };
    let uses = Uses::of_operation(document, operation);
    let mut names: Vec<String> = uses.fragments.iter().map(|name| (*name).to_owned()).collect();
    names.sort_unstable();
    names
}

fn field_of(document: &Document, selection: &Selection) -> Option<BeforeField> {
    let Selection::Field(field) = selection else { return None };
    let mut uses = Uses::new(document);
    uses.directives(&field.directives);
    uses.field(field);
    let variables: BTreeSet<String> = uses.variables.iter().map(|name| (*name).to_owned()).collect();
    let offset = range_of(field).map_or(0, |range| range.start);
    Some(BeforeField { response_name: field.response_name().to_string(), variables, offset })
}

fn selection_range(selection: &Selection) -> Option<Range<usize>> {
    match selection {
        Selection::Field(field) => range_of(field),
        Selection::FragmentSpread(spread) => range_of(spread),
        Selection::InlineFragment(inline) => range_of(inline),
    }
}

fn joined(parts: impl Iterator<Item = Vec<QueryPiece>>, separator: &str) -> Vec<QueryPiece> {
    let mut all = Vec::new();
    for part in parts {
        if !all.is_empty() {
            all.push(QueryPiece::Text(separator.to_owned()));
        }
        all.extend(part);
    }
    all
}

/// Where prefixes and aliases stand, by byte.
#[derive(Default)]
struct Insertions(Vec<(usize, QueryPiece)>);

impl Insertions {
    fn name(&mut self, name: &Name) {
        self.0.extend(name.location().map(|span| (span.offset(), QueryPiece::Prefix)));
    }

    fn variable_definition(&mut self, variable: &Node<VariableDefinition>) {
        // The name's location may or may not include the dollar sign, so the definition's is taken: it begins with it.
        self.0.extend(range_of(variable).map(|range| (range.start + 1, QueryPiece::Prefix)));
        self.directives(&variable.directives);
    }

    fn root_fields(&mut self, operation: &OperationDefinition) {
        for selection in &operation.selection_set {
            let Selection::Field(field) = selection else { continue };
            match (&field.alias, range_of(field)) {
                (Some(alias), _) => self.name(alias),
                (None, Some(range)) => self.0.push((range.start, QueryPiece::Alias(field.name.to_string()))),
                (None, None) => {}
            }
            self.below(field);
        }
    }

    fn below(&mut self, field: &Field) {
        self.arguments(&field.arguments);
        self.directives(&field.directives);
        self.selection_set(&field.selection_set);
    }

    /// The parser's limit bounds the recursion.
    fn selection_set(&mut self, selections: &[Selection]) {
        for selection in selections {
            match selection {
                Selection::Field(field) => self.below(field),
                Selection::FragmentSpread(spread) => {
                    self.name(&spread.fragment_name);
                    self.directives(&spread.directives);
                }
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.directives);
                    self.selection_set(&inline.selection_set);
                }
            }
        }
    }

    fn directives(&mut self, directives: &DirectiveList) {
        directives.iter().for_each(|directive| self.arguments(&directive.arguments));
    }

    fn arguments(&mut self, arguments: &[Node<Argument>]) {
        arguments.iter().for_each(|argument| self.value(&argument.value));
    }

    fn value(&mut self, value: &Node<Value>) {
        match value.as_ref() {
            Value::Variable(_) => self.0.extend(range_of(value).map(|range| (range.start + 1, QueryPiece::Prefix))),
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(fields) => fields.iter().for_each(|(_, field)| self.value(field)),
            _ => {}
        }
    }

    fn pieces(&self, text: &str, range: Range<usize>) -> Vec<QueryPiece> {
        let mut inside: Vec<&(usize, QueryPiece)> = self.0.iter().filter(|(at, _)| range.contains(at)).collect();
        inside.sort_by_key(|(at, _)| *at);
        let (mut pieces, mut from) = (Vec::new(), range.start);
        let push = |pieces: &mut Vec<QueryPiece>, range: Range<usize>| {
            let text = text.get(range).unwrap_or_default();
            if !text.is_empty() {
                pieces.push(QueryPiece::Text(text.to_owned()));
            }
        };
        for (at, piece) in inside {
            push(&mut pieces, from..*at);
            pieces.push(piece.clone());
            from = *at;
        }
        push(&mut pieces, from..range.end);
        pieces
    }
}

/// The prefix of the names of one of several queries.
#[must_use]
pub fn prefix(index: usize) -> String {
    format!("b{index}_")
}

/// The text of the operation that asks these queries: of one alone as it was written, of several with prefixes.
#[must_use]
pub fn operation_text(queries: &[&BeforeQuery]) -> String {
    if let [only] = queries {
        return only.text.clone();
    }
    let part = |pieces: fn(&BeforeQuery) -> &[QueryPiece], separator: &str| {
        let parts = queries.iter().enumerate().map(|(index, query)| rendered(pieces(query), &prefix(index)));
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(separator)
    };
    let definitions = part(|query| &query.definitions, ", ");
    let definitions = if definitions.is_empty() { definitions } else { format!("({definitions}) ") };
    let selection = part(|query| &query.selection, " ");
    let fragments = part(|query| &query.fragments, " ");
    let space = if fragments.is_empty() { "" } else { " " };
    format!("query {definitions}{{ {selection} }}{space}{fragments}")
}

fn rendered(pieces: &[QueryPiece], prefix: &str) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            QueryPiece::Text(piece) => text.push_str(piece),
            QueryPiece::Prefix => text.push_str(prefix),
            QueryPiece::Alias(name) => {
                text.push_str(prefix);
                text.push_str(name);
                text.push_str(": ");
            }
        }
    }
    text
}
