//! Serves a field of introspection from the merged schema.

use std::sync::Arc;

use crate::execution::context::ExecutionContext;
use crate::graphql::coerce::Variables;
use crate::graphql::collect_fields::root_fields;
use crate::graphql::introspect::{Introspection, IntrospectionError};
use crate::graphql::{document, introspect};
use crate::model::limits::Limits;
use crate::runtime::schema_cache::MergedSchema;
use crate::upstream::introspect::document_text;

/// Renders it as JSON text, on a blocking thread: a large schema takes milliseconds. The length of the text cannot be
/// derived from the request, so memory is reserved in steps, and the text is rendered again in each: together they are
/// a seventh of the last.
///
/// # Errors
/// [`IntrospectionError::TooLarge`], also when there is no room for more.
pub(crate) async fn run(
    execution: &ExecutionContext<'_>,
    introspection: &Arc<Introspection>,
) -> Result<String, IntrospectionError> {
    let Some(merged) = execution.merged else { return Ok("null".into()) };
    let limit = execution.snapshot.catalog.limits.max_introspection_size;
    let (mut max, mut charged) = (FIRST_BYTES_MAX.min(limit), 0);
    loop {
        execution.context.charge(max - charged).map_err(|_| IntrospectionError::TooLarge { max: charged })?;
        charged = max;
        let (merged, introspection) = (Arc::clone(merged), Arc::clone(introspection));
        let write = move || introspect::execute(&merged.role_schema, &introspection, max);
        // It ends early only when the whole program does.
        let written = tokio::task::spawn_blocking(write).await.unwrap_or_else(|_| Ok("null".into()));
        match written {
            Err(IntrospectionError::TooLarge { .. }) if max < limit => max = max.saturating_mul(STEP).min(limit),
            written => {
                execution.context.release(max - written.as_ref().map_or(0, |json| json.len().min(max)));
                return written;
            }
        }
    }
}

/// Bytes of the shortest text that room is taken for.
const FIRST_BYTES_MAX: usize = 128 * 1024;

/// Each text may be so many times as long as the one before.
const STEP: usize = 8;

/// The result of the fullest introspection query, as JSON text.
///
/// # Errors
/// None but a defect of ours, and a schema larger than memory.
pub(crate) fn full_result(merged: &MergedSchema) -> Result<String, String> {
    let limits = Limits::default();
    let document = document::parse(&document_text(0), &limits).map_err(|error| error.to_string())?;
    let operation = document.operation(None).map_err(|error| error.to_string())?;
    let fields: Vec<_> = root_fields(&document, operation, "").into_iter().cloned().collect();
    let compiled = introspect::compile(&document, &fields, &Variables::new(), limits.max_introspection_depth)
        .map_err(|error| error.to_string())?;
    let schema = introspect::execute(&merged.role_schema, &compiled, usize::MAX).map_err(|error| error.to_string())?;
    Ok(format!("{{\"data\":{{\"__schema\":{schema}}}}}\n"))
}
