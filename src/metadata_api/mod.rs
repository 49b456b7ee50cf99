//! Hasura's metadata API for everything about actions and stored documents:
//! <https://hasura.io/docs/2.0/api-reference/metadata-api/index/>.
//! Everything else on its paths is the upstream's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::COOKIE;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::Client;

use crate::config::document::Document;
use crate::config::load::{documents_of, environment, read_document_files, read_files, surroundings, tolerated};
use crate::config::prefix;
use crate::config::resolve::Usable;
use crate::config::settings::{MetadataApi, Settings};
use crate::config::stored_documents::StoredDocuments;
use crate::config::stored_lists::StoredLists;
use crate::config::upstream_types::LookUp;
use crate::documents::trusted::TrustedDocuments;
use crate::graphql::merge_schema::upstream_type;
use crate::jobs::job::Filter;
use crate::metadata_api::error::ApiError;
use crate::metadata_api::folder::Folder;
use crate::metadata_api::own_documents::OwnDocuments;
use crate::metadata_api::postgres::Versioned;
use crate::metadata_api::run::Run;
use crate::model::action::{ADMIN_ROLE, ActionSchema, Tolerated};
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::replay::Replay;
use crate::model::secret::Secret;
use crate::model::source::{Diagnostic, Severity, summed_up};
use crate::postgres::{Database, DatabaseError};
use crate::request::context::RequestContext;
use crate::runtime::loaded_config::LoadedConfig;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::runtime::upstream_failure;
use crate::runtime::upstream_failure::{FailedRequest, UpstreamFailure};
use crate::runtime::upstream_health_check::{schema_for, upstream_schema};
use crate::runtime::upstream_types;
use crate::telemetry::failure_log::UpstreamPurpose;
use crate::upstream::{UpstreamError, UpstreamRequest, UpstreamResponse};

pub(crate) mod command;
pub(crate) mod edit;
pub(crate) mod error;
pub(crate) mod export;
pub(crate) mod folder;
pub(crate) mod merged_export;
pub(crate) mod own_documents;
pub(crate) mod postgres;
pub(crate) mod run;
pub(crate) mod stored_command;
pub(crate) mod stored_edit;
pub(crate) mod transform_test;

/// The metadata API.
pub(crate) struct Api {
    store: Store,
    /// Held while the metadata changes.
    turn: Mutex<()>,
    /// The version of a shared document that is in use.
    seen: AtomicI64,
}

/// Where metadata is kept.
enum Store {
    Folder(Folder),
    Shared(Box<Database>),
}

/// A response: JSON.
#[derive(Debug)]
pub(crate) struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl From<ApiError> for ApiResponse {
    fn from(error: ApiError) -> Self {
        Self { status: error.status, body: error.to_json().to_string() }
    }
}

/// The proof that the caller is an admin. Only [`authenticate`] makes one.
#[derive(Debug)]
pub(crate) struct Admin(());

/// Authenticates the caller. `None` is an authenticated caller that is no admin. A cookie is no credential here:
/// browsers attach it to requests that pages of other origins make.
///
/// # Errors
/// Why the caller is rejected.
pub(crate) async fn authenticate(services: &Services, headers: &HeaderMap) -> Result<Option<Admin>, ApiError> {
    let configured = services.configured();
    let mut headers = headers.clone();
    headers.remove(COOKIE);
    let client = &*configured.handlers.here().general;
    match configured.authenticator.authenticate(client, &headers, || None).await {
        Ok(authenticated) => Ok((authenticated.session.role() == ADMIN_ROLE).then_some(Admin(()))),
        Err(error) => {
            Err(ApiError { status: error.status, path: "$".into(), ..ApiError::new(error.code, error.message) })
        }
    }
}

/// The error for callers that are not admins.
#[must_use]
pub(crate) fn not_an_admin() -> ApiError {
    ApiError::new("access-denied", "restricted access : admin only")
}

/// The paths of Hasura's metadata API.
pub(crate) const PATHS: [&str; 2] = ["/v1/metadata", "/v1/query"];

/// What is kept in a database, and takes precedence over the files.
pub(crate) struct KeptMetadata {
    /// The actions.
    pub schema: ActionSchema,
    /// The stored and the trusted documents.
    pub documents: (StoredDocuments, TrustedDocuments),
}

/// The stored document and its version, for the writer.
type Kept = (Document, Option<(Client, i64)>);

