//! What is known of the engine's schema, as each kind of caller sees it, merged with the actions of his role.
//!
//! The engine is asked with the caller's own headers, so that it shows what it shows to him. What it answered is kept
//! by its content; for whom it answered what is kept by role.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use http::HeaderMap;
use http::header::HeaderName;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::snapshot::Snapshot;
use super::{Envelope, World};
use crate::graphql::client_schema::{ClientSchemaError, EngineSchema, build_client_schema};
use crate::graphql::merge_schema::{MergeError, merge};
use crate::graphql::schema::RoleSchema;
use crate::session::Session;
use crate::upstream::introspect::{EDITIONS, question};
use crate::upstream::{Question, UpstreamError};

/// The engine's schema with the actions of one kind of role.
pub struct MergedSchema {
    /// No two have the same.
    pub id: u64,
    /// The schema.
    pub role_schema: RoleSchema,
}

/// An answer of the engine, and what has been made of it.
struct Learned {
    schema: EngineSchema,
    bytes: usize,
    /// By kind of role, of which there are few.
    by_role: DashMap<String, Merged>,
}

/// Keyed at random, so that nobody can make two answers that have the same.
type ContentHash = u64;

type Merged = Result<Arc<MergedSchema>, Arc<MergeError>>;

/// Everything known of the engine's schema by one generation.
pub struct EngineSchemas {
    by_content: Cache<ContentHash, Arc<Learned>, ByBytes>,
    callers: Cache<String, Arc<Known>>,
    /// What a caller's schema depends on beside his role.
    varies_by: Vec<HeaderName>,
    hasher: RandomState,
}

/// What one kind of caller is known to see.
#[derive(Default)]
struct Known {
    last: Mutex<Option<Asked>>,
    /// Held while the engine is asked, so that all who wait for the answer share it.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct Asked {
    at: Instant,
    answer: Option<ContentHash>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<ContentHash, Arc<Learned>> for ByBytes {
    fn weight(&self, _: &ContentHash, learned: &Arc<Learned>) -> u64 {
        MEMORY_PER_BYTE * learned.bytes as u64
    }
}

/// What a schema takes for each byte of the answer it was made from: 1.3 were measured with 2,000 types, and merging
/// it with the actions of a few roles adds to that.
const MEMORY_PER_BYTE: u64 = 2;

/// Kinds of caller that are remembered. Roles come out of tokens, so there could be any number of them.
const CALLERS_MAX: usize = 1_000;

/// How soon the engine may be asked again for the same kind of caller on our own account.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// How soon an engine that gave no schema is asked again on our own account.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Why the engine's schema is not known.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It could not be asked.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Its answer is no schema.
    #[error(transparent)]
    Answer(#[from] ClientSchemaError),
    /// It cannot be merged with the actions.
    #[error(transparent)]
    Merge(#[from] Arc<MergeError>),
    /// A defect of ours.
    #[error("a thread that built the schema has ended early")]
    Ended,
}

impl SchemaError {
    fn conflicts(&self) -> i64 {
        match self {
            Self::Merge(error) => match error.as_ref() {
                MergeError::Conflicts(conflicts) => i64::try_from(conflicts.len()).unwrap_or(i64::MAX),
                _ => 0,
            },
            _ => 0,
        }
    }

    /// For the metric.
    fn label(&self) -> &'static str {
        match self {
            Self::Upstream(UpstreamError::TooLarge { .. }) => "too_large",
            Self::Upstream(_) => "failure",
            Self::Answer(ClientSchemaError::Refused(_)) => "refused",
            Self::Answer(ClientSchemaError::Malformed(_)) => "malformed",
            Self::Answer(ClientSchemaError::Incomplete(_) | ClientSchemaError::Invalid(_)) => "invalid",
            Self::Merge(error) if matches!(**error, MergeError::Conflicts(_)) => "conflict",
            Self::Merge(_) => "not_merged",
            Self::Ended => "defect",
        }
    }
}

/// For whom the engine is asked.
pub struct Asker {
    /// Path and query of the engine.
    pub path: String,
    /// His headers.
    pub headers: HeaderMap,
    /// The id of his request.
    pub request_id: String,
    /// His role.
    pub role: String,
    /// How long the engine may take.
    pub timeout: Duration,
}

impl Asker {
    /// The caller of a request.
    #[must_use]
    pub fn of(world: &World, envelope: &Envelope<'_>, session: &Session) -> Self {
        Self {
            path: envelope.path.to_owned(),
            headers: envelope.caller.headers.clone(),
            request_id: envelope.caller.request_id.clone(),
            role: session.role().to_owned(),
            timeout: world.engine.settings().timeout,
        }
    }
}

impl EngineSchemas {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(cache_bytes_max: usize, varies_by: Vec<HeaderName>) -> Self {
        Self {
            by_content: Cache::with_weighter(64, cache_bytes_max as u64, ByBytes),
            callers: Cache::new(CALLERS_MAX),
            varies_by,
            hasher: RandomState::new(),
        }
    }

