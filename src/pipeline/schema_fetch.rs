//! The upstream's schema is fetched by introspection, and merged with the actions of a role.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::graphql::client_schema::ClientSchemaError;
use crate::memory::MemoryOwner;
use crate::model::replay::Replay;
use crate::pipeline::schema_cache::{ContentHash, MergedSchema, REFRESH_INTERVAL, SchemaError};
use crate::pipeline::schema_request::SchemaRequest;
use crate::pipeline::services::Services;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::upstream_types;
use crate::upstream::introspect::{EDITIONS, question};
use crate::upstream::{UpstreamError, UpstreamRequest};

/// What it takes while it is built, beside the response itself.
pub(crate) const BUILT_PER_BYTE: usize = 3;

/// Asks the upstream what this caller sees, and merges it with the actions of his role.
///
/// # Errors
/// [`SchemaError`]; it has been logged and counted.
pub async fn ask(
    world: &Services,
    snapshot: &Arc<Snapshot>,
    asker: &SchemaRequest<'_>,
) -> Result<Arc<MergedSchema>, SchemaError> {
    let known = snapshot.schema_cache.caller(asker);
    let found = ask_now(world, snapshot, asker).await;
    let outcome = found.as_ref().map_or_else(SchemaError::label, |_| "success");
    world.metrics.introspections.with_label_values(&[outcome]).inc();
    let conflicts = found.as_ref().err().map_or(0, |error| error.conflicts().len());
    world.metrics.schema_conflicts.set(i64::try_from(conflicts).unwrap_or(i64::MAX));
    snapshot.schema_cache.note_failure(&asker.role, found.as_ref().err());
    let before = known.note(found.as_ref().ok().map(|(hash, _)| *hash));
    if let Ok((_, merged)) = &found {
        upstream_types::extend(world, snapshot, merged);
    }
    let is_new = before.is_none_or(|asked| !asked.has_failed);
    if let (Err(error), true) = (&found, is_new) {
        let role = asker.role.as_ref();
        tracing::warn!(role, %error, "the upstream does not tell its schema; what it told before counts, if it did");
    }
    found.map(|(_, merged)| merged)
}

/// The same on our own account, because a document seems to be wrong or nobody has asked in this role: unless somebody
/// like this caller has just asked, or too many are asking. Gives what is then known.
///
/// # Errors
/// [`SchemaError`].
pub async fn refresh(
    world: &Services,
    snapshot: &Arc<Snapshot>,
    asker: &SchemaRequest<'_>,
) -> Result<Option<Arc<MergedSchema>>, SchemaError> {
    let known = snapshot.schema_cache.caller(asker);
    let _turn = known.asking.lock().await;
    let was_just_asked = known.last().is_some_and(|asked| asked.at.elapsed() < REFRESH_INTERVAL);
    let slot = world.introspection_slots.try_acquire();
    if was_just_asked || slot.is_err() {
        return Ok(snapshot.schema_cache.known(&snapshot.catalog, asker));
    }
    ask(world, snapshot, asker).await.map(Some)
}

/// An upstream that rejects what is new in an edition is asked in the one before. Once it has answered one, it is asked
/// in that.
pub(crate) async fn ask_now(
    world: &Services,
    snapshot: &Arc<Snapshot>,
    asker: &SchemaRequest<'_>,
) -> Result<(ContentHash, Arc<MergedSchema>), SchemaError> {
    let mut rejected = SchemaError::Ended;
    for edition in world.introspection_edition.load(Ordering::Relaxed)..EDITIONS {
        match ask_in(world, snapshot, asker, edition).await {
            Err(error @ SchemaError::Answer(ClientSchemaError::Refused(_))) => rejected = error,
            Ok(found) => {
                world.introspection_edition.store(edition, Ordering::Relaxed);
                return Ok(found);
            }
            error => return error,
        }
    }
    Err(rejected)
}

pub(crate) async fn ask_in(
    world: &Services,
    snapshot: &Arc<Snapshot>,
    asker: &SchemaRequest<'_>,
    edition: usize,
) -> Result<(ContentHash, Arc<MergedSchema>), SchemaError> {
    // Whoever asks shares what comes of it with others, so it is nobody's.
    let share = world.memory.empty(MemoryOwner::default());
    let question = UpstreamRequest {
        path: &asker.path,
        headers: &asker.headers,
        request_id: &asker.request_id,
        body: question(edition),
        may_repeat: Replay::Reads,
        answer_bytes_max: snapshot.catalog.limits.max_introspection_size,
        share: Some(&share),
        timeout: asker.timeout,
    };
    let answer = world.engine.ask(question).await?.body;
    share.grow(BUILT_PER_BYTE * answer.len()).map_err(|_| UpstreamError::NoRoom)?;
    let (snapshot, role) = (Arc::clone(snapshot), asker.role.clone().into_owned());
    // In a place of its own: a large schema takes milliseconds even when it is known.
    let build = move || {
        let built = snapshot.schema_cache.build(&snapshot.catalog, &answer, &role);
        drop(share);
        built
    };
    let built = tokio::task::spawn_blocking(build).await;
    built.map_err(|_| SchemaError::Ended)?
}
