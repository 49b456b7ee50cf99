//! When something of a session is due: keep-alive, timeouts, the end of its token, and that of the process.

use std::time::{Duration, Instant};

use crate::websocket::{INIT_TIMEOUT, KEEP_ALIVE};

/// What there is no more time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The process ends.
    Leaving,
    /// The client has not introduced itself.
    Introduction,
    /// Nothing has come from it.
    Message,
    /// Its token has expired.
    Token,
}

/// What the times of a session depend on.
#[derive(Default)]
pub(super) struct Terms {
    pub is_introduced: bool,
    /// How long nothing may come from the client.
    pub idle_timeout: Duration,
    /// For how long its token is still valid, if it has one that ends.
    pub token: Option<Duration>,
}

/// The times of one session.
pub(super) struct SessionTimes {
    opened: Instant,
    last_heard: Instant,
    kept_alive: Instant,
    /// When it is closed, once the process ends.
    leaves: Option<Instant>,
}

impl SessionTimes {
    pub(super) fn new(now: Instant) -> Self {
        Self { opened: now, last_heard: now, kept_alive: now, leaves: None }
    }

    /// Something has come from the client.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// The process ends, and the session then.
    pub(super) fn leave_at(&mut self, then: Instant) {
        self.leaves = Some(then);
    }

    /// The reason to end it now, if there is one.
    pub(super) fn overdue(&self, now: Instant, terms: &Terms) -> Option<Overdue> {
        let passed = |(what, then): (Overdue, Option<Instant>)| then.is_some_and(|then| then <= now).then_some(what);
        self.ends(now, terms).into_iter().find_map(passed)
    }

    /// Is the client to hear from us now? It is then taken to.
    pub(super) fn keeps_alive(&mut self, now: Instant, terms: &Terms) -> bool {
        let is_due = terms.is_introduced && now >= self.next_keep_alive(terms);
        if is_due {
            self.kept_alive = now;
        }
        is_due
    }

    /// When there is something to do again. Until then the session sleeps: most of a process are idle.
    pub(super) fn next(&self, now: Instant, terms: &Terms) -> Instant {
        let awaited = if terms.is_introduced { self.next_keep_alive(terms) } else { self.introduction_due() };
        self.ends(now, terms).into_iter().filter_map(|(_, then)| then).fold(awaited, Instant::min)
    }

    fn next_keep_alive(&self, terms: &Terms) -> Instant {
        self.kept_alive + KEEP_ALIVE.min(terms.idle_timeout / 3)
    }

    fn introduction_due(&self) -> Instant {
        self.opened + INIT_TIMEOUT
    }

    fn ends(&self, now: Instant, terms: &Terms) -> [(Overdue, Option<Instant>); 4] {
        let introduction = (!terms.is_introduced).then(|| self.introduction_due());
        [
            (Overdue::Leaving, self.leaves),
            (Overdue::Introduction, introduction),
            (Overdue::Message, self.last_heard.checked_add(terms.idle_timeout)),
            (Overdue::Token, terms.token.and_then(|left| now.checked_add(left))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Seconds after it was opened: what is overdue, whether it is kept alive, and when to look again.
    fn at(times: &mut SessionTimes, seconds: u32, terms: &Terms) -> (Option<Overdue>, bool, u64) {
        let now = times.opened + SECOND * seconds;
        let (overdue, keeps_alive) = (times.overdue(now, terms), times.keeps_alive(now, terms));
        (overdue, keeps_alive, (times.next(now, terms) - times.opened).as_secs())
    }

    #[test]
    fn a_client_introduces_itself_in_time() {
        let mut times = SessionTimes::new(Instant::now());
        let terms = Terms { idle_timeout: 60 * SECOND, ..Terms::default() };
        assert_eq!(at(&mut times, 0, &terms), (None, false, 3));
        assert_eq!(at(&mut times, 3, &terms), (Some(Overdue::Introduction), false, 3));
        // It is not kept alive before, however short that interval is.
        let mut times = SessionTimes::new(Instant::now());
        let terms = Terms { idle_timeout: 3 * SECOND, ..Terms::default() };
        assert_eq!(at(&mut times, 2, &terms), (None, false, 3));
    }

    #[test]
    fn an_idle_session_is_looked_at_when_it_is_kept_alive() {
        let mut times = SessionTimes::new(Instant::now());
        let mut terms = Terms { is_introduced: true, idle_timeout: 12 * SECOND, token: None };
        assert_eq!(at(&mut times, 1, &terms), (None, false, 4));
        assert_eq!(at(&mut times, 4, &terms), (None, true, 8));
        times.heard(times.opened + 7 * SECOND);
        assert_eq!(at(&mut times, 17, &terms), (None, true, 19));
        assert_eq!(at(&mut times, 19, &terms).0, Some(Overdue::Message));
        terms.idle_timeout = Duration::MAX;
        assert_eq!(at(&mut times, 19, &terms), (None, false, 22));
    }

    #[test]
    fn it_ends_with_its_token_and_with_the_process() {
        let mut times = SessionTimes::new(Instant::now());
        let mut terms = Terms { is_introduced: true, idle_timeout: 60 * SECOND, token: Some(2 * SECOND) };
        assert_eq!(at(&mut times, 1, &terms), (None, false, 3));
        terms.token = Some(Duration::ZERO);
        assert_eq!(at(&mut times, 3, &terms).0, Some(Overdue::Token));
        times.leave_at(times.opened + 2 * SECOND);
        assert_eq!(at(&mut times, 1, &Terms { token: None, ..terms }), (None, false, 2));
        assert_eq!(at(&mut times, 2, &Terms { token: Some(Duration::ZERO), ..terms }).0, Some(Overdue::Leaving));
    }
}
