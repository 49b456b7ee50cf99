//! HTTP bodies of the samples: read within a limit, written as JSON.

use http::{Response, header};
use pingora::protocols::http::ServerSession;

/// Bytes of a request that the samples read.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Reads a request's body; a longer one is cut, and is then no valid JSON any more.
pub(super) async fn read_body(session: &mut ServerSession) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = session.read_request_body().await {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    body
}

/// A response of JSON.
pub(super) fn json_response(status: u16, body: Vec<u8>) -> Response<Vec<u8>> {
    let length = body.len();
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}
