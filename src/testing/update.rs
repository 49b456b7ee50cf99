//! Rewrites the expected responses of a test file in place (`pillion test --update`): values are replaced where they stand,
//! and everything else stays as it is, comments and formatting included.

use std::ops::Range;
use std::sync::Arc;

use saphyr::{LoadableYamlNode, MarkedYaml, YamlData};
use serde_json::{Map, Value, json};

use crate::config::print::yaml_text;
use crate::config::yaml::parse;
use crate::model::source::{Diagnostic, Source};
use crate::testing::case::{Case, Expectation};
use crate::testing::compare::{ClientResponse, take_over};

/// The text of a test file in which these cases, by their indexes, expect what they got. `contains` and `lacks` are left to
/// a person.
///
/// # Errors
/// Why it cannot be rewritten without changing something else.
pub(crate) fn with_responses(
    source: &Arc<Source>,
    cases: &[Case],
    got: &[(usize, ClientResponse)],
) -> Result<String, Diagnostic> {
    let failed = || {
        let message = format!("{}: the file cannot be rewritten without changing more than responses", source.name);
        Diagnostic::error(None, message, "write the expected response by hand, or the case in block style")
    };
    let documents = MarkedYaml::load_from_str(&source.text).map_err(|_| failed())?;
    let text = Text::new(&source.text);
    let mut wanted = parse(source)?.to_json();
    let nodes = documents.first().and_then(|root| member(root, "cases")).map(|(_, list)| items(list));
    let mut edits = Vec::new();
    for (index, response) in got {
        let (Some(case), Some(node)) = (cases.get(*index), nodes.and_then(|nodes| nodes.get(*index))) else { continue };
        let expected = expected_of(case.expect.as_ref(), response);
        edits.extend(edits_of(&text, node, &expected));
        if let Some(case) = wanted.pointer_mut(&format!("/cases/{index}")).and_then(Value::as_object_mut) {
            merge(case.entry("expect").or_insert(Value::Null), &expected);
        }
    }
    let rewritten = text.with(edits);
    let is = parse(&Arc::new(Source::new(source.name.clone(), rewritten.as_str())))?.to_json();
    // By their texts, because keys that are added stand first.
    if is == wanted { Ok(rewritten) } else { Err(failed()) }
}

/// Can a mismatch in this be mended by rewriting the response?
#[must_use]
pub(crate) fn can_update(what: &str) -> bool {
    matches!(what, "status" | "body" | "expect") || what.starts_with("header ")
}

/// What is expected from now on: those keys of `expect` that change.
fn expected_of(before: Option<&Expectation>, got: &ClientResponse) -> Map<String, Value> {
    let mut expected = Map::new();
    if before.map_or(200, |before| before.status) != got.status {
        expected.insert("status".into(), got.status.into());
    }
    let mut headers = Map::new();
    for (name, values) in before.iter().flat_map(|before| &before.headers) {
        let is: Vec<Value> =
            got.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into()).collect();
        let same = is.len() == values.len() && is.iter().zip(values).all(|(is, value)| is == value);
        if !same {
            headers.insert(name.to_string(), if is.len() == 1 { is.into_iter().collect() } else { Value::from(is) });
        }
    }
    if !headers.is_empty() {
        let one = |value: Value| match value {
            Value::Array(mut items) if items.len() == 1 => items.pop().unwrap_or_default(),
            Value::Array(items) if items.is_empty() => Value::Null,
            value => value,
        };
        expected.insert("headers".into(), headers.into_iter().map(|(name, value)| (name, one(value))).collect());
    }
    let says_nothing = before.is_none_or(|before| {
        before.json.is_none() && before.text.is_none() && before.contains.is_empty() && before.lacks.is_empty()
    });
    match (got.json(), before) {
        (Some(mut json), Some(Expectation { json: Some(old), ignore, .. })) => {
            ignore.iter().for_each(|path| take_over(old, &mut json, path));
            if json != *old {
                expected.insert("json".into(), json);
            }
        }
        (Some(json), _) if says_nothing => drop(expected.insert("json".into(), json)),
        (None, _) if says_nothing => drop(expected.insert("text".into(), got.body.clone().into())),
        (_, Some(Expectation { text: Some(old), .. })) if *old != got.body => {
            expected.insert("text".into(), got.body.clone().into());
        }
        _ => {}
    }
    expected
}

