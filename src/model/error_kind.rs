//! Error kinds: why a handler call or an upstream request failed. One list for the labels of metrics, the field
//! `error.kind` of logs, `extensions.internal`, jobs and the admin listener.

use std::borrow::Cow;

use crate::model::label::labels;

labels! {
    /// The cause of a failure.
    pub enum ErrorKind {
        /// The host name has no address, or the resolver did not respond.
        Dns = "dns",
        /// The host name has only addresses that handlers may not have (SSRF protection).
        AddressDenied = "address_denied",
        /// Nothing listens on the port.
        ConnectionRefused = "connection_refused",
        /// The connection was not established in time.
        ConnectTimeout = "connect_timeout",
        /// The network or the host cannot be reached.
        Unreachable = "unreachable",
        /// No connection for another reason.
        ConnectionFailed = "connection_failed",
        /// The TLS handshake failed: unknown authority, wrong name, expired certificate, no common version.
        Tls = "tls",
        /// The peer reset the connection.
        ConnectionReset = "connection_reset",
        /// The peer closed the connection before the end of its response.
        ConnectionClosed = "connection_closed",
        /// The response is not HTTP, or its length is ambiguous.
        InvalidHttp = "invalid_http",
        /// No whole response within the timeout.
        Timeout = "timeout",
        /// The response is larger than its limit.
        TooLarge = "too_large",
        /// The memory budget had no room for the response.
        Memory = "memory",
        /// A status that is no result: 3xx, 5xx, or 4xx without an error object.
        HttpStatus = "http_status",
        /// The body is not JSON.
        NotJson = "not_json",
        /// The body is not a GraphQL response.
        NotGraphql = "not_graphql",
        /// The value does not fit the type of its field.
        WrongShape = "wrong_shape",
        /// The handler rejected the call with an error of its own, or the upstream an introspection.
        Rejected = "rejected",
        /// The upstream's rows for a relationship of the value are missing or do not fit.
        RelationshipFailed = "relationship_failed",
        /// What `before` of the action requires of the caller's data is not so, or a value for it is missing.
        PermissionDenied = "permission_denied",
        /// The upstream's response to `before` of the action has errors, or lacks a field.
        BeforeFailed = "before_failed",
        /// A request or response transform failed.
        TransformFailed = "transform_failed",
        /// The request cannot be sent: a header or path that HTTP does not allow.
        InvalidRequest = "invalid_request",
        /// The rate limit of the action rejected the call.
        RateLimit = "rate_limit",
        /// The concurrency limit of the action rejected the call.
        Concurrency = "concurrency",
        /// The circuit breaker of the action is open.
        CircuitOpen = "circuit_open",
        /// All permits for handler calls are taken (`limits.max_concurrent_handler_calls`).
        Overloaded = "overloaded",
        /// The job store did not take or return a job.
        JobStore = "job_store",
        /// The schemas of upstream and actions contradict each other.
        SchemaConflict = "schema_conflict",
        /// A bug in Pillion.
        Internal = "internal",
    }
}

/// Who has to act on a failure, as the level of its log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// No one: the handler has decided so.
    Info,
    /// Those who operate the peer, or the network.
    Warn,
    /// Those who configured Pillion, or wrote it.
    Error,
}

impl ErrorKind {
    /// The level of its log line.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Rejected | Self::PermissionDenied => Severity::Info,
            Self::AddressDenied
            | Self::Tls
            | Self::TransformFailed
            | Self::InvalidRequest
            | Self::JobStore
            | Self::SchemaConflict
            | Self::Internal => Severity::Error,
            _ => Severity::Warn,
        }
    }
}

/// A cause with the words of the system or library that reported it. For operators: it may name addresses, so no client
/// reads it. It holds no values of a request or response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(Box<(ErrorKind, Cow<'static, str>)>);

impl Reason {
    /// Bytes of the text; the rest is cut off.
    const BYTES_MAX: usize = 500;

    /// A cause and its words.
    #[must_use]
    pub fn new(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        let mut text = text.into();
        if text.len() > Self::BYTES_MAX {
            let end = text.floor_char_boundary(Self::BYTES_MAX);
            text.to_mut().truncate(end);
        }
        Self(Box::new((kind, text)))
    }

    /// The cause.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.0
    }

    /// The words.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::label::Label;

    #[test]
    fn labels_are_distinct_and_in_snake_case() {
        let labels: BTreeSet<&str> = ErrorKind::ALL.iter().map(|kind| kind.label()).collect();
        assert_eq!(labels.len(), ErrorKind::ALL.len());
        assert!(labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }

    #[test]
    fn the_manual_lists_all() {
        // Not `include_str!`: the image is built without the manual.
        let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/logs.md");
        let manual = std::fs::read_to_string(manual).expect("the manual");
        for kind in ErrorKind::ALL {
            assert!(manual.contains(&format!("\n| `{}` | ", kind.label())), "{kind:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let reason = Reason::new(ErrorKind::Tls, "é".repeat(400));
        assert_eq!((reason.kind(), reason.text().len()), (ErrorKind::Tls, 500));
        assert_eq!(Reason::new(ErrorKind::Tls, "a".to_owned() + &"é".repeat(400)).text().len(), 499);
    }
}
