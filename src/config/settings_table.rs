//! One table of all settings. Flags, variables, `config/pillion.example.yaml` and the JSON Schema come out of it.

use crate::config::formats::Format;

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that is never shown.
    Secret,
    /// Several texts; in a variable, with commas between.
    Texts,
    /// True or false.
    Bool,
    /// A whole number of at least one.
    Count,
    /// A whole number; zero is none.
    Number,
    /// A number of bytes.
    Bytes,
    /// A span of time, longer than zero.
    Duration,
    /// A span of time that may be zero: nothing is waited for, or kept.
    DurationOrZero,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Texts by name; in a variable, as JSON.
    Map,
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
            Self::Number => "a whole number",
            Self::Map => "a mapping of strings",
            Self::Bytes => "a number of bytes such as 10MiB",
            Self::Duration => "a time such as 500ms, 30s or 1m30s",
            Self::DurationOrZero => "a time such as 500ms, 30s or 1m30s, or 0s",
        }
    }
}

/// When a change of a setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// At the next start; a reload that changes it says so.
    AtStart,
    /// On reload.
    OnReload,
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
    /// The kind of its value.
    pub kind: Kind,
    /// The format of its text, or of each of its texts.
    pub format: Option<Format>,
    /// The default value.
    pub default: Option<&'static str>,
    /// When a change of it takes effect.
    pub applies: Applies,
    /// What it does and why.
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
    Setting { key, flag, env, kind, format: None, default, applies: Applies::OnReload, doc }
}

impl Setting {
    /// It takes effect at the next start only.
    const fn at_start(self) -> Self {
        Self { applies: Applies::AtStart, ..self }
    }

    /// Its text has this format.
    const fn format(self, format: Format) -> Self {
        Self { format: Some(format), ..self }
    }

    /// What to write, for a message.
    #[must_use]
    pub fn wanted(&self) -> &'static str {
        match (self.kind, self.format) {
            (Kind::Texts | Kind::Map, _) | (_, None) => self.kind.wanted(),
            (_, Some(format)) => format.wanted(),
        }
    }
}

/// Variables with the inverse of their setting, because Hasura has them so.
pub const INVERTED_VARIABLES: &[&str] = &["HASURA_GRAPHQL_DISABLE_CORS"];

/// Groups for which a single value may stand, and the setting that it then is.
pub const SHORTHANDS: [(&str, &str); 1] = [("metadata", "metadata.folder")];

/// Groups of settings that restrict access: one that is there and empty is an error.
pub const LOCKS: [&str; 3] = ["auth", "auth.jwt", "admin"];

/// Algorithms of tokens.
pub const JWT_ALGORITHMS: &[&str] = &[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
];

/// Keys of `pillion.yaml` that hold no settings but maps whose keys are names.
pub const MAPS: [&str; 3] = ["actions", "relationships", "fields"];

