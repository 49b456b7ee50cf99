//! A batch: several GraphQL requests in one body, executed in order.

use std::pin::pin;
use std::sync::Arc;

use crate::downstream::session::DownstreamSession;
use crate::execution::prepared_request;
use crate::execution::prepared_request::{Execution, Route};
use crate::pipeline;
use crate::pipeline::render_response;
use crate::protocol::http::Element;
use crate::request::context::RequestContext;
use crate::request::response::Response;
use crate::routes::client_disconnect;
use crate::routes::gateway::Gateway;
use crate::runtime::snapshot::Snapshot;

/// Elements of a batch, as they were written and as they are understood.
pub(crate) type Batch<'b> = Vec<(&'b str, Route<'b>)>;

pub(crate) async fn route_batch<'b>(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    text: &'b [u8],
    elements: Vec<Element<'b>>,
) -> Batch<'b> {
    let text = std::str::from_utf8(text).ok();
    let mut batch = Batch::with_capacity(elements.len());
    for element in elements {
        let json = element.json;
        let mut verdict = prepared_request::route(&gateway.services, snapshot, element).await;
        if let Route::Execute(prepared_request) = &mut verdict {
            prepared_request.batch = text;
        }
        batch.push((json, verdict));
    }
    batch
}

pub(crate) fn uses_actions(verdict: &Route<'_>) -> bool {
    matches!(verdict, Route::Execute(prepared_request) if prepared_request.concern().any())
}

/// An element that is passed to the upstream may be a mutation.
pub(crate) fn may_be_cancelled(verdict: &Route<'_>) -> bool {
    matches!(verdict, Route::Execute(prepared_request) if client_disconnect::may_be_cancelled(prepared_request))
}

/// The elements of a batch, and the client that they come from.
pub(crate) struct BatchContext<'w> {
    pub(crate) snapshot: &'w Arc<Snapshot>,
    pub(crate) context: &'w RequestContext,
    pub(crate) batch: &'w Batch<'w>,
}

/// `None` if the client has disconnected.
pub(crate) async fn execute_batch_while_connected(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    elements: &BatchContext<'_>,
) -> Option<Response> {
    let executed = pin!(execute_batch(gateway, elements));
    let may_be_given_up = elements.batch.iter().all(|(_, verdict)| may_be_cancelled(verdict));
    client_disconnect::unless_cancelled(downstream, may_be_given_up, executed).await
}

/// Every element on its own, in order.
pub(crate) async fn execute_batch(gateway: &Gateway, elements: &BatchContext<'_>) -> Response {
    let BatchContext { snapshot, context, batch } = elements;
    let mut responses = Vec::with_capacity(batch.len());
    for (json, verdict) in *batch {
        let executed = match verdict {
            Route::Execute(prepared_request) => {
                pipeline::execute(&gateway.services, snapshot, context, prepared_request).await
            }
            Route::Passthrough => Execution::DelegateToUpstream,
        };
        responses.push(match executed {
            Execution::Response(response) => response,
            Execution::DelegateToUpstream => pipeline::fetch_upstream(&gateway.services, snapshot, context, json).await,
        });
    }
    render_response::batch(responses)
}
