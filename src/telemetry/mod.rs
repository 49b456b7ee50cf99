//! Observability: logs, metrics and traces.

mod declare;
pub mod logs;
pub mod metrics;
pub mod traces;
