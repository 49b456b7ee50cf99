//! The rate limit of an action, counted here or in a Redis that replicas share.
//!
//! Each caller that is counted is a key in a table of bounded size. When it is full, the keys that have not been
//! counted for the longest time are forgotten; callers are never counted together for want of room.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::network::ClientNetworks;
use crate::model::traffic::RateLimit;
use crate::traffic_shaping::redis::{RedisStore, StoreUnavailable};

/// Counts the calls under one limit.
pub(crate) struct CallRateLimiter {
    limit: RateLimit,
    /// When its clock began.
    started: Instant,
    hashers: [RandomState; 2],
    table: Mutex<Table>,
}

/// The caller that a call is counted for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller<'c> {
    /// Everybody who has the same text.
    Named(&'c str),
    /// A client address, with the networks that it is in.
    At(ClientNetworks),
}

/// Callers that are remembered at least. It is what bounds the memory: twice as many take up to 8 MB.
const KEYS_MIN: usize = 50_000;

/// How many times the limit holds for a /64, a /56 and a /48 of version 6. A /56 is a household or some phones of one
/// carrier, a /48 a company or thousands of phones; the sole owner of one gains this much by it, and no more.
const MULTIPLES: [u32; 3] = [1, 4, 16];

impl CallRateLimiter {
    /// All that is allowed may come at once; after that it comes back evenly.
    #[must_use]
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { limit, started: Instant::now(), hashers: Default::default(), table: Mutex::default() }
    }

    /// What it counts.
    #[must_use]
    pub(crate) fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Counts a call of `caller`, here.
    ///
    /// # Errors
    /// When the next one will be allowed.
    pub(crate) fn count(&self, caller: Caller<'_>) -> Result<(), Duration> {
        self.count_at(caller, self.now())
    }

    /// The same at a time in nanoseconds on its clock.
    fn count_at(&self, caller: Caller<'_>, now: u64) -> Result<(), Duration> {
        let window = nanos(self.limit.window);
        let counted = match caller {
            Caller::Named(name) => self.table().count([(self.key(name), self.interval(1))], now, window),
            Caller::At(networks) => {
                let all = networks.with(MULTIPLES);
                let all = all.map(|(network, multiple)| (self.key(&network), self.interval(multiple)));
                self.table().count(all, now, window)
            }
        };
        counted.map_err(Duration::from_nanos)
    }

    /// Counts a call of `caller` for all replicas. `action` keeps the limits of different actions apart.
    ///
    /// # Errors
    /// The store is unavailable; or, inside, when the next call will be allowed.
    pub(crate) async fn count_shared(
        &self,
        shared: &RedisStore,
        action: &str,
        caller: Caller<'_>,
    ) -> Result<Result<(), Duration>, StoreUnavailable> {
        let RateLimit { count, window, .. } = &self.limit;
        let key = |slot: &str, who: &str| format!("pillion:rate:{slot}{action}:{count}/{}:{who}", window.as_micros());
        let counted: Vec<(String, Duration)> = match caller {
            Caller::Named(name) => vec![(key("", name), self.interval(1))],
            Caller::At(networks) => {
                let all: Vec<_> = networks.with(MULTIPLES).collect();
                // Keys that are counted together are in one slot of a Redis Cluster, that of the largest network.
                let slot = all.last().map(|(network, _)| format!("{{{action}/{network}}}:")).unwrap_or_default();
                all.iter()
                    .map(|(network, multiple)| (key(&slot, &network.to_string()), self.interval(*multiple)))
                    .collect()
            }
        };
        shared.count(&counted, *window).await
    }

    /// Removes callers that have not called for long.
    pub(crate) fn forget(&self) {
        let now = self.now();
        self.table().forget(now);
    }

    /// The time in which one more call is allowed to those for whom the limit holds `multiple` times.
    fn interval(&self, multiple: u32) -> Duration {
        self.limit.window / self.limit.count.saturating_mul(multiple).max(1)
    }

    /// Callers are identified by two hashes with secret keys, so that a collision cannot be constructed, and each takes
    /// as little room as any other.
    fn key(&self, who: &(impl Hash + ?Sized)) -> Key {
        let [first, second] = &self.hashers;
        [first.hash_one(who), second.hash_one(who)]
    }

    fn now(&self) -> u64 {
        nanos(self.started.elapsed())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Held for a few look-ups; each time after a time and a key have been made.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Key = [u64; 2];

/// When each caller may make all of its calls again, in two generations: a caller that is counted moves to the younger
/// one, and when that is full, it becomes the older one, which is forgotten.
#[derive(Default)]
struct Table {
    young: HashMap<Key, u64>,
    old: HashMap<Key, u64>,
}

impl Table {
    /// Counts a call for each of these keys, whose interval stands beside it, or for none of them.
    fn count(&mut self, keys: impl IntoIterator<Item = (Key, Duration)>, now: u64, window: u64) -> Result<(), u64> {
        let mut counted = [None; MULTIPLES.len()];
        let mut wait: Result<(), u64> = Ok(());
        for (slot, (key, interval)) in counted.iter_mut().zip(keys) {
            let known = self.touch(key);
            match step(known.unwrap_or_default(), now, nanos(interval), window) {
                Ok(until) => *slot = Some((key, until)),
                Err(longer) => wait = Err(wait.err().unwrap_or_default().max(longer)),
            }
        }
        if wait.is_ok() {
            counted.into_iter().flatten().for_each(|(key, until)| self.put(key, until));
        }
        wait
    }

    /// The state of a key, which is then among those that were counted last.
    fn touch(&mut self, key: Key) -> Option<u64> {
        if let Some(known) = self.young.get(&key) {
            return Some(*known);
        }
        let known = self.old.remove(&key)?;
        self.put(key, known);
        Some(known)
    }

    fn put(&mut self, key: Key, until: u64) {
        self.young.insert(key, until);
        if self.young.len() >= KEYS_MIN {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
    }

    /// A caller that may make all calls again needs no entry.
    fn forget(&mut self, now: u64) {
        for generation in [&mut self.young, &mut self.old] {
            generation.retain(|_, until| *until > now);
            generation.shrink_to_fit();
        }
    }
}

/// One step of the [generic cell rate algorithm](https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm): the time at which
/// all calls are allowed again moves by one interval, but never further away than the window.
///
/// # Errors
/// How long to wait.
fn step(until: u64, now: u64, interval: u64, window: u64) -> Result<u64, u64> {
    let until = until.max(now).saturating_add(interval);
    match until.saturating_sub(now.saturating_add(window)) {
        0 => Ok(until),
        wait => Err(wait),
    }
}

fn nanos(time: Duration) -> u64 {
    // Five hundred years fit.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::traffic::RateKey;

    const MINUTE: u64 = 60_000_000_000;

    fn limiter(count: u32) -> CallRateLimiter {
        CallRateLimiter::new(RateLimit { count, window: Duration::from_secs(600), by: RateKey::Address })
    }

    fn at(address: &str) -> Caller<'_> {
        Caller::At(ClientNetworks::of(address.parse().expect("an address")))
    }

    #[test]
    fn calls_come_back_evenly() {
        let limiter = limiter(2);
        let call = |who, minute: u64| limiter.count_at(Caller::Named(who), minute * MINUTE);
        assert_eq!((call("a", 0), call("a", 0), call("b", 0)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(call("a", 0), Err(Duration::from_secs(300)));
        assert_eq!(call("a", 4), Err(Duration::from_secs(60)), "what is rejected is not counted");
        assert_eq!((call("a", 5), call("b", 5)), (Ok(()), Ok(())));
        assert_eq!(call("a", 5), Err(Duration::from_secs(300)));
        assert_eq!((call("a", 60), call("a", 60)), (Ok(()), Ok(())));
        assert!(call("a", 60).is_err());
    }

    /// More callers than can be remembered: those of today keep their counts, and a new one has its own.
    #[test]
    fn the_oldest_are_forgotten() {
        let limiter = limiter(5);
        let call = |who: &str| limiter.count_at(Caller::Named(who), 0).is_ok();
        assert!((0..5).all(|_| call("known")) && !call("known"));
        for number in 0..3 * KEYS_MIN {
            assert!(call(&number.to_string()));
            if number % (KEYS_MIN / 2) == 0 {
                assert!(!call("known"), "still known after {number} others");
            }
        }
        assert!((0..5).all(|_| call("new")) && !call("new"));
        assert!(call("0"), "it was forgotten long ago");
        let mut table = limiter.table();
        assert!(table.young.len() < KEYS_MIN && table.old.len() <= KEYS_MIN);
        table.forget(u64::MAX);
        assert!(table.young.is_empty() && table.old.is_empty());
    }

    /// The owner of a /47 makes sixteen times as many calls with each half, and all others have no fewer.
    #[test]
    fn networks_count_together() {
        let limiter = limiter(5);
        let call = |address: &str| limiter.count_at(at(address), 0).is_ok();
        assert!(call("2001:db8:ffff::1") && call("192.0.2.1"));
        let allowed = |networks: &dyn Fn(u32) -> String| (0..1_000).filter(|number| call(&networks(*number))).count();
        assert_eq!(allowed(&|number| format!("2001:db8:0:{:x}::1", number % 256)), 20, "of a /56");
        assert_eq!(allowed(&|number| format!("2001:db8:0:{:x}::1", 256 + 32 * number)), 60, "of a /48");
        assert_eq!(allowed(&|number| format!("2001:db8:1:{:x}::1", 60 * number)), 80, "of another");
        assert!(limiter.table().young.len() < 500, "a rejected caller takes no room");
        assert!((0..4).all(|_| call("2001:db8:ffff::2")) && !call("2001:db8:ffff::3"));
        assert!((0..4).all(|_| call("::ffff:192.0.2.1")) && !call("192.0.2.1"));
    }
}
