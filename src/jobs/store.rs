//! The interface of a job store. There are two implementations: SQLite and PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::jobs::job::{Claim, Count, Filter, Job, NewJob, Outcome, Requeued, TokenDigest};
use crate::model::error_kind::{ErrorKind, Reason};

/// Why the store did not do something. It holds no value that was to be stored.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store of asynchronous actions cannot be used: {0}")]
pub struct StoreError(pub String);

impl StoreError {
    /// The same for logs.
    #[must_use]
    pub(crate) fn reason(&self) -> Reason {
        Reason::new(ErrorKind::JobStore, self.0.clone())
    }
}

/// How long to leave the store alone when it fails.
pub(crate) const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Jobs that are looked up at one time.
pub(crate) const LOOK_MAX: usize = 1_000;

/// Jobs that are deleted at one time.
pub const PURGE_MAX: u32 = 1_000;

/// The log of all calls of asynchronous actions. Each method is one transaction, durable once it returns.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Stores all of them or none.
    async fn insert(&self, jobs: &[NewJob]) -> Result<(), StoreError>;

    /// Removes changed and deleted rows from the disk, as far as the store allows it: PostgreSQL does it in its own
    /// time (VACUUM), and not in its write-ahead log.
    async fn forget(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The job of this id.
    async fn find(&self, id: Uuid) -> Result<Option<Job>, StoreError>;

    /// Which of these jobs have ended. At most `LOOK_MAX` at one time.
    async fn ended_of(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError>;

    /// Hands out jobs that are due, the oldest first, those whose lease has run out among them, each with a new fencing
    /// token. Each attempt is counted here, so that one which takes the worker with it counts as well.
    async fn claim(&self, claim: &Claim) -> Result<Vec<Job>, StoreError>;

    /// The actions that have jobs which have not ended.
    async fn pending_actions(&self) -> Result<Vec<String>, StoreError>;

    /// Keeps jobs for longer, each by its id and fencing token. Gives those whose token is still the last one.
    async fn renew(&self, held: &[(Uuid, i32)], lease: Duration) -> Result<Vec<Uuid>, StoreError>;

    /// Ends a job; the client's headers are forgotten. `false` if another worker has claimed it since.
    async fn finish(&self, id: Uuid, fencing_token: i32, outcome: &Outcome) -> Result<bool, StoreError>;

    /// Lets a failed job wait for another attempt, with the error of this one. `false` as above.
    async fn retry(&self, id: Uuid, fencing_token: i32, after: Duration, errors: &str) -> Result<bool, StoreError>;

    /// Returns a job; the attempt does not count. `false` as above.
    async fn release(&self, id: Uuid, fencing_token: i32) -> Result<bool, StoreError>;

    /// Leaves a job to its handler, which reports later with the token of this digest. `false` as above.
    async fn leave_to_handler(
        &self,
        id: Uuid,
        fencing_token: i32,
        digest: &TokenDigest,
        timeout: Duration,
    ) -> Result<bool, StoreError>;

    /// The job that waits for a report with this token.
    async fn awaiting(&self, id: Uuid, digest: &TokenDigest) -> Result<Option<Job>, StoreError>;

    /// The handler reports, once. `false` if no job waits for this token.
    async fn complete(&self, id: Uuid, digest: &TokenDigest, outcome: &Outcome) -> Result<bool, StoreError>;

    /// Ends jobs that are too late to start, and jobs that a handler never completed, with these errors. Returns how
    /// many.
    async fn expire(&self, too_late: &str, never_reported: &str) -> Result<u64, StoreError>;

    /// The newest jobs that fit.
    async fn list(&self, filter: &Filter, limit: usize) -> Result<Vec<Job>, StoreError>;

    /// Lets a failed job run again as if it were new, and a completed one only if this is forced.
    async fn requeue(&self, id: Uuid, lifetime: Duration, force: bool) -> Result<Requeued, StoreError>;

    /// Ends a job that has not ended. `false` if it has.
    async fn cancel(&self, id: Uuid, errors: &str) -> Result<bool, StoreError>;

    /// Deletes ended jobs that fit, or all of one action; at most `limit`. How many.
    async fn purge(&self, filter: &Filter, ended_only: bool, limit: usize) -> Result<u64, StoreError>;

    /// Deletes ended jobs, but for the newest so many; at most [`PURGE_MAX`] at one time. How many.
    async fn drop_all_but(&self, newest: usize) -> Result<u64, StoreError>;

    /// How many stand where.
    async fn counts(&self) -> Result<Vec<Count>, StoreError>;
}
