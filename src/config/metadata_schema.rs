//! The JSON Schema of `actions.yaml` for editors: what Hasura's tools write, and our own keys beside it. It describes how the
//! file is built; whether names, types and addresses in it are right, `pillion check` says.

use serde_json::{Map, Value, json};

use crate::config::formats::Format;
use crate::config::json_schema::DIALECT;
use crate::config::metadata_keys::{DEFAULT, DEPRECATED, IS_DEPRECATED, IS_ONE_OF, SPECIFIED_BY};

/// The schema of `actions.yaml`.
#[must_use]
pub fn actions_yaml() -> Value {
    let mut schema = json!({ "$schema": DIALECT, "title": "actions.yaml" });
    let file = mapping(
        &[],
        &[
            ("actions", list(&action()), "The actions; their signatures stand in actions.graphql."),
            (
                "custom_types",
                custom_types(),
                "What actions.graphql has no place for: relationships and descriptions of types.",
            ),
        ],
    );
    if let (Value::Object(schema), Value::Object(file)) = (&mut schema, nullable(file)) {
        schema.extend(file);
    }
    schema
}

fn action() -> Value {
    mapping(
        &["name", "definition"],
        &[
            ("name", text(), "The root field that it is."),
            ("definition", definition(), "Its handler, and how that is called."),
            ("permissions", list(&permission()), "The roles that may call it, beside admin."),
            ("comment", text_or_null(), "Its description in the schema."),
        ],
    )
}

fn permission() -> Value {
    mapping(
        &["role"],
        &[
            ("role", text(), "A role."),
            ("comment", json!(true), "For people."),
            ("definition", json!(true), "Has no effect."),
        ],
    )
}

fn definition() -> Value {
    mapping(
        &[],
        &[
            ("kind", text_or_null(), "synchronous (the default), or asynchronous: the client polls for the result."),
            ("handler", text_or_null(), "URL of the handler; {{NAME}} stands for an environment variable."),
            ("headers", list(&header()), "Headers that are sent to the handler."),
            ("forward_client_headers", boolean(), "Forward the client's headers to the handler."),
            ("ignored_client_headers", list(&json!(true)), "Headers of the client that are not forwarded."),
            ("timeout", json!({ "type": ["integer", "null"], "minimum": 0 }), "Timeout in seconds; 30 by default."),
            ("request_transform", request_transform(), "How the request to the handler is rewritten."),
            ("response_transform", response_transform(), "How the handler's response is rewritten."),
            ("type", text_or_null(), "query or mutation; only where actions.graphql does not say it."),
            ("arguments", list(&input()), "Only where actions.graphql does not say them."),
            ("output_type", text_or_null(), "Only where actions.graphql does not say it."),
            (DEPRECATED, text_or_null(), "Why it should not be called any more."),
        ],
    )
}

fn header() -> Value {
    let mut schema = mapping(
        &["name"],
        &[
            ("name", text(), "Its name."),
            ("value", text_or_null(), "Its value; {{NAME}} stands for an environment variable."),
            ("value_from_env", text_or_null(), "The environment variable that holds its value."),
        ],
    );
    let has = |key: &str| json!({ "required": [key], "properties": { key: { "not": { "type": "null" } } } });
    if let Value::Object(schema) = &mut schema {
        schema.insert("oneOf".into(), json!([has("value"), has("value_from_env")]));
    }
    schema
}

fn input() -> Value {
    mapping(
        &["name"],
        &[
            ("name", text(), "Its name."),
            ("type", text_or_null(), "Its type, such as [Int!]!"),
            ("description", text_or_null(), "Its description."),
            ("arguments", json!(true), "Has no effect."),
            (DEFAULT, json!(true), "Its default."),
            (DEPRECATED, text_or_null(), "Why it should not be used any more."),
        ],
    )
}

fn request_transform() -> Value {
    nullable(mapping(
        &[],
        &[
            ("version", version(), "The version of transforms."),
            ("template_engine", kriti(), "The only one is Kriti."),
            ("method", method(), "HTTP method."),
            ("url", text_or_null(), "Template of the URL."),
            (
                "query_params",
                json!({ "type": ["object", "string", "number", "boolean", "null"] }),
                "Templates of parameters.",
            ),
            ("body", body(), "Template of the body."),
            ("content_type", text_or_null(), "Only in early versions."),
            (
                "request_headers",
                nullable(mapping(
                    &[],
                    &[
                        ("add_headers", json!({ "type": ["object", "null"] }), "Headers by name, with templates."),
                        ("remove_headers", list(&header_name()), "Names of headers."),
                    ],
                )),
                "Headers that are added and removed.",
            ),
        ],
    ))
}

