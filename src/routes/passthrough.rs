//! Passthrough of a request whose whole body has been read and has nothing of ours, sent on by our own client:
//! pingora's own way costs more, and replays only what fits its retry buffer of 64 KiB.

use std::pin::pin;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use http::{Method, Uri, Version, header};

use crate::downstream::admission::Admission;
use crate::downstream::body::{BodyError, announced_length, send_continue};
use crate::downstream::cors;
use crate::downstream::session::DownstreamSession;
use crate::http_client::TransportFault;
use crate::memory::Share;
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::replay::Replay;
use crate::model::response::RequestError;
use crate::protocol::hop_by_hop::end_to_end;
use crate::protocol::http1::framing::content_length;
use crate::protocol::media_type::is_event_stream;
use crate::routes::body_scan::BodyScan;
use crate::routes::client_disconnect;
use crate::routes::client_disconnect::unless_disconnected;
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::graphql_request::{add_host, upstream_path};
use crate::routes::reject::{log_upstream_failure, reject_and_close, send_upstream_error};
use crate::runtime::upstream_failure::UpstreamFailure;
use crate::upstream;
use crate::upstream::reads::body_only_reads;
use crate::upstream::{UpstreamClient, UpstreamError};

/// How a forwarded request ended.
#[derive(Debug)]
pub(crate) enum Forwarded {
    /// The response is with the client.
    Done,
    /// No byte of a response has been passed on; the client can get an error response.
    Failed(UpstreamError),
    /// The client has disconnected.
    Gone,
    /// There is something in the body that may not pass.
    Rejected(RequestError),
    /// The body broke off.
    Broken(Box<pingora::Error>),
    /// The response broke off half-way; the connection must be closed, so that half is not taken for the whole. With the
    /// fault, if it is the upstream's.
    Cut(Option<UpstreamError>),
}

impl From<BodyError> for Forwarded {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Rejected(error) => Self::Rejected(error),
            BodyError::Broken(error) => Self::Broken(error),
        }
    }
}

/// Sends a POST on and streams the response back, for as long as the client is there.
pub(crate) async fn forward(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    body: Bytes,
    replay: Replay<'_>,
    share: &Share,
) -> Forwarded {
    let upstream = &gateway.services.upstream;
    let address = match address(upstream, downstream, ctx.is_graphql) {
        Ok(address) => address,
        Err(error) => return Forwarded::Failed(error),
    };
    let headers = request_headers(upstream, downstream);
    // In a block of its own, so that what sends the response has the same room.
    let response = {
        let forwarded = pin!(upstream.forward(&Method::POST, &address, &headers, &body, replay));
        unless_disconnected(downstream, forwarded).await
    };
    match response {
        None => Forwarded::Gone,
        Some(Err(error)) => Forwarded::Failed(error),
        Some(Ok(mut response)) => {
            send_response(gateway, downstream, &mut ctx.admission, (&mut response, true), share).await
        }
    }
}

