//! Listen addresses: `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`, `:8000` and `8000`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Reads a listen address; one without a host is at `host`. No name but `localhost` is looked up.
///
/// # Examples
/// ```
/// use pillion::config::listen_address::parse_listen;
///
/// let any = [0, 0, 0, 0].into();
/// assert_eq!(parse_listen(":8000", any), Some(([0, 0, 0, 0], 8000).into()));
/// assert_eq!(parse_listen("localhost:8000", any), Some(([127, 0, 0, 1], 8000).into()));
/// assert_eq!(parse_listen("example.org:8000", any), None);
/// ```
#[must_use]
pub fn parse_listen(text: &str, host: IpAddr) -> Option<SocketAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (host, port) = match text.rsplit_once(':') {
        None | Some(("", _)) => (host, text.trim_start_matches(':')),
        Some((name, port)) if name.eq_ignore_ascii_case("localhost") => (Ipv4Addr::LOCALHOST.into(), port),
        Some(_) => return None,
    };
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|_| is_number).map(|port| SocketAddr::new(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_may_be_left_out() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        for (text, wanted) in [
            ("8001", Some("127.0.0.1:8001")),
            (":8001", Some("127.0.0.1:8001")),
            ("LOCALHOST:1", Some("127.0.0.1:1")),
            ("0.0.0.0:8001", Some("0.0.0.0:8001")),
            ("[::]:8001", Some("[::]:8001")),
            ("::1", None),
            ("+1", None),
            (":70000", None),
            ("", None),
            (":", None),
            ("pillion:8001", None),
        ] {
            assert_eq!(parse_listen(text, loopback).map(|found| found.to_string()).as_deref(), wanted, "{text}");
        }
    }
}
