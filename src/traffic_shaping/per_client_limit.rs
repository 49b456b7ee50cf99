//! Per-client limits: how many connections, requests or streams one client address has at one time. Addresses of
//! version 6 are counted by their /64, /56 and /48 together, because their owner can change everything after the
//! prefix.

use std::net::IpAddr;
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::model::network::{ClientNetworks, Network};

/// Counts by client. There are as many entries as there are networks with something to count.
#[derive(Debug, Default)]
pub(crate) struct PerClient {
    counts: DashMap<Network, usize>,
}

/// How many times as much as a client a /64, a /56 and a /48 may have. With an eighth of a whole for each client, the
/// owner of two /48 has three quarters of it, and never all.
const MULTIPLES: [usize; 3] = [1, 2, 3];

/// One more of a client, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    counts: Arc<PerClient>,
    client: IpAddr,
}

impl PerClient {
    /// Nothing is held.
    #[must_use]
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One more for `http_client`, unless it has `max` of them already, or a network that it is in has its multiple.
    #[must_use]
    pub(crate) fn acquire(self: &Arc<Self>, client: IpAddr, max: usize) -> Option<Permit> {
        // Whatever has been counted is given back by dropping this.
        let permit = Permit { counts: Arc::clone(self), client };
        let mut has_room = true;
        for (network, multiple) in ClientNetworks::of(client).with(MULTIPLES) {
            let mut count = self.counts.entry(network).or_default();
            *count += 1;
            has_room &= *count <= max.saturating_mul(multiple);
        }
        has_room.then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for (network, ()) in ClientNetworks::of(self.client).with([(); 3]) {
            if let Entry::Occupied(mut entry) = self.counts.counts.entry(network) {
                match entry.get().saturating_sub(1) {
                    0 => drop(entry.remove()),
                    left => *entry.get_mut() = left,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// How many a client has, in its narrowest network.
    fn count_of(counts: &PerClient, client: &str) -> usize {
        let (narrowest, _) = ClientNetworks::of(address(client)).with(MULTIPLES).next().expect("a network");
        counts.counts.get(&narrowest).map_or(0, |count| *count)
    }

    #[test]
    fn each_client_has_its_own_count() {
        let counts = PerClient::new();
        let acquire = |client: &str| counts.acquire(address(client), 2);
        let held = [acquire("192.0.2.1"), acquire("::ffff:192.0.2.1")];
        assert!(held.iter().all(Option::is_some) && acquire("192.0.2.1").is_none());
        assert_eq!(count_of(&counts, "192.0.2.1"), 2, "what is rejected is not counted");
        assert!(acquire("192.0.2.2").is_some());
        drop(held);
        assert!(acquire("192.0.2.1").is_some());
        assert!(counts.counts.is_empty(), "no client is remembered");
    }

    #[test]
    fn larger_networks_have_their_multiples() {
        let counts = PerClient::new();
        let (mut permits, mut rejected) = (Vec::new(), 0);
        let mut acquire = |client: String| match counts.acquire(address(&client), 10) {
            Some(permit) => permits.push(permit),
            None => rejected += 1,
        };
        // A thousand /64 of one /56, then of one /48, then of a /47.
        (0..256).for_each(|number| acquire(format!("2001:db8:0:{number:x}::1")));
        (256..1_000).for_each(|number| acquire(format!("2001:db8:0:{number:x}::1")));
        (0..256).for_each(|number| acquire(format!("2001:db8:1:{number:x}00::1")));
        assert_eq!((permits.len(), rejected), (60, 1_196));
        assert!(counts.acquire(address("2001:db8:2::1"), 10).is_some());
        drop(permits);
        assert!(counts.counts.is_empty());
    }
}
