//! `/api/rest/…`: REST endpoints whose document has an action. The upstream serves all others.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, Method};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::config::settings::HASURA_GRAPHQL_PATH;
use crate::downstream::body;
use crate::downstream::body::{BodyError, Opened};
use crate::downstream::session::DownstreamSession;
use crate::execution::prepared_request;
use crate::execution::prepared_request::{Execution, PreparedRequest, Route};
use crate::http_client::decode::{Encoding, too_large};
use crate::memory::Share;
use crate::model::json::{RawObject, measure};
use crate::model::limits::Limits;
use crate::model::request::{DocumentIds, Excess, GraphqlRequest};
use crate::model::response::{Dialect, RequestError};
use crate::pipeline;
use crate::protocol::http::Element;
use crate::protocol::media_type::ResponseType;
use crate::protocol::query_string::decode;
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::request::response::Response;
use crate::rest::endpoint::{Matched, PREFIX, RestEndpoint, find};
use crate::rest::render_result::render;
use crate::rest::variables::{RestError, VariableSources, variables};
use crate::routes::client_disconnect;
use crate::routes::execute_request::{ExecuteRequest, execute_while_connected};
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::graphql_request::{read_context, send};
use crate::routes::reject::reject_and_close;
use crate::runtime::prepare::selects_action;
use crate::runtime::snapshot::Snapshot;

/// Could an endpoint have this path?
#[must_use]
pub(crate) fn matches(gateway: &Gateway, downstream: &DownstreamSession<'_>) -> bool {
    downstream.head().uri.path().starts_with(PREFIX)
        && !gateway.services.configured().documents.rest_endpoints.is_empty()
}

/// Executes the endpoint's document, or leaves the request to the upstream (`false`).
///
/// # Errors
/// When the connection to the client broke.
pub(crate) async fn serve(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let snapshot = gateway.services.snapshot.load_full();
    let endpoints = Arc::clone(&snapshot.configured.documents.rest_endpoints);
    let head = downstream.head();
    let (endpoint, path) = match find(&endpoints, &head.method, head.uri.path()) {
        Matched::Endpoint(endpoint, values) if has_action(gateway, &snapshot, endpoint).await => (endpoint, values),
        Matched::OtherMethods(others) if any_has_action(gateway, &snapshot, &others).await => {
            let methods = others.iter().flat_map(|endpoint| endpoint.methods.clone()).collect();
            let rejection = of_rest_error(&RestError::Method(methods));
            return reject(gateway, &snapshot, downstream, ctx, rejection, share).await;
        }
        _ => return Ok(false),
    };
    let body = match read_body(gateway, downstream, ctx, &share).await {
        Ok(body) => body,
        Err(BodyError::Broken(error)) => return Err(error.into_down()),
        Err(BodyError::Rejected(error)) => return reject_and_close(gateway, downstream, ctx, error).await,
    };
    let query = downstream.head().uri.query().unwrap_or_default().to_owned();
    let request = read_request(endpoint, path, &query, &body, &snapshot.catalog.limits);
    drop(body);
    let request = match request {
        Ok(request) => request,
        Err(rejection) => return reject(gateway, &snapshot, downstream, ctx, rejection, share).await,
    };
    let variables = request.0.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), &**value)).collect();
    let request = GraphqlRequest {
        variables: RawObject(variables),
        ..GraphqlRequest::of_document(endpoint.document.to_string())
    };
    let element = Element { json: "", request: Ok(Some(request)), ids: DocumentIds::default() };
    let Route::Execute(prepared) = prepared_request::route(&gateway.services, &snapshot, element).await else {
        // The actions have changed since the endpoint was found.
        let rejection = Rejection::internal("the document of a REST endpoint has lost its action");
        return reject(gateway, &snapshot, downstream, ctx, rejection, share).await;
    };
    execute(gateway, &snapshot, downstream, ctx, &prepared, share).await
}

async fn execute(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    prepared_request: &PreparedRequest<'_>,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let context = context(gateway, snapshot, downstream, ctx);
    let work = ExecuteRequest { snapshot, context: &context, prepared_request };
    match execute_while_connected(gateway, downstream, &work).await {
        None => client_disconnect::log_disconnect(gateway, ctx, &context),
        Some(Execution::Response(response)) => send_result(gateway, downstream, ctx, context, response, share).await,
        Some(Execution::DelegateToUpstream) => {
            let rejection = Rejection::internal("the document of a REST endpoint is the upstream's");
            reject(gateway, snapshot, downstream, ctx, rejection, share).await
        }
    }
}

async fn has_action(gateway: &Gateway, snapshot: &Arc<Snapshot>, endpoint: &RestEndpoint) -> bool {
    selects_action(&gateway.services, snapshot, &endpoint.document).await
}

