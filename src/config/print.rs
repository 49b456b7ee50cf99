//! Prints a metadata document as Hasura's tools write it: `actions.yaml` and `actions.graphql`.

use std::fmt::Write as _;
use std::sync::Arc;

use saphyr::{Mapping, Scalar, Yaml, YamlEmitter};
use serde_json::{Map, Value, json};

use crate::config::document::{Document, LISTS};
use crate::config::json_nodes::list;
use crate::config::metadata::TypeList;
use crate::config::metadata_keys::{DEFAULT, DEPRECATED, IS_DEPRECATED, IS_ONE_OF, SPECIFIED_BY};
use crate::config::sdl::parse_type;
use crate::config::yaml;
use crate::graphql::literal::literal_text;
use crate::model::source::Source;
use crate::model::types::{NO_LONGER_SUPPORTED, Types};

/// `actions.yaml`: definitions, permissions, and of the types what has no place in GraphQL.
#[must_use]
pub fn actions_yaml(document: &Document) -> String {
    let actions: Vec<Value> = document.actions.iter().map(without_signature).collect();
    let types: Map<String, Value> = LISTS
        .iter()
        .map(|kind| (kind.key().to_owned(), document.list(*kind).iter().map(without_members).collect()))
        .collect();
    yaml_text(&json!({ "actions": actions, "custom_types": types }))
}

/// `inherited_roles.yaml`.
#[must_use]
pub fn inherited_roles_yaml(document: &Document) -> String {
    yaml_text(&document.inherited_roles.clone().into())
}

fn without_signature(action: &Value) -> Value {
    let mut action = action.clone();
    if let Some(definition) = action.get_mut("definition").and_then(Value::as_object_mut) {
        // Hasura's command line would send an empty one for a mutation, which its server does not take.
        let is_mutation = definition.get("type").is_none_or(|operation| operation != "query");
        if is_mutation && definition.get("kind").is_none_or(|kind| kind.is_null() || kind == "") {
            definition.insert("kind".into(), "synchronous".into());
        }
        definition.retain(|key, value| {
            !["type", "arguments", "output_type", DEPRECATED].contains(&key.as_str()) && !value.is_null()
        });
    }
    if let Some(action) = action.as_object_mut() {
        action.retain(|_, value| !value.is_null());
    }
    action
}

