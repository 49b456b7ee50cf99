//! Observability: logs, metrics and traces.

pub(crate) mod availability;
#[cfg(test)]
mod captured_lines;
mod declare;
pub(crate) mod development_log;
pub(crate) mod failure_log;
mod json_log;
pub(crate) mod labels;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod recent_failures;
pub(crate) mod request_kind;
pub(crate) mod request_metrics;
pub(crate) mod span_watch;
pub(crate) mod traces;
