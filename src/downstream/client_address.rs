//! The client address: of the peer, or as a trusted proxy names it.

use std::net::{IpAddr, SocketAddr};

use http::header::{HeaderMap, HeaderName};

use crate::config::downstream_settings::ClientAddresses;
use crate::config::settings::Settings;
use crate::downstream::session::DownstreamSession;
use crate::memory::MemoryOwner;

/// The address that the proxy before us names: the last element, which it added itself. What stands before came with
/// the request and may be forged.
fn forwarded_address(headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
    let last = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

/// Where a request comes from. Read once: the limits by address, the memory budget and the log go by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress {
    /// The client whom a proxy has named.
    named: Option<IpAddr>,
    peer: Option<SocketAddr>,
}

impl ClientAddress {
    /// Reads it off a request's head.
    #[must_use]
    pub(crate) fn of(addresses: &ClientAddresses, downstream: &DownstreamSession<'_>) -> Self {
        let peer = downstream.peer_address();
        let name = addresses.header.as_ref().filter(|_| addresses.believes(peer.map(|peer| peer.ip())));
        Self { named: name.and_then(|name| forwarded_address(&downstream.head().headers, name)), peer }
    }

    /// The client's address, or else the peer's.
    #[must_use]
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.named.or(self.peer.map(|peer| peer.ip()))
    }

    /// Whose memory a request takes: that of the client whom a proxy names, or else of the peer, unless that is a proxy.
    #[must_use]
    pub(crate) fn owner(&self, addresses: &ClientAddresses) -> MemoryOwner {
        match self.named {
            Some(named) => MemoryOwner::named(named),
            None => {
                let peer = self.peer.filter(|peer| !addresses.is_proxy(peer.ip()));
                peer.map(MemoryOwner::peer).unwrap_or_default()
            }
        }
    }

    /// The client for whom limits by address hold: the one whom a proxy names, or else the peer, unless that is, or seems
    /// to be, a proxy.
    #[must_use]
    pub(crate) fn limited(&self, settings: &Settings) -> Option<IpAddr> {
        let (addresses, is_set) = (&settings.client_addresses, settings.limits.private_clients_are_limited);
        let peer = self.peer.map(|peer| peer.ip()).filter(|peer| addresses.limits(*peer, is_set));
        self.named.or(peer)
    }
}
