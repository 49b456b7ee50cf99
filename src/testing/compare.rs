//! Compares what a case expects with what happened.

use http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value};
use similar::TextDiff;

use crate::testing::case::{Expectation, Seen};
use crate::testing::scripted_handlers::SeenRequest;

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Mismatch {
    /// What was compared.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What there was instead.
    pub got: String,
}

impl Mismatch {
    pub(crate) fn new(what: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { what: what.into(), expected: expected.into(), got: got.into() }
    }

    /// Expected and got: beside one another if each is one line, otherwise as a diff.
    #[must_use]
    pub(crate) fn shown(&self) -> String {
        if !self.expected.contains('\n') && !self.got.contains('\n') {
            return format!("- {}\n+ {}\n", self.expected, self.got);
        }
        let lines = |text: &str| format!("{}\n", text.trim_end_matches('\n'));
        let (expected, got) = (lines(&self.expected), lines(&self.got));
        let diff = TextDiff::from_lines(&expected, &got);
        let mut shown = String::new();
        for (index, hunk) in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks().enumerate() {
            if index > 0 {
                shown.push_str("  …\n");
            }
            for change in hunk.iter_changes() {
                let line = format!("{} {}", change.tag(), change.value());
                shown.push_str(line.trim_end());
                shown.push('\n');
            }
        }
        shown
    }
}

/// Equal lines around others in a diff.
const CONTEXT_LINES: usize = 3;

/// What the client got.
#[derive(Clone, Debug)]
pub(crate) struct ClientResponse {
    /// The status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
}

impl ClientResponse {
    /// The body as JSON, if it is that.
    #[must_use]
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

/// Compares the response to the client.
#[must_use]
pub(crate) fn response(expected: &Expectation, got: &ClientResponse) -> Vec<Mismatch> {
    let mut found = Vec::new();
    if expected.status != got.status {
        found.push(Mismatch::new("status", expected.status.to_string(), got.status.to_string()));
    }
    for (name, values) in &expected.headers {
        let is = values_of(&got.headers, name.as_str());
        if *values != is {
            found.push(Mismatch::new(format!("header {name}"), listed(values), listed(&is)));
        }
    }
    if let Some(json) = &expected.json {
        match got.json() {
            None => found.push(Mismatch::new("body", pretty(json), got.body.clone())),
            Some(mut is) => {
                for path in &expected.ignore {
                    take_over(json, &mut is, path);
                }
                if !are_equal(json, &is) {
                    found.push(Mismatch::new("body", pretty(json), pretty(&in_order_of(json, is))));
                }
            }
        }
    }
    if let Some(text) = expected.text.as_ref().filter(|text| **text != got.body) {
        found.push(Mismatch::new("body", text.clone(), got.body.clone()));
    }
    for part in expected.contains.iter().filter(|part| !got.body.contains(*part)) {
        found.push(Mismatch::new("body contains", part.clone(), got.body.clone()));
    }
    for part in expected.lacks.iter().filter(|part| got.body.contains(*part)) {
        found.push(Mismatch::new("body lacks", part.clone(), got.body.clone()));
    }
    found
}

/// Compares the requests that handlers or the upstream got, which are a `what` each.
#[must_use]
pub(crate) fn seen(what: &str, wanted: &[Seen], got: &[SeenRequest]) -> Vec<Mismatch> {
    if wanted.len() != got.len() {
        let names: Vec<&str> = got.iter().map(|one| one.action.as_deref().unwrap_or(&one.path)).collect();
        let listed = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        let count = format!("{}{listed}", got.len());
        return vec![Mismatch::new(format!("{what}, number of them"), wanted.len().to_string(), count)];
    }
    let pairs = wanted.iter().zip(got).enumerate();
    pairs.flat_map(|(index, (wanted, got))| seen_one(&format!("{what} {}", index + 1), &wanted.wanted, got)).collect()
}

fn seen_one(what: &str, wanted: &Map<String, Value>, got: &SeenRequest) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let mut text = |part: &str, wanted: &Value, is: &str| {
        let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        if wanted != is {
            found.push(Mismatch::new(format!("{what}, {part}"), wanted, is));
        }
    };
    let body = String::from_utf8_lossy(&got.body).into_owned();
    let json: Value = serde_json::from_str(&body).unwrap_or_default();
    let mut values = Vec::new();
    for (key, value) in wanted {
        match (key.as_str(), value) {
            ("action", Value::String(_)) => text("action", value, got.action.as_deref().unwrap_or_default()),
            ("method", _) => text("method", value, &got.method),
            ("url", _) => text("url", value, &got.url),
            ("path", _) => text("path", value, &got.path),
            ("text", _) => text("text", value, &body),
            ("headers", Value::Object(headers)) => {
                for (name, value) in headers {
                    let wanted = header_values(value);
                    let is = values_of(&got.headers, name);
                    if wanted != is {
                        text(&format!("header {name}"), &listed(&wanted).into(), &listed(&is));
                    }
                }
            }
            ("json", _) => values.push((key, value, &json)),
            ("query", Value::String(query)) => {
                let is = json.get("query").and_then(Value::as_str).unwrap_or_default();
                if on_one_line(query) != on_one_line(is) {
                    text("query", &on_one_line(query).into(), &on_one_line(is));
                }
            }
            _ => values.push((key, value, json.get(key).unwrap_or(&Value::Null))),
        }
    }
    for (key, value, is) in values {
        if !are_equal(value, is) {
            let is = pretty(&in_order_of(value, is.clone()));
            found.push(Mismatch::new(format!("{what}, {key}"), pretty(value), is));
        }
    }
    found
}

