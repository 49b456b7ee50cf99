//! The inputs of several calls of one action, which may share HTTP requests: keys of rows, or calls of root fields.

use std::sync::Arc;

use serde_json::Value;

use crate::action::handler_error::{HandlerResponseError, TransportError};
use crate::action::key_arguments::{CallKeys, matched_key, takes_all_keys};
use crate::execution::authorize::{AuthorizedCall, AuthorizedField, Clearance, Cleared};
use crate::memory::tree_bytes;
use crate::model::action::Action;
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::extension_field::KeyList;
use crate::model::json::json_length;
use crate::model::limits::Limits;
use crate::model::types::Types;

/// Inputs, each known by its index.
#[derive(Clone, Copy)]
pub(crate) enum CallInputs<'i> {
    /// Calls of root fields, no two of them the same.
    Calls(&'i [AuthorizedCall]),
    /// The distinct keys of an extension field.
    Rows {
        /// The field.
        field: &'i AuthorizedField,
        /// The keys.
        keys: &'i KeyList,
        /// What the upstream has said to the call of each key; empty if it was not asked.
        clearances: &'i [Clearance],
    },
}

/// The same with nothing borrowed, for work that outlives the request.
pub(crate) enum OwnedInputs {
    /// See [`CallInputs::Calls`].
    Calls(Vec<AuthorizedCall>),
    /// See [`CallInputs::Rows`].
    Rows(AuthorizedField, KeyList, Vec<Clearance>),
}

impl OwnedInputs {
    /// Borrowed.
    #[must_use]
    pub(crate) fn inputs(&self) -> CallInputs<'_> {
        match self {
            Self::Calls(calls) => CallInputs::Calls(calls),
            Self::Rows(field, keys, clearances) => CallInputs::Rows { field, keys, clearances },
        }
    }
}

/// How inputs share a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// Each has a request of its own.
    Separate,
    /// So many at most, as `inputs` of one payload.
    Batch(usize),
    /// So many keys at most, in one list of the arguments.
    Keys(usize),
}

impl Joining {
    /// The most inputs of one request.
    #[must_use]
    pub(crate) fn max(self) -> usize {
        match self {
            Self::Separate => 1,
            Self::Batch(max) | Self::Keys(max) => max.max(1),
        }
    }
}

/// Bytes that a call takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InputBytes {
    /// Of its payload.
    pub text: usize,
    /// Of its values.
    pub values: usize,
}

impl InputBytes {
    /// Together with others.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { text: self.text.saturating_add(other.text), values: self.values.saturating_add(other.values) }
    }
}

/// Bytes of a value of a key beside its text.
const KEY_BYTES: usize = 256;

