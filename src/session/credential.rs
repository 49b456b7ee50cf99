//! The credential that a request's headers offer.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName};

use crate::model::action::ADMIN_ROLE;
use crate::model::secret::Secret;
use crate::session::claims::{ClaimsPlace, JwtRules, TokenPlace};
use crate::session::hook::HookRules;
use crate::session::{ROLE, SESSION_PREFIX, Session, SessionError};

/// How callers prove who they are.
#[derive(Debug, Default)]
pub struct AuthRules {
    /// Any of these makes an admin.
    pub admin_secrets: Vec<Secret>,
    /// Where tokens come from and what they must hold.
    pub jwt: Vec<JwtRules>,
    /// The auth hook, which replaces tokens.
    pub hook: Option<Arc<HookRules>>,
    /// The role of requests without a credential.
    pub unauthorized_role: Option<String>,
    /// Do the `x-hasura-*` headers of those count? They do in Hasura; any caller can then claim any identity.
    pub unauthorized_session_variables: bool,
}

impl AuthRules {
    /// Is everybody admin, because no authentication is configured? For development.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.admin_secrets.is_empty() && self.jwt.is_empty() && self.hook.is_none()
    }
}

/// Headers that carry an admin secret; the second is Hasura's old name for it.
const SECRET_HEADERS: [&str; 2] = ["x-hasura-admin-secret", "x-hasura-access-key"];

const NO_CREDENTIAL: &str = "a credential is required, and the request has none";

const NOT_BEARER: &str = "the header Authorization must be Bearer and a token";

/// What the headers offer.
#[derive(Debug, PartialEq)]
pub enum Credential {
    /// All that is needed is known.
    Session(Session),
    /// A token, to be checked by these of [`AuthRules::jwt`].
    Token {
        /// The token.
        token: String,
        /// Indexes of the rules whose place it was found in.
        rules: Vec<usize>,
        /// The role that the caller requests.
        requested_role: Option<String>,
    },
    /// The auth hook decides about any credential.
    AskHook,
}

/// Reads the caller's credential. A credential that is offered decides: a wrong one is an error, never a lesser role.
///
/// # Errors
/// [`SessionError`].
pub fn read(rules: &AuthRules, headers: &HeaderMap) -> Result<Credential, SessionError> {
    let requested_role = requested_role(headers)?;
    if rules.is_open() {
        return Ok(Credential::Session(admin_session(requested_role, headers)));
    }
    if let Some(secret) = offered_secret(headers)? {
        let is_right = rules.admin_secrets.iter().fold(false, |found, known| known.equals(secret.as_bytes()) | found);
        return if is_right {
            Ok(Credential::Session(admin_session(requested_role, headers)))
        } else {
            Err(SessionError::denied("invalid x-hasura-admin-secret/x-hasura-access-key")
                .plainly("the admin secret is wrong"))
        };
    }
    if rules.hook.is_some() {
        return Ok(Credential::AskHook);
    }
    if let Some((token, places)) = offered_token(&rules.jwt, headers)? {
        return Ok(Credential::Token { token, rules: places, requested_role });
    }
    without_credential(rules, headers)
}

fn without_credential(rules: &AuthRules, headers: &HeaderMap) -> Result<Credential, SessionError> {
    let Some(role) = &rules.unauthorized_role else {
        return Err(match rules.jwt.as_slice() {
            [] => SessionError::denied("x-hasura-admin-secret/x-hasura-access-key required, but not found")
                .plainly(NO_CREDENTIAL),
            [JwtRules { claims: ClaimsPlace::Rules(_), place, .. }] => {
                SessionError::headers(format!("a token is required: {}", place.described()))
            }
            _ => SessionError::headers("Missing 'Authorization' or 'Cookie' header in JWT authentication mode")
                .plainly("a token is required, and the request has none"),
        });
    };
    let variables = if rules.unauthorized_session_variables { session_headers(headers) } else { Vec::new() };
    Ok(Credential::Session(Session::new(role.clone(), variables)))
}

fn admin_session(requested_role: Option<String>, headers: &HeaderMap) -> Session {
    Session::new(requested_role.unwrap_or_else(|| ADMIN_ROLE.to_owned()), session_headers(headers))
}

/// The `x-hasura-*` headers without the secrets among them.
fn session_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with(SESSION_PREFIX) && !SECRET_HEADERS.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

/// The header's only value; empty counts as absent.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, SessionError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(SessionError::headers(format!("the header '{name}' may be given only once")));
    }
    let text = value
        .to_str()
        .map_err(|_| SessionError::headers(format!("the header '{name}' holds characters beyond ASCII")))?;
    Ok((!text.is_empty()).then_some(text))
}

fn requested_role(headers: &HeaderMap) -> Result<Option<String>, SessionError> {
    match single(headers, ROLE)? {
        Some(role) if role.chars().any(char::is_whitespace) => {
            Err(SessionError::headers(format!("the header '{ROLE}' must name one role")))
        }
        role => Ok(role.map(str::to_owned)),
    }
}

/// The admin secret that is offered. An empty one is offered as well, and wrong.
fn offered_secret(headers: &HeaderMap) -> Result<Option<&str>, SessionError> {
    for name in SECRET_HEADERS {
        if headers.contains_key(name) {
            return single(headers, name).map(|secret| Some(secret.unwrap_or_default()));
        }
    }
    Ok(None)
}

/// The one token on offer, and which rules look for it where it was found.
fn offered_token(rules: &[JwtRules], headers: &HeaderMap) -> Result<Option<(String, Vec<usize>)>, SessionError> {
    let mut found: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let Some(token) = token_at(&rule.place, headers)? else { continue };
        match found.iter_mut().find(|(known, _)| *known == token) {
            Some((_, indexes)) => indexes.push(index),
            None => found.push((token, vec![index])),
        }
    }
    if found.len() > 1 {
        return Err(SessionError::headers("Could not verify JWT: Multiple JWTs found"));
    }
    Ok(found.pop())
}

fn token_at(place: &TokenPlace, headers: &HeaderMap) -> Result<Option<String>, SessionError> {
    match place {
        TokenPlace::Authorization => {
            let Some(value) = single(headers, AUTHORIZATION.as_str())? else { return Ok(None) };
            let words: Vec<&str> = value.split_whitespace().collect();
            match words.as_slice() {
                ["Bearer", token] => Ok(Some((*token).to_owned())),
                // Another scheme is an error, not the absence of a credential.
                _ => Err(SessionError::headers("Malformed Authorization header").plainly(NOT_BEARER)),
            }
        }
        TokenPlace::Cookie(name) => cookie(headers, name),
        TokenPlace::Header(name) => {
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| SessionError::headers("Malformed Authorization header"))?;
            Ok(single(headers, name.as_str())?.map(str::to_owned))
        }
    }
}

/// The cookie of this name. One that is offered and holds no token is a bad credential, not the absence of one.
fn cookie(headers: &HeaderMap, name: &str) -> Result<Option<String>, SessionError> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let named = pairs.map(<[u8]>::trim_ascii).find_map(|pair| match pair.strip_prefix(name.as_bytes())? {
        b"" => Some(&b""[..]),
        value => value.strip_prefix(b"="),
    });
    let Some(value) = named else { return Ok(None) };
    match std::str::from_utf8(value) {
        Ok(token) if !token.is_empty() && token.is_ascii() => Ok(Some(token.to_owned())),
        _ => Err(SessionError::headers(format!("the cookie '{name}' holds no token"))),
    }
}
