//! Addresses that no handler has: those at which a cloud tells a machine its own credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Where clouds answer beside the link-local addresses: Alibaba, Azure, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// The same in version 6: Amazon, and Google.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// Is this link-local, or a cloud's metadata service? However it is written: version 4 within version 6 counts as what
/// it is.
#[must_use]
pub fn is_link_local_or_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_v4(address),
        IpAddr::V6(address) => {
            let within = address.to_ipv4_mapped().or_else(|| nat64(address));
            within.is_some_and(is_v4) || address.is_unicast_link_local() || METADATA_V6.contains(&address)
        }
    }
}

fn is_v4(address: Ipv4Addr) -> bool {
    address.is_link_local() || METADATA_V4.contains(&address)
}

/// <https://www.rfc-editor.org/rfc/rfc6052#section-2.1>
fn nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let bytes = (u32::from(high) << 16) | u32::from(low);
    ([a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0]).then(|| Ipv4Addr::from_bits(bytes))
}

/// Is such an address written out in `url`? A name is looked at where it is looked up.
#[must_use]
pub fn names_link_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_link_local_or_metadata(address.into()),
        Some(Host::Ipv6(address)) => is_link_local_or_metadata(address.into()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_it_is_written() {
        for text in [
            "http://169.254.169.254/latest/meta-data",
            "http://0xA9FEA9FE/",
            "http://2852039166/",
            "http://169.254.1/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200/",
        ] {
            assert!(text.parse::<Url>().is_ok_and(|url| names_link_local(&url)), "{text}");
        }
        for text in
            ["http://127.0.0.1/", "http://10.0.0.7/", "http://[::1]/", "http://[fd00::1]/", "http://example.org/"]
        {
            assert!(text.parse::<Url>().is_ok_and(|url| !names_link_local(&url)), "{text}");
        }
    }
}
