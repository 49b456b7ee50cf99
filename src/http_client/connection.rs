//! One HTTP/1.1 connection in clear text: writes a request, and reads as much of the response as is needed.

use std::future::poll_fn;
use std::io;
use std::io::{ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::http_client::{TransportFault, charge};
use crate::memory::Share;
use crate::protocol::http1::chunked::{SIZE_LINE_BYTES_MAX, TRAILER_BYTES_MAX, is_trailer, read_size};
use crate::protocol::http1::framing::Framing;
use crate::protocol::http1::response::{ResponseHead, take_response_head};

/// Why there is no response, as far as it decides whether to try again.
pub enum ExchangeError {
    /// Not a byte of the request has gone out.
    Unsent(TransportFault),
    /// Not a byte of a response has come.
    NoResponse(TransportFault),
    /// Nothing that another attempt would change.
    Final(TransportFault),
}

impl From<TransportFault> for ExchangeError {
    fn from(fault: TransportFault) -> Self {
        Self::Final(fault)
    }
}

impl From<ExchangeError> for TransportFault {
    fn from(failure: ExchangeError) -> Self {
        match failure {
            ExchangeError::Unsent(fault) | ExchangeError::NoResponse(fault) | ExchangeError::Final(fault) => fault,
        }
    }
}

/// A connection and the bytes that have been read from it.
pub struct Connection<S = TcpStream> {
    stream: S,
    /// Bytes that have been read and not been used.
    buffer: BytesMut,
    /// Has every request been taken whole?
    is_even: bool,
}

/// Bytes that are read at a time.
const READ_BYTES: usize = 4096;

/// Bytes of a response's head, and of the trailers after its body.
const HEAD_BYTES_MAX: usize = 64 * 1024;

impl<S> Connection<S> {
    /// No byte has arrived on it.
    #[must_use]
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new(), is_even: true }
    }
}

impl Connection {
    /// Is all that was sent taken, and all that has come used?
    #[must_use]
    pub fn is_even(&self) -> bool {
        self.is_even && self.buffer.is_empty()
    }

    /// Gives back the memory for what has been read. It is still in the processor's cache then, and serves the next response on
    /// any connection; a connection that waits would keep it until it is cold.
    pub fn release_buffer(&mut self) {
        self.buffer = BytesMut::new();
    }

    /// Is it open, without unsolicited bytes on it?
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.stream.try_read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Sends a message and reads the head of its response.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub async fn exchange(&mut self, head: &[u8], body: &[u8]) -> Result<ResponseHead, ExchangeError> {
        match self.write(head, body).await? {
            Some(early) => Ok(early),
            None => self.read_head().await,
        }
    }

    /// Head and body at once, as far as the system takes them. Gives the head of a response that comes before all is written.
    async fn write(&mut self, head: &[u8], body: &[u8]) -> Result<Option<ResponseHead>, ExchangeError> {
        let stream = &mut self.stream;
        let both = [IoSlice::new(head), IoSlice::new(body)];
        let first = poll_fn(|cx| Pin::new(&mut *stream).poll_write_vectored(cx, &both)).await;
        let written = first.map_err(|error| ExchangeError::Unsent(TransportFault::broken(&error)))?;
        for part in [head.get(written..), body.get(written.saturating_sub(head.len())..)].into_iter().flatten() {
            if let Some(early) = self.write_rest(part).await? {
                return Ok(Some(early));
            }
        }
        Ok(None)
    }

    /// Sends a part of a message, and returns the head of a response that comes before all of it is written. Once
    /// [`Self::takes_more`] is false, the peer does not want the rest.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub async fn send_part(&mut self, part: &[u8]) -> Result<Option<ResponseHead>, TransportFault> {
        self.write_rest(part).await.map_err(TransportFault::from)
    }

    /// Does the peer still accept the request?
    #[must_use]
    pub fn takes_more(&self) -> bool {
        self.is_even
    }

    /// Until all is written, or the peer responds or disconnects: it may not want the rest.
    async fn write_rest(&mut self, mut rest: &[u8]) -> Result<Option<ResponseHead>, ExchangeError> {
        while self.is_even && !rest.is_empty() {
            let Ok(ready) = self.stream.ready(Interest::READABLE | Interest::WRITABLE).await else { break };
            // Either may turn out not to be so.
            let is_blocked = |error: &io::Error| error.kind() == ErrorKind::WouldBlock;
            if ready.is_readable() {
                let read = self.stream.try_read_buf(&mut self.buffer);
                let is_open = !matches!(read, Ok(0)) && read.err().is_none_or(|error| is_blocked(&error));
                let early = self.take_head()?;
                // After an interim response (1xx) the peer still expects the whole request.
                self.is_even = is_open && early.is_none() && self.buffer.is_empty();
                if early.is_some() {
                    return Ok(early);
                }
            }
            match self.stream.try_write(rest) {
                Ok(written @ 1..) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if is_blocked(&error) => {}
                _ => self.is_even = false,
            }
        }
        Ok(None)
    }
}