/// Sends a POST on whose body is still coming after its `beginning`, and streams the response back. Each piece is looked
/// through first; as long as the last one has not been sent, the upstream has only a part of a request, which it cannot
/// carry out.
pub(crate) async fn forward_in_pieces(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    admission: &mut Admission,
    (beginning, mut scan): (Bytes, Option<BodyScan<'_>>),
    share: &Share,
) -> Forwarded {
    let upstream = &gateway.services.upstream;
    let address = match address(upstream, downstream, true) {
        Ok(address) => address,
        Err(error) => return Forwarded::Failed(error),
    };
    let headers = request_headers(upstream, downstream);
    let length = announced_length(downstream);
    let (mut upload, mut takes_more) = (None, true);
    share.shrink_to(beginning.len());
    if share.grow(PIECES_BYTES).is_err() {
        return Forwarded::Failed(UpstreamError::NoRoom);
    }
    if beginning.is_empty()
        && let Err(error) = send_continue(downstream).await
    {
        return error.into();
    }
    let mut next = Some(beginning).filter(|beginning| !beginning.is_empty());
    while takes_more {
        let piece = match next.take() {
            Some(piece) => piece,
            None => match downstream.read_body().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => return BodyError::from(error).into(),
            },
        };
        if let Some(scan) = &mut scan
            && let Err(error) = scan.feed(&piece).await
        {
            return Forwarded::Rejected(error);
        }
        let begun = match upload.take() {
            Some(begun) => Ok(begun),
            None => upstream.upload(&address, &headers, length).await,
        };
        let mut begun = match begun {
            Ok(begun) => begun,
            Err(error) => return Forwarded::Failed(error),
        };
        takes_more = match upstream.in_time(begun.write(piece)).await {
            Ok(takes_more) => takes_more,
            Err(error) => return Forwarded::Failed(error),
        };
        upload = Some(begun);
    }
    let Some(upload) = upload else {
        let reason = Reason::new(ErrorKind::InvalidRequest, "the body of the request is empty");
        return Forwarded::Failed(UpstreamError::Broken(reason));
    };
    admission.body_has_passed();
    if !takes_more {
        // The rest of the body must not be taken for the next request.
        downstream.close();
    }
    let response = pin!(upstream.in_time(upload.finish()));
    let response = if takes_more { unless_disconnected(downstream, response).await } else { Some(response.await) };
    match response {
        None => Forwarded::Gone,
        Some(Err(error)) => Forwarded::Failed(error),
        Some(Ok(mut response)) => {
            send_response(gateway, downstream, admission, (&mut response, takes_more), share).await
        }
    }
}

