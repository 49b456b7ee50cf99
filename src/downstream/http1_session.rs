//! The HTTP/1.1 fast path: a POST to a GraphQL path, with a `Content-Length`, on a keep-alive connection, as nearly
//! every client sends it. pingora's session can do much more, and takes twice the time for this. Everything else is
//! left to pingora, with all bytes that have been read.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::{io, mem};

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri, Version, header, request};
use pingora::protocols::Stream;
use pingora::protocols::http::date::get_cached_date;
use pingora::{Error, ErrorType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::downstream::buffer_pool::BufferPool;
use crate::downstream::connection_deadline::ConnectionDeadline;
use crate::downstream::partial_head::Looks;
use crate::memory::Share;
use crate::protocol::http1::framing::read_length;
use crate::protocol::http1::head::end_of_head;
use crate::protocol::http1::usual_request::{Parsed, UsualRequest, parse};

/// A client's connection, and the request on it.
pub(crate) struct Http1Session {
    stream: Stream,
    peer: Option<SocketAddr>,
    /// That of the connection.
    deadline: Arc<ConnectionDeadline>,
    /// What half a head holds of the memory budget.
    share: Share,
    /// Bytes that have been read and not been used.
    buffer: BytesMut,
    head: request::Parts,
    /// The head as it came.
    raw_head: Bytes,
    /// Bytes of the body that have not been taken yet.
    body_left: usize,
    response: ResponseProgress,
    status: Option<StatusCode>,
    /// Bytes that go out with the next piece. It has room only while a piece is written.
    out: Vec<u8>,
    /// Is the connection to end with this request?
    is_last: bool,
}

/// How far the response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResponseProgress {
    NotBegun,
    /// So many bytes are left.
    Length(usize),
    Chunked,
    /// Its end is that of the connection.
    UntilEnd,
    Over,
}

/// What a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeadRead {
    /// A request that can be served here.
    Request,
    /// Anything else, perhaps half of it.
    Other,
    /// Nothing; it has disconnected.
    End,
    /// More of a head than there is room for.
    NoRoom,
}

/// Bytes that are read of a client at a time, as long as nothing is known of a body.
const READ_BYTES: usize = 4096;

/// Bytes of a body that are read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// The peer's address; none for a connection that is not TCP.
#[must_use]
pub(crate) fn peer_of(stream: &Stream) -> Option<SocketAddr> {
    stream.get_socket_digest().and_then(|digest| digest.peer_addr()?.as_inet().copied())
}

/// Longer heads are left to pingora.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes of pipelined requests that are held while one is served.
const PIPELINED_BYTES_MAX: usize = 64 * 1024;

impl Http1Session {
    /// Nothing has been read yet, and `share` is empty.
    #[must_use]
    pub(crate) fn new(stream: Stream, deadline: Arc<ConnectionDeadline>, share: Share) -> Self {
        Self {
            peer: peer_of(&stream),
            stream,
            deadline,
            share,
            buffer: BytesMut::new(),
            head: Request::new(()).into_parts().0,
            raw_head: Bytes::new(),
            body_left: 0,
            response: ResponseProgress::NotBegun,
            status: None,
            out: Vec::new(),
            is_last: false,
        }
    }

    /// The connection's deadline.
    #[must_use]
    pub(crate) fn deadline(&self) -> &Arc<ConnectionDeadline> {
        &self.deadline
    }

    /// Has nothing of another request come?
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Waits until something comes; `false` if nothing will any more. A connection that waits has no buffer.
    pub(crate) async fn listen(&mut self) -> bool {
        if self.is_idle() {
            self.rest();
        }
        self.read_piece().await
    }

    /// Nothing of the last request is needed any more.
    fn rest(&mut self) {
        (self.raw_head, self.buffer) = (Bytes::new(), BytesMut::new());
        (self.head.uri, self.head.headers) = (Uri::default(), HeaderMap::new());
    }

