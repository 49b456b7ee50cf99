//! Builds the request of one handler call: from the action's rules, then rewritten by its transform.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::action::handler_error::{HandlerResponseError, TransportError};
use crate::action::transform::{Lookup, TransformedRequest, forward_query};
use crate::action::{header_precedence, payload, transform};
use crate::execution::authorize::{AuthorizedCall, PayloadData, PayloadInput};
use crate::execution::context::ExecutionContext;
use crate::model::error_kind::{ErrorKind, Reason};

/// As it is without a transform; trace headers are left out.
///
/// # Errors
/// [`TransportError::Header`].
pub(crate) fn untransformed(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
) -> Result<TransformedRequest, TransportError> {
    let action = allowed.action();
    let precedence = execution.snapshot.configured.settings.precedence;
    let caller = &execution.context.caller;
    let headers = header_precedence::outgoing(
        &action.headers,
        precedence,
        caller.to_handlers(),
        execution.session,
        &caller.request_id,
    );
    let headers = headers.map_err(|error| TransportError::Header(error.to_string()))?;
    let body = payload(execution, allowed)?;
    Ok(TransformedRequest { method: Method::POST, url: action.handler.url.clone(), headers, body })
}

/// The body that the handler gets without a transform, and that templates see. It is made once for all calls of a document
/// that are the same.
///
/// # Errors
/// None that a payload can cause.
pub(crate) fn payload(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> Result<Bytes, TransportError> {
    allowed.payload(|input, data| {
        let (name, session, query) = (&allowed.action().name, execution.session, &execution.request.query);
        let each = match &data {
            PayloadData::Each(all) => Some(all.iter().map(|one| (*one).clone()).collect::<Value>()),
            PayloadData::None | PayloadData::One(_) => None,
        };
        let data = match data {
            PayloadData::One(data) => Some(data),
            PayloadData::None | PayloadData::Each(_) => each.as_ref(),
        };
        let body = match input {
            PayloadInput::One(input) => payload::body_with_data(name, input, data, session, query),
            PayloadInput::Batch(inputs) => payload::batch_body_with_data(name, &inputs, data, session, query),
            PayloadInput::Rows(inputs) => payload::body_with_inputs(name, inputs, session, query),
        };
        body.map_err(|_| TransportError::Broken(Reason::new(ErrorKind::Internal, "the payload cannot be written")))
    })
}

/// As the handler gets it; trace headers are left out.
///
/// # Errors
/// [`HandlerResponseError::NoResponse`] and [`HandlerResponseError::RequestTransform`].
pub(crate) fn outgoing(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
) -> Result<TransformedRequest, HandlerResponseError> {
    let action = allowed.action();
    let mut outgoing = untransformed(execution, allowed)?;
    if let Some(transform) = &action.request_transform {
        let lookup = lookup(execution, allowed, &outgoing.body);
        outgoing = transform::request(transform, &lookup, outgoing).map_err(HandlerResponseError::RequestTransform)?;
    }
    forward_query(&mut outgoing.url, &execution.context.query, &action.forwarded_query_params);
    Ok(outgoing)
}

/// What templates can look up in a call with this payload.
#[must_use]
pub(crate) fn lookup<'r>(
    execution: &'r ExecutionContext<'_>,
    allowed: &'r AuthorizedCall,
    payload: &[u8],
) -> Lookup<'r> {
    Lookup::new(
        &allowed.action().handler,
        payload,
        execution.session,
        execution.snapshot.catalog.limits.max_template_output_size,
    )
}
