//! Reads the head of an HTTP/1.1 message: its first line, its field lines, and where it ends.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use httparse::{Header, ParserConfig, Request, Response, Status};
use memchr::{memchr, memchr_iter};

/// What the bytes that have come so far are.
#[derive(Debug)]
pub enum Head<M> {
    /// A whole head.
    Whole {
        /// Bytes of it.
        length: usize,
        /// What it says.
        message: M,
    },
    /// The beginning of one.
    Half(M),
    /// No head.
    Invalid,
}

/// Room for the fields of a head.
pub type FieldRoom<'b> = MaybeUninit<Header<'b>>;

/// Room for `N` fields. It is not filled in advance: that would take as long as reading a usual head.
#[must_use]
pub fn field_room<'b, const N: usize>() -> [FieldRoom<'b>; N] {
    [const { MaybeUninit::uninit() }; N]
}

/// Reads the head of a request, strictly: no line may end with a line feed alone, since to some readers that is an end and
/// to others a part of the value. More fields than there is room for make it invalid.
pub fn read_request<'f, 'b>(read: &'b [u8], fields: &'f mut [FieldRoom<'b>]) -> Head<Request<'f, 'b>> {
    let mut message = Request::new(&mut []);
    match message.parse_with_uninit_headers(read, fields) {
        Ok(Status::Complete(length)) if !read.get(..length).is_none_or(has_bare_line_feed) => {
            Head::Whole { length, message }
        }
        Ok(Status::Partial) => Head::Half(message),
        _ => Head::Invalid,
    }
}

/// Reads the head of a response. Its lines may end with a line feed alone: nothing that a server sends can be taken for
/// another request.
pub fn read_response<'f, 'b>(read: &'b [u8], fields: &'f mut [FieldRoom<'b>]) -> Head<Response<'f, 'b>> {
    let mut message = Response::new(&mut []);
    match ParserConfig::default().parse_response_with_uninit_headers(&mut message, read, fields) {
        Ok(Status::Complete(length)) => Head::Whole { length, message },
        Ok(Status::Partial) => Head::Half(message),
        Err(_) => Head::Invalid,
    }
}

/// Where the first empty line ends. Before `from` there is none.
#[must_use]
pub fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr(b'\n', bytes.get(at..)?)? + 1;
        match bytes.get(at..).unwrap_or_default() {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

/// Does a line of this head end with nothing but a line feed?
fn has_bare_line_feed(head: &[u8]) -> bool {
    memchr_iter(b'\n', head).any(|at| at.checked_sub(1).and_then(|before| head.get(before)) != Some(&b'\r'))
}

/// Is this the target of a request a path, with or without a query? A fragment is none of a server's business.
#[must_use]
pub fn is_path(target: &str) -> bool {
    target.starts_with('/') && !target.contains('#')
}

/// Where `part` stands in the bytes that it is a part of.
pub(super) fn place_of(part: &[u8], all: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(all.as_ptr() as usize);
    start..start + part.len()
}

/// The fields of a head, whose values stay where they were read.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldLines(Vec<(HeaderName, Range<usize>)>);

impl FieldLines {
    /// Those of a message that was read from `read`; `None` if one has no valid name.
    #[must_use]
    pub fn of(fields: &[Header<'_>], read: &[u8]) -> Option<Self> {
        let mut lines = Vec::with_capacity(fields.len());
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            lines.push((name, place_of(field.value, read)));
        }
        Some(Self(lines))
    }

    /// Names and values.
    pub fn iter<'l>(&'l self, read: &'l [u8]) -> impl Iterator<Item = (&'l HeaderName, &'l [u8])> {
        self.0.iter().map(|(name, place)| (name, read.get(place.clone()).unwrap_or_default()))
    }

    /// The same as headers whose values are parts of `head`; `None` if there is a byte in one that must not be.
    #[must_use]
    pub fn into_headers(self, head: &Bytes) -> Option<HeaderMap> {
        let mut headers = HeaderMap::with_capacity(self.0.len());
        for (name, place) in self.0 {
            let value = if place.is_empty() { Bytes::new() } else { head.slice(place) };
            headers.append(name, HeaderValue::from_maybe_shared(value).ok()?);
        }
        Some(headers)
    }
}
