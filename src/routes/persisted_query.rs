//! Requests that name their documents by an id and are the upstream's: sent on with the text, or as they are, to ask whether the
//! upstream knows the hash.

use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderValue};
use http::{Method, Uri, header};

use crate::documents::persisted_query_response::{BYTES_MAX, may_tell, rejects_hashes};
use crate::downstream::session::DownstreamSession;
use crate::memory::Share;
use crate::model::replay::Replay;
use crate::request::rejection::Rejection;
use crate::routes::client_disconnect::unless_disconnected;
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::graphql_request::upstream_path;
use crate::routes::passthrough::{Forwarded, finish_forwarded, request_headers, send_response};
use crate::routes::reject::reject;
use crate::runtime::snapshot::Snapshot;
use crate::upstream;
use crate::upstream::UpstreamError;
use crate::upstream::reads::body_only_reads;

/// Sends the upstream a request by POST whose documents have been found by their ids: `json`, with their texts.
pub(crate) async fn pass_with_text(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    json: String,
    share: &Share,
) -> pingora::Result<bool> {
    let body = Bytes::from(json);
    share.shrink_to(body.len());
    let mut headers = request_headers(&gateway.services.upstream, downstream);
    headers.remove(header::CONTENT_ENCODING);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Its query string has named the document.
    let is_get = downstream.head().method == Method::GET;
    let text = body.clone();
    let only_reads = || body_only_reads(&text, &gateway.services.configured().settings.limits);
    let outgoing = Outgoing { method: Method::POST, headers, body, with_query: !is_get };
    let address = match outgoing.address(gateway, downstream) {
        Ok(address) => address,
        Err(error) => return finish_forwarded(gateway, downstream, ctx, Forwarded::Failed(error), || false).await,
    };
    let forwarded = match respond(gateway, downstream, (&outgoing, &address), Replay::IfItReads(&only_reads)).await {
        Ok(mut response) => send_response(gateway, downstream, &mut ctx.admission, (&mut response, true), share).await,
        Err(failed) => failed,
    };
    finish_forwarded(gateway, downstream, ctx, forwarded, || !only_reads()).await
}

/// Sends the upstream a request that has only a hash, as it is. If the upstream has no persisted queries, the client is told
/// that the hash is not known, so that it sends the text.
pub(crate) async fn ask_by_hash(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    body: Bytes,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let mut headers = request_headers(&gateway.services.upstream, downstream);
    // The response is read here.
    headers.remove(header::ACCEPT_ENCODING);
    let method = downstream.head().method.clone();
    let outgoing = Outgoing { method, headers, body, with_query: true };
    let address = match outgoing.address(gateway, downstream) {
        Ok(address) => address,
        Err(error) => return finish_forwarded(gateway, downstream, ctx, Forwarded::Failed(error), || false).await,
    };
    // What a hash stands for may write.
    let forwarded = match respond(gateway, downstream, (&outgoing, &address), Replay::Never).await {
        Ok(mut response) => {
            let beginning = match read_beginning(&gateway.services.upstream, &mut response).await {
                Ok(beginning) => beginning,
                Err(error) => {
                    return finish_forwarded(gateway, downstream, ctx, Forwarded::Failed(error), || true).await;
                }
            };
            if beginning.is_whole && rejects_hashes(response.head().0.as_u16(), &beginning.bytes) {
                drop(response);
                let rejection = Rejection::persisted_query_not_found();
                return reject(gateway, snapshot, downstream, ctx, rejection, share).await;
            }
            let mut response = response.after(beginning.bytes);
            send_response(gateway, downstream, &mut ctx.admission, (&mut response, true), &share).await
        }
        Err(failed) => failed,
    };
    finish_forwarded(gateway, downstream, ctx, forwarded, || true).await
}

/// A request for the upstream.
struct Outgoing {
    method: Method,
    headers: HeaderMap,
    body: Bytes,
    /// Does it keep the query string?
    with_query: bool,
}

impl Outgoing {
    fn address(&self, gateway: &Gateway, downstream: &DownstreamSession<'_>) -> Result<Uri, UpstreamError> {
        let upstream = &gateway.services.upstream;
        let mut path = upstream_path(upstream.settings(), &downstream.head().uri, true);
        if !self.with_query {
            path.truncate(path.find('?').unwrap_or(path.len()));
        }
        upstream.address(&path)
    }
}

/// The head of the upstream's response.
async fn respond<'f>(
    gateway: &'f Gateway,
    downstream: &mut DownstreamSession<'_>,
    (outgoing, address): (&'f Outgoing, &'f Uri),
    replay: Replay<'f>,
) -> Result<upstream::Forwarded<'f>, Forwarded> {
    let Outgoing { method, headers, body, .. } = outgoing;
    let forwarded = pin!(gateway.services.upstream.forward(method, address, headers, body, replay));
    match unless_disconnected(downstream, forwarded).await {
        None => Err(Forwarded::Gone),
        Some(response) => response.map_err(Forwarded::Failed),
    }
}

/// The beginning of a response's body.
struct Beginning {
    bytes: Bytes,
    is_whole: bool,
}

/// Reads as much of a response as one may have that says there are no persisted queries.
async fn read_beginning(
    upstream: &upstream::UpstreamClient,
    response: &mut upstream::Forwarded<'_>,
) -> Result<Beginning, UpstreamError> {
    let mut bytes = BytesMut::new();
    if !may_tell(response.head().0.as_u16()) {
        return Ok(Beginning { bytes: bytes.freeze(), is_whole: false });
    }
    while bytes.len() <= BYTES_MAX {
        match upstream.in_time(response.next_chunk()).await? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => return Ok(Beginning { bytes: bytes.freeze(), is_whole: true }),
        }
    }
    Ok(Beginning { bytes: bytes.freeze(), is_whole: false })
}
