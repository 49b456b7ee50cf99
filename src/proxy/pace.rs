//! How long a client's connection may take to say what it wants. pingora has a timer for each read only, so that whoever sends
//! a byte from time to time would be waited for without end; and none for the first bytes of a connection, by which it tells
//! HTTP/2.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

tokio::task_local! {
    /// That of the connection whose task this is.
    static PACE: Arc<Pace>;
}

/// Does `work` on a connection that has this pace.
pub fn with_pace<W: Future>(pace: Arc<Pace>, work: W) -> impl Future<Output = W::Output> {
    PACE.scope(pace, work)
}

/// The head of a request has been read.
pub fn head_was_read() {
    let _ = PACE.try_with(|pace| {
        pace.until.store(NOT_WAITING, Ordering::Relaxed);
        pace.heads.fetch_add(1, Ordering::Relaxed);
    });
}

/// Which head is awaited on this task's connection, if one is: how many have been read before it.
#[must_use]
pub fn awaited_head() -> Option<u32> {
    let awaited = |pace: &Arc<Pace>| {
        let awaits = pace.until.load(Ordering::Relaxed) != NOT_WAITING;
        awaits.then(|| pace.heads.load(Ordering::Relaxed))
    };
    PACE.try_with(awaited).ok().flatten()
}

/// A request is over, and the next one's head is to be there within `time`.
pub fn next_head_within(time: Duration) {
    let _ = PACE.try_with(|pace| pace.wait(time, false));
}

/// A request is over, and nobody has to send another one; after `time` the connection ends.
pub fn idle_for(time: Duration) {
    let _ = PACE.try_with(|pace| pace.wait(time, true));
}

/// A head begins, which is to be there within `time`. That of the first request is waited for since the client came.
pub fn head_begins(time: Duration) {
    let _ = PACE.try_with(|pace| {
        if pace.is_idle.load(Ordering::Relaxed) {
            pace.wait(time, false);
        }
    });
}

/// What a connection is waited for, and how long.
pub struct Pace {
    /// Until when, in milliseconds on our clock.
    until: AtomicU64,
    /// Is it one that nothing has to come on?
    is_idle: AtomicBool,
    /// How many heads have been read.
    heads: AtomicU32,
}

/// How the wait for a client ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Waited {
    /// Nothing came, and nothing had to.
    Idle,
    /// Half a head, or nothing at all.
    TooSlow,
}

/// No head is waited for.
const NOT_WAITING: u64 = 0;

impl Pace {
    /// The first head is to be there within `patience`.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self {
            until: AtomicU64::new(now() + millis(patience)),
            is_idle: AtomicBool::new(false),
            heads: AtomicU32::new(0),
        }
    }

    /// Is a head, or an end, waited for?
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.until.load(Ordering::Relaxed) != NOT_WAITING
    }

    fn wait(&self, time: Duration, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::Relaxed);
        self.until.store(now() + millis(time), Ordering::Relaxed);
    }

    /// Returns when what is waited for is not there in time, or up to `patience` later: it looks from time to time only, so
    /// that requests cost no timer.
    pub async fn end(&self, patience: Duration) -> Waited {
        loop {
            let (until, now) = (self.until.load(Ordering::Relaxed), now());
            let left = match until {
                NOT_WAITING => patience,
                until if until <= now => {
                    return if self.is_idle.load(Ordering::Relaxed) { Waited::Idle } else { Waited::TooSlow };
                }
                until => Duration::from_millis(until - now),
            };
            tokio::time::sleep(left).await;
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

    #[tokio::test]
    async fn whoever_is_waited_for_has_an_end() {
        let patience = Duration::from_millis(30);
        let pace = Arc::new(Pace::new(patience));
        assert_eq!(pace.end(patience).await, Waited::TooSlow);
        // Not while a request is under way, and not before it is time for the next.
        let busy = async {
            head_was_read();
            tokio::time::sleep(3 * patience).await;
            next_head_within(2 * patience);
            tokio::time::sleep(patience).await;
        };
        let waiting = PACE.scope(Arc::clone(&pace), busy);
        tokio::select! {
            biased;
            () = waiting => {}
            _ = pace.end(patience) => panic!("it was not late"),
        }
        assert_eq!(pace.end(patience).await, Waited::TooSlow);
    }
}
