//! The preview of an action's transforms on sample input: what its handler would be sent and what would become of its response.

use std::sync::Arc;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::action::payload;
use crate::action::transform::{Lookup, TransformError, TransformedRequest, preview, response};
use crate::config::json_nodes::node_of;
use crate::config::transform::{read_request, read_response};
use crate::console::Console;
use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply, diagnostics_json};
use crate::model::limits::Limits;
use crate::model::source::{Diagnostic, Severity, Source, SourceLocation};
use crate::session::Session;

/// A transform and what it is tried on.
#[derive(Deserialize)]
#[serde(default)]
struct PreviewRequest {
    action: Option<String>,
    request_transform: Option<Value>,
    response_transform: Option<Value>,
    input: Map<String, Value>,
    session_variables: Map<String, Value>,
    query: Option<String>,
    response: Option<SampleResponse>,
}

/// A response of a handler.
#[derive(Clone, Deserialize)]
struct SampleResponse {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    body: Value,
}

fn ok() -> u16 {
    200
}

impl Default for PreviewRequest {
    fn default() -> Self {
        Self {
            action: None,
            request_transform: None,
            response_transform: None,
            input: Map::new(),
            session_variables: Map::new(),
            query: None,
            response: None,
        }
    }
}

/// Where a handler is if it is not known: nothing is sent there.
const ANY_HANDLER: &str = "http://handler.invalid/";

/// Runs the transforms on the sample.
pub(super) fn preview_transforms(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let sample: PreviewRequest = request.json()?;
    let url = handler_url(console, sample.action.as_deref())?;
    let name = sample.action.as_deref().unwrap_or("action");
    let session = session(&sample.session_variables)?;
    let query = sample.query.as_deref().unwrap_or_default();
    let payload = payload::body(name, &sample.input, &session, query).map_err(|_| ApiError::internal())?;
    let body: Value = serde_json::from_slice(&payload).unwrap_or_default();
    let session_variables = body.get("session_variables").cloned().unwrap_or_default();
    let bytes_max = Limits::default().max_template_output_size;
    let lookup = Lookup::of(url.as_str(), &url, body.clone(), session_variables, bytes_max);
    let mut diagnostics = Vec::new();
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let before = request_json(Method::POST.as_str(), url.as_str(), &headers, &payload);
    let transform = sample.request_transform.filter(|value| !value.is_null());
    let request = transform.map(|json| {
        let untransformed =
            TransformedRequest { method: Method::POST, url: url.clone(), headers, body: payload.into() };
        json!({ "before": before, "after": transformed(&json, &lookup, untransformed, &mut diagnostics) })
    });
    let transform = sample.response_transform.filter(|value| !value.is_null());
    let response = transform.map(|json| {
        let given = sample.response.clone().unwrap_or(SampleResponse { status: 200, body: json!({}) });
        let after = transformed_response(&json, &lookup, &given, &mut diagnostics);
        json!({ "before": { "status": given.status, "body": given.body }, "after": after })
    });
    Ok(Reply::json(&json!({
        "request": request,
        "response": response,
        "diagnostics": diagnostics_json(&diagnostics),
    })))
}

/// The address as it is written: variables in it are shown as such, as their values may be secrets.
fn handler_url(console: &Console, name: Option<&str>) -> Result<Url, ApiError> {
    let snapshot = console.services.snapshot.load();
    let mut actions = snapshot.catalog.schema.actions.values();
    let known = name.and_then(|name| actions.find(|action| action.name == name));
    let url = known.and_then(|action| action.shown_url().parse().ok());
    url.map_or_else(|| Url::parse(ANY_HANDLER).map_err(|_| ApiError::internal()), Ok)
}

fn session(variables: &Map<String, Value>) -> Result<Session, ApiError> {
    let mut all: Map<String, Value> =
        variables.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    all.entry("x-hasura-role").or_insert_with(|| "admin".into());
    Session::stored(all).ok_or_else(|| ApiError::bad_request("session_variables: values must be strings"))
}

