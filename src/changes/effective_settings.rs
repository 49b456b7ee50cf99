//! Effective settings for people and programs: values, without secrets, and where they come from.

use serde_json::{Value, json};

use crate::config::formats::Format;
use crate::config::settings_table::{Kind, Setting};
use crate::config::values::{Origin, Values};
use crate::http_client::shown_url;
use crate::model::source::SourceLocation;

/// The effective value; null if there is none. A secret is never shown, nor is a password in a URL.
#[must_use]
pub(crate) fn value_of(setting: &Setting, values: &Values) -> Value {
    let (texts, _) = values.effective(setting.key);
    let shown = |text: &String| match (setting.kind, setting.format) {
        (Kind::Secret, _) => "***".to_owned(),
        (_, Some(Format::Url | Format::HttpUrl | Format::HookUrl)) => {
            text.parse().map_or_else(|_| "***".to_owned(), |url| shown_url(&url))
        }
        _ => text.clone(),
    };
    match (setting.kind, texts) {
        (Kind::Texts, [_, ..]) => texts.iter().map(shown).collect(),
        (Kind::Map, [text, ..]) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        (_, [text, ..]) => json!(shown(text)),
        (_, []) => Value::Null,
    }
}

/// The kind of an origin, and where it is if it is not the default.
#[must_use]
pub(crate) fn origin_of(origin: &Origin) -> (&'static str, Option<String>) {
    match origin {
        Origin::Flag(name) => ("flag", Some(format!("--{name}"))),
        Origin::Environment(name) => ("variable", Some((*name).to_owned())),
        Origin::File(place) => ("file", Some(place_text(place))),
        Origin::Default => ("default", None),
    }
}

/// `pillion.yaml:3:5`
#[must_use]
pub(crate) fn place_text(place: &SourceLocation) -> String {
    format!("{}:{}:{}", place.source.name, place.line, place.column)
}
