//! One webhook call of a document: what is sent, what its response means, and what is counted about it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use http::header::{HeaderName, HeaderValue, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use opentelemetry::KeyValue;
use prometheus::HistogramTimer;
use serde_json::{Map, Value, json};

use crate::action::complete_value::{CompletedValue, CompletionError, CompletionRules, shape};
use crate::action::handler_error::{HandlerError, HandlerResponseError, TransportError};
use crate::action::handler_response::{self, HandlerResponse, ReadRules};
use crate::action::relationship::{FoundRows, RowKeys, RowSource};
use crate::action::transform;
use crate::graphql::selection::SubSelection;
use crate::handler_client::exchange::{self, WebhookAnswer, WebhookCall};
use crate::handler_client::signature::sign;
use crate::memory::tree_bytes;
use crate::model::action::{ADMIN_ROLE, Action, ConfiguredHeader, WrittenValue};
use crate::model::json::parse_strict;
use crate::model::response::PathSegment;
use crate::model::types::TypeRef;
use crate::pipeline::authorize::AuthorizedCall;
use crate::pipeline::run_steps::ExecutionContext;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::{ClientHeaders, cached_call, call_policy, handler_request, relationship_rows, request_spans};
use crate::protocol::trace::TraceContext;
use crate::telemetry::logs;
use crate::telemetry::metrics::Held;

/// What came of a webhook call.
#[derive(Debug)]
pub struct HandlerResult {
    /// The shaped value as JSON text.
    pub json: String,
    /// Why there is none, or less.
    pub errors: Vec<HandlerCallError>,
    /// Must null travel beyond this field?
    pub null_escapes: bool,
    /// The handler's cookies, and what else of its headers is for the client.
    pub client_headers: ClientHeaders,
}

/// One thing that went wrong with a call.
#[derive(Debug)]
pub struct HandlerCallError {
    /// What.
    pub cause: HandlerCallErrorCause,
    /// The exchange with the handler, for those who may see it.
    pub internal: Option<Value>,
}

/// What can go wrong with a call.
#[derive(Debug)]
pub enum HandlerCallErrorCause {
    /// No usable answer.
    Answer(HandlerResponseError),
    /// A response that does not fit.
    Shape(CompletionError),
    /// One of a list of the handler's own.
    Listed(HandlerError),
}

impl HandlerResult {
    /// A call that a plan named and nobody allowed. [`crate::pipeline::authorize::allow`] allows all or none, so this is not seen.
    #[must_use]
    pub fn not_made() -> Self {
        Self::failed(HandlerResponseError::NoAnswer(TransportError::Broken), None, false)
    }

    /// A value as it is.
    #[must_use]
    pub fn of_json(json: String) -> Self {
        Self { json, errors: Vec::new(), null_escapes: false, client_headers: ClientHeaders::new() }
    }

    /// Adds what did not fit, as far as anybody is told.
    pub fn add_shape_errors(&mut self, errors: Vec<CompletionError>, max: usize) {
        let errors = errors.into_iter().take(max);
        self.errors.extend(
            errors.map(|error| HandlerCallError { cause: HandlerCallErrorCause::Shape(error), internal: None }),
        );
    }

    /// No value.
    #[must_use]
    pub fn failed(error: HandlerResponseError, internal: Option<Value>, null_escapes: bool) -> Self {
        let errors = match error {
            HandlerResponseError::RejectedWithList(errors) => listed(errors),
            error => vec![HandlerCallError { cause: HandlerCallErrorCause::Answer(error), internal }],
        };
        Self { json: "null".into(), errors, null_escapes, client_headers: ClientHeaders::new() }
    }
}

fn listed(errors: Vec<HandlerError>) -> Vec<HandlerCallError> {
    errors
        .into_iter()
        .map(|error| HandlerCallError { cause: HandlerCallErrorCause::Listed(error), internal: None })
        .collect()
}

