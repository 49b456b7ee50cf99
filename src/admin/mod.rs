//! The admin listener: `/healthz`, `/readyz`, `/metrics`, `/jobs`, `/reload`, `/cache/purge`; and the metrics listener, which
//! has the first three of them only.

mod access;
mod endpoints;

use std::sync::Arc;

use async_trait::async_trait;
#[cfg(feature = "console")]
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
#[cfg(feature = "console")]
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use serde_json::Value;
#[cfg(feature = "console")]
use tokio::sync::mpsc::Receiver;
use url::form_urlencoded;

use crate::admin::access::Denied;
use crate::config::settings::JobStoreSettings;
#[cfg(feature = "console")]
use crate::console::{self, Body, Console};
use crate::handler::policy;
use crate::job_runner::operator_api;
use crate::model::action::ActionSchema;
use crate::model::label::Label;
use crate::model::source::Diagnostic;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::server::admin_listener::OperatorApp;

/// Handles requests on the admin listener.
pub(crate) struct Admin {
    services: Arc<Services>,
    /// Is it reachable from this machine only? A reload does not change where it listens.
    is_loopback: bool,
    /// Is this the metrics listener? No token makes it show or change more.
    is_read_only: bool,
    /// The console, which the metrics listener has not.
    #[cfg(feature = "console")]
    console: Option<Arc<Console>>,
}

impl Admin {
    /// For the services that it reports on.
    #[must_use]
    pub(crate) fn new(services: Arc<Services>) -> Self {
        let is_loopback = services.configured().settings.admin_listen.ip().is_loopback();
        Self {
            services,
            is_loopback,
            is_read_only: false,
            #[cfg(feature = "console")]
            console: None,
        }
    }

    /// The same with a console.
    #[cfg(feature = "console")]
    #[must_use]
    pub(crate) fn with_console(self, console: Arc<Console>) -> Self {
        Self { console: Some(console), ..self }
    }

    /// The metrics listener's part of it.
    #[must_use]
    pub(crate) fn read_only(services: Arc<Services>) -> Self {
        Self {
            services,
            is_loopback: false,
            is_read_only: true,
            #[cfg(feature = "console")]
            console: None,
        }
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

    /// The console's response to a request below its root; nothing, if it was a stream.
    #[cfg(feature = "console")]
    async fn console_response(&self, console: &Console, session: &mut ServerSession) -> Option<Response<Vec<u8>>> {
        let head: &Parts = session.req_header();
        let head = head.clone();
        let configured = self.services.configured();
        let response = match access::check_console_sender(&head, &configured.settings.admin) {
            Err((status, reason)) => console::Response::rejected(&head, status, &reason),
            Ok(()) if !console.is_enabled() => {
                let reason = "the console is off: set console.enabled: true (PILLION_CONSOLE_ENABLED)";
                console::Response::rejected(&head, StatusCode::NOT_FOUND, reason)
            }
            Ok(()) => match read_body(session, console::BODY_BYTES_MAX).await {
                Ok(body) => console.respond(&head, &body).await,
                Err((status, reason)) => console::Response::rejected(&head, status, reason),
            },
        };
        let console::Response { status, headers, body } = response;
        let mut response = Response::new(Vec::new());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        match body {
            Body::Whole(body) => {
                response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
                if head.method != Method::HEAD {
                    *response.body_mut() = body;
                }
                Some(response)
            }
            Body::Stream(events) => {
                write_stream(session, response, events).await;
                None
            }
        }
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

/// The body of a request, if it is not larger than that.
#[cfg(feature = "console")]
async fn read_body(session: &mut ServerSession, bytes_max: usize) -> Result<Vec<u8>, (StatusCode, &'static str)> {
    let mut body = Vec::new();
    loop {
        match session.read_request_body().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= bytes_max => body.extend_from_slice(&chunk),
            Ok(Some(_)) => {
                // The rest of it is not read.
                session.set_keepalive(None);
                return Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 16 MiB"));
            }
            Ok(None) => return Ok(body),
            Err(_) => return Err((StatusCode::BAD_REQUEST, "the body did not arrive")),
        }
    }
}

/// Writes a response as it comes. A page that has gone ends it: the next event cannot be written.
#[cfg(feature = "console")]
async fn write_stream(session: &mut ServerSession, head: Response<Vec<u8>>, mut events: Receiver<Bytes>) {
    let mut head = ResponseHeader::from(head.into_parts().0);
    if head.insert_header(header::TRANSFER_ENCODING, "chunked").is_err() {
        return;
    }
    session.set_keepalive(None);
    if session.write_response_header(Box::new(head)).await.is_err() {
        return;
    }
    while let Some(event) = events.recv().await {
        if session.write_response_body(event, false).await.is_err() {
            return;
        }
    }
    // The page has gone, or it has all of it.
    let _ = session.write_response_body(Bytes::new(), true).await;
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
    let configuration = match services.reloads.last().map(|last| last.outcome) {
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
impl OperatorApp for Admin {
    async fn respond(&self, session: &mut ServerSession) -> Option<Response<Vec<u8>>> {
        #[cfg(feature = "console")]
        if let Some(console) = self.console.as_ref().filter(|_| console::has(session.req_header().uri.path())) {
            return self.console_response(console, session).await;
        }
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
        Some(response)
    }
}
