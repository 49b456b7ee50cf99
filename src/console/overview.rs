//! The overview: the state of the upstream, the configuration, breakers and jobs, and what `pillion check` and `pillion doctor` find.

use std::time::SystemTime;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::check::{Findings, Wanted, as_json_with, check};
use crate::config::load::Assumed;
use crate::config::settings::JobStoreSettings;
use crate::config::upstream_types::undecided;
use crate::config::warnings::lint;
use crate::console::changes::{not_writable, read, revision};
use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply, diagnostic_json, diagnostics_json};
use crate::console::{Console, activity, time};
use crate::doctor;
use crate::jobs::job::Status;
use crate::model::error_kind::Reason;
use crate::model::label::Label;
use crate::model::response::Dialect;
use crate::model::source::{Diagnostic, Severity};
use crate::runtime::services::Services;

/// An address that does not exist, for a configuration that does without the upstream.
const NO_UPSTREAM: &[(&str, &str)] = &[("upstream.url", "http://upstream.invalid")];

fn assumed() -> Assumed<'static> {
    Assumed { settings: NO_UPSTREAM, ..Assumed::default() }
}

/// What is wrong with the files as they are now: that of `pillion check --offline`.
pub(super) fn diagnostics(console: &Console) -> Vec<Diagnostic> {
    match console.source.load(&assumed()) {
        Err(found) => found,
        Ok(loaded) => {
            let more = lint(&loaded.schema, &loaded.settings).into_iter().chain(undecided(&loaded.schema));
            loaded.warnings.into_iter().chain(more).chain(loaded.schema.inconsistent).collect()
        }
    }
}

/// The overview.
pub(super) async fn overview(console: &Console) -> ApiResult {
    let services = &console.services;
    let (warnings, diagnostics): (Vec<Diagnostic>, Vec<Diagnostic>) =
        diagnostics(console).into_iter().partition(|found| found.severity == Severity::Warning);
    let configured = services.configured();
    let settings = &configured.settings;
    let snapshot = services.snapshot.load();
    let breakers = activity::breakers(services).into_iter().filter(|(_, state)| *state != "closed");
    let breakers: Vec<Value> = breakers.map(|(action, state)| json!({ "action": action, "state": state })).collect();
    Ok(Reply::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "upstream": upstream(services),
        "configuration": configuration(console, &diagnostics),
        "warnings": diagnostics_json(&warnings),
        "breakers": breakers,
        "actions": snapshot.catalog.schema.actions.len(),
        "jobs": jobs(services).await,
        "listeners": {
            "clients": settings.listen.to_string(),
            "admin": settings.admin_listen.to_string(),
            "graphql_path": settings.graphql_paths.first(),
        },
    })))
}

fn upstream(services: &Services) -> Value {
    let snapshot = services.snapshot.load();
    let (url, state) = (services.upstream.settings().url(), services.health.readiness.upstream());
    let path = services.upstream.settings().graphql_path.clone().unwrap_or_default();
    let failures: Vec<Value> = snapshot
        .schema_cache
        .failures()
        .into_iter()
        .map(|(role, reason)| json!({ "role": role, "reason": reason }))
        .collect();
    let schema = match (snapshot.catalog.merges_introspection, snapshot.schema_cache.is_empty()) {
        (false, _) => "off",
        (true, true) => "not_fetched",
        (true, false) => "known",
    };
    let reason = state.as_ref().err().map(|unready| &unready.reason);
    json!({
        "url": format!("{url}{path}"),
        "up": state.is_ok(),
        "kind": reason.map(|reason| reason.kind().label()),
        "reason": reason.map(Reason::text),
        "dialect": if snapshot.catalog.dialect == Dialect::Hasura { "hasura" } else { "standard" },
        "query_root": snapshot.catalog.roots.query,
        "mutation_root": snapshot.catalog.roots.mutation,
        "schema": {
            "state": schema,
            "age_seconds": snapshot.schema_cache.age().map(|age| age.as_secs_f64()),
            "failures": failures,
        },
    })
}

