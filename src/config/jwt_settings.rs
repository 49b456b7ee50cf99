//! The settings of JWT authentication: `auth.jwt`, which needs neither Hasura's JSON nor an admin secret.

use serde_json::Value;

use crate::config::settings_table::{JWT_ALGORITHMS, SETTINGS, Setting};
use crate::config::values::Values;
use crate::model::action::ADMIN_ROLE;
use crate::model::json::parse_strict;
use crate::model::secret::Secret;
use crate::model::source::Diagnostic;
use crate::session::claim_rules::{ClaimPath, ClaimRules};
use crate::session::claims::{Algorithm, ClaimsPlace, JwtKey, JwtRules, TokenPlace};
use crate::session::{ROLE, SESSION_PREFIX};

/// Session variables that are not of a claim's making.
const RESERVED: [&str; 3] = [ROLE, "x-hasura-admin-secret", "x-hasura-access-key"];

const VARIABLES_HELP: &str = "write {x-hasura-user-id: sub}: a name that begins with x-hasura-, and its claim";

const PATH_HELP: &str = "write the name of a claim, such as role, or a JSON path, such as $.realm_access.roles";

/// Is anything of `auth.jwt` set?
#[must_use]
pub fn is_given(values: &Values) -> bool {
    given(values).next().is_some()
}

fn given(values: &Values) -> impl Iterator<Item = &'static str> {
    // A default that is written out, as in the example file, sets nothing.
    let is_default =
        |setting: &Setting| setting.default.is_some() && values.text(setting.key).as_deref() == setting.default;
    SETTINGS
        .iter()
        .filter(move |setting| {
            setting.key.starts_with("auth.jwt.") && values.is_given(setting.key) && !is_default(setting)
        })
        .map(|setting| setting.key)
}

