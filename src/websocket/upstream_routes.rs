//! Routes messages of the upstream to the operations that complete them before the client gets them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::websocket::queue::Sender;

/// What the upstream says about an operation.
pub(super) enum UpstreamMessage {
    /// A result, as JSON.
    Next(String),
    /// It was not run, or ended, for these errors: a list as JSON.
    Error(String),
    /// It has ended.
    Complete,
}

/// The operations of one session whose messages are routed. They have ids of our own at the upstream: a message that is
/// still on its way when its operation is stopped must not be taken for one that the client may read as it is.
pub(super) struct UpstreamRoutes {
    prefix: String,
    queues: Mutex<HashMap<String, Sender<UpstreamMessage>>>,
}

/// Where a message of the upstream goes.
pub(super) enum Destination {
    /// To the client.
    Client,
    /// To the operation that completes it.
    Operation(Sender<UpstreamMessage>),
    /// Nowhere: its operation has ended.
    Nowhere,
}

/// The route of one operation, until it is dropped.
pub(super) struct UpstreamRoute {
    /// The operation's id at the upstream.
    pub id: String,
    routes: Arc<UpstreamRoutes>,
}

impl UpstreamRoutes {
    /// None yet.
    pub(super) fn new() -> Arc<Self> {
        let prefix = format!("{}:", Uuid::new_v4().simple());
        Arc::new(Self { prefix, queues: Mutex::default() })
    }

    /// A route for the operation of this number.
    pub(super) fn open(self: &Arc<Self>, number: u64, queue: Sender<UpstreamMessage>) -> UpstreamRoute {
        let id = format!("{}{number}", self.prefix);
        self.queues().insert(id.clone(), queue);
        UpstreamRoute { id, routes: Arc::clone(self) }
    }

    /// Where a message about the operation `id` goes.
    pub(super) fn destination(&self, id: &str) -> Destination {
        if !id.starts_with(&self.prefix) {
            return Destination::Client;
        }
        self.queues().get(id).cloned().map_or(Destination::Nowhere, Destination::Operation)
    }

    /// A panic while it was locked cannot have left half an entry.
    fn queues(&self) -> MutexGuard<'_, HashMap<String, Sender<UpstreamMessage>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UpstreamRoute {
    fn drop(&mut self) {
        self.routes.queues().remove(&self.id);
    }
}
