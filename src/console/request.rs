//! Requests to the console's API: the head, the name in its path, and the JSON of its body.

use http::header::{CONTENT_TYPE, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::console::response::ApiError;

/// Bytes of a body: an OpenAPI document is the largest thing that is sent.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A request to the API.
pub(super) struct ApiRequest<'r> {
    pub(super) head: &'r Parts,
    /// What stands in its path for a name, decoded.
    pub(super) name: String,
    pub(super) body: &'r [u8],
}

impl ApiRequest<'_> {
    /// The body.
    ///
    /// # Errors
    /// It is another one than the endpoint takes. serde's message names keys and types, and no values of ours.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body = if self.body.is_empty() { b"{}" } else { self.body };
        serde_json::from_slice(body).map_err(|error| ApiError::bad_request(format!("the body: {error}")))
    }

    /// The value of a query parameter, if it is not empty.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        self.parameters(name).next()
    }

    /// All values of a query parameter.
    pub(super) fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        let query = self.head.uri.query().unwrap_or_default().as_bytes();
        let pairs = form_urlencoded::parse(query).filter(move |(key, value)| key == name && !value.is_empty());
        pairs.map(|(_, value)| value.into_owned())
    }

    /// Does the browser speak TLS, with something before us?
    pub(super) fn is_secure(&self) -> bool {
        self.head.headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"))
    }
}

/// A body must be JSON and declared so: a page of another origin cannot send that without being asked first.
///
/// # Errors
/// The body's type, or that there is one.
pub(super) fn check_body(head: &Parts, body: &[u8]) -> Result<(), ApiError> {
    if matches!(head.method, Method::GET | Method::HEAD) {
        return if body.is_empty() { Ok(()) } else { Err(ApiError::bad_request("a GET has no body")) };
    }
    let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send content-type: application/json"))
}
