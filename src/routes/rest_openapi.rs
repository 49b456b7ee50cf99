//! `GET /api/swagger/json`: the description of REST endpoints, those of the upstream with ours. For admins, as in Hasura; to others
//! the upstream responds.

use std::sync::Arc;

use http::{Method, header};

use crate::downstream::session::DownstreamSession;
use crate::memory::{Share, tree_bytes};
use crate::metadata_api;
use crate::rest::endpoint::RestEndpoint;
use crate::rest::openapi::{Described, describe, merged};
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::graphql_request::{read_context, send_json};
use crate::routes::passthrough::request_headers;
use crate::routes::reject::reject_and_close;
use crate::runtime::prepare::selects_action;
use crate::telemetry::request_kind::RequestKind;

/// Hasura's path.
const PATH: &str = "/api/swagger/json";

/// Is it asked for, and are there endpoints?
#[must_use]
pub(crate) fn matches(gateway: &Gateway, downstream: &DownstreamSession<'_>) -> bool {
    let head = downstream.head();
    head.method == Method::GET
        && head.uri.path() == PATH
        && !gateway.services.configured().documents.rest_endpoints.is_empty()
}

/// Responds with it, or leaves the request to the upstream (`false`).
///
/// # Errors
/// When the connection to the client broke.
pub(crate) async fn serve(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let context = read_context(gateway, downstream, ctx);
    let admin = metadata_api::authenticate(&gateway.services, &context.caller.headers).await;
    if !admin.is_ok_and(|admin| admin.is_some()) {
        return Ok(false);
    }
    let snapshot = gateway.services.snapshot.load_full();
    let endpoints = Arc::clone(&snapshot.configured.documents.rest_endpoints);
    let mut own: Vec<&RestEndpoint> = Vec::new();
    for endpoint in endpoints.iter() {
        if selects_action(&gateway.services, &snapshot, &endpoint.document).await {
            own.push(endpoint);
        }
    }
    if own.is_empty() {
        return Ok(false);
    }
    let catalog = &snapshot.catalog;
    let described = Described { schema: &catalog.schema, roots: &catalog.roots, limits: &catalog.limits };
    let own = describe(&own, &described);
    let mut headers = request_headers(&gateway.services.upstream, downstream);
    headers.remove(header::ACCEPT_ENCODING);
    let bytes_max = catalog.limits.max_upstream_response_size;
    let upstream = gateway.services.upstream.get(PATH, &headers, bytes_max).await;
    let upstream = upstream.ok().filter(|fetched| fetched.status.is_success()).map(|fetched| fetched.body);
    let upstream = upstream.unwrap_or_default();
    // It is read into a tree of values.
    if let Err(no_room) = share.grow(upstream.len() + tree_bytes(&upstream)) {
        return reject_and_close(gateway, downstream, ctx, no_room.into()).await;
    }
    let all = serde_json::from_slice(&upstream).ok().and_then(|upstream| merged(upstream, &own)).unwrap_or(own);
    send_json(downstream, ctx, &context, RequestKind::Metadata, 200, all.to_string()).await
}
