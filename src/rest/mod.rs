//! REST endpoints: stored documents that are executed by a method and a path below `/api/rest/`, as Hasura's are. Pure.

pub mod endpoint;
pub mod openapi;
pub mod render_result;
pub mod variables;
