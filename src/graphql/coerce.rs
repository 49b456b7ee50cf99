//! Coercion of variables and arguments into the values that a handler receives.

use std::collections::HashMap;

use apollo_compiler::Node;
use apollo_compiler::ast::{Argument, OperationDefinition, Type, Value as Literal};
use serde_json::{Map, Number, Value};

use crate::graphql::value_error::{CoerceError, Holder, ValueMismatch, ValuePath, is_integer};
use crate::model::json::{RawObject, parse_checked};
use crate::model::types::{InputValue, TypeKind, TypeRef, Types, is_built_in_scalar};

/// The variables of an operation, coerced. A variable that was not given and has no default is absent.
pub type Variables = HashMap<String, Value>;

/// [CoerceVariableValues](https://spec.graphql.org/September2025/#CoerceVariableValues()) for those variables of
/// `operation` that are in `wanted`; the others are the upstream's business and are not even parsed.
///
/// # Errors
/// The first variable that does not fit its type.
pub fn coerce_variable_values(
    types: &Types,
    operation: &OperationDefinition,
    wanted: &[String],
    given: &RawObject<'_>,
) -> Result<Variables, CoerceError> {
    let mut variables = Variables::new();
    for definition in
        operation.variables.iter().filter(|definition| wanted.iter().any(|name| definition.name == name.as_str()))
    {
        let name = definition.name.as_str();
        let place = ValuePath::root(Holder::Variable, name, offset_of(definition));
        let ty = type_ref(&definition.ty);
        if let Some(raw) = given.get(name) {
            let value =
                parse_checked(raw.get()).map_err(|error| place.reject(&ValueMismatch::Json(error.to_string())))?;
            variables.insert(name.to_owned(), coerce_value(types, &ty, value, &place)?);
        } else if let Some(default) = &definition.default_value {
            let value = coerce_literal(types, &ty, default, &Variables::new(), &place)?;
            variables.extend(value.map(|value| (name.to_owned(), value)));
        } else if !ty.is_nullable() {
            return Err(place.reject(&ValueMismatch::VariableMissing { ty: ty.to_string() }));
        }
    }
    Ok(variables)
}

/// [CoerceArgumentValues](https://spec.graphql.org/September2025/#CoerceArgumentValues()), in the order of
/// definition. Arguments that were not given and have no default are absent; explicit nulls stay.
///
/// # Errors
/// The first argument that does not fit its type.
pub fn coerce_argument_values(
    types: &Types,
    definitions: &[InputValue],
    arguments: &[Node<Argument>],
    variables: &Variables,
) -> Result<Map<String, Value>, CoerceError> {
    argument_values(types, definitions, arguments, variables, Vec::new())
}

/// The same where nothing else needs the variables: large texts are moved out of them, not copied.
///
/// # Errors
/// The first argument that does not fit its type.
pub fn move_argument_values(
    types: &Types,
    definitions: &[InputValue],
    arguments: &[Node<Argument>],
    variables: &mut Variables,
) -> Result<Map<String, Value>, CoerceError> {
    let moved = arguments.iter().filter_map(|argument| {
        let name = argument.value.as_variable()?;
        let is_large = variables.get(name.as_str()).and_then(Value::as_str).is_some_and(|text| text.len() > COPIED_MAX);
        let uses = || arguments.iter().map(|argument| count_uses(&argument.value, name)).sum::<usize>();
        if is_large && uses() == 1 { Some((argument.name.as_str(), variables.remove(name.as_str())?)) } else { None }
    });
    let moved = moved.collect();
    argument_values(types, definitions, arguments, variables, moved)
}

/// Bytes of a text that is copied without looking for a way around it.
const COPIED_MAX: usize = 16 * 1024;

fn count_uses(literal: &Literal, variable: &str) -> usize {
    match literal {
        Literal::Variable(name) => usize::from(name == variable),
        Literal::List(items) => items.iter().map(|item| count_uses(item, variable)).sum(),
        Literal::Object(fields) => fields.iter().map(|(_, field)| count_uses(field, variable)).sum(),
        _ => 0,
    }
}

