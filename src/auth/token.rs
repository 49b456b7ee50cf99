//! Parses a JWT and verifies its signature. Its claims are checked in `session::claims`.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm as Signature, DecodingKey};
use serde_json::{Map, Value};

use crate::model::json::{is_deeper_than, parse_strict};
use crate::model::secret::Secret;
use crate::session::SessionError;
use crate::session::claims::Algorithm;

/// Bytes of a token; nothing longer is even decoded.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Nesting of a token's claims.
const CLAIMS_DEPTH_MAX: usize = 32;

/// A token whose signature has not been checked yet.
pub(crate) struct Token {
    /// `alg` of its header. Only compared, never followed.
    pub algorithm: String,
    /// `kid` of its header.
    pub key_id: Option<String>,
    /// Its claims.
    pub claims: Map<String, Value>,
    signed: String,
    signature: String,
}

fn malformed(what: &str) -> SessionError {
    SessionError::jwt(&format!("JWSError (CompactDecodeError Invalid: {what})"))
}

impl Token {
    /// Takes a compact token apart.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn decode(text: &str) -> Result<Self, SessionError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(malformed("the token is too long"));
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else {
            return Err(malformed("a token has three parts"));
        };
        let header_object = object_of(header, "header")?;
        let text_of = |key: &str| header_object.get(key).and_then(Value::as_str).map(str::to_owned);
        let algorithm = text_of("alg").ok_or_else(|| malformed("alg"))?;
        // An extension that must be understood and is not makes the token void.
        if header_object.contains_key("crit") {
            return Err(malformed("crit"));
        }
        Ok(Self {
            algorithm,
            key_id: text_of("kid"),
            claims: object_of(claims, "claims")?,
            signed: format!("{header}.{claims}"),
            signature: (*signature).to_owned(),
        })
    }

    /// The issuer it claims to be from.
    #[must_use]
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }
}

fn object_of(part: &str, what: &str) -> Result<Map<String, Value>, SessionError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed(what))?;
    if is_deeper_than(&bytes, CLAIMS_DEPTH_MAX) {
        return Err(malformed(what));
    }
    match parse_strict(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(malformed(what)),
    }
}

/// A key and the only algorithm it is used with.
pub(crate) struct VerifyingKey {
    algorithm: &'static str,
    kind: KeyKind,
}

enum KeyKind {
    Library(Signature, Box<DecodingKey>),
    /// The library has no ES512.
    P521(Vec<u8>),
}

impl VerifyingKey {
    /// A key from the configuration: a shared secret, or a public key or certificate as PEM.
    ///
    /// # Errors
    /// What is wrong with it; never the key.
    pub(crate) fn from_text(algorithm: Algorithm, key: &Secret) -> Result<Self, String> {
        let (name, signature) = library_algorithm(algorithm);
        let kind = match signature {
            None => KeyKind::P521(public_key_der(key)?),
            Some(signature @ (Signature::HS256 | Signature::HS384 | Signature::HS512)) => {
                KeyKind::Library(signature, Box::new(DecodingKey::from_secret(key.expose().as_bytes())))
            }
            Some(signature) => {
                let pem = public_key_pem(key)?;
                let decoding = match signature {
                    Signature::ES256 | Signature::ES384 => DecodingKey::from_ec_pem(pem.as_bytes()),
                    Signature::EdDSA => DecodingKey::from_ed_pem(pem.as_bytes()),
                    _ => DecodingKey::from_rsa_pem(pem.as_bytes()),
                };
                let decoding = decoding.map_err(|_| format!("the key is not a public key for {name}"))?;
                KeyKind::Library(signature, Box::new(decoding))
            }
        };
        Ok(Self { algorithm: name, kind })
    }

