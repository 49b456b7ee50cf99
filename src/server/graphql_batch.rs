//! A batch: several GraphQL requests in one body, executed in order.

use std::pin::pin;
use std::sync::Arc;

use crate::memory::Share;
use crate::pipeline;
use crate::pipeline::prepared_request::{Execution, Route};
use crate::pipeline::request_context::RequestContext;
use crate::pipeline::response::Response;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::{prepared_request, render_response};
use crate::protocol::http::Element;
use crate::server::client_disconnect;
use crate::server::downstream_session::DownstreamSession;
use crate::server::gateway::{Gateway, RequestState};
use crate::server::graphql_request::IncomingRequest;

/// Elements of a batch, as they were written and as they are understood.
pub(crate) type Batch<'b> = Vec<(&'b str, Route<'b>)>;

pub(crate) async fn understand_batch<'b>(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    elements: Vec<Element<'b>>,
) -> Batch<'b> {
    let mut batch = Batch::with_capacity(elements.len());
    for element in elements {
        let json = element.json;
        batch.push((json, prepared_request::understand(&gate.world, snapshot, element).await));
    }
    batch
}

pub(crate) fn concerns_us(verdict: &Route<'_>) -> bool {
    matches!(verdict, Route::Execute(ours) if ours.concern().any())
}

/// What is the upstream's may be a mutation.
pub(crate) fn may_be_given_up(verdict: &Route<'_>) -> bool {
    matches!(verdict, Route::Execute(ours) if client_disconnect::may_be_given_up(ours))
}

/// What is to be answered of a batch, and to whom.
pub(crate) struct Elements<'w> {
    pub(crate) snapshot: &'w Arc<Snapshot>,
    pub(crate) visit: &'w IncomingRequest,
    pub(crate) batch: &'w Batch<'w>,
    /// All of it, as it was written.
    pub(crate) text: &'w [u8],
    pub(crate) share: &'w Share,
}

/// `None` if the client has gone meanwhile.
pub(crate) async fn work_through_batch(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &RequestState,
    elements: &Elements<'_>,
) -> Option<Response> {
    let answered = pin!(answer_batch(gate, ctx, elements));
    let may_be_given_up = elements.batch.iter().all(|(_, verdict)| may_be_given_up(verdict));
    client_disconnect::unless_given_up(exchange, may_be_given_up, answered).await
}

/// Every element on its own, in order.
pub(crate) async fn answer_batch(gate: &Gateway, ctx: &RequestState, elements: &Elements<'_>) -> Response {
    let Elements { snapshot, visit, batch, text, share } = elements;
    let envelope = visit.envelope(gate, ctx, false, Some(share));
    let envelope = RequestContext { batch: std::str::from_utf8(text).ok(), ..envelope };
    let mut answers = Vec::with_capacity(batch.len());
    for (json, verdict) in *batch {
        let executed = match verdict {
            Route::Execute(ours) => pipeline::execute(&gate.world, snapshot, &envelope, ours).await,
            Route::Passthrough => Execution::DelegateToUpstream,
        };
        answers.push(match executed {
            Execution::Response(answer) => answer,
            Execution::DelegateToUpstream => pipeline::fetch_upstream(&gate.world, snapshot, &envelope, json).await,
        });
    }
    render_response::batch(answers)
}
