//! Connections weighted by their memory. `limits.max_connections` is a promise about memory, and connections differ: an
//! idle one of HTTP/1.1 takes up to 8 KiB, keys and records of TLS as much again, and a connection of HTTP/2 has
//! buffers and tables of its own for as long as it lives.

use pingora::protocols::Stream;
use prometheus::IntGauge;

use crate::runtime::services::Services;
use crate::telemetry::metrics::{is_above, is_nearly_full};

/// Weight of a connection, given back when they are dropped.
#[derive(Debug)]
pub(crate) struct ConnectionWeights {
    gauge: IntGauge,
    count: i64,
}

/// The weight of a connection that speaks HTTP/1.1 without TLS, or whose protocol is not known yet.
const FIRST: i64 = 1;

/// TLS takes so many more.
const TLS: i64 = 1;

/// HTTP/2 takes so many more.
const HTTP2: i64 = 3;

/// Both together take one more than each by itself: records of TLS are longer there.
const HTTP2_OVER_TLS: i64 = TLS + HTTP2 + 1;

impl ConnectionWeights {
    /// For a connection that has just come. `None` if there are too many.
    #[must_use]
    pub(crate) fn first(services: &Services) -> Option<Self> {
        Self::take(services, FIRST)
    }

    /// The weight beyond the first. `None` if the limit is reached.
    #[must_use]
    pub(crate) fn beyond_first(services: &Services, stream: &Stream, is_http1: bool) -> Option<Self> {
        Self::take(
            services,
            match (stream.get_ssl_digest().is_some(), is_http1) {
                (false, true) => 0,
                (true, true) => TLS,
                (false, false) => HTTP2,
                (true, false) => HTTP2_OVER_TLS,
            },
        )
    }

    fn take(services: &Services, count: i64) -> Option<Self> {
        let metrics = &services.metrics;
        metrics.connection_weight.add(count);
        let weight = Self { gauge: metrics.connection_weight.clone(), count };
        if count > 0 && is_above(metrics.connection_weight.get(), services.configured().settings.limits.max_connections)
        {
            metrics.shed.with_label_values(&["connections"]).inc();
            return None;
        }
        Some(weight)
    }
}

impl Drop for ConnectionWeights {
    fn drop(&mut self) {
        self.gauge.sub(self.count);
    }
}

/// Are so many taken that no connection should be kept for later requests?
#[must_use]
pub(crate) fn are_scarce(services: &Services) -> bool {
    is_nearly_full(services.metrics.connection_weight.get(), services.configured().settings.limits.max_connections)
}
