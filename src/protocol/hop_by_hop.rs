//! Hop-by-hop headers: those about one connection, which are not forwarded.

use http::header;
use http::header::{HeaderMap, HeaderName};

/// <https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1>, and those that older software puts there.
static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Is this header about the connection?
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name)
}

/// The headers that `Connection` names beside itself.
#[must_use]
pub fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| HeaderName::try_from(name.trim()).ok()).collect()
}

/// Does the client end the connection with this request? pingora looks at the first line of `Connection` only.
#[must_use]
pub fn closes(headers: &HeaderMap) -> bool {
    nominated(headers).iter().any(|word| word == "close")
}

/// Does the client want a WebSocket?
#[must_use]
pub fn wants_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && nominated(headers).contains(&header::UPGRADE)
}

/// The headers of a message that may travel on, with all their values.
///
/// # Examples
/// ```
/// use http::HeaderMap;
/// use pillion::protocol::hop_by_hop::end_to_end;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("connection", "x-own".parse().unwrap());
/// headers.insert("x-own", "1".parse().unwrap());
/// headers.insert("accept", "*/*".parse().unwrap());
/// let names: Vec<&str> = end_to_end(&headers).map(|(name, _)| name.as_str()).collect();
/// assert_eq!(names, ["accept"]);
/// ```
pub fn end_to_end(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &http::HeaderValue)> {
    let nominated = nominated(headers);
    headers.iter().filter(move |(name, _)| !is_hop_by_hop(name) && !nominated.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_connection_names_are_not_forwarded() {
        let headers: HeaderMap = [("connection", "close, X-One"), ("x-one", "1"), ("te", "trailers"), ("x-two", "2")]
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")))
            .collect();
        let names: Vec<&str> = end_to_end(&headers).map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-two"]);
    }
}
