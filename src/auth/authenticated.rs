//! The result of authentication: a session, and what the auth hook adds to the response.

use std::time::{Duration, SystemTime};

use http::header::HeaderValue;

use crate::session::Session;

/// A caller whose credential is valid.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The session.
    pub session: Session,
    /// Cookies of the auth hook for the client.
    pub set_cookies: Vec<HeaderValue>,
    /// When their token expires.
    pub expires: Option<SystemTime>,
}

impl Authenticated {
    /// Has their token expired?
    #[must_use]
    pub fn has_expired(&self) -> bool {
        self.valid_for().is_some_and(|left| left.is_zero())
    }

    /// For how long their token is still valid, if it expires at all.
    #[must_use]
    pub fn valid_for(&self) -> Option<Duration> {
        let end = self.expires?;
        Some(end.duration_since(SystemTime::now()).unwrap_or_default())
    }
}
