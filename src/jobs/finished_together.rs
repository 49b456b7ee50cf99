//! Collects results of jobs that wait to be stored, so that they share a transaction. It keeps no task: who has the turn
//! stores what waits, its own result among it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, oneshot};
use uuid::Uuid;

use crate::jobs::job::Outcome;
use crate::jobs::store::StoreError;

/// The end of a job.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    /// Its id.
    pub id: Uuid,
    /// With which it was claimed.
    pub fencing_token: i32,
    /// How it ended.
    pub outcome: Outcome,
}

/// Was it still ours?
type Stored = Result<bool, StoreError>;

/// Results that wait.
pub(super) struct FinishedTogether {
    waiting: Mutex<Vec<(Finished, oneshot::Sender<Stored>)>>,
    /// Held while results are stored.
    pub turn: AsyncMutex<()>,
    /// So many are stored at one time. One that the database rejects must not take others with it for ever.
    max: AtomicUsize,
}

/// Results that are stored at one time.
const RESULTS_MAX: usize = 256;

/// Bytes of them, but for one that is longer.
const BYTES_MAX: usize = 1024 * 1024;

impl Default for FinishedTogether {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turn: AsyncMutex::default(), max: AtomicUsize::new(RESULTS_MAX) }
    }
}

impl FinishedTogether {
    /// Lets a result wait. What comes of it arrives at the receiver.
    pub(super) fn add(&self, finished: Finished) -> oneshot::Receiver<Stored> {
        let (sender, receiver) = oneshot::channel();
        self.waiting().push((finished, sender));
        receiver
    }

    /// The first ones that wait.
    pub(super) fn take(&self) -> Batch {
        let mut waiting = self.waiting();
        let (mut count, mut bytes, max) = (0, 0, self.max.load(Ordering::Relaxed));
        for (finished, _) in waiting.iter().take(max) {
            bytes += match &finished.outcome {
                Outcome::Completed(text) | Outcome::Failed(text) => text.len(),
            };
            if count > 0 && bytes > BYTES_MAX {
                break;
            }
            count += 1;
        }
        let (finished, senders) = waiting.drain(..count).unzip();
        Batch { finished, senders }
    }

    /// Tells the results of `batch` who was stored. After an error the next one goes alone, and twice as many after each
    /// success.
    pub(super) fn tell(&self, batch: Batch, stored: &Result<Vec<(Uuid, i32)>, StoreError>) {
        let max = self.max.load(Ordering::Relaxed);
        let next = if stored.is_ok() { (max * 2).min(RESULTS_MAX) } else { 1 };
        self.max.store(next, Ordering::Relaxed);
        for (finished, sender) in batch.finished.iter().zip(batch.senders) {
            let is_ours = |stored: &Vec<(Uuid, i32)>| stored.contains(&(finished.id, finished.fencing_token));
            // It fails only if the worker has stopped waiting.
            let _ = sender.send(stored.as_ref().map(is_ours).map_err(Clone::clone));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(Finished, oneshot::Sender<Stored>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Results that are stored together.
pub(super) struct Batch {
    /// The results.
    pub finished: Vec<Finished>,
    senders: Vec<oneshot::Sender<Stored>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(number: u128, text: &str) -> Finished {
        Finished { id: Uuid::from_u128(number), fencing_token: 1, outcome: Outcome::Completed(text.to_owned()) }
    }

    #[test]
    fn a_batch_is_bounded_and_nothing_overtakes() {
        let together = FinishedTogether::default();
        let large = " ".repeat(BYTES_MAX);
        let receivers: Vec<_> = [&*large, "", &*large, ""]
            .iter()
            .zip(0..)
            .map(|(text, number)| together.add(finished(number, text)))
            .collect();
        let ids = |batch: &Batch| batch.finished.iter().map(|finished| finished.id.as_u128()).collect::<Vec<_>>();
        let batches = [(); 3].map(|()| ids(&together.take()));
        assert_eq!(batches, [vec![0, 1], vec![2, 3], vec![]]);
        drop(receivers);
    }

    #[test]
    fn what_the_database_rejects_goes_alone_the_next_time() {
        let together = FinishedTogether::default();
        let add = |numbers: std::ops::Range<u128>| -> Vec<_> {
            numbers.map(|number| together.add(finished(number, ""))).collect()
        };
        let mut failed = add(0..3);
        together.tell(together.take(), &Err(StoreError("no".into())));
        assert!(failed.iter_mut().all(|receiver| receiver.try_recv().is_ok_and(|stored| stored.is_err())));
        let mut again = add(0..7);
        for wanted in [1, 2, 4] {
            let batch = together.take();
            assert_eq!(batch.finished.len(), wanted);
            let stored = batch.finished.iter().filter(|finished| finished.id.as_u128() != 3);
            let stored = stored.map(|finished| (finished.id, finished.fencing_token)).collect();
            together.tell(batch, &Ok(stored));
        }
        let stored: Vec<bool> =
            again.iter_mut().map(|receiver| receiver.try_recv().expect("a result").expect("stored")).collect();
        assert_eq!(stored, [true, true, true, false, true, true, true]);
    }
}
