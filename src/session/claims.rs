//! Checks the claims of a verified JWT and maps them to a session: Hasura's `HASURA_GRAPHQL_JWT_SECRET`; `claim_rules` has
//! the mapping of `auth.jwt`.

use serde_json::{Map, Value};
use serde_json_path::JsonPath;

use crate::model::json::parse_strict;
use crate::model::secret::Secret;
use crate::session::claim_rules::{self, ClaimRules};
use crate::session::{SESSION_PREFIX, Session, SessionError};

/// One way of checking tokens.
#[derive(Debug)]
pub struct JwtRules {
    /// The key, or where keys are fetched.
    pub key: JwtKey,
    /// Where in a request the token is.
    pub place: TokenPlace,
    /// Where in its claims the session is.
    pub claims: ClaimsPlace,
    /// Is the session there as JSON, or as a string that holds JSON?
    pub stringified: bool,
    /// One of these must be among the token's audiences.
    pub audience: Option<Vec<String>>,
    /// The token's issuer must be this.
    pub issuer: Option<String>,
    /// Seconds by which clocks may differ.
    pub allowed_skew: u64,
}

/// What signatures are checked with.
#[derive(Clone, Debug)]
pub enum JwtKey {
    /// A key that is given.
    Given {
        /// The only algorithm that is accepted; the token cannot choose another.
        algorithm: Algorithm,
        /// A shared secret, or a public key or certificate as PEM.
        key: Secret,
    },
    /// The address of a JWK set.
    Url(String),
}

/// Signature algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are their names in RFC 7518 and RFC 8037")]
pub enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    Ed25519,
}

impl Algorithm {
    /// By its name in `type`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "Ed25519" | "EdDSA" => Self::Ed25519,
            _ => return None,
        })
    }

    /// Bytes that a shared secret must have at least; `None` for public keys.
    #[must_use]
    pub fn secret_bytes_min(self) -> Option<usize> {
        match self {
            Self::Hs256 => Some(32),
            Self::Hs384 => Some(48),
            Self::Hs512 => Some(64),
            _ => None,
        }
    }
}

/// Where in a request a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// `Authorization: Bearer …`.
    Authorization,
    /// The cookie of this name.
    Cookie(String),
    /// The header of this name, bare.
    Header(String),
}

impl TokenPlace {
    /// Where to put a token, for a message.
    #[must_use]
    pub fn described(&self) -> String {
        match self {
            Self::Authorization => "Authorization: Bearer …".to_owned(),
            Self::Cookie(name) => format!("the cookie {name}"),
            Self::Header(name) => format!("the header {name}"),
        }
    }
}

/// Where in a token's claims the session is.
#[derive(Debug)]
pub enum ClaimsPlace {
    /// Under this key.
    Namespace(String),
    /// At this path.
    Path(String, JsonPath),
    /// Each variable has a place of its own.
    Map(Vec<(String, MappedClaim)>),
    /// By the rules of `auth.jwt`.
    Rules(ClaimRules),
}

impl ClaimsPlace {
    /// The roles that every user may take, whatever the token contains.
    #[must_use]
    pub fn literal_roles(&self) -> Vec<&str> {
        let Self::Map(claims) = self else { return Vec::new() };
        let allowed = claims.iter().find(|(name, _)| name == ALLOWED_ROLES).map(|(_, claim)| claim);
        let Some(MappedClaim::Literal(Value::Array(roles))) = allowed else { return Vec::new() };
        roles.iter().filter_map(Value::as_str).collect()
    }
}

/// Where one variable comes from.
#[derive(Debug)]
pub enum MappedClaim {
    /// It is always this.
    Literal(Value),
    /// It stands at this path, or is this if it does not.
    Path(JsonPath, Option<Value>),
}

const ALLOWED_ROLES: &str = "x-hasura-allowed-roles";
const DEFAULT_ROLE: &str = "x-hasura-default-role";

/// Hasura's key for the session in a token.
const DEFAULT_NAMESPACE: &str = "https://hasura.io/jwt/claims";

