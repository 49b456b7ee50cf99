//! The gateway that all requests share, and the state of one request while it is served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use pingora::Error;
use pingora::proxy::Session;

use crate::downstream::admission::Admission;
use crate::downstream::client_address::ClientAddress;
use crate::downstream::connection_deadline::ConnectionDeadline;
use crate::downstream::session::TooSlow;
use crate::downstream::{http2_stream_timeout, open_connection, request_head_checks};
use crate::memory::Share;
use crate::metadata_api::Api;
use crate::model::min_rate::Allowance;
use crate::routes::get_policy::GetPolicies;
use crate::runtime::services::Services;
use crate::runtime::upstream_failure;
use crate::runtime::upstream_failure::{FailedRequest, UpstreamFailure};
use crate::telemetry::failure_log::UpstreamPurpose;
use crate::telemetry::request_kind::RequestKind;

/// The proxy in front of the upstream.
#[derive(Clone)]
pub(crate) struct Gateway {
    /// What requests share.
    pub services: Arc<Services>,
    /// Where metadata can be changed, if it can.
    pub metadata: Option<Arc<Api>>,
    /// How the upstream takes a GET.
    pub get_policies: Arc<GetPolicies>,
}

/// The state of one request.
pub(crate) struct RequestState {
    /// Its permit, held until it is dropped.
    pub admission: Admission,
    /// Its share of the memory budget; none until it is routed.
    pub share: Option<Arc<Share>>,
    /// Where it comes from; unknown until its head has been checked.
    pub client: Option<ClientAddress>,
    /// When its head had been read.
    pub started: Instant,
    /// Is it on a GraphQL path?
    pub is_graphql: bool,
    /// Has its whole body been read already?
    pub body_was_read: bool,
    /// What its client was too slow for, as far as we have waited for it ourselves.
    pub too_slow: Option<TooSlow>,
    /// A body that pingora passes on as it comes.
    pub(crate) upload: Option<Upload>,
    /// Is the upstream's body discarded, because we have responded in its place?
    pub drops_body: bool,
    /// What became of it, for the metric.
    pub kind: RequestKind,
    /// The status of its response, where the connection no longer knows it.
    pub status: Option<StatusCode>,
}

/// The state of a body that pingora reads. It does not show who is waited for, the client or the upstream.
pub(crate) struct Upload {
    pub(crate) allowance: Allowance,
    /// When something of it was there last.
    pub(crate) heard: Instant,
}

impl Upload {
    /// The next piece is waited for from now on. pingora waits for one of HTTP/2 without end, so the stream's own task
    /// gets the deadline.
    pub(crate) fn wait(&mut self, session: &mut Session, pause: Duration) {
        self.heard = Instant::now();
        let left = self.allowance.left().min(pause);
        session.set_read_timeout(Some(left));
        http2_stream_timeout::body_within(left);
    }
}

impl Gateway {
    /// Is every connection to be closed after the request that is on it?
    #[must_use]
    pub(crate) fn closes_connections(&self) -> bool {
        self.services.health.readiness.is_draining() || open_connection::are_scarce(&self.services)
    }

    /// Is this a path on which documents with actions are served?
    #[must_use]
    pub(crate) fn matches(&self, path: &str) -> bool {
        request_head_checks::is_graphql_path(path, &self.services.configured().settings.graphql_paths)
            && !self.services.snapshot.load().catalog.is_idle()
    }

    /// A request is over: that is how long the next one on its connection is waited for.
    pub(crate) fn await_next_head(&self, deadline: &ConnectionDeadline) {
        let settings = &self.services.configured().settings;
        deadline.next_head_within(settings.keepalive_timeout + settings.request_header_timeout);
    }

    /// A request is over; its client has seen this `status`.
    pub(crate) fn finish(&self, path: &str, error: Option<&Error>, status: Option<StatusCode>, ctx: &RequestState) {
        let metrics = &self.services.metrics;
        let ended = ctx.admission.streams_since().unwrap_or_else(Instant::now);
        let status = status.or(ctx.status);
        metrics.by_request.observe(ctx.kind(), status, ended.duration_since(ctx.started));
        if let (RequestKind::Passthrough, Some(status)) = (ctx.kind, status.filter(StatusCode::is_server_error)) {
            self.log_server_error(status, ctx);
        }
        if let Some(too_slow) = ctx.too_slow.or_else(|| error.and_then(TooSlow::of)) {
            metrics.slow_clients.with_label_values(&[too_slow.label()]).inc();
        }
        if let Some(error) = error {
            tracing::debug!(path, error = %error.etype().as_str(), source = error.esource().as_str(), "request failed");
        }
    }

    /// The upstream's 5xx has passed.
    fn log_server_error(&self, status: StatusCode, ctx: &RequestState) {
        let request = FailedRequest {
            purpose: UpstreamPurpose::Passthrough,
            request_id: "",
            trace_id: "",
            operation_name: None,
            role: None,
            duration: ctx.started.elapsed(),
        };
        upstream_failure::log(&self.services, &UpstreamFailure::of_status(status), &request);
    }
}

impl RequestState {
    /// A request begins.
    #[must_use]
    pub(crate) fn new(gateway: &Gateway) -> Self {
        Self {
            admission: Admission::new(&gateway.services.metrics),
            share: None,
            client: None,
            started: Instant::now(),
            is_graphql: false,
            body_was_read: false,
            too_slow: None,
            upload: None,
            drops_body: false,
            kind: RequestKind::Passthrough,
            status: None,
        }
    }

    /// What became of it. The upstream may respond with events to anything.
    fn kind(&self) -> RequestKind {
        match self.kind {
            RequestKind::Passthrough if self.admission.is_event_stream() => RequestKind::ServerSentEvents,
            kind => kind,
        }
    }
}