/// Space in a document means nothing, and where Pillion has taken fields out there is more of it.
fn on_one_line(document: &str) -> String {
    document.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn header_values(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(text).collect(),
        value => vec![text(value)],
    }
}

fn values_of(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

fn listed(values: &[String]) -> String {
    if values.is_empty() { "absent".to_owned() } else { values.join(", ") }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// The same value; the order of keys means nothing, and neither does how a fraction is spelled.
fn are_equal(wanted: &Value, is: &Value) -> bool {
    match (wanted, is) {
        (Value::Number(wanted), Value::Number(is)) => {
            let (wanted, is) = (wanted.to_string(), is.to_string());
            let is_fraction = |text: &str| text.contains(['.', 'e', 'E']);
            let equals = || wanted.parse::<f64>().ok() == is.parse::<f64>().ok();
            wanted == is || ((is_fraction(&wanted) || is_fraction(&is)) && equals())
        }
        (Value::Array(wanted), Value::Array(is)) => {
            wanted.len() == is.len() && wanted.iter().zip(is).all(|(wanted, is)| are_equal(wanted, is))
        }
        (Value::Object(wanted), Value::Object(is)) => {
            let has = |(key, wanted): (&String, &Value)| is.get(key).is_some_and(|is| are_equal(wanted, is));
            wanted.len() == is.len() && wanted.iter().all(has)
        }
        _ => wanted == is,
    }
}

/// The same with its keys in the order of `model`, so that a diff shows what differs.
fn in_order_of(model: &Value, value: Value) -> Value {
    match (model, value) {
        (Value::Object(model), Value::Object(mut entries)) => {
            let mut ordered = Map::new();
            for (key, model) in model {
                if let Some(value) = entries.shift_remove(key) {
                    ordered.insert(key.clone(), in_order_of(model, value));
                }
            }
            ordered.extend(entries);
            Value::Object(ordered)
        }
        (Value::Array(models), Value::Array(items)) => {
            let null = Value::Null;
            let models = models.iter().chain(std::iter::repeat(&null));
            Value::Array(items.into_iter().zip(models).map(|(item, model)| in_order_of(model, item)).collect())
        }
        (_, value) => value,
    }
}

/// Makes what is at `path`, if anything is, what is expected there: another value, or nothing.
pub(crate) fn take_over(wanted: &Value, is: &mut Value, path: &str) {
    let pointer: String = path.split('.').flat_map(|part| ["/", part]).collect();
    match (wanted.pointer(&pointer), is.pointer_mut(&pointer)) {
        (Some(wanted), Some(is)) => *is = wanted.clone(),
        (None, Some(_)) => {
            let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
            if let Some(Value::Object(parent)) = is.pointer_mut(parent) {
                parent.shift_remove(name);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_compared_by_what_they_mean() {
        for (wanted, is, equal) in [
            ("1.50", "1.5", true),
            ("1", "1.0", true),
            ("9007199254740993", "9007199254740992", false),
            (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, true),
            (r#"{"a":null}"#, "{}", false),
            ("[1,2]", "[2,1]", false),
        ] {
            let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            assert_eq!(are_equal(&value(wanted), &value(is)), equal, "{wanted} {is}");
        }
    }

    #[test]
    fn a_diff_shows_what_differs() {
        let wanted = json!({ "data": { "a": 1, "b": [1, 2], "c": "x" } });
        let is = json!({ "data": { "c": "x", "b": [1, 3], "a": 1 } });
        let mismatch = Mismatch::new("body", pretty(&wanted), pretty(&in_order_of(&wanted, is)));
        let shown = mismatch.shown();
        assert!(shown.contains("\n-       2\n+       3\n"), "{shown}");
        assert!(!shown.contains("- {") && !shown.contains("+     \"c\""), "{shown}");
        assert_eq!(Mismatch::new("status", "200", "400").shown(), "- 200\n+ 400\n");
    }

    #[test]
    fn ignored_values_are_not_compared() {
        let wanted = json!({ "data": { "id": "any", "state": "sent" } });
        let mut is = json!({ "data": { "id": "8f3", "state": "sent", "at": 1 } });
        take_over(&wanted, &mut is, "data.at");
        take_over(&wanted, &mut is, "data.id");
        take_over(&wanted, &mut is, "data.gone");
        assert_eq!(wanted, is);
    }
}
