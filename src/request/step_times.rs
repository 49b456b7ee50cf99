//! How long the steps of a request took, for its access log line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The steps of a request with an action in microseconds; zero for those that it did not come to. A response carries them,
/// so they are small.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StepTimes {
    /// Authentication.
    pub authenticate: u32,
    /// Introspection of the upstream for this request.
    pub introspect: u32,
    /// Planning.
    pub plan: u32,
    /// Validation and authorization.
    pub validate: u32,
    /// Upstream requests.
    pub upstream: u32,
    /// Handler calls.
    pub handlers: u32,
    /// Merging the results into the response.
    pub respond: u32,
}

/// Collects the time of one kind of steps while they run: of parallel ones the longest, of successive ones their sum.
#[derive(Debug, Default)]
pub(crate) struct RunningTime(AtomicU64);

impl RunningTime {
    /// A step has ended after this time.
    pub(crate) fn note(&self, duration: Duration, is_parallel: bool) {
        let micros = u64::from(micros(duration));
        if is_parallel {
            self.0.fetch_max(micros, Ordering::Relaxed);
        } else {
            self.0.fetch_add(micros, Ordering::Relaxed);
        }
    }

    /// The time in microseconds; zero if there was no such step.
    #[must_use]
    pub(crate) fn total(&self) -> u32 {
        u32::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }
}

/// A duration in microseconds, one at least: zero stands for no step.
#[must_use]
pub(crate) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallel_steps_take_as_long_as_the_longest() {
        let (parallel, successive) = (RunningTime::default(), RunningTime::default());
        for millis in [2, 5, 3] {
            parallel.note(Duration::from_millis(millis), true);
            successive.note(Duration::from_millis(millis), false);
        }
        assert_eq!((parallel.total(), successive.total()), (5_000, 10_000));
        assert_eq!(RunningTime::default().total(), 0);
    }
}