    /// Waits until more comes; `false` if nothing will any more. It comes by way of the stack, so that a request holds as much
    /// memory as it has bytes, and a connection that waits none.
    async fn read_piece(&mut self) -> bool {
        let Self { stream, buffer, .. } = self;
        poll_fn(|cx| {
            let mut piece = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut piece = ReadBuf::uninit(&mut piece);
            let is_broken = ready!(Pin::new(&mut *stream).poll_read(cx, &mut piece)).is_err();
            buffer.extend_from_slice(piece.filled());
            Poll::Ready(!is_broken && !piece.filled().is_empty())
        })
        .await
    }

    /// Reads the next request's head.
    pub(crate) async fn read_head(&mut self, matches: impl Fn(&str) -> bool) -> HeadRead {
        (self.response, self.status) = (ResponseProgress::NotBegun, None);
        let (mut looks, mut looked_at) = (Looks::default(), 0);
        loop {
            if self.buffer.len() > looked_at {
                // At the first piece, because that shows most of the other kinds.
                let is_due = looked_at == 0
                    || end_of_head(&self.buffer, looked_at.saturating_sub(3)).is_some()
                    || looks.are_due(self.buffer.len());
                let parsed = if is_due { parse(&self.buffer, &matches) } else { Parsed::Half };
                let heard = match parsed {
                    Parsed::Whole(found) => Some(if self.take(found) { HeadRead::Request } else { HeadRead::Other }),
                    Parsed::Other => Some(HeadRead::Other),
                    Parsed::Half if self.buffer.len() > HEAD_BYTES_MAX => Some(HeadRead::Other),
                    Parsed::Half => None,
                };
                if let Some(heard) = heard {
                    self.share.shrink_to(0);
                    return heard;
                }
                // Usual heads come in one piece.
                if self.buffer.len() > READ_BYTES && self.share.grow(self.buffer.len() - looked_at).is_err() {
                    self.share.shrink_to(0);
                    return HeadRead::NoRoom;
                }
                looked_at = self.buffer.len();
            }
            if !self.listen().await {
                return HeadRead::End;
            }
        }
    }

    /// Takes the head off the buffer, if it is one after all.
    fn take(&mut self, found: UsualRequest) -> bool {
        let UsualRequest { length, body_length, closes, .. } = found;
        let bytes = self.buffer.split_to(length).freeze();
        let Some((uri, headers)) = found.into_parts(&bytes) else {
            self.give_back(&bytes);
            return false;
        };
        (self.head.method, self.head.version) = (Method::POST, Version::HTTP_11);
        (self.head.uri, self.head.headers) = (uri, headers);
        (self.raw_head, self.body_left, self.is_last) = (bytes, body_length, closes);
        true
    }

    /// Puts the bytes that have been taken before those that have not.
    fn give_back(&mut self, bytes: &[u8]) {
        let rest = mem::replace(&mut self.buffer, BytesMut::from(bytes));
        self.buffer.extend_from_slice(&rest);
    }

    /// The head of the request.
    #[must_use]
    pub(crate) fn head(&self) -> &request::Parts {
        &self.head
    }

    /// Bytes of it.
    #[must_use]
    pub(crate) fn head_bytes(&self) -> usize {
        self.raw_head.len()
    }

    /// The same, to be changed.
    pub(crate) fn head_mut(&mut self) -> &mut request::Parts {
        &mut self.head
    }

    /// The client's address.
    #[must_use]
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The connection ends with this request.
    pub(crate) fn close(&mut self) {
        self.is_last = true;
    }

    /// Can there be another request?
    #[must_use]
    pub(crate) fn is_kept(&self) -> bool {
        !self.is_last && self.response == ResponseProgress::Over && self.body_left == 0
    }

    /// Has something of a response been written?
    #[must_use]
    pub(crate) fn has_begun(&self) -> bool {
        self.response != ResponseProgress::NotBegun
    }

    /// Has all of the request's body come with its head?
    #[must_use]
    pub(crate) fn has_whole_body(&self) -> bool {
        self.buffer.len() >= self.body_left
    }

