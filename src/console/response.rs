//! What the console responds with: pages, JSON and errors, each with the headers that keep a browser from doing more with it.

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use crate::model::source::Diagnostic;
use crate::openapi::imported::Variable;

/// A response.
pub(crate) struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, those of security among them.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Body,
}

/// What a stream gives its page.
pub(crate) type EventReceiver = Receiver<Bytes>;

/// The body of a response.
pub(crate) enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// What comes by and by.
    Stream(EventReceiver),
}

/// Nothing of another origin is loaded, no script or style stands in a page, no text becomes markup, and no page of others
/// shows this one.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

impl Response {
    /// A response that browsers take for what it is and do not keep.
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
        add(header::CONTENT_TYPE, content_type);
        add(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
        add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        add(header::REFERRER_POLICY, "no-referrer");
        add(header::X_FRAME_OPTIONS, "DENY");
        add(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        add(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
        add(header::CACHE_CONTROL, "no-store");
        Self { status, headers, body: Body::Whole(body) }
    }

    /// The response to a request that gets nothing: JSON below the API, a text elsewhere.
    pub(crate) fn rejected(head: &Parts, status: StatusCode, reason: &str) -> Self {
        if super::is_api(head.uri.path()) {
            ApiError::new(status, reason).into_response()
        } else {
            Self::text(status, reason)
        }
    }

    /// Leads to another page.
    pub(crate) fn redirect(status: StatusCode, location: &'static str) -> Self {
        let mut response = Self::new(status, TEXT, Vec::new());
        response.headers.insert(header::LOCATION, HeaderValue::from_static(location));
        response
    }

    /// A short text for a person.
    pub(crate) fn text(status: StatusCode, text: &str) -> Self {
        Self::new(status, TEXT, format!("{text}\n").into_bytes())
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What an endpoint gives.
pub(super) type ApiResult = Result<Reply, ApiError>;

/// A response of the API that is no error.
pub(super) struct Reply(Response);

impl Reply {
    pub(super) fn json(value: &Value) -> Self {
        Self(Response::new(StatusCode::OK, JSON, value.to_string().into_bytes()))
    }

    /// Nothing but a cookie, if there is one.
    pub(super) fn no_content(cookie: Option<HeaderValue>) -> Self {
        let mut response = Response::new(StatusCode::NO_CONTENT, JSON, Vec::new());
        response.headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
        Self(response)
    }

    /// Server-sent events.
    pub(super) fn stream(events: EventReceiver) -> Self {
        let response = Response::new(StatusCode::OK, "text/event-stream", Vec::new());
        Self(Response { body: Body::Stream(events), ..response })
    }

    /// A file to be saved under a name that is made of our own words only.
    pub(super) fn download(content_type: &'static str, name: &str, body: Vec<u8>) -> Self {
        let mut response = Response::new(StatusCode::OK, content_type, body);
        let is_plain = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
        let name: String = name.chars().filter(is_plain).collect();
        let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
        response.headers.extend(disposition.map(|value| (header::CONTENT_DISPOSITION, value)));
        Self(response)
    }

    pub(super) fn into_response(self) -> Response {
        self.0
    }
}

/// Why an endpoint gives nothing.
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
    diagnostics: Vec<Diagnostic>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), diagnostics: Vec::new() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "there is nothing at this path for this method")
    }

    /// What cannot happen.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error (bug), please report")
    }

    /// What is wrong with something that was sent, or with the files.
    pub(super) fn invalid(diagnostics: Vec<Diagnostic>) -> Self {
        let message = diagnostics.first().map_or_else(|| "this cannot be used".to_owned(), Diagnostic::on_one_line);
        Self { diagnostics, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, message) }
    }

    pub(super) fn into_response(self) -> Response {
        let Self { status, message, diagnostics } = self;
        let mut error = json!({ "message": message });
        if let (false, Some(members)) = (diagnostics.is_empty(), error.as_object_mut()) {
            members.insert("diagnostics".into(), diagnostics.iter().map(diagnostic_json).collect());
        }
        Response::new(status, JSON, json!({ "error": error }).to_string().into_bytes())
    }
}

/// A diagnostic with its excerpt. The excerpt masks secrets, as on the command line.
pub(super) fn diagnostic_json(found: &Diagnostic) -> Value {
    let mut json = found.json();
    if let Some(members) = json.as_object_mut() {
        members.insert("length".into(), found.place.as_ref().map(|place| place.length).into());
        members.insert("text".into(), found.render(false).into());
    }
    json
}

/// Variables that have to be set.
pub(super) fn variables_json(variables: &[Variable]) -> Value {
    variables.iter().map(|variable| json!({ "name": variable.name, "purpose": variable.purpose })).collect()
}

/// Several of them.
pub(super) fn diagnostics_json<'d>(found: impl IntoIterator<Item = &'d Diagnostic>) -> Value {
    found.into_iter().map(diagnostic_json).collect()
}
