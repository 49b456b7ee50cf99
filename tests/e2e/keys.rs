//! Keys that live at an address: fetched, kept fresh, and fetched by one at a time.

use serde_json::{Value, json};

use super::harness::engines::Engines;
use super::harness::pillion::{Pillion, Setup};
use super::harness::scripted::{Reply, Scripted};
use super::harness::wait_until;

pub const TESTS: &[super::Test] = &[("keys_are_fetched_once_and_rotate", keys_are_fetched_once_and_rotate)];

/// A symmetric key as JWK, and tokens that it signs.
struct Key {
    id: &'static str,
    secret: &'static [u8],
}

impl Key {
    fn jwk(&self) -> Value {
        json!({ "kty": "oct", "alg": "HS256", "kid": self.id, "k": base64(self.secret) })
    }

    fn token(&self) -> String {
        let head = base64(json!({ "alg": "HS256", "typ": "JWT", "kid": self.id }).to_string().as_bytes());
        let claims = json!({ "https://hasura.io/jwt/claims": {
            "x-hasura-default-role": "customer", "x-hasura-allowed-roles": ["customer"] } });
        let signed = format!("{head}.{}", base64(claims.to_string().as_bytes()));
        let key = jsonwebtoken::EncodingKey::from_secret(self.secret);
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, jsonwebtoken::Algorithm::HS256);
        format!("{signed}.{}", signature.expect("a signature"))
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn ask(pillion: &Pillion, key: &Key) -> Value {
    let authorization = format!("Bearer {}", key.token());
    let headers = [("Content-Type", "application/json"), ("Authorization", authorization.as_str())];
    pillion.client().request("POST", "/graphql", &headers, br#"{"query":"{ count }"}"#).json()
}

fn keys_are_fetched_once_and_rotate(engines: &Engines) {
    let first = Key { id: "first", secret: b"0123456789abcdef0123456789abcdef" };
    let second = Key { id: "second", secret: b"fedcba9876543210fedcba9876543210" };
    let (handlers, keys) = (Scripted::start(), Scripted::start());
    handlers.on_path("/count", Reply::json("1"));
    let set = |key: &Key| json!({ "keys": [key.jwk()] }).to_string().into_bytes();
    let answer =
        |body| Reply::Answer { status: 200, headers: vec![("Cache-Control".into(), "max-age=1".into())], body };
    keys.on_path("/jwks", answer(set(&first)));
    let secret = json!({ "jwk_url": format!("http://127.0.0.1:{}/jwks", keys.port) }).to_string();
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port).env("HASURA_GRAPHQL_ADMIN_SECRET", "s");
    let pillion = setup.env("HASURA_GRAPHQL_JWT_SECRET", &secret).start().wait_until_ready();

    wait_until("the first key", || ask(&pillion, &first) == json!({ "data": { "count": 1 } }));
    let fetched = keys.take_seen().len();
    assert!(fetched <= 2, "{fetched} fetches");

    // A thousand unknown keys cause one fetch at most.
    let unknown = Key { id: "unknown", secret: first.secret };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..25).for_each(|_| {
                    assert_eq!(ask(&pillion, &unknown)["errors"][0]["extensions"]["code"], "invalid-jwt");
                });
            });
        }
    });
    let fetched = keys.take_seen().len();
    assert!(fetched <= 3, "{fetched} fetches for unknown keys");

    // Failures leave the last good set; a new set replaces it before it has expired.
    keys.on_path("/jwks", Reply::status(500, "no"));
    wait_until("a failed fetch", || pillion.metric("pillion_jwks_fetches_total{outcome=\"failure\"}") > 0.0);
    assert_eq!(ask(&pillion, &first), json!({ "data": { "count": 1 } }));
    assert!(ask(&pillion, &second)["errors"].is_array());
}
