//! Jobs of asynchronous actions while they run: enqueued, executed by the worker, completed by their handlers.

pub mod completion;
pub mod enqueue;
pub mod worker;
