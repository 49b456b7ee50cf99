//! One exchange with a handler: builds and sends the request, with metrics, trace span and log line.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use opentelemetry::KeyValue;
use prometheus::HistogramTimer;
use serde_json::{Map, Value};

use crate::action::handler_error::{HandlerResponseError, TransportError};
use crate::execution::authorize::{AuthorizedCall, PayloadInput};
use crate::execution::context::ExecutionContext;
use crate::execution::spans;
use crate::handler::request;
use crate::handler_client::exchange;
use crate::handler_client::exchange::{HandlerHttpRequest, HandlerHttpResponse};
use crate::handler_client::signature::sign;
use crate::handler_client::stand_in::{HandlerStandIn, StandInCall, StandInInputs};
use crate::model::label::Label;
use crate::protocol::trace::TraceContext;
use crate::telemetry::logs;
use crate::telemetry::logs::milliseconds;
use crate::telemetry::metrics::Held;

/// Makes a job. Jobs have limits of their own, so no traffic policy applies; `id` is its own.
///
/// # Errors
/// [`HandlerResponseError::NoResponse`] and [`HandlerResponseError::RequestTransform`].
pub(crate) async fn call(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    id: &str,
) -> Result<HandlerHttpResponse, HandlerResponseError> {
    let _measured = Measured::begin(execution, allowed);
    exchange(execution, allowed, id).await
}

/// A call that is measured, until this is dropped. Not a function around the call: that would carry its future twice.
pub(crate) struct Measured {
    _timer: HistogramTimer,
    _in_flight: Held,
}

impl Measured {
    /// It begins.
    #[must_use]
    pub(crate) fn begin(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> Self {
        let metrics = &execution.services.metrics;
        let timer = metrics.handler_call_seconds.with_label_values(&[&allowed.action().name]).start_timer();
        Self { _timer: timer, _in_flight: Held::new(&metrics.handler_calls_in_flight) }
    }
}

/// One exchange with the handler: it is sent again only if not a byte of it had gone out, or as `handlers.max_retries` says.
///
/// # Errors
/// [`HandlerResponseError::NoResponse`] and [`HandlerResponseError::RequestTransform`].
pub(crate) async fn exchange(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    id: &str,
) -> Result<HandlerHttpResponse, HandlerResponseError> {
    // Every way to a handler leads through here: a call that `before` does not allow is not made.
    allowed.clearance()?;
    // When all permits are taken, the call is rejected at once: to wait would only make the queue longer.
    let _slot = execution.services.slots.handler_calls.try_acquire().map_err(|_| TransportError::Busy)?;
    let deadline = execution.context.deadline.min(Instant::now() + allowed.timeout());
    let client = execution.snapshot.configured.handlers.here();
    let child = spans::client_span(execution.services, &execution.context.trace);
    let trace = child.as_ref().unwrap_or(&execution.context.trace);
    let began = Instant::now();
    let mut request = prepare(execution, allowed, deadline, id, trace)?;
    let response = match &execution.services.stand_ins.handlers {
        None => exchange::call(client, &mut request, execution.context.share.as_deref()).await,
        Some(stand_in) => respond_in_place(&**stand_in, execution, allowed, &request),
    };
    if child.is_some() {
        let action = allowed.action();
        // The address is a template, so that no variable of it is shown.
        let attributes = vec![
            KeyValue::new("pillion.action", action.name.clone()),
            KeyValue::new("url.template", action.shown_url().to_owned()),
        ];
        let status = response.as_ref().map(|response| response.status.as_u16()).map_err(|fault| fault.kind().label());
        spans::record_client_span(
            execution.services,
            trace,
            format!("handler {}", action.name),
            began,
            status,
            attributes,
        );
    }
    let settings = &execution.snapshot.configured.settings;
    let is_good = response.as_ref().is_ok_and(|response| response.status.is_success());
    if settings.logs_handler_calls && (!is_good || logs::CALLS.next(settings.success_sample_every)) {
        log_call(execution, allowed, began, &response);
    }
    let response = response?;
    let (metrics, name) = (&execution.services.metrics, allowed.action().name.as_str());
    metrics.handler_responses.with_label_values(&[name, class_of(response.status)]).inc();
    metrics.handler_response_bytes.with_label_values(&[name]).inc_by(response.body.len() as u64);
    Ok(response)
}

/// A stand-in's response, within the limit of responses.
fn respond_in_place(
    stand_in: &dyn HandlerStandIn,
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    request: &HandlerHttpRequest,
) -> Result<HandlerHttpResponse, TransportError> {
    let rows: Vec<Map<String, Value>>;
    let inputs = match allowed.inputs() {
        PayloadInput::One(input) => StandInInputs::One(input),
        PayloadInput::Batch(inputs) => StandInInputs::Batch(inputs),
        PayloadInput::Rows(json) => {
            rows = serde_json::from_str(json).unwrap_or_default();
            StandInInputs::Batch(rows.iter().collect())
        }
    };
    let schema = &execution.snapshot.catalog.schema;
    let response = stand_in.respond(&StandInCall { action: allowed.action(), inputs, schema, request })?;
    if response.body.len() > request.max_response_bytes {
        return Err(TransportError::TooLarge { max: request.max_response_bytes });
    }
    if let Some(share) = &execution.context.share {
        share.grow(response.body.len()).map_err(|_| TransportError::NoRoom)?;
    }
    Ok(response)
}

/// One line about a call; neither its address nor a body is in it, for both may hold secrets.
fn log_call(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    began: Instant,
    response: &Result<HandlerHttpResponse, TransportError>,
) {
    let action = allowed.action();
    tracing::info!(
        r#type = "action-handler-log",
        request_id = execution.context.caller.request_id,
        trace_id = execution.context.trace.trace_id,
        action_name = action.name,
        url.template = action.shown_url(),
        http.response.status_code = response.as_ref().ok().map(|response| response.status.as_u16()),
        response_size = response.as_ref().ok().map(|response| response.body.len()),
        error.kind = response.as_ref().err().map(|fault| fault.kind().label()),
        duration_ms = milliseconds(began.elapsed()),
        "handler call"
    );
}

fn class_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other",
    }
}

pub(crate) fn prepare(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    deadline: Instant,
    id: &str,
    trace: &TraceContext,
) -> Result<HandlerHttpRequest, HandlerResponseError> {
    let mut outgoing = request::outgoing(execution, allowed)?;
    trace.write(&mut outgoing.headers);
    outgoing.headers.extend(execution.context.handler_headers.clone());
    let keys = &allowed.action().policies.signing_keys;
    if !keys.is_empty() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        sign(&mut outgoing.headers, keys, id, now.as_secs(), &outgoing.body);
    }
    let sent = execution.services.metrics.handler_request_bytes.with_label_values(&[&allowed.action().name]);
    sent.inc_by(outgoing.body.len() as u64);
    Ok(HandlerHttpRequest {
        method: outgoing.method,
        url: outgoing.url,
        headers: outgoing.headers,
        body: outgoing.body,
        timeout: deadline.saturating_duration_since(Instant::now()),
        max_response_bytes: execution.snapshot.catalog.limits.max_handler_response_size,
    })
}
