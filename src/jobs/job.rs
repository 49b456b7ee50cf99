//! Jobs of asynchronous actions as they are stored. Durations and times are the store's: its clock decides.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

/// A call that has just been accepted.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Made by us, at random, before anything is stored.
    pub id: Uuid,
    /// The action's own name.
    pub action: String,
    /// `{"input":…,"request_query":…,"request_id":…}`.
    pub payload: String,
    /// Those of the client's headers that the handler is to get, as a JSON object of lists.
    pub headers: String,
    /// The session variables as a JSON object.
    pub session: String,
    /// After this time it is not started any more.
    pub lifetime: Duration,
}

impl NewJob {
    /// Its stored form.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.payload.len() + self.headers.len() + self.session.len()) as u64
    }
}

/// Where a call stands. The names are those of Hasura's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits, for the first time or to be tried again.
    Created,
    /// A worker holds it, or its handler has yet to report.
    Processing,
    /// There is a result.
    Completed,
    /// There will be none.
    Error,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Created, Self::Processing, Self::Completed, Self::Error];

    /// As it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Error => "error",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// See [`NewJob`].
    pub id: Uuid,
    /// See [`NewJob`].
    pub action: String,
    /// See [`NewJob`].
    pub payload: String,
    /// See [`NewJob`]; empty once the job has ended.
    pub headers: String,
    /// See [`NewJob`].
    pub session: String,
    /// The handler's value as JSON.
    pub response: Option<String>,
    /// Why there is none, as JSON; of a job that waits for another attempt, why the last one failed.
    pub errors: Option<String>,
    /// When it was stored, as PostgreSQL writes a time with its zone in JSON.
    pub created_at: String,
    /// Where it stands.
    pub status: Status,
    /// How often a worker has begun it, retries by hand included.
    pub attempts: i32,
    /// How often it failed in a way that allows for another attempt.
    pub failures: i32,
    /// The number of the claim: it grows with each, and what a worker reports counts only with that of the last one.
    /// <https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html>
    pub fencing_token: i32,
    /// How often a lease ran out, so that the job was taken over: each time its worker may have been killed by it.
    pub lost_leases: i32,
}

/// What came of the wish to let a job run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeued {
    /// It is due.
    Done,
    /// It has a result, which would be replaced, and its handler would be called again.
    IsCompleted,
    /// There is no such job, or it has not ended.
    NotEnded,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this value, as JSON.
    Completed(String),
    /// With this error, as JSON.
    Failed(String),
}

/// An error in Hasura's form, as JSON.
#[must_use]
pub(crate) fn error_json(code: &str, message: &str, internal: Option<Value>) -> String {
    let mut errors = json!({ "code": code, "path": "$", "error": message });
    if let (Some(internal), Value::Object(errors)) = (internal, &mut errors) {
        errors.insert("internal".into(), internal);
    }
    errors.to_string()
}

/// The error of a cancelled job.
#[must_use]
pub(crate) fn cancelled() -> String {
    error_json("cancelled", "the action was cancelled", None)
}

/// What a worker requests.
#[derive(Clone, Debug)]
pub struct Claim {
    /// How many at most.
    pub limit: usize,
    /// For how long they are its own, unless it renews them.
    pub lease: Duration,
    /// Of which action.
    pub action: String,
}

/// A filter of jobs to list or to change.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this action.
    pub action: Option<String>,
    /// With this status.
    pub status: Option<Status>,
    /// Stored at least so long ago.
    pub older_than: Option<Duration>,
}

/// How many jobs of one action stand where.
#[derive(Clone, Debug)]
pub struct Count {
    /// The action.
    pub action: String,
    /// Their status.
    pub status: Status,
    /// How many.
    pub count: i64,
    /// Age of the oldest in seconds.
    pub oldest_seconds: f64,
    /// Bytes that are stored of them.
    pub bytes: i64,
}

/// The digest of a token with which a handler reports later.
pub(crate) type TokenDigest = [u8; 32];
