//! Completes a handler's value: checks it against the action's output type and cuts it to the client's selection:
//! [CompleteValue](https://spec.graphql.org/September2025/#CompleteValue()), with Hasura's messages.

use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::action::relationship::{RelatedError, RelatedRows, RowSource};
use crate::graphql::relationship_selection::RelationshipSelection;
use crate::graphql::selection::SubSelection;
use crate::model::json_value::{JsonKind, JsonNode, MemberLookup};
use crate::model::response::{Dialect, Location, PathSegment};
use crate::model::types::{OutputField, TypeKind, TypeRef, Types, is_built_in_scalar};

/// A value that does not fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct CompletionError {
    /// Hasura's messages where it has some.
    pub message: String,
    /// Where in the response, starting below the action's own field.
    pub path: Vec<PathSegment>,
    /// Where in the document, if it is not the action's own field.
    pub location: Option<Location>,
    /// Set if it is not the handler's fault: the rows of a relationship could not be had.
    pub related: Option<Box<RelatedError>>,
}

/// How the only message begins that holds a value of the response.
const INT_RANGE: &str = "Int cannot represent";

impl CompletionError {
    /// What was expected and what was there instead, without any value: for logs.
    #[must_use]
    pub fn expectation(&self) -> &str {
        match self.message.starts_with(INT_RANGE) {
            true => "got a number that is no Int",
            false => &self.message,
        }
    }
}

/// The completed value as JSON text.
#[derive(Debug, PartialEq)]
pub struct CompletedValue {
    /// The text; `null` where the response failed as a whole.
    pub json: String,
    /// What did not fit. In Hasura's dialect the first error fails the response; in the standard one the nearest
    /// nullable value around each becomes null.
    pub errors: Vec<CompletionError>,
    /// Did an error reach the top of a type that takes no null?
    pub null_escapes: bool,
}

impl CompletedValue {
    /// Is nothing of it part of the response?
    #[must_use]
    pub fn is_lost(&self, dialect: Dialect) -> bool {
        self.json == "null" || dialect == Dialect::Hasura && !self.errors.is_empty()
    }
}

/// The rules by which values are completed.
pub struct CompletionRules<'r> {
    /// The types.
    pub types: &'r Types,
    /// How errors are reported.
    pub dialect: Dialect,
    /// Elements of one list.
    pub max_list_length: usize,
}

/// Completes `value` as `ty`; rows of its relationships come from `rows`.
#[must_use]
pub fn complete_value(
    rules: &CompletionRules<'_>,
    ty: &TypeRef,
    value: JsonNode<'_>,
    selected: &SubSelection,
    rows: &mut dyn RowSource,
) -> CompletedValue {
    let mut completer = Completer::new(rules, rows, Vec::new());
    let CompletedPart { errors, null_escapes, .. } = completer.add(ty, value, selected);
    // Every piece of it was text.
    let json = String::from_utf8(completer.into_json()).unwrap_or_default();
    CompletedValue { json, errors, null_escapes }
}

/// One of several values that were completed into one text.
#[derive(Debug, PartialEq)]
pub struct CompletedPart {
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// See [`CompletedValue::errors`].
    pub errors: Vec<CompletionError>,
    /// See [`CompletedValue::null_escapes`].
    pub null_escapes: bool,
}

/// Errors of the upstream's rows that are kept; clients do not need more.
const ERRORS_KEPT: usize = 100;

/// Fields of a type up to which looking at each of them is cheaper than hashing a name.
const SMALL_TYPE: usize = 8;

fn field_of<'t>(fields: &'t IndexMap<String, OutputField>, name: &str) -> Option<&'t OutputField> {
    match fields.len() <= SMALL_TYPE {
        true => fields.iter().find(|(known, _)| *known == name).map(|(_, field)| field),
        false => fields.get(name),
    }
}

/// Marks that an error has been noted and that null must travel up.
struct Failed;

/// The parent of a value, for Hasura's messages.
#[derive(Clone, Copy)]
enum ResponsePath<'a> {
    Response,
    Field(&'a str),
}

