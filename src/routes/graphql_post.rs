//! A POST on a GraphQL path, from its body to a response or to the upstream.

use std::sync::Arc;

use crate::downstream::body::BodyError;
use crate::downstream::session::DownstreamSession;
use crate::execution::prepared_request;
use crate::execution::prepared_request::{Execution, PreparedRequest, Route};
use crate::memory;
use crate::memory::Share;
use crate::model::response::RequestError;
use crate::pipeline::trusted_documents;
use crate::protocol::http::{Body, read_body};
use crate::protocol::media_type::ContentType;
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::request::response::Response;
use crate::routes::body_scan::BodyScan;
use crate::routes::execute_request::{ExecuteRequest, execute_while_connected};
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::graphql_batch::{
    BatchContext, execute_batch_while_connected, must_be_executed, rewritten, route_batch,
};
use crate::routes::graphql_body::{GraphqlBody, LargeBody, WholeBody, read_graphql_body};
use crate::routes::graphql_request::{read_context, send};
use crate::routes::passthrough::{pass_through, pass_through_in_pieces};
use crate::routes::persisted_query::{ask_by_hash, pass_with_text};
use crate::routes::reject::{reject, reject_and_close};
use crate::routes::{client_disconnect, sse};
use crate::runtime::snapshot::Snapshot;

/// How a POST is handled once its body has been parsed. Nothing of the body is in it, so that it is not held while a
/// client reads its response.
pub(crate) enum PostOutcome {
    /// It is the upstream's.
    Pass,
    /// The same, with the texts of its documents in the place of their ids.
    PassWithText(String),
    /// Only the upstream can know its hash.
    AskByHash,
    Reject(Rejection),
    Send(Box<RequestContext>, Response),
    Stream(Box<RequestContext>, sse::StreamedOperation),
    /// Its client has disconnected.
    Gone(Box<RequestContext>),
}

pub(crate) async fn serve_post(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let looked_at = match read_graphql_body(gateway, snapshot, downstream, ctx, &share).await {
        Ok(looked_at) => looked_at,
        Err(BodyError::Broken(error)) => return Err(error.into_down()),
        Err(BodyError::Rejected(error)) => return reject_and_close(gateway, downstream, ctx, error).await,
    };
    let body = match looked_at {
        GraphqlBody::MayBeOurs(body) => body,
        GraphqlBody::NotOurs(wire) => return pass_through(gateway, downstream, ctx, wire, &share).await,
        // In boxes of their own: they are rare, and every request carries the room for what its future may become.
        GraphqlBody::OfAnotherType(body) => {
            return Box::pin(serve_other_content_type(gateway, snapshot, downstream, ctx, body, share)).await;
        }
        GraphqlBody::Large(large) => {
            return memory::boxed(|| serve_large(gateway, snapshot, downstream, ctx, large, &share)).await;
        }
    };
    let next = execute_post(gateway, snapshot, downstream, ctx, &body).await;
    let wire = body.into_wire();
    match next {
        PostOutcome::Pass => return pass_through(gateway, downstream, ctx, wire, &share).await,
        PostOutcome::AskByHash => {
            return Box::pin(ask_by_hash(gateway, snapshot, downstream, ctx, wire, share)).await;
        }
        _ => drop(wire),
    }
    match next {
        PostOutcome::Pass | PostOutcome::AskByHash => Ok(false),
        PostOutcome::PassWithText(json) => Box::pin(pass_with_text(gateway, downstream, ctx, json, &share)).await,
        PostOutcome::Reject(rejection) => reject(gateway, snapshot, downstream, ctx, rejection, share).await,
        PostOutcome::Send(context, response) => send(gateway, downstream, ctx, &context, response, share).await,
        PostOutcome::Stream(context, operation) => {
            let stream = sse::EventStream { snapshot, context: &context, operation, share };
            memory::boxed(|| sse::serve(gateway, downstream, ctx, stream)).await
        }
        PostOutcome::Gone(context) => client_disconnect::log_disconnect(gateway, ctx, &context),
    }
}

async fn execute_post(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    body: &WholeBody,
) -> PostOutcome {
    match read_body(body.text(), &gateway.services.configured().settings.limits) {
        Err(_) if passes_unread(snapshot, body) => PostOutcome::Pass,
        Err(error) => PostOutcome::Reject(error.into()),
        Ok(Body::One(element)) => {
            let json = element.json;
            match prepared_request::route(&gateway.services, snapshot, element).await {
                Route::Passthrough => PostOutcome::Pass,
                Route::Rewritten(json) => PostOutcome::PassWithText(json),
                Route::UnknownHash => PostOutcome::AskByHash,
                Route::Execute(prepared_request) => {
                    execute_one(gateway, snapshot, downstream, ctx, (json, prepared_request)).await
                }
            }
        }
        Ok(Body::Batch(elements)) => {
            let context = Box::new(read_context(gateway, downstream, ctx));
            let batch = memory::boxed(|| route_batch(gateway, snapshot, body.text(), elements)).await;
            if !batch.iter().any(|(_, verdict)| must_be_executed(verdict)) {
                return rewritten(&batch).map_or(PostOutcome::Pass, PostOutcome::PassWithText);
            }
            let elements = BatchContext { snapshot, context: &context, batch: &batch };
            match memory::boxed(|| execute_batch_while_connected(gateway, downstream, &elements)).await {
                None => PostOutcome::Gone(context),
                Some(response) => PostOutcome::Send(context, response),
            }
        }
    }
}

