//! Request smuggling protection: HTTP/1.1 framing of a client's connection, checked byte by byte. pingora reads more leniently than others do: it
//! escapes what must not be in a target, and lets a chunk's line hold a line feed or no size at all. Each of these
//! could make a server before us see another request than we do, so they are detected here, before pingora sees them.
//! Pure.

use std::borrow::Cow;

use bytes::BytesMut;
use http::header;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

use crate::protocol::hop_by_hop::wants_websocket;
use crate::protocol::http1::chunked::{SIZE_LINE_BYTES_MAX, TRAILER_BYTES_MAX, is_trailer, read_size};
use crate::protocol::http1::framing::{Framing, Unclear, framing};
use crate::protocol::http1::head::{Head, end_of_head, field_room, is_path, read_request};

/// Follows what a client writes.
#[derive(Debug)]
pub struct Strict {
    place: Place,
    /// The bytes so far of a head, or of a line between chunks.
    begun: BytesMut,
    /// How many heads have passed.
    heads: u64,
    /// Bytes of empty lines that have come before a head.
    blank_bytes: usize,
    /// Was the last of them a carriage return, which only a line feed may follow?
    is_line_begun: bool,
}

/// Where in a connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// So many bytes of a body are left.
    Body(u64),
    /// A chunk's line.
    Size,
    /// So many bytes of a chunk are left.
    Chunk(u64),
    ChunkEnd,
    /// So many bytes of trailers may follow.
    Trailers(usize),
    /// It is no HTTP any more, or the server closes it after this request.
    Anything,
    /// Nothing more may pass.
    Rejected,
    /// The same, because of a trailer.
    RejectedAtEnd,
}

/// How far a look at some bytes got.
enum Looked {
    /// So many are of this place, and it goes on at the next.
    Passed(usize, Place),
    /// So many may still pass.
    Rejected(usize),
}

/// Bytes of a head. pingora would hold a megabyte.
const HEAD_BYTES_MAX: usize = 128 * 1024;

/// Bytes of empty lines before a head: some clients end a body with one. Each reaches its parser at once, which starts
/// over.
const BLANK_BYTES_MAX: usize = 64;

/// As many as pingora reads; whether there are too many is decided later.
const FIELDS_MAX: usize = 256;

impl Default for Strict {
    fn default() -> Self {
        Self { place: Place::Head, begun: BytesMut::new(), heads: 0, blank_bytes: 0, is_line_begun: false }
    }
}