    /// The next piece of the request's body.
    ///
    /// # Errors
    /// When it breaks off.
    pub(crate) async fn read_body(&mut self) -> pingora::Result<Option<Bytes>> {
        if self.body_left == 0 {
            return Ok(None);
        }
        if self.buffer.is_empty() {
            self.buffer.reserve(self.body_left.min(PIECE_BYTES));
            if !matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..)) {
                return Err(Error::new_down(ErrorType::ConnectionClosed));
            }
        }
        let piece = self.buffer.split_to(self.buffer.len().min(self.body_left));
        self.body_left -= piece.len();
        Ok(Some(piece.freeze()))
    }

    /// Ends when the client has disconnected. Bytes that arrive before are kept for the next request.
    pub(crate) async fn gone(&mut self) {
        while self.buffer.len() < PIPELINED_BYTES_MAX {
            if !self.read_piece().await {
                return;
            }
        }
        // No legitimate client pipelines that much; reading resumes after the response.
        std::future::pending::<()>().await;
    }

    /// The status of the response, once it has begun.
    #[must_use]
    pub(crate) fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Begins the response. `headers` declare where its body ends.
    ///
    /// # Errors
    /// When it has begun already.
    pub(crate) fn write_head<'h>(
        &mut self,
        status: StatusCode,
        headers: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>,
    ) -> pingora::Result<()> {
        if self.has_begun() {
            return Err(Error::new_in(ErrorType::InternalError));
        }
        self.status = Some(status);
        let has_body = !matches!(status.as_u16(), 204 | 304);
        self.response = if has_body { ResponseProgress::UntilEnd } else { ResponseProgress::Length(0) };
        let out = with_room(&mut self.out);
        let mut add = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        let reason = status.canonical_reason().unwrap_or_default();
        add(&[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"]);
        let mut has_date = false;
        for (name, value) in headers {
            add(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
            has_date |= *name == header::DATE;
            if *name == header::TRANSFER_ENCODING {
                self.response = ResponseProgress::Chunked;
            } else if *name == header::CONTENT_LENGTH && has_body {
                let length = read_length(value.as_bytes());
                self.response =
                    ResponseProgress::Length(length.ok_or_else(|| Error::new_in(ErrorType::InternalError))?);
            }
        }
        self.is_last |= self.response == ResponseProgress::UntilEnd;
        let connection: &[u8] = if self.is_last { b"close" } else { b"keep-alive" };
        if !has_date {
            add(&[b"date: ", get_cached_date().as_bytes(), b"\r\n"]);
        }
        add(&[b"connection: ", connection, b"\r\n\r\n"]);
        Ok(())
    }

    /// Writes a piece of the response, and all that is before it. With `end` nothing follows.
    ///
    /// # Errors
    /// When the client has disconnected, or the piece does not fit what the head has announced.
    pub(crate) async fn write_body(&mut self, piece: &[u8], end: bool) -> pingora::Result<()> {
        let mut after: &[u8] = b"";
        match &mut self.response {
            ResponseProgress::Length(left) => {
                *left = left.checked_sub(piece.len()).ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
                if end && *left > 0 {
                    return Err(Error::new_in(ErrorType::InternalError));
                }
            }
            ResponseProgress::Chunked => {
                if !piece.is_empty() {
                    with_room(&mut self.out).extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    after = b"\r\n";
                }
                if end {
                    after = if piece.is_empty() { b"0\r\n\r\n" } else { b"\r\n0\r\n\r\n" };
                }
            }
            ResponseProgress::UntilEnd => {}
            ResponseProgress::NotBegun | ResponseProgress::Over => return Err(Error::new_in(ErrorType::InternalError)),
        }
        if end {
            self.response = ResponseProgress::Over;
        }
        let written = write_all(&mut self.stream, [&self.out, piece, after]).await;
        give_back(mem::take(&mut self.out));
        written.map_err(|_| Error::new_down(ErrorType::WriteError))
    }

    /// Ends the connection, whatever has been written.
    pub(crate) async fn shutdown(&mut self) {
        self.is_last = true;
        // It fails only if the client has disconnected.
        let _ = self.stream.shutdown().await;
    }

    /// The connection, with the bytes that have been read and not been used.
    #[must_use]
    pub(crate) fn into_parts(self) -> (Stream, BytesMut) {
        (self.stream, self.buffer)
    }

    /// Puts the request back, as long as nothing of its body has been taken.
    pub(crate) fn unread_head(&mut self) {
        let bytes = mem::take(&mut self.raw_head);
        self.give_back(&bytes);
    }
}

/// Room for more than the head of most responses; what has become larger is given back to the allocator.
const OUT_BYTES_KEPT: usize = 8 * 1024;

thread_local! {
    static OUT: BufferPool<Vec<u8>> = const { BufferPool::new() };
}

/// The same, with the room that the last response of the thread had: it is still in the processor's cache.
fn with_room(out: &mut Vec<u8>) -> &mut Vec<u8> {
    if out.capacity() == 0 {
        *out = OUT.try_with(BufferPool::take).ok().flatten().unwrap_or_default();
    }
    out
}

/// Keeps it for the next response of the thread.
fn give_back(mut out: Vec<u8>) {
    if (1..=OUT_BYTES_KEPT).contains(&out.capacity()) {
        out.clear();
        // Fails only at the thread's end.
        let _ = OUT.try_with(|kept| kept.keep(out));
    }
}

/// All of them, one after the other, with as few calls of the system as it allows.
async fn write_all(stream: &mut Stream, parts: [&[u8]; 3]) -> io::Result<()> {
    let mut slices = parts.map(IoSlice::new);
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        let written = poll_fn(|cx| Pin::new(&mut *stream).poll_write_vectored(cx, rest)).await?;
        if written == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::downstream::test_connection::{deadline, share};

    #[tokio::test]
    async fn a_request_holds_as_much_as_it_has_sent() {
        let (server, mut client) = tokio::io::duplex(1024);
        let mut session = Http1Session::new(Box::new(server), deadline(), share());
        let request = b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
        for _ in 0..2 {
            client.write_all(request).await.expect("room");
            assert_eq!(session.read_head(|path| path == "/graphql").await, HeadRead::Request);
            assert_eq!(session.buffer.capacity(), b"{}".len());
            assert_eq!(session.read_body().await.ok().flatten().as_deref(), Some(&b"{}"[..]));
            assert!(session.gone().now_or_never().is_none());
            assert_eq!(session.buffer.capacity(), 0);
            session.write_head(StatusCode::NO_CONTENT, std::iter::empty()).expect("a head");
            session.write_body(b"", true).await.expect("room");
            assert_eq!((session.buffer.capacity(), session.out.capacity()), (0, 0));
        }
    }

    async fn response(head: &[(&'static str, &'static str)], pieces: &[&str]) -> String {
        let (server, mut client) = tokio::io::duplex(1024);
        let mut direct = Http1Session::new(Box::new(server), deadline(), share());
        let headers: HeaderMap =
            head.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        direct.write_head(StatusCode::OK, headers.iter()).expect("a head");
        let (last, before) = pieces.split_last().expect("a piece");
        for piece in before {
            direct.write_body(piece.as_bytes(), false).await.expect("room");
        }
        let ended = direct.write_body(last.as_bytes(), true).await;
        let kept = direct.is_kept();
        drop(direct);
        let mut text = String::new();
        client.read_to_string(&mut text).await.expect("text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        assert!(text.is_empty() || head.matches("\r\ndate: ").count() == 1, "{head}");
        format!("{body:?} {} {}", ended.is_ok(), if kept { "kept" } else { "ended" })
    }

    #[tokio::test]
    async fn a_response_ends_where_it_says() {
        let length = [("content-length", "4")];
        assert_eq!(response(&length, &["ab", "cd"]).await, r#""abcd" true kept"#);
        assert_eq!(response(&length, &["ab", ""]).await, r#""ab" false ended"#);
        assert_eq!(response(&length, &["abcde"]).await, r#""" false ended"#);
        let dated = [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("content-length", "1")];
        assert_eq!(response(&dated, &["a"]).await, r#""a" true kept"#);
        let chunked = [("transfer-encoding", "chunked")];
        assert_eq!(response(&chunked, &["ab", "", "cde"]).await, r#""2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n" true kept"#);
        assert_eq!(response(&chunked, &["ab", ""]).await, r#""2\r\nab\r\n0\r\n\r\n" true kept"#);
        assert_eq!(response(&[], &["ab", "c"]).await, r#""abc" true ended"#);
    }
}
