//! One webhook call of a document: what is sent, what its answer means, and what is counted about it.

use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};
use serde_json::{Map, Value, json};

use super::calls::AllowedCall;
use super::run::Running;
use crate::action::answer::{self, AnswerError, CallFault};
use crate::action::shape::{ShapeError, shape};
use crate::action::{headers, payload};
use crate::model::action::ADMIN_ROLE;
use crate::telemetry::metrics::Held;
use crate::webhook::call::{self, WebhookAnswer, WebhookCall};

/// What came of a webhook call.
#[derive(Debug)]
pub struct CallOutcome {
    /// The shaped value as JSON text.
    pub json: String,
    /// Why there is none, or less.
    pub errors: Vec<CallError>,
    /// Must null travel beyond this field?
    pub null_escapes: bool,
    /// The handler's cookies.
    pub set_cookies: Vec<HeaderValue>,
}

/// One thing that went wrong with a call.
#[derive(Debug)]
pub struct CallError {
    /// What.
    pub cause: CallErrorCause,
    /// The exchange with the handler, for those who may see it.
    pub internal: Option<Value>,
}

/// What can go wrong with a call.
#[derive(Debug)]
pub enum CallErrorCause {
    /// No usable answer.
    Answer(AnswerError),
    /// An answer that does not fit.
    Shape(ShapeError),
}

impl CallOutcome {
    /// A call that a plan named and nobody allowed. [`super::calls::allow`] allows all or none, so this is not seen.
    #[must_use]
    pub fn not_made() -> Self {
        Self::failed(AnswerError::NoAnswer(CallFault::Broken), None, false)
    }

    fn failed(error: AnswerError, internal: Option<Value>, null_escapes: bool) -> Self {
        let errors = vec![CallError { cause: CallErrorCause::Answer(error), internal }];
        Self { json: "null".into(), errors, null_escapes, set_cookies: Vec::new() }
    }
}

/// Makes the call and shapes its answer.
pub async fn run(running: &Running<'_>, allowed: &AllowedCall) -> CallOutcome {
    let metrics = &running.world.metrics;
    let name = &allowed.action().name;
    let timer = metrics.handler_call_seconds.with_label_values(&[name]).start_timer();
    let in_flight = Held::new(&metrics.handler_calls_in_flight);
    let outcome = exchange_and_shape(running, allowed).await;
    drop(in_flight);
    timer.observe_duration();
    metrics.handler_calls.with_label_values(&[name.as_str(), label(&outcome)]).inc();
    outcome
}

fn label(outcome: &CallOutcome) -> &'static str {
    match outcome.errors.first().map(|error| &error.cause) {
        None => "success",
        Some(CallErrorCause::Shape(_)) => "wrong_shape",
        Some(CallErrorCause::Answer(error)) => match error {
            AnswerError::Rejected { .. } => "rejected",
            AnswerError::NotJson { .. } => "not_json",
            AnswerError::Status { .. } => "error_status",
            AnswerError::NoAnswer(CallFault::Timeout) => "timeout",
            AnswerError::NoAnswer(CallFault::Connect) => "unreachable",
            AnswerError::NoAnswer(CallFault::Busy) => "busy",
            AnswerError::NoAnswer(_) => "broken",
        },
    }
}

async fn exchange_and_shape(running: &Running<'_>, allowed: &AllowedCall) -> CallOutcome {
    let answer = exchange(running, allowed).await;
    let value = match &answer {
        Ok(answer) => answer::read(answer.status.as_u16(), &answer.body),
        Err(fault) => Err(AnswerError::NoAnswer(fault.clone())),
    };
    let answer = answer.ok();
    match value {
        Err(error) => {
            let internal = internal(running, allowed, answer.as_ref(), &error_text(&error));
            // A refusal is the handler's own word; there is nothing to explain about it.
            let internal = internal.filter(|_| !matches!(error, AnswerError::Rejected { .. }));
            let mut outcome = CallOutcome::failed(error, internal, !allowed.action().output.is_nullable());
            outcome.set_cookies = cookies(answer.as_ref());
            outcome
        }
        Ok(value) => shaped(running, allowed, answer.as_ref(), &value),
    }
}

