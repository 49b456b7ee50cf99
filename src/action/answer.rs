//! What a handler answered: a value, its own error, or none of what was agreed.

use serde_json::{Map, Value, json};

use super::transform::TransformError;
use crate::model::guard::Refused;
use crate::model::json::parse_strict;

/// Why a handler gave no usable value. `Display` may be shown to any client.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum AnswerError {
    /// The call of an asynchronous action is not stored; nothing was done.
    #[error("the action could not be stored and will not run; try again later")]
    NotStored,
    /// A stored call cannot be looked up now.
    #[error("the result of the action cannot be looked up; try again later")]
    NotLookedUp,
    /// No id of a stored call.
    #[error("invalid input syntax for type uuid: \"{0}\"")]
    NotAnId(String),
    /// No answer came: refused, reset, timed out, too large, or the call could not be made.
    #[error("http exception when calling webhook")]
    NoAnswer(#[from] CallFault),
    /// A status that promises JSON, and none came. Not sent again: the handler has already acted.
    #[error("not a valid json response from webhook")]
    NotJson {
        /// The status.
        status: u16,
    },
    /// The action's request transform failed; the call was not made.
    #[error("Request Transformation Failed")]
    RequestTransform(TransformError),
    /// The action's response transform failed on the handler's answer.
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
    Refused(Refused),
    /// The handler says no, in its own words.
    #[error("{message}")]
    Rejected {
        /// The handler's message.
        message: String,
        /// The handler's extensions, or the code it gave, or `unexpected`.
        extensions: Map<String, Value>,
    },
}

impl From<Refused> for AnswerError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl AnswerError {
    /// What happened, for those who run the program: more than a client is told, but no value.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::NoAnswer(fault) => fault.to_string(),
            Self::RequestTransform(error) | Self::ResponseTransform(error) => error.to_string(),
            other => other.to_string(),
        }
    }
}

/// Why no answer came.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CallFault {
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
    #[error("the handler's answer is larger than {max} bytes")]
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
}

/// Bytes of a handler's error message that a client gets to see; the rest is cut off.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// The code of errors that carry none.
pub const UNEXPECTED: &str = "unexpected";

/// Reads a handler's answer: 2xx is a value, 4xx with a message is the handler's refusal, the rest is a fault.
///
/// # Errors
/// [`AnswerError`].
pub fn read(status: u16, body: &[u8]) -> Result<Value, AnswerError> {
    match status {
        // No content is no value, which is what null says.
        204 => Ok(Value::Null),
        200..=299 | 400..=499 => {
            let value = parse_strict(body).map_err(|_| AnswerError::NotJson { status })?;
            judge(status, value)
        }
        _ => Err(AnswerError::Status { status }),
    }
}

/// The same for an answer whose body has been read already.
///
/// # Errors
/// [`AnswerError`].
pub fn judge(status: u16, value: Value) -> Result<Value, AnswerError> {
    match status {
        200..=299 => Ok(value),
        400..=499 => Err(read_refusal(status, value)),
        _ => Err(AnswerError::Status { status }),
    }
}

fn read_refusal(status: u16, value: Value) -> AnswerError {
    let Value::Object(mut object) = value else { return AnswerError::Status { status } };
    let Some(Value::String(message)) = object.remove("message") else { return AnswerError::Status { status } };
    let extensions = match (object.remove("extensions"), object.remove("code")) {
        (Some(Value::Object(extensions)), _) => extensions,
        (_, Some(Value::String(code))) => default_extensions(&code),
        _ => default_extensions(UNEXPECTED),
    };
    AnswerError::Rejected { message: cut(message, MESSAGE_BYTES_MAX), extensions }
}

/// `{"path":"$","code":…}`.
#[must_use]
pub fn default_extensions(code: &str) -> Map<String, Value> {
    match json!({ "path": "$", "code": code }) {
        Value::Object(extensions) => extensions,
        _ => Map::new(),
    }
}

fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
    text
}