impl JwtRules {
    /// Reads one JWT secret as Hasura's variable holds it.
    ///
    /// # Errors
    /// What is wrong with it; never the key.
    ///
    /// # Examples
    /// ```
    /// use pillion::session::claims::JwtRules;
    ///
    /// let key = "0123456789abcdef0123456789abcdef";
    /// assert!(JwtRules::parse(&format!(r#"{{"type":"HS256","key":"{key}"}}"#)).is_ok());
    /// assert!(JwtRules::parse("{}").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let value = parse_strict(text.as_bytes()).map_err(|_| "it is not a JSON object".to_owned())?;
        Self::from_value(&value)
    }

    /// The same for JSON that is already read.
    ///
    /// # Errors
    /// What is wrong with it; never the key.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        let Value::Object(object) = value else { return Err("it is not a JSON object".into()) };
        let stringified = match text_of(object, "claims_format")?.unwrap_or("json") {
            "json" => false,
            "stringified_json" => true,
            _ => return Err("claims_format must be \"json\" or \"stringified_json\"".into()),
        };
        Ok(Self {
            key: key_of(object)?,
            place: place_of(object)?,
            claims: claims_place_of(object)?,
            stringified,
            audience: audience_of(object)?,
            issuer: text_of(object, "issuer")?.map(str::to_owned),
            allowed_skew: match object.get("allowed_skew") {
                None | Some(Value::Null) => 0,
                Some(skew) => skew.as_u64().ok_or("allowed_skew must be a whole number of seconds")?,
            },
        })
    }
}

fn text_of<'v>(object: &'v Map<String, Value>, key: &str) -> Result<Option<&'v str>, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{key} must be a string")),
    }
}

fn key_of(object: &Map<String, Value>) -> Result<JwtKey, String> {
    match (text_of(object, "key")?, text_of(object, "jwk_url")?) {
        (None, None) => Err("key and jwk_url both cannot be empty".into()),
        (Some(_), Some(_)) => Err("key, jwk_url both cannot be present".into()),
        (None, Some(url)) => Ok(JwtKey::Url(url.to_owned())),
        (Some(key), None) => {
            let name = text_of(object, "type")?.ok_or("type must be given with key")?;
            let algorithm =
                Algorithm::by_name(name).ok_or_else(|| format!("Invalid JWK: Key type: {name} is not supported"))?;
            if let Some(min) = algorithm.secret_bytes_min()
                && key.len() < min
            {
                return Err(format!("Invalid JWK: Key size too small; should be atleast {min} characters"));
            }
            Ok(JwtKey::Given { algorithm, key: Secret::new(key.to_owned()) })
        }
    }
}

fn place_of(object: &Map<String, Value>) -> Result<TokenPlace, String> {
    let Some(header) = object.get("header").filter(|header| !header.is_null()) else {
        return Ok(TokenPlace::Authorization);
    };
    let Value::Object(header) = header else { return Err("header must be an object".into()) };
    let name = || text_of(header, "name")?.map(str::to_owned).ok_or_else(|| "header.name must be given".to_owned());
    match text_of(header, "type")?.unwrap_or_default().to_ascii_lowercase().as_str() {
        "authorization" => Ok(TokenPlace::Authorization),
        "cookie" => Ok(TokenPlace::Cookie(name()?)),
        "customheader" => Ok(TokenPlace::Header(name()?.to_ascii_lowercase())),
        _ => Err("expected 'type' is 'Authorization' or 'Cookie' or 'CustomHeader'".into()),
    }
}

fn path_of(text: &str) -> Result<JsonPath, String> {
    JsonPath::parse(text).map_err(|error| format!("\"{text}\" is not a JSON path: {error}"))
}

fn claims_place_of(object: &Map<String, Value>) -> Result<ClaimsPlace, String> {
    if let Some(map) = object.get("claims_map").filter(|map| !map.is_null()) {
        return claims_map_of(map);
    }
    match (text_of(object, "claims_namespace")?, text_of(object, "claims_namespace_path")?) {
        (Some(_), Some(_)) => Err("claims_namespace and claims_namespace_path both cannot be set".into()),
        (None, Some(path)) => Ok(ClaimsPlace::Path(path.to_owned(), path_of(path)?)),
        (namespace, None) => Ok(ClaimsPlace::Namespace(namespace.unwrap_or(DEFAULT_NAMESPACE).to_owned())),
    }
}

