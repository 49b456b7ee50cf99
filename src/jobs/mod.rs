//! The log of asynchronous actions: what has been accepted is stored before anybody is told, and nothing of it is lost.

pub mod job;
pub mod log;
pub mod postgres;
pub mod retry;
pub mod shown;
pub mod sqlite;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use uuid::Uuid;

use crate::config::settings::{JobStore, Jobs as JobSettings};
use crate::database::Database;
use job::NewJob;
use log::{JobLog, StoreError};
use postgres::PostgresLog;
use sqlite::SqliteLog;

/// The log, as requests and workers use it.
pub struct Jobs {
    /// The store.
    pub log: Arc<dyn JobLog>,
    /// Told whenever there may be something to do.
    pub new: Notify,
    /// Told whenever a call has ended.
    pub ended: broadcast::Sender<Uuid>,
    shared: Option<Arc<PostgresLog>>,
    inbox: mpsc::Sender<Accepted>,
    waiting: Mutex<Option<mpsc::Receiver<Accepted>>>,
}

type Accepted = (NewJob, oneshot::Sender<Result<(), StoreError>>);

/// Calls that wait to be stored; more are refused.
const INBOX_MAX: usize = 10_000;

/// Ended calls that those who wait have not heard of yet; who misses some looks for himself.
const ENDED_MAX: usize = 1_024;

/// Calls that are stored at one time.
const BATCH_MAX: usize = 500;

/// How long a caller waits for his call to be stored.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before the database is listened to again.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

impl Jobs {
    /// Opens the store. With `serves`, no other process may serve from the same file.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub async fn open(settings: &JobSettings, serves: bool) -> Result<Self, String> {
        let failed = |error: StoreError| format!("async.store: {error}");
        let (log, shared): (Arc<dyn JobLog>, _) = match &settings.store {
            JobStore::Sqlite(path) => (Arc::new(SqliteLog::open(Path::new(path), serves).map_err(failed)?), None),
            JobStore::Postgres(database) => {
                let log = Arc::new(PostgresLog::open(Database::new(database)?).await.map_err(failed)?);
                (Arc::clone(&log) as Arc<dyn JobLog>, Some(log))
            }
        };
        let (inbox, waiting) = mpsc::channel(INBOX_MAX);
        Ok(Self {
            log,
            new: Notify::new(),
            ended: broadcast::Sender::new(ENDED_MAX),
            shared,
            inbox,
            waiting: Mutex::new(Some(waiting)),
        })
    }

    /// Stores a call. Once this returns without an error it is on disk.
    ///
    /// # Errors
    /// [`StoreError`]: it is not stored, or nobody knows.
    pub async fn accept(&self, job: NewJob) -> Result<(), StoreError> {
        let (tell, told) = oneshot::channel();
        let full = |_| StoreError("too many calls wait to be stored".into());
        self.inbox.try_send((job, tell)).map_err(full)?;
        let ended = || StoreError("a call was not stored in time".into());
        tokio::time::timeout(PATIENCE, told).await.map_err(|_| ended())?.map_err(|_| ended())?
    }

    /// Stores what is accepted, all that waits at one time together: they share one write to the disk. Never returns.
    pub async fn store_accepted(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut waiting) = waiting else { return std::future::pending().await };
        let mut batch: Vec<Accepted> = Vec::with_capacity(BATCH_MAX);
        while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
            // Whoever has gone away has been told that nobody knows; his call is not stored any more.
            batch.retain(|(_, tell)| !tell.is_closed());
            let jobs: Vec<NewJob> = batch.iter().map(|(job, _)| job.clone()).collect();
            let stored = if jobs.is_empty() { Ok(()) } else { self.log.insert(&jobs).await };
            for (_, tell) in batch.drain(..) {
                drop(tell.send(stored.clone()));
            }
            self.new.notify_one();
        }
    }

    /// Tells those who wait for it.
    pub fn tell_ended(&self, id: Uuid) {
        // It fails when nobody waits.
        let _ = self.ended.send(id);
    }

    /// Hears from other replicas when there is something to do. Never returns.
    pub async fn listen(&self) {
        let Some(shared) = &self.shared else { return std::future::pending().await };
        loop {
            if let Err(error) = shared.listen(&self.new, &|id| self.tell_ended(id)).await {
                tracing::warn!(%error, "other replicas cannot be heard; their work is looked for from time to time");
            }
            tokio::time::sleep(LISTEN_PAUSE).await;
        }
    }
}
