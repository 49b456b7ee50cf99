//! All that was loaded, immutable, swapped whole. A request keeps the generation it began with.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::graphql::document::DocumentError;
use crate::graphql::plan::RootTypes;
use crate::graphql::scan::{ScanResult, Scanner};
use crate::graphql::schema::{self, RoleSchema};
use crate::model::action::{ADMIN_ROLE, ActionSchema};
use crate::model::limits::Limits;
use crate::model::response::Dialect;
use crate::pipeline::Services;
use crate::pipeline::loaded_config::LoadedConfig;
use crate::pipeline::plan_cache::PreparedDocument;
use crate::pipeline::schema_cache::SchemaCache;
use crate::traffic_shaping::TrafficPolicies;

/// The current snapshot.
pub type SnapshotCell = ArcSwap<Snapshot>;

/// One generation of what was loaded and learned.
pub struct Snapshot {
    /// The actions and their types.
    pub schema: Arc<ActionSchema>,
    /// Finds their names in raw bytes.
    pub scanner: Arc<Scanner>,
    /// The names of the upstream's root types.
    pub roots: RootTypes,
    /// How errors are told.
    pub dialect: Dialect,
    /// What a document may cost.
    pub limits: Limits,
    /// Documents that were seen before, by their text.
    documents: Cache<Arc<str>, Arc<PreparedDocument>, ByBytes>,
    /// Every role that an action names.
    named_roles: HashSet<String>,
    /// What each kind of role sees. The kinds are those of the configuration, so there are few.
    role_schemas: DashMap<String, Arc<RoleSchema>>,
    /// Is introspection answered here?
    pub merges_introspection: bool,
    /// What guards the actions.
    pub guards: TrafficPolicies,
    /// What is configured.
    pub configured: Arc<LoadedConfig>,
    /// What is known of the upstream's schema.
    pub schema_cache: SchemaCache,
}

/// The kind of all roles that no action names.
const NO_PERMISSIONS: &str = "";

/// Documents up to this length are planned where they arrive; longer ones have a place of their own.
const INLINE_PLANNING_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone)]
struct ByBytes;

impl Weighter<Arc<str>, Arc<PreparedDocument>> for ByBytes {
    fn weight(&self, text: &Arc<str>, _: &Arc<PreparedDocument>) -> u64 {
        // Syntax tree, plans and masked texts were seen to take 20 to 30 times the text.
        1024 + 32 * text.len() as u64
    }
}

impl Snapshot {
    /// A generation with empty caches.
    #[must_use]
    pub fn new(
        schema: Arc<ActionSchema>,
        scanner: Arc<Scanner>,
        roots: RootTypes,
        dialect: Dialect,
        configured: &Arc<LoadedConfig>,
        guards: &TrafficPolicies,
    ) -> Self {
        let limits = configured.settings.limits.clone().for_actions(&schema);
        let introspection = &configured.settings.introspection;
        let bytes_max = limits.plan_cache_size as u64;
        let entries = limits.plan_cache_size / (4 * 1024);
        let named_roles = schema.actions.values().flat_map(|action| action.roles.iter().cloned()).collect();
        Self {
            guards: guards.after(&schema),
            configured: Arc::clone(configured),
            named_roles,
            schema,
            scanner,
            roots,
            dialect,
            documents: Cache::with_weighter(entries.max(16), bytes_max, ByBytes),
            role_schemas: DashMap::new(),
            merges_introspection: introspection.merges,
            schema_cache: SchemaCache::new(limits.schema_cache_size, introspection.vary_by_headers.clone()),
            limits,
        }
    }

    /// The same actions for an upstream that turned out to be another than was thought.
    #[must_use]
    pub fn for_upstream(&self, roots: RootTypes, dialect: Dialect) -> Self {
        let (schema, scanner) = (Arc::clone(&self.schema), Arc::clone(&self.scanner));
        Self::new(schema, scanner, roots, dialect, &self.configured, &self.guards)
    }