fn response_transform() -> Value {
    nullable(mapping(
        &[],
        &[
            ("version", version(), "The version of transforms."),
            ("template_engine", kriti(), "The only one is Kriti."),
            ("body", body(), "Template of the body."),
        ],
    ))
}

fn version() -> Value {
    json!({ "enum": [1, 2, null] })
}

fn kriti() -> Value {
    json!({ "enum": ["Kriti", null] })
}

fn method() -> Value {
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let lower = methods.map(str::to_ascii_lowercase);
    let names = methods.into_iter().map(str::to_owned).chain(lower).map(Value::String);
    json!({ "enum": names.chain([Value::Null]).collect::<Vec<_>>() })
}

/// A template in version 1, what is done with the body in version 2.
fn body() -> Value {
    let template = json!({ "type": ["string", "number", "boolean", "null"] });
    let done = mapping(
        &["action"],
        &[
            ("action", json!({ "enum": ["remove", "transform", "x_www_form_urlencoded"] }), "What is done with it."),
            ("template", text_or_null(), "A template that makes JSON."),
            ("form_template", json!({ "type": ["object", "string", "null"] }), "Fields of a form, with templates."),
        ],
    );
    json!({ "anyOf": [template, done] })
}

fn custom_types() -> Value {
    let lists = [
        ("enums", list(&custom_type()), "Enums."),
        ("input_objects", list(&custom_type()), "Input objects."),
        ("objects", list(&custom_type()), "Objects, with relationships to the upstream's rows."),
        ("scalars", list(&custom_type()), "Scalars."),
    ];
    nullable(mapping(&[], &lists))
}

fn custom_type() -> Value {
    mapping(
        &["name"],
        &[
            ("name", text(), "The type's name."),
            ("description", text_or_null(), "Its description."),
            ("fields", list(&input()), "Only where actions.graphql does not say them."),
            ("values", list(&enum_value()), "Only where actions.graphql does not say them."),
            ("relationships", list(&relationship()), "Rows of the upstream that belong to an object."),
            (IS_ONE_OF, boolean(), "@oneOf"),
            (SPECIFIED_BY, text_or_null(), "The URL of @specifiedBy."),
        ],
    )
}

fn enum_value() -> Value {
    mapping(
        &["value"],
        &[
            ("value", text(), "The value."),
            ("description", text_or_null(), "Its description."),
            (IS_DEPRECATED, boolean(), "Should it not be used any more?"),
            (DEPRECATED, text_or_null(), "Why it should not be used any more."),
        ],
    )
}

fn relationship() -> Value {
    let table = mapping(
        &["name"],
        &[("schema", text_or_null(), "Its schema; public by default."), ("name", text(), "Its name.")],
    );
    mapping(
        &["name", "type", "remote_table"],
        &[
            ("name", text(), "The field that it adds."),
            ("type", json!({ "enum": ["object", "array"] }), "One row, or a list of them."),
            ("remote_table", json!({ "anyOf": [text(), table] }), "The table that the upstream has the rows of."),
            ("source", json!(true), "The upstream knows it by the table."),
            (
                "field_mapping",
                json!({ "type": ["object", "null"] }),
                "The columns of the table by fields of the object.",
            ),
        ],
    )
}

/// A mapping with these keys; null is the same as absent.
fn mapping(required: &[&str], keys: &[(&str, Value, &str)]) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|(key, schema, doc)| {
            let mut schema = schema.clone();
            match &mut schema {
                Value::Object(members) => drop(members.insert("description".into(), (*doc).into())),
                other => *other = json!({ "description": doc }),
            }
            ((*key).to_owned(), schema)
        })
        .collect();
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
}

fn list(item: &Value) -> Value {
    json!({ "type": ["array", "null"], "items": item })
}

fn text() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

fn header_name() -> Value {
    json!({ "type": ["string", "number", "boolean"], "pattern": Format::HeaderName.pattern() })
}

fn text_or_null() -> Value {
    json!({ "type": ["string", "number", "boolean", "null"] })
}

fn boolean() -> Value {
    json!({ "type": ["boolean", "null"] })
}

fn nullable(mut mapping: Value) -> Value {
    if let Value::Object(members) = &mut mapping {
        members.insert("type".into(), json!(["object", "null"]));
    }
    mapping
}