/// What only reads does so from anything that can be read.
impl<S: AsyncRead + Unpin> Connection<S> {
    /// Reads the head of the response to a message whose parts have been sent.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub async fn read_response(&mut self) -> Result<ResponseHead, TransportFault> {
        self.read_head().await.map_err(TransportFault::from)
    }

    async fn read_head(&mut self) -> Result<ResponseHead, ExchangeError> {
        loop {
            if let Some(head) = self.take_head()? {
                return Ok(head);
            }
            let is_untouched = self.buffer.is_empty();
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(TransportFault::invalid_http("the head of the response is larger than 64 KiB").into());
            }
            let read = self.read_more(READ_BYTES).await;
            read.map_err(|fault| match is_untouched {
                true => ExchangeError::NoResponse(fault),
                false => ExchangeError::Final(fault),
            })?;
        }
    }

    /// The head of the response, if it is there; those that only announce one are passed over: RFC 9110, section 15.2.
    fn take_head(&mut self) -> Result<Option<ResponseHead>, TransportFault> {
        while !self.buffer.is_empty() {
            let Some(head) = take_response_head(&mut self.buffer)? else { break };
            match head.status.as_u16() {
                // No upgrade was requested.
                101 => return Err(TransportFault::invalid_http("status 101 without an upgrade")),
                100..=199 => {}
                _ => return Ok(Some(head)),
            }
        }
        Ok(None)
    }

    /// A whole body, at most `bytes_max` bytes, charged to `share`.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub async fn read_body(
        &mut self,
        framing: Framing,
        bytes_max: usize,
        share: Option<&Share>,
    ) -> Result<Bytes, TransportFault> {
        match framing {
            Framing::Length(length) if length > bytes_max => Err(TransportFault::TooLarge),
            Framing::Length(length) => {
                charge(share, length)?;
                while self.buffer.len() < length {
                    self.read_more(length - self.buffer.len()).await?;
                }
                Ok(self.buffer.split_to(length).freeze())
            }
            Framing::Chunked => self.read_chunks(bytes_max, share).await,
            Framing::Undeclared => {
                while self.buffer.len() <= bytes_max {
                    match self.read_some(READ_BYTES).await? {
                        0 => return Ok(self.buffer.split().freeze()),
                        read => charge(share, read)?,
                    }
                }
                Err(TransportFault::TooLarge)
            }
        }
    }

    /// RFC 9112, section 7.1.
    async fn read_chunks(&mut self, bytes_max: usize, share: Option<&Share>) -> Result<Bytes, TransportFault> {
        let mut body = BytesMut::new();
        loop {
            let size = self.read_chunk_size().await?;
            if size == 0 {
                self.read_trailers().await?;
                return Ok(body.freeze());
            }
            let size = usize::try_from(size).map_err(|_| TransportFault::TooLarge)?;
            if size > bytes_max.saturating_sub(body.len()) {
                return Err(TransportFault::TooLarge);
            }
            charge(share, size)?;
            while self.buffer.len() < size + 2 {
                self.read_more(size + 2 - self.buffer.len()).await?;
            }
            let chunk = self.buffer.split_to(size);
            self.end_chunk().await?;
            if body.is_empty() { body = chunk } else { body.extend_from_slice(&chunk) }
        }
    }

    /// What stands after the bytes of a chunk.
    ///
    /// # Errors
    /// [`TransportFault::Broken`] if it is something else.
    pub async fn end_chunk(&mut self) -> Result<(), TransportFault> {
        while self.buffer.len() < 2 {
            self.read_more(READ_BYTES).await?;
        }
        let end = self.buffer.split_to(2);
        if end == b"\r\n"[..] { Ok(()) } else { Err(TransportFault::invalid_http("a chunk is longer than announced")) }
    }

    /// The bytes that have arrived, at most `max` of them; waits for more if there are none. Empty at the end of the
    /// connection.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn read_piece(&mut self, max: usize) -> Result<Bytes, TransportFault> {
        if self.buffer.is_empty() {
            self.read_some(max.min(PIECE_BYTES)).await?;
        }
        let length = self.buffer.len().min(max);
        Ok(self.buffer.split_to(length).freeze())
    }

    /// How long the next chunk is; the last one is empty.
    ///
    /// # Errors
    /// [`TransportFault::Broken`] for an invalid number.
    pub async fn read_chunk_size(&mut self) -> Result<u64, TransportFault> {
        let line = self.read_line(SIZE_LINE_BYTES_MAX).await?;
        read_size(&line).ok_or_else(|| TransportFault::invalid_http("the size of a chunk is no number"))
    }

    /// They end with an empty line, and are discarded.
    ///
    /// # Errors
    /// When they break off or do not end.
    pub async fn read_trailers(&mut self) -> Result<(), TransportFault> {
        let mut left = TRAILER_BYTES_MAX;
        loop {
            let line = self.read_line(left).await?;
            if line.is_empty() {
                return Ok(());
            }
            left = left.saturating_sub(line.len());
            if !is_trailer(&line) {
                return Err(TransportFault::invalid_http("a trailer is no header"));
            }
        }
    }

    /// What stands before the next CRLF, if that is not much.
    async fn read_line(&mut self, bytes_max: usize) -> Result<BytesMut, TransportFault> {
        let mut searched = 0;
        loop {
            let unseen = self.buffer.get(searched..).unwrap_or_default();
            if let Some(end) = memchr(b'\n', unseen).map(|at| searched + at) {
                let mut line = self.buffer.split_to(end + 1);
                let is_whole = line.ends_with(b"\r\n") && end <= bytes_max;
                line.truncate(end.saturating_sub(1));
                return if is_whole { Ok(line) } else { Err(TransportFault::invalid_http(LINE)) };
            }
            searched = self.buffer.len();
            if searched > bytes_max {
                return Err(TransportFault::invalid_http(LINE));
            }
            self.read_more(READ_BYTES).await?;
        }
    }

    /// At least one byte more, or a fault.
    async fn read_more(&mut self, room: usize) -> Result<(), TransportFault> {
        if self.read_some(room).await? > 0 { Ok(()) } else { Err(TransportFault::closed()) }
    }

    /// 0 at the end of the connection.
    async fn read_some(&mut self, room: usize) -> Result<usize, TransportFault> {
        let Self { stream, buffer, .. } = self;
        let read = match room {
            ..=READ_BYTES => poll_fn(|cx| poll_read_few(Pin::new(&mut *stream), buffer, cx)).await,
            _ => {
                buffer.reserve(room);
                stream.read_buf(buffer).await
            }
        };
        read.map_err(|error| TransportFault::broken(&error))
    }
}

