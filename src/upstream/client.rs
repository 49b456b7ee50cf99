//! The HTTP client for the upstream, on hyper: every request with an action waits for it, and a general client's
//! redirects, proxies and decoders, none of which are wanted here, made up a fifth of its cost.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::settings::Upstream;
use crate::http_client::dns_filter::FilteringResolver;
use crate::http_client::{TransportFault, charge};
use crate::memory::Share;
use crate::model::chunks::{Chunks, TooLong};
use crate::model::replay::Replay;

/// A pool of connections to the upstream.
pub(crate) type Client = HyperClient<HttpsConnector<HttpConnector<FilteringResolver>>, RequestBody>;

/// The body of a request.
pub(crate) enum RequestBody {
    /// All of it; `None` once it has been taken.
    Whole(Option<Bytes>),
    /// It is still coming: pieces, and an empty one for its end.
    Pieces(mpsc::Receiver<Bytes>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().filter(|bytes| !bytes.is_empty()).map(Frame::data).map(Ok)),
            Self::Pieces(pieces) => pieces.poll_recv(cx).map(|piece| match piece {
                // The sender has given up, and half of a body must not be taken for the whole.
                None => Some(Err(io::ErrorKind::BrokenPipe.into())),
                Some(end) if end.is_empty() => None,
                Some(piece) => Some(Ok(Frame::data(piece))),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

/// Makes a client.
#[must_use]
pub(crate) fn client(settings: &Upstream, tls: &ClientConfig) -> Client {
    let mut tcp = HttpConnector::new_with_resolver(FilteringResolver::NOTHING);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(settings.connect_timeout));
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
    let connector = if settings.http2 && settings.is_tls {
        connector.enable_all_versions().wrap_connector(tcp)
    } else {
        connector.enable_http1().wrap_connector(tcp)
    };
    let mut builder = HyperClient::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(settings.pool_idle_timeout);
    builder.http2_only(settings.http2 && !settings.is_tls);
    builder.build(connector)
}

/// Sends a request and reads the head of its response. It is sent again if the upstream declares that it has not
/// processed it; with `may_repeat`, once more if a pooled connection ends before any response.
///
/// # Errors
/// [`TransportFault`].
pub(crate) async fn send(
    client: &Client,
    method: &Method,
    uri: Uri,
    headers: impl Fn() -> HeaderMap,
    body: Bytes,
    replay: Replay<'_>,
) -> Result<Response<Incoming>, TransportFault> {
    let request = || {
        let mut request = Request::new(RequestBody::Whole(Some(body.clone())));
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers();
        request
    };
    let (mut rejections, mut replay) = (0, replay);
    loop {
        match client.request(request()).await {
            Ok(response) => return Ok(response),
            Err(error) if error.is_connect() => return Err(TransportFault::unconnected(&error)),
            Err(error) if rejections < REJECTIONS_MAX && is_untouched(&error) => rejections += 1,
            Err(_) if replay.is_allowed() => replay = Replay::Never,
            Err(error) => return Err(TransportFault::broken(&error)),
        }
    }
}

/// A POST whose body is streamed. When it is dropped before its end, the upstream sees an error as well.
pub(crate) struct Upload {
    pieces: mpsc::Sender<Bytes>,
    response: JoinHandle<Result<Response<Incoming>, hyper_util::client::legacy::Error>>,
}

impl Upload {
    /// Begins one. `headers` declare its length, if it is known.
    #[must_use]
    pub(crate) fn begin(client: &Client, uri: Uri, headers: HeaderMap) -> Self {
        let (pieces, body) = mpsc::channel(1);
        let mut request = Request::new(RequestBody::Pieces(body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, uri, headers);
        // It ends when the sender of its pieces goes.
        Self { pieces, response: tokio::spawn(client.request(request)) }
    }

    /// Sends a piece of the body; `false` once the peer does not want more.
    pub(crate) async fn write(&mut self, piece: Bytes) -> bool {
        piece.is_empty() || self.pieces.send(piece).await.is_ok()
    }

    /// Ends the body and reads the head of the response.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub(crate) async fn finish(self) -> Result<Response<Incoming>, TransportFault> {
        // Fails only if the peer does not want the rest.
        let _ = self.pieces.send(Bytes::new()).await;
        match self.response.await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(TransportFault::unconnected(&error)),
            Ok(Err(error)) => Err(TransportFault::broken(&error)),
            Err(_) => Err(TransportFault::closed()),
        }
    }
}

/// How often a request that an upstream rejects is offered again.
const REJECTIONS_MAX: usize = 3;

/// Has the upstream declared that it has not processed the request? RFC 9113, sections 6.8 and 8.7: a `REFUSED_STREAM`,
/// or a stream beyond the last one that a GOAWAY names.
#[must_use]
pub(crate) fn is_untouched(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(|error| error.downcast_ref::<h2::Error>()).any(|error| {
        let is_farewell = error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
        is_farewell || error.reason() == Some(h2::Reason::REFUSED_STREAM)
    })
}

/// The next piece of a response; `None` at its end.
///
/// # Errors
/// When it breaks off.
pub(crate) async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, TransportFault> {
    while let Some(frame) = body.frame().await {
        // Other frames are trailers, which end here.
        if let Ok(data) = frame.map_err(|error| TransportFault::broken(&error))?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The whole response, at most `bytes_max` bytes, charged to `share`.
///
/// # Errors
/// [`TransportFault`].
pub(crate) async fn read_body(
    mut body: Incoming,
    bytes_max: usize,
    share: Option<&Share>,
) -> Result<Bytes, TransportFault> {
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let mut chunks = Chunks::expecting(announced.unwrap_or_default(), bytes_max);
    while let Some(chunk) = next_chunk(&mut body).await? {
        charge(share, chunk.len())?;
        chunks.push(chunk).map_err(|TooLong(_)| TransportFault::TooLarge)?;
    }
    Ok(chunks.finish())
}
