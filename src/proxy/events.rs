//! Operations whose answers are a stream of events, in the
//! [distinct connections mode](https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md) of graphql-sse.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use tokio::sync::mpsc;

use super::answer::add_cors;
use super::phases::{Context, Gate};
use super::visit::{Visit, send};
use crate::auth::Authenticated;
use crate::execute::snapshot::Snapshot;
use crate::execute::subscription::{Request, Told, operate};
use crate::execute::{Ours, identify};
use crate::model::action::OperationKind;
use crate::protocol::http::wants_events;

/// How often a client hears from us, whatever happens.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long a write may take: whoever reads slower than that is let go.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A request that is answered so.
pub struct Streamed<'s> {
    /// What is in force.
    pub snapshot: &'s Arc<Snapshot>,
    /// How it came.
    pub visit: &'s Visit,
    /// What it is.
    pub ours: &'s Ours<'s>,
    /// The GraphQL request as JSON.
    pub payload: String,
}

/// Does the client want its answer so?
pub fn is_meant(session: &ServerSession, ours: &Ours<'_>) -> bool {
    let is_subscription = ours.kind() == Some(OperationKind::Subscription);
    !ours.is_introspection_only() && wants_events(&session.req_header().headers, is_subscription)
}

/// Tells the client whatever comes of its operation.
///
/// # Errors
/// When the connection broke.
pub async fn serve(
    gate: &Gate,
    session: &mut ServerSession,
    ctx: &mut Context,
    streamed: Streamed<'_>,
) -> pingora::Result<bool> {
    let Streamed { snapshot, visit, ours, payload } = streamed;
    let envelope = visit.envelope(gate, ctx, false);
    let authenticated = match identify(&gate.world, snapshot, &envelope, ours).await {
        Ok(authenticated) => authenticated,
        Err(answer) => return send(gate, session, ctx, visit, answer).await,
    };
    ctx.kind = "events";
    let head = head(session, visit, &authenticated.set_cookies)?;
    session.set_write_timeout(Some(SEND_TIMEOUT));
    session.write_response_header(Box::new(head)).await?;
    let request = visit.request("event-stream", payload, authenticated);
    stream(gate, session, snapshot, &request).await?;
    session.write_response_body(Bytes::new(), true).await?;
    session.finish_body().await?;
    Ok(true)
}

fn head(session: &ServerSession, visit: &Visit, cookies: &[HeaderValue]) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(StatusCode::OK, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"))?;
    head.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))?;
    // nginx keeps answers back otherwise.
    head.insert_header(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))?;
    head.insert_header(HeaderName::from_static("x-request-id"), visit.manner().request_id)?;
    for cookie in cookies {
        head.append_header(header::SET_COOKIE, cookie.clone())?;
    }
    add_cors(visit.manner().origin, &mut head)?;
    if session.req_header().version < http::Version::HTTP_2 {
        head.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    }
    Ok(head)
}

/// Until the operation is over, or for as long as its client may listen.
async fn stream(
    gate: &Gate,
    session: &mut ServerSession,
    snapshot: &Arc<Snapshot>,
    request: &Request,
) -> pingora::Result<()> {
    let (tell, mut told) = mpsc::channel(1);
    let say = |told: Told| {
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
            Some(told) = told.recv() => write(session, event(&told)).await?,
            () = &mut operation => is_over = true,
            _ = keep_alive.tick() => write(session, ":\n\n".into()).await?,
            // Whoever is cut off without a last word comes back.
            _ = tick.tick() => if gate.world.readiness.is_draining() || has_expired(request) { return Ok(()) },
            // Nothing comes any more; this ends when the client is gone.
            gone = session.read_body_or_idle(true) => drop(gone?),
        }
    }
    while let Ok(told) = told.try_recv() {
        write(session, event(&told)).await?;
    }
    Ok(())
}

fn has_expired(request: &Request) -> bool {
    request.authenticated.as_ref().and_then(|session| session.as_ref().ok()).is_some_and(Authenticated::has_expired)
}

async fn write(session: &mut ServerSession, text: String) -> pingora::Result<()> {
    session.write_response_body(text.into(), false).await
}

fn event(told: &Told) -> String {
    const COMPLETE: &str = "event: complete\ndata:\n\n";
    match told {
        // The engine's part may be on several lines, which no string in JSON is.
        Told::Next(body) => format!("event: next\ndata: {}\n\n", body.replace(['\n', '\r'], " ")),
        Told::Refused(errors) => format!("event: next\ndata: {{\"errors\":{errors}}}\n\n{COMPLETE}"),
        Told::Complete => COMPLETE.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        assert_eq!(event(&Told::Next("{\n\"a\": 1\r\n}".into())), "event: next\ndata: { \"a\": 1  }\n\n");
        let refused = event(&Told::Refused("[]".into()));
        assert_eq!(refused, "event: next\ndata: {\"errors\":[]}\n\nevent: complete\ndata:\n\n");
    }
}
