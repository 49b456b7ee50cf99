//! A pool of buffers: what a request needs and an idle connection does not moves from one connection of a thread to the
//! next, so that idle connections cost little, and requests do not allocate.

use std::cell::RefCell;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_more_than_a_few_are_kept() {
        let pool = BufferPool::new();
        (0..2 * KEPT).for_each(|thing| pool.keep(thing));
        assert_eq!(std::iter::from_fn(|| pool.take()).count(), KEPT);
    }
}
