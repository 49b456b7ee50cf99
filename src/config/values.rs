//! The value of every setting and where it came from: a flag, the environment, the file or the default.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use http::header::HeaderName;

use crate::config::setting_text::text_of;
use crate::config::settings_table::{INVERTED_VARIABLES, Kind, LOCKS, MAPS, SETTINGS, SHORTHANDS, Setting};
use crate::config::units::{DURATION_MAX, parse_bytes, parse_span};
use crate::config::yaml::{Data, Fields, Node};
use crate::graphql::suggestions::did_you_mean;
use crate::model::source::{Diagnostic, SourceLocation};

/// Where a value was written.
#[derive(Clone, Debug)]
pub enum Origin {
    /// On the command line.
    Flag(&'static str),
    /// In this environment variable.
    Environment(&'static str),
    /// In `pillion.yaml`.
    File(SourceLocation),
    /// Nowhere.
    Default,
}

/// A value as text; lists have several.
#[derive(Clone, Debug)]
struct Given {
    texts: Vec<String>,
    origin: Origin,
}

/// All settings by key.
pub struct Values {
    given: HashMap<&'static str, Given>,
}

impl Values {
    /// Collects the values: flag over environment over file over default. An empty variable counts as unset, but an
    /// empty secret is an error: a lock must not silently disappear. `assumed` are values of required settings that the
    /// purpose at hand does not need.
    pub fn collect(
        flag: &dyn Fn(&Setting) -> Option<Vec<String>>,
        environment: &dyn Fn(&str) -> Option<String>,
        file: Option<&Node>,
        assumed: &[(&str, &str)],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut given = HashMap::new();
        for setting in SETTINGS {
            let assumed = assumed.iter().find(|(key, _)| *key == setting.key).map(|(_, text)| *text);
            let default = setting.default.or(assumed).map(|text| vec![text.to_owned()]).unwrap_or_default();
            given.insert(setting.key, Given { texts: default, origin: Origin::Default });
        }
        if let Some(file) = file {
            read_group(file, "", &mut given, diagnostics);
        }
        for setting in SETTINGS {
            reject_empty(setting, environment, diagnostics);
            let found = setting.env.iter().find_map(|name| {
                let text = environment(name).filter(|text| !text.is_empty())?;
                let texts = match setting.kind {
                    Kind::Texts => text.split(',').map(|item| item.trim().to_owned()).collect(),
                    _ if INVERTED_VARIABLES.contains(name) => vec![inverted(text)],
                    _ => vec![text],
                };
                Some(Given { texts, origin: Origin::Environment(name) })
            });
            let found = match (flag(setting), setting.flag) {
                (Some(texts), Some(name)) => Some(Given { texts, origin: Origin::Flag(name) }),
                _ => found,
            };
            if let Some(found) = found {
                given.insert(setting.key, found);
            }
        }
        Self { given }
    }

    /// Was it written anywhere?
    #[must_use]
    pub fn is_given(&self, key: &str) -> bool {
        self.given.get(key).is_some_and(|given| !matches!(given.origin, Origin::Default))
    }

    /// The texts that are in effect, and where they were written.
    #[must_use]
    pub fn effective(&self, key: &str) -> (&[String], &Origin) {
        self.given.get(key).map_or((&[], &Origin::Default), |given| (&given.texts, &given.origin))
    }

    /// A fingerprint of each setting by its key, to see whether it has changed.
    #[must_use]
    pub fn fingerprints(&self) -> HashMap<&'static str, u64> {
        let fingerprint = |given: &Given| {
            let mut hasher = DefaultHasher::new();
            given.texts.hash(&mut hasher);
            hasher.finish()
        };
        self.given.iter().map(|(key, given)| (*key, fingerprint(given))).collect()
    }

    /// All texts of a list.
    #[must_use]
    pub fn texts(&self, key: &str) -> Vec<String> {
        self.given.get(key).map(|given| given.texts.clone()).unwrap_or_default()
    }

    /// The text, if there is one.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        self.given.get(key)?.texts.first().cloned()
    }

