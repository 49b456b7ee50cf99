//! Keys that live at an address: fetched, kept fresh, and fetched by one at a time.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use http::HeaderMap;
use pillion::internals::{Authenticator, Metrics};
use pillion::model::secret::Secret;
use pillion::session::claims::JwtRules;
use pillion::session::credential::AuthRules;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{trials, wait_until};
use serde_json::{Value, json};

pub const TESTS: &[super::Test] = trials![
    keys_are_fetched_once_and_rotate,
    every_algorithm_by_key_and_by_jwks_url,
    a_public_key_is_not_accepted_as_a_shared_secret,
];

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
    pillion.wait_for_log("JWKS unavailable");
    assert_eq!(ask(&pillion, &first), json!({ "data": { "count": 1 } }));
    assert!(ask(&pillion, &second)["errors"].is_array());
}

/// A key pair, made by openssl.
struct Pair {
    private_pem: Vec<u8>,
    private_der: Vec<u8>,
    public_pem: String,
    public_der: Vec<u8>,
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().expect("openssl starts");
    process.stdin.take().expect("its input").write_all(input).expect("its input");
    let output = process.wait_with_output().expect("its output");
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

impl Pair {
    fn new(arguments: &[&str]) -> Self {
        let private_pem = openssl(&[&["genpkey"], arguments].concat(), b"");
        let private_der = openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], &private_pem);
        let public_pem = String::from_utf8(openssl(&["pkey", "-pubout"], &private_pem)).expect("PEM");
        let public_der = openssl(&["pkey", "-pubout", "-outform", "DER"], &private_pem);
        Self { private_pem, private_der, public_pem, public_der }
    }

    /// The last bytes of the public key: a point's two coordinates, or an Ed25519 key.
    fn tail(&self, length: usize) -> &[u8] {
        &self.public_der[self.public_der.len() - length..]
    }

    fn modulus(&self) -> Vec<u8> {
        let text = openssl(&["rsa", "-noout", "-modulus"], &self.private_pem);
        let digits = String::from_utf8(text).expect("text").trim().trim_start_matches("Modulus=").to_owned();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits")).collect()
    }

    fn certificate(&self) -> String {
        let folder = temp_folder().join("key.pem");
        std::fs::write(&folder, &self.private_pem).expect("a file");
        let path = folder.display().to_string();
        let pem = openssl(&["req", "-x509", "-new", "-key", &path, "-subj", "/CN=tokens", "-days", "2"], b"");
        std::fs::remove_file(folder).expect("the file");
        String::from_utf8(pem).expect("PEM")
    }
}

const CLAIMS: &str =
    r#"{"https://hasura.io/jwt/claims":{"x-hasura-default-role":"user","x-hasura-allowed-roles":["user"]}}"#;

fn token(algorithm: &str, sign: impl Fn(&[u8]) -> String) -> String {
    let head = base64(json!({ "alg": algorithm, "typ": "JWT" }).to_string().as_bytes());
    let signed = format!("{head}.{}", base64(CLAIMS.as_bytes()));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{signature}")
}

fn signed_by_library(pair: &Pair, algorithm: &str) -> String {
    use jsonwebtoken::{Algorithm, EncodingKey};
    let by_name: Algorithm = algorithm.parse().expect("an algorithm");
    let key = match algorithm.get(..2) {
        Some("RS" | "PS") => EncodingKey::from_rsa_pem(&pair.private_pem),
        Some("ES") => EncodingKey::from_ec_pem(&pair.private_pem),
        _ => EncodingKey::from_ed_pem(&pair.private_pem),
    };
    let key = key.expect("a key");
    token(algorithm, |message| jsonwebtoken::crypto::sign(message, &key, by_name).expect("a signature"))
}

fn signed_by_p521(pair: &Pair) -> String {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair};
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P521_SHA512_FIXED_SIGNING, &pair.private_der).expect("a key");
    token("ES512", |message| base64(key.sign(&SystemRandom::new(), message).expect("a signature").as_ref()))
}

