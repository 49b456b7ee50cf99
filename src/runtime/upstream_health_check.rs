//! The health check of the upstream: is it reachable, what are the names of its root types, what is its error format?

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderValue;

use crate::graphql::check_before;
use crate::graphql::check_relationships::missing;
use crate::graphql::client_schema::UpstreamSchema;
use crate::graphql::merge::read_upstream_result;
use crate::graphql::merge_schema::Conflict;
use crate::model::action::{ADMIN_ROLE, ActionSchema};
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::replay::Replay;
use crate::model::request::Caller;
use crate::model::source::{Diagnostic, SourceFile};
use crate::protocol::trace::TraceContext;
use crate::request::context::RequestContext;
use crate::runtime::readiness::Unready;
use crate::runtime::schema_cache::{MergedSchema, SchemaError};
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::runtime::{schema_fetch, upstream_types};
use crate::upstream::dialect::{QUESTION, SMALL_QUESTION};
use crate::upstream::{UpstreamError, UpstreamRequest, UpstreamResponse, dialect};

/// Bytes of a response to one of our questions.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// Looks at the upstream again and again. Never returns.
pub(crate) async fn watch(services: &Services) {
    loop {
        probe(services).await;
        tokio::time::sleep(services.configured().settings.upstream.health_check_interval).await;
    }
}

/// Looks at the upstream once.
pub(crate) async fn probe(services: &Services) {
    services.upstream.resolve().await;
    let found = fetch_all_paths(services).await;
    services.metrics.upstream_up.set(i64::from(found.is_ok()));
    if let Ok((path, upstream)) = &found {
        if let Some(upstream) = upstream {
            learn(services, upstream);
        }
        let before = services.snapshot.load_full();
        learn_schema(services, path).await;
        if !Arc::ptr_eq(&before, &services.snapshot.load()) {
            // Types have been decided, which made another generation.
            learn_schema(services, path).await;
        }
    }
    let settings = services.upstream.settings();
    services.health.readiness.set_upstream(match found {
        Ok(_) => {
            services.health.dependencies.upstream.found(&settings.url());
            Ok(())
        }
        Err(error) => {
            let reason = Reason::new(error.kind(), error.detail());
            services.health.dependencies.upstream.missed(&settings.url(), &reason);
            Err(Unready { message: error.to_string(), reason })
        }
    });
}

