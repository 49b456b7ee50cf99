//! What is known of a request, and what it is answered with: types without behaviour that the whole pipeline shares.

pub mod context;
pub mod live_dependencies;
pub mod rejection;
pub mod response;
pub mod schema_request;