impl Api {
    /// Opens the configured store. Returns what it keeps, if that takes precedence over what was loaded.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) async fn open(
        settings: &Settings,
        admin_secret: Option<&Secret>,
    ) -> Result<Option<(Self, Option<KeptMetadata>)>, String> {
        let api = |store, seen| Self { store, turn: Mutex::default(), seen: AtomicI64::new(seen) };
        match &settings.metadata_api {
            MetadataApi::Off => Ok(None),
            MetadataApi::Folder(folder) => Ok(Some((api(Store::Folder(Folder::open(folder)?), 0), None))),
            MetadataApi::Postgres(database) => {
                let database = Database::new(database)?;
                let first = of_folder(settings)?;
                let Versioned { version, document } = crate::metadata_api::postgres::prepare(&database, &first)
                    .await
                    .map_err(|error| error.to_string())?;
                let surroundings = surroundings(settings, admin_secret, &environment);
                let resolved = document.resolve(&surroundings, None, &Tolerated::Everything);
                let Usable { schema, warnings } = resolved.map_err(|found| summary(&found))?;
                warn(&warnings);
                let documents = documents_of(settings, &document.stored).map_err(|found| summary(&found))?;
                let kept = KeptMetadata { schema, documents };
                Ok(Some((api(Store::Shared(Box::new(database)), version), Some(kept))))
            }
        }
    }

    /// Keeps commands waiting while the configuration is reloaded: each of both would put what it has read before in the place
    /// of what the other has changed since.
    pub(crate) async fn pause(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// What is kept, if it takes precedence over the files. Commands are waiting.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(crate) async fn kept(
        &self,
        _paused: &MutexGuard<'_, ()>,
        configured: &LoadedConfig,
    ) -> Result<Option<KeptMetadata>, String> {
        let Store::Shared(database) = &self.store else { return Ok(None) };
        let kept = async { crate::metadata_api::postgres::load(&database.connect().await?).await };
        let Versioned { version, document } = kept.await.map_err(|error: DatabaseError| error.to_string())?;
        let Usable { schema, warnings } = resolve(configured, &document, None).map_err(|found| summary(&found))?;
        warn(&warnings);
        let documents = documents_of(&configured.settings, &document.stored).map_err(|found| summary(&found))?;
        self.seen.store(version, Ordering::Relaxed);
        Ok(Some(KeptMetadata { schema, documents }))
    }

    /// The request in the body of an admin's, as a tree; [`crate::metadata_api::command::concerns_actions`] says whether it is needed.
    #[must_use]
    pub(crate) fn request_of(_: &Admin, body: &str) -> Option<Value> {
        serde_json::from_str(body).ok()
    }

    /// Handles an admin's request. It runs to completion, whether or not the caller still waits for the response.
    pub(crate) async fn response(
        self: &Arc<Self>,
        services: &Arc<Services>,
        _: Admin,
        request: Value,
        context: &Arc<RequestContext>,
    ) -> ApiResponse {
        let (api, services, context) = (Arc::clone(self), Arc::clone(services), Arc::clone(context));
        let response = tokio::spawn(async move {
            let response = match api.run(&services, &request, &context).await {
                Ok(response) | Err(response) => response,
            };
            let outcome = if response.status == 200 { "success" } else { "error" };
            services.metrics.metadata_requests.with_label_values(&[outcome]).inc();
            tracing::info!(
                command = crate::metadata_api::command::type_of(&request),
                status = response.status,
                "metadata"
            );
            response
        });
        response.await.unwrap_or_else(|_| unexpected("the request ended early").into())
    }

    async fn run(
        &self,
        services: &Services,
        request: &Value,
        context: &RequestContext,
    ) -> Result<ApiResponse, ApiResponse> {
        let _turn = self.turn.lock().await;
        let (document, place) = self.load().await?;
        let before = services.snapshot.load_full();
        let configured = Arc::clone(&before.configured);
        let upstream =
            if crate::metadata_api::command::is_about_types(request) { upstream_schema(services).await } else { None };
        let look_up = |name: &str| upstream.as_ref().and_then(|known| upstream_type(&known.schema, name));
        let look_up: Option<LookUp<'_>> = if upstream.is_some() { Some(&look_up) } else { None };
        let check = |document: &Document| match resolve(&configured, document, look_up) {
            Ok(usable) => usable.schema.inconsistent,
            Err(diagnostics) => {
                diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect()
            }
        };
        let is_hasura = before.catalog.roots.query == "query_root";
        if !is_hasura {
            check_version(request, &document)?;
        }
        let accepted = match &self.store {
            Store::Folder(_) => tolerated(&configured.settings),
            Store::Shared(_) => Tolerated::Everything,
        };
        let theirs = match is_hasura && crate::metadata_api::command::is_about_documents(request) {
            true => upstream_lists(services, context).await?,
            false => None,
        };
        let own_documents = OwnDocuments::new(&configured.settings);
        let run = Run::new(document.clone(), is_hasura, own_documents, &check);
        let mut run = run.accepting(&accepted).beside(theirs);
        let step = run.step(request, "$")?;
        let is_changed = run.document != document;
        let is_new = is_changed || run.reloads;
        let has_other_documents = run.reloads || run.document.stored != document.stored;
        let changed = (&run.document, has_other_documents);
        let next = if is_new { Some(self.next(services, &before, changed, look_up).await?) } else { None };
        let response = fetch_upstream(services, &run, context).await?;
        let responses = responses(&run, response.as_ref())?;
        if let Some((schema, next)) = next {
            if is_changed {
                self.save(&run.document, &schema, place).await?;
            }
            services.replace_snapshot(|_| Some(next));
        }
        clear(services, &run.cleared).await;
        Ok(ApiResponse { status: 200, body: step.response(&responses, version_of(&run.document)) })
    }

    /// The generation of a changed document, if the upstream has no names in it.
    async fn next(
        &self,
        services: &Services,
        before: &Snapshot,
        (document, has_other_documents): (&Document, bool),
        look_up: Option<LookUp<'_>>,
    ) -> Result<(ActionSchema, Snapshot), ApiError> {
        let rejected = |found: Vec<Diagnostic>| ApiError::new("unexpected", summary(&found));
        let resolved = resolve(&before.configured, document, look_up).map_err(rejected)?;
        upstream_types::log_inconsistent(&resolved.schema);
        let next = match has_other_documents {
            true => {
                let documents = documents_of(&before.configured.settings, &document.stored).map_err(rejected)?;
                let configured = Arc::new(before.configured.with_documents(documents));
                before.with_configuration(&configured, Arc::new(resolved.schema))
            }
            false => before.with_actions(resolved.schema),
        };
        let next = Arc::new(next.map_err(|reason| unexpected(&reason))?);
        if let Err(error) = schema_for(services, &next, ADMIN_ROLE, HeaderMap::new()).await
            && !error.conflicts().is_empty()
        {
            return Err(ApiError::new("invalid-configuration", format!("Inconsistent object: {error}")));
        }
        services.open_jobs_for(&next.catalog.schema).await.map_err(|reason| unexpected(&reason))?;
        let next = Arc::into_inner(next).ok_or_else(|| unexpected("the new generation is in use already"))?;
        // The files are written in the actions' own names, whatever prefixes they have here.
        let own = resolve_unprefixed(&before.configured, document, look_up).map_err(rejected)?;
        Ok((own.schema, next))
    }

    async fn load(&self) -> Result<Kept, ApiError> {
        match &self.store {
            Store::Folder(folder) => Ok((folder.load().map_err(|reason| unexpected(&reason))?, None)),
            Store::Shared(database) => {
                let client = database.connect().await?;
                let Versioned { version, document } = crate::metadata_api::postgres::load(&client).await?;
                Ok((document, Some((client, version))))
            }
        }
    }

    async fn save(
        &self,
        document: &Document,
        schema: &ActionSchema,
        place: Option<(Client, i64)>,
    ) -> Result<(), ApiError> {
        match (&self.store, place) {
            (Store::Folder(folder), _) => {
                let subjects = schema.inconsistent.iter().filter_map(|diagnostic| diagnostic.subject.as_deref());
                let mut accepted: Vec<String> = subjects.map(ToString::to_string).collect();
                accepted.sort();
                accepted.dedup();
                folder.save(document, &schema.types, &accepted).map_err(|error| unexpected(&error.to_string()))
            }
            (Store::Shared(_), Some((client, version))) => {
                match crate::metadata_api::postgres::save(&client, version, document).await? {
                    Some(version) => {
                        self.seen.store(version, Ordering::Relaxed);
                        Ok(())
                    }
                    None => Err(conflict("another replica has just changed the metadata; try again".into())),
                }
            }
            (Store::Shared(_), None) => Err(unexpected("there is no connection to the database")),
        }
    }

    /// Takes over what other replicas change. Never returns.
    pub(crate) async fn watch(&self, services: &Services) {
        let Store::Shared(database) = &self.store else { return };
        let mut client = None;
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            let watched = &services.health.dependencies.metadata_database;
            match self.check(services, database, &mut client).await {
                Ok(()) => watched.found(DATABASE),
                Err(error) => {
                    client = None;
                    watched.missed(DATABASE, &Reason::new(ErrorKind::ConnectionFailed, error.to_string()));
                    tokio::time::sleep(WATCH_PAUSE).await;
                }
            }
        }
    }

    async fn check(
        &self,
        services: &Services,
        database: &Database,
        client: &mut Option<Client>,
    ) -> Result<(), DatabaseError> {
        let known = match client.take() {
            Some(known) => known,
            None => database.connect().await?,
        };
        let known = client.insert(known);
        if crate::metadata_api::postgres::version(known).await? == self.seen.load(Ordering::Relaxed) {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        let Versioned { version, document } = crate::metadata_api::postgres::load(known).await?;
        if self.seen.swap(version, Ordering::Relaxed) == version {
            return Ok(());
        }
        let configured = services.configured();
        let resolved = resolve(&configured, &document, None);
        match resolved.and_then(|usable| Ok((usable, documents_of(&configured.settings, &document.stored)?))) {
            Err(found) => {
                tracing::error!(
                    version,
                    reason = summary(&found),
                    "metadata of another replica rejected, keeping the current one"
                );
            }
            Ok((Usable { schema, .. }, documents)) => {
                upstream_types::log_inconsistent(&schema);
                if let Err(reason) = services.open_jobs_for(&schema).await {
                    tracing::error!(reason, "job store not opened: asynchronous actions are rejected");
                }
                let (configured, schema) = (Arc::new(configured.with_documents(documents)), Arc::new(schema));
                services.replace_snapshot(|current| current.with_configuration(&configured, Arc::clone(&schema)).ok());
                tracing::info!(version, "metadata of another replica applied");
            }
        }
        Ok(())
    }
}