/// Makes the call, shapes its response and has the rows fetched that belong to it.
pub async fn run(running: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> HandlerResult {
    if let Err(rejected) = call_policy::count(running, allowed).await {
        return told(running, allowed, Err(rejected.into())).await;
    }
    if let Some(rules) = &allowed.action().guards.cache {
        // In a box of its own: it is rare, and every call carries the room for what its future may become.
        return Box::pin(cached_call::run(running, allowed, rules)).await;
    }
    let answer = call_policy::call(running, allowed).await;
    told(running, allowed, answer).await
}

/// What a response comes to, counted.
pub async fn told(
    running: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    answer: Result<WebhookAnswer, HandlerResponseError>,
) -> HandlerResult {
    let outcome = outcome(running, allowed, answer).await;
    count(running, allowed, label(&outcome));
    outcome
}

/// What a value comes to that was answered before.
pub async fn of_value(
    running: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    value: &Value,
    client_headers: ClientHeaders,
) -> HandlerResult {
    let outcome = shaped(running, allowed, None, value, Vec::new()).await;
    HandlerResult { client_headers, ..outcome }
}

/// Makes a job. Those have limits of their own, so no guard stands before it; `id` is its own.
///
/// # Errors
/// [`HandlerResponseError::NoAnswer`] and [`HandlerResponseError::RequestTransform`].
pub async fn call(
    running: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    id: &str,
) -> Result<WebhookAnswer, HandlerResponseError> {
    let _measured = Measured::begin(running, allowed);
    exchange(running, allowed, id).await
}

/// A call that is measured, until this is dropped. Not a function around the call: that would carry its future twice.
pub struct Measured {
    _timer: HistogramTimer,
    _in_flight: Held,
}

impl Measured {
    /// It begins.
    #[must_use]
    pub fn begin(running: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> Self {
        let metrics = &running.world.metrics;
        let timer = metrics.handler_call_seconds.with_label_values(&[&allowed.action().name]).start_timer();
        Self { _timer: timer, _in_flight: Held::new(&metrics.handler_calls_in_flight) }
    }
}

/// Counts what came of a call.
pub fn count(running: &ExecutionContext<'_>, allowed: &AuthorizedCall, label: &str) {
    running.world.metrics.handler_calls.with_label_values(&[allowed.action().name.as_str(), label]).inc();
}

fn label(outcome: &HandlerResult) -> &'static str {
    match outcome.errors.first().map(|error| &error.cause) {
        None => "success",
        Some(HandlerCallErrorCause::Shape(CompletionError { related: Some(_), .. })) => "relationship_failed",
        Some(HandlerCallErrorCause::Shape(_)) => "wrong_shape",
        Some(HandlerCallErrorCause::Listed(_)) => "rejected",
        Some(HandlerCallErrorCause::Answer(error)) => label_of(error),
    }
}

/// What is counted when no value came.
#[must_use]
pub fn label_of(error: &HandlerResponseError) -> &'static str {
    match error {
        HandlerResponseError::Rejected { .. } | HandlerResponseError::RejectedWithList(_) => "rejected",
        HandlerResponseError::NotJson { .. } => "not_json",
        HandlerResponseError::MalformedErrors { .. } | HandlerResponseError::NoEnvelope => "wrong_shape",
        HandlerResponseError::Status { .. } => "error_status",
        HandlerResponseError::NotSent(_) => "refused",
        HandlerResponseError::RequestTransform(_) | HandlerResponseError::ResponseTransform(_) => "transform_failed",
        HandlerResponseError::NoAnswer(TransportError::TooLarge { .. }) => "broken",
        HandlerResponseError::NoAnswer(fault) => fault_name(fault),
        HandlerResponseError::NotStored | HandlerResponseError::NotLookedUp | HandlerResponseError::NotAnId(_) => {
            "not_sent"
        }
    }
}

