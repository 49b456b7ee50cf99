//! A batch: several GraphQL requests in one body, executed in order.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;

use crate::documents::persisted_query_response::rejects_hashes;
use crate::downstream::session::DownstreamSession;
use crate::execution::prepared_request;
use crate::execution::prepared_request::{Execution, PreparedRequest, Route};
use crate::pipeline;
use crate::pipeline::render_response;
use crate::protocol::http::Element;
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::request::response::Response;
use crate::routes::client_disconnect;
use crate::routes::gateway::Gateway;
use crate::runtime::snapshot::Snapshot;

/// Elements of a batch, as they were written and as they are understood.
pub(crate) type Batch<'b> = Vec<(Cow<'b, str>, Route<'b>)>;

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
        let mut verdict = match element.request {
            // What is no request fails alone, and the others are executed.
            Err(error) if !snapshot.catalog.rejects_unlisted() => {
                Route::Execute(PreparedRequest::rejected(error.into(), false))
            }
            request => prepared_request::route(&gateway.services, snapshot, Element { request, ..element }).await,
        };
        let mut as_written = Cow::Borrowed(json);
        match &mut verdict {
            Route::Execute(prepared_request) => {
                prepared_request.batch = text;
                if prepared_request.is_by_id {
                    as_written = Cow::Owned(prepared_request.payload(json));
                }
            }
            Route::Rewritten(with_text) => as_written = Cow::Owned(std::mem::take(with_text)),
            Route::Passthrough | Route::UnknownHash => {}
        }
        batch.push((as_written, verdict));
    }
    batch
}

/// Does it use actions, or depend on its caller or on the upstream's response what becomes of it?
pub(crate) fn must_be_executed(verdict: &Route<'_>) -> bool {
    match verdict {
        Route::Execute(prepared_request) => {
            prepared_request.concern().any() || prepared_request.is_only_looked_up() || prepared_request.is_by_id
        }
        Route::UnknownHash => true,
        Route::Passthrough | Route::Rewritten(_) => false,
    }
}

/// A batch that is the upstream's, with the texts of its documents in the place of ids, if there are any.
pub(crate) fn rewritten(batch: &Batch<'_>) -> Option<String> {
    let is_rewritten = batch.iter().any(|(_, verdict)| matches!(verdict, Route::Rewritten(_)));
    let elements = || batch.iter().map(|(json, _)| json.as_ref()).collect::<Vec<_>>().join(",");
    is_rewritten.then(|| format!("[{}]", elements()))
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
            Route::Passthrough | Route::Rewritten(_) | Route::UnknownHash => Execution::DelegateToUpstream,
        };
        responses.push(match executed {
            Execution::Response(response) => response,
            Execution::DelegateToUpstream => {
                let response = pipeline::fetch_upstream(&gateway.services, snapshot, context, json).await;
                match verdict {
                    Route::UnknownHash if rejects_hashes(response.status, &response.body) => {
                        let rejection = Rejection::persisted_query_not_found();
                        render_response::reject(snapshot.catalog.dialect, context, &rejection)
                    }
                    _ => response,
                }
            }
        });
    }
    render_response::batch(responses)
}
