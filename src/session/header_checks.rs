//! Checks a client's headers, however they come: over HTTP/1.1, over HTTP/2, or in the first message on a WebSocket.
//! Ambiguous ones are rejected, look-alikes of protected ones are dropped. Pure.

use http::header;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::model::limits::Limits;
use crate::model::response::RequestError;
use crate::protocol::hop_by_hop::nominated;
use crate::session::SESSION_PREFIX;

/// The code of requests that are no proper HTTP.
pub const BAD_REQUEST: &str = "bad-request";

/// Rejects headers that are too many, that two servers could understand differently, or that take out others which must
/// reach their addressee. `own` are those that the configuration names: where tokens and the client's address are.
///
/// # Errors
/// What is wrong.
pub fn check(headers: &HeaderMap, limits: &Limits, own: &[HeaderName]) -> Result<(), RequestError> {
    check_size(headers, limits)?;
    let is_kept = |name: &HeaderName| is_protected(name.as_str()) || own.contains(name);
    if nominated(headers).iter().any(is_kept) {
        let message = "the header Connection names a header that must reach its addressee";
        return Err(RequestError::new(400, BAD_REQUEST, message));
    }
    if let Some(name) = repeated_credential(headers) {
        let message = format!("the header '{name}' may be given only once");
        return Err(RequestError::new(400, "invalid-headers", message));
    }
    Ok(())
}

fn check_size(headers: &HeaderMap, limits: &Limits) -> Result<(), RequestError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let message = if headers.len() > limits.max_request_headers {
        format!("the request has {} headers; at most {} are allowed", headers.len(), limits.max_request_headers)
    } else if bytes > limits.max_request_header_size {
        format!("the headers have {bytes} bytes; at most {} are allowed", limits.max_request_header_size)
    } else {
        return Ok(());
    };
    Err(RequestError::new(431, BAD_REQUEST, message))
}

/// Headers whose meaning must not change on the way: credentials, framing, and what a proxy before us says about the
/// client.
#[must_use]
pub fn is_protected(name: &str) -> bool {
    is_credential(name) || PROTECTED.contains(&name) || PROTECTED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Does this header identify the client?
///
/// # Examples
/// ```
/// use pillion::session::header_checks::is_credential;
///
/// assert!(is_credential("authorization") && is_credential("x-hasura-role"));
/// assert!(!is_credential("accept"));
/// ```
#[must_use]
pub fn is_credential(name: &str) -> bool {
    name.starts_with(SESSION_PREFIX) || matches!(name, "authorization" | "cookie")
}

const PROTECTED: [&str; 13] = [
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "host",
    "x-request-id",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
];

/// Headers in which proxies describe a client's address and certificate.
const PROTECTED_PREFIXES: [&str; 6] =
    ["x-forwarded-", "client-cert", "x-client-cert", "ssl-client-", "x-ssl-", "x-amzn-mtls-"];

/// A credential that is given twice means one thing to us and another to the upstream.
fn repeated_credential(headers: &HeaderMap) -> Option<&HeaderName> {
    let is_credential = |name: &HeaderName| name == header::AUTHORIZATION || name.as_str().starts_with(SESSION_PREFIX);
    headers.keys().filter(|name| is_credential(name)).find(|name| headers.get_all(*name).iter().nth(1).is_some())
}

/// The names of headers that many servers take for a protected one, because they read an underscore as a dash.
#[must_use]
pub fn look_alikes(headers: &HeaderMap, own: &[HeaderName]) -> Vec<HeaderName> {
    let is_look_alike = |name: &&HeaderName| {
        let text = name.as_str();
        text.contains('_') && !own.contains(name) && {
            let dashed = text.replace('_', "-");
            is_protected(&dashed) || own.iter().any(|own| own.as_str().replace('_', "-") == dashed)
        }
    };
    headers.keys().filter(is_look_alike).cloned().collect()
}

/// All cookies in one line, if they came in several: RFC 9113, section 8.2.3. A server that read only one of them would
/// see another session.
#[must_use]
pub fn joined_cookies(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(header::COOKIE).iter();
    let (first, second) = (lines.next()?, lines.next()?);
    let mut all = first.as_bytes().to_vec();
    for line in std::iter::once(second).chain(lines) {
        all.extend_from_slice(b"; ");
        all.extend_from_slice(line.as_bytes());
    }
    HeaderValue::from_bytes(&all).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&str, &str)| Some((HeaderName::try_from(*name).ok()?, value.parse().ok()?));
        let mut headers = HeaderMap::new();
        for (name, value) in list.iter().filter_map(header) {
            let _: bool = headers.append::<HeaderName>(name, value);
        }
        headers
    }

    fn own() -> Vec<HeaderName> {
        vec![HeaderName::from_static("x-token"), HeaderName::from_static("fly-client-ip")]
    }

    #[test]
    fn ambiguous_headers_are_rejected() {
        let cases: &[(&[(&str, &str)], u16)] = &[
            (&[], 200),
            (&[("connection", "keep-alive, x-hasura-role")], 400),
            (&[("connection", "Authorization")], 400),
            (&[("connection", "close, X-Forwarded-For")], 400),
            (&[("connection", "x-forwarded-proto")], 400),
            (&[("connection", "x-real-ip")], 400),
            (&[("connection", "Forwarded")], 400),
            (&[("connection", "X-Client-Cert")], 400),
            (&[("connection", "x-ssl-client-verify")], 400),
            (&[("connection", "X-Token")], 400),
            (&[("connection", "Fly-Client-IP")], 400),
            (&[("connection", "te, x-mine")], 200),
            (&[("connection", "upgrade"), ("upgrade", "websocket")], 200),
            (&[("x-hasura-role", "a"), ("x-hasura-role", "b")], 400),
            (&[("authorization", "a"), ("authorization", "a")], 400),
        ];
        for (list, wanted) in cases {
            let status = check(&headers(list), &Limits::default(), &own()).err().map_or(200, |error| error.status);
            assert_eq!(status, *wanted, "{list:?}");
        }
        let long = "x".repeat(40_000);
        assert!(check(&headers(&[("a", &long)]), &Limits::default(), &[]).is_err());
    }

    #[test]
    fn underscores_do_not_fool_us() {
        let list = [
            ("x_hasura_role", "admin"),
            ("x-hasura_user-id", "1"),
            ("my_header", "1"),
            ("content_length", "1"),
            ("x_real_ip", "1"),
            ("x_token", "1"),
        ];
        let mut names: Vec<String> = look_alikes(&headers(&list), &own()).iter().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["content_length", "x-hasura_user-id", "x_hasura_role", "x_real_ip", "x_token"]);
        let underscored = [HeaderName::from_static("x_token")];
        assert!(look_alikes(&headers(&[("x_token", "1")]), &underscored).is_empty());
    }

    #[test]
    fn cookies_become_one_line() {
        assert_eq!(joined_cookies(&headers(&[("cookie", "a=1; b=2")])), None);
        let joined = joined_cookies(&headers(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]));
        assert_eq!(joined, Some(HeaderValue::from_static("a=1; b=2; c=3")));
    }
}
