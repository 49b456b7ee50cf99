//! A GET with a document in its query string.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use crate::config::settings::GraphqlGet;
use crate::downstream::cors;
use crate::downstream::session::DownstreamSession;
use crate::execution::access_log;
use crate::execution::prepared_request;
use crate::execution::prepared_request::{Execution, PreparedRequest, Route};
use crate::memory::Share;
use crate::model::action::OperationKind;
use crate::model::response::RequestError;
use crate::pipeline::trusted_documents;
use crate::protocol::http::Element;
use crate::protocol::media_type::{ContentType, prefers_html};
use crate::protocol::query_string::{ids_of, read_query_string, request_of};
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::request::response::Response;
use crate::routes::body_scan::wrong_content_type;
use crate::routes::execute_request::{ExecuteRequest, execute_while_connected};
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::get_policy::relayed;
use crate::routes::graphql_body::scan_query;
use crate::routes::graphql_request::{read_context, send};
use crate::routes::persisted_query::{ask_by_hash, pass_with_text};
use crate::routes::reject::{reject, reject_and_close, send_upstream_error};
use crate::routes::{client_disconnect, sse};
use crate::runtime::snapshot::Snapshot;
use crate::telemetry::request_kind::RequestKind;
use crate::upstream::reads::body_only_reads;

pub(crate) async fn serve_get(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let Some(query) = downstream.head().uri.query().map(str::to_owned) else { return Ok(false) };
    let catalog = &snapshot.catalog;
    // A browser that opens a link wants the upstream's page, which may have a document in its address.
    let is_link = prefers_html(&downstream.head().headers) && !catalog.rejects_unlisted();
    if is_link || !scan_query(&query, |text| catalog.may_concern_us(text)) {
        return Ok(false);
    }
    let parameters = match read_query_string(&query) {
        Ok(parameters) => parameters,
        Err(_) if !catalog.rejects_unlisted() && !scan_query(&query, |text| catalog.may_be_ours(text)) => {
            return Ok(false);
        }
        Err(error) => return reject(gateway, snapshot, downstream, ctx, error.into(), share).await,
    };
    let json = parameters.to_json();
    let request = request_of(&parameters, &catalog.limits);
    let element = Element { json: &json, request, ids: ids_of(&parameters) };
    let prepared_request = match prepared_request::route(&gateway.services, snapshot, element).await {
        Route::Passthrough => return Ok(false),
        Route::UnknownHash => {
            return Box::pin(ask_by_hash(gateway, snapshot, downstream, ctx, Bytes::new(), share)).await;
        }
        Route::Rewritten(json) => {
            return Box::pin(pass_if_it_reads(gateway, snapshot, downstream, ctx, json, share)).await;
        }
        Route::Execute(prepared_request) => prepared_request,
    };
    if prepared_request.is_only_looked_up() {
        let context = read_context(gateway, downstream, ctx);
        // Boxed: rare, and otherwise every request carries the size of this future.
        let admitted = trusted_documents::admit(&gateway.services, snapshot, &context, Some(&prepared_request));
        if let Err(response) = Box::pin(admitted).await {
            return send(gateway, downstream, ctx, &context, response, share).await;
        }
        return pass(gateway, snapshot, downstream, ctx, (&json, &prepared_request), share).await;
    }
    if has_other_content_type(&downstream.head().headers) {
        // Introspection alone is left to the upstream, by whatever method.
        if prepared_request.is_introspection_only() && !catalog.rejects_unlisted() {
            return Ok(false);
        }
        return reject(gateway, snapshot, downstream, ctx, Rejection::Request(wrong_content_type()), share).await;
    }
    // The body of a GET is not read.
    if let Err(error) = ctx.admission.body_has_arrived(&gateway.services, &share) {
        return reject_and_close(gateway, downstream, ctx, error).await;
    }
    let mut context = read_context(gateway, downstream, ctx);
    let is_stream =
        sse::matches(downstream, &prepared_request) && prepared_request.kind() != Some(OperationKind::Mutation);
    // Boxed: GET is rare, and otherwise every request carries the size of this future.
    let asked = (&mut context, &prepared_request, is_stream);
    if let Some(done) = Box::pin(check_get_policy(gateway, snapshot, downstream, ctx, asked, &share)).await? {
        return Ok(done);
    }
    if is_stream {
        let payload = prepared_request.payload(&json);
        let operation = match sse::admit(gateway, snapshot, &context, &prepared_request, payload).await {
            Ok(Some(operation)) => operation,
            Ok(None) => return pass(gateway, snapshot, downstream, ctx, (&json, &prepared_request), share).await,
            Err(response) => return send(gateway, downstream, ctx, &context, response, share).await,
        };
        let stream = sse::EventStream { snapshot, context: &context, operation, share };
        return Box::pin(sse::serve(gateway, downstream, ctx, stream)).await;
    }
    let work = ExecuteRequest { snapshot, context: &context, prepared_request: &prepared_request };
    match execute_while_connected(gateway, downstream, &work).await {
        None => client_disconnect::log_disconnect(gateway, ctx, &context),
        Some(Execution::Response(response)) => send(gateway, downstream, ctx, &context, response, share).await,
        Some(Execution::DelegateToUpstream) => {
            pass(gateway, snapshot, downstream, ctx, (&json, &prepared_request), share).await
        }
    }
}

