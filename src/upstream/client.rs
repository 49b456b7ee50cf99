//! The HTTP client for the engine's part of a request, on hyper: every request with an action waits for it, and a
//! general client's redirects, proxies and decoders, none of which are wanted here, made up a fifth of its cost.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use crate::client::Fault;
use crate::config::settings::Upstream;
use crate::model::chunks::{Chunks, TooLong};

/// A pool of connections to the engine.
pub type Client = HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Makes a client.
#[must_use]
pub fn client(settings: &Upstream, tls: &ClientConfig) -> Client {
    let mut tcp = HttpConnector::new();
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

/// Sends a POST and reads the head of its answer. With `may_repeat`, it is made and sent once more if an old connection
/// ends before any answer.
///
/// # Errors
/// [`Fault`].
pub async fn send(
    client: &Client,
    uri: Uri,
    headers: impl Fn() -> HeaderMap,
    body: Bytes,
    may_repeat: bool,
) -> Result<Response<Incoming>, Fault> {
    let request = || {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers();
        request
    };
    match client.request(request()).await {
        Err(error) if may_repeat && !error.is_connect() => client.request(request()).await,
        first => first,
    }
    .map_err(|error| if error.is_connect() { Fault::Connect } else { Fault::Broken })
}

/// The next piece of an answer; `None` at its end.
///
/// # Errors
/// When it breaks off.
pub async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, Fault> {
    while let Some(frame) = body.frame().await {
        // What is no data are trailers, which end here.
        if let Ok(data) = frame.map_err(|_| Fault::Broken)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The whole answer, at most `bytes_max` bytes.
///
/// # Errors
/// [`Fault`].
pub async fn read_body(mut body: Incoming, bytes_max: usize) -> Result<Bytes, Fault> {
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let mut chunks = Chunks::expecting(announced.unwrap_or_default(), bytes_max);
    while let Some(chunk) = next_chunk(&mut body).await? {
        chunks.push(chunk).map_err(|TooLong| Fault::TooLarge)?;
    }
    Ok(chunks.finish())
}
