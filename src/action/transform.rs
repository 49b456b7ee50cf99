//! Request and response transforms: rewrites the request to a handler and its response by templates, as Hasura's REST
//! connectors do. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, header};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::Url;

use crate::kriti::eval::{Environment, evaluate};
use crate::kriti::functions::escape_uri;
use crate::kriti::{Template, TemplateError};
use crate::model::action::Handler;
use crate::model::transform::{BodyTransform, QueryTransform, RequestTransform, ResponseTransform};
use crate::session::Session;

/// Why a transform gives nothing. `Display` names no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {reason}")]
pub struct TransformError {
    /// Which part of the transform, by its key.
    pub part: &'static str,
    /// What is wrong with it.
    pub reason: String,
    /// The same with its place in the template, if it is a template that has no value.
    pub cause: Option<TemplateError>,
}

impl TransformError {
    fn new(part: &'static str, reason: impl Into<String>) -> Self {
        Self { part, reason: reason.into(), cause: None }
    }

    fn of(part: &'static str) -> impl Fn(TemplateError) -> Self {
        move |error| Self { cause: Some(error.clone()), ..Self::new(part, error.to_string()) }
    }
}

/// A request as a handler gets it.
#[derive(Debug)]
pub struct TransformedRequest {
    /// The method.
    pub method: Method,
    /// The address, variables filled in.
    pub url: Url,
    /// All headers.
    pub headers: HeaderMap,
    /// The body; none is empty.
    pub body: Bytes,
}

/// The variables of a request's templates.
pub const REQUEST_VARIABLES: [&str; 4] = ["$body", "$base_url", "$query_params", "$session_variables"];

/// The variables of a response's templates: the response, and the request's below it.
pub const RESPONSE_VARIABLES: [&str; 6] =
    ["$body", "$response", "$request", "$base_url", "$query_params", "$session_variables"];

/// What the templates of one call can look up.
pub struct Lookup<'c> {
    body: Value,
    base_url: Value,
    query_params: Value,
    /// By lower-case name.
    session_variables: Value,
    handler_query: &'c str,
    bytes_max: usize,
}

impl<'c> Lookup<'c> {
    /// For a call of `handler` whose body would be `payload`. Each template may make `bytes_max` bytes.
    #[must_use]
    pub fn new(handler: &'c Handler, payload: &[u8], session: &Session, bytes_max: usize) -> Self {
        // We wrote it ourselves.
        let body = serde_json::from_slice(payload).unwrap_or_default();
        let session_variables = serde_json::to_value(session).unwrap_or_default();
        Self::of(handler.base_url.expose(), &handler.url, body, session_variables, bytes_max)
    }

    /// For a call at `url`, which is `base_url` to templates. Session variables stand under lower-case names.
    #[must_use]
    pub fn of(base_url: &str, url: &'c Url, body: Value, session_variables: Value, bytes_max: usize) -> Self {
        // A parameter without a value, as in `?flag`, has null for it.
        let pairs = read_pairs(url.query().unwrap_or_default());
        let pairs = pairs.into_iter().map(|(name, value)| json!([name, value]));
        Self {
            body,
            base_url: Value::from(base_url),
            query_params: pairs.collect(),
            session_variables,
            handler_query: url.query().unwrap_or_default(),
            bytes_max,
        }
    }

    fn evaluate<'e>(
        &'e self,
        template: &Template,
        more: Vec<(&'e str, Cow<'e, Value>)>,
    ) -> Result<Value, TemplateError> {
        let mut variables = more;
        // Of two with one name the first counts: a response's body stands before the request's.
        variables.extend([
            ("$body", Cow::Borrowed(&self.body)),
            ("$base_url", Cow::Borrowed(&self.base_url)),
            ("$query_params", Cow::Borrowed(&self.query_params)),
            ("$session_variables", Cow::Borrowed(&self.session_variables)),
        ]);
        let session_variable = |name: &str| Some(self.session_variables.get(name)?.as_str()?.to_owned());
        evaluate(template, &Environment { variables, session_variable: &session_variable }, self.bytes_max)
    }

    fn text(&self, part: &'static str, template: &Template) -> Result<String, TransformError> {
        self.evaluate(template, Vec::new()).map(plain_text).map_err(TransformError::of(part))
    }
}