/// Deletes the jobs of actions that were dropped.
async fn clear(services: &Services, actions: &[String]) {
    let Ok(jobs) = services.jobs() else { return };
    for action in actions {
        let filter = Filter { action: Some(action.clone()), ..Filter::default() };
        while let Ok(1..) = jobs.log.purge(&filter, false, CLEAR_BATCH).await {}
    }
}

/// Jobs that are deleted at one time.
const CLEAR_BATCH: usize = 1_000;

/// How often to look whether another replica has changed something.
const WATCH_INTERVAL: Duration = Duration::from_millis(400);

/// How long to leave the database alone when it fails.
const WATCH_PAUSE: Duration = Duration::from_secs(2);

fn of_folder(settings: &Settings) -> Result<Document, String> {
    let mut diagnostics = Vec::new();
    let Some(folder) = &settings.metadata else { return Ok(Document::default()) };
    let files = read_files(folder, &mut diagnostics);
    let documents = read_document_files(folder, &BTreeMap::new(), &mut diagnostics);
    match diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error) {
        Some(diagnostic) => Err(diagnostic.to_string()),
        None => Ok(Document {
            stored: StoredLists::of_files(&documents),
            ..Document::of_files(&files.actions, files.inherited_roles.as_ref(), &files.signatures)
        }),
    }
}