/// Completes values one after another into one text, which takes less than a text for each.
pub struct Completer<'a> {
    types: &'a Types,
    dialect: Dialect,
    max_list_length: usize,
    rows: &'a mut dyn RowSource,
    /// JSON.
    json: Vec<u8>,
    /// Borrowed, because a path is hardly ever rendered.
    path: Vec<PathStep<'a>>,
    errors: Vec<CompletionError>,
}

/// From one level of the value to the next.
#[derive(Clone, Copy)]
enum PathStep<'a> {
    /// By its response name.
    Field(&'a str),
    Index(usize),
}

impl From<PathStep<'_>> for PathSegment {
    fn from(step: PathStep<'_>) -> Self {
        match step {
            PathStep::Field(name) => Self::Field(name.to_owned()),
            PathStep::Index(index) => Self::Index(index),
        }
    }
}

fn to_path(path: &[PathStep<'_>]) -> impl Iterator<Item = PathSegment> {
    path.iter().copied().map(PathSegment::from)
}

impl<'a> Completer<'a> {
    /// Adds to `json`; rows of relationships come from `rows`.
    #[must_use]
    pub fn new(rules: &CompletionRules<'a>, rows: &'a mut dyn RowSource, json: Vec<u8>) -> Self {
        let CompletionRules { types, dialect, max_list_length } = *rules;
        Self { types, dialect, max_list_length, rows, json, path: Vec::new(), errors: Vec::new() }
    }

    /// Completes `value` as `ty`.
    pub fn add(&mut self, ty: &TypeRef, value: JsonNode<'_>, selected: &'a SubSelection) -> CompletedPart {
        let start = self.json.len();
        self.path.clear();
        let null_escapes = match self.complete(ty, Some(value), selected, ResponsePath::Response) {
            Ok(()) => false,
            Err(Failed) => {
                self.json.truncate(start);
                self.json.extend_from_slice(b"null");
                !ty.is_nullable()
            }
        };
        CompletedPart { range: start..self.json.len(), errors: std::mem::take(&mut self.errors), null_escapes }
    }

    /// The text.
    #[must_use]
    pub fn into_json(self) -> Vec<u8> {
        self.json
    }

    /// Writes `value` as `ty`. The recursion is as deep as the client's selection or the type's lists are, both of
    /// which are limited.
    fn complete(
        &mut self,
        ty: &TypeRef,
        value: Option<JsonNode<'_>>,
        selected: &'a SubSelection,
        place: ResponsePath<'_>,
    ) -> Result<(), Failed> {
        let start = self.json.len();
        let depth = self.path.len();
        let result = self.complete_inner(ty, value, selected, place);
        if result.is_err() && ty.is_nullable() && self.dialect == Dialect::Standard {
            self.json.truncate(start);
            self.path.truncate(depth);
            self.json.extend_from_slice(b"null");
            return Ok(());
        }
        result
    }

    fn complete_inner(
        &mut self,
        ty: &TypeRef,
        value: Option<JsonNode<'_>>,
        selected: &'a SubSelection,
        place: ResponsePath<'_>,
    ) -> Result<(), Failed> {
        let Some(known) = value.filter(|value| !value.is_null()) else {
            if matches!(ty, TypeRef::NonNull(_)) {
                return self.reject_null(place, value.is_none());
            }
            self.json.extend_from_slice(b"null");
            return Ok(());
        };
        match ty {
            // The null must travel through this level, so it is not caught here.
            TypeRef::NonNull(inner) => self.complete_inner(inner, value, selected, place),
            TypeRef::List(inner) if known.kind() == JsonKind::List => self.complete_list(inner, known, selected),
            // A scalar that takes anything takes it as a list's content, too.
            TypeRef::List(_) => self.reject("expecting array for the action webhook response".into()),
            TypeRef::Named(name) => self.complete_named(name, known, selected),
        }
    }

    fn reject_null(&mut self, place: ResponsePath<'_>, is_missing: bool) -> Result<(), Failed> {
        self.reject(match place {
            ResponsePath::Response => "got null for the action webhook response".into(),
            ResponsePath::Field(name) if is_missing => {
                format!("field \"{name}\" expected in webhook response, but not found")
            }
            ResponsePath::Field(name) => format!("expecting not null value for field \"{name}\""),
        })
    }

    fn complete_list(&mut self, inner: &TypeRef, list: JsonNode<'_>, selected: &'a SubSelection) -> Result<(), Failed> {
        if list.len() > self.max_list_length {
            let message = format!("a list of the webhook response has more than {} elements", self.max_list_length);
            return self.reject(message);
        }
        self.json.push(b'[');
        for (index, item) in list.items().enumerate() {
            if index > 0 {
                self.json.push(b',');
            }
            self.path.push(PathStep::Index(index));
            self.complete(inner, Some(item), selected, ResponsePath::Response)?;
            self.path.pop();
        }
        self.json.push(b']');
        Ok(())
    }

    fn complete_named(&mut self, name: &str, value: JsonNode<'_>, selected: &'a SubSelection) -> Result<(), Failed> {
        if is_built_in_scalar(name) {
            return self.complete_scalar(name, value);
        }
        match self.types.get(name).map(|definition| &definition.kind) {
            Some(TypeKind::Object(fields)) => match value.kind() {
                JsonKind::Object => self.complete_object((name, fields), &MemberLookup::of(value), selected),
                _ => self.reject_kind(value, name),
            },
            Some(TypeKind::Enum(values)) => match value.as_text() {
                Some(text) if self.dialect == Dialect::Hasura || values.contains_key(&*text) => self.write(value),
                Some(_) => self.reject(format!("got a value that enum {name} does not have")),
                None => self.reject_kind(value, name),
            },
            _ => self.complete_scalar(name, value),
        }
    }

    fn complete_object(
        &mut self,
        (type_name, fields): (&str, &'a IndexMap<String, OutputField>),
        object: &MemberLookup<'_>,
        selected: &'a SubSelection,
    ) -> Result<(), Failed> {
        if self.dialect == Dialect::Hasura {
            // Hasura checks every field that must be there, selected or not.
            for (name, _) in fields.iter().filter(|(_, field)| !field.ty.is_nullable()) {
                let value = object.get(name);
                if value.is_none_or(JsonNode::is_null) {
                    return self.reject_null(ResponsePath::Field(name), value.is_none());
                }
            }
        }
        if selected.is_all {
            return self.complete_all_fields(fields, object, selected);
        }
        self.json.push(b'{');
        for (index, field) in selected.fields.iter().enumerate() {
            self.push_key(index, &field.response_name);
            if field.name == "__typename" {
                self.json.push(b'"');
                self.json.extend_from_slice(type_name.as_bytes());
                self.json.push(b'"');
                continue;
            }
            self.path.push(PathStep::Field(&field.response_name));
            if let Some(related) = &field.related {
                self.complete_related(related, object)?;
                self.path.pop();
                continue;
            }
            match field_of(fields, &field.name) {
                Some(OutputField { ty, .. }) => {
                    let value = object.get(&field.name);
                    self.complete(ty, value, &field.selected, ResponsePath::Field(&field.name))?;
                }
                // A valid document selects none such.
                None => self.json.extend_from_slice(b"null"),
            }
            self.path.pop();
        }
        self.json.push(b'}');
        Ok(())
    }

    /// The recursion ends with the value, whose nesting is limited where it is read.
    fn complete_all_fields(
        &mut self,
        fields: &'a IndexMap<String, OutputField>,
        object: &MemberLookup<'_>,
        selected: &'a SubSelection,
    ) -> Result<(), Failed> {
        self.json.push(b'{');
        for (index, (name, field)) in fields.iter().enumerate() {
            self.push_key(index, name);
            self.path.push(PathStep::Field(name));
            self.complete(&field.ty, object.get(name), selected, ResponsePath::Field(name))?;
            self.path.pop();
        }
        self.json.push(b'}');
        Ok(())
    }

    /// A GraphQL name needs no escapes.
    fn push_key(&mut self, index: usize, name: &str) {
        if index > 0 {
            self.json.push(b',');
        }
        self.json.push(b'"');
        self.json.extend_from_slice(name.as_bytes());
        self.json.extend_from_slice(b"\":");
    }

    /// The upstream has completed its rows. Where there are none, the lists and aggregates of Hasura's tables are not
    /// null.
    fn complete_related(
        &mut self,
        field: &Arc<RelationshipSelection>,
        object: &MemberLookup<'_>,
    ) -> Result<(), Failed> {
        let RelatedRows { json, errors } = self.rows.rows(field, object.node());
        for error in errors.iter().take(ERRORS_KEPT.saturating_sub(self.errors.len())) {
            let path = to_path(&self.path).chain(error.path.iter().cloned()).collect();
            let related = Some(Box::new(error.clone()));
            let (message, location) = (error.message.clone(), error.location.or(field.location));
            self.errors.push(CompletionError { message, path, location, related });
        }
        if !errors.is_empty() && self.dialect == Dialect::Hasura {
            return Err(Failed);
        }
        match json {
            Some(json) => self.json.extend_from_slice(json.as_bytes()),
            None if field.relationship.lookup.is_array() && !errors.is_empty() => return Err(Failed),
            None if field.relationship.lookup.is_array() => {
                let (message, path) =
                    ("the upstream gave null for a list of rows".into(), to_path(&self.path).collect());
                self.errors.push(CompletionError { message, path, location: field.location, related: None });
                return Err(Failed);
            }
            None => self.json.extend_from_slice(b"null"),
        }
        Ok(())
    }

    /// Built-in scalars take their own kind of value; all others take any JSON.
    fn complete_scalar(&mut self, name: &str, value: JsonNode<'_>) -> Result<(), Failed> {
        let standard = self.dialect == Dialect::Standard;
        match (name, value.kind()) {
            ("String" | "ID", JsonKind::String) | ("Boolean", JsonKind::Bool) | ("Float", JsonKind::Number) => {
                self.write(value)
            }
            ("Int", JsonKind::Number) if standard && value.raw().parse::<i32>().is_err() => {
                self.reject(format!("{INT_RANGE} {value}"))
            }
            ("Int", JsonKind::Number) => self.write(value),
            ("ID", JsonKind::Number) if standard && is_integer(value) => {
                self.json.push(b'"');
                self.write(value)?;
                self.json.push(b'"');
                Ok(())
            }
            // Hasura's own tests have it so in an object's field, though not in a response that is a scalar itself.
            ("ID", JsonKind::Number) if self.is_in_object() && is_integer(value) => self.write(value),
            ("Int" | "Float" | "String" | "Boolean" | "ID", _) => self.reject_kind(value, name),
            _ => self.write(value),
        }
    }

    fn is_in_object(&self) -> bool {
        self.path.iter().any(|segment| matches!(segment, PathStep::Field(_)))
    }

    fn reject_kind(&mut self, value: JsonNode<'_>, expecting: &str) -> Result<(), Failed> {
        let got = match value.kind() {
            JsonKind::List => "array",
            JsonKind::Object => "object",
            JsonKind::String => "scalar String",
            JsonKind::Bool => "scalar Boolean",
            JsonKind::Number => "scalar Number",
            JsonKind::Null => "null",
        };
        self.reject(format!("got {got} for the action webhook response, expecting {expecting}"))
    }

    fn reject(&mut self, message: String) -> Result<(), Failed> {
        self.errors.push(CompletionError {
            message,
            path: to_path(&self.path).collect(),
            location: None,
            related: None,
        });
        Err(Failed)
    }

    /// All that is valid can be written.
    fn write(&mut self, value: JsonNode<'_>) -> Result<(), Failed> {
        value.write(&mut self.json);
        Ok(())
    }
}

/// Is a number an integer of 64 bits?
fn is_integer(number: JsonNode<'_>) -> bool {
    number.raw().parse::<i64>().is_ok() || number.raw().parse::<u64>().is_ok()
}
