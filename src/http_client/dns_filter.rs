//! The DNS filter (SSRF protection): resolves the names of handlers, and drops addresses that no handler may have. The
//! connection goes to a remaining address, so a name that resolves differently at the next lookup (DNS rebinding) gains
//! nothing.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::http_client::failure::ResolveError;
use crate::model::address::{is_link_local_or_metadata, is_private};
use crate::model::error_kind::ErrorKind;

/// The system's resolver, without addresses that may not be connected to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilteringResolver {
    /// Are link-local and metadata addresses allowed?
    pub link_local: bool,
    /// Are addresses of private networks allowed?
    pub private: bool,
}

impl FilteringResolver {
    /// The system's resolver.
    pub(crate) const NOTHING: Self = Self { link_local: true, private: true };

    fn allows(&self, address: IpAddr) -> bool {
        (self.link_local || !is_link_local_or_metadata(address)) && (self.private || !is_private(address))
    }

    async fn look_up(self, name: String) -> ResolvedAddresses {
        let found = tokio::net::lookup_host((name.as_str(), 0)).await;
        let found = found.map_err(|error| ResolveError { kind: ErrorKind::Dns, text: error.to_string() })?;
        let found: Vec<SocketAddr> = found.collect();
        let count = found.len();
        let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| self.allows(address.ip())).collect();
        if allowed.is_empty() && count > 0 {
            let text = format!(
                "{name} has only addresses that are not allowed; see handlers.allow_link_local and handlers.allow_private"
            );
            return Err(ResolveError { kind: ErrorKind::AddressDenied, text });
        }
        Ok(allowed.into_iter())
    }
}

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.look_up(name.as_str().to_owned());
        Box::pin(async move { Ok(Box::new(found.await?) as Addrs) })
    }
}

/// Addresses, or why there are none.
type ResolvedAddresses = Result<std::vec::IntoIter<SocketAddr>, ResolveError>;

impl tower::Service<dns::Name> for FilteringResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = ResolvedAddresses> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: dns::Name) -> Self::Future {
        Box::pin(self.look_up(name.as_str().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolve(filter: FilteringResolver, name: &str) -> Result<Vec<SocketAddr>, String> {
        let name = name.parse::<Name>().map_err(|error| error.to_string())?;
        filter.resolve(name).await.map(Iterator::collect).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_connection_goes_to_the_checked_address() {
        let usual = || FilteringResolver { link_local: false, private: true };
        assert!(resolve(usual(), "localhost").await.is_ok_and(|found| !found.is_empty()));
        let rejected = resolve(usual(), "169.254.169.254").await;
        let denied = |name: &str| {
            format!(
                "{name} has only addresses that are not allowed; see handlers.allow_link_local and handlers.allow_private"
            )
        };
        assert_eq!(rejected, Err(denied("169.254.169.254")));
        let rejected = resolve(FilteringResolver { link_local: true, private: false }, "localhost").await;
        assert_eq!(rejected, Err(denied("localhost")));
    }
}
