//! Reads a handler's response: a value, the handler's own error, or a violation of the webhook protocol.

use bytes::Bytes;
use serde_json::Value;

use crate::action::error_list;
use crate::action::handler_error::{
    ErrorExtensions, HandlerError, HandlerResponseError, MESSAGE_BYTES_MAX, UNEXPECTED, cut,
};
use crate::model::json_value::{JsonKind, JsonNode, JsonValue};

/// A handler's value, and the errors that it gave beside it.
#[derive(Debug, Default, PartialEq)]
pub struct HandlerResponse {
    /// The value.
    pub value: JsonValue,
    /// Only in a GraphQL envelope.
    pub errors: Vec<HandlerError>,
}

/// How a handler's response is read.
#[derive(Clone, Copy, Debug)]
pub struct ReadRules {
    /// Is the body of 2xx `{"data": …, "errors": […]}`?
    pub is_envelope: bool,
    /// Errors of one list that are kept.
    pub max_errors: usize,
}

/// Reads a handler's response: 2xx is a value, 4xx with a message is the handler's rejection, the rest is a fault.
///
/// # Errors
/// [`HandlerResponseError`].
///
/// # Examples
/// ```
/// use pillion::action::handler_error::HandlerResponseError;
/// use pillion::action::handler_response::{ReadRules, read};
///
/// let rules = ReadRules { is_envelope: false, max_errors: 10 };
/// assert_eq!(read(rules, 200, "[1]".into()).unwrap().value.to_string(), "[1]");
/// let rejected = read(rules, 400, r#"{"message":"sold out"}"#.into()).unwrap_err();
/// assert!(matches!(rejected, HandlerResponseError::Rejected { message, .. } if message == "sold out"));
/// ```
pub fn read(rules: ReadRules, status: u16, body: Bytes) -> Result<HandlerResponse, HandlerResponseError> {
    match status {
        // No content is no value, which is null.
        204 => Ok(HandlerResponse::default()),
        200..=299 | 400..=499 => {
            let value = JsonValue::parse(body).map_err(|_| HandlerResponseError::NotJson { status })?;
            classify(rules, status, value)
        }
        _ => Err(HandlerResponseError::Status { status }),
    }
}

/// The same for a response whose body has been read already.
///
/// # Errors
/// [`HandlerResponseError`].
pub fn classify(rules: ReadRules, status: u16, value: JsonValue) -> Result<HandlerResponse, HandlerResponseError> {
    match status {
        200..=299 if rules.is_envelope => open_envelope(&value, rules.max_errors),
        200..=299 => Ok(HandlerResponse { value, errors: Vec::new() }),
        400..=499 => Err(read_rejection(status, value.node().to_tree(), rules.max_errors)),
        _ => Err(HandlerResponseError::Status { status }),
    }
}

/// [A response](https://spec.graphql.org/September2025/#sec-Response-Format) of a GraphQL server.
fn open_envelope(envelope: &JsonValue, max_errors: usize) -> Result<HandlerResponse, HandlerResponseError> {
    let node = envelope.node();
    if node.kind() != JsonKind::Object {
        return Err(HandlerResponseError::NoEnvelope);
    }
    let errors = match node.get("errors").map(|errors| (errors.kind(), errors)) {
        None | Some((JsonKind::Null, _)) => Vec::new(),
        Some((JsonKind::List, list)) if list.is_empty() => Vec::new(),
        Some((JsonKind::List, list)) => error_list::read(list.items().map(JsonNode::to_tree).collect(), max_errors)?,
        Some(_) => return Err(HandlerResponseError::MalformedErrors { reason: "errors is not a list".into() }),
    };
    match envelope.get("data") {
        Some(value) => Ok(HandlerResponse { value, errors }),
        None if errors.is_empty() => Err(HandlerResponseError::NoEnvelope),
        None => Err(HandlerResponseError::RejectedWithList(errors)),
    }
}

/// A message, or else a list of errors.
fn read_rejection(status: u16, value: Value, max_errors: usize) -> HandlerResponseError {
    let listed = |list: Vec<Value>| match error_list::read(list, max_errors) {
        Ok(errors) => HandlerResponseError::RejectedWithList(errors),
        Err(malformed) => malformed,
    };
    let mut object = match value {
        Value::Object(object) => object,
        Value::Array(list) if error_list::is_meant(&list) => return listed(list),
        _ => return HandlerResponseError::Status { status },
    };
    let message = match (object.remove("message"), object.remove("errors")) {
        (Some(Value::String(message)), _) => message,
        (_, Some(Value::Array(list))) if error_list::is_meant(&list) => return listed(list),
        _ => return HandlerResponseError::Status { status },
    };
    let extensions = match (object.remove("extensions"), object.remove("code")) {
        (Some(Value::Object(extensions)), _) => ErrorExtensions::Given(extensions),
        (_, Some(Value::String(code))) => ErrorExtensions::Code(code),
        _ => UNEXPECTED.into(),
    };
    HandlerResponseError::Rejected { message: cut(message, MESSAGE_BYTES_MAX), extensions }
}
