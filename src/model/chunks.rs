//! Collects a body that arrives in chunks, up to a limit.

use bytes::{Bytes, BytesMut};

/// The pieces that have arrived.
#[derive(Debug)]
pub struct Chunks {
    /// Most bodies come in one piece, which then needs no copy.
    first: Bytes,
    all: BytesMut,
    bytes_max: usize,
    /// How many bytes there will be, if that was announced.
    expected: usize,
}

/// More arrived than may be held: the piece that does not fit.
#[derive(Debug)]
pub struct TooLong(pub Bytes);

impl Chunks {
    /// Nothing yet.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { first: Bytes::new(), all: BytesMut::new(), bytes_max, expected: 0 }
    }

    /// Nothing yet of so many bytes. It is only a hint: what does not come costs address space, but no memory.
    #[must_use]
    pub fn expecting(expected: usize, bytes_max: usize) -> Self {
        Self { expected: expected.min(bytes_max), ..Self::new(bytes_max) }
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn push(&mut self, chunk: Bytes) -> Result<(), TooLong> {
        if self.first.len() + self.all.len() + chunk.len() > self.bytes_max {
            return Err(TooLong(chunk));
        }
        if self.first.is_empty() && self.all.is_empty() {
            self.first = chunk;
            return Ok(());
        }
        if self.all.is_empty() {
            self.all.reserve(self.expected.max(self.first.len() + chunk.len()));
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&chunk);
        Ok(())
    }

    /// The whole.
    #[must_use]
    pub fn finish(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_one_up_to_the_limit() {
        let mut chunks = Chunks::new(5);
        for piece in ["ab", "", "cde"] {
            assert!(chunks.push(Bytes::from(piece)).is_ok());
        }
        assert!(chunks.push(Bytes::from("f")).is_err());
        assert_eq!(chunks.finish(), "abcde");
        assert_eq!(Chunks::new(0).finish(), "");
    }
}
