//! The circuit breaker of an action: it opens when the handler fails, is half-open while a single trial call is under
//! way, and closes when that succeeds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Opens when at least half of at least [`VOLUME`] calls within ten seconds have failed.
pub(crate) struct CircuitBreaker {
    pause: Duration,
    state: Mutex<State>,
}

/// The fewest calls that can open it.
pub(crate) const VOLUME: usize = 20;

/// The window is counted in so many pieces.
const PIECES: usize = 10;

/// Each of them is so long.
const PIECE: Duration = Duration::from_secs(1);

struct State {
    phase: Phase,
    /// When the newest piece began.
    begun: Instant,
    /// Good and bad calls, the newest first.
    pieces: [(usize, usize); PIECES],
    /// How often it has opened; a call from before says nothing about the state after.
    era: u64,
    /// Of that era a trial has been reported.
    reported_trial_of: u64,
    /// Since when no call has succeeded.
    failing_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    OpenUntil(Instant),
    /// One call is under way that decides.
    Trying(WaitBudget),
}

/// How long the caller is ready to wait for the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitBudget {
    /// As long as the action allows, so that no response is the handler's failure.
    Full,
    /// Less, by the client's choice: a timeout says nothing about the handler.
    Short,
}

/// A change of the state, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CircuitTransition {
    /// No call is made for this time.
    Opened(Duration),
    /// It was open, in all its trials, for this time.
    Closed(Duration),
}

/// The state, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CircuitState {
    /// Calls are made.
    Closed,
    /// None is.
    Open,
    /// One is.
    HalfOpen,
}

/// Permit for one call. Dropped without a result, it records nothing: the client has disconnected, or did not want to
/// wait.
pub(crate) struct CallPermit<'b> {
    breaker: &'b CircuitBreaker,
    era: u64,
    /// The wait budget of a trial call.
    trial: Option<WaitBudget>,
    is_first_trial: bool,
    is_recorded: bool,
}

impl CircuitBreaker {
    /// Stays open for `pause`.
    #[must_use]
    pub(crate) fn new(pause: Duration) -> Self {
        let state = State {
            phase: Phase::Closed,
            begun: Instant::now(),
            pieces: [(0, 0); PIECES],
            era: 0,
            reported_trial_of: 0,
            failing_since: None,
        };
        Self { pause, state: Mutex::new(state) }
    }

    /// Permit for one call. A trial with a short wait budget does not keep a caller with a full one from being the next
    /// trial, so that the breaker cannot be held open by trials that end before the handler can respond.
    ///
    /// # Errors
    /// How long to wait before it is worth a retry.
    pub(crate) fn try_acquire(&self, budget: WaitBudget) -> Result<CallPermit<'_>, Duration> {
        let mut state = self.lock();
        let now = Instant::now();
        let trial = match state.phase {
            Phase::Closed => None,
            Phase::OpenUntil(end) if end > now => return Err(end - now),
            Phase::Trying(WaitBudget::Short) if budget == WaitBudget::Full => Some(budget),
            Phase::Trying(_) => return Err(self.pause),
            Phase::OpenUntil(_) => Some(budget),
        };
        if let Some(budget) = trial {
            state.phase = Phase::Trying(budget);
        }
        let is_first_trial = trial.is_some() && state.reported_trial_of != state.era;
        if is_first_trial {
            state.reported_trial_of = state.era;
        }
        Ok(CallPermit { breaker: self, era: state.era, trial, is_first_trial, is_recorded: false })
    }

    /// The state, for metrics.
    #[must_use]
    pub(crate) fn state(&self) -> CircuitState {
        match self.lock().phase {
            Phase::Closed => CircuitState::Closed,
            Phase::OpenUntil(_) => CircuitState::Open,
            Phase::Trying(_) => CircuitState::HalfOpen,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&mut self, pause: Duration) {
        let now = Instant::now();
        self.phase = Phase::OpenUntil(now + pause);
        self.failing_since.get_or_insert(now);
        self.era += 1;
        self.pieces = [(0, 0); PIECES];
    }

    fn count(&mut self, is_good: bool) {
        let passed = self.begun.elapsed().as_millis() / PIECE.as_millis();
        let passed = usize::try_from(passed).unwrap_or(usize::MAX);
        if passed > 0 {
            self.pieces.rotate_right(passed.min(PIECES));
            self.pieces.iter_mut().take(passed).for_each(|piece| *piece = (0, 0));
            self.begun = Instant::now();
        }
        let [newest, ..] = &mut self.pieces;
        if is_good { newest.0 += 1 } else { newest.1 += 1 }
    }

    fn is_failing(&self) -> bool {
        let (good, bad) = self.pieces.iter().fold((0, 0), |sum, piece| (sum.0 + piece.0, sum.1 + piece.1));
        good + bad >= VOLUME && bad >= good
    }
}

impl CallPermit<'_> {
    /// Is it the first trial since the breaker opened? Others follow if it ends without a result.
    #[must_use]
    pub(crate) fn is_first_trial(&self) -> bool {
        self.is_first_trial
    }

    /// Records the result of the call: did the handler respond as healthy handlers do?
    pub(crate) fn record(mut self, is_good: bool) -> Option<CircuitTransition> {
        self.is_recorded = true;
        let mut state = self.breaker.lock();
        if state.era != self.era {
            return None;
        }
        let pause = self.breaker.pause;
        if self.trial.is_none() {
            state.count(is_good);
            if !state.is_failing() {
                return None;
            }
        } else if is_good {
            state.phase = Phase::Closed;
            state.pieces = [(0, 0); PIECES];
            // A second trial may have closed it already.
            return state.failing_since.take().map(|since| CircuitTransition::Closed(since.elapsed()));
        }
        state.open(pause);
        Some(CircuitTransition::Opened(pause))
    }
}

