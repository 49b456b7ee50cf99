//! What handlers have for the keys of an extension field, or for several calls: a value or a failure for each.

use serde_json::Value;

use crate::action::handler_error::{HandlerError, HandlerResponseError};
use crate::handler::result::{HandlerCallError, HandlerCallErrorCause, listed};
use crate::memory::Charge;
use crate::model::json_value::JsonValue;
use crate::request::response::ClientHeaders;

/// The values for the keys of an extension field, or for calls that share requests. They are the handler's, not completed
/// yet.
#[derive(Debug)]
pub(crate) struct FieldValues<'e> {
    /// For each key, in the order in which they were given: its value, or which of the failures is the reason that there
    /// is none.
    pub values: Vec<Result<JsonValue, usize>>,
    /// Failed calls, each once, however many keys it was for.
    pub failures: Vec<FieldFailure>,
    /// Errors that the handler gave beside a value, with the index of the key. Their paths start below the field.
    pub errors: Vec<(usize, HandlerError)>,
    /// Cookies and other headers of all responses that are for the client, each once.
    pub client_headers: ClientHeaders,
    /// What the values hold of the memory budget.
    charges: Vec<Charge<'e>>,
}

/// Why some keys have no value.
#[derive(Debug)]
pub(crate) struct FieldFailure {
    /// What went wrong; never empty.
    pub errors: Vec<HandlerCallError>,
}

impl FieldFailure {
    /// No usable response. `internal` is the exchange with the handler, if the caller may see it.
    #[must_use]
    pub(crate) fn new(error: HandlerResponseError, internal: Option<Value>) -> Self {
        let errors = match error {
            HandlerResponseError::RejectedWithList(errors) => listed(errors),
            error => vec![HandlerCallError { cause: HandlerCallErrorCause::Response(error), internal }],
        };
        Self { errors }
    }

    /// Is it this one? Those of the handler's own are never the same, because each is about its key.
    fn is(&self, other: &HandlerResponseError) -> bool {
        matches!(self.errors.as_slice(), [HandlerCallError { cause: HandlerCallErrorCause::Response(error), .. }]
            if error == other && !error.is_handlers_own())
    }
}

impl<'e> FieldValues<'e> {
    /// Of so many keys. Each is null until it is set.
    #[must_use]
    pub(crate) fn new(count: usize) -> Self {
        Self {
            values: vec![Ok(JsonValue::default()); count],
            failures: Vec::new(),
            errors: Vec::new(),
            client_headers: ClientHeaders::new(),
            charges: Vec::new(),
        }
    }

    /// The same failure for all of so many keys.
    #[must_use]
    pub(crate) fn all_failed(count: usize, error: HandlerCallError) -> Self {
        let failures = vec![FieldFailure { errors: vec![error] }];
        Self { values: vec![Err(0); count], failures, ..Self::new(0) }
    }

    /// The value of the key with this index.
    pub(crate) fn set(&mut self, key: usize, value: JsonValue) {
        if let Some(known) = self.values.get_mut(key) {
            *known = Ok(value);
        }
    }

    /// These keys have no value. A failure that is already known is not repeated.
    pub(crate) fn fail(
        &mut self,
        keys: impl IntoIterator<Item = usize>,
        error: HandlerResponseError,
        internal: impl FnOnce(&HandlerResponseError) -> Option<Value>,
    ) {
        let known = self.failures.iter().take(COMPARED_FAILURES_MAX).position(|failure| failure.is(&error));
        let index = known.unwrap_or(self.failures.len());
        if known.is_none() {
            let internal = internal(&error);
            self.failures.push(FieldFailure::new(error, internal));
        }
        for key in keys {
            if let Some(known) = self.values.get_mut(key) {
                *known = Err(index);
            }
        }
    }

    /// The values hold so much of the memory budget.
    pub(crate) fn hold(&mut self, charge: Charge<'e>) {
        self.charges.push(charge);
    }

    /// Adds headers for the client, within their limit.
    pub(crate) fn add_client_headers(&mut self, headers: ClientHeaders) {
        for header in headers {
            if self.client_headers.len() < CLIENT_HEADERS_MAX && !self.client_headers.contains(&header) {
                self.client_headers.push(header);
            }
        }
    }
}

/// Failures that another one is compared with; most outages have one cause or two.
const COMPARED_FAILURES_MAX: usize = 8;

/// Headers of all responses together that go on to the client.
const CLIENT_HEADERS_MAX: usize = 50;
