//! Checks of a request's head before its body is read. Section 2.4 of the reliability table: pingora rejects most of
//! what is malformed; these are the rest. Pure.

use std::net::Ipv6Addr;

use http::header::{HeaderMap, HeaderName};
use http::{Method, Version, header, request};

use crate::model::limits::Limits;
use crate::model::response::RequestError;
use crate::session::header_checks::check as check_headers;

pub(crate) use crate::session::header_checks::BAD_REQUEST;
/// Rejects a head that two servers could understand differently, or that is too large. `own` are the headers that the
/// configuration names.
///
/// # Errors
/// What is wrong; the connection must be closed after the response.
pub(crate) fn check(
    head: &request::Parts,
    limits: &Limits,
    own: &[HeaderName],
    is_graphql: bool,
) -> Result<(), RequestError> {
    let bad = |message: &str| Err(RequestError::new(400, BAD_REQUEST, message));
    if matches!(head.method, Method::TRACE | Method::CONNECT) {
        return Err(RequestError::new(405, "method-not-allowed", format!("{} is not served", head.method)));
    }
    if !is_method(head.method.as_str()) {
        return bad("the method must be a word of capital letters");
    }
    check_headers(&head.headers, limits, own)?;
    check_target(head)?;
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        let mut values = head.headers.get_all(&name).iter();
        let is_list = values.next().is_some_and(|value| value.as_bytes().contains(&b','));
        if is_list || values.next().is_some() {
            return bad("Content-Length and Transfer-Encoding may be given only once, each with one value");
        }
    }
    if head.headers.get_all(header::EXPECT).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(RequestError::new(417, BAD_REQUEST, "only \"100-continue\" can be expected"));
    }
    if is_graphql && head.method == Method::GET && has_body(&head.headers) {
        return bad("GET on a GraphQL path must not have a body");
    }
    Ok(())
}

/// Longer methods are none.
const METHOD_BYTES_MAX: usize = 20;

fn is_method(method: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    method.len() <= METHOD_BYTES_MAX
        && method.starts_with(|first: char| first.is_ascii_uppercase())
        && method.bytes().all(is_letter)
}

/// A path, or `*` for OPTIONS, and a host that is one. Whole addresses are for proxies of clients: the host in them and
/// the header could be two.
fn check_target(head: &request::Parts) -> Result<(), RequestError> {
    let bad = |message: &str| Err(RequestError::new(400, BAD_REQUEST, message));
    let is_old = head.version <= Version::HTTP_11;
    let uri = &head.uri;
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let is_target = target.starts_with('/') || target == "*" && head.method == Method::OPTIONS;
    if !is_target || is_old && (uri.scheme().is_some() || uri.authority().is_some()) {
        return bad("the target of a request must be a path that begins with a slash");
    }
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if head.version == Version::HTTP_11 && host.is_none() {
        return bad("the header Host is missing");
    }
    let is_fine = hosts.next().is_none()
        && host.is_none_or(|host| is_host(host.as_bytes()))
        && uri.authority().is_none_or(|authority| is_host(authority.as_str().as_bytes()));
    if is_fine { Ok(()) } else { bad("the host must be a name or an address, with or without a port") }
}

/// Longer names are not registered.
const HOST_BYTES_MAX: usize = 255;

