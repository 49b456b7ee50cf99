//! The request context, responses and rejections: types without behaviour that the whole pipeline shares.

pub mod context;
pub mod kind;
pub mod live_dependencies;
pub mod rejection;
pub mod response;
pub mod schema_request;