fn configuration(console: &Console, diagnostics: &[Diagnostic]) -> Value {
    let files = read(console).ok();
    let path = |path: &std::path::Path| path.display().to_string();
    let names: Vec<String> = files
        .iter()
        .flat_map(|files| {
            let all = files.yaml.iter().chain(&files.graphql).chain(&files.config);
            all.filter(|file| file.exists).map(|file| path(&file.path)).collect::<Vec<_>>()
        })
        .collect();
    let last = console.services.reloads.last();
    let loaded = last.as_ref().filter(|last| last.outcome.is_ok()).map_or(console.started.at, |last| last.at);
    let last = last
        .map(|last| json!({ "at": time::text(last.at), "ok": last.outcome.is_ok(), "message": last.outcome.err() }));
    let not_writable = not_writable(console);
    json!({
        "revision": files.as_ref().map(revision),
        "files": names,
        "config_file": console.source.file.as_deref().map(path),
        "metadata_folder": console.source.metadata_folder().as_deref().map(path),
        "writable": not_writable.is_none() && files.is_some(),
        "not_writable_because": not_writable,
        "started_at": time::text(console.started.at),
        "loaded_at": time::text(loaded),
        "last_reload": last,
        "diagnostics": diagnostics_json(diagnostics),
    })
}

async fn jobs(services: &Services) -> Value {
    let Ok(jobs) = services.jobs() else { return Value::Null };
    let store = match services.configured().settings.jobs.store {
        JobStoreSettings::Postgres(_) => "PostgreSQL",
        JobStoreSettings::Sqlite(_) => "SQLite",
    };
    let counts = match jobs.log.counts().await {
        Ok(counts) => counts,
        Err(error) => return json!({ "store": store, "unavailable": error.to_string() }),
    };
    // The store counts those that wait: the others may be millions.
    let mut json = json!({ "store": store, "created": 0, "processing": 0 });
    let mut oldest: f64 = 0.0;
    for count in counts {
        if let Some(known) = json.get_mut(count.status.name()) {
            *known = (known.as_u64().unwrap_or_default() + count.count.unsigned_abs()).into();
        }
        if count.status == Status::Created {
            oldest = oldest.max(count.oldest_seconds);
        }
    }
    if let Some(members) = json.as_object_mut() {
        members.insert("oldest_pending_seconds".into(), oldest.into());
    }
    json
}

/// What else to look at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct CheckRequest {
    handlers: bool,
    dependencies: bool,
}

/// Runs `pillion check`.
pub(super) async fn run_check(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let CheckRequest { handlers, dependencies } = request.json()?;
    let has_upstream = console.source.text("upstream.url").is_some();
    let wanted = Wanted { upstream: has_upstream, handlers, dependencies };
    let source = console.source.clone();
    let findings = apart(move || async move {
        match source.load(&assumed()) {
            Err(found) => Findings::of_errors(found, wanted),
            Ok(loaded) => check(loaded, wanted, has_upstream).await,
        }
    });
    Ok(Reply::json(&as_json_with(&findings.await?, diagnostic_json)))
}

/// Runs `pillion doctor`.
pub(super) async fn run_doctor(console: &Console) -> ApiResult {
    let source = console.source.clone();
    let items = apart(move || async move {
        let loaded = source.load(&assumed());
        let has_upstream = source.text("upstream.url").is_some();
        let items = doctor::items(&source, loaded, has_upstream).await;
        items.iter().map(doctor::item::Item::json).collect::<Vec<Value>>()
    });
    Ok(Reply::json(&json!({ "items": items.await? })))
}

/// Runs a check on a thread of its own: it reads files, resolves names and may take seconds, and the admin listener has one
/// thread.
async fn apart<T: Send + 'static, F: Future<Output = T>>(
    check: impl FnOnce() -> F + Send + 'static,
) -> Result<T, ApiError> {
    let task = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| runtime.block_on(check()))
    });
    match task.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) | Err(_) => Err(ApiError::internal()),
    }
}

/// Reloads the configuration.
pub(super) async fn reload(console: &Console) -> ApiResult {
    match console.services.reloads.request().await {
        Ok(()) => Ok(Reply::json(&json!({ "ok": true }))),
        Err(_) => {
            let found = diagnostics(console);
            let errors: Vec<Diagnostic> = found.into_iter().filter(|found| found.severity == Severity::Error).collect();
            if errors.is_empty() {
                let reason = console.services.reloads.last().and_then(|last| last.outcome.err());
                let reason = reason.unwrap_or_else(|| "the configuration was not reloaded".to_owned());
                return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, reason));
            }
            Err(ApiError::invalid(errors))
        }
    }
}

/// The curves.
pub(super) fn curves(console: &Console) -> Reply {
    Reply::json(&console.activity.json(&time::text(SystemTime::now())))
}
