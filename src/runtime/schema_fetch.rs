//! Fetches the upstream's schema by introspection, and merges it with the actions of a role.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::graphql::schema_builder::ClientSchemaError;
use crate::memory::MemoryOwner;
use crate::model::label::Label;
use crate::model::replay::Replay;
use crate::request::context::RequestContext;
use crate::runtime::schema_cache::{KnownSchema, MergedSchema, REFRESH_INTERVAL, ResponseId, SchemaError};
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::runtime::upstream_types;
use crate::telemetry::labels::CallOutcome;
use crate::upstream::introspect::{EDITIONS, introspection_query};
use crate::upstream::{UpstreamError, UpstreamRequest};

/// The memory that it takes while it is built, beside the response itself.
const BUILT_PER_BYTE: usize = 3;

/// Introspects the upstream as the caller of a request, and merges the schema with the actions of its role.
///
/// # Errors
/// [`SchemaError`]; it has been logged and counted.
pub(crate) async fn fetch(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    role: &str,
) -> Result<Arc<MergedSchema>, SchemaError> {
    let known = snapshot.schema_cache.caller(context, role);
    let found = fetch_newest_edition(services, snapshot, context, (role, &known)).await;
    let outcome = found.as_ref().map_or_else(|error| error.kind().label(), |_| CallOutcome::Success.label());
    services.metrics.introspections.with_label_values(&[outcome]).inc();
    let conflicts = found.as_ref().err().map_or(0, |error| error.conflicts().len());
    services.metrics.schema_conflicts.set(i64::try_from(conflicts).unwrap_or(i64::MAX));
    snapshot.schema_cache.note_failure(role, found.as_ref().err());
    let before = known.note(found.as_ref().ok().map(|(id, _)| *id));
    if let Ok((_, merged)) = &found {
        upstream_types::extend(services, snapshot, merged);
    }
    let is_new = before.is_none_or(|asked| !asked.has_failed);
    if let (Err(error), true) = (&found, is_new) {
        let detail = match error {
            SchemaError::Upstream(error) => error.detail(),
            error => error.to_string(),
        };
        tracing::warn!(
            error.kind = error.kind().label(),
            error.message = detail,
            server.address = services.upstream.settings().host,
            server.port = services.upstream.settings().port,
            role,
            "upstream introspection failed; the previous schema stays in use, if there is one"
        );
    }
    found.map(|(_, merged)| merged)
}

/// The same on our own account, because a document seems to be invalid or the role's schema is unknown: unless such an
/// introspection has just run, or too many are running. Returns what is then known.
///
/// # Errors
/// [`SchemaError`].
pub(crate) async fn refresh(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    role: &str,
) -> Result<Option<Arc<MergedSchema>>, SchemaError> {
    let known = snapshot.schema_cache.caller(context, role);
    let _turn = known.asking.lock().await;
    let was_just_asked = known.last().is_some_and(|asked| asked.at.elapsed() < REFRESH_INTERVAL);
    let slot = services.slots.introspection.try_acquire();
    if was_just_asked || slot.is_err() {
        return Ok(snapshot.schema_cache.known(&snapshot.catalog, context, role));
    }
    fetch(services, snapshot, context, role).await.map(Some)
}

/// An upstream that rejects the newest edition of the introspection types is queried in the one before. The edition
/// that it accepts is remembered.
async fn fetch_newest_edition(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    caller: (&str, &KnownSchema),
) -> Result<(ResponseId, Arc<MergedSchema>), SchemaError> {
    let mut rejected = SchemaError::Ended;
    for edition in services.schema.edition.load(Ordering::Relaxed)..EDITIONS {
        match fetch_edition(services, snapshot, (context, caller), edition).await {
            Err(error @ SchemaError::Response(ClientSchemaError::Rejected(_))) => rejected = error,
            Ok(found) => {
                services.schema.edition.store(edition, Ordering::Relaxed);
                return Ok(found);
            }
            error => return error,
        }
    }
    Err(rejected)
}

async fn fetch_edition(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    (context, (role, known)): (&RequestContext, (&str, &KnownSchema)),
    edition: usize,
) -> Result<(ResponseId, Arc<MergedSchema>), SchemaError> {
    // The result is shared by many callers, so it is charged to none of them.
    let share = services.memory.empty(MemoryOwner::default());
    let request = UpstreamRequest {
        path: context.upstream_path(),
        headers: &context.caller.headers,
        request_id: &context.caller.request_id,
        body: introspection_query(edition),
        replay: Replay::Reads,
        max_response_bytes: snapshot.catalog.limits.max_introspection_size,
        share: Some(&share),
        timeout: services.upstream.settings().request_timeout,
    };
    let last = snapshot.schema_cache.last_response(known);
    let before = last.as_ref().map(|(id, _)| *id);
    let response = match last {
        None => services.upstream.fetch(&request).await?.body,
        Some((id, last)) => match services.upstream.fetch_unless_same(request, &last).await? {
            Some(response) => response.body,
            None => match snapshot.schema_cache.merged_before(&snapshot.catalog, id, role) {
                Some(merged) => return Ok((id, merged?)),
                None => last,
            },
        },
    };
    share.grow(BUILT_PER_BYTE * response.len()).map_err(|_| UpstreamError::NoRoom)?;
    let (snapshot, role) = (Arc::clone(snapshot), role.to_owned());
    // In a place of its own: a large schema takes milliseconds.
    let build = move || {
        let built = snapshot.schema_cache.build(&snapshot.catalog, &response, (&role, before));
        drop(share);
        built
    };
    let built = tokio::task::spawn_blocking(build).await;
    built.map_err(|_| SchemaError::Ended)?
}
