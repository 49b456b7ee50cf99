//! The client address: of the peer, or as a trusted proxy names it.

use std::net::IpAddr;

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

/// The address of the client whom a proxy has named.
pub(crate) fn named_client(addresses: &ClientAddresses, downstream: &DownstreamSession<'_>) -> Option<IpAddr> {
    let name = addresses.header.as_ref().filter(|_| addresses.believes(downstream.peer()))?;
    forwarded_address(&downstream.head().headers, name)
}

/// Whose memory a request takes: that of the client whom a proxy names, or else of the peer, unless that is a proxy.
#[must_use]
pub(crate) fn owner(addresses: &ClientAddresses, downstream: &DownstreamSession<'_>) -> MemoryOwner {
    match named_client(addresses, downstream) {
        Some(named) => MemoryOwner::named(named),
        None => {
            let peer = downstream.peer_address().filter(|peer| !addresses.is_proxy(peer.ip()));
            peer.map(MemoryOwner::peer).unwrap_or_default()
        }
    }
}

/// The client for whom limits by address hold: the one whom a proxy names, or else the peer, unless that is, or seems
/// to be, a proxy.
pub(crate) fn limited_client(settings: &Settings, downstream: &DownstreamSession<'_>) -> Option<IpAddr> {
    let (addresses, is_set) = (&settings.client_addresses, settings.limits.private_clients_are_limited);
    let peer = || downstream.peer().filter(|peer| addresses.limits(*peer, is_set));
    named_client(addresses, downstream).or_else(peer)
}
