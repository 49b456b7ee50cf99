//! Readiness: whether requests can be served, with graceful shutdown, and errors that end the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::model::error_kind::{ErrorKind, Reason};

/// Something that makes it pointless to go on.
#[derive(Default)]
pub(crate) struct FatalError {
    reason: OnceLock<String>,
    notify: Notify,
}

impl FatalError {
    /// The program must end for this reason. The first one counts.
    pub(crate) fn set(&self, reason: String) {
        // A second reason adds nothing.
        let _ = self.reason.set(reason);
        self.notify.notify_one();
    }

    /// Waits until there is a reason.
    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }

    /// The reason, if there is one.
    #[must_use]
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }
}

/// Why the upstream is not ready.
#[derive(Clone, Debug)]
pub(crate) struct Unready {
    /// For everybody who can reach the admin listener.
    pub message: String,
    /// For operators.
    pub reason: Reason,
}

/// Readiness. It is false until the first successful health check of the upstream.
pub(crate) struct Readiness {
    draining: AtomicBool,
    drained: Notify,
    has_looked: AtomicBool,
    upstream: RwLock<Result<(), Unready>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            draining: AtomicBool::new(false),
            drained: Notify::new(),
            has_looked: AtomicBool::new(false),
            upstream: RwLock::new(Err(Unready {
                message: "the upstream has not responded yet".into(),
                reason: Reason::new(ErrorKind::Timeout, "it has not responded yet"),
            })),
        }
    }
}

impl Readiness {
    /// From now on nothing new is wanted.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.drained.notify_waiters();
    }

    /// Waits for the end to be near.
    pub(crate) async fn wait_for_drain(&self) {
        // Wakes for what happens from here on.
        let drained = self.drained.notified();
        if !self.is_draining() {
            drained.await;
        }
    }

    /// Is the end near?
    #[must_use]
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Records whether the upstream responds.
    pub(crate) fn set_upstream(&self, state: Result<(), Unready>) {
        *self.upstream.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.has_looked.store(true, Ordering::Release);
    }

    /// Has the upstream been probed yet?
    #[must_use]
    pub(crate) fn has_looked(&self) -> bool {
        self.has_looked.load(Ordering::Acquire)
    }

    /// Whether requests can be served.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.is_draining() {
            return Err("shutting down".into());
        }
        self.upstream().map_err(|unready| unready.message)
    }

    /// The result of the last health check of the upstream.
    ///
    /// # Errors
    /// Why it did not.
    pub(crate) fn upstream(&self) -> Result<(), Unready> {
        self.upstream.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
