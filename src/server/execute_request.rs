//! A request is executed for as long as its client is there.

use std::pin::pin;
use std::sync::Arc;

use crate::memory::Share;
use crate::pipeline;
use crate::pipeline::prepared_request::{Execution, PreparedRequest};
use crate::pipeline::snapshot::Snapshot;
use crate::server::client_disconnect;
use crate::server::downstream_session::DownstreamSession;
use crate::server::gateway::{Gateway, RequestState};
use crate::server::graphql_request::IncomingRequest;

/// What is to be answered, and to whom.
pub(crate) struct Work<'w> {
    pub(crate) snapshot: &'w Arc<Snapshot>,
    pub(crate) visit: &'w IncomingRequest,
    pub(crate) ours: &'w PreparedRequest<'w>,
    pub(crate) is_get: bool,
    pub(crate) share: &'w Share,
}

/// `None` if the client has gone meanwhile.
pub(crate) async fn work_through(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &RequestState,
    work: &Work<'_>,
) -> Option<Execution> {
    let envelope = work.visit.envelope(gate, ctx, work.is_get, Some(work.share));
    let executed = pin!(pipeline::execute(&gate.world, work.snapshot, &envelope, work.ours));
    client_disconnect::unless_given_up(exchange, client_disconnect::may_be_given_up(work.ours), executed).await
}
