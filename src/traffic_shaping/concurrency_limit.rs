//! The concurrency limit of an action: a number of permits, a bounded queue with a timeout, and no more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// A limit: a handler that does not respond cannot take what others need.
pub(crate) struct ConcurrencyLimit {
    slots: Semaphore,
    /// Half as many, for calls that come in numbers.
    for_many: Semaphore,
    waiting: AtomicUsize,
    max_queued_calls: usize,
    queue_timeout: Duration,
}

/// One more that waits, until it is dropped.
struct QueueSlot<'b>(&'b AtomicUsize);

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ConcurrencyLimit {
    /// For so many calls, and so many that wait for so long.
    #[must_use]
    pub(crate) fn new(max_concurrent_calls: usize, max_queued_calls: usize, queue_timeout: Duration) -> Self {
        let max = max_concurrent_calls.min(Semaphore::MAX_PERMITS);
        let (slots, for_many) = (Semaphore::new(max), Semaphore::new((max / 2).max(1)));
        Self { slots, for_many, waiting: AtomicUsize::new(0), max_queued_calls, queue_timeout }
    }

    /// A permit for one call, or nothing if there is none in time.
    pub(crate) async fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(slot) = self.slots.try_acquire() {
            return Some(slot);
        }
        let already = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = QueueSlot(&self.waiting);
        if already >= self.max_queued_calls {
            return None;
        }
        tokio::time::timeout(self.queue_timeout, self.slots.acquire()).await.ok()?.ok()
    }

    /// A permit for one of many calls that a request has, beside that for the call itself. Those who wait for it take no
    /// room in the queue, and leave half of the limit to other requests. The caller limits how long it waits.
    pub(crate) async fn acquire_for_many(&self) -> Option<SemaphorePermit<'_>> {
        self.for_many.acquire().await.ok()
    }

    /// How many wait.
    #[must_use]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_run_some_wait_and_no_more() {
        let limit = ConcurrencyLimit::new(2, 1, Duration::from_millis(100));
        let first = limit.acquire().await.expect("a permit");
        let _second = limit.acquire().await.expect("a permit");
        let begun = tokio::time::Instant::now();
        let (third, fourth) = tokio::join!(limit.acquire(), async {
            tokio::task::yield_now().await;
            (limit.acquire().await.is_some(), begun.elapsed())
        });
        assert!(third.is_none(), "no permit was released in time");
        assert_eq!(fourth, (false, Duration::ZERO), "one waits already");
        assert_eq!(limit.waiting(), 0);
        let (waited, ()) = tokio::join!(limit.acquire(), async { drop(first) });
        assert!(waited.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_leave_half_of_the_limit_to_others() {
        let limit = ConcurrencyLimit::new(4, 0, Duration::ZERO);
        let _many = (limit.acquire_for_many().await, limit.acquire_for_many().await);
        let waits = tokio::time::timeout(Duration::from_secs(60), limit.acquire_for_many()).await;
        assert!(waits.is_err(), "it takes no room in the queue");
        assert_eq!(limit.waiting(), 0);
        let one = ConcurrencyLimit::new(1, 0, Duration::ZERO);
        assert!(one.acquire_for_many().await.is_some());
    }
}
