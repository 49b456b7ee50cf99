//! The connection limit: how many connections may be open in all, and how many of one client.

use std::net::IpAddr;
use std::sync::Arc;

use crate::downstream::connection_weight;
use crate::downstream::connection_weight::ConnectionWeights;
use crate::runtime::services::Services;
use crate::telemetry::metrics::{Held, is_above, is_nearly_full};
use crate::traffic_shaping::per_client_limit::{PerClient, Permit};

/// A connection that has been let in; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    _open: Held,
    _places: ConnectionWeights,
    _client: Option<Permit>,
}

impl OpenConnection {
    /// Lets a connection of `peer` in. `None` if there are too many; it is counted as shed then.
    #[must_use]
    pub(crate) fn admit(services: &Services, clients: &Arc<PerClient>, peer: Option<IpAddr>) -> Option<Self> {
        let (metrics, configured) = (&services.metrics, services.configured());
        let (limits, addresses) = (&configured.settings.limits, &configured.settings.client_addresses);
        let shed = |scarce: &str| metrics.shed.with_label_values(&[scarce]).inc();
        let (open, places) = (Held::new(&metrics.connections), ConnectionWeights::first(services)?);
        if is_above(metrics.connections.get(), services.health.load.max_connections(limits)) {
            shed("connections");
            return None;
        }
        let is_limited = |peer: &IpAddr| {
            addresses.counts_connections_of(*peer) && addresses.limits(*peer, limits.private_clients_are_limited)
        };
        let client = match peer.filter(is_limited) {
            None => None,
            Some(client) => {
                let permit = clients.acquire(client, limits.client_connections_max);
                if permit.is_none() {
                    shed("client_connections");
                    return None;
                }
                permit
            }
        };
        Some(Self { _open: open, _places: places, _client: client })
    }
}

/// Are there so many connections that none should be kept for later requests?
#[must_use]
pub(crate) fn are_scarce(services: &Services) -> bool {
    let max = services.health.load.max_connections(&services.configured().settings.limits);
    is_nearly_full(services.metrics.connections.get(), max) || connection_weight::are_scarce(services)
}
