//! Trace spans of requests, of their phases, and of calls to handlers and the upstream.

use std::time::Instant;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use uuid::Uuid;

use crate::protocol::trace::TraceContext;
use crate::request::context::RequestContext;
use crate::request::response;
use crate::runtime::services::Services;
use crate::telemetry::span_watch::WatchedSpan;
use crate::telemetry::traces::{Ended, SpanIds, Tracer, texts};

/// The collector of this trace's spans, if it is sampled.
fn tracer<'w>(services: &'w Services, trace: &TraceContext) -> Option<&'w Tracer> {
    services.tracer.as_ref().filter(|_| trace.sampled)
}

/// Samples a trace that has no sampling decision yet.
pub(crate) fn sample(services: &Services, trace: &mut TraceContext) {
    if let (Some(tracer), None, false) = (&services.tracer, &trace.parent_span_id, trace.sampled) {
        trace.sampled = tracer.decides(Uuid::new_v4().as_u64_pair().0);
    }
}

fn span_ids(trace: &TraceContext, parent_is_remote: bool) -> SpanIds {
    SpanIds {
        trace_id: trace.trace_id.clone(),
        span_id: trace.span_id.clone(),
        parent: trace.parent_span_id.clone(),
        parent_is_remote,
    }
}

/// The context of a child span, if this trace is sampled.
#[must_use]
pub(crate) fn client_span(services: &Services, trace: &TraceContext) -> Option<TraceContext> {
    let is_recorded = tracer(services, trace).is_some() || services.span_watches.has(&trace.trace_id);
    is_recorded.then(|| child(trace))
}

fn child(trace: &TraceContext) -> TraceContext {
    trace.child(Uuid::new_v4().as_u64_pair().1)
}

/// What is known of a request once its response is complete.
pub(crate) struct RequestSpan<'r> {
    /// The role, once that was known.
    pub role: Option<&'r str>,
    /// The actions that were called.
    pub actions: &'r [String],
    /// The HTTP status of the response.
    pub status: u16,
    /// Its outcome.
    pub outcome: &'static str,
}

/// The response to a request is complete.
pub(crate) fn record_request(services: &Services, context: &RequestContext, request: &RequestSpan<'_>) {
    let RequestContext { caller, trace, way, started, .. } = context;
    let Some(tracer) = tracer(services, trace) else { return };
    let mut attributes = vec![
        KeyValue::new("url.path", way.clone()),
        KeyValue::new("http.response.status_code", i64::from(request.status)),
        KeyValue::new("pillion.outcome", request.outcome),
        KeyValue::new("pillion.request_id", caller.request_id.clone()),
        texts("pillion.actions", request.actions),
    ];
    attributes.extend(caller.address.map(|address| KeyValue::new("client.address", address.to_string())));
    attributes.extend(request.role.map(|role| KeyValue::new("pillion.role", role.to_owned())));
    let error = (request.outcome != response::SUCCESS).then_some(request.outcome);
    tracer.take(Ended {
        place: span_ids(trace, true),
        kind: SpanKind::Server,
        name: "graphql".into(),
        began: *started,
        ended: Instant::now(),
        attributes,
        error,
    });
}

/// A phase of a request is over.
pub(crate) fn record_phase(
    services: &Services,
    trace: &TraceContext,
    name: &'static str,
    began: Instant,
    ended: Instant,
) {
    services.span_watches.note(&trace.trace_id, || WatchedSpan { name: name.to_owned(), began, ended });
    let Some(tracer) = tracer(services, trace) else { return };
    let (place, name) = (span_ids(&child(trace), false), name.into());
    tracer.take(Ended { place, kind: SpanKind::Internal, name, began, ended, attributes: Vec::new(), error: None });
}

/// A call to a handler or to the upstream has ended. `trace` is that of the call.
pub(crate) fn record_client_span(
    services: &Services,
    trace: &TraceContext,
    name: String,
    began: Instant,
    status: Result<u16, &'static str>,
    attributes: Vec<KeyValue>,
) {
    let ended = Instant::now();
    services.span_watches.note(&trace.trace_id, || WatchedSpan { name: name.clone(), began, ended });
    let Some(tracer) = tracer(services, trace) else { return };
    let mut attributes = attributes;
    attributes.extend(status.ok().map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
    let error = match status {
        Ok(500..) => Some("5xx"),
        Ok(400..) => Some("4xx"),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    let place = span_ids(trace, false);
    tracer.take(Ended { place, kind: SpanKind::Client, name, began, ended, attributes, error });
}