/// Passes a request on: as it came, or with the text of its document, if that is known by an id.
async fn pass(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    (json, prepared_request): (&str, &PreparedRequest<'_>),
    share: Arc<Share>,
) -> pingora::Result<bool> {
    if !prepared_request.is_by_id {
        return Ok(false);
    }
    let json = prepared_request.payload(json);
    Box::pin(pass_if_it_reads(gateway, snapshot, downstream, ctx, json, share)).await
}

/// Passes a request on by POST, as a URL may have no room for its text. The upstream can no longer see that it came by GET, by
/// which nothing may be written.
async fn pass_if_it_reads(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    json: String,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    if !body_only_reads(json.as_bytes(), &snapshot.catalog.limits) {
        let rejection = Rejection::get_must_read(OperationKind::Mutation);
        return reject(gateway, snapshot, downstream, ctx, rejection, share).await;
    }
    pass_with_text(gateway, downstream, ctx, json, &share).await
}

/// May this GET be served? Otherwise it is rejected, or passes. Streams of events are our own, so the upstream only
/// says which pages may read them.
async fn check_get_policy(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    (context, prepared_request, is_stream): (&mut RequestContext, &PreparedRequest<'_>, bool),
    share: &Arc<Share>,
) -> pingora::Result<Option<bool>> {
    let rule = gateway.services.configured().settings.graphql_get;
    match rule {
        GraphqlGet::Allow => return Ok(None),
        GraphqlGet::Deny if prepared_request.is_introspection_only() && !snapshot.catalog.rejects_unlisted() => {
            return Ok(Some(false));
        }
        GraphqlGet::Deny => {
            let error = RequestError::new(405, "method-not-allowed", "a document with an action must be sent by POST");
            return reject(gateway, snapshot, downstream, ctx, Rejection::Request(error), Arc::clone(share))
                .await
                .map(Some);
        }
        GraphqlGet::Upstream => {}
    }
    let policy = match gateway.get_policies.of(&gateway.services.upstream, context).await {
        Ok(policy) => policy,
        Err(error) => {
            send_upstream_error(gateway, downstream, ctx, &error, false).await;
            return Ok(Some(true));
        }
    };
    context.set_cors(&policy.cors);
    let Some(rejection) = policy.rejection.as_ref().filter(|_| !is_stream) else { return Ok(None) };
    let response = Response::new(rejection.status.as_u16(), Vec::new(), "upstream_rejected_get");
    ctx.kind = RequestKind::Rejected;
    access_log::record(&gateway.services, &response, context);
    let configured = gateway.services.configured();
    let missing = cors::missing_headers(&configured.settings.cors, &downstream.head().headers, &rejection.headers);
    let (status, headers, body) = relayed(rejection, &missing);
    downstream.write_head(status, headers.iter()).await?;
    downstream.finish(body).await?;
    Ok(Some(true))
}

/// A form can send GET and some content types without asking first; no page needs to.
fn has_other_content_type(headers: &HeaderMap) -> bool {
    headers.contains_key(http::header::CONTENT_TYPE) && ContentType::of(headers) != ContentType::Json
}
