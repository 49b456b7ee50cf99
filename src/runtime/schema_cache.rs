//! The schema cache: the upstream's schema as each kind of caller sees it, merged with the actions of its role.
//!
//! The upstream is introspected with the caller's own headers, so that it shows what this caller may see. Schemas are
//! stored by their content, and found by role.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use http::header::HeaderName;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::config::upstream_types::decide;
use crate::graphql::client_schema::{UpstreamSchema, read_client_schema};
use crate::graphql::known_types::KnownTypes;
use crate::graphql::merge_schema::{Conflict, MergeError, merge, upstream_type};
use crate::graphql::schema;
use crate::graphql::schema::RoleSchema;
use crate::graphql::schema_builder::ClientSchemaError;
use crate::graphql::{check_before, check_extension_fields};
use crate::model::action::{ADMIN_ROLE, ActionSchema};
use crate::model::error_kind::ErrorKind;
use crate::model::source::Diagnostic;
use crate::model::types::TypeKind;
use crate::request::context::RequestContext;
use crate::runtime::catalog::Catalog;
use crate::runtime::introspection_cache::IntrospectionCache;
use crate::upstream::UpstreamError;

/// The upstream's schema with the actions of one kind of role.
pub(crate) struct MergedSchema {
    /// No two have the same.
    pub id: u64,
    /// The schema.
    pub role_schema: RoleSchema,
    /// The upstream's definitions of the types that are not defined here.
    pub upstream_types: Vec<(String, TypeKind)>,
    /// The actions with all types decided, if an admin is shown this and any was not.
    pub decided: Option<ActionSchema>,
    /// What of the extension fields, and of the queries before calls, does not go with the upstream's schema.
    pub field_diagnostics: Vec<Diagnostic>,
}

/// A response of the upstream, and the schema built from it.
struct LearnedTypes {
    id: ResponseId,
    schema: Arc<UpstreamSchema>,
    /// With the response itself: the next one is compared with it while it comes, and then type by type.
    types: Arc<KnownTypes>,
    /// By kind of role, of which there are few.
    by_role: DashMap<String, Merged>,
}

/// Names a response for as long as it is in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseId {
    /// Finds it. It takes a small part of the time of SHA-256, and decides nothing: responses are compared.
    hash: u64,
    /// No two have the same.
    number: u64,
}

pub(crate) type Merged = Result<Arc<MergedSchema>, Arc<MergeError>>;

/// Everything known of the upstream's schema by one generation.
pub(crate) struct SchemaCache {
    by_hash: Cache<u64, Arc<LearnedTypes>, ByBytes>,
    callers: Cache<Vec<u8>, Arc<KnownSchema>>,
    /// Responses to clients, rendered from the merged schemas.
    pub(crate) rendered: IntrospectionCache,
    /// What a caller's schema depends on beside its role.
    vary_by_headers: Vec<HeaderName>,
    /// The last response that was read. Most that other callers receive are much like it.
    newest: Mutex<Option<ResponseId>>,
    /// Why the schema is not known to a role, since the last introspection.
    failures: Mutex<BTreeMap<String, String>>,
}

