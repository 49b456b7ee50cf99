//! The head of an HTTP/1.1 response, and where its body ends.

use bytes::BytesMut;
use http::header::HeaderMap;
use http::{Method, StatusCode, header};

use crate::protocol::http1::framing::{Framing, Unclear, framing_of};
use crate::protocol::http1::head::{FieldLines, Head, field_room, read_response};

/// The head of a response.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// Does the peer keep the connection alive?
    pub is_persistent: bool,
}

/// This is no response of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidResponse;

impl From<Unclear> for InvalidResponse {
    fn from(_: Unclear) -> Self {
        Self
    }
}

/// Headers of a response.
const HEADERS_MAX: usize = 100;

/// Takes a head off the buffer, once it is whole.
///
/// # Errors
/// [`InvalidResponse`].
pub fn take_response_head(buffer: &mut BytesMut) -> Result<Option<ResponseHead>, InvalidResponse> {
    let mut fields = field_room::<HEADERS_MAX>();
    let (length, parsed) = match read_response(buffer, &mut fields) {
        Head::Whole { length, message } => (length, message),
        Head::Half(_) => return Ok(None),
        Head::Invalid => return Err(InvalidResponse),
    };
    let is_current = parsed.version == Some(1);
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(InvalidResponse)?;
    let lines = FieldLines::of(parsed.headers, buffer).ok_or(InvalidResponse)?;
    let head = buffer.split_to(length).freeze();
    let headers = lines.into_headers(&head).ok_or(InvalidResponse)?;
    let closes = headers.get_all(header::CONNECTION).iter().any(|value| {
        let value = value.to_str().unwrap_or("close");
        value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close"))
    });
    Ok(Some(ResponseHead { status, headers, is_persistent: is_current && !closes }))
}

/// Where the body of a response to `method` ends.
///
/// # Errors
/// [`InvalidResponse`] if that is not clear.
pub fn response_framing(method: &Method, head: &ResponseHead) -> Result<Framing, InvalidResponse> {
    if *method == Method::HEAD || matches!(head.status.as_u16(), 204 | 304) {
        return Ok(Framing::Length(0));
    }
    Ok(framing_of(&head.headers)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<ResponseHead>, InvalidResponse> {
        take_response_head(&mut BytesMut::from(text))
    }

    #[test]
    fn a_connection_is_kept_unless_the_response_says_otherwise() {
        let is_kept = |text: &str| read(text).expect("a response").expect("a whole head").is_persistent;
        assert!(is_kept("HTTP/1.1 200 OK\r\nConnection: x, keep-alive\r\n\r\n"));
        assert!(!is_kept("HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n"));
        assert!(!is_kept("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"));
        assert!(read("HTTP/1.1 200 OK\r\nA: b\r\n").expect("the beginning of one").is_none());
        assert!(read("HTTP/1.1 200 OK\r\nA b\r\n\r\n").is_err());
    }

    #[test]
    fn some_responses_have_no_body() {
        let of = |method: Method, status: &str| {
            let head = read(&format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n")).expect("a response");
            response_framing(&method, &head.expect("a whole head"))
        };
        assert_eq!(of(Method::GET, "200 OK"), Ok(Framing::Length(5)));
        assert_eq!(of(Method::HEAD, "200 OK"), Ok(Framing::Length(0)));
        assert_eq!(of(Method::GET, "204 No Content"), Ok(Framing::Length(0)));
        assert_eq!(of(Method::GET, "304 Not Modified"), Ok(Framing::Length(0)));
    }
}
