//! One handler call, from the request to the value of its field: policies, cache, retry, exchange, completion.

pub(crate) mod cache;
#[doc(hidden)]
pub(crate) mod cache_key;
pub(crate) mod call;
pub(crate) mod complete;
pub(crate) mod exchange;
pub(crate) mod failure;
pub(crate) mod internal_extension;
pub(crate) mod policy;
pub(crate) mod request;
pub(crate) mod result;
pub(crate) mod retry;
