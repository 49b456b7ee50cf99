//! The services that requests share, made once at start.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Semaphore;

use crate::config::load::Loaded;
use crate::graphql::scan::Scanner;
use crate::jobs::Jobs;
use crate::memory::Budget;
use crate::model::action::ActionSchema;
use crate::model::response::Dialect;
use crate::runtime::load_shedding::{LoadState, bounds};
use crate::runtime::loaded_config::LoadedConfig;
use crate::runtime::readiness::{FatalError, Readiness};
use crate::runtime::reload_requests::ReloadRequests;
use crate::runtime::running_jobs::RunningJobs;
use crate::runtime::snapshot::{Snapshot, SnapshotCell};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Tracer;
use crate::traffic_shaping::TrafficPolicies;
use crate::traffic_shaping::per_client_limit::PerClient;
use crate::traffic_shaping::redis::RedisStore;
use crate::traffic_shaping::response_cache::ResponseCache;
use crate::upstream::UpstreamClient;

/// Everything that requests share.
pub(crate) struct Services {
    /// The loaded snapshot; swapped as a whole, by [`Services::replace_snapshot`].
    pub snapshot: SnapshotCell,
    /// Held while one generation makes way for the next.
    replacing: Mutex<()>,
    /// The upstream.
    pub upstream: UpstreamClient,
    /// Bounds the calls under way.
    pub call_slots: Semaphore,
    /// Bounds the planning of long documents, which would delay all other requests.
    pub planning_slots: Semaphore,
    /// Bounds the introspection under way: each may hold two large responses.
    pub introspection_slots: Semaphore,
    /// What requests, operations and connections may hold.
    pub memory: Arc<Budget>,
    /// Requests at one time, by client.
    pub client_requests: Arc<PerClient>,
    /// Streams of events at one time, by client.
    pub client_event_streams: Arc<PerClient>,
    /// The response cache.
    pub results: Arc<ResponseCache>,
    /// Where replicas count together, if they do.
    pub shared: Option<RedisStore>,
    /// What we count.
    pub metrics: Arc<Metrics>,
    /// The log of asynchronous actions, once it is open.
    jobs: OnceLock<Arc<Jobs>>,
    /// The jobs that this replica runs.
    pub running_jobs: RunningJobs,
    /// Where a reload of the configuration is requested.
    pub reloads: ReloadRequests,
    /// Collects spans, if tracing is configured.
    pub tracer: Option<Tracer>,
    /// Is it overloaded?
    pub overload: LoadState,
    /// Can requests be served?
    pub readiness: Readiness,
    /// The newest edition of the introspection query that the upstream is believed to take.
    pub introspection_edition: AtomicUsize,
    /// Has the upstream's schema ever been merged with the actions?
    pub schema_was_good: AtomicBool,
    /// Why the program must end, if it must.
    pub fatal: FatalError,
}

/// More wait: introspection comes from people and tools, in small numbers.
const INTROSPECTIONS_AT_ONCE: usize = 8;

impl Services {
    /// Assembles the services. Nothing is connected yet.
    ///
    /// # Errors
    /// What cannot be used: a file of authorities, a key.
    pub(crate) fn new(loaded: Loaded) -> Result<Self, String> {
        let Loaded { settings, schema, fingerprints, .. } = loaded;
        let metrics = Arc::new(Metrics::new().map_err(|error| error.to_string())?);
        let configured = Arc::new(LoadedConfig::new(settings, fingerprints, &metrics, None)?);
        let settings = &configured.settings;
        let scanner = Scanner::new(schema.actions.keys().map(String::as_str)).map_err(|error| error.to_string())?;
        let dialect = settings.dialect.unwrap_or(Dialect::Standard);
        let roots = settings.root_types(dialect);
        let snapshot = Snapshot::new(
            Arc::new(schema),
            Arc::new(scanner),
            roots,
            dialect,
            &configured,
            &TrafficPolicies::default(),
        );
        let planners = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            snapshot: SnapshotCell::from_pointee(snapshot),
            replacing: Mutex::default(),
            upstream: UpstreamClient::new(&settings.upstream)?,
            call_slots: Semaphore::new(settings.limits.max_concurrent_handler_calls.min(Semaphore::MAX_PERMITS)),
            planning_slots: Semaphore::new(planners),
            introspection_slots: Semaphore::new(INTROSPECTIONS_AT_ONCE),
            memory: Budget::new(&metrics.buffered_bytes, &metrics.memory_rejections, bounds(&settings.limits)),
            client_requests: PerClient::new(),
            client_event_streams: PerClient::new(),
            results: Arc::new(ResponseCache::new(settings.handlers.response_cache_size)),
            shared: settings.redis_url.as_ref().map(|url| RedisStore::new(url.expose())).transpose()?,
            tracer: settings.traces.clone().map(|traces| Tracer::new(traces, metrics.spans.clone())),
            metrics,
            jobs: OnceLock::new(),
            running_jobs: RunningJobs::default(),
            reloads: ReloadRequests::default(),
            overload: LoadState::default(),
            readiness: Readiness::default(),
            introspection_edition: AtomicUsize::new(0),
            schema_was_good: AtomicBool::new(false),
            fatal: FatalError::default(),
        })
    }

    /// The current configuration.
    #[must_use]
    pub(crate) fn configured(&self) -> Arc<LoadedConfig> {
        Arc::clone(&self.snapshot.load().configured)
    }

    /// The log of asynchronous actions.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn jobs(&self) -> Result<&Arc<Jobs>, String> {
        self.jobs.get().ok_or_else(|| "there is no store for asynchronous actions".into())
    }

    /// Opens the log of asynchronous actions if `schema` has one, and it is not open yet.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(crate) async fn open_jobs_for(&self, schema: &ActionSchema) -> Result<(), String> {
        if self.jobs.get().is_none() && schema.actions.values().any(|action| action.is_async) {
            let jobs = Jobs::open(&self.configured().settings.jobs, true).await?;
            // The lock on metadata changes is held here, so the store cannot be opened twice.
            let _ = self.jobs.set(Arc::new(jobs));
        }
        Ok(())
    }

    /// Makes the next generation out of this one; the caller holds the lock. `None` leaves it.
    pub(crate) fn replace_snapshot(&self, next: impl FnOnce(&Snapshot) -> Option<Snapshot>) {
        let _turn = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = next(&self.snapshot.load()) {
            self.snapshot.store(Arc::new(next));
        }
    }
}
