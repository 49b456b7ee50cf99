//! Completes a handler's value: checks it against the action's output type and cuts it to the client's selection:
//! [CompleteValue](https://spec.graphql.org/September2025/#CompleteValue()), with Hasura's messages.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::action::relationship::{RelatedError, RelatedRows, RowSource};
use crate::graphql::relationship_selection::RelationshipSelection;
use crate::graphql::selection::SubSelection;
use crate::model::json::{member, write_value};
use crate::model::response::{Dialect, Location, PathSegment};
use crate::model::types::{BUILT_IN_SCALARS, OutputField, TypeKind, TypeRef, Types};

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
    value: &Value,
    selected: &SubSelection,
    rows: &mut dyn RowSource,
) -> CompletedValue {
    let CompletionRules { types, dialect, max_list_length } = *rules;
    let json = Vec::with_capacity(USUAL_BYTES);
    let mut shaper = Completer { types, dialect, max_list_length, rows, json, path: Vec::new(), errors: Vec::new() };
    let null_escapes = match shaper.complete(ty, Some(value), selected, ResponsePath::Response) {
        Ok(()) => false,
        Err(Failed) => {
            shaper.json = b"null".to_vec();
            !ty.is_nullable()
        }
    };
    // Every piece of it was text.
    let json = String::from_utf8(shaper.json).unwrap_or_default();
    CompletedValue { json, errors: shaper.errors, null_escapes }
}

/// Room for most values of extension fields, of which there may be thousands.
const USUAL_BYTES: usize = 64;

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

struct Completer<'a> {
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
    /// Writes `value` as `ty`. The recursion is as deep as the client's selection or the type's lists are, both of
    /// which are limited.
    fn complete(
        &mut self,
        ty: &TypeRef,
        value: Option<&Value>,
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
        value: Option<&Value>,
        selected: &'a SubSelection,
        place: ResponsePath<'_>,
    ) -> Result<(), Failed> {
        match (ty, value) {
            (TypeRef::NonNull(_), None | Some(Value::Null)) => self.reject_null(place, value.is_none()),
            // The null must travel through this level, so it is not caught here.
            (TypeRef::NonNull(inner), value) => self.complete_inner(inner, value, selected, place),
            (_, None | Some(Value::Null)) => {
                self.json.extend_from_slice(b"null");
                Ok(())
            }
            (TypeRef::List(inner), Some(Value::Array(items))) => self.complete_list(inner, items, selected),
            // A scalar that takes anything takes it as a list's content, too.
            (TypeRef::List(_), Some(_)) => self.reject("expecting array for the action webhook response".into()),
            (TypeRef::Named(name), Some(value)) => self.complete_named(name, value, selected),
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

    fn complete_list(&mut self, inner: &TypeRef, items: &[Value], selected: &'a SubSelection) -> Result<(), Failed> {
        if items.len() > self.max_list_length {
            let message = format!("a list of the webhook response has more than {} elements", self.max_list_length);
            return self.reject(message);
        }
        self.json.push(b'[');
        for (index, item) in items.iter().enumerate() {
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

    fn complete_named(&mut self, name: &str, value: &Value, selected: &'a SubSelection) -> Result<(), Failed> {
        if BUILT_IN_SCALARS.contains(&name) {
            return self.complete_scalar(name, value);
        }
        match self.types.get(name).map(|definition| &definition.kind) {
            Some(TypeKind::Object(fields)) => match value {
                Value::Object(object) => self.complete_object((name, fields), object, selected),
                other => self.reject_kind(other, name),
            },
            Some(TypeKind::Enum(values)) => match value {
                Value::String(text) if self.dialect == Dialect::Hasura || values.contains_key(text) => {
                    self.write(value)
                }
                Value::String(_) => self.reject(format!("got a value that enum {name} does not have")),
                other => self.reject_kind(other, name),
            },
            _ => self.complete_scalar(name, value),
        }
    }

    fn complete_object(
        &mut self,
        (type_name, fields): (&str, &'a IndexMap<String, OutputField>),
        object: &Map<String, Value>,
        selected: &'a SubSelection,
    ) -> Result<(), Failed> {
        if self.dialect == Dialect::Hasura {
            // Hasura checks every field that must be there, selected or not.
            for (name, _) in fields.iter().filter(|(_, field)| !field.ty.is_nullable()) {
                let value = member(object, name);
                if value.is_none_or(Value::is_null) {
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
            let Some(definition) = field_of(fields, &field.name) else { return self.write(&Value::Null) };
            let value = member(object, &field.name);
            self.complete(&definition.ty, value, &field.selected, ResponsePath::Field(&field.name))?;
            self.path.pop();
        }
        self.json.push(b'}');
        Ok(())
    }

    /// The recursion ends with the value, whose nesting is limited where it is read.
    fn complete_all_fields(
        &mut self,
        fields: &'a IndexMap<String, OutputField>,
        object: &Map<String, Value>,
        selected: &'a SubSelection,
    ) -> Result<(), Failed> {
        self.json.push(b'{');
        for (index, (name, field)) in fields.iter().enumerate() {
            self.push_key(index, name);
            self.path.push(PathStep::Field(name));
            self.complete(&field.ty, member(object, name), selected, ResponsePath::Field(name))?;
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
        object: &Map<String, Value>,
    ) -> Result<(), Failed> {
        let RelatedRows { json, errors } = self.rows.rows(field, object);
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
    fn complete_scalar(&mut self, name: &str, value: &Value) -> Result<(), Failed> {
        let standard = self.dialect == Dialect::Standard;
        match (name, value) {
            ("String" | "ID", Value::String(_)) | ("Boolean", Value::Bool(_)) | ("Float", Value::Number(_)) => {
                self.write(value)
            }
            ("Int", Value::Number(number)) => {
                let fits = number.as_i64().is_some_and(|integer| i32::try_from(integer).is_ok());
                if standard && !fits {
                    return self.reject(format!("{INT_RANGE} {number}"));
                }
                self.write(value)
            }
            ("ID", Value::Number(number)) if standard && (number.is_i64() || number.is_u64()) => {
                self.write(&Value::String(number.to_string()))
            }
            // Hasura's own tests have it so in an object's field, though not in a response that is a scalar itself.
            ("ID", Value::Number(number)) if self.is_in_object() && (number.is_i64() || number.is_u64()) => {
                self.write(value)
            }
            ("Int" | "Float" | "String" | "Boolean" | "ID", other) => self.reject_kind(other, name),
            _ => self.write(value),
        }
    }

    fn is_in_object(&self) -> bool {
        self.path.iter().any(|segment| matches!(segment, PathStep::Field(_)))
    }

    fn reject_kind(&mut self, value: &Value, expecting: &str) -> Result<(), Failed> {
        let got = match value {
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::String(_) => "scalar String",
            Value::Bool(_) => "scalar Boolean",
            Value::Number(_) => "scalar Number",
            Value::Null => "null",
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

    fn write(&mut self, value: &Value) -> Result<(), Failed> {
        write_value(value, &mut self.json);
        Ok(())
    }
}
