//! Reads the response of a handler call: its value, transformed if the action says so, and its headers for the client.

use bytes::Bytes;
use http::header::{HeaderName, SET_COOKIE};

use crate::action::handler_error::{HandlerResponseError, TransportError};
use crate::action::handler_response::{HandlerResponse, ReadRules};
use crate::action::{handler_response, transform};
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::handler::internal_extension::{INTERNAL_BODY_BYTES_MAX, shows_internal};
use crate::handler::request;
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::memory::{Charge, json_value_bytes, tree_bytes};
use crate::model::action::Action;
use crate::model::json::parse_strict;
use crate::model::json_value::JsonValue;
use crate::request::response::ClientHeaders;
use crate::runtime::snapshot::Snapshot;

/// The value of a response, as it is or as the action's response transform makes it, with what it holds of the budget.
///
/// # Errors
/// [`HandlerResponseError`].
pub(crate) fn read<'e>(
    execution: &ExecutionContext<'e>,
    allowed: &AuthorizedCall,
    response: &HandlerHttpResponse,
) -> Result<(HandlerResponse, Charge<'e>), HandlerResponseError> {
    let is_long = response.body.len() > UNMEASURED_BYTES_MAX;
    let bytes = if is_long { value_bytes(allowed, response) } else { 0 };
    let charge = execution.context.hold(bytes).map_err(|_| TransportError::NoRoom)?;
    value_of(execution, allowed, response).map(|value| (value, charge))
}

/// The most that the value of a response takes.
fn value_bytes(allowed: &AuthorizedCall, response: &HandlerHttpResponse) -> usize {
    match &allowed.action().response_transform {
        Some(_) if !response.is_value => tree_bytes(&response.body).saturating_add(json_value_bytes(&response.body)),
        _ => json_value_bytes(&response.body),
    }
}

/// The same for a value of which many are held at one time, so that short ones count as well: what they take is known once
/// they are read.
///
/// # Errors
/// [`HandlerResponseError`].
pub(crate) fn read_to_keep<'e>(
    execution: &ExecutionContext<'e>,
    allowed: &AuthorizedCall,
    response: &HandlerHttpResponse,
) -> Result<(HandlerResponse, Charge<'e>), HandlerResponseError> {
    let (value, charge) = read(execution, allowed, response)?;
    if response.body.len() > UNMEASURED_BYTES_MAX {
        return Ok((value, charge));
    }
    let charge = execution.context.hold(value.value.bytes()).map_err(|_| TransportError::NoRoom)?;
    Ok((value, charge))
}

fn value_of(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    response: &HandlerHttpResponse,
) -> Result<HandlerResponse, HandlerResponseError> {
    let status = response.status.as_u16();
    let rules = read_rules(execution.snapshot, allowed.action());
    if response.is_value {
        return handler_response::read(ReadRules { is_envelope: false, ..rules }, status, response.body.clone());
    }
    let Some(transform) = &allowed.action().response_transform else {
        return handler_response::read(rules, status, response.body.clone());
    };
    let payload = request::payload(execution, allowed)?;
    let lookup = request::lookup(execution, allowed, &payload);
    // Handlers that were not made for Hasura need not return JSON; to a template that is null.
    let body = parse_strict(&response.body).unwrap_or_default();
    let value =
        transform::response(transform, &lookup, status, body).map_err(HandlerResponseError::ResponseTransform)?;
    handler_response::classify(rules, status, JsonValue::from(&value))
}

/// How responses of an action's handler are read.
#[must_use]
pub(crate) fn read_rules(snapshot: &Snapshot, action: &Action) -> ReadRules {
    ReadRules { is_envelope: action.has_envelope, max_errors: snapshot.catalog.limits.max_errors }
}

/// Records the outcome of a call.
pub(crate) fn count(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall, label: &str) {
    execution.services.metrics.handler_calls.with_label_values(&[allowed.action().name.as_str(), label]).inc();
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
pub(crate) const UNMEASURED_BYTES_MAX: usize = 16 * 1024;

/// Headers of one response that go on to the client.
const CLIENT_HEADERS_MAX: usize = 50;
