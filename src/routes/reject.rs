//! Writes the responses of rejected requests. That is rare, so it is done in boxes: otherwise every request carries the size of
//! these futures.

use std::sync::Arc;

use crate::downstream::session::DownstreamSession;
use crate::downstream::write_response;
use crate::downstream::write_response::ResponseStyle;
use crate::memory::Share;
use crate::model::response::RequestError;
use crate::pipeline;
use crate::pipeline::render_response;
use crate::request::rejection::{Rejection, upstream_error};
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::graphql_request::{read_context, send};
use crate::runtime::snapshot::Snapshot;
use crate::runtime::upstream_failure;
use crate::runtime::upstream_failure::{FailedRequest, UpstreamFailure};
use crate::telemetry::failure_log::UpstreamPurpose;
use crate::telemetry::request_kind::RequestKind;
use crate::upstream::UpstreamError;

/// Responds that the upstream could not be queried, `may_write` if by what may be a mutation. Returns the status.
pub(crate) async fn send_upstream_error(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    fault: &UpstreamError,
    may_write: bool,
) -> u16 {
    ctx.kind = RequestKind::UpstreamError;
    log_upstream_failure(gateway, downstream, ctx, &UpstreamFailure::of_error(fault));
    let error = upstream_error(fault, may_write);
    let status = error.status;
    // Fails only if the client has disconnected.
    let _ = send_rejection(gateway, downstream, ctx, error).await;
    status
}

/// Writes the line about an upstream request of a client that was to be forwarded.
pub(crate) fn log_upstream_failure(
    gateway: &Gateway,
    downstream: &DownstreamSession<'_>,
    ctx: &RequestState,
    failure: &UpstreamFailure,
) {
    let context = read_context(gateway, downstream, ctx);
    let (request_id, trace_id) = (context.caller.request_id.as_str(), context.trace.trace_id.as_str());
    let (purpose, duration) = (UpstreamPurpose::Passthrough, ctx.started.elapsed());
    let request = FailedRequest { purpose, request_id, trace_id, operation_name: None, role: None, duration };
    upstream_failure::log(&gateway.services, failure, &request);
}

/// Responds that an internal error has ended the request, if no response has begun yet.
///
/// # Errors
/// When the client has disconnected, or has read a part of a response.
pub(crate) async fn send_internal_error(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
) -> pingora::Result<bool> {
    ctx.kind = RequestKind::InternalError;
    if downstream.has_begun() {
        return Err(pingora::Error::new_in(pingora::ErrorType::InternalError));
    }
    let error = RequestError::new(500, "unexpected", "internal error");
    send_rejection(gateway, downstream, ctx, error).await?;
    Ok(true)
}

/// Rejects a request without authentication, with its real status, and closes the connection.
///
/// # Errors
/// When the client has disconnected.
pub(crate) async fn send_rejection(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &RequestState,
    error: RequestError,
) -> pingora::Result<()> {
    let snapshot = gateway.services.snapshot.load();
    let mut context = Box::new(read_context(gateway, downstream, ctx));
    context.shows_status = true;
    let response = render_response::reject(snapshot.catalog.dialect, &context, &Rejection::Request(error));
    let style = ResponseStyle { closes: true, ..ResponseStyle::of(&context) };
    Box::pin(write_response::write(downstream, response, style, None)).await
}

/// Rejects a request that concerns us before it is understood. The credential is checked first all the same.
pub(crate) async fn reject(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    rejection: Rejection,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let context = Box::new(read_context(gateway, downstream, ctx));
    let response = Box::pin(pipeline::reject(&gateway.services, snapshot, &context, rejection)).await;
    count_rejected(gateway, response.outcome);
    Box::pin(send(gateway, downstream, ctx, &context, response, share)).await
}

/// Rejects a request for its HTTP, and closes the connection.
pub(crate) async fn reject_and_close(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    error: RequestError,
) -> pingora::Result<bool> {
    ctx.kind = RequestKind::Rejected;
    count_rejected(gateway, error.code);
    send_rejection(gateway, downstream, ctx, error).await?;
    Ok(true)
}

fn count_rejected(gateway: &Gateway, reason: &str) {
    gateway.services.metrics.rejected.with_label_values(&[reason]).inc();
}
