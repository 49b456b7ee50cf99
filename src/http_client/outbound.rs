//! The configuration that every outbound HTTP client of reqwest starts from: handlers, auth hook, JWK sets, OTLP collector.

use std::time::Duration;

use reqwest::ClientBuilder;

/// Whether `HTTP_PROXY` and its like count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnvironmentProxy {
    /// Requests go through the proxy that the environment names.
    Used,
    /// Requests go to their address.
    Ignored,
}

/// A client without redirects and without retries: what is sent again is decided by [`Replay`](crate::model::replay::Replay)
/// and by the retries of actions alone.
pub(crate) fn builder(connect_timeout: Duration, proxy: EnvironmentProxy) -> ClientBuilder {
    let builder = ClientBuilder::new()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true);
    match proxy {
        EnvironmentProxy::Used => builder,
        EnvironmentProxy::Ignored => builder.no_proxy(),
    }
}
