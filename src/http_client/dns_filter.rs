//! The DNS filter (SSRF protection): resolves the names of handlers, and drops addresses that no handler may have. The
//! connection goes to a remaining address, so a name that resolves differently at the next lookup (DNS rebinding) gains
//! nothing.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::model::address::{is_link_local_or_metadata, is_private};

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
        let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
        let count = found.len();
        let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| self.allows(address.ip())).collect();
        if allowed.is_empty() && count > 0 {
            let message = format!("{name} has only addresses that are not allowed");
            tracing::warn!(
                reason = message,
                "a handler is not called; see handlers.allow_link_local and handlers.allow_private"
            );
            return Err(Box::<dyn Error + Send + Sync>::from(message));
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
type ResolvedAddresses = Result<std::vec::IntoIter<SocketAddr>, Box<dyn Error + Send + Sync>>;

impl tower::Service<dns::Name> for FilteringResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn Error + Send + Sync>;
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
        assert_eq!(rejected, Err("169.254.169.254 has only addresses that are not allowed".into()));
        let rejected = resolve(FilteringResolver { link_local: true, private: false }, "localhost").await;
        assert_eq!(rejected, Err("localhost has only addresses that are not allowed".into()));
    }
}
