//! The result of a handler call: a value, errors, headers for the client.

use serde_json::Value;

use crate::action::complete_value::CompletionError;
use crate::action::handler_error::{HandlerError, HandlerResponseError, TransportError};
use crate::model::error_kind::{ErrorKind, Reason};
use crate::request::response::ClientHeaders;

/// The result of a handler call.
#[derive(Debug)]
pub(crate) struct HandlerResult {
    /// The shaped value as JSON text.
    pub json: String,
    /// Why there is none, or less.
    pub errors: Vec<HandlerCallError>,
    /// Must null travel beyond this field?
    pub null_escapes: bool,
    /// The handler's cookies, and what else of its headers is for the client.
    pub client_headers: ClientHeaders,
}

/// One thing that went wrong with a call.
#[derive(Clone, Debug)]
pub(crate) struct HandlerCallError {
    /// What.
    pub cause: HandlerCallErrorCause,
    /// The exchange with the handler, for those who may see it.
    pub internal: Option<Value>,
}

/// What can go wrong with a call.
#[derive(Clone, Debug)]
pub(crate) enum HandlerCallErrorCause {
    /// No usable response.
    Response(HandlerResponseError),
    /// A response that does not fit.
    Shape(CompletionError),
    /// One of a list of the handler's own.
    Listed(HandlerError),
}

impl HandlerResult {
    /// A planned call without authorization. `authorize` allows all or none, so this does not occur.
    #[must_use]
    pub(crate) fn not_made() -> Self {
        Self::failed(
            HandlerResponseError::NoResponse(TransportError::Broken(Reason::new(
                ErrorKind::Internal,
                "not authorized",
            ))),
            None,
            false,
        )
    }

    /// A value as it is.
    #[must_use]
    pub(crate) fn of_json(json: String) -> Self {
        Self { json, errors: Vec::new(), null_escapes: false, client_headers: ClientHeaders::new() }
    }

    /// Adds the completion errors, within their limit.
    pub(crate) fn add_shape_errors(&mut self, errors: Vec<CompletionError>, max: usize) {
        let errors = errors.into_iter().take(max);
        self.errors.extend(
            errors.map(|error| HandlerCallError { cause: HandlerCallErrorCause::Shape(error), internal: None }),
        );
    }

    /// No value.
    #[must_use]
    pub(crate) fn failed(error: HandlerResponseError, internal: Option<Value>, null_escapes: bool) -> Self {
        let errors = match error {
            HandlerResponseError::RejectedWithList(errors) => listed(errors),
            error => vec![HandlerCallError { cause: HandlerCallErrorCause::Response(error), internal }],
        };
        Self { json: "null".into(), errors, null_escapes, client_headers: ClientHeaders::new() }
    }
}

pub(crate) fn listed(errors: Vec<HandlerError>) -> Vec<HandlerCallError> {
    errors
        .into_iter()
        .map(|error| HandlerCallError { cause: HandlerCallErrorCause::Listed(error), internal: None })
        .collect()
}
