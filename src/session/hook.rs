//! The auth hook (webhook authentication): what is sent to it, and how its response becomes a session. Pure; `auth`
//! makes the call. Hasura's `HASURA_GRAPHQL_AUTH_HOOK`.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::model::json::{RawObject, parse_strict};
use crate::model::request::GraphqlRequest;
use crate::model::secret::Secret;
use crate::protocol::client_headers::{IGNORED_BY_DEFAULT, NEVER_FORWARDED};
use crate::protocol::hop_by_hop::end_to_end;
use crate::session::{ROLE, SESSION_PREFIX, Session, SessionError};

/// How the hook is called.
#[derive(Debug)]
pub struct HookRules {
    /// Its address; it may hold a password.
    pub url: Secret,
    /// With which method.
    pub mode: HookMode,
    /// Is the GraphQL request sent to it? In POST mode only.
    pub sends_request: bool,
    /// How long all attempts together may take.
    pub timeout: Duration,
    /// How often it is called if no response comes.
    pub attempts: usize,
    /// If given, its responses are kept.
    pub cache: Option<HookCache>,
}

/// Which of the hook's responses are cached, and for how long. The hook then receives these headers and nothing else,
/// so that its response depends on nothing else.
#[derive(Debug)]
pub struct HookCache {
    /// The headers.
    pub headers: Vec<HeaderName>,
    /// The longest lifetime, whatever the response declares.
    pub time_max: Duration,
}

/// How the request is sent to the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookMode {
    /// It gets the client's headers as its own.
    Get,
    /// It gets them as JSON.
    Post,
}

/// The hook's response about a caller.
#[derive(Debug)]
pub struct HookResponse {
    /// The session.
    pub session: Session,
    /// `Cache-Control` in the body: how long this is so.
    pub cache_control: Option<String>,
    /// `Expires` in the body.
    pub expires: Option<String>,
}

/// The client's headers as the hook may know them.
#[must_use]
pub fn forwarded_headers(rules: &HookRules, client: &HeaderMap) -> HeaderMap {
    let is_told = |name: &HeaderName| match (&rules.cache, rules.mode) {
        (Some(cache), _) => cache.headers.contains(name),
        (None, HookMode::Get) => !IGNORED_BY_DEFAULT.contains(&name.as_str()) && !NEVER_FORWARDED.contains(name),
        (None, HookMode::Post) => true,
    };
    end_to_end(client).filter(|(name, _)| is_told(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The body in POST mode. `request` is JSON; null if the request is not sent.
#[must_use]
pub fn post_body(headers: &HeaderMap, request: Option<&str>) -> String {
    let mut headers_json = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        headers_json.insert(name.as_str().to_owned(), values.collect::<Vec<_>>().join(", ").into());
    }
    format!("{{\"headers\":{},\"request\":{}}}", Value::Object(headers_json), request.unwrap_or("null"))
}

/// What is sent to the hook about one request.
#[must_use]
pub fn hook_request(request: &GraphqlRequest<'_>) -> String {
    let variables: Vec<String> = request
        .variables
        .0
        .iter()
        .map(|(name, value)| format!("{}:{}", Value::from(name.as_ref()), value.get()))
        .collect();
    let operation_name = request.operation_name.as_deref().map_or(Value::Null, Value::from);
    let query = Value::from(request.query.as_ref());
    format!("{{\"variables\":{{{}}},\"operationName\":{operation_name},\"query\":{query}}}", variables.join(","))
}

/// The same for a whole batch, from its own text.
#[must_use]
pub fn hook_batch(batch: &str) -> Option<String> {
    let elements: Vec<RawObject<'_>> = serde_json::from_str(batch).ok()?;
    let headers_json = elements.iter().map(|element| {
        let raw = |key: &str| element.get(key).map_or("null", RawValue::get);
        let (variables, name, query) = (raw("variables"), raw("operationName"), raw("query"));
        format!("{{\"variables\":{variables},\"operationName\":{name},\"query\":{query}}}")
    });
    Some(format!("[{}]", headers_json.collect::<Vec<_>>().join(",")))
}

/// Reads the hook's response. Everything but a clear yes is a no.
///
/// # Errors
/// [`SessionError`] with Hasura's message; it holds nothing of the response.
///
/// # Examples
/// ```
/// use pillion::session::hook::read;
///
/// let response = read(200, br#"{"X-Hasura-Role":"user","X-Hasura-User-Id":"7"}"#).unwrap();
/// assert_eq!(response.session.role(), "user");
/// assert_eq!(read(401, b"").unwrap_err().code, "access-denied");
/// ```
pub fn read(status: u16, body: &[u8]) -> Result<HookResponse, SessionError> {
    match status {
        200 => {}
        401 => {
            return Err(SessionError::denied("Authentication hook unauthorized this request")
                .plainly("the authentication service has rejected the request"));
        }
        _ => return Err(invalid("")),
    }
    let Ok(Value::Object(fields)) = parse_strict(body) else {
        return Err(invalid(": expected a JSON object"));
    };
    let mut texts: Vec<(String, String)> = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let Value::String(value) = value else {
            return Err(invalid(": expected strings as values"));
        };
        texts.push((name, value));
    }
    let metadata = |key: &str| texts.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let (cache_control, expires) = (metadata("Cache-Control"), metadata("Expires"));
    let variables: Vec<(String, String)> = texts
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| name.starts_with(SESSION_PREFIX))
        .collect();
    // A name in two spellings would be one thing here and another elsewhere.
    let mut names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        return Err(invalid(": a session variable is given twice"));
    }
    let role = variables.iter().find(|(name, value)| name == ROLE && !value.is_empty()).map(|(_, role)| role.clone());
    let Some(role) = role else {
        let message = "x-hasura-role not found in session variables".to_owned();
        return Err(SessionError { code: "invalid-params", message, status: 400, plain: None });
    };
    Ok(HookResponse { session: Session::new(role, variables), cache_control, expires })
}

/// No response.
#[must_use]
pub fn failed() -> SessionError {
    let message = "webhook authentication request failed".to_owned();
    SessionError { code: "unexpected", message, status: 500, plain: Some("the authentication service failed") }
}

fn invalid(detail: &str) -> SessionError {
    let message = format!("Invalid response from authorization hook{detail}");
    SessionError { code: "unexpected", message, status: 500, plain: None }
}
