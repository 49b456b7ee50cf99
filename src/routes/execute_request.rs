//! Executes a request for as long as its client is connected.

use std::pin::pin;
use std::sync::Arc;

use crate::downstream::session::DownstreamSession;
use crate::execution::prepared_request::{Execution, PreparedRequest};
use crate::pipeline;
use crate::request::context::RequestContext;
use crate::routes::client_disconnect;
use crate::routes::gateway::Gateway;
use crate::runtime::snapshot::Snapshot;

/// The prepared request, and the client that it comes from.
pub(crate) struct ExecuteRequest<'w> {
    pub(crate) snapshot: &'w Arc<Snapshot>,
    pub(crate) context: &'w RequestContext,
    pub(crate) prepared_request: &'w PreparedRequest<'w>,
}

/// `None` if the client has disconnected.
pub(crate) async fn execute_while_connected(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    work: &ExecuteRequest<'_>,
) -> Option<Execution> {
    let executed = pin!(pipeline::execute(&gateway.services, work.snapshot, work.context, work.prepared_request));
    client_disconnect::unless_cancelled(
        downstream,
        client_disconnect::may_be_cancelled(work.prepared_request),
        executed,
    )
    .await
}
