//! Waiters for the end of jobs, so that one query of the store serves all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

/// The jobs that requests wait for.
#[derive(Default)]
pub(crate) struct JobWaiters(Mutex<HashMap<Uuid, watch::Sender<()>>>);

/// Waits for the end of a job, until this is dropped. A notification since it was made is not missed.
pub(crate) struct JobWaiter {
    id: Uuid,
    changes: watch::Receiver<()>,
    waiting: Arc<JobWaiters>,
}

impl JobWaiters {
    /// Registers a waiter for the end of this job.
    #[must_use]
    pub(crate) fn wait_for(self: &Arc<Self>, id: Uuid) -> JobWaiter {
        let changes = self.calls().entry(id).or_insert_with(|| watch::Sender::new(())).subscribe();
        JobWaiter { id, changes, waiting: Arc::clone(self) }
    }

    /// Notifies the waiters of this job.
    pub(crate) fn tell_ended(&self, id: Uuid) {
        if let Some(sender) = self.calls().get(&id) {
            sender.send_replace(());
        }
    }

    /// All jobs with waiters.
    #[must_use]
    pub(crate) fn ids(&self) -> Vec<Uuid> {
        self.calls().keys().copied().collect()
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JobWaiter {
    /// Returns when the call has ended.
    pub(crate) async fn ended(&mut self) {
        // The sender is there as long as we are.
        let _ = self.changes.changed().await;
    }
}

impl Drop for JobWaiter {
    fn drop(&mut self) {
        let mut calls = self.waiting.calls();
        if calls.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            calls.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_to_all_who_wait_for_it_and_forgotten_with_them() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let waiting = Arc::new(JobWaiters::default());
            let (id, other) = (Uuid::new_v4(), Uuid::new_v4());
            let (mut first, mut second) = (waiting.wait_for(id), waiting.wait_for(id));
            let mut third = waiting.wait_for(other);
            waiting.tell_ended(id);
            first.ended().await;
            second.ended().await;
            tokio::select! {
                biased;
                () = third.ended() => panic!("that call has not ended"),
                () = std::future::ready(()) => {}
            }
            drop(first);
            assert_eq!(waiting.ids().len(), 2);
            drop((second, third));
            assert!(waiting.ids().is_empty());
            waiting.tell_ended(id);
        });
    }
}
