//! Maps the claims of a verified JWT to a session by `auth.jwt`: the role, the allowed roles and each session variable have a
//! claim of their own, wherever the identity provider puts it.

use serde_json::{Map, Value};
use serde_json_path::JsonPath;

use crate::model::action::ADMIN_ROLE;
use crate::session::{Session, SessionError};

/// Which claims make the session.
#[derive(Debug, Default)]
pub struct ClaimRules {
    /// Where the token has its role.
    pub role: Option<ClaimPath>,
    /// Where the token has the roles that a caller may choose from with `x-hasura-role`.
    pub roles: Option<ClaimPath>,
    /// The role of tokens without a claim at `role`.
    pub default_role: Option<String>,
    /// Session variables by lower-case name.
    pub variables: Vec<(String, ClaimPath)>,
}

/// Where a claim is.
#[derive(Debug)]
pub enum ClaimPath {
    /// The claim of this name, whatever characters it has: names with dots and slashes are usual.
    Name(String),
    /// A path into the claims.
    Path(JsonPath),
}

impl ClaimPath {
    /// Reads the name of a claim, or a JSON path if the text begins with `$`.
    ///
    /// # Errors
    /// What is wrong with it.
    ///
    /// # Examples
    /// ```
    /// use pillion::session::claim_rules::ClaimPath;
    ///
    /// assert!(matches!(ClaimPath::parse("https://shop.example/role"), Ok(ClaimPath::Name(_))));
    /// assert!(matches!(ClaimPath::parse("$.realm_access.roles"), Ok(ClaimPath::Path(_))));
    /// assert!(ClaimPath::parse("$.").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it names no claim".to_owned());
        }
        if !text.starts_with('$') {
            return Ok(Self::Name(text.to_owned()));
        }
        JsonPath::parse(text).map(Self::Path).map_err(|error| format!("\"{text}\" is not a JSON path: {error}"))
    }

    /// The values at this path, of which a path with a wildcard can have several. Null is absent.
    fn values<'c>(&self, claims: &'c Value) -> Vec<&'c Value> {
        let found = match self {
            Self::Name(name) => claims.get(name).into_iter().collect(),
            Self::Path(path) => path.query(claims).all(),
        };
        found.into_iter().filter(|value| !value.is_null()).collect()
    }
}

/// Makes the session of a token whose signature and registered claims have been checked. No token makes an admin: only
/// the admin secret does, as realms often have a role "admin" of their own.
///
/// # Errors
/// [`SessionError`].
pub fn session(
    rules: &ClaimRules,
    claims: &Map<String, Value>,
    requested_role: Option<&str>,
) -> Result<Session, SessionError> {
    let claims = Value::Object(claims.clone());
    let own = own_role(rules, &claims)?;
    let listed = listed_roles(rules, &claims)?;
    let role = match (requested_role, own, listed.as_slice()) {
        (Some(requested), own, listed) if own == Some(requested) || listed.contains(&requested) => requested,
        (Some(requested), ..) => {
            return Err(not_allowed(format!("the token does not allow the role \"{requested}\"")));
        }
        (None, Some(own), _) => own,
        (None, None, [only]) => only,
        (None, None, []) => return Err(no_role("the token has no role")),
        (None, None, _) => {
            return Err(no_role("the token has several roles: choose one with the header x-hasura-role"));
        }
    };
    if role == ADMIN_ROLE {
        return Err(not_allowed(format!("a token cannot have the role \"{ADMIN_ROLE}\"")));
    }
    let mut variables = Vec::with_capacity(rules.variables.len());
    for (name, path) in &rules.variables {
        if let Some(value) = variable(name, &path.values(&claims))? {
            variables.push((name.clone(), value));
        }
    }
    Ok(Session::new(role.to_owned(), variables))
}

/// The role of a request that does not choose one.
fn own_role<'r>(rules: &'r ClaimRules, claims: &'r Value) -> Result<Option<&'r str>, SessionError> {
    match rules.role.as_ref().map(|path| path.values(claims)).as_deref() {
        None | Some([]) => Ok(rules.default_role.as_deref()),
        Some([Value::String(role)]) if !role.is_empty() => Ok(Some(role)),
        Some(_) => Err(SessionError::claims("the token's role must be a string that is not empty")),
    }
}

/// The roles of a list of strings; a string is a list of one.
fn listed_roles<'c>(rules: &ClaimRules, claims: &'c Value) -> Result<Vec<&'c str>, SessionError> {
    let mut roles = Vec::new();
    for value in rules.roles.as_ref().map(|path| path.values(claims)).unwrap_or_default() {
        let items = match value {
            Value::Array(items) => items.iter().collect(),
            one => vec![one],
        };
        for item in items {
            let role = item.as_str().filter(|role| !role.is_empty());
            roles.push(role.ok_or_else(|| SessionError::claims("the token's roles must be a list of strings"))?);
        }
    }
    Ok(roles)
}

/// Numbers and booleans keep their spelling. A list or an object is no value of a session variable, and is rejected.
fn variable(name: &str, values: &[&Value]) -> Result<Option<String>, SessionError> {
    match values {
        [] => Ok(None),
        [Value::String(text)] => Ok(Some(text.clone())),
        [Value::Number(number)] => Ok(Some(number.to_string())),
        [Value::Bool(truth)] => Ok(Some(truth.to_string())),
        _ => Err(SessionError::claims(format!("the token's claim for {name} must be a string, a number or a boolean"))),
    }
}

fn not_allowed(message: String) -> SessionError {
    SessionError { code: "access-denied", message, status: 400, plain: None }
}

fn no_role(message: &str) -> SessionError {
    SessionError { code: "jwt-missing-role-claims", message: message.to_owned(), status: 400, plain: None }
}
