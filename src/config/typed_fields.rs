//! Typed values in mappings of `pillion.yaml`: the same texts as those of settings, read by key. Errors stand at the value.

use std::time::Duration;

use crate::config::formats::Format;
use crate::config::setting_text::text_of;
use crate::config::settings_table::Kind;
use crate::config::units::parse_duration;
use crate::config::values;
use crate::config::yaml::{Data, Fields, Node};
use crate::model::source::Diagnostic;

/// Reads the scalar under `key` with `read`; a value that it does not take is an error.
fn scalar<T>(
    fields: &Fields<'_>,
    (key, kind): (&str, Kind),
    diagnostics: &mut Vec<Diagnostic>,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let node = fields.get(key)?;
    let value = node.scalar_text().as_deref().and_then(read);
    if value.is_none() {
        reject(node, key, kind.wanted(), diagnostics);
    }
    value
}

fn reject(node: &Node, key: &str, wanted: &str, diagnostics: &mut Vec<Diagnostic>) {
    let found = node.scalar_text().map_or_else(|| node.kind().to_owned(), |text| format!("\"{text}\""));
    node.reject(format!("\"{key}\" must be {wanted}, and is {found}"), &format!("write {wanted}"), diagnostics);
}

/// `true` or `false`.
pub fn bool(fields: &Fields<'_>, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<bool> {
    scalar(fields, (key, Kind::Bool), diagnostics, values::parse_bool)
}

/// A whole number of at least one.
pub fn count(fields: &Fields<'_>, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<usize> {
    scalar(fields, (key, Kind::Count), diagnostics, |text| text.parse().ok().filter(|count| *count > 0))
}

/// A whole number.
pub fn number(fields: &Fields<'_>, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<usize> {
    scalar(fields, (key, Kind::Number), diagnostics, |text| text.parse().ok())
}

/// A span of time, longer than zero.
pub fn duration(fields: &Fields<'_>, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Duration> {
    scalar(fields, (key, Kind::Duration), diagnostics, parse_duration)
}

/// One of `choices`.
pub fn choice(
    fields: &Fields<'_>,
    key: &str,
    choices: &'static [&'static str],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'static str> {
    let node = fields.get(key)?;
    let text = node.scalar_text().unwrap_or_else(|| node.kind().to_owned());
    let found = values::chosen(&text, choices);
    if found.is_none() {
        let (message, help) = values::not_a_choice(&text, choices);
        node.reject(format!("\"{key}\": {message}"), &help, diagnostics);
    }
    found
}

/// The texts of a list, or the one that stands for a list. A text that does not have the format is left to the caller,
/// which knows a better message.
pub fn texts<'n>(
    fields: &Fields<'n>,
    key: &str,
    format: Option<Format>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<(String, &'n Node)>> {
    let node = fields.get(key)?;
    let nodes = match &node.data {
        Data::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut texts = Vec::with_capacity(nodes.len());
    for node in nodes {
        match text_of(node, format) {
            Some(text) => texts.push((text, node)),
            None => reject(node, key, Kind::Texts.wanted(), diagnostics),
        }
    }
    Some(texts)
}
