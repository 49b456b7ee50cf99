//! The outgoing queue of a WebSocket: messages that wait until the client reads them, charged to the memory budget of
//! its connection.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::memory::{Budget, MemoryOwner, Share};

/// The end that puts messages in.
pub(super) struct Sender<E> {
    queue: mpsc::Sender<(Queued<E>, Share)>,
    memory: Arc<Budget>,
    owner: MemoryOwner,
}

/// The receiving half.
pub(super) enum Queued<E> {
    /// A message.
    Event(E),
    /// There was no room for one.
    NoRoom,
}

/// The end that takes messages out. The share is what a message holds.
pub(super) type Receiver<E> = mpsc::Receiver<(Queued<E>, Share)>;

impl<E> Clone for Sender<E> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), memory: Arc::clone(&self.memory), owner: self.owner }
    }
}

/// A queue of at most `events_max` messages of `owner`.
pub(super) fn queue<E>(events_max: usize, memory: &Arc<Budget>, owner: MemoryOwner) -> (Sender<E>, Receiver<E>) {
    let (queue, receiver) = mpsc::channel(events_max);
    (Sender { queue, memory: Arc::clone(memory), owner }, receiver)
}

impl<E> Sender<E> {
    /// Waits for room for a message of `bytes` bytes. `false` if the queue is closed.
    pub(super) async fn send(&self, event: E, bytes: usize) -> bool {
        let share = self.memory.empty(self.owner);
        let queued = if share.grow(bytes).is_ok() { Queued::Event(event) } else { Queued::NoRoom };
        self.queue.send((queued, share)).await.is_ok()
    }
}
