//! Server-sent events (SSE): operations whose responses are an event stream, in the [distinct connections
//! mode](https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md) of graphql-sse.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, header};
use tokio::sync::{OnceCell, mpsc};

use crate::auth::authenticated::Authenticated;
use crate::downstream::session::DownstreamSession;
use crate::downstream::write_response::add_cors;
use crate::execution::prepared_request::PreparedRequest;
use crate::memory::Share;
use crate::model::action::OperationKind;
use crate::pipeline::subscription::{SubscriptionMessage, run};
use crate::pipeline::upstream_subscription::is_delegated;
use crate::pipeline::{authenticate_or_reject, streamed_subscription, trusted_documents};
use crate::protocol::media_type::wants_events;
use crate::request::context::RequestContext;
use crate::request::response::Response;
use crate::routes::client_disconnect;
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::reject::reject_and_close;
use crate::runtime::farewell::time_to_leave;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::telemetry::request_kind::RequestKind;

/// How often a client hears from us, whatever happens.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Write timeout: a slow client that reads slower than that is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A request that is served as a stream.
pub(crate) struct EventStream<'s> {
    /// The snapshot.
    pub snapshot: &'s Arc<Snapshot>,
    /// How it came.
    pub context: &'s RequestContext,
    /// The operation.
    pub operation: StreamedOperation,
    /// Its share of the memory budget.
    pub share: Arc<Share>,
}

/// An operation whose results are events.
pub(crate) struct StreamedOperation {
    /// The GraphQL request as JSON.
    payload: String,
    /// The caller.
    authenticated: Authenticated,
    /// Is it a subscription of the upstream's, whose events are completed here?
    is_completed: bool,
}

/// Does the client want its response so?
#[must_use]
pub(crate) fn matches(downstream: &DownstreamSession<'_>, prepared_request: &PreparedRequest<'_>) -> bool {
    let is_subscription = prepared_request.kind() == Some(OperationKind::Subscription);
    !prepared_request.is_introspection_only() && wants_events(&downstream.head().headers, is_subscription)
}

/// Authenticates the caller. `None` if nothing of ours is in the operation, so that the upstream streams it.
///
/// # Errors
/// The response that says why the caller is rejected.
pub(crate) async fn admit(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    prepared_request: &PreparedRequest<'_>,
    payload: String,
) -> Result<Option<StreamedOperation>, Response> {
    let services = &gateway.services;
    let authenticated = authenticate_or_reject(services, snapshot, context, prepared_request).await?;
    if !prepared_request.concern().any() || is_delegated(services, snapshot, context, prepared_request).await {
        trusted_documents::admit(services, snapshot, context, Some(prepared_request)).await?;
        return Ok(None);
    }
    let is_completed = prepared_request.may_extend_subscription();
    Ok(Some(StreamedOperation { payload, authenticated, is_completed }))
}

/// Writes the results of the operation to the client.
///
/// # Errors
/// When the connection broke.
pub(crate) async fn serve(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    streamed: EventStream<'_>,
) -> pingora::Result<bool> {
    let EventStream { snapshot, context, operation, share } = streamed;
    let StreamedOperation { payload, authenticated, is_completed } = operation;
    share.shrink_to(payload.len());
    if let Err(error) = ctx.admission.becomes_stream(&gateway.services, &share) {
        return reject_and_close(gateway, downstream, ctx, error).await;
    }
    ctx.kind = RequestKind::ServerSentEvents;
    let headers = headers(downstream, context, &authenticated.set_cookies);
    downstream.set_write_timeout(SEND_TIMEOUT);
    if downstream.head().version < http::Version::HTTP_11 {
        // It knows no chunks: the end of the connection is that of the stream.
        downstream.close();
    }
    downstream.write_head(StatusCode::OK, headers.iter()).await?;
    let operation = RequestContext {
        way: "event-stream".into(),
        upstream_path: Some(context.upstream_path().to_owned()),
        share: Some(share),
        authenticated: OnceCell::new_with(Some(Ok(authenticated))),
        ..context.for_task()
    };
    stream(gateway, downstream, snapshot, (&operation, &payload, is_completed)).await?;
    downstream.finish(Bytes::new()).await?;
    Ok(true)
}

