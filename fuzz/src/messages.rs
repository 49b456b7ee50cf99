//! Readers of HTTP/1.1: what they accept, a reader that does only what RFC 9112 says accepts as well, and sees the same.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::Method;
use pillion::internals::{Connection, TransportFault};
use pillion::protocol::http1::response::{ResponseHead, response_framing};
use pillion::protocol::http1::strict::Strict;
use pillion::protocol::http1::usual_request::read_whole_head;
use tokio::io::{AsyncRead, ReadBuf};

use super::reference::{self, End};

/// Longer ones meet limits that the reference reader has not.
const BYTES_MAX: usize = 8 * 1024;

/// A client's connection. Nothing passes that the reference reader rejects; how it is cut does not matter; and what
/// `protocol/http1/usual_request.rs` takes for a whole head is one, with that target and that length.
pub fn request_head(bytes: &[u8]) {
    if bytes.len() > BYTES_MAX {
        return;
    }
    let passed = passed(bytes, bytes.len());
    for step in [1, 7] {
        // More or less of a line that is rejected may pass, but never its end.
        let other = self::passed(bytes, step);
        let between = bytes.get(other.min(passed)..other.max(passed)).unwrap_or_default();
        assert!(!between.contains(&b'\n'), "{passed} bytes pass, but {other} in steps of {step}");
    }
    let (requests, end) = reference::requests(bytes);
    if let End::Invalid(limit) = end {
        // A head whose body could end at two offsets passes, so that its sender gets an error; nothing after it does.
        assert!(passed <= limit, "{passed} bytes pass, but {limit} are no request: {requests:?}");
    }
    let is_path = |request: &reference::Message| request.start[1].starts_with('/') && !request.start[1].contains('#');
    // Of extensions the reference reader knows only that they are some.
    let is_plain = !bytes.contains(&b';');
    if is_plain
        && end == End::Complete
        && requests.iter().all(is_path)
        && requests.iter().all(|request| request.fields.len() < 100)
    {
        assert_eq!(passed, bytes.len(), "good requests do not pass: {requests:?}");
    }
    if let Some((length, target, body_length)) = read_whole_head(bytes, |path| path == "/graphql") {
        assert!(passed >= length, "a head is read of which only {passed} bytes pass");
        match requests.first() {
            Some(first) => {
                let seen = (first.head_end, first.start[0].as_str(), &first.start[1], first.body.len());
                assert_eq!(seen, (length, "POST", &target, body_length));
            }
            None => assert_eq!(end, End::Partial, "a head is read here alone"),
        }
    }
}

fn passed(bytes: &[u8], step: usize) -> usize {
    let (mut strict, mut passed) = (Strict::default(), 0);
    for piece in bytes.chunks(step.max(1)) {
        let count = strict.pass(piece);
        passed += count;
        if count < piece.len() {
            assert_eq!(strict.pass(b"GET / HTTP/1.1\r\n\r\n"), 0, "it goes on after a rejection");
            break;
        }
    }
    passed
}

/// What a server writes. What our client accepts the reference reader accepts as well, with the same status, body and end.
pub fn response(bytes: &[u8]) {
    if bytes.len() > BYTES_MAX {
        return;
    }
    let whole = read(bytes, bytes.len());
    assert_eq!(read(bytes, 1), whole, "byte by byte");
    let Some((status, fields, body, left)) = whole else { return };
    match reference::response(bytes) {
        Ok(wanted) => {
            let wanted_status = wanted.start[1].parse::<u16>().ok();
            assert_eq!((Some(status), body.as_ref()), (wanted_status, wanted.body.as_slice()), "{wanted:?}");
            assert_eq!(bytes.len().saturating_sub(left), wanted.end, "another end");
            assert_eq!(fields, wanted.fields.len(), "other fields");
        }
        Err(end) => {
            panic!("our client takes a response with status {status} and {body:?} where there is none: {end:?}")
        }
    }
}

/// Status, number of fields, body, and bytes that are left.
type Seen = (u16, usize, Bytes, usize);

fn read(bytes: &[u8], step: usize) -> Option<Seen> {
    let mut connection = Connection::new(Pieces { bytes, step: step.max(1) });
    let read = async {
        let head = connection.read_response().await?;
        let framing = response_framing(&Method::GET, &head)?;
        let body = connection.read_body(framing, BYTES_MAX, None).await?;
        Ok::<(ResponseHead, Bytes), TransportFault>((head, body))
    };
    // Nothing here ever waits.
    let (head, body) = read.now_or_never()?.ok()?;
    let mut left = 0;
    while let Some(Ok(piece)) = connection.read_piece(BYTES_MAX).now_or_never() {
        if piece.is_empty() {
            break;
        }
        left += piece.len();
    }
    Some((head.status.as_u16(), head.headers.len(), body, left))
}

/// Bytes that come a few at a time.
struct Pieces<'b> {
    bytes: &'b [u8],
    step: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let count = self.step.min(self.bytes.len()).min(buffer.remaining());
        let (now, later) = self.bytes.split_at(count);
        buffer.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}
