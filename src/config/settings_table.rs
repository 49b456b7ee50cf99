//! One table of all settings. Flags, variables, `config/pillion.example.yaml` and the JSON Schema come out of it.

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
    setting("introspection", None, &["PILLION_INTROSPECTION"], Kind::Choice(&["merged", "engine"]), Some("merged"),
        "Who answers introspection. merged: clients see the engine and the actions as one schema, and the engine's part\nof a document is validated before any action runs. engine: the engine answers, and is never asked for its schema."),
    setting("names.type_prefix", None, &["PILLION_TYPE_PREFIX"], Kind::Text, None,
        "Put before the names of the actions' types, where the engine has types of the same names. Scalars are shared."),
    setting("names.field_prefix", None, &["PILLION_FIELD_PREFIX"], Kind::Text, None,
        "Put before the names of the actions' root fields, where the engine has fields of the same names. Handlers, logs\nand metrics still get the action's own name."),
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
    setting("upstream.schema_varies_by", None, &["PILLION_UPSTREAM_SCHEMA_VARIES_BY"], Kind::Texts, None,
        "Headers that the engine's schema depends on beside the role: a tenant's, for instance."),
    setting("upstream.probe_interval", None, &["PILLION_UPSTREAM_PROBE_INTERVAL"], Kind::Duration, Some("5s"),
        "How often the engine is asked whether it is there, for /readyz."),

    setting("graphql_paths", None, &["PILLION_GRAPHQL_PATHS"], Kind::Texts, Some("/graphql"),
        "Paths that speak GraphQL. /v1/graphql, /v1alpha1/graphql and /v1beta1/relay always do as well."),
    setting("cors.domains", None, &["PILLION_CORS_DOMAINS", "HASURA_GRAPHQL_CORS_DOMAIN"], Kind::Texts, Some("*"),
        "Origins whose pages may open WebSockets and read answers of ours, such as https://*.shop.example; browsers let any page open a socket, with the user's cookies. Preflights are the engine's."),

    setting("auth.admin_secret", None, &["PILLION_ADMIN_SECRET", "HASURA_GRAPHQL_ADMIN_SECRET", "HASURA_GRAPHQL_ACCESS_KEY"], Kind::Secret, None,
        "Whoever sends this as X-Hasura-Admin-Secret is admin. Set the variable rather than this key."),
    setting("auth.admin_secrets", None, &["PILLION_ADMIN_SECRETS", "HASURA_GRAPHQL_ADMIN_SECRETS"], Kind::Secret, None,
        "Several of them, as a JSON list in a string; the single one is then ignored."),
    setting("auth.jwt_secret", None, &["PILLION_JWT_SECRET", "HASURA_GRAPHQL_JWT_SECRET"], Kind::Secret, None,
        "How tokens are checked: a JSON object in a string, with Hasura's keys."),
    setting("auth.jwt_secrets", None, &["PILLION_JWT_SECRETS", "HASURA_GRAPHQL_JWT_SECRETS"], Kind::Secret, None,
        "Several of them, as a JSON list in a string; the single one is then ignored."),
    setting("auth.hook", None, &["PILLION_AUTH_HOOK", "HASURA_GRAPHQL_AUTH_HOOK"], Kind::Secret, None,
        "The address of a service that says who is asking, instead of tokens."),
    setting("auth.hook_mode", None, &["PILLION_AUTH_HOOK_MODE", "HASURA_GRAPHQL_AUTH_HOOK_MODE"], Kind::Choice(&["GET", "POST"]), Some("GET"),
        "GET: it gets the client's headers as its own. POST: it gets them and the GraphQL request as JSON."),
    setting("auth.hook_send_request_body", None, &["PILLION_AUTH_HOOK_SEND_REQUEST_BODY", "HASURA_GRAPHQL_AUTH_HOOK_SEND_REQUEST_BODY"], Kind::Bool, Some("true"),
        "Is the GraphQL request told in POST mode?"),
    setting("auth.hook_timeout", None, &["PILLION_AUTH_HOOK_TIMEOUT"], Kind::Duration, Some("5s"),
        "How long it may take, all attempts together."),
    setting("auth.hook_attempts", None, &["PILLION_AUTH_HOOK_ATTEMPTS"], Kind::Count, Some("2"),
        "How often it is asked if no answer comes."),
    setting("auth.hook_cache_headers", None, &["PILLION_AUTH_HOOK_CACHE_HEADERS"], Kind::Texts, None,
        "With these headers its answers are kept, for those who send the same again. It is then told these headers and nothing\nelse, so name all that it looks at: authorization, cookie, x-hasura-role."),
    setting("auth.hook_cache_time", None, &["PILLION_AUTH_HOOK_CACHE_TIME"], Kind::Duration, Some("60s"),
        "The longest time that an answer is kept. Only those are that say so themselves, by Cache-Control or Expires in their\nbody; one that sets a cookie never is."),
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
    setting("handlers.allow_link_local", None, &["PILLION_HANDLERS_ALLOW_LINK_LOCAL"], Kind::Bool, Some("false"),
        "May handlers and the auth hook have link-local addresses, at which clouds tell machines their credentials? Checked\non the address that is connected to; behind a proxy it is the proxy that connects."),
    setting("handlers.use_environment_proxy", None, &["PILLION_HANDLERS_USE_ENVIRONMENT_PROXY"], Kind::Bool, Some("false"),
        "Call handlers through HTTP_PROXY, HTTPS_PROXY and NO_PROXY."),

    setting("clients.keepalive_timeout", None, &["PILLION_CLIENTS_KEEPALIVE_TIMEOUT"], Kind::Duration, Some("60s"),
        "How long a client's unused connection is kept."),
    setting("clients.body_timeout", None, &["PILLION_CLIENTS_BODY_TIMEOUT"], Kind::Duration, Some("60s"),
        "How long a client may pause while it sends a body or takes an answer."),

    setting("clients.socket_timeout", None, &["PILLION_CLIENTS_SOCKET_TIMEOUT"], Kind::Duration, Some("60s"),
        "A client on a WebSocket of which nothing has been heard for so long is gone. It is pinged meanwhile."),
    setting("metadata_api.store", Some("metadata-api"), &["PILLION_METADATA_API_STORE"], Kind::Choice(&["off", "folder", "postgres"]), Some("off"),
        "Where POST /v1/metadata and /v1/query of an admin write actions to: nowhere, into the metadata folder, or into\nPostgreSQL, which replicas share. Everything else on these paths passes to the engine."),
    setting("database.url", None, &["PILLION_DATABASE_URL"], Kind::Secret, None,
        "PostgreSQL, for what replicas share: postgres://user:password@host/database. Needed by metadata_api.store: postgres;\nwhat is found there wins over the metadata folder, which is taken over if nothing is."),
    setting("database.tls_ca_file", None, &["PILLION_DATABASE_TLS_CA_FILE"], Kind::Text, None,
        "PEM file with the authorities that the database's certificate may come from, instead of the system's."),
    setting("async.store", None, &["PILLION_ASYNC_STORE"], Kind::Secret, Some("sqlite://pillion-jobs.db"),
        "Where calls of asynchronous actions are stored before they are answered: sqlite:///path for a single replica,\npostgres://user:password@host/database for replicas that share them."),
    setting("async.concurrency", None, &["PILLION_ASYNC_CONCURRENCY"], Kind::Count, Some("32"),
        "Asynchronous calls at one time, in this replica."),
    setting("async.concurrency_per_action", None, &["PILLION_ASYNC_CONCURRENCY_PER_ACTION"], Kind::Count, Some("16"),
        "The same for one action, unless it says otherwise (actions: NAME: concurrency)."),
    setting("async.fetch_interval", None, &["PILLION_ASYNC_FETCH_INTERVAL", "HASURA_GRAPHQL_ASYNC_ACTIONS_FETCH_INTERVAL"], Kind::Text, Some("1000"),
        "How often to look for work that nobody has told us of, in milliseconds. 0: this replica calls no handlers."),
    setting("async.lease", None, &["PILLION_ASYNC_LEASE"], Kind::Duration, Some("60s"),
        "How long a call stays with a replica that is not heard of any more. The lease of a running call is renewed."),
    setting("async.attempts", None, &["PILLION_ASYNC_ATTEMPTS"], Kind::Count, Some("1"),
        "How often a call is tried, unless its action says otherwise (actions: NAME: attempts). After a crash it is always\ntried again, with the same Idempotency-Key."),
    setting("async.retry_on", None, &["PILLION_ASYNC_RETRY_ON"], Kind::Texts, Some("connection, timeout, 5xx, 429"),
        "Failures after which it is tried again. A 429 may say when (Retry-After)."),
    setting("async.retry_pause", None, &["PILLION_ASYNC_RETRY_PAUSE"], Kind::Duration, Some("1s"),
        "The pause before the second attempt; each further one is twice as long, up to an hour."),
    setting("async.deadline", None, &["PILLION_ASYNC_DEADLINE"], Kind::Duration, Some("24h"),
        "A call that has not been begun after this time fails instead of running late."),
    setting("async.report_timeout", None, &["PILLION_ASYNC_REPORT_TIMEOUT"], Kind::Duration, Some("1h"),
        "How long a handler that answered 202 without a body may take to report its result."),
    setting("async.keep_days", None, &["PILLION_ASYNC_KEEP_DAYS"], Kind::Count, Some("7"),
        "Calls that have ended are deleted after so many days."),
    setting("async.keep_calls", None, &["PILLION_ASYNC_KEEP_CALLS"], Kind::Count, Some("1000000"),
        "And all but the newest so many are deleted before that."),
    setting("async.stored_bytes", None, &["PILLION_ASYNC_STORED_BYTES"], Kind::Bytes, Some("1GiB"),
        "Calls that have not ended may take so much in the store; beyond it none is accepted."),
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
    setting("limits.template_bytes", None, &["PILLION_LIMITS_TEMPLATE_BYTES"], Kind::Bytes, Some("4MiB"),
        "What one template of a transform may make, copies of what it looks up included."),
    setting("limits.engine_answer_bytes", None, &["PILLION_LIMITS_ENGINE_ANSWER_BYTES"], Kind::Bytes, Some("64MiB"),
        "The engine's answer to its part of a request with actions. Others stream without a limit."),
    setting("limits.list_elements", None, &["PILLION_LIMITS_LIST_ELEMENTS"], Kind::Count, Some("100000"),
        "Elements of a list in a handler's answer."),
    setting("limits.relationship_keys", None, &["PILLION_LIMITS_RELATIONSHIP_KEYS"], Kind::Count, Some("10000"),
        "Keys by which one handler's answer may have rows of the engine looked up; 1,000 go in one request."),
    setting("limits.buffered_bytes", None, &["PILLION_LIMITS_BUFFERED_BYTES"], Kind::Bytes, Some("128MiB"),
        "Bodies of all requests that are held at one time; beyond it a request is answered 503."),
    setting("limits.concurrent_calls", None, &["PILLION_LIMITS_CONCURRENT_CALLS"], Kind::Count, Some("4096"),
        "Webhook calls at one time."),
    setting("limits.header_bytes", None, &["PILLION_LIMITS_HEADER_BYTES"], Kind::Bytes, Some("32KiB"),
        "All headers of a request together."),
    setting("limits.headers", None, &["PILLION_LIMITS_HEADERS"], Kind::Count, Some("100"),
        "Headers of a request."),
    setting("limits.socket_message_bytes", None, &["PILLION_LIMITS_SOCKET_MESSAGE_BYTES"], Kind::Bytes, Some("1MiB"),
        "One message of a client on a WebSocket."),
    setting("limits.plan_cache_bytes", None, &["PILLION_LIMITS_PLAN_CACHE_BYTES"], Kind::Bytes, Some("16MiB"),
        "Memory for plans of documents that were seen before."),
    setting("limits.introspection_bytes", None, &["PILLION_LIMITS_INTROSPECTION_BYTES"], Kind::Bytes, Some("32MiB"),
        "An answer to introspection: the engine's to Pillion, and Pillion's to a client."),
    setting("limits.schema_cache_bytes", None, &["PILLION_LIMITS_SCHEMA_CACHE_BYTES"], Kind::Bytes, Some("128MiB"),
        "Memory for the engine's schema as different roles see it."),
    setting("limits.request_timeout", None, &["PILLION_LIMITS_REQUEST_TIMEOUT"], Kind::Duration, Some("70s"),
        "How long a request with an action may take as a whole."),

    setting("log.format", Some("log-format"), &["PILLION_LOG_FORMAT"], Kind::Choice(&["json", "text"]), Some("json"),
        "One JSON object a line, or text for people."),
    setting("log.level", Some("log-level"), &["PILLION_LOG_LEVEL", "HASURA_GRAPHQL_LOG_LEVEL"], Kind::Choice(&["error", "warn", "info", "debug"]), Some("info"),
        "How much is logged. info has one line for each request with an action."),
];

/// Keys of one action under `actions`, with their documentation.
pub const ACTION_KEYS: [(&str, &str, &str); 10] = [
    ("calls_per_document", "integer", "How often one document may call it. 1 for something like a one-time password."),
    ("attempts", "integer", "How often a stored call of an asynchronous action is tried; see async.attempts."),
    ("concurrency", "integer", "Stored calls of it at one time; see async.concurrency_per_action."),
    ("idempotent", "boolean", "A call whose fate is unknown may be sent again."),
    ("forwarded_client_headers", "array", "Of the client's headers, only these are sent on to the handler."),
    ("session_headers", "boolean", "Send all session variables as headers, and as JSON in X-Hasura-Session-Variables."),
    (
        "admin_secret",
        "boolean",
        "Send the admin secret as X-Hasura-Admin-Secret, for handlers that ask the engine as an admin.",
    ),
    (
        "method",
        "string",
        "GET: the arguments are query parameters, and there is no body. For more, use a request transform.",
    ),
    ("forwarded_query_params", "array", "Parameters of the client's URL that are added to the handler's."),
    (
        "response_headers",
        "array",
        "Headers of the handler's answer that the client gets. Cookies always go to the client.",
    ),
];
