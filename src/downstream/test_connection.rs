//! What a connection has, for unit tests of one: room for a mebibyte, and a minute for everything.

use std::sync::Arc;
use std::time::Duration;

use crate::downstream::connection_deadline::ConnectionDeadline;
use crate::memory::{Bounds, Budget, MemoryOwner, Share};
use crate::model::min_rate::MinRate;
use crate::telemetry::metrics::Metrics;

const ROOM: usize = 1 << 20;
const MINUTE: Duration = Duration::from_secs(60);

/// An empty share of a budget.
pub(crate) fn share() -> Share {
    let metrics = Metrics::new().expect("metrics");
    let bounds = Bounds { all: ROOM, client: ROOM, connection: ROOM };
    Budget::new(&metrics.buffered_bytes, &metrics.memory_rejections, bounds).empty(MemoryOwner::default())
}

/// A deadline that does not pass.
pub(crate) fn deadline() -> Arc<ConnectionDeadline> {
    let download = MinRate { bytes_per_second: 1, grace: MINUTE };
    Arc::new(ConnectionDeadline::new(MINUTE, download, None))
}