/// All settings, in the order of the example file.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("listen", Some("listen"), &["PILLION_LISTEN"], Kind::Text, Some("0.0.0.0:8000"),
        "Listen address for clients: HTTP/1.1, and HTTP/2 with prior knowledge. localhost:8000 is 127.0.0.1:8000; 8000 and\n:8000 are that port on all interfaces.").format(Format::Listen).at_start(),
    setting("admin_listen", Some("admin-listen"), &["PILLION_ADMIN_LISTEN"], Kind::Text, Some("127.0.0.1:8001"),
        "Listen address of the admin listener: /healthz, /readyz, /metrics, /jobs, /reload and /cache/purge. Keep it away\nfrom clients; see admin.token. 8001 and :8001 are that port on loopback.").format(Format::Listen).at_start(),
    setting("admin.metrics_listen", Some("metrics-listen"), &["PILLION_ADMIN_METRICS_LISTEN"], Kind::Text, None,
        "Listen address of a listener that shows /healthz, /readyz and /metrics and nothing else, for Prometheus and\nKubernetes: with it, admin_listen can stay on loopback. 8002 and :8002 are that port on all interfaces.").format(Format::Listen).at_start(),
    setting("admin.token", None, &["PILLION_ADMIN_TOKEN"], Kind::Secret, None,
        "Bearer token (Authorization: Bearer …) for /jobs, /reload, /cache/purge and /readyz?verbose on the admin\nlistener. Without a token these are served on loopback only; /healthz, /readyz and /metrics need none. Prefer\nthe variable to this key.").format(Format::Token),
    setting("admin.allowed_hosts", None, &["PILLION_ADMIN_ALLOWED_HOSTS"], Kind::Texts, None,
        "Host names that requests to the admin listener may carry, beside IP addresses and localhost: protects against\nDNS rebinding. /healthz and /readyz are served under any name.").format(Format::HostName),
    setting("admin.max_connections", None, &["PILLION_ADMIN_MAX_CONNECTIONS"], Kind::Count, Some("64"),
        "Maximum number of concurrent connections to the admin listener, so that they cannot take file descriptors from\nclients. Beyond it the oldest idle connection is closed."),
    setting("console.enabled", None, &["PILLION_CONSOLE_ENABLED"], Kind::Bool, None,
        "Serve the console, a web page on which actions are made and tried, at /console of the admin listener. Not set: with\npillion dev, and if the admin listener is on loopback. Elsewhere it needs admin.token, with which one logs in."),
    setting("tls.listen", Some("tls-listen"), &["PILLION_TLS_LISTEN"], Kind::Text, None,
        "Listen address for clients over TLS: HTTP/1.1 and HTTP/2. Requires tls.cert_file and tls.key_file.").format(Format::Listen).at_start(),
    setting("tls.cert_file", Some("tls-cert-file"), &["PILLION_TLS_CERT_FILE"], Kind::Text, None,
        "Certificate chain of the TLS listener, PEM.").at_start(),
    setting("tls.key_file", Some("tls-key-file"), &["PILLION_TLS_KEY_FILE"], Kind::Text, None,
        "Private key of the TLS listener, PEM.").at_start(),
    setting("dialect", Some("dialect"), &["PILLION_DIALECT"], Kind::Choice(&["auto", "hasura", "standard"]), Some("auto"),
        "Error dialect. hasura: one failed field fails the whole response. standard: partial results, as the GraphQL\nspecification describes. auto: detected from the upstream; a query type named query_root is Hasura.").at_start(),
    setting("configured_header_precedence", Some("configured-header-precedence"),
        &["PILLION_CONFIGURED_HEADER_PRECEDENCE", "HASURA_GRAPHQL_CONFIGURED_HEADER_PRECEDENCE"], Kind::Bool, Some("false"),
        "Precedence when several sources set the same header of a handler call. false: client, session variables,\nconfiguration. true: configuration, session variables, client."),
    setting("dev_mode", Some("dev-mode"), &["PILLION_DEV_MODE", "HASURA_GRAPHQL_DEV_MODE"], Kind::Bool, Some("false"),
        "Show extensions.internal of failed handler calls to every role."),
    setting("admin_internal_errors", None, &["PILLION_ADMIN_INTERNAL_ERRORS", "HASURA_GRAPHQL_ADMIN_INTERNAL_ERRORS"], Kind::Bool, Some("true"),
        "Show extensions.internal of failed handler calls to the role admin."),
    setting("introspection.mode", None, &["PILLION_INTROSPECTION_MODE"], Kind::Choice(&["merged", "upstream"]), Some("merged"),
        "Where introspection is served. merged: clients see the upstream and the actions as one schema, and the upstream's\noperation is validated before any action runs. upstream: introspection passes through, and the upstream's schema is\nnever fetched."),
    setting("introspection.vary_by_headers", None, &["PILLION_INTROSPECTION_VARY_BY_HEADERS"], Kind::Texts, None,
        "Request headers that the upstream's schema depends on beside the role, such as a tenant header.").format(Format::HeaderName),
    setting("documents.folder", None, &["PILLION_DOCUMENTS_FOLDER"], Kind::Text, None,
        "Folder of trusted documents (persisted operations): .graphql files, Apollo's persisted query manifests and Relay's\npersisted queries. Clients may name them by their ids or hashes instead of sending their texts."),
    setting("documents.only", None, &["PILLION_DOCUMENTS_ONLY"], Kind::Choice(&["off", "log", "actions", "all"]), Some("off"),
        "Which documents must be trusted (allow-list): those of documents.folder, and those that allow_list.yaml and\nquery_collections.yaml of the metadata folder allow. off: none must. log: none must, and those that are not are\ncounted and logged. actions: those with an action. all: all on the GraphQL paths. The role admin may send anything."),
    setting("documents.enable_allow_list", None, &["PILLION_DOCUMENTS_ENABLE_ALLOW_LIST", "HASURA_GRAPHQL_ENABLE_ALLOWLIST"], Kind::Bool, Some("false"),
        "The same as documents.only: all, under the name that Hasura has for it. documents.only takes precedence."),
    setting("documents.apq.enabled", None, &["PILLION_DOCUMENTS_APQ_ENABLED"], Kind::Bool, Some("true"),
        "Serve automatic persisted queries (APQ): a client sends the SHA-256 hash of a document, and its text only if the\nhash is not known yet. The upstream is asked for hashes that are not known here."),
    setting("documents.apq.store", None, &["PILLION_DOCUMENTS_APQ_STORE"], Kind::Choice(&["memory", "redis"]), Some("memory"),
        "Where automatic persisted queries are kept. memory: in each replica. redis: there as well, for all replicas, for a\nday after their last registration; needs redis.url.").at_start(),
    setting("documents.apq.max_size", None, &["PILLION_DOCUMENTS_APQ_MAX_SIZE"], Kind::Bytes, Some("16MiB"),
        "Memory for automatic persisted queries; those that are used least make room. At most 1/16 of\nlimits.max_memory_bytes unless it is set.").at_start(),
    setting("names.type_prefix", None, &["PILLION_TYPE_PREFIX"], Kind::Text, None,
        "Prefix for the names of the actions' types, to avoid conflicts with the upstream's types. Scalars are shared.").format(Format::NamePrefix),
    setting("names.field_prefix", None, &["PILLION_FIELD_PREFIX"], Kind::Text, None,
        "Prefix for the names of the actions' root fields, to avoid conflicts with the upstream's fields. Handlers, logs\nand metrics still see the action's own name.").format(Format::NamePrefix),
    setting("threads", Some("threads"), &["PILLION_THREADS"], Kind::Count, None,
        "Worker threads that serve requests. Default: the number of processors.").at_start(),
    setting("reload.watch_files", None, &["PILLION_RELOAD_WATCH_FILES"], Kind::Bool, Some("true"),
        "Reload the configuration when its files change: this file, the metadata folder, certificates, and files named by\nvariables (NAME_FILE instead of NAME). SIGHUP and POST /reload on the admin listener reload at any time."),
    setting("upgrade.enabled", Some("upgrade"), &["PILLION_UPGRADE_ENABLED"], Kind::Bool, Some("false"),
        "Take over the listeners of the running Pillion, which hands them over on SIGQUIT, drains and exits. Not needed\nin Kubernetes.").at_start(),
    setting("upgrade.socket_path", None, &["PILLION_UPGRADE_SOCKET_PATH"], Kind::Text, Some("/tmp/pillion-upgrade/socket"),
        "Unix socket over which listeners are handed over, in a folder that no other user can write to. The folder is\ncreated if it does not exist.").at_start(),
    setting("drain_delay", None, &["PILLION_DRAIN_DELAY"], Kind::DurationOrZero, Some("5s"),
        "How long requests are still accepted after SIGTERM while /readyz already fails, so that load balancers notice.\n0s where there is none."),
    setting("shutdown_timeout", None, &["PILLION_SHUTDOWN_TIMEOUT", "HASURA_GRAPHQL_GRACEFUL_SHUTDOWN_TIMEOUT"], Kind::DurationOrZero, Some("60s"),
        "How long in-flight requests may take after drain_delay during graceful shutdown. Keep drain_delay +\nshutdown_timeout + 2s below Kubernetes' terminationGracePeriodSeconds."),

    setting("metadata.folder", Some("metadata"), &["PILLION_METADATA"], Kind::Text, None,
        "Folder with actions.yaml and actions.graphql, or a complete metadata folder exported from Hasura. metadata: PATH\nis short for it.").at_start(),
    setting("metadata.on_inconsistency", None, &["PILLION_METADATA_ON_INCONSISTENCY"], Kind::Choice(&["reject", "serve"]), Some("reject"),
        "What happens when an action or a type in the folder cannot be used: a variable is not set, a template does not\nparse, a type is not defined. reject: Pillion does not start, and a reload keeps the old configuration. serve: it is\nleft out with everything that needs it, the rest is served, and the log, /readyz?verbose, check and\nget_inconsistent_metadata name it. What the metadata API has accepted with allow_inconsistent_metadata is left out in any case."),

    setting("upstream.url", Some("upstream"), &["PILLION_UPSTREAM"], Kind::Text, None,
        "The upstream: http://host:port or https://host:port, with its GraphQL path if that is another than the clients':\nhttp://host:8080/v1/graphql. Other paths of requests are passed on as they are.").format(Format::HttpUrl).at_start(),
    setting("upstream.graphql_path", None, &["PILLION_UPSTREAM_GRAPHQL_PATH"], Kind::Text, None,
        "GraphQL path of the upstream, to which requests on any of graphql_paths are sent; the same as a path in\nupstream.url. Default: requests keep their path, and Pillion's own requests go to the first of graphql_paths\nthat responds.").format(Format::Path).at_start(),
    setting("upstream.connect_timeout", None, &["PILLION_UPSTREAM_CONNECT_TIMEOUT"], Kind::Duration, Some("2s"),
        "Timeout for connecting to the upstream.").at_start(),
    setting("upstream.request_timeout", None, &["PILLION_UPSTREAM_REQUEST_TIMEOUT"], Kind::Duration, Some("60s"),
        "Timeout for the upstream's operation of a request with actions, and for the response headers of any other\nrequest.").at_start(),
    setting("upstream.stream_idle_timeout", None, &["PILLION_UPSTREAM_STREAM_IDLE_TIMEOUT"], Kind::Duration, Some("60s"),
        "How long a streamed upstream response may pause.").at_start(),
    setting("upstream.pool_idle_timeout", None, &["PILLION_UPSTREAM_POOL_IDLE_TIMEOUT"], Kind::DurationOrZero, Some("4s"),
        "How long an idle upstream connection is kept in the pool. Keep it below the upstream's own keep-alive timeout,\nor requests are lost: Node closes after 5 s.").at_start(),
    setting("upstream.http2", None, &["PILLION_UPSTREAM_HTTP2"], Kind::Bool, Some("false"),
        "Use HTTP/2 to the upstream: with prior knowledge, or negotiated over TLS.").at_start(),
    setting("upstream.tls_ca_file", None, &["PILLION_UPSTREAM_TLS_CA_FILE"], Kind::Text, None,
        "CA certificates for the upstream's certificate, PEM. Default: the system's.").at_start(),
    setting("upstream.query_type", None, &["PILLION_UPSTREAM_QUERY_TYPE"], Kind::Text, None,
        "Name of the upstream's query type. Default: detected.").at_start(),
    setting("upstream.mutation_type", None, &["PILLION_UPSTREAM_MUTATION_TYPE"], Kind::Text, None,
        "Name of the upstream's mutation type. Default: detected.").at_start(),
    setting("upstream.health_check_interval", None, &["PILLION_UPSTREAM_HEALTH_CHECK_INTERVAL"], Kind::Duration, Some("5s"),
        "Interval of upstream health checks, for /readyz.").at_start(),
    setting("upstream.websocket_init", None, &["PILLION_UPSTREAM_WEBSOCKET_INIT"], Kind::Choice(&["auto", "eager", "lazy"]), Some("auto"),
        "When a client's WebSocket gets one to the upstream. eager: at connection_init, and the client gets the upstream's\nacknowledgement or rejection. lazy: with the first operation for the upstream. auto: eager, unless clients are\nauthenticated here (auth).").at_start(),

    setting("graphql_paths", None, &["PILLION_GRAPHQL_PATHS"], Kind::Texts, Some("/graphql"),
        "Paths that serve GraphQL. /v1/graphql, /v1alpha1/graphql and /v1beta1/relay always do as well.").format(Format::Path),
    setting("graphql_get", None, &["PILLION_GRAPHQL_GET"], Kind::Choice(&["upstream", "allow", "deny"]), Some("upstream"),
        "GET requests with an action. upstream: the upstream's policy is probed with a GET like the client's, and cached for a\nminute; what it rejects (405, or 400 for CSRF) is rejected, and its CORS headers decide which pages may read the\nresponse. allow: without a probe. deny: 405."),
    setting("cors.enabled", None, &["PILLION_CORS_ENABLED", "HASURA_GRAPHQL_DISABLE_CORS"], Kind::Bool, Some("true"),
        "Send Pillion's own CORS headers. HASURA_GRAPHQL_DISABLE_CORS is the inverse; cookies are not read from WebSockets\nthen, as in Hasura. The upstream's own headers pass in any case."),
    setting("cors.allowed_origins", None, &["PILLION_CORS_ALLOWED_ORIGINS", "HASURA_GRAPHQL_CORS_DOMAIN"], Kind::Texts, Some("*"),
        "Origins whose pages may open WebSockets and read responses of ours, such as https://*.shop.example; browsers let any\npage open a WebSocket, with the user's cookies. If it is set, Pillion also serves preflights that the upstream does\nnot, and adds CORS headers to the upstream's responses that have none. With *, pages read without credentials, and\nWebSockets of other origins have no cookies.").format(Format::Origin),
    setting("compression.enabled", None, &["PILLION_COMPRESSION_ENABLED"], Kind::Bool, Some("true"),
        "Compress Pillion's own responses for clients that accept it (zstd, gzip, br). Passthrough responses stay as the\nupstream sends them."),
    setting("compression.min_size", None, &["PILLION_COMPRESSION_MIN_SIZE"], Kind::Bytes, Some("1KiB"),
        "Smaller responses are not compressed."),

    setting("auth.open", None, &["PILLION_AUTH_OPEN"], Kind::Bool, None,
        "true: every caller is admin, for development. false: Pillion does not start without authentication. Not set: without\nauthentication every caller is admin, as in Hasura, with a warning. A reload never removes authentication; an empty\nsecret is an error."),
    setting("auth.admin_secret", None, &["PILLION_ADMIN_SECRET", "HASURA_GRAPHQL_ADMIN_SECRET", "HASURA_GRAPHQL_ACCESS_KEY"], Kind::Secret, None,
        "Admin secret: a caller that sends it as X-Hasura-Admin-Secret is admin. Prefer the variable to this key."),
    setting("auth.admin_secrets", None, &["PILLION_ADMIN_SECRETS", "HASURA_GRAPHQL_ADMIN_SECRETS"], Kind::Secret, None,
        "Several of them, as a JSON list in a string; the single one is then ignored."),
    setting("auth.jwt_secret", None, &["PILLION_JWT_SECRET", "HASURA_GRAPHQL_JWT_SECRET"], Kind::Secret, None,
        "How tokens are checked: a JSON object in a string, with Hasura's keys."),
    setting("auth.jwt_secrets", None, &["PILLION_JWT_SECRETS", "HASURA_GRAPHQL_JWT_SECRETS"], Kind::Secret, None,
        "Several of them, as a JSON list in a string; the single one is then ignored."),
    setting("auth.jwt.algorithm", None, &["PILLION_AUTH_JWT_ALGORITHM"], Kind::Choice(JWT_ALGORITHMS), None,
        "Algorithm of auth.jwt.key. The group auth.jwt checks tokens without Hasura's words; it and auth.jwt_secret exclude\neach other. Neither needs it an admin secret: without one no caller is admin."),
    setting("auth.jwt.key", None, &["PILLION_AUTH_JWT_KEY"], Kind::Secret, None,
        "Key that the tokens' signatures are checked with: a shared secret, or a public key or certificate as PEM. Prefer\nthe variable to this key."),
    setting("auth.jwt.jwk_url", None, &["PILLION_AUTH_JWT_JWK_URL"], Kind::Text, None,
        "URL of the key set (JWKS) of the identity provider, instead of algorithm and key.").format(Format::HookUrl),
    setting("auth.jwt.issuer", None, &["PILLION_AUTH_JWT_ISSUER"], Kind::Text, None,
        "What a token must have as its issuer (iss). Default: anything."),
    setting("auth.jwt.audience", None, &["PILLION_AUTH_JWT_AUDIENCE"], Kind::Texts, None,
        "One of these must be among a token's audiences (aud). Default: anything."),
    setting("auth.jwt.allowed_skew", None, &["PILLION_AUTH_JWT_ALLOWED_SKEW"], Kind::DurationOrZero, Some("0s"),
        "By how much clocks may differ where a token's times are checked (exp, nbf, iat)."),
    setting("auth.jwt.header", None, &["PILLION_AUTH_JWT_HEADER"], Kind::Text, None,
        "Header that holds the token and nothing else. Default: Authorization: Bearer …").format(Format::HeaderName),
    setting("auth.jwt.cookie", None, &["PILLION_AUTH_JWT_COOKIE"], Kind::Text, None,
        "Cookie that holds the token, instead of a header.").format(Format::CookieName),
    setting("auth.jwt.role_claim", None, &["PILLION_AUTH_JWT_ROLE_CLAIM"], Kind::Text, None,
        "Claim with the role: its name, such as role or https://shop.example/role, or a JSON path that begins with $, such\nas $.app_metadata.role.").format(Format::ClaimPath),
    setting("auth.jwt.roles_claim", None, &["PILLION_AUTH_JWT_ROLES_CLAIM"], Kind::Text, None,
        "Claim with a list of roles from which a request chooses with the header x-hasura-role, such as\n$.realm_access.roles. A token never has the role admin.").format(Format::ClaimPath),
    setting("auth.jwt.default_role", None, &["PILLION_AUTH_JWT_DEFAULT_ROLE"], Kind::Text, None,
        "Role of tokens that have no claim at role_claim."),
    setting("auth.jwt.variables", None, &["PILLION_AUTH_JWT_VARIABLES"], Kind::Map, None,
        "Session variables by name, each with its claim, as in {x-hasura-user-id: sub}; in a variable, as JSON. Numbers and\nbooleans become strings; without its claim a variable is not set.").format(Format::ClaimPath),
    setting("auth.hook", None, &["PILLION_AUTH_HOOK", "HASURA_GRAPHQL_AUTH_HOOK"], Kind::Secret, None,
        "URL of an authentication service (webhook) that maps request headers to a session, instead of JWTs.").format(Format::HookUrl),
    setting("auth.hook_mode", None, &["PILLION_AUTH_HOOK_MODE", "HASURA_GRAPHQL_AUTH_HOOK_MODE"], Kind::Choice(&["GET", "POST"]), Some("GET"),
        "GET: the hook receives the client's headers as its own. POST: it receives them and the GraphQL request as JSON."),
    setting("auth.hook_send_request_body", None, &["PILLION_AUTH_HOOK_SEND_REQUEST_BODY", "HASURA_GRAPHQL_AUTH_HOOK_SEND_REQUEST_BODY"], Kind::Bool, Some("true"),
        "Include the GraphQL request in POST mode."),
    setting("auth.hook_timeout", None, &["PILLION_AUTH_HOOK_TIMEOUT"], Kind::Duration, Some("5s"),
        "Timeout of the auth hook, all attempts together."),
    setting("auth.hook_attempts", None, &["PILLION_AUTH_HOOK_ATTEMPTS"], Kind::Count, Some("2"),
        "Maximum number of attempts to call the auth hook if no response comes."),
    setting("auth.hook_cache_key_headers", None, &["PILLION_AUTH_HOOK_CACHE_KEY_HEADERS"], Kind::Texts, None,
        "Cache the auth hook's responses by these request headers. The hook then receives only these headers, so list all\nthat it reads: authorization, cookie, x-hasura-role.").format(Format::HeaderName),
    setting("auth.hook_cache_max_ttl", None, &["PILLION_AUTH_HOOK_CACHE_MAX_TTL"], Kind::Duration, Some("60s"),
        "Maximum time a response of the auth hook is cached. Only responses with Cache-Control or Expires in their body\nare cached, and never one that sets a cookie."),
    setting("auth.unauthorized_role", None, &["PILLION_UNAUTHORIZED_ROLE", "HASURA_GRAPHQL_UNAUTHORIZED_ROLE"], Kind::Text, None,
        "Role of requests without any credential. An invalid credential is always an error."),
    setting("auth.unauthorized_session_variables", None, &["PILLION_UNAUTHORIZED_SESSION_VARIABLES"], Kind::Bool, Some("false"),
        "Turn the x-hasura-* headers of requests without a credential into session variables. Hasura does, and then any\ncaller can claim any identity."),

    setting("handlers.connect_timeout", None, &["PILLION_HANDLERS_CONNECT_TIMEOUT"], Kind::Duration, Some("2s"),
        "Timeout for connecting to a handler. An action's own timeout covers the whole call."),
    setting("handlers.pool_idle_timeout", None, &["PILLION_HANDLERS_POOL_IDLE_TIMEOUT"], Kind::DurationOrZero, Some("4s"),
        "How long an idle handler connection is kept in the pool. Keep it below the handlers' own keep-alive timeout, or\ncalls are lost."),
    setting("handlers.tls_ca_file", None, &["PILLION_HANDLERS_TLS_CA_FILE"], Kind::Text, None,
        "CA certificates for handlers' certificates, beside the system's, PEM."),
    setting("handlers.allow_link_local", None, &["PILLION_HANDLERS_ALLOW_LINK_LOCAL"], Kind::Bool, Some("false"),
        "Allow handlers and the auth hook at link-local addresses, where clouds serve instance credentials. Checked on\nthe address that is connected to; behind a proxy the proxy connects."),
    setting("handlers.use_environment_proxy", None, &["PILLION_HANDLERS_USE_ENVIRONMENT_PROXY"], Kind::Bool, Some("false"),
        "Call handlers through HTTP_PROXY, HTTPS_PROXY and NO_PROXY.").at_start(),

    setting("handlers.allowed_hosts", None, &["PILLION_HANDLERS_ALLOWED_HOSTS"], Kind::Texts, None,
        "Allow-list of handler hosts: api.example.org, *.example.org, api.example.org:8443. Default: all but link-local\nones.").format(Format::AllowedHost),
    setting("handlers.allow_private", None, &["PILLION_HANDLERS_ALLOW_PRIVATE"], Kind::Bool, Some("true"),
        "Allow handlers and the auth hook at private and loopback addresses, as usual within one pod or cluster. Checked\non the address that is connected to."),
    setting("handlers.tls_cert_file", None, &["PILLION_HANDLERS_TLS_CERT_FILE"], Kind::Text, None,
        "Client certificate chain for handler calls (mutual TLS), PEM."),
    setting("handlers.tls_key_file", None, &["PILLION_HANDLERS_TLS_KEY_FILE"], Kind::Text, None,
        "Private key of the client certificate, PEM."),
    setting("handlers.signing_secrets", None, &["PILLION_HANDLERS_SIGNING_SECRETS"], Kind::Secret, None,
        "Secrets that sign every handler call (Standard Webhooks): whsec_ and base64. During rotation give both,\nseparated by a space.").format(Format::SigningSecrets),
    setting("handlers.max_concurrent_calls", None, &["PILLION_HANDLERS_MAX_CONCURRENT_CALLS"], Kind::Count, Some("256"),
        "Concurrency limit of each action, so that a handler that does not respond takes nothing from the others."),
    setting("handlers.max_queued_calls", None, &["PILLION_HANDLERS_MAX_QUEUED_CALLS"], Kind::Number, Some("64"),
        "Calls of one action that may wait for a permit of the concurrency limit; further calls are rejected at once."),
    setting("handlers.queue_timeout", None, &["PILLION_HANDLERS_QUEUE_TIMEOUT"], Kind::DurationOrZero, Some("100ms"),
        "How long a queued call waits for a permit."),
    setting("handlers.circuit_breaker.enabled", None, &["PILLION_HANDLERS_CIRCUIT_BREAKER_ENABLED"], Kind::Bool, Some("false"),
        "Open a handler's circuit breaker when half of at least 20 calls in 10 s failed (no response or 5xx). After\nreset_timeout it is half-open: a single call decides whether it closes."),
    setting("handlers.circuit_breaker.reset_timeout", None, &["PILLION_HANDLERS_CIRCUIT_BREAKER_RESET_TIMEOUT"], Kind::Duration, Some("5s"),
        "How long a circuit breaker stays open before it is half-open."),
    setting("handlers.response_cache_size", None, &["PILLION_HANDLERS_RESPONSE_CACHE_SIZE"], Kind::Bytes, Some("64MiB"),
        "Memory for the response cache (actions: NAME: cache). At most 1/16 of limits.max_memory_bytes unless it is set.").at_start(),
    setting("handlers.max_retries", None, &["PILLION_HANDLERS_MAX_RETRIES"], Kind::Number, Some("0"),
        "Maximum number of retries of a query's handler call after no response, 502, 503 or 504, within its timeout. The\nretry budget is a tenth of all calls."),
    setting("handlers.rate_limit", None, &["PILLION_HANDLERS_RATE_LIMIT"], Kind::Texts, None,
        "Rate limits of each action: 100 per 1s, 5 per 60s by x-hasura-user-id, 20 per 1s by address. All of them apply.\nAs an object: {requests: 5, per: 60s, key: x-hasura-user-id}.").format(Format::RateLimit),
    setting("handlers.rate_limit_failure_mode", None, &["PILLION_HANDLERS_RATE_LIMIT_FAILURE_MODE"], Kind::Choice(&["allow", "deny"]), Some("allow"),
        "What happens to calls while the rate limit store (Redis) is unavailable."),
    setting("downstream.keepalive_timeout", None, &["PILLION_DOWNSTREAM_KEEPALIVE_TIMEOUT"], Kind::Duration, Some("60s"),
        "How long a client's idle connection is kept."),
    setting("downstream.stream_idle_timeout", None, &["PILLION_DOWNSTREAM_STREAM_IDLE_TIMEOUT"], Kind::Duration, Some("60s"),
        "How long a client may pause while it sends a request body or reads a response."),
    setting("downstream.min_request_timeout", None, &["PILLION_DOWNSTREAM_MIN_REQUEST_TIMEOUT"], Kind::Duration, Some("100ms"),
        "Minimum of a client's X-Request-Timeout; a shorter one is raised to it. Otherwise handlers are called for nothing."),
    setting("downstream.min_upload_rate", None, &["PILLION_DOWNSTREAM_MIN_UPLOAD_RATE"], Kind::Bytes, Some("1KiB"),
        "Minimum rate at which a client sends a body, in bytes per second, else 408. Only time spent waiting for the client\ncounts."),
    setting("downstream.min_download_rate", None, &["PILLION_DOWNSTREAM_MIN_DOWNLOAD_RATE"], Kind::Bytes, Some("4KiB"),
        "Minimum rate at which a client reads a response, in bytes per second, else its connection or stream is closed. Only\ntime in which a write is blocked counts: idle streams may stay."),
    setting("downstream.rate_grace_period", None, &["PILLION_DOWNSTREAM_RATE_GRACE_PERIOD"], Kind::Duration, Some("10s"),
        "Grace period of slow clients at these rates: networks pause."),
    setting("downstream.request_header_timeout", None, &["PILLION_DOWNSTREAM_REQUEST_HEADER_TIMEOUT"], Kind::Duration, Some("10s"),
        "Timeout for a request's headers, from connecting to their last byte."),
    setting("downstream.websocket_idle_timeout", None, &["PILLION_DOWNSTREAM_WEBSOCKET_IDLE_TIMEOUT"], Kind::Duration, Some("60s"),
        "Idle timeout of a client's WebSocket. Clients are pinged before it."),
    setting("downstream.client_address_header", None, &["PILLION_DOWNSTREAM_CLIENT_ADDRESS_HEADER"], Kind::Text, None,
        "Header in which the proxy before Pillion sends the client's address, such as X-Forwarded-For; its last element\ncounts. Default: the peer address of the connection.").format(Format::HeaderName),
    setting("downstream.trusted_proxies", None, &["PILLION_DOWNSTREAM_TRUSTED_PROXIES"], Kind::Texts, None,
        "Trusted proxies before Pillion, as addresses and networks: 10.0.0.0/8, 2001:db8::/32. Only their\nclient_address_header is trusted, and limits by client address do not count the proxies themselves. Not set: the\nheader is trusted from any peer.").format(Format::Network),
    setting("metadata_api.store", Some("metadata-api"), &["PILLION_METADATA_API_STORE"], Kind::Choice(&["none", "folder", "postgres"]), Some("none"),
        "Where the metadata API (POST /v1/metadata and /v1/query of an admin) stores actions. none: there is no\nsuch API here. folder: in the metadata folder. postgres: in PostgreSQL, which replicas share. Everything else on\nthese paths goes to the upstream.").at_start(),
    setting("metadata_api.max_body_size", None, &["PILLION_METADATA_API_MAX_BODY_SIZE"], Kind::Bytes, Some("4MiB"),
        "Maximum size of a metadata API request. The metadata of some hundred tables takes 1 to 2 MiB; it is read after\nauthentication.").at_start(),
    setting("database.url", None, &["PILLION_DATABASE_URL"], Kind::Secret, None,
        "PostgreSQL, for what replicas share: postgres://user:password@host/database. Required by metadata_api.store:\npostgres; metadata found there takes precedence over the metadata folder, which is imported if there is none.").at_start(),
    setting("database.tls_ca_file", None, &["PILLION_DATABASE_TLS_CA_FILE"], Kind::Text, None,
        "CA certificates for the database's certificate, PEM. Default: the system's.").at_start(),
    setting("redis.url", None, &["PILLION_REDIS_URL"], Kind::Secret, None,
        "Redis, for rate limits and cached responses that replicas share: redis://user:password@host:6379/0. A Redis\nCluster: redis+cluster://host:6379,host:6379. A master that Sentinels name:\nredis+sentinel://host:26379,host:26379/name-of-master. rediss in place of redis for TLS. Without it each replica has\nits own.").format(Format::Redis).at_start(),
    setting("redis.tls_ca_file", None, &["PILLION_REDIS_TLS_CA_FILE"], Kind::Text, None,
        "CA certificates for the certificates of Redis and its Sentinels, PEM. Default: the system's.").at_start(),
    setting("redis.sentinel_user", None, &["PILLION_REDIS_SENTINEL_USER"], Kind::Text, None,
        "User of the Sentinels, if they have users. The user in redis.url is that of Redis.").at_start(),
    setting("redis.sentinel_password", None, &["PILLION_REDIS_SENTINEL_PASSWORD"], Kind::Secret, None,
        "Password of the Sentinels, if they have one. The password in redis.url is that of Redis.").at_start(),
    setting("jobs.store", None, &["PILLION_JOBS_STORE"], Kind::Secret, Some("sqlite://pillion-jobs.db"),
        "Job store of asynchronous actions: sqlite:///path for a single replica, postgres://user:password@host/database\nfor replicas that share it.").format(Format::JobStore).at_start(),
    setting("jobs.max_concurrency", None, &["PILLION_JOBS_MAX_CONCURRENCY"], Kind::Count, Some("32"),
        "Maximum number of jobs that run concurrently in this replica.").at_start(),
    setting("jobs.max_concurrency_per_action", None, &["PILLION_JOBS_MAX_CONCURRENCY_PER_ACTION"], Kind::Count, Some("16"),
        "The same for one action, unless it has its own (actions: NAME: max_concurrency).").at_start(),
    setting("jobs.poll_interval", None, &["PILLION_JOBS_POLL_INTERVAL", "HASURA_GRAPHQL_ASYNC_ACTIONS_FETCH_INTERVAL"], Kind::Number, Some("1000"),
        "Interval in milliseconds at which the job store is polled. 0: this replica runs no jobs.").at_start(),
    setting("jobs.lease_duration", None, &["PILLION_JOBS_LEASE_DURATION"], Kind::Duration, Some("12s"),
        "Lease of a running job: when its replica is lost, another one runs it after that. Leases are renewed four times\nas often, all together, so the store may fail for three quarters of it.").at_start(),
    setting("jobs.max_attempts", None, &["PILLION_JOBS_MAX_ATTEMPTS"], Kind::Count, Some("1"),
        "Maximum number of attempts of a job, unless its action has its own (actions: NAME: max_attempts). After a crash\nit is always run again, with the same Idempotency-Key.").at_start(),
    setting("jobs.retry_on", None, &["PILLION_JOBS_RETRY_ON"], Kind::Texts, Some("connection, timeout, 5xx, 429"),
        "Failures after which a job is retried. A 429 may say when (Retry-After).").format(Format::RetryOn).at_start(),
    setting("jobs.initial_backoff", None, &["PILLION_JOBS_INITIAL_BACKOFF"], Kind::DurationOrZero, Some("1s"),
        "Backoff before the second attempt; it doubles with each attempt, up to an hour.").at_start(),
    setting("jobs.start_deadline", None, &["PILLION_JOBS_START_DEADLINE"], Kind::Duration, Some("24h"),
        "A job that has not started by then fails instead of running late.").at_start(),
    setting("jobs.completion_timeout", None, &["PILLION_JOBS_COMPLETION_TIMEOUT"], Kind::Duration, Some("1h"),
        "How long a handler that responded 202 without a body may take to report completion.").at_start(),
    setting("jobs.retention_days", None, &["PILLION_JOBS_RETENTION_DAYS"], Kind::Count, Some("7"),
        "Ended jobs are deleted after this many days.").at_start(),
    setting("jobs.retention_max_jobs", None, &["PILLION_JOBS_RETENTION_MAX_JOBS"], Kind::Count, Some("1000000"),
        "Maximum number of ended jobs; the oldest are deleted first.").at_start(),
    setting("jobs.max_pending_bytes", None, &["PILLION_JOBS_MAX_PENDING_BYTES"], Kind::Bytes, Some("1GiB"),
        "Maximum size of pending jobs in the store; beyond it no job is accepted.").at_start(),
    setting("limits.max_request_body_size", None, &["PILLION_LIMITS_MAX_REQUEST_BODY_SIZE"], Kind::Bytes, Some("10MiB"),
        "Maximum size of a request body with an action in it, on the wire and decoded. Passthrough requests have no\nlimit, unless they are compressed and their document is not found within this size. At most 1/64 of\nlimits.max_memory_bytes unless it is set."),
    setting("limits.max_values", None, &["PILLION_LIMITS_MAX_VALUES"], Kind::Count, Some("100000"),
        "Maximum number of list elements and object keys in a request with an action, in all. Each takes up to 1 KB of\nmemory while it is processed."),
    setting("limits.max_decompression_ratio", None, &["PILLION_LIMITS_MAX_DECOMPRESSION_RATIO"], Kind::Count, Some("100"),
        "Maximum ratio of decompressed to compressed size of a body, beyond 256 KiB. JSON compresses to a thirtieth at\nbest; a higher ratio is a decompression bomb."),
    setting("limits.max_document_size", None, &["PILLION_LIMITS_MAX_DOCUMENT_SIZE"], Kind::Bytes, Some("256KiB"),
        "Maximum size of a document with an action in it. Its text is part of every handler call."),
    setting("limits.max_tokens", None, &["PILLION_LIMITS_MAX_TOKENS"], Kind::Count, Some("15000"),
        "Maximum number of tokens of a document."),
    setting("limits.max_depth", None, &["PILLION_LIMITS_MAX_DEPTH"], Kind::Count, Some("64"),
        "Maximum nesting of selection sets, fragments included."),
    setting("limits.max_aliases", None, &["PILLION_LIMITS_MAX_ALIASES"], Kind::Count, Some("500"),
        "Maximum number of aliases of a document; fragments count as often as they are used."),
    setting("limits.max_directives", None, &["PILLION_LIMITS_MAX_DIRECTIVES"], Kind::Count, Some("500"),
        "Maximum number of directives of a document, counted likewise."),
    setting("limits.max_selections", None, &["PILLION_LIMITS_MAX_SELECTIONS"], Kind::Count, Some("50000"),
        "Maximum number of selections of a document, counted likewise."),
    setting("limits.max_root_fields", None, &["PILLION_LIMITS_MAX_ROOT_FIELDS"], Kind::Count, Some("100"),
        "Maximum number of root fields of an operation."),
    setting("limits.max_action_calls", None, &["PILLION_LIMITS_MAX_ACTION_CALLS"], Kind::Count, Some("20"),
        "Maximum number of handler calls of one document."),
    setting("limits.max_calls_per_action", None, &["PILLION_LIMITS_MAX_CALLS_PER_ACTION"], Kind::Count, Some("20"),
        "Maximum number of calls of one action in one document. See actions.NAME.max_calls_per_document below."),
    setting("limits.max_batch_size", None, &["PILLION_LIMITS_MAX_BATCH_SIZE"], Kind::Count, Some("10"),
        "Maximum number of requests in a batch with an action in it."),
    setting("limits.max_json_depth", None, &["PILLION_LIMITS_MAX_JSON_DEPTH"], Kind::Count, Some("64"),
        "Maximum nesting of JSON in a request with an action in it."),
    setting("limits.max_handler_response_size", None, &["PILLION_LIMITS_MAX_HANDLER_RESPONSE_SIZE"], Kind::Bytes, Some("8MiB"),
        "Maximum size of a handler's response, decoded. At most 1/32 of limits.max_memory_bytes unless it is set."),
    setting("limits.max_template_output_size", None, &["PILLION_LIMITS_MAX_TEMPLATE_OUTPUT_SIZE"], Kind::Bytes, Some("4MiB"),
        "Maximum output of one template of a transform, including copies of what it looks up."),
    setting("limits.max_upstream_response_size", None, &["PILLION_LIMITS_MAX_UPSTREAM_RESPONSE_SIZE"], Kind::Bytes, Some("64MiB"),
        "Maximum size of the upstream's response to its operation of a request with actions. Passthrough responses stream\nwithout a limit. At most 1/16 of limits.max_memory_bytes unless it is set."),
    setting("limits.max_before_response_size", None, &["PILLION_LIMITS_MAX_BEFORE_RESPONSE_SIZE"], Kind::Bytes, Some("1MiB"),
        "Maximum size of the upstream's response to what it is asked before handler calls (before). The parts that handlers get\nare copied into their payloads."),
    setting("limits.max_list_length", None, &["PILLION_LIMITS_MAX_LIST_LENGTH"], Kind::Count, Some("100000"),
        "Maximum length of a list in a handler's response."),
    setting("limits.max_relationship_keys", None, &["PILLION_LIMITS_MAX_RELATIONSHIP_KEYS"], Kind::Count, Some("10000"),
        "Maximum number of keys by which rows of the upstream are looked up for one handler response; 1,000 go in one\nrequest."),
    setting("limits.max_field_keys", None, &["PILLION_LIMITS_MAX_FIELD_KEYS"], Kind::Count, Some("20000"),
        "Maximum number of distinct keys for which handlers are called by extension fields (fields) in one response."),
    setting("limits.max_field_keys_per_call", None, &["PILLION_LIMITS_MAX_FIELD_KEYS_PER_CALL"], Kind::Count, Some("1000"),
        "Maximum number of these keys in one handler call. More are sent in several calls, side by side."),
    setting("limits.max_field_rounds", None, &["PILLION_LIMITS_MAX_FIELD_ROUNDS"], Kind::Count, Some("3"),
        "Maximum number of rounds of handler calls for extension fields in one response. The rows of a relationship below such\na field may have extension fields again, which is another round."),
    setting("limits.max_buffered_bytes", None, &["PILLION_LIMITS_MAX_BUFFERED_BYTES"], Kind::Bytes, None,
        "Memory budget of requests, operations on WebSockets and connections: heads, bodies, the values made of them, payloads,\nand responses until they are written. Beyond it a request is rejected with 503 and Retry-After.\nDefault: three eighths of limits.max_memory_bytes, 256MiB without one."),
    setting("limits.max_client_bytes", None, &["PILLION_LIMITS_MAX_CLIENT_BYTES"], Kind::Bytes, None,
        "Memory budget of one client address; addresses of version 6 count by their /64, /56 and /48. Requests that hold less\nthan 16 KiB are not counted here. Behind a proxy, set downstream.client_address_header, or all clients are one.\nDefault: half of limits.max_buffered_bytes."),
    setting("limits.max_connection_bytes", None, &["PILLION_LIMITS_MAX_CONNECTION_BYTES"], Kind::Bytes, None,
        "Memory budget of one connection, with all its HTTP/2 requests or WebSocket operations. Connections of a proxy that\nnames the client are not counted. Default: a quarter of limits.max_buffered_bytes."),
    setting("limits.max_concurrent_requests", None, &["PILLION_LIMITS_MAX_CONCURRENT_REQUESTS"], Kind::Count, Some("4096"),
        "Maximum number of concurrent requests whose body has arrived; further ones are rejected with 503 and Retry-After.\nWebSockets and event streams do not count. At most one for each 16 KiB of limits.max_buffered_bytes unless it is set."),
    setting("limits.max_incomplete_requests", None, &["PILLION_LIMITS_MAX_INCOMPLETE_REQUESTS"], Kind::Count, None,
        "Maximum number of concurrent requests whose body has not arrived; further ones are rejected with 503 unless their body\ncame with their head. They do not count against limits.max_concurrent_requests. Default: twice that limit, and at\nmost one for each 16 KiB of limits.max_buffered_bytes."),
    setting("limits.max_client_requests", None, &["PILLION_LIMITS_MAX_CLIENT_REQUESTS"], Kind::Count, None,
        "Maximum number of concurrent requests of one client address, whether their body has arrived or not; further ones are\nrejected with 429. Addresses of version 6 count by their /64, by their /56 with twice as many, and by their /48 with\nthree times as many. Default: an eighth of limits.max_concurrent_requests, for addresses that are not private: those\nare mostly proxies. If it is set, it holds for private addresses as well, but for those of\ndownstream.trusted_proxies."),
    setting("limits.max_event_streams", None, &["PILLION_LIMITS_MAX_EVENT_STREAMS"], Kind::Count, None,
        "Maximum number of concurrent streams of server-sent events, those of the upstream included. Each holds 16 KiB of\nlimits.max_buffered_bytes. Default: as many as limits.max_connections."),
    setting("limits.max_client_event_streams", None, &["PILLION_LIMITS_MAX_CLIENT_EVENT_STREAMS"], Kind::Count, None,
        "The same for one client address, counted as for limits.max_client_requests. Default: an eighth of\nlimits.max_event_streams."),
    setting("limits.max_connections", None, &["PILLION_LIMITS_MAX_CONNECTIONS"], Kind::Count, Some("10000"),
        "Maximum weight of client connections, in units of 8 KiB: a connection counts one, with TLS two, with HTTP/2 four, with\nboth six. Further connections are closed at once, and near the limit none is kept alive for later requests.\nAt most one for each 32 KiB of limits.max_memory_bytes unless it is set, and no more than the file descriptors that\nrequests leave: two for each of limits.max_concurrent_requests, but half at most."),
    setting("limits.max_client_connections", None, &["PILLION_LIMITS_MAX_CLIENT_CONNECTIONS"], Kind::Count, None,
        "Maximum number of connections of one client address. Of version 6, a /64 may have as many, a /56 twice and a /48 three\ntimes as many. A proxy that names its clients is not counted (downstream.client_address_header), nor is a private\naddress while neither proxies nor a limit by address are set. Default: an eighth of limits.max_connections."),
    setting("limits.max_memory_bytes", None, &["PILLION_LIMITS_MAX_MEMORY_BYTES"], Kind::Bytes, None,
        "Memory limit of the process: other limits are derived from it, and from 95 % of it on requests are rejected with 503\nand Retry-After (load shedding). Default: the container's memory limit, if it has one."),
    setting("limits.max_concurrent_handler_calls", None, &["PILLION_LIMITS_MAX_CONCURRENT_HANDLER_CALLS"], Kind::Count, Some("4096"),
        "Maximum number of concurrent handler calls.").at_start(),
    setting("limits.max_request_header_size", None, &["PILLION_LIMITS_MAX_REQUEST_HEADER_SIZE"], Kind::Bytes, Some("32KiB"),
        "Maximum size of a request's headers together."),
    setting("limits.max_request_headers", None, &["PILLION_LIMITS_MAX_REQUEST_HEADERS"], Kind::Count, Some("100"),
        "Maximum number of request headers."),
    setting("limits.max_websocket_message_size", None, &["PILLION_LIMITS_MAX_WEBSOCKET_MESSAGE_SIZE"], Kind::Bytes, Some("1MiB"),
        "Maximum size of a client's WebSocket message."),
    setting("limits.plan_cache_size", None, &["PILLION_LIMITS_PLAN_CACHE_SIZE"], Kind::Bytes, Some("16MiB"),
        "Memory for the plan cache. At most 1/32 of limits.max_memory_bytes unless it is set."),
    setting("limits.max_introspection_size", None, &["PILLION_LIMITS_MAX_INTROSPECTION_SIZE"], Kind::Bytes, Some("32MiB"),
        "Maximum size of an introspection response: the upstream's to Pillion, and Pillion's to a client. At most 1/16 of\nlimits.max_memory_bytes unless it is set."),
    setting("limits.max_introspection_depth", None, &["PILLION_LIMITS_MAX_INTROSPECTION_DEPTH"], Kind::Count, Some("2"),
        "How many of fields, interfaces, possibleTypes and inputFields may stand within one another in introspection: each\nmultiplies the response by the size of the schema. graphql-js rejects a third as well."),
    setting("limits.schema_cache_size", None, &["PILLION_LIMITS_SCHEMA_CACHE_SIZE"], Kind::Bytes, Some("128MiB"),
        "Memory for the upstream's schema as different roles see it. At most 1/8 of limits.max_memory_bytes unless it is\nset."),
    setting("limits.request_timeout", None, &["PILLION_LIMITS_REQUEST_TIMEOUT"], Kind::Duration, Some("70s"),
        "Timeout of a request with an action as a whole."),

    setting("log.format", Some("log-format"), &["PILLION_LOG_FORMAT"], Kind::Choice(&["json", "text"]), Some("json"),
        "json: one JSON object per line. text: for people.").at_start(),
    setting("log.level", Some("log-level"), &["PILLION_LOG_LEVEL", "HASURA_GRAPHQL_LOG_LEVEL"], Kind::Choice(&["error", "warn", "info", "debug"]), Some("info"),
        "Log level. info has one line for each request with an action.").at_start(),
    setting("log.success_sample_every", None, &["PILLION_LOG_SUCCESS_SAMPLE_EVERY"], Kind::Count, Some("1"),
        "Log one in this many successful requests; failures are always logged."),
    setting("log.types", None, &["PILLION_LOG_TYPES", "HASURA_GRAPHQL_ENABLED_LOG_TYPES"], Kind::Texts, Some("http-log"),
        "With action-handler-log, each handler call is logged as well. Hasura's other names have no effect."),

    setting("telemetry.otlp_endpoint", None, &["PILLION_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"], Kind::Text, None,
        "OTLP collector for spans, such as http://127.0.0.1:4318. Default: no spans are exported.").format(Format::Url).at_start(),
    setting("telemetry.otlp_protocol", None, &["PILLION_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"], Kind::Choice(&["http/protobuf", "grpc"]), Some("http/protobuf"),
        "OTLP protocol.").at_start(),
    setting("telemetry.otlp_headers", None, &["PILLION_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"], Kind::Secret, None,
        "Headers for the collector: name=value, with commas between.").format(Format::Pairs).at_start(),
    setting("telemetry.sample_ratio", None, &["PILLION_TRACES_SAMPLE_RATIO", "OTEL_TRACES_SAMPLER_ARG"], Kind::Text, Some("1.0"),
        "Ratio of sampled traces, from 0.0 to 1.0, where the client has not decided.").format(Format::Ratio).at_start(),
    setting("telemetry.service_name", None, &["PILLION_SERVICE_NAME", "OTEL_SERVICE_NAME"], Kind::Text, Some("pillion"),
        "Service name in traces.").at_start(),
];

