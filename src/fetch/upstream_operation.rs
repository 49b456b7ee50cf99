//! The upstream's part of an operation: builds the request, and interprets the response.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use opentelemetry::KeyValue;
use serde_json::value::RawValue;

use crate::execution::context::ExecutionContext;
use crate::execution::spans;
use crate::graphql::plan::UpstreamOperation;
use crate::model::action::OperationKind;
use crate::model::json::RawObject;
use crate::model::label::Label;
use crate::model::replay::Replay;
use crate::model::request::GraphqlRequest;
use crate::request::context::RequestContext;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::runtime::upstream_failure;
use crate::runtime::upstream_failure::{FailedRequest, UpstreamFailure};
use crate::telemetry::failure_log::UpstreamPurpose;
use crate::telemetry::labels::CallOutcome;
use crate::upstream::{UpstreamError, UpstreamRequest, UpstreamResponse};

/// Sends a part and waits for the response, which may still be anything.
///
/// # Errors
/// [`UpstreamError`].
pub(crate) async fn fetch(
    execution: &ExecutionContext<'_>,
    part: &UpstreamOperation,
) -> Result<UpstreamResponse, UpstreamError> {
    let replay = Replay::of(execution.plan.kind == OperationKind::Query);
    let body = Bytes::from(request_json(execution.request, part));
    execution.context.charge(body.len()).map_err(|_| UpstreamError::NoRoom)?;
    let sender = Sender::of(execution, UpstreamPurpose::Operation);
    send(execution.services, execution.snapshot, execution.context, body, replay, sender).await
}

/// On whose account a request is sent, for the failure log.
#[derive(Clone, Copy)]
pub(crate) struct Sender<'s> {
    /// What for.
    pub purpose: UpstreamPurpose,
    /// The name of the client's operation.
    pub operation_name: Option<&'s str>,
    /// The caller's role, if it is known.
    pub role: Option<&'s str>,
}

impl<'s> Sender<'s> {
    /// A running operation.
    #[must_use]
    pub(crate) fn of(execution: &ExecutionContext<'s>, purpose: UpstreamPurpose) -> Self {
        Self { purpose, operation_name: execution.operation_name, role: Some(execution.session.role()) }
    }
}

/// May every root field of a part be null, by the schema that this caller is known to see? Not if it is unknown.
#[must_use]
pub(crate) fn may_be_null(execution: &ExecutionContext<'_>, part: &UpstreamOperation) -> bool {
    let ExecutionContext { snapshot, context, session, plan, .. } = execution;
    let known = snapshot.schema_cache.known(&snapshot.catalog, context, session.role());
    let Some(merged) = known else { return false };
    let root = merged.role_schema.schema.get_object(snapshot.catalog.roots.of(plan.kind));
    let is_nullable =
        |name: &str| root.and_then(|root| root.fields.get(name)).is_some_and(|definition| !definition.ty.is_non_null());
    part.fields.iter().all(|field| is_nullable(&field.name))
}

/// Terms of a request to the upstream.
pub(crate) struct Terms<'t> {
    /// Whose credentials it has.
    pub headers: &'t HeaderMap,
    /// How long it may take at most.
    pub timeout: Duration,
    /// Bytes of its response at most.
    pub max_response_bytes: usize,
}

/// Sends a request's JSON to the upstream as the caller.
///
/// # Errors
/// [`UpstreamError`].
// No `async fn`: that would carry the room of the request twice.
pub(crate) fn send<'s>(
    services: &'s Services,
    snapshot: &'s Snapshot,
    context: &'s RequestContext,
    body: Bytes,
    replay: Replay<'s>,
    sender: Sender<'s>,
) -> impl Future<Output = Result<UpstreamResponse, UpstreamError>> + Send + 's {
    let terms = Terms {
        headers: &context.caller.headers,
        timeout: services.upstream.settings().request_timeout,
        max_response_bytes: snapshot.catalog.limits.max_upstream_response_size,
    };
    send_on_terms(services, context, body, replay, sender, terms)
}

