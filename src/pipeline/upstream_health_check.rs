//! Keeps an eye on the upstream: is it there, what are its root types called, how does it tell errors?

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderValue;

use crate::graphql::check_relationships::missing;
use crate::graphql::client_schema::UpstreamSchema;
use crate::graphql::merge::read_upstream_result;
use crate::graphql::merge_schema::Conflict;
use crate::model::action::{ADMIN_ROLE, ActionSchema};
use crate::model::replay::Replay;
use crate::pipeline::schema_cache::{MergedSchema, SchemaError};
use crate::pipeline::schema_request::SchemaRequest;
use crate::pipeline::services::Services;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::{schema_fetch, upstream_types};
use crate::upstream::dialect::{QUESTION, SMALL_QUESTION};
use crate::upstream::{UpstreamError, UpstreamRequest, dialect};

/// Bytes of a response to one of our questions.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Looks at the upstream again and again. Never returns.
pub async fn watch(world: &Services) {
    loop {
        look(world).await;
        tokio::time::sleep(world.configured().settings.upstream.health_check_interval).await;
    }
}

/// Looks at the upstream once.
pub async fn look(world: &Services) {
    world.engine.resolve().await;
    let found = ask_all_paths(world).await;
    world.metrics.upstream_up.set(i64::from(found.is_ok()));
    if let Ok((path, engine)) = &found {
        if let Some(engine) = engine {
            learn(world, engine);
        }
        let before = world.snapshot.load_full();
        learn_schema(world, path).await;
        if !Arc::ptr_eq(&before, &world.snapshot.load()) {
            // Types have been decided, which made another generation.
            learn_schema(world, path).await;
        }
    }
    world.readiness.set_upstream(found.map(drop).map_err(|error| error.to_string()));
}

