//! A GET with a document in its query string.

use std::sync::Arc;

use http::HeaderMap;

use crate::config::settings::GraphqlGet;
use crate::memory::Share;
use crate::model::action::OperationKind;
use crate::model::response::RequestError;
use crate::pipeline::prepared_request;
use crate::pipeline::prepared_request::{Execution, PreparedRequest, Route};
use crate::pipeline::rejection::Rejection;
use crate::pipeline::response::Response;
use crate::pipeline::snapshot::Snapshot;
use crate::protocol::http::{ContentType, Element, prefers_html, read_query_string, request_of};
use crate::server::body_scan::wrong_content_type;
use crate::server::downstream_session::DownstreamSession;
use crate::server::execute_request::{Work, work_through};
use crate::server::gateway::{Gateway, RequestState};
use crate::server::get_policy::relayed;
use crate::server::graphql_body::look_at_query;
use crate::server::graphql_request::{IncomingRequest, send};
use crate::server::reject::{reject, tell_upstream_error, turn_away};
use crate::server::{client_disconnect, cors, sse};

pub(crate) async fn screen_get(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let Some(query) = exchange.head().uri.query().map(str::to_owned) else { return Ok(false) };
    // Whoever opens a link wants the upstream's page, which may have a document in its address.
    if prefers_html(&exchange.head().headers) || !look_at_query(&query, |text| snapshot.catalog.may_concern_us(text)) {
        return Ok(false);
    }
    let parameters = match read_query_string(&query) {
        Ok(parameters) => parameters,
        Err(error) => return reject(gate, snapshot, exchange, ctx, error.into(), share).await,
    };
    let request = request_of(&parameters, &snapshot.catalog.limits).map(Some);
    let element = Element { json: "", request };
    let Route::Execute(ours) = prepared_request::understand(&gate.world, snapshot, element).await else {
        return Ok(false);
    };
    if has_other_content_type(&exchange.head().headers) {
        // Introspection alone is the upstream's to answer, however it is asked for.
        if ours.is_introspection_only() {
            return Ok(false);
        }
        return reject(gate, snapshot, exchange, ctx, Rejection::Request(wrong_content_type()), share).await;
    }
    // Nobody waits for the body of a GET.
    if let Err(error) = ctx.admission.body_has_arrived(&gate.world, &share) {
        return turn_away(gate, exchange, ctx, error).await;
    }
    let mut visit = IncomingRequest::of(gate, exchange);
    let is_stream = sse::is_meant(exchange, &ours) && ours.kind() != Some(OperationKind::Mutation);
    // In a box of its own: GET is rare, and every request carries the room for what its future may become.
    let asked = (&mut visit, &ours, is_stream);
    if let Some(done) = Box::pin(ask_about_get(gate, snapshot, exchange, ctx, asked, &share)).await? {
        return Ok(done);
    }
    if is_stream {
        let authenticated = match sse::identified(gate, ctx, snapshot, &visit, &ours, &share).await {
            Ok(authenticated) => authenticated,
            Err(answer) => return send(gate, exchange, ctx, &visit, answer, share).await,
        };
        let payload = parameters.to_json();
        let told = sse::Streamed { snapshot, visit: &visit, payload, authenticated, share };
        return Box::pin(sse::serve(gate, exchange, ctx, told)).await;
    }
    let work = Work { snapshot, visit: &visit, ours: &ours, is_get: true, share: &share };
    match work_through(gate, exchange, ctx, &work).await {
        None => client_disconnect::gone(gate, ctx, &visit),
        Some(Execution::Response(answer)) => send(gate, exchange, ctx, &visit, answer, share).await,
        Some(Execution::DelegateToUpstream) => Ok(false),
    }
}

/// May this GET be served? Otherwise it is answered, or passes. Streams of events are our own, so the upstream only says
/// which pages may read them.
pub(crate) async fn ask_about_get(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    (visit, ours, is_stream): (&mut IncomingRequest, &PreparedRequest<'_>, bool),
    share: &Arc<Share>,
) -> pingora::Result<Option<bool>> {
    let rule = gate.world.configured().settings.graphql_get;
    match rule {
        GraphqlGet::Allow => return Ok(None),
        GraphqlGet::Deny if ours.is_introspection_only() => return Ok(Some(false)),
        GraphqlGet::Deny => {
            let error = RequestError::new(405, "method-not-allowed", "a document with an action must be sent by POST");
            return reject(gate, snapshot, exchange, ctx, Rejection::Request(error), Arc::clone(share)).await.map(Some);
        }
        GraphqlGet::Upstream => {}
    }
    let policy = match gate.get_policies.of(&gate.world.engine, &visit.get_asked()).await {
        Ok(policy) => policy,
        Err(error) => {
            tell_upstream_error(gate, exchange, ctx, &error, false).await;
            return Ok(Some(true));
        }
    };
    visit.set_cors(&policy.cors);
    let Some(rejection) = policy.rejection.as_ref().filter(|_| !is_stream) else { return Ok(None) };
    let answer = Response::new(rejection.status.as_u16(), Vec::new(), "upstream_refused_get");
    ctx.kind = "rejected";
    visit.log(gate, &answer, ctx.started);
    let configured = gate.world.configured();
    let missing = cors::missing_headers(&configured.settings.cors, &exchange.head().headers, &rejection.headers);
    let (status, headers, body) = relayed(rejection, &missing);
    exchange.write_head(status, headers.iter()).await?;
    exchange.finish(body).await?;
    Ok(Some(true))
}

/// A form can send GET and some content types without asking first; no page needs to.
pub(crate) fn has_other_content_type(headers: &HeaderMap) -> bool {
    headers.contains_key(http::header::CONTENT_TYPE) && ContentType::of(headers) != ContentType::Json
}
