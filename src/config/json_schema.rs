//! JSON Schemas for editors: of `pillion.yaml`, made from the table of settings, and of its map of relationships. They accept
//! what the program accepts and nothing else, as far as one setting goes: that two settings contradict each other, or that a
//! duration of several parts is longer than a day, only the program knows.

use serde_json::{Map, Value, json};

use crate::config::formats::{BOOL, BYTES, COUNT, DURATION, DURATION_OR_ZERO, Format, NUMBER, SECRET};
use crate::config::settings_table::{
    ACTION_KEYS, ActionValue, FIELD_KEYS, FieldKey, Kind, LOCKS, Member, SETTINGS, SHORTHANDS, Setting,
};

/// The dialect of all schemas. Nothing in them is newer than draft 7, which is the newest that some validators know.
pub(crate) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What `relationships` is for.
pub const RELATIONSHIPS_DOC: &str = "By which root field of the upstream the rows of a relationship are looked up, where the \
upstream has not the root fields\nof Hasura: Type.name: rootField(argument: $field), in which $field is a field of that \
type. The relationship's value\nis that of the root field; clients may give its other arguments.";

/// What `fields` is for.
pub const FIELDS_DOC: &str = "Fields that are added to the upstream's types, each resolved by a query action: Type.name: \
action(argument: $field),\nin which $field is a field of the row. The action's other arguments are the client's. With \
action(list: [$field]) by key\nthe action is called once for all rows, and the elements of its list are matched by their \
field \"key\".";

/// What `actions` is for.
pub const ACTIONS_DOC: &str = "What Hasura's files have no place for, by action.";

/// Values of a setting, or of a key of an action.
type Shape = (Kind, Option<Format>);

/// The schema of `pillion.yaml`.
#[must_use]
pub fn pillion_yaml() -> Value {
    let mut properties = Map::new();
    for setting in SETTINGS {
        let path: Vec<&str> = setting.key.split('.').collect();
        insert(&mut properties, &path, described(setting));
    }
    let mut schema = json!({
        "$schema": DIALECT,
        "title": "pillion.yaml",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": properties,
        "$defs": definitions(),
    });
    complete(&mut schema, "");
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (group, long) in SHORTHANDS {
            let kind = SETTINGS.iter().find(|setting| setting.key == long).map(|setting| reference(shape_of(setting)));
            if let (Some(whole), Some(kind)) = (properties.get_mut(group), kind) {
                *whole = json!({ "anyOf": [kind, whole.take()] });
            }
        }
        properties.insert("actions".into(), actions());
        properties.insert("relationships".into(), relationships_map());
        properties.insert("fields".into(), fields_map());
    }
    schema
}

/// The schema of the map under `relationships`, for editors and tools that handle it alone.
#[must_use]
pub fn relationships() -> Value {
    let mut schema = json!({ "$schema": DIALECT, "title": "relationships of pillion.yaml" });
    if let (Value::Object(schema), Value::Object(map)) = (&mut schema, relationships_map()) {
        schema.extend(map);
    }
    schema
}

const NAME: &str = "[_A-Za-z][_0-9A-Za-z]*";

/// Arguments in brackets: no others but those of objects, and any in strings.
const ARGUMENTS: &str = r#"\(([^(){}"]|"[^"]*"|\{([^()"]|"[^"]*")*\})+\)"#;

fn relationships_map() -> Value {
    let lookup = format!("^\\s*{NAME}\\s*({ARGUMENTS})?\\s*$");
    json!({
        "type": ["object", "null"],
        "description": RELATIONSHIPS_DOC.replace('\n', " "),
        "additionalProperties": false,
        "patternProperties": { format!("^[^.]*\\.{NAME}$"): { "type": "string", "pattern": lookup } }
    })
}

fn fields_map() -> Value {
    let by = format!("by\\s+{NAME}");
    let call = format!("^\\s*{NAME}(\\s*{ARGUMENTS}(\\s*{by})?|\\s+{by})?\\s*$");
    let call = json!({ "type": "string", "pattern": call });
    let mut properties = json!({ "call": call });
    if let Value::Object(properties) = &mut properties {
        for FieldKey { key, choices, doc, .. } in FIELD_KEYS {
            let mut schema = choices.map_or_else(|| json!({ "type": ["string", "null"] }), choice);
            if let Value::Object(schema) = &mut schema {
                schema.insert("description".into(), (*doc).into());
            }
            properties.insert((*key).to_owned(), schema);
        }
    }
    let mapping =
        json!({ "type": "object", "additionalProperties": false, "required": ["call"], "properties": properties });
    json!({
        "type": ["object", "null"],
        "description": FIELDS_DOC.replace('\n', " "),
        "additionalProperties": false,
        "patternProperties": { format!("^{NAME}\\.{NAME}$"): { "anyOf": [call, mapping] } }
    })
}

