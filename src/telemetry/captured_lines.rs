//! What a form of the log writes, for its tests.

use std::io::{Result, Write};
use std::sync::{Arc, Mutex};

use tracing::Subscriber;
use tracing::subscriber::with_default;

/// The lines so far.
#[derive(Clone, Default)]
pub(super) struct CapturedLines(Arc<Mutex<Vec<u8>>>);

impl CapturedLines {
    /// The lines of `events`, logged to the subscriber that is made to write here.
    pub(super) fn of<S: Subscriber + Send + Sync + 'static>(
        subscriber: impl FnOnce(Self) -> S,
        events: impl FnOnce(),
    ) -> String {
        let lines = Self::default();
        with_default(subscriber(lines.clone()), events);
        let bytes = lines.0.lock().expect("the lock").clone();
        String::from_utf8(bytes).expect("text")
    }
}

impl Write for CapturedLines {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().expect("the lock").write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
