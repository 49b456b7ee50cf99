//! Activity: the last minutes of a few counters, sampled from the metrics into rings of a fixed size, so that the console has
//! curves without a Prometheus.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus::proto::{Histogram, LabelPair, Metric, MetricFamily};
use serde_json::{Value, json};

use crate::runtime::load_monitor::resident_bytes;
use crate::runtime::services::Services;
use crate::traffic_shaping::circuit_breaker::CircuitState;

/// How often a sample is taken.
const INTERVAL: Duration = Duration::from_secs(10);

/// Samples that are kept: fifteen minutes.
const SAMPLES_MAX: usize = 90;

/// Samples between two generations of the counters of actions.
const GENERATION: usize = 30;

/// Actions whose counters are kept: a generation of so many takes half a MiB.
const ACTIONS_MAX: usize = 1_000;

/// Counters by the name of their series, and gauges, at one moment.
#[derive(Clone, Default)]
struct Totals {
    requests: f64,
    errors: f64,
    handler_calls: f64,
    handler_failures: f64,
    /// Cumulative counts of the buckets of the duration of requests.
    buckets: Vec<(f64, f64)>,
    jobs_waiting: f64,
}

/// A point of the curves.
#[derive(Clone)]
struct Sample {
    requests: f64,
    errors: f64,
    handler_calls: f64,
    handler_failures: f64,
    p99_ms: Option<f64>,
    jobs_waiting: f64,
    memory_bytes: u64,
}

/// The counters of an action.
#[derive(Clone, Default)]
pub(super) struct ActionTotals {
    pub(super) calls: f64,
    pub(super) failures: f64,
    buckets: Vec<(f64, f64)>,
}

/// What is shown of an action's traffic.
pub(super) struct ActionRates {
    pub(super) per_second: f64,
    pub(super) error_share: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) totals: ActionTotals,
}

/// A generation of the counters of actions.
struct Generation {
    at: SystemTime,
    actions: HashMap<String, ActionTotals>,
}

#[derive(Default)]
struct State {
    last: Option<Totals>,
    samples: VecDeque<Sample>,
    generations: VecDeque<Generation>,
    ticks: usize,
}

/// The rings.
#[derive(Default)]
pub(crate) struct Activity(Mutex<State>);

impl Activity {
    /// Takes samples for ever. Never returns.
    pub(super) async fn run(&self, services: &Arc<Services>) {
        loop {
            self.sample(&services.metrics.families(), SystemTime::now());
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn sample(&self, families: &[MetricFamily], now: SystemTime) {
        let totals = totals(families);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &state.last {
            let per_second = |now: f64, before: f64| (now - before).max(0.0) / INTERVAL.as_secs_f64();
            let sample = Sample {
                requests: per_second(totals.requests, last.requests),
                errors: per_second(totals.errors, last.errors),
                handler_calls: per_second(totals.handler_calls, last.handler_calls),
                handler_failures: per_second(totals.handler_failures, last.handler_failures),
                p99_ms: p99_ms(&totals.buckets, &last.buckets),
                jobs_waiting: totals.jobs_waiting,
                memory_bytes: resident_bytes(),
            };
            if state.samples.len() >= SAMPLES_MAX {
                state.samples.pop_front();
            }
            state.samples.push_back(sample);
        }
        state.last = Some(totals);
        if state.ticks.is_multiple_of(GENERATION) {
            if state.generations.len() >= SAMPLES_MAX / GENERATION {
                state.generations.pop_front();
            }
            state.generations.push_back(Generation { at: now, actions: of_actions(families) });
        }
        state.ticks += 1;
    }

    /// The curves.
    pub(super) fn json(&self, now: &str) -> Value {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |value: fn(&Sample) -> Value| state.samples.iter().map(value).collect::<Vec<_>>();
        json!({
            "interval_seconds": INTERVAL.as_secs(),
            "at": now,
            "series": {
                "requests_per_second": of(|sample| json!(sample.requests)),
                "errors_per_second": of(|sample| json!(sample.errors)),
                "handler_calls_per_second": of(|sample| json!(sample.handler_calls)),
                "handler_failures_per_second": of(|sample| json!(sample.handler_failures)),
                "p99_ms": of(|sample| json!(sample.p99_ms)),
                "jobs_waiting": of(|sample| json!(sample.jobs_waiting)),
                "memory_bytes": of(|sample| json!(sample.memory_bytes)),
            },
        })
    }

    /// The traffic of each action since the oldest generation that is kept.
    pub(super) fn actions(&self, services: &Services, now: SystemTime) -> HashMap<String, ActionRates> {
        let current = of_actions(&services.metrics.families());
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = state.generations.front();
        let seconds = first.and_then(|first| now.duration_since(first.at).ok()).map_or(0.0, |time| time.as_secs_f64());
        let rates = current.into_iter().map(|(name, totals)| {
            let before = first.and_then(|first| first.actions.get(&name)).cloned().unwrap_or_default();
            (name, rates(totals, &before, seconds))
        });
        rates.collect()
    }
}

fn rates(totals: ActionTotals, before: &ActionTotals, seconds: f64) -> ActionRates {
    let (calls, failures) = ((totals.calls - before.calls).max(0.0), (totals.failures - before.failures).max(0.0));
    ActionRates {
        per_second: calls / seconds.max(1.0),
        error_share: (calls > 0.0).then(|| failures / calls),
        p99_ms: p99_ms(&totals.buckets, &before.buckets),
        totals,
    }
}

fn family<'f>(families: &'f [MetricFamily], name: &str) -> &'f [Metric] {
    families.iter().find(|family| family.name() == name).map(MetricFamily::get_metric).unwrap_or_default()
}