/// `moved` are the values of arguments that are known already.
fn argument_values(
    types: &Types,
    definitions: &[InputValue],
    arguments: &[Node<Argument>],
    variables: &Variables,
    mut moved: Vec<(&str, Value)>,
) -> Result<Map<String, Value>, CoerceError> {
    let mut values = Map::new();
    for definition in definitions {
        if let Some(index) = moved.iter().position(|(name, _)| *name == definition.name) {
            values.insert(definition.name.clone(), moved.swap_remove(index).1);
            continue;
        }
        let given = arguments.iter().find(|argument| argument.name == definition.name.as_str());
        let place = ValuePath::root(Holder::Argument, &definition.name, given.and_then(offset_of));
        let value = match given {
            Some(argument) => coerce_literal(types, &definition.ty, &argument.value, variables, &place)?,
            None => None,
        };
        if let Some(value) = or_default(definition, value, &place)? {
            values.insert(definition.name.clone(), value);
        }
    }
    Ok(values)
}

/// An argument that is given as JSON, as a value of its type.
///
/// # Errors
/// When the type does not take it.
pub fn coerce_argument(types: &Types, definition: &InputValue, value: Value) -> Result<Value, CoerceError> {
    coerce_value(types, &definition.ty, value, &ValuePath::root(Holder::Argument, &definition.name, None))
}

/// Is an argument of a built-in scalar, given as this JSON, already a value of its type? Then [`coerce_argument`] would only
/// copy it.
#[must_use]
pub fn is_coerced(ty: &TypeRef, value: &Value) -> bool {
    let is_rewritten = |name: &str| name == "ID" && value.is_number();
    match ty {
        TypeRef::NonNull(inner) => is_coerced(inner, value),
        TypeRef::Named(name) => is_built_in_scalar(name) && scalar_takes(name, value) && !is_rewritten(name),
        TypeRef::List(_) => false,
    }
}

/// A default from a configuration file, as a value of its type.
///
/// # Errors
/// When the type does not take it.
pub fn coerce_default(types: &Types, input: &InputValue, default: Value) -> Result<Value, CoerceError> {
    let place = ValuePath::root(Holder::Default, &input.name, None);
    coerce_value(types, &input.ty, default, &place)
}

/// A constant argument from a configuration file, written as a literal, as a value of its type.
///
/// # Errors
/// When the type does not take it.
pub fn coerce_constant(types: &Types, argument: &str, ty: &TypeRef, literal: &Literal) -> Result<Value, CoerceError> {
    let place = ValuePath::root(Holder::Argument, argument, None);
    coerce_literal(types, ty, literal, &Variables::new(), &place).map(Option::unwrap_or_default)
}

fn offset_of<T>(node: &Node<T>) -> Option<usize> {
    node.location().map(|span| span.offset())
}

/// A type as the document's author wrote it, in our form.
#[must_use]
pub fn type_ref(ty: &Type) -> TypeRef {
    match ty {
        Type::Named(name) => TypeRef::Named(name.to_string()),
        Type::NonNullNamed(name) => TypeRef::NonNull(Box::new(TypeRef::Named(name.to_string()))),
        Type::List(inner) => TypeRef::List(Box::new(type_ref(inner))),
        Type::NonNullList(inner) => TypeRef::NonNull(Box::new(TypeRef::List(Box::new(type_ref(inner))))),
    }
}

fn or_default(
    definition: &InputValue,
    value: Option<Value>,
    place: &ValuePath<'_>,
) -> Result<Option<Value>, CoerceError> {
    match value.or_else(|| definition.default.clone()) {
        None if !definition.ty.is_nullable() => {
            Err(place.reject(&ValueMismatch::Missing { field: &definition.name, ty: definition.ty.to_string() }))
        }
        value => Ok(value),
    }
}

