//! The admin listener: `/healthz`, `/readyz`, `/metrics`, `/jobs`, `/reload`, `/cache/purge`; and the metrics listener, which
//! has the first three of them only.

mod access;
mod endpoints;

use std::sync::Arc;

use async_trait::async_trait;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::Value;
use url::form_urlencoded;

use crate::admin::access::Denied;
use crate::config::settings::JobStoreSettings;
use crate::handler::policy;
use crate::job_runner::operator_api;
use crate::model::action::ActionSchema;
use crate::model::label::Label;
use crate::model::source::Diagnostic;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;

/// Handles requests on the admin listener.
pub(crate) struct Admin {
    services: Arc<Services>,
    /// Is it reachable from this machine only? A reload does not change where it listens.
    is_loopback: bool,
    /// Is this the metrics listener? No token makes it show or change more.
    is_read_only: bool,
}

impl Admin {
    /// For the services that it reports on.
    #[must_use]
    pub(crate) fn new(services: Arc<Services>) -> Self {
        let is_loopback = services.configured().settings.admin_listen.ip().is_loopback();
        Self { services, is_loopback, is_read_only: false }
    }

    /// The metrics listener's part of it.
    #[must_use]
    pub(crate) fn read_only(services: Arc<Services>) -> Self {
        Self { services, is_loopback: false, is_read_only: true }
    }

    /// Handles a request, if its sender is authorized.
    async fn handle(&self, head: &Parts) -> Result<ApiResponse, Denied> {
        let configured = self.services.configured();
        access::check_sender(head, &configured.settings.admin)?;
        let (method, path) = (&head.method, head.uri.path());
        let query = head.uri.query().unwrap_or_default();
        let has_token = match self.is_read_only {
            true => Err((StatusCode::FORBIDDEN, "the admin listener shows them".into())),
            false => access::check_token(head, configured.settings.admin.token.as_ref(), self.is_loopback),
        };
        if access::is_public(method, path) {
            return Ok(self.show(path, query, has_token));
        }
        if self.is_read_only {
            return Ok(in_json(endpoints::not_found(method, true)));
        }
        has_token?;
        Ok(match (method, path) {
            (&Method::POST, "/reload") => reload(&self.services).await,
            (&Method::POST, "/cache/purge") => purge(&self.services, query).await,
            (_, "/jobs") => jobs_response(&self.services, method, path, query).await,
            (_, path) if path.starts_with("/jobs/") => jobs_response(&self.services, method, path, query).await,
            (method, _) => in_json(endpoints::not_found(method, false)),
        })
    }

    /// The public part, and some details for clients with the token.
    fn show(&self, path: &str, query: &str, has_token: Result<(), Denied>) -> ApiResponse {
        match path {
            "/healthz" => (StatusCode::OK, TEXT, b"ok\n".to_vec()),
            "/readyz" => {
                let (status, mut text) = match self.services.health.readiness.check() {
                    Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
                    Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
                };
                if query.split('&').any(|word| word == "verbose" || word.starts_with("verbose=")) {
                    match has_token {
                        Ok(()) => text.push_str(&details(&self.services)),
                        Err((_, reason)) => text.push_str(&format!("details: {reason}\n")),
                    }
                }
                (status, TEXT, text.into_bytes())
            }
            _ => {
                policy::update_gauges(&self.services);
                (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.services.metrics.render())
            }
        }
    }
}

