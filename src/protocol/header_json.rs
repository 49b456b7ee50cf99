//! Header values as JSON, and back: byte for byte, although JSON knows text only.

use http::HeaderValue;
use serde_json::Value;

/// A text where the value is UTF-8, and otherwise a list of its bytes: no two values are the same JSON.
#[must_use]
pub fn to_json(value: &HeaderValue) -> Value {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.into(),
        Err(_) => value.as_bytes().into(),
    }
}

/// The value that [`to_json`] has written.
#[must_use]
pub fn from_json(json: &Value) -> Option<HeaderValue> {
    let bytes = match json {
        Value::String(text) => return HeaderValue::from_bytes(text.as_bytes()).ok(),
        Value::Array(bytes) => bytes,
        _ => return None,
    };
    let bytes: Option<Vec<u8>> = bytes.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
    HeaderValue::from_bytes(&bytes?).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_value_comes_back_and_none_is_another() {
        let values =
            [&b"caf\xe9"[..], b"caf\xe8", "caf\u{e9}".as_bytes(), "caf\u{fffd}".as_bytes(), b"[99]", b"", b"\xff"];
        let mut seen = HashSet::new();
        for value in values {
            let value = HeaderValue::from_bytes(value).expect("a value");
            let json = to_json(&value);
            assert_eq!(from_json(&json), Some(value));
            assert!(seen.insert(json.to_string()), "{json}");
        }
        for wrong in ["[1, 300]", "[\"a\"]", "{}", "[10]", "\"a\\nb\""] {
            assert_eq!(from_json(&serde_json::from_str(wrong).expect("JSON")), None, "{wrong}");
        }
    }
}