/// [Input coercion](https://spec.graphql.org/September2025/#sec-Scalars.Input-Coercion) of a JSON value. The nesting
/// of the request's JSON has been limited, so the recursion is.
fn coerce_value(types: &Types, ty: &TypeRef, value: Value, place: &ValuePath<'_>) -> Result<Value, CoerceError> {
    match (ty, value) {
        (TypeRef::NonNull(_), Value::Null) => Err(place.reject(&ValueMismatch::Null { ty: ty.to_string() })),
        (TypeRef::NonNull(inner), value) => coerce_value(types, inner, value, place),
        (_, Value::Null) => Ok(Value::Null),
        (TypeRef::List(inner), Value::Array(items)) => {
            let items = items.into_iter().enumerate();
            items.map(|(index, item)| coerce_value(types, inner, item, &place.item(index))).collect()
        }
        (TypeRef::List(inner), single) => Ok(Value::Array(vec![coerce_value(types, inner, single, place)?])),
        (TypeRef::Named(name), value) => match types.get(name).map(|definition| &definition.kind) {
            Some(TypeKind::InputObject(fields)) => coerce_object(types, name, fields, value, place),
            Some(TypeKind::Enum(values)) => match value {
                Value::String(text) if values.contains_key(&text) => Ok(Value::String(text)),
                other => {
                    let known = values.keys().map(String::as_str).collect();
                    Err(place.reject(&ValueMismatch::NotInEnum {
                        type_name: name,
                        found: &other,
                        is_name: true,
                        known,
                    }))
                }
            },
            _ => coerce_scalar(name, value, place),
        },
    }
}

fn coerce_object(
    types: &Types,
    name: &str,
    fields: &[InputValue],
    value: Value,
    place: &ValuePath<'_>,
) -> Result<Value, CoerceError> {
    let Value::Object(mut given) = value else {
        return Err(place.reject(&ValueMismatch::NotAnObject { type_name: name, found: &value }));
    };
    check_one_of(types, name, given.iter().map(|(field, value)| (field.as_str(), value.is_null())), place)?;
    let mut object = Map::new();
    for field in fields {
        let value = match given.remove(&field.name) {
            Some(value) => Some(coerce_value(types, &field.ty, value, &place.field(&field.name))?),
            None => None,
        };
        if let Some(value) = or_default(field, value, place)? {
            object.insert(field.name.clone(), value);
        }
    }
    match given.keys().next() {
        Some(unknown) => Err(place.reject(&unknown_field(unknown, name, fields))),
        None => Ok(Value::Object(object)),
    }
}

fn unknown_field<'m>(field: &'m str, type_name: &'m str, fields: &'m [InputValue]) -> ValueMismatch<'m> {
    let known = fields.iter().map(|field| field.name.as_str()).collect();
    ValueMismatch::UnknownField { field, type_name, known }
}

/// The five built-in scalars take the values of the specification; every other scalar takes any JSON.
fn coerce_scalar(name: &str, value: Value, place: &ValuePath<'_>) -> Result<Value, CoerceError> {
    match value {
        value if !scalar_takes(name, &value) => {
            Err(place.reject(&ValueMismatch::NotOfScalar { type_name: name, found: &value }))
        }
        // An ID is a string, whatever it was written as.
        Value::Number(number) if name == "ID" => Ok(Value::String(id_of(&number))),
        value => Ok(value),
    }
}

/// Does a scalar take this JSON value? One that is not built in takes any.
pub(crate) fn scalar_takes(name: &str, value: &Value) -> bool {
    match (name, value) {
        ("Int", Value::Number(number)) => {
            let integer = number.as_i64().or_else(|| whole(number.as_f64()?));
            integer.is_some_and(|integer| i32::try_from(integer).is_ok())
        }
        ("Float", Value::Number(number)) => number.as_f64().is_some_and(f64::is_finite),
        ("ID", Value::Number(number)) => {
            is_integer(number.as_str()) || number.as_f64().is_some_and(|float| float.fract() == 0.0)
        }
        ("String" | "ID", Value::String(_)) | ("Boolean", Value::Bool(_)) => true,
        ("Int" | "Float" | "String" | "ID" | "Boolean", _) => false,
        _ => true,
    }
}