    /// The names of headers in a list; invalid names are rejected.
    pub fn header_names(&self, key: &str, help: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<HeaderName> {
        let mut names = Vec::new();
        for name in self.texts(key) {
            match HeaderName::try_from(&name) {
                Ok(name) => names.push(name),
                Err(_) => self.reject(key, &format!("\"{name}\" cannot be the name of a header"), help, diagnostics),
            }
        }
        names
    }

    /// Says that the value is no good.
    pub fn reject(&self, key: &str, message: &str, help: &str, diagnostics: &mut Vec<Diagnostic>) {
        let (place, name) = self.written_at(key);
        diagnostics.push(Diagnostic::error(place, format!("{name}: {message}"), help));
    }

    /// Says that the value is probably not as it was meant.
    pub fn warn(&self, key: &str, message: &str, help: &str, diagnostics: &mut Vec<Diagnostic>) {
        let (place, name) = self.written_at(key);
        diagnostics.push(Diagnostic::warning(place, format!("{name}: {message}"), help));
    }

    /// Where the value was written, and by which name.
    fn written_at(&self, key: &str) -> (Option<SourceLocation>, String) {
        let origin = self.given.get(key).map_or(&Origin::Default, |given| &given.origin);
        let is_secret = SETTINGS.iter().any(|setting| setting.key == key && setting.kind == Kind::Secret);
        match origin {
            Origin::Flag(name) => (None, format!("--{name}")),
            Origin::Environment(name) => (None, (*name).to_owned()),
            Origin::File(place) => (Some(if is_secret { place.unquoted() } else { place.clone() }), key.to_owned()),
            Origin::Default => (None, key.to_owned()),
        }
    }

    /// The one of `choices` that is set; another text is an error.
    pub fn choice(
        &self,
        key: &str,
        choices: &'static [&'static str],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<&'static str> {
        let text = self.text(key)?;
        let found = chosen(&text, choices);
        if found.is_none() {
            let (message, help) = not_a_choice(&text, choices);
            self.reject(key, &message, &help, diagnostics);
        }
        found
    }

    /// Parses the text with `read`; an invalid one is an error.
    pub fn parsed<T>(
        &self,
        key: &str,
        wanted: &str,
        diagnostics: &mut Vec<Diagnostic>,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(key)?;
        let value = read(&text);
        if value.is_none() {
            self.reject(key, &format!("\"{text}\" is not {wanted}"), &format!("write {wanted}"), diagnostics);
        }
        value
    }

    /// `true` or `false`, in any of Hasura's spellings.
    pub fn bool(&self, key: &str, diagnostics: &mut Vec<Diagnostic>) -> bool {
        self.parsed(key, "true or false", diagnostics, parse_bool).unwrap_or(false)
    }

    /// A whole number of at least one. Zero is not "unlimited".
    pub fn count(&self, key: &str, diagnostics: &mut Vec<Diagnostic>) -> usize {
        let wanted = "a whole number of at least 1";
        self.parsed(key, wanted, diagnostics, |text| text.parse().ok().filter(|count| *count > 0)).unwrap_or(1)
    }

    /// A whole number.
    pub fn number(&self, key: &str, diagnostics: &mut Vec<Diagnostic>) -> usize {
        self.parsed(key, "a whole number", diagnostics, |text| text.parse().ok()).unwrap_or_default()
    }

    /// A number of bytes: `64KiB`, `10MB`, `100`.
    pub fn bytes(&self, key: &str, diagnostics: &mut Vec<Diagnostic>) -> usize {
        self.parsed(key, "a number of bytes such as 10MiB", diagnostics, parse_bytes).unwrap_or(1)
    }

