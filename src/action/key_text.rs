//! The text by which keys are compared, so that different spellings of one key are equal.

use std::borrow::Cow;

use serde_json::Value;

/// A key as text: a number and a string of the same digits are equal, because many servers write a number that is too
/// large for JavaScript as a string; and so are UUIDs in lower and in upper case.
#[must_use]
pub fn key_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) if text.len() == 36 && text.contains('-') => text.to_ascii_lowercase().into(),
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}
