//! The context in which one request is executed: its prepared document, authorized calls, spans and log line.

pub mod access_log;
pub mod authorize;
pub mod call_cost;
pub mod context;
pub mod prepared_request;
pub mod spans;