/// Rewrites a request, which is `untransformed` without it.
///
/// # Errors
/// [`TransformError`]; the call must then not be made.
pub fn request(
    transform: &RequestTransform,
    lookup: &Lookup<'_>,
    untransformed: TransformedRequest,
) -> Result<TransformedRequest, TransformError> {
    let TransformedRequest { method, url: handler_url, headers, body } = untransformed;
    let mut url = match &transform.url {
        Some(template) => checked_url(&lookup.text("url", template)?, &handler_url)?,
        None => handler_url,
    };
    if let Some(query) = &transform.query {
        let written = written(&query_pairs(query, lookup)?);
        url.set_query((!written.is_empty()).then_some(written.as_str()));
    }
    let (headers, body) = content(transform, lookup, headers, body)?;
    Ok(TransformedRequest { method: transform.method.clone().unwrap_or(method), url, headers, body })
}

/// Runs a transform on a sample, for its author. Nothing is sent, so its address may be any.
///
/// # Errors
/// [`TransformError`].
pub fn preview(
    transform: &RequestTransform,
    lookup: &Lookup<'_>,
    untransformed: TransformedRequest,
) -> Result<(String, HeaderMap, Bytes), TransformError> {
    let mut url = match &transform.url {
        Some(template) => lookup.text("url", template)?,
        None => untransformed.url.to_string(),
    };
    if Url::parse(&url).is_err() {
        return Err(TransformError::new("url", "Invalid URL"));
    }
    if let Some(query) = &transform.query {
        let written = written(&query_pairs(query, lookup)?);
        url.truncate(url.find(['?', '#']).unwrap_or(url.len()));
        if !written.is_empty() {
            url = format!("{url}?{written}");
        }
    }
    let (headers, body) = content(transform, lookup, untransformed.headers, untransformed.body)?;
    Ok((url, headers, body))
}

/// Headers and body as a transform makes them.
fn content(
    transform: &RequestTransform,
    lookup: &Lookup<'_>,
    mut headers: HeaderMap,
    body: Bytes,
) -> Result<(HeaderMap, Bytes), TransformError> {
    let body = match &transform.body {
        BodyTransform::Keep => body,
        BodyTransform::Remove => {
            headers.remove(header::CONTENT_TYPE);
            Bytes::new()
        }
        BodyTransform::Json(template) => {
            lookup.evaluate(template, Vec::new()).map_err(TransformError::of("body"))?.to_string().into()
        }
        BodyTransform::Form(fields) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            form(fields, |template| lookup.evaluate(template, Vec::new()))?.into()
        }
    };
    for name in &transform.remove_headers {
        headers.remove(name);
    }
    for (name, template) in &transform.add_headers {
        let value = header_value(name, &lookup.text("request_headers", template)?)?;
        headers.insert(name.clone(), value);
    }
    Ok((headers, body))
}

/// Rewrites the value of a response; `body` is null where it was no JSON.
///
/// # Errors
/// [`TransformError`].
pub fn response(
    transform: &ResponseTransform,
    lookup: &Lookup<'_>,
    status: u16,
    body: Value,
) -> Result<Value, TransformError> {
    let (response, request) = (json!({ "status": status }), request_value(transform, lookup));
    let evaluate = |template: &Template, body: &Value| {
        let variables = vec![
            ("$body", Cow::Borrowed(body)),
            ("$response", Cow::Borrowed(&response)),
            ("$request", Cow::Borrowed(&request)),
        ];
        lookup.evaluate(template, variables)
    };
    match &transform.body {
        BodyTransform::Keep => Ok(body),
        BodyTransform::Remove => Ok(Value::Null),
        BodyTransform::Json(template) => evaluate(template, &body).map_err(TransformError::of("body")),
        BodyTransform::Form(fields) => form(fields, |template| evaluate(template, &body)).map(Value::String),
    }
}

/// The request, as a response's templates see it. It is large, and few templates use it.
fn request_value(transform: &ResponseTransform, lookup: &Lookup<'_>) -> Value {
    let uses_request = |template: &Template| template.source().contains("$request");
    let is_asked_for = match &transform.body {
        BodyTransform::Keep | BodyTransform::Remove => false,
        BodyTransform::Json(template) => uses_request(template),
        BodyTransform::Form(fields) => fields.iter().any(|(_, template)| uses_request(template)),
    };
    if !is_asked_for {
        return Value::Null;
    }
    json!({
        "body": lookup.body,
        "base_url": lookup.base_url,
        "query_params": lookup.query_params,
        "session_variables": lookup.session_variables,
    })
}

/// The value must be one that a header can carry; it is not shown, for it may be a secret.
fn header_value(name: &HeaderName, text: &str) -> Result<HeaderValue, TransformError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        let reason = format!("the value of the header \"{name}\" holds characters that a header cannot carry");
        TransformError::new("request_headers", reason)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// An address that a template made. Input may be part of it, so it must not lead anywhere but to the handler's origin,
