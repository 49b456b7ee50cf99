//! The circuit breaker of an action: it opens when the handler fails, is half-open while a single trial call is under
//! way, and closes when that succeeds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Opens when at least half of at least [`VOLUME`] calls within ten seconds have failed.
pub struct CircuitBreaker {
    pause: Duration,
    state: Mutex<State>,
}

/// The fewest calls that can open it.
pub const VOLUME: usize = 20;

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    OpenUntil(Instant),
    /// One call is under way that decides.
    Trying(Patience),
}

/// How long the caller is ready to wait for the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as the action allows, so that no response is the handler's failure.
    Whole,
    /// Less, by the client's choice: a timeout says nothing about the handler.
    Short,
}

/// How it stands, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// Calls are made.
    Closed,
    /// None is.
    Open,
    /// One is.
    HalfOpen,
}

/// Permit for one call. Dropped without a result, it records nothing: the client has disconnected, or did not want to
/// wait.
pub struct CallPermit<'b> {
    breaker: &'b CircuitBreaker,
    era: u64,
    /// The wait budget of a trial call.
    trial: Option<Patience>,
    is_told: bool,
}

impl CircuitBreaker {
    /// Stays open for `pause`.
    #[must_use]
    pub fn new(pause: Duration) -> Self {
        let state = State { phase: Phase::Closed, begun: Instant::now(), pieces: [(0, 0); PIECES], era: 0 };
        Self { pause, state: Mutex::new(state) }
    }

