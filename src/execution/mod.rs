//! The context in which one request is executed: its prepared document, authorized calls, spans and log line.

pub(crate) mod access_log;
pub(crate) mod authorize;
pub(crate) mod authorize_plan;
pub(crate) mod authorized_extensions;
pub(crate) mod call_cost;
pub(crate) mod context;
pub(crate) mod denied_actions;
pub(crate) mod detached;
pub(crate) mod prepared_request;
pub(crate) mod preset_arguments;
pub(crate) mod row_batch;
pub(crate) mod spans;
