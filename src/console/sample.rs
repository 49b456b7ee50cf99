//! A sample call of an action: arguments of its types, and an operation that selects what can be selected.

use serde_json::{Map, Value, json};

use crate::graphql::literal::literal_text;
use crate::model::action::{Action, ActionSchema};
use crate::model::types::{InputValue, TypeKind, TypeRef};

/// How deep objects are filled: types may contain themselves.
const DEPTH_MAX: usize = 3;

/// Fields of an object that are selected.
const FIELDS_MAX: usize = 30;

/// Values for the arguments that a call must have.
pub(super) fn arguments(schema: &ActionSchema, action: &Action) -> Map<String, Value> {
    let needed = action.arguments.iter().filter(|argument| is_needed(argument));
    needed.map(|argument| (argument.name.clone(), value(schema, &argument.ty, DEPTH_MAX))).collect()
}

fn is_needed(input: &InputValue) -> bool {
    !input.ty.is_nullable() && input.default.is_none()
}

fn value(schema: &ActionSchema, ty: &TypeRef, depth: usize) -> Value {
    match ty {
        TypeRef::NonNull(inner) => value(schema, inner, depth),
        TypeRef::List(inner) => json!([value(schema, inner, depth)]),
        TypeRef::Named(name) => match (schema.types.get(name).map(|known| &known.kind), name.as_str()) {
            (Some(TypeKind::Enum(values)), _) => values.keys().next().cloned().into(),
            (Some(TypeKind::InputObject(fields)), _) if depth > 0 => {
                let needed = fields.iter().filter(|field| is_needed(field));
                needed
                    .map(|field| (field.name.clone(), value(schema, &field.ty, depth - 1)))
                    .collect::<Map<_, _>>()
                    .into()
            }
            (Some(TypeKind::InputObject(_)), _) => Value::Null,
            (_, "Int" | "bigint" | "smallint" | "integer") => json!(1),
            (_, "Float" | "numeric") => json!(1.5),
            (_, "Boolean") => json!(true),
            (_, "ID") => json!("1"),
            (_, "uuid") => json!("00000000-0000-4000-8000-000000000000"),
            _ => json!("text"),
        },
    }
}

/// An operation with these arguments as literals.
pub(super) fn query(schema: &ActionSchema, action: &Action) -> String {
    let needed = action.arguments.iter().filter(|argument| is_needed(argument));
    let arguments: Vec<String> = needed
        .map(|argument| {
            let value = value(schema, &argument.ty, DEPTH_MAX);
            format!("{}: {}", argument.name, literal_text(&schema.types, &argument.ty, &value))
        })
        .collect();
    let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
    let selection = if action.is_async { String::new() } else { selection(schema, &action.output, 1) };
    format!("{} {{\n  {}{arguments}{selection}\n}}\n", action.kind.keyword(), action.field)
}

/// The scalar fields of an object, and those of the objects in it.
fn selection(schema: &ActionSchema, ty: &TypeRef, depth: usize) -> String {
    if depth > DEPTH_MAX {
        return String::new();
    }
    let Some(TypeKind::Object(fields)) = schema.types.get(named(ty)).map(|known| &known.kind) else {
        return String::new();
    };
    let indent = "  ".repeat(depth + 1);
    let fields = fields.iter().take(FIELDS_MAX).filter_map(|(name, field)| {
        let below = selection(schema, &field.ty, depth + 1);
        let is_object =
            matches!(schema.types.get(named(&field.ty)).map(|known| &known.kind), Some(TypeKind::Object(_)));
        (!is_object || depth < DEPTH_MAX).then(|| format!("\n{indent}{name}{below}"))
    });
    let fields: String = fields.collect();
    let fields = if fields.is_empty() { format!("\n{indent}__typename") } else { fields };
    format!(" {{{fields}\n{}}}", "  ".repeat(depth))
}

fn named(ty: &TypeRef) -> &str {
    match ty {
        TypeRef::Named(name) => name,
        TypeRef::List(inner) | TypeRef::NonNull(inner) => named(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::actions::read_actions;

    #[test]
    fn a_sample_has_what_is_needed() {
        let graphql = "type Mutation { buy(order: Order!, note: String, size: Size!): [Receipt!] } \
            input Order { id: Int! more: [Order!] } enum Size { S M } type Receipt { ok: Boolean! next: Receipt }";
        let yaml = "actions: [{ name: buy, definition: { kind: synchronous, handler: http://h } }]";
        let schema = read_actions(graphql, yaml, &|_| None).expect("actions");
        let action = schema.actions.get("buy").expect("an action");
        assert_eq!(Value::from(arguments(&schema, action)), json!({ "order": { "id": 1 }, "size": "S" }));
        let text = query(&schema, action);
        assert!(
            text.starts_with("mutation {\n  buy(order: {id: 1}, size: S) {\n    ok\n    next {\n      ok\n"),
            "{text}"
        );
        assert!(apollo_compiler::ast::Document::parse(text.as_str(), "sample").is_ok(), "{text}");
    }
}
