//! The catalogue of metrics. No label value ever comes from a request: actions are named by the configuration, all
//! other values are listed here.

use std::ops::Deref;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

pub(crate) use crate::telemetry::declare::MetricEntry;
use crate::telemetry::declare::{Sizes, metrics};
use crate::telemetry::logs;
use crate::telemetry::request_metrics::RequestMetrics;

metrics! {
    /// What is counted while Pillion runs.
    pub struct Counted {
        /// Requests that have ended, by the class of their status; none if the client has seen no status.
        requests: IntCounterVec = "pillion_requests_total" { kind, status };
        /// Duration of requests, from the end of their head to the end of the response; of WebSockets and streams of events
        /// to the head of the response.
        request_seconds: HistogramVec = "pillion_request_duration_seconds" { kind };
        /// Requests that are being served.
        requests_in_flight: IntGauge = "pillion_requests_in_flight";
        /// Requests in flight whose body has not arrived yet.
        incomplete_requests: IntGauge = "pillion_incomplete_requests";
        /// Streams of server-sent events, among the requests in flight.
        event_streams: IntGauge = "pillion_event_streams";
        /// Open connections of clients.
        connections: IntGauge = "pillion_connections";
        /// What connections count against limits.max_connections: one each, with TLS two, of HTTP/2 four, of both six.
        connection_weight: IntGauge = "pillion_connection_weight";
        /// Connections closed because the head of a request took too long.
        request_header_timeouts: IntCounter = "pillion_request_header_timeouts_total";
        /// Requests and connections ended because the client sent a body, or read a response, below the minimum rate.
        slow_clients: IntCounterVec = "pillion_slow_clients_total" { transfer: ["upload", "download"] };
        /// Requests rejected before anything ran.
        rejected: IntCounterVec = "pillion_rejected_requests_total" { reason };
        /// Requests and connections rejected by load shedding, by the resource that was exhausted.
        shed: IntCounterVec = "pillion_shed_requests_total" {
            resource: [
                "requests", "incomplete_requests", "client_requests", "event_streams", "client_event_streams", "memory",
                "descriptors", "connections", "client_connections", "admin_connections"
            ]
        };
        /// Phases of requests with an action.
        phase_seconds: HistogramVec = "pillion_phase_duration_seconds" {
            phase: ["authenticate", "introspect", "plan", "validate", "run", "respond"]
        };
        /// Handler calls that have ended; of those that failed, the outcome is the error kind.
        handler_calls: IntCounterVec = "pillion_handler_calls_total" { action, outcome };
        /// Handler calls, from connecting to the end of the response.
        handler_call_seconds: HistogramVec = "pillion_handler_call_duration_seconds" { action };
        /// Responses of handlers, by class of their status.
        handler_responses: IntCounterVec = "pillion_handler_responses_total" { action, status };
        /// Bytes of the bodies that were sent to handlers.
        handler_request_bytes: IntCounterVec = "pillion_handler_request_bytes_total" { action };
        /// Bytes of the bodies that handlers sent, decoded.
        handler_response_bytes: IntCounterVec = "pillion_handler_response_bytes_total" { action };
        /// Handler calls before which the upstream was asked: passed, denied by its response, or failed without a usable one.
        before_calls: IntCounterVec = "pillion_before_calls_total" { action, outcome };
        /// Handler calls rejected by the traffic policy of their action.
        handler_calls_rejected: IntCounterVec = "pillion_handler_calls_rejected_total" { action, reason };
        /// Handler calls for extension fields, each for one key or for a batch of them.
        field_batches: IntCounterVec = "pillion_field_batches_total" { action };
        /// Keys in handler calls for extension fields.
        field_batch_size: Sizes = "pillion_field_batch_size";
        /// Lookups in the response cache: hit, stale (revalidated in the background) or miss.
        response_cache_lookups: IntCounterVec = "pillion_response_cache_lookups_total" { action, outcome };
        /// Bytes of cached responses.
        cache_bytes: IntGauge = "pillion_response_cache_bytes";
        /// Rows of the upstream whose extension fields were resolved.
        field_rows: IntCounterVec = "pillion_field_rows_total" { action };
        /// Retries of handler calls.
        handler_retries: IntCounterVec = "pillion_handler_retries_total" { action };
        /// Handler calls that could not be counted because Redis did not respond in time.
        rate_limit_store_errors: IntCounterVec = "pillion_rate_limit_store_errors_total" { action };
        /// The state of the circuit breaker: 0 closed, 1 half-open, 2 open.
        circuit_breaker_state: GaugeVec = "pillion_circuit_breaker_state" { action };
        /// Handler calls that wait in the queue of their action.
        handler_calls_queued: IntGaugeVec = "pillion_handler_calls_queued" { action };
        /// Handler calls in flight.
        handler_calls_in_flight: IntGauge = "pillion_handler_calls_in_flight";
        /// Upstream requests for the upstream's part of requests with an action; of those that failed, the outcome is the
        /// error kind.
        upstream_requests: IntCounterVec = "pillion_upstream_requests_total" { outcome };
        /// Upstream requests for the upstream's part of requests with an action.
        upstream_request_seconds: Histogram = "pillion_upstream_request_duration_seconds";
        /// Open WebSockets of clients.
        sockets: IntGauge = "pillion_websocket_connections";
        /// Operations in flight on WebSockets.
        websocket_operations: IntGauge = "pillion_websocket_operations";
        /// Panics; each is a bug in Pillion.
        panics: IntCounter = "pillion_panics_total";
        /// Lines of the log that were dropped because nothing read them.
        log_lines_dropped: IntCounter = "pillion_log_lines_dropped_total";
        /// Introspection requests to the upstream; of those that failed, the outcome is the error kind.
        introspections: IntCounterVec = "pillion_upstream_introspections_total" { outcome };
        /// Upstream operations validated before execution: valid, invalid, or schema_unknown, which the upstream validates
        /// itself.
        upstream_validations: IntCounterVec = "pillion_upstream_validations_total" { outcome: ValidationOutcome };
        /// Names that the actions and the upstream both define.
        schema_conflicts: IntGauge = "pillion_schema_conflicts";
        /// Whether the upstream responded to the last health check: 1 or 0.
        upstream_up: IntGauge = "pillion_upstream_up";
        /// Lookups in the plan cache.
        plan_cache_lookups: IntCounterVec = "pillion_plan_cache_lookups_total" { outcome: ["hit", "miss"] };
        /// Lookups of rendered responses to introspection.
        introspection_cache_lookups: IntCounterVec = "pillion_introspection_cache_lookups_total" {
            outcome: ["hit", "miss"]
        };
        /// Bytes reserved for rendered responses to introspection, their compressed forms among them.
        introspection_cache_bytes: IntGauge = "pillion_introspection_cache_bytes";
        /// Documents that are not in the list of trusted documents, of all roles but admin. served: documents.only is log.
        unlisted_documents: IntCounterVec = "pillion_unlisted_documents_total" { outcome: ["served", "rejected"] };
        /// Bytes of automatic persisted queries in memory.
        persisted_query_bytes: IntGauge = "pillion_persisted_query_bytes";
        /// Fetches of JWK sets.
        jwks_fetches: IntCounterVec = "pillion_jwks_fetches_total" { outcome: FetchOutcome };
        /// Sessions requested of the auth hook; cached ones needed no request.
        auth_hook_requests: IntCounterVec = "pillion_auth_hook_requests_total" { outcome };
        /// Calls of asynchronous actions: accepted ones are stored, rejected ones are not.
        jobs_enqueued: IntCounterVec = "pillion_jobs_enqueued_total" { action, outcome };
        /// Attempts to run jobs.
        job_attempts: IntCounterVec = "pillion_job_attempts_total" { action, outcome };
        /// Jobs that were started again, after a failure or after their worker was lost.
        job_redeliveries: IntCounterVec = "pillion_job_redeliveries_total" { action };
        /// Jobs that have not ended.
        jobs_waiting: IntGaugeVec = "pillion_jobs" { action, status };
        /// Age of the oldest pending job.
        jobs_oldest_pending_seconds: GaugeVec = "pillion_jobs_oldest_pending_seconds" { action };
        /// Requests to the metadata API that were served here.
        metadata_requests: IntCounterVec = "pillion_metadata_requests_total" { outcome };
        /// Reloads of the configuration: success, or rejected, after which the old one stays.
        config_reloads: IntCounterVec = "pillion_config_reloads_total" { outcome: ReloadOutcome };
        /// Whether the configuration could be used when it was last loaded.
        config_last_reload_successful: IntGauge = "pillion_config_last_reload_successful";
        /// When the configuration that is in use was loaded, in seconds since 1970.
        config_last_reload_success: Gauge = "pillion_config_last_reload_success_timestamp_seconds";
        /// Spans that were sent, failed, or were dropped.
        spans: IntCounterVec = "pillion_spans_total" { outcome };
        /// Bytes of the memory budget that requests, operations and connections hold.
        buffered_bytes: IntGauge = "pillion_buffered_bytes";
        /// Requests and values that found no room in the memory budget: of all, of their client, of their connection, or at
        /// any time.
        memory_rejections: IntCounterVec = "pillion_memory_rejections_total" {
            reason: ["budget", "client", "connection", "too_large"]
        };
        /// Headers dropped because an underscore made them look like another.
        ambiguous_headers_dropped: IntCounter = "pillion_ambiguous_headers_dropped_total";
    }
}

