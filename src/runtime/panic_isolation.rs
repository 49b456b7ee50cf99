//! Panic isolation and supervision: a panic ends only the request or the task that it occurs in.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

/// `None` if `work` has panicked; the panic hook has counted and logged it.
pub(crate) fn catch_panic<F: Future>(work: F) -> impl Future<Output = Option<F::Output>> {
    AssertUnwindSafe(work).catch_unwind().map(Result::ok)
}

/// Runs `work` under supervision: a task that panics is restarted, with a backoff that grows if it happens again.
pub(crate) async fn supervise<F: Future<Output = ()>>(mut work: impl FnMut() -> F) {
    let mut pause = PAUSE;
    while catch_panic(work()).await.is_none() {
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(PAUSE_MAX);
    }
}

const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Fail points: where the tests have a panic occur once, at the locations that `PILLION_FAILPOINTS` names, separated by
/// commas.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "that is what it is for")]
pub(crate) fn failpoint(place: &str) {
    use std::sync::{LazyLock, Mutex, PoisonError};
    static LEFT: LazyLock<Mutex<Vec<String>>> = LazyLock::new(|| {
        let named = std::env::var("PILLION_FAILPOINTS").unwrap_or_default();
        Mutex::new(named.split(',').map(str::to_owned).collect())
    });
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = left.iter().position(|named| named == place) {
        left.swap_remove(at);
        panic!("a failpoint: {place}");
    }
}

/// There are none in a release.
#[cfg(not(debug_assertions))]
pub(crate) fn failpoint(_: &str) {}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_restarted() {
        let begun = Cell::new(0);
        supervise(|| {
            begun.set(begun.get() + 1);
            let begun = begun.get();
            async move { assert!(begun > 3, "again") }
        })
        .await;
        assert_eq!(begun.get(), 4);
        assert_eq!(catch_panic(async { 5 }).await, Some(5));
    }
}