/// `name`, `name:port`, `1.2.3.4:port`, `[::1]:port`. Underscores are in names of containers.
fn is_host(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let (name, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((address, rest)) if address.parse::<Ipv6Addr>().is_ok() => match rest.strip_prefix(':') {
            None if rest.is_empty() => return true,
            None => return false,
            Some(port) => ("v6", Some(port)),
        },
        Some(_) => return false,
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_name = !name.is_empty() && name.len() <= HOST_BYTES_MAX && name.bytes().all(is_letter);
    is_name && !name.starts_with('.') && port.is_none_or(is_port)
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

/// Is `path` one of `paths`, however it is spelled? A spelling that only the upstream understood would go round us.
#[must_use]
pub(crate) fn is_graphql_path(path: &str, paths: &[String]) -> bool {
    let is_known = |path: &str| paths.iter().any(|known| known == path);
    if is_known(path) {
        return true;
    }
    let is_plain = !path.contains('%') && !path.contains("//") && !path.contains("/.") && !path.ends_with('/');
    !is_plain && is_known(&plain_path(path))
}

fn plain_path(path: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: http::request::Builder, is_graphql: bool) -> u16 {
        let (head, ()) = request.body(()).expect("a request").into_parts();
        check(&head, &Limits::default(), &[], is_graphql).err().map_or(200, |error| error.status)
    }

    fn request(headers: &[(&str, &str)]) -> http::request::Builder {
        let start = http::Request::builder().method("POST").uri("/graphql").header("host", "a");
        headers.iter().fold(start, |request, (name, value)| request.header(*name, *value))
    }

    #[test]
    fn ambiguous_heads_are_rejected() {
        let cases: &[(&[(&str, &str)], u16)] = &[
            (&[], 200),
            (&[("content-length", "2, 2")], 400),
            (&[("content-length", "2"), ("content-length", "2")], 400),
            (&[("connection", "keep-alive, x-hasura-role")], 400),
            (&[("connection", "Authorization")], 400),
            (&[("connection", "upgrade"), ("upgrade", "websocket")], 200),
            (&[("x-hasura-role", "a"), ("x-hasura-role", "b")], 400),
            (&[("authorization", "a"), ("authorization", "a")], 400),
            (&[("expect", "100-Continue")], 200),
            (&[("expect", "a miracle")], 417),
        ];
        for (headers, wanted) in cases {
            assert_eq!(status(request(headers), true), *wanted, "{headers:?}");
        }
        assert_eq!(status(http::Request::builder().uri("/graphql"), true), 400);
        assert_eq!(status(request(&[]).method("TRACE"), false), 405);
        assert_eq!(status(request(&[("content-length", "3")]).method("GET"), true), 400);
        assert_eq!(status(request(&[("content-length", "3")]).method("GET"), false), 200);
        assert_eq!(status(request(&[("a", &"x".repeat(40_000))]), true), 431);
        let many = (0..101).fold(request(&[]), |request, index| request.header(format!("a{index}"), "b"));
        assert_eq!(status(many, true), 431);
    }

    #[test]
    fn targets_methods_and_hosts() {
        let with = |method: &str, target: &str, host: &str| {
            // As pingora has it: whatever the target is, it stands where a path does.
            let target = target.parse::<http::Uri>();
            target.map_or(0, |target| {
                status(http::Request::builder().method(method).uri(target).header("host", host), false)
            })
        };
        for target in ["/", "/a?b", "//a", "/a:b@c", "/*"] {
            assert_eq!(with("GET", target, "a"), 200, "{target}");
        }
        for target in ["http://a/", "http://a", "a:80", "*"] {
            assert_eq!(with("GET", target, "a"), 400, "{target}");
        }
        assert_eq!(with("OPTIONS", "*", "a"), 200);
        for (method, wanted) in
            [("PATCH", 200), ("M-SEARCH", 200), ("post", 400), ("xxxGET", 400), ("GE7", 400), ("A", 200)]
        {
            assert_eq!(with(method, "/", "a"), wanted, "{method}");
        }
        assert_eq!(with(&"A".repeat(21), "/", "a"), 400);
        for host in ["a", "a.b-c_d:1", "a.:65535", "1.2.3.4:80", "[::1]", "[::1]:80"] {
            assert_eq!(with("GET", "/", host), 200, "{host}");
        }
        for host in [
            "", ":", ":80", "a:", "a b", "a/b", "a, b", "a@b", "a:b", "a:1:2", "a:65536", "a:+1", ".", "[::1", "[a]",
            "[::1]x", "::1", "a?b", "a#b", "a\\b",
        ] {
            assert_eq!(with("GET", "/", host), 400, "{host}");
        }
        assert_eq!(with("GET", "/", &"a".repeat(256)), 400);
    }

    #[test]
    fn paths_are_known_in_every_spelling() {
        let paths = ["/v1/graphql".to_owned()];
        for path in ["/v1/graphql", "/v1/%67raphql", "//v1/graphql/", "/v1/./graphql", "/x/../v1/graphql"] {
            assert!(is_graphql_path(path, &paths), "{path}");
        }
        for path in ["/v1/graphqlx", "/v1", "/", "/console/v1/graphql", "/v1/graphql/%2e%2e/"] {
            assert!(!is_graphql_path(path, &paths), "{path}");
        }
    }
}