fn headers(downstream: &DownstreamSession<'_>, context: &RequestContext, cookies: &[HeaderValue]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Otherwise nginx buffers the events.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if let Ok(id) = HeaderValue::from_str(&context.caller.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    add_cors(&context.cors, &mut headers);
    if downstream.head().version == http::Version::HTTP_11 {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    headers
}

/// Until the operation is over, or for as long as its client may listen.
async fn stream(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    snapshot: &Arc<Snapshot>,
    (operation, payload, is_completed): (&RequestContext, &str, bool),
) -> pingora::Result<()> {
    let (sender, mut messages) = mpsc::channel(1);
    let send = |message: SubscriptionMessage| {
        let sender = sender.clone();
        async move { sender.send(message).await.is_ok() }
    };
    let services = &gateway.services;
    let running = async {
        if is_completed {
            streamed_subscription::run(services, snapshot, operation, payload, send).await;
        } else {
            run(services, snapshot, operation, payload, send).await;
        }
    };
    let mut running = pin!(running);
    let mut keep_alive = tokio::time::interval_at(tokio::time::Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    let mut cut_off = pin!(cut_off(services, operation));
    let mut is_over = false;
    while !is_over {
        tokio::select! {
            biased;
            Some(message) = messages.recv() => write(downstream, event(&message)).await?,
            () = &mut running => is_over = true,
            _ = keep_alive.tick() => write(downstream, ":\n\n".into()).await?,
            // A client that is cut off without a final message reconnects.
            () = &mut cut_off => return Ok(()),
            () = downstream.gone() => return Err(client_disconnect::disconnected_error()),
        }
    }
    while let Ok(message) = messages.try_recv() {
        write(downstream, event(&message)).await?;
    }
    Ok(())
}

/// Waits until the token of the client has expired, or it is time to leave at the end of the process.
async fn cut_off(services: &Services, operation: &RequestContext) {
    let authenticated = operation.authenticated.get().and_then(|session| session.as_ref().ok());
    let expires = async {
        match authenticated.and_then(Authenticated::valid_for) {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    };
    let leaves = async {
        services.health.readiness.wait_for_drain().await;
        tokio::time::sleep_until(time_to_leave(services).into()).await;
    };
    tokio::select! {
        () = expires => {}
        () = leaves => {}
    }
}

async fn write(downstream: &mut DownstreamSession<'_>, text: String) -> pingora::Result<()> {
    downstream.write_body(text.into()).await
}

fn event(message: &SubscriptionMessage) -> String {
    const COMPLETE: &str = "event: complete\ndata:\n\n";
    match message {
        // The upstream's part may be on several lines, which no string in JSON is.
        SubscriptionMessage::Next(body) => format!("event: next\ndata: {}\n\n", body.replace(['\n', '\r'], " ")),
        SubscriptionMessage::Rejected(errors) => format!("event: next\ndata: {{\"errors\":{errors}}}\n\n{COMPLETE}"),
        SubscriptionMessage::Complete => COMPLETE.into(),
        // That was asked before the stream began; the upstream's schema has changed since.
        SubscriptionMessage::Delegated => {
            format!(
                "event: next\ndata: {{\"errors\":[{{\"message\":\"this operation cannot be run here\"}}]}}\n\n{COMPLETE}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        assert_eq!(
            event(&SubscriptionMessage::Next("{\n\"a\": 1\r\n}".into())),
            "event: next\ndata: { \"a\": 1  }\n\n"
        );
        let rejected = event(&SubscriptionMessage::Rejected("[]".into()));
        assert_eq!(rejected, "event: next\ndata: {\"errors\":[]}\n\nevent: complete\ndata:\n\n");
    }
}
