//! What requests share: services, the snapshot of the configuration with its caches, load shedding, supervision.

pub(crate) mod catalog;
pub(crate) mod farewell;
pub(crate) mod introspection_cache;
pub(crate) mod load_monitor;
pub(crate) mod load_shedding;
pub(crate) mod loaded_config;
pub(crate) mod panic_isolation;
pub(crate) mod persisted_queries;
pub(crate) mod plan_cache;
pub(crate) mod prepare;
pub(crate) mod readiness;
pub(crate) mod reload_requests;
pub(crate) mod running_jobs;
pub(crate) mod schema_cache;
pub(crate) mod schema_fetch;
pub(crate) mod services;
pub(crate) mod snapshot;
pub(crate) mod unlisted_documents;
pub(crate) mod upstream_failure;
pub(crate) mod upstream_health_check;
pub(crate) mod upstream_types;