fn shaped(running: &Running<'_>, allowed: &AllowedCall, answer: Option<&WebhookAnswer>, value: &Value) -> CallOutcome {
    let snapshot = running.snapshot;
    let list_max = snapshot.limits.list_elements_max;
    let shaped =
        shape(&snapshot.schema.types, &allowed.action().output, value, allowed.selected(), snapshot.dialect, list_max);
    let errors = shaped.errors.into_iter().take(snapshot.limits.errors_max).map(|error| CallError {
        internal: internal(running, allowed, answer, &Value::from(error.message.as_str())),
        cause: CallErrorCause::Shape(error),
    });
    CallOutcome {
        errors: errors.collect(),
        json: shaped.json,
        null_escapes: shaped.null_escapes,
        set_cookies: cookies(answer),
    }
}

fn cookies(answer: Option<&WebhookAnswer>) -> Vec<HeaderValue> {
    answer.map(|answer| answer.set_cookies().cloned().collect()).unwrap_or_default()
}

async fn exchange(running: &Running<'_>, allowed: &AllowedCall) -> Result<WebhookAnswer, CallFault> {
    // Whoever finds all slots taken is told so at once: to wait would only make the queue longer.
    let _slot = running.world.call_slots.try_acquire().map_err(|_| CallFault::Busy)?;
    let deadline = running.envelope.deadline.min(Instant::now() + allowed.action().timeout);
    let client = running.world.handlers.here();
    match call::call(client, prepare(running, allowed, deadline)?).await {
        // Made anew rather than kept: it is rarely needed.
        Err(CallFault::Broken) if allowed.may_repeat() => {
            call::call(client, prepare(running, allowed, deadline)?).await
        }
        first => first,
    }
}

fn prepare(running: &Running<'_>, allowed: &AllowedCall, deadline: Instant) -> Result<WebhookCall, CallFault> {
    Ok(WebhookCall {
        url: allowed.action().handler.url.clone(),
        headers: headers(running, allowed)?,
        body: body(running, allowed)?,
        timeout: deadline.saturating_duration_since(Instant::now()),
        answer_bytes_max: running.snapshot.limits.handler_answer_bytes_max,
    })
}

fn headers(running: &Running<'_>, allowed: &AllowedCall) -> Result<HeaderMap, CallFault> {
    let rules = &allowed.action().headers;
    let precedence = running.world.settings.precedence;
    let caller = running.envelope.caller;
    let headers = headers::outgoing(rules, precedence, &caller.headers, running.session, &caller.request_id);
    let mut headers = headers.map_err(|error| CallFault::Header(error.to_string()))?;
    running.envelope.trace.write(&mut headers);
    Ok(headers)
}

fn body(running: &Running<'_>, allowed: &AllowedCall) -> Result<Bytes, CallFault> {
    let name = &allowed.action().name;
    let body = payload::body(name, allowed.input(), running.session, &running.request.query);
    body.map(Bytes::from).map_err(|_| CallFault::Broken)
}

fn error_text(error: &AnswerError) -> Value {
    match error {
        AnswerError::NoAnswer(fault) => json!({ "type": "http_exception", "message": fault.to_string() }),
        other => Value::from(other.to_string()),
    }
}

/// Bytes of a handler's body that `internal` shows.
const INTERNAL_BODY_BYTES_MAX: usize = 64 * 1024;

/// What stands for every header value: the configured ones are secrets, and the forwarded ones may be.
const HIDDEN: &str = "***";

fn shows_internal(running: &Running<'_>) -> bool {
    let settings = &running.world.settings;
    settings.dev_mode || settings.admin_internal_errors && running.session.role() == ADMIN_ROLE
}

/// The exchange with the handler in Hasura's form, if the caller may see it. What was sent is made anew for it: calls
/// that fail are rare.
fn internal(
    running: &Running<'_>,
    allowed: &AllowedCall,
    answer: Option<&WebhookAnswer>,
    error: &Value,
) -> Option<Value> {
    if !shows_internal(running) {
        return None;
    }
    let mut internal = Map::new();
    internal.insert("error".into(), error.clone());
    let request = json!({
        "url": allowed.action().handler.template,
        "headers": header_list(&headers(running, allowed).unwrap_or_default(), |_| true),
        "body": body_value(&body(running, allowed).unwrap_or_default()),
        "transformed_request": null,
    });
    internal.insert("request".into(), request);
    if let Some(answer) = answer {
        let response = json!({
            "status": answer.status.as_u16(),
            "headers": header_list(&answer.headers, |name| name == SET_COOKIE.as_str()),
            "body": body_value(&answer.body),
        });
        internal.insert("response".into(), response);
    }
    Some(Value::Object(internal))
}

fn header_list(headers: &HeaderMap, is_hidden: impl Fn(&str) -> bool) -> Value {
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
