//! Admission of requests: the concurrency limits on requests, in all and by client, and when each request counts
//! against them.
//!
//! A request counts against `limits.max_concurrent_requests` once its body has arrived. Until then it is incomplete,
//! which costs little and has a larger limit, so that slow clients take no permit from others. A stream of events moves
//! from the requests to a limit of its own: it is idle most of the time. All of these are limited by client address as
//! well.

use std::net::IpAddr;
use std::time::Instant;

use crate::downstream::client_address::ClientAddress;
use crate::downstream::session::DownstreamSession;
use crate::memory::Share;
use crate::model::response::RequestError;
use crate::protocol::hop_by_hop::wants_websocket;
use crate::runtime::load_shedding::Resource;
use crate::runtime::services::Services;
use crate::telemetry::metrics::{Held, Metrics, is_above};
use crate::traffic_shaping::per_client_limit::Permit;

/// What a request is counted as, until it is dropped.
pub(crate) struct Admission {
    /// Whatever else it is.
    _in_flight: Held,
    /// While its body is on its way.
    incomplete: Option<Held>,
    /// Once it is served as a stream of events.
    stream: Option<Held>,
    /// When the head of its response went out, if events or the frames of a WebSocket follow: they are no latency.
    streams_since: Option<Instant>,
    /// The client for which limits by address hold, if they do.
    client: Option<IpAddr>,
    /// What it counts as for this client.
    permit: Option<Permit>,
}

impl Admission {
    /// A request begins.
    #[must_use]
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            _in_flight: Held::new(&metrics.requests_in_flight),
            incomplete: None,
            stream: None,
            streams_since: None,
            client: None,
            permit: None,
        }
    }

    /// Its head has been read: is there room for it?
    ///
    /// # Errors
    /// The exhausted resource.
    pub(crate) fn head_was_read(
        &mut self,
        services: &Services,
        downstream: &DownstreamSession<'_>,
    ) -> Result<(), Resource> {
        let metrics = &services.metrics;
        // What follows a handshake is no body.
        if downstream.has_whole_body() || wants_websocket(&downstream.head().headers) {
            return is_room_among_requests(services);
        }
        self.incomplete = Some(Held::new(&metrics.incomplete_requests));
        let max = services.configured().settings.limits.incomplete_requests_max;
        match services.health.load.scarce() {
            None if is_above(metrics.incomplete_requests.get(), max) => Err(Resource::IncompleteRequests),
            scarce => scarce.map_or(Ok(()), Err),
        }
    }

    /// Its client is known: does it have too many already?
    ///
    /// # Errors
    /// [`Resource::ClientRequests`].
    pub(crate) fn client_is_known(&mut self, services: &Services, client: &ClientAddress) -> Result<(), Resource> {
        let configured = services.configured();
        let limits = &configured.settings.limits;
        self.client = client.limited(&configured.settings);
        let Some(client) = self.client else { return Ok(()) };
        self.permit = services.slots.client_requests.acquire(client, limits.client_requests_max);
        if self.permit.is_some() { Ok(()) } else { Err(Resource::ClientRequests) }
    }

    /// Has its body not arrived yet?
    #[must_use]
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete.is_some()
    }

    /// Its body has arrived, and nothing has been done with it: is there room for one more?
    ///
    /// # Errors
    /// 503.
    pub(crate) fn body_has_arrived(&mut self, services: &Services, share: &Share) -> Result<(), RequestError> {
        if self.incomplete.take().is_none() {
            return Ok(());
        }
        is_room_among_requests(services).map_err(|scarce| shed(services, scarce))?;
        Ok(share.complete()?)
    }

    /// Its body has arrived at the upstream, which has started to work on it: it counts, whether there is a permit or
    /// not.
    pub(crate) fn body_has_passed(&mut self) {
        self.incomplete = None;
    }

    /// It is served as a stream of events, and counts as one from now on. What it holds of the memory budget is entered
    /// in the accounts, as for an operation on a WebSocket.
    ///
    /// # Errors
    /// 503 if there are too many, 429 if they are its client's.
    pub(crate) fn becomes_stream(&mut self, services: &Services, share: &Share) -> Result<(), RequestError> {
        let metrics = &services.metrics;
        self.incomplete = None;
        let configured = services.configured();
        let limits = &configured.settings.limits;
        // Until it is admitted it is none: what is rejected must not take the place of the next one.
        let stream = Held::new(&metrics.event_streams);
        if is_above(metrics.event_streams.get(), limits.event_streams_max) {
            return Err(shed(services, Resource::EventStreams));
        }
        self.permit = None;
        if let Some(client) = self.client {
            self.permit = services.slots.client_event_streams.acquire(client, limits.client_event_streams_max);
            if self.permit.is_none() {
                return Err(shed(services, Resource::ClientEventStreams));
            }
        }
        share.enter()?;
        self.stream = Some(stream);
        self.stream_begins();
        Ok(())
    }

    /// The head of its response goes out, and is followed by events or by the frames of a WebSocket.
    pub(crate) fn stream_begins(&mut self) {
        self.streams_since = Some(Instant::now());
    }

    /// When that was.
    #[must_use]
    pub(crate) fn streams_since(&self) -> Option<Instant> {
        self.streams_since
    }

    /// Is it served as a stream of events?
    #[must_use]
    pub(crate) fn is_event_stream(&self) -> bool {
        self.stream.is_some()
    }
}

/// Says that a request is rejected, and with what.
pub(crate) fn shed(services: &Services, scarce: Resource) -> RequestError {
    services.metrics.shed.with_label_values(&[scarce.label()]).inc();
    scarce.error()
}

/// Of the requests in flight, those count that are worked on. Sockets have limits of their own.
fn is_room_among_requests(services: &Services) -> Result<(), Resource> {
    if let Some(scarce) = services.health.load.scarce() {
        return Err(scarce);
    }
    let metrics = &services.metrics;
    let others = metrics.sockets.get() + metrics.event_streams.get() + metrics.incomplete_requests.get();
    let max = services.configured().settings.limits.max_concurrent_requests;
    match is_above(metrics.requests_in_flight.get() - others, max) {
        true => Err(Resource::Requests),
        false => Ok(()),
    }
}
