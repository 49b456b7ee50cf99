//! A subscription of the upstream's with extension fields as server-sent events: reads the upstream's event stream, and completes
//! each event before it reads the next one.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::execution::spans;
use crate::graphql::merge::read_upstream_result;
use crate::model::label::Label;
use crate::model::replay::Replay;
use crate::pipeline::subscription::SubscriptionMessage;
use crate::pipeline::upstream_subscription::{SubscriptionStart, UpstreamSubscription, prepare};
use crate::protocol::event_stream::{EventParser, EventTooLarge};
use crate::protocol::media_type::is_event_stream;
use crate::request::context::RequestContext;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::runtime::upstream_failure;
use crate::runtime::upstream_failure::{FailedRequest, UpstreamFailure};
use crate::telemetry::failure_log::UpstreamPurpose;
use crate::telemetry::labels::CallOutcome;
use crate::upstream::{Forwarded, UpstreamError};

/// Why the upstream's stream did not come to its end.
enum StreamFault {
    /// There is none.
    Unavailable(UpstreamError),
    /// It broke off.
    Broken(UpstreamError),
}

/// Runs the subscription in `payload`, like [`crate::pipeline::subscription::run`]. When the upstream's stream breaks off, it ends
/// without a last message, so that the client reconnects.
pub(crate) async fn run<F: Future<Output = bool>>(
    services: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    operation: &RequestContext,
    payload: &str,
    send: impl Fn(SubscriptionMessage) -> F,
) {
    // Boxed: otherwise a waiting subscription carries the size of this future.
    let prepared = Box::pin(prepare(services, snapshot, operation, payload)).await;
    let subscription = match prepared {
        SubscriptionStart::Upstream(subscription) => subscription,
        SubscriptionStart::Rejected(errors) => {
            send(SubscriptionMessage::Rejected(errors)).await;
            return;
        }
        SubscriptionStart::Delegated => {
            send(SubscriptionMessage::Delegated).await;
            return;
        }
    };
    let began = Instant::now();
    let ended = stream(services, snapshot, operation, &subscription, &send).await;
    let outcome = match &ended {
        Ok(()) => CallOutcome::Success.label(),
        Err(StreamFault::Unavailable(error) | StreamFault::Broken(error)) => {
            log(services, operation, &subscription, error, began);
            error.kind().label()
        }
    };
    services.metrics.upstream_requests.with_label_values(&[outcome]).inc();
    if let Err(StreamFault::Unavailable(error)) = ended {
        send(SubscriptionMessage::Rejected(subscription.unavailable(&error))).await;
    }
}

async fn stream<F: Future<Output = bool>>(
    services: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    operation: &RequestContext,
    subscription: &UpstreamSubscription<'_>,
    send: &impl Fn(SubscriptionMessage) -> F,
) -> Result<(), StreamFault> {
    let upstream = &services.upstream;
    let body = Bytes::from(subscription.upstream_payload());
    let headers = headers(services, operation);
    let address = upstream.address(operation.upstream_path()).map_err(StreamFault::Unavailable)?;
    let response = upstream.forward(&Method::POST, &address, &headers, &body, Replay::Never).await;
    let mut events = UpstreamEvents {
        services,
        operation,
        bytes_max: snapshot.catalog.limits.max_upstream_response_size,
        response: response.map_err(StreamFault::Unavailable)?,
    };
    if is_event_stream(events.response.head().1) {
        events.complete_all(subscription, send).await.map_err(StreamFault::Broken)
    } else {
        events.complete_only(subscription, send).await.map_err(StreamFault::Unavailable)
    }
}

fn headers(services: &Services, operation: &RequestContext) -> HeaderMap {
    let caller = &operation.caller;
    let mut headers = services.upstream.event_stream_headers(&caller.headers, &caller.request_id);
    if let Some(trace) = spans::client_span(services, &operation.trace) {
        trace.write(&mut headers);
    }
    headers
}