/// The role that a token gives under this secret, or the error's code.
fn role_of(secret: &Value, token: &str) -> String {
    pillion::install_tls_provider();
    let rules = AuthRules {
        admin_secrets: vec![Secret::new("s".into())],
        jwt: vec![JwtRules::from_value(secret).expect("a JWT secret")],
        ..AuthRules::default()
    };
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = Box::new(reqwest::Client::new());
        let authenticator = Authenticator::new(rules, &client, &metrics).expect("usable keys");
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        let authenticated = authenticator.authenticate(&client, &headers, || None).await;
        authenticated.map_or_else(|error| error.code.to_owned(), |known| known.session.role().to_owned())
    })
}

/// The same token with one bit of its signature changed.
fn tampered(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", &signature[1..])
}

fn every_algorithm_by_key_and_by_jwks_url(_: &Engines) {
    let rsa = Pair::new(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let curve = |name: &str| Pair::new(&["-algorithm", "EC", "-pkeyopt", &format!("ec_paramgen_curve:{name}")]);
    let (p256, p384, p521) = (curve("P-256"), curve("P-384"), curve("P-521"));
    let ed25519 = Pair::new(&["-algorithm", "ED25519"]);
    let rsa_jwk = json!({ "kty": "RSA", "n": base64(&rsa.modulus()), "e": "AQAB" });
    let ec_jwk = |pair: &Pair, name: &str, length: usize| {
        let point = pair.tail(2 * length);
        json!({ "kty": "EC", "crv": name, "x": base64(&point[..length]), "y": base64(&point[length..]) })
    };
    let ed_jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(ed25519.tail(32)) });
    let mut cases: Vec<(&str, &Pair, Value, String)> = Vec::new();
    for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        cases.push((name, &rsa, rsa_jwk.clone(), signed_by_library(&rsa, name)));
    }
    cases.push(("ES256", &p256, ec_jwk(&p256, "P-256", 32), signed_by_library(&p256, "ES256")));
    cases.push(("ES384", &p384, ec_jwk(&p384, "P-384", 48), signed_by_library(&p384, "ES384")));
    cases.push(("ES512", &p521, ec_jwk(&p521, "P-521", 66), signed_by_p521(&p521)));
    cases.push(("Ed25519", &ed25519, ed_jwk, signed_by_library(&ed25519, "EdDSA")));
    let keys = Scripted::start();
    keys.on_path(
        "/jwks",
        Reply::json(&json!({ "keys": cases.iter().map(|case| &case.2).collect::<Vec<_>>() }).to_string()),
    );
    let address = json!({ "jwk_url": format!("http://127.0.0.1:{}/jwks", keys.port) });
    for (name, pair, _, token) in &cases {
        for key in [pair.public_pem.clone(), pair.certificate()] {
            let secret = json!({ "type": name, "key": key });
            assert_eq!(role_of(&secret, token), "user", "{name} by key");
            assert_eq!(role_of(&secret, &tampered(token)), "invalid-jwt", "{name} by key");
        }
        assert_eq!(role_of(&address, token), "user", "{name} by address");
        assert_eq!(role_of(&address, &tampered(token)), "invalid-jwt", "{name} by address");
    }
    for (name, algorithm) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        let key = "k".repeat(algorithm);
        let encoding = jsonwebtoken::EncodingKey::from_secret(key.as_bytes());
        let by_name = name.parse().expect("an algorithm");
        let token =
            token(name, |message| jsonwebtoken::crypto::sign(message, &encoding, by_name).expect("a signature"));
        let secret = json!({ "type": name, "key": key });
        assert_eq!(
            (role_of(&secret, &token).as_str(), role_of(&secret, &tampered(&token)).as_str()),
            ("user", "invalid-jwt"),
            "{name}"
        );
    }
}

fn a_public_key_is_not_accepted_as_a_shared_secret(_: &Engines) {
    let rsa = Pair::new(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let secret = json!({ "type": "RS256", "key": rsa.public_pem });
    let known_to_all = jsonwebtoken::EncodingKey::from_secret(rsa.public_pem.as_bytes());
    let forged = token("HS256", |message| {
        jsonwebtoken::crypto::sign(message, &known_to_all, jsonwebtoken::Algorithm::HS256).expect("a signature")
    });
    assert_eq!(role_of(&secret, &forged), "invalid-jwt");
    for algorithm in ["none", "None", "RS384", "ES256"] {
        assert_eq!(role_of(&secret, &token(algorithm, |_| String::new())), "invalid-jwt", "{algorithm}");
    }
}
