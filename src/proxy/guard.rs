//! What is wrong with a request's head before anybody looks at its body. Section 2.4 of the reliability table: pingora
//! refuses most of what is malformed; these are the rest. Pure.

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Version, request};

use crate::model::limits::Limits;
use crate::model::response::RequestError;
use crate::protocol::hop_by_hop::nominated;
use crate::session::SESSION_PREFIX;

/// Refuses a head that two servers could understand differently, or that is too large.
///
/// # Errors
/// What is wrong; the connection must be closed after it has been told.
pub fn check(head: &request::Parts, limits: &Limits, is_graphql: bool) -> Result<(), RequestError> {
    let bad = |message: &str| Err(RequestError::new(400, BAD_REQUEST, message));
    if matches!(head.method, Method::TRACE | Method::CONNECT) {
        return Err(RequestError::new(405, "method-not-allowed", format!("{} is not served", head.method)));
    }
    check_size(&head.headers, limits)?;
    if head.version == Version::HTTP_11 && !head.headers.contains_key(header::HOST) {
        return bad("the header Host is missing");
    }
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        let mut values = head.headers.get_all(&name).iter();
        let is_list = values.next().is_some_and(|value| value.as_bytes().contains(&b','));
        if is_list || values.next().is_some() {
            return bad("Content-Length and Transfer-Encoding may be given only once, each with one value");
        }
    }
    if nominated(&head.headers).iter().any(|name| is_protected(name.as_str())) {
        return bad("the header Connection names a header that must reach its addressee");
    }
    if let Some(name) = repeated_credential(&head.headers) {
        let message = format!("the header '{name}' may be given only once");
        return Err(RequestError::new(400, "invalid-headers", message));
    }
    if head.headers.get(header::EXPECT).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(RequestError::new(417, BAD_REQUEST, "only \"100-continue\" can be expected"));
    }
    if is_graphql && head.method == Method::GET && has_body(&head.headers) {
        return bad("GET on a GraphQL path must not have a body");
    }
    Ok(())
}

/// The code of requests that are no proper HTTP.
pub const BAD_REQUEST: &str = "bad-request";

fn check_size(headers: &HeaderMap, limits: &Limits) -> Result<(), RequestError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let message = if headers.len() > limits.headers_max {
        format!("the request has {} headers; at most {} are allowed", headers.len(), limits.headers_max)
    } else if bytes > limits.header_bytes_max {
        format!("the headers have {bytes} bytes; at most {} are allowed", limits.header_bytes_max)
    } else {
        return Ok(());
    };
    Err(RequestError::new(431, BAD_REQUEST, message))
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

/// Headers whose meaning nobody on the way may change.
fn is_protected(name: &str) -> bool {
    name.starts_with(SESSION_PREFIX) || PROTECTED.contains(&name)
}

const PROTECTED: [&str; 8] = [
    "authorization",
    "cookie",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "host",
    "x-request-id",
];

/// A credential that is given twice means one thing to us and another to the engine.
fn repeated_credential(headers: &HeaderMap) -> Option<&HeaderName> {
    let is_credential = |name: &HeaderName| name == header::AUTHORIZATION || name.as_str().starts_with(SESSION_PREFIX);
    headers.keys().filter(|name| is_credential(name)).find(|name| headers.get_all(*name).iter().nth(1).is_some())
}

/// The names of headers that many servers take for a protected one, because they read an underscore as a dash.
#[must_use]
pub fn look_alikes(headers: &HeaderMap) -> Vec<HeaderName> {
    let is_look_alike = |name: &&HeaderName| {
        let text = name.as_str();
        let is_forwarded = |dashed: &str| dashed.starts_with("x-forwarded-");
        text.contains('_') && {
            let dashed = text.replace('_', "-");
            is_protected(&dashed) || is_forwarded(&dashed)
        }
    };
    headers.keys().filter(is_look_alike).cloned().collect()
}

/// Does the client want a WebSocket?
#[must_use]
pub fn wants_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && nominated(headers).contains(&header::UPGRADE)
}

/// Is `path` one of `paths`, however it is spelled? A spelling that only the engine understood would go round us.
#[must_use]
pub fn is_graphql_path(path: &str, paths: &[String]) -> bool {
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
        check(&head, &Limits::default(), is_graphql).err().map_or(200, |error| error.status)
    }

    fn request(headers: &[(&str, &str)]) -> http::request::Builder {
        let start = http::Request::builder().method("POST").uri("/graphql").header("host", "a");
        headers.iter().fold(start, |request, (name, value)| request.header(*name, *value))
    }

    #[test]
    fn heads_that_can_be_misunderstood_are_refused() {
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
    fn underscores_do_not_fool_us() {
        let headers =
            [("x_hasura_role", "admin"), ("x-hasura_user-id", "1"), ("my_header", "1"), ("content_length", "1")];
        let request = request(&headers).body(()).expect("a request");
        let mut names: Vec<String> = look_alikes(request.headers()).iter().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["content_length", "x-hasura_user-id", "x_hasura_role"]);
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