    fn caller(&self, role: &str, headers: &HeaderMap) -> Arc<Known> {
        let mut key = Cow::Borrowed(role);
        for name in &self.varies_by {
            let key = key.to_mut();
            for value in headers.get_all(name) {
                key.push('\n');
                key.push_str(&String::from_utf8_lossy(value.as_bytes()));
            }
            key.push('\0');
        }
        // Never fails: the closure does not.
        let known = self.callers.get_or_insert_with(&*key, || Ok::<_, std::convert::Infallible>(Arc::default()));
        known.unwrap_or_default()
    }

    /// The schema of an answer, built now or before, merged with the actions of `role`.
    fn build(
        &self,
        snapshot: &Snapshot,
        answer: &[u8],
        role: &str,
    ) -> Result<(ContentHash, Arc<MergedSchema>), SchemaError> {
        let hash = self.hasher.hash_one(answer);
        let learned = match self.by_content.get(&hash) {
            Some(known) => known,
            None => {
                let schema = build_client_schema(answer)?;
                let learned = Arc::new(Learned { schema, bytes: answer.len(), by_role: DashMap::new() });
                self.by_content.insert(hash, Arc::clone(&learned));
                learned
            }
        };
        Ok((hash, learned.merged(snapshot, role)?))
    }

    /// What callers like this one are known to see.
    #[must_use]
    pub fn known(&self, snapshot: &Snapshot, role: &str, headers: &HeaderMap) -> Option<Arc<MergedSchema>> {
        let hash = self.caller(role, headers).last()?.answer?;
        let learned = self.by_content.get(&hash)?;
        learned.merged(snapshot, role).ok()
    }

    /// May the engine be asked for callers like this one, whose schema is not known, on our own account?
    #[must_use]
    pub fn is_worth_asking(&self, role: &str, headers: &HeaderMap) -> bool {
        match self.caller(role, headers).last() {
            None => true,
            Some(Asked { answer: None, at }) => at.elapsed() >= RETRY_INTERVAL,
            // It was known, and did not stay in the cache.
            Some(Asked { answer: Some(_), at }) => at.elapsed() >= REFRESH_INTERVAL,
        }
    }
}

impl Known {
    fn last(&self) -> Option<Asked> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, answer: Option<ContentHash>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Asked { at: Instant::now(), answer });
    }
}

impl Learned {
    fn merged(&self, snapshot: &Snapshot, role: &str) -> Merged {
        let kind = snapshot.kind_of_role(role);
        if let Some(known) = self.by_role.get(kind) {
            return known.clone();
        }
        let merged = MergedSchema::new(&self.schema, snapshot, kind).map(Arc::new).map_err(Arc::new);
        self.by_role.insert(kind.to_owned(), merged.clone());
        merged
    }
}

