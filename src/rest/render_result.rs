//! The response of a REST endpoint, made of the GraphQL response of its operation: the members of `data` alone, or the first
//! error in Hasura's form.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// A status and a JSON body.
#[derive(Debug, PartialEq, Eq)]
pub struct RestResult {
    /// The HTTP status.
    pub status: u16,
    /// JSON.
    pub body: String,
}

/// The members of a GraphQL response that count.
#[derive(serde::Deserialize)]
struct GraphqlResponse<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    errors: Vec<Map<String, Value>>,
}

/// Renders a GraphQL response of this status. An error of an operation that was executed has no status of its own: it is 500
/// for what is no fault of the client, and 400 otherwise.
///
/// # Examples
/// ```
/// use pillion::rest::render_result::render;
///
/// assert_eq!(render(200, br#"{"data":{"a":1}}"#).body, r#"{"a":1}"#);
/// let failed = render(200, br#"{"errors":[{"message":"sold out","extensions":{"path":"$","code":"stock"}}]}"#);
/// assert_eq!((failed.status, failed.body.as_str()), (400, r#"{"path":"$","error":"sold out","code":"stock"}"#));
/// ```
#[must_use]
pub fn render(status: u16, graphql: &[u8]) -> RestResult {
    let Ok(response) = serde_json::from_slice::<GraphqlResponse<'_>>(graphql) else {
        return RestResult { status: 500, body: error_body("$", "internal error", UNEXPECTED, None) };
    };
    let Some(error) = response.errors.first() else {
        return RestResult { status, body: response.data.map_or("null", RawValue::get).to_owned() };
    };
    let extension = |name: &str| error.get("extensions").and_then(|extensions| extensions.get(name));
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let code = text(extension("code")).unwrap_or_else(|| UNEXPECTED.into());
    let status = match status {
        400.. => status,
        _ if NOT_THE_CLIENTS.contains(&code.as_str()) => 500,
        _ => 400,
    };
    let message = text(error.get("message")).unwrap_or_default();
    let path = text(extension("path")).unwrap_or_else(|| "$".into());
    RestResult { status, body: error_body(&path, &message, &code, extension("internal")) }
}

const UNEXPECTED: &str = "unexpected";

/// Codes of errors that no other request could have avoided.
const NOT_THE_CLIENTS: [&str; 3] = [UNEXPECTED, "upstream-error", "upstream-timeout"];

/// An error in Hasura's form for everything that is not GraphQL.
#[must_use]
pub fn error_body(path: &str, message: &str, code: &str, internal: Option<&Value>) -> String {
    let mut error = json!({ "path": path, "error": message, "code": code });
    if let (Some(internal), Value::Object(members)) = (internal, &mut error) {
        members.insert("internal".into(), internal.clone());
    }
    error.to_string()
}
