//! The server: where clients connect. Only this folder and `upstream/` know pingora.

pub(crate) mod admin_listener;
pub(crate) mod background_tasks;
pub(crate) mod client_listener;
pub(crate) mod connection_lifecycle;
pub(crate) mod graceful_shutdown;
pub(crate) mod http2_streams;
pub(crate) mod in_memory;
pub(crate) mod listener;
pub(crate) mod listener_handover;
pub(crate) mod proxy_callbacks;
mod reused_future;
pub(crate) mod tls;
