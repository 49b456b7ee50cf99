//! Kriti.

use std::borrow::Cow;

use pillion::kriti::Template;
use pillion::kriti::eval::{Environment, evaluate};
use pillion::kriti::parse::{parse, parse_text};
use serde_json::{Value, json};

const BYTES_MAX: usize = 64 * 1024;

fn value_of(template: &Template) -> Option<Value> {
    let values =
        json!({ "$body": { "a": { "b": [1, "x", null] }, "a b": "ß" }, "$list": [[], {}, "é", 0, -1.5, true] });
    let variables = values.as_object().into_iter().flatten();
    let environment = Environment {
        variables: variables.map(|(name, value)| (name.as_str(), Cow::Borrowed(value))).collect(),
        session_variable: &|name| (name == "x").then(|| "y".to_owned()),
    };
    evaluate(template, &environment, BYTES_MAX).ok()
}

/// A template. There is a value within the limit or an error whose place is in the template; what has no expression in it is
/// its own value, as text and as JSON.
pub fn kriti(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    for parsed in [parse(source), parse_text(source)] {
        match parsed {
            Ok(template) => {
                let value = value_of(&template);
                assert!(value.is_none_or(|value| value.to_string().len() <= 6 * BYTES_MAX), "too large a value");
            }
            Err(error) => {
                let lines: Vec<&str> = source.split('\n').collect();
                let line = lines.get(error.line.saturating_sub(1));
                let line = line.unwrap_or_else(|| panic!("there is no line {} in {source:?}", error.line));
                let width = line.chars().count() + 1;
                assert!((1..=width).contains(&error.column), "there is no column {} in {line:?}", error.column);
            }
        }
    }
    if source.contains("{{") || source.len() > BYTES_MAX / 2 {
        return;
    }
    // Text has the escapes of JSON's strings.
    if let (false, Ok(text)) = (source.contains('\\'), parse_text(source)) {
        assert_eq!(value_of(&text), Some(Value::from(source)));
    }
    if let (Ok(json), Ok(template)) = (serde_json::from_str::<Value>(source), parse(source)) {
        assert_eq!(value_of(&template), Some(json), "{source}");
    }
}
