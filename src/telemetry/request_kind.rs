//! The kinds of requests that `pillion_requests_total` counts.

/// What a request was, or how it ended before that was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// It was passed through to the upstream.
    Passthrough,
    /// A document with an action.
    Action,
    /// Introspection alone.
    Introspection,
    /// A stream of server-sent events.
    ServerSentEvents,
    /// A WebSocket.
    WebSocket,
    /// A command of the metadata API.
    Metadata,
    /// A handler completed a job.
    JobCompletion,
    /// It was rejected before anything ran.
    Rejected,
    /// The upstream failed it.
    UpstreamError,
    /// Its client disconnected.
    ClientClosed,
    /// An internal error (a bug) ended it.
    InternalError,
}

impl RequestKind {
    /// Every kind, in the order of their declaration.
    pub(crate) const ALL: [Self; 11] = [
        Self::Passthrough,
        Self::Action,
        Self::Introspection,
        Self::ServerSentEvents,
        Self::WebSocket,
        Self::Metadata,
        Self::JobCompletion,
        Self::Rejected,
        Self::UpstreamError,
        Self::ClientClosed,
        Self::InternalError,
    ];

    /// The value of the label `kind`.
    #[must_use]
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Passthrough => "pass_through",
            Self::Action => "action",
            Self::Introspection => "introspection",
            Self::ServerSentEvents => "sse",
            Self::WebSocket => "websocket",
            Self::Metadata => "metadata",
            Self::JobCompletion => "report",
            Self::Rejected => "rejected",
            Self::UpstreamError => "upstream_error",
            Self::ClientClosed => "client_closed",
            Self::InternalError => "internal_error",
        }
    }
}
