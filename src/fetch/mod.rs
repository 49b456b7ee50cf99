//! Fetches from the upstream while a request is executed: its part of the operation, and rows of relationships.

pub mod relationship_rows;
pub mod upstream_operation;
