//! One table of all settings. Flags, variables, `config/pillion.example.yaml` and the JSON Schema come out of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::header::HeaderName;
use indexmap::IndexMap;

use super::values::Values;
use super::yaml::{Fields, Node};
use crate::action::headers::Precedence;
use crate::graphql::plan::RootTypes;
use crate::model::limits::Limits;
use crate::model::response::Dialect;
use crate::model::secret::Secret;
use crate::model::source::Diagnostic;
use crate::session::claims::JwtRules;
use crate::session::credential::AuthRules;

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that nobody may see.
    Secret,
    /// Several texts; in a variable, with commas between.
    Texts,
    /// True or false.
    Bool,
    /// A whole number of at least one.
    Count,
    /// A number of bytes.
    Bytes,
    /// A span of time.
    Duration,
    /// One of these.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// What to write, for a message.
    #[must_use]
    pub fn wanted(self) -> &'static str {
        match self {
            Self::Text | Self::Secret | Self::Choice(_) => "a string",
            Self::Texts => "a list of strings",
            Self::Bool => "true or false",
            Self::Count => "a whole number of at least 1",
            Self::Bytes => "a number of bytes such as 10MiB",
            Self::Duration => "a time such as 30s",
        }
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key in `pillion.yaml`, groups separated by dots.
    pub key: &'static str,
    /// Its flag, without the dashes. Secrets have none: a command line is no secret.
    pub flag: Option<&'static str>,
    /// Its environment variables; the first one that is set counts.
    pub env: &'static [&'static str],
    /// What it takes.
    pub kind: Kind,
    /// What it is when nobody says.
    pub default: Option<&'static str>,
    /// What it does and why it is as it is.
    pub doc: &'static str,
}

const fn setting(
    key: &'static str,
    flag: Option<&'static str>,
    env: &'static [&'static str],
    kind: Kind,
    default: Option<&'static str>,
    doc: &'static str,
) -> Setting {
    Setting { key, flag, env, kind, default, doc }
}

