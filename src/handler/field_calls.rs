//! Handler calls of extension fields: fetches the values of many keys.

use crate::action::before::{BeforeError, Moment};
use crate::action::handler_error::TransportError;
use crate::action::key_arguments::CallKeys;
use crate::execution::authorize::{AuthorizedCall, AuthorizedField, Clearance};
use crate::execution::context::ExecutionContext;
use crate::handler::call_inputs::CallInputs;
use crate::handler::field_values::FieldValues;
use crate::handler::joined_calls::JoinedCall;
use crate::handler::{before, cached_values};
use crate::memory;
use crate::model::extension_field::KeyList;

/// Bytes of a key's place in lists while it is fetched.
const KEY_BYTES: usize = 256;

/// The values for distinct keys, each with the values of [`crate::model::extension_field::ExtensionField::key_fields`], none
/// of them null: with one call for all if elements are matched or the action takes batches, and otherwise with a call for
/// each key. Failures of calls are counted and logged here.
pub(crate) async fn fetch<'e>(
    execution: &ExecutionContext<'e>,
    field: &AuthorizedField,
    keys: &KeyList,
) -> FieldValues<'e> {
    let mut found = FieldValues::new(keys.len());
    let Ok(_held) = execution.context.hold(keys.len().saturating_mul(KEY_BYTES)) else {
        found.fail(0..keys.len(), TransportError::NoRoom.into(), |_| None);
        return found;
    };
    let mut ended = |call: JoinedCall| call.record(execution);
    // Boxed: rare, and otherwise every field carries the size of this future.
    let clearances = match field.action().before.is_some() {
        true => memory::boxed(|| clearances(execution, field, keys)).await,
        false => Vec::new(),
    };
    let inputs = CallInputs::Rows { field, keys, clearances: &clearances };
    cached_values::fetch(execution, inputs, &mut found, &mut ended).await;
    found
}

/// What the upstream says to the calls of all keys, asked once.
async fn clearances(execution: &ExecutionContext<'_>, field: &AuthorizedField, keys: &KeyList) -> Vec<Clearance> {
    let types = &execution.snapshot.catalog.schema.types;
    let calls: Vec<Option<AuthorizedCall>> =
        keys.iter().map(|key| field.call(types, CallKeys::One(key)).ok()).collect();
    let fit: Vec<AuthorizedCall> = calls.iter().flatten().cloned().collect();
    let found = before::clearances(execution, &fit, Moment::Call).await;
    for (call, clearance) in fit.iter().zip(&found) {
        if let Err(error) = clearance {
            before::record(execution, call, error);
        }
    }
    let mut found = found.into_iter();
    // A key that does not fit has an error of its own.
    let clearance = |call: &Option<AuthorizedCall>| call.as_ref().and_then(|_| found.next());
    calls.iter().map(clearance).map(|clearance| clearance.unwrap_or(Err(BeforeError::NotAsked))).collect()
}
