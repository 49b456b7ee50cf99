//! Handler calls of extension fields: fetches the values of many keys.

use serde_json::Value;

use crate::action::handler_error::TransportError;
use crate::execution::authorize::AuthorizedField;
use crate::execution::context::ExecutionContext;
use crate::handler::cached_values;
use crate::handler::call_inputs::CallInputs;
use crate::handler::field_values::FieldValues;
use crate::handler::joined_calls::JoinedCall;

/// Bytes of a key's place in lists while it is fetched.
const KEY_BYTES: usize = 256;

/// The values for distinct keys, each with the values of [`crate::model::extension_field::ExtensionField::key_fields`], none
/// of them null: with one call for all if elements are matched or the action takes batches, and otherwise with a call for
/// each key. Failures of calls are counted and logged here.
pub(crate) async fn fetch<'e>(
    execution: &ExecutionContext<'e>,
    field: &AuthorizedField,
    keys: &[Vec<Value>],
) -> FieldValues<'e> {
    let mut found = FieldValues::new(keys.len());
    let Ok(_held) = execution.context.hold(keys.len().saturating_mul(KEY_BYTES)) else {
        found.fail(0..keys.len(), TransportError::NoRoom.into(), |_| None);
        return found;
    };
    let mut ended = |call: JoinedCall| call.record(execution);
    cached_values::fetch(execution, CallInputs::Rows { field, keys }, &mut found, &mut ended).await;
    found
}
