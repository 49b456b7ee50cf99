//! What the admin and the metrics listener serve: the list that a request for anything else gets.

use http::{Method, StatusCode};
use serde_json::{Value, json};

/// Method, path and purpose of each endpoint that shows nothing confidential: those of the metrics listener.
const PUBLIC: [(&str, &str, &str); 3] = [
    ("GET", "/healthz", "is the process alive?"),
    ("GET", "/readyz", "is it ready for requests? On the admin listener ?verbose says why not"),
    ("GET", "/metrics", "metrics for Prometheus"),
];

/// The same of those that only the admin listener has.
const PRIVATE: [(&str, &str, &str); 7] = [
    ("POST", "/reload", "reload the configuration"),
    ("POST", "/cache/purge", "forget cached responses, ?action=NAME those of one action"),
    ("GET", "/jobs", "list jobs: ?action=, ?status=, ?older_than=, ?limit="),
    ("GET", "/jobs/ID", "show a job"),
    ("POST", "/jobs/ID/retry", "run a failed job again, with ?force=true a completed one"),
    ("POST", "/jobs/ID/cancel", "end a job"),
    ("POST", "/jobs/purge", "delete ended jobs: ?action=, ?status=, ?older_than=, ?limit="),
];

/// The response to a request for something else: what there is instead. The path is not repeated, because it may be anything.
#[must_use]
pub(super) fn not_found(method: &Method, is_read_only: bool) -> (StatusCode, Value) {
    let private: &[_] = if is_read_only { &[] } else { &PRIVATE };
    let endpoints: Vec<Value> = PUBLIC
        .iter()
        .chain(private)
        .map(|(method, path, purpose)| json!({ "method": method, "path": path, "purpose": purpose }))
        .collect();
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let (status, error) = match reads {
        true => (StatusCode::NOT_FOUND, "there is nothing at this path"),
        false => (StatusCode::METHOD_NOT_ALLOWED, "there is nothing at this path for this method"),
    };
    (status, json!({ "error": error, "endpoints": endpoints }))
}
