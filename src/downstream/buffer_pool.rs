//! A pool of buffers: what a request needs and an idle connection does not moves from one connection of a thread to the
//! next, so that idle connections cost little, and requests do not allocate.

use std::cell::RefCell;

use bytes::BytesMut;

/// Unused objects of one kind.
pub(crate) struct BufferPool<T>(RefCell<Vec<T>>);

/// So many are kept for requests to come; with more requests than that at one time, the rest are allocated.
const KEPT: usize = 64;

impl<T> BufferPool<T> {
    /// An empty one.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// One that has been used before, if there is one.
    pub(crate) fn take(&self) -> Option<T> {
        self.0.borrow_mut().pop()
    }

    /// Returns one to the pool.
    pub(crate) fn keep(&self, thing: T) {
        let mut things = self.0.borrow_mut();
        if things.len() < KEPT {
            things.push(thing);
        }
    }
}

impl<T> Default for BufferPool<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that are read of a client at a time, as long as nothing is known of a body.
pub(crate) const READ_BYTES: usize = 4096;

/// The read buffer and the write buffer.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// Has room for [`READ_BYTES`], unless it is the default.
    pub read: BytesMut,
    /// The head of a response.
    pub out: Vec<u8>,
}

/// Buffers that have become larger are given back to the allocator.
const KEPT_BYTES: usize = 2 * READ_BYTES;

thread_local! {
    static BUFFERS: BufferPool<Buffers> = const { BufferPool::new() };
}

impl Buffers {
    /// Empty ones.
    #[must_use]
    pub(crate) fn take() -> Self {
        let kept = BUFFERS.try_with(BufferPool::take).ok().flatten();
        kept.unwrap_or_else(|| Self { read: BytesMut::with_capacity(READ_BYTES), out: Vec::new() })
    }

    /// Keeps them for the next request, if none of the bytes that were read are in use any more.
    pub(crate) fn give_back(mut self) {
        self.read.clear();
        self.out.clear();
        let is_usable = self.read.try_reclaim(READ_BYTES);
        if is_usable && self.read.capacity() <= KEPT_BYTES && self.out.capacity() <= KEPT_BYTES {
            // Fails only at the thread's end.
            let _ = BUFFERS.try_with(|buffers| buffers.keep(self));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(buffers: &Buffers) -> *const u8 {
        buffers.read.as_ptr()
    }

    #[test]
    fn only_unused_buffers_are_reused() {
        let mut first = Buffers::take();
        let place = address(&first);
        first.read.extend_from_slice(b"POST / HTTP/1.1");
        let head = first.read.split().freeze();
        drop(head);
        first.give_back();
        let mut second = Buffers::take();
        assert_eq!(address(&second), place);
        assert!(second.read.is_empty() && second.read.capacity() >= READ_BYTES);
        second.read.extend_from_slice(b"POST / HTTP/1.1");
        let head = second.read.split().freeze();
        second.give_back();
        let mut third = Buffers::take();
        assert_ne!(address(&third), place, "{head:?} is in use");
        third.read.reserve(10 * KEPT_BYTES);
        third.give_back();
        // By its size, because the allocator may give out the same place again.
        assert!(Buffers::take().read.capacity() <= KEPT_BYTES, "it is too large to be kept");
    }

    #[test]
    fn not_more_than_a_few_are_kept() {
        let pool = BufferPool::new();
        (0..2 * KEPT).for_each(|thing| pool.keep(thing));
        assert_eq!(std::iter::from_fn(|| pool.take()).count(), KEPT);
    }
}
