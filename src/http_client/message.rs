//! HTTP/1.1 requests as bytes, and whole responses.

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Method, StatusCode, header};

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
