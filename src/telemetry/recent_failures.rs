//! Recent failures: the last failed handler calls of each action, for the console. Nothing is kept unless there is a console, and
//! never more than a fixed number.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::model::label::Label;
use crate::telemetry::failure_log::{Failed, Failure};

/// A failed handler call. It holds what its line in the log does.
#[derive(Clone, Debug)]
pub(crate) struct RecentFailure {
    /// When it failed.
    pub at: SystemTime,
    /// The cause.
    pub kind: &'static str,
    /// The cause in words.
    pub message: String,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The request.
    pub request_id: String,
    /// Its trace.
    pub trace_id: String,
    /// The role of the caller.
    pub role: Option<String>,
    /// How often it was sent.
    pub attempts: u32,
    /// How long all of them took.
    pub duration: Duration,
}

/// Failures that are kept of one action.
pub(crate) const OF_ACTION_MAX: usize = 50;

/// Failures that are kept of all actions: half a MiB at most.
const ALL_MAX: usize = 1_000;

/// Bytes of a message or an id that are kept.
const TEXT_BYTES_MAX: usize = 300;

/// The failures by action.
#[derive(Default)]
pub(crate) struct RecentFailures {
    is_kept: AtomicBool,
    by_action: Mutex<HashMap<String, VecDeque<RecentFailure>>>,
}

impl RecentFailures {
    /// From now on they are kept.
    pub(crate) fn keep(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// Notes a failure, if it is one of a handler call.
    pub(crate) fn note(&self, failure: &Failure<'_>, at: SystemTime) {
        let Failed::Handler(action) = failure.failed else { return };
        if !self.is_kept.load(Ordering::Relaxed) {
            return;
        }
        let recent = recent(failure, at);
        let mut all = self.by_action.lock().unwrap_or_else(PoisonError::into_inner);
        if all.values().map(VecDeque::len).sum::<usize>() >= ALL_MAX {
            // The action with the most of them can spare one.
            let most = all.iter().max_by_key(|(_, failures)| failures.len()).map(|(name, _)| name.clone());
            if let Some(failures) = most.and_then(|name| all.get_mut(&name)) {
                failures.pop_front();
            }
            all.retain(|_, failures| !failures.is_empty());
        }
        let failures = all.entry(action.to_owned()).or_default();
        if failures.len() >= OF_ACTION_MAX {
            failures.pop_front();
        }
        failures.push_back(recent);
    }

    /// Those of an action, the newest first.
    #[must_use]
    pub(crate) fn of(&self, action: &str) -> Vec<RecentFailure> {
        let all = self.by_action.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(action).map(|failures| failures.iter().rev().cloned().collect()).unwrap_or_default()
    }
}

fn recent(failure: &Failure<'_>, at: SystemTime) -> RecentFailure {
    let cut = |text: &str| text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default().to_owned();
    RecentFailure {
        at,
        kind: failure.kind.label(),
        message: cut(&failure.message),
        status: failure.status,
        request_id: cut(failure.request_id),
        trace_id: cut(failure.trace_id),
        role: failure.role.map(cut),
        attempts: failure.attempts,
        duration: failure.duration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::error_kind::{ErrorKind, Severity};

    fn failure<'f>(action: &'f str, message: &str) -> Failure<'f> {
        Failure {
            failed: Failed::Handler(action),
            kind: ErrorKind::Timeout,
            severity: Severity::Warn,
            message: message.to_owned(),
            server: ("h", None),
            status: None,
            request_id: "r",
            trace_id: "",
            operation: None,
            role: None,
            attempts: 1,
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn the_newest_of_each_action_are_kept_and_never_too_many() {
        let (failures, now) = (RecentFailures::default(), SystemTime::UNIX_EPOCH);
        failures.note(&failure("a", "before"), now);
        failures.keep();
        (0..60).for_each(|index| failures.note(&failure("a", &index.to_string()), now));
        let kept = failures.of("a");
        assert_eq!((kept.len(), kept.first().map(|one| one.message.as_str())), (OF_ACTION_MAX, Some("59")));
        let names: Vec<String> = (0..2_000).map(|index| format!("action{index}")).collect();
        names.iter().for_each(|name| failures.note(&failure(name, "x"), now));
        let total: usize = names.iter().chain(&["a".to_owned()]).map(|name| failures.of(name).len()).sum();
        assert_eq!(total, ALL_MAX);
        assert_eq!(failures.of("action1999").len(), 1);
        failures.note(&failure("b", &"é".repeat(1_000)), now);
        assert!(failures.of("b").iter().all(|one| one.message.len() <= TEXT_BYTES_MAX));
    }
}