/// All settings, in the order of the example file.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("listen", Some("listen"), &["PILLION_LISTEN"], Kind::Text, Some("0.0.0.0:8000"),
        "Where clients connect: HTTP/1.1, and HTTP/2 with prior knowledge."),
    setting("admin_listen", Some("admin-listen"), &["PILLION_ADMIN_LISTEN"], Kind::Text, Some("127.0.0.1:8001"),
        "Where /healthz, /readyz and /metrics are. Keep it away from clients."),
    setting("tls.listen", Some("tls-listen"), &["PILLION_TLS_LISTEN"], Kind::Text, None,
        "Where clients connect with TLS: HTTP/1.1 and HTTP/2. Needs the two files below."),
    setting("tls.cert_file", Some("tls-cert-file"), &["PILLION_TLS_CERT_FILE"], Kind::Text, None,
        "The certificate chain, PEM."),
    setting("tls.key_file", Some("tls-key-file"), &["PILLION_TLS_KEY_FILE"], Kind::Text, None,
        "Its private key, PEM."),
    setting("metadata", Some("metadata"), &["PILLION_METADATA"], Kind::Text, None,
        "The folder with actions.yaml and actions.graphql, or a whole metadata folder exported from Hasura."),
    setting("dialect", Some("dialect"), &["PILLION_DIALECT"], Kind::Choice(&["auto", "hasura", "standard"]), Some("auto"),
        "How errors are told. hasura: one failed part fails the response. standard: partial results, as the GraphQL\nspecification says. auto asks the engine: a query root named query_root is Hasura."),
    setting("configured_header_precedence", Some("configured-header-precedence"),
        &["PILLION_CONFIGURED_HEADER_PRECEDENCE", "HASURA_GRAPHQL_CONFIGURED_HEADER_PRECEDENCE"], Kind::Bool, Some("false"),
        "Which header wins when several sources name it. false: client, session variables, configuration.\ntrue: configuration, session variables, client."),
    setting("dev_mode", Some("dev-mode"), &["PILLION_DEV_MODE", "HASURA_GRAPHQL_DEV_MODE"], Kind::Bool, Some("false"),
        "Show extensions.internal of failed webhook calls to every role."),
    setting("admin_internal_errors", None, &["PILLION_ADMIN_INTERNAL_ERRORS", "HASURA_GRAPHQL_ADMIN_INTERNAL_ERRORS"], Kind::Bool, Some("true"),
        "Show extensions.internal of failed webhook calls to the role admin."),
    setting("threads", Some("threads"), &["PILLION_THREADS"], Kind::Count, None,
        "Threads that serve requests. Default: as many as there are processors."),
    setting("shutdown_timeout", None, &["PILLION_SHUTDOWN_TIMEOUT", "HASURA_GRAPHQL_GRACEFUL_SHUTDOWN_TIMEOUT"], Kind::Duration, Some("60s"),
        "How long requests in flight may take after SIGTERM."),

    setting("upstream.url", Some("upstream"), &["PILLION_UPSTREAM"], Kind::Text, None,
        "The engine: http://host:port or https://host:port. Paths of requests are passed on as they are."),
    setting("upstream.graphql_path", None, &["PILLION_UPSTREAM_GRAPHQL_PATH"], Kind::Text, None,
        "The engine's GraphQL path for our own questions to it. Default: the first of graphql_paths that answers."),
    setting("upstream.connect_timeout", None, &["PILLION_UPSTREAM_CONNECT_TIMEOUT"], Kind::Duration, Some("2s"),
        "How long a connection to the engine may take to make."),
    setting("upstream.timeout", None, &["PILLION_UPSTREAM_TIMEOUT"], Kind::Duration, Some("60s"),
        "How long the engine may take for its part of a request with actions, and to begin any other answer."),
    setting("upstream.idle_timeout", None, &["PILLION_UPSTREAM_IDLE_TIMEOUT"], Kind::Duration, Some("60s"),
        "How long an answer that streams through may pause."),
    setting("upstream.pool_idle_timeout", None, &["PILLION_UPSTREAM_POOL_IDLE_TIMEOUT"], Kind::Duration, Some("4s"),
        "How long an unused connection is kept. Less than the engine's own, or requests are lost: Node closes after 5 s."),
    setting("upstream.http2", None, &["PILLION_UPSTREAM_HTTP2"], Kind::Bool, Some("false"),
        "Speak HTTP/2 to the engine, with prior knowledge or, with TLS, where it agrees."),
    setting("upstream.tls_ca_file", None, &["PILLION_UPSTREAM_TLS_CA_FILE"], Kind::Text, None,
        "The authorities whose certificates the engine may have, PEM. Default: the system's."),
    setting("upstream.query_root", None, &["PILLION_UPSTREAM_QUERY_ROOT"], Kind::Text, None,
        "The name of the engine's query type. Default: the engine is asked."),
    setting("upstream.mutation_root", None, &["PILLION_UPSTREAM_MUTATION_ROOT"], Kind::Text, None,
        "The name of the engine's mutation type. Default: the engine is asked."),
    setting("upstream.probe_interval", None, &["PILLION_UPSTREAM_PROBE_INTERVAL"], Kind::Duration, Some("5s"),
        "How often the engine is asked whether it is there, for /readyz."),

    setting("graphql_paths", None, &["PILLION_GRAPHQL_PATHS"], Kind::Texts, Some("/graphql"),
        "Paths that speak GraphQL. /v1/graphql, /v1alpha1/graphql and /v1beta1/relay always do as well."),

    setting("auth.admin_secret", None, &["PILLION_ADMIN_SECRET", "HASURA_GRAPHQL_ADMIN_SECRET", "HASURA_GRAPHQL_ACCESS_KEY"], Kind::Secret, None,
        "Whoever sends this as X-Hasura-Admin-Secret is admin. Set the variable rather than this key."),
    setting("auth.admin_secrets", None, &["PILLION_ADMIN_SECRETS", "HASURA_GRAPHQL_ADMIN_SECRETS"], Kind::Secret, None,
        "Several of them, as a JSON list in a string; the single one is then ignored."),
    setting("auth.jwt_secret", None, &["PILLION_JWT_SECRET", "HASURA_GRAPHQL_JWT_SECRET"], Kind::Secret, None,
        "How tokens are checked: a JSON object in a string, with Hasura's keys."),
    setting("auth.jwt_secrets", None, &["PILLION_JWT_SECRETS", "HASURA_GRAPHQL_JWT_SECRETS"], Kind::Secret, None,
        "Several of them, as a JSON list in a string; the single one is then ignored."),
    setting("auth.unauthorized_role", None, &["PILLION_UNAUTHORIZED_ROLE", "HASURA_GRAPHQL_UNAUTHORIZED_ROLE"], Kind::Text, None,
        "The role of callers without any credential. A wrong credential is always an error."),
    setting("auth.unauthorized_variables", None, &["PILLION_UNAUTHORIZED_VARIABLES"], Kind::Bool, Some("false"),
        "Do the x-hasura-* headers of those callers become session variables? They do in Hasura, and then\nanybody can claim to be anybody."),

    setting("handlers.connect_timeout", None, &["PILLION_HANDLERS_CONNECT_TIMEOUT"], Kind::Duration, Some("2s"),
        "How long a connection to a handler may take to make. An action's own timeout covers the whole call."),
    setting("handlers.pool_idle_timeout", None, &["PILLION_HANDLERS_POOL_IDLE_TIMEOUT"], Kind::Duration, Some("4s"),
        "How long an unused connection is kept. Less than the handlers' own, or calls are lost."),
    setting("handlers.tls_ca_file", None, &["PILLION_HANDLERS_TLS_CA_FILE"], Kind::Text, None,
        "Authorities whose certificates handlers may have beside the system's, PEM."),
    setting("handlers.use_environment_proxy", None, &["PILLION_HANDLERS_USE_ENVIRONMENT_PROXY"], Kind::Bool, Some("false"),
        "Call handlers through HTTP_PROXY, HTTPS_PROXY and NO_PROXY."),

    setting("clients.keepalive_timeout", None, &["PILLION_CLIENTS_KEEPALIVE_TIMEOUT"], Kind::Duration, Some("60s"),
        "How long a client's unused connection is kept."),
    setting("clients.body_timeout", None, &["PILLION_CLIENTS_BODY_TIMEOUT"], Kind::Duration, Some("60s"),
        "How long a client may pause while it sends a body or takes an answer."),

    setting("limits.body_bytes", None, &["PILLION_LIMITS_BODY_BYTES"], Kind::Bytes, Some("10MiB"),
        "A request body on a GraphQL path, on the wire and decoded. Other paths have no limit."),
    setting("limits.document_bytes", None, &["PILLION_LIMITS_DOCUMENT_BYTES"], Kind::Bytes, Some("256KiB"),
        "A document with an action in it. Its text goes into every webhook call."),
    setting("limits.tokens", None, &["PILLION_LIMITS_TOKENS"], Kind::Count, Some("15000"),
        "Tokens of a document."),
    setting("limits.depth", None, &["PILLION_LIMITS_DEPTH"], Kind::Count, Some("64"),
        "Nesting of selection sets, fragments included."),
    setting("limits.aliases", None, &["PILLION_LIMITS_ALIASES"], Kind::Count, Some("500"),
        "Aliases of a document, fragments counted as often as they are used."),
    setting("limits.directives", None, &["PILLION_LIMITS_DIRECTIVES"], Kind::Count, Some("500"),
        "Directives of a document, counted likewise."),
    setting("limits.selections", None, &["PILLION_LIMITS_SELECTIONS"], Kind::Count, Some("50000"),
        "Selections of a document, counted likewise."),
    setting("limits.root_fields", None, &["PILLION_LIMITS_ROOT_FIELDS"], Kind::Count, Some("100"),
        "Root fields of an operation."),
    setting("limits.action_calls", None, &["PILLION_LIMITS_ACTION_CALLS"], Kind::Count, Some("20"),
        "Webhook calls that one document may cause."),
    setting("limits.calls_per_action", None, &["PILLION_LIMITS_CALLS_PER_ACTION"], Kind::Count, Some("20"),
        "Calls of one action that one document may cause. See actions.NAME.calls_per_document below."),
    setting("limits.batch", None, &["PILLION_LIMITS_BATCH"], Kind::Count, Some("10"),
        "Requests in a batch with an action in it."),
    setting("limits.json_depth", None, &["PILLION_LIMITS_JSON_DEPTH"], Kind::Count, Some("64"),
        "Nesting of JSON in a request with an action in it."),
    setting("limits.handler_answer_bytes", None, &["PILLION_LIMITS_HANDLER_ANSWER_BYTES"], Kind::Bytes, Some("8MiB"),
        "A handler's answer, decoded."),
    setting("limits.engine_answer_bytes", None, &["PILLION_LIMITS_ENGINE_ANSWER_BYTES"], Kind::Bytes, Some("64MiB"),
        "The engine's answer to its part of a request with actions. Others stream without a limit."),
    setting("limits.list_elements", None, &["PILLION_LIMITS_LIST_ELEMENTS"], Kind::Count, Some("100000"),
        "Elements of a list in a handler's answer."),
    setting("limits.buffered_bytes", None, &["PILLION_LIMITS_BUFFERED_BYTES"], Kind::Bytes, Some("128MiB"),
        "Bodies of all requests that are held at one time; beyond it a request is answered 503."),
    setting("limits.concurrent_calls", None, &["PILLION_LIMITS_CONCURRENT_CALLS"], Kind::Count, Some("4096"),
        "Webhook calls at one time."),
    setting("limits.header_bytes", None, &["PILLION_LIMITS_HEADER_BYTES"], Kind::Bytes, Some("32KiB"),
        "All headers of a request together."),
    setting("limits.headers", None, &["PILLION_LIMITS_HEADERS"], Kind::Count, Some("100"),
        "Headers of a request."),
    setting("limits.plan_cache_bytes", None, &["PILLION_LIMITS_PLAN_CACHE_BYTES"], Kind::Bytes, Some("16MiB"),
        "Memory for plans of documents that were seen before."),
    setting("limits.request_timeout", None, &["PILLION_LIMITS_REQUEST_TIMEOUT"], Kind::Duration, Some("70s"),
        "How long a request with an action may take as a whole."),

    setting("log.format", Some("log-format"), &["PILLION_LOG_FORMAT"], Kind::Choice(&["json", "text"]), Some("json"),
        "One JSON object a line, or text for people."),
    setting("log.level", Some("log-level"), &["PILLION_LOG_LEVEL", "HASURA_GRAPHQL_LOG_LEVEL"], Kind::Choice(&["error", "warn", "info", "debug"]), Some("info"),
        "How much is logged. info has one line for each request with an action."),
];