fn request_json(method: &str, url: &str, headers: &HeaderMap, body: &[u8]) -> Value {
    let mut headers: Vec<(&str, String)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    headers.sort();
    let body = serde_json::from_slice(body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(body)));
    json!({ "method": method, "url": url, "headers": headers, "body": body })
}

fn transformed(
    json: &Value,
    lookup: &Lookup<'_>,
    untransformed: TransformedRequest,
    diagnostics: &mut Vec<Diagnostic>,
) -> Value {
    let start = diagnostics.len();
    let transform = read_request(&node_of(json), diagnostics);
    place(diagnostics, start, json, "request_transform");
    let has_failed = diagnostics.iter().skip(start).any(|found| found.severity == Severity::Error);
    let Some(transform) = transform.filter(|_| !has_failed) else { return Value::Null };
    let method = transform.method.clone().unwrap_or(Method::POST);
    match preview(&transform, lookup, untransformed) {
        Ok((url, headers, body)) => request_json(method.as_str(), &url, &headers, &body),
        Err(error) => {
            diagnostics.push(failed(&error, json, "request_transform"));
            Value::Null
        }
    }
}

fn transformed_response(
    json: &Value,
    lookup: &Lookup<'_>,
    given: &SampleResponse,
    diagnostics: &mut Vec<Diagnostic>,
) -> Value {
    let start = diagnostics.len();
    let transform = read_response(&node_of(json), diagnostics);
    place(diagnostics, start, json, "response_transform");
    let has_failed = diagnostics.iter().skip(start).any(|found| found.severity == Severity::Error);
    let Some(transform) = transform.filter(|_| !has_failed) else { return Value::Null };
    match response(&transform, lookup, given.status, given.body.clone()) {
        Ok(body) => json!({ "status": given.status, "body": body }),
        Err(error) => {
            diagnostics.push(failed(&error, json, "response_transform"));
            Value::Null
        }
    }
}

/// The templates of a transform with their paths.
fn templates(json: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match json {
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
            templates(item, &format!("{path}[{index}]"), found);
        }),
        Value::Object(members) => {
            for (key, value) in members {
                templates(value, &format!("{path}.{key}"), found);
            }
        }
        _ => {}
    }
}

/// What is wrong with a template that was just read is placed in its text: its message ends with line and column.
fn place(diagnostics: &mut [Diagnostic], start: usize, json: &Value, root: &str) {
    let mut texts = Vec::new();
    templates(json, root, &mut texts);
    for found in diagnostics.iter_mut().skip(start) {
        let error = texts.iter().find_map(|(path, text)| {
            let is_body = path.contains(".body");
            let parsed = if is_body { crate::kriti::parse::parse(text) } else { crate::kriti::parse::parse_text(text) };
            let error = parsed.err()?;
            (found.message == error.to_string()).then_some((path, text, error))
        });
        found.place = error.map(|(path, text, error)| {
            let source = Arc::new(Source::new(path.as_str(), text.as_str()));
            SourceLocation::new(&source, error.line, error.column)
        });
    }
}

/// An error of the evaluation, in the template that it came from.
fn failed(error: &TransformError, json: &Value, root: &str) -> Diagnostic {
    let mut texts = Vec::new();
    templates(json, root, &mut texts);
    let part = format!("{root}.{}", error.part);
    let of_part = |path: &str| path.starts_with(&part) || (error.part == "query" && path.contains(".query_params"));
    let Some(cause) = &error.cause else { return Diagnostic::error(None, error.to_string(), "correct the template") };
    let fits = |text: &str| {
        text.lines().nth(cause.line.saturating_sub(1)).is_some_and(|line| line.chars().count() + 1 >= cause.column)
    };
    let template = texts.iter().find(|(path, text)| of_part(path) && text.contains("{{") && fits(text));
    let place = template.map(|(path, text)| {
        let source = Arc::new(Source::new(path.as_str(), text.as_str()));
        SourceLocation::new(&source, cause.line, cause.column)
    });
    Diagnostic::error(place, format!("{}: {}", error.part, cause.message), "correct the template, or the sample")
}
