//! A request whose whole body has been read and found to be none of ours, sent on by hand. pingora replays only what
//! fits its retry buffer of 64 KiB.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;

use crate::upstream::{Engine, Line, NoAnswer, UpstreamError};

/// How a forwarded request ended.
#[derive(Debug)]
pub enum Forwarded {
    /// The answer is with the client.
    Done,
    /// No byte of an answer has been passed on; the client can be told.
    Failed(UpstreamError),
    /// The answer broke off half-way; the connection must go, so that nobody takes half for the whole.
    Cut,
}

/// Sends the request on and streams the answer back.
pub async fn forward(engine: &Engine, session: &mut ServerSession, body: Bytes, may_repeat: bool) -> Forwarded {
    let Some(header) = request_header(engine, session, body.len()) else {
        return Forwarded::Failed(UpstreamError::Broken);
    };
    let mut line = match send(engine, header, body, may_repeat).await {
        Ok(line) => line,
        Err(error) => return Forwarded::Failed(error),
    };
    match stream_back(&mut line, session, engine.settings().idle_timeout).await {
        Ok(()) => {
            engine.release(line).await;
            Forwarded::Done
        }
        Err(Cut) => Forwarded::Cut,
    }
}

async fn send(
    engine: &Engine,
    header: Box<RequestHeader>,
    body: Bytes,
    may_repeat: bool,
) -> Result<Line, UpstreamError> {
    let mut repeated = false;
    loop {
        let mut line = engine.connect().await?;
        line.session.set_read_timeout(Some(engine.settings().timeout));
        line.session.set_write_timeout(Some(engine.settings().timeout));
        match line.send(header.clone(), body.clone()).await {
            Ok(()) => return Ok(line),
            Err(NoAnswer::Broken) if line.reused && may_repeat && !repeated => repeated = true,
            Err(NoAnswer::Broken) => return Err(UpstreamError::Broken),
            Err(NoAnswer::TimedOut) => return Err(UpstreamError::TimedOut),
        }
    }
}

/// Headers that are about one connection only.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

fn request_header(engine: &Engine, session: &ServerSession, length: usize) -> Option<Box<RequestHeader>> {
    let mut header = session.req_header().clone();
    let authority = header.uri.authority().map(ToString::to_string);
    for name in nominated(&header.headers).into_iter().chain(HOP_BY_HOP).chain([header::EXPECT]) {
        header.remove_header(&name);
    }
    header.insert_header(header::CONTENT_LENGTH, length).ok()?;
    let own_host = header.headers.contains_key(header::HOST);
    if let Some(host) = engine.host_header().or_else(|| authority.filter(|_| !own_host)) {
        header.insert_header(header::HOST, host).ok()?;
    }
    let path = header.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    header.set_uri(path.parse().ok()?);
    header.set_version(Version::HTTP_11);
    Some(Box::new(header))
}

fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| HeaderName::try_from(name.trim()).ok()).collect()
}

struct Cut;

async fn stream_back(line: &mut Line, session: &mut ServerSession, idle: Duration) -> Result<(), Cut> {
    let head = line.session.response_header().ok_or(Cut)?;
    let head = response_header(head, session.req_header().version, &session.req_header().method);
    session.write_response_header(Box::new(head)).await.map_err(|_| Cut)?;
    line.session.set_read_timeout(Some(idle));
    while let Some(chunk) = line.session.read_response_body().await.map_err(|_| Cut)? {
        session.write_response_body(chunk, false).await.map_err(|_| Cut)?;
    }
    session.write_response_body(Bytes::new(), true).await.map_err(|_| Cut)?;
    session.finish_body().await.map_err(|_| Cut)
}

fn response_header(head: &ResponseHeader, version: Version, method: &Method) -> ResponseHeader {
    let mut head = head.clone();
    for name in nominated(&head.headers).into_iter().chain(HOP_BY_HOP) {
        head.remove_header(&name);
    }
    head.set_version(version);
    let has_length = head.headers.contains_key(header::CONTENT_LENGTH);
    let has_body = *method != Method::HEAD && !matches!(head.status.as_u16(), 204 | 304);
    if version == Version::HTTP_11 && !has_length && has_body {
        // It was chunked, or ended with the connection; either way its length is not known yet.
        let _ = head.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    head
}
