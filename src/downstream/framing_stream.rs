//! Request smuggling protection: the client's connection as pingora reads it, passed through unchanged until the client
//! writes something ambiguous. From there on it yields two bytes that no parser takes, so that pingora rejects the
//! request; what else the client writes is discarded.

use std::io::{self, Cursor};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::FutureExt;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};

use crate::downstream::connection_deadline::ConnectionDeadline;
use crate::downstream::head_size_limit::HeadBound;
use crate::downstream::partial_head::PartialHead;
use crate::downstream::session_deadline::digest_with;
use crate::memory::Share;
use crate::protocol::http1::strict::Strict;

/// A connection whose client is read to the letter.
#[derive(Debug)]
pub(crate) struct StrictStream {
    /// pingora writes a head and what follows it apart; they leave together.
    inner: BufWriter<Stream>,
    strict: Strict,
    bound: HeadBound,
    pieces: PartialHead,
    /// Of the connection; reading by the client is recorded on it.
    deadline: Arc<ConnectionDeadline>,
    /// Carries the deadline to pingora's callbacks.
    digest: Option<Arc<ProxyDigest>>,
    /// What is left of [`UNREADABLE`], once something was rejected.
    instead: Option<&'static [u8]>,
}

/// A head and a small body, of about the size of a packet.
const WRITE_BUFFER_BYTES: usize = 1460;

/// Neither in a head nor in a chunk's line does this follow a carriage return, nor anything else.
const UNREADABLE: &[u8] = b"\rX";

impl StrictStream {
    /// The rest of a connection, of which `read` has been read already; gives what of that may be believed. A head takes
    /// `bytes_max` at most, charged to `share`.
    #[must_use]
    pub(crate) fn new(
        inner: Stream,
        mut read: BytesMut,
        deadline: Arc<ConnectionDeadline>,
        (share, bytes_max): (Share, usize),
    ) -> (Self, BytesMut) {
        let bound = HeadBound::new(share, deadline.awaited_head(), read.len(), bytes_max);
        let mut strict = Strict::default();
        let passed = strict.pass(&read);
        let is_rejected = passed < read.len();
        if is_rejected {
            read.truncate(passed);
            read.extend_from_slice(UNREADABLE);
        }
        let (pieces, digest) = (PartialHead::default(), digest_with(Arc::clone(&deadline)));
        let inner = BufWriter::with_capacity(WRITE_BUFFER_BYTES, inner);
        (Self { inner, strict, bound, pieces, deadline, digest, instead: is_rejected.then_some(&[]) }, read)
    }
}

impl StrictStream {
    /// Has the client of this stream, if it is one of these, written exactly so many whole requests, and nothing else?
    #[must_use]
    pub(crate) fn is_after(stream: &Stream, requests: u64) -> bool {
        let stream = (**stream).as_any().downcast_ref::<Self>();
        stream.is_some_and(|stream| {
            let is_written = stream.inner.buffer().is_empty();
            is_written && stream.instead.is_none() && stream.pieces.are_given() && stream.strict.is_after(requests)
        })
    }

    /// The connection as it was before; `None` if this is none of these streams.
    #[must_use]
    pub(crate) fn into_inner(stream: Stream) -> Option<Stream> {
        let mut stream: Box<Self> = stream.into_any().downcast().ok()?;
        let nothing: Stream = Box::new(Cursor::new(Vec::new()));
        Some(std::mem::replace(&mut stream.inner, BufWriter::with_capacity(0, nothing)).into_inner())
    }

