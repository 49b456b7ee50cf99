//! WebSockets on the GraphQL paths: the handshake is ours, and so is the session, if its sub-protocol is one that we
//! speak.

use std::io::Cursor;
use std::sync::Arc;

use futures_util::FutureExt as _;
use http::header::HeaderValue;
use http::{HeaderMap, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::downstream::client_address::ClientAddress;
use crate::downstream::cors;
use crate::downstream::session::DownstreamSession;
use crate::downstream::session_deadline::deadline_of;
use crate::model::response::RequestError;
use crate::protocol::graphql_ws::Subprotocol;
use crate::protocol::hop_by_hop;
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::graphql_request::read_context;
use crate::routes::reject::reject_and_close;
use crate::telemetry::metrics::Held;
use crate::telemetry::request_kind::RequestKind;
use crate::websocket::session::{WebSocketClient, run_session};

/// What will be spoken, if it is something that we speak. Other sub-protocols pass through.
pub(crate) fn subprotocol(
    gateway: &Gateway,
    downstream: &DownstreamSession<'_>,
    ctx: &RequestState,
) -> Option<Subprotocol> {
    let headers = &downstream.head().headers;
    if !ctx.is_graphql || !hop_by_hop::wants_websocket(headers) || gateway.services.snapshot.load().catalog.is_idle() {
        return None;
    }
    let mut offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let (first, None) = (offered.next()?, offered.next()) else { return None };
    Subprotocol::choose(first.to_str().ok()?)
}

/// Begins to speak with the client.
///
/// # Errors
/// When the connection broke.
pub(crate) async fn serve(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    vocabulary: Subprotocol,
) -> pingora::Result<bool> {
    let configured = gateway.services.configured();
    let cors = &configured.settings.cors;
    if !cors::allows(cors, &downstream.head().headers) {
        let message = "received origin header does not match configured CORS domains";
        return reject_and_close(gateway, downstream, ctx, RequestError::new(400, "access-denied", message)).await;
    }
    ctx.kind = RequestKind::WebSocket;
    // What it took to serve the request is not held for as long as the socket is open.
    let mut context = read_context(gateway, downstream, ctx).for_task();
    let addresses = &configured.settings.client_addresses;
    let owner = ctx.client.unwrap_or_else(|| ClientAddress::of(addresses, downstream)).owner(addresses);
    let Some(accepted) = accept(&downstream.head().headers, vocabulary)? else { return Ok(false) };
    // An upgrade is never anything else.
    let Some(session) = downstream.session() else { return Ok(false) };
    session.set_keepalive(None);
    // The connection goes on, so it is counted as before: its deadline holds what counts it.
    let connection = deadline_of(session).cloned();
    session.write_response_header(Box::new(accepted)).await?;
    ctx.status = Some(StatusCode::SWITCHING_PROTOCOLS);
    ctx.admission.stream_begins();
    if !cors::may_use_cookies(cors, &context.caller.headers) {
        // Any page can open a WebSocket. Without CORS, Hasura's rule holds; a star names no page that may use the
        // user's cookies.
        Arc::make_mut(&mut context.caller).headers.remove(header::COOKIE);
    }
    let visitor = WebSocketClient { context, owner, vocabulary };
    let Some((wire, early)) = take_over(session).await? else { return Ok(true) };
    let metrics = &gateway.services.metrics;
    let (services, held) =
        (Arc::clone(&gateway.services), [&metrics.requests_in_flight, &metrics.sockets].map(Held::new));
    // The request is over: all that it took to serve it goes, and only the session stays.
    tokio::spawn(async move {
        run_session(services, wire, early, visitor).await;
        drop((held, connection));
    });
    Ok(true)
}

/// The connection itself, with the bytes that have been read already. pingora would read from it with 64 KiB for each
/// socket; it gets a request without a connection in its place, to finish.
async fn take_over(session: &mut ServerSession) -> pingora::Result<Option<(Stream, Vec<u8>)>> {
    let early = match session.read_request_body().now_or_never() {
        Some(bytes) => bytes?.unwrap_or_default().to_vec(),
        None => Vec::new(),
    };
    let mut finished = ServerSession::new_http1(Box::new(Cursor::new(FINISHED.to_vec())));
    finished.read_request().await?;
    finished.set_keepalive(None);
    let ServerSession::H1(taken) = std::mem::replace(session, finished) else { return Ok(None) };
    let mut wire = taken.into_inner();
    let flushed = wire.flush().await;
    Ok(flushed.is_ok().then_some((wire, early)))
}

const FINISHED: &[u8] = b"GET / HTTP/1.1\r\nHost: pillion\r\nConnection: close\r\n\r\n";

/// 101, or nothing if the handshake is not one.
fn accept(headers: &HeaderMap, vocabulary: Subprotocol) -> pingora::Result<Option<ResponseHeader>> {
    let is_current = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_current) else { return Ok(None) };
    let mut head = ResponseHeader::build(StatusCode::SWITCHING_PROTOCOLS, Some(4))?;
    head.insert_header(header::UPGRADE, HeaderValue::from_static("websocket"))?;
    head.insert_header(header::CONNECTION, HeaderValue::from_static("Upgrade"))?;
    head.insert_header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))?;
    head.insert_header(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(vocabulary.name()))?;
    Ok(Some(head))
}
