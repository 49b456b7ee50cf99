//! YAML with the source location of every node, and readers that collect errors instead of stopping at the first.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use http::HeaderName;
use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

use crate::config::excerpt;
use crate::graphql::suggestions::did_you_mean;
use crate::model::source::{Diagnostic, Source, SourceLocation};

/// A YAML value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub data: Data,
    /// Its first character.
    pub place: SourceLocation,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Data {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping; keys are strings.
    Map(Vec<(String, SourceLocation, Node)>),
}

/// Reads a file that holds at most one YAML document; an empty one is null.
///
/// # Errors
/// The one place where the file stops being YAML.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use pillion::config::yaml::parse;
/// use pillion::model::source::Source;
///
/// let source = |text: &str| Arc::new(Source::new("pillion.yaml", text));
/// assert!(parse(&source("log: { level: info }")).is_ok());
/// let diagnostic = parse(&source("log: { level: info")).unwrap_err();
/// assert!(diagnostic.to_string().starts_with("pillion.yaml:"), "{diagnostic}");
/// ```
pub fn parse(source: &Arc<Source>) -> Result<Node, Diagnostic> {
    reject_deep(source)?;
    let mut documents = MarkedYaml::load_from_str(&source.text).map_err(|error| {
        source.hide(excerpt::all_but_known_keys(&source.text));
        let marker = error.marker();
        let place = SourceLocation::new(source, marker.line().max(1), marker.col() + 1);
        Diagnostic::error(Some(place), format!("this is not YAML: {}", error.info()), help_for(error.info()))
    })?;
    source.hide(excerpt::secrets_of(&documents));
    let start = SourceLocation::new(source, 1, 1);
    if documents.len() > 1 {
        return Err(Diagnostic::error(Some(start), "the file holds several YAML documents", "split it into files"));
    }
    match documents.pop() {
        None => Ok(Node { data: Data::Null, place: start }),
        Some(document) => convert(source, &document, DEPTH_MAX),
    }
}

/// What is mostly behind a message of the parser.
fn help_for(reason: &str) -> &'static str {
    const KINDS: [(&str, &str); 4] = [
        ("tabs disallowed", "indent with spaces: YAML allows no tabs there"),
        ("mapping values are not allowed", "put the value in quotes, as it holds ': ', or correct the indentation"),
        ("'-' indicator", "indent the line as those of the same list"),
        (
            "block mapping",
            "indent the line as those of the same mapping; quotes are needed around values that start with {",
        ),
    ];
    let known = KINDS.iter().find(|(part, _)| reason.contains(part)).map(|(_, help)| *help);
    known.unwrap_or("correct the YAML; quotes are needed around values that start with { or hold ': '")
}

/// Nesting of a configuration file. Real files stay far below, and the walk is recursive.
const DEPTH_MAX: usize = 64;