/// Puts the keys of `expected` into `before`; headers are merged.
fn merge(before: &mut Value, expected: &Map<String, Value>) {
    if before.is_null() {
        *before = json!({});
    }
    let Some(before) = before.as_object_mut() else { return };
    for (key, value) in expected {
        match (before.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(headers)) if key == "headers" => {
                for (name, value) in headers {
                    let known = old.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned();
                    old.insert(known.unwrap_or_else(|| name.clone()), value.clone());
                }
            }
            _ => drop(before.insert(key.clone(), value.clone())),
        }
    }
}

/// A range of bytes, and what comes in its place.
type Edit = (Range<usize>, String);

fn edits_of(text: &Text<'_>, case: &MarkedYaml<'_>, expected: &Map<String, Value>) -> Vec<Edit> {
    if expected.is_empty() {
        return Vec::new();
    }
    let is_flow = text.is_flow(case);
    let Some((key, node)) = member(case, "expect") else {
        let whole = Value::Object(expected.clone());
        return vec![appended(text, case, &entry("expect", &whole, case.span.start.col(), is_flow))];
    };
    let first = match &node.data {
        YamlData::Mapping(entries) => entries.front().map(|(key, _)| key),
        _ => None,
    };
    let Some(first) = first else {
        let whole = Value::Object(expected.clone());
        let range = text.end_of_key(key)..text.end(node).max(text.end_of_key(key));
        return vec![(range, after_key(&whole, key.span.start.col(), is_flow))];
    };
    let is_flow = is_flow || text.is_flow(node);
    let mut edits = Vec::new();
    let mut added = String::new();
    for (name, value) in expected {
        match (member(node, name), value) {
            (Some((_, headers)), Value::Object(changed)) if name == "headers" => {
                edits.extend(changed.iter().filter_map(|(name, value)| {
                    let (_, node) = member(headers, name)?;
                    Some((text.start(node)..text.end(node), flow(value)))
                }));
            }
            (Some((key, node)), value) => edits.push(replaced(text, key, node, value, is_flow)),
            (None, value) => {
                let column = first.span.start.col();
                let end = if is_flow { ", ".to_owned() } else { format!("\n{}", " ".repeat(column)) };
                added.push_str(&format!("{}{end}", entry(name, value, column, is_flow)));
            }
        }
    }
    if !added.is_empty() {
        edits.push((text.start(first)..text.start(first), added));
    }
    edits
}

/// A value in the place of another one, in the same style if it fits.
fn replaced(text: &Text<'_>, key: &MarkedYaml<'_>, node: &MarkedYaml<'_>, value: &Value, is_flow: bool) -> Edit {
    let is_block = matches!(node.data, YamlData::Mapping(_) | YamlData::Sequence(_)) && !text.is_flow(node);
    let new_is_block = !is_flow && (is_block || flow(value).len() > LINE_LENGTH_MAX) && has_members(value);
    if is_block && new_is_block {
        return (text.start(node)..text.end(node), block(value, node.span.start.col()));
    }
    let end = text.end(node).max(text.end_of_key(key));
    let value = if new_is_block { after_key(value, key.span.start.col(), false) } else { format!(" {}", flow(value)) };
    (text.end_of_key(key)..end, value)
}

/// Longer values are written in block style.
const LINE_LENGTH_MAX: usize = 100;

/// `key: value`, with the lines after the first one indented for a key at `column`.
fn entry(key: &str, value: &Value, column: usize, is_flow: bool) -> String {
    format!("{key}:{}", after_key(value, column, is_flow))
}

fn after_key(value: &Value, column: usize, is_flow: bool) -> String {
    if is_flow || !has_members(value) || flow(value).len() + column <= LINE_LENGTH_MAX && !is_expectation(value) {
        return format!(" {}", flow(value));
    }
    if let (Value::Object(entries), true) = (value, is_expectation(value)) {
        let inner = column + INDENT;
        let line =
            |(key, value): (&String, &Value)| format!("\n{}{}", " ".repeat(inner), entry(key, value, inner, false));
        return entries.iter().map(line).collect();
    }
    format!("\n{}{}", " ".repeat(column + INDENT), block(value, column + INDENT))
}

const INDENT: usize = 2;

/// Is it the whole of an `expect`, whose entries have a line each?
fn is_expectation(value: &Value) -> bool {
    let keys = ["status", "headers", "json", "text"];
    value
        .as_object()
        .is_some_and(|entries| !entries.is_empty() && entries.keys().all(|key| keys.contains(&key.as_str())))
}

