//! Requests for a reload of the configuration, and their results.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

/// A request to load it; the response says why the old one stays, if it does.
type PendingReload = oneshot::Sender<Result<(), String>>;

/// Requests that wait.
const ASKED_MAX: usize = 16;

/// The sending half.
pub struct ReloadRequests {
    ask: mpsc::Sender<PendingReload>,
    asked: Mutex<Option<mpsc::Receiver<PendingReload>>>,
    last: Mutex<Option<Result<(), String>>>,
}

impl Default for ReloadRequests {
    fn default() -> Self {
        let (ask, asked) = mpsc::channel(ASKED_MAX);
        Self { ask, asked: Mutex::new(Some(asked)), last: Mutex::new(None) }
    }
}

impl ReloadRequests {
    /// Has it loaded, and waits.
    ///
    /// # Errors
    /// Why the old one stays.
    pub async fn ask(&self) -> Result<(), String> {
        let nobody = || "nobody loads the configuration here".to_owned();
        let (response, answered) = oneshot::channel();
        self.ask.send(response).await.map_err(|_| nobody())?;
        answered.await.map_err(|_| nobody())?
    }

    /// The requests, for the one who loads it; the second time there is nothing.
    pub fn asked(&self) -> Option<mpsc::Receiver<PendingReload>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes how it went.
    pub fn note(&self, outcome: Result<(), String>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    /// How it went the last time, if there was one.
    #[must_use]
    pub fn last(&self) -> Option<Result<(), String>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
