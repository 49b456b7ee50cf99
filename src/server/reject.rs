//! Requests that are rejected, and what their clients are told.

use std::sync::Arc;

use crate::memory::Share;
use crate::model::response::RequestError;
use crate::pipeline;
use crate::pipeline::rejection::{Rejection, upstream_error};
use crate::pipeline::render_response;
use crate::pipeline::snapshot::Snapshot;
use crate::server::downstream_session::DownstreamSession;
use crate::server::gateway::{Gateway, RequestState};
use crate::server::graphql_request::{IncomingRequest, send};
use crate::server::write_response;
use crate::server::write_response::ResponseStyle;
use crate::upstream::UpstreamError;

/// Tells a client that the upstream could not be asked, `may_write` if by what may be a mutation. Gives the status.
pub async fn tell_upstream_error(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    fault: &UpstreamError,
    may_write: bool,
) -> u16 {
    ctx.kind = "upstream_error";
    let error = upstream_error(fault, may_write);
    let status = error.status;
    // Fails only when the client is gone.
    let _ = tell(gate, exchange, ctx, error).await;
    status
}

/// Tells a client that a defect of ours has ended its request, if nothing has been told yet.
///
/// # Errors
/// When the client is gone, or has been told half of something.
pub async fn tell_defect(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
) -> pingora::Result<bool> {
    ctx.kind = "internal_error";
    if exchange.has_begun() {
        return Err(pingora::Error::new_in(pingora::ErrorType::InternalError));
    }
    let error = RequestError::new(500, "unexpected", "internal error");
    tell(gate, exchange, ctx, error).await?;
    Ok(true)
}

/// Refuses a request without asking who sent it, with its real status, and ends the connection.
///
/// # Errors
/// When the client is gone.
pub async fn tell(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &RequestState,
    error: RequestError,
) -> pingora::Result<()> {
    let snapshot = gate.world.snapshot.load();
    let visit = IncomingRequest::of(gate, exchange);
    let mut envelope = visit.envelope(gate, ctx, false, None);
    envelope.shows_status = true;
    let answer = render_response::reject(snapshot.catalog.dialect, &envelope, &Rejection::Request(error));
    write_response::write(exchange, answer, ResponseStyle { closes: true, ..visit.manner() }, None).await
}

/// Rejects a request that concerns us before it is understood. The credential is checked first all the same.
pub(crate) async fn reject(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    rejection: Rejection,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let visit = IncomingRequest::of(gate, exchange);
    let envelope = visit.envelope(gate, ctx, false, None);
    let answer = pipeline::reject(&gate.world, snapshot, &envelope, rejection).await;
    count_rejected(gate, answer.outcome);
    send(gate, exchange, ctx, &visit, answer, share).await
}

/// Refuses a request for what is wrong with its HTTP, and ends the connection.
pub(crate) async fn turn_away(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    error: RequestError,
) -> pingora::Result<bool> {
    ctx.kind = "rejected";
    count_rejected(gate, error.code);
    tell(gate, exchange, ctx, error).await?;
    Ok(true)
}

pub(crate) fn count_rejected(gate: &Gateway, reason: &str) {
    gate.world.metrics.rejected.with_label_values(&[reason]).inc();
}
