//! How GraphQL travels. All pure.

pub mod http;
pub mod trace;
