//! Requests for a reload of the configuration, and their results.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot};

/// A request for a reload; the response is the reason why the old configuration stays, if it does.
type PendingReload = oneshot::Sender<Result<(), String>>;

/// Requests that wait.
const REQUESTS_MAX: usize = 16;

/// The sending half.
pub(crate) struct ReloadRequests {
    sender: mpsc::Sender<PendingReload>,
    receiver: Mutex<Option<mpsc::Receiver<PendingReload>>>,
    last: Mutex<Option<LastReload>>,
}

/// The last reload.
#[derive(Clone, Debug)]
pub(crate) struct LastReload {
    /// When it ended.
    pub at: SystemTime,
    /// Why the old configuration stays, if it does.
    pub outcome: Result<(), String>,
}

impl Default for ReloadRequests {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
        Self { sender, receiver: Mutex::new(Some(receiver)), last: Mutex::new(None) }
    }
}

impl ReloadRequests {
    /// Has it loaded, and waits.
    ///
    /// # Errors
    /// Why the old one stays.
    pub(crate) async fn request(&self) -> Result<(), String> {
        let not_running = || "no task reloads the configuration".to_owned();
        let (response, result) = oneshot::channel();
        self.sender.send(response).await.map_err(|_| not_running())?;
        result.await.map_err(|_| not_running())?
    }

    /// The receiving half, for the task that reloads; the second call returns nothing.
    pub(crate) fn take_receiver(&self) -> Option<mpsc::Receiver<PendingReload>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes how it went.
    pub(crate) fn note(&self, outcome: Result<(), String>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(LastReload { at: SystemTime::now(), outcome });
    }

    /// How it went the last time, if there was one.
    #[must_use]
    pub(crate) fn last(&self) -> Option<LastReload> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