/// What of a document can be used.
fn resolve(
    configured: &LoadedConfig,
    document: &Document,
    look_up: Option<LookUp<'_>>,
) -> Result<Usable, Vec<Diagnostic>> {
    let secret = configured.authenticator.admin_secret();
    document.resolve(&surroundings(&configured.settings, secret, &environment), look_up, &Tolerated::Everything)
}

fn resolve_unprefixed(
    configured: &LoadedConfig,
    document: &Document,
    look_up: Option<LookUp<'_>>,
) -> Result<Usable, Vec<Diagnostic>> {
    let prefixes = prefix::Prefixes::default();
    let secret = configured.authenticator.admin_secret();
    let mut surroundings = surroundings(&configured.settings, secret, &environment);
    surroundings.prefixes = &prefixes;
    document.resolve(&surroundings, look_up, &Tolerated::Everything)
}

fn summary(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|one| one.severity == Severity::Error);
    let messages = errors.map(|one| match &one.subject {
        Some(subject) => format!("{subject}: {}", one.message),
        None => one.message.clone(),
    });
    messages.collect::<Vec<_>>().join("; ")
}

fn warn(warnings: &[Diagnostic]) {
    for warning in summed_up(warnings) {
        tracing::warn!("{warning}");
    }
}

/// What the database is called in the log: its address may hold a password.
const DATABASE: &str = "postgresql";

/// A number that changes with the metadata: what Hasura calls its version.
fn version_of(document: &Document) -> u32 {
    let digest = digest(&SHA256, document.to_json().to_string().as_bytes());
    let start = digest.as_ref().first_chunk::<4>().copied().unwrap_or_default();
    // Readers of JSON may take it for a signed number.
    u32::from_be_bytes(start) >> 1
}

