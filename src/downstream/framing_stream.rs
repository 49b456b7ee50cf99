//! Request smuggling protection: the client's connection as pingora reads it, passed through unchanged until the client
//! writes something ambiguous. From there on it yields two bytes that no parser takes, so that pingora rejects the
//! request; what else the client writes is discarded.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::downstream::connection_deadline::ConnectionDeadline;
use crate::downstream::head_size_limit::HeadBound;
use crate::downstream::partial_head::PartialHead;
use crate::downstream::session_deadline::digest_with;
use crate::memory::Share;
use crate::protocol::http1::strict::Strict;

/// A connection whose client is read to the letter.
#[derive(Debug)]
pub(crate) struct StrictStream {
    inner: Stream,
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
        (Self { inner, strict, bound, pieces, deadline, digest, instead: is_rejected.then_some(&[]) }, read)
    }
}

impl StrictStream {
    /// Has the client of this stream, if it is one of these, written exactly so many whole requests, and nothing else?
    #[must_use]
    pub(crate) fn is_after(stream: &Stream, requests: u64) -> bool {
        let stream = (**stream).as_any().downcast_ref::<Self>();
        stream.is_some_and(|stream| {
            stream.instead.is_none() && stream.pieces.are_given() && stream.strict.is_after(requests)
        })
    }

    /// The connection as it was before; `None` if this is none of these streams.
    #[must_use]
    pub(crate) fn into_inner(stream: Stream) -> Option<Stream> {
        stream.into_any().downcast().ok().map(|stream: Box<Self>| stream.inner)
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

#[async_trait]
impl Shutdown for StrictStream {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

impl UniqueID for StrictStream {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for StrictStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

#[async_trait]
impl Peek for StrictStream {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.inner.try_peek(buffer).await
    }
}

impl GetTimingDigest for StrictStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
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
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.set_socket_digest(digest);
    }
}
