//! What is known of the upstream's schema, as each kind of caller sees it, merged with the actions of his role.
//!
//! The upstream is asked with the caller's own headers, so that it shows what it shows to him. What it answered is kept
//! by its content; for whom it answered what is kept by role.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use http::HeaderMap;
use http::header::HeaderName;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::config::upstream_types::decide;
use crate::graphql::client_schema::{ClientSchemaError, UpstreamSchema, build_client_schema};
use crate::graphql::merge_schema::{Conflict, MergeError, merge, upstream_type};
use crate::graphql::schema::{self, RoleSchema};
use crate::memory::MemoryOwner;
use crate::model::action::{ADMIN_ROLE, ActionSchema};
use crate::model::replay::Replay;
use crate::model::types::TypeKind;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::{RequestContext, Services, upstream_types};
use crate::session::Session;
use crate::upstream::introspect::{EDITIONS, question};
use crate::upstream::{UpstreamError, UpstreamRequest};

/// The upstream's schema with the actions of one kind of role.
pub struct MergedSchema {
    /// No two have the same.
    pub id: u64,
    /// The schema.
    pub role_schema: RoleSchema,
    /// The types that nobody defines here and that the upstream has, as it has them.
    pub upstream_types: Vec<(String, TypeKind)>,
    /// The actions with all types decided, if an admin is shown this and any was not.
    pub decided: Option<ActionSchema>,
}

/// A response of the upstream, and what has been made of it.
struct LearnedTypes {
    schema: Arc<UpstreamSchema>,
    bytes: usize,
    /// By kind of role, of which there are few.
    by_role: DashMap<String, Merged>,
}

/// Keyed at random, so that nobody can make two responses that have the same.
type ContentHash = u64;

type Merged = Result<Arc<MergedSchema>, Arc<MergeError>>;

/// Everything known of the upstream's schema by one generation.
pub struct SchemaCache {
    by_content: Cache<ContentHash, Arc<LearnedTypes>, ByBytes>,
    callers: Cache<Vec<u8>, Arc<KnownSchema>>,
    /// What a caller's schema depends on beside his role.
    vary_by_headers: Vec<HeaderName>,
    hasher: RandomState,
    /// Why the schema is not known to a role, since it was last asked for.
    failures: Mutex<BTreeMap<String, String>>,
}

/// What one kind of caller is known to see.
#[derive(Default)]
struct KnownSchema {
    last: Mutex<Option<SchemaFetch>>,
    /// Held while the upstream is asked, so that all who wait for the response share it.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct SchemaFetch {
    at: Instant,
    has_failed: bool,
    /// The last response that was a schema.
    answer: Option<ContentHash>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<ContentHash, Arc<LearnedTypes>> for ByBytes {
    fn weight(&self, _: &ContentHash, learned: &Arc<LearnedTypes>) -> u64 {
        MEMORY_PER_BYTE * learned.bytes as u64
    }
}

/// What a schema takes for each byte of the response it was made from: 1.3 were measured with 2,000 types, and merging
/// it with the actions of a few roles adds to that.
const MEMORY_PER_BYTE: u64 = 2;

/// What it takes while it is built, beside the response itself.
const BUILT_PER_BYTE: usize = 3;

/// Kinds of caller that are remembered. Roles come out of tokens, so there could be any number of them.
const CALLERS_MAX: usize = 1_000;

/// Roles whose failure is remembered, for people who look.
const FAILURES_MAX: usize = 10;

/// How soon the upstream may be asked again for the same kind of caller on our own account.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// How soon an upstream that gave no schema is asked again on our own account.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Why the upstream's schema is not known.
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
    /// The names that keep the two apart, if that is why.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        match self {
            Self::Merge(error) => match error.as_ref() {
                MergeError::Conflicts(conflicts) => conflicts,
                _ => &[],
            },
            _ => &[],
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

/// For whom the upstream is asked.
pub struct SchemaRequest<'a> {
    /// Path and query of the upstream.
    pub path: Cow<'a, str>,
    /// His headers.
    pub headers: Cow<'a, HeaderMap>,
    /// The id of his request.
    pub request_id: Cow<'a, str>,
    /// His role.
    pub role: Cow<'a, str>,
    /// How long the upstream may take.
    pub timeout: Duration,
}

impl<'a> SchemaRequest<'a> {
    /// The caller of a request.
    #[must_use]
    pub fn of(world: &Services, envelope: &RequestContext<'a>, session: &'a Session) -> Self {
        Self {
            path: envelope.path.into(),
            headers: Cow::Borrowed(&envelope.caller.headers),
            request_id: envelope.caller.request_id.as_str().into(),
            role: session.role().into(),
            timeout: world.engine.settings().request_timeout,
        }
    }

