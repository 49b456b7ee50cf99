//! Reads the upstream's response to a request that has only the hash of a document: does the upstream have no persisted queries?

use serde_json::Value;

/// The message that clients of automatic persisted queries know, and its code.
const NOT_FOUND: [&str; 2] = ["PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND"];

/// Bytes of a response that may say so; a longer one has data.
pub const BYTES_MAX: usize = 16 * 1024;

/// May a response with this status say so? Those about the caller, the rate or the upstream's health do not.
#[must_use]
pub fn may_tell(status: u16) -> bool {
    matches!(status, 200..=299 | 400 | 404 | 405 | 415 | 422)
}

/// Does it reject the request for another reason than that it does not know the hash? Then it takes texts only.
///
/// # Examples
/// ```
/// use pillion::documents::persisted_query_response::rejects_hashes;
///
/// assert!(rejects_hashes(200, br#"{"errors":[{"message":"the key 'query' was not present"}]}"#));
/// assert!(!rejects_hashes(200, br#"{"errors":[{"message":"PersistedQueryNotFound"}]}"#));
/// assert!(!rejects_hashes(200, br#"{"data":{"a":null},"errors":[{"message":"no"}]}"#));
/// ```
#[must_use]
pub fn rejects_hashes(status: u16, body: &[u8]) -> bool {
    if !may_tell(status) {
        return false;
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return status >= 400 };
    let has_data = body.get("data").is_some_and(|data| !data.is_null());
    let errors = body.get("errors").and_then(Value::as_array).filter(|errors| !errors.is_empty());
    let Some(errors) = errors.filter(|_| !has_data) else { return status >= 400 && !has_data && body.is_object() };
    let is_known = |text: Option<&Value>| text.and_then(Value::as_str).is_some_and(|text| NOT_FOUND.contains(&text));
    let is_not_found = |error: &Value| is_known(error.get("message")) || is_known(error.pointer("/extensions/code"));
    !errors.iter().any(is_not_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rejection_for_another_reason_counts() {
        for (status, body, wanted) in [
            (400, r#"{"errors":[{"message":"Must provide query string."}]}"#, true),
            (400, "GraphQL operations must contain a non-empty `query`", true),
            (200, r#"{"errors":[{"message":"PersistedQueryNotSupported"}]}"#, true),
            (200, r#"{"data":null,"errors":[{"message":"no query"}]}"#, true),
            (200, r#"{"errors":[{"message":"x","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]}"#, false),
            (404, r#"{"errors":[{"message":"PersistedQueryNotFound"}]}"#, false),
            (200, r#"{"data":{"a":1}}"#, false),
            (401, r#"{"errors":[{"message":"who are you"}]}"#, false),
            (503, "no", false),
            (200, "no JSON", false),
            (200, "[]", false),
        ] {
            assert_eq!(rejects_hashes(status, body.as_bytes()), wanted, "{status} {body}");
        }
    }
}
