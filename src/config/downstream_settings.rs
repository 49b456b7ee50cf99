//! Downstream settings: how clients are told apart, directly or behind proxies.

use std::net::IpAddr;

use http::header::HeaderName;

use crate::config::values::Values;
use crate::model::address::is_private;
use crate::model::network::NamedNetworks;
use crate::model::source::Diagnostic;

/// How the address of a client is found.
#[derive(Clone, Debug, Default)]
pub struct ClientAddresses {
    /// The header in which a proxy before us names the client.
    pub header: Option<HeaderName>,
    /// Networks of these proxies, if they are configured.
    pub proxies: NamedNetworks,
}

impl ClientAddresses {
    /// Does `peer`, which is connected, name the address of its client? Unless proxies are configured, every peer is
    /// trusted.
    #[must_use]
    pub fn believes(&self, peer: Option<IpAddr>) -> bool {
        self.header.is_some() && (self.proxies.is_empty() || peer.is_some_and(|peer| self.proxies.contains(peer)))
    }

    /// Is `peer` a configured proxy?
    #[must_use]
    pub fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.contains(peer)
    }

    /// Do all connections of `peer` belong to one client? A proxy has connections for many clients. While no proxies
    /// are configured, every peer is taken for one if clients are named in a header.
    #[must_use]
    pub fn counts_connections_of(&self, peer: IpAddr) -> bool {
        match self.proxies.is_empty() {
            true => self.header.is_none(),
            false => !self.is_proxy(peer),
        }
    }

    /// Do limits by client address hold for `peer`, which is connected and for which no proxy has named another
    /// address? Addresses of private networks are mostly those of proxies, so they are limited only if it `is_set`, or
    /// if proxies are configured.
    #[must_use]
    pub fn limits(&self, peer: IpAddr, is_set: bool) -> bool {
        !self.is_proxy(peer) && (is_set || !self.proxies.is_empty() || !is_private(peer))
    }
}

/// Reads them.
pub fn read(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> ClientAddresses {
    let key = "downstream.trusted_proxies";
    let proxies = NamedNetworks::parse(&values.texts(key)).unwrap_or_else(|text| {
        let message = format!("{text:?} is not an address or a network");
        values.reject(key, &message, "write 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32", diagnostics);
        NamedNetworks::default()
    });
    ClientAddresses {
        header: values.header_names("downstream.client_address_header", "correct it", diagnostics).pop(),
        proxies,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_trusted_proxies() {
        let header = Some(HeaderName::from_static("x-forwarded-for"));
        let (proxy, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
        for (header, proxies, wanted) in [
            // Do connections of the proxy count, and of another address; is the header of the proxy believed, and of another?
            (None, &[][..], [true, true, false, false]),
            (header.clone(), &[], [false, false, true, true]),
            (None, &["10.0.0.0/8"], [false, true, false, false]),
            (header, &["10.0.0.0/8"], [false, true, true, false]),
        ] {
            let texts: Vec<String> = proxies.iter().map(ToString::to_string).collect();
            let addresses = ClientAddresses { header, proxies: NamedNetworks::parse(&texts).expect("networks") };
            let (counts, believes) =
                (|peer| addresses.counts_connections_of(peer), |peer| addresses.believes(Some(peer)));
            assert_eq!([counts(proxy), counts(other), believes(proxy), believes(other)], wanted, "{addresses:?}");
            let is_named = !addresses.proxies.is_empty();
            assert_eq!((addresses.limits(proxy, false), addresses.limits(proxy, true)), (false, !is_named));
            assert!(addresses.limits(other, false));
            assert_eq!(addresses.limits(IpAddr::from([192, 168, 0, 1]), false), is_named);
        }
    }
}
