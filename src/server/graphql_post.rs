//! A POST on a GraphQL path, from its body to a response or to the upstream.

use std::sync::Arc;

use crate::auth::authenticated::Authenticated;
use crate::memory::Share;
use crate::pipeline::prepared_request;
use crate::pipeline::prepared_request::{Execution, Route};
use crate::pipeline::rejection::Rejection;
use crate::pipeline::response::Response;
use crate::pipeline::snapshot::Snapshot;
use crate::protocol::http::{Body, ContentType, read_body};
use crate::server::body::BodyError;
use crate::server::body_scan::BodyScan;
use crate::server::downstream_session::DownstreamSession;
use crate::server::execute_request::{Work, work_through};
use crate::server::gateway::{Gateway, RequestState};
use crate::server::graphql_batch::{Elements, concerns_us, understand_batch, work_through_batch};
use crate::server::graphql_body::{Large, Looked, Whole, look_at_body};
use crate::server::graphql_request::{IncomingRequest, send};
use crate::server::passthrough::{pass, pass_in_pieces};
use crate::server::reject::{reject, turn_away};
use crate::server::{client_disconnect, sse};

/// What is to be done about a POST once its body has been understood. Nothing of the body is in it, so that it is not held
/// while a client reads its response.
pub(crate) enum Next {
    /// It is the upstream's.
    Pass,
    Refuse(Rejection),
    Send(Box<IncomingRequest>, Response),
    Stream(Box<IncomingRequest>, String, Authenticated),
    /// Its client has gone.
    Gone(Box<IncomingRequest>),
}

pub(crate) async fn screen_post(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let looked_at = match look_at_body(gate, snapshot, exchange, ctx, &share).await {
        Ok(looked_at) => looked_at,
        Err(BodyError::Broken(error)) => return Err(error.into_down()),
        Err(BodyError::Refused(error)) => return turn_away(gate, exchange, ctx, error).await,
    };
    let body = match looked_at {
        Looked::MayBeOurs(body) => body,
        Looked::NotOurs(wire) => return pass(gate, exchange, ctx, wire, &share).await,
        // In boxes of their own: they are rare, and every request carries the room for what its future may become.
        Looked::OfAnotherType(body) => return Box::pin(screen_other(gate, snapshot, exchange, ctx, body, share)).await,
        Looked::Large(large) => return Box::pin(screen_large(gate, snapshot, exchange, ctx, large, &share)).await,
    };
    let next = understand_post(gate, snapshot, exchange, ctx, &body, &share).await;
    let wire = body.into_wire();
    if let Next::Pass = next {
        return pass(gate, exchange, ctx, wire, &share).await;
    }
    drop(wire);
    match next {
        Next::Pass => Ok(false),
        Next::Refuse(rejection) => reject(gate, snapshot, exchange, ctx, rejection, share).await,
        Next::Send(visit, answer) => send(gate, exchange, ctx, &visit, answer, share).await,
        Next::Stream(visit, payload, authenticated) => {
            let told = sse::Streamed { snapshot, visit: &visit, payload, authenticated, share };
            Box::pin(sse::serve(gate, exchange, ctx, told)).await
        }
        Next::Gone(visit) => client_disconnect::gone(gate, ctx, &visit),
    }
}

pub(crate) async fn understand_post(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    body: &Whole,
    share: &Share,
) -> Next {
    match read_body(body.text(), &gate.world.configured().settings.limits) {
        Err(error) => Next::Refuse(error.into()),
        Ok(Body::One(element)) => {
            let visit = Box::new(IncomingRequest::of(gate, exchange));
            let json = element.json;
            match prepared_request::understand(&gate.world, snapshot, element).await {
                Route::Passthrough => Next::Pass,
                Route::Execute(ours) if sse::is_meant(exchange, &ours) => {
                    match sse::identified(gate, ctx, snapshot, &visit, &ours, share).await {
                        Err(answer) => Next::Send(visit, answer),
                        Ok(authenticated) => Next::Stream(visit, json.to_owned(), authenticated),
                    }
                }
                Route::Execute(ours) => {
                    let work = Work { snapshot, visit: &visit, ours: &ours, is_get: false, share };
                    match work_through(gate, exchange, ctx, &work).await {
                        None => Next::Gone(visit),
                        Some(Execution::Response(answer)) => Next::Send(visit, answer),
                        Some(Execution::DelegateToUpstream) => Next::Pass,
                    }
                }
            }
        }
        Ok(Body::Batch(elements)) => {
            let visit = Box::new(IncomingRequest::of(gate, exchange));
            let batch = understand_batch(gate, snapshot, elements).await;
            if !batch.iter().any(|(_, verdict)| concerns_us(verdict)) {
                return Next::Pass;
            }
            let elements = Elements { snapshot, visit: &visit, batch: &batch, text: body.text(), share };
            match Box::pin(work_through_batch(gate, exchange, ctx, &elements)).await {
                None => Next::Gone(visit),
                Some(answer) => Next::Send(visit, answer),
            }
        }
    }
}

/// A body that is no JSON: whoever names an action in it is told how to send it, and everything else is the upstream's.
pub(crate) async fn screen_other(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    body: Whole,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let headers = &exchange.head().headers;
    let scan = BodyScan::new(&gate.world, snapshot, headers, ContentType::of(headers), share.sibling());
    match scan.look_through(body.text()).await {
        Ok(()) => pass(gate, exchange, ctx, body.into_wire(), &share).await,
        Err(error) => reject(gate, snapshot, exchange, ctx, Rejection::Request(error), share).await,
    }
}

/// A body that is larger than one with an action may be. It passes while it is looked through, so that none of it is held.
pub(crate) async fn screen_large(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    large: Large,
    share: &Share,
) -> pingora::Result<bool> {
    let headers = &exchange.head().headers;
    let content_type = ContentType::of(headers);
    let mut scan = BodyScan::new(&gate.world, snapshot, headers, content_type, share.sibling());
    if let Some(decoded) = large.decoded_beginning {
        // Nobody opens all of it: a small body can become any size. So a document must stand at its beginning.
        if let Err(error) = scan.feed(&decoded.text).await {
            return turn_away(gate, exchange, ctx, error).await;
        }
        if content_type == ContentType::Json && scan.has_found_nothing() {
            let error = scan.too_large();
            return turn_away(gate, exchange, ctx, error).await;
        }
        drop(decoded);
        if large.is_whole {
            return pass(gate, exchange, ctx, large.wire, share).await;
        }
        return pass_in_pieces(gate, exchange, ctx, large.wire, None, share).await;
    }
    pass_in_pieces(gate, exchange, ctx, large.wire, Some(scan), share).await
}
