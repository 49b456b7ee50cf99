//! `test_webhook_transform`: the result of a request transform for a sample, for Hasura's console and authors of
//! transforms. Nothing is sent, and of the environment only the request's own variables are known.

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use url::Url;

use crate::action::template;
use crate::action::template::TemplateError;
use crate::action::transform::{Lookup, TransformError, TransformedRequest, preview};
use crate::config::json_nodes::node_of;
use crate::config::transform::{read_request, read_response};
use crate::metadata_api::error::{ApiError, Members};
use crate::model::action::ValuePiece;
use crate::model::limits::Limits;
use crate::model::source::{Diagnostic, Severity};
use crate::model::transform::RequestTransform;

/// A transform and the sample that it is tried with.
#[derive(Debug)]
pub(crate) struct TransformTest {
    base_url: String,
    url: Url,
    headers: HeaderMap,
    body: Value,
    transform: RequestTransform,
    /// By lower-case name; null if there are none.
    session_variables: Value,
}

impl TransformTest {
    /// Reads the arguments of the command.
    ///
    /// # Errors
    /// What is not well-formed in them, a template that does not parse, a variable without a sample value.
    pub(crate) fn read(args: &Value) -> Result<Self, ApiError> {
        let members = Members::of(args, "$")?;
        let environment = match members.get("env") {
            Some(env) => texts(env, &members.path("env"))?,
            None => Map::new(),
        };
        let base_url = read_url(&members, &environment)?;
        let url = Url::parse(&base_url).map_err(|error| {
            let reason = json!([{ "error_code": "Request Initialization Error", "message": error.to_string() }]);
            invalid(reason)
        })?;
        let session_variables = match members.get("session_variables") {
            Some(variables) => {
                let variables = texts(variables, &members.path("session_variables"))?.into_iter();
                variables.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect::<Map<_, _>>().into()
            }
            None => Value::Null,
        };
        Ok(Self {
            base_url,
            url,
            headers: read_headers(&members, &environment)?,
            body: members.get("body").cloned().unwrap_or_default(),
            transform: read_transforms(&members)?,
            session_variables,
        })
    }

    /// What the handler would be sent.
    ///
    /// # Errors
    /// A template that has no value.
    pub(crate) fn run(self) -> Result<Value, ApiError> {
        let Self { base_url, url, headers, body, transform, session_variables } = self;
        let bytes_max = Limits::default().max_template_output_size;
        let lookup = Lookup::of(&base_url, &url, body.clone(), session_variables, bytes_max);
        // Hasura's preview knows no other method either, where the transform does not choose one.
        let method = transform.method.clone().unwrap_or(Method::GET);
        let body = body.to_string();
        let sample = TransformedRequest { method: method.clone(), url: url.clone(), headers, body: body.into() };
        let (url, headers, body) = preview(&transform, &lookup, sample).map_err(|error| unevaluated(&error))?;
        let mut headers: Vec<(&str, String)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        headers.sort();
        Ok(json!({ "webhook_url": url, "method": method.as_str(), "headers": headers, "body": shown_body(&body) }))
    }
}

/// JSON as it is, a form as a string.
fn shown_body(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}

fn texts(value: &Value, path: &str) -> Result<Map<String, Value>, ApiError> {
    let members = Members::of(value, path)?;
    let object = value.as_object().cloned().unwrap_or_default();
    for name in object.keys() {
        members.text(name)?;
    }
    Ok(object)
}

/// `webhook_url`: a template, or `{from_env: NAME}`.
fn read_url(members: &Members<'_>, environment: &Map<String, Value>) -> Result<String, ApiError> {
    match members.required("webhook_url")? {
        place @ Value::Object(_) => {
            let place = Members::of(place, members.path("webhook_url"))?;
            let name = place.text("from_env")?;
            let value = environment.get(name).and_then(Value::as_str).map(str::to_owned);
            value.ok_or_else(|| missing(name))
        }
        _ => filled_in(members.text("webhook_url")?, environment),
    }
}

/// A template with the sample values of its variables.
fn filled_in(text: &str, environment: &Map<String, Value>) -> Result<String, ApiError> {
    let value = |name: &str| environment.get(name).and_then(Value::as_str).map(str::to_owned);
    let pieces = template::compile(text, &value).map_err(|error| match error {
        TemplateError::Missing { name, .. } => missing(&name),
        error => ApiError::new("parse-failed", format!("Invalid Url Template: {error}")),
    })?;
    let piece = |piece: &ValuePiece| match piece {
        ValuePiece::Text(text) => Some(text.expose().to_owned()),
        ValuePiece::RequestId | ValuePiece::SessionVariable(_) => None,
    };
    let text: Option<String> = pieces.iter().map(piece).collect();
    text.ok_or_else(|| ApiError::new("parse-failed", "Invalid Url Template: only sample variables can stand in it"))
}

fn missing(name: &str) -> ApiError {
    let error =
        format!("Missing Env Var: {name}. The server's own variables are not used here: give it a value in \"env\"");
    ApiError::new("not-found", error)
}

/// `request_headers`: pairs of names and templates.
fn read_headers(members: &Members<'_>, environment: &Map<String, Value>) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::new();
    for (index, pair) in members.list("request_headers")?.iter().enumerate() {
        let header = || {
            let [name, value] = pair.as_array()?.as_slice() else { return None };
            Some((HeaderName::try_from(name.as_str()?).ok()?, value.as_str()?))
        };
        let path = format!("{}[{index}]", members.path("request_headers"));
        let wrong = || ApiError::parse(path.clone(), "expected a header: its name and its value");
        let (name, value) = header().ok_or_else(wrong)?;
        let value = HeaderValue::try_from(filled_in(value, environment)?).map_err(|_| wrong())?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn read_transforms(members: &Members<'_>) -> Result<RequestTransform, ApiError> {
    let mut diagnostics = Vec::new();
    let transform = read_request(&node_of(members.required("request_transform")?), &mut diagnostics);
    if let Some(response) = members.get("response_transform") {
        read_response(&node_of(response), &mut diagnostics);
    }
    diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    let parse_error = |diagnostic: &Diagnostic| json!({ "error_code": "Parse Error", "message": diagnostic.message });
    let rejected = || invalid(diagnostics.iter().map(parse_error).collect());
    if diagnostics.is_empty() { transform.ok_or_else(rejected) } else { Err(rejected()) }
}

fn unevaluated(error: &TransformError) -> ApiError {
    let reason = match &error.cause {
        Some(cause) => json!({
            "error_code": "Evaluation Error",
            "message": format!("{}: {}", error.part, cause.message),
            "source_position": {
                "start_line": cause.line, "start_column": cause.column, "end_line": cause.line, "end_column": cause.column,
            },
        }),
        None => json!({ "error_code": "Transformation Error", "message": error.to_string() }),
    };
    invalid(json!([reason]))
}

fn invalid(reasons: Value) -> ApiError {
    let error = ApiError::new("validation-failed", "request transform validation failed");
    ApiError { internal: Some(Box::new(reasons)), ..error }
}
