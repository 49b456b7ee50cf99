//! How GraphQL travels. All pure.

pub mod hop_by_hop;
pub mod http;
pub mod trace;
