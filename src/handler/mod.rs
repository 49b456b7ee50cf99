//! One handler call, from the request to the value of its field: policies, cache, retry, exchange, completion.

pub mod cache;
#[doc(hidden)]
pub mod cache_key;
pub mod call;
pub mod complete;
pub mod exchange;
pub mod internal_extension;
pub mod policy;
pub mod request;
pub mod result;
pub mod retry;