/// Reads `auth.jwt`. `None` if nothing of it is set, or something is wrong.
pub fn read(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Option<JwtRules> {
    let first = given(values).next()?;
    if values.text("auth.jwt_secret").is_some() || values.text("auth.jwt_secrets").is_some() {
        let message = "auth.jwt and HASURA_GRAPHQL_JWT_SECRET (auth.jwt_secret) both say how tokens are checked";
        values.reject(first, message, "remove one of the two", diagnostics);
    }
    let (key, place) = (key_of(values, first, diagnostics), place_of(values, diagnostics));
    let claims = claim_rules(values, first, diagnostics);
    let audience = values.texts("auth.jwt.audience");
    let issuer = values.text("auth.jwt.issuer");
    if matches!(key, Some(JwtKey::Url(_))) && audience.is_empty() && issuer.is_none() {
        let message = "tokens that the provider has issued for other applications are accepted as well";
        values.warn("auth.jwt.jwk_url", message, "set auth.jwt.issuer and auth.jwt.audience", diagnostics);
    }
    let skew = values.duration("auth.jwt.allowed_skew", diagnostics);
    Some(JwtRules {
        key: key?,
        place: place?,
        claims: ClaimsPlace::Rules(claims),
        stringified: false,
        audience: (!audience.is_empty()).then_some(audience),
        issuer,
        allowed_skew: skew.as_secs(),
    })
}

fn key_of(values: &Values, first: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<JwtKey> {
    // A text that is none of them is an error where all choices are read.
    let name = values.choice("auth.jwt.algorithm", JWT_ALGORITHMS, &mut Vec::new());
    let (key, url) = (values.text("auth.jwt.key"), values.text("auth.jwt.jwk_url"));
    match (key, url) {
        (None, None) => {
            let message = "auth.jwt has no key to check tokens with";
            values.reject(first, message, "set auth.jwt.jwk_url, or auth.jwt.algorithm and auth.jwt.key", diagnostics);
            None
        }
        (Some(_), Some(_)) => {
            values.reject("auth.jwt.jwk_url", "there is auth.jwt.key as well", "remove one of the two", diagnostics);
            None
        }
        (None, Some(url)) => {
            if values.is_given("auth.jwt.algorithm") {
                let message = "each key of a key set has an algorithm of its own";
                values.reject("auth.jwt.algorithm", message, "remove it", diagnostics);
            }
            if !is_url(&url) {
                // The text itself is not repeated: it may hold a password.
                let message = "this is not an http or https address";
                values.reject("auth.jwt.jwk_url", message, "write https://host/path", diagnostics);
            }
            Some(JwtKey::Url(url))
        }
        (Some(key), None) => {
            let Some(algorithm) = name.and_then(Algorithm::by_name) else {
                if !values.is_given("auth.jwt.algorithm") {
                    let help = format!("set auth.jwt.algorithm to one of {}", JWT_ALGORITHMS.join(", "));
                    values.reject("auth.jwt.key", "the algorithm of the key is missing", &help, diagnostics);
                }
                return None;
            };
            if let Some(min) = algorithm.secret_bytes_min().filter(|min| key.len() < *min) {
                let message = format!("the key is too short for its algorithm, which needs {min} characters");
                values.reject("auth.jwt.key", &message, "use a longer one", diagnostics);
            }
            Some(JwtKey::Given { algorithm, key: Secret::new(key) })
        }
    }
}

fn is_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn place_of(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Option<TokenPlace> {
    let header = values.text("auth.jwt.header");
    match (header, values.text("auth.jwt.cookie")) {
        (Some(_), Some(_)) => {
            let message = "the token cannot be in auth.jwt.header as well";
            values.reject("auth.jwt.cookie", message, "remove one of the two", diagnostics);
            None
        }
        (None, None) => Some(TokenPlace::Authorization),
        (None, Some(cookie)) => {
            if http::HeaderName::try_from(&cookie).is_err() {
                let message = "this cannot be the name of a cookie";
                values.reject("auth.jwt.cookie", message, "use letters, digits and dashes", diagnostics);
            }
            Some(TokenPlace::Cookie(cookie))
        }
        (Some(_), None) => {
            let name = values.header_names("auth.jwt.header", "use letters, digits and dashes", diagnostics).pop()?;
            Some(match name {
                http::header::AUTHORIZATION => TokenPlace::Authorization,
                name => TokenPlace::Header(name.as_str().to_owned()),
            })
        }
    }
}

fn claim_rules(values: &Values, first: &str, diagnostics: &mut Vec<Diagnostic>) -> ClaimRules {
    let default_role = values.text("auth.jwt.default_role").filter(|role| !role.is_empty());
    if default_role.as_deref() == Some(ADMIN_ROLE) {
        let message = "a token cannot make its owner an admin";
        values.reject("auth.jwt.default_role", message, "name another role; admins send the admin secret", diagnostics);
    }
    let has_role = default_role.is_some()
        || ["auth.jwt.role_claim", "auth.jwt.roles_claim"].iter().any(|key| values.text(key).is_some());
    if !has_role {
        let message = "auth.jwt gives no token a role";
        let help = "set auth.jwt.role_claim, auth.jwt.roles_claim or auth.jwt.default_role";
        values.reject(first, message, help, diagnostics);
    }
    ClaimRules {
        role: path_of(values, "auth.jwt.role_claim", diagnostics),
        roles: path_of(values, "auth.jwt.roles_claim", diagnostics),
        default_role,
        variables: variables_of(values, diagnostics),
    }
}

fn path_of(values: &Values, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<ClaimPath> {
    match ClaimPath::parse(&values.text(key)?) {
        Ok(path) => Some(path),
        Err(reason) => {
            values.reject(key, &reason, PATH_HELP, diagnostics);
            None
        }
    }
}

fn variables_of(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Vec<(String, ClaimPath)> {
    let key = "auth.jwt.variables";
    let Some(text) = values.text(key) else { return Vec::new() };
    let Ok(Value::Object(entries)) = parse_strict(text.as_bytes()) else {
        values.reject(key, "this is not a JSON object", "write {\"x-hasura-user-id\": \"sub\"}", diagnostics);
        return Vec::new();
    };
    let mut variables: Vec<(String, ClaimPath)> = Vec::new();
    for (name, path) in entries {
        match variable_of(&name, &path, &variables) {
            Ok(variable) => variables.push(variable),
            Err(reason) => values.reject(key, &reason, VARIABLES_HELP, diagnostics),
        }
    }
    variables
}

fn variable_of(name: &str, path: &Value, known: &[(String, ClaimPath)]) -> Result<(String, ClaimPath), String> {
    let lower = name.to_ascii_lowercase();
    if !lower.starts_with(SESSION_PREFIX) || RESERVED.contains(&lower.as_str()) {
        return Err(format!("\"{name}\" cannot be a session variable of a claim"));
    }
    if known.iter().any(|(known, _)| *known == lower) {
        return Err(format!("\"{name}\" is there twice"));
    }
    let Value::String(text) = path else { return Err(format!("the claim of \"{name}\" must be a string")) };
    ClaimPath::parse(text).map(|path| (lower, path)).map_err(|reason| format!("the claim of \"{name}\": {reason}"))
}