/// Reads at most [`READ_BYTES`]. They come by way of the stack, so that a connection that waits, as most do, holds no room for
/// them.
fn poll_read_few(
    stream: Pin<&mut impl AsyncRead>,
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
    let mut read = ReadBuf::uninit(&mut bytes);
    ready!(stream.poll_read(cx, &mut read))?;
    buffer.extend_from_slice(read.filled());
    Poll::Ready(Ok(read.filled().len()))
}

/// What is wrong with a line of chunked framing.
const LINE: &str = "a line of chunked framing is too long or does not end with CRLF";

/// Bytes of a body that are read at a time.
const PIECE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_connection_that_waits_holds_no_room_for_the_response() {
        let (own, mut peer) = duplex(READ_BYTES);
        let mut connection = Connection::new(own);
        {
            let mut response = std::pin::pin!(connection.read_response());
            let is_pending = poll_fn(|cx| Poll::Ready(response.as_mut().poll(cx).is_pending())).await;
            assert!(is_pending);
        }
        assert_eq!(connection.buffer.capacity(), 0);
        peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.expect("it is open");
        let head = connection.read_response().await.unwrap_or_else(|_| panic!("there is a head"));
        assert_eq!(head.status, 200);
        let body =
            connection.read_body(Framing::Length(5), 5, None).await.unwrap_or_else(|_| panic!("there is a body"));
        assert_eq!(body, "hello");
        assert!(connection.buffer.capacity() < READ_BYTES);
    }
}