/// The first path with a GraphQL response decides. `None` beside it if the response says nothing about the upstream.
async fn fetch_all_paths(services: &Services) -> Result<(String, Option<dialect::DetectedUpstream>), UpstreamError> {
    let configured = services.configured();
    let chosen = configured.settings.upstream.graphql_path.as_ref();
    let paths = chosen.map_or(configured.settings.graphql_paths.as_slice(), std::slice::from_ref);
    let mut failure = UpstreamError::Broken(Reason::new(ErrorKind::InvalidRequest, "there is no GraphQL path"));
    for path in paths {
        match fetch_schema(services, path, QUESTION).await {
            Ok(Some(upstream)) => return Ok((path.clone(), Some(upstream))),
            Ok(None) => {
                return fetch_schema(services, path, SMALL_QUESTION).await.map(|upstream| (path.clone(), upstream));
            }
            // Another path will not find it either.
            Err(error @ (UpstreamError::Unreachable(_) | UpstreamError::TimedOut)) => return Err(error),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn fetch_schema(
    services: &Services,
    path: &str,
    question: &'static str,
) -> Result<Option<dialect::DetectedUpstream>, UpstreamError> {
    let question = UpstreamRequest {
        path,
        headers: &credentials(services),
        request_id: REQUEST_ID,
        body: Bytes::from_static(question.as_bytes()),
        replay: Replay::Reads,
        max_response_bytes: RESPONSE_BYTES_MAX,
        share: None,
        timeout: services.configured().settings.upstream.request_timeout,
    };
    let response = services.upstream.fetch(&question).await?;
    match read_upstream_result(&response.body) {
        Ok(_) => Ok(dialect::read(&response.body)),
        Err(_) => Err(UpstreamError::NotGraphql { status: response.status.as_u16() }),
    }
}

/// By which our own questions are known in the upstream's logs.
pub(crate) const REQUEST_ID: &str = "pillion-probe";

/// Learns the upstream's schema as an admin sees it, until it is known. If its names and ours exclude one another the
/// first time that both are seen, nothing can be served.
async fn learn_schema(services: &Services, path: &str) {
    let snapshot = services.snapshot.load_full();
    let context = own_context(services, path, HeaderMap::new());
    if !snapshot.catalog.merges_introspection
        || snapshot.catalog.scanner.is_empty()
        || snapshot.schema_cache.known(&snapshot.catalog, &context, ADMIN_ROLE).is_some()
        || !snapshot.schema_cache.is_worth_asking(&context, ADMIN_ROLE)
    {
        return;
    }
    match schema_fetch::fetch(services, &snapshot, &context, ADMIN_ROLE).await {
        Ok(merged) => {
            if let Some(decided) = &merged.decided {
                use_decided(services, &snapshot, decided.clone());
                return;
            }
            services.schema.was_good.store(true, Ordering::Relaxed);
            for missing in missing(&merged.role_schema.schema, &snapshot.catalog.schema) {
                tracing::warn!("{missing}");
            }
            let of_roles = before_diagnostics(services, &snapshot, path).await;
            for diagnostic in merged.field_diagnostics.iter().chain(&of_roles) {
                tracing::error!("{diagnostic}");
            }
        }
        Err(error) => log_result(services, &snapshot, error.conflicts()),
    }
}

/// What is wrong with what the upstream is asked before calls, for roles that see less than an admin: with the admin secret it
/// shows the schema of each.
pub(crate) async fn before_diagnostics(services: &Services, snapshot: &Arc<Snapshot>, path: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if credentials(services).is_empty() || !snapshot.catalog.merges_introspection {
        return found;
    }
    for role in check_before::roles(&snapshot.catalog.schema) {
        let Ok(value) = HeaderValue::from_str(&role) else { continue };
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-hasura-role"), value)]);
        let context = own_context(services, path, headers);
        if let Ok(merged) = schema_fetch::fetch(services, snapshot, &context, &role).await {
            let of_action = |one: &&Diagnostic| matches!(one.subject.as_deref(), Some(SourceFile::Action(_)));
            found.extend(merged.field_diagnostics.iter().filter(of_action).cloned());
        }
    }
    found
}

/// The same at the path where the upstream is found.
pub(crate) async fn before_diagnostics_of(services: &Services, snapshot: &Arc<Snapshot>) -> Vec<Diagnostic> {
    match fetch_all_paths(services).await {
        Ok((path, _)) => before_diagnostics(services, snapshot, &path).await,
        Err(_) => Vec::new(),
    }
}

/// Goes on with the actions whose types exist. If that is not allowed and the first time that they are looked for,
/// nothing can be served; later the others are.
fn use_decided(services: &Services, before: &Arc<Snapshot>, decided: ActionSchema) {
    let intolerable: Vec<String> =
        upstream_types::unacceptable(&before.catalog.schema, &decided).into_iter().map(ToString::to_string).collect();
    if !intolerable.is_empty() && !services.schema.was_good.load(Ordering::Relaxed) {
        services.health.fatal.set(intolerable.join("\n\n"));
        return;
    }
    let known = before.catalog.schema.inconsistent.len();
    let news = ActionSchema {
        inconsistent: decided.inconsistent.iter().skip(known).cloned().collect(),
        ..ActionSchema::default()
    };
    upstream_types::log_inconsistent(&news);
    services.replace_snapshot(|current| {
        let is_the_same = Arc::ptr_eq(&current.catalog.schema, &before.catalog.schema);
        is_the_same.then(|| current.with_actions(decided).ok()).flatten()
    });
}

/// The upstream's own schema as it shows it now to an admin, or showed it before; nothing if introspection is not
/// merged, or fails.
pub(crate) async fn upstream_schema(services: &Services) -> Option<Arc<UpstreamSchema>> {
    let snapshot = services.snapshot.load_full();
    if !snapshot.catalog.merges_introspection {
        return None;
    }
    let (path, _) = fetch_all_paths(services).await.ok()?;
    let context = own_context(services, &path, HeaderMap::new());
    // If it fails, the previous result stays.
    let _ = schema_fetch::fetch(services, &snapshot, &context, ADMIN_ROLE).await;
    snapshot.schema_cache.of_upstream(&context, ADMIN_ROLE)
}

/// The upstream's schema with the actions of `role`, as a caller with our credential, that role and these headers sees it.
///
/// # Errors
/// [`SchemaError`].
pub(crate) async fn schema_of(
    services: &Services,
    role: &str,
    headers: HeaderMap,
) -> Result<Arc<MergedSchema>, SchemaError> {
    schema_for(services, &services.snapshot.load_full(), role, headers).await
}

/// The same with the actions of a generation that need not be in use.
///
/// # Errors
/// [`SchemaError`].
pub(crate) async fn schema_for(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    role: &str,
    headers: HeaderMap,
) -> Result<Arc<MergedSchema>, SchemaError> {
    let (path, _) = fetch_all_paths(services).await?;
    schema_fetch::fetch(services, snapshot, &own_context(services, &path, headers), role).await
}

/// Sends a GraphQL request of our own as JSON, with our credentials and these headers.
///
/// # Errors
/// [`UpstreamError`].
pub(crate) async fn ask(
    services: &Services,
    body: Bytes,
    headers: HeaderMap,
) -> Result<UpstreamResponse, UpstreamError> {
    let (path, _) = fetch_all_paths(services).await?;
    let mut all = credentials(services);
    all.extend(headers);
    let question = UpstreamRequest {
        path: &path,
        headers: &all,
        request_id: REQUEST_ID,
        body,
        replay: Replay::Reads,
        max_response_bytes: RESPONSE_BYTES_MAX,
        share: None,
        timeout: services.configured().settings.upstream.request_timeout,
    };
    services.upstream.fetch(&question).await
}

/// The context of a request of our own, with our credentials.
fn own_context(services: &Services, path: &str, headers: HeaderMap) -> RequestContext {
    let mut all = credentials(services);
    all.extend(headers);
    let caller = Caller { headers: all, for_handlers: None, address: None, request_id: REQUEST_ID.into() };
    let trace = TraceContext::read(&HeaderMap::new(), 1);
    let deadline = Instant::now() + services.upstream.settings().request_timeout;
    let context = RequestContext::detached(Arc::new(caller), trace, deadline);
    RequestContext { way: path.to_owned().into(), ..context }
}

fn log_result(services: &Services, snapshot: &Snapshot, conflicts: &[Conflict]) {
    if conflicts.is_empty() {
        return;
    }
    let diagnostics: Vec<String> =
        conflicts.iter().map(|conflict| conflict.diagnostic(&snapshot.catalog.schema.locations).to_string()).collect();
    if !services.schema.was_good.load(Ordering::Relaxed) {
        services.health.fatal.set(diagnostics.join("\n\n"));
        return;
    }
    for diagnostic in diagnostics {
        tracing::error!("{diagnostic}");
    }
}

/// Hasura serves introspection only to authenticated callers.
fn credentials(services: &Services) -> HeaderMap {
    let configured = services.configured();
    let secret = configured.authenticator.admin_secret();
    let value = secret.and_then(|secret| HeaderValue::from_str(secret.expose()).ok());
    value
        .map(|mut value| {
            value.set_sensitive(true);
            HeaderMap::from_iter([(http::HeaderName::from_static("x-hasura-admin-secret"), value)])
        })
        .unwrap_or_default()
}

/// Plans are made for root types of certain names, so other names make another generation.
fn learn(services: &Services, upstream: &dialect::DetectedUpstream) {
    let dialect = services.configured().settings.dialect.unwrap_or(upstream.dialect);
    let mut roots = upstream.roots.clone();
    let configured = &services.configured().settings.upstream;
    roots.query = configured.query_type.clone().unwrap_or(roots.query);
    roots.mutation = configured.mutation_type.clone().unwrap_or(roots.mutation);
    services.replace_snapshot(|current| {
        let is_news = current.catalog.roots != roots || current.catalog.dialect != dialect;
        is_news.then(|| {
            tracing::info!(query_type = roots.query, dialect = ?dialect, "detected the upstream's dialect and root types");
            current.for_upstream(roots, dialect)
        })
    });
}
