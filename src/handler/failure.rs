//! Failed handler calls: what their cause is, for metrics and the failure log.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use crate::action::complete_value::CompletionError;
use crate::action::handler_error::HandlerResponseError;
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::graphql::selection::SubSelection;
use crate::handler::result::{HandlerCallErrorCause, HandlerResult};
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::model::action::Action;
use crate::model::error_kind::ErrorKind;
use crate::model::response::PathSegment;
use crate::request::rejection::is_code_of_upstream;
use crate::telemetry::failure_log::{Failed, Failure};

/// A handler call with its retries.
pub(crate) struct Attempted {
    /// What came of the last attempt.
    pub response: Result<HandlerHttpResponse, HandlerResponseError>,
    /// How often it was sent.
    pub attempts: u32,
    /// When the first attempt began.
    pub began: Instant,
}

impl Attempted {
    /// A call that a policy rejected before it was sent.
    #[must_use]
    pub(crate) fn not_sent(error: HandlerResponseError) -> Self {
        Self { response: Err(error), attempts: 0, began: Instant::now() }
    }
}

/// What is known of an exchange beside its cause.
#[derive(Clone, Copy)]
pub(crate) struct ExchangeFacts {
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// How often it was sent.
    pub attempts: u32,
    /// From the first attempt to the response.
    pub duration: Duration,
}

/// Why a call failed.
pub(crate) struct CallFailure {
    /// The cause.
    pub kind: ErrorKind,
    /// The cause in words, without values of the response.
    pub message: String,
    /// Is it the failure of an upstream request that has a line of its own?
    pub is_logged: bool,
}

impl CallFailure {
    /// The failure of a call, if it has one.
    #[must_use]
    pub(crate) fn of(allowed: &AuthorizedCall, result: &HandlerResult) -> Option<Self> {
        Some(match &result.errors.first()?.cause {
            HandlerCallErrorCause::Response(error) => Self::of_response(error),
            HandlerCallErrorCause::Shape(error) => Self::of_shape(error, allowed.selected()),
            HandlerCallErrorCause::Listed(_) => Self {
                kind: ErrorKind::Rejected,
                message: "the handler rejected the call with a list of errors".into(),
                is_logged: false,
            },
        })
    }

    /// Of a response that cannot be used, or of none.
    #[must_use]
    pub(crate) fn of_response(error: &HandlerResponseError) -> Self {
        let is_logged = matches!(error, HandlerResponseError::Before(before) if before.is_logged());
        Self { kind: error.kind(), message: error.detail(), is_logged }
    }

    /// Of a value that does not fit its type.
    #[must_use]
    pub(crate) fn of_shape(error: &CompletionError, selected: &SubSelection) -> Self {
        let place = response_path(&error.path, selected);
        match &error.related {
            None => Self {
                kind: ErrorKind::WrongShape,
                message: format!("at {place}: {}", error.expectation()),
                is_logged: false,
            },
            Some(related) => Self {
                kind: ErrorKind::RelationshipFailed,
                message: format!("at {place}: the upstream's rows are missing or have errors"),
                is_logged: related
                    .extensions
                    .get("code")
                    .and_then(|code| code.as_str())
                    .is_some_and(is_code_of_upstream),
            },
        }
    }
}

/// Writes the line about a failed call.
pub(crate) fn log(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    failure: &CallFailure,
    facts: ExchangeFacts,
) {
    if failure.is_logged {
        return;
    }
    let action = allowed.action();
    let (host, port) = peer_of(action);
    // An action without a handler has no peer.
    let port_text = port.map(|port| format!(":{port}")).unwrap_or_default();
    let peer = if host.is_empty() { String::new() } else { format!("{host}{port_text}: ") };
    let failure = Failure {
        failed: Failed::Handler(&action.name),
        kind: failure.kind,
        severity: failure.kind.severity(),
        message: format!("{peer}{}", failure.message),
        server: (host, port),
        status: facts.status,
        request_id: &execution.context.caller.request_id,
        trace_id: &execution.context.trace.trace_id,
        operation: execution.operation_name,
        role: Some(execution.session.role()),
        attempts: facts.attempts,
        duration: facts.duration,
    };
    execution.services.health.failures.write(&failure);
    execution.services.health.recent_failures.note(&failure, SystemTime::now());
}

/// Host and port of an action's handler: nothing else of its URL may be shown.
pub(crate) fn peer_of(action: &Action) -> (&str, Option<u16>) {
    let url = &action.handler.url;
    (url.host_str().unwrap_or_default(), url.port_or_known_default())
}

/// The place in the handler's response, by the names of its fields: response names are the client's.
fn response_path(path: &[PathSegment], selected: &SubSelection) -> String {
    let (mut text, mut selected) = (String::from("$"), Some(selected));
    for segment in path {
        match segment {
            PathSegment::Index(index) => drop(write!(text, "[{index}]")),
            PathSegment::Field(name) => {
                let field = selected.and_then(|known| known.fields.iter().find(|field| field.response_name == *name));
                // Without a selection all fields are there, under their own names.
                let is_all = selected.is_some_and(|known| known.is_all);
                let shown = field.map(|field| field.name.as_str()).or(is_all.then_some(name.as_str()));
                let _ = write!(text, ".{}", shown.unwrap_or("*"));
                selected = if is_all { selected } else { field.map(|field| &field.selected) };
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_shown_by_the_names_of_fields() {
        let path = [PathSegment::Field("lines".into()), PathSegment::Index(2), PathSegment::Field("price".into())];
        assert_eq!(response_path(&path, &SubSelection::all()), "$.lines[2].price");
        assert_eq!(response_path(&path, &SubSelection::default()), "$.*[2].*");
        assert_eq!(response_path(&[], &SubSelection::default()), "$");
    }
}
