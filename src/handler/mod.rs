//! One handler call, from the request to the value of its field: policies, cache, retry, exchange, completion.

pub(crate) mod before;
pub(crate) mod cache;
pub(crate) mod cache_entries;
#[doc(hidden)]
pub(crate) mod cache_key;
pub(crate) mod cached_values;
pub(crate) mod call;
pub(crate) mod call_inputs;
pub(crate) mod complete;
pub(crate) mod exchange;
pub(crate) mod execution_error;
pub(crate) mod extend_rows;
pub(crate) mod failure;
pub(crate) mod field_calls;
pub(crate) mod field_error;
pub(crate) mod field_values;
pub(crate) mod grouped_calls;
pub(crate) mod internal_extension;
pub(crate) mod joined_calls;
pub(crate) mod policy;
pub(crate) mod raw_call;
pub(crate) mod read_response;
pub(crate) mod request;
pub(crate) mod result;
pub(crate) mod retry;
mod row_keys;