impl Drop for CallPermit<'_> {
    fn drop(&mut self) {
        let Some(budget) = self.trial.filter(|_| !self.is_recorded) else { return };
        let mut state = self.breaker.lock();
        // Nothing is known, so the next one may try, unless another one tries already or has decided.
        if state.phase == Phase::Trying(budget) && state.era == self.era {
            state.phase = Phase::OpenUntil(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn calls(breaker: &CircuitBreaker, good: usize, bad: usize) {
        for number in 0..good + bad {
            if let Ok(permit) = breaker.try_acquire(WaitBudget::Full) {
                permit.record(number < good);
            }
        }
    }

    async fn later(seconds: f64) {
        tokio::time::advance(Duration::from_secs_f64(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn when_it_opens() {
        for (good, bad, state) in [
            (0, 19, CircuitState::Closed),
            (0, 20, CircuitState::Open),
            (11, 9, CircuitState::Closed),
            (10, 10, CircuitState::Open),
            (1000, 100, CircuitState::Closed),
        ] {
            let breaker = CircuitBreaker::new(PAUSE);
            calls(&breaker, good, bad);
            assert_eq!(breaker.state(), state, "{good} good and {bad} bad");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn old_calls_do_not_count() {
        let breaker = CircuitBreaker::new(PAUSE);
        calls(&breaker, 0, 19);
        later(10.5).await;
        calls(&breaker, 0, 19);
        assert_eq!(breaker.state(), CircuitState::Closed);
        later(5.0).await;
        calls(&breaker, 0, 1);
        assert_eq!(breaker.state(), CircuitState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_decides_whether_it_closes() {
        let breaker = CircuitBreaker::new(PAUSE);
        calls(&breaker, 0, 20);
        later(2.0).await;
        assert_eq!(breaker.try_acquire(WaitBudget::Full).err(), Some(Duration::from_secs(3)));
        later(3.0).await;
        let trial = breaker.try_acquire(WaitBudget::Full).expect("a permit");
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        assert_eq!(breaker.try_acquire(WaitBudget::Full).err(), Some(PAUSE), "one at a time");
        trial.record(false);
        assert_eq!(breaker.try_acquire(WaitBudget::Full).err(), Some(PAUSE), "it still fails");
        later(5.0).await;
        breaker.try_acquire(WaitBudget::Full).expect("a permit").record(true);
        assert_eq!(breaker.state(), CircuitState::Closed);
        calls(&breaker, 0, 19);
        assert_eq!(breaker.state(), CircuitState::Closed, "the past is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_disconnected_client_records_nothing() {
        let breaker = CircuitBreaker::new(PAUSE);
        for _ in 0..50 {
            drop(breaker.try_acquire(WaitBudget::Full));
        }
        assert_eq!(breaker.state(), CircuitState::Closed);
        calls(&breaker, 0, 20);
        later(5.0).await;
        drop(breaker.try_acquire(WaitBudget::Full).expect("a permit"));
        breaker.try_acquire(WaitBudget::Full).expect("the next one may try").record(true);
        assert_eq!(breaker.state(), CircuitState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn short_trials_do_not_block_full_ones() {
        let breaker = CircuitBreaker::new(PAUSE);
        calls(&breaker, 0, 20);
        later(5.0).await;
        let short = breaker.try_acquire(WaitBudget::Short).expect("a permit");
        assert_eq!(breaker.try_acquire(WaitBudget::Short).err(), Some(PAUSE), "one at a time");
        let full = breaker.try_acquire(WaitBudget::Full).expect("a permit beside a trial that may tell nothing");
        assert_eq!(breaker.try_acquire(WaitBudget::Full).err(), Some(PAUSE));
        drop(short);
        assert_eq!(breaker.try_acquire(WaitBudget::Short).err(), Some(PAUSE), "the other one still tries");
        full.record(true);
        assert_eq!(breaker.state(), CircuitState::Closed);
        // A late trial without a result changes no decision.
        calls(&breaker, 0, 20);
        later(5.0).await;
        let short = breaker.try_acquire(WaitBudget::Short).expect("a permit");
        let full = breaker.try_acquire(WaitBudget::Full).expect("a permit");
        short.record(true);
        assert_eq!(breaker.state(), CircuitState::Closed, "a response is a response");
        drop(full);
        assert_eq!(breaker.state(), CircuitState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_from_before_it_opened_does_not_count_after() {
        let breaker = CircuitBreaker::new(PAUSE);
        let (old, other) = (
            breaker.try_acquire(WaitBudget::Full).expect("a permit"),
            breaker.try_acquire(WaitBudget::Full).expect("a permit"),
        );
        calls(&breaker, 0, 20);
        later(5.0).await;
        let trial = breaker.try_acquire(WaitBudget::Full).expect("a permit");
        old.record(true);
        other.record(false);
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        trial.record(true);
        assert_eq!(breaker.state(), CircuitState::Closed);
    }
}
