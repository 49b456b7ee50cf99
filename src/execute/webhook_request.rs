//! The request of one webhook call: made of the action's rules, then rewritten by its transform.

use bytes::Bytes;
use http::Method;

use super::calls::AllowedCall;
use super::run::Running;
use crate::action::answer::{AnswerError, CallFault};
use crate::action::transform::{self, Lookup, Outgoing, forward_query};
use crate::action::{headers, payload};

/// As it is without a transform; trace headers are left out.
///
/// # Errors
/// [`CallFault::Header`].
pub fn untransformed(running: &Running<'_>, allowed: &AllowedCall) -> Result<Outgoing, CallFault> {
    let action = allowed.action();
    let precedence = running.snapshot.configured.settings.precedence;
    let caller = running.envelope.caller;
    let headers =
        headers::outgoing(&action.headers, precedence, caller.to_handlers(), running.session, &caller.request_id);
    let headers = headers.map_err(|error| CallFault::Header(error.to_string()))?;
    let body = payload(running, allowed)?;
    Ok(Outgoing { method: Method::POST, url: action.handler.url.clone(), headers, body })
}

/// The body that the handler gets without a transform, and that templates see. It is made once for all calls of a document
/// that are the same.
///
/// # Errors
/// None that a payload can cause.
pub fn payload(running: &Running<'_>, allowed: &AllowedCall) -> Result<Bytes, CallFault> {
    allowed.payload(|input| {
        let body = payload::body(&allowed.action().name, input, running.session, &running.request.query);
        body.map_err(|_| CallFault::Broken)
    })
}

/// As the handler gets it; trace headers are left out.
///
/// # Errors
/// [`AnswerError::NoAnswer`] and [`AnswerError::RequestTransform`].
pub fn outgoing(running: &Running<'_>, allowed: &AllowedCall) -> Result<Outgoing, AnswerError> {
    let action = allowed.action();
    let mut outgoing = untransformed(running, allowed)?;
    if let Some(transform) = &action.request_transform {
        let lookup = lookup(running, allowed, &outgoing.body);
        outgoing = transform::request(transform, &lookup, outgoing).map_err(AnswerError::RequestTransform)?;
    }
    forward_query(&mut outgoing.url, running.envelope.query, &action.forwarded_query_params);
    Ok(outgoing)
}

/// What templates can look up in a call with this payload.
#[must_use]
pub fn lookup<'r>(running: &'r Running<'_>, allowed: &'r AllowedCall, payload: &[u8]) -> Lookup<'r> {
    Lookup::new(&allowed.action().handler, payload, running.session, running.snapshot.limits.max_template_output_size)
}
