//! The headers of a socket's operations: those with which it was opened, and those that the client sends afterwards.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

/// The headers in the payload of `connection_init`: those of `headers`, as Hasura has them, or else every string.
#[must_use]
pub fn of_payload(payload: Option<&str>) -> HeaderMap {
    let payload: Map<String, Value> = payload.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let named = match payload.get("headers") {
        Some(Value::Object(headers)) => headers,
        _ => &payload,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        if let (Ok(name), Some(Ok(value))) = (HeaderName::try_from(name), value.as_str().map(HeaderValue::try_from)) {
            headers.insert(name, value);
        }
    }
    headers
}

/// The client's own headers win over those of the request that opened the socket.
#[must_use]
pub fn merged(opening: &HeaderMap, own: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(opening.len() + own.len());
    for (name, value) in opening {
        let is_handshake = name.as_str().starts_with("sec-websocket-") || name == http::header::UPGRADE;
        if !is_handshake && !own.contains_key(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.extend(own.clone());
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_payload() {
        let text = |headers: &HeaderMap, name: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let hasura = of_payload(Some(r#"{"headers":{"X-Hasura-Role":"user","n":7},"lazy":"x"}"#));
        assert_eq!((text(&hasura, "x-hasura-role"), hasura.len()), (Some("user".into()), 1));
        let plain = of_payload(Some(r#"{"Authorization":"Bearer a"}"#));
        assert_eq!(text(&plain, "authorization"), Some("Bearer a".into()));
        assert!(of_payload(Some("7")).is_empty() && of_payload(None).is_empty());
        let opening = HeaderMap::from_iter([
            (http::header::AUTHORIZATION, HeaderValue::from_static("old")),
            (http::header::COOKIE, HeaderValue::from_static("c=1")),
            (http::header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("k")),
        ]);
        let all = merged(&opening, &plain);
        assert_eq!(
            (text(&all, "authorization"), text(&all, "cookie"), all.len()),
            (Some("Bearer a".into()), Some("c=1".into()), 2)
        );
    }
}
