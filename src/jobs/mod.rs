//! The job store of asynchronous actions: an accepted job is stored before its id is returned, and none is lost.

mod clock;
pub(crate) mod ephemeral_volume;
mod finished_together;
mod group_commit;
pub(crate) mod job;
pub(crate) mod postgres;
mod postgres_results;
pub(crate) mod redact;
pub(crate) mod retry;
pub(crate) mod sqlite;
pub(crate) mod store;
pub(crate) mod waiters;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::config::settings::{JobStoreSettings, Jobs as JobSettings};
use crate::jobs::job::NewJob;
use crate::jobs::postgres::{ListenEnd, PostgresStore};
use crate::jobs::sqlite::SqliteStore;
use crate::jobs::store::{JobStore, LOOK_MAX, StoreError};
use crate::jobs::waiters::JobWaiters;
use crate::model::error_kind::{ErrorKind, Reason};
use crate::postgres::Database;
use crate::telemetry::availability::Dependency;

/// The log, as requests and workers use it.
pub(crate) struct Jobs {
    /// The store.
    pub log: Arc<dyn JobStore>,
    /// Notified whenever there may be something to do.
    pub new: Notify,
    /// Those who wait for the end of a call.
    pub waiting: Arc<JobWaiters>,
    /// Bytes of the calls that have not ended, as far as this replica knows.
    stored_bytes: AtomicU64,
    max_pending_bytes: u64,
    shared: Option<Arc<PostgresStore>>,
    /// Notifications of other replicas.
    notifications: Dependency,
    inbox: mpsc::Sender<Accepted>,
    accepted: Mutex<Option<mpsc::Receiver<Accepted>>>,
}

/// A command only looks into a store that is there: an empty one of its own would look as if nothing had been lost.
fn no_store(place: &str) -> String {
    format!(
        "no job store at {place}\n  = help: name it as the server's configuration does: --config FILE, PILLION_CONFIG or \
         PILLION_JOBS_STORE"
    )
}

type Accepted = (NewJob, oneshot::Sender<Result<(), StoreError>>);

/// Jobs that wait to be stored; more are rejected.
const INBOX_MAX: usize = 10_000;

/// How often to look for the end of jobs that requests wait for; most often a notification comes first.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Calls that are stored at one time.
const BATCH_MAX: usize = 500;

/// How long a caller waits for a job to be stored.
const ENQUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before the database is listened to again.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// The same if notifications do not come by such a connection; it may lead elsewhere by then.
const UNABLE_PAUSE: Duration = Duration::from_mins(5);

const NOT_NOTIFIED: &str = "no notification came by the connection, as behind PgBouncer in transaction pooling mode";