/// Paths that speak GraphQL in Hasura.
const HASURA_PATHS: [&str; 3] = ["/v1/graphql", "/v1alpha1/graphql", "/v1beta1/relay"];

/// All settings, read and checked.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is documented in the table above, under its own name")]
pub struct Settings {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub tls: Option<TlsListener>,
    pub metadata: Option<PathBuf>,
    /// `None` asks the engine.
    pub dialect: Option<Dialect>,
    pub precedence: Precedence,
    pub dev_mode: bool,
    pub admin_internal_errors: bool,
    pub threads: Option<usize>,
    pub shutdown_timeout: Duration,
    pub upstream: Upstream,
    pub graphql_paths: Vec<String>,
    pub auth: AuthRules,
    pub handlers: Handlers,
    pub keepalive_timeout: Duration,
    pub body_timeout: Duration,
    pub limits: Limits,
    pub log_json: bool,
    pub log_level: String,
    pub actions: IndexMap<String, ActionSettings>,
}

/// A listener with TLS.
#[derive(Debug)]
#[expect(missing_docs, reason = "see the table above")]
pub struct TlsListener {
    pub listen: SocketAddr,
    pub cert_file: String,
    pub key_file: String,
}

/// The engine and how to talk to it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "see the table above")]
pub struct Upstream {
    pub is_tls: bool,
    pub host: String,
    pub port: u16,
    pub graphql_path: Option<String>,
    pub connect_timeout: Duration,
    pub timeout: Duration,
    pub idle_timeout: Duration,
    pub pool_idle_timeout: Duration,
    pub http2: bool,
    pub tls_ca_file: Option<String>,
    pub query_root: Option<String>,
    pub mutation_root: Option<String>,
    pub probe_interval: Duration,
}

