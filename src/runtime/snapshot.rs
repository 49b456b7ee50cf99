//! The snapshot: everything that was loaded, immutable, swapped as a whole. A request keeps the generation that it
//! started with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::graphql::root_types::RootTypes;
use crate::graphql::scan::Scanner;
use crate::model::action::ActionSchema;
use crate::model::response::Dialect;
use crate::runtime::catalog::Catalog;
use crate::runtime::loaded_config::LoadedConfig;
use crate::runtime::plan_cache::PreparedDocument;
use crate::runtime::schema_cache::SchemaCache;
use crate::traffic_shaping::TrafficPolicies;

/// The current snapshot.
pub(crate) type SnapshotCell = ArcSwap<Snapshot>;

/// One generation of what was loaded and learned.
pub(crate) struct Snapshot {
    /// The catalog.
    pub catalog: Catalog,
    /// Documents that were seen before, by their text.
    pub(crate) documents: Cache<Arc<str>, Arc<PreparedDocument>, ByBytes>,
    /// What policies the actions.
    pub policies: TrafficPolicies,
    /// The configuration.
    pub configured: Arc<LoadedConfig>,
    /// The cached schemas of the upstream.
    pub schema_cache: SchemaCache,
}

#[derive(Clone)]
pub(crate) struct ByBytes;

impl Weighter<Arc<str>, Arc<PreparedDocument>> for ByBytes {
    fn weight(&self, text: &Arc<str>, _: &Arc<PreparedDocument>) -> u64 {
        // Syntax tree, plans and masked texts were seen to take 20 to 30 times the text.
        1024 + 32 * text.len() as u64
    }
}

impl Snapshot {
    /// A generation with empty caches: the first one.
    #[must_use]
    pub(crate) fn new(
        schema: Arc<ActionSchema>,
        scanner: Arc<Scanner>,
        roots: RootTypes,
        dialect: Dialect,
        configured: &Arc<LoadedConfig>,
        policies: &TrafficPolicies,
    ) -> Self {
        let limits = configured.settings.limits.clone().for_actions(&schema);
        let introspection = &configured.settings.introspection;
        let bytes_max = limits.plan_cache_size as u64;
        let entries = limits.plan_cache_size / (4 * 1024);
        Self {
            policies: policies.after(&schema),
            configured: Arc::clone(configured),
            documents: Cache::with_weighter(entries.max(16), bytes_max, ByBytes),
            schema_cache: SchemaCache::new(limits.schema_cache_size, introspection.vary_by_headers.clone()),
            catalog: Catalog::new(schema, scanner, roots, dialect, limits, introspection.merges)
                .trusting(&configured.trusted, configured.settings.documents.only),
        }
    }

    /// The same actions for an upstream that turned out to be another than was thought.
    #[must_use]
    pub(crate) fn for_upstream(&self, roots: RootTypes, dialect: Dialect) -> Self {
        let (schema, scanner) = (Arc::clone(&self.catalog.schema), Arc::clone(&self.catalog.scanner));
        self.followed_by(Self::new(schema, scanner, roots, dialect, &self.configured, &self.policies))
    }

    /// Other actions for the same upstream.
    ///
    /// # Errors
    /// When their names are too many to look for.
    pub(crate) fn with_actions(&self, schema: ActionSchema) -> Result<Self, String> {
        self.with_configuration(&self.configured, Arc::new(schema))
    }

    /// Another configuration for the same upstream.
    ///
    /// # Errors
    /// When the actions' names are too many to look for.
    pub(crate) fn with_configuration(
        &self,
        configured: &Arc<LoadedConfig>,
        schema: Arc<ActionSchema>,
    ) -> Result<Self, String> {
        let scanner = Arc::new(scanner_for(configured, &schema)?);
        let (roots, dialect) = (self.catalog.roots.clone(), self.catalog.dialect);
        Ok(self.followed_by(Self::new(schema, scanner, roots, dialect, configured, &self.policies)))
    }

    /// The next generation, with what this one has read of the upstream.
    fn followed_by(&self, next: Self) -> Self {
        next.schema_cache.adopt(&self.schema_cache);
        next
    }
}

/// Looks for the names of actions, and for ids of documents where some may be known here. Without actions, automatic persisted
/// queries are the upstream's business.
///
/// # Errors
/// When the names are too many to look for.
pub(crate) fn scanner_for(configured: &LoadedConfig, schema: &ActionSchema) -> Result<Scanner, String> {
    let documents = &configured.settings.documents;
    let has_names = schema.own_names().next().is_some();
    let knows_documents = !configured.trusted.is_empty() || has_names && documents.apq.is_some();
    let scanner =
        if knows_documents { Scanner::with_document_ids(schema.own_names()) } else { Scanner::new(schema.own_names()) };
    scanner.map_err(|error| error.to_string())
}
