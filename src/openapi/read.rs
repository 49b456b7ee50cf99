//! Reads an OpenAPI document that is JSON or YAML, with the source location of every value.

use std::sync::Arc;

use jsonc_parser::ast::{ObjectPropName, Value};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::config::yaml::{Data, Node, parse};
use crate::model::source::{Diagnostic, Source, SourceLocation};

/// Nesting of a document. Real ones stay far below, and the walk is recursive.
const DEPTH_MAX: usize = 64;

/// Reads a document. Its name decides between the two forms, or else its first character.
///
/// # Errors
/// The one place where it stops being JSON or YAML.
pub(crate) fn read(source: &Arc<Source>) -> Result<Node, Diagnostic> {
    let is_named_json = source.name.to_ascii_lowercase().ends_with(".json");
    if !is_named_json && !source.text.trim_start().starts_with('{') {
        return parse(source);
    }
    // A YAML document may begin with a brace as well.
    read_json(source).or_else(|error| if is_named_json { Err(error) } else { parse(source).map_err(|_| error) })
}

fn read_json(source: &Arc<Source>) -> Result<Node, Diagnostic> {
    let strictly = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(&source.text, &CollectOptions::default(), &strictly).map_err(|error| {
        let place = SourceLocation::at_offset(source, error.range().start);
        Diagnostic::error(Some(place), format!("this is not JSON: {}", error.kind()), "correct the JSON")
    })?;
    let mut converter = Converter { source, offset: 0, line: 1, column: 1 };
    match parsed.value {
        Some(value) => converter.convert(&value, DEPTH_MAX),
        None => Ok(Node { data: Data::Null, place: SourceLocation::new(source, 1, 1) }),
    }
}

/// Converts values in the order of the text, and counts lines and columns on the way: the whole text is one line in many
/// a file.
struct Converter<'s> {
    source: &'s Arc<Source>,
    offset: usize,
    line: usize,
    column: usize,
}

impl Converter<'_> {
    fn place(&mut self, range: Range, is_scalar: bool) -> SourceLocation {
        let passed = self.source.text.get(self.offset..range.start).unwrap_or_default();
        for character in passed.chars() {
            (self.line, self.column) =
                if character == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
        self.offset = self.offset.max(range.start);
        let length = if is_scalar { range.end.saturating_sub(range.start).max(1) } else { 1 };
        SourceLocation { source: Arc::clone(self.source), line: self.line, column: self.column, length }
    }

    fn convert(&mut self, value: &Value<'_>, depth_left: usize) -> Result<Node, Diagnostic> {
        let is_scalar = !matches!(value, Value::Object(_) | Value::Array(_));
        let place = self.place(value.range(), is_scalar);
        if depth_left == 0 {
            return Err(Diagnostic::error(Some(place), "this is nested too deeply", "flatten it"));
        }
        let data = match value {
            Value::NullKeyword(_) => Data::Null,
            Value::BooleanLit(literal) => Data::Bool(literal.value),
            Value::NumberLit(literal) => match literal.value.parse() {
                Ok(integer) => Data::Integer(integer),
                Err(_) => Data::Float(literal.value.parse().unwrap_or_default()),
            },
            Value::StringLit(literal) => Data::Text(literal.value.clone().into_owned()),
            Value::Array(array) => {
                let items = array.elements.iter().map(|item| self.convert(item, depth_left - 1));
                Data::List(items.collect::<Result<_, _>>()?)
            }
            Value::Object(object) => {
                let mut entries = Vec::with_capacity(object.properties.len());
                for property in &object.properties {
                    let place = self.place(property.range, false);
                    let name = match &property.name {
                        ObjectPropName::String(literal) => literal.value.clone().into_owned(),
                        ObjectPropName::Word(literal) => literal.value.to_owned(),
                    };
                    entries.push((name, place, self.convert(&property.value, depth_left - 1)?));
                }
                Data::Map(entries)
            }
        };
        Ok(Node { data, place })
    }
}
