//! Which requests concern us: the way from a request's head to "pass it on" or to a response of ours.

use std::sync::Arc;

use http::Method;
use http::header::HeaderName;

use crate::memory::{NoRoom, Share};
use crate::pipeline::panic_isolation::caught;
use crate::server::admission::rejected;
use crate::server::client_address::owner;
use crate::server::downstream_session::DownstreamSession;
use crate::server::gateway::{Gateway, RequestState};
use crate::server::graphql_get::screen_get;
use crate::server::graphql_post::screen_post;
use crate::server::reject::{tell_defect, turn_away};
use crate::server::{job_completion, metadata_api, request_head_checks, websocket};
use crate::session::header_checks;

/// Answers a request, or leaves it to pingora to pass on (`false`). A panic in it is the end of this request only.
///
/// # Errors
/// When the connection to the client broke.
pub async fn route(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
) -> pingora::Result<bool> {
    let paths = &gate.world.configured().settings.graphql_paths;
    ctx.is_graphql = request_head_checks::is_graphql_path(exchange.head().uri.path(), paths);
    let screened = caught(screen(gate, exchange, ctx)).await;
    let screened = match screened {
        Some(screened) => screened,
        None => tell_defect(gate, exchange, ctx).await,
    };
    ctx.too_slow = exchange.too_slow();
    screened
}

async fn screen(gate: &Gateway, exchange: &mut DownstreamSession<'_>, ctx: &mut RequestState) -> pingora::Result<bool> {
    let configured = gate.world.configured();
    let (limits, own) = (&configured.settings.limits, &configured.protected_headers);
    if let Err(scarce) = ctx.admission.head_was_read(&gate.world, exchange) {
        return turn_away(gate, exchange, ctx, rejected(&gate.world, scarce)).await;
    }
    if let Err(error) = request_head_checks::check(exchange.head(), limits, own, ctx.is_graphql) {
        return turn_away(gate, exchange, ctx, error).await;
    }
    cleanse(gate, exchange, own);
    if let Err(scarce) = ctx.admission.client_is_known(&gate.world, exchange) {
        return turn_away(gate, exchange, ctx, rejected(&gate.world, scarce)).await;
    }
    let share = match share(gate, exchange, ctx.admission.is_incomplete()) {
        Ok(share) => Arc::new(share),
        Err(no_room) => return turn_away(gate, exchange, ctx, no_room.into()).await,
    };
    ctx.share = Some(Arc::clone(&share));
    if metadata_api::is_meant(gate, exchange) {
        // In a box of its own: it is rare, and every request carries the room for what its future may become.
        return Box::pin(metadata_api::screen(gate, exchange, ctx, &share)).await;
    }
    if job_completion::is_meant(gate, exchange) {
        return Box::pin(job_completion::screen(gate, exchange, ctx, &share)).await;
    }
    if let Some(vocabulary) = websocket::vocabulary(gate, exchange, ctx) {
        return Box::pin(websocket::serve(gate, exchange, ctx, vocabulary)).await;
    }
    let snapshot = gate.world.snapshot.load_full();
    if !ctx.is_graphql
        || snapshot.catalog.scanner.is_empty()
        || request_head_checks::wants_websocket(&exchange.head().headers)
    {
        return Ok(false);
    }
    match exchange.head().method {
        Method::POST => screen_post(gate, &snapshot, exchange, ctx, share).await,
        Method::GET => screen_get(gate, &snapshot, exchange, ctx, share).await,
        _ => Ok(false),
    }
}

/// The share of a request, with its head in it.
pub(crate) fn share(gate: &Gateway, exchange: &DownstreamSession<'_>, is_incomplete: bool) -> Result<Share, NoRoom> {
    let (memory, owner) = (&gate.world.memory, owner(&gate.world.configured().settings.client_addresses, exchange));
    let share = if is_incomplete { memory.incomplete_request(owner) } else { memory.request(owner) }?;
    let bytes = exchange.head_bytes();
    if bytes > USUAL_HEAD_BYTES {
        // Once as it came, and once as it is sent on.
        share.grow(2 * bytes)?;
    }
    Ok(share)
}

/// Heads up to this length are part of what every request takes.
const USUAL_HEAD_BYTES: usize = 2 * 1024;

/// Takes out what others would misunderstand.
fn cleanse(gate: &Gateway, exchange: &mut DownstreamSession<'_>, own: &[HeaderName]) {
    let headers = &exchange.head().headers;
    let look_alikes = header_checks::look_alikes(headers, own);
    let strip_upgrade = headers.contains_key(http::header::UPGRADE) && !request_head_checks::wants_websocket(headers);
    if let Some(cookies) = header_checks::joined_cookies(headers) {
        exchange.replace_header(&http::header::COOKIE, cookies);
    }
    if look_alikes.is_empty() && !strip_upgrade {
        return;
    }
    let dropped = gate.world.metrics.ambiguous_headers_dropped.with_label_values::<&str>(&[]);
    for name in look_alikes {
        dropped.inc();
        exchange.remove_header(&name);
    }
    if strip_upgrade {
        exchange.remove_header(&http::header::UPGRADE);
        exchange.remove_header(&http::header::CONNECTION);
    }
}
