//! HTTP/1.1 messages as bytes: writes a request, parses the head of a response, and finds where its body ends.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, header};

use crate::http_client::TransportFault;
use crate::memory::Share;
use crate::model::replay::Replay;

/// A request whose every part has been checked by its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'r> {
    /// The method.
    pub method: &'r Method,
    /// Host and port; also the `Host`, unless the headers have one.
    pub authority: &'r str,
    /// Path and query.
    pub target: &'r str,
    /// All headers but those about the body's length.
    pub headers: &'r HeaderMap,
    /// The body.
    pub body: &'r Bytes,
    /// May it be sent again when a pooled connection ends before the response?
    pub replay: Replay<'r>,
    /// Bytes of the response that are held.
    pub max_response_bytes: usize,
    /// Whom they are charged to.
    pub share: Option<&'r Share>,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Response {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub body: Bytes,
}

/// Request line and headers.
#[must_use]
pub(crate) fn encode(request: &Request<'_>) -> Vec<u8> {
    let has_body = !request.body.is_empty() || !matches!(*request.method, Method::GET | Method::HEAD | Method::DELETE);
    encode_head(request, has_body.then_some(BodyLength::Known(request.body.len())))
}

/// How the end of a request's body is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// After so many bytes.
    Known(usize),
    /// With the last chunk.
    Chunked,
}

/// The same for a body that is sent in pieces. Without a length there is none.
#[must_use]
pub(crate) fn encode_head(request: &Request<'_>, length: Option<BodyLength>) -> Vec<u8> {
    let Request { method, authority, target, headers, .. } = request;
    let mut head = Vec::with_capacity(512);
    let mut add = |parts: &[&[u8]]| parts.iter().for_each(|part| head.extend_from_slice(part));
    add(&[method.as_str().as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
    if !headers.contains_key(header::HOST) {
        add(&[b"host: ", authority.as_bytes(), b"\r\n"]);
    }
    for (name, value) in *headers {
        if *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING {
            add(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
    }
    match length {
        Some(BodyLength::Known(length)) => add(&[b"content-length: ", length.to_string().as_bytes(), b"\r\n"]),
        Some(BodyLength::Chunked) => add(&[b"transfer-encoding: chunked\r\n"]),
        None => {}
    }
    add(&[b"\r\n"]);
    head
}

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// Does the peer keep the connection alive?
    pub is_persistent: bool,
}

/// Headers of a response.
const HEADERS_MAX: usize = 100;

/// Takes a head off the buffer, once it is whole.
///
/// # Errors
/// [`TransportFault::Broken`] for invalid HTTP.
pub(crate) fn parse_head(buffer: &mut BytesMut) -> Result<Option<Head>, TransportFault> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut fields);
    let Ok(status) = parsed.parse(buffer) else { return Err(TransportFault::Broken) };
    let httparse::Status::Complete(length) = status else { return Ok(None) };
    let is_current = parsed.version == Some(1);
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(TransportFault::Broken)?;
    let mut names: Vec<(HeaderName, Range<usize>)> = Vec::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| TransportFault::Broken)?;
        // The value is a part of the buffer, and stays there.
        let start = (field.value.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize);
        names.push((name, start..start + field.value.len()));
    }
    let head = buffer.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(names.len());
    for (name, range) in names {
        let value = if range.is_empty() { Bytes::new() } else { head.slice(range) };
        headers.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| TransportFault::Broken)?);
    }
    let closes = headers.get_all(header::CONNECTION).iter().any(|value| {
        let value = value.to_str().unwrap_or("close");
        value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close"))
    });
    Ok(Some(Head { status, headers, is_persistent: is_current && !closes }))
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(usize),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilEnd,
}

/// RFC 9112, section 6.3. Ambiguous framing is rejected.
///
/// # Errors
/// [`TransportFault::Broken`] for such.
pub fn framing(method: &Method, head: &Head) -> Result<Framing, TransportFault> {
    if *method == Method::HEAD || matches!(head.status.as_u16(), 204 | 304) {
        return Ok(Framing::Length(0));
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(Framing::UntilEnd),
        (Some(coding), None) if codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(Framing::Chunked)
        }
        (None, Some(length)) if lengths.all(|other| other == length) => {
            let text = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            text.and_then(|text| text.parse().ok()).map(Framing::Length).ok_or(TransportFault::Broken)
        }
        _ => Err(TransportFault::Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_as_it_goes_out() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-a", "1"), ("x-a", "2"), ("content-length", "7"), ("transfer-encoding", "chunked")] {
            headers.append(name, value.parse().expect("a value"));
        }
        let (method, body) = (Method::POST, Bytes::from_static(b"abc"));
        let request = Request {
            method: &method,
            authority: "a:1",
            target: "/",
            headers: &headers,
            body: &body,
            replay: Replay::Never,
            max_response_bytes: 0,
            share: None,
        };
        let wanted = "POST / HTTP/1.1\r\nhost: a:1\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 3\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&encode(&request)), wanted);
        let (method, body, mut headers) = (Method::GET, Bytes::new(), headers.clone());
        headers.insert("host", "other".parse().expect("a value"));
        let request = Request { method: &method, body: &body, headers: &headers, ..request };
        let wanted = "GET / HTTP/1.1\r\nx-a: 1\r\nx-a: 2\r\nhost: other\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&encode(&request)), wanted);
    }
}
