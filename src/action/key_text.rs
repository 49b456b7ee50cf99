//! The text by which keys are compared, so that different spellings of one key are equal.

use std::borrow::Cow;

use serde_json::Value;

use crate::model::json_value::{JsonKind, JsonNode};

/// A key as text: a number and a string of the same digits are equal, because many servers write a number that is too
/// large for JavaScript as a string; and so are UUIDs in lower and in upper case.
#[must_use]
pub fn key_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => of_string(text.as_str().into()),
        other => other.to_string().into(),
    }
}

/// The same of a value that was not made a tree.
#[must_use]
pub fn key_text_of(value: JsonNode<'_>) -> Cow<'_, str> {
    let is_plain = |number: &str| !number.contains(['e', 'E']);
    match value.as_text() {
        Some(text) => of_string(text),
        None if value.kind() == JsonKind::Number && is_plain(value.raw()) => value.raw().into(),
        None => value.to_tree().to_string().into(),
    }
}

fn of_string(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.len() == 36 && text.contains('-') {
        true => text.to_ascii_lowercase().into(),
        false => text,
    }
}
