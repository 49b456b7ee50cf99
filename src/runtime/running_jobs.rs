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
    /// Notified whenever one has ended.
    pub(crate) ended: Notify,
}

pub(crate) struct RunningJob {
    pub(crate) action: String,
    pub(crate) fencing_token: i32,
    /// Notified when another replica has taken the job over.
    pub(crate) lost: Arc<Notify>,
}

impl RunningJobs {
    /// How many there are.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn of_action(&self, name: &str) -> usize {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.values().filter(|job| job.action == name).count()
    }

    /// Returns the notification of a lost job.
    pub(crate) fn begin(&self, job: &Job) -> Arc<Notify> {
        let lost = Arc::new(Notify::new());
        let running =
            RunningJob { action: job.action.clone(), fencing_token: job.fencing_token, lost: Arc::clone(&lost) };
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
