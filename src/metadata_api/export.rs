//! Renders metadata: exported, and as the definitions of inconsistent objects.

use serde_json::{Map, Value, json};

use crate::config::document::{Document, LISTS};
use crate::config::json_nodes::list;
use crate::config::metadata::TypeList;
use crate::config::metadata_keys::{DEFAULT, DEPRECATED, IS_ONE_OF, SPECIFIED_BY};
use crate::protocol::client_headers::IGNORED_AS_EXPORTED;

/// `actions` of an export, as Hasura normalises them.
#[must_use]
pub(crate) fn actions(document: &Document) -> Vec<Value> {
    document.actions.iter().map(action).collect()
}

fn action(action: &Value) -> Value {
    let mut action = action.clone();
    let Some(members) = action.as_object_mut() else { return action };
    if let Some(Value::Object(definition)) = members.get_mut("definition") {
        let is_query = definition.get("type").is_some_and(|operation| operation == "query");
        definition.retain(|key, value| match key.as_str() {
            // Only mutations have one.
            "kind" => !is_query,
            "timeout" => *value != 30,
            "arguments" | "headers" => !list(value).is_empty(),
            "forward_client_headers" => *value == true,
            DEPRECATED => false,
            _ => !value.is_null(),
        });
        if let Some(arguments) = definition.get_mut("arguments") {
            *arguments = list(arguments).iter().map(as_hasura_has_it).collect();
        }
        definition.entry("type").or_insert_with(|| "mutation".into());
        if !is_query && definition.get("kind").is_none_or(|kind| kind != "asynchronous") {
            definition.insert("kind".into(), "synchronous".into());
        }
        definition.entry("ignored_client_headers").or_insert_with(|| IGNORED_AS_EXPORTED.to_vec().into());
    }
    members.retain(|key, value| !value.is_null() && (key != "permissions" || !list(value).is_empty()));
    action
}

/// An argument or a field without what Hasura has no place for.
fn as_hasura_has_it(input: &Value) -> Value {
    let is_hasuras = |key: &str| key != DEFAULT && key != DEPRECATED;
    let members = input.as_object().into_iter().flatten().filter(|(key, value)| is_hasuras(key) && !value.is_null());
    Value::Object(members.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// `custom_types` of an export.
#[must_use]
pub(crate) fn custom_types(document: &Document) -> Map<String, Value> {
    let mut types = Map::new();
    for kind in LISTS {
        let entries: Vec<Value> = document.list(kind).iter().map(|entry| custom_type(kind, entry)).collect();
        if !entries.is_empty() {
            types.insert(kind.key().into(), entries.into());
        }
    }
    types
}

fn custom_type(kind: TypeList, entry: &Value) -> Value {
    let mut entry = entry.clone();
    let Some(members) = entry.as_object_mut() else { return entry };
    members.retain(|key, value| !value.is_null() && (key != "relationships" || !list(value).is_empty()));
    members.retain(|key, _| key != IS_ONE_OF && key != SPECIFIED_BY);
    if let Some(fields) = members.get_mut("fields") {
        *fields = list(fields).iter().map(as_hasura_has_it).collect();
    }
    if let (TypeList::Enums, Some(values)) = (kind, members.get_mut("values")) {
        let value = |value: &Value| json!({ "description": value["description"], "is_deprecated": value["is_deprecated"], "value": value["value"] });
        *values = list(values).iter().map(value).collect();
    }
    entry
}

/// An action as the response reports it as inconsistent.
#[must_use]
pub(crate) fn inconsistent_action(action: &Map<String, Value>) -> Value {
    let definition = action.get("definition").unwrap_or(&Value::Null);
    let or = |key: &str, default: Value| if definition[key].is_null() { default } else { definition[key].clone() };
    let argument = |argument: &Value| json!({ "name": argument["name"], "type": argument["type"], "description": argument["description"] });
    json!({
        "definition": {
            "kind": or("kind", "synchronous".into()),
            "output_type": definition["output_type"],
            "arguments": list(&definition["arguments"]).iter().map(argument).collect::<Value>(),
            "headers": or("headers", json!([])),
            "handler": definition["handler"],
            "type": or("type", "mutation".into()),
            "timeout": or("timeout", 30.into()),
            "forward_client_headers": or("forward_client_headers", false.into()),
        },
        "name": action.get("name"),
        "comment": action.get("comment"),
    })
}

/// The custom types as the response reports them as inconsistent.
#[must_use]
pub(crate) fn inconsistent_types(document: &Document) -> Value {
    let all = |kind: TypeList, shown: &dyn Fn(&Value) -> Value| match document.list(kind) {
        [] => Value::Null,
        entries => entries.iter().map(shown).collect(),
    };
    let input = |entry: &Value| {
        let field = |field: &Value| json!({ "name": field["name"], "type": field["type"], "description": field["description"] });
        json!({
            "name": entry["name"],
            "description": entry["description"],
            "fields": list(&entry["fields"]).iter().map(field).collect::<Value>(),
        })
    };
    json!({
        "input_objects": all(TypeList::InputObjects, &input),
        "objects": all(TypeList::Objects, &inconsistent_object),
        "scalars": all(TypeList::Scalars, &Value::clone),
        "enums": all(TypeList::Enums, &|entry| custom_type(TypeList::Enums, entry)),
    })
}

fn inconsistent_object(entry: &Value) -> Value {
    let field = |field: &Value| json!({ "arguments": null, "name": field["name"], "type": field["type"], "description": field["description"] });
    let relationship = |relationship: &Value| {
        let table = &relationship["remote_table"];
        let table = if table.is_string() { json!({ "schema": "public", "name": table }) } else { table.clone() };
        json!({
            "remote_table": table,
            "name": relationship["name"],
            "source": relationship["source"].as_str().unwrap_or("default"),
            "type": relationship["type"],
            "field_mapping": relationship["field_mapping"],
        })
    };
    let relationships = match list(&entry["relationships"]) {
        [] => Value::Null,
        some => some.iter().map(relationship).collect(),
    };
    json!({
        "name": entry["name"],
        "relationships": relationships,
        "description": entry["description"],
        "fields": list(&entry["fields"]).iter().map(field).collect::<Value>(),
    })
}