/// Streams a response back, if there is room for it. The client is listened to while it is waited for, unless it may still be
/// sending.
pub(crate) async fn send_response(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    admission: &mut Admission,
    (response, listens): (&mut upstream::Forwarded<'_>, bool),
    share: &Share,
) -> Forwarded {
    if is_event_stream(response.head().1)
        && let Err(error) = admission.becomes_stream(&gateway.services, share)
    {
        return Forwarded::Rejected(error);
    }
    // A client that does not read keeps pieces of it here.
    if share.grow(bytes_between(response)).is_err() {
        return Forwarded::Failed(UpstreamError::NoRoom);
    }
    match stream_response(gateway, response, downstream, listens).await {
        Ok(()) => Forwarded::Done,
        Err(Cut(fault)) => Forwarded::Cut(fault),
    }
}

/// Bytes of a body that may be on its way through: a piece of it that is being read, and one that waits to be written.
const PIECES_BYTES: usize = 128 * 1024;

/// The same of a stream of events, which come one by one.
const EVENT_BYTES: usize = 8 * 1024;

fn bytes_between(response: &upstream::Forwarded<'_>) -> usize {
    if is_event_stream(response.head().1) {
        return EVENT_BYTES;
    }
    content_length(response.head().1).map_or(PIECES_BYTES, |length| length.min(PIECES_BYTES))
}

fn address(
    upstream: &UpstreamClient,
    downstream: &DownstreamSession<'_>,
    is_graphql: bool,
) -> Result<Uri, UpstreamError> {
    let uri = &downstream.head().uri;
    if is_graphql && upstream.settings().graphql_path.is_some() {
        return upstream.address(&upstream_path(upstream.settings(), uri, true));
    }
    upstream.address(uri.path_and_query().map_or("/", |path| path.as_str()))
}

pub(crate) fn request_headers(upstream: &UpstreamClient, downstream: &DownstreamSession<'_>) -> HeaderMap {
    let head = downstream.head();
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for (name, value) in end_to_end(&head.headers) {
        headers.append(name.clone(), value.clone());
    }
    headers.remove(header::EXPECT);
    headers.remove(header::CONTENT_LENGTH);
    if upstream.names_host_itself() {
        headers.remove(header::HOST);
    } else {
        add_host(&mut headers, &head.uri);
    }
    headers
}

/// A response that broke off; with the fault, if it is the upstream's.
struct Cut(Option<UpstreamError>);

impl Cut {
    /// The client has disconnected, or is too slow.
    fn of_client<E>(_: E) -> Self {
        Self(None)
    }
}

async fn stream_response(
    gateway: &Gateway,
    response: &mut upstream::Forwarded<'_>,
    downstream: &mut DownstreamSession<'_>,
    listens: bool,
) -> Result<(), Cut> {
    let idle = gateway.services.upstream.settings().stream_idle_timeout;
    let (status, headers) = response.head();
    let added = {
        let configured = gateway.services.configured();
        cors::missing_headers(&configured.settings.cors, &downstream.head().headers, headers)
    };
    // It was chunked, or ended with the connection; either way its length is not known yet.
    let is_chunked = downstream.head().version == Version::HTTP_11
        && !headers.contains_key(header::CONTENT_LENGTH)
        && !matches!(status.as_u16(), 204 | 304);
    let chunked = HeaderValue::from_static("chunked");
    let coding = is_chunked.then_some((&header::TRANSFER_ENCODING, &chunked));
    if added.is_empty() {
        downstream.write_head(status, end_to_end(headers).chain(coding)).await.map_err(Cut::of_client)?;
    } else {
        let own = end_to_end(headers).filter(|(name, _)| !cors::is_cors_header(name));
        downstream.write_head(status, own.chain(coding).chain(&added)).await.map_err(Cut::of_client)?;
    }
    loop {
        let next = pin!(tokio::time::timeout(idle, response.next_chunk()));
        let next = if listens { unless_disconnected(downstream, next).await.ok_or(Cut(None))? } else { next.await };
        let chunk = next.unwrap_or(Err(TransportFault::Timeout));
        let chunk = chunk.map_err(|fault| Cut(Some(UpstreamError::from(fault))))?;
        let Some(chunk) = chunk else { break };
        downstream.write_body(chunk).await.map_err(Cut::of_client)?;
    }
    downstream.finish(Bytes::new()).await.map_err(Cut::of_client)
}

pub(crate) async fn pass_through_in_pieces(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    beginning: Bytes,
    scan: Option<BodyScan<'_>>,
    share: &Share,
) -> pingora::Result<bool> {
    ctx.body_was_read = true;
    let forwarded = forward_in_pieces(gateway, downstream, &mut ctx.admission, (beginning, scan), share).await;
    // The rest of it was not read.
    finish_forwarded(gateway, downstream, ctx, forwarded, || true).await
}

/// Lets a request pass whose body has been read.
pub(crate) async fn pass_through(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    body: Bytes,
    share: &Share,
) -> pingora::Result<bool> {
    share.shrink_to(body.len());
    if !gateway.services.upstream.is_plain() && downstream.has_kept_body() {
        return Ok(false);
    }
    let head = downstream.head();
    // The URL may name another document.
    let is_plain = !head.headers.contains_key(http::header::CONTENT_ENCODING) && head.uri.query().is_none();
    let (is_graphql, text) = (ctx.is_graphql, body.clone());
    let only_reads =
        || is_plain && is_graphql && body_only_reads(&text, &gateway.services.configured().settings.limits);
    let forwarded = forward(gateway, downstream, ctx, body, Replay::IfItReads(&only_reads), share).await;
    finish_forwarded(gateway, downstream, ctx, forwarded, || is_graphql && !only_reads()).await
}

pub(crate) async fn finish_forwarded(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    forwarded: Forwarded,
    may_write: impl FnOnce() -> bool,
) -> pingora::Result<bool> {
    match forwarded {
        Forwarded::Done => {}
        Forwarded::Rejected(error) => return reject_and_close(gateway, downstream, ctx, error).await,
        Forwarded::Broken(error) => return Err(error.into_down()),
        Forwarded::Gone => return Err(client_disconnect::disconnected_error()),
        Forwarded::Cut(fault) => {
            if let Some(fault) = fault {
                log_upstream_failure(gateway, downstream, ctx, &UpstreamFailure::of_error(&fault));
            }
            downstream.shutdown().await;
        }
        Forwarded::Failed(error) => drop(send_upstream_error(gateway, downstream, ctx, &error, may_write()).await),
    }
    Ok(true)
}