/// What one kind of caller is known to see.
#[derive(Default)]
pub(crate) struct KnownSchema {
    last: Mutex<Option<SchemaFetch>>,
    /// Held during an introspection, so that all who wait for the response share it (request coalescing).
    pub(crate) asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
pub(crate) struct SchemaFetch {
    pub(crate) at: Instant,
    pub(crate) has_failed: bool,
    /// The last response that was a schema.
    pub(crate) response: Option<ResponseId>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<u64, Arc<LearnedTypes>> for ByBytes {
    fn weight(&self, _: &u64, learned: &Arc<LearnedTypes>) -> u64 {
        MEMORY_PER_BYTE * learned.response().len() as u64
    }
}

/// What a schema takes for each byte of the response it was made from: the response, 1.3 more were measured with 2,000
/// types, and merging it with the actions of a few roles adds to that.
const MEMORY_PER_BYTE: u64 = 3;

/// This part of the memory is for rendered responses.
const RENDERED_PART: usize = 4;

/// Kinds of caller that are remembered. Roles come out of tokens, so there could be any number of them.
const CALLERS_MAX: usize = 1_000;

/// Roles whose failure is remembered, for people who look.
const FAILURES_MAX: usize = 10;

/// How soon the upstream may be introspected again for the same kind of caller on our own account.
pub(crate) const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// How soon an upstream that returned no schema is introspected again on our own account.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Why the upstream's schema is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    /// It could not be reached.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Its response is no schema.
    #[error(transparent)]
    Response(#[from] ClientSchemaError),
    /// It cannot be merged with the actions.
    #[error(transparent)]
    Merge(#[from] Arc<MergeError>),
    /// An internal error.
    #[error("a thread that built the schema has ended early")]
    Ended,
}

impl SchemaError {
    /// The names that keep the two apart, if that is why.
    #[must_use]
    pub(crate) fn conflicts(&self) -> &[Conflict] {
        match self {
            Self::Merge(error) => match error.as_ref() {
                MergeError::Conflicts(conflicts) => conflicts,
                _ => &[],
            },
            _ => &[],
        }
    }

    /// The cause, for metrics and logs.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Upstream(error) => error.kind(),
            Self::Response(ClientSchemaError::Rejected(_)) => ErrorKind::Rejected,
            Self::Response(ClientSchemaError::Malformed(_)) => ErrorKind::NotGraphql,
            Self::Response(ClientSchemaError::Incomplete(_) | ClientSchemaError::Invalid(_)) => ErrorKind::WrongShape,
            Self::Merge(_) => ErrorKind::SchemaConflict,
            Self::Ended => ErrorKind::Internal,
        }
    }
}

impl SchemaCache {
    /// Nothing is known yet. Schemas and what is rendered from them take `size` bytes together.
    #[must_use]
    pub(crate) fn new(size: usize, vary_by_headers: Vec<HeaderName>) -> Self {
        let rendered_size = size / RENDERED_PART;
        let schemas_size = size - rendered_size;
        Self {
            // So few that they are not spread over shards, of which each would hold a part of the bytes only.
            by_hash: Cache::with_weighter(16, schemas_size as u64, ByBytes),
            callers: Cache::new(CALLERS_MAX),
            rendered: IntrospectionCache::new(rendered_size),
            vary_by_headers,
            newest: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Takes over the schemas of the generation before. Callers are introspected for again; a schema that is the same as
    /// before is then merged with the actions of this generation, and not read again.
    pub(crate) fn adopt(&self, previous: &Self) {
        for (hash, learned) in previous.by_hash.iter() {
            self.by_hash.insert(hash, Arc::new(learned.unmerged()));
        }
        *self.newest() = *previous.newest();
    }

    /// The roles for whom the last response gave no schema, each with the reason; not all of them if there are many.
    #[must_use]
    pub(crate) fn failures(&self) -> BTreeMap<String, String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has no schema been seen yet by this generation?
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.callers.iter().all(|(_, known)| known.last().is_none_or(|last| last.response.is_none()))
    }

    /// How long ago the upstream was last introspected with success.
    #[must_use]
    pub(crate) fn age(&self) -> Option<Duration> {
        let last = self.callers.iter().filter_map(|(_, known)| known.last());
        last.filter(|last| !last.has_failed).map(|last| last.at.elapsed()).min()
    }

    pub(crate) fn note_failure(&self, role: &str, failure: Option<&SchemaError>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(error) if failures.len() < FAILURES_MAX || failures.contains_key(role) => {
                failures.insert(role.to_owned(), error.to_string());
            }
            Some(_) => {}
            None => drop(failures.remove(role)),
        }
    }