fn actions() -> Value {
    let mut properties = Map::new();
    for key in ACTION_KEYS {
        let mut schema = match key.value {
            ActionValue::One(kind, format) => reference((kind, format)),
            ActionValue::Mapping(members) => mapping(members),
            ActionValue::Free => json!({ "type": ["object", "null"] }),
            ActionValue::FreeOrList => json!({ "type": ["object", "array", "null"] }),
            ActionValue::FreeOrText => json!({ "type": ["object", "string", "null"] }),
        };
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".into(), key.doc.into());
        }
        properties.insert(key.key.to_owned(), schema);
    }
    json!({
        "type": ["object", "null"],
        "description": ACTIONS_DOC,
        "additionalProperties": { "type": ["object", "null"], "additionalProperties": false, "properties": properties }
    })
}

fn mapping(members: &[Member]) -> Value {
    let properties: Map<String, Value> = members
        .iter()
        .map(|member| {
            let mut schema = reference((member.kind, member.format));
            if member.is_required {
                // Null is the same as absent.
                schema = json!({ "allOf": [schema, { "not": { "type": "null" } }] });
            }
            (member.key.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = members.iter().filter(|member| member.is_required).map(|member| member.key).collect();
    json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "required": required,
        "properties": properties
    })
}

/// Puts the schema of the setting at `path` into its group, which is made if it is not there.
fn insert(properties: &mut Map<String, Value>, path: &[&str], schema: Value) {
    let Some((group, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        properties.insert((*group).to_owned(), schema);
        return;
    }
    let group = properties
        .entry((*group).to_owned())
        .or_insert_with(|| json!({ "type": "object", "additionalProperties": false, "properties": {} }));
    if let Some(Value::Object(members)) = group.get_mut("properties") {
        insert(members, rest, schema);
    }
}

/// Adds to each group what else it may be: nothing, unless it closes something, and keys of settings below it that are
/// written as one word with dots. Editors do not offer those.
fn complete(group: &mut Value, prefix: &str) {
    let Value::Object(group) = group else { return };
    if !LOCKS.contains(&prefix.trim_end_matches('.')) {
        group.insert("type".into(), json!(["object", "null"]));
    }
    let mut dotted: Vec<(Value, Vec<String>)> = Vec::new();
    for setting in SETTINGS {
        let Some(rest) = setting.key.strip_prefix(prefix).filter(|rest| rest.contains('.')) else { continue };
        let (schema, key) = (reference(shape_of(setting)), rest.replace('.', "\\."));
        match dotted.iter_mut().find(|(known, _)| *known == schema) {
            Some((_, keys)) => keys.push(key),
            None => dotted.push((schema, vec![key])),
        }
    }
    if !dotted.is_empty() {
        let patterns: Map<String, Value> =
            dotted.into_iter().map(|(schema, keys)| (format!("^({})$", keys.join("|")), schema)).collect();
        group.insert("patternProperties".into(), patterns.into());
    }
    let Some(Value::Object(properties)) = group.get_mut("properties") else { return };
    for (name, schema) in properties.iter_mut().filter(|(_, schema)| schema.get("properties").is_some()) {
        complete(schema, &format!("{prefix}{name}."));
    }
}

fn shape_of(setting: &Setting) -> Shape {
    (setting.kind, setting.format)
}

fn described(setting: &Setting) -> Value {
    let mut schema = reference(shape_of(setting));
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

/// A shape that several settings have stands in `$defs`.
fn reference(shape: Shape) -> Value {
    match shape.0 {
        Kind::Choice(choices) => choice(choices),
        _ => json!({ "$ref": format!("#/$defs/{}", name_of(shape)) }),
    }
}

fn name_of((kind, format): Shape) -> String {
    let kind = match kind {
        Kind::Text | Kind::Choice(_) => "text",
        Kind::Secret => "secret",
        Kind::Texts => "texts",
        Kind::Bool => "bool",
        Kind::Count => "count",
        Kind::Number => "number",
        Kind::Bytes => "bytes",
        Kind::Duration => "duration",
        Kind::DurationOrZero => "durationOrZero",
        Kind::Map => "map",
    };
    format.map_or_else(|| kind.to_owned(), |format| format!("{kind}{format:?}"))
}

fn definitions() -> Map<String, Value> {
    let settings = SETTINGS.iter().map(shape_of);
    let keys = ACTION_KEYS.iter().flat_map(|key| match key.value {
        ActionValue::One(kind, format) => vec![(kind, format)],
        ActionValue::Mapping(members) => members.iter().map(|member| (member.kind, member.format)).collect(),
        ActionValue::Free | ActionValue::FreeOrList | ActionValue::FreeOrText => Vec::new(),
    });
    let mut all: Vec<(String, Value)> = settings
        .chain(keys)
        .filter(|(kind, _)| !matches!(kind, Kind::Choice(_)))
        .map(|shape| (name_of(shape), schema_of(shape)))
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all.into_iter().collect()
}

fn choice(choices: &[&str]) -> Value {
    let mut values: Vec<Value> = choices.iter().map(|choice| json!(choice)).collect();
    if choices.contains(&"none") {
        // What `off` is to readers of YAML 1.1.
        values.push(json!(false));
        values.push(json!("false"));
    }
    values.push(Value::Null);
    json!({ "enum": values })
}

fn schema_of((kind, format): Shape) -> Value {
    match kind {
        Kind::Text => match format {
            Some(format) => or_null(&text_of(format)),
            None => json!({ "type": ["string", "number", "boolean", "null"] }),
        },
        Kind::Secret => match format {
            Some(format) => json!({ "allOf": [text_of(format), { "pattern": SECRET }] }),
            None => json!({ "type": ["string", "number", "boolean"], "pattern": SECRET }),
        },
        Kind::Texts => {
            let item = format.map_or_else(|| json!({ "type": ["string", "number", "boolean"] }), text_of);
            json!({ "anyOf": [{ "type": "array", "items": item }, item, { "type": "null" }] })
        }
        Kind::Bool => json!({ "type": ["boolean", "string", "null"], "pattern": BOOL }),
        Kind::Count => json!({ "type": ["integer", "string", "null"], "minimum": 1, "pattern": COUNT }),
        Kind::Number => json!({ "type": ["integer", "string", "null"], "minimum": 0, "pattern": NUMBER }),
        Kind::Bytes => json!({ "type": ["integer", "string", "null"], "minimum": 1, "pattern": BYTES }),
        Kind::Duration => duration(1, DURATION),
        Kind::DurationOrZero => duration(0, DURATION_OR_ZERO),
        Kind::Choice(choices) => choice(choices),
        Kind::Map => map_of(format),
    }
}

/// The only map is that of session variables.
fn map_of(format: Option<Format>) -> Value {
    let text = format.map_or_else(|| json!({ "type": "string" }), text_of);
    json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "patternProperties": { Format::SessionVariable.pattern(): text }
    })
}

/// A bare number is seconds.
fn duration(minimum: u32, pattern: &str) -> Value {
    json!({ "type": ["integer", "string", "null"], "minimum": minimum, "maximum": 86_400, "pattern": pattern })
}

fn or_null(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// A text of this format, or what may stand for one.
fn text_of(format: Format) -> Value {
    let text = match format.except() {
        [] => json!({ "type": "string", "pattern": format.pattern() }),
        except => json!({ "type": "string", "pattern": format.pattern(), "not": { "enum": except } }),
    };
    match format {
        Format::Listen => json!({ "anyOf": [text, { "type": "integer", "minimum": 0, "maximum": 65_535 }] }),
        Format::Ratio => json!({ "anyOf": [text, { "type": "number", "minimum": 0, "maximum": 1 }] }),
        Format::RetryOn => json!({ "anyOf": [text, { "const": 429 }] }),
        Format::RateLimit => json!({ "anyOf": [text, rate_limit()] }),
        _ => text,
    }
}

fn rate_limit() -> Value {
    let key = "^(address|[Xx]-[Hh][Aa][Ss][Uu][Rr][Aa]-\\S+)$";
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["requests", "per"],
        "properties": {
            "requests": { "type": ["integer", "string"], "minimum": 1, "maximum": u32::MAX, "pattern": "^0*[1-9][0-9]{0,8}$" },
            "per": { "type": ["integer", "string"], "minimum": 1, "maximum": 86_400, "allOf": [{ "pattern": DURATION }, { "pattern": "^\\S*$" }] },
            "key": { "type": ["string", "null"], "pattern": key }
        }
    })
}