/// Status, content type and body.
type ApiResponse = (StatusCode, &'static str, Vec<u8>);

async fn jobs_response(services: &Services, method: &Method, path: &str, query: &str) -> ApiResponse {
    in_json(operator_api::handle(services, method, path, query).await)
}

fn in_json((status, response): (StatusCode, Value)) -> ApiResponse {
    (status, "application/json", format!("{response}\n").into_bytes())
}

/// Reloads the configuration.
async fn reload(services: &Services) -> ApiResponse {
    match services.reloads.request().await {
        Ok(()) => (StatusCode::OK, TEXT, b"the configuration was reloaded\n".to_vec()),
        Err(reason) => (StatusCode::UNPROCESSABLE_ENTITY, TEXT, format!("the old one stays: {reason}\n").into_bytes()),
    }
}

/// Forgets the cached responses of `action=NAME`, or of all actions.
async fn purge(services: &Services, query: &str) -> ApiResponse {
    let action = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "action").map(|(_, value)| value);
    let actions = &services.snapshot.load().catalog.schema.actions;
    if let Some(name) = &action
        && !actions.values().any(|known| known.name == *name)
    {
        return (StatusCode::NOT_FOUND, TEXT, format!("there is no action {name}\n").into_bytes());
    }
    if let Some(shared) = &services.traffic.redis
        && shared.forget(&format!("pillion:cache:{}:*", action.as_deref().unwrap_or("*"))).await.is_err()
    {
        return (StatusCode::SERVICE_UNAVAILABLE, TEXT, b"Redis is unavailable; nothing was purged\n".to_vec());
    }
    services.traffic.responses.purge(action.as_deref());
    (StatusCode::OK, TEXT, b"forgotten\n".to_vec())
}

const TEXT: &str = "text/plain; charset=utf-8";

/// The conditions of readiness, and details about each: a line each.
fn details(services: &Services) -> String {
    let upstream = services.health.readiness.upstream().map_or_else(
        |unready| {
            let (url, reason) = (services.upstream.settings().url(), unready.reason);
            format!("{url}: {}: {}", reason.kind().label(), reason.text())
        },
        |()| "ok".into(),
    );
    let snapshot = services.snapshot.load();
    let actions = snapshot.catalog.schema.actions.len();
    let schema = schema_state(&snapshot);
    let metadata = metadata(&snapshot.catalog.schema);
    let jobs = match (services.jobs(), &services.configured().settings.jobs.store) {
        (Err(_), _) => "none: there are no asynchronous actions".into(),
        (Ok(_), JobStoreSettings::Postgres(_)) => "PostgreSQL".into(),
        (Ok(_), JobStoreSettings::Sqlite(file)) => {
            format!("the file {file}: it must be on a volume that stays, and no other replica sees its calls")
        }
    };
    let configuration = match services.reloads.last() {
        None => "as it was at the start".into(),
        Some(Ok(())) => "reloaded".into(),
        Some(Err(reason)) => format!("the newest one was rejected, an older one is in use: {reason}"),
    };
    format!(
        "upstream: {upstream}\nactions: {actions}\nmetadata: {metadata}\njobs.store: {jobs}\nconfiguration: {configuration}\n{schema}"
    )
}

/// Is all of it served, and if not, which parts are not?
fn metadata(schema: &ActionSchema) -> String {
    if schema.inconsistent.is_empty() {
        return "consistent".into();
    }
    let line = |diagnostic: &Diagnostic| {
        let object = diagnostic.subject.as_deref().map(ToString::to_string).unwrap_or_default();
        format!("\n  not served: {object}: {}", diagnostic.on_one_line())
    };
    format!("inconsistent{}", schema.inconsistent.iter().map(line).collect::<String>())
}

/// Why the schema of the upstream is not known, a line for each role.
fn schema_state(snapshot: &Snapshot) -> String {
    if !snapshot.catalog.merges_introspection {
        return "upstream.schema: not fetched, because of the setting `introspection`\n".into();
    }
    let line = |(role, reason): (String, String)| {
        let reason: String = reason.chars().take(REASON_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!(
            "upstream.schema: not known for the role {role:?}, so that what was known before counts, or else introspection \
             and validation are left to the upstream: {reason}\n"
        )
    };
    let failures: String = snapshot.schema_cache.failures().into_iter().map(line).collect();
    match failures.as_str() {
        "" if snapshot.schema_cache.is_empty() => "upstream.schema: not fetched yet\n".into(),
        "" => "upstream.schema: ok\n".into(),
        _ => failures,
    }
}

/// Characters of a reason, which may quote the upstream.
const REASON_MAX: usize = 1_000;

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let response = self.handle(session.req_header()).await;
        let (status, content_type, body) =
            response.unwrap_or_else(|(status, reason)| (status, TEXT, format!("{reason}\n").into_bytes()));
        let head = session.req_header();
        let length = body.len();
        let body = if head.method == Method::HEAD { Vec::new() } else { body };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
        headers.insert(header::CONTENT_LENGTH, length.into());
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}
