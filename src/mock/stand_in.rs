//! The mock in place of handlers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

use crate::action::handler_error::TransportError;
use crate::config::load::read_file;
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::handler_client::stand_in::{HandlerStandIn, StandInCall, StandInInputs};
use crate::mock::examples::{ExampleOutcome, Examples};
use crate::mock::made_value;
use crate::model::action::{Action, ActionSchema};
use crate::model::source::{Diagnostic, summed_up};

/// Values for actions without their handlers.
pub(crate) enum Mock {
    /// Made of the types.
    Auto,
    /// From a file; actions and arguments without an example get made values.
    File(Mutex<ExampleFile>),
}

/// A file of examples, which is read again when it has changed.
pub(crate) struct ExampleFile {
    path: PathBuf,
    changed: Option<SystemTime>,
    examples: Arc<Examples>,
}

impl Mock {
    /// Reads a file of examples for these actions.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn from_file(path: PathBuf, schema: &ActionSchema) -> Result<Self, Vec<Diagnostic>> {
        let changed = changed_at(&path);
        let examples = Arc::new(Examples::read(&read_file(&path)?, schema)?);
        Ok(Self::File(Mutex::new(ExampleFile { path, changed, examples })))
    }

    fn examples(&self, schema: &ActionSchema) -> Option<Arc<Examples>> {
        let Self::File(file) = self else { return None };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = changed_at(&file.path);
        if changed != file.changed {
            file.changed = changed;
            match read_file(&file.path).and_then(|source| Examples::read(&source, schema)) {
                Ok(examples) => file.examples = Arc::new(examples),
                Err(found) => {
                    for line in summed_up(&found) {
                        tracing::error!("the previous examples stay in use: {line}");
                    }
                }
            }
        }
        Some(Arc::clone(&file.examples))
    }
}

fn changed_at(path: &PathBuf) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}

impl HandlerStandIn for Mock {
    fn respond(&self, call: &StandInCall<'_>) -> Result<HandlerHttpResponse, TransportError> {
        let examples = self.examples(call.schema);
        let outcome = |input: &Map<String, Value>| outcome(examples.as_deref(), call.schema, call.action, input);
        Ok(match &call.inputs {
            StandInInputs::One(input) => match outcome(input) {
                ExampleOutcome::Value(value) => response(StatusCode::OK, &value),
                ExampleOutcome::Error(body) => response(StatusCode::BAD_REQUEST, &body),
            },
            StandInInputs::Batch(inputs) => {
                let element = |input: &&Map<String, Value>| match outcome(input) {
                    ExampleOutcome::Value(value) => value,
                    ExampleOutcome::Error(body) => json!({ "error": body }),
                };
                response(StatusCode::OK, &inputs.iter().map(element).collect())
            }
        })
    }
}

fn outcome(
    examples: Option<&Examples>,
    schema: &ActionSchema,
    action: &Action,
    input: &Map<String, Value>,
) -> ExampleOutcome {
    let example = examples.and_then(|examples| examples.find(&action.name, input));
    example.cloned().unwrap_or_else(|| ExampleOutcome::Value(made_value::of_action(schema, action, input)))
}

fn response(status: StatusCode, body: &Value) -> HandlerHttpResponse {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    HandlerHttpResponse { status, headers, body: Bytes::from(body.to_string()), is_value: true }
}
