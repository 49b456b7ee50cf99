//! The end of the process for those that stay connected: not all of them leave at once, for they come back at once.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::runtime::services::Services;

/// Each request in flight adds so much to the time over which they leave.
const FAREWELL: Duration = Duration::from_millis(10);

/// The time to leave for one of them: at random, within half of the time for shutdown.
pub(crate) fn time_to_leave(services: &Services) -> Instant {
    let in_flight = u32::try_from(services.metrics.requests_in_flight.get()).unwrap_or_default();
    let all = FAREWELL.saturating_mul(in_flight).min(services.configured().settings.shutdown_timeout / 2);
    Instant::now() + all.mul_f64(f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX))
}
