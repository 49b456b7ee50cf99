//! The catalogue of metrics. No label value ever comes from a request: actions are named by the configuration, all
//! other values are listed here.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::telemetry::logs;

/// Every metric.
pub struct Metrics {
    registry: Registry,
    /// Requests that have ended, by kind.
    pub requests: IntCounterVec,
    /// Seconds from the end of a request's head until its response is ready, for requests with an action; each response of a
    /// subscription counts.
    pub request_seconds: Histogram,
    /// Requests that are being served.
    pub requests_in_flight: IntGauge,
    /// Of these, requests whose body is still on its way.
    pub incomplete_requests: IntGauge,
    /// Of these, streams of server-sent events.
    pub event_streams: IntGauge,
    /// Connections of clients.
    pub connections: IntGauge,
    /// Places that they take.
    pub connection_places: IntGauge,
    /// Connections closed because a request's head took too long.
    pub request_header_timeouts: IntCounter,
    /// Requests and connections ended because a client sent a body, or took a response, too slowly.
    pub slow_clients: IntCounterVec,
    /// Requests that were refused before anything ran, by reason.
    pub rejected: IntCounterVec,
    /// Requests refused because there was too much to do, by what was scarce.
    pub shed: IntCounterVec,
    /// Seconds by phase, for requests with an action.
    pub phases: Phases,
    /// Handler calls that have ended, by action and outcome.
    pub handler_calls: IntCounterVec,
    /// Seconds of handler calls, by action.
    pub handler_call_seconds: HistogramVec,
    /// Responses of handlers, by action and class of their status.
    pub handler_responses: IntCounterVec,
    /// Bytes of bodies that handlers were sent, by action.
    pub handler_request_bytes: IntCounterVec,
    /// Bytes of bodies that they answered, decoded, by action.
    pub handler_response_bytes: IntCounterVec,
    /// Calls that a guard did not let be made, by action and guard.
    pub handler_calls_rejected: IntCounterVec,
    /// Look-ups of responses that may be kept, by action and outcome.
    pub response_cache_lookups: IntCounterVec,
    /// Bytes of cached responses.
    pub cache_bytes: IntGauge,
    /// Calls that were tried again, by action.
    pub handler_retries: IntCounterVec,
    /// Calls that Redis did not count, by action.
    pub rate_limit_store_errors: IntCounterVec,
    /// The state of the circuit breaker, by action: 0 closed, 1 half-open, 2 open.
    pub circuit_breaker_state: GaugeVec,
    /// Calls that wait for others of their action to end.
    pub handler_calls_queued: IntGaugeVec,
    /// Handler calls under way.
    pub handler_calls_in_flight: IntGauge,
    /// The upstream's parts of requests with actions, by outcome.
    pub upstream_requests: IntCounterVec,
    /// Seconds of the upstream's parts of requests with actions.
    pub upstream_request_seconds: Histogram,
    /// Open sockets of clients.
    pub sockets: IntGauge,
    /// Operations under way on them.
    pub websocket_operations: IntGauge,
    /// Panics. Each is a defect of ours; it ends one request.
    pub panics: IntCounter,
    /// Lines of the log that found no room, because nobody read them.
    pub log_lines_dropped: IntCounter,
    /// Questions to the upstream for its schema, by outcome.
    pub introspections: IntCounterVec,
    /// The upstream's parts of documents that were checked before anything ran, or could not be, by outcome.
    pub upstream_validations: IntCounterVec,
    /// Names that the actions and the upstream both define.
    pub schema_conflicts: IntGauge,
    /// Is the upstream there? 1 or 0.
    pub upstream_up: IntGauge,
    /// Look-ups in the plan cache that found a document.
    pub plan_cache_hits: IntCounter,
    /// Look-ups in the plan cache that found none.
    pub plan_cache_misses: IntCounter,
    /// Fetches of JWK sets, by outcome.
    pub jwks_fetches: IntCounterVec,
    /// Sessions that the auth hook was asked for, by outcome; `kept` needed no request.
    pub auth_hook_requests: IntCounterVec,
    /// Calls of asynchronous actions, by action and outcome.
    pub jobs_enqueued: IntCounterVec,
    /// Attempts to run jobs, by action and outcome.
    pub job_attempts: IntCounterVec,
    /// Jobs that were begun again, by action.
    pub job_redeliveries: IntCounterVec,
    /// Jobs that have not ended, by action and status.
    pub jobs_waiting: IntGaugeVec,
    /// Age in seconds of the oldest call that waits, by action.
    pub jobs_oldest_pending_seconds: GaugeVec,
    /// Requests to the metadata API that were answered here, by outcome.
    pub metadata_requests: IntCounterVec,
    /// Loads of the configuration after the first, by outcome.
    pub config_reloads: IntCounterVec,
    /// Was the last of them good? 1 or 0.
    pub config_last_reload_successful: IntGauge,
    /// Seconds since 1970 of the last good one.
    pub config_last_reload_success: Gauge,
    /// Spans, by what became of them.
    pub spans: IntCounterVec,
    /// Bytes of the memory budget that are held.
    pub buffered_bytes: IntGauge,
    /// What found no room in the memory budget, by reason.
    pub memory_rejections: IntCounterVec,
    /// Request headers that were dropped because an underscore made them look like another, by nothing.
    pub ambiguous_headers_dropped: IntCounterVec,
}

