//! Load shedding: rejects what cannot be served at once, so that everything else is served: too many concurrent
//! requests, or too little memory or too few file descriptors left.

use std::fs;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::memory::Bounds;
use crate::model::limits::Limits;
use crate::model::response::RequestError;

/// The exhausted resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// The limit on concurrent requests.
    Requests,
    /// The limit on requests with an incomplete body.
    IncompleteRequests,
    /// The limit on requests of one client.
    ClientRequests,
    /// The limit on event streams.
    EventStreams,
    /// The limit on event streams of one client.
    ClientEventStreams,
    /// Memory.
    Memory,
    /// File descriptors.
    Descriptors,
}

impl Resource {
    /// The rejection. A client that exceeds its own limit is told so; others may retry.
    #[must_use]
    pub(crate) fn error(self) -> RequestError {
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

    /// The label of its metric, which clients read as well.
    #[must_use]
    pub(crate) fn label(self) -> &'static str {
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

/// The resource that was exhausted at the last sample, and the number of file descriptors.
pub(crate) struct LoadState {
    pub(crate) scarce: AtomicU8,
    pub(crate) descriptors_max: Option<u64>,
}

impl Default for LoadState {
    fn default() -> Self {
        Self { scarce: AtomicU8::default(), descriptors_max: descriptors_max() }
    }
}

/// What one request needs of file descriptors beside its client's connection: the upstream's, and a handler's.
const DESCRIPTORS_PER_REQUEST: u64 = 2;

impl LoadState {
    /// The resource of a rejection that is not counted here.
    #[must_use]
    pub(crate) fn scarce(&self) -> Option<Resource> {
        match self.scarce.load(Ordering::Relaxed) {
            1 => Some(Resource::Memory),
            2 => Some(Resource::Descriptors),
            _ => None,
        }
    }

    /// How many connections clients may have: as many as are configured, but no descriptor that requests need. These need
    /// half of all at most.
    #[must_use]
    pub(crate) fn max_connections(&self, limits: &Limits) -> usize {
        let Some(max) = self.descriptors_max else { return limits.max_connections };
        let for_requests = (limits.max_concurrent_requests as u64).saturating_mul(DESCRIPTORS_PER_REQUEST);
        let for_clients = max - for_requests.min(max / 2);
        limits.max_connections.min(usize::try_from(for_clients).unwrap_or(usize::MAX))
    }
}

/// The bounds of the memory budget. They follow the configuration when it is reloaded.
#[must_use]
pub(crate) fn bounds(limits: &Limits) -> Bounds {
    Bounds { all: limits.max_buffered_bytes, client: limits.max_client_bytes, connection: limits.max_connection_bytes }
}

pub(crate) fn descriptors_max() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_descriptors_can_be_read() {
        assert!(descriptors_max().is_some_and(|max| max > 10));
    }

    #[test]
    fn connections_leave_descriptors_for_what_they_ask_for() {
        let of = |descriptors_max, max_connections| {
            let overload = LoadState { descriptors_max, ..LoadState::default() };
            overload.max_connections(&Limits { max_connections, ..Limits::default() })
        };
        assert_eq!((of(Some(1024), 10_000), of(Some(1024), 100), of(None, 10_000)), (512, 100, 10_000));
        // 4,096 requests need 8,192.
        assert_eq!((of(Some(20_000), 16_384), of(Some(1_048_576), 16_384)), (11_808, 16_384));
    }

    #[test]
    fn the_exhausted_resource_is_reported() {
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