/// An integer as the text of an ID: its own digits, however many there are. `1.0` and `1e3` are written out as
/// JavaScript does it, which has an exponent from 1e21 on.
fn id_of(number: &Number) -> String {
    let text = number.as_str();
    match number.as_f64() {
        _ if is_integer(text) && text != "-0" => text.to_owned(),
        Some(0.0) => "0".into(),
        Some(float) if float.abs() < 1e21 => format!("{float:.0}"),
        Some(float) => format!("{float:e}").replace('e', "e+"),
        None => text.to_owned(),
    }
}

/// `1.0` and `1e3` are integers by the specification.
fn whole(float: f64) -> Option<i64> {
    let in_range = float.fract() == 0.0 && float.abs() <= f64::from(i32::MAX) + 1.0;
    #[expect(clippy::cast_possible_truncation, reason = "the range has just been checked")]
    in_range.then_some(float as i64)
}

/// A literal from the document. `None` is a variable that is absent.
fn coerce_literal(
    types: &Types,
    ty: &TypeRef,
    literal: &Literal,
    variables: &Variables,
    place: &ValuePath<'_>,
) -> Result<Option<Value>, CoerceError> {
    match (ty, literal) {
        (_, Literal::Variable(name)) => match variables.get(name.as_str()) {
            // A nullable variable may stand where null is not allowed if a default could replace it.
            Some(Value::Null) if !ty.is_nullable() => Err(place.reject(&ValueMismatch::Null { ty: ty.to_string() })),
            value => Ok(value.cloned()),
        },
        (TypeRef::NonNull(_), Literal::Null) => Err(place.reject(&ValueMismatch::Null { ty: ty.to_string() })),
        (TypeRef::NonNull(inner), literal) => coerce_literal(types, inner, literal, variables, place),
        (_, Literal::Null) => Ok(Some(Value::Null)),
        (TypeRef::List(inner), Literal::List(items)) => {
            let mut values = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let place = place.item(index);
                let value = coerce_literal(types, inner, item, variables, &place)?;
                if value.is_none() && !inner.is_nullable() {
                    return Err(place.reject(&ValueMismatch::Null { ty: inner.to_string() }));
                }
                values.push(value.unwrap_or(Value::Null));
            }
            Ok(Some(Value::Array(values)))
        }
        (TypeRef::List(inner), single) => {
            let value = coerce_literal(types, inner, single, variables, place)?;
            Ok(value.map(|value| Value::Array(vec![value])))
        }
        (TypeRef::Named(name), literal) => match types.get(name).map(|definition| &definition.kind) {
            Some(TypeKind::InputObject(fields)) => {
                coerce_object_literal(types, name, fields, literal, variables, place).map(Some)
            }
            Some(TypeKind::Enum(values)) => match literal {
                Literal::Enum(value) if values.contains_key(value.as_str()) => {
                    Ok(Some(Value::String(value.to_string())))
                }
                other => {
                    let (found, is_name) = (json_of(other, variables), matches!(other, Literal::Enum(_)));
                    let known = values.keys().map(String::as_str).collect();
                    Err(place.reject(&ValueMismatch::NotInEnum { type_name: name, found: &found, is_name, known }))
                }
            },
            _ => coerce_scalar(name, json_of(literal, variables), place).map(Some),
        },
    }
}

/// Of a [OneOf input object](https://spec.graphql.org/September2025/#sec-OneOf-Input-Objects) exactly one field is
/// given, and it is not null.
fn check_one_of<'v>(
    types: &Types,
    name: &str,
    mut given: impl Iterator<Item = (&'v str, bool)>,
    place: &ValuePath<'_>,
) -> Result<(), CoerceError> {
    if !types.get(name).is_some_and(|definition| definition.is_one_of) {
        return Ok(());
    }
    match (given.next(), given.next()) {
        (Some((field, true)), None) => {
            Err(place.field(field).reject(&ValueMismatch::OneKeyIsNull { type_name: name, field }))
        }
        (Some(_), None) => Ok(()),
        _ => Err(place.reject(&ValueMismatch::NotOneKey { type_name: name })),
    }
}

