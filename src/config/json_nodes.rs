//! JSON as nodes of configuration files, so that metadata from requests and databases is read as that of files is.

use std::sync::Arc;

use serde_json::Value;

use crate::config::yaml::{Data, Node};
use crate::model::source::{Source, SourceLocation};

/// The place of what stands nowhere, under a name that says what it is.
#[must_use]
pub fn place_of(name: &str) -> SourceLocation {
    SourceLocation::new(&Arc::new(Source::new(name, "")), 1, 1)
}

/// JSON as a node that stands nowhere.
#[must_use]
pub fn node_of(value: &Value) -> Node {
    node_at(value, &place_of("request"))
}

/// The same at this place. The recursion is as deep as JSON is read.
#[must_use]
pub fn node_at(value: &Value, place: &SourceLocation) -> Node {
    let data = match value {
        Value::Null => Data::Null,
        Value::Bool(value) => Data::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Data::Integer(integer),
            None => Data::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Data::Text(text.clone()),
        Value::Array(items) => Data::List(items.iter().map(|item| node_at(item, place)).collect()),
        Value::Object(entries) => {
            Data::Map(entries.iter().map(|(key, value)| (key.clone(), place.clone(), node_at(value, place))).collect())
        }
    };
    Node { data, place: place.clone() }
}

/// The elements of a list; anything else has none.
#[must_use]
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
