//! Writes Pillion's own responses to the client.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, header};

use crate::downstream::compression::compress;
use crate::downstream::session::DownstreamSession;
use crate::memory;
use crate::memory::Share;
use crate::protocol::media_type::ResponseType;
use crate::request::context::RequestContext;
use crate::request::response::Response;

/// How a response goes out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseStyle<'m> {
    /// What the client takes.
    pub response_type: ResponseType,
    /// The request's id.
    pub request_id: &'m str,
    /// The headers that let a page of another origin read the response, if it may.
    pub cors: &'m HeaderMap,
    /// Responses of so many bytes are compressed.
    pub compressed_from: usize,
    /// Is the connection not to be used again?
    pub closes: bool,
}

impl<'m> ResponseStyle<'m> {
    /// Of a response to this request.
    #[must_use]
    pub(crate) fn of(context: &'m RequestContext) -> Self {
        Self {
            response_type: context.response_type,
            request_id: &context.caller.request_id,
            cors: &context.cors,
            compressed_from: context.compressed_from,
            closes: false,
        }
    }
}

/// Writes `response`. Its bytes hold `share` until they are no longer needed: HTTP/2 queues them beyond this function.
///
/// # Errors
/// When the client has disconnected.
pub(crate) async fn write(
    downstream: &mut DownstreamSession<'_>,
    response: Response,
    manner: ResponseStyle<'_>,
    share: Option<Arc<Share>>,
) -> pingora::Result<()> {
    if manner.closes {
        downstream.close();
    }
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = headers(&response, manner);
    let mut body = if downstream.head().method == Method::HEAD { Bytes::new() } else { response.body };
    if body.len() >= manner.compressed_from {
        // Boxed: otherwise every response carries the size of this future.
        body = memory::boxed(|| compress(&downstream.head().headers, &mut headers, body, response.reused)).await;
    }
    let (mut body, _share) = shared(body, share);
    downstream.write_head(status, headers.iter()).await?;
    while body.len() > PIECE_BYTES {
        downstream.write_body(body.split_to(PIECE_BYTES)).await?;
    }
    downstream.finish(body).await
}

/// A client may take `downstream.stream_idle_timeout` for each piece of so many bytes, however long the response is.
const PIECE_BYTES: usize = 64 * 1024;

/// A body that is as long in memory as any piece of it.
struct Shared {
    body: Bytes,
    _share: Arc<Share>,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Short bodies are not shared: a stream's queue is bounded by as much.
fn shared(body: Bytes, share: Option<Arc<Share>>) -> (Bytes, Option<Arc<Share>>) {
    match share {
        Some(share) if body.len() > PIECE_BYTES => (Bytes::from_owner(Shared { body, _share: share }), None),
        share => (body, share),
    }
}

fn headers(response: &Response, manner: ResponseStyle<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(manner.response_type.content_type()));
    headers.insert(header::CONTENT_LENGTH, response.body.len().into());
    if let Ok(mut id) = HeaderValue::from_str(manner.request_id) {
        // It is never the same again, so that HTTP/2 need not put it into the table of either side.
        id.set_sensitive(true);
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    if let Some(allow) = response.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    for (name, value) in &response.headers {
        headers.append(name.clone(), value.clone());
    }
    add_cors(manner.cors, &mut headers);
    headers
}

/// Adds them to those that are there.
pub(crate) fn add_cors(cors: &HeaderMap, headers: &mut HeaderMap) {
    for (name, value) in cors {
        headers.append(name.clone(), value.clone());
    }
}