impl CallInputs<'_> {
    /// How many there are.
    #[must_use]
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Calls(calls) => calls.len(),
            Self::Rows { keys, .. } => keys.len(),
        }
    }

    /// Whom to call; `None` if there are no inputs.
    #[must_use]
    pub(crate) fn action(&self) -> Option<&Arc<Action>> {
        match self {
            Self::Calls(calls) => calls.first().map(AuthorizedCall::action),
            Self::Rows { field, .. } => Some(field.action()),
        }
    }

    /// The field by which elements of a response are matched with keys.
    #[must_use]
    pub(crate) fn matched_by(&self) -> Option<&str> {
        match self {
            Self::Calls(_) => None,
            Self::Rows { field, .. } => field.field().matched_by.as_deref(),
        }
    }

    /// How they share requests.
    #[must_use]
    pub(crate) fn joining(self, limits: &Limits) -> Joining {
        match (self, self.action().and_then(|action| action.batch_size)) {
            (Self::Rows { field, .. }, _) if takes_all_keys(field.field()) => {
                Joining::Keys(limits.max_field_keys_per_call)
            }
            // A list of the only key, in a request of its own.
            (Self::Rows { field, .. }, _) if field.field().matched_by.is_some() => Joining::Keys(1),
            (_, Some(max)) => Joining::Batch(max.min(limits.max_field_keys_per_call)),
            (_, None) => Joining::Separate,
        }
    }

    /// The call of one input alone.
    ///
    /// # Errors
    /// [`HandlerResponseError::UnfitKey`], [`HandlerResponseError::Before`].
    pub(crate) fn call(self, types: &Types, index: usize) -> Result<AuthorizedCall, HandlerResponseError> {
        match self {
            Self::Calls(calls) => {
                let call = calls.get(index).cloned().ok_or_else(not_authorized)?;
                call.clearance()?;
                Ok(call)
            }
            Self::Rows { field, keys, clearances } => {
                let call = field.call(types, CallKeys::One(keys.get(index)))?;
                match clearances.get(index) {
                    None => Ok(call),
                    Some(Err(error)) => Err(error.clone().into()),
                    Some(Ok(_)) if field.field().matched_by.is_some() => {
                        Ok(call.cleared(Ok(of_keys(clearances, &[index]))))
                    }
                    Some(cleared) => Ok(call.cleared(cleared.clone())),
                }
            }
        }
    }

    /// Does the key of an input fit its arguments?
    ///
    /// # Errors
    /// [`HandlerResponseError::UnfitKey`].
    pub(crate) fn check(self, types: &Types, index: usize) -> Result<(), HandlerResponseError> {
        match self {
            Self::Calls(_) => Ok(()),
            Self::Rows { field, keys, clearances } => {
                if let Some(Err(error)) = clearances.get(index) {
                    return Err(error.clone().into());
                }
                field.check(types, CallKeys::One(keys.get(index)))
            }
        }
    }

    /// The call for the keys of these rows, all in one list, which are at `indexes`.
    ///
    /// # Errors
    /// [`HandlerResponseError::UnfitKey`].
    pub(crate) fn call_for_keys(
        self,
        types: &Types,
        keys: &[&Value],
        indexes: &[usize],
    ) -> Result<AuthorizedCall, HandlerResponseError> {
        match self {
            Self::Calls(_) => Err(not_authorized()),
            Self::Rows { field, clearances, .. } => {
                let call = field.call(types, CallKeys::All(keys))?;
                Ok(if clearances.is_empty() { call } else { call.cleared(Ok(of_keys(clearances, indexes))) })
            }
        }
    }

    /// The value of a key by which elements of a response are matched with it.
    #[must_use]
    pub(crate) fn matched_value(&self, index: usize) -> Option<&Value> {
        match self {
            Self::Calls(_) => None,
            Self::Rows { field, keys, .. } => keys.get(index).get(matched_key(field.field())),
        }
    }

    /// What the arguments of the client take in each input.
    #[must_use]
    pub(crate) fn shared_bytes(self) -> InputBytes {
        match self {
            // Charged when they were authorized.
            Self::Calls(_) => InputBytes::default(),
            Self::Rows { field, .. } => {
                let json = serde_json::to_vec(field.arguments()).unwrap_or_default();
                InputBytes { text: json.len(), values: tree_bytes(&json) }
            }
        }
    }

    /// What an input takes beside those.
    #[must_use]
    pub(crate) fn own_bytes(self, index: usize) -> InputBytes {
        let key = match self {
            Self::Calls(_) => &[],
            Self::Rows { keys, .. } => keys.get(index),
        };
        let bytes = |value: &Value| {
            let text = json_length(value);
            InputBytes { text, values: text.saturating_add(KEY_BYTES) }
        };
        key.iter().map(bytes).fold(InputBytes::default(), InputBytes::plus)
    }

    /// These of the inputs, with nothing borrowed.
    #[must_use]
    pub(crate) fn select(self, indexes: &[usize]) -> OwnedInputs {
        match self {
            Self::Calls(calls) => {
                OwnedInputs::Calls(indexes.iter().filter_map(|index| calls.get(*index)).cloned().collect())
            }
            Self::Rows { field, keys, clearances } => {
                let clearances = indexes.iter().filter_map(|index| clearances.get(*index)).cloned().collect();
                OwnedInputs::Rows(field.clone(), keys.select(indexes), clearances)
            }
        }
    }
}

/// What the upstream has said to the calls of these keys, for one call that has them in a list: `data` is a list as well.
fn of_keys(clearances: &[Clearance], indexes: &[usize]) -> Cleared {
    let cleared = |index: &usize| clearances.get(*index).and_then(|clearance| clearance.as_ref().ok());
    let all: Vec<&Cleared> = indexes.iter().filter_map(cleared).collect();
    let data: Option<Vec<Value>> = all.iter().map(|one| one.data.as_deref().cloned()).collect();
    let data = data.map(|data| Arc::new(Value::Array(data)));
    let response = all.first().and_then(|one| one.response.clone());
    Cleared { data, response, spent: all.iter().map(|one| one.spent).max().unwrap_or_default() }
}

/// An input that is not there, which does not occur.
fn not_authorized() -> HandlerResponseError {
    TransportError::Broken(Reason::new(ErrorKind::Internal, "not authorized")).into()
}
