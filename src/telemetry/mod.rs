//! Observability: logs, metrics and traces.

mod declare;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod request_kind;
pub(crate) mod request_metrics;
pub(crate) mod traces;
