//! Availability of what Pillion depends on: one log line when it becomes unavailable, and one when it is available again,
//! with the cause and for how long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::error_kind::Reason;
use crate::model::label::Label;
use crate::telemetry::logs::milliseconds;

/// The state of a dependency, and since when. Time is an argument.
#[derive(Debug)]
pub(crate) struct Availability {
    /// Has it been available, or reported as unavailable? Until then a failure is no change.
    is_known: bool,
    lost_since: Option<Instant>,
}

/// A change of the state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    /// It has become unavailable.
    Lost,
    /// It is available again, after it had been unavailable for so long.
    Recovered(Duration),
}

impl Availability {
    /// Records that it is available.
    pub(crate) fn found(&mut self, now: Instant) -> Option<Transition> {
        self.is_known = true;
        self.lost_since.take().map(|since| Transition::Recovered(now.duration_since(since)))
    }

    /// Records that it is unavailable. The cause may change while it is: a connection is reset first, and denied then.
    pub(crate) fn missed(&mut self, now: Instant) -> Option<Transition> {
        if !self.is_known || self.lost_since.is_some() {
            return None;
        }
        self.lost_since = Some(now);
        Some(Transition::Lost)
    }
}

/// A dependency whose changes are logged.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// The message when it is lost.
    lost: &'static str,
    /// The message when it is back.
    recovered: &'static str,
    /// So that no lock is taken while all is well. Written only under the lock.
    is_well: AtomicBool,
    state: Mutex<Availability>,
}

impl Dependency {
    /// One that is taken to be available.
    #[must_use]
    pub(crate) const fn new(lost: &'static str, recovered: &'static str) -> Self {
        let state = Mutex::new(Availability { is_known: true, lost_since: None });
        Self { lost, recovered, is_well: AtomicBool::new(true), state }
    }

    /// One of which nothing is known yet: that it is absent is reported by [`Dependency::report_absent`] only.
    #[must_use]
    pub(crate) const fn unknown(lost: &'static str, recovered: &'static str) -> Self {
        let state = Mutex::new(Availability { is_known: false, lost_since: None });
        Self { lost, recovered, is_well: AtomicBool::new(false), state }
    }

    /// It was just available. `url` is without secrets.
    pub(crate) fn found(&self, url: &str) {
        if self.is_well.load(Ordering::Relaxed) {
            return;
        }
        let transition = self.change(|state| {
            self.is_well.store(true, Ordering::Relaxed);
            state.found(Instant::now())
        });
        if let Some(Transition::Recovered(duration)) = transition {
            tracing::info!(url, unavailable_ms = milliseconds(duration), "{}", self.recovered);
        }
    }

    /// It was just unavailable. `url` is without secrets.
    pub(crate) fn missed(&self, url: &str, cause: &Reason) {
        let transition = self.change(|state| {
            self.is_well.store(false, Ordering::Relaxed);
            state.missed(Instant::now())
        });
        if transition.is_some() {
            tracing::warn!(url, error.kind = cause.kind().label(), error.message = cause.text(), "{}", self.lost);
        }
    }

    /// It has not been available since the start, for longer than what it depends on takes to start.
    pub(crate) fn report_absent(&self, url: &str, cause: &Reason) {
        self.change(|state| state.is_known = true);
        self.missed(url, cause);
    }

    /// Is it unavailable?
    #[must_use]
    pub(crate) fn is_lost(&self) -> bool {
        !self.is_well.load(Ordering::Relaxed) && self.change(|state| state.lost_since.is_some())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Availability) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Was it there, when, and the change that it is.
    type Step = (bool, u64, Option<Transition>);

    fn check(mut availability: Availability, steps: &[Step]) {
        let start = Instant::now();
        for (is_there, at, wanted) in steps {
            let now = start + Duration::from_secs(*at);
            let change = if *is_there { availability.found(now) } else { availability.missed(now) };
            assert_eq!(change, *wanted, "at {at}");
        }
    }

    #[test]
    fn only_changes_are_reported() {
        let steps = [
            (true, 0, None),
            (false, 1, Some(Transition::Lost)),
            (false, 2, None),
            (true, 6, Some(Transition::Recovered(Duration::from_secs(5)))),
            (true, 7, None),
            (false, 8, Some(Transition::Lost)),
        ];
        check(Availability { is_known: true, lost_since: None }, &steps);
    }

    #[test]
    fn what_was_never_there_is_not_lost() {
        let steps = [(false, 1, None), (false, 2, None), (true, 3, None), (false, 4, Some(Transition::Lost))];
        check(Availability { is_known: false, lost_since: None }, &steps);
    }
}