/// What each metric is, in the order of their declarations. Help texts begin with a space.
pub const CATALOGUE: &[MetricEntry] = Counted::CATALOGUE;

/// Every metric, and handles that every request needs.
pub struct Metrics {
    registry: Registry,
    counted: Counted,
    /// What is measured of every request.
    pub by_request: RequestMetrics,
    /// The phases of requests.
    pub phases: Phases,
    /// Lookups in the plan cache that found a document.
    pub plan_cache_hits: IntCounter,
    /// Lookups in the plan cache that found none.
    pub plan_cache_misses: IntCounter,
}

impl Deref for Metrics {
    type Target = Counted;

    fn deref(&self) -> &Counted {
        &self.counted
    }
}

/// The phases of a request with an action, as ARCHITECTURE.md names them.
pub struct Phases {
    pub authenticate: Histogram,
    pub introspect: Histogram,
    pub plan: Histogram,
    pub validate: Histogram,
    pub run: Histogram,
    pub respond: Histogram,
}

impl Phases {
    /// Looked up once, because every request needs all of them.
    fn new(by_name: &HistogramVec) -> Self {
        let phase = |name| by_name.with_label_values(&[name]);
        Self {
            authenticate: phase("authenticate"),
            introspect: phase("introspect"),
            plan: phase("plan"),
            validate: phase("validate"),
            run: phase("run"),
            respond: phase("respond"),
        }
    }
}