/// How handlers are called.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "see the table above")]
pub struct Handlers {
    pub connect_timeout: Duration,
    pub pool_idle_timeout: Duration,
    pub tls_ca_file: Option<String>,
    pub use_environment_proxy: bool,
}

/// What `pillion.yaml` says about one action.
#[derive(Clone, Debug, Default)]
pub struct ActionSettings {
    /// Overrides `limits.calls_per_action`: 1 for something like a one-time password.
    pub calls_per_document_max: Option<usize>,
    /// A call whose fate is unknown may be sent again.
    pub idempotent: bool,
    /// Of the client's headers, only these are sent on.
    pub forwarded_client_headers: Option<Vec<HeaderName>>,
}

/// Keys of one action under `actions`, with their documentation.
pub const ACTION_KEYS: [(&str, &str, &str); 3] = [
    ("calls_per_document", "integer", "How often one document may call it. 1 for something like a one-time password."),
    ("idempotent", "boolean", "A call whose fate is unknown may be sent again."),
    ("forwarded_client_headers", "array", "Of the client's headers, only these are sent on to the handler."),
];

impl Settings {
    /// Reads the values; every mistake is collected. With an error among them the result must not be used.
    pub fn read(values: &Values, file: Option<&Node>, mistakes: &mut Vec<Diagnostic>) -> Option<Self> {
        let address = |key: &str, mistakes: &mut Vec<Diagnostic>| {
            values.parsed(key, "an address such as 127.0.0.1:8000", mistakes, |text| text.parse().ok())
        };
        let listen = address("listen", mistakes);
        let admin_listen = address("admin_listen", mistakes);
        let tls = read_tls(values, mistakes);
        let upstream = read_upstream(values, mistakes);
        let dialect = match values.text("dialect").as_deref() {
            Some("hasura") => Some(Dialect::Hasura),
            Some("standard") => Some(Dialect::Standard),
            _ => None,
        };
        check_choices(values, mistakes);
        let precedence = if values.bool("configured_header_precedence", mistakes) {
            Precedence::ConfiguredFirst
        } else {
            Precedence::ClientFirst
        };
        let auth = read_auth(values, mistakes);
        let limits = read_limits(values, mistakes);
        let actions = read_actions(file, mistakes);
        Some(Self {
            tls,
            metadata: values.text("metadata").map(PathBuf::from),
            dialect,
            precedence,
            dev_mode: values.bool("dev_mode", mistakes),
            admin_internal_errors: values.bool("admin_internal_errors", mistakes),
            threads: values.is_given("threads").then(|| values.count("threads", mistakes)),
            shutdown_timeout: values.duration("shutdown_timeout", mistakes),
            graphql_paths: read_paths(values, mistakes),
            auth,
            handlers: Handlers {
                connect_timeout: values.duration("handlers.connect_timeout", mistakes),
                pool_idle_timeout: values.duration("handlers.pool_idle_timeout", mistakes),
                tls_ca_file: values.text("handlers.tls_ca_file"),
                use_environment_proxy: values.bool("handlers.use_environment_proxy", mistakes),
            },
            keepalive_timeout: values.duration("clients.keepalive_timeout", mistakes),
            body_timeout: values.duration("clients.body_timeout", mistakes),
            limits,
            log_json: values.text("log.format").as_deref() != Some("text"),
            log_level: values.text("log.level").unwrap_or_else(|| "info".into()),
            actions,
            listen: listen?,
            admin_listen: admin_listen?,
            upstream: upstream?,
        })
    }