    /// Reads until the client goes.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut thrown_away = [0; 1024];
        let mut buffer = ReadBuf::new(&mut thrown_away);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
        // Others have their turn before the next piece.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncRead for StrictStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(ready) = this.pieces.ready(buffer.remaining()) {
                buffer.put_slice(&ready);
                return Poll::Ready(Ok(()));
            }
            if this.instead.is_some() {
                break;
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
            let read = buffer.filled().get(before..).unwrap_or_default();
            let (count, passed) = (read.len(), this.strict.pass(read));
            this.bound.count(count, this.deadline.awaited_head())?;
            let at_once = this.pieces.take(read.get(..passed).unwrap_or_default(), this.strict.head_begun());
            buffer.set_filled(before + at_once);
            if passed < count {
                this.instead = Some(UNREADABLE);
            }
            if at_once > 0 || count == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        let instead = this.instead.unwrap_or_default();
        if instead.is_empty() && !this.strict.is_rejected_at_end() {
            // A reader here waits for the client's disconnect, on behalf of a request before the rejected one.
            return this.poll_end(cx);
        }
        let (now, later) = instead.split_at(instead.len().min(buffer.remaining()));
        buffer.put_slice(now);
        this.instead = Some(later);
        Poll::Ready(Ok(()))
    }
}

impl StrictStream {
    /// Records on the connection's deadline that the client reads.
    fn wrote<T>(&self, written: Poll<io::Result<T>>, bytes: impl FnOnce(&T) -> usize) -> Poll<io::Result<T>> {
        match &written {
            Poll::Pending => self.deadline.write_waits(),
            Poll::Ready(Ok(done)) => self.deadline.has_written(bytes(done)),
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl AsyncWrite for StrictStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.wrote(written, |count| *count)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.wrote(written, |count| *count)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.wrote(flushed, |()| 0)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

impl Drop for StrictStream {
    /// What was written last may not be flushed, such as the closing frame of a WebSocket. It leaves if the connection takes it at
    /// once, as with pingora's own connections.
    fn drop(&mut self) {
        let _ = self.inner.flush().now_or_never();
    }
}

#[async_trait]
impl Shutdown for StrictStream {
    async fn shutdown(&mut self) {
        // Fails only if the client has disconnected.
        let _ = self.inner.flush().await;
        Shutdown::shutdown(&mut **self.inner.get_mut()).await;
    }
}

impl UniqueID for StrictStream {
    fn id(&self) -> UniqueIDType {
        self.inner.get_ref().id()
    }
}

impl Ssl for StrictStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ref().get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.get_ref().selected_alpn_proto()
    }
}

#[async_trait]
impl Peek for StrictStream {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.inner.get_mut().try_peek(buffer).await
    }
}

impl GetTimingDigest for StrictStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_ref().get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_ref().get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_ref().get_write_pending_time()
    }
}

impl GetProxyDigest for StrictStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.digest.clone()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.digest = Some(Arc::new(digest));
    }
}

impl GetSocketDigest for StrictStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_ref().get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.get_mut().set_socket_digest(digest);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;
    use crate::downstream::test_connection::{deadline, share};

    fn stream(inner: Stream) -> StrictStream {
        StrictStream::new(inner, BytesMut::new(), deadline(), (share(), 1024)).0
    }

    #[tokio::test]
    async fn parts_leave_together_and_none_is_lost() {
        let (server, mut client) = duplex(1024);
        let mut server = stream(Box::new(server));
        server.write_all(b"head ").await.expect("room");
        let mut read = [0; 32];
        assert!(client.read(&mut read).now_or_never().is_none());
        server.write_all(b"body ").await.expect("room");
        server.flush().await.expect("room");
        assert_eq!(client.read(&mut read).await.expect("both"), b"head body ".len());
        server.write_all(b"last").await.expect("room");
        drop(server);
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.expect("the rest");
        assert_eq!(rest, "last");
    }

    #[tokio::test]
    async fn the_connection_goes_on_without_it() {
        let (server, mut client) = duplex(1024);
        let inner = StrictStream::into_inner(Box::new(stream(Box::new(server))));
        inner.expect("a stream").write_all(b"next").await.expect("room");
        let mut text = String::new();
        client.read_to_string(&mut text).await.expect("text");
        assert_eq!(text, "next");
    }
}