fn coerce_object_literal(
    types: &Types,
    name: &str,
    fields: &[InputValue],
    literal: &Literal,
    variables: &Variables,
    place: &ValuePath<'_>,
) -> Result<Value, CoerceError> {
    let Literal::Object(given) = literal else {
        let found = json_of(literal, variables);
        return Err(place.reject(&ValueMismatch::NotAnObject { type_name: name, found: &found }));
    };
    let is_null = |value: &Literal| match value {
        Literal::Null => true,
        Literal::Variable(name) => variables.get(name.as_str()).is_none_or(Value::is_null),
        _ => false,
    };
    check_one_of(types, name, given.iter().map(|(field, value)| (field.as_str(), is_null(value))), place)?;
    let mut object = Map::new();
    for field in fields {
        let value = match given.iter().find(|(name, _)| *name == field.name.as_str()) {
            Some((_, value)) => coerce_literal(types, &field.ty, value, variables, &place.field(&field.name))?,
            None => None,
        };
        if let Some(value) = or_default(field, value, place)? {
            object.insert(field.name.clone(), value);
        }
    }
    match given.iter().find(|(given, _)| fields.iter().all(|field| *given != field.name.as_str())) {
        Some((unknown, _)) => Err(place.reject(&unknown_field(unknown, name, fields))),
        None => Ok(Value::Object(object)),
    }
}

/// A literal as JSON, for scalars that take anything. The parser's limit bounds the recursion.
#[must_use]
pub fn json_of(literal: &Literal, variables: &Variables) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Boolean(value) => Value::Bool(*value),
        Literal::String(text) => Value::String(text.clone()),
        Literal::Enum(name) => Value::String(name.to_string()),
        Literal::Int(number) => number_of(number.as_str()),
        Literal::Float(number) => number_of(number.as_str()),
        Literal::Variable(name) => variables.get(name.as_str()).cloned().unwrap_or(Value::Null),
        Literal::List(items) => Value::Array(items.iter().map(|item| json_of(item, variables)).collect()),
        Literal::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.to_string(), json_of(value, variables))).collect())
        }
    }
}

/// GraphQL's numbers are JSON's.
fn number_of(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Number)
}

#[cfg(test)]
mod tests {
    use apollo_compiler::ast::{Definition, Document, Selection};
    use serde_json::json;

    use super::*;

    fn arguments(text: &str) -> Vec<Node<Argument>> {
        let document =
            Document::parse(format!("query ($a: String, $b: String) {{ x({text}) }}"), "test").expect("a document");
        let Some(Definition::OperationDefinition(operation)) = document.definitions.first() else {
            panic!("no operation")
        };
        let Some(Selection::Field(field)) = operation.selection_set.first() else { panic!("no field") };
        field.arguments.clone()
    }

    #[test]
    fn a_large_text_moves_where_it_is_used_once() {
        let large = "a".repeat(COPIED_MAX + 1);
        for (text, is_left) in [
            ("p: $a", false),
            ("p: $a, q: $b", false),
            ("p: $b", true),
            ("p: $a, q: $a", true),
            ("p: $a, q: [\"x\", $a]", true),
            ("q: [$a]", true),
        ] {
            let input = |name: &str, ty| InputValue {
                name: name.into(),
                ty,
                default: None,
                description: None,
                deprecated: None,
            };
            let named = || TypeRef::Named("String".into());
            let definitions = [input("p", named()), input("q", TypeRef::List(Box::new(named())))];
            let mut variables = Variables::from_iter([("a".into(), json!(large)), ("b".into(), json!("small"))]);
            let (types, arguments) = (Types::default(), arguments(text));
            let copied = coerce_argument_values(&types, &definitions, &arguments, &variables);
            let moved = move_argument_values(&types, &definitions, &arguments, &mut variables);
            assert_eq!((moved.ok(), variables.contains_key("a")), (copied.ok(), is_left), "{text}");
        }
    }
}