async fn any_has_action(gateway: &Gateway, snapshot: &Arc<Snapshot>, endpoints: &[&RestEndpoint]) -> bool {
    for endpoint in endpoints {
        if has_action(gateway, snapshot, endpoint).await {
            return true;
        }
    }
    false
}

/// The context of the operation. Statuses show, whatever the dialect, and a method may write if the endpoint says so.
fn context(
    gateway: &Gateway,
    snapshot: &Snapshot,
    downstream: &DownstreamSession<'_>,
    ctx: &RequestState,
) -> RequestContext {
    let settings = &snapshot.configured.settings;
    let first = || settings.graphql_paths.first().map_or("/graphql", String::as_str);
    let path = match (&settings.upstream.graphql_path, snapshot.catalog.dialect) {
        (Some(path), _) => path,
        (None, Dialect::Hasura) => HASURA_GRAPHQL_PATH,
        (None, Dialect::Standard) => first(),
    };
    RequestContext {
        shows_status: true,
        is_get: false,
        upstream_path: Some(path.to_owned()),
        query: String::new(),
        response_type: ResponseType::GraphqlResponse,
        ..read_context(gateway, downstream, ctx)
    }
}

/// The body, decoded; empty if there is none.
async fn read_body(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: &Share,
) -> Result<Vec<u8>, BodyError> {
    let configured = gateway.services.configured();
    let limits = &configured.settings.limits;
    let encoding = Encoding::of(&downstream.head().headers)?;
    let wire = match has_body(&downstream.head().method, &downstream.head().headers) {
        true => body::read(downstream, limits.max_request_body_size, share, false).await?,
        false => bytes::Bytes::new(),
    };
    ctx.body_was_read = true;
    ctx.admission.body_has_arrived(&gateway.services, share)?;
    match encoding {
        Encoding::Identity => Ok(wire.into()),
        encoding => match body::decode(encoding, &wire, limits, share).await? {
            Opened::Whole(decoded) => Ok(decoded.text.clone()),
            Opened::Beginning(_) => Err(too_large(limits.max_request_body_size).into()),
        },
    }
}

fn has_body(method: &Method, headers: &HeaderMap) -> bool {
    *method != Method::GET
        || headers.contains_key(http::header::CONTENT_LENGTH)
        || headers.contains_key(http::header::TRANSFER_ENCODING)
}

/// The values of variables as JSON.
struct Variables(Vec<(String, Box<RawValue>)>);

/// The variables of a request. A body that is no JSON object has none, as in Hasura.
fn read_request(
    endpoint: &RestEndpoint,
    path: Vec<String>,
    query: &str,
    body: &[u8],
    limits: &Limits,
) -> Result<Variables, Rejection> {
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decode(name)?, decode(value)?));
    }
    let body = read_object(body, limits)?;
    let sources = VariableSources { path, query: pairs, body: body.as_ref() };
    let given = variables(endpoint, &sources).map_err(|error| of_rest_error(&error))?;
    let raw = |(name, value): (String, Value)| Some((name, to_raw_value(&value).ok()?));
    Ok(Variables(given.into_iter().filter_map(raw).collect()))
}

fn read_object(body: &[u8], limits: &Limits) -> Result<Option<Map<String, Value>>, Rejection> {
    let Some(measured) = measure(body, limits.max_json_depth) else {
        let message = format!("the body is nested deeper than {} levels", limits.max_json_depth);
        return Err(Rejection::Request(RequestError::new(400, "parse-failed", message)));
    };
    if let Some(excess) = Excess::of(measured, limits) {
        return Err(excess.into());
    }
    Ok(serde_json::from_slice(body).ok())
}

fn of_rest_error(error: &RestError) -> Rejection {
    Rejection::Request(RequestError::new(error.status(), error.code(), error.to_string()))
}

/// Rejects a request before its operation is executed. The credential is checked first all the same.
async fn reject(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    rejection: Rejection,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let context = context(gateway, snapshot, downstream, ctx);
    if !ctx.body_was_read {
        downstream.close();
    }
    let response = pipeline::reject(&gateway.services, snapshot, &context, rejection).await;
    gateway.services.metrics.rejected.with_label_values(&[response.outcome]).inc();
    send_result(gateway, downstream, ctx, context, Response { allow: None, ..response }, share).await
}

/// Sends the result of an operation as that of a REST endpoint.
async fn send_result(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    mut context: RequestContext,
    response: Response,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    context.response_type = ResponseType::Json;
    let result = render(response.status, &response.body);
    let response = Response { status: result.status, body: result.body.into_bytes().into(), reused: None, ..response };
    send(gateway, downstream, ctx, &context, response, share).await
}
