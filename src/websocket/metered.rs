//! A metered WebSocket: charges a half-read message to the memory budget: what has been read since the last complete
//! one.

use std::io;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::memory::Share;

/// The transport, with the share for what has been read from it. The reader of a complete message shrinks the share.
pub(super) struct Metered<S> {
    wire: S,
    share: Arc<Share>,
}

impl<S> Metered<S> {
    /// A wire over which nothing has come that is held.
    pub(super) fn new(wire: S, share: Arc<Share>) -> Self {
        Self { wire, share }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.wire).poll_read(cx, buffer))?;
        let grown = this.share.grow(buffer.filled().len() - before);
        Poll::Ready(grown.map_err(|no_room| io::Error::new(ErrorKind::OutOfMemory, no_room)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_shutdown(cx)
    }
}
