//! Completes a handler's response into the value of its field: read, transformed, completed, joined with rows, counted.

use bytes::Bytes;
use http::header::{HeaderName, SET_COOKIE};
use serde_json::Value;

use crate::action::complete_value::{CompletedValue, CompletionError, CompletionRules, complete_value};
use crate::action::handler_error::{HandlerError, HandlerResponseError, TransportError};
use crate::action::handler_response::{HandlerResponse, ReadRules};
use crate::action::relationship::{FoundRows, RowKeys, RowSource};
use crate::action::{handler_response, transform};
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::fetch::relationship_rows;
use crate::graphql::selection::SubSelection;
use crate::handler::failure;
use crate::handler::failure::{Attempted, CallFailure, ExchangeFacts};
use crate::handler::internal_extension::{INTERNAL_BODY_BYTES_MAX, ShownError, internal, shows_internal};
use crate::handler::request;
use crate::handler::result::{HandlerCallError, HandlerCallErrorCause, HandlerResult, listed};
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::memory::{Charge, tree_bytes};
use crate::model::action::Action;
use crate::model::json::parse_strict;
use crate::model::label::Label;
use crate::model::response::PathSegment;
use crate::model::types::TypeRef;
use crate::request::response::ClientHeaders;
use crate::runtime::snapshot::Snapshot;
use crate::telemetry::labels::CallOutcome;

/// What a call comes to, counted, and logged if it failed.
pub(crate) async fn complete(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    Attempted { response, attempts, began }: Attempted,
) -> HandlerResult {
    let status = response.as_ref().map(|response| response.status.as_u16()).ok();
    let duration = began.elapsed();
    let outcome = outcome(execution, allowed, response).await;
    match CallFailure::of(allowed, &outcome) {
        None => count(execution, allowed, CallOutcome::Success.label()),
        Some(found) => {
            count(execution, allowed, found.kind.label());
            failure::log(execution, allowed, &found, ExchangeFacts { status, attempts, duration });
        }
    }
    outcome
}

/// The completed value of a cached response.
pub(crate) async fn complete_cached(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    value: &Value,
    client_headers: ClientHeaders,
) -> HandlerResult {
    let outcome =
        complete_with_errors(execution, allowed, Exchanged { sent: allowed, response: None }, value, Vec::new()).await;
    within_budget(execution, allowed, HandlerResult { client_headers, ..outcome }, 0)
}

