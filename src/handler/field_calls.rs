//! Handler calls of extension fields: fetches the values of many keys.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;

use crate::action::handler_error::HandlerResponseError;
use crate::action::handler_response::HandlerResponse;
use crate::action::key_arguments::CallKeys;
use crate::execution::authorize::{AuthorizedCall, AuthorizedField};
use crate::execution::context::ExecutionContext;
use crate::handler::failure::CallFailure;
use crate::handler::field_values::FieldValues;
use crate::handler::internal_extension::{ShownError, internal, shows_internal};
use crate::handler::raw_call::RawResult;
use crate::handler::{complete, raw_call};

/// The values for distinct keys, each with the values of [`crate::model::extension_field::ExtensionField::key_fields`], none
/// of them null.
pub(crate) async fn fetch<'e>(
    execution: &ExecutionContext<'e>,
    field: &AuthorizedField,
    keys: &[Vec<Value>],
) -> FieldValues<'e> {
    let mut found = FieldValues::new(keys.len());
    let calls = keys.iter().enumerate().map(|(index, key)| async move { (index, ask(execution, field, key).await) });
    let mut calls = stream::iter(calls).buffer_unordered(CALLS_AT_ONCE);
    while let Some((index, asked)) = calls.next().await {
        match asked {
            Err(unfit) => found.fail([index], unfit, |_| None),
            Ok((call, result)) => put(execution, &mut found, index, &call, result),
        }
    }
    found
}

async fn ask<'e>(
    execution: &ExecutionContext<'e>,
    field: &AuthorizedField,
    key: &[Value],
) -> Result<(AuthorizedCall, RawResult<'e>), HandlerResponseError> {
    let call = field.call(&execution.snapshot.catalog.schema.types, CallKeys::One(key))?;
    let result = raw_call::call(execution, &call).await;
    Ok((call, result))
}

fn put<'e>(
    execution: &ExecutionContext<'e>,
    found: &mut FieldValues<'e>,
    index: usize,
    call: &AuthorizedCall,
    result: RawResult<'e>,
) {
    let failed = result.value.as_ref().err().map(CallFailure::of_response);
    raw_call::record(execution, call, result.facts, failed.as_ref());
    found.hold(result.charge);
    found.add_client_headers(complete::client_headers(call, result.response.as_ref()));
    match result.value {
        Ok(HandlerResponse { value, errors }) => {
            found.set(index, Arc::new(value));
            found.errors.extend(errors.into_iter().map(|error| (index, error)));
        }
        Err(error) => {
            let shown = |error: &HandlerResponseError| match error.is_handlers_own() {
                true => None,
                false => internal(
                    execution,
                    call,
                    result.response.as_ref(),
                    &ShownError::of(error),
                    shows_internal(execution),
                ),
            };
            found.fail([index], error, shown);
        }
    }
}

/// Calls at one time.
const CALLS_AT_ONCE: usize = 16;
