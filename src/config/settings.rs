//! The settings: read from flags, environment variables and `pillion.yaml`, and validated.
//! [`crate::config::settings_table`] lists them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use indexmap::IndexMap;
use url::Url;

use crate::action::header_precedence::Precedence;
use crate::config::action_settings::ActionSettings;
use crate::config::document_settings::Documents;
use crate::config::downstream_settings::ClientAddresses;
use crate::config::extension_field_settings::ExtensionFieldSettings;
use crate::config::formats::Format;
use crate::config::jwt_settings;
use crate::config::listen_address::parse_listen;
use crate::config::prefix::Prefixes;
use crate::config::relationship_settings::RelationshipSettings;
use crate::config::settings_table::{Kind, SETTINGS};
use crate::config::traffic_settings::TrafficDefaults;
use crate::config::values::Values;
use crate::config::yaml::Node;
use crate::config::{
    action_settings, document_settings, downstream_settings, extension_field_settings, limits_settings, redis_settings,
    relationship_settings, traffic_settings,
};
use crate::graphql::root_types::RootTypes;
use crate::model::address::{AllowedHosts, names_link_local};
use crate::model::limits::Limits;
use crate::model::min_rate::MinRate;
use crate::model::redis_address::RedisAddress;
use crate::model::response::Dialect;
use crate::model::secret::Secret;
use crate::model::source::Diagnostic;
use crate::protocol::origin::Origins;
use crate::session::claims::JwtRules;
use crate::session::credential::AuthRules;
use crate::session::hook::{HookCache, HookMode, HookRules};

/// Where Hasura serves GraphQL.
pub const HASURA_GRAPHQL_PATH: &str = "/v1/graphql";

/// Paths that speak GraphQL in Hasura.
const HASURA_PATHS: [&str; 3] = [HASURA_GRAPHQL_PATH, "/v1alpha1/graphql", "/v1beta1/relay"];

/// All settings, read and checked.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is documented in the table of settings, under its own name")]
pub struct Settings {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub tls: Option<TlsListener>,
    pub metadata: Option<PathBuf>,
    pub on_inconsistency: OnInconsistency,
    /// `None` probes the upstream.
    pub dialect: Option<Dialect>,
    pub precedence: Precedence,
    pub prefixes: Prefixes,
    pub introspection: Introspection,
    pub documents: Documents,
    pub dev_mode: bool,
    pub admin_internal_errors: bool,
    pub threads: Option<usize>,
    pub watch_files: bool,
    pub upgrade: bool,
    pub upgrade_socket: String,
    pub drain_delay: Duration,
    pub shutdown_timeout: Duration,
    pub upstream: Upstream,
    pub graphql_paths: Vec<String>,
    pub graphql_get: GraphqlGet,
    pub cors: Cors,
    /// Responses of so many bytes are compressed; `usize::MAX` for none.
    pub compressed_from: usize,
    pub auth: AuthRules,
    /// Is every caller admin by explicit configuration?
    pub says_open: bool,
    pub admin: AdminListener,
    pub handlers: Handlers,
    pub policies: TrafficDefaults,
    pub redis: Option<RedisAddress>,
    pub client_addresses: ClientAddresses,
    pub keepalive_timeout: Duration,
    pub stream_idle_timeout: Duration,
    pub min_request_timeout: Duration,
    pub request_header_timeout: Duration,
    pub upload_rate_min: MinRate,
    pub download_rate_min: MinRate,
    pub websocket_idle_timeout: Duration,
    pub limits: Limits,
    pub traces: Option<Traces>,
    pub log_json: bool,
    pub log_level: String,
    pub success_sample_every: usize,
    pub logs_handler_calls: bool,
    pub actions: IndexMap<String, ActionSettings>,
    pub relationships: Vec<RelationshipSettings>,
    pub extension_fields: Vec<ExtensionFieldSettings>,
    pub metadata_api: MetadataApi,
    pub metadata_body_size_max: usize,
    pub jobs: Jobs,
}

/// What happens to GET requests with an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphqlGet {
    /// What the upstream would do with them.
    Upstream,
    /// They are served.
    Allow,
    /// They are rejected.
    Deny,
}

/// Which pages of other origins may read responses.
#[derive(Clone, Debug)]
pub struct Cors {
    /// Are our own CORS headers sent?
    pub enabled: bool,
    /// Whose pages may read our responses and open WebSockets.
    pub origins: Origins,
    /// Are missing CORS headers added to the upstream's responses, preflights included? Only if origins are configured:
    /// the default would open an upstream that has no CORS on purpose.
    pub completes_upstream: bool,
}

