//! One handler call, from the request that is made to the value of the field.

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
