//! Retry of a failed job: backoff with jitter. Pure: the random number comes from outside.

use std::time::Duration;

/// In which ways a call can fail that another attempt may mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection, or it broke.
    Connection,
    /// No response in time.
    Timeout,
    /// 5xx.
    ServerError,
    /// 429.
    TooManyRequests,
}

impl Failure {
    /// All, by the names that the configuration has for them.
    pub(crate) const ALL: [(&'static str, Self); 4] = [
        ("connection", Self::Connection),
        ("timeout", Self::Timeout),
        ("5xx", Self::ServerError),
        ("429", Self::TooManyRequests),
    ];
}

/// The longest backoff, also of one that a handler requests.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// The backoff after so many failures: twice as long each time, with jitter, so that not all retries come at once.
/// `chance` is between 0 and 1. A handler may request more time.
#[must_use]
pub(crate) fn pause(first: Duration, failures: u32, chance: f64, asked_for: Option<Duration>) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX)).min(PAUSE_MAX);
    let jittered = doubled.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
    jittered.max(asked_for.unwrap_or_default()).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(second, 0, 1.0, None), second);
        assert_eq!(pause(second, 3, 1.0, None), Duration::from_secs(8));
        assert_eq!(pause(second, 3, 0.0, None), Duration::from_secs(4));
        assert_eq!(pause(second, 40, 1.0, None), PAUSE_MAX);
        assert_eq!(pause(second, u32::MAX, 0.5, None), PAUSE_MAX.mul_f64(0.75));
        assert_eq!(pause(second, 0, 1.0, Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert_eq!(pause(second, 0, 1.0, Some(Duration::MAX)), PAUSE_MAX);
    }
}