    /// The same for a task that outlives the request.
    #[must_use]
    pub fn into_owned(self) -> SchemaRequest<'static> {
        SchemaRequest {
            path: self.path.into_owned().into(),
            headers: Cow::Owned(self.headers.into_owned()),
            request_id: self.request_id.into_owned().into(),
            role: self.role.into_owned().into(),
            timeout: self.timeout,
        }
    }
}

impl SchemaCache {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(response_cache_size: usize, vary_by_headers: Vec<HeaderName>) -> Self {
        Self {
            by_content: Cache::with_weighter(64, response_cache_size as u64, ByBytes),
            callers: Cache::new(CALLERS_MAX),
            vary_by_headers,
            hasher: RandomState::new(),
            failures: Mutex::default(),
        }
    }

    /// The roles for whom the last response gave no schema, each with the reason; not all of them if there are many.
    #[must_use]
    pub fn failures(&self) -> BTreeMap<String, String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has no schema been seen yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_content.is_empty()
    }

    fn note_failure(&self, role: &str, failure: Option<&SchemaError>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(error) if failures.len() < FAILURES_MAX || failures.contains_key(role) => {
                failures.insert(role.to_owned(), error.to_string());
            }
            Some(_) => {}
            None => drop(failures.remove(role)),
        }
    }

    /// Beside the role and what is configured, it is the path that decides: Hasura has another schema on its relay path.
    fn caller(&self, asker: &SchemaRequest<'_>) -> Arc<KnownSchema> {
        let path = asker.path.split('?').next().unwrap_or_default();
        // Neither a path nor a header can hold these two, and a role comes last.
        let mut key = path.as_bytes().to_vec();
        for name in &self.vary_by_headers {
            key.push(b'\0');
            for value in asker.headers.get_all(name) {
                key.push(b'\n');
                key.extend_from_slice(value.as_bytes());
            }
        }
        key.push(b'\0');
        key.extend_from_slice(asker.role.as_bytes());
        // Never fails: the closure does not.
        let known = self.callers.get_or_insert_with(&key, || Ok::<_, std::convert::Infallible>(Arc::default()));
        known.unwrap_or_default()
    }

    /// The schema of a response, built now or before, merged with the actions of `role`.
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
                let schema = Arc::new(schema);
                let learned = Arc::new(LearnedTypes { schema, bytes: answer.len(), by_role: DashMap::new() });
                self.by_content.insert(hash, Arc::clone(&learned));
                learned
            }
        };
        Ok((hash, learned.merged(snapshot, role)?))
    }

    /// What callers like this one are known to see.
    #[must_use]
    pub fn known(&self, snapshot: &Snapshot, asker: &SchemaRequest<'_>) -> Option<Arc<MergedSchema>> {
        let hash = self.caller(asker).last()?.answer?;
        let learned = self.by_content.get(&hash)?;
        learned.merged(snapshot, &asker.role).ok()
    }

    /// What the upstream itself showed to callers like this one when it was last asked.
    #[must_use]
    pub fn of_upstream(&self, asker: &SchemaRequest<'_>) -> Option<Arc<UpstreamSchema>> {
        let hash = self.caller(asker).last()?.answer?;
        Some(Arc::clone(&self.by_content.get(&hash)?.schema))
    }

    /// May the upstream be asked for callers like this one, whose schema is not known, on our own account?
    #[must_use]
    pub fn is_worth_asking(&self, asker: &SchemaRequest<'_>) -> bool {
        match self.caller(asker).last() {
            None => true,
            Some(SchemaFetch { has_failed: true, at, .. }) => at.elapsed() >= RETRY_INTERVAL,
            // It was known, and did not stay in the cache.
            Some(SchemaFetch { has_failed: false, at, .. }) => at.elapsed() >= REFRESH_INTERVAL,
        }
    }
}

impl KnownSchema {
    fn last(&self) -> Option<SchemaFetch> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what came of asking; an upstream that fails for a while still has the schema that it had. Gives what was
    /// noted before.
    fn note(&self, answer: Option<ContentHash>) -> Option<SchemaFetch> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *last;
        let kept = answer.or(before.and_then(|asked| asked.answer));
        *last = Some(SchemaFetch { at: Instant::now(), has_failed: answer.is_none(), answer: kept });
        before
    }
}