/// Records the outcome of a call.
pub(crate) fn count(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall, label: &str) {
    execution.services.metrics.handler_calls.with_label_values(&[allowed.action().name.as_str(), label]).inc();
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
            let internal = internal.filter(|_| !error.is_handlers_own());
            let mut outcome = HandlerResult::failed(error, internal, !allowed.action().output.is_nullable());
            outcome.client_headers = client_headers(allowed, response.as_ref());
            outcome
        }
        Ok((HandlerResponse { value, errors }, _tree)) => {
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

/// The body of a long response makes way for its completed text, which is about as long and takes over what is charged for
/// the body: the value has been read, and of the text no more than a beginning is ever shown. So a response is held twice
/// at most. Gives the bytes that are charged.
pub(crate) fn make_way_for_json(execution: &ExecutionContext<'_>, response: &mut HandlerHttpResponse) -> usize {
    let length = response.body.len();
    if length <= UNMEASURED_BYTES_MAX {
        return 0;
    }
    let shown = response.body.get(..INTERNAL_BODY_BYTES_MAX).filter(|_| shows_internal(execution));
    response.body = Bytes::copy_from_slice(shown.unwrap_or_default());
    length
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

/// The value of a response, as it is or as the action's response transform makes it, with what it holds of the budget.
///
/// # Errors
/// [`HandlerResponseError`].
pub(crate) fn read<'e>(
    execution: &ExecutionContext<'e>,
    allowed: &AuthorizedCall,
    response: &HandlerHttpResponse,
) -> Result<(HandlerResponse, Charge<'e>), HandlerResponseError> {
    let tree = if response.body.len() > UNMEASURED_BYTES_MAX { tree_bytes(&response.body) } else { 0 };
    let charge = execution.context.hold(tree).map_err(|_| TransportError::NoRoom)?;
    value_of(execution, allowed, response).map(|value| (value, charge))
}

pub(crate) fn value_of(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    response: &HandlerHttpResponse,
) -> Result<HandlerResponse, HandlerResponseError> {
    let status = response.status.as_u16();
    let rules = read_rules(execution.snapshot, allowed.action());
    let Some(transform) = &allowed.action().response_transform else {
        return handler_response::read(rules, status, &response.body);
    };
    let payload = request::payload(execution, allowed)?;
    let lookup = request::lookup(execution, allowed, &payload);
    // Handlers that were not made for Hasura need not return JSON; to a template that is null.
    let body = parse_strict(&response.body).unwrap_or_default();
    let value =
        transform::response(transform, &lookup, status, body).map_err(HandlerResponseError::ResponseTransform)?;
    handler_response::classify(rules, status, value)
}

/// How responses of an action's handler are read.
#[must_use]
pub(crate) fn read_rules(snapshot: &Snapshot, action: &Action) -> ReadRules {
    ReadRules { is_envelope: action.has_envelope, max_errors: snapshot.catalog.limits.max_errors }
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
    value: &Value,
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
    value: &Value,
    own_errors: Vec<HandlerError>,
) -> HandlerResult {
    let shaped = complete_with_rows(execution, &allowed.action().output, value, allowed.selected()).await;
    let shows = shows_internal(execution);
    // A null that the handler has explained needs no second explanation.
    let is_explained = |path: &[PathSegment]| own_errors.iter().any(|own| own.path.starts_with(path));
    let is_news = |error: &CompletionError| !(is_explained(&error.path) && is_null_at(value, &error.path));
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
fn is_null_at(value: &Value, path: &[PathSegment]) -> bool {
    let found = path.iter().try_fold(value, |value, segment| match segment {
        PathSegment::Field(name) => value.get(name),
        PathSegment::Index(index) => value.get(index),
    });
    found.is_none_or(Value::is_null)
}

/// Shapes a value as `ty`, with the upstream's rows that belong to it.
pub(crate) async fn complete_with_rows(
    execution: &ExecutionContext<'_>,
    ty: &TypeRef,
    value: &Value,
    selected: &SubSelection,
) -> CompletedValue {
    let rules = completion_rules(execution.snapshot);
    let shape_with = |rows: &mut dyn RowSource| complete_value(&rules, ty, value, selected, rows);
    let mut wanted = RowKeys::default();
    let shaped = shape_with(&mut wanted);
    if !wanted.is_needed() || shaped.is_lost(rules.dialect) {
        return shaped;
    }
    // Boxed: rare, and otherwise every call carries the size of this future.
    let found = Box::pin(relationship_rows::fetch(execution, &wanted)).await;
    shape_with(&mut FoundRows { wanted: &wanted, found: &found })
}

/// The rules of completion in this generation.
#[must_use]
pub(crate) fn completion_rules(snapshot: &Snapshot) -> CompletionRules<'_> {
    CompletionRules {
        types: &snapshot.catalog.schema.types,
        dialect: snapshot.catalog.dialect,
        max_list_length: snapshot.catalog.limits.max_list_length,
    }
}

/// What of a response's headers goes to the client: cookies, and what the action's author has chosen.
#[must_use]
pub(crate) fn client_headers(allowed: &AuthorizedCall, response: Option<&HandlerHttpResponse>) -> ClientHeaders {
    let Some(response) = response else { return ClientHeaders::new() };
    let chosen = &allowed.action().response_headers;
    let is_wanted = |name: &HeaderName| name == SET_COOKIE || chosen.contains(name);
    let wanted = response.headers.iter().filter(|(name, _)| is_wanted(name)).take(CLIENT_HEADERS_MAX);
    wanted.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Responses up to this length are not measured: their values are held for a moment only.
const UNMEASURED_BYTES_MAX: usize = 16 * 1024;

/// Headers of one response that go on to the client.
const CLIENT_HEADERS_MAX: usize = 50;
