//! The server: where clients connect. Only this folder and `upstream/` know pingora.

pub mod admin_listener;
pub mod background_tasks;
pub mod connections;
pub mod graceful_shutdown;
pub mod listener;
pub mod listener_handover;
pub mod proxy_callbacks;
pub mod tls;
