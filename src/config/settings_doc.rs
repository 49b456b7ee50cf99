//! Generates the example file and the JSON Schema from the table of settings.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::config::settings_table::{ACTION_KEYS, Applies, Kind, SETTINGS, SHORTHANDS, Setting};

/// `config/pillion.example.yaml`: every setting with its default and its reason.
#[must_use]
pub fn example_yaml() -> String {
    let mut yaml = String::from(
        "# yaml-language-server: $schema=./pillion.schema.json\n\
         # Every setting of Pillion, with its default. A setting without a default is commented out.\n\
         # A flag wins over an environment variable, that over this file, and this file over the default.\n\
         # A changed setting takes effect on reload, unless it says otherwise.\n",
    );
    let mut open_groups: Vec<&str> = Vec::new();
    for setting in SETTINGS {
        let mut groups: Vec<&str> = setting.key.split('.').collect();
        let name = groups.pop().unwrap_or_default();
        let common = groups.iter().zip(&open_groups).take_while(|(one, other)| one == other).count();
        for (depth, group) in groups.iter().enumerate().skip(common) {
            let _ = write!(yaml, "\n{}{group}:", "  ".repeat(depth));
        }
        let indent = "  ".repeat(groups.len());
        open_groups = groups;
        yaml.push('\n');
        for line in setting.doc.lines() {
            let _ = writeln!(yaml, "{indent}# {line}");
        }
        let _ = writeln!(yaml, "{indent}# {}", origins(setting));
        if setting.applies == Applies::AtStart {
            let _ = writeln!(yaml, "{indent}# Takes effect at the next start.");
        }
        let _ = match (setting.default, setting.kind) {
            (None, _) => writeln!(yaml, "{indent}# {name}:"),
            // A star of its own means something else in YAML.
            (Some("*"), Kind::Texts) => writeln!(yaml, "{indent}{name}: [\"*\"]"),
            (Some(default), Kind::Texts) => writeln!(yaml, "{indent}{name}: [{default}]"),
            (Some(default), _) => writeln!(yaml, "{indent}{name}: {default}"),
        };
    }
    yaml.push_str("\n# What Hasura's files have no place for, by action.\nactions: {}\n#  NAME:\n");
    for (key, kind, doc) in ACTION_KEYS {
        let sample = match kind {
            "integer" => "1",
            "boolean" => "false",
            "string" if key == "method" => "POST",
            "string" if key == "envelope" => "graphql",
            "string" => "allow",
            "object" => "{ttl: 60s, stale_while_revalidate: 30s, vary_by: [x-hasura-org-id]}",
            _ if key == "rate_limit" => "[5 per 60s by x-hasura-user-id]",
            _ if key == "forwarded_client_headers" => "[authorization]",
            _ => "[]",
        };
        let _ = writeln!(yaml, "#    # {doc}\n#    {key}: {sample}");
    }
    let doc = RELATIONSHIPS_DOC.replace('\n', "\n# ");
    let _ = write!(yaml, "\n# {doc}\nrelationships: {{}}\n#  Order.customer: \"customerById(id: $customer_id)\"\n");
    yaml
}

const RELATIONSHIPS_DOC: &str = "By which root field of the upstream the rows of a relationship are looked up, where the \
upstream has not the root fields\nof Hasura: Type.name: rootField(argument: $field), in which $field is a field of that \
type. The relationship's value\nis that of the root field; clients may give its other arguments.";

fn origins(setting: &Setting) -> String {
    let flag = setting.flag.map(|flag| format!("--{flag}"));
    let names: Vec<String> = flag.into_iter().chain(setting.env.iter().map(|name| (*name).to_owned())).collect();
    format!("Also: {}", names.join(", "))
}

/// `config/pillion.schema.json`.
#[must_use]
pub fn json_schema() -> String {
    let mut properties = Map::new();
    for setting in SETTINGS {
        let schema = schema_of(setting);
        insert(&mut properties, setting.key, schema);
    }
    for (group, _) in SHORTHANDS {
        if let Some(whole) = properties.get_mut(group) {
            *whole = json!({ "anyOf": [{ "type": "string" }, whole.take()] });
        }
    }
    let action: Map<String, Value> = ACTION_KEYS
        .iter()
        .map(|(key, kind, doc)| ((*key).to_owned(), json!({ "type": kind, "description": doc })))
        .collect();
    properties.insert(
        "actions".into(),
        json!({
            "type": "object",
            "description": "What Hasura's files have no place for, by action.",
            "additionalProperties": { "type": "object", "additionalProperties": false, "properties": action }
        }),
    );
    properties.insert(
        "relationships".into(),
        json!({
            "type": "object",
            "description": RELATIONSHIPS_DOC.replace('\n', " "),
            "additionalProperties": { "type": "string" }
        }),
    );
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pillion.yaml",
        "type": "object",
        "additionalProperties": false,
        "properties": properties
    });
    format!("{schema:#}\n")
}

/// Puts the schema of the setting `key` into its group, which is made if it is not there.
fn insert(properties: &mut Map<String, Value>, key: &str, schema: Value) {
    let Some((group, rest)) = key.split_once('.') else {
        properties.insert(key.to_owned(), schema);
        return;
    };
    let group = properties
        .entry(group.to_owned())
        .or_insert_with(|| json!({ "type": "object", "additionalProperties": false, "properties": {} }));
    if let Some(Value::Object(members)) = group.get_mut("properties") {
        insert(members, rest, schema);
    }
}

fn schema_of(setting: &Setting) -> Value {
    let mut schema = match setting.kind {
        Kind::Text | Kind::Secret => json!({ "type": "string" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 1 }),
        Kind::Number => json!({ "type": "integer", "minimum": 0 }),
        Kind::Bytes => json!({ "type": ["integer", "string"], "minimum": 1, "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$" }),
        Kind::Duration => json!({ "type": ["integer", "string"], "minimum": 1, "pattern": "^[0-9]+(ms|s|m|h)?$" }),
        Kind::DurationOrZero => {
            json!({ "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+(ms|s|m|h)?$" })
        }
        Kind::Choice(choices) => json!({ "enum": choices }),
    };
    if let Value::Object(object) = &mut schema {
        object.insert("description".into(), setting.doc.replace('\n', " ").into());
        if let Some(default) = setting.default {
            let default = match setting.kind {
                Kind::Bool => json!(default == "true"),
                Kind::Count | Kind::Number => default.parse::<u64>().map_or(Value::Null, Value::from),
                Kind::Texts => json!([default]),
                _ => json!(default),
            };
            object.insert("default".into(), default);
        }
    }
    schema
}
