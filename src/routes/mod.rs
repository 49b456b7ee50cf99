//! Which kind of request this is, and who serves it.

pub mod body_scan;
pub mod client_disconnect;
pub mod execute_request;
pub mod gateway;
pub mod get_policy;
pub mod graphql_batch;
pub mod graphql_body;
pub mod graphql_get;
pub mod graphql_post;
pub mod graphql_request;
pub mod job_completion;
pub mod metadata_api;
pub mod passthrough;
pub mod reject;
pub mod route;
pub mod sse;
pub mod websocket;