async fn outcome(
    running: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    answer: Result<WebhookAnswer, HandlerResponseError>,
) -> HandlerResult {
    let (answer, value) = match answer {
        Ok(answer) => {
            let value = read(running, allowed, &answer);
            (Some(answer), value)
        }
        Err(error) => (None, Err(error)),
    };
    match value {
        Err(error) => {
            let internal = internal(running, allowed, answer.as_ref(), &error_text(&error), shows_internal(running));
            let internal = internal.filter(|_| !error.is_handlers_own());
            let mut outcome = HandlerResult::failed(error, internal, !allowed.action().output.is_nullable());
            outcome.client_headers = client_headers(allowed, answer.as_ref());
            outcome
        }
        Ok(HandlerResponse { value, errors }) => shaped(running, allowed, answer.as_ref(), &value, errors).await,
    }
}

/// The value of a response, as it is or as the action's response transform makes it.
///
/// # Errors
/// [`HandlerResponseError`].
pub fn read(
    running: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    answer: &WebhookAnswer,
) -> Result<HandlerResponse, HandlerResponseError> {
    let status = answer.status.as_u16();
    if answer.body.len() > UNMEASURED_BYTES_MAX {
        running.envelope.charge(tree_bytes(&answer.body)).map_err(|_| TransportError::NoRoom)?;
    }
    let rules = read_rules(running.snapshot, allowed.action());
    let Some(transform) = &allowed.action().response_transform else {
        return handler_response::read(rules, status, &answer.body);
    };
    let payload = handler_request::payload(running, allowed)?;
    let lookup = handler_request::lookup(running, allowed, &payload);
    // Handlers that are not made for us need not answer with JSON; to a template that is null.
    let body = parse_strict(&answer.body).unwrap_or_default();
    let value =
        transform::response(transform, &lookup, status, body).map_err(HandlerResponseError::ResponseTransform)?;
    handler_response::judge(rules, status, value)
}

/// How responses of an action's handler are read.
#[must_use]
pub fn read_rules(snapshot: &Snapshot, action: &Action) -> ReadRules {
    ReadRules { is_envelope: action.has_envelope, max_errors: snapshot.limits.max_errors }
}