/// The loader is recursive without a limit. What stops being YAML before it is too deep, the loader reports.
fn reject_deep(source: &Arc<Source>) -> Result<(), Diagnostic> {
    let mut depth = 0_usize;
    for event in Parser::new_from_str(&source.text) {
        match event {
            Ok((Event::SequenceStart(..) | Event::MappingStart(..), span)) => {
                depth += 1;
                if depth > DEPTH_MAX {
                    source.hide(excerpt::all_but_known_keys(&source.text));
                    let place = SourceLocation::new(source, span.start.line().max(1), span.start.col() + 1);
                    return Err(Diagnostic::error(Some(place), "this is nested too deeply", "flatten it"));
                }
            }
            Ok((Event::SequenceEnd | Event::MappingEnd, _)) => depth = depth.saturating_sub(1),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

fn convert(source: &Arc<Source>, node: &MarkedYaml<'_>, depth_left: usize) -> Result<Node, Diagnostic> {
    let (start, end) = (node.span.start, node.span.end);
    let is_scalar = !matches!(node.data, YamlData::Sequence(_) | YamlData::Mapping(_));
    let length = if is_scalar && start.line() == end.line() { end.index().saturating_sub(start.index()) } else { 1 };
    let place = SourceLocation {
        source: Arc::clone(source),
        line: start.line().max(1),
        column: start.col() + 1,
        length: length.max(1),
    };
    if depth_left == 0 {
        return Err(Diagnostic::error(Some(place), "this is nested too deeply", "flatten it"));
    }
    let data = match &node.data {
        YamlData::Value(Scalar::Null) => Data::Null,
        YamlData::Value(Scalar::Boolean(value)) => Data::Bool(*value),
        YamlData::Value(Scalar::Integer(value)) => Data::Integer(*value),
        YamlData::Value(Scalar::FloatingPoint(value)) => Data::Float(value.into_inner()),
        YamlData::Value(Scalar::String(text)) | YamlData::Representation(text, ..) => Data::Text(text.to_string()),
        YamlData::Sequence(items) => {
            let items = items.iter().map(|item| convert(source, item, depth_left - 1));
            Data::List(items.collect::<Result<_, _>>()?)
        }
        YamlData::Mapping(entries) => {
            let mut map = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let key = convert(source, key, depth_left - 1)?;
                let Some(name) = key.scalar_text() else {
                    return Err(Diagnostic::error(Some(key.place), "a key must be a string", "write a name"));
                };
                map.push((name, key.place, convert(source, value, depth_left - 1)?));
            }
            Data::Map(map)
        }
        YamlData::Tagged(_, inner) => return convert(source, inner, depth_left - 1),
        YamlData::Alias(_) | YamlData::BadValue => {
            return Err(Diagnostic::error(Some(place), "this value cannot be read", "write it out"));
        }
    };
    Ok(Node { data, place })
}

impl Node {
    /// The value of `key`, if this is a mapping that has it; null and absent are the same.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&Self> {
        let Data::Map(entries) = &self.data else { return None };
        let (.., node) = entries.iter().find(|(name, ..)| name == key)?;
        (!matches!(node.data, Data::Null)).then_some(node)
    }

    /// The entries of a mapping; of anything else, none.
    #[must_use]
    pub fn entries(&self) -> &[(String, SourceLocation, Self)] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; of anything else, none.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The items of the list that `what` must be; null is empty.
    pub fn list(&self, what: &str, diagnostics: &mut Vec<Diagnostic>) -> &[Self] {
        match &self.data {
            Data::List(items) => return items,
            Data::Null => {}
            _ => diagnostics.push(expected(self, what, "a list")),
        }
        &[]
    }

    /// The text of a string, which no other scalar is.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A scalar as the text a person would write; nothing for lists, maps and null.
    #[must_use]
    pub fn scalar_text(&self) -> Option<String> {
        match &self.data {
            Data::Bool(value) => Some(value.to_string()),
            Data::Integer(value) => Some(value.to_string()),
            Data::Float(value) => Some(value.to_string()),
            Data::Text(text) => Some(text.clone()),
            Data::Null | Data::List(_) | Data::Map(_) => None,
        }
    }

    /// Says that the value is no good.
    pub fn reject(&self, message: impl Into<String>, help: &str, diagnostics: &mut Vec<Diagnostic>) {
        diagnostics.push(Diagnostic::error(Some(self.place.clone()), message, help));
    }

    /// `name` as a header's; an error stands at this node.
    pub fn header_name(&self, name: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<HeaderName> {
        let header = HeaderName::try_from(name).ok();
        if header.is_none() {
            let message = format!("\"{name}\" cannot be the name of a header");
            self.reject(message, "use letters, digits and dashes", diagnostics);
        }
        header
    }

    /// Its kind, for a message.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Integer(_) | Data::Float(_) => "a number",
            Data::Text(_) => "a string",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    /// The same as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Integer(value) => Value::from(*value),
            Data::Float(value) => Value::from(*value),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Data::Map(entries) => Value::Object(
                entries.iter().map(|(key, _, value)| (key.clone(), value.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Reads the keys of a mapping and remembers which ones are known.
pub struct Fields<'n> {
    what: &'static str,
    place: SourceLocation,
    entries: Vec<(&'n str, &'n SourceLocation, &'n Node, Cell<bool>)>,
    /// The keys that were asked for, to suggest one of them in the place of an unknown one.
    known: RefCell<Vec<String>>,
}

impl<'n> Fields<'n> {
    /// The keys of `node`, which is `what` for messages. Anything but a mapping is an error; null has no keys.
    pub fn of(node: &'n Node, what: &'static str, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let entries = match &node.data {
            Data::Null => Vec::new(),
            Data::Map(entries) => {
                entries.iter().map(|(key, place, value)| (key.as_str(), place, value, Cell::new(false))).collect()
            }
            _ => {
                diagnostics.push(expected(node, what, "a mapping"));
                return None;
            }
        };
        Some(Self { what, place: node.place.clone(), entries, known: RefCell::default() })
    }

    /// Where the mapping starts.
    #[must_use]
    pub fn place(&self) -> &SourceLocation {
        &self.place
    }

    /// The value of `key`, null and absent being the same.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.known.borrow_mut().push(key.to_owned());
        let (.., node, asked) = self.entries.iter().find(|(name, ..)| *name == key)?;
        asked.set(true);
        (!matches!(node.data, Data::Null)).then_some(*node)
    }

    /// Counts `key` as known: it is allowed, and has no meaning.
    pub fn ignore(&self, key: &str) {
        let _ = self.get(key);
    }

    /// All keys and values, every one of them counted as known.
    pub fn all(&self) -> impl Iterator<Item = (&'n str, &'n SourceLocation, &'n Node)> {
        self.entries.iter().map(|(key, place, node, asked)| {
            asked.set(true);
            (*key, *place, *node)
        })
    }

    /// A string, or a scalar that can be taken for one.
    pub fn text(&self, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
        let node = self.get(key)?;
        let text = node.scalar_text();
        if text.is_none() {
            diagnostics.push(expected(node, key, "a string"));
        }
        text
    }

    /// A string that must be there.
    pub fn required_text(&self, key: &'static str, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
        if self.get(key).is_none() {
            let message = format!("{} has no \"{key}\"", self.what);
            diagnostics.push(Diagnostic::error(Some(self.place.clone()), message, format!("add \"{key}\"")));
        }
        self.text(key, diagnostics)
    }

    /// `true` or `false`.
    pub fn bool(&self, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<bool> {
        let node = self.get(key)?;
        if let Data::Bool(value) = node.data {
            return Some(value);
        }
        diagnostics.push(expected(node, key, "true or false"));
        None
    }

    /// A whole number that is not negative.
    pub fn count(&self, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<u64> {
        let node = self.get(key)?;
        if let Data::Integer(value) = node.data
            && let Ok(value) = u64::try_from(value)
        {
            return Some(value);
        }
        diagnostics.push(expected(node, key, "a whole number"));
        None
    }

    /// A list; absent is empty.
    pub fn list(&self, key: &str, diagnostics: &mut Vec<Diagnostic>) -> &'n [Node] {
        let Some(node) = self.get(key) else { return &[] };
        if let Data::List(items) = &node.data {
            return items;
        }
        diagnostics.push(expected(node, key, "a list"));
        &[]
    }

    /// Warns about unknown keys.
    pub fn finish(self, diagnostics: &mut Vec<Diagnostic>) {
        let help = "check its spelling, or remove it: it has no effect";
        diagnostics.extend(self.unknown().map(|(place, message)| Diagnostic::warning(Some(place), message, help)));
    }

    /// Rejects unknown keys: in our own file a misspelt one could switch a protection off.
    pub fn finish_strictly(self, diagnostics: &mut Vec<Diagnostic>) {
        self.reject_unknown("correct or remove it; `pillion config example` lists all keys", diagnostics);
    }

    /// Rejects unknown keys of another file of ours.
    pub fn reject_unknown(self, help: &str, diagnostics: &mut Vec<Diagnostic>) {
        diagnostics.extend(self.unknown().map(|(place, message)| Diagnostic::error(Some(place), message, help)));
    }

    fn unknown(&self) -> impl Iterator<Item = (SourceLocation, String)> {
        self.entries.iter().filter(|(.., asked)| !asked.get()).map(|(key, place, ..)| {
            let known = self.known.borrow();
            let suggestion = did_you_mean(key, known.iter().map(String::as_str));
            let stop = if suggestion.is_empty() { "" } else { "." };
            ((*place).clone(), format!("unknown key \"{key}\" in {}{stop}{suggestion}", self.what))
        })
    }
}

fn expected(node: &Node, what: &str, wanted: &str) -> Diagnostic {
    Diagnostic::error(
        Some(node.place.clone()),
        format!("\"{what}\" must be {wanted}, and is {}", node.kind()),
        format!("write {wanted}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_nesting_is_an_error_wherever_it_stands() {
        let source = |text: &str| Arc::new(Source::new("x.yaml", text));
        let indented: String = (0..5_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        for text in ["- ".repeat(1_000_000) + "x", "[".repeat(1_000_000), indented] {
            let error = parse(&source(&text)).expect_err("it is nested too deeply");
            assert!(error.message.contains("nested too deeply") || error.message.contains("recursion"), "{error}");
        }
        assert!(parse(&source(&("- ".repeat(DEPTH_MAX - 1) + "x"))).is_ok());
    }
}
