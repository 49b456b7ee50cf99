//! The networks of a client address. The owner of one address of version 6 usually has a /64, often a /56 or a /48, so
//! a limit that counts addresses alone is evaded by changing them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A network, or a single address of version 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// Version 4 as it is mapped into version 6; bits beyond the prefix are zero.
    bits: u128,
    prefix_length: u8,
}

/// The networks that one client counts in, the narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientNetworks {
    all: [Network; 3],
    count: usize,
}

/// The customary sizes: a /64 is one local network, a /56 a household, a /48 an organization's site.
const PREFIX_LENGTHS: [u8; 3] = [64, 56, 48];

/// A single address.
const WHOLE: u8 = 128;

/// Bits before an address of version 4 in version 6.
const MAPPED_BITS: u8 = 96;

impl ClientNetworks {
    /// Those of an address: the address itself for version 4, however it is written, and /64, /56 and /48 for version 6.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let v6 = match address.to_canonical() {
            IpAddr::V4(v4) => return Self { all: [Network::new(v4.to_ipv6_mapped(), WHOLE); 3], count: 1 },
            IpAddr::V6(v6) => v6,
        };
        Self { all: PREFIX_LENGTHS.map(|length| Network::new(v6, length)), count: PREFIX_LENGTHS.len() }
    }

    /// All of them, each with what belongs to networks of its size.
    pub fn with<T: Copy>(self, each: [T; 3]) -> impl Iterator<Item = (Network, T)> {
        self.all.into_iter().zip(each).take(self.count)
    }
}

impl Network {
    fn new(address: Ipv6Addr, prefix_length: u8) -> Self {
        Self { bits: address.to_bits() & mask(prefix_length), prefix_length }
    }

    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or a single address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let (address, before) = match address.parse().ok()? {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped(), MAPPED_BITS),
            IpAddr::V6(v6) => (v6, 0),
        };
        let length: u8 = length.map_or(Some(WHOLE - before), |length| length.parse().ok())?;
        let prefix_length = length.checked_add(before).filter(|length| *length <= WHOLE)?;
        Some(Self::new(address, prefix_length))
    }

    /// Is this address in it?
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        address.to_bits() & mask(self.prefix_length) == self.bits
    }
}

/// An address of version 4 as it is, everything else with the length of its prefix.
impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from_bits(self.bits);
        match (address.to_ipv4_mapped(), self.prefix_length) {
            (Some(v4), WHOLE) => write!(formatter, "{v4}"),
            (Some(v4), length) if length >= MAPPED_BITS => write!(formatter, "{v4}/{}", length - MAPPED_BITS),
            (_, length) => write!(formatter, "{address}/{length}"),
        }
    }
}

fn mask(prefix_length: u8) -> u128 {
    u128::MAX.checked_shl(u32::from(WHOLE.saturating_sub(prefix_length))).unwrap_or_default()
}

/// Configured networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedNetworks(Vec<Network>);

impl NamedNetworks {
    /// Reads each of them; see [`Network::parse`].
    ///
    /// # Errors
    /// The first text that is none.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let networks = texts.iter().map(|text| Network::parse(text.trim()).ok_or_else(|| text.clone()));
        networks.collect::<Result<_, _>>().map(Self)
    }

    /// Are none configured?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Is this address in one of them?
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(address: &str) -> Vec<String> {
        let address = address.parse().expect("an address");
        ClientNetworks::of(address).with([(); 3]).map(|(network, ())| network.to_string()).collect()
    }

    #[test]
    fn clients_count_in_what_they_cannot_change() {
        assert_eq!(networks("192.0.2.7"), ["192.0.2.7"]);
        assert_eq!(networks("::ffff:192.0.2.7"), ["192.0.2.7"]);
        assert_eq!(
            networks("2001:db8:1:23ff:4:5:6:7"),
            ["2001:db8:1:23ff::/64", "2001:db8:1:2300::/56", "2001:db8:1::/48"]
        );
        let narrowest = |address: &str| networks(address).swap_remove(0);
        assert_eq!(narrowest("2001:db8::1"), narrowest("2001:db8::ffff:1"));
        assert_ne!(narrowest("2001:db8::1"), narrowest("2001:db8:0:1::1"));
    }

    #[test]
    fn networks_as_they_are_written() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.9.9.9", "9.9.9.9"),
            ("192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
        ] {
            let network = Network::parse(text).expect("a network");
            let contains = |address: &str| network.contains(address.parse().expect("an address"));
            assert_eq!((contains(inside), contains(outside)), (true, false), "{text}");
        }
        assert!(Network::parse("::/0").is_some_and(|all| all.contains(IpAddr::from([1, 2, 3, 4]))));
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "name", "10.0.0.0/", "10.0.0.0/-1", "::1/64/64"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Network::parse("10.1.2.3/8").map(|network| network.to_string()).as_deref(), Some("10.0.0.0/8"));
        let named = |texts: &[&str]| NamedNetworks::parse(&texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(named(&["10.0.0.0/8", "proxy"]), Err("proxy".into()));
        let proxies = named(&["10.0.0.0/8", "::1"]).expect("networks");
        assert!(proxies.contains(IpAddr::from(Ipv6Addr::LOCALHOST)) && !proxies.contains(IpAddr::from([9, 0, 0, 1])));
    }
}