/// nor up in its path.
fn checked_url(text: &str, handler: &Url) -> Result<Url, TransformError> {
    let reject = |reason: &str| Err(TransformError::new("url", reason));
    if text.chars().any(|character| character <= ' ' || character == '\u{7f}' || character == '\\') {
        return reject("the address holds white space, control characters or backslashes; use escapeUri");
    }
    let Ok(url) = Url::parse(text) else { return reject("Invalid URL") };
    let origin = |url: &Url| {
        let login = (url.username().to_owned(), url.password().map(str::to_owned));
        (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default(), login)
    };
    if origin(&url) != origin(handler) {
        return reject("the address leads to another scheme, host, port or login than the handler's");
    }
    let path = text.split(['?', '#']).next().unwrap_or_default();
    if path.split('/').any(is_dots) {
        return reject("the path holds \".\" or \"..\"; use escapeUri");
    }
    Ok(url)
}

/// Does any server take a part of this for a way up? Some decode twice; some leave out what follows a semicolon, or a
/// control character.
fn is_dots(segment: &str) -> bool {
    let ends_name = |character: char| character == ';' || character.is_control();
    let is_way_up = |part: &str| matches!(part.split(ends_name).next(), Some("." | ".."));
    let mut text = Cow::Borrowed(segment);
    for _ in 0..DECODINGS_MAX {
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        // A slash or a backslash in its escaped form is a separator to many servers.
        if decoded.split(['/', '\\']).any(is_way_up) {
            return true;
        }
        if decoded == text {
            return false;
        }
        text = Cow::Owned(decoded);
    }
    // No legitimate path is escaped that often.
    true
}

/// How often an escape of an escape is followed.
const DECODINGS_MAX: usize = 5;

/// A string as it is, anything else as JSON.
fn plain_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Hasura drops headers and parameters whose name or value is `null`.
fn query_pairs(query: &QueryTransform, lookup: &Lookup<'_>) -> Result<Pairs, TransformError> {
    const PART: &str = "query_params";
    let mut pairs = Pairs::new();
    match query {
        QueryTransform::Input => {
            pairs.extend(read_pairs(lookup.handler_query));
            let input = lookup.body.get("input").and_then(Value::as_object);
            let given = input.into_iter().flatten().filter(|(_, value)| !value.is_null());
            pairs.extend(given.map(|(name, value)| (name.clone(), Some(plain_text(value.clone())))));
        }
        QueryTransform::Pairs(templates) => {
            for (name, value) in templates {
                let name = lookup.text(PART, name)?;
                let value = value.as_ref().map(|value| lookup.text(PART, value)).transpose()?;
                if name != NULL && value.as_deref() != Some(NULL) {
                    pairs.push((name, value));
                }
            }
        }
        QueryTransform::Text(template) => {
            let text = lookup.text(PART, template)?;
            pairs.extend(read_pairs(text.strip_prefix('?').unwrap_or(&text)));
        }
    }
    Ok(pairs)
}

/// The parameters of a query: names, and values where there are some.
type Pairs = Vec<(String, Option<String>)>;

fn read_pairs(query: &str) -> Pairs {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let parts = query.split('&').filter(|part| !part.is_empty());
    let pair = |part: &str| match part.split_once('=') {
        Some((name, value)) => (decode(name), Some(decode(value))),
        None => (decode(part), None),
    };
    parts.map(pair).collect()
}

fn written(pairs: &Pairs) -> String {
    let written = pairs.iter().map(|(name, value)| match value {
        Some(value) => format!("{}={}", escape_uri(name), escape_uri(value)),
        None => escape_uri(name),
    });
    written.collect::<Vec<_>>().join("&")
}

/// Adds those parameters of the client's URL that are to be sent on.
pub fn forward_query(url: &mut Url, client_query: &str, names: &[String]) {
    // Most actions want none, and a GET has its whole document there.
    if names.is_empty() {
        return;
    }
    let mut pairs = read_pairs(client_query);
    pairs.retain(|(name, _)| names.contains(name));
    if pairs.is_empty() {
        return;
    }
    let (own, more) = (url.query().unwrap_or_default(), written(&pairs));
    let query = if own.is_empty() { more } else { format!("{own}&{more}") };
    url.set_query(Some(&query));
}

/// How a missing value looks in text.
const NULL: &str = "null";

fn form(
    fields: &[(String, Template)],
    evaluate: impl Fn(&Template) -> Result<Value, TemplateError>,
) -> Result<String, TransformError> {
    let mut written = Vec::with_capacity(fields.len());
    for (name, template) in fields {
        let value = evaluate(template).map(plain_text).map_err(TransformError::of("form_template"))?;
        if value != NULL {
            written.push(format!("{}={}", escape_uri(name), escape_uri(&value)));
        }
    }
    Ok(written.join("&"))
}
