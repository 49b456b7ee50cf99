//! What operators look at on the console: jobs, effective settings, and the catalogue of metrics.

use http::{Method, StatusCode};
use prometheus::proto::{Metric, MetricFamily};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::form_urlencoded::Serializer;

use crate::changes::effective_settings::{origin_of, value_of};
use crate::config::settings::JobStoreSettings;
use crate::config::settings_table::{Applies, Kind, SETTINGS, Setting};
use crate::config::values::Values;
use crate::console::Console;
use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply};
use crate::job_runner::operator_api;
use crate::telemetry::metrics::{CATALOGUE, MetricEntry};

/// A request to `/jobs` of the admin listener, by which the console does the same.
async fn jobs_request(console: &Console, method: Method, path: &str, query: &str) -> Result<Value, ApiError> {
    let (status, json) = operator_api::handle(&console.services, &method, path, query).await;
    if status == StatusCode::OK {
        return Ok(json);
    }
    Err(ApiError::new(status, json.get("error").and_then(Value::as_str).unwrap_or_default()))
}

/// Lists jobs.
pub(super) async fn jobs(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let query = request.head.uri.query().unwrap_or_default();
    let jobs = jobs_request(console, Method::GET, "/jobs", query).await?;
    let store = match console.services.configured().settings.jobs.store {
        JobStoreSettings::Postgres(_) => "PostgreSQL",
        JobStoreSettings::Sqlite(_) => "SQLite",
    };
    Ok(Reply::json(&json!({ "store": store, "jobs": jobs })))
}

/// Shows a job.
pub(super) async fn job(console: &Console, id: &str) -> ApiResult {
    Ok(Reply::json(&jobs_request(console, Method::GET, &format!("/jobs/{id}"), "").await?))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RetryRequest {
    force: bool,
}

/// Lets a job run again.
pub(super) async fn retry(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let RetryRequest { force } = request.json()?;
    let path = format!("/jobs/{}/retry", request.name);
    let query = if force { "force=true" } else { "" };
    Ok(Reply::json(&jobs_request(console, Method::POST, &path, query).await?))
}

/// Ends a job.
pub(super) async fn cancel(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let path = format!("/jobs/{}/cancel", request.name);
    Ok(Reply::json(&jobs_request(console, Method::POST, &path, "").await?))
}

/// Deletes ended jobs.
pub(super) async fn purge(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let filter: Map<String, Value> = request.json()?;
    let query = query_of(&filter);
    Ok(Reply::json(&jobs_request(console, Method::POST, "/jobs/purge", &query).await?))
}

/// Texts and numbers as a query string.
fn query_of(filter: &Map<String, Value>) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in filter {
        match value {
            Value::String(text) if !text.is_empty() => drop(query.append_pair(name, text)),
            Value::Number(number) => drop(query.append_pair(name, &number.to_string())),
            _ => {}
        }
    }
    query.finish()
}

/// All settings as the files have them now.
pub(super) fn settings(console: &Console) -> ApiResult {
    let values = console.source.values().map_err(ApiError::invalid)?;
    let fingerprints = values.fingerprints();
    let served = console.services.configured();
    let entry = |setting: &Setting| {
        let now = fingerprints.get(setting.key);
        let has_changed = now != console.started.fingerprints.get(setting.key);
        let is_waiting = has_changed && setting.applies == Applies::AtStart;
        json_of(setting, &values, has_changed, is_waiting || now != served.fingerprint(setting.key).as_ref())
    };
    let settings: Vec<Value> = SETTINGS.iter().map(entry).collect();
    Ok(Reply::json(&json!({ "settings": settings })))
}

fn json_of(setting: &Setting, values: &Values, has_changed: bool, is_waiting: bool) -> Value {
    let (origin, place) = origin_of(values.effective(setting.key).1);
    json!({
        "key": setting.key,
        "value": value_of(setting, values),
        "default": setting.default,
        "origin": origin,
        "place": place,
        "doc": setting.doc,
        "type": kind(setting),
        "applies": if setting.applies == Applies::AtStart { "start" } else { "reload" },
        "changed_since_start": has_changed,
        "waiting_for_start": is_waiting && setting.applies == Applies::AtStart,
        "secret": setting.kind == Kind::Secret,
        "flag": setting.flag.map(|flag| format!("--{flag}")),
        "env": setting.env,
    })
}

fn kind(setting: &Setting) -> String {
    match setting.kind {
        Kind::Choice(choices) => format!("one of {}", choices.join(", ")),
        Kind::Secret => "a string that is never shown".to_owned(),
        _ => setting.wanted().to_owned(),
    }
}

/// The catalogue with current values.
pub(super) fn metrics(console: &Console) -> Reply {
    crate::handler::policy::update_gauges(&console.services);
    let families = console.services.metrics.families();
    let entry = |entry: &MetricEntry| {
        let family = families.iter().find(|family| family.name() == entry.name);
        let samples = family.map(MetricFamily::get_metric).unwrap_or_default();
        json!({
            "name": entry.name,
            "type": entry.kind,
            "labels": entry.labels,
            "help": entry.help.trim(),
            "promql": promql(entry),
            "samples": samples.iter().map(|metric| sample(entry, metric)).collect::<Vec<_>>(),
        })
    };
    Reply::json(&json!({ "metrics": CATALOGUE.iter().map(entry).collect::<Vec<_>>() }))
}

fn sample(entry: &MetricEntry, metric: &Metric) -> Value {
    let labels: Map<String, Value> =
        metric.get_label().iter().map(|label| (label.name().to_owned(), Value::from(label.value()))).collect();
    match entry.kind {
        "counter" => json!({ "labels": labels, "value": metric.get_counter().get_value() }),
        "gauge" => json!({ "labels": labels, "value": metric.get_gauge().get_value() }),
        _ => {
            let histogram = metric.get_histogram();
            json!({ "labels": labels, "value": histogram.get_sample_count(), "sum": histogram.get_sample_sum() })
        }
    }
}

/// An expression for a panel: a rate, a quantile or the value.
fn promql(entry: &MetricEntry) -> String {
    let MetricEntry { name, labels, .. } = entry;
    let by = labels.join(", ");
    match (entry.kind, labels.is_empty()) {
        ("counter", true) => format!("sum(rate({name}[5m]))"),
        ("counter", false) => format!("sum by ({by}) (rate({name}[5m]))"),
        ("gauge", true) => format!("sum({name})"),
        ("gauge", false) => format!("sum by ({by}) ({name})"),
        (_, true) => format!("histogram_quantile(0.99, sum by (le) (rate({name}_bucket[5m])))"),
        (_, false) => format!("histogram_quantile(0.99, sum by (le, {by}) (rate({name}_bucket[5m])))"),
    }
}