fn check_version(request: &Value, document: &Document) -> Result<(), ApiError> {
    let current = version_of(document);
    match request["resource_version"].as_u64() {
        Some(wanted) if wanted != u64::from(current) => {
            Err(conflict(format!("metadata resource version referenced ({wanted}) did not match current version")))
        }
        _ => Ok(()),
    }
}

fn conflict(error: String) -> ApiError {
    ApiError { status: 409, path: "$".into(), ..ApiError::new("conflict", error) }
}

fn unexpected(error: &str) -> ApiError {
    ApiError { status: 500, path: "$".into(), ..ApiError::new("unexpected", error) }
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        unexpected(&error.to_string())
    }
}

/// The stored documents that the upstream has; `None` if it has no metadata API.
async fn upstream_lists(services: &Services, context: &RequestContext) -> Result<Option<StoredLists>, ApiResponse> {
    let response = send_upstream(services, &json!({ "type": "export_metadata", "args": {} }), context).await?;
    if response.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let export = serde_json::from_slice::<Value>(&response.body).ok();
    let members = export.as_ref().and_then(Value::as_object);
    match members.filter(|_| response.status.is_success()) {
        Some(members) => Ok(Some(StoredLists::of_export(members))),
        None if response.status.is_success() => Err(no_metadata_api().into()),
        None => Err(ApiResponse {
            status: response.status.as_u16(),
            body: export
                .ok_or_else(|| failed_upstream(format!("the upstream response {}", response.status)))?
                .to_string(),
        }),
    }
}

async fn fetch_upstream(
    services: &Services,
    run: &Run<'_>,
    context: &RequestContext,
) -> Result<Option<UpstreamResponse>, ApiResponse> {
    let Some(request) = run.upstream_request() else { return Ok(None) };
    let response = send_upstream(services, &request, context).await?;
    if response.status.is_success() {
        return Ok(Some(response));
    }
    let error = serde_json::from_slice::<Value>(&response.body);
    let error = error.map_err(|_| failed_upstream(format!("the upstream response {}", response.status)))?;
    Err(ApiResponse { status: response.status.as_u16(), body: run.upstream_error(&error).to_string() })
}

async fn send_upstream(
    services: &Services,
    request: &Value,
    context: &RequestContext,
) -> Result<UpstreamResponse, ApiError> {
    let configured = services.configured();
    let question = UpstreamRequest {
        path: context.upstream_path(),
        headers: &context.caller.headers,
        request_id: &context.caller.request_id,
        body: Bytes::from(request.to_string()),
        replay: Replay::Never,
        max_response_bytes: configured.settings.limits.max_upstream_response_size,
        share: None,
        timeout: configured.settings.upstream.request_timeout,
    };
    let began = Instant::now();
    let response = services.upstream.fetch(&question).await;
    log_failure(services, context, &response, began.elapsed());
    response.map_err(|error| failed_upstream(error.to_string()))
}

fn failed_upstream(reason: String) -> ApiError {
    ApiError { status: 502, ..ApiError::new("upstream-error", reason) }
}

fn no_metadata_api() -> ApiError {
    failed_upstream("the upstream's response is not its metadata API's".into())
}

/// A rejected command is the client's, so only what is no response at all is a failure.
fn log_failure(
    services: &Services,
    context: &RequestContext,
    response: &Result<UpstreamResponse, UpstreamError>,
    duration: Duration,
) {
    let failure = match response {
        Err(error) => UpstreamFailure::of_error(error),
        Ok(response) if response.status.is_success() => return,
        Ok(response) => UpstreamFailure::of_status(response.status),
    };
    let (purpose, request_id) = (UpstreamPurpose::MetadataApi, context.caller.request_id.as_str());
    let trace_id = context.trace.trace_id.as_str();
    let request =
        FailedRequest { purpose, request_id, trace_id, operation_name: None, role: Some(ADMIN_ROLE), duration };
    upstream_failure::log(services, &failure, &request);
}

/// The upstream's replies, one for each of its commands.
fn responses<'r>(run: &Run<'_>, response: Option<&'r UpstreamResponse>) -> Result<Vec<&'r RawValue>, ApiError> {
    let Some(response) = response else { return Ok(Vec::new()) };
    let read = match run.upstreams.len() {
        1 => serde_json::from_slice::<&RawValue>(&response.body).map(|only| vec![only]),
        _ => serde_json::from_slice::<Vec<&RawValue>>(&response.body),
    };
    let responses = read.ok().filter(|responses| responses.len() == run.upstreams.len());
    responses.ok_or_else(no_metadata_api)
}
