//! The merged schema by which an operation with extension fields is planned: it has to be known before anything else.

use std::sync::Arc;

use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::schema_fetch;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::session::Session;

/// The schema of a caller.
pub(crate) struct CallersSchema {
    /// The upstream's with the actions of the role.
    pub merged: Arc<MergedSchema>,
    /// Has the upstream been asked just now?
    pub is_fresh: bool,
}

/// The merged schema of this caller: `asked`, if the upstream has just been introspected for it, the one that is known,
/// or a new one.
///
/// # Errors
/// The upstream does not show its schema, or not in time.
pub(crate) async fn of_caller(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    session: &Session,
    asked: Option<&Arc<MergedSchema>>,
) -> Result<CallersSchema, Rejection> {
    if let Some(merged) = asked {
        return Ok(CallersSchema { merged: Arc::clone(merged), is_fresh: true });
    }
    let catalog = &snapshot.catalog;
    if !catalog.merges_introspection {
        return Err(Rejection::schema_unknown(Some("introspection.mode leaves introspection to the upstream")));
    }
    if let Some(merged) = snapshot.schema_cache.known(catalog, context, session.role()) {
        return Ok(CallersSchema { merged, is_fresh: false });
    }
    let fetched = schema_fetch::refresh(services, snapshot, context, session.role());
    match tokio::time::timeout_at(context.deadline.into(), fetched).await {
        Ok(Ok(Some(merged))) => Ok(CallersSchema { merged, is_fresh: true }),
        Ok(Ok(None)) => Err(Rejection::schema_unknown(Some("its introspection has failed"))),
        Ok(Err(error)) => Err(Rejection::schema_unknown(Some(&error.to_string()))),
        Err(_) => Err(Rejection::schema_unknown(Some("its introspection has timed out"))),
    }
}

/// A schema that differs from the one that was known, because a document is not valid by that.
pub(crate) async fn newer(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    session: &Session,
    known: &CallersSchema,
) -> Option<Arc<MergedSchema>> {
    let fresh = schema_fetch::refresh(services, snapshot, context, session.role()).await.ok()??;
    (fresh.id != known.merged.id).then_some(fresh)
}
