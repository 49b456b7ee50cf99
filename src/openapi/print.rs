//! Prints imported actions: their definitions for `actions.yaml`, their signatures and types for `actions.graphql`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::config::print::yaml_text;
use crate::model::types::TypeRef;
use crate::openapi::operation::Operation;
use crate::openapi::types::{Definition, MadeType, Member};

/// What of an action's definition does not come from names and types alone.
pub(crate) struct Transforms {
    pub(crate) request: Value,
    /// The template of the response's body.
    pub(crate) response: Option<String>,
}

/// An action as an element of `actions`.
pub(crate) fn action_value(
    operation: &Operation<'_>,
    handler: &str,
    transforms: Transforms,
    roles: &[String],
) -> Value {
    let is_query = operation.is_query();
    let mut definition = Map::new();
    // Hasura's tools write an empty one for a query.
    definition.insert("kind".into(), if is_query { "" } else { "synchronous" }.into());
    definition.insert("handler".into(), handler.into());
    let headers = operation.credentials.iter();
    let headers: Vec<Value> =
        headers.map(|header| json!({ "name": header.header, "value_from_env": header.variable })).collect();
    if !headers.is_empty() {
        definition.insert("headers".into(), headers.into());
    }
    definition.insert("request_transform".into(), transforms.request);
    if let Some(template) = transforms.response {
        let body = json!({ "action": "transform", "template": template });
        let transform = json!({ "version": 2, "template_engine": "Kriti", "body": body });
        definition.insert("response_transform".into(), transform);
    }
    let mut action = Map::new();
    action.insert("name".into(), operation.name.clone().into());
    action.insert("definition".into(), Value::Object(definition));
    if !roles.is_empty() {
        let permissions: Vec<Value> = roles.iter().map(|role| json!({ "role": role })).collect();
        action.insert("permissions".into(), permissions.into());
    }
    if let Some(description) = &operation.description {
        action.insert("comment".into(), description.clone().into());
    }
    Value::Object(action)
}

/// A mapping as an item of a block list, without any indentation.
pub(crate) fn list_item(value: &Value) -> String {
    let text = yaml_text(value);
    let lines = text.lines().enumerate().map(|(index, line)| match (index, line) {
        (0, line) => format!("- {line}\n"),
        (_, line) if line.trim().is_empty() => "\n".to_owned(),
        (_, line) => format!("  {line}\n"),
    });
    lines.collect()
}

/// The signature of an action, as a field of `Query` or `Mutation`.
pub(crate) fn signature(operation: &Operation<'_>) -> String {
    let mut sdl = format!("  {}", operation.name);
    if !operation.arguments.is_empty() {
        sdl.push_str("(\n");
        for argument in &operation.arguments {
            describe(&mut sdl, argument.description.as_deref(), "    ");
            let deprecated = deprecated(argument.is_deprecated && argument.ty.is_nullable());
            let _ = writeln!(sdl, "    {}: {}{deprecated}", argument.name, argument.ty);
        }
        sdl.push_str("  )");
    }
    let _ = writeln!(sdl, ": {}{}", operation.output.graphql_type(), deprecated(operation.is_deprecated));
    sdl
}

/// A type's definition.
pub(crate) fn type_definition(name: &str, made: &MadeType) -> String {
    let mut sdl = String::new();
    describe(&mut sdl, made.description.as_deref(), "");
    match &made.definition {
        Ok(Definition::Object(members)) => {
            let _ = writeln!(sdl, "type {name} {{\n{}}}", fields(members, |_| true));
        }
        Ok(Definition::Input(members)) => {
            // A required field cannot be deprecated.
            let _ = writeln!(sdl, "input {name} {{\n{}}}", fields(members, TypeRef::is_nullable));
        }
        Ok(Definition::Enum(values)) => {
            let values: String = values.iter().map(|value| format!("  {}\n", value.name)).collect();
            let _ = writeln!(sdl, "enum {name} {{\n{values}}}");
        }
        Err(_) => {}
    }
    sdl
}

fn fields(members: &[Member], may_be_deprecated: fn(&TypeRef) -> bool) -> String {
    let mut sdl = String::new();
    for member in members {
        describe(&mut sdl, member.description.as_deref(), "  ");
        let deprecated = deprecated(member.is_deprecated && may_be_deprecated(&member.ty));
        let _ = writeln!(sdl, "  {}: {}{deprecated}", member.name, member.ty);
    }
    sdl
}

fn deprecated(is_deprecated: bool) -> &'static str {
    if is_deprecated { " @deprecated" } else { "" }
}

/// A description: <https://spec.graphql.org/September2025/#sec-String-Value>. What is on one line has JSON's escapes.
pub(crate) fn describe(sdl: &mut String, description: Option<&str>, indent: &str) {
    let Some(description) = description else { return };
    let is_fine = |character: &char| !character.is_control() || *character == '\n';
    let text: String = description.replace("\r\n", "\n").replace('\t', "  ").chars().filter(is_fine).collect();
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    if !text.contains('\n') {
        let _ = writeln!(sdl, "{indent}{}", Value::from(text));
        return;
    }
    let lines = text.replace(r#"""""#, r#"\""""#);
    let lines = lines.lines().map(|line| match line.trim_end() {
        "" => "\n".to_owned(),
        line => format!("{indent}{line}\n"),
    });
    let _ = writeln!(sdl, "{indent}\"\"\"\n{}{indent}\"\"\"", lines.collect::<String>());
}
