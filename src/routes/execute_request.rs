//! Executes a request for as long as its client is connected.

use std::pin::pin;
use std::sync::Arc;

use crate::downstream::session::DownstreamSession;
use crate::execution::prepared_request::{Execution, PreparedRequest};
use crate::memory::Share;
use crate::pipeline;
use crate::routes::client_disconnect;
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::graphql_request::IncomingRequest;
use crate::runtime::snapshot::Snapshot;

/// The prepared request, and the client that it comes from.
pub(crate) struct ExecuteRequest<'w> {
    pub(crate) snapshot: &'w Arc<Snapshot>,
    pub(crate) incoming: &'w IncomingRequest,
    pub(crate) prepared_request: &'w PreparedRequest<'w>,
    pub(crate) is_get: bool,
    pub(crate) share: &'w Share,
}

/// `None` if the client has disconnected.
pub(crate) async fn execute_while_connected(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &RequestState,
    work: &ExecuteRequest<'_>,
) -> Option<Execution> {
    let context = work.incoming.context(gateway, ctx, work.is_get, Some(work.share));
    let executed = pin!(pipeline::execute(&gateway.services, work.snapshot, &context, work.prepared_request));
    client_disconnect::unless_cancelled(
        downstream,
        client_disconnect::may_be_cancelled(work.prepared_request),
        executed,
    )
    .await
}
