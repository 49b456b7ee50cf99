//! The services that requests share, made once at start.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Semaphore;

use crate::config::load::Loaded;
use crate::config::settings::Settings;
use crate::handler_client::stand_in::HandlerStandIn;
use crate::http_client::connection_pool::Pool;
use crate::http_client::tls::ca_certificates;
use crate::jobs::Jobs;
use crate::memory::Budget;
use crate::model::action::ActionSchema;
use crate::model::response::Dialect;
use crate::runtime::load_shedding::{LoadState, bounds};
use crate::runtime::loaded_config::LoadedConfig;
use crate::runtime::persisted_queries::PersistedQueryStore;
use crate::runtime::readiness::{FatalError, Readiness};
use crate::runtime::reload_requests::ReloadRequests;
use crate::runtime::running_jobs::RunningJobs;
use crate::runtime::snapshot::{Snapshot, SnapshotCell, scanner_for};
use crate::runtime::unlisted_documents::UnlistedDocuments;
use crate::telemetry::availability::Dependency;
use crate::telemetry::failure_log::FailureLog;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::recent_failures::RecentFailures;
use crate::telemetry::span_watch::SpanWatches;
use crate::telemetry::traces::Tracer;
use crate::traffic_shaping::TrafficPolicies;
use crate::traffic_shaping::per_client_limit::PerClient;
use crate::traffic_shaping::redis::RedisStore;
use crate::traffic_shaping::response_cache::ResponseCache;
use crate::upstream::UpstreamClient;
use crate::upstream::stand_in::UpstreamStandIn;

/// Everything that requests share.
pub(crate) struct Services {
    /// The loaded snapshot; swapped as a whole, by [`Services::replace_snapshot`].
    pub snapshot: SnapshotCell,
    /// Held while one generation makes way for the next.
    replacing: Mutex<()>,
    /// The upstream.
    pub upstream: UpstreamClient,
    /// How much may go on at one time.
    pub slots: Slots,
    /// What requests, operations and connections may hold.
    pub memory: Arc<Budget>,
    /// What responses and counters of handler calls are shared by.
    pub traffic: TrafficStores,
    /// Automatic persisted queries.
    pub persisted_queries: PersistedQueryStore,
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
    /// The spans of single requests that are watched.
    pub span_watches: SpanWatches,
    /// How the process is.
    pub health: Health,
    /// How far the upstream's schema is known.
    pub schema: SchemaProgress,
    /// What responds in place of others.
    pub stand_ins: StandIns,
}

/// What responds inside the process in place of others. `pillion serve` has none.
#[derive(Clone, Default)]
pub(crate) struct StandIns {
    /// In place of handlers.
    pub handlers: Option<Arc<dyn HandlerStandIn>>,
    /// In place of the upstream.
    pub upstream: Option<Arc<dyn UpstreamStandIn>>,
}

/// How much may go on at one time.
pub(crate) struct Slots {
    /// Bounds the handler calls under way.
    pub handler_calls: Semaphore,
    /// Bounds the planning of long documents, which would delay all other requests.
    pub planning: Semaphore,
    /// Bounds the introspection under way: each may hold two large responses.
    pub introspection: Semaphore,
    /// Requests, by client.
    pub client_requests: Arc<PerClient>,
    /// Streams of events, by client.
    pub client_event_streams: Arc<PerClient>,
}

/// Where handler calls share responses and counters.
pub(crate) struct TrafficStores {
    /// The response cache.
    pub responses: Arc<ResponseCache>,
    /// Where replicas count and cache together, if they do.
    pub redis: Option<RedisStore>,
}

/// Whether the process can serve requests.
#[derive(Default)]
pub(crate) struct Health {
    /// Is it overloaded?
    pub load: LoadState,
    /// Can requests be served?
    pub readiness: Readiness,
    /// Why the program must end, if it must.
    pub fatal: FatalError,
    /// Where failed calls are logged.
    pub failures: FailureLog,
    /// The last of them, if there is a console.
    pub recent_failures: RecentFailures,
    /// Which documents were not trusted.
    pub unlisted_documents: UnlistedDocuments,
    /// What comes and goes without our doing.
    pub dependencies: Dependencies,
}

/// The dependencies whose changes are logged.
pub(crate) struct Dependencies {
    /// The upstream, as its health check sees it.
    pub upstream: Dependency,
    /// The job store, as workers see it.
    pub job_store: Dependency,
    /// The maintenance of the job store: what expires and what is deleted.
    pub job_maintenance: Dependency,
    /// The database of the metadata.
    pub metadata_database: Dependency,
}

