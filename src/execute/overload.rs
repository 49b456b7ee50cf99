//! What cannot be served is refused at once, so that everything else is: too many requests at one time, or too little memory
//! or too few descriptors left.

use std::fs;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::World;
use crate::memory::Bounds;
use crate::model::limits::Limits;
use crate::model::response::RequestError;

/// What is scarce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scarce {
    /// Places for requests.
    Requests,
    /// Places for requests whose body is still on its way.
    IncompleteRequests,
    /// Places for requests of one client.
    ClientRequests,
    /// Places for streams of events.
    EventStreams,
    /// Places for streams of events of one client.
    ClientEventStreams,
    /// Memory.
    Memory,
    /// File descriptors.
    Descriptors,
}

impl Scarce {
    /// What a request is rejected with. A client that has too much itself is told so; everybody else may try again.
    #[must_use]
    pub fn error(self) -> RequestError {
        match self {
            Self::ClientRequests | Self::ClientEventStreams => {
                let message = "too many requests of this client address at one time; try again in a moment";
                RequestError::new(429, "too-many-requests", message)
            }
            _ => {
                let message = format!("too much is going on: {}; try again in a moment", self.words());
                RequestError::new(503, "overloaded", message)
            }
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::IncompleteRequests => "requests whose body has not arrived",
            Self::EventStreams => "streams of events",
            _ => self.label(),
        }
    }

    /// What is counted, and what clients are told.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::IncompleteRequests => "incomplete_requests",
            Self::ClientRequests => "client_requests",
            Self::EventStreams => "event_streams",
            Self::ClientEventStreams => "client_event_streams",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
        }
    }
}

/// What was scarce when it was last looked at.
#[derive(Default)]
pub struct Overload(AtomicU8);

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// From this part of the memory on, nothing new is taken.
const MEMORY_FULL: f64 = 0.95;

/// From this part on, answers that are kept are forgotten.
const MEMORY_SHORT: f64 = 0.90;

/// How often they are forgotten at most.
const FORGET_PAUSE: Duration = Duration::from_secs(10);

/// From this part of the descriptors on, nothing new is taken: a request may need three.
const DESCRIPTORS_FULL: f64 = 0.90;

impl Overload {
    /// What is scarce of what nobody counts here.
    #[must_use]
    pub fn scarce(&self) -> Option<Scarce> {
        match self.0.load(Ordering::Relaxed) {
            1 => Some(Scarce::Memory),
            2 => Some(Scarce::Descriptors),
            _ => None,
        }
    }
}

/// Looks again and again. Never returns.
pub async fn watch(world: &World) {
    let descriptors = descriptors_max();
    let mut forgot: Option<Instant> = None;
    let mut last = 0;
    loop {
        let configured = world.configured();
        world.memory.set_bounds(bounds(&configured.settings.limits));
        let memory = configured.settings.limits.memory_bytes_max.map_or(0.0, |limit| part(resident_bytes(), limit));
        if memory >= MEMORY_SHORT && forgot.is_none_or(|forgot| forgot.elapsed() >= FORGET_PAUSE) {
            forgot = Some(Instant::now());
            world.results.purge(None);
        }
        let files = descriptors.map_or(0.0, |max| part(open_descriptors(), max));
        let now = match (memory >= MEMORY_FULL, files >= DESCRIPTORS_FULL) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        };
        world.overload.0.store(now, Ordering::Relaxed);
        if now != last {
            tracing::warn!(
                memory,
                descriptors = files,
                is_shedding = now != 0,
                "requests are refused while this is so"
            );
            last = now;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// The bounds of the memory budget. They follow the configuration when it is loaded anew.
#[must_use]
pub fn bounds(limits: &Limits) -> Bounds {
    Bounds { all: limits.buffered_bytes_max, client: limits.client_bytes_max, connection: limits.connection_bytes_max }
}

#[expect(clippy::cast_precision_loss, reason = "it is compared with a part")]
fn part(used: u64, all: u64) -> f64 {
    used as f64 / all.max(1) as f64
}

/// Pages are of this size on every Linux that we run on.
const PAGE_BYTES: u64 = 4096;

fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * PAGE_BYTES
}

fn open_descriptors() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

fn descriptors_max() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_can_be_read() {
        assert!(resident_bytes() > 1 << 20);
        assert!(open_descriptors() > 2);
        assert!(descriptors_max().is_some_and(|max| max > 10));
    }

    #[test]
    fn what_is_scarce_is_told() {
        let overload = Overload::default();
        assert_eq!(overload.scarce(), None);
        overload.0.store(2, Ordering::Relaxed);
        let scarce = overload.scarce().expect("descriptors");
        assert_eq!(
            (scarce, scarce.error().message.as_str()),
            (Scarce::Descriptors, "too much is going on: descriptors; try again in a moment")
        );
        assert_eq!(Scarce::ClientRequests.error().status, 429);
    }
}