/// The same on other terms.
///
/// # Errors
/// [`UpstreamError`].
pub(crate) async fn send_on_terms(
    services: &Services,
    context: &RequestContext,
    body: Bytes,
    replay: Replay<'_>,
    sender: Sender<'_>,
    terms: Terms<'_>,
) -> Result<UpstreamResponse, UpstreamError> {
    let left = context.deadline.saturating_duration_since(Instant::now());
    let child = spans::client_span(services, &context.trace);
    let mut headers = Cow::Borrowed(terms.headers);
    if let Some(trace) = &child {
        trace.write(headers.to_mut());
    }
    let began = Instant::now();
    let question = UpstreamRequest {
        path: context.upstream_path(),
        headers: &headers,
        request_id: &context.caller.request_id,
        body,
        replay,
        max_response_bytes: terms.max_response_bytes,
        share: context.share.as_deref(),
        timeout: terms.timeout.min(left),
    };
    let timer = services.metrics.upstream_request_seconds.start_timer();
    let response = services.upstream.fetch(&question).await;
    timer.observe_duration();
    if let Some(trace) = &child {
        let settings = services.upstream.settings();
        let attributes = vec![
            KeyValue::new("server.address", settings.host.clone()),
            KeyValue::new("server.port", i64::from(settings.port)),
            KeyValue::new("http.request.method", "POST"),
        ];
        let status = response.as_ref().map(|response| response.status.as_u16()).map_err(|error| error.kind().label());
        spans::record_client_span(services, trace, "upstream".into(), began, status, attributes);
    }
    let outcome = match UpstreamFailure::of(&response) {
        None => CallOutcome::Success.label(),
        Some(found) => {
            log(services, context, &found, sender, began.elapsed());
            found.kind.label()
        }
    };
    services.metrics.upstream_requests.with_label_values(&[outcome]).inc();
    response
}

fn log(services: &Services, context: &RequestContext, found: &UpstreamFailure, sender: Sender<'_>, duration: Duration) {
    upstream_failure::log(
        services,
        found,
        &FailedRequest {
            purpose: sender.purpose,
            request_id: &context.caller.request_id,
            trace_id: &context.trace.trace_id,
            operation_name: sender.operation_name,
            role: sender.role,
            duration,
        },
    );
}

/// The request's JSON: the masked document, and of the client's variables those that it still uses, to the letter.
pub(crate) fn request_json(request: &GraphqlRequest<'_>, part: &UpstreamOperation) -> String {
    let mut json = String::with_capacity(part.query_json.len() + 128);
    json.push_str("{\"query\":");
    json.push_str(&part.query_json);
    if let Some(name) = &request.operation_name {
        json.push_str(",\"operationName\":");
        json.push_str(&serde_json::Value::from(name.as_ref()).to_string());
    }
    push_variables(&mut json, &part.variables, &request.variables);
    if let Some(extensions) = request.extensions
        && let Ok(object) = serde_json::from_str::<RawObject<'_>>(extensions.get())
    {
        // The hash is that of another document.
        push_object(&mut json, ",\"extensions\":", &object, |name| name != "persistedQuery");
    }
    json.push('}');
    json
}

/// The JSON of a request of our own, with those of the client's variables that it uses.
pub(crate) fn rows_request_json(query_json: &str, used: &[String], given: &RawObject<'_>) -> String {
    let mut json = format!("{{\"query\":{query_json}");
    push_variables(&mut json, used, given);
    json.push('}');
    json
}

fn push_variables(json: &mut String, used: &[String], given: &RawObject<'_>) {
    push_object(json, ",\"variables\":", given, |name| used.iter().any(|variable| variable == name));
}

fn push_object(json: &mut String, key: &str, object: &RawObject<'_>, keep: impl Fn(&str) -> bool) {
    let mut open = false;
    for (name, value) in object.0.iter().filter(|(name, _)| keep(name)) {
        json.push_str(if open { "," } else { key });
        if !open {
            json.push('{');
            open = true;
        }
        push_entry(json, name, value);
    }
    if open {
        json.push('}');
    }
}

fn push_entry(json: &mut String, name: &str, value: &RawValue) {
    json.push_str(&serde_json::Value::from(name).to_string());
    json.push(':');
    json.push_str(value.get());
}