/// Is what a gauge shows more than there may be?
#[must_use]
pub(crate) fn is_above(count: i64, max: usize) -> bool {
    usize::try_from(count).is_ok_and(|count| count > max)
}

/// Is it more than nine tenths of that?
#[must_use]
pub(crate) fn is_nearly_full(count: i64, max: usize) -> bool {
    is_above(count, max - max / 10)
}

/// One more in a gauge, until it is dropped, whatever the reason.
#[derive(Debug)]
pub(crate) struct Held(IntGauge);

impl Held {
    /// One more.
    #[must_use]
    pub(crate) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Measures phases that follow one another.
pub(crate) struct PhaseClock(Instant);

impl PhaseClock {
    /// The first phase begins.
    #[must_use]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// A phase ends and the next one begins. Gives when it began and ended.
    pub(crate) fn ended(&mut self, phase: &Histogram) -> (Instant, Instant) {
        let (began, now) = (self.0, Instant::now());
        phase.observe(now.duration_since(began).as_secs_f64());
        self.0 = now;
        (began, now)
    }
}

fn register_build_info(registry: &Registry) -> Result<(), prometheus::Error> {
    let build = Gauge::with_opts(
        Opts::new("pillion_build_info", "Always 1; the version is in the label.")
            .const_label("version", env!("CARGO_PKG_VERSION")),
    )?;
    build.set(1.0);
    registry.register(Box::new(build))
}

impl Metrics {
    /// Registers them all.
    ///
    /// # Errors
    /// When two have one name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        register_build_info(&registry)?;
        let counted = Counted::declare(&registry)?;
        counted.config_last_reload_successful.set(1);
        counted
            .config_last_reload_success
            .set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        Ok(Self {
            registry,
            by_request: RequestMetrics::new(&counted.requests, &counted.request_seconds),
            phases: Phases::new(&counted.phase_seconds),
            plan_cache_hits: counted.plan_cache_lookups.with_label_values(&["hit"]),
            plan_cache_misses: counted.plan_cache_lookups.with_label_values(&["miss"]),
            counted,
        })
    }

    /// All of them in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory cannot fail, and a metric that cannot be encoded must not take the others with it.
        let _ = TextEncoder::new().encode(&self.families(), &mut text);
        text
    }

    /// All metrics as they are now.
    #[must_use]
    pub fn families(&self) -> Vec<MetricFamily> {
        self.log_lines_dropped.inc_by(logs::newly_dropped());
        self.registry.gather()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use crate::telemetry::metrics::Metrics;
    use crate::telemetry::request_kind::RequestKind;

    #[test]
    fn every_metric_registers_and_has_our_prefix() {
        let metrics = Metrics::new().expect("no two metrics share a name");
        metrics.by_request.observe(RequestKind::Action, Some(StatusCode::OK), Duration::from_millis(3));
        metrics.by_request.observe(RequestKind::ClientClosed, None, Duration::from_millis(3));
        let text = String::from_utf8(metrics.render()).expect("text");
        assert!(text.contains("pillion_requests_total{kind=\"action\",status=\"2xx\"} 1"), "{text}");
        assert!(text.contains("pillion_requests_total{kind=\"action\",status=\"5xx\"} 0"), "{text}");
        assert!(text.contains("pillion_requests_total{kind=\"client_closed\",status=\"none\"} 1"), "{text}");
        assert!(text.contains("pillion_request_duration_seconds_count{kind=\"action\"} 1"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("pillion_") || line.starts_with("process_"), "{line}");
        }
    }
}
