//! Cross-origin resource sharing (CORS): which pages of other origins may read a response. The upstream's own headers
//! win; Pillion adds what is missing for the configured origins. The headers are those of Hasura.
//! <https://fetch.spec.whatwg.org/#http-cors-protocol>

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{Method, request};

use crate::config::settings::Cors;
use crate::protocol::origin::Origins;

/// How long a browser may keep the response to a preflight, in seconds: 20 days, as in Hasura. Browsers have lower limits.
const MAX_AGE: HeaderValue = HeaderValue::from_static("1728000");

/// As in Hasura.
const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,PUT,PATCH,DELETE,OPTIONS");

/// May the page that sends this, if a page does, talk to us?
#[must_use]
pub(crate) fn allows(cors: &Cors, request: &HeaderMap) -> bool {
    let allows = |origin: &HeaderValue| origin.to_str().is_ok_and(|origin| cors.origins.allow(origin));
    request.get_all(ORIGIN).iter().all(allows)
}

/// May the page that opens a WebSocket use its visitor's cookies? Browsers send them along with the handshake of any page, so
/// only Pillion's own origin and those that are named may.
#[must_use]
pub(crate) fn may_use_cookies(cors: &Cors, request: &HeaderMap) -> bool {
    let may =
        |origin: &HeaderValue| origin.to_str().is_ok_and(|origin| is_own_or_named(&cors.origins, request, origin));
    cors.enabled && request.get_all(ORIGIN).iter().all(may)
}

/// Is this the origin that the request goes to, or one that is named?
#[must_use]
pub(crate) fn is_own_or_named(origins: &Origins, request: &HeaderMap, origin: &str) -> bool {
    let is_own = |name: &str| {
        let mut hosts = request.get_all(HOST).iter().peekable();
        hosts.peek().is_some() && hosts.all(|host| host.as_bytes().eq_ignore_ascii_case(name.as_bytes()))
    };
    origins.names(origin) || origin.split_once("://").is_some_and(|(_, name)| is_own(name))
}

/// The headers that let the requesting page read our response; none if it may not.
#[must_use]
pub(crate) fn response_headers(cors: &Cors, request: &HeaderMap) -> HeaderMap {
    let Some(origin) = request.get(ORIGIN) else { return HeaderMap::new() };
    let mut headers = HeaderMap::new();
    if cors.enabled && cors.origins == Origins::Any {
        // Without credentials: a star does not let every page act as its visitor.
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else if cors.enabled && allows(cors, request) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
    headers
}

/// The same for a response of the upstream; none if it has its own.
#[must_use]
pub(crate) fn missing_headers(cors: &Cors, request: &HeaderMap, response: &HeaderMap) -> HeaderMap {
    if !cors.completes_upstream || response.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return HeaderMap::new();
    }
    response_headers(cors, request)
}

/// Is this a CORS preflight?
#[must_use]
pub(crate) fn is_preflight(head: &request::Parts) -> bool {
    let has = |name: HeaderName| head.headers.contains_key(name);
    head.method == Method::OPTIONS && has(ORIGIN) && has(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The headers of the response to a preflight that the upstream does not serve; none if the origin is not allowed.
#[must_use]
pub(crate) fn preflight_headers(cors: &Cors, request: &HeaderMap, response: &HeaderMap) -> HeaderMap {
    let mut headers = missing_headers(cors, request, response);
    if headers.is_empty() {
        return headers;
    }
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    for names in request.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.append(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    headers
}

/// Is this one of the CORS headers of a response?
#[must_use]
pub(crate) fn is_cors_header(name: &HeaderName) -> bool {
    name.as_str().starts_with("access-control-")
}

/// The upstream's CORS headers.
#[must_use]
pub(crate) fn headers_of(response: &HeaderMap) -> HeaderMap {
    let of_cors = response.iter().filter(|(name, _)| is_cors_header(name) || **name == VARY);
    of_cors.map(|(name, value)| (name.clone(), value.clone())).fold(HeaderMap::new(), |mut headers, (name, value)| {
        headers.append(name, value);
        headers
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    fn cors(enabled: bool, completes_upstream: bool) -> Cors {
        let origins = Origins::parse(&["https://shop.example".into()]).expect("an origin");
        Cors { enabled, origins, completes_upstream }
    }

    #[test]
    fn only_what_is_missing_is_added() {
        let shop = headers(&[("origin", "https://shop.example")]);
        let other = headers(&[("origin", "https://other.example")]);
        let bare = HeaderMap::new();
        let own = headers(&[("access-control-allow-origin", "https://own.example")]);
        let cases = [
            (true, true, &shop, &bare, Some("https://shop.example")),
            (true, true, &shop, &own, None),
            (true, true, &other, &bare, None),
            (true, true, &bare, &bare, None),
            (true, false, &shop, &bare, None),
            (false, false, &shop, &bare, None),
        ];
        for (enabled, completes, request, response, wanted) in cases {
            for added in [missing_headers, preflight_headers] {
                let added = added(&cors(enabled, completes), request, response);
                let allowed = added.get(ACCESS_CONTROL_ALLOW_ORIGIN).and_then(|origin| origin.to_str().ok());
                assert_eq!(allowed, wanted, "{enabled} {completes} {request:?} {response:?}");
                assert_eq!(added.is_empty(), wanted.is_none());
            }
        }
        assert!(response_headers(&cors(false, false), &shop).is_empty());
        assert_eq!(response_headers(&cors(true, false), &shop).len(), 3);
    }

    #[test]
    fn a_star_comes_without_credentials() {
        let any = Cors { enabled: true, origins: Origins::Any, completes_upstream: true };
        let shop = headers(&[("host", "api.example"), ("origin", "https://shop.example")]);
        let added = response_headers(&any, &shop);
        assert_eq!(
            (added.len(), added.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(HeaderValue::as_bytes)),
            (1, Some(&b"*"[..]))
        );
        assert!(!may_use_cookies(&any, &shop) && may_use_cookies(&cors(true, false), &shop));
        let own = headers(&[("host", "api.example"), ("origin", "https://api.example")]);
        assert!(may_use_cookies(&any, &own) && may_use_cookies(&any, &HeaderMap::new()));
        for other in ["null", "https://api.example.evil", "https://api.example:81", "api.example"] {
            let other = headers(&[("host", "api.example"), ("origin", other)]);
            assert!(!may_use_cookies(&any, &other), "{other:?}");
        }
        assert!(!may_use_cookies(&cors(false, false), &own));
    }

    #[test]
    fn a_preflight_asks_for_a_method() {
        let head = |method: &str, pairs| {
            let mut head = http::Request::builder().method(method).body(()).expect("a request").into_parts().0;
            head.headers = headers(pairs);
            head
        };
        let asks = &[("origin", "null"), ("access-control-request-method", "POST")][..];
        assert!(is_preflight(&head("OPTIONS", asks)));
        assert!(!is_preflight(&head("POST", asks)));
        assert!(!is_preflight(&head("OPTIONS", &asks[..1])));
        assert!(!is_preflight(&head("OPTIONS", &asks[1..])));
    }
}
