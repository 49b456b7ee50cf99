//! The variables of a request to a REST endpoint: from its path, its query string and its body, by the types of the
//! operation.

use apollo_compiler::Name;
use http::Method;
use serde_json::{Map, Value};

use crate::rest::endpoint::{EndpointVariable, RestEndpoint};

/// Where the values of a request's variables come from. Of several values for one variable, that of the path counts before
/// that of the body, and that of the body before that of the query string; of one source, the last one counts.
#[derive(Debug)]
pub struct VariableSources<'r> {
    /// The values of the template's variables, in order.
    pub path: Vec<String>,
    /// Names and values of the query string, decoded.
    pub query: Vec<(String, String)>,
    /// The members of the body; empty if it is no JSON object.
    pub body: Option<&'r Map<String, Value>>,
}

/// Why a request to an endpoint cannot be executed. `Display` is Hasura's message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// The operation has no such variable.
    #[error("Unexpected variable {0}")]
    Unexpected(String),
    /// Text for a list.
    #[error(
        "List variables are not currently supported in URL or Query parameters. (Variable {name}, with value {value:?})"
    )]
    List {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
    },
    /// An endpoint has this path, with other methods.
    #[error("Allowed methods: {}", methods(.0))]
    Method(Vec<Method>),
}

fn methods(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

impl RestError {
    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> u16 {
        if matches!(self, Self::Method(_)) { 405 } else { 400 }
    }

    /// Its code, Hasura's.
    #[must_use]
    pub fn code(&self) -> &'static str {
        if matches!(self, Self::Method(_)) { "method-not-allowed" } else { "bad-request" }
    }
}

/// The variables of a request.
///
/// # Errors
/// The first value that has no place.
pub fn variables(endpoint: &RestEndpoint, sources: &VariableSources<'_>) -> Result<Map<String, Value>, RestError> {
    let mut given: Map<String, Value> = Map::new();
    let text = |name: &str, value: &str| {
        let declared = declared(endpoint, name)?;
        read_text(declared, value)
    };
    for (name, value) in &sources.query {
        // A name that GraphQL cannot have is no variable.
        if Name::is_valid_syntax(name) {
            set(&mut given, name, text(name, value)?);
        }
    }
    for (name, value) in sources.body.into_iter().flatten().filter(|(name, _)| Name::is_valid_syntax(name)) {
        declared(endpoint, name)?;
        given.insert(name.clone(), value.clone());
    }
    for (name, value) in endpoint.path_variables().zip(&sources.path).filter(|(name, _)| Name::is_valid_syntax(name)) {
        set(&mut given, name, text(name, value)?);
    }
    Ok(given)
}

fn set(given: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => given.insert(name.to_owned(), value),
        None => given.remove(name),
    };
}

fn declared<'e>(endpoint: &'e RestEndpoint, name: &str) -> Result<&'e EndpointVariable, RestError> {
    let found = endpoint.variables.iter().find(|variable| variable.name == name);
    found.ok_or_else(|| RestError::Unexpected(name.to_owned()))
}

/// A value that came as text; `None` is no value.
fn read_text(variable: &EndpointVariable, text: &str) -> Result<Option<Value>, RestError> {
    if variable.is_list {
        return Err(RestError::List { name: variable.name.clone(), value: text.to_owned() });
    }
    let type_name = variable.type_name.as_str();
    if text.is_empty() && type_name == "Boolean" {
        return Ok(Some(Value::Bool(true)));
    }
    if text.is_empty() && variable.is_nullable {
        return Ok(None);
    }
    Ok(Some(match serde_json::from_str(text) {
        Ok(value @ Value::Bool(_)) if matches!(type_name, "Boolean" | "Bool") => value,
        Ok(value @ Value::Number(_)) if NUMBERS.contains(&type_name) => value,
        _ => Value::String(text.to_owned()),
    }))
}

/// Types whose values are numbers in text as well.
const NUMBERS: [&str; 6] = ["Int", "Float", "Number", "Double", "float8", "numeric"];
