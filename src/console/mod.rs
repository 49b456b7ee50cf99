//! The console: a web page on the admin listener on which actions are made, tried and understood, and the JSON API behind it.
//!
//! The page is built from `console/` and embedded in the binary ([`assets`]). Its API ([`endpoints`]) gives what the commands
//! give: each endpoint calls the functions behind `pillion check`, `explain`, `actions`, `codegen`, `import`, `schema`, `jobs` and
//! `config`. Who may call it is decided here ([`session`]) and before, by host and origin (`admin/access.rs`).

mod actions;
pub(crate) mod activity;
mod assets;
mod changes;
mod code;
pub(crate) mod endpoints;
mod exchange;
mod import;
mod operators;
mod overview;
mod playground;
mod request;
mod response;
mod sample;
mod schema;
mod session;
mod stream;
mod time;
mod transform;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use http::request::Parts;

use crate::config::configuration_source::ConfigurationSource;
use crate::console::activity::Activity;
pub(crate) use crate::console::request::BODY_BYTES_MAX;
use crate::console::request::{ApiRequest, check_body};
use crate::console::response::{ApiError, ApiResult, Reply};
pub(crate) use crate::console::response::{Body, Response};
use crate::console::session::Session;
use crate::metadata_api::Api;
use crate::runtime::services::Services;
use crate::server::in_memory::InMemoryListener;

/// The console of a process.
pub(crate) struct Console {
    services: Arc<Services>,
    /// Where metadata can be changed otherwise, if it can.
    metadata: Option<Arc<Api>>,
    /// Where the configuration comes from.
    source: ConfigurationSource,
    /// What was loaded at the start.
    started: Started,
    /// The last minutes.
    activity: Activity,
    /// The client listener, inside the process.
    listener: InMemoryListener,
    /// Held while files are changed.
    saving: tokio::sync::Mutex<()>,
    /// Is the admin listener reachable from this machine only? Then no token is needed unless one is configured.
    is_loopback: bool,
}

/// The process's start.
struct Started {
    at: SystemTime,
    /// The fingerprints of the settings.
    fingerprints: HashMap<&'static str, u64>,
}

/// The path below which everything of the console is.
pub(crate) const ROOT: &str = "/console";

/// How often to look whether the console has been enabled.
const ENABLED_INTERVAL: Duration = Duration::from_secs(10);

/// The path below which its API is.
const API: &str = "/console/api";

/// Is this a path of the console?
#[must_use]
pub(crate) fn has(path: &str) -> bool {
    below(path, ROOT).is_some()
}

/// Is this a path of its API?
fn is_api(path: &str) -> bool {
    below(path, API).is_some()
}

/// The rest of `path` if it is `root` or below it.
fn below<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Console {
    /// The console of these services, which were loaded from `source`.
    #[must_use]
    pub(crate) fn new(services: Arc<Services>, metadata: Option<Arc<Api>>, source: ConfigurationSource) -> Self {
        let configured = services.configured();
        let is_loopback = configured.settings.admin_listen.ip().is_loopback();
        let started = Started { at: SystemTime::now(), fingerprints: configured.fingerprints().clone() };
        let listener = InMemoryListener::new(&services);
        let (activity, saving) = Default::default();
        Self { services, metadata, source, started, activity, listener, saving, is_loopback }
    }

    /// Collects what the console shows of the last minutes. Never returns.
    pub(crate) async fn observe(&self) {
        while !self.is_enabled() {
            tokio::time::sleep(ENABLED_INTERVAL).await;
        }
        self.services.health.recent_failures.keep();
        self.activity.run(&self.services).await;
    }

    /// Is it served? By default while developing and on loopback.
    #[must_use]
    pub(crate) fn is_enabled(&self) -> bool {
        let configured = self.services.configured();
        configured.settings.admin.console_enabled.unwrap_or(configured.settings.dev_mode || self.is_loopback)
    }

    /// Responds to a request below [`ROOT`] that `admin/access.rs` has let through.
    pub(crate) async fn respond(&self, head: &Parts, body: &[u8]) -> Response {
        let path = head.uri.path();
        let session = self.session(head);
        match below(path, API) {
            Some(rest) => match self.respond_to_api(head, rest, body, session).await {
                Ok(reply) => reply.into_response(),
                Err(error) => error.into_response(),
            },
            None if !matches!(head.method, Method::GET | Method::HEAD) => {
                ApiError::method_not_allowed().into_response()
            }
            None => assets::respond(head, below(path, ROOT).unwrap_or_default(), session == Session::Valid),
        }
    }

    fn session(&self, head: &Parts) -> Session {
        let configured = self.services.configured();
        let token = configured.settings.admin.token.as_ref();
        session::of_request(head, token, self.is_loopback, SystemTime::now())
    }

    async fn respond_to_api(&self, head: &Parts, path: &str, body: &[u8], session: Session) -> ApiResult {
        let (endpoint, name) = endpoints::find(&head.method, path)?;
        if !endpoint.is_public() {
            session.check()?;
        }
        check_body(head, body)?;
        let request = ApiRequest { head, name, body };
        endpoints::call(self, endpoint, &request).await
    }

    /// Whether the caller has a session, and needs one.
    fn session_state(&self, request: &ApiRequest<'_>) -> ApiResult {
        let session = self.session(request.head);
        let needs_token = self.services.configured().settings.admin.token.is_some() || !self.is_loopback;
        Ok(Reply::json(&serde_json::json!({
            "authenticated": session == Session::Valid,
            "needs_token": needs_token,
            "version": env!("CARGO_PKG_VERSION"),
        })))
    }

    /// Begins a session, if the token is the right one.
    fn log_in(&self, request: &ApiRequest<'_>) -> ApiResult {
        let offered: session::Login = request.json()?;
        let configured = self.services.configured();
        let token = configured.settings.admin.token.as_ref();
        let cookie = session::log_in(token, &offered, request.is_secure(), SystemTime::now())?;
        Ok(Reply::no_content(Some(cookie)))
    }
}
