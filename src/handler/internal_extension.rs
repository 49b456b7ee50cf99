//! The exchange with a handler in Hasura's form (`extensions.internal`), without secrets, for those who may see it.

use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};
use serde_json::{Map, Value, json};

use crate::action::complete_value::CompletionError;
use crate::action::handler_error::HandlerResponseError;
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::graphql::selection::SubSelection;
use crate::handler::failure::CallFailure;
use crate::handler::request;
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::model::action::{ADMIN_ROLE, ConfiguredHeader, WrittenValue};
use crate::model::label::Label;

/// An error where the exchange is shown: in Hasura's words, and beside them its kind and cause as the log has them.
pub(crate) struct ShownError {
    text: Value,
    reason: Value,
}

impl ShownError {
    /// No usable response.
    #[must_use]
    pub(crate) fn of(error: &HandlerResponseError) -> Self {
        let text = match error {
            HandlerResponseError::NoResponse(fault) => {
                json!({ "type": "http_exception", "message": fault.to_string() })
            }
            other => Value::from(other.reason()),
        };
        Self { text, reason: reason(&CallFailure::of_response(error)) }
    }

    /// A value that does not fit.
    #[must_use]
    pub(crate) fn of_shape(error: &CompletionError, selected: &SubSelection) -> Self {
        Self { text: "unexpected response".into(), reason: reason(&CallFailure::of_shape(error, selected)) }
    }

    /// Kind and cause.
    #[must_use]
    pub(crate) fn reason(&self) -> &Value {
        &self.reason
    }
}

fn reason(failure: &CallFailure) -> Value {
    json!({ "kind": failure.kind.label(), "message": failure.message })
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
    error: &ShownError,
    is_shown: bool,
) -> Option<Value> {
    if !is_shown {
        return None;
    }
    let mut internal = Map::new();
    internal.insert("error".into(), error.text.clone());
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
    // Ours; what stands before it is as Hasura has it.
    internal.insert("reason".into(), error.reason.clone());
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
