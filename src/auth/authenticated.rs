//! The result of authentication: a session, and what the auth hook adds to the response.

use std::time::SystemTime;

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
        self.expires.is_some_and(|end| end <= SystemTime::now())
    }
}