impl Default for Dependencies {
    fn default() -> Self {
        Self {
            upstream: Dependency::unknown(
                "upstream unavailable: /readyz returns 503, and requests that need it fail",
                "upstream available again",
            ),
            job_store: Dependency::new("job store unavailable, retrying", "job store available again"),
            job_maintenance: Dependency::new(
                "job store maintenance failed, retrying",
                "job store maintenance works again",
            ),
            metadata_database: Dependency::new(
                "metadata database unavailable: changes by other replicas are not seen",
                "metadata database available again",
            ),
        }
    }
}

/// How far the upstream's schema is known.
#[derive(Default)]
pub(crate) struct SchemaProgress {
    /// The newest edition of the introspection query that the upstream is believed to take.
    pub edition: AtomicUsize,
    /// Has it ever been merged with the actions?
    pub was_good: AtomicBool,
}

/// More wait: introspection comes from people and tools, in small numbers.
const INTROSPECTIONS_AT_ONCE: usize = 8;

impl Services {
    /// Assembles the services. Nothing is connected yet.
    ///
    /// # Errors
    /// What cannot be used: a file of authorities, a key.
    pub(crate) fn new(loaded: Loaded) -> Result<Self, String> {
        Self::with_stand_ins(loaded, StandIns::default())
    }

    /// The same with stand-ins.
    ///
    /// # Errors
    /// What cannot be used: a file of authorities, a key.
    pub(crate) fn with_stand_ins(loaded: Loaded, stand_ins: StandIns) -> Result<Self, String> {
        let Loaded { settings, schema, documents, trusted, fingerprints, .. } = loaded;
        let metrics = Arc::new(Metrics::new().map_err(|error| error.to_string())?);
        let configured = Arc::new(LoadedConfig::new(settings, (documents, trusted), fingerprints, &metrics, None)?);
        let settings = &configured.settings;
        let scanner = scanner_for(&configured, &schema)?;
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
        Ok(Self {
            snapshot: SnapshotCell::from_pointee(snapshot),
            replacing: Mutex::default(),
            upstream: UpstreamClient::new(&settings.upstream)?.with_stand_in(stand_ins.upstream.clone()),
            slots: Slots::new(settings),
            memory: Budget::new(&metrics.buffered_bytes, &metrics.memory_rejections, bounds(&settings.limits)),
            traffic: TrafficStores::new(settings)?,
            persisted_queries: PersistedQueryStore::new(settings.documents.apq),
            tracer: settings.traces.clone().map(|traces| Tracer::new(traces, metrics.spans.clone())),
            metrics,
            jobs: OnceLock::new(),
            running_jobs: RunningJobs::default(),
            reloads: ReloadRequests::default(),
            span_watches: SpanWatches::default(),
            health: Health::default(),
            schema: SchemaProgress::default(),
            stand_ins,
        })
    }

    /// The current configuration.
    #[must_use]
    pub(crate) fn configured(&self) -> Arc<LoadedConfig> {
        Arc::clone(&self.snapshot.load().configured)
    }

    /// Does something with each connection pool of each thread, those to the upstream and those to handlers.
    pub(crate) fn for_each_pool(&self, act: impl Fn(&Pool)) {
        self.upstream.pools().for_each(&act);
        self.configured().handlers.all().filter_map(|client| client.plain.as_deref()).for_each(&act);
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

impl Slots {
    fn new(settings: &Settings) -> Self {
        let calls = settings.limits.max_concurrent_handler_calls.min(Semaphore::MAX_PERMITS);
        let planners = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            handler_calls: Semaphore::new(calls),
            planning: Semaphore::new(planners),
            introspection: Semaphore::new(INTROSPECTIONS_AT_ONCE),
            client_requests: PerClient::new(),
            client_event_streams: PerClient::new(),
        }
    }
}

impl TrafficStores {
    fn new(settings: &Settings) -> Result<Self, String> {
        let redis = settings.redis.as_ref().map(|address| {
            let file = address.tls_ca_file.as_deref();
            let authorities = file.map(|file| ca_certificates(file, "redis.tls_ca_file")).transpose()?;
            RedisStore::new(address, authorities)
        });
        let redis = redis.transpose()?;
        Ok(Self { responses: Arc::new(ResponseCache::new(settings.handlers.response_cache_size)), redis })
    }
}
