//! Jobs of asynchronous actions while they run: enqueued, executed by the worker, completed by their handlers.

mod claim_jobs;
pub(crate) mod completion;
pub(crate) mod enqueue;
pub(crate) mod operator_api;
pub(crate) mod run_job;
pub(crate) mod worker;