    /// Beside the role and the configured headers, the path decides: Hasura has another schema on its relay path.
    pub(crate) fn caller(&self, context: &RequestContext, role: &str) -> Arc<KnownSchema> {
        let path = context.upstream_path().split('?').next().unwrap_or_default();
        // Neither a path nor a header can hold these two, and a role comes last.
        let mut key = path.as_bytes().to_vec();
        for name in &self.vary_by_headers {
            key.push(b'\0');
            for value in context.caller.headers.get_all(name) {
                key.push(b'\n');
                key.extend_from_slice(value.as_bytes());
            }
        }
        key.push(b'\0');
        key.extend_from_slice(role.as_bytes());
        // Never fails: the closure does not.
        let known = self.callers.get_or_insert_with(&key, || Ok::<_, std::convert::Infallible>(Arc::default()));
        known.unwrap_or_default()
    }

    /// The schema of a response, built now or before, merged with the actions of `role`. Types that stand in the response
    /// before, of the same caller or of another one, are not read again.
    pub(crate) fn build(
        &self,
        catalog: &Catalog,
        response: &Bytes,
        (role, before): (&str, Option<ResponseId>),
    ) -> Result<(ResponseId, Arc<MergedSchema>), SchemaError> {
        let id = ResponseId::new(response);
        if let Some(known) = self.with_response(id.hash, response) {
            return Ok((known.id, known.merged(catalog, role)?));
        }
        let newest = *self.newest();
        let known = before.into_iter().chain(newest.filter(|newest| Some(*newest) != before));
        let known: Vec<_> = known.filter_map(|id| Some(Arc::clone(&self.learned(id)?.types))).collect();
        let (schema, types) = read_client_schema(response, &known)?;
        let (schema, types) = (Arc::new(schema), Arc::new(types));
        let learned = Arc::new(LearnedTypes { id, schema, types, by_role: DashMap::new() });
        // To merge it is to validate it. If that fails, the reason may be its own.
        let merged = learned.merged(catalog, role);
        if merged.is_err() {
            learned.schema.check()?;
        }
        // Another caller's may have come in between.
        let id = self.with_response(id.hash, response).map_or(id, |known| known.id);
        if id == learned.id {
            self.by_hash.insert(id.hash, learned);
        }
        *self.newest() = Some(id);
        Ok((id, merged?))
    }

    fn newest(&self) -> MutexGuard<'_, Option<ResponseId>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learned(&self, id: ResponseId) -> Option<Arc<LearnedTypes>> {
        self.by_hash.get(&id.hash).filter(|learned| learned.id == id)
    }

    fn with_response(&self, hash: u64, response: &Bytes) -> Option<Arc<LearnedTypes>> {
        self.by_hash.get(&hash).filter(|learned| learned.response() == response)
    }

    /// The last response to callers like this one that was a schema, if it is in the cache.
    #[must_use]
    pub(crate) fn last_response(&self, known: &KnownSchema) -> Option<(ResponseId, Bytes)> {
        let id = known.last()?.response?;
        Some((id, self.learned(id)?.response().clone()))
    }

    /// What this response has become for `role`, if it has been merged for such a role before.
    #[must_use]
    pub(crate) fn merged_before(&self, catalog: &Catalog, id: ResponseId, role: &str) -> Option<Merged> {
        self.learned(id)?.by_role.get(catalog.kind_of_role(role)).map(|merged| merged.clone())
    }

    /// What callers like this one are known to see.
    #[must_use]
    pub(crate) fn known(&self, catalog: &Catalog, context: &RequestContext, role: &str) -> Option<Arc<MergedSchema>> {
        let id = self.caller(context, role).last()?.response?;
        let learned = self.learned(id)?;
        learned.merged(catalog, role).ok()
    }

    /// What the upstream itself showed to callers like this one at the last introspection.
    #[must_use]
    pub(crate) fn of_upstream(&self, context: &RequestContext, role: &str) -> Option<Arc<UpstreamSchema>> {
        let id = self.caller(context, role).last()?.response?;
        Some(Arc::clone(&self.learned(id)?.schema))
    }

    /// May the upstream be introspected for callers like this one, whose schema is not known, on our own account?
    #[must_use]
    pub(crate) fn is_worth_asking(&self, context: &RequestContext, role: &str) -> bool {
        match self.caller(context, role).last() {
            None => true,
            Some(SchemaFetch { has_failed: true, at, .. }) => at.elapsed() >= RETRY_INTERVAL,
            // It was known, and did not stay in the cache.
            Some(SchemaFetch { has_failed: false, at, .. }) => at.elapsed() >= REFRESH_INTERVAL,
        }
    }
}