fn without_members(entry: &Value) -> Value {
    let kept = |(key, value): &(&String, &Value)| {
        ["name", "description", "relationships"].contains(&key.as_str()) && !value.is_null()
    };
    let entries = entry.as_object().into_iter().flatten().filter(kept);
    Value::Object(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// YAML that means exactly `value`. JSON is YAML, too, should the writer of the former ever err.
pub(crate) fn yaml_text(value: &Value) -> String {
    let mut text = String::new();
    let mut emitter = YamlEmitter::new(&mut text);
    emitter.multiline(true);
    let written = emitter.dump(&to_yaml(value)).is_ok();
    let text = text.strip_prefix("---\n").unwrap_or(&text).trim_end().to_owned() + "\n";
    let source = Arc::new(Source::new("", text));
    match yaml::parse(&source) {
        Ok(node) if written && node.to_json() == *value => source.text.clone(),
        _ => format!("{value:#}\n"),
    }
}

fn to_yaml(value: &Value) -> Yaml<'_> {
    match value {
        Value::Null => Yaml::Value(Scalar::Null),
        Value::Bool(value) => Yaml::Value(Scalar::Boolean(*value)),
        Value::Number(number) => Yaml::Value(match number.as_i64() {
            Some(integer) => Scalar::Integer(integer),
            None => Scalar::FloatingPoint(number.as_f64().unwrap_or_default().into()),
        }),
        Value::String(text) => Yaml::Value(Scalar::String(text.as_str().into())),
        Value::Array(items) => Yaml::Sequence(items.iter().map(to_yaml).collect()),
        Value::Object(entries) => Yaml::Mapping(
            entries
                .iter()
                .map(|(key, value)| (Yaml::Value(Scalar::String(key.as_str().into())), to_yaml(value)))
                .collect::<Mapping<'_>>(),
        ),
    }
}

/// `actions.graphql`: a block for each action, as Hasura's tools write it, and the types. `types` are those that the
/// document makes.
#[must_use]
pub fn actions_graphql(document: &Document, types: &Types) -> String {
    let mut sdl = String::new();
    for action in &document.actions {
        let definition = &action["definition"];
        let root = if definition["type"] == "query" { "Query" } else { "Mutation" };
        let (name, output) = (text(&action["name"]), text(&definition["output_type"]));
        let arguments = list(&definition["arguments"]);
        let _ = write!(sdl, "type {root} {{\n  {name}");
        if !arguments.is_empty() {
            let _ = write!(sdl, "(\n{}  )", inputs(arguments, types, "    "));
        }
        let _ = write!(sdl, ": {output}{}\n}}\n\n", deprecated(definition));
    }
    for entry in document.list(TypeList::InputObjects) {
        let one_of = if entry[IS_ONE_OF] == true { " @oneOf" } else { "" };
        let fields = inputs(list(&entry["fields"]), types, "  ");
        let _ = write!(sdl, "input {}{one_of}{}\n\n", text(&entry["name"]), block(&fields));
    }
    for entry in document.list(TypeList::Objects) {
        let mut fields = String::new();
        for field in list(&entry["fields"]) {
            describe(&mut fields, field, "  ");
            let _ = writeln!(fields, "  {}: {}{}", text(&field["name"]), text(&field["type"]), deprecated(field));
        }
        let _ = write!(sdl, "type {}{}\n\n", text(&entry["name"]), block(&fields));
    }
    for entry in document.list(TypeList::Enums) {
        let mut values = String::new();
        for value in list(&entry["values"]) {
            describe(&mut values, value, "  ");
            let _ = writeln!(values, "  {}{}", text(&value["value"]), deprecated(value));
        }
        let _ = write!(sdl, "enum {}{}\n\n", text(&entry["name"]), block(&values));
    }
    for entry in document.list(TypeList::Scalars) {
        let specified_by = entry[SPECIFIED_BY].as_str();
        let specified_by = specified_by.map(|url| format!(" @specifiedBy(url: {})", Value::from(url)));
        let _ = write!(sdl, "scalar {}{}\n\n", text(&entry["name"]), specified_by.unwrap_or_default());
    }
    sdl.truncate(sdl.trim_end().len());
    sdl.push('\n');
    sdl
}

/// The members of a type in braces. GraphQL takes none that are empty, but a type without them.
fn block(members: &str) -> String {
    if members.is_empty() { String::new() } else { format!(" {{\n{members}}}") }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn inputs(inputs: &[Value], types: &Types, indent: &str) -> String {
    let mut sdl = String::new();
    for input in inputs {
        describe(&mut sdl, input, indent);
        let ty = text(&input["type"]);
        let _ = write!(sdl, "{indent}{}: {ty}", text(&input["name"]));
        if let (Some(default), Some(ty)) = (input.get(DEFAULT), parse_type(ty)) {
            let _ = write!(sdl, " = {}", literal_text(types, &ty, default));
        }
        sdl.push_str(&deprecated(input));
        sdl.push('\n');
    }
    sdl
}

/// ` @deprecated`, if it is; a string of GraphQL has JSON's escapes.
fn deprecated(entry: &Value) -> String {
    match entry[DEPRECATED].as_str() {
        Some(NO_LONGER_SUPPORTED) => " @deprecated".into(),
        Some(reason) => format!(" @deprecated(reason: {})", Value::from(reason)),
        None if entry[IS_DEPRECATED] == true => " @deprecated".into(),
        None => String::new(),
    }
}

/// A string of GraphQL has JSON's escapes.
fn describe(sdl: &mut String, described: &Value, indent: &str) {
    if let Some(description) = described["description"].as_str() {
        let _ = writeln!(sdl, "{indent}{}", Value::from(description));
    }
}