    /// Permit for one call. A trial with a short wait budget does not keep a caller with a full one from being the next
    /// trial, so that the breaker cannot be held open by trials that end before the handler can respond.
    ///
    /// # Errors
    /// How long to wait before it is worth asking again.
    pub fn ask(&self, patience: Patience) -> Result<CallPermit<'_>, Duration> {
        let mut state = self.state();
        let now = Instant::now();
        let trial = match state.phase {
            Phase::Closed => None,
            Phase::OpenUntil(end) if end > now => return Err(end - now),
            Phase::Trying(Patience::Short) if patience == Patience::Whole => Some(patience),
            Phase::Trying(_) => return Err(self.pause),
            Phase::OpenUntil(_) => Some(patience),
        };
        if let Some(patience) = trial {
            state.phase = Phase::Trying(patience);
        }
        Ok(CallPermit { breaker: self, era: state.era, trial, is_told: false })
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> CircuitState {
        match self.state().phase {
            Phase::Closed => CircuitState::Closed,
            Phase::OpenUntil(_) => CircuitState::Open,
            Phase::Trying(_) => CircuitState::HalfOpen,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&mut self, pause: Duration) {
        self.phase = Phase::OpenUntil(Instant::now() + pause);
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
    /// Records the result of the call: did the handler respond as healthy handlers do?
    pub fn tell(mut self, is_good: bool) {
        self.is_told = true;
        let mut state = self.breaker.state();
        if state.era != self.era {
            return;
        }
        match (self.trial.is_some(), is_good) {
            (true, true) => {
                state.phase = Phase::Closed;
                state.pieces = [(0, 0); PIECES];
            }
            (true, false) => state.open(self.breaker.pause),
            (false, _) => {
                state.count(is_good);
                if state.is_failing() {
                    state.open(self.breaker.pause);
                }
            }
        }
    }
}

impl Drop for CallPermit<'_> {
    fn drop(&mut self) {
        let Some(patience) = self.trial.filter(|_| !self.is_told) else { return };
        let mut state = self.breaker.state();
        // Nothing is known, so the next one may try, unless another one tries already or has decided.
        if state.phase == Phase::Trying(patience) && state.era == self.era {
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
            if let Ok(leave) = breaker.ask(Patience::Whole) {
                leave.tell(number < good);
            }
        }
    }

    async fn later(seconds: f64) {
        tokio::time::advance(Duration::from_secs_f64(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn when_it_opens() {
        for (good, bad, standing) in [
            (0, 19, CircuitState::Closed),
            (0, 20, CircuitState::Open),
            (11, 9, CircuitState::Closed),
            (10, 10, CircuitState::Open),
            (1000, 100, CircuitState::Closed),
        ] {
            let breaker = CircuitBreaker::new(PAUSE);
            calls(&breaker, good, bad);
            assert_eq!(breaker.standing(), standing, "{good} good and {bad} bad");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_long_ago_does_not_count() {
        let breaker = CircuitBreaker::new(PAUSE);
        calls(&breaker, 0, 19);
        later(10.5).await;
        calls(&breaker, 0, 19);
        assert_eq!(breaker.standing(), CircuitState::Closed);
        later(5.0).await;
        calls(&breaker, 0, 1);
        assert_eq!(breaker.standing(), CircuitState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_decides_whether_it_closes() {
        let breaker = CircuitBreaker::new(PAUSE);
        calls(&breaker, 0, 20);
        later(2.0).await;
        assert_eq!(breaker.ask(Patience::Whole).err(), Some(Duration::from_secs(3)));
        later(3.0).await;
        let trial = breaker.ask(Patience::Whole).expect("leave");
        assert_eq!(breaker.standing(), CircuitState::HalfOpen);
        assert_eq!(breaker.ask(Patience::Whole).err(), Some(PAUSE), "one at a time");
        trial.tell(false);
        assert_eq!(breaker.ask(Patience::Whole).err(), Some(PAUSE), "it still fails");
        later(5.0).await;
        breaker.ask(Patience::Whole).expect("leave").tell(true);
        assert_eq!(breaker.standing(), CircuitState::Closed);
        calls(&breaker, 0, 19);
        assert_eq!(breaker.standing(), CircuitState::Closed, "the past is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_away_tells_nothing() {
        let breaker = CircuitBreaker::new(PAUSE);
        for _ in 0..50 {
            drop(breaker.ask(Patience::Whole));
        }
        assert_eq!(breaker.standing(), CircuitState::Closed);
        calls(&breaker, 0, 20);
        later(5.0).await;
        drop(breaker.ask(Patience::Whole).expect("leave"));
        breaker.ask(Patience::Whole).expect("the next one may try").tell(true);
        assert_eq!(breaker.standing(), CircuitState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn trials_that_are_cut_short_keep_nobody_out() {
        let breaker = CircuitBreaker::new(PAUSE);
        calls(&breaker, 0, 20);
        later(5.0).await;
        let short = breaker.ask(Patience::Short).expect("leave");
        assert_eq!(breaker.ask(Patience::Short).err(), Some(PAUSE), "one at a time");
        let whole = breaker.ask(Patience::Whole).expect("leave beside a trial that may tell nothing");
        assert_eq!(breaker.ask(Patience::Whole).err(), Some(PAUSE));
        drop(short);
        assert_eq!(breaker.ask(Patience::Short).err(), Some(PAUSE), "the other one still tries");
        whole.tell(true);
        assert_eq!(breaker.standing(), CircuitState::Closed);
        // A late trial without a result changes no decision.
        calls(&breaker, 0, 20);
        later(5.0).await;
        let short = breaker.ask(Patience::Short).expect("leave");
        let whole = breaker.ask(Patience::Whole).expect("leave");
        short.tell(true);
        assert_eq!(breaker.standing(), CircuitState::Closed, "a response is a response");
        drop(whole);
        assert_eq!(breaker.standing(), CircuitState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn what_began_before_it_opened_tells_nothing_about_after() {
        let breaker = CircuitBreaker::new(PAUSE);
        let (old, other) = (breaker.ask(Patience::Whole).expect("leave"), breaker.ask(Patience::Whole).expect("leave"));
        calls(&breaker, 0, 20);
        later(5.0).await;
        let trial = breaker.ask(Patience::Whole).expect("leave");
        old.tell(true);
        other.tell(false);
        assert_eq!(breaker.standing(), CircuitState::HalfOpen);
        trial.tell(true);
        assert_eq!(breaker.standing(), CircuitState::Closed);
    }
}
