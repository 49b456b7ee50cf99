//! Signs handler calls (Standard Webhooks), so that a handler can verify the sender and reject replays:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::model::traffic::SigningKey;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Adds the headers. `id` is the same whenever a call is sent again, `seconds` are since 1970. Each key signs, so that
/// handlers can change from one to another.
pub(crate) fn sign(headers: &mut HeaderMap, keys: &[SigningKey], id: &str, seconds: u64, body: &[u8]) {
    let signed = [id.as_bytes(), b".", seconds.to_string().as_bytes(), b".", body].concat();
    let signature = |SigningKey(key): &SigningKey| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &signed);
        format!("v1,{}", STANDARD.encode(tag))
    };
    let signatures: Vec<String> = keys.iter().map(signature).collect();
    for (name, text) in [(ID, id.to_owned()), (TIMESTAMP, seconds.to_string()), (SIGNATURE, signatures.join(" "))] {
        // Whatever a client has sent under these names is not ours.
        headers.remove(&name);
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn as_others_sign() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let keys = [SigningKey(key.into()), SigningKey(vec![7; 24].into())];
        let mut headers = HeaderMap::new();
        headers.append(SIGNATURE, HeaderValue::from_static("v1,forged"));
        sign(&mut headers, &keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(headers.get_all(SIGNATURE).iter().count(), 1);
        let signature = headers.get(SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(signature.starts_with("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,"), "{signature}");
    }
}