impl Strict {
    /// How many of `bytes` may pass. If that is not all of them, nothing may ever pass again.
    pub fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while let Some(rest) = bytes.get(passed..).filter(|rest| !rest.is_empty()) {
            let looked = match self.place {
                Place::Anything => Looked::Passed(rest.len(), Place::Anything),
                Place::Rejected | Place::RejectedAtEnd => Looked::Rejected(0),
                Place::Body(left) => take(rest, left, Place::Head, Place::Body),
                Place::Chunk(left) => take(rest, left, Place::ChunkEnd, Place::Chunk),
                Place::Head => self.head(rest),
                Place::Size => self.line(rest, SIZE_LINE_BYTES_MAX, |line| {
                    Some(match read_size(line)? {
                        0 => Place::Trailers(TRAILER_BYTES_MAX),
                        size => Place::Chunk(size),
                    })
                }),
                Place::ChunkEnd => self.line(rest, 0, |_| Some(Place::Size)),
                Place::Trailers(left) => self.line(rest, left, |line| match line.len() {
                    0 => Some(Place::Head),
                    length => is_trailer(line).then(|| Place::Trailers(left.saturating_sub(length))),
                }),
            };
            match looked {
                Looked::Passed(count, place) => (passed, self.place) = (passed + count, place),
                Looked::Rejected(count) => {
                    let is_at_end = matches!(self.place, Place::Trailers(_) | Place::RejectedAtEnd);
                    self.place = if is_at_end { Place::RejectedAtEnd } else { Place::Rejected };
                    self.begun = BytesMut::new();
                    return passed + count;
                }
            }
        }
        passed
    }

    /// Do the passed bytes form that many whole requests, and no part of another one?
    #[must_use]
    pub fn is_after(&self, requests: u64) -> bool {
        self.place == Place::Head && self.begun.is_empty() && !self.is_line_begun && self.heads == requests
    }

    /// How many of the bytes that have passed belong to half a head.
    #[must_use]
    pub fn head_begun(&self) -> usize {
        if self.place == Place::Head { self.begun.len() } else { 0 }
    }

    /// Was something rejected at which pingora would only wait for the end?
    #[must_use]
    pub fn is_rejected_at_end(&self) -> bool {
        self.place == Place::RejectedAtEnd
    }

    /// A line with its CRLF; without that it has at most `bytes_max` bytes.
    fn line(&mut self, rest: &[u8], bytes_max: usize, next: impl FnOnce(&[u8]) -> Option<Place>) -> Looked {
        let place = self.place;
        let end = memchr(b'\n', rest);
        let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let length = self.begun.len() + piece.len();
        // One byte more can only be the carriage return.
        if length > bytes_max + 1 || length > bytes_max && piece.last().is_some_and(|last| *last != b'\r') {
            return Looked::Rejected(0);
        }
        let Some(end) = end else {
            self.begun.extend_from_slice(piece);
            return Looked::Passed(rest.len(), place);
        };
        let begun = std::mem::take(&mut self.begun);
        let whole = if begun.is_empty() { Cow::Borrowed(piece) } else { Cow::Owned([begun.as_ref(), piece].concat()) };
        match whole.strip_suffix(b"\r").and_then(next) {
            Some(place) => Looked::Passed(end + 1, place),
            None => Looked::Rejected(end),
        }
    }

    fn head(&mut self, rest: &[u8]) -> Looked {
        if self.is_line_begun && rest.first() != Some(&b'\n') {
            // pingora skips a carriage return that comes alone.
            return Looked::Rejected(0);
        }
        if self.begun.is_empty() && matches!(rest.first(), Some(b'\r' | b'\n')) {
            // Empty lines before a request, which a reader should skip: a few.
            self.blank_bytes += 1;
            self.is_line_begun = rest.first() == Some(&b'\r');
            return match self.blank_bytes > BLANK_BYTES_MAX {
                true => Looked::Rejected(0),
                false => Looked::Passed(1, Place::Head),
            };
        }
        self.blank_bytes = 0;
        let before = self.begun.len();
        if before == 0
            && let Some(end) = end_of_head(rest, 0)
        {
            return self.judged(rest, end, 0);
        }
        self.begun.extend_from_slice(rest);
        match end_of_head(&self.begun, before.saturating_sub(3)) {
            Some(end) => {
                let begun = std::mem::take(&mut self.begun);
                self.judged(&begun, end, before)
            }
            None if self.begun.len() > HEAD_BYTES_MAX => Looked::Rejected(0),
            None => Looked::Passed(rest.len(), Place::Head),
        }
    }

    /// Judges the head that ends at `end`; `before` bytes of it have passed.
    fn judged(&mut self, bytes: &[u8], end: usize, before: usize) -> Looked {
        match read_head(bytes.get(..end).unwrap_or_default()) {
            Some(place) => {
                self.heads += 1;
                Looked::Passed(end.saturating_sub(before), place)
            }
            // The last byte is held back, so that the head stays incomplete.
            None => Looked::Rejected(end.saturating_sub(before + 1)),
        }
    }
}

fn take(rest: &[u8], left: u64, at_end: Place, before_end: fn(u64) -> Place) -> Looked {
    let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
    let left = left.saturating_sub(count as u64);
    Looked::Passed(count, if left == 0 { at_end } else { before_end(left) })
}