/// A key in the settings of one action.
#[derive(Clone, Copy, Debug)]
pub struct ActionKey {
    /// The key.
    pub key: &'static str,
    /// What stands there.
    pub value: ActionValue,
    /// An example, as YAML.
    pub sample: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// What stands under a key in the settings of one action.
#[derive(Clone, Copy, Debug)]
pub enum ActionValue {
    /// A value of this kind; its texts have this format.
    One(Kind, Option<Format>),
    /// A mapping with these keys.
    Mapping(&'static [Member]),
    /// A mapping of any names to any values.
    Free,
    /// The same, or a list.
    FreeOrList,
    /// The same, or a string.
    FreeOrText,
}

/// A key of a mapping in the settings of one action.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The key.
    pub key: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// The format of its texts.
    pub format: Option<Format>,
    /// Must it be there?
    pub is_required: bool,
}

const fn action_key(
    key: &'static str,
    kind: Kind,
    format: Option<Format>,
    sample: &'static str,
    doc: &'static str,
) -> ActionKey {
    ActionKey { key, value: ActionValue::One(kind, format), sample, doc }
}

/// Keys of the response cache of an action.
pub const CACHE_KEYS: &[Member] = &[
    Member { key: "ttl", kind: Kind::Duration, format: None, is_required: true },
    Member { key: "stale_while_revalidate", kind: Kind::Duration, format: None, is_required: false },
    Member { key: "vary_by", kind: Kind::Texts, format: Some(Format::SessionVariable), is_required: false },
];

/// Keys of one action under `actions`, with their documentation.
#[rustfmt::skip]
pub const ACTION_KEYS: &[ActionKey] = &[
    action_key("max_calls_per_document", Kind::Count, None, "1",
        "Maximum number of calls in one document. 1 for something like a one-time password."),
    action_key("max_attempts", Kind::Count, None, "3",
        "Maximum number of attempts of a job of an asynchronous action; see jobs.max_attempts."),
    action_key("max_concurrency", Kind::Count, None, "4",
        "Maximum number of its jobs that run concurrently; see jobs.max_concurrency_per_action."),
    action_key("idempotent", Kind::Bool, None, "true",
        "A call that may have been received already may be sent again."),
    action_key("forwarded_client_headers", Kind::Texts, Some(Format::HeaderName), "[authorization]",
        "The only client headers that are forwarded to the handler."),
    action_key("session_headers", Kind::Bool, None, "true",
        "Send all session variables as headers, and as JSON in X-Hasura-Session-Variables."),
    action_key("admin_secret", Kind::Bool, None, "false",
        "Send the admin secret as X-Hasura-Admin-Secret, for handlers that query the upstream as an admin."),
    action_key("method", Kind::Choice(&["GET", "POST"]), None, "POST",
        "GET: the arguments are query parameters, and there is no body. For more, use a request transform."),
    action_key("forwarded_query_params", Kind::Texts, Some(Format::ForwardedParam), "[locale]",
        "Parameters of the client's URL that are added to the handler's."),
    action_key("response_headers", Kind::Texts, Some(Format::ResponseHeader), "[x-total-count]",
        "Headers of the handler's response that the client gets. Cookies always go to the client."),
    action_key("batch", Kind::Count, None, "500",
        "Maximum number of calls in one request to its handler, which then gets a list of inputs and returns a list of results."),
    action_key("envelope", Kind::Choice(&["none", "graphql"]), None, "graphql",
        "graphql: a 2xx body of its handler is a GraphQL response, {data, errors}, with errors beside data; none: it is the value."),
    action_key("max_concurrent_calls", Kind::Count, None, "32",
        "Concurrency limit of its handler; see handlers.max_concurrent_calls."),
    action_key("max_queued_calls", Kind::Number, None, "8",
        "Calls that wait for a permit; see handlers.max_queued_calls."),
    action_key("circuit_breaker", Kind::Bool, None, "true",
        "Circuit breaker of its handler; see handlers.circuit_breaker."),
    action_key("max_retries", Kind::Number, None, "1",
        "Maximum number of retries of a call, if it is a query's or idempotent; see handlers.max_retries."),
    action_key("rate_limit", Kind::Texts, Some(Format::RateLimit), "[5 per 60s by x-hasura-user-id]",
        "Its rate limits, instead of handlers.rate_limit. [] is without a limit."),
    action_key("rate_limit_failure_mode", Kind::Choice(&["allow", "deny"]), None, "deny",
        "allow or deny its calls while the rate limit store is unavailable; see handlers.rate_limit_failure_mode."),
    ActionKey {
        key: "cache",
        value: ActionValue::Mapping(CACHE_KEYS),
        sample: "{ttl: 60s, stale_while_revalidate: 30s, vary_by: [x-hasura-org-id]}",
        doc: "Cache a query's responses for requests of the same role with the same arguments. vary_by names the session variables that they depend on; without it all of them.",
    },
    ActionKey {
        key: "presets",
        value: ActionValue::Free,
        sample: "{to: CH}",
        doc: "Arguments that are filled and hidden from clients: constants, session variables (x-hasura-user-id), or templates over the session. For single roles: {user: {to: CH}, manager: {}}. Admins give all arguments themselves.",
    },
    action_key("before", Kind::Text, None, "'query ($to: String!) { country(code: $to) { name } }'",
        "A query that the upstream is asked before the handler is called. $name is the argument of that name. The call is not made if there is no usable response."),
    ActionKey {
        key: "variables",
        value: ActionValue::Free,
        sample: "{to: to}",
        doc: "Values of variables of before that are no argument of their name: a session variable (x-hasura-user-id), a path into an argument (order.productId), a constant, or a template over the session.",
    },
    ActionKey {
        key: "require",
        value: ActionValue::FreeOrList,
        sample: "{country: we do not ship there}",
        doc: "Root fields of before that must be neither null, false, 0 nor an empty list, each with the message of the error (code permission-denied) that the client gets otherwise. By role: {user: {mine: only your own}, admin: {}}.",
    },
    action_key("send", Kind::Texts, None, "[country]",
        "Root fields of before that the handler gets as data beside input."),
    ActionKey {
        key: "as",
        value: ActionValue::FreeOrText,
        sample: "caller",
        doc: "As whom the upstream is asked before. caller: with the headers of the request; {role: editor} or admin: with the admin secret, which may show more than the caller may see.",
    },
    action_key("handler", Kind::Choice(&["none"]), None, "null",
        "none: the action has no handler, and respond is its value."),
    action_key("respond", Kind::Text, None, "null",
        "The root field of before that is the value of an action without a handler."),
    action_key("signing_secrets_from_env", Kind::Texts, None, "[]",
        "Variables with the secrets that sign its calls, instead of handlers.signing_secrets."),
];

/// A key of the settings of an extension field, beside `call`.
pub struct FieldKey {
    /// The key.
    pub key: &'static str,
    /// Its values; any string if there are none.
    pub choices: Option<&'static [&'static str]>,
    /// A value, for the example file.
    pub sample: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// What an extension field may be set to if it is written as a mapping.
pub const FIELD_KEYS: &[FieldKey] = &[
    FieldKey {
        key: "output",
        choices: Some(&["nullable", "non_null"]),
        sample: "nullable",
        doc: "If the action's type is not nullable. nullable: the field is, and null if its call fails; non_null: it is not, and the row is null then.",
    },
    FieldKey {
        key: "description",
        choices: None,
        sample: "The picture.",
        doc: "Its description, instead of the action's.",
    },
    FieldKey {
        key: "deprecated",
        choices: None,
        sample: "Use profile.",
        doc: "Why it is deprecated, instead of the action's reason.",
    },
];
