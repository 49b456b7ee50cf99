//! Slow clients: the lowest rate at which a client may send a body or read a response. Only the time spent waiting for
//! *the client* counts, so that a slow upstream makes no client slow. Pure: time is an argument.

use std::time::Duration;

/// The lowest rate, and how long a client may stay below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// Bytes a second; at least one.
    pub bytes_per_second: usize,
    /// The grace period of a slow client: networks pause.
    pub grace: Duration,
}

impl MinRate {
    /// How long so many bytes may take.
    #[must_use]
    pub fn time_of(&self, bytes: usize) -> Duration {
        let micros = (bytes as u64).saturating_mul(1_000_000) / (self.bytes_per_second.max(1) as u64);
        Duration::from_micros(micros)
    }
}

/// For how long one transfer may still be waited for. Waiting takes of it, bytes add to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    rate: MinRate,
    left: Duration,
    left_max: Duration,
}

impl Allowance {
    /// A transfer begins. Bytes never add up to more than the grace, so that a client which was fast cannot stop for long.
    #[must_use]
    pub fn new(rate: MinRate) -> Self {
        Self { rate, left: rate.grace, left_max: rate.grace }
    }

    /// The same where it is unknown who is waited for: bytes may add up to `left_max`.
    #[must_use]
    pub fn up_to(self, left_max: Duration) -> Self {
        Self { left_max: left_max.max(self.rate.grace), ..self }
    }

    /// How long the next byte may take.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.left
    }

    /// How long the next `bytes` may take together.
    #[must_use]
    pub fn for_next(&self, bytes: usize) -> Duration {
        self.left.saturating_add(self.rate.time_of(bytes))
    }

    /// The client has taken or sent `bytes`, after it was waited for.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use pillion::model::min_rate::{Allowance, MinRate};
    ///
    /// let rate = MinRate { bytes_per_second: 100, grace: Duration::from_secs(5) };
    /// let mut allowance = Allowance::new(rate);
    /// allowance.moved(0, Duration::from_secs(2));
    /// assert_eq!(allowance.left(), Duration::from_secs(3));
    /// ```
    pub fn moved(&mut self, bytes: usize, waited: Duration) {
        self.left = self.for_next(bytes).saturating_sub(waited).min(self.left_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: MinRate = MinRate { bytes_per_second: 1024, grace: Duration::from_secs(10) };

    /// When a client is given up that moves `bytes` every `seconds`; `None` if not within an hour.
    fn given_up_after(bytes: usize, seconds: u64) -> Option<u64> {
        let mut allowance = Allowance::new(RATE);
        let mut waited = 0;
        while waited < 3600 {
            if allowance.for_next(bytes) < Duration::from_secs(seconds) {
                return Some(waited + allowance.for_next(bytes).as_secs());
            }
            allowance.moved(bytes, Duration::from_secs(seconds));
            waited += seconds;
        }
        None
    }

    #[test]
    fn a_client_below_the_minimum_rate_times_out() {
        for (bytes, seconds, wanted) in [
            (0, 1, Some(10)),
            (1, 1, Some(10)),
            (512, 1, Some(20)),
            (1023, 1, None),
            (1024, 1, None),
            (1024, 12, Some(11)),
            (12 * 1024, 12, None),
            // As much as the rate in the mean, and pieces that come too seldom.
            (30 * 1024, 30, None),
            (16 * 1024, 59, Some(26)),
        ] {
            assert_eq!(given_up_after(bytes, seconds), wanted, "{bytes} bytes every {seconds} s");
        }
    }

    #[test]
    fn a_fast_client_cannot_pause_for_long() {
        let mut allowance = Allowance::new(RATE);
        allowance.moved(100 * 1024 * 1024, Duration::from_secs(1));
        assert_eq!(allowance.left(), RATE.grace);
        let mut allowance = Allowance::new(RATE).up_to(Duration::from_secs(60));
        assert_eq!(allowance.left(), RATE.grace);
        allowance.moved(100 * 1024 * 1024, Duration::from_secs(1));
        assert_eq!(allowance.left(), Duration::from_secs(60));
        allowance.moved(0, Duration::from_secs(70));
        assert_eq!(allowance.left(), Duration::ZERO);
        assert_eq!(MinRate { bytes_per_second: 0, ..RATE }.time_of(usize::MAX).as_secs(), u64::MAX / 1_000_000);
    }
}