    /// Other actions for the same upstream.
    ///
    /// # Errors
    /// When their names are too many to look for.
    pub fn with_actions(&self, schema: ActionSchema) -> Result<Self, String> {
        self.with_configuration(&self.configured, Arc::new(schema))
    }

    /// Another configuration for the same upstream.
    ///
    /// # Errors
    /// When the actions' names are too many to look for.
    pub fn with_configuration(
        &self,
        configured: &Arc<LoadedConfig>,
        schema: Arc<ActionSchema>,
    ) -> Result<Self, String> {
        let names = schema.actions.keys().map(String::as_str);
        let scanner = Arc::new(Scanner::new(names).map_err(|error| error.to_string())?);
        Ok(Self::new(schema, scanner, self.roots.clone(), self.dialect, configured, &self.guards))
    }

    /// The document of this text, parsed now or before.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub async fn prepare(
        self: &Arc<Self>,
        world: &Services,
        text: &str,
    ) -> Result<Arc<PreparedDocument>, DocumentError> {
        if let Some(prepared) = self.documents.get(text) {
            world.metrics.plan_cache_hits.inc();
            return Ok(prepared);
        }
        world.metrics.plan_cache_misses.inc();
        let prepared = Arc::new(self.parse(world, text).await?);
        self.documents.insert(Arc::from(text), Arc::clone(&prepared));
        Ok(prepared)
    }

    async fn parse(self: &Arc<Self>, world: &Services, text: &str) -> Result<PreparedDocument, DocumentError> {
        if text.len() <= INLINE_PLANNING_BYTES_MAX || text.len() > self.limits.max_document_size {
            return PreparedDocument::new(self, text);
        }
        // Only the number of threads is bounded by this; who waits here holds nothing but his own text.
        let _slot = world.planning_slots.acquire().await;
        let (snapshot, text) = (Arc::clone(self), text.to_owned());
        let parsed = tokio::task::spawn_blocking(move || PreparedDocument::new(&snapshot, &text)).await;
        parsed.unwrap_or(Err(DocumentError::NotOneOperation))
    }

    /// May these bytes name an action, or introspection that is answered here?
    #[must_use]
    pub fn may_concern_us(&self, bytes: &[u8]) -> bool {
        match self.scanner.look(bytes) {
            ScanResult::Nothing => false,
            ScanResult::Introspection => self.merges_introspection,
            ScanResult::Action => true,
        }
    }

    /// May these bytes name an action?
    #[must_use]
    pub fn may_name_action(&self, bytes: &[u8]) -> bool {
        self.scanner.look(bytes) == ScanResult::Action
    }

    /// Does this document select an action? One that is too large to be parsed does if it names one; one that is no document
    /// does not, because nobody can carry it out.
    pub async fn selects_action(self: &Arc<Self>, world: &Services, document: &str) -> bool {
        if !self.may_name_action(document.as_bytes()) {
            return false;
        }
        match self.prepare(world, document).await {
            Ok(prepared) => prepared.concern.action,
            Err(DocumentError::Invalid { syntax: true, .. }) => false,
            Err(_) => true,
        }
    }

    /// What this role sees of the actions.
    ///
    /// # Errors
    /// The validator's words; see [`schema::of_actions`].
    pub fn schema_of(&self, role: &str) -> Result<Arc<RoleSchema>, String> {
        let kind = self.kind_of_role(role);
        if let Some(schema) = self.role_schemas.get(kind) {
            return Ok(Arc::clone(&schema));
        }
        let built = Arc::new(schema::of_actions(&self.schema, &self.roots, kind)?);
        self.role_schemas.insert(kind.to_owned(), Arc::clone(&built));
        Ok(built)
    }

    /// Roles that no action names see the same: nothing. A token can hold any name, a cache cannot.
    #[must_use]
    pub fn kind_of_role<'r>(&self, role: &'r str) -> &'r str {
        if role == ADMIN_ROLE || self.named_roles.contains(role) { role } else { NO_PERMISSIONS }
    }
}
