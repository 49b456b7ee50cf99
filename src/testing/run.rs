//! Runs the cases of a test file, each against services of its own, so that no case depends on another one.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::BytesMut;
use http::HeaderMap;
use uuid::Uuid;

use crate::config::load::{Assumed, Loaded};
use crate::config::upstream_types::undecided;
use crate::graphql::suggestions::did_you_mean;
use crate::job_runner::worker;
use crate::model::action::ActionSchema;
use crate::model::secret::Secret;
use crate::model::source::Diagnostic;
use crate::protocol::http1::response::take_response_head;
use crate::runtime::services::{Services, StandIns};
use crate::runtime::upstream_health_check;
use crate::server::in_memory::InMemoryListener;
use crate::testing::case::{Case, CaseRequest};
use crate::testing::compare;
use crate::testing::compare::{ClientResponse, Mismatch};
use crate::testing::isolate::{isolate, unreachable_authentication};
use crate::testing::report::{CaseOutcome, CaseReport, milliseconds};
use crate::testing::scripted_handlers::ScriptedHandlers;
use crate::testing::scripted_upstream::ScriptedUpstream;
use crate::testing::suite::Suite;
use crate::testing::upstream_schema::DescribedUpstream;

/// Loads the configuration with what a test file assumes.
pub(crate) type Load<'l> = &'l dyn Fn(&Assumed<'_>) -> Result<Loaded, Vec<Diagnostic>>;

/// A case that was run.
pub(crate) struct CaseRun {
    /// What it came to.
    pub report: CaseReport,
    /// What the client got, if anything.
    pub response: Option<ClientResponse>,
}

/// Where a handler is, and what a secret is, if the test file does not say it.
const UNSET: &str = "http://handler.invalid";

/// An upstream that does not exist, if none is configured.
const NO_UPSTREAM: &[(&str, &str)] = &[("upstream.url", "http://upstream.invalid")];

/// The cases that were run, and what looks wrong in the configuration all the same.
pub(crate) type Runs = (Vec<CaseRun>, Vec<Diagnostic>);

/// Runs those cases of a file whose name has `filter` in it, in order.
///
/// # Errors
/// What is wrong with the configuration, or with the file.
pub(crate) async fn run(
    suite: &Suite,
    load: Load<'_>,
    schema: Option<&Arc<DescribedUpstream>>,
    filter: &str,
) -> Result<Runs, Vec<Diagnostic>> {
    let assumed = Assumed {
        settings: NO_UPSTREAM,
        variables: suite.environment.clone(),
        unset_variable: Some(UNSET),
        is_isolated: true,
        ..Assumed::default()
    };
    let loaded = load(&assumed)?;
    let diagnostics = unknown_actions(suite, &loaded.schema);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    // Those without a place are about variables, which a case sets itself.
    let mut warnings = loaded.warnings;
    warnings.retain(|warning| warning.place.is_some());
    if schema.is_none() {
        warnings.extend(undecided(&loaded.schema));
    }
    let mut runs = Vec::new();
    for case in suite.cases.iter().filter(|case| case.name.contains(filter)) {
        runs.push(run_case(case, load(&assumed)?, schema).await);
    }
    Ok((runs, warnings))
}

fn unknown_actions(suite: &Suite, schema: &ActionSchema) -> Vec<Diagnostic> {
    let names: Vec<&str> = schema.actions.values().map(|action| action.name.as_str()).collect();
    let (mut found, mut known) = (Vec::new(), HashSet::new());
    for (name, place) in suite.cases.iter().flat_map(|case| &case.handler_places) {
        // What cases share is named once.
        if !names.contains(&name.as_str()) && known.insert((place.line, place.column)) {
            let message = format!("there is no action \"{name}\".{}", did_you_mean(name, names.iter().copied()));
            found.push(Diagnostic::error(Some(place.clone()), message, "write the name of an action of actions.yaml"));
        }
    }
    found
}

async fn run_case(case: &Case, loaded: Loaded, schema: Option<&Arc<DescribedUpstream>>) -> CaseRun {
    let began = Instant::now();
    let log = Log::default();
    let job_store = TemporaryFile::new();
    let outcome = {
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone());
        let _logs = tracing::subscriber::set_default(subscriber.finish());
        exchange(case, loaded, schema, &job_store.0).await
    };
    let (response, mismatches) = match outcome {
        Ok((response, mismatches)) => (Some(response), mismatches),
        Err(reason) => (None, vec![Mismatch::new("the case", "a response", reason)]),
    };
    let outcome = if mismatches.is_empty() { CaseOutcome::Passed } else { CaseOutcome::Failed };
    let report = CaseReport {
        name: case.name.clone(),
        line: case.place.line,
        outcome,
        duration_ms: milliseconds(began.elapsed()),
        log: if mismatches.is_empty() { Vec::new() } else { log.lines() },
        mismatches,
    };
    CaseRun { report, response }
}

