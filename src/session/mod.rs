//! Sessions: the role and the session variables of a caller. Pure: signatures are checked in `auth`, their claims are
//! judged here.

pub mod claim_rules;
pub mod claims;
pub mod credential;
pub mod header_checks;
pub mod hook;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// A role and the variables that come with it. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    role: String,
    /// By lower-case name, the role among them.
    variables: BTreeMap<String, String>,
}

/// The prefix of the headers that are session variables.
pub const SESSION_PREFIX: &str = "x-hasura-";

/// The variable that names the role.
pub const ROLE: &str = "x-hasura-role";

impl Session {
    fn new(role: String, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut variables: BTreeMap<String, String> =
            variables.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        variables.insert(ROLE.to_owned(), role.clone());
        Self { role, variables }
    }

    /// The session of a stored job. `None` if it has no role.
    #[must_use]
    pub fn stored(variables: serde_json::Map<String, serde_json::Value>) -> Option<Self> {
        let variables: BTreeMap<String, String> =
            variables.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect();
        let role = variables.get(ROLE)?.clone();
        Some(Self { role, variables })
    }

    /// The role it acts in.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// One variable, by its lower-case name.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// All variables, by lower-case name.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Serialize for Session {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.variables)
    }
}

/// Why a caller is rejected. `Display` is for the client, in Hasura's words where Hasura has this error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SessionError {
    /// Hasura's code.
    pub code: &'static str,
    /// Hasura's message.
    pub message: String,
    /// The status that Hasura gives it where it shows statuses.
    pub status: u16,
    /// The message of the standard dialect, where Hasura's words would mean nothing.
    pub plain: Option<&'static str>,
}

impl SessionError {
    /// The caller may not.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self { code: "access-denied", message: message.into(), status: 401, plain: None }
    }

    /// The headers are ambiguous.
    pub(crate) fn headers(message: impl Into<String>) -> Self {
        Self { code: "invalid-headers", message: message.into(), status: 400, plain: None }
    }

    /// The token is not good.
    #[must_use]
    pub fn jwt(reason: &str) -> Self {
        let message = format!("Could not verify JWT: {reason}");
        Self { code: "invalid-jwt", message, status: 400, plain: Some(plain_reason(reason)) }
    }

    /// The token's claims are invalid.
    pub(crate) fn claims(message: impl Into<String>) -> Self {
        Self { code: "jwt-invalid-claims", message: message.into(), status: 400, plain: None }
    }

    /// The same with another message in the standard dialect.
    pub(crate) fn plainly(self, message: &'static str) -> Self {
        Self { plain: Some(message), ..self }
    }
}

/// What is wrong with a token, by Hasura's name for it.
fn plain_reason(reason: &str) -> &'static str {
    match reason {
        "JWTExpired" => "the token has expired",
        "JWTNotYetValid" => "the token is not valid yet",
        "JWTIssuedAtFuture" => "the token was issued in the future",
        "JWTNotInIssuer" => "the token is from another issuer",
        "JWTNotInAudience" => "the token is for another audience",
        "JWTClaimsSetDecodeError" => "a time in the token is not a number",
        "JWSError JWSNoValidSignatures" => "no known key fits the token",
        "JWSError JWSInvalidSignature" => "the token's signature is not valid",
        _ => "the token is malformed",
    }
}