/// Is a body that cannot be read only looked at for ids, or because all documents are counted? Then it is the upstream's to reject.
fn passes_unread(snapshot: &Snapshot, body: &WholeBody) -> bool {
    !snapshot.catalog.rejects_unlisted() && !snapshot.catalog.may_be_ours(body.text())
}

async fn execute_one(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    (json, prepared_request): (&str, PreparedRequest<'_>),
) -> PostOutcome {
    let context = Box::new(read_context(gateway, downstream, ctx));
    let pass = || match prepared_request.is_by_id {
        true => PostOutcome::PassWithText(prepared_request.payload(json)),
        false => PostOutcome::Pass,
    };
    if prepared_request.is_only_looked_up() {
        // Boxed: rare, and otherwise every request carries the size of this future.
        let admitted = trusted_documents::admit(&gateway.services, snapshot, &context, Some(&prepared_request));
        return match Box::pin(admitted).await {
            Ok(()) => pass(),
            Err(response) => PostOutcome::Send(context, response),
        };
    }
    if sse::matches(downstream, &prepared_request) {
        let payload = prepared_request.payload(json);
        let admitted = sse::admit(gateway, snapshot, &context, &prepared_request, payload);
        return match Box::pin(admitted).await {
            Err(response) => PostOutcome::Send(context, response),
            Ok(None) => pass(),
            Ok(Some(operation)) => PostOutcome::Stream(context, operation),
        };
    }
    let work = ExecuteRequest { snapshot, context: &context, prepared_request: &prepared_request };
    // In a box of its own: most requests pass, and with many at one time their futures are what takes memory.
    match memory::boxed(|| execute_while_connected(gateway, downstream, &work)).await {
        None => PostOutcome::Gone(context),
        Some(Execution::Response(response)) => PostOutcome::Send(context, response),
        Some(Execution::DelegateToUpstream) => pass(),
    }
}

/// A body that is no JSON: if it names an action, the response says how to send it; everything else is the upstream's.
async fn serve_other_content_type(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    body: WholeBody,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    if let Some(response) = reject_unreadable(gateway, snapshot, downstream, ctx).await {
        let (context, response) = *response;
        return send(gateway, downstream, ctx, &context, response, share).await;
    }
    let headers = &downstream.head().headers;
    let scan = BodyScan::new(&gateway.services, snapshot, headers, ContentType::of(headers), share.sibling());
    match scan.look_through(body.text()).await {
        Ok(()) => pass_through(gateway, downstream, ctx, body.into_wire(), &share).await,
        Err(error) => reject(gateway, snapshot, downstream, ctx, Rejection::Request(error), share).await,
    }
}

/// A body that is larger than one with an action may be. It passes while it is looked through, so that none of it is held.
async fn serve_large(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    large: LargeBody,
    share: &Share,
) -> pingora::Result<bool> {
    if reject_unreadable(gateway, snapshot, downstream, ctx).await.is_some() {
        let message =
            "while documents.only is all, a request must be JSON and not larger than limits.max_request_body_size";
        return reject_and_close(gateway, downstream, ctx, RequestError::new(413, "body-too-large", message)).await;
    }
    let headers = &downstream.head().headers;
    let content_type = ContentType::of(headers);
    let mut scan = BodyScan::new(&gateway.services, snapshot, headers, content_type, share.sibling());
    if let Some(decoded) = large.decoded_beginning {
        // It is not decoded in full: a small body can become any size. So a document must stand at its beginning.
        if let Err(error) = scan.feed(&decoded.text).await {
            return reject_and_close(gateway, downstream, ctx, error).await;
        }
        if content_type == ContentType::Json && scan.has_found_nothing() {
            let error = scan.too_large();
            return reject_and_close(gateway, downstream, ctx, error).await;
        }
        drop(decoded);
        if large.is_whole {
            return pass_through(gateway, downstream, ctx, large.wire, share).await;
        }
        return pass_through_in_pieces(gateway, downstream, ctx, large.wire, None, share).await;
    }
    pass_through_in_pieces(gateway, downstream, ctx, large.wire, Some(scan), share).await
}

/// The rejection of a body whose documents are not looked up, if all must be trusted and the caller may not send anything.
async fn reject_unreadable(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &DownstreamSession<'_>,
    ctx: &RequestState,
) -> Option<Box<(RequestContext, Response)>> {
    if !snapshot.catalog.rejects_unlisted() {
        return None;
    }
    let context = read_context(gateway, downstream, ctx);
    let admitted = trusted_documents::admit(&gateway.services, snapshot, &context, None).await;
    admitted.err().map(|response| Box::new((context, response)))
}