    /// A key of a JWK set. `None` for keys that are not for signatures we know.
    #[must_use]
    pub(crate) fn from_jwk(jwk: &Value, token_algorithm: &str) -> Option<Self> {
        if jwk.get("use").and_then(Value::as_str).is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let text = |key: &str| jwk.get(key).and_then(Value::as_str);
        let algorithm = match text("alg") {
            Some(name) => name,
            // A key that does not name its algorithm is used with those that fit its type, and no others.
            None => fitting_algorithm(text("kty")?, text("crv"), token_algorithm)?,
        };
        if algorithm == "ES512" {
            return Some(Self { algorithm: "ES512", kind: KeyKind::P521(p521_point(text("x")?, text("y")?)?) });
        }
        let (name, signature) = library_algorithm(Algorithm::by_name(algorithm)?);
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).ok()?;
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { algorithm: name, kind: KeyKind::Library(signature?, Box::new(key)) })
    }

    /// Checks the token's signature.
    ///
    /// # Errors
    /// When it is not this key's, or was made with another algorithm.
    pub(crate) fn check(&self, token: &Token) -> Result<(), SessionError> {
        let invalid = || SessionError::jwt("JWSError JWSInvalidSignature");
        if token.algorithm != self.algorithm {
            return Err(invalid());
        }
        let is_right = match &self.kind {
            KeyKind::Library(algorithm, key) => {
                jsonwebtoken::crypto::verify(&token.signature, token.signed.as_bytes(), key, *algorithm)
                    .unwrap_or(false)
            }
            KeyKind::P521(key) => URL_SAFE_NO_PAD.decode(&token.signature).is_ok_and(|signature| {
                UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, key)
                    .verify(token.signed.as_bytes(), &signature)
                    .is_ok()
            }),
        };
        if is_right { Ok(()) } else { Err(invalid()) }
    }
}

fn library_algorithm(algorithm: Algorithm) -> (&'static str, Option<Signature>) {
    match algorithm {
        Algorithm::Hs256 => ("HS256", Some(Signature::HS256)),
        Algorithm::Hs384 => ("HS384", Some(Signature::HS384)),
        Algorithm::Hs512 => ("HS512", Some(Signature::HS512)),
        Algorithm::Rs256 => ("RS256", Some(Signature::RS256)),
        Algorithm::Rs384 => ("RS384", Some(Signature::RS384)),
        Algorithm::Rs512 => ("RS512", Some(Signature::RS512)),
        Algorithm::Ps256 => ("PS256", Some(Signature::PS256)),
        Algorithm::Ps384 => ("PS384", Some(Signature::PS384)),
        Algorithm::Ps512 => ("PS512", Some(Signature::PS512)),
        Algorithm::Es256 => ("ES256", Some(Signature::ES256)),
        Algorithm::Es384 => ("ES384", Some(Signature::ES384)),
        Algorithm::Es512 => ("ES512", None),
        Algorithm::Ed25519 => ("EdDSA", Some(Signature::EdDSA)),
    }
}

fn fitting_algorithm<'a>(key_type: &str, curve: Option<&str>, wanted: &'a str) -> Option<&'a str> {
    let fits = match (key_type, curve) {
        ("RSA", _) => matches!(wanted, "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512"),
        ("EC", Some("P-256")) => wanted == "ES256",
        ("EC", Some("P-384")) => wanted == "ES384",
        ("EC", Some("P-521")) => wanted == "ES512",
        ("OKP", Some("Ed25519")) => wanted == "EdDSA",
        ("oct", _) => matches!(wanted, "HS256" | "HS384" | "HS512"),
        _ => false,
    };
    fits.then_some(wanted)
}

/// The uncompressed point of a P-521 key.
fn p521_point(x: &str, y: &str) -> Option<Vec<u8>> {
    const COORDINATE_BYTES: usize = 66;
    let mut point = vec![4];
    for coordinate in [x, y] {
        let bytes = URL_SAFE_NO_PAD.decode(coordinate).ok()?;
        let padding = COORDINATE_BYTES.checked_sub(bytes.len())?;
        point.extend(std::iter::repeat_n(0, padding));
        point.extend(bytes);
    }
    Some(point)
}

/// The public key as PEM, taken out of a certificate if it is one.
fn public_key_pem(key: &Secret) -> Result<String, String> {
    if !key.expose().contains("BEGIN CERTIFICATE") {
        return Ok(key.expose().to_owned());
    }
    let body = STANDARD.encode(public_key_der(key)?);
    Ok(format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"))
}

/// The public key as a DER `SubjectPublicKeyInfo`.
fn public_key_der(key: &Secret) -> Result<Vec<u8>, String> {
    let wrong = || "the key is neither a public key nor a certificate in PEM".to_owned();
    let (_, pem) = x509_parser::pem::parse_x509_pem(key.expose().as_bytes()).map_err(|_| wrong())?;
    match pem.label.as_str() {
        "PUBLIC KEY" => Ok(pem.contents),
        "CERTIFICATE" => {
            let certificate = pem.parse_x509().map_err(|_| wrong())?;
            Ok(certificate.public_key().raw.to_vec())
        }
        _ => Err(wrong()),
    }
}
