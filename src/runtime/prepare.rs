//! Prepares a document: parses and plans it once, and finds it again by its text.

use std::sync::Arc;

use crate::graphql::document::DocumentError;
use crate::runtime::plan_cache::PreparedDocument;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;

/// Documents up to this length are planned where they arrive; longer ones have a place of their own.
const INLINE_PLANNING_BYTES_MAX: usize = 64 * 1024;

/// The document of this text, parsed now or before.
///
/// # Errors
/// [`DocumentError`].
pub(crate) async fn prepare(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    text: &str,
) -> Result<Arc<PreparedDocument>, DocumentError> {
    if let Some(prepared) = snapshot.documents.get(text) {
        services.metrics.plan_cache_hits.inc();
        return Ok(prepared);
    }
    services.metrics.plan_cache_misses.inc();
    let prepared = Arc::new(parse(services, snapshot, text).await?);
    snapshot.documents.insert(Arc::from(text), Arc::clone(&prepared));
    Ok(prepared)
}

async fn parse(services: &Services, snapshot: &Arc<Snapshot>, text: &str) -> Result<PreparedDocument, DocumentError> {
    if text.len() <= INLINE_PLANNING_BYTES_MAX || text.len() > snapshot.catalog.limits.max_document_size {
        return PreparedDocument::new(&snapshot.catalog, text);
    }
    // Only the number of threads is bounded by this; who waits here holds nothing but their own text.
    let _slot = services.slots.planning.acquire().await;
    let (snapshot, text) = (Arc::clone(snapshot), text.to_owned());
    let parsed = tokio::task::spawn_blocking(move || PreparedDocument::new(&snapshot.catalog, &text)).await;
    parsed.unwrap_or(Err(DocumentError::NotOneOperation))
}

/// Does this document select an action? One that is too large to be parsed does if it names one; an invalid one does
/// not, because it cannot be executed.
pub(crate) async fn selects_action(services: &Services, snapshot: &Arc<Snapshot>, document: &str) -> bool {
    if !snapshot.catalog.may_name_action(document.as_bytes()) {
        return false;
    }
    match prepare(services, snapshot, document).await {
        Ok(prepared) => prepared.concern.action,
        Err(DocumentError::Invalid { syntax: true, .. }) => false,
        Err(_) => true,
    }
}