async fn shaped(
    running: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    answer: Option<&WebhookAnswer>,
    value: &Value,
    own_errors: Vec<HandlerError>,
) -> HandlerResult {
    let shaped = shape_with_rows(running, &allowed.action().output, value, allowed.selected()).await;
    let shows = shows_internal(running);
    // A null that the handler has explained needs no second explanation.
    let is_explained = |path: &[PathSegment]| own_errors.iter().any(|own| own.path.starts_with(path));
    let is_news = |error: &CompletionError| !(is_explained(&error.path) && is_null_at(value, &error.path));
    let misfits: Vec<CompletionError> = shaped.errors.into_iter().filter(is_news).collect();
    let errors = misfits.into_iter().take(running.snapshot.limits.max_errors).map(|error| HandlerCallError {
        internal: internal(running, allowed, answer, &Value::from("unexpected response"), shows)
            .filter(|_| error.related.is_none()),
        cause: HandlerCallErrorCause::Shape(error),
    });
    HandlerResult {
        errors: listed(own_errors).into_iter().chain(errors).collect(),
        json: shaped.json,
        null_escapes: shaped.null_escapes,
        client_headers: client_headers(allowed, answer),
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
pub async fn shape_with_rows(
    running: &ExecutionContext<'_>,
    ty: &TypeRef,
    value: &Value,
    selected: &SubSelection,
) -> CompletedValue {
    let rules = rules(running.snapshot);
    let shape_with = |rows: &mut dyn RowSource| shape(&rules, ty, value, selected, rows);
    let mut wanted = RowKeys::default();
    let shaped = shape_with(&mut wanted);
    if !wanted.is_needed() || shaped.is_lost(rules.dialect) {
        return shaped;
    }
    // In a box of its own: it is rare, and every call carries the room for what its future may become.
    let found = Box::pin(relationship_rows::fetch(running, &wanted)).await;
    shape_with(&mut FoundRows { wanted: &wanted, found: &found })
}

/// What answers are shaped by in this generation.
#[must_use]
pub fn rules(snapshot: &Snapshot) -> CompletionRules<'_> {
    CompletionRules {
        types: &snapshot.schema.types,
        dialect: snapshot.dialect,
        max_list_length: snapshot.limits.max_list_length,
    }
}

/// What of a response's headers goes to the client: cookies, and what the action's author has chosen.
#[must_use]
pub fn client_headers(allowed: &AuthorizedCall, answer: Option<&WebhookAnswer>) -> ClientHeaders {
    let Some(answer) = answer else { return ClientHeaders::new() };
    let chosen = &allowed.action().response_headers;
    let is_wanted = |name: &HeaderName| name == SET_COOKIE || chosen.contains(name);
    let wanted = answer.headers.iter().filter(|(name, _)| is_wanted(name)).take(CLIENT_HEADERS_MAX);
    wanted.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Answers up to this length are not measured: what is made of them is held for a moment only.
const UNMEASURED_BYTES_MAX: usize = 16 * 1024;

/// Headers of one response that go on to the client.
const CLIENT_HEADERS_MAX: usize = 50;

/// One exchange with the handler: it is sent again only if not a byte of it had gone out, or as `handlers.max_retries` says.
///
/// # Errors
/// [`HandlerResponseError::NoAnswer`] and [`HandlerResponseError::RequestTransform`].
pub async fn exchange(
    running: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    id: &str,
) -> Result<WebhookAnswer, HandlerResponseError> {
    // Whoever finds all slots taken is told so at once: to wait would only make the queue longer.
    let _slot = running.world.call_slots.try_acquire().map_err(|_| TransportError::Busy)?;
    let deadline = running.envelope.deadline.min(Instant::now() + allowed.action().timeout);
    let client = running.snapshot.configured.handlers.here();
    let child = request_spans::question(running.world, running.envelope.trace);
    let trace = child.as_ref().unwrap_or(running.envelope.trace);
    let began = Instant::now();
    let answer = exchange::call(client, prepare(running, allowed, deadline, id, trace)?, running.envelope.share).await;
    if child.is_some() {
        let action = allowed.action();
        // The address is a template, so that no variable of it is shown.
        let attributes = vec![
            KeyValue::new("pillion.action", action.name.clone()),
            KeyValue::new("url.template", action.shown_url().to_owned()),
        ];
        let status = answer.as_ref().map(|answer| answer.status.as_u16()).map_err(|fault| fault_name(fault));
        request_spans::asked(running.world, trace, format!("handler {}", action.name), began, status, attributes);
    }
    let settings = &running.snapshot.configured.settings;
    let is_good = answer.as_ref().is_ok_and(|answer| answer.status.is_success());
    if settings.logs_handler_calls && (!is_good || logs::CALLS.next(settings.success_sample_every)) {
        log_call(running, allowed, began, &answer);
    }
    let answer = answer?;
    let (metrics, name) = (&running.world.metrics, allowed.action().name.as_str());
    metrics.handler_responses.with_label_values(&[name, class_of(answer.status)]).inc();
    metrics.handler_response_bytes.with_label_values(&[name]).inc_by(answer.body.len() as u64);
    Ok(answer)
}

/// One line about a call; neither its address nor a body is in it, for both may hold secrets.
fn log_call(
    running: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    began: Instant,
    answer: &Result<WebhookAnswer, TransportError>,
) {
    let action = allowed.action();
    tracing::info!(
        r#type = "action-handler-log",
        request_id = running.envelope.caller.request_id,
        trace_id = running.envelope.trace.trace_id,
        action_name = action.name,
        url = action.shown_url(),
        status = answer.as_ref().ok().map(|answer| answer.status.as_u16()),
        response_size = answer.as_ref().ok().map(|answer| answer.body.len()),
        error = answer.as_ref().err().map(fault_name),
        duration_ms = began.elapsed().as_secs_f64() * 1000.0,
        "handler call"
    );
}

fn fault_name(fault: &TransportError) -> &'static str {
    match fault {
        TransportError::Connect => "unreachable",
        TransportError::Timeout => "timeout",
        TransportError::Busy | TransportError::NoRoom => "busy",
        TransportError::TooLarge { .. } => "too_large",
        TransportError::Broken | TransportError::Header(_) => "broken",
    }
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

fn prepare(
    running: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    deadline: Instant,
    id: &str,
    trace: &TraceContext,
) -> Result<WebhookCall, HandlerResponseError> {
    let mut outgoing = handler_request::outgoing(running, allowed)?;
    trace.write(&mut outgoing.headers);
    outgoing.headers.extend(running.envelope.handler_headers.clone());
    let keys = &allowed.action().guards.signing_keys;
    if !keys.is_empty() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        sign(&mut outgoing.headers, keys, id, now.as_secs(), &outgoing.body);
    }
    let sent = running.world.metrics.handler_request_bytes.with_label_values(&[&allowed.action().name]);
    sent.inc_by(outgoing.body.len() as u64);
    Ok(WebhookCall {
        method: outgoing.method,
        url: outgoing.url,
        headers: outgoing.headers,
        body: outgoing.body,
        timeout: deadline.saturating_duration_since(Instant::now()),
        answer_bytes_max: running.snapshot.limits.max_handler_response_size,
    })
}

/// What an error is called where the exchange is shown.
#[must_use]
pub fn error_text(error: &HandlerResponseError) -> Value {
    match error {
        HandlerResponseError::NoAnswer(fault) => json!({ "type": "http_exception", "message": fault.to_string() }),
        other => Value::from(other.reason()),
    }
}

/// Bytes of a handler's body that `internal` shows.
const INTERNAL_BODY_BYTES_MAX: usize = 64 * 1024;

/// What stands for every header value: the configured ones are secrets, and the forwarded ones may be.
const HIDDEN: &str = "***";

fn shows_internal(running: &ExecutionContext<'_>) -> bool {
    let settings = &running.snapshot.configured.settings;
    settings.dev_mode || settings.admin_internal_errors && running.session.role() == ADMIN_ROLE
}

/// The exchange with the handler in Hasura's form, if the caller may see it. What was sent is made anew for it: calls
/// that fail are rare.
#[must_use]
pub fn internal(
    running: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    answer: Option<&WebhookAnswer>,
    error: &Value,
    is_shown: bool,
) -> Option<Value> {
    if !is_shown {
        return None;
    }
    let mut internal = Map::new();
    internal.insert("error".into(), error.clone());
    let action = allowed.action();
    let untransformed = handler_request::untransformed(running, allowed).ok();
    let transformed = action.request_transform.as_ref().and_then(|_| handler_request::outgoing(running, allowed).ok());
    let transformed = transformed.map(|outgoing| {
        let body = String::from_utf8_lossy(&outgoing.body);
        json!({
            "url": action.shown_url(),
            "headers": header_list(&outgoing.headers, |_| true),
            "body": body_value(action.handler.shown(&body).as_bytes()),
            "method": outgoing.method.as_str(),
        })
    });
    // The addresses are templates, so that no variable of them is shown.
    let request = json!({
        "url": action.handler.template,
        "headers": action.headers.configured.iter().map(configured_value).collect::<Value>(),
        "body": untransformed.map(|outgoing| body_value(&outgoing.body)),
        "transformed_request": transformed,
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

/// A configured header as its author wrote it; what he wrote out may be a secret.
fn configured_value(header: &ConfiguredHeader) -> Value {
    let name = header.name.as_str();
    match &header.written {
        WrittenValue::FromEnvironment(variable) => json!({ "name": name, "value_from_env": variable }),
        WrittenValue::Template(template) => json!({ "name": name, "value": template }),
        WrittenValue::Plain => json!({ "name": name, "value": HIDDEN }),
    }
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
