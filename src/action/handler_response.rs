//! What a handler answered: a value, its own error, or none of what was agreed.

use serde_json::{Map, Value, json};

use crate::action::error_list::{self, HandlerError};
use crate::action::transform::TransformError;
use crate::model::json::parse_strict;
use crate::model::traffic::TrafficRejection;

/// Why a handler gave no usable value. `Display` may be shown to any client.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum HandlerResponseError {
    /// The call of an asynchronous action is not stored; nothing was done.
    #[error("the action could not be stored and will not run; try again later")]
    NotStored,
    /// A job cannot be looked up now.
    #[error("the result of the action cannot be looked up; try again later")]
    NotLookedUp,
    /// No id of a job.
    #[error("invalid input syntax for type uuid: \"{0}\"")]
    NotAnId(String),
    /// No answer came: refused, reset, timed out, too large, or the call could not be made.
    #[error("http exception when calling webhook")]
    NoAnswer(#[from] TransportError),
    /// A status that promises JSON, and none came. Not sent again: the handler has already acted.
    #[error("not a valid json response from webhook")]
    NotJson {
        /// The status.
        status: u16,
    },
    /// The action's request transform failed; the call was not made.
    #[error("Request Transformation Failed")]
    RequestTransform(TransformError),
    /// The action's response transform failed on the handler's response.
    #[error("Response Transformation Failed")]
    ResponseTransform(TransformError),
    /// A status that handlers do not answer with: 3xx, 5xx, or 4xx without an error object.
    #[error("internal error")]
    Status {
        /// The status.
        status: u16,
    },
    /// A guard of the action did not let the call be made.
    #[error("{}; try again in {} s", .0.message, .0.retry_seconds())]
    NotSent(TrafficRejection),
    /// The handler says no, in its own words.
    #[error("{message}")]
    Rejected {
        /// The handler's message.
        message: String,
        /// The handler's extensions, or the code it gave, or `unexpected`.
        extensions: Map<String, Value>,
    },
    /// The handler says no, with a list of errors that is never empty.
    #[error("{}", .0.first().map_or(UNEXPECTED, |error| error.message.as_str()))]
    RejectedWithList(Vec<HandlerError>),
    /// The handler's list of errors cannot be read. The reason holds no value.
    #[error("not a valid list of errors from webhook: {reason}")]
    MalformedErrors {
        /// What is wrong with it.
        reason: String,
    },
    /// A 2xx response of an action with `envelope: graphql` that is no GraphQL response.
    #[error("not a valid GraphQL response from webhook: it has neither data nor errors")]
    NoEnvelope,
}

/// A handler's value, and the errors that it gave beside it.
#[derive(Debug, Default, PartialEq)]
pub struct HandlerResponse {
    /// The value.
    pub value: Value,
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

impl From<TrafficRejection> for HandlerResponseError {
    fn from(rejected: TrafficRejection) -> Self {
        Self::NotSent(rejected)
    }
}

impl HandlerResponseError {
    /// What happened, for those who run the program: more than a client is told, but no value.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::NoAnswer(fault) => fault.to_string(),
            Self::RequestTransform(error) | Self::ResponseTransform(error) => error.to_string(),
            other => other.to_string(),
        }
    }

    /// Is it the handler's own word? There is nothing to explain about it.
    #[must_use]
    pub fn is_handlers_own(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::RejectedWithList(_))
    }

    /// May the handler have done what it was asked for all the same? Somebody who repeats a mutation may then do it
    /// twice.
    #[must_use]
    pub fn may_have_been_executed(&self) -> bool {
        match self {
            Self::NoAnswer(fault) => {
                matches!(fault, TransportError::Timeout | TransportError::Broken | TransportError::TooLarge { .. })
            }
            Self::NotJson { .. } | Self::ResponseTransform(_) | Self::NoEnvelope => true,
            Self::Status { status } => *status >= 500,
            Self::NotStored
            | Self::NotLookedUp
            | Self::NotAnId(_)
            | Self::RequestTransform(_)
            | Self::NotSent(_)
            | Self::Rejected { .. }
            | Self::RejectedWithList(_)
            | Self::MalformedErrors { .. } => false,
        }
    }
}

/// Why no response came.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TransportError {
    /// No connection, or TLS failed.
    #[error("the handler cannot be reached")]
    Connect,
    /// Nothing within the action's timeout.
    #[error("Response timeout")]
    Timeout,
    /// The connection ended, or what came was not HTTP.
    #[error("the connection to the handler broke")]
    Broken,
    /// More than we hold.
    #[error("the handler's response is larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// A header of the call cannot be sent.
    #[error("{0}")]
    Header(String),
    /// Too much is going on.
    #[error("too many webhook calls at one time")]
    Busy,
    /// The memory budget has no room for what the handler answers.
    #[error("there is no memory for the handler's response now")]
    NoRoom,
}

/// Bytes of a handler's error message that a client gets to see; the rest is cut off.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// The code of errors that carry none.
pub const UNEXPECTED: &str = "unexpected";

/// Reads a handler's response: 2xx is a value, 4xx with a message is the handler's rejection, the rest is a fault.
///
/// # Errors
/// [`HandlerResponseError`].
pub fn read(rules: ReadRules, status: u16, body: &[u8]) -> Result<HandlerResponse, HandlerResponseError> {
    match status {
        // No content is no value, which is what null says.
        204 => Ok(HandlerResponse::default()),
        200..=299 | 400..=499 => {
            let value = parse_strict(body).map_err(|_| HandlerResponseError::NotJson { status })?;
            judge(rules, status, value)
        }
        _ => Err(HandlerResponseError::Status { status }),
    }
}

/// The same for a response whose body has been read already.
///
/// # Errors
/// [`HandlerResponseError`].
pub fn judge(rules: ReadRules, status: u16, value: Value) -> Result<HandlerResponse, HandlerResponseError> {
    match status {
        200..=299 if rules.is_envelope => open_envelope(value, rules.max_errors),
        200..=299 => Ok(HandlerResponse { value, errors: Vec::new() }),
        400..=499 => Err(read_rejection(status, value, rules.max_errors)),
        _ => Err(HandlerResponseError::Status { status }),
    }
}

/// [A response](https://spec.graphql.org/September2025/#sec-Response-Format) of a GraphQL server.
fn open_envelope(value: Value, max_errors: usize) -> Result<HandlerResponse, HandlerResponseError> {
    let Value::Object(mut envelope) = value else { return Err(HandlerResponseError::NoEnvelope) };
    let errors = match envelope.remove("errors") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) if list.is_empty() => Vec::new(),
        Some(Value::Array(list)) => error_list::read(list, max_errors)?,
        Some(_) => return Err(HandlerResponseError::MalformedErrors { reason: "errors is not a list".into() }),
    };
    match envelope.remove("data") {
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
        (Some(Value::Object(extensions)), _) => extensions,
        (_, Some(Value::String(code))) => default_extensions(&code),
        _ => default_extensions(UNEXPECTED),
    };
    HandlerResponseError::Rejected { message: cut(message, MESSAGE_BYTES_MAX), extensions }
}

/// `{"path":"$","code":…}`.
#[must_use]
pub fn default_extensions(code: &str) -> Map<String, Value> {
    match json!({ "path": "$", "code": code }) {
        Value::Object(extensions) => extensions,
        _ => Map::new(),
    }
}

pub(crate) fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
    text
}