/// Sends the request of a case, and compares what came of it.
async fn exchange(
    case: &Case,
    mut loaded: Loaded,
    schema: Option<&Arc<DescribedUpstream>>,
    job_store: &Path,
) -> Result<(ClientResponse, Vec<Mismatch>), String> {
    if let Some(reason) = unreachable_authentication(&loaded.settings, case) {
        return Err(reason.to_owned());
    }
    let secret = isolate(&mut loaded.settings, job_store);
    let handlers = Arc::new(ScriptedHandlers::new(case.handlers.clone()));
    let upstream = Arc::new(ScriptedUpstream::new(schema.cloned(), case.upstream.clone()));
    let stand_ins = StandIns { handlers: Some(handlers.clone()), upstream: Some(upstream.clone()) };
    let services = Arc::new(Services::with_stand_ins(loaded, stand_ins)?);
    services.open_jobs_for(&services.snapshot.load().catalog.schema).await?;
    if schema.is_some() {
        learn_schema(case, &services).await?;
    }
    let caller = caller_headers(case, secret.as_ref());
    let response = send(&services, &bytes_of(&case.request, &caller)).await?;
    let mut mismatches = match &case.expect {
        Some(expected) => compare::response(expected, &response),
        None => vec![Mismatch::new("expect", "the case says nothing of its response", response.body.clone())],
    };
    let unexpected = handlers.unexpected().into_iter().chain(upstream.unexpected());
    mismatches.extend(unexpected.map(|one| Mismatch::new("requests", "those for which the case has a response", one)));
    if let Some(wanted) = &case.handlers_saw {
        mismatches.extend(compare::seen("handler call", wanted, &handlers.seen()));
    }
    if let Some(wanted) = &case.upstream_saw {
        mismatches.extend(compare::seen("request to the upstream", wanted, &upstream.seen()));
    }
    Ok((response, mismatches))
}

/// Has the services learn the upstream's dialect and its schema, as an admin and as the case's caller see it.
async fn learn_schema(case: &Case, services: &Services) -> Result<(), String> {
    upstream_health_check::probe(services).await;
    if let Some(reason) = services.health.fatal.reason() {
        return Err(reason.to_owned());
    }
    if let Some(role) = &case.role {
        let learned = upstream_health_check::schema_of(services, role, HeaderMap::new()).await;
        learned.map_err(|error| format!("the upstream's schema cannot be used: {error}"))?;
    }
    Ok(())
}

async fn send(services: &Arc<Services>, request: &[u8]) -> Result<ClientResponse, String> {
    let listener = InMemoryListener::new(services);
    // Dropped with the response: jobs are stored meanwhile.
    let response = tokio::select! {
        response = listener.exchange(request) => response,
        () = worker::work(services) => Err(std::io::ErrorKind::Other.into()),
    };
    read_response(&response.map_err(|error| error.to_string())?)
}

/// The headers that make the caller one in the role of the case.
fn caller_headers(case: &Case, secret: Option<&Secret>) -> Vec<(String, String)> {
    let Some(role) = &case.role else { return case.session_variables.clone() };
    let mut headers = vec![("x-hasura-role".to_owned(), role.clone())];
    headers.extend(secret.map(|secret| ("x-hasura-admin-secret".to_owned(), secret.expose().to_owned())));
    headers.extend(case.session_variables.iter().cloned());
    headers
}

/// The request as it stands on the wire.
fn bytes_of(request: &CaseRequest, caller: &[(String, String)]) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.path).into_bytes();
    let has = |name: &str| request.headers.iter().any(|(known, _)| known == name);
    let mut add = |name: &str, value: &str| bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    if !has("host") {
        add("host", "localhost");
    }
    for (name, value) in request.headers.iter().chain(caller.iter().filter(|(name, _)| !has(name))) {
        add(name, value);
    }
    if !request.body.is_empty() || request.method != http::Method::GET {
        add("content-length", &request.body.len().to_string());
    }
    add("connection", "close");
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&request.body);
    bytes
}

fn read_response(bytes: &[u8]) -> Result<ClientResponse, String> {
    let mut buffer = BytesMut::from(bytes);
    match take_response_head(&mut buffer) {
        Ok(Some(head)) => Ok(ClientResponse {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8_lossy(&buffer).into_owned(),
        }),
        Ok(None) | Err(_) => Err("the connection ended without a response".to_owned()),
    }
}

/// What is logged while a case runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

/// Bytes of a case's log that are held.
const LOG_BYTES_MAX: usize = 64 * 1024;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() < LOG_BYTES_MAX {
            held.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&held).lines().map(|line| line.trim().to_owned()).collect()
    }
}

/// A file that is removed with this, and those that SQLite makes beside it.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("pillion-test-{}.db", Uuid::new_v4())))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            // Most of them have never been there.
            let _ = std::fs::remove_file(format!("{}{suffix}", self.0.display()));
        }
    }
}