fn claims_map_of(map: &Value) -> Result<ClaimsPlace, String> {
    let Value::Object(map) = map else { return Err("claims_map must be an object".into()) };
    let mut claims = Vec::with_capacity(map.len());
    for (name, claim) in map {
        let claim = match claim.get("path") {
            Some(Value::String(path)) => MappedClaim::Path(path_of(path)?, claim.get("default").cloned()),
            Some(_) => return Err(format!("the path of {name} must be a string")),
            None => MappedClaim::Literal(claim.clone()),
        };
        claims.push((name.to_ascii_lowercase(), claim));
    }
    for needed in [ALLOWED_ROLES, DEFAULT_ROLE] {
        if !claims.iter().any(|(name, _)| name == needed) {
            return Err(format!("{needed} is expected but not found"));
        }
    }
    Ok(ClaimsPlace::Map(claims))
}

fn audience_of(object: &Map<String, Value>) -> Result<Option<Vec<String>>, String> {
    let wrong = || "audience must be a string or a list of strings".to_owned();
    match object.get("audience") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(one)) => Ok(Some(vec![one.clone()])),
        Some(Value::Array(many)) => {
            let many = many.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong));
            many.collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(wrong()),
    }
}

/// Checks a token's time, audience and issuer. `now` is in seconds since 1970. A claim that is present but malformed is
/// rejected, never taken as absent.
///
/// # Errors
/// [`SessionError`] with Hasura's message.
pub fn check_registered(rules: &JwtRules, claims: &Map<String, Value>, now: i64) -> Result<(), SessionError> {
    let skew = i64::try_from(rules.allowed_skew).unwrap_or(i64::MAX);
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => seconds(value).map(Some).ok_or_else(|| SessionError::jwt("JWTClaimsSetDecodeError")),
    };
    if time("exp")?.is_some_and(|expiry| now >= expiry.saturating_add(skew)) {
        return Err(SessionError::jwt("JWTExpired"));
    }
    if time("nbf")?.is_some_and(|start| now < start.saturating_sub(skew)) {
        return Err(SessionError::jwt("JWTNotYetValid"));
    }
    if time("iat")?.is_some_and(|issued| now < issued.saturating_sub(skew)) {
        return Err(SessionError::jwt("JWTIssuedAtFuture"));
    }
    if let Some(issuer) = &rules.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(SessionError::jwt("JWTNotInIssuer"));
    }
    if let Some(audience) = &rules.audience {
        let offered: Vec<&str> = match claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !offered.iter().any(|one| audience.iter().any(|wanted| wanted == one)) {
            return Err(SessionError::jwt("JWTNotInAudience"));
        }
    }
    Ok(())
}

/// A [NumericDate](https://www.rfc-editor.org/rfc/rfc7519#section-2), fractions cut off.
fn seconds(value: &Value) -> Option<i64> {
    let Value::Number(number) = value else { return None };
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    let float = number.as_f64().filter(|float| (0.0..=9e15).contains(float))?;
    #[expect(clippy::cast_possible_truncation, reason = "the range has just been checked")]
    Some(float as i64)
}

/// Makes the session of a token whose signature and registered claims have been checked.
///
/// # Errors
/// [`SessionError`] with Hasura's message.
pub fn session(
    rules: &JwtRules,
    claims: &Map<String, Value>,
    requested_role: Option<&str>,
) -> Result<Session, SessionError> {
    let hasura = match &rules.claims {
        ClaimsPlace::Rules(rules) => return claim_rules::session(rules, claims, requested_role),
        ClaimsPlace::Map(map) => mapped_claims(map, claims)?,
        ClaimsPlace::Namespace(namespace) => {
            let found = claims.get(namespace);
            let found = found.ok_or_else(|| SessionError::claims(format!("claims key: '{namespace}' not found")))?;
            hasura_claims(object_at(rules, found, &format!("claims_namespace {namespace}"))?)?
        }
        ClaimsPlace::Path(text, path) => {
            let root = Value::Object(claims.clone());
            let missing = || SessionError::claims(format!("claims not found at claims_namespace_path: '{text}'"));
            let found = path.query(&root).first().ok_or_else(missing)?;
            hasura_claims(object_at(rules, found, &format!("claims_namespace_path {text}"))?)?
        }
    };
    let allowed = allowed_roles(&hasura)?;
    let default = default_role(&hasura)?;
    let role = requested_role.unwrap_or(default);
    if !allowed.contains(&role) {
        return Err(SessionError {
            code: "access-denied",
            message: "Your requested role is not in allowed roles".into(),
            status: 400,
            plain: Some("the token does not allow the requested role"),
        });
    }
    let mut variables = Vec::new();
    for (name, value) in &hasura {
        if name == ALLOWED_ROLES || name == DEFAULT_ROLE {
            continue;
        }
        variables.push((name.clone(), variable(name, value)?));
    }
    Ok(Session::new(role.to_owned(), variables))
}

