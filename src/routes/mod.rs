//! Which kind of request this is, and who serves it.

pub(crate) mod body_scan;
pub(crate) mod client_disconnect;
pub(crate) mod execute_request;
pub(crate) mod gateway;
pub(crate) mod get_policy;
pub(crate) mod graphql_batch;
pub(crate) mod graphql_body;
pub(crate) mod graphql_get;
pub(crate) mod graphql_post;
pub(crate) mod graphql_request;
pub(crate) mod job_completion;
pub(crate) mod metadata_api;
pub(crate) mod passthrough;
pub(crate) mod persisted_query;
pub(crate) mod reject;
pub(crate) mod rest_endpoint;
pub(crate) mod rest_openapi;
pub(crate) mod route;
pub(crate) mod sse;
pub(crate) mod websocket;
