//! Routes a request from its head: to passthrough or to one of our own handlers.

use std::sync::Arc;

use http::Method;
use http::header::HeaderName;

use crate::downstream::admission::shed;
use crate::downstream::client_address::ClientAddress;
use crate::downstream::request_head_checks;
use crate::downstream::session::DownstreamSession;
use crate::memory;
use crate::memory::{MemoryOwner, NoRoom, Share};
use crate::model::response::RequestError;
use crate::protocol::hop_by_hop;
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::graphql_get::serve_get;
use crate::routes::graphql_post::serve_post;
use crate::routes::reject::{reject_and_close, send_internal_error};
use crate::routes::{job_completion, metadata_api, rest_endpoint, rest_openapi, websocket};
use crate::runtime::panic_isolation::catch_panic;
use crate::session::header_checks;

/// Serves a request, or leaves it to pingora to pass on (`false`). A panic in it ends this request only.
///
/// # Errors
/// When the connection to the client broke.
pub(crate) async fn route(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
) -> pingora::Result<bool> {
    let paths = &gateway.services.configured().settings.graphql_paths;
    ctx.is_graphql = request_head_checks::is_graphql_path(downstream.head().uri.path(), paths);
    let screened = catch_panic(decide(gateway, downstream, ctx)).await;
    let screened = match screened {
        Some(screened) => screened,
        None => send_internal_error(gateway, downstream, ctx).await,
    };
    ctx.too_slow = downstream.too_slow();
    screened
}

async fn decide(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
) -> pingora::Result<bool> {
    let configured = gateway.services.configured();
    let (limits, own) = (&configured.settings.limits, &configured.protected_headers);
    if let Err(scarce) = ctx.admission.head_was_read(&gateway.services, downstream) {
        return reject_and_close(gateway, downstream, ctx, shed(&gateway.services, scarce)).await;
    }
    if let Err(error) = request_head_checks::check(downstream.head(), limits, own, ctx.is_graphql) {
        return reject_and_close(gateway, downstream, ctx, error).await;
    }
    sanitize_headers(gateway, downstream, own);
    let addresses = &configured.settings.client_addresses;
    let client = *ctx.client.insert(ClientAddress::of(addresses, downstream));
    if let Err(scarce) = ctx.admission.client_is_known(&gateway.services, &client) {
        return reject_and_close(gateway, downstream, ctx, shed(&gateway.services, scarce)).await;
    }
    let share = match share(gateway, downstream, client.owner(addresses), ctx.admission.is_incomplete()) {
        Ok(share) => Arc::new(share),
        Err(no_room) => return reject_and_close(gateway, downstream, ctx, no_room.into()).await,
    };
    ctx.share = Some(Arc::clone(&share));
    if metadata_api::matches(gateway, downstream) {
        // Boxed: rare, and otherwise every request carries the size of this future.
        return Box::pin(metadata_api::serve(gateway, downstream, ctx, &share)).await;
    }
    if job_completion::matches(gateway, downstream) {
        return Box::pin(job_completion::serve(gateway, downstream, ctx, &share)).await;
    }
    if rest_endpoint::matches(gateway, downstream) {
        return memory::boxed(|| rest_endpoint::serve(gateway, downstream, ctx, share)).await;
    }
    if rest_openapi::matches(gateway, downstream) {
        return Box::pin(rest_openapi::serve(gateway, downstream, ctx, share)).await;
    }
    if let Some(vocabulary) = websocket::subprotocol(gateway, downstream, ctx) {
        return Box::pin(websocket::serve(gateway, downstream, ctx, vocabulary)).await;
    }
    let snapshot = gateway.services.snapshot.load_full();
    if !ctx.is_graphql || snapshot.catalog.is_idle() {
        return Ok(false);
    }
    if snapshot.catalog.rejects_unlisted() && hides_documents(downstream) {
        let message = "while documents.only is all, this path takes GET, POST and WebSockets of graphql-ws";
        let error = RequestError::new(405, "method-not-allowed", message);
        return reject_and_close(gateway, downstream, ctx, error).await;
    }
    if hop_by_hop::wants_websocket(&downstream.head().headers) {
        return Ok(false);
    }
    match downstream.head().method {
        Method::POST => serve_post(gateway, &snapshot, downstream, ctx, share).await,
        Method::GET => memory::boxed(|| serve_get(gateway, &snapshot, downstream, ctx, share)).await,
        _ => Ok(false),
    }
}

/// May the upstream find a document in it where it is not looked for here?
fn hides_documents(downstream: &DownstreamSession<'_>) -> bool {
    let head = downstream.head();
    match head.method {
        // A WebSocket whose protocol is spoken here has its session by now.
        Method::GET => hop_by_hop::wants_websocket(&head.headers),
        Method::HEAD => head.uri.query().is_some(),
        Method::POST | Method::OPTIONS => false,
        _ => true,
    }
}

/// The share of a request, with its head in it.
pub(crate) fn share(
    gateway: &Gateway,
    downstream: &DownstreamSession<'_>,
    owner: MemoryOwner,
    is_incomplete: bool,
) -> Result<Share, NoRoom> {
    let memory = &gateway.services.memory;
    let share = if is_incomplete { memory.incomplete_request(owner) } else { memory.request(owner) }?;
    let bytes = downstream.head_bytes();
    if bytes > USUAL_HEAD_BYTES {
        // Once as it came, and once as it is sent on.
        share.grow(2 * bytes)?;
    }
    Ok(share)
}

/// Heads up to this length are part of what every request takes.
const USUAL_HEAD_BYTES: usize = 2 * 1024;

/// Takes out what others would misunderstand.
fn sanitize_headers(gateway: &Gateway, downstream: &mut DownstreamSession<'_>, own: &[HeaderName]) {
    let headers = &downstream.head().headers;
    let look_alikes = header_checks::look_alikes(headers, own);
    let strip_upgrade = headers.contains_key(http::header::UPGRADE) && !hop_by_hop::wants_websocket(headers);
    if let Some(cookies) = header_checks::joined_cookies(headers) {
        downstream.replace_header(&http::header::COOKIE, cookies);
    }
    if look_alikes.is_empty() && !strip_upgrade {
        return;
    }
    let dropped = &gateway.services.metrics.ambiguous_headers_dropped;
    for name in look_alikes {
        dropped.inc();
        downstream.remove_header(&name);
    }
    if strip_upgrade {
        downstream.remove_header(&http::header::UPGRADE);
        downstream.remove_header(&http::header::CONNECTION);
    }
}
