//! How GraphQL travels. All pure.

pub mod client_headers;
pub mod graphql_ws;
pub mod hop_by_hop;
pub mod http;
pub mod origin;
pub mod trace;
