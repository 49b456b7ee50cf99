//! What a live query waits for before it is executed again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::jobs::waiters::JobWaiter;

/// By what the response to a subscription may change.
#[derive(Default)]
pub(crate) struct LiveDependencies {
    calls: Mutex<Vec<JobWaiter>>,
    rows: AtomicBool,
}

impl LiveDependencies {
    /// A call was looked up that has not ended.
    pub(crate) fn saw_call(&self, wait: JobWaiter) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(wait);
    }

    /// Rows of the upstream are part of the response.
    pub(crate) fn saw_rows(&self) {
        self.rows.store(true, Ordering::Relaxed);
    }

    /// Until there may be something new. An operation that depends on jobs only is notified; others poll.
    pub(crate) async fn change(&self, pause: Duration) {
        let mut calls = std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        let waits_for_calls = !calls.is_empty();
        let poll = async {
            match (waits_for_calls, self.rows.load(Ordering::Relaxed)) {
                (true, false) => std::future::pending().await,
                (_, true) => tokio::time::sleep(pause.min(ROWS_MAX)).await,
                (false, false) => tokio::time::sleep(pause.min(IDLE_MAX)).await,
            }
        };
        let mut ended: FuturesUnordered<_> = calls.iter_mut().map(JobWaiter::ended).collect();
        tokio::select! {
            () = poll => {}
            Some(()) = ended.next() => {}
        }
    }
}

/// The longest interval while rows of the upstream are shown, whose changes are not notified.
const ROWS_MAX: Duration = Duration::from_secs(5);

/// The longest interval otherwise: nothing is left to change, unless an ended job is retried.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(60);
