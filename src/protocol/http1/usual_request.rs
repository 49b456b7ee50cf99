//! The head of the usual request: a POST to a GraphQL path with one `Host` and one `Content-Length`, which all readers
//! understand alike. Others are left to pingora.

use std::ops::Range;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Uri, header};

use crate::protocol::http1::framing::read_length;
use crate::protocol::http1::head::{FieldLines, Head, field_room, is_path, place_of, read_request};

/// A usual request, as parts of the bytes that have been read.
#[derive(Debug, PartialEq, Eq)]
pub struct UsualRequest {
    /// Bytes of its head.
    pub length: usize,
    target: Range<usize>,
    fields: FieldLines,
    /// Bytes of its body.
    pub body_length: usize,
    /// Is it the client's last request?
    pub closes: bool,
}

impl UsualRequest {
    /// Its target and headers, as parts of `head`; `None` if there is a byte in them that must not be.
    #[must_use]
    pub fn into_parts(self, head: &Bytes) -> Option<(Uri, HeaderMap)> {
        let uri = Uri::from_maybe_shared(head.slice(self.target)).ok()?;
        Some((uri, self.fields.into_headers(head)?))
    }
}

/// What the bytes that have come so far are.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A usual request.
    Whole(UsualRequest),
    /// It may become one.
    Half,
    /// Anything else.
    Other,
}

/// As many fields as can be read; whether there are too many is decided later.
const FIELDS_MAX: usize = 100;

/// Reads the head of a request whose path `matches`.
pub fn parse(read: &[u8], matches: impl Fn(&str) -> bool) -> Parsed {
    if matches!(read.first(), Some(b'\r' | b'\n')) {
        // Empty lines before a request.
        return Parsed::Other;
    }
    let mut fields = field_room::<FIELDS_MAX>();
    let (length, request) = match read_request(read, &mut fields) {
        Head::Whole { length, message } => (length, message),
        // A method that is another one needs no waiting.
        Head::Half(request) if request.method.is_none_or(|method| method == "POST") => return Parsed::Half,
        _ => return Parsed::Other,
    };
    let (Some("POST"), Some(target), Some(1)) = (request.method, request.path, request.version) else {
        return Parsed::Other;
    };
    if !is_path(target) || !matches(target.split('?').next().unwrap_or_default()) {
        return Parsed::Other;
    }
    let Some(fields) = FieldLines::of(request.headers, read) else { return Parsed::Other };
    let (mut hosts, mut lengths, mut body_length, mut closes) = (0, 0, 0, false);
    for (name, value) in fields.iter(read) {
        match *name {
            header::HOST if is_plain_host(value) => hosts += 1,
            header::CONTENT_LENGTH => {
                let Some(length) = read_length(value) else { return Parsed::Other };
                (body_length, lengths) = (length, lengths + 1);
            }
            header::CONNECTION if value.eq_ignore_ascii_case(b"keep-alive") => {}
            header::CONNECTION if value.eq_ignore_ascii_case(b"close") => closes = true,
            header::HOST | header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE | header::EXPECT => {
                return Parsed::Other;
            }
            _ => {}
        }
    }
    let target = place_of(target.as_bytes(), read);
    match (hosts, lengths) {
        (1, 1) => Parsed::Whole(UsualRequest { length, target, fields, body_length, closes }),
        _ => Parsed::Other,
    }
}

/// Where the head of the first request ends, its target, and the bytes of its body, if it is read here: what the fuzz
/// targets compare with other readers.
#[doc(hidden)]
#[must_use]
pub fn read_whole_head(read: &[u8], matches: impl Fn(&str) -> bool) -> Option<(usize, String, usize)> {
    let Parsed::Whole(found) = parse(read, matches) else { return None };
    let (length, body_length, head) = (found.length, found.body_length, read.get(..found.length)?);
    let target = String::from_utf8_lossy(read.get(found.target.clone())?).into_owned();
    found.into_parts(&Bytes::copy_from_slice(head))?;
    Some((length, target, body_length))
}

/// A name or a number, with or without a port. Others are for pingora to judge.
fn is_plain_host(value: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    !value.is_empty() && value.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a head with these lines after its first.
    fn parsed(first: &str, lines: &str) -> Parsed {
        parse(format!("{first}\r\n{lines}\r\n").as_bytes(), |path| path == "/graphql")
    }

    #[test]
    fn only_what_everybody_understands_alike_is_read_here() {
        const POST: &str = "POST /graphql HTTP/1.1";
        let usual = [
            (POST, "Host: a:1\r\nContent-Length: 2\r\n", (2, false)),
            ("POST /graphql?x=1 HTTP/1.1", "Host: a\r\ncontent-length: 0\r\nConnection: Close\r\n", (0, true)),
            (POST, "X: \r\nConnection: keep-alive\r\nHost: a\r\nContent-Length: 2\r\n", (2, false)),
        ];
        for (first, lines, wanted) in usual {
            let Parsed::Whole(found) = parsed(first, lines) else { panic!("{lines}") };
            assert_eq!((found.body_length, found.closes), wanted, "{lines}");
        }
        let others = [
            ("GET /graphql HTTP/1.1", "Host: a\r\nContent-Length: 2\r\n"),
            ("POST /graphql HTTP/1.0", "Host: a\r\nContent-Length: 2\r\n"),
            ("POST /elsewhere HTTP/1.1", "Host: a\r\nContent-Length: 2\r\n"),
            ("POST http://a/graphql HTTP/1.1", "Host: a\r\nContent-Length: 2\r\n"),
            ("POST /graphql#x HTTP/1.1", "Host: a\r\nContent-Length: 2\r\n"),
            (POST, "Host: a\r\n"),
            (POST, "Content-Length: 2\r\n"),
            (POST, "Host: a\r\nHost: a\r\nContent-Length: 2\r\n"),
            (POST, "Host: a/b\r\nContent-Length: 2\r\n"),
            (POST, "Host: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n"),
            (POST, "Host: a\r\nContent-Length: +2\r\n"),
            (POST, "Host: a\r\nContent-Length: 99999999999999999999\r\n"),
            (POST, "Host: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n"),
            (POST, "Host: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"),
            (POST, "Host: a\r\nContent-Length: 2\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"),
            (POST, "Host: a\r\nContent-Length: 2\r\nConnection: x-hasura-role\r\n"),
            (POST, "Host : a\r\nContent-Length: 2\r\n"),
            (POST, "Host: a\nContent-Length: 2\r\n"),
            (POST, "Host: a\r\nContent-Length: 9223372036854775808\r\n"),
            (POST, "Host: a\r\n Folded: b\r\nContent-Length: 2\r\n"),
        ];
        for (first, lines) in others {
            assert_eq!(parsed(first, lines), Parsed::Other, "{first} {lines}");
        }
    }

    #[test]
    fn half_a_head_is_waited_for_if_it_may_be_ours() {
        let whole = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole.as_bytes()[..end], |_| true), Parsed::Half, "{end}");
        }
        assert_eq!(parse(b"GET / HT", |_| true), Parsed::Other);
    }
}