impl KnownSchema {
    pub(crate) fn last(&self) -> Option<SchemaFetch> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the result of an introspection; an upstream that fails for a while still has the previous schema.
    /// Returns the previous record.
    pub(crate) fn note(&self, response: Option<ResponseId>) -> Option<SchemaFetch> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *last;
        let kept = response.or(before.and_then(|asked| asked.response));
        *last = Some(SchemaFetch { at: Instant::now(), has_failed: response.is_none(), response: kept });
        before
    }
}

impl ResponseId {
    fn new(response: &Bytes) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);
        Self { hash: HASHER.hash_one(response), number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }
}

impl LearnedTypes {
    fn response(&self) -> &Bytes {
        self.types.response()
    }

    /// The same before it is merged with any actions.
    fn unmerged(&self) -> Self {
        Self { id: self.id, schema: Arc::clone(&self.schema), types: Arc::clone(&self.types), by_role: DashMap::new() }
    }

    fn merged(&self, catalog: &Catalog, role: &str) -> Merged {
        let kind = catalog.kind_of_role(role);
        if let Some(known) = self.by_role.get(kind) {
            return known.clone();
        }
        let merged = MergedSchema::new(&self.schema, catalog, kind).map(Arc::new).map_err(Arc::new);
        self.by_role.insert(kind.to_owned(), merged.clone());
        merged
    }
}

impl MergedSchema {
    /// Merges what the upstream shows with the actions of a role.
    ///
    /// # Errors
    /// [`MergeError`].
    pub(crate) fn new(upstream: &UpstreamSchema, catalog: &Catalog, role: &str) -> Result<Self, MergeError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let look_up = |name: &str| upstream_type(&upstream.schema, name);
        // An upstream may hide types from other roles.
        let decides = role == ADMIN_ROLE && !catalog.schema.undecided.is_empty();
        let decided = decides.then(|| decide(&catalog.schema, &look_up));
        let role_schema = match &decided {
            Some(decided) => {
                let own = schema::of_actions(decided, &catalog.roots, role).map_err(MergeError::Invalid)?;
                merge(upstream, &own, decided, &catalog.roots)?
            }
            None => {
                let own = catalog.schema_of(role).map_err(MergeError::Invalid)?;
                merge(upstream, &own, &catalog.schema, &catalog.roots)?
            }
        };
        let of_upstream = catalog.schema.types.0.iter().filter(|(_, definition)| definition.is_upstreams);
        let upstream_types = of_upstream.filter_map(|(name, _)| Some((name.clone(), look_up(name)?))).collect();
        let schema = decided.as_ref().unwrap_or(&catalog.schema);
        let mut field_diagnostics = check_extension_fields::diagnostics(&upstream.schema, schema, role);
        field_diagnostics.extend(check_before::diagnostics(&upstream.schema, schema, role));
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Ok(Self { id, role_schema, upstream_types, decided, field_diagnostics })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::root_types::RootTypes;
    use crate::graphql::scan::Scanner;
    use crate::model::limits::Limits;
    use crate::model::response::Dialect;