/// What becomes of the others when an action or a type cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInconsistency {
    /// The configuration is rejected.
    Reject,
    /// They are served.
    Serve,
}

/// Where spans are sent, and which.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "see the table of settings")]
pub struct Traces {
    pub endpoint: String,
    pub is_grpc: bool,
    pub headers: Vec<(String, Secret)>,
    pub sample_ratio: f64,
    pub service_name: String,
}

/// How asynchronous actions are stored and run.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "see the table of settings")]
pub struct Jobs {
    pub store: JobStoreSettings,
    pub concurrency: usize,
    pub concurrency_per_action: usize,
    /// `None`: no handler is called.
    pub fetch_interval: Option<Duration>,
    pub lease: Duration,
    pub attempts: usize,
    pub retry_on: Vec<String>,
    pub initial_backoff: Duration,
    pub deadline: Duration,
    pub completion_timeout: Duration,
    pub keep: Duration,
    pub retention_max_jobs: usize,
    pub max_pending_bytes: usize,
}

/// Where calls of asynchronous actions are stored.
#[derive(Clone, Debug)]
pub enum JobStoreSettings {
    /// In this file.
    Sqlite(String),
    /// In this database.
    Postgres(DatabaseSettings),
}

/// Where the metadata API writes to.
#[derive(Debug)]
pub enum MetadataApi {
    /// Nowhere: there is no such API here.
    Off,
    /// Into this metadata folder.
    Folder(PathBuf),
    /// Into the database.
    Postgres(DatabaseSettings),
}

/// The database and how to talk to it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "see the table of settings")]
pub struct DatabaseSettings {
    pub url: Secret,
    pub tls_ca_file: Option<String>,
}

/// How introspection is served.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "see the table of settings")]
pub struct Introspection {
    pub merges: bool,
    pub vary_by_headers: Vec<HeaderName>,
}

/// Access control of the admin listener.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "see the table of settings")]
pub struct AdminListener {
    pub metrics_listen: Option<SocketAddr>,
    pub token: Option<Secret>,
    pub allowed_hosts: Vec<String>,
    pub max_connections: usize,
    /// Nothing: while developing, and if the listener is on loopback.
    pub console_enabled: Option<bool>,
}

/// A listener with TLS.
#[derive(Debug)]
#[expect(missing_docs, reason = "see the table of settings")]
pub struct TlsListener {
    pub listen: SocketAddr,
    pub cert_file: String,
    pub key_file: String,
}

/// The upstream and how to talk to it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "see the table of settings")]
pub struct Upstream {
    pub is_tls: bool,
    pub host: String,
    pub port: u16,
    pub graphql_path: Option<String>,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
    pub stream_idle_timeout: Duration,
    pub pool_idle_timeout: Duration,
    pub http2: bool,
    pub tls_ca_file: Option<String>,
    pub query_type: Option<String>,
    pub mutation_type: Option<String>,
    pub health_check_interval: Duration,
    pub websocket_init: WebSocketInit,
}

/// When a client's WebSocket gets one to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSocketInit {
    /// At `connection_init`: it is the upstream that acknowledges or rejects the client.
    Eager,
    /// With the first operation for the upstream.
    Lazy,
}

impl Upstream {
    /// Its address without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }

    /// Host and port, as they stand in a URL.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The upstream path for a client's request on a GraphQL `path`. Hasura's three paths mean three things in Hasura,
    /// so there each stays as it is.
    #[must_use]
    pub fn path_for<'p>(&'p self, path: &'p str) -> &'p str {
        let is_hasuras = |path: &str| HASURA_PATHS.contains(&path);
        match &self.graphql_path {
            Some(own) if !(is_hasuras(own) && is_hasuras(path)) => own,
            _ => path,
        }
    }
}

/// How handlers are called.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "see the table of settings")]
pub struct Handlers {
    pub connect_timeout: Duration,
    pub pool_idle_timeout: Duration,
    pub tls_ca_file: Option<String>,
    pub use_environment_proxy: bool,
    pub allow_link_local: bool,
    pub allow_private: bool,
    pub response_cache_size: usize,
    pub allowed_hosts: AllowedHosts,
    /// The files of a certificate chain and its key.
    pub identity: Option<(String, String)>,
}

