//! An operation under way on a WebSocket, and where it runs.

use tokio::task::AbortHandle;

use crate::runtime::services::Services;
use crate::telemetry::metrics::Held;
use crate::websocket::upstream_routes::UpstreamRoute;

/// An operation under way.
pub(super) struct Operation {
    /// Where it runs.
    pub runner: Runner,
    /// Distinguishes it from an earlier one with the same id.
    pub number: u64,
    _counted: Held,
}

/// Where an operation runs.
pub(super) enum Runner {
    /// A task, which ends with the operation.
    Task(AbortHandle),
    /// A task that is left to finish, because it writes.
    Mutation,
    /// The upstream.
    Upstream,
    /// The upstream, whose events this task completes. It ends with the operation.
    Completed(AbortHandle, UpstreamRoute),
}

impl Operation {
    /// It begins.
    pub(super) fn new(services: &Services, runner: Runner, number: u64) -> Self {
        Self { runner, number, _counted: Held::new(&services.metrics.websocket_operations) }
    }

    /// Its id at the upstream, if it runs there. The client calls it `id`.
    pub(super) fn id_at_upstream<'o>(&'o self, id: &'o str) -> Option<&'o str> {
        match &self.runner {
            Runner::Upstream => Some(id),
            Runner::Completed(_, route) => Some(&route.id),
            Runner::Task(_) | Runner::Mutation => None,
        }
    }

    /// Does it run at the upstream?
    pub(super) fn is_upstreams(&self) -> bool {
        self.id_at_upstream("").is_some()
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Runner::Task(handle) | Runner::Completed(handle, _) = &self.runner {
            handle.abort();
        }
    }
}