impl Jobs {
    /// Opens the store. With `serves`, it is made if it is not there, and no other process may serve from the same file.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) async fn open(settings: &JobSettings, serves: bool) -> Result<Self, String> {
        let failed = |error: StoreError| format!("jobs.store: {error}");
        let (log, shared): (Arc<dyn JobStore>, _) = match &settings.store {
            JobStoreSettings::Sqlite(path) => {
                if !serves && !Path::new(path).exists() {
                    return Err(no_store(path));
                }
                (Arc::new(SqliteStore::open(Path::new(path), serves).map_err(failed)?), None)
            }
            JobStoreSettings::Postgres(database) => {
                let database = Database::new(database)?;
                let failed = |error: StoreError| format!("jobs.store: {}: {error}", database.shown());
                if !serves && !PostgresStore::exists(&database).await.map_err(failed)? {
                    return Err(no_store(&database.shown()));
                }
                let log = Arc::new(PostgresStore::open(database.clone()).await.map_err(failed)?);
                (Arc::clone(&log) as Arc<dyn JobStore>, Some(log))
            }
        };
        let (inbox, accepted) = mpsc::channel(INBOX_MAX);
        Ok(Self {
            log,
            new: Notify::new(),
            waiting: Arc::default(),
            stored_bytes: AtomicU64::new(0),
            max_pending_bytes: settings.max_pending_bytes as u64,
            shared,
            notifications: Dependency::new(
                "LISTEN connection to the job store lost: jobs of other replicas are polled for",
                "LISTEN connection to the job store available again",
            ),
            inbox,
            accepted: Mutex::new(Some(accepted)),
        })
    }

    /// Stores a call. Once this returns without an error it is on disk.
    ///
    /// # Errors
    /// [`StoreError`]: it is not stored, or the outcome is unknown.
    pub(crate) async fn accept(&self, job: NewJob) -> Result<(), StoreError> {
        let (bytes, max) = (job.bytes(), self.max_pending_bytes);
        if self.stored_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > max {
            self.stored_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(StoreError(format!("the calls that wait take {max} bytes already (jobs.max_pending_bytes)")));
        }
        let (sender, receiver) = oneshot::channel();
        let full = |_| StoreError("too many calls wait to be stored".into());
        self.inbox.try_send((job, sender)).map_err(full)?;
        let ended = || StoreError("a call was not stored in time".into());
        tokio::time::timeout(ENQUEUE_TIMEOUT, receiver).await.map_err(|_| ended())?.map_err(|_| ended())?
    }

    /// Stores accepted jobs, all that wait at one time together: they share one write to the disk. Never returns.
    pub(crate) async fn store_accepted(&self) {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut accepted) = accepted else { return std::future::pending().await };
        let mut batch: Vec<Accepted> = Vec::with_capacity(BATCH_MAX);
        while accepted.recv_many(&mut batch, BATCH_MAX).await > 0 {
            // A caller that has stopped waiting was told that the outcome is unknown; its job is not stored any more.
            batch.retain(|(_, sender)| !sender.is_closed());
            let jobs: Vec<NewJob> = batch.iter().map(|(job, _)| job.clone()).collect();
            let stored = if jobs.is_empty() { Ok(()) } else { self.log.insert(&jobs).await };
            for (_, sender) in batch.drain(..) {
                drop(sender.send(stored.clone()));
            }
            self.new.notify_one();
        }
    }

    /// What kind of store it is: its address may hold a password.
    #[must_use]
    pub(crate) fn store_name(&self) -> &'static str {
        if self.shared.is_some() { "postgresql" } else { "sqlite" }
    }

    /// What the calls that have not ended take by the store's own count.
    pub(crate) fn set_stored_bytes(&self, bytes: u64) {
        self.stored_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Looks for the end of jobs that requests wait for, all of them at once. Never returns.
    pub(crate) async fn look_for_ended(&self) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            for ids in self.waiting.ids().chunks(LOOK_MAX) {
                // An error does not help the waiting request, and is reported elsewhere.
                let ended = self.log.ended_of(ids).await.unwrap_or_default();
                ended.into_iter().for_each(|id| self.waiting.tell_ended(id));
            }
        }
    }

    /// Hears from other replicas when there is something to do. Never returns.
    pub(crate) async fn listen(&self) {
        let Some(shared) = &self.shared else { return std::future::pending().await };
        loop {
            let listening = || {
                self.notifications.found(self.store_name());
                // Events before LISTEN.
                self.new.notify_one();
            };
            let ended = shared.listen(&listening, &self.new, &|id| self.waiting.tell_ended(id)).await;
            let (reason, pause) = match ended {
                Ok(ListenEnd::NotNotified) => (Reason::new(ErrorKind::Timeout, NOT_NOTIFIED), UNABLE_PAUSE),
                Ok(ListenEnd::Closed) => {
                    (Reason::new(ErrorKind::ConnectionClosed, "the connection has ended"), LISTEN_PAUSE)
                }
                Err(error) => (error.reason(), LISTEN_PAUSE),
            };
            self.notifications.missed(self.store_name(), &reason);
            tokio::time::sleep(pause).await;
        }
    }
}
