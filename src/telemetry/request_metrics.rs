//! The golden signals of all requests, by kind: how many there were, with which status, and how long they took.

use std::array;
use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use crate::telemetry::request_kind::RequestKind;

/// Classes of HTTP statuses, and `none` for requests whose client has seen no status.
const STATUS_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Handles of `pillion_requests_total` and `pillion_request_duration_seconds`. A series is looked up once, when the first
/// request of its kind ends: every request needs them, and most of the combinations never occur.
pub struct RequestMetrics {
    total: IntCounterVec,
    seconds: HistogramVec,
    by_kind: [Handles; RequestKind::ALL.len()],
}

#[derive(Default)]
struct Handles {
    by_status: [OnceLock<IntCounter>; STATUS_CLASSES.len()],
    seconds: OnceLock<Histogram>,
}

impl RequestMetrics {
    /// Handles of these two. Those of the main kinds exist from the start, so that their first failure is an increase.
    pub(super) fn new(total: &IntCounterVec, seconds: &HistogramVec) -> Self {
        for kind in [RequestKind::Passthrough, RequestKind::Action] {
            for class in ["2xx", "5xx"] {
                total.with_label_values(&[kind.label(), class]);
            }
            seconds.with_label_values(&[kind.label()]);
        }
        Self { total: total.clone(), seconds: seconds.clone(), by_kind: array::from_fn(|_| Handles::default()) }
    }

    /// A request has ended.
    pub(crate) fn observe(&self, kind: RequestKind, status: Option<StatusCode>, duration: Duration) {
        let class = status.map_or(0, |status| usize::from(status.as_u16() / 100));
        let Some(handles) = self.by_kind.get(kind as usize) else { return };
        if let (Some(counter), Some(name)) = (handles.by_status.get(class), STATUS_CLASSES.get(class)) {
            counter.get_or_init(|| self.total.with_label_values(&[kind.label(), name])).inc();
        }
        let seconds = handles.seconds.get_or_init(|| self.seconds.with_label_values(&[kind.label()]));
        seconds.observe(duration.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_handles_of_its_own() {
        for (index, kind) in RequestKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{}", kind.label());
        }
    }
}
