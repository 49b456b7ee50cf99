//! Failed upstream requests: what their cause is, for metrics and the failure log.

use std::time::Duration;

use http::StatusCode;

use crate::model::error_kind::{ErrorKind, Severity};
use crate::runtime::services::Services;
use crate::telemetry::failure_log::{Failed, Failure, UpstreamPurpose};
use crate::upstream::{UpstreamError, UpstreamResponse};

/// Why an upstream request failed.
pub(crate) struct UpstreamFailure {
    /// The cause.
    pub kind: ErrorKind,
    /// The level of its line.
    pub severity: Severity,
    /// The cause in words, without anything of the response.
    pub message: String,
    /// The status, if there was a response.
    pub status: Option<u16>,
}

impl UpstreamFailure {
    /// Of a GraphQL operation. Only the first byte of the body is looked at, because the body is read where it is merged: a
    /// page of HTML does not begin like JSON.
    #[must_use]
    pub(crate) fn of(response: &Result<UpstreamResponse, UpstreamError>) -> Option<Self> {
        match response {
            Err(error) => Some(Self::of_error(error)),
            Ok(response) if !response.status.is_success() => Some(Self::of_status(response.status)),
            Ok(response) => match response.body.iter().find(|byte| !byte.is_ascii_whitespace()) {
                Some(b'{') => None,
                _ => Some(Self::of_error(&UpstreamError::NotGraphql { status: response.status.as_u16() })),
            },
        }
    }

    /// Of a request without a usable response.
    #[must_use]
    pub(crate) fn of_error(error: &UpstreamError) -> Self {
        let status = match error {
            UpstreamError::NotGraphql { status } => Some(*status),
            _ => None,
        };
        Self { kind: error.kind(), severity: error.kind().severity(), message: error.detail(), status }
    }

    /// Of a status that is no success. 4xx is about the client's operation or credential.
    #[must_use]
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let severity = if status.is_client_error() { Severity::Info } else { Severity::Warn };
        let message = format!("the upstream responded with status {}", status.as_u16());
        Self { kind: ErrorKind::HttpStatus, severity, message, status: Some(status.as_u16()) }
    }
}

/// The request that failed.
pub(crate) struct FailedRequest<'f> {
    /// What it was sent for.
    pub purpose: UpstreamPurpose,
    /// The client's request.
    pub request_id: &'f str,
    /// The trace that it belongs to.
    pub trace_id: &'f str,
    /// The name of the client's operation, if it is known.
    pub operation_name: Option<&'f str>,
    /// The caller's role, if it is known.
    pub role: Option<&'f str>,
    /// How long it took.
    pub duration: Duration,
}

/// Writes the line about a failed request.
pub(crate) fn log(services: &Services, failure: &UpstreamFailure, request: &FailedRequest<'_>) {
    let settings = services.upstream.settings();
    services.health.failures.write(&Failure {
        failed: Failed::Upstream(request.purpose),
        kind: failure.kind,
        severity: failure.severity,
        message: format!("{}: {}", settings.authority(), failure.message),
        server: (&settings.host, Some(settings.port)),
        status: failure.status,
        request_id: request.request_id,
        trace_id: request.trace_id,
        operation: request.operation_name,
        role: request.role,
        attempts: 1,
        duration: request.duration,
    });
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn responses_that_are_no_results() {
        let of = |status: u16, body: &'static str| {
            let response = UpstreamResponse {
                status: StatusCode::from_u16(status).expect("a status"),
                body: Bytes::from_static(body.as_bytes()),
                set_cookies: Vec::new(),
            };
            UpstreamFailure::of(&Ok(response)).map(|failure| (failure.kind, failure.severity))
        };
        assert_eq!(of(200, " {\"data\":{}}"), None);
        assert_eq!(of(200, "<html>"), Some((ErrorKind::NotGraphql, Severity::Warn)));
        assert_eq!(of(200, ""), Some((ErrorKind::NotGraphql, Severity::Warn)));
        assert_eq!(of(502, "<html>"), Some((ErrorKind::HttpStatus, Severity::Warn)));
        assert_eq!(of(400, "{}"), Some((ErrorKind::HttpStatus, Severity::Info)));
    }
}