/// What follows a head; `None` if it is none. After one that can be read in two ways, nothing may.
fn read_head(head: &[u8]) -> Option<Place> {
    let mut fields = field_room::<FIELDS_MAX>();
    let request = match read_request(head, &mut fields) {
        Head::Whole { length, message } if length == head.len() => message,
        _ => return None,
    };
    if !is_target(request.method?, request.path?) {
        return None;
    }
    let values = |wanted: HeaderName| {
        let is_wanted = move |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(wanted.as_str());
        request.headers.iter().filter(is_wanted).map(|field| field.value)
    };
    let is_current = request.version == Some(1);
    let framed = match framing(values(header::TRANSFER_ENCODING), values(header::CONTENT_LENGTH)) {
        // Not even the same length may come twice.
        _ if values(header::CONTENT_LENGTH).nth(1).is_some() => Place::Rejected,
        Ok(Framing::Undeclared | Framing::Length(0)) => Place::Head,
        Ok(Framing::Length(length)) => Place::Body(length as u64),
        Ok(Framing::Chunked) if is_current => Place::Size,
        // pingora would wait for so much.
        Err(Unclear::TooLong) => return None,
        _ => Place::Rejected,
    };
    let upgrades = is_current && values(header::UPGRADE).next().is_some() && {
        let of_interest = [header::UPGRADE, header::CONNECTION].into_iter();
        let all = of_interest.flat_map(|name| values(name.clone()).map(move |value| (name.clone(), value)));
        let mut map = HeaderMap::new();
        all.for_each(|(name, value)| {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                map.append(name, value);
            }
        });
        wants_websocket(&map)
    };
    Some(if upgrades && framed != Place::Rejected { Place::Anything } else { framed })
}