impl Settings {
    /// Reads the values; every error is collected. With an error among them the result must not be used.
    pub fn read(values: &Values, file: Option<&Node>, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let listen = read_listen(values, "listen", ANY, diagnostics);
        let admin_listen = read_listen(values, "admin_listen", LOOPBACK, diagnostics);
        let tls = read_tls(values, diagnostics);
        let dialect = match values.text("dialect").as_deref() {
            Some("hasura") => Some(Dialect::Hasura),
            Some("standard") => Some(Dialect::Standard),
            _ => None,
        };
        check_choices(values, diagnostics);
        let precedence = if values.bool("configured_header_precedence", diagnostics) {
            Precedence::ConfiguredFirst
        } else {
            Precedence::ClientFirst
        };
        let auth = read_auth(values, diagnostics);
        let upstream = read_upstream(values, &auth, diagnostics);
        let limits = limits_settings::read(values, diagnostics);
        let actions = action_settings::read(file, diagnostics);
        Some(Self {
            tls,
            metadata: values.text("metadata.folder").map(PathBuf::from),
            on_inconsistency: match values.text("metadata.on_inconsistency").as_deref() {
                Some("serve") => OnInconsistency::Serve,
                _ => OnInconsistency::Reject,
            },
            dialect,
            precedence,
            prefixes: read_prefixes(values, diagnostics),
            introspection: read_introspection(values, diagnostics),
            documents: document_settings::read(values, &limits, diagnostics),
            dev_mode: values.bool("dev_mode", diagnostics),
            admin_internal_errors: values.bool("admin_internal_errors", diagnostics),
            threads: values.is_given("threads").then(|| values.count("threads", diagnostics)),
            watch_files: values.bool("reload.watch_files", diagnostics),
            upgrade: values.bool("upgrade.enabled", diagnostics),
            upgrade_socket: values.text("upgrade.socket_path").unwrap_or_default(),
            drain_delay: values.duration("drain_delay", diagnostics),
            shutdown_timeout: values.duration("shutdown_timeout", diagnostics),
            graphql_paths: read_paths(values, upstream.as_ref(), diagnostics),
            graphql_get: match values.text("graphql_get").as_deref() {
                Some("allow") => GraphqlGet::Allow,
                Some("deny") => GraphqlGet::Deny,
                _ => GraphqlGet::Upstream,
            },
            cors: read_cors(values, diagnostics),
            compressed_from: read_compression(values, diagnostics),
            auth,
            says_open: values.bool("auth.open", diagnostics),
            admin: read_admin(values, diagnostics),
            handlers: Handlers {
                connect_timeout: values.duration("handlers.connect_timeout", diagnostics),
                pool_idle_timeout: values.duration("handlers.pool_idle_timeout", diagnostics),
                tls_ca_file: values.text("handlers.tls_ca_file"),
                use_environment_proxy: values.bool("handlers.use_environment_proxy", diagnostics),
                allow_link_local: values.bool("handlers.allow_link_local", diagnostics),
                response_cache_size: limits.cache_bytes_fitted(
                    values.bytes("handlers.response_cache_size", diagnostics),
                    values.is_given("handlers.response_cache_size"),
                ),
                allow_private: values.bool("handlers.allow_private", diagnostics),
                allowed_hosts: read_allowed_hosts(values, diagnostics),
                identity: read_identity(values, diagnostics),
            },
            policies: traffic_settings::read_defaults(values, diagnostics),
            redis: redis_settings::read(values, diagnostics),
            client_addresses: downstream_settings::read(values, diagnostics),
            keepalive_timeout: values.duration("downstream.keepalive_timeout", diagnostics),
            request_header_timeout: values.duration("downstream.request_header_timeout", diagnostics),
            stream_idle_timeout: values.duration("downstream.stream_idle_timeout", diagnostics),
            min_request_timeout: values.duration("downstream.min_request_timeout", diagnostics),
            upload_rate_min: read_min_rate(values, "downstream.min_upload_rate", diagnostics),
            download_rate_min: read_min_rate(values, "downstream.min_download_rate", diagnostics),
            websocket_idle_timeout: values.duration("downstream.websocket_idle_timeout", diagnostics),
            limits,
            traces: read_traces(values, diagnostics),
            log_json: values.text("log.format").as_deref() != Some("text"),
            logs_handler_calls: values.texts("log.types").iter().any(|name| name == "action-handler-log"),
            success_sample_every: values.count("log.success_sample_every", diagnostics),
            log_level: values.text("log.level").unwrap_or_else(|| "info".into()),
            actions,
            relationships: relationship_settings::read(file, diagnostics),
            extension_fields: extension_field_settings::read(file, diagnostics),
            metadata_api: read_metadata_api(values, diagnostics),
            metadata_body_size_max: values.bytes("metadata_api.max_body_size", diagnostics),
            jobs: read_jobs(values, diagnostics),
            listen: listen?,
            admin_listen: admin_listen?,
            upstream: upstream?,
        })
    }

