//! Values in GraphQL's own notation: default values are spelled as graphql-js's `astFromValue` and `print` do.

use apollo_compiler::{Node, ast};
use serde_json::Value;

use crate::model::types::{TypeKind, TypeRef, Types};

/// `value` as a literal of type `ty`. It has been coerced to the type already.
#[must_use]
pub fn literal_text(types: &Types, ty: &TypeRef, value: &Value) -> String {
    match (ty, value) {
        (_, Value::Null) => "null".into(),
        (TypeRef::List(inner), Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| literal_text(types, inner, item)).collect();
            format!("[{}]", items.join(", "))
        }
        // A single value stands for a list of it.
        (TypeRef::NonNull(inner) | TypeRef::List(inner), _) => literal_text(types, inner, value),
        (TypeRef::Named(name), _) => named(types, name, value),
    }
}

fn named(types: &Types, type_name: &str, value: &Value) -> String {
    match (types.get(type_name).map(|definition| &definition.kind), value) {
        (Some(TypeKind::Enum(_)), Value::String(name)) => name.clone(),
        (Some(TypeKind::InputObject(fields)), Value::Object(values)) => {
            let field = |name: &str, ty: &TypeRef| {
                values.get(name).map(|value| format!("{name}: {}", literal_text(types, ty, value)))
            };
            let fields: Vec<String> = fields.iter().filter_map(|input| field(&input.name, &input.ty)).collect();
            format!("{{{}}}", fields.join(", "))
        }
        (_, Value::String(text)) if type_name == "ID" && is_integer(text) => text.clone(),
        _ => untyped(value),
    }
}

/// A value whose type is not known, or is a custom scalar.
#[must_use]
pub fn untyped(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(untyped).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name}: {}", untyped(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'))
}

/// A GraphQL value as text.
#[must_use]
pub fn parse_value(text: &str) -> Option<Node<ast::Value>> {
    let document = ast::Document::parse(format!("{{a(b:{text}\n)}}"), "value").ok()?;
    let [ast::Definition::OperationDefinition(operation)] = document.definitions.as_slice() else { return None };
    let [ast::Selection::Field(field)] = operation.selection_set.as_slice() else { return None };
    let [argument] = field.arguments.as_slice() else { return None };
    Some(argument.value.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn literals() {
        let named = |name: &str| TypeRef::Named(name.into());
        let list = |ty: TypeRef| TypeRef::List(Box::new(TypeRef::NonNull(Box::new(ty))));
        let types = Types::default();
        for (ty, value, wanted) in [
            (named("Int"), json!(7), "7"),
            (named("String"), json!("a\n\"b\" é"), r#""a\n\"b\" é""#),
            (named("ID"), json!("12"), "12"),
            (named("ID"), json!("012"), "\"012\""),
            (list(named("Boolean")), json!([true, false]), "[true, false]"),
            (named("json"), json!({ "a": [1, "x", null] }), "{a: [1, \"x\", null]}"),
            (list(named("Int")), json!(null), "null"),
        ] {
            assert_eq!(literal_text(&types, &ty, &value), wanted);
        }
    }
}
