//! What requests share: services, the snapshot of the configuration with its caches, load shedding, supervision.

pub mod catalog;
pub mod load_monitor;
pub mod load_shedding;
pub mod loaded_config;
pub mod panic_isolation;
pub mod plan_cache;
pub mod prepare;
pub mod readiness;
pub mod reload_requests;
pub mod running_jobs;
pub mod schema_cache;
pub mod schema_fetch;
pub mod services;
pub mod snapshot;
pub mod upstream_health_check;
pub mod upstream_types;