impl MergedSchema {
    /// Merges what the engine shows with the actions of a role.
    ///
    /// # Errors
    /// [`MergeError`].
    pub fn new(engine: &EngineSchema, snapshot: &Snapshot, role: &str) -> Result<Self, MergeError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let own = snapshot.schema_of(role).map_err(MergeError::Invalid)?;
        let role_schema = merge(engine, &own, &snapshot.schema.types, &snapshot.roots)?;
        Ok(Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), role_schema })
    }
}

/// Asks the engine what this caller sees, and merges it with the actions of his role.
///
/// # Errors
/// [`SchemaError`]; it has been logged and counted.
pub async fn ask(world: &World, snapshot: &Arc<Snapshot>, asker: &Asker) -> Result<Arc<MergedSchema>, SchemaError> {
    let known = snapshot.engine_schemas.caller(&asker.role, &asker.headers);
    let found = ask_now(world, snapshot, asker).await;
    let outcome = found.as_ref().map_or_else(SchemaError::label, |_| "success");
    world.metrics.introspections.with_label_values(&[outcome]).inc();
    world.metrics.schema_conflicts.set(found.as_ref().err().map_or(0, SchemaError::conflicts));
    let was_known = known.last().is_none_or(|asked| asked.answer.is_some());
    if let (Err(error), true) = (&found, was_known) {
        let role = asker.role.as_str();
        tracing::warn!(role, %error, "the engine's schema is not known; its parts of documents are left to itself");
    }
    known.set(found.as_ref().ok().map(|(hash, _)| *hash));
    found.map(|(_, merged)| merged)
}

/// The same on our own account, because a document seems to be wrong or nobody has asked in this role: unless somebody
/// like this caller has just asked, or too many are asking. Gives what is then known.
///
/// # Errors
/// [`SchemaError`].
pub async fn refresh(
    world: &World,
    snapshot: &Arc<Snapshot>,
    asker: &Asker,
) -> Result<Option<Arc<MergedSchema>>, SchemaError> {
    let known = snapshot.engine_schemas.caller(&asker.role, &asker.headers);
    let _turn = known.asking.lock().await;
    let was_just_asked = known.last().is_some_and(|asked| asked.at.elapsed() < REFRESH_INTERVAL);
    let slot = world.introspection_slots.try_acquire();
    if was_just_asked || slot.is_err() {
        return Ok(snapshot.engine_schemas.known(snapshot, &asker.role, &asker.headers));
    }
    ask(world, snapshot, asker).await.map(Some)
}

/// An engine that rejects what is new in an edition is asked in the one before. Once it has answered one, it is asked
/// in that.
async fn ask_now(
    world: &World,
    snapshot: &Arc<Snapshot>,
    asker: &Asker,
) -> Result<(ContentHash, Arc<MergedSchema>), SchemaError> {
    let mut refused = SchemaError::Ended;
    for edition in world.introspection_edition.load(Ordering::Relaxed)..EDITIONS {
        match ask_in(world, snapshot, asker, edition).await {
            Err(error @ SchemaError::Answer(ClientSchemaError::Refused(_))) => refused = error,
            Ok(found) => {
                world.introspection_edition.store(edition, Ordering::Relaxed);
                return Ok(found);
            }
            error => return error,
        }
    }
    Err(refused)
}

async fn ask_in(
    world: &World,
    snapshot: &Arc<Snapshot>,
    asker: &Asker,
    edition: usize,
) -> Result<(ContentHash, Arc<MergedSchema>), SchemaError> {
    let question = Question {
        path: &asker.path,
        headers: &asker.headers,
        request_id: &asker.request_id,
        body: question(edition),
        may_repeat: true,
        answer_bytes_max: snapshot.limits.introspection_bytes_max,
        timeout: asker.timeout,
    };
    let answer = world.engine.ask(question).await?.body;
    let (snapshot, role) = (Arc::clone(snapshot), asker.role.clone());
    // In a place of its own: a large schema takes milliseconds even when it is known.
    let built = tokio::task::spawn_blocking(move || snapshot.engine_schemas.build(&snapshot, &answer, &role)).await;
    built.map_err(|_| SchemaError::Ended)?
}
