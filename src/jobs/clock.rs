//! The clock of a job store in a file.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Runs steadily from its start, so that a change of the system's clock neither delays a job nor takes it from its
/// worker. Times are microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: i64,
    started: Instant,
}

impl Clock {
    /// Starts at the system's time, or at the latest time that has been stored if that is later: time does not go back.
    #[must_use]
    pub(super) fn start(latest: i64) -> Self {
        let system = micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        Self { start: system.max(latest), started: Instant::now() }
    }

    /// The time.
    #[must_use]
    pub(super) fn now(&self) -> i64 {
        self.after(Duration::ZERO)
    }

    /// The time after a while.
    #[must_use]
    pub(super) fn after(&self, span: Duration) -> i64 {
        self.start.saturating_add(micros(self.started.elapsed())).saturating_add(micros(span))
    }

    /// The time a while ago.
    #[must_use]
    pub(super) fn before(&self, span: Duration) -> i64 {
        self.now().saturating_sub(micros(span))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let ahead = Clock::start(0).after(Duration::from_secs(3600));
        let clock = Clock::start(ahead);
        assert!(clock.now() >= ahead);
        assert!(clock.before(Duration::from_secs(1)) < clock.now());
        assert_eq!(clock.after(Duration::MAX), i64::MAX);
    }
}