/// The phases of a request with an action, as ARCHITECTURE.md names them.
#[expect(missing_docs, reason = "they are the names of the phases")]
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
pub fn is_above(count: i64, max: usize) -> bool {
    usize::try_from(count).is_ok_and(|count| count > max)
}

/// Is it more than nine tenths of that?
#[must_use]
pub fn is_nearly_full(count: i64, max: usize) -> bool {
    is_above(count, max - max / 10)
}

/// One more in a gauge, until it is dropped, whatever the reason.
#[derive(Debug)]
pub struct Held(IntGauge);

impl Held {
    /// One more.
    #[must_use]
    pub fn new(gauge: &IntGauge) -> Self {
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
pub struct PhaseClock(Instant);

impl PhaseClock {
    /// The first phase begins.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// A phase ends and the next one begins. Gives when it began and ended.
    pub fn ended(&mut self, phase: &Histogram) -> (Instant, Instant) {
        let (began, now) = (self.0, Instant::now());
        phase.observe(now.duration_since(began).as_secs_f64());
        self.0 = now;
        (began, now)
    }
}

/// Seconds; a webhook call in the same pod takes one of the first, a slow one may take its whole timeout.
const SECONDS: &[f64] =
    &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

impl Metrics {
    /// Registers them all.
    ///
    /// # Errors
    /// When two have one name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let gauge = |name: &str, help: &str| {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            let metric = HistogramVec::new(options, labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let request_seconds = Histogram::with_opts(
            HistogramOpts::new("pillion_request_duration_seconds", "Requests with an action, from header to answer.")
                .buckets(SECONDS.to_vec()),
        )?;
        registry.register(Box::new(request_seconds.clone()))?;
        let build = Gauge::with_opts(
            Opts::new("pillion_build_info", "Always 1; the version is in the label.")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1.0);
        registry.register(Box::new(build))?;
        let plan_cache = counter("pillion_plan_cache_lookups_total", "Look-ups in the plan cache.", &["outcome"])?;
        Ok(Self {
            requests: counter("pillion_requests_total", "Requests that have ended.", &["kind"])?,
            request_seconds,
            requests_in_flight: gauge("pillion_requests_in_flight", "Requests that are being served.")?,
            incomplete_requests: gauge(
                "pillion_incomplete_requests",
                "Requests in flight whose body is still on its way.",
            )?,
            event_streams: gauge(
                "pillion_event_streams",
                "Streams of server-sent events, among the requests in flight.",
            )?,
            connections: gauge("pillion_connections", "Connections of clients.")?,
            connection_places: gauge(
                "pillion_connection_places",
                "Places of limits.max_connections that connections take: one, with TLS two, of HTTP/2 four, of both five.",
            )?,
            request_header_timeouts: counter(
                "pillion_request_header_timeouts_total",
                "Connections closed because the head of a request took too long.",
                &[],
            )?
            .with_label_values::<&str>(&[]),
            slow_clients: {
                let metric = counter(
                    "pillion_slow_clients_total",
                    "Requests and connections ended because a client sent a body, or took a response, too slowly.",
                    &["transfer"],
                )?;
                for transfer in ["upload", "download"] {
                    metric.with_label_values(&[transfer]);
                }
                metric
            },
            rejected: counter("pillion_rejected_requests_total", "Requests refused before anything ran.", &["reason"])?,
            shed: {
                let metric = counter(
                    "pillion_shed_requests_total",
                    "Requests and connections refused because there was too much to do, by what was scarce.",
                    &["resource"],
                )?;
                // There from the start, so that the first one is an increase.
                for resource in [
                    "requests",
                    "incomplete_requests",
                    "client_requests",
                    "event_streams",
                    "client_event_streams",
                    "memory",
                    "descriptors",
                    "connections",
                    "client_connections",
                    "admin_connections",
                ] {
                    metric.with_label_values(&[resource]);
                }
                metric
            },
            phases: Phases::new(&histograms(
                "pillion_phase_duration_seconds",
                "Phases of requests with an action.",
                &["phase"],
            )?),
            handler_calls: counter(
                "pillion_handler_calls_total",
                "Handler calls that have ended.",
                &["action", "outcome"],
            )?,
            handler_call_seconds: histograms(
                "pillion_handler_call_duration_seconds",
                "Handler calls, from connecting to the end of the response.",
                &["action"],
            )?,
            handler_responses: counter(
                "pillion_handler_responses_total",
                "Responses of handlers, by class of their status.",
                &["action", "status"],
            )?,
            handler_request_bytes: counter(
                "pillion_handler_request_bytes_total",
                "Bytes of bodies that handlers were sent.",
                &["action"],
            )?,
            handler_response_bytes: counter(
                "pillion_handler_response_bytes_total",
                "Bytes of bodies that handlers answered, decoded.",
                &["action"],
            )?,
            handler_calls_rejected: counter(
                "pillion_handler_calls_rejected_total",
                "Calls that a guard did not let be made: concurrency, breaker or rate_limit.",
                &["action", "reason"],
            )?,
            response_cache_lookups: counter(
                "pillion_response_cache_lookups_total",
                "Look-ups of responses that may be kept: hit, stale (another is fetched meanwhile) or miss.",
                &["action", "outcome"],
            )?,
            cache_bytes: gauge("pillion_response_cache_bytes", "Bytes of cached responses.")?,
            handler_retries: counter("pillion_handler_retries_total", "Calls that were tried again.", &["action"])?,
            rate_limit_store_errors: counter(
                "pillion_rate_limit_store_errors_total",
                "Calls that could not be counted because Redis did not answer in time.",
                &["action"],
            )?,
            circuit_breaker_state: {
                let opts = Opts::new(
                    "pillion_circuit_breaker_state",
                    "The state of the circuit breaker: 0 closed, 1 half-open, 2 open.",
                );
                let gauge = GaugeVec::new(opts, &["action"])?;
                registry.register(Box::new(gauge.clone()))?;
                gauge
            },
            handler_calls_queued: {
                let opts = Opts::new("pillion_handler_calls_queued", "Calls that wait for others of their action.");
                let gauge = IntGaugeVec::new(opts, &["action"])?;
                registry.register(Box::new(gauge.clone()))?;
                gauge
            },
            handler_calls_in_flight: gauge("pillion_handler_calls_in_flight", "Handler calls under way.")?,
            upstream_requests: counter(
                "pillion_upstream_requests_total",
                "The upstream's parts of requests with actions.",
                &["outcome"],
            )?,
            upstream_request_seconds: {
                let options = HistogramOpts::new(
                    "pillion_upstream_request_duration_seconds",
                    "The upstream's parts of requests with actions.",
                );
                let metric = Histogram::with_opts(options.buckets(SECONDS.to_vec()))?;
                registry.register(Box::new(metric.clone()))?;
                metric
            },
            sockets: gauge("pillion_websocket_connections", "Open WebSockets of clients.")?,
            websocket_operations: gauge("pillion_websocket_operations", "Operations under way on WebSockets.")?,
            panics: counter("pillion_panics_total", "Panics; each is a defect of Pillion.", &[])?
                .with_label_values::<&str>(&[]),
            log_lines_dropped: counter(
                "pillion_log_lines_dropped_total",
                "Lines of the log that found no room, because nobody read them.",
                &[],
            )?
            .with_label_values::<&str>(&[]),
            introspections: counter(
                "pillion_upstream_introspections_total",
                "Questions to the upstream for its schema.",
                &["outcome"],
            )?,
            upstream_validations: counter(
                "pillion_upstream_validations_total",
                "The upstream's parts of documents with actions: valid, invalid, or left to it because its schema is not known.",
                &["outcome"],
            )?,
            schema_conflicts: gauge(
                "pillion_schema_conflicts",
                "Names that the actions and the upstream both define.",
            )?,
            upstream_up: gauge("pillion_upstream_up", "Whether the upstream answered when it was last asked.")?,
            plan_cache_hits: plan_cache.with_label_values(&["hit"]),
            plan_cache_misses: plan_cache.with_label_values(&["miss"]),
            jwks_fetches: counter("pillion_jwks_fetches_total", "Fetches of JWK sets.", &["outcome"])?,
            auth_hook_requests: counter(
                "pillion_auth_hook_requests_total",
                "Sessions that the auth hook was asked for; kept ones needed no request.",
                &["outcome"],
            )?,
            jobs_enqueued: counter(
                "pillion_jobs_enqueued_total",
                "Calls of asynchronous actions: accepted are stored, refused are not.",
                &["action", "outcome"],
            )?,
            job_attempts: counter(
                "pillion_job_attempts_total",
                "Attempts to run jobs, by what came of them.",
                &["action", "outcome"],
            )?,
            job_redeliveries: counter(
                "pillion_job_redeliveries_total",
                "Jobs that were begun again, after a failure or after their worker was lost.",
                &["action"],
            )?,
            jobs_waiting: {
                let opts = Opts::new("pillion_jobs", "Jobs that have not ended.");
                let gauge = IntGaugeVec::new(opts, &["action", "status"])?;
                registry.register(Box::new(gauge.clone()))?;
                gauge
            },
            jobs_oldest_pending_seconds: {
                let opts = Opts::new("pillion_jobs_oldest_pending_seconds", "Age of the oldest call that waits.");
                let gauge = GaugeVec::new(opts, &["action"])?;
                registry.register(Box::new(gauge.clone()))?;
                gauge
            },
            metadata_requests: counter(
                "pillion_metadata_requests_total",
                "Requests to the metadata API that were answered here.",
                &["outcome"],
            )?,
            spans: counter(
                "pillion_spans_total",
                "Spans that were sent, failed to be, or were dropped.",
                &["outcome"],
            )?,
            config_reloads: counter(
                "pillion_config_reloads_total",
                "Loads of the configuration while requests are served: success, or refused and the old one stays.",
                &["outcome"],
            )?,
            config_last_reload_successful: {
                let metric = gauge(
                    "pillion_config_last_reload_successful",
                    "Whether the configuration could be used when it was last loaded.",
                )?;
                metric.set(1);
                metric
            },
            config_last_reload_success: {
                let metric = Gauge::new(
                    "pillion_config_last_reload_success_timestamp_seconds",
                    "When the configuration that is in use was loaded.",
                )?;
                metric.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
                registry.register(Box::new(metric.clone()))?;
                metric
            },
            buffered_bytes: gauge(
                "pillion_buffered_bytes",
                "Bytes of the memory budget that requests, operations and connections hold.",
            )?,
            memory_rejections: {
                let metric = counter(
                    "pillion_memory_rejections_total",
                    "What found no room in the memory budget: of all, of its client, of its connection, or ever.",
                    &["reason"],
                )?;
                // There from the start, so that the first one is an increase.
                for reason in ["budget", "client", "connection", "too_large"] {
                    metric.with_label_values(&[reason]);
                }
                metric
            },
            ambiguous_headers_dropped: counter(
                "pillion_ambiguous_headers_dropped_total",
                "Headers dropped because an underscore made them look like another.",
                &[],
            )?,
            registry,
        })
    }

    /// All of them in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        self.log_lines_dropped.inc_by(logs::newly_dropped());
        let mut text = Vec::new();
        // Writing to memory cannot fail, and a metric that cannot be encoded must not take the others with it.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn every_metric_registers_and_has_our_prefix() {
        let metrics = Metrics::new().expect("no two metrics share a name");
        metrics.requests.with_label_values(&["action"]).inc();
        let text = String::from_utf8(metrics.render()).expect("text");
        assert!(text.contains("pillion_requests_total{kind=\"action\"} 1"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("pillion_") || line.starts_with("process_"), "{line}");
        }
    }
}