/// The first path that answers as GraphQL decides. `None` beside it if it tells nothing about itself.
async fn ask_all_paths(world: &Services) -> Result<(String, Option<dialect::Engine>), UpstreamError> {
    let configured = world.configured();
    let chosen = configured.settings.upstream.graphql_path.as_ref();
    let paths = chosen.map_or(configured.settings.graphql_paths.as_slice(), std::slice::from_ref);
    let mut failure = UpstreamError::Unreachable;
    for path in paths {
        match ask(world, path, QUESTION).await {
            Ok(Some(engine)) => return Ok((path.clone(), Some(engine))),
            Ok(None) => return ask(world, path, SMALL_QUESTION).await.map(|engine| (path.clone(), engine)),
            // Another path will not find it either.
            Err(error @ (UpstreamError::Unreachable | UpstreamError::TimedOut)) => return Err(error),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn ask(world: &Services, path: &str, question: &'static str) -> Result<Option<dialect::Engine>, UpstreamError> {
    let question = UpstreamRequest {
        path,
        headers: &credentials(world),
        request_id: REQUEST_ID,
        body: Bytes::from_static(question.as_bytes()),
        may_repeat: Replay::Reads,
        answer_bytes_max: ANSWER_BYTES_MAX,
        share: None,
        timeout: world.configured().settings.upstream.request_timeout,
    };
    let reply = world.engine.ask(question).await?;
    match read_upstream_result(&reply.body) {
        Ok(_) => Ok(dialect::read(&reply.body)),
        Err(_) => Err(UpstreamError::NotGraphql { status: reply.status.as_u16() }),
    }
}

/// By which our own questions are known in the upstream's logs.
const REQUEST_ID: &str = "pillion-probe";

/// Learns the upstream's schema as an admin sees it, until it is known. If its names and ours exclude one another the
/// first time that both are seen, nothing can be served.
async fn learn_schema(world: &Services, path: &str) {
    let snapshot = world.snapshot.load_full();
    let asker = asker(world, path, ADMIN_ROLE, HeaderMap::new());
    if !snapshot.catalog.merges_introspection
        || snapshot.catalog.scanner.is_empty()
        || snapshot.schema_cache.known(&snapshot.catalog, &asker).is_some()
        || !snapshot.schema_cache.is_worth_asking(&asker)
    {
        return;
    }
    match schema_fetch::ask(world, &snapshot, &asker).await {
        Ok(merged) => {
            if let Some(decided) = &merged.decided {
                use_decided(world, &snapshot, decided.clone());
                return;
            }
            world.schema_was_good.store(true, Ordering::Relaxed);
            for missing in missing(&merged.role_schema.schema, &snapshot.catalog.schema) {
                tracing::warn!("{missing}");
            }
        }
        Err(error) => report(world, &snapshot, error.conflicts()),
    }
}

/// Goes on with the actions whose types exist. If that is not allowed and the first time that they are looked for,
/// nothing can be served; later the others are.
fn use_decided(world: &Services, before: &Arc<Snapshot>, decided: ActionSchema) {
    let intolerable: Vec<String> =
        upstream_types::intolerable(&before.catalog.schema, &decided).into_iter().map(ToString::to_string).collect();
    if !intolerable.is_empty() && !world.schema_was_good.load(Ordering::Relaxed) {
        world.fatal.set(intolerable.join("\n\n"));
        return;
    }
    let known = before.catalog.schema.inconsistent.len();
    let news = ActionSchema {
        inconsistent: decided.inconsistent.iter().skip(known).cloned().collect(),
        ..ActionSchema::default()
    };
    upstream_types::tell(&news);
    world.replace_snapshot(|current| {
        let is_the_same = Arc::ptr_eq(&current.catalog.schema, &before.catalog.schema);
        is_the_same.then(|| current.with_actions(decided).ok()).flatten()
    });
}

/// The upstream's own schema as it shows it now to an admin, or showed it before; nothing if it is not asked for its
/// schema, or does not tell.
pub async fn upstream_schema(world: &Services) -> Option<Arc<UpstreamSchema>> {
    let snapshot = world.snapshot.load_full();
    if !snapshot.catalog.merges_introspection {
        return None;
    }
    let (path, _) = ask_all_paths(world).await.ok()?;
    let asker = asker(world, &path, ADMIN_ROLE, HeaderMap::new());
    // Whatever comes of it: what was known before counts otherwise.
    let _ = schema_fetch::ask(world, &snapshot, &asker).await;
    snapshot.schema_cache.of_upstream(&asker)
}

/// The upstream's schema with the actions of `role`, as a caller with our credential, that role and these headers sees it.
///
/// # Errors
/// [`SchemaError`].
pub async fn schema_of(world: &Services, role: &str, headers: HeaderMap) -> Result<Arc<MergedSchema>, SchemaError> {
    schema_for(world, &world.snapshot.load_full(), role, headers).await
}

/// The same with the actions of a generation that need not be in use.
///
/// # Errors
/// [`SchemaError`].
pub async fn schema_for(
    world: &Services,
    snapshot: &Arc<Snapshot>,
    role: &str,
    headers: HeaderMap,
) -> Result<Arc<MergedSchema>, SchemaError> {
    let (path, _) = ask_all_paths(world).await?;
    schema_fetch::ask(world, snapshot, &asker(world, &path, role, headers)).await
}

fn asker<'a>(world: &Services, path: &'a str, role: &'a str, headers: HeaderMap) -> SchemaRequest<'a> {
    let mut all = credentials(world);
    all.extend(headers);
    SchemaRequest {
        path: path.into(),
        headers: Cow::Owned(all),
        request_id: REQUEST_ID.into(),
        role: role.into(),
        timeout: world.configured().settings.upstream.request_timeout,
    }
}

fn report(world: &Services, snapshot: &Snapshot, conflicts: &[Conflict]) {
    if conflicts.is_empty() {
        return;
    }
    let diagnostics: Vec<String> =
        conflicts.iter().map(|conflict| conflict.diagnostic(&snapshot.catalog.schema.places).to_string()).collect();
    if !world.schema_was_good.load(Ordering::Relaxed) {
        world.fatal.set(diagnostics.join("\n\n"));
        return;
    }
    for diagnostic in diagnostics {
        tracing::error!("{diagnostic}");
    }
}

/// Hasura answers introspection only to somebody.
fn credentials(world: &Services) -> HeaderMap {
    let configured = world.configured();
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
fn learn(world: &Services, engine: &dialect::Engine) {
    let dialect = world.configured().settings.dialect.unwrap_or(engine.dialect);
    let mut roots = engine.roots.clone();
    let configured = &world.configured().settings.upstream;
    roots.query = configured.query_type.clone().unwrap_or(roots.query);
    roots.mutation = configured.mutation_type.clone().unwrap_or(roots.mutation);
    world.replace_snapshot(|current| {
        let is_news = current.catalog.roots != roots || current.catalog.dialect != dialect;
        is_news.then(|| {
            tracing::info!(query_type = roots.query, dialect = ?dialect, "the upstream has told about itself");
            current.for_upstream(roots, dialect)
        })
    });
}
