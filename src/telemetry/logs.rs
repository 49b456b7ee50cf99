//! Logs on standard error: JSON lines or text. Terminal escapes in what clients send are escaped by both.

use std::net::IpAddr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

/// Starts logging. A second call has no effect.
pub fn start(json: bool, level: &str) {
    // pingora and the libraries below it log every broken connection; only what goes wrong in earnest is kept.
    let filter = format!("error,pillion={level},pingora_proxy=off,pingora_core=error,pingora_core::connectors=off");
    let filter = EnvFilter::new(filter);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = if json {
        subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        subscriber.with_ansi(false).try_init()
    };
}

/// The line about one request with an action.
pub struct RequestLine<'l> {
    /// The request's id, the client's or ours.
    pub request_id: &'l str,
    /// The trace it belongs to.
    pub trace_id: &'l str,
    /// Where it came in.
    pub path: &'l str,
    /// Who sent it.
    pub client: Option<IpAddr>,
    /// In which role, once that was known.
    pub role: Option<&'l str>,
    /// The actions that were called, separated by commas.
    pub actions: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// `success`, `errors`, or the code of the error it was refused with.
    pub outcome: &'static str,
    /// From the request's head to its answer.
    pub duration: Duration,
}

impl RequestLine<'_> {
    /// Writes it.
    pub fn write(&self) {
        tracing::info!(
            request_id = self.request_id,
            trace_id = self.trace_id,
            path = self.path,
            client = self.client.map(tracing::field::display),
            role = self.role,
            actions = self.actions,
            status = self.status,
            outcome = self.outcome,
            duration_ms = self.duration.as_secs_f64() * 1000.0,
            "request"
        );
    }
}
