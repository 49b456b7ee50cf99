//! Serves introspection from the merged schema, or what was rendered of it before.

use std::sync::Arc;

use crate::execution::authorize_plan::AuthorizedCalls;
use crate::execution::context::ExecutionContext;
use crate::graphql::coerce::Variables;
use crate::graphql::collect_fields::root_fields;
use crate::graphql::introspect::{Introspection, IntrospectionError};
use crate::graphql::plan::{FieldSource, PlannedField};
use crate::graphql::{document, introspect};
use crate::model::limits::Limits;
use crate::request::encoded_body::ReusedBody;
use crate::request::response::{Response, SUCCESS};
use crate::runtime::introspection_cache::{IntrospectionField, IntrospectionKey};
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

/// A response that consists of introspection alone.
pub(crate) struct CacheableResponse<'e> {
    execution: &'e ExecutionContext<'e>,
    key: IntrospectionKey,
}

impl<'e> CacheableResponse<'e> {
    /// `None` if anything else is in the response.
    #[must_use]
    pub(crate) fn of(execution: &'e ExecutionContext<'e>, allowed: &AuthorizedCalls) -> Option<Self> {
        let (plan, merged_schema) = (execution.plan, execution.merged?.id);
        if plan.introspections.is_empty() || plan.sites.is_some() {
            return None;
        }
        let field = |field: &PlannedField| {
            let what = match field.owner {
                FieldSource::Introspection(index) => {
                    IntrospectionField::Compiled(Arc::clone(allowed.introspections.get(index)?))
                }
                FieldSource::TypeName => IntrospectionField::TypeName,
                FieldSource::Upstream(_) | FieldSource::Action(_) => return None,
            };
            Some((field.response_name.clone(), what))
        };
        let fields = plan.fields.iter().map(field).collect::<Option<_>>()?;
        Some(Self { execution, key: IntrospectionKey { merged_schema, fields } })
    }

    /// It as it was rendered before, if there is memory for it: a client that reads slowly holds it.
    #[must_use]
    pub(crate) fn rendered_before(&self) -> Option<Response> {
        let Self { execution, key } = self;
        let found = execution.snapshot.schema_cache.rendered.get(key);
        let found = found.filter(|body| execution.context.charge(body.plain().len()).is_ok());
        let outcome = if found.is_some() { "hit" } else { "miss" };
        execution.services.metrics.introspection_cache_lookups.with_label_values(&[outcome]).inc();
        found.map(Response::reusing)
    }

    /// Remembers it, if it is without errors.
    pub(crate) fn remember(self, response: &mut Response) {
        if response.outcome != SUCCESS {
            return;
        }
        let body = Arc::new(ReusedBody::new(response.body.clone()));
        response.reused = Some(Arc::clone(&body));
        let rendered = &self.execution.snapshot.schema_cache.rendered;
        rendered.insert(self.key, body);
        let bytes = i64::try_from(rendered.bytes()).unwrap_or(i64::MAX);
        self.execution.services.metrics.introspection_cache_bytes.set(bytes);
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