    /// The names of the root types as far as the settings know them.
    #[must_use]
    pub fn root_types(&self, dialect: Dialect) -> RootTypes {
        let usual = RootTypes::usual(dialect);
        RootTypes {
            query: self.upstream.query_type.clone().unwrap_or(usual.query),
            mutation: self.upstream.mutation_type.clone().unwrap_or(usual.mutation),
            ..usual
        }
    }
}

fn read_metadata_api(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> MetadataApi {
    let key = "metadata_api.store";
    let store = match (values.text(key).as_deref(), values.text("metadata.folder"), values.text("database.url")) {
        (Some("folder"), Some(folder), _) => MetadataApi::Folder(folder.into()),
        (Some("folder"), None, _) => {
            values.reject(key, "there is no metadata folder to write into", "give --metadata", diagnostics);
            return MetadataApi::Off;
        }
        (Some("postgres"), _, Some(url)) => MetadataApi::Postgres(DatabaseSettings {
            url: Secret::new(url),
            tls_ca_file: values.text("database.tls_ca_file"),
        }),
        (Some("postgres"), _, None) => {
            values.reject(key, "the address of the database is missing", "set PILLION_DATABASE_URL", diagnostics);
            return MetadataApi::Off;
        }
        _ => return MetadataApi::Off,
    };
    if values.text("auth.admin_secret").is_none() && values.text("auth.admin_secrets").is_none() {
        let message = "without an admin secret everybody could change the metadata";
        values.reject(key, message, "set an admin secret as well", diagnostics);
    }
    store
}

/// How asynchronous actions are stored and run, whatever else is wrong.
pub fn read_jobs(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Jobs {
    let text = values.text("jobs.store").unwrap_or_default();
    let store = match text.split_once("://") {
        Some(("sqlite", path)) if !path.is_empty() => JobStoreSettings::Sqlite(path.to_owned()),
        Some(("postgres" | "postgresql", _)) => JobStoreSettings::Postgres(DatabaseSettings {
            url: Secret::new(text.clone()),
            tls_ca_file: values.text("database.tls_ca_file"),
        }),
        _ => {
            // The text itself is not repeated: it may hold a password.
            let help = "write sqlite:///path or postgres://user:password@host/database";
            values.reject("jobs.store", "this is not the address of a store", help, diagnostics);
            JobStoreSettings::Sqlite(String::new())
        }
    };
    let interval =
        values.parsed("jobs.poll_interval", "a number of milliseconds", diagnostics, |text| text.parse().ok());
    let texts = values.texts("jobs.retry_on");
    let retry_on: Vec<String> =
        texts.iter().flat_map(|text| text.split(',')).map(|name| name.trim().to_owned()).collect();
    let known = ["connection", "timeout", "5xx", "429"];
    if let Some(other) = retry_on.iter().find(|name| !known.contains(&name.as_str())) {
        let message = format!("\"{other}\" is not a failure that is known here");
        values.reject("jobs.retry_on", &message, &format!("choose of {}", known.join(", ")), diagnostics);
    }
    Jobs {
        store,
        concurrency: values.count("jobs.max_concurrency", diagnostics),
        concurrency_per_action: values.count("jobs.max_concurrency_per_action", diagnostics),
        fetch_interval: interval.filter(|millis| *millis > 0).map(Duration::from_millis),
        lease: values.duration("jobs.lease_duration", diagnostics),
        attempts: values.count("jobs.max_attempts", diagnostics),
        retry_on,
        initial_backoff: values.duration("jobs.initial_backoff", diagnostics),
        deadline: values.duration("jobs.start_deadline", diagnostics),
        completion_timeout: values.duration("jobs.completion_timeout", diagnostics),
        keep: Duration::from_secs(24 * 60 * 60)
            * u32::try_from(values.count("jobs.retention_days", diagnostics)).unwrap_or(7),
        retention_max_jobs: values.count("jobs.retention_max_jobs", diagnostics),
        max_pending_bytes: values.bytes("jobs.max_pending_bytes", diagnostics),
    }
}

fn read_prefixes(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Prefixes {
    let mut prefix = |key: &str| {
        let text = values.text(key).unwrap_or_default();
        let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || text.starts_with(|first: char| first.is_ascii_digit()) || text.starts_with("__") {
            let message = "a name in GraphQL cannot start with this";
            values.reject(key, message, "use letters, digits and single underscores", diagnostics);
        }
        text
    };
    Prefixes { types: prefix("names.type_prefix"), fields: prefix("names.field_prefix") }
}

fn read_introspection(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Introspection {
    let vary_by_headers = values.header_names("introspection.vary_by_headers", "correct it", diagnostics);
    Introspection { merges: values.text("introspection.mode").as_deref() != Some("upstream"), vary_by_headers }
}

fn check_choices(values: &Values, diagnostics: &mut Vec<Diagnostic>) {
    for setting in SETTINGS {
        if let Kind::Choice(choices) = setting.kind {
            values.choice(setting.key, choices, diagnostics);
        }
    }
}

fn read_paths(values: &Values, upstream: Option<&Upstream>, diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let mut paths = values.texts("graphql_paths");
    if let Some(path) = paths.iter().find(|path| !is_path(path)) {
        let message = format!("\"{path}\" is not a path: it must start with / and have no query");
        values.reject("graphql_paths", &message, "write /graphql, for instance", diagnostics);
    }
    for path in HASURA_PATHS.into_iter().chain(upstream.and_then(|upstream| upstream.graphql_path.as_deref())) {
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
    }
    paths
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.parse::<http::Uri>().is_ok_and(|uri| uri.path() == text)
}

fn read_compression(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> usize {
    let min_size = values.bytes("compression.min_size", diagnostics);
    if values.bool("compression.enabled", diagnostics) { min_size } else { usize::MAX }
}

fn read_cors(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Cors {
    let enabled = values.bool("cors.enabled", diagnostics);
    let completes_upstream = enabled && values.is_given("cors.allowed_origins");
    Cors { enabled, origins: read_origins(values, diagnostics), completes_upstream }
}

fn read_origins(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Origins {
    Origins::parse(&values.texts("cors.allowed_origins")).unwrap_or_else(|wrong| {
        let message = format!("\"{wrong}\" is not an origin");
        values.reject(
            "cors.allowed_origins",
            &message,
            "write https://shop.example, https://*.shop.example or *",
            diagnostics,
        );
        Origins::Any
    })
}

fn read_traces(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Option<Traces> {
    let is_ratio = |text: &str| text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    let sample_ratio = values.parsed("telemetry.sample_ratio", "a number from 0.0 to 1.0", diagnostics, is_ratio)?;
    let is_address = |text: &str| Url::parse(text).ok().filter(Url::has_host).map(|_| text.to_owned());
    let wanted = "an address such as http://127.0.0.1:4318";
    let endpoint = values.parsed("telemetry.otlp_endpoint", wanted, diagnostics, is_address)?;
    let text = values.text("telemetry.otlp_headers").unwrap_or_default();
    let mut headers = Vec::new();
    for header in text.split(',').filter(|header| !header.trim().is_empty()) {
        match header.split_once('=') {
            Some((name, value)) => {
                headers.push((name.trim().to_ascii_lowercase(), Secret::new(value.trim().to_owned())));
            }
            None => values.reject("telemetry.otlp_headers", "this is no header", "write name=value", diagnostics),
        }
    }
    Some(Traces {
        endpoint,
        is_grpc: values.text("telemetry.otlp_protocol").as_deref() == Some("grpc"),
        headers,
        sample_ratio,
        service_name: values.text("telemetry.service_name").unwrap_or_default(),
    })
}

fn read_admin(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> AdminListener {
    let allowed_hosts: Vec<String> =
        values.texts("admin.allowed_hosts").iter().map(|name| name.to_ascii_lowercase()).collect();
    let is_name = |name: &String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    };
    if let Some(wrong) = allowed_hosts.iter().find(|name| !is_name(name)) {
        let message = format!("\"{wrong}\" is not the name of a host");
        values.reject("admin.allowed_hosts", &message, "write pillion.internal, without a port", diagnostics);
    }
    let token = values.text("admin.token");
    if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        let message = "a token in a header is made of ASCII characters without spaces";
        values.reject("admin.token", message, "choose another, such as openssl rand -hex 32 makes", diagnostics);
    }
    AdminListener {
        metrics_listen: read_listen(values, "admin.metrics_listen", ANY, diagnostics),
        max_connections: values.count("admin.max_connections", diagnostics),
        console_enabled: read_console(values, token.is_some(), diagnostics),
        token: token.map(Secret::new),
        allowed_hosts,
    }
}

/// A console that changes things must not be open to a network.
fn read_console(values: &Values, has_token: bool, diagnostics: &mut Vec<Diagnostic>) -> Option<bool> {
    let key = "console.enabled";
    let is_enabled = values.is_given(key).then(|| values.bool(key, diagnostics))?;
    let listen = values.text("admin_listen").and_then(|text| text.parse::<SocketAddr>().ok());
    if is_enabled && !has_token && listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        let message = "the console needs a token, because the admin listener is not on loopback";
        values.reject(key, message, "set admin.token (PILLION_ADMIN_TOKEN)", diagnostics);
    }
    Some(is_enabled)
}

fn read_allowed_hosts(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> AllowedHosts {
    AllowedHosts::parse(&values.texts("handlers.allowed_hosts")).unwrap_or_else(|wrong| {
        let message = format!("\"{wrong}\" is not a host");
        let help = "write api.example.org, *.example.org or api.example.org:8443";
        values.reject("handlers.allowed_hosts", &message, help, diagnostics);
        AllowedHosts::default()
    })
}

fn read_identity(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Option<(String, String)> {
    match (values.text("handlers.tls_cert_file"), values.text("handlers.tls_key_file")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (given, _) => {
            let key = if given.is_some() { "handlers.tls_cert_file" } else { "handlers.tls_key_file" };
            let message = "a certificate and its key belong together";
            values.reject(key, message, "set handlers.tls_cert_file and handlers.tls_key_file", diagnostics);
            None
        }
    }
}

/// The host of listen addresses without one.
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// That of the admin listener, which must not be open to all by an oversight.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn read_listen(values: &Values, key: &str, host: IpAddr, diagnostics: &mut Vec<Diagnostic>) -> Option<SocketAddr> {
    values.parsed(key, Format::Listen.wanted(), diagnostics, |text| parse_listen(text, host))
}

fn read_tls(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Option<TlsListener> {
    let listen = read_listen(values, "tls.listen", ANY, diagnostics)?;
    let (Some(cert_file), Some(key_file)) = (values.text("tls.cert_file"), values.text("tls.key_file")) else {
        values.reject(
            "tls.listen",
            "TLS needs a certificate and a key",
            "set tls.cert_file and tls.key_file",
            diagnostics,
        );
        return None;
    };
    Some(TlsListener { listen, cert_file, key_file })
}

fn read_upstream(values: &Values, auth: &AuthRules, diagnostics: &mut Vec<Diagnostic>) -> Option<Upstream> {
    let Some(text) = values.text("upstream.url") else {
        values.reject(
            "upstream.url",
            "the upstream's address is missing",
            "give --upstream http://host:port",
            diagnostics,
        );
        return None;
    };
    let help = "write http://host:port or https://host:port, with or without a path";
    let is_http = |uri: &http::Uri| matches!(uri.scheme_str(), Some("http" | "https")) && Url::parse(&text).is_ok();
    let Some(uri) = text.parse::<http::Uri>().ok().filter(is_http) else {
        // The text itself is not repeated: it may hold a password.
        values.reject("upstream.url", "this is not an http or https address", help, diagnostics);
        return None;
    };
    if text.contains(['?', '#']) || uri.authority().is_some_and(|part| part.as_str().contains('@')) {
        let message = "the address must have neither a query nor a user";
        values.reject("upstream.url", message, help, diagnostics);
        return None;
    }
    let graphql_path = read_upstream_path(values, &uri, diagnostics);
    let is_tls = uri.scheme_str() == Some("https");
    Some(Upstream {
        is_tls,
        host: uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
        graphql_path,
        connect_timeout: values.duration("upstream.connect_timeout", diagnostics),
        request_timeout: values.duration("upstream.request_timeout", diagnostics),
        stream_idle_timeout: values.duration("upstream.stream_idle_timeout", diagnostics),
        pool_idle_timeout: values.duration("upstream.pool_idle_timeout", diagnostics),
        http2: values.bool("upstream.http2", diagnostics),
        tls_ca_file: values.text("upstream.tls_ca_file"),
        query_type: values.text("upstream.query_type"),
        mutation_type: values.text("upstream.mutation_type"),
        health_check_interval: values.duration("upstream.health_check_interval", diagnostics),
        websocket_init: match values.text("upstream.websocket_init").as_deref() {
            Some("eager") => WebSocketInit::Eager,
            Some("auto") if auth.is_open() => WebSocketInit::Eager,
            _ => WebSocketInit::Lazy,
        },
    })
}

/// It may stand in the address or in a setting of its own.
fn read_upstream_path(values: &Values, uri: &http::Uri, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    let in_url = Some(uri.path()).filter(|path| *path != "/").map(str::to_owned);
    let key = "upstream.graphql_path";
    let set =
        values.parsed(key, "a path such as /v1/graphql", diagnostics, |text| is_path(text).then(|| text.to_owned()));
    if let (Some(in_url), Some(set)) = (&in_url, &set)
        && in_url != set
    {
        let message = format!("upstream.url has another path: {in_url}");
        values.reject(key, &message, "leave one of the two out", diagnostics);
    }
    in_url.or(set)
}

fn read_auth(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> AuthRules {
    let admin_secrets = match values.text("auth.admin_secrets") {
        Some(json) => serde_json::from_str::<Vec<String>>(&json).unwrap_or_else(|_| {
            values.reject("auth.admin_secrets", "this is not a JSON list of strings", "write [\"…\"]", diagnostics);
            Vec::new()
        }),
        None => values.text("auth.admin_secret").into_iter().collect(),
    };
    if values.text("auth.admin_secrets").is_some_and(|json| is_empty_list(&json)) {
        let message = "a list without an admin secret would let everybody in";
        values.reject("auth.admin_secrets", message, "write [\"…\"], or remove it", diagnostics);
    }
    if admin_secrets.iter().any(|secret| secret.trim().is_empty()) {
        let message = "an empty admin secret would let everybody in";
        values.reject("auth.admin_secrets", message, "remove it, or give it a value", diagnostics);
    }
    let mut jwt = read_jwt(values, diagnostics);
    if !jwt.is_empty() && admin_secrets.is_empty() {
        let message = "Fatal Error : --jwt-secret (HASURA_GRAPHQL_JWT_SECRET) requires --admin-secret \
                       (HASURA_GRAPHQL_ADMIN_SECRET) or  --access-key (HASURA_GRAPHQL_ACCESS_KEY) to be set";
        values.reject("auth.jwt_secret", message, "set an admin secret as well", diagnostics);
    }
    let unauthorized_role = values.text("auth.unauthorized_role").filter(|role| !role.is_empty());
    let has_own_jwt = jwt_settings::is_given(values);
    jwt_settings::read(values, diagnostics).into_iter().for_each(|rules| jwt.push(rules));
    if unauthorized_role.is_some() && admin_secrets.is_empty() && !has_own_jwt {
        let message = "an unauthorized role means nothing without an admin secret: everybody is admin";
        values.reject("auth.unauthorized_role", message, "set an admin secret as well", diagnostics);
    }
    let hook = read_hook(values, diagnostics);
    let is_link_local = |hook: &HookRules| Url::parse(hook.url.expose()).is_ok_and(|url| names_link_local(&url));
    if hook.as_ref().is_some_and(is_link_local) && !values.bool("handlers.allow_link_local", diagnostics) {
        let message = "the auth hook has a link-local or metadata address";
        values.reject("auth.hook", message, "correct it, or set handlers.allow_link_local", diagnostics);
    }
    if hook.is_some() {
        reject_beside_hook(values, &admin_secrets, !jwt.is_empty(), unauthorized_role.is_some(), diagnostics);
    }
    let rules = AuthRules {
        hook: hook.map(Arc::new),
        admin_secrets: admin_secrets.into_iter().map(Secret::new).collect(),
        jwt,
        unauthorized_role,
        unauthorized_session_variables: values.bool("auth.unauthorized_session_variables", diagnostics),
    };
    check_open(values, &rules, diagnostics);
    rules
}

/// `auth.open` and the credentials must not contradict each other.
fn check_open(values: &Values, rules: &AuthRules, diagnostics: &mut Vec<Diagnostic>) {
    if !values.is_given("auth.open") {
        return;
    }
    match (values.bool("auth.open", diagnostics), rules.is_open()) {
        (true, false) => {
            let message = "this makes everybody admin, and a credential is configured as well";
            values.reject("auth.open", message, "remove one of the two", diagnostics);
        }
        (false, true) => {
            let message = "there is no credential, so everybody would be admin";
            values.reject("auth.open", message, "set an admin secret (HASURA_GRAPHQL_ADMIN_SECRET)", diagnostics);
        }
        _ => {}
    }
}

fn is_empty_list(json: &str) -> bool {
    serde_json::from_str::<Vec<serde_json::Value>>(json).is_ok_and(|list| list.is_empty())
}

/// Hasura's own messages where it has some.
fn reject_beside_hook(
    values: &Values,
    admin_secrets: &[String],
    has_jwt: bool,
    has_unauthorized_role: bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if admin_secrets.is_empty() {
        let message = "Fatal Error : --auth-hook (HASURA_GRAPHQL_AUTH_HOOK) requires --admin-secret \
                       (HASURA_GRAPHQL_ADMIN_SECRET) or  --access-key (HASURA_GRAPHQL_ACCESS_KEY) to be set";
        values.reject("auth.hook", message, "set an admin secret as well", diagnostics);
    }
    if has_jwt {
        let message = "Fatal Error: Both webhook and JWT mode cannot be enabled at the same time";
        values.reject("auth.hook", message, "remove one of the two", diagnostics);
    }
    if has_unauthorized_role {
        let message = "Fatal Error: --unauthorized-role (HASURA_GRAPHQL_UNAUTHORIZED_ROLE) is not allowed when \
                       --auth-hook (HASURA_GRAPHQL_AUTH_HOOK) is set";
        values.reject("auth.unauthorized_role", message, "let the hook return that role", diagnostics);
    }
}

fn read_hook(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Option<HookRules> {
    let mode = values.choice("auth.hook_mode", &["GET", "POST"], &mut Vec::new());
    let headers = values.header_names("auth.hook_cache_key_headers", "write names of headers", diagnostics);
    let time_max = values.duration("auth.hook_cache_max_ttl", diagnostics);
    let sends_request = values.bool("auth.hook_send_request_body", diagnostics);
    let timeout = values.duration("auth.hook_timeout", diagnostics);
    let attempts = values.count("auth.hook_attempts", diagnostics);
    let url = values.text("auth.hook")?;
    if !Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        // The text itself is not repeated: it may hold a password.
        let message = "this is not an http or https address";
        values.reject("auth.hook", message, "write http://host:port/path", diagnostics);
    }
    Some(HookRules {
        url: Secret::new(url),
        mode: if mode == Some("POST") { HookMode::Post } else { HookMode::Get },
        sends_request,
        timeout,
        attempts,
        cache: (!headers.is_empty()).then_some(HookCache { headers, time_max }),
    })
}

/// Hasura's JSON.
const JWT_HELP: &str = "write {\"type\": \"HS256\", \"key\": \"a secret of at least 32 characters\"} or {\"jwk_url\": \
                          \"https://…\"}; types are HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, \
                          ES384, ES512 and Ed25519";

fn read_jwt(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Vec<JwtRules> {
    let help = JWT_HELP;
    let mut rules = Vec::new();
    let mut take = |key: &str, rule: Result<JwtRules, String>, diagnostics: &mut Vec<Diagnostic>| match rule {
        Ok(rule) => {
            if let [_, _, ..] = rule.claims.literal_roles().as_slice() {
                let roles = rule.claims.literal_roles().join(", ");
                let message = format!("claims_map lets every user take every one of these roles: {roles}");
                let help = "read them from the token: \"x-hasura-allowed-roles\": {\"path\": \"$.roles\"}; a claim \
                              with a single role will do as well";
                values.warn(key, &message, help, diagnostics);
            }
            rules.push(rule);
        }
        Err(reason) => values.reject(key, &reason, help, diagnostics),
    };
    if let Some(json) = values.text("auth.jwt_secrets") {
        match serde_json::from_str::<Vec<serde_json::Value>>(&json) {
            Ok(list) if list.is_empty() => {
                values.reject(
                    "auth.jwt_secrets",
                    "a list without a JWT secret authenticates no request",
                    help,
                    diagnostics,
                );
            }
            Ok(list) => list.iter().for_each(|one| take("auth.jwt_secrets", JwtRules::from_value(one), diagnostics)),
            Err(_) => values.reject("auth.jwt_secrets", "this is not a JSON list of objects", help, diagnostics),
        }
    } else if let Some(json) = values.text("auth.jwt_secret") {
        take("auth.jwt_secret", JwtRules::parse(&json), diagnostics);
    }
    rules
}

fn read_min_rate(values: &Values, key: &str, diagnostics: &mut Vec<Diagnostic>) -> MinRate {
    MinRate {
        bytes_per_second: values.bytes(key, diagnostics),
        grace: values.duration("downstream.rate_grace_period", diagnostics),
    }
}
