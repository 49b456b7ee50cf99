//! Completes a handler's response into the value of its field: read, transformed, completed, joined with rows, counted.

use crate::action::complete_value::CompletionError;
use crate::action::handler_error::{HandlerError, HandlerResponseError, TransportError};
use crate::action::handler_response::HandlerResponse;
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::handler::extend_rows::complete_with_rows;
use crate::handler::failure;
use crate::handler::failure::{Attempted, CallFailure, ExchangeFacts};
use crate::handler::internal_extension::{ShownError, internal, shows_internal};
use crate::handler::read_response::{UNMEASURED_BYTES_MAX, client_headers, count, make_way_for_json, read};
use crate::handler::result::{HandlerCallError, HandlerCallErrorCause, HandlerResult, listed};
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::model::json_value::{JsonNode, JsonValue};
use crate::model::label::Label;
use crate::model::response::PathSegment;
use crate::request::response::ClientHeaders;
use crate::telemetry::labels::CallOutcome;

/// What a call comes to, counted, and logged if it failed.
pub(crate) async fn complete(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    Attempted { response, attempts, began }: Attempted,
) -> HandlerResult {
    let status = response.as_ref().map(|response| response.status.as_u16()).ok();
    let duration = began.elapsed();
    // A call that `before` did not allow is none of the handler's.
    let was_allowed = !matches!(response, Err(HandlerResponseError::Before(_)));
    let outcome = outcome(execution, allowed, response).await;
    match CallFailure::of(allowed, &outcome) {
        None => count(execution, allowed, CallOutcome::Success.label()),
        Some(found) => {
            if was_allowed {
                count(execution, allowed, found.kind.label());
            }
            failure::log(execution, allowed, &found, ExchangeFacts { status, attempts, duration });
        }
    }
    outcome
}

/// The completed value of a cached response.
pub(crate) async fn complete_cached(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    value: &JsonValue,
    client_headers: ClientHeaders,
) -> HandlerResult {
    let outcome =
        complete_with_errors(execution, allowed, Exchanged { sent: allowed, response: None }, value, Vec::new()).await;
    within_budget(execution, allowed, HandlerResult { client_headers, ..outcome }, 0)
}

pub(crate) async fn outcome(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    response: Result<HandlerHttpResponse, HandlerResponseError>,
) -> HandlerResult {
    let (mut response, value) = match response {
        Ok(response) => {
            let value = read(execution, allowed, &response);
            (Some(response), value)
        }
        Err(error) => (None, Err(error)),
    };
    let room = response.as_mut().map_or(0, |response| make_way_for_json(execution, response));
    match value {
        Err(error) => {
            let internal =
                internal(execution, allowed, response.as_ref(), &ShownError::of(&error), shows_internal(execution));
            // Nothing was sent of a call that was not made.
            let is_shown = !error.is_handlers_own() && !matches!(error, HandlerResponseError::Before(_));
            let internal = internal.filter(|_| is_shown);
            let mut outcome = HandlerResult::failed(error, internal, !allowed.action().output.is_nullable());
            outcome.client_headers = client_headers(allowed, response.as_ref());
            outcome
        }
        Ok((HandlerResponse { value, errors }, _charge)) => {
            let outcome = complete_with_errors(
                execution,
                allowed,
                Exchanged { sent: allowed, response: response.as_ref() },
                &value,
                errors,
            )
            .await;
            within_budget(execution, allowed, outcome, room)
        }
    }
}

/// A result that is longer than the `room` made for it is charged for the rest: missing fields are written as nulls, so
/// it can be longer than the response it was made of.
fn within_budget(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    outcome: HandlerResult,
    room: usize,
) -> HandlerResult {
    match execution.context.charge(outcome.json.len().saturating_sub(room.max(UNMEASURED_BYTES_MAX))) {
        Ok(()) => outcome,
        Err(_) => {
            let null_escapes = !allowed.action().output.is_nullable();
            let failed = HandlerResult::failed(TransportError::NoRoom.into(), None, null_escapes);
            HandlerResult { client_headers: outcome.client_headers, ..failed }
        }
    }
}

/// The call that a value came by, if it is known.
pub(crate) struct Exchanged<'x> {
    /// What was sent; a batch may have been.
    pub sent: &'x AuthorizedCall,
    /// The response.
    pub response: Option<&'x HandlerHttpResponse>,
}

/// The completed value of a call that shared its request with others.
pub(crate) async fn complete_joined(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    exchanged: Option<Exchanged<'_>>,
    value: &JsonValue,
    own_errors: Vec<HandlerError>,
) -> HandlerResult {
    let exchanged = exchanged.unwrap_or(Exchanged { sent: allowed, response: None });
    let outcome = complete_with_errors(execution, allowed, exchanged, value, own_errors).await;
    within_budget(execution, allowed, HandlerResult { client_headers: ClientHeaders::new(), ..outcome }, 0)
}

async fn complete_with_errors(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    Exchanged { sent, response }: Exchanged<'_>,
    value: &JsonValue,
    own_errors: Vec<HandlerError>,
) -> HandlerResult {
    let shaped = complete_with_rows(execution, &allowed.action().output, value.node(), allowed.selected()).await;
    let shows = shows_internal(execution);
    // A null that the handler has explained needs no second explanation.
    let is_explained = |path: &[PathSegment]| own_errors.iter().any(|own| own.path.starts_with(path));
    let is_news = |error: &CompletionError| !(is_explained(&error.path) && is_null_at(value.node(), &error.path));
    let misfits: Vec<CompletionError> = shaped.errors.into_iter().filter(is_news).collect();
    let errors = misfits.into_iter().take(execution.snapshot.catalog.limits.max_errors).map(|error| HandlerCallError {
        internal: internal(execution, sent, response, &ShownError::of_shape(&error, allowed.selected()), shows)
            .filter(|_| error.related.is_none()),
        cause: HandlerCallErrorCause::Shape(error),
    });
    HandlerResult {
        errors: listed(own_errors).into_iter().chain(errors).collect(),
        json: shaped.json,
        null_escapes: shaped.null_escapes,
        client_headers: client_headers(allowed, response),
    }
}

/// Is there nothing, or null, at `path`? Under an alias there is nothing.
fn is_null_at(value: JsonNode<'_>, path: &[PathSegment]) -> bool {
    let found = path.iter().try_fold(value, |value, segment| match segment {
        PathSegment::Field(name) => value.get(name),
        PathSegment::Index(index) => value.items().nth(*index),
    });
    found.is_none_or(JsonNode::is_null)
}
