//! Limits how much of a request's head is buffered. pingora would hold half a head of 1 MiB.

use std::io;
use std::io::ErrorKind;

use crate::memory::Share;

/// How much of a head has been read from a connection.
#[derive(Debug)]
pub(crate) struct HeadBound {
    /// What half a head holds of the memory budget.
    share: Share,
    /// Which head it is, counted from the first of the connection.
    head: Option<u32>,
    bytes: usize,
    bytes_max: usize,
}

/// So much of a head is read without asking for room: usual heads fit, and each connection has a buffer of as much.
const FREE_BYTES: usize = 4 * 1024;

impl HeadBound {
    /// Of a connection of whose head `awaited` so many bytes have been `read` already. `share` is empty.
    #[must_use]
    pub(crate) fn new(share: Share, awaited: Option<u32>, read: usize, bytes_max: usize) -> Self {
        Self { share, head: awaited, bytes: read, bytes_max }
    }

    /// So many bytes more have been read, while the head `awaited` was, if one was.
    ///
    /// # Errors
    /// When these are too many for a head, or there is no room for them.
    pub(crate) fn count(&mut self, read: usize, awaited: Option<u32>) -> io::Result<()> {
        if awaited.is_none() || awaited != self.head {
            (self.head, self.bytes) = (awaited, 0);
            self.share.shrink_to(0);
        }
        if awaited.is_none() {
            return Ok(());
        }
        self.bytes += read;
        if self.bytes > self.bytes_max {
            return Err(io::Error::new(ErrorKind::InvalidData, "the head of the request is too long"));
        }
        if self.bytes > FREE_BYTES {
            self.share.grow(read).map_err(|no_room| io::Error::new(ErrorKind::OutOfMemory, no_room))?;
        }
        Ok(())
    }
}