    /// The names of the root types as far as the settings know them.
    #[must_use]
    pub fn root_types(&self, dialect: Dialect) -> RootTypes {
        let (query, mutation, subscription) = match dialect {
            Dialect::Hasura => ("query_root", "mutation_root", "subscription_root"),
            Dialect::Standard => ("Query", "Mutation", "Subscription"),
        };
        RootTypes {
            query: self.upstream.query_root.clone().unwrap_or_else(|| query.into()),
            mutation: self.upstream.mutation_root.clone().unwrap_or_else(|| mutation.into()),
            subscription: subscription.into(),
        }
    }
}

fn check_choices(values: &Values, mistakes: &mut Vec<Diagnostic>) {
    for setting in SETTINGS {
        if let Kind::Choice(choices) = setting.kind {
            let wanted = format!("one of {}", choices.join(", "));
            values.parsed(setting.key, &wanted, mistakes, |text| choices.contains(&text).then_some(()));
        }
    }
}

fn read_paths(values: &Values, mistakes: &mut Vec<Diagnostic>) -> Vec<String> {
    let mut paths = values.texts("graphql_paths");
    if paths.iter().any(|path| !path.starts_with('/')) {
        values.refuse("graphql_paths", "a path must start with /", "write /graphql, for instance", mistakes);
    }
    for path in HASURA_PATHS {
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
    }
    paths
}

