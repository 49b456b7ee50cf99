//! Our own answers, written to the client.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use crate::execute::Answer;
use crate::protocol::http::ResponseType;

/// Writes `answer`. With `close`, the connection is not used again.
///
/// # Errors
/// When the client is gone.
pub async fn write(
    session: &mut ServerSession,
    answer: Answer,
    response_type: ResponseType,
    request_id: &str,
    close: bool,
) -> pingora::Result<()> {
    if close {
        session.set_keepalive(None);
    }
    let head = head(session, &answer, response_type, request_id)?;
    session.write_response_header(Box::new(head)).await?;
    let body = if session.req_header().method == Method::HEAD { Vec::new() } else { answer.body };
    session.write_response_body(Bytes::from(body), true).await?;
    session.finish_body().await
}

fn head(
    session: &ServerSession,
    answer: &Answer,
    response_type: ResponseType,
    request_id: &str,
) -> pingora::Result<ResponseHeader> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut head = ResponseHeader::build_no_case(status, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, response_type.content_type())?;
    head.insert_header(header::CONTENT_LENGTH, answer.body.len())?;
    head.insert_header(HeaderName::from_static("x-request-id"), request_id)?;
    if let Some(allow) = answer.allow {
        head.insert_header(header::ALLOW, allow)?;
    }
    for (name, value) in &answer.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    add_cors(session, &mut head)?;
    Ok(head)
}

/// Browsers hide an answer from a page of another origin unless it names that origin. The preflight is the engine's,
/// so its policy decides whether such a request comes here at all.
pub(super) fn add_cors(session: &ServerSession, head: &mut ResponseHeader) -> pingora::Result<()> {
    let request = session.req_header();
    if let (&Method::POST, Some(origin)) = (&request.method, request.headers.get(header::ORIGIN)) {
        head.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
        head.insert_header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"))?;
        head.insert_header(header::VARY, HeaderValue::from_static("Origin"))?;
    }
    Ok(())
}
