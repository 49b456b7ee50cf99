//! Our own answers, written to the client.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use crate::execute::Answer;
use crate::protocol::http::ResponseType;

/// How an answer goes out.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'m> {
    /// What the client takes.
    pub response_type: ResponseType,
    /// The request's id.
    pub request_id: &'m str,
    /// The page's origin, if it may read the answer.
    pub origin: Option<&'m HeaderValue>,
    /// Is the connection not to be used again?
    pub closes: bool,
}

/// Writes `answer`.
///
/// # Errors
/// When the client is gone.
pub async fn write(session: &mut ServerSession, answer: Answer, manner: Manner<'_>) -> pingora::Result<()> {
    if manner.closes {
        session.set_keepalive(None);
    }
    let head = head(&answer, manner)?;
    session.write_response_header(Box::new(head)).await?;
    let mut body = Bytes::from(if session.req_header().method == Method::HEAD { Vec::new() } else { answer.body });
    while body.len() > PIECE_BYTES {
        session.write_response_body(body.split_to(PIECE_BYTES), false).await?;
    }
    session.write_response_body(body, true).await?;
    session.finish_body().await
}

/// A client may take `clients.body_timeout` for each piece of so many bytes, however long the answer is.
const PIECE_BYTES: usize = 64 * 1024;

fn head(answer: &Answer, manner: Manner<'_>) -> pingora::Result<ResponseHeader> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut head = ResponseHeader::build_no_case(status, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, manner.response_type.content_type())?;
    head.insert_header(header::CONTENT_LENGTH, answer.body.len())?;
    head.insert_header(HeaderName::from_static("x-request-id"), manner.request_id)?;
    if let Some(allow) = answer.allow {
        head.insert_header(header::ALLOW, allow)?;
    }
    for (name, value) in &answer.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    add_cors(manner.origin, &mut head)?;
    Ok(head)
}

/// Browsers hide an answer from a page of another origin unless it names that origin. The preflight is the engine's,
/// so its policy decides whether such a request comes here at all.
///
/// # Errors
/// Never: both names and the value are those of headers already.
pub fn add_cors(origin: Option<&HeaderValue>, head: &mut ResponseHeader) -> pingora::Result<()> {
    if let Some(origin) = origin {
        head.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
        head.insert_header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"))?;
        head.insert_header(header::VARY, HeaderValue::from_static("Origin"))?;
    }
    Ok(())
}