fn read_tls(values: &Values, mistakes: &mut Vec<Diagnostic>) -> Option<TlsListener> {
    let wanted = "an address such as 0.0.0.0:8443";
    let listen = values.parsed("tls.listen", wanted, mistakes, |text| text.parse().ok())?;
    let (Some(cert_file), Some(key_file)) = (values.text("tls.cert_file"), values.text("tls.key_file")) else {
        values.refuse(
            "tls.listen",
            "TLS needs a certificate and a key",
            "set tls.cert_file and tls.key_file",
            mistakes,
        );
        return None;
    };
    Some(TlsListener { listen, cert_file, key_file })
}

fn read_upstream(values: &Values, mistakes: &mut Vec<Diagnostic>) -> Option<Upstream> {
    let Some(text) = values.text("upstream.url") else {
        values.refuse("upstream.url", "the engine's address is missing", "give --upstream http://host:port", mistakes);
        return None;
    };
    let remedy = "write http://host:port or https://host:port";
    let Some(uri) = text.parse::<http::Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
    else {
        // The text itself is not repeated: it may hold a password.
        values.refuse("upstream.url", "this is not an http or https address", remedy, mistakes);
        return None;
    };
    if uri.path() != "/" || uri.query().is_some() || uri.authority().is_some_and(|part| part.as_str().contains('@')) {
        let message = "the address must have neither a path nor a user";
        values.refuse("upstream.url", message, "a path belongs into upstream.graphql_path", mistakes);
        return None;
    }
    let is_tls = uri.scheme_str() == Some("https");
    Some(Upstream {
        is_tls,
        host: uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
        graphql_path: values.text("upstream.graphql_path"),
        connect_timeout: values.duration("upstream.connect_timeout", mistakes),
        timeout: values.duration("upstream.timeout", mistakes),
        idle_timeout: values.duration("upstream.idle_timeout", mistakes),
        pool_idle_timeout: values.duration("upstream.pool_idle_timeout", mistakes),
        http2: values.bool("upstream.http2", mistakes),
        tls_ca_file: values.text("upstream.tls_ca_file"),
        query_root: values.text("upstream.query_root"),
        mutation_root: values.text("upstream.mutation_root"),
        probe_interval: values.duration("upstream.probe_interval", mistakes),
    })
}

fn read_auth(values: &Values, mistakes: &mut Vec<Diagnostic>) -> AuthRules {
    let admin_secrets = match values.text("auth.admin_secrets") {
        Some(json) => serde_json::from_str::<Vec<String>>(&json).unwrap_or_else(|_| {
            values.refuse("auth.admin_secrets", "this is not a JSON list of strings", "write [\"…\"]", mistakes);
            Vec::new()
        }),
        None => values.text("auth.admin_secret").into_iter().collect(),
    };
    if admin_secrets.iter().any(|secret| secret.trim().is_empty()) {
        let message = "an empty admin secret would let everybody in";
        values.refuse("auth.admin_secret", message, "remove it, or give it a value", mistakes);
    }
    let jwt = read_jwt(values, mistakes);
    if !jwt.is_empty() && admin_secrets.is_empty() {
        let message = "Fatal Error : --jwt-secret (HASURA_GRAPHQL_JWT_SECRET) requires --admin-secret \
                       (HASURA_GRAPHQL_ADMIN_SECRET) or  --access-key (HASURA_GRAPHQL_ACCESS_KEY) to be set";
        values.refuse("auth.jwt_secret", message, "set an admin secret as well", mistakes);
    }
    let unauthorized_role = values.text("auth.unauthorized_role").filter(|role| !role.is_empty());
    if unauthorized_role.is_some() && admin_secrets.is_empty() {
        let message = "an unauthorized role means nothing without an admin secret: everybody is admin";
        values.refuse("auth.unauthorized_role", message, "set an admin secret as well", mistakes);
    }
    AuthRules {
        admin_secrets: admin_secrets.into_iter().map(Secret::new).collect(),
        jwt,
        unauthorized_role,
        unauthorized_variables: values.bool("auth.unauthorized_variables", mistakes),
    }
}

