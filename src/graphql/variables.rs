//! The variables that only the upstream uses, coerced against the merged schema before anything runs:
//! [CoerceVariableValues](https://spec.graphql.org/September2025/#CoerceVariableValues()).
//!
//! They are looked at and nothing is made of them, because the upstream is sent the client's own bytes. The library's
//! `request::coerce_variable_values` is not used: it makes a tree of values of its own, rejects `1.0` as an `Int` and
//! large integers as an `ID`, does not know OneOf Input Objects, and its messages are not those of graphql-js.

use apollo_compiler::ast::{Type, VariableDefinition};
use apollo_compiler::schema::{EnumType, ExtendedType, InputObjectType};
use apollo_compiler::{Name, Node, Schema};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::graphql::coerce::scalar_takes;
use crate::graphql::value_error::{CoerceError, Holder, ValueMismatch, ValuePath};
use crate::model::json::{RawObject, parse_strict};

/// Checks the values for `definitions`. Undefined variables are ignored.
///
/// # Errors
/// The first variable that its type does not take.
pub fn check_variables<'d>(
    schema: &Schema,
    definitions: impl IntoIterator<Item = &'d Node<VariableDefinition>>,
    given: &RawObject<'_>,
) -> Result<(), CoerceError> {
    for definition in definitions {
        let offset = definition.location().map(|span| span.offset());
        let place = ValuePath::root(Holder::Variable, &definition.name, offset);
        match given.get(&definition.name) {
            Some(raw) => check_raw(schema, &definition.ty, raw, &place)?,
            // A default has been validated with the document.
            None if definition.ty.is_non_null() && definition.default_value.is_none() => {
                return Err(place.reject(&ValueMismatch::VariableMissing { ty: definition.ty.to_string() }));
            }
            None => {}
        }
    }
    Ok(())
}

/// Most variables are scalars, which their first byte shows; only lists, enums and input objects are parsed.
fn check_raw(schema: &Schema, ty: &Type, raw: &RawValue, place: &ValuePath<'_>) -> Result<(), CoerceError> {
    let text = raw.get();
    if let Type::Named(name) | Type::NonNullNamed(name) = ty
        && text != "null"
    {
        let is_plain = match (schema.types.get(name), name.as_str()) {
            (Some(ExtendedType::Scalar(_)), "String" | "ID") => text.starts_with('"'),
            (Some(ExtendedType::Scalar(_)), "Boolean") => matches!(text, "true" | "false"),
            (Some(ExtendedType::Scalar(_)), "Int") => text.parse::<i32>().is_ok(),
            (Some(ExtendedType::Scalar(_)), "Float") => false,
            (Some(ExtendedType::Scalar(_)) | None, _) => true,
            _ => false,
        };
        if is_plain {
            return Ok(());
        }
    }
    let value = parse_strict(text.as_bytes()).map_err(|error| place.reject(&ValueMismatch::Json(error.to_string())))?;
    Checker { schema }.value(ty, &value, place)
}

struct Checker<'c> {
    schema: &'c Schema,
}

impl Checker<'_> {
    /// The nesting of a request's JSON has been limited, so the recursion is.
    fn value(&self, ty: &Type, value: &Value, place: &ValuePath<'_>) -> Result<(), CoerceError> {
        match (ty, value) {
            (Type::NonNullNamed(_) | Type::NonNullList(_), Value::Null) => {
                Err(place.reject(&ValueMismatch::Null { ty: ty.to_string() }))
            }
            (_, Value::Null) => Ok(()),
            (Type::List(inner) | Type::NonNullList(inner), Value::Array(items)) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(index, item)| self.value(inner, item, &place.item(index)))
            }
            (Type::List(inner) | Type::NonNullList(inner), single) => self.value(inner, single, place),
            (Type::Named(name) | Type::NonNullNamed(name), value) => match self.schema.types.get(name) {
                Some(ExtendedType::InputObject(input)) => self.object(input, value, place),
                Some(ExtendedType::Enum(found)) => enum_value(found, value, place),
                _ if scalar_takes(name, value) => Ok(()),
                _ => Err(place.reject(&ValueMismatch::NotOfScalar { type_name: name, found: value })),
            },
        }
    }

    /// <https://spec.graphql.org/September2025/#sec-Input-Objects.Input-Coercion>
    fn object(&self, input: &InputObjectType, value: &Value, place: &ValuePath<'_>) -> Result<(), CoerceError> {
        let Value::Object(given) = value else {
            return Err(place.reject(&ValueMismatch::NotAnObject { type_name: &input.name, found: value }));
        };
        for (name, field) in &input.fields {
            match given.get(name.as_str()) {
                Some(value) => self.value(&field.ty, value, &place.field(name))?,
                None if field.is_required() => {
                    return Err(place.reject(&ValueMismatch::Missing { field: name, ty: field.ty.to_string() }));
                }
                None => {}
            }
        }
        if let Some(field) = given.keys().find(|name| !input.fields.contains_key(name.as_str())) {
            let known = input.fields.keys().map(Name::as_str).collect();
            return Err(place.reject(&ValueMismatch::UnknownField { field, type_name: &input.name, known }));
        }
        if !is_one_of(input) {
            return Ok(());
        }
        let mut entries = given.iter();
        match (entries.next(), entries.next()) {
            (Some((field, Value::Null)), None) => {
                Err(place.field(field).reject(&ValueMismatch::OneKeyIsNull { type_name: &input.name, field }))
            }
            (Some(_), None) => Ok(()),
            _ => Err(place.reject(&ValueMismatch::NotOneKey { type_name: &input.name })),
        }
    }
}

fn enum_value(found: &EnumType, value: &Value, place: &ValuePath<'_>) -> Result<(), CoerceError> {
    if value.as_str().is_some_and(|text| found.values.contains_key(text)) {
        return Ok(());
    }
    let known = found.values.keys().map(Name::as_str).collect();
    Err(place.reject(&ValueMismatch::NotInEnum { type_name: &found.name, found: value, is_name: true, known }))
}

/// Is it a [OneOf Input Object](https://spec.graphql.org/September2025/#sec-OneOf-Input-Objects)?
#[must_use]
pub fn is_one_of(input: &InputObjectType) -> bool {
    input.directives.has("oneOf")
}
