//! A field of introspection, answered from the merged schema.

use std::sync::Arc;

use super::engine_schema::MergedSchema;
use super::run::Running;
use crate::graphql::coerce::Variables;
use crate::graphql::collect_fields::root_fields;
use crate::graphql::document;
use crate::graphql::introspect::{self, Introspection, IntrospectionError};
use crate::model::limits::Limits;
use crate::upstream::introspect::document_text;

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

/// The result of the fullest introspection query, as JSON text.
///
/// # Errors
/// None but a defect of ours, and a schema larger than memory.
pub fn full_result(merged: &MergedSchema) -> Result<String, String> {
    let limits = Limits::default();
    let document = document::parse(&document_text(0), &limits).map_err(|error| error.to_string())?;
    let operation = document.operation(None).map_err(|error| error.to_string())?;
    let fields: Vec<_> = root_fields(&document, operation, "").into_iter().cloned().collect();
    let compiled = introspect::compile(&document, &fields, &Variables::new(), limits.introspection_depth_max)
        .map_err(|error| error.to_string())?;
    let schema = introspect::execute(&merged.role_schema, &compiled, usize::MAX).map_err(|error| error.to_string())?;
    Ok(format!("{{\"data\":{{\"__schema\":{schema}}}}}\n"))
}
