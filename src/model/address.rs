//! Blocked addresses (SSRF protection): those at which a cloud serves a machine its own credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Metadata services of clouds beside the link-local addresses: Alibaba, Azure, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// The same in version 6: Amazon, and Google.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// Is this link-local, or a cloud's metadata service? In any notation: version 4 within version 6 counts as version 4.
///
/// # Examples
/// ```
/// use pillion::model::address::is_link_local_or_metadata;
///
/// assert!(is_link_local_or_metadata("169.254.169.254".parse().unwrap()));
/// assert!(!is_link_local_or_metadata("10.1.2.3".parse().unwrap()));
/// ```
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

/// Is this an address of a private network, of this machine, or unspecified?
///
/// # Examples
/// ```
/// use pillion::model::address::is_private;
///
/// assert!(is_private("10.1.2.3".parse().unwrap()));
/// assert!(!is_private("192.0.2.1".parse().unwrap()));
/// ```
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && second & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_unspecified() || v4.is_link_local() || is_shared
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped().or_else(|| nat64(v6)) {
            Some(within) => is_private(within.into()),
            None => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

/// The address that is written out in `url`, if one is.
#[must_use]
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// Hosts that may be called. Nothing named, all may.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Vec<AllowedHost>);

#[derive(Clone, Debug)]
struct AllowedHost {
    /// In lower case; with a dot in front it is the end of a name.
    name: String,
    port: Option<u16>,
}

impl AllowedHosts {
    /// Reads `name`, `*.name`, `name:port`, `[::1]:port`.
    ///
    /// # Errors
    /// The first text that is no host.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        texts
            .iter()
            .map(|text| AllowedHost::parse(text).ok_or_else(|| text.clone()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// May this address be called?
    #[must_use]
    pub fn allow(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let is_it = |allowed: &AllowedHost| {
            let is_name =
                if allowed.name.starts_with('.') { host.ends_with(&allowed.name) } else { host == allowed.name };
            is_name && allowed.port.is_none_or(|port| url.port_or_known_default() == Some(port))
        };
        self.0.is_empty() || self.0.iter().any(is_it)
    }
}

impl AllowedHost {
    fn parse(text: &str) -> Option<Self> {
        let (below, text) = match text.strip_prefix("*.") {
            Some(rest) => (".", rest),
            None => ("", text),
        };
        let url = Url::parse(&format!("http://{text}/")).ok()?;
        // The default port of http equals none.
        let port = text.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let host =
            url.host_str().filter(|_| url.path() == "/" && url.username().is_empty() && url.query().is_none())?;
        Some(Self { name: format!("{below}{}", host.to_ascii_lowercase()), port })
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

    #[test]
    fn hosts_that_may_be_called() {
        let hosts = ["api.example.org", "*.svc.local", "other.org:8443", "[::1]:80"].map(str::to_owned);
        let hosts = AllowedHosts::parse(&hosts).expect("hosts");
        for (url, wanted) in [
            ("http://api.example.org/x", true),
            ("https://API.example.org:9/x", true),
            ("http://x.api.example.org/", false),
            ("http://a.svc.local/", true),
            ("http://svc.local/", false),
            ("http://evilsvc.local/", false),
            ("https://other.org:8443/", true),
            ("https://other.org/", false),
            ("http://[::1]/", true),
            ("http://[::1]:81/", false),
            ("http://api.example.org@evil.org/", false),
        ] {
            assert_eq!(url.parse::<Url>().map(|url| hosts.allow(&url)), Ok(wanted), "{url}");
        }
        assert!(AllowedHosts::default().allow(&"http://any.org/".parse().expect("a URL")));
        for wrong in ["", "http://a/", "a/b", "a b", "a@b"] {
            assert!(AllowedHosts::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_of_private_networks() {
        for (text, wanted) in [
            ("10.1.2.3", true),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("100.64.0.1", true),
            ("127.0.0.9", true),
            ("8.8.8.8", false),
            ("::1", true),
            ("fd00::1", true),
            ("::ffff:10.0.0.1", true),
            ("2606:4700::1", false),
        ] {
            assert_eq!(text.parse().map(is_private), Ok(wanted), "{text}");
        }
    }
}