fn has_members(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        _ => false,
    }
}

/// Block style, whose first line begins at `column`.
fn block(value: &Value, column: usize) -> String {
    let text = yaml_text(value);
    text.trim_end().lines().collect::<Vec<_>>().join(&format!("\n{}", " ".repeat(column)))
}

/// On one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| format!("{}: {}", flow_key(key), flow(value));
            format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        // A scalar of JSON is one of YAML.
        value => value.to_string(),
    }
}

fn flow_key(key: &str) -> String {
    const RESERVED: [&str; 8] = ["true", "false", "null", "yes", "no", "on", "off", "y"];
    let is_name = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && key.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && !RESERVED.contains(&key.to_ascii_lowercase().as_str());
    if is_name { key.to_owned() } else { Value::from(key).to_string() }
}

/// One more entry at the end of a mapping.
fn appended(text: &Text<'_>, mapping: &MarkedYaml<'_>, entry: &str) -> Edit {
    let end = text.last_end(mapping);
    if text.is_flow(mapping) {
        return (end..end, format!(", {entry}"));
    }
    let rest = text.text.get(end..).unwrap_or_default();
    let end = end + rest.find('\n').unwrap_or(rest.len());
    (end..end, format!("\n{}{entry}", " ".repeat(mapping.span.start.col())))
}

fn member<'n, 'y>(node: &'n MarkedYaml<'y>, key: &str) -> Option<(&'n MarkedYaml<'y>, &'n MarkedYaml<'y>)> {
    let YamlData::Mapping(entries) = &node.data else { return None };
    entries.iter().find(|(known, _)| known.data.as_str().is_some_and(|known| known.eq_ignore_ascii_case(key)))
}

fn items<'n, 'y>(node: &'n MarkedYaml<'y>) -> &'n [MarkedYaml<'y>] {
    match &node.data {
        YamlData::Sequence(items) => items,
        _ => &[],
    }
}

/// A text whose characters are found by their numbers, as the parser counts them.
struct Text<'t> {
    text: &'t str,
    offsets: Vec<usize>,
}

