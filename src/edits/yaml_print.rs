//! Prints pieces of YAML that go into a file: blocks with an indentation, flow style, scalars in the style of the old ones.

use serde_json::Value;

use crate::config::print::yaml_text;

/// The lines of `value` in block style, each with so many spaces before it.
pub(crate) fn block(value: &Value, indent: usize) -> String {
    indented(&yaml_text(value), indent)
}

/// An entry of a mapping in block style.
pub(crate) fn entry(name: &str, value: &Value, indent: usize) -> String {
    let entry = serde_json::Map::from_iter([(name.to_owned(), value.clone())]);
    block(&Value::Object(entry), indent)
}

/// An item of a list in block style, with the dash behind `indent` spaces.
pub(crate) fn item(value: &Value, indent: usize) -> String {
    let text = indented(&yaml_text(value), indent + 2);
    let rest = text.trim_start_matches(' ');
    format!("{}- {rest}", " ".repeat(indent))
}

fn indented(text: &str, indent: usize) -> String {
    let indent = " ".repeat(indent);
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") }).collect()
}

/// Everything on one line.
pub(crate) fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| flow_entry(name, value));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) if is_plain(text) => text.clone(),
        scalar => scalar.to_string(),
    }
}

/// An entry of a mapping in flow style.
pub(crate) fn flow_entry(name: &str, value: &Value) -> String {
    format!("{}: {}", flow(&Value::from(name)), flow(value))
}

/// Needs a text no quotes, also in flow style?
fn is_plain(text: &str) -> bool {
    let is_of_word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '/');
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(is_of_word)
        && yaml_text(&Value::from(text)).trim_end() == text
}

/// A scalar on one line, in quotes as the text that it replaces.
pub(crate) fn scalar(value: &Value, old: &str) -> String {
    let Value::String(text) = value else { return flow(value) };
    let has_control = text.chars().any(char::is_control);
    match old.chars().next() {
        Some('\'') if !has_control => format!("'{}'", text.replace('\'', "''")),
        Some('"') => value.to_string(),
        _ => {
            let plain = yaml_text(value);
            let is_line = !has_control && plain.trim_end().lines().count() == 1;
            if is_line { plain.trim_end().to_owned() } else { value.to_string() }
        }
    }
}
