//! Logs on standard error: JSON lines or text. Terminal escapes in what clients send are escaped by both.

use tracing_subscriber::EnvFilter;

/// Starts logging. A second call has no effect.
pub fn start(json: bool, level: &str) {
    // pingora and the libraries below it log every broken connection; only what goes wrong in earnest is kept.
    let filter = EnvFilter::new(format!("error,pillion={level},pingora_proxy=off,pingora_core=error"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = if json {
        subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        subscriber.with_ansi(false).try_init()
    };
}
