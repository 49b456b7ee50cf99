//! The failure log: one line for each failed handler call and upstream request, with its cause. Lines with the same cause
//! are rate limited, and the next one says how many were left out, so that an outage does not flood the log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::error_kind::{ErrorKind, Severity};
use crate::model::label::{Label, labels};
use crate::telemetry::logs::milliseconds;

labels! {
    /// What an upstream request was sent for.
    pub(crate) enum UpstreamPurpose {
        /// A client's own request that is forwarded.
        Passthrough = "passthrough",
        /// The upstream's part of a request with an action.
        Operation = "operation",
        /// An element of a batch that has no action.
        BatchElement = "batch_element",
        /// Rows for a relationship of a handler's response.
        Relationship = "relationship",
        /// The query before a handler call.
        Before = "before",
        /// A command of the metadata API.
        MetadataApi = "metadata_api",
    }
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed<'f> {
    /// A call to the handler of this action.
    Handler(&'f str),
    /// A request to the upstream.
    Upstream(UpstreamPurpose),
}

/// A failed call or request. It holds nothing of a client's request but the name of its operation, and nothing of a
/// response but its status.
#[derive(Clone, Debug)]
pub(crate) struct Failure<'f> {
    /// What failed.
    pub failed: Failed<'f>,
    /// The cause.
    pub kind: ErrorKind,
    /// The level of its line.
    pub severity: Severity,
    /// The cause in words, for operators.
    pub message: String,
    /// Host and port of the peer.
    pub server: (&'f str, Option<u16>),
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The request that it belongs to; empty if it is not known.
    pub request_id: &'f str,
    /// The trace that it belongs to; empty if it is not known.
    pub trace_id: &'f str,
    /// The name of the client's operation.
    pub operation: Option<&'f str>,
    /// The role of the caller.
    pub role: Option<&'f str>,
    /// How often it was sent.
    pub attempts: u32,
    /// From the first attempt to the failure.
    pub duration: Duration,
}

/// Counts failures by cause, and lets one line a second pass for each.
#[derive(Default)]
pub(crate) struct FailureLog(Mutex<Sampler>);

impl FailureLog {
    /// Writes the line of a failure, unless one with the same cause was written within the last second.
    pub(crate) fn write(&self, failure: &Failure<'_>) {
        let suppressed = {
            let mut sampler = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            sampler.admit(failure.failed, failure.kind, Instant::now())
        };
        if let Some(suppressed) = suppressed {
            write_line(failure, suppressed);
        }
    }
}

/// How long lines with a cause are left out after one.
const PAUSE: Duration = Duration::from_secs(1);

/// Causes that are remembered; more of them share one entry.
const CAUSES_MAX: usize = 1024;

/// By which failures are told apart: the name of the action, or the purpose of an upstream request.
type Cause = (bool, Box<str>, ErrorKind);

/// Decides which failures have a line. Time is an argument.
#[derive(Default)]
struct Sampler {
    causes: HashMap<Cause, Written>,
    /// Of all that find no room.
    others: Option<Written>,
}

#[derive(Clone, Copy)]
struct Written {
    at: Instant,
    suppressed: u64,
}

impl Sampler {
    /// How many failures with this cause had no line since the last one; `None` if this one has none either.
    fn admit(&mut self, failed: Failed<'_>, kind: ErrorKind, now: Instant) -> Option<u64> {
        let cause = match failed {
            Failed::Handler(action) => (true, action.into(), kind),
            Failed::Upstream(purpose) => (false, purpose.label().into(), kind),
        };
        if let Some(written) = self.causes.get_mut(&cause) {
            return written.admit(now);
        }
        if self.causes.len() >= CAUSES_MAX {
            self.causes.retain(|_, written| now.duration_since(written.at) < PAUSE);
        }
        if self.causes.len() < CAUSES_MAX {
            self.causes.insert(cause, Written { at: now, suppressed: 0 });
            return Some(0);
        }
        match &mut self.others {
            Some(written) => written.admit(now),
            None => {
                self.others = Some(Written { at: now, suppressed: 0 });
                Some(0)
            }
        }
    }
}

impl Written {
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.at) < PAUSE {
            self.suppressed += 1;
            return None;
        }
        self.at = now;
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// Bytes of an operation's name in a line.
const NAME_BYTES_MAX: usize = 100;

/// The level of a line cannot be a variable.
macro_rules! line {
    ($level:ident, $failure:ident, $suppressed:ident) => {{
        let (action, purpose, message) = match $failure.failed {
            Failed::Handler(action) => (Some(action), None, "handler call failed"),
            Failed::Upstream(purpose) => (None, Some(purpose.label()), "upstream request failed"),
        };
        let operation = $failure.operation.map(|name| name.get(..name.floor_char_boundary(NAME_BYTES_MAX)));
        tracing::$level!(
            error.kind = $failure.kind.label(),
            error.message = $failure.message,
            action,
            upstream.purpose = purpose,
            server.address = $failure.server.0,
            server.port = $failure.server.1,
            http.response.status_code = $failure.status,
            request_id = Some($failure.request_id).filter(|id| !id.is_empty()),
            trace_id = Some($failure.trace_id).filter(|id| !id.is_empty()),
            graphql.operation.name = operation.flatten(),
            role = $failure.role,
            attempts = $failure.attempts,
            duration_ms = milliseconds($failure.duration),
            suppressed = Some($suppressed).filter(|count| *count > 0),
            "{message}"
        )
    }};
}

fn write_line(failure: &Failure<'_>, suppressed: u64) {
    match failure.severity {
        Severity::Info => line!(info, failure, suppressed),
        Severity::Warn => line!(warn, failure, suppressed),
        Severity::Error => line!(error, failure, suppressed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_second_for_each_cause_with_the_count_of_the_rest() {
        let (mut sampler, start) = (Sampler::default(), Instant::now());
        let mut admit = |failed, kind, after: u64| sampler.admit(failed, kind, start + Duration::from_millis(after));
        let quote = Failed::Handler("quote");
        assert_eq!(admit(quote, ErrorKind::Timeout, 0), Some(0));
        assert_eq!(admit(quote, ErrorKind::Timeout, 1), None);
        assert_eq!(admit(quote, ErrorKind::Timeout, 999), None);
        assert_eq!(admit(quote, ErrorKind::Dns, 999), Some(0), "another cause");
        assert_eq!(admit(Failed::Handler("other"), ErrorKind::Timeout, 999), Some(0), "another action");
        assert_eq!(admit(Failed::Upstream(UpstreamPurpose::Operation), ErrorKind::Timeout, 999), Some(0));
        assert_eq!(admit(quote, ErrorKind::Timeout, 1000), Some(2));
        assert_eq!(admit(quote, ErrorKind::Timeout, 5000), Some(0));
    }

    #[test]
    fn the_table_is_bounded() {
        let (mut sampler, now) = (Sampler::default(), Instant::now());
        for index in 0..CAUSES_MAX {
            assert_eq!(sampler.admit(Failed::Handler(&format!("action{index}")), ErrorKind::Dns, now), Some(0));
        }
        assert_eq!(sampler.admit(Failed::Handler("one more"), ErrorKind::Dns, now), Some(0));
        assert_eq!(sampler.admit(Failed::Handler("and another"), ErrorKind::Dns, now), None, "they share an entry");
        assert_eq!(sampler.causes.len(), CAUSES_MAX);
        let later = now + PAUSE;
        assert_eq!(sampler.admit(Failed::Handler("and another"), ErrorKind::Dns, later), Some(0));
        assert_eq!(sampler.causes.len(), 1, "entries that are not needed make room");
    }
}
