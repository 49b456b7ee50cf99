//! Why a handler call has no usable result: no response, a response of the wrong shape, or the handler's own errors.

use serde_json::{Map, Value};

use crate::action::batch_error::BatchError;
use crate::action::before::BeforeError;
use crate::action::transform::TransformError;
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::response::{Dialect, PathSegment, default_extensions};
use crate::model::traffic::{TrafficPolicy, TrafficRejection};

/// Why a handler gave no usable value. `Display` and [`HandlerResponseError::message`] may be shown to any client.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
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
    /// No response: connection refused or reset, timeout, too large, or the call could not be sent.
    #[error("http exception when calling webhook")]
    NoResponse(#[from] TransportError),
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
    /// An unexpected status: 3xx, 5xx, or 4xx without an error object.
    #[error("internal error")]
    Status {
        /// The status.
        status: u16,
    },
    /// A traffic policy of the action rejected the call.
    #[error("{}; try again in {} s", .0.message, .0.retry_seconds())]
    NotSent(TrafficRejection),
    /// The handler rejected the call, with an error object.
    #[error("{message}")]
    Rejected {
        /// The handler's message.
        message: String,
        /// The handler's extensions, or the code it gave, or `unexpected`.
        extensions: ErrorExtensions,
    },
    /// The handler rejected the call, with a list of errors that is never empty.
    #[error("{}", .0.first().map_or(UNEXPECTED, |error| error.message.as_str()))]
    RejectedWithList(Vec<HandlerError>),
    /// The handler's list of errors cannot be read. The reason holds no value.
    #[error("not a valid list of errors from webhook: {reason}")]
    MalformedErrors {
        /// What is wrong with it.
        reason: String,
    },
    /// The key of a row does not fit an argument of the action; the call was not made.
    #[error("a key of the row does not fit the argument \"{argument}\" of the type {ty}")]
    UnfitKey {
        /// The argument.
        argument: String,
        /// Its type.
        ty: String,
    },
    /// The response to a batch of calls does not fit them.
    #[error("not a valid response to a batch from webhook: {0}")]
    MismatchedBatch(BatchError),
    /// A 2xx response of an action with `envelope: graphql` that is no GraphQL response.
    #[error("not a valid GraphQL response from webhook: it has neither data nor errors")]
    NoEnvelope,
    /// The upstream was asked before the call, and the call was not made.
    #[error("{0}")]
    Before(#[from] BeforeError),
}

/// One error of a handler's list.
#[derive(Clone, Debug, PartialEq)]
pub struct HandlerError {
    /// The handler's message.
    pub message: String,
    /// Where, starting below the action's own field.
    pub path: Vec<PathSegment>,
    /// The handler's extensions, or the code that it gave, or `unexpected`.
    pub extensions: ErrorExtensions,
}

/// The `extensions` of an error.
#[derive(Clone, Debug, PartialEq)]
pub enum ErrorExtensions {
    /// These, and nothing else: all that the handler gave, or ours.
    Given(Map<String, Value>),
    /// A code, with what the dialect has beside it.
    Code(String),
}

impl ErrorExtensions {
    /// As the client sees them.
    #[must_use]
    pub fn shown(&self, dialect: Dialect) -> Map<String, Value> {
        match self {
            Self::Given(extensions) => extensions.clone(),
            Self::Code(code) => default_extensions(dialect, code),
        }
    }

    /// The code; `unexpected` if there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Given(extensions) => extensions.get("code").and_then(Value::as_str).unwrap_or(UNEXPECTED),
            Self::Code(code) => code,
        }
    }
}

impl From<&str> for ErrorExtensions {
    fn from(code: &str) -> Self {
        Self::Code(code.to_owned())
    }
}

impl From<TrafficRejection> for HandlerResponseError {
    fn from(rejected: TrafficRejection) -> Self {
        Self::NotSent(rejected)
    }
}

impl HandlerResponseError {
    /// What a client reads in this dialect: Hasura's words, or plain ones.
    #[must_use]
    pub fn message(&self, dialect: Dialect) -> String {
        if dialect == Dialect::Standard { self.plainly() } else { self.to_string() }
    }

    fn plainly(&self) -> String {
        match self {
            Self::NoResponse(fault) => fault.plainly().to_owned(),
            Self::NotJson { .. } => "the handler's response is not JSON".to_owned(),
            Self::RequestTransform(_) => "the transform of the request to the handler failed".to_owned(),
            Self::ResponseTransform(_) => "the transform of the handler's response failed".to_owned(),
            Self::Status { .. } => "the handler failed".to_owned(),
            Self::MalformedErrors { reason } => format!("the handler's list of errors is not valid: {reason}"),
            Self::MismatchedBatch(error) => format!("the handler's response does not fit the batch: {error}"),
            Self::NoEnvelope => {
                "the handler's response is not a GraphQL response: it has neither data nor errors".to_owned()
            }
            other => other.to_string(),
        }
    }