    /// A span of time: `500ms`, `30s`, `1m30s`; a bare number is seconds. Zero only where the table of settings allows it.
    pub fn duration(&self, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Duration {
        let span = self.parsed(key, Kind::Duration.wanted(), diagnostics, parse_span).unwrap_or_default();
        let may_be_zero = SETTINGS.iter().any(|setting| setting.key == key && setting.kind == Kind::DurationOrZero);
        let is_given = self.text(key).as_deref().and_then(parse_span).is_some();
        if is_given && span.is_zero() && !may_be_zero {
            self.reject(
                key,
                "a time of zero has no meaning here",
                "write a longer one, such as 500ms or 30s",
                diagnostics,
            );
        } else if span > DURATION_MAX {
            self.reject(key, "the time is longer than a day", "write 24h or less", diagnostics);
        }
        span
    }
}

/// A variable of a secret that is set, and blank. compose makes such ones of variables that are not set.
fn reject_empty(setting: &Setting, environment: &dyn Fn(&str) -> Option<String>, diagnostics: &mut Vec<Diagnostic>) {
    // OpenTelemetry specifies that its own variables count as unset if they are empty.
    let is_ours = |name: &&&str| setting.kind == Kind::Secret && !name.starts_with("OTEL_");
    for name in setting.env.iter().filter(is_ours) {
        if environment(name).is_some_and(|text| text.trim().is_empty()) {
            diagnostics.push(empty_secret(None, &format!("{name} (or the file of {name}_FILE)")));
        }
    }
}

fn empty_secret(place: Option<SourceLocation>, name: &str) -> Diagnostic {
    let message = format!("{name}: this credential is given, and is empty");
    Diagnostic::error(place, message, "give it a value, or remove it: an empty one is not taken for none")
}

fn read_group(node: &Node, prefix: &str, given: &mut HashMap<&'static str, Given>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(fields) = Fields::of(node, "pillion.yaml", diagnostics) else { return };
    for (key, place, value) in fields.all() {
        let key = full_key(prefix, key, value);
        let group = format!("{key}.");
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) {
            let texts = match (&value.data, setting.kind) {
                (Data::Null, Kind::Secret) => {
                    diagnostics.push(empty_secret(Some(value.place.unquoted()), &key));
                    continue;
                }
                (Data::Null, _) => continue,
                // Its entries are read where the setting is.
                (Data::Map(_), Kind::Map) => Some(vec![value.to_json().to_string()]),
                (_, Kind::Map) => None,
                (Data::List(items), Kind::Texts) => {
                    items.iter().map(|item| text_of(item, setting.format)).collect::<Option<Vec<_>>>()
                }
                _ => text_of(value, setting.format).map(|text| vec![text]),
            };
            match texts {
                Some(texts) if setting.kind == Kind::Secret && texts.iter().any(|text| text.trim().is_empty()) => {
                    diagnostics.push(empty_secret(Some(value.place.unquoted()), &key));
                }
                Some(texts) => {
                    given.insert(setting.key, Given { texts, origin: Origin::File(value.place.clone()) });
                }
                None => diagnostics.push(Diagnostic::error(
                    Some(value.place.clone()),
                    format!("\"{key}\" must be {}, and is {}", setting.wanted(), value.kind()),
                    format!("write {}", setting.wanted()),
                )),
            }
        } else if let Some(first) = SETTINGS.iter().find_map(|setting| setting.key.strip_prefix(group.as_str())) {
            match value.data {
                Data::Null if LOCKS.contains(&key.as_str()) => {
                    let message = format!("\"{key}\" is there, and holds nothing");
                    let help = "give its settings, or remove it: a file that was cut must not open anything";
                    diagnostics.push(Diagnostic::error(Some(place.clone()), message, help));
                }
                Data::Map(_) | Data::Null => read_group(value, &group, given, diagnostics),
                // What stands there is not repeated: it may hold a password.
                _ => diagnostics.push(Diagnostic::error(
                    Some(value.place.clone()),
                    format!("\"{key}\" must be a mapping, and is {}", value.kind()),
                    format!("write {key}: {{ {first}: … }}"),
                )),
            }
        } else if !MAPS.contains(&key.as_str()) {
            let groups = SETTINGS.iter().filter_map(|setting| setting.key.split_once('.')).map(|(group, _)| group);
            let known = SETTINGS.iter().map(|setting| setting.key).chain(groups).chain(MAPS);
            let suggestion = did_you_mean(&key, known);
            let stop = if suggestion.is_empty() { "" } else { "." };
            diagnostics.push(Diagnostic::error(
                Some(place.clone()),
                format!("unknown key \"{key}\" in pillion.yaml{stop}{suggestion}"),
                "correct or remove it; `pillion config example` lists all keys",
            ));
        }
    }
}

/// `true` or `false`, in any of Hasura's spellings.
#[must_use]
pub fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" => Some(true),
        "false" | "f" | "no" | "n" => Some(false),
        _ => None,
    }
}

/// The one of `choices` that is meant. To readers of YAML 1.1, such as Helm, `off` and `no` are false: where there is a
/// choice "none", that stands for it.
#[must_use]
pub fn chosen(text: &str, choices: &'static [&'static str]) -> Option<&'static str> {
    let text = if text == "false" { "none" } else { text };
    choices.iter().find(|choice| **choice == text).copied()
}

/// Message and help for a text that is none of `choices`.
#[must_use]
pub fn not_a_choice(text: &str, choices: &[&str]) -> (String, String) {
    let is_none = choices.contains(&"none") && ["off", "no", "disabled"].contains(&text.to_ascii_lowercase().as_str());
    let suggestion =
        if is_none { " Did you mean \"none\"?".to_owned() } else { did_you_mean(text, choices.iter().copied()) };
    let (listed, stop) = (choices.join(", "), if suggestion.is_empty() { "" } else { "." });
    (format!("\"{text}\" is not one of {listed}{stop}{suggestion}"), format!("write one of {listed}"))
}

/// Anything else stays, and is rejected later.
fn inverted(text: String) -> String {
    parse_bool(&text).map_or(text, |value| (!value).to_string())
}

/// The key of a setting or a group. Some groups may be written as the value of one of their settings.
fn full_key(prefix: &str, key: &str, value: &Node) -> String {
    let key = format!("{prefix}{key}");
    let is_group = matches!(value.data, Data::Map(_) | Data::Null);
    let long = SHORTHANDS.iter().find(|(short, _)| *short == key && !is_group);
    long.map_or(key, |(_, long)| (*long).to_owned())
}