fn read_jwt(values: &Values, mistakes: &mut Vec<Diagnostic>) -> Vec<JwtRules> {
    let remedy = "see the documentation of HASURA_GRAPHQL_JWT_SECRET";
    let mut rules = Vec::new();
    let mut take = |key: &str, rule: Result<JwtRules, String>, mistakes: &mut Vec<Diagnostic>| match rule {
        Ok(rule) => rules.push(rule),
        Err(reason) => values.refuse(key, &reason, remedy, mistakes),
    };
    if let Some(json) = values.text("auth.jwt_secrets") {
        match serde_json::from_str::<Vec<serde_json::Value>>(&json) {
            Ok(list) => list.iter().for_each(|one| take("auth.jwt_secrets", JwtRules::from_value(one), mistakes)),
            Err(_) => values.refuse("auth.jwt_secrets", "this is not a JSON list of objects", remedy, mistakes),
        }
    } else if let Some(json) = values.text("auth.jwt_secret") {
        take("auth.jwt_secret", JwtRules::parse(&json), mistakes);
    }
    rules
}

fn read_limits(values: &Values, mistakes: &mut Vec<Diagnostic>) -> Limits {
    let fixed = Limits::default();
    Limits {
        body_bytes_max: values.bytes("limits.body_bytes", mistakes),
        document_bytes_max: values.bytes("limits.document_bytes", mistakes),
        tokens_max: values.count("limits.tokens", mistakes),
        depth_max: values.count("limits.depth", mistakes),
        aliases_max: values.count("limits.aliases", mistakes),
        directives_max: values.count("limits.directives", mistakes),
        selections_max: values.count("limits.selections", mistakes),
        root_fields_max: values.count("limits.root_fields", mistakes),
        action_calls_max: values.count("limits.action_calls", mistakes),
        calls_per_action_max: values.count("limits.calls_per_action", mistakes),
        batch_max: values.count("limits.batch", mistakes),
        json_depth_max: values.count("limits.json_depth", mistakes),
        handler_answer_bytes_max: values.bytes("limits.handler_answer_bytes", mistakes),
        engine_answer_bytes_max: values.bytes("limits.engine_answer_bytes", mistakes),
        list_elements_max: values.count("limits.list_elements", mistakes),
        buffered_bytes_max: values.bytes("limits.buffered_bytes", mistakes),
        concurrent_calls_max: values.count("limits.concurrent_calls", mistakes),
        header_bytes_max: values.bytes("limits.header_bytes", mistakes),
        headers_max: values.count("limits.headers", mistakes),
        plan_cache_bytes_max: values.bytes("limits.plan_cache_bytes", mistakes),
        request_timeout: values.duration("limits.request_timeout", mistakes),
        // These two bound our own recursion and our own answers; there is nothing to choose.
        recursion_max: fixed.recursion_max,
        errors_max: fixed.errors_max,
    }
}

fn read_actions(file: Option<&Node>, mistakes: &mut Vec<Diagnostic>) -> IndexMap<String, ActionSettings> {
    let mut actions = IndexMap::new();
    let Some(file) = file.and_then(|file| Fields::of(file, "pillion.yaml", mistakes)) else { return actions };
    let Some(node) = file.get("actions") else { return actions };
    let Some(entries) = Fields::of(node, "actions", mistakes) else { return actions };
    for (name, _, node) in entries.all() {
        let Some(fields) = Fields::of(node, "an action's settings", mistakes) else { continue };
        let calls = fields.count("calls_per_document", mistakes);
        let names = fields.get("forwarded_client_headers").map(|_| {
            let nodes = fields.list("forwarded_client_headers", mistakes);
            nodes.iter().filter_map(|node| HeaderName::try_from(node.scalar_text()?).ok()).collect()
        });
        let settings = ActionSettings {
            calls_per_document_max: calls.and_then(|calls| usize::try_from(calls).ok()).map(|calls| calls.max(1)),
            idempotent: fields.bool("idempotent", mistakes).unwrap_or(false),
            forwarded_client_headers: names,
        };
        fields.finish(mistakes);
        actions.insert(name.to_owned(), settings);
    }
    actions
}
