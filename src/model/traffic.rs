//! Traffic policies of an action: rate limit, concurrency limit, circuit breaker, retries and response cache.

use std::time::Duration;

use zeroize::Zeroizing;

/// The policies of one action.
#[derive(Clone, Debug)]
pub struct TrafficRules {
    /// Calls at one time.
    pub max_concurrent_calls: usize,
    /// Calls that wait for one of those to end.
    pub max_queued_calls: usize,
    /// How long they wait.
    pub queue_timeout: Duration,
    /// With it, the circuit breaker is open for so long.
    pub circuit_breaker_reset_timeout: Option<Duration>,
    /// How often a call of a query is tried again.
    pub max_retries: usize,
    /// How often it may be called.
    pub rate_limits: Vec<RateLimit>,
    /// Is it rejected when the rate limit store is unavailable?
    pub denies_when_store_unavailable: bool,
    /// If given, its responses are kept.
    pub cache: Option<CacheRules>,
    /// Each of them signs what the handler gets.
    pub signing_keys: Vec<SigningKey>,
}

/// How responses are cached, and by what they vary.
#[derive(Clone, Debug)]
pub struct CacheRules {
    /// How long one is good.
    pub fresh: Duration,
    /// How long after that it is given while another is fetched.
    pub stale: Duration,
    /// The session variables that it depends on beside the role; all of them by default.
    pub by: Option<Vec<String>>,
}

/// So many calls in so much time, for everybody or for each caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many; all of them may come at once.
    pub count: u32,
    /// In how much time as many are allowed again.
    pub window: Duration,
    /// The key of a rate limit.
    pub by: RateKey,
}

/// The key of a rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// All together.
    All,
    /// Each client address.
    Address,
    /// Each value of this session variable; who has none is counted with all others who have none.
    Variable(String),
}

impl RateLimit {
    /// Reads `5 per 60s`, `5 per 60s by address`, `5 per 60s by x-hasura-user-id`. `duration` reads the time.
    #[must_use]
    pub fn parse(text: &str, duration: impl Fn(&str) -> Option<Duration>) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (count, window, by) = match words.as_slice() {
            [count, "per", window] => (count, window, RateKey::All),
            [count, "per", window, "by", "address"] => (count, window, RateKey::Address),
            [count, "per", window, "by", name] => {
                let name = name.to_ascii_lowercase();
                let is_variable = name.starts_with("x-hasura-") && name.len() > "x-hasura-".len();
                (count, window, is_variable.then_some(RateKey::Variable(name))?)
            }
            _ => return None,
        };
        let count = count.parse().ok().filter(|count| *count > 0)?;
        Some(Self { count, window: duration(window)?, by })
    }

    /// As it is shown.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} per {} s", self.count, self.window.as_secs_f64())
    }
}

/// A key that signs, in the form of Standard Webhooks: <https://www.standardwebhooks.com>.
#[derive(Clone)]
pub struct SigningKey(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

/// Why a policy rejected a call that the handler might well have served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficRejection {
    /// Which policy.
    pub policy: TrafficPolicy,
    /// For people.
    pub message: String,
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// A traffic policy that rejects calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficPolicy {
    /// Too many calls at one time.
    Concurrency,
    /// The handler fails.
    Breaker,
    /// Too many calls in a time.
    RateLimit,
}

impl TrafficPolicy {
    /// The code that clients get.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency-limit-exceeded",
            Self::Breaker => "handler-unavailable",
            Self::RateLimit => "rate-limit-exceeded",
        }
    }

    /// What is counted.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::Breaker => "circuit_breaker",
            Self::RateLimit => "rate_limit",
        }
    }
}

impl TrafficRejection {
    /// Whole seconds until it is worth trying again, at least one.
    #[must_use]
    pub fn retry_seconds(&self) -> u64 {
        self.retry_after.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limits_as_they_are_written() {
        let duration = |text: &str| text.strip_suffix('s')?.parse().ok().map(Duration::from_secs);
        let parse = |text: &str| RateLimit::parse(text, duration).map(|limit| (limit.count, limit.by));
        assert_eq!(parse("5 per 60s"), Some((5, RateKey::All)));
        assert_eq!(parse("5 per 60s by address"), Some((5, RateKey::Address)));
        assert_eq!(parse("5 per 60s by X-Hasura-User-Id"), Some((5, RateKey::Variable("x-hasura-user-id".into()))));
        for wrong in ["", "5", "0 per 1s", "5 per day", "5 per 60s by", "5 per 60s by cookie", "-1 per 1s", "5 in 60s"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