fn label<'m>(metric: &'m Metric, name: &str) -> &'m str {
    metric.get_label().iter().find(|label| label.name() == name).map(LabelPair::value).unwrap_or_default()
}

fn totals(families: &[MetricFamily]) -> Totals {
    let requests = family(families, "pillion_requests_total");
    let calls = family(families, "pillion_handler_calls_total");
    let sum = |metrics: &[Metric], wanted: &dyn Fn(&Metric) -> bool| -> f64 {
        metrics.iter().filter(|metric| wanted(metric)).map(|metric| metric.get_counter().get_value()).sum()
    };
    let is_error = |metric: &Metric| label(metric, "status").starts_with('5');
    let mut buckets = Vec::new();
    for metric in family(families, "pillion_request_duration_seconds") {
        add_buckets(&mut buckets, metric.get_histogram());
    }
    Totals {
        requests: sum(requests, &|_| true),
        errors: sum(requests, &is_error),
        handler_calls: sum(calls, &|_| true),
        handler_failures: sum(calls, &has_failed),
        buckets,
        jobs_waiting: family(families, "pillion_jobs").iter().map(|metric| metric.get_gauge().get_value()).sum(),
    }
}

fn has_failed(metric: &Metric) -> bool {
    !matches!(label(metric, "outcome"), "success" | "deferred")
}

fn of_actions(families: &[MetricFamily]) -> HashMap<String, ActionTotals> {
    let mut actions: HashMap<String, ActionTotals> = HashMap::new();
    for metric in family(families, "pillion_handler_calls_total") {
        let name = label(metric, "action");
        if actions.len() >= ACTIONS_MAX && !actions.contains_key(name) {
            continue;
        }
        let totals = actions.entry(name.to_owned()).or_default();
        let count = metric.get_counter().get_value();
        totals.calls += count;
        totals.failures += if has_failed(metric) { count } else { 0.0 };
    }
    for metric in family(families, "pillion_handler_call_duration_seconds") {
        if let Some(totals) = actions.get_mut(label(metric, "action")) {
            add_buckets(&mut totals.buckets, metric.get_histogram());
        }
    }
    actions
}

/// Upper bound and cumulative count of each bucket.
fn add_buckets(buckets: &mut Vec<(f64, f64)>, histogram: &Histogram) {
    #[expect(clippy::cast_precision_loss, reason = "it is a share of a count")]
    let count = |bucket: &prometheus::proto::Bucket| bucket.cumulative_count() as f64;
    for (index, bucket) in histogram.get_bucket().iter().enumerate() {
        match buckets.get_mut(index) {
            Some((_, known)) => *known += count(bucket),
            None => buckets.push((bucket.upper_bound(), count(bucket))),
        }
    }
}

/// The upper bound of the bucket in which the slowest hundredth begins, in milliseconds, as Prometheus interpolates it.
fn p99_ms(now: &[(f64, f64)], before: &[(f64, f64)]) -> Option<f64> {
    let since: Vec<(f64, f64)> = now
        .iter()
        .enumerate()
        .map(|(index, (bound, count))| (*bound, count - before.get(index).map_or(0.0, |(_, count)| *count)))
        .collect();
    let all = since.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
    let rank = all * 0.99;
    let index = since.iter().position(|(_, count)| *count >= rank)?;
    let (bound, count) = since.get(index).copied()?;
    let (lower, below) = index.checked_sub(1).and_then(|index| since.get(index)).copied().unwrap_or((0.0, 0.0));
    if !bound.is_finite() {
        return Some(lower * 1_000.0);
    }
    Some((lower + (bound - lower) * ((rank - below) / (count - below).max(1.0))) * 1_000.0)
}

/// The state of each circuit breaker.
pub(super) fn breakers(services: &Services) -> Vec<(String, &'static str)> {
    let snapshot = services.snapshot.load();
    let states = snapshot.policies.all().filter_map(|(action, policies)| {
        let breaker = policies.circuit_breaker.as_ref()?;
        let state = match breaker.state() {
            CircuitState::Closed => "closed",
            CircuitState::HalfOpen => "half_open",
            CircuitState::Open => "open",
        };
        Some((action.to_owned(), state))
    });
    states.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn the_rings_are_bounded_and_rates_are_differences() {
        let metrics = Metrics::new().expect("metrics");
        let activity = Activity::default();
        let calls = |outcome: &str| metrics.handler_calls.with_label_values(&["quote", outcome]);
        let mut now = SystemTime::UNIX_EPOCH;
        for _ in 0..SAMPLES_MAX + 20 {
            calls("success").inc_by(20);
            calls("timeout").inc_by(10);
            metrics.handler_call_seconds.with_label_values(&["quote"]).observe(0.004);
            activity.sample(&metrics.families(), now);
            now += INTERVAL;
        }
        let json = activity.json("");
        let series = json["series"]["handler_calls_per_second"].as_array().expect("a series").clone();
        assert_eq!((series.len(), series.last().and_then(Value::as_f64)), (SAMPLES_MAX, Some(3.0)));
        assert_eq!(json["series"]["handler_failures_per_second"][0], 1.0);
        let state = activity.0.lock().expect("a state");
        assert_eq!(state.generations.len(), 3);
        let before =
            state.generations.front().and_then(|first| first.actions.get("quote")).cloned().expect("an action");
        let totals = of_actions(&metrics.families()).remove("quote").expect("an action");
        let rates = rates(totals, &before, 100.0);
        assert_eq!(rates.error_share.map(|share| (share * 3.0).round()), Some(1.0));
        assert!(rates.p99_ms.is_some_and(|p99| p99 > 2.5 && p99 <= 5.0), "{:?}", rates.p99_ms);
    }
}
