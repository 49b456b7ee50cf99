//! The running jobs of this replica.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::jobs::job::Job;

/// The calls that this replica runs now.
#[derive(Default)]
pub(crate) struct RunningJobs {
    /// By id, with the fencing token.
    pub(crate) jobs: Mutex<HashMap<Uuid, RunningJob>>,
    /// Notified whenever a call has ended, or its result is stored.
    pub(crate) ended: Notify,
}

pub(crate) struct RunningJob {
    pub(crate) action: String,
    pub(crate) fencing_token: i32,
    /// Has its handler been called, so that only the result has to be stored?
    pub(crate) is_called: bool,
    /// Notified when another replica has taken the job over.
    pub(crate) lost: Arc<Notify>,
}

impl RunningJobs {
    /// How many there are.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many of them are calls of handlers at this time.
    #[must_use]
    pub(crate) fn in_calls(&self) -> usize {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.values().filter(|job| !job.is_called).count()
    }

    /// The same of one action.
    #[must_use]
    pub(crate) fn in_calls_of(&self, action: &str) -> usize {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.values().filter(|job| !job.is_called && job.action == action).count()
    }

    /// How many more there may be if at most so many handlers are called at a time. As many results again may wait to be stored.
    #[must_use]
    pub(crate) fn room(&self, most: usize) -> usize {
        most.saturating_sub(self.in_calls()).min(most.saturating_mul(2).saturating_sub(self.count()))
    }

    /// Its handler has been called.
    pub(crate) fn call_ended(&self, id: Uuid) {
        if let Some(job) = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&id) {
            job.is_called = true;
        }
        self.ended.notify_one();
    }

    /// Returns the notification of a lost job.
    pub(crate) fn begin(&self, job: &Job) -> Arc<Notify> {
        let lost = Arc::new(Notify::new());
        let running = RunningJob {
            action: job.action.clone(),
            fencing_token: job.fencing_token,
            is_called: false,
            lost: Arc::clone(&lost),
        };
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).insert(job.id, running);
        lost
    }

    /// Of these, by id and fencing token, only the calls in `kept` are still ours.
    pub(crate) fn lose_all_but(&self, kept: &HashSet<Uuid>, held: &[(Uuid, i32)]) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, fencing_token) in held.iter().filter(|(id, _)| !kept.contains(id)) {
            if let Some(job) = jobs.get(id).filter(|job| job.fencing_token == *fencing_token) {
                job.lost.notify_one();
            }
        }
    }

    pub(crate) fn end(&self, id: Uuid) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.ended.notify_one();
    }

    pub(crate) fn all(&self) -> Vec<(Uuid, i32)> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().map(|(id, job)| (*id, job.fencing_token)).collect()
    }
}
