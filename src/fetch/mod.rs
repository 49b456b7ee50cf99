//! Fetches from the upstream while a request is executed: its part of the operation, and rows of relationships.

pub(crate) mod before;
pub(crate) mod relationship_rows;
pub(crate) mod upstream_operation;