/// A path, or `*` for OPTIONS. pingora takes an absolute address apart, puts a slash before a target without one, and
/// drops a fragment. Unsupported methods are rejected elsewhere, as such.
fn is_target(method: &str, target: &str) -> bool {
    let is_served = !matches!(method, "CONNECT" | "TRACE");
    is_path(target) || !is_served || target == "*" && method == "OPTIONS"
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn chunked(body: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n{body}")
    }

    fn headed(lines: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
    }

    /// Whole, byte by byte, and in threes: how many may pass must not depend on it.
    fn passed(text: &str) -> usize {
        let in_steps = |step: usize| {
            let mut strict = Strict::default();
            let mut passed = 0;
            for piece in text.as_bytes().chunks(step) {
                let count = strict.pass(piece);
                passed += count;
                if count < piece.len() {
                    assert_eq!(strict.pass(b"x"), 0, "{text:?} goes on");
                    break;
                }
            }
            passed
        };
        let all = in_steps(text.len().max(1));
        for step in [1, 3] {
            assert_eq!(in_steps(step), all, "{text:?} in steps of {step}");
        }
        all
    }

    #[test]
    fn unambiguous_framing_passes() {
        for text in [
            String::new(),
            GET.repeat(3),
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nTRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".to_owned(),
            format!("\r\n\n{GET}"),
            format!("{}abc{GET}", headed("Content-Length: 3\r\n")),
            format!("{}{GET}", headed("Content-Length: 0\r\n")),
            format!("{}{GET}", chunked("0\r\n\r\n")),
            format!("{}{GET}", chunked("3\r\nabc\r\n1;a=\"b\"\r\n\n\r\n0\r\nT: u\r\nV: w\r\n\r\n")),
            chunked("3\r\nab"),
            format!("{}\x01\x02\r\r\n\n anything", headed("Connection: Upgrade\r\nUpgrade: websocket\r\n")),
        ] {
            assert_eq!(passed(&text), text.len(), "{text:?}");
        }
    }

    #[test]
    fn ambiguous_framing_is_rejected() {
        let bodies = [
            "2|;\nxx\r\n2c\r\n0\r\n\r\n",
            "2;|\nxx\r\n0\r\n\r\n",
            "2|\nab\r\n0\r\n\r\n",
            "\r|\n\r\n",
            ";a\r|\n\r\n",
            " \r|\n\r\n",
            "2 \r|\nab\r\n0\r\n\r\n",
            "xyz\r|\nab\r\n0\r\n\r\n",
            "-1\r|\nab\r\n0\r\n\r\n",
            "2\r\nab|X\r\n0\r\n\r\n",
            "2\r\nab|\n0\r\n\r\n",
            "2\r\nab|c\r\n0\r\n\r\n",
            "0\r\nT: u|\n\r\n",
            "0\r\nGET / HTTP/1.1\r|\n\r\n",
            "0\r\n T: u\r|\n\r\n",
            "0\r\n|\n",
        ];
        for body in bodies {
            let (before, after) = body.split_once('|').unwrap_or_default();
            let (whole, wanted) = (chunked(&format!("{before}{after}")), chunked(before));
            let got = passed_whole(&whole);
            assert!(got <= wanted.len() + 1 && got < whole.len(), "{body:?}: {got} of {}", wanted.len());
            assert!(
                !whole.as_bytes()[..got].ends_with(b"\n") || wanted.ends_with('\n'),
                "{body:?} passed a line's end"
            );
        }
        // The head passes, so that its sender gets a response; nothing after it does.
        for lines in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: +3\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: , chunked\r\n",
            "Transfer-Encoding: identity\r\n",
        ] {
            let head = headed(lines);
            assert_eq!(passed(&format!("{head}abc{GET}")), head.len(), "{lines:?}");
        }
        // Neither does anything after a carriage return that no line feed follows.
        for text in ["\rGET / HTTP/1.1\r\n\r\n", "\r\r\n", "\r\0"] {
            assert_eq!(passed(text), 1, "{text:?}");
            assert_eq!(passed(&format!("{GET}\r\n\n{text}")), GET.len() + 4, "{text:?}");
        }
        // The last byte of a head that is none does not.
        for head in [
            "GET x?t HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ?x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET @evil/x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET h:80 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "hello\r\n\r\n",
            "GET / HTTP/1.0\nHost: a\n\n",
            "POST / HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n",
        ] {
            assert_eq!(passed(&format!("{head}{GET}")), head.len() - 1, "{head:?}");
        }
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
        assert!(passed_whole(&endless) < endless.len());
        let long = chunked(&format!("2;{}", "x".repeat(SIZE_LINE_BYTES_MAX)));
        assert!(passed_whole(&long) < long.len());
    }

    #[test]
    fn it_is_known_when_a_request_is_over() {
        for (text, requests) in [
            (String::new(), 0),
            (GET.repeat(3), 3),
            (format!("{GET}\r\n"), 1),
            (format!("{}abc{GET}", headed("Content-Length: 3\r\n")), 2),
            (chunked("3\r\nabc\r\n0\r\n\r\n"), 1),
        ] {
            let mut strict = Strict::default();
            strict.pass(text.as_bytes());
            let counts: Vec<u64> = (0..5).filter(|count| strict.is_after(*count)).collect();
            assert_eq!(counts, [requests], "{text:?}");
        }
        let upgrade = headed("Connection: Upgrade\r\nUpgrade: websocket\r\n");
        for text in [
            format!("{GET}G"),
            format!("{GET}\r"),
            format!("{}ab", headed("Content-Length: 3\r\n")),
            chunked("3\r\nabc\r\n0\r\n"),
            headed("Content-Length: x\r\n"),
            "GET x HTTP/1.1\r\n\r\n".to_owned(),
            upgrade,
        ] {
            let mut strict = Strict::default();
            strict.pass(text.as_bytes());
            assert!((0..5).all(|count| !strict.is_after(count)), "{text:?}");
        }
    }

    fn passed_whole(text: &str) -> usize {
        Strict::default().pass(text.as_bytes())
    }
}
