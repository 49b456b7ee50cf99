//! The log of documents that are not in the list of trusted documents: one line for each, so that a list can be completed before it
//! is enforced.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::documents::document_hash::DocumentHash;

/// Remembers which documents have been logged of late.
#[derive(Default)]
pub(crate) struct UnlistedDocuments(Mutex<Window>);

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    logged: HashSet<DocumentHash>,
}

/// How long a document is not logged again.
const WINDOW: Duration = Duration::from_mins(1);

/// Lines in that time.
const LINES_MAX: usize = 100;

impl UnlistedDocuments {
    /// Writes the line about a document, unless it was written within the last minute or there were too many others.
    pub(crate) fn log(&self, text: &str, operation: Option<&str>, role: &str, is_rejected: bool) {
        let hash = DocumentHash::of(text.as_bytes());
        let is_due = self.0.lock().unwrap_or_else(PoisonError::into_inner).admit(hash, Instant::now());
        if is_due {
            tracing::warn!(
                document.sha256 = %hash,
                graphql.operation.name = operation.unwrap_or_default(),
                role,
                rejected = is_rejected,
                "document is not trusted"
            );
        }
    }
}

impl Window {
    fn admit(&mut self, hash: DocumentHash, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            self.began = Some(now);
            self.logged.clear();
        }
        self.logged.len() < LINES_MAX && self.logged.insert(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_document_is_logged_once_a_minute_and_a_flood_is_cut() {
        let (mut window, start) = (Window::default(), Instant::now());
        let hash = |number: usize| DocumentHash::of(&number.to_le_bytes());
        assert!(window.admit(hash(0), start));
        assert!(!window.admit(hash(0), start));
        assert_eq!((0..10_000).filter(|number| window.admit(hash(*number), start)).count(), LINES_MAX - 1);
        assert!(window.admit(hash(0), start + WINDOW));
    }
}
