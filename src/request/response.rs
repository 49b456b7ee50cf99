//! A rendered response, ready to be sent.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use crate::request::encoded_body::ReusedBody;
use crate::request::step_times::StepTimes;
use crate::telemetry::request_kind::RequestKind;

/// Headers that others wrote for the client.
pub(crate) type ClientHeaders = Vec<(HeaderName, HeaderValue)>;

/// A response, ready to be sent.
#[derive(Debug)]
pub(crate) struct Response {
    /// The HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Bytes,
    /// The same body with its encoded forms, if it is sent again and again.
    pub reused: Option<Arc<ReusedBody>>,
    /// Cookies of handlers, of the upstream and of the auth hook, and other headers that handlers may send to the
    /// client.
    pub headers: ClientHeaders,
    /// For 405.
    pub allow: Option<&'static str>,
    /// For the log: its outcome.
    pub outcome: &'static str,
    /// For the log: the actions that were called.
    pub actions: Vec<String>,
    /// For the log: the actions that its role may not call. The client learns only that there is no such field.
    pub denied: Vec<String>,
    /// For the log: the role they were called in.
    pub role: Option<String>,
    /// For the metric: with an action, or with introspection alone.
    pub kind: RequestKind,
    /// Has the upstream rejected its operation as a whole, as if it were invalid?
    pub upstream_rejected: bool,
    /// For the log: how long its steps took.
    pub times: StepTimes,
}

impl Response {
    /// A response without headers of others.
    #[must_use]
    pub(crate) fn new(status: u16, body: impl Into<Bytes>, outcome: &'static str) -> Self {
        Self {
            status,
            body: body.into(),
            reused: None,
            headers: ClientHeaders::new(),
            allow: None,
            outcome,
            actions: Vec::new(),
            denied: Vec::new(),
            role: None,
            kind: RequestKind::Action,
            upstream_rejected: false,
            times: StepTimes::default(),
        }
    }

    /// A successful response to introspection, which may have been sent before.
    #[must_use]
    pub(crate) fn reusing(body: Arc<ReusedBody>) -> Self {
        let plain = body.plain().clone();
        Self { reused: Some(body), ..Self::new(200, plain, SUCCESS) }
    }
}

/// The outcome of a response without errors.
pub(crate) const SUCCESS: &str = "success";
