//! A field of introspection, answered from the merged schema.

use std::sync::Arc;

use super::run::Running;
use crate::graphql::introspect::{self, Introspection, IntrospectionError};

/// Answers it as JSON text, in a place of its own: a large schema takes milliseconds.
///
/// # Errors
/// [`IntrospectionError::TooLarge`].
pub async fn run(running: &Running<'_>, introspection: &Arc<Introspection>) -> Result<String, IntrospectionError> {
    let Some(merged) = running.merged else { return Ok("null".into()) };
    let (merged, introspection) = (Arc::clone(merged), Arc::clone(introspection));
    let max = running.snapshot.limits.introspection_bytes_max;
    let written =
        tokio::task::spawn_blocking(move || introspect::execute(&merged.role_schema, &introspection, max)).await;
    // It ends early only when the whole program does.
    written.unwrap_or_else(|_| Ok("null".into()))
}