impl<'t> Text<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, offsets: text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect() }
    }

    fn offset(&self, character: usize) -> usize {
        self.offsets.get(character).copied().unwrap_or(self.text.len())
    }

    fn start(&self, node: &MarkedYaml<'_>) -> usize {
        self.offset(node.span.start.index())
    }

    /// Is it a mapping or a list in braces or brackets?
    fn is_flow(&self, node: &MarkedYaml<'_>) -> bool {
        let is_collection = matches!(node.data, YamlData::Mapping(_) | YamlData::Sequence(_));
        is_collection && self.text.get(self.start(node)..).is_some_and(|text| text.starts_with(['{', '[']))
    }

    /// Where a node ends, without the space behind it.
    fn end(&self, node: &MarkedYaml<'_>) -> usize {
        if self.is_flow(node) {
            return self.end_of_flow(node);
        }
        match &node.data {
            YamlData::Mapping(_) | YamlData::Sequence(_) => self.last_end(node),
            _ => {
                let (start, end) = (self.start(node), self.offset(node.span.end.index()));
                start + self.text.get(start..end).unwrap_or_default().trim_end().len()
            }
        }
    }

    /// Behind the brace or bracket that ends it: the parser does not count that one.
    fn end_of_flow(&self, node: &MarkedYaml<'_>) -> usize {
        let mut at = self.last_end(node).max(self.start(node) + 1);
        let mut is_comment = false;
        for character in self.text.get(at..).unwrap_or_default().chars() {
            at += character.len_utf8();
            match character {
                '\n' => is_comment = false,
                '#' => is_comment = true,
                '}' | ']' if !is_comment => break,
                _ => {}
            }
        }
        at
    }

    /// Where the last member of a mapping or list ends.
    fn last_end(&self, node: &MarkedYaml<'_>) -> usize {
        let last = match &node.data {
            YamlData::Mapping(entries) => entries.back().map(|(key, value)| self.end(value).max(self.end_of_key(key))),
            YamlData::Sequence(items) => items.last().map(|item| self.end(item)),
            _ => None,
        };
        last.unwrap_or_else(|| self.start(node))
    }

    /// Behind the colon of a key.
    fn end_of_key(&self, key: &MarkedYaml<'_>) -> usize {
        let end = self.end(key);
        let rest = self.text.get(end..).unwrap_or_default();
        end + rest.find(':').map_or(0, |colon| colon + 1)
    }

    fn with(&self, mut edits: Vec<Edit>) -> String {
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let (mut text, mut done) = (String::with_capacity(self.text.len()), 0);
        for (range, new) in edits {
            text.push_str(self.text.get(done..range.start).unwrap_or_default());
            text.push_str(&new);
            done = range.end;
        }
        text.push_str(self.text.get(done..).unwrap_or_default());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::suite;

    /// The file after each of its cases got this status and body.
    fn updated(text: &str, status: u16, body: &str) -> String {
        let source = Arc::new(Source::new("a.test.yaml", text));
        let suite = suite::read(&source).expect("a test file");
        let headers = [("x-a", "new")]
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)));
        let response = ClientResponse { status, headers: headers.into_iter().collect(), body: body.into() };
        let got: Vec<_> = (0..suite.cases.len()).map(|index| (index, response.clone())).collect();
        match with_responses(&source, &suite.cases, &got) {
            Ok(text) => text,
            Err(diagnostic) => format!("{diagnostic}"),
        }
    }

    #[test]
    fn values_are_replaced_where_they_stand() {
        let head = "# ü\ncases:\n  - name: a # first\n    query: '{ a }'\n";
        for (before, after) in [
            ("    expect: { json: { data: { a: 1 } } } # c\n", "    expect: { json: { data: { a: 2 } } } # c\n"),
            (
                "    expect:\n      # why\n      json: { data: { a: 1 } } # c\n",
                "    expect:\n      # why\n      json: { data: { a: 2 } } # c\n",
            ),
            (
                "    expect:\n      json:\n        data:\n          a: 1 # c\n\n  # next\n",
                "    expect:\n      json:\n        data:\n          a: 2 # c\n\n  # next\n",
            ),
            (
                "    expect:\n      json: \"x\"\n      ignore: []\n",
                "    expect:\n      json: { data: { a: 2 } }\n      ignore: []\n",
            ),
            ("    expect: {}\n", "    expect:\n      json: { data: { a: 2 } }\n"),
            ("    expect:\n", "    expect:\n      json: { data: { a: 2 } }\n"),
            ("", "    expect:\n      json: { data: { a: 2 } }\n"),
            ("    # end\n", "    expect:\n      json: { data: { a: 2 } }\n    # end\n"),
            (
                "    expect: { headers: { X-A: old }, json: 1 }\n",
                "    expect: { headers: { X-A: \"new\" }, json: { data: { a: 2 } } }\n",
            ),
            (
                "    expect:\n      status: 400 # was\n      headers:\n        x-a: old\n      text: |\n        one\n        two\n",
                "    expect:\n      status: 200 # was\n      headers:\n        x-a: \"new\"\n      text: \"{\\\"data\\\":{\\\"a\\\":2}}\"\n",
            ),
        ] {
            let wanted = format!("{head}{after}");
            assert_eq!(updated(&format!("{head}{before}"), 200, r#"{"data":{"a":2}}"#), wanted, "{before}");
        }
    }

    #[test]
    fn what_is_missing_is_added() {
        let text = "cases:\n- { name: a, query: a }\n- name: b\n  query: b\n  expect:\n    json: 1\n";
        let wanted = "cases:\n- { name: a, query: a, expect: { status: 400, json: 2 } }\n- name: b\n  query: b\n  expect:\n    \
                      status: 400\n    json: 2\n";
        assert_eq!(updated(text, 400, "2"), wanted);
        let text = "cases:\n- name: a\n  query: a";
        assert_eq!(updated(text, 200, "no JSON"), format!("{text}\n  expect:\n    text: \"no JSON\""));
    }

    #[test]
    fn long_values_are_blocks() {
        let body = format!(r#"{{"data":{{"list":["{}",{{"a":null,"b":"2"}}]}}}}"#, "x".repeat(90));
        let text = "cases:\n- name: a\n  query: a\n  expect:\n    json: 1 # c\n";
        let wanted = format!(
            "cases:\n- name: a\n  query: a\n  expect:\n    json:\n      data:\n        list:\n          - {}\n          - a: ~\n            \
             b: \"2\" # c\n",
            "x".repeat(90)
        );
        assert_eq!(updated(text, 200, &body), wanted);
    }
}