/// The upstream's response.
struct UpstreamEvents<'r> {
    services: &'r Services,
    operation: &'r RequestContext,
    /// Bytes of an event.
    bytes_max: usize,
    response: Forwarded<'r>,
}

impl UpstreamEvents<'_> {
    /// Reads no further while an event is completed and written, so that the upstream is slowed down.
    async fn complete_all<F: Future<Output = bool>>(
        &mut self,
        subscription: &UpstreamSubscription<'_>,
        send: &impl Fn(SubscriptionMessage) -> F,
    ) -> Result<(), UpstreamError> {
        let mut parser = EventParser::new(self.bytes_max);
        let share = self.operation.share.as_ref().map(|share| share.sibling());
        while let Some(piece) = self.next_chunk().await? {
            if let Some(share) = &share {
                share.grow(piece.len()).map_err(|_| UpstreamError::NoRoom)?;
            }
            for event in parser.push(&piece).map_err(|EventTooLarge| self.too_large())? {
                let message = match event.name.as_str() {
                    // Some servers keep the connection alive by it.
                    "" | "message" if event.data.is_empty() => continue,
                    "" | "message" | "next" => {
                        // Boxed: otherwise a waiting subscription carries the size of this future.
                        SubscriptionMessage::Next(Box::pin(subscription.complete(event.data)).await)
                    }
                    "complete" => SubscriptionMessage::Complete,
                    _ => continue,
                };
                let is_last = matches!(message, SubscriptionMessage::Complete);
                if !send(message).await || is_last {
                    return Ok(());
                }
            }
            if let Some(share) = &share {
                share.shrink_to(parser.held_bytes());
            }
        }
        Ok(())
    }

    /// The upstream has sent one response and no stream: errors, as a rule.
    async fn complete_only<F: Future<Output = bool>>(
        &mut self,
        subscription: &UpstreamSubscription<'_>,
        send: &impl Fn(SubscriptionMessage) -> F,
    ) -> Result<(), UpstreamError> {
        let status = self.response.head().0.as_u16();
        let mut body = Vec::new();
        while let Some(piece) = self.next_chunk().await? {
            if body.len().saturating_add(piece.len()) > self.bytes_max {
                return Err(self.too_large());
            }
            self.operation.charge(piece.len()).map_err(|_| UpstreamError::NoRoom)?;
            body.extend_from_slice(&piece);
        }
        let no_response = || UpstreamError::NotGraphql { status };
        let has_data = read_upstream_result(&body).map_err(|_| no_response())?.has_data;
        let body = String::from_utf8(body).map_err(|_| no_response())?;
        if !has_data {
            send(SubscriptionMessage::Rejected(subscription.rejected_response(&body))).await;
            return Ok(());
        }
        let completed = Box::pin(subscription.complete(body)).await;
        if send(SubscriptionMessage::Next(completed)).await {
            send(SubscriptionMessage::Complete).await;
        }
        Ok(())
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let idle = self.services.upstream.settings().stream_idle_timeout;
        match tokio::time::timeout(idle, self.response.next_chunk()).await {
            Ok(piece) => piece.map_err(UpstreamError::from),
            Err(_) => Err(UpstreamError::TimedOut),
        }
    }

    fn too_large(&self) -> UpstreamError {
        UpstreamError::TooLarge { max: self.bytes_max }
    }
}

fn log(
    services: &Services,
    operation: &RequestContext,
    subscription: &UpstreamSubscription<'_>,
    error: &UpstreamError,
    began: Instant,
) {
    let request = FailedRequest {
        purpose: UpstreamPurpose::Operation,
        request_id: &operation.caller.request_id,
        trace_id: &operation.trace.trace_id,
        operation_name: subscription.operation_name(),
        role: Some(subscription.role()),
        duration: began.elapsed(),
    };
    upstream_failure::log(services, &UpstreamFailure::of_error(error), &request);
}
