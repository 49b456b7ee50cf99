//! Operations whose responses are a stream of events, in the
//! [distinct connections mode](https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md) of graphql-sse.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, header};
use tokio::sync::mpsc;

use crate::auth::authenticated::Authenticated;
use crate::memory::Share;
use crate::model::action::OperationKind;
use crate::pipeline::identify;
use crate::pipeline::prepared_request::PreparedRequest;
use crate::pipeline::response::Response;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::subscription::{SubscriptionMessage, SubscriptionRequest, operate};
use crate::protocol::http::wants_events;
use crate::server::client_disconnect;
use crate::server::downstream_session::DownstreamSession;
use crate::server::gateway::{Gateway, RequestState};
use crate::server::graphql_request::IncomingRequest;
use crate::server::reject::turn_away;
use crate::server::write_response::add_cors;

/// How often a client hears from us, whatever happens.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long a write may take: whoever reads slower than that is let go.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A request that is answered so.
pub struct Streamed<'s> {
    /// What is in force.
    pub snapshot: &'s Arc<Snapshot>,
    /// How it came.
    pub visit: &'s IncomingRequest,
    /// The GraphQL request as JSON.
    pub payload: String,
    /// Who sent it.
    pub authenticated: Authenticated,
    /// What it holds of the memory budget.
    pub share: Arc<Share>,
}

/// Does the client want its response so?
#[must_use]
pub fn is_meant(exchange: &DownstreamSession<'_>, ours: &PreparedRequest<'_>) -> bool {
    let is_subscription = ours.kind() == Some(OperationKind::Subscription);
    !ours.is_introspection_only() && wants_events(&exchange.head().headers, is_subscription)
}

/// Who is asking? Otherwise the response that says why nobody can tell.
///
/// # Errors
/// That answer.
pub async fn identified(
    gate: &Gateway,
    ctx: &RequestState,
    snapshot: &Snapshot,
    visit: &IncomingRequest,
    ours: &PreparedRequest<'_>,
    share: &Share,
) -> Result<Authenticated, Response> {
    identify(&gate.world, snapshot, &visit.envelope(gate, ctx, false, Some(share)), ours).await
}

/// Tells the client whatever comes of its operation.
///
/// # Errors
/// When the connection broke.
pub async fn serve(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    streamed: Streamed<'_>,
) -> pingora::Result<bool> {
    let Streamed { snapshot, visit, payload, authenticated, share } = streamed;
    share.shrink_to(payload.len());
    if let Err(error) = ctx.admission.becomes_stream(&gate.world, &share) {
        return turn_away(gate, exchange, ctx, error).await;
    }
    ctx.kind = "sse";
    let headers = headers(exchange, visit, &authenticated.set_cookies);
    exchange.set_write_timeout(SEND_TIMEOUT);
    if exchange.head().version < http::Version::HTTP_11 {
        // It knows no chunks: the end of the connection is that of the stream.
        exchange.close();
    }
    exchange.write_head(StatusCode::OK, headers.iter()).await?;
    let request = visit.request("event-stream", payload, authenticated, share);
    stream(gate, exchange, snapshot, &request).await?;
    exchange.finish(Bytes::new()).await?;
    Ok(true)
}

fn headers(exchange: &DownstreamSession<'_>, visit: &IncomingRequest, cookies: &[HeaderValue]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx keeps answers back otherwise.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if let Ok(id) = HeaderValue::from_str(visit.manner().request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    add_cors(visit.manner().cors, &mut headers);
    if exchange.head().version == http::Version::HTTP_11 {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    headers
}

/// Until the operation is over, or for as long as its client may listen.
async fn stream(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    snapshot: &Arc<Snapshot>,
    request: &SubscriptionRequest,
) -> pingora::Result<()> {
    let (tell, mut told) = mpsc::channel(1);
    let say = |told: SubscriptionMessage| {
        let tell = tell.clone();
        async move { tell.send(told).await.is_ok() }
    };
    let mut operation = pin!(operate(&gate.world, snapshot, request, say));
    let mut keep_alive = tokio::time::interval_at(tokio::time::Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut is_over = false;
    while !is_over {
        tokio::select! {
            biased;
            Some(told) = told.recv() => write(exchange, event(&told)).await?,
            () = &mut operation => is_over = true,
            _ = keep_alive.tick() => write(exchange, ":\n\n".into()).await?,
            // Whoever is cut off without a last word comes back.
            _ = tick.tick() => if gate.world.readiness.is_draining() || has_expired(request) { return Ok(()) },
            () = exchange.gone() => return Err(client_disconnect::nobody_there()),
        }
    }
    while let Ok(told) = told.try_recv() {
        write(exchange, event(&told)).await?;
    }
    Ok(())
}

fn has_expired(request: &SubscriptionRequest) -> bool {
    request.authenticated.as_ref().and_then(|session| session.as_ref().ok()).is_some_and(Authenticated::has_expired)
}

async fn write(exchange: &mut DownstreamSession<'_>, text: String) -> pingora::Result<()> {
    exchange.write_body(text.into()).await
}

fn event(told: &SubscriptionMessage) -> String {
    const COMPLETE: &str = "event: complete\ndata:\n\n";
    match told {
        // The upstream's part may be on several lines, which no string in JSON is.
        SubscriptionMessage::Next(body) => format!("event: next\ndata: {}\n\n", body.replace(['\n', '\r'], " ")),
        SubscriptionMessage::Refused(errors) => format!("event: next\ndata: {{\"errors\":{errors}}}\n\n{COMPLETE}"),
        SubscriptionMessage::Complete => COMPLETE.into(),
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
        let rejected = event(&SubscriptionMessage::Refused("[]".into()));
        assert_eq!(rejected, "event: next\ndata: {\"errors\":[]}\n\nevent: complete\ndata:\n\n");
    }
}
