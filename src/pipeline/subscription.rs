//! An operation on a WebSocket or an event stream: a query or a mutation yields one result, a subscription one for each
//! change (live query).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::execution::prepared_request::{Execution, Route, route};
use crate::execution::{access_log, spans};
use crate::model::action::OperationKind;
use crate::pipeline::execute;
use crate::protocol::http::{Body, read_body};
use crate::protocol::trace::TraceContext;
use crate::request::context::RequestContext;
use crate::request::live_dependencies::{IDLE_MAX, LiveDependencies};
use crate::request::response::Response;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;

/// A message to the client about its operation.
#[derive(Debug)]
pub(crate) enum SubscriptionMessage {
    /// A response, as JSON.
    Next(String),
    /// It was not run, for these errors: a list as JSON. Nothing follows.
    Rejected(String),
    /// Nothing follows.
    Complete,
    /// Nothing of ours is in it: the upstream runs it. Nothing follows.
    Delegated,
}

/// The first polling interval of a subscription; it grows while nothing happens.
const LOOK_MIN: Duration = Duration::from_secs(1);

/// Runs an operation whose client listens for more than one response. `payload` is its GraphQL request as JSON; `operation` is
/// the context that all executions have in common, with the share that holds the payload and the values made of it each
/// time. `send` returns `false` when the client no longer listens.
pub(crate) async fn run<F: Future<Output = bool>>(
    services: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    operation: &RequestContext,
    payload: &str,
    send: impl Fn(SubscriptionMessage) -> F,
) {
    let mut last: Option<Bytes> = None;
    let mut pause = LOOK_MIN;
    loop {
        // Boxed: otherwise a waiting subscription carries the size of this future.
        let watched = Arc::new(LiveDependencies::default());
        let Some((response, kind)) = Box::pin(execute_once(services, snapshot, (operation, payload), &watched)).await
        else {
            send(SubscriptionMessage::Delegated).await;
            return;
        };
        let was_run = matches!(response.outcome, crate::request::response::SUCCESS | "errors");
        if !was_run {
            send(SubscriptionMessage::Rejected(errors_of(&response))).await;
            return;
        }
        if last.as_ref() != Some(&response.body) {
            pause = LOOK_MIN;
            let body = String::from_utf8_lossy(&response.body).into_owned();
            if !send(SubscriptionMessage::Next(body)).await {
                return;
            }
        }
        if kind != OperationKind::Subscription {
            send(SubscriptionMessage::Complete).await;
            return;
        }
        // Everything made for this response is freed, but for the response itself.
        if let Some(share) = &operation.share {
            share.shrink_to(payload.len() + response.body.len());
        }
        last = Some(response.body);
        watched.change(pause).await;
        pause = (pause * 2).min(IDLE_MAX);
    }
}

/// The errors of a response, a list as JSON.
pub(crate) fn errors_of(response: &Response) -> String {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    body.get("errors").cloned().unwrap_or_else(|| Value::Array(Vec::new())).to_string()
}

/// The context of one execution: with a deadline and a trace of its own.
pub(crate) fn execution_context(
    services: &Services,
    snapshot: &Snapshot,
    operation: &RequestContext,
    watched: &Arc<LiveDependencies>,
) -> RequestContext {
    let started = Instant::now();
    let random = Uuid::new_v4();
    let mut trace = TraceContext::read(&operation.caller.headers, random.as_u128());
    spans::sample(services, &mut trace);
    RequestContext {
        trace,
        started,
        deadline: started + snapshot.catalog.limits.request_timeout,
        subscription: Some(Arc::clone(watched)),
        share: operation.share.clone(),
        authenticated: OnceCell::new_with(operation.authenticated.get().cloned()),
        ..operation.for_task()
    }
}

/// `None` if nothing of ours is in it.
async fn execute_once(
    services: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    (operation, payload): (&RequestContext, &str),
    watched: &Arc<LiveDependencies>,
) -> Option<(Response, OperationKind)> {
    let context = execution_context(services, snapshot, operation, watched);
    let limits = &services.configured().settings.limits;
    let Ok(Body::One(element)) = read_body(payload.as_bytes(), limits) else { return None };
    let Route::Execute(prepared_request) = route(services, snapshot, element).await else { return None };
    let kind = prepared_request.kind().unwrap_or(OperationKind::Query);
    let Execution::Response(response) = execute(services, snapshot, &context, &prepared_request).await else {
        return None;
    };
    access_log::record(services, &response, &context);
    Some((response, kind))
}
