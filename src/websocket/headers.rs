//! The headers of operations on a WebSocket: those of its handshake, and those that the client sends in
//! `connection_init`. They are checked like those of any request.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::json::RawObject;
use crate::model::limits::Limits;
use crate::model::response::RequestError;
use crate::protocol::hop_by_hop::{end_to_end, is_hop_by_hop};
use crate::session::header_checks::{BAD_REQUEST, check, is_credential, is_protected, look_alikes};

/// The headers of a client that has introduced itself, and those of them that it has sent on the socket. `protected` are
/// the headers that the configuration names.
///
/// # Errors
/// What is wrong with them: an unreadable credential is an invalid one, and not the absence of one.
pub fn introduced(
    opening: &HeaderMap,
    payload: Option<&str>,
    limits: &Limits,
    protected: &[HeaderName],
) -> Result<(HeaderMap, HeaderMap), RequestError> {
    let mut own = of_payload(payload, protected)?;
    check(&own, limits, protected)?;
    let misleading = look_alikes(&own, protected);
    let misplaced = own.keys().filter(|name| is_hop_by_hop(name)).cloned();
    for name in misplaced.chain(misleading).collect::<Vec<_>>() {
        own.remove(&name);
    }
    let all = merged(opening, &own);
    check(&all, limits, protected)?;
    Ok((all, own))
}

/// The headers in the payload of `connection_init`: those of `headers`, as Hasura has them, or else every string.
fn of_payload(payload: Option<&str>, protected: &[HeaderName]) -> Result<HeaderMap, RequestError> {
    let bad = |message: &str| Err(RequestError::new(400, BAD_REQUEST, message));
    let Some(text) = payload.filter(|text| *text != "null") else { return Ok(HeaderMap::new()) };
    let Ok(payload) = serde_json::from_str::<RawObject<'_>>(text) else {
        return bad("the payload of connection_init must be an object without duplicate keys");
    };
    match payload.get("headers").map(RawValue::get) {
        Some("null") => Ok(HeaderMap::new()),
        Some(text) => match serde_json::from_str(text) {
            Ok(named) => headers_of(&named, true, protected),
            Err(_) => bad("'headers' in the payload of connection_init must be an object without duplicate keys"),
        },
        None => headers_of(&payload, false, protected),
    }
}

/// A value that is no string is no header, and an invalid header is dropped, unless it is a credential. `are_headers`:
/// a string can then be nothing else.
fn headers_of(named: &RawObject<'_>, are_headers: bool, protected: &[HeaderName]) -> Result<HeaderMap, RequestError> {
    let mut headers = HeaderMap::new();
    for (name, raw) in &named.0 {
        let Ok(name) = HeaderName::try_from(name.as_ref()) else { continue };
        let matters = is_meant_as(&name, protected);
        let value = match serde_json::from_str::<Value>(raw.get()) {
            Ok(Value::Null) => continue,
            Ok(Value::String(text)) => HeaderValue::try_from(text).ok(),
            _ if matters => None,
            _ => continue,
        };
        match value {
            Some(value) => drop(headers.append(name, value)),
            None if matters || are_headers => {
                let message = format!("the value of '{name}' in the payload of connection_init is no header's");
                return Err(RequestError::new(400, "invalid-headers", message));
            }
            None => {}
        }
    }
    Ok(headers)
}

/// Is this a credential, or could it be taken for one?
fn is_meant_as(name: &HeaderName, protected: &[HeaderName]) -> bool {
    let dashed = name.as_str().replace('_', "-");
    is_credential(&dashed)
        || is_protected(&dashed)
        || protected.iter().any(|own| own.as_str().replace('_', "-") == dashed)
}