    fn response(description: &str) -> String {
        let field = r#"{"name":"a","args":[],"type":{"kind":"SCALAR","name":"Int"}}"#;
        let query = format!(r#"{{"kind":"OBJECT","name":"Query","interfaces":[],"fields":[{field}]}}"#);
        format!(
            r#"{{"data":{{"__schema":{{"description":"{description}","queryType":{{"name":"Query"}},"types":[{query}],"directives":[]}}}}}}"#
        )
    }

    fn catalog() -> Catalog {
        let scanner = Arc::new(Scanner::new([]).expect("no names"));
        let (roots, limits) = (RootTypes::usual(Dialect::Standard), Limits::default());
        Catalog::new(Arc::default(), scanner, roots, Dialect::Standard, limits, true)
    }

    #[test]
    fn memory_is_bounded_however_many_roles_see_schemas_of_their_own() {
        let bytes = response("role 00").len();
        let schemas = 5 * bytes * usize::try_from(MEMORY_PER_BYTE).expect("a small number");
        let size = schemas * RENDERED_PART / (RENDERED_PART - 1);
        let (schemas, catalog) = (SchemaCache::new(size, Vec::new()), catalog());
        for role in 0..20 {
            let built = schemas.build(&catalog, &response(&format!("role {role:02}")).into(), ("user", None));
            assert!(built.is_ok());
        }
        assert!(schemas.by_hash.weight() <= schemas.by_hash.capacity());
        assert!((1..=5).contains(&schemas.by_hash.len()), "{}", schemas.by_hash.len());
    }

    #[test]
    fn one_response_is_built_once_and_merged_once_for_each_kind_of_role() {
        let (schemas, catalog) = (SchemaCache::new(1024 * 1024, Vec::new()), catalog());
        let build = |role| schemas.build(&catalog, &response("the same").into(), (role, None));
        let (Ok((_, one)), Ok((_, other))) = (build("unheard-of"), build("unheard-of-too")) else {
            panic!("not merged")
        };
        assert_eq!(one.id, other.id);
        assert!(build("admin").is_ok_and(|(_, admins)| admins.id != one.id));
        assert_eq!(schemas.by_hash.len(), 1);
    }

    #[test]
    fn responses_of_one_hash_are_told_apart() {
        let (schemas, catalog) = (SchemaCache::new(1024 * 1024, Vec::new()), catalog());
        let (one, other) = (response("one").into(), response("other").into());
        let Ok((id, _)) = schemas.build(&catalog, &one, ("user", None)) else { panic!("not merged") };
        assert!(schemas.with_response(id.hash, &one).is_some() && schemas.with_response(id.hash, &other).is_none());
        let (schema, types) = read_client_schema(&other, &[]).expect("a schema");
        let (schema, types) = (Arc::new(schema), Arc::new(types));
        let id_of_other = ResponseId { hash: id.hash, ..ResponseId::new(&other) };
        let learned = LearnedTypes { id: id_of_other, schema, types, by_role: DashMap::new() };
        schemas.by_hash.insert(id.hash, Arc::new(learned));
        assert!(schemas.learned(id).is_none() && schemas.learned(id_of_other).is_some());
    }

    #[test]
    fn types_of_the_same_text_are_shared_by_the_schemas_of_callers() {
        let (schemas, catalog) = (SchemaCache::new(1024 * 1024, Vec::new()), catalog());
        let built = ["one", "other"].map(|description| {
            let built = schemas.build(&catalog, &response(description).into(), ("user", None));
            let id = built.ok().map(|(id, _)| id);
            id.and_then(|id| schemas.learned(id)).expect("a schema")
        });
        let [one, other] = built.each_ref().map(|learned| learned.schema.schema.get_object("Query"));
        assert!(one.zip(other).is_some_and(|(one, other)| one.ptr_eq(other)));
    }

    #[test]
    fn what_the_upstream_has_said_is_read_once_for_all_generations() {
        let (first, catalog) = (SchemaCache::new(1024 * 1024, Vec::new()), catalog());
        let Ok((id, before)) = first.build(&catalog, &response("the same").into(), ("user", None)) else {
            panic!("not merged")
        };
        let next = SchemaCache::new(1024 * 1024, Vec::new());
        next.adopt(&first);
        assert!(next.is_empty() && next.merged_before(&catalog, id, "user").is_none());
        let Ok((same, after)) = next.build(&catalog, &response("the same").into(), ("user", None)) else {
            panic!("not merged")
        };
        let schema = |schemas: &SchemaCache| schemas.learned(id).map(|learned| Arc::clone(&learned.schema));
        assert!(same == id && after.id != before.id);
        assert!(schema(&first).zip(schema(&next)).is_some_and(|(one, other)| Arc::ptr_eq(&one, &other)));
    }
}
