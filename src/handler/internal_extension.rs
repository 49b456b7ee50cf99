//! The exchange with a handler in Hasura's form (`extensions.internal`), without secrets, for those who may see it.

use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};
use serde_json::{Map, Value, json};

use crate::action::handler_error::HandlerResponseError;
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::handler::request;
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::model::action::{ADMIN_ROLE, ConfiguredHeader, WrittenValue};

/// What an error is called where the exchange is shown.
#[must_use]
pub(crate) fn error_text(error: &HandlerResponseError) -> Value {
    match error {
        HandlerResponseError::NoResponse(fault) => json!({ "type": "http_exception", "message": fault.to_string() }),
        other => Value::from(other.reason()),
    }
}

/// Bytes of a handler's body that `internal` shows.
pub(crate) const INTERNAL_BODY_BYTES_MAX: usize = 64 * 1024;

/// Replaces every header value: the configured ones are secrets, and the forwarded ones may be.
const HIDDEN: &str = "***";

pub(crate) fn shows_internal(execution: &ExecutionContext<'_>) -> bool {
    let settings = &execution.snapshot.configured.settings;
    settings.dev_mode || settings.admin_internal_errors && execution.session.role() == ADMIN_ROLE
}

/// The exchange with the handler in Hasura's form, if the caller may see it. The request is rebuilt for it: calls that
/// fail are rare.
#[must_use]
pub(crate) fn internal(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    response: Option<&HandlerHttpResponse>,
    error: &Value,
    is_shown: bool,
) -> Option<Value> {
    if !is_shown {
        return None;
    }
    let mut internal = Map::new();
    internal.insert("error".into(), error.clone());
    let action = allowed.action();
    let untransformed = request::untransformed(execution, allowed).ok();
    let transformed = action.request_transform.as_ref().and_then(|_| request::outgoing(execution, allowed).ok());
    let transformed = transformed.map(|outgoing| {
        let body = String::from_utf8_lossy(&outgoing.body);
        json!({
            "url": action.shown_url(),
            "headers": header_list(&outgoing.headers, |_| true),
            "body": body_value(action.handler.shown(&body).as_bytes()),
            "method": outgoing.method.as_str(),
        })
    });
    // The addresses are templates, so that no variable of them is shown.
    let request = json!({
        "url": action.handler.template,
        "headers": action.headers.configured.iter().map(configured_value).collect::<Value>(),
        "body": untransformed.map(|outgoing| body_value(&outgoing.body)),
        "transformed_request": transformed,
    });
    internal.insert("request".into(), request);
    if let Some(response) = response {
        let response = json!({
            "status": response.status.as_u16(),
            "headers": header_list(&response.headers, |name| name == SET_COOKIE.as_str()),
            "body": body_value(&response.body),
        });
        internal.insert("response".into(), response);
    }
    Some(Value::Object(internal))
}

/// A configured header as its author wrote it; a literal value may be a secret.
fn configured_value(header: &ConfiguredHeader) -> Value {
    let name = header.name.as_str();
    match &header.written {
        WrittenValue::FromEnvironment(variable) => json!({ "name": name, "value_from_env": variable }),
        WrittenValue::Template(template) => json!({ "name": name, "value": template }),
        WrittenValue::Plain => json!({ "name": name, "value": HIDDEN }),
    }
}

pub(crate) fn header_list(headers: &HeaderMap, is_hidden: impl Fn(&str) -> bool) -> Value {
    let entry = |(name, value): (&http::HeaderName, &HeaderValue)| {
        let shown = if is_hidden(name.as_str()) { HIDDEN.into() } else { String::from_utf8_lossy(value.as_bytes()) };
        json!({ "name": name.as_str(), "value": shown })
    };
    headers.iter().map(entry).collect()
}

fn body_value(body: &[u8]) -> Value {
    let shown = body.get(..INTERNAL_BODY_BYTES_MAX).unwrap_or(body);
    serde_json::from_slice(shown).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(shown)))
}
