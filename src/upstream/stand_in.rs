//! A stand-in for the upstream: responds to its requests inside the process, for `pillion test`.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::http_client::TransportFault;

/// A request that would have been sent to the upstream.
pub(crate) struct StandInRequest<'r> {
    /// The method.
    pub method: &'r Method,
    /// Path and query.
    pub target: &'r str,
    /// All headers but those about the body's length.
    pub headers: &'r HeaderMap,
    /// The body.
    pub body: &'r Bytes,
}

/// Its response.
#[derive(Debug)]
pub(crate) struct StandInResponse {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Responds in place of the upstream. Everything around the exchange stays as it is.
pub(crate) trait UpstreamStandIn: Send + Sync {
    /// The response to a request.
    ///
    /// # Errors
    /// [`TransportFault`], if the upstream is to be one that does not respond.
    fn respond(&self, request: &StandInRequest<'_>) -> Result<StandInResponse, TransportFault>;

    /// The same, if its body has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`TransportFault`].
    fn respond_within(
        &self,
        request: &StandInRequest<'_>,
        bytes_max: usize,
    ) -> Result<StandInResponse, TransportFault> {
        let response = self.respond(request)?;
        if response.body.len() > bytes_max { Err(TransportFault::TooLarge) } else { Ok(response) }
    }
}