    /// What happened, for operators: more than a client reads, but no values.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::NoResponse(fault) => fault.to_string(),
            Self::RequestTransform(error) | Self::ResponseTransform(error) => error.to_string(),
            other => other.to_string(),
        }
    }

    /// The cause, for metrics and logs.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoResponse(fault) => fault.kind(),
            Self::NotJson { .. } => ErrorKind::NotJson,
            Self::RequestTransform(_) | Self::ResponseTransform(_) => ErrorKind::TransformFailed,
            Self::Status { .. } => ErrorKind::HttpStatus,
            Self::NotSent(rejection) => match rejection.policy {
                TrafficPolicy::Concurrency => ErrorKind::Concurrency,
                TrafficPolicy::Breaker => ErrorKind::CircuitOpen,
                TrafficPolicy::RateLimit => ErrorKind::RateLimit,
            },
            Self::Rejected { .. } | Self::RejectedWithList(_) => ErrorKind::Rejected,
            Self::MalformedErrors { .. } | Self::MismatchedBatch(_) | Self::NoEnvelope => ErrorKind::WrongShape,
            Self::NotStored | Self::NotLookedUp => ErrorKind::JobStore,
            Self::Before(error) => error.kind(),
            Self::NotAnId(_) | Self::UnfitKey { .. } => ErrorKind::InvalidRequest,
        }
    }

    /// What happened, for logs and admins: with status and the words of the system, but without any value of a request
    /// or response. The handler's own message is one.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::NoResponse(fault) => fault.detail(),
            Self::NotJson { status } => format!("status {status}, and the body is not JSON"),
            Self::RequestTransform(error) => format!("request transform: {error}"),
            Self::ResponseTransform(error) => format!("response transform: {error}"),
            Self::Status { status } => format!("status {status}"),
            Self::Before(error) => error.detail(),
            Self::Rejected { .. } | Self::RejectedWithList(_) => "the handler rejected the call".into(),
            Self::NotAnId(_) => "the id of a job is no UUID".into(),
            Self::NotStored
            | Self::NotLookedUp
            | Self::NotSent(_)
            | Self::MalformedErrors { .. }
            | Self::UnfitKey { .. }
            | Self::MismatchedBatch(_)
            | Self::NoEnvelope => self.to_string(),
        }
    }

    /// The status of the response that cannot be used, if there is one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::NotJson { status } | Self::Status { status } => Some(*status),
            _ => None,
        }
    }

    /// Is it the handler's own error, or that of a call which its caller may not make? Then there is nothing to explain
    /// about it.
    #[must_use]
    pub fn is_handlers_own(&self) -> bool {
        match self {
            Self::Rejected { .. } | Self::RejectedWithList(_) => true,
            Self::Before(error) => error.is_denied(),
            _ => false,
        }
    }

    /// May the handler have carried out the call all the same? A client that repeats a mutation may then run it twice.
    #[must_use]
    pub fn may_have_been_executed(&self) -> bool {
        match self {
            Self::NoResponse(fault) => {
                matches!(fault, TransportError::Timeout | TransportError::Broken(_) | TransportError::TooLarge { .. })
            }
            Self::NotJson { .. } | Self::ResponseTransform(_) | Self::MismatchedBatch(_) | Self::NoEnvelope => true,
            Self::Status { status } => *status >= 500,
            Self::NotStored
            | Self::NotLookedUp
            | Self::NotAnId(_)
            | Self::UnfitKey { .. }
            | Self::RequestTransform(_)
            | Self::NotSent(_)
            | Self::Before(_)
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
    Connect(Reason),
    /// Nothing within the action's timeout.
    #[error("Response timeout")]
    Timeout,
    /// The connection ended, or what came was not HTTP.
    #[error("the connection to the handler broke")]
    Broken(Reason),
    /// More than we hold.
    #[error("the handler's response is larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// A header of the call cannot be sent.
    #[error("{0}")]
    Header(String),
    /// Overloaded.
    #[error("too many webhook calls at one time")]
    Busy,
    /// The memory budget has no room for the handler's response.
    #[error("there is no memory for the handler's response now")]
    NoRoom,
}

impl TransportError {
    /// The cause, for metrics and logs.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect(reason) | Self::Broken(reason) => reason.kind(),
            Self::Timeout => ErrorKind::Timeout,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Header(_) => ErrorKind::InvalidRequest,
            Self::Busy => ErrorKind::Overloaded,
            Self::NoRoom => ErrorKind::Memory,
        }
    }

    /// What a client reads of it in the standard dialect.
    fn plainly(&self) -> &'static str {
        match self {
            Self::Connect(_) => "the handler cannot be reached",
            Self::Timeout => "the handler has not responded in time",
            Self::Broken(_) => "the connection to the handler broke",
            Self::TooLarge { .. } => "the handler's response is too large",
            Self::Header(_) => "the handler could not be called",
            Self::Busy | Self::NoRoom => "the handler cannot be called now; try again later",
        }
    }

    /// What happened, with the words of the system.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Connect(reason) | Self::Broken(reason) => reason.text().to_owned(),
            Self::Timeout => "no whole response within the timeout".into(),
            other => other.to_string(),
        }
    }
}

/// Bytes of a handler's error message that a client gets to see; the rest is cut off.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// The code of errors that carry none.
pub const UNEXPECTED: &str = "unexpected";

pub(crate) fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
    text
}
