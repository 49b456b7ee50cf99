//! Deadlines of a client's connection, against slow clients (Slowloris): the header read timeout, the idle timeout, and
//! the lowest rate at which responses are read. pingora has a timer for each read and each write only, so a client that
//! moves a byte from time to time would be waited for indefinitely; and it has none for the first bytes of a
//! connection, by which it recognizes HTTP/2.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::downstream::open_connection::OpenConnection;
use crate::model::min_rate::{Allowance, MinRate};

/// What a connection is waited for, and how long.
#[derive(Debug)]
pub(crate) struct ConnectionDeadline {
    /// Until when, in milliseconds on our clock.
    until: AtomicU64,
    /// Is it one that nothing has to come on?
    is_idle: AtomicBool,
    /// How many heads have been read.
    heads: AtomicU32,
    /// Is a write waiting for the client? Nearly never: then the lock below is not needed.
    has_waiting_write: AtomicBool,
    /// Bytes that could be written at once since a write has waited.
    written_at_once: AtomicUsize,
    writes: Mutex<Writes>,
    /// Counts the connection; never read.
    _open: Option<OpenConnection>,
}

/// How a client reads what is written to it.
#[derive(Debug)]
struct Writes {
    allowance: Allowance,
    /// Since when a write has been waiting.
    since: Option<Instant>,
}

/// How the wait for a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeadlineKind {
    /// Nothing came, and nothing had to.
    Idle,
    /// Half a head, or nothing at all.
    TooSlow,
    /// The client has not read what was written.
    DoesNotRead,
}

/// No head is waited for.
const NOT_WAITING: u64 = 0;

impl ConnectionDeadline {
    /// The first head has to arrive within `patience`, and responses have to be read at `download`. The connection is
    /// counted for as long as its deadline exists.
    #[must_use]
    pub(crate) fn new(patience: Duration, download: MinRate, open: Option<OpenConnection>) -> Self {
        Self {
            until: AtomicU64::new(now() + millis(patience)),
            is_idle: AtomicBool::new(false),
            heads: AtomicU32::new(0),
            has_waiting_write: AtomicBool::new(false),
            written_at_once: AtomicUsize::new(0),
            writes: Mutex::new(Writes { allowance: Allowance::new(download), since: None }),
            _open: open,
        }
    }

    /// Nothing more can be written before the client has read some of it.
    pub(crate) fn write_waits(&self) {
        if self.has_waiting_write.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut writes = self.writes();
        writes.allowance.moved(self.written_at_once.swap(0, Ordering::Relaxed), Duration::ZERO);
        writes.since = Some(Instant::now());
    }

    /// So many bytes could be written.
    pub(crate) fn has_written(&self, bytes: usize) {
        if !self.has_waiting_write.swap(false, Ordering::Relaxed) {
            self.written_at_once.fetch_add(bytes, Ordering::Relaxed);
            return;
        }
        let mut writes = self.writes();
        if let Some(since) = writes.since.take() {
            writes.allowance.moved(bytes, since.elapsed());
        }
    }

    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the write that is waiting may still do so; `None` if there is none.
    fn write_left(&self) -> Option<Duration> {
        if !self.has_waiting_write.load(Ordering::Relaxed) {
            return None;
        }
        let writes = self.writes();
        Some(writes.allowance.left().saturating_sub(writes.since?.elapsed()))
    }

    /// The head of a request has been read.
    pub(crate) fn head_was_read(&self) {
        self.until.store(NOT_WAITING, Ordering::Relaxed);
        self.heads.fetch_add(1, Ordering::Relaxed);
    }

    /// Is a head, or an end, waited for?
    #[must_use]
    pub(crate) fn is_waiting(&self) -> bool {
        self.until.load(Ordering::Relaxed) != NOT_WAITING
    }

    /// Which head is awaited, if one is: how many have been read before it.
    #[must_use]
    pub(crate) fn awaited_head(&self) -> Option<u32> {
        self.is_waiting().then(|| self.heads.load(Ordering::Relaxed))
    }

    /// A request is over, and the next one's head is to be there within `time`.
    pub(crate) fn next_head_within(&self, time: Duration) {
        self.wait(time, false);
    }

    /// A request is complete, and another one is optional; after `time` the connection is closed.
    pub(crate) fn idle_for(&self, time: Duration) {
        self.wait(time, true);
    }

    /// A head begins, which is to be there within `time`. That of the first request is waited for since the client came.
    pub(crate) fn head_begins(&self, time: Duration) {
        if self.is_idle.load(Ordering::Relaxed) {
            self.wait(time, false);
        }
    }

    fn wait(&self, time: Duration, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::Relaxed);
        self.until.store(now() + millis(time), Ordering::Relaxed);
    }

    /// Returns when the deadline has passed or what is written is not read, or up to `timeout` later: it checks from
    /// time to time only, so that requests cost no timer.
    pub(crate) async fn end(&self, patience: Duration) -> DeadlineKind {
        loop {
            let (until, now) = (self.until.load(Ordering::Relaxed), now());
            let left = match until {
                NOT_WAITING => patience,
                until if until <= now => {
                    return if self.is_idle.load(Ordering::Relaxed) {
                        DeadlineKind::Idle
                    } else {
                        DeadlineKind::TooSlow
                    };
                }
                until => Duration::from_millis(until - now),
            };
            let write_left = self.write_left();
            if write_left.is_some_and(|left| left.is_zero()) {
                return DeadlineKind::DoesNotRead;
            }
            tokio::time::sleep(write_left.map_or(left, |write_left| left.min(write_left))).await;
        }
    }
}

/// Milliseconds since an hour before the first look at this clock; never 0.
fn now() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    millis(START.get_or_init(Instant::now).elapsed()) + 3_600_000
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWNLOAD: MinRate = MinRate { bytes_per_second: 1000, grace: Duration::from_millis(100) };

    #[tokio::test]
    async fn a_client_that_does_not_read_times_out() {
        let patience = Duration::from_millis(30);
        let deadline = ConnectionDeadline::new(patience, DOWNLOAD, None);
        deadline.until.store(NOT_WAITING, Ordering::Relaxed);
        // A client that reads enough each time, or has nothing to read, is not late.
        let reads = async {
            for _ in 0..10 {
                deadline.write_waits();
                tokio::time::sleep(patience).await;
                // A flush moves everything that was written at once before.
                deadline.has_written(0);
                deadline.has_written(1000);
            }
            tokio::time::sleep(10 * patience).await;
        };
        tokio::select! {
            biased;
            () = reads => {}
            _ = deadline.end(patience) => panic!("it was not late"),
        }
        let drips = async {
            loop {
                deadline.write_waits();
                tokio::time::sleep(patience).await;
                deadline.has_written(1);
            }
        };
        tokio::select! {
            () = drips => {}
            waited = deadline.end(patience) => assert_eq!(waited, DeadlineKind::DoesNotRead),
        }
    }

    #[tokio::test]
    async fn an_idle_client_times_out() {
        let patience = Duration::from_millis(30);
        let deadline = ConnectionDeadline::new(patience, DOWNLOAD, None);
        assert_eq!(deadline.end(patience).await, DeadlineKind::TooSlow);
        // Not while a request is under way, and not before it is time for the next.
        let busy = async {
            deadline.head_was_read();
            tokio::time::sleep(3 * patience).await;
            deadline.next_head_within(2 * patience);
            tokio::time::sleep(patience).await;
        };
        tokio::select! {
            biased;
            () = busy => {}
            _ = deadline.end(patience) => panic!("it was not late"),
        }
        assert_eq!(deadline.end(patience).await, DeadlineKind::TooSlow);
    }
}