/// A session variable. Tokens that were not made for Hasura have numbers and booleans among their claims; those keep
/// their spelling. A list, an object or null is no value, and is rejected.
fn variable(name: &str, value: &Value) -> Result<String, SessionError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        _ => Err(SessionError::claims(format!("x-hasura-* claims: {name} must be a string"))),
    }
}

/// The `x-hasura-*` claims by lower-case name.
fn hasura_claims(object: Map<String, Value>) -> Result<Vec<(String, Value)>, SessionError> {
    let mut hasura: Vec<(String, Value)> = Vec::new();
    for (name, value) in object {
        let name = name.to_ascii_lowercase();
        if !name.starts_with(SESSION_PREFIX) {
            continue;
        }
        if hasura.iter().any(|(known, _)| *known == name) {
            return Err(SessionError::claims(format!("x-hasura-* claims: {name} is given twice")));
        }
        hasura.push((name, value));
    }
    Ok(hasura)
}

fn object_at(rules: &JwtRules, found: &Value, place: &str) -> Result<Map<String, Value>, SessionError> {
    match (rules.stringified, found) {
        (false, Value::Object(object)) => Ok(object.clone()),
        (false, _) => Err(SessionError::claims("expecting a json object when claims_format is json")),
        (true, Value::String(text)) => match parse_strict(text.as_bytes()) {
            Ok(Value::Object(object)) => Ok(object),
            _ => Err(SessionError::claims(format!("expecting stringified json at: '{place}', but found: a string"))),
        },
        (true, _) => Err(SessionError::claims("expecting a string when claims_format is stringified_json")),
    }
}

fn mapped_claims(
    map: &[(String, MappedClaim)],
    claims: &Map<String, Value>,
) -> Result<Vec<(String, Value)>, SessionError> {
    let root = Value::Object(claims.clone());
    map.iter()
        .map(|(name, claim)| {
            let value = match claim {
                MappedClaim::Literal(value) => Some(value.clone()),
                MappedClaim::Path(path, default) => path.query(&root).first().cloned().or_else(|| default.clone()),
            };
            let missing = || SessionError::claims(format!("JWT claim from claims_map, {name} not found"));
            value.map(|value| (name.clone(), listed(name, value))).ok_or_else(missing)
        })
        .collect()
}

/// A token with one role has it as a string, which is a list of one here.
fn listed(name: &str, value: Value) -> Value {
    match value {
        Value::String(role) if name == ALLOWED_ROLES && !role.is_empty() => Value::Array(vec![role.into()]),
        value => value,
    }
}

fn claim<'c>(hasura: &'c [(String, Value)], name: &str) -> Result<&'c Value, SessionError> {
    hasura.iter().find(|(known, _)| known == name).map(|(_, value)| value).ok_or_else(|| SessionError {
        code: "jwt-missing-role-claims",
        message: format!("JWT claim does not contain {name}"),
        status: 400,
        plain: None,
    })
}

fn allowed_roles(hasura: &[(String, Value)]) -> Result<Vec<&str>, SessionError> {
    let value = claim(hasura, ALLOWED_ROLES)?;
    let wrong = |found: &Value| {
        SessionError::claims(format!(
            "invalid {ALLOWED_ROLES}; should be a list of roles: parsing [] failed, expected Array, but encountered {}",
            kind_name(found)
        ))
    };
    let Value::Array(roles) = value else { return Err(wrong(value)) };
    roles.iter().map(|role| role.as_str().ok_or_else(|| wrong(role))).collect()
}

fn default_role(hasura: &[(String, Value)]) -> Result<&str, SessionError> {
    let value = claim(hasura, DEFAULT_ROLE)?;
    value.as_str().ok_or_else(|| {
        SessionError::claims(format!(
            "invalid {DEFAULT_ROLE}; should be a single role name: expected String, but encountered {}",
            kind_name(value)
        ))
    })
}

fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(_) => "Number",
        Value::String(_) => "String",
        Value::Array(_) => "Array",
        Value::Object(_) => "Object",
    }
}