/// The client's own headers win over those of the request that opened the socket.
fn merged(opening: &HeaderMap, own: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(opening.len() + own.len());
    for (name, value) in end_to_end(opening) {
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
    use crate::model::limits::Limits;

    fn own() -> [HeaderName; 1] {
        [HeaderName::from_static("x-token")]
    }

    fn text(headers: &HeaderMap, name: &str) -> Option<String> {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    #[test]
    fn both_forms_of_a_payload() {
        let hasura = of_payload(Some(r#"{"headers":{"X-Hasura-Role":"user","n":7},"lazy":"x"}"#), &own());
        let hasura = hasura.unwrap_or_default();
        assert_eq!((text(&hasura, "x-hasura-role"), hasura.len()), (Some("user".into()), 1));
        let plain = of_payload(Some(r#"{"Authorization":"Bearer a"}"#), &own()).unwrap_or_default();
        assert_eq!(text(&plain, "authorization"), Some("Bearer a".into()));
        for nothing in [None, Some("null"), Some("{}"), Some(r#"{"headers":null}"#), Some(r#"{"headers":{}}"#)] {
            assert!(of_payload(nothing, &own()).is_ok_and(|headers| headers.is_empty()), "{nothing:?}");
        }
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

    #[test]
    fn headers_are_rejected_or_dropped_as_over_http() {
        let many: String = (0..101).map(|index| format!(r#","a{index}":"b""#)).collect();
        let cases: &[(&str, bool)] = &[
            (r#"{"headers":{"a":"b","X-Hasura-Role":"r"}}"#, true),
            (r#"{"headers":{"Authorization":null,"X-Hasura-Role":"r"},"x":[1]}"#, true),
            (r#"{"text":"two\nlines","n":7,"list":[],"X-Hasura-Role":"r"}"#, true),
            (r#"{"headers":{"x_hasura_role":"admin","X_Hasura_User_Id":"1","x_token":"t","X-Hasura-Role":"r"}}"#, true),
            (
                r#"{"headers":{"Connection":"x-mine","Upgrade":"x","Transfer-Encoding":"chunked","X-Hasura-Role":"r"}}"#,
                true,
            ),
            ("7", false),
            ("[]", false),
            (r#""x""#, false),
            (r#"{"headers":[]}"#, false),
            (r#"{"headers":"x"}"#, false),
            (r#"{"x-hasura-admin-secret":7}"#, false),
            (r#"{"headers":{"x-hasura-admin-secret":7}}"#, false),
            (r#"{"headers":{"x-hasura-admin-secret":true}}"#, false),
            (r#"{"x-hasura-admin-secret":"wrong\r\n"}"#, false),
            (r#"{"headers":{"a":"b\nc"}}"#, false),
            (r#"{"headers":{"a":"\u0000"}}"#, false),
            (r#"{"Authorization":["Bearer a"]}"#, false),
            (r#"{"headers":{"Authorization":{"Bearer":"a"}}}"#, false),
            (r#"{"x_hasura_role":7}"#, false),
            (r#"{"X-Token":7}"#, false),
            (r#"{"headers":{"authorization":"a","Authorization":"b"}}"#, false),
            (r#"{"headers":{"authorization":"a","authorization":"b"}}"#, false),
            (r#"{"headers":{},"headers":{"x-hasura-role":"r"}}"#, false),
            (r#"{"headers":{"x-hasura-role":"a","X-Hasura-Role":"b"}}"#, false),
            (
                r#"{"headers":{"Connection":"authorization, x-hasura-role","Authorization":"a","X-Hasura-Role":"r"}}"#,
                false,
            ),
            (r#"{"headers":{"Connection":"X-Token"}}"#, false),
            (&format!(r#"{{"headers":{{"x-hasura-role":"r"{many}}}}}"#), false),
            (&format!(r#"{{"headers":{{"x-hasura-role":"{}"}}}}"#, "r".repeat(40_000)), false),
        ];
        for (payload, wanted) in cases {
            let got = introduced(&HeaderMap::new(), Some(payload), &Limits::default(), &own());
            assert_eq!(got.is_ok(), *wanted, "{payload}: {got:?}");
            if let Ok((all, handlers)) = got {
                assert_eq!(text(&all, "x-hasura-role"), Some("r".into()), "{payload}");
                let is_odd = |name: &HeaderName| name.as_str().contains('_') || is_hop_by_hop(name);
                assert!(!all.keys().chain(handlers.keys()).any(is_odd), "{payload}: {all:?} {handlers:?}");
            }
        }
    }

    #[test]
    fn the_opening_request_counts_too() {
        let opening = HeaderMap::from_iter([(http::header::CONNECTION, HeaderValue::from_static("Upgrade"))]);
        let payload = Some(r#"{"headers":{"Upgrade":"websocket"}}"#);
        assert!(introduced(&opening, payload, &Limits::default(), &own()).is_ok_and(|(all, _)| all.is_empty()));
    }
}
