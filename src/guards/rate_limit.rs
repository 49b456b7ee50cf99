//! How often an action may be called, counted here or in a Redis that replicas share.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::shared::{Shared, Uncounted};
use crate::model::guard::RateLimit;

/// Counts the calls under one limit.
pub struct Limiter {
    limit: RateLimit,
    own: RateLimiter<String, DashMapStateStore<String>, DefaultClock>,
}

/// Callers that are counted one by one; more share what one may do, so that nobody can fill the memory with callers.
const KEYS_MAX: usize = 100_000;

/// The caller that all others are.
const EVERYBODY_ELSE: &str = "";

impl Limiter {
    /// All that is allowed may come at once; after that it comes back evenly.
    #[must_use]
    pub fn new(limit: RateLimit) -> Self {
        let count = NonZeroU32::new(limit.count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(limit.window / count.get()).unwrap_or_else(|| Quota::per_second(count));
        let own = RateLimiter::dashmap(quota.allow_burst(count));
        Self { limit, own }
    }

    /// What it counts.
    #[must_use]
    pub fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Counts a call of `who`, here.
    ///
    /// # Errors
    /// When the next one will be allowed.
    pub fn count(&self, who: String) -> Result<(), Duration> {
        let who = if self.own.len() < KEYS_MAX { who } else { EVERYBODY_ELSE.to_owned() };
        self.own.check_key(&who).map_err(|wait| wait.wait_time_from(DefaultClock::default().now()))
    }

    /// Counts a call of `who` for all replicas. `action` keeps the limits of different actions apart.
    ///
    /// # Errors
    /// Nobody can tell; or, inside, when the next one will be allowed.
    pub async fn count_shared(
        &self,
        shared: &Shared,
        action: &str,
        who: &str,
    ) -> Result<Result<(), Duration>, Uncounted> {
        let RateLimit { count, window, .. } = &self.limit;
        let key = format!("pillion:rate:{action}:{count}/{}:{who}", window.as_micros());
        shared.count(&key, *window / (*count).max(1), *window).await
    }

    /// Forgets those who have not called for long.
    pub fn forget(&self) {
        self.own.retain_recent();
        self.own.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::guard::RateKey;

    #[test]
    fn each_has_his_own_count_until_they_are_too_many() {
        let limit = RateLimit { count: 2, window: Duration::from_secs(600), by: RateKey::Address };
        let limiter = Limiter::new(limit);
        let call = |who: &str| limiter.count(who.to_owned());
        assert_eq!((call("a"), call("a"), call("b")), (Ok(()), Ok(()), Ok(())));
        let wait = call("a").expect_err("the third one has to wait");
        assert!(wait > Duration::from_secs(290) && wait <= Duration::from_secs(300), "{wait:?}");
        assert_eq!(call("b"), Ok(()));
        for number in 0..KEYS_MAX {
            let _ = call(&number.to_string());
        }
        let allowed = (0..10).filter(|number| call(&format!("new {number}")).is_ok()).count();
        assert!(allowed <= 2, "{allowed} of those who are too many");
        assert!(limiter.own.len() <= KEYS_MAX + 1);
    }
}
