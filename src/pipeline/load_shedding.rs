//! What cannot be served is refused at once, so that everything else is: too many requests at one time, or too little memory
//! or too few descriptors left.

use std::fs;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::memory::Bounds;
use crate::model::limits::Limits;
use crate::model::response::RequestError;
use crate::pipeline::Services;

/// What is scarce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
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

impl Resource {
    /// What a request is rejected with. A client that has too much itself is told so; everybody else may try again.
    #[must_use]
    pub fn error(self) -> RequestError {
        match self {
            Self::ClientRequests | Self::ClientEventStreams => {
                let message = "too many requests of this client address at one time; try again in a moment";
                RequestError::new(429, "too-many-requests", message)
            }
            _ => {
                let message = format!("it is overloaded: {}; try again in a moment", self.words());
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

/// What was scarce when it was last looked at, and how many descriptors there are.
pub struct LoadState {
    scarce: AtomicU8,
    descriptors_max: Option<u64>,
}

impl Default for LoadState {
    fn default() -> Self {
        Self { scarce: AtomicU8::default(), descriptors_max: descriptors_max() }
    }
}

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// From this part of the memory on, nothing new is taken.
const MEMORY_FULL: f64 = 0.95;

/// From this part on, cached responses are forgotten.
const MEMORY_SHORT: f64 = 0.90;

/// How often they are forgotten at most.
const FORGET_PAUSE: Duration = Duration::from_secs(10);

/// From this part of the descriptors on, nothing new is taken: a request may need three.
const DESCRIPTORS_FULL: f64 = 0.90;

/// Clients' connections have one of so many descriptors: what they ask for needs the others.
const CONNECTION_DESCRIPTORS_PART: u64 = 2;

impl LoadState {
    /// What is scarce of what nobody counts here.
    #[must_use]
    pub fn scarce(&self) -> Option<Resource> {
        match self.scarce.load(Ordering::Relaxed) {
            1 => Some(Resource::Memory),
            2 => Some(Resource::Descriptors),
            _ => None,
        }
    }

    /// How many connections clients may have: as many as are configured, but half of the descriptors at most.
    #[must_use]
    pub fn max_connections(&self, limits: &Limits) -> usize {
        let for_clients = self.descriptors_max.map(|max| max / CONNECTION_DESCRIPTORS_PART);
        let for_clients = for_clients.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
        limits.max_connections.min(for_clients)
    }
}

/// Looks again and again. Never returns.
pub async fn watch(world: &Services) {
    let descriptors = world.overload.descriptors_max;
    warn_of_descriptors(world);
    let mut forgot: Option<Instant> = None;
    let mut last = 0;
    loop {
        let configured = world.configured();
        world.memory.set_bounds(bounds(&configured.settings.limits));
        let memory = configured.settings.limits.max_memory_bytes.map_or(0.0, |limit| part(resident_bytes(), limit));
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
        world.overload.scarce.store(now, Ordering::Relaxed);
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

fn warn_of_descriptors(world: &Services) {
    let limits = &world.configured().settings.limits;
    let max_connections = world.overload.max_connections(limits);
    if max_connections < limits.max_connections {
        tracing::warn!(
            connections = max_connections,
            descriptors = world.overload.descriptors_max,
            "limits.max_connections is more than half of the file descriptors, which is what clients may have: raise `ulimit -n`"
        );
    }
}

/// The bounds of the memory budget. They follow the configuration when it is reloaded.
#[must_use]
pub fn bounds(limits: &Limits) -> Bounds {
    Bounds { all: limits.max_buffered_bytes, client: limits.max_client_bytes, connection: limits.max_connection_bytes }
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
    fn connections_leave_descriptors_for_what_they_ask_for() {
        let of = |descriptors_max, max_connections| {
            let overload = LoadState { descriptors_max, ..LoadState::default() };
            overload.max_connections(&Limits { max_connections, ..Limits::default() })
        };
        assert_eq!((of(Some(1024), 10_000), of(Some(1024), 100), of(None, 10_000)), (512, 100, 10_000));
    }

    #[test]
    fn what_is_scarce_is_told() {
        let overload = LoadState::default();
        assert_eq!(overload.scarce(), None);
        overload.scarce.store(2, Ordering::Relaxed);
        let scarce = overload.scarce().expect("descriptors");
        assert_eq!(
            (scarce, scarce.error().message.as_str()),
            (Resource::Descriptors, "it is overloaded: descriptors; try again in a moment")
        );
        assert_eq!(Resource::ClientRequests.error().status, 429);
    }
}