impl LearnedTypes {
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
    /// Merges what the upstream shows with the actions of a role.
    ///
    /// # Errors
    /// [`MergeError`].
    pub fn new(engine: &UpstreamSchema, snapshot: &Snapshot, role: &str) -> Result<Self, MergeError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let look_up = |name: &str| upstream_type(&engine.schema, name);
        // An upstream may hide types from other roles.
        let decides = role == ADMIN_ROLE && !snapshot.schema.undecided.is_empty();
        let decided = decides.then(|| decide(&snapshot.schema, &look_up));
        let role_schema = match &decided {
            Some(decided) => {
                let own = schema::of_actions(decided, &snapshot.roots, role).map_err(MergeError::Invalid)?;
                merge(engine, &own, &decided.types, &snapshot.roots)?
            }
            None => {
                let own = snapshot.schema_of(role).map_err(MergeError::Invalid)?;
                merge(engine, &own, &snapshot.schema.types, &snapshot.roots)?
            }
        };
        let of_upstream = snapshot.schema.types.0.iter().filter(|(_, definition)| definition.is_upstreams);
        let upstream_types = of_upstream.filter_map(|(name, _)| Some((name.clone(), look_up(name)?))).collect();
        Ok(Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), role_schema, upstream_types, decided })
    }
}

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
        return Ok(snapshot.schema_cache.known(snapshot, asker));
    }
    ask(world, snapshot, asker).await.map(Some)
}

/// An upstream that rejects what is new in an edition is asked in the one before. Once it has answered one, it is asked
/// in that.
async fn ask_now(
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

async fn ask_in(
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
        answer_bytes_max: snapshot.limits.max_introspection_size,
        share: Some(&share),
        timeout: asker.timeout,
    };
    let answer = world.engine.ask(question).await?.body;
    share.grow(BUILT_PER_BYTE * answer.len()).map_err(|_| UpstreamError::NoRoom)?;
    let (snapshot, role) = (Arc::clone(snapshot), asker.role.clone().into_owned());
    // In a place of its own: a large schema takes milliseconds even when it is known.
    let build = move || {
        let built = snapshot.schema_cache.build(&snapshot, &answer, &role);
        drop(share);
        built
    };
    let built = tokio::task::spawn_blocking(build).await;
    built.map_err(|_| SchemaError::Ended)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::plan::RootTypes;
    use crate::graphql::scan::Scanner;
    use crate::model::response::Dialect;
    use crate::pipeline::loaded_config::LoadedConfig;
    use crate::traffic_shaping::TrafficPolicies;

    fn answer(description: &str) -> String {
        let field = r#"{"name":"a","args":[],"type":{"kind":"SCALAR","name":"Int"}}"#;
        let query = format!(r#"{{"kind":"OBJECT","name":"Query","interfaces":[],"fields":[{field}]}}"#);
        format!(
            r#"{{"data":{{"__schema":{{"description":"{description}","queryType":{{"name":"Query"}},"types":[{query}],"directives":[]}}}}}}"#
        )
    }

    fn snapshot(schema_cache_size: usize) -> Snapshot {
        let mut configured = LoadedConfig::of_defaults();
        configured.settings.limits.schema_cache_size = schema_cache_size;
        let scanner = Arc::new(Scanner::new([]).expect("no names"));
        let (roots, configured) = (RootTypes::usual(Dialect::Standard), Arc::new(configured));
        Snapshot::new(Arc::default(), scanner, roots, Dialect::Standard, &configured, &TrafficPolicies::default())
    }

    #[test]
    fn memory_is_bounded_however_many_roles_see_schemas_of_their_own() {
        let bytes = answer("role 00").len();
        let snapshot = snapshot(5 * bytes * usize::try_from(MEMORY_PER_BYTE).expect("a small number"));
        let schemas = &snapshot.schema_cache;
        for role in 0..20 {
            let built = schemas.build(&snapshot, answer(&format!("role {role:02}")).as_bytes(), "user");
            assert!(built.is_ok());
        }
        assert!(schemas.by_content.weight() <= schemas.by_content.capacity());
        assert!((1..=5).contains(&schemas.by_content.len()), "{}", schemas.by_content.len());
    }

    #[test]
    fn one_answer_is_built_once_and_merged_once_for_each_kind_of_role() {
        let snapshot = snapshot(1024 * 1024);
        let build = |role| snapshot.schema_cache.build(&snapshot, answer("the same").as_bytes(), role);
        let (Ok((_, one)), Ok((_, other))) = (build("unheard-of"), build("unheard-of-too")) else {
            panic!("not merged")
        };
        assert_eq!(one.id, other.id);
        assert!(build("admin").is_ok_and(|(_, admins)| admins.id != one.id));
        assert_eq!(snapshot.schema_cache.by_content.len(), 1);
    }
}
