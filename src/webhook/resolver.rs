//! Looks the names of handlers up, and leaves out what no handler may be. What is left is what is connected to, so a name
//! that says something else at the next look-up gains nothing.

use std::error::Error;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::model::address::is_link_local_or_metadata;

/// The system's resolver without link-local and metadata addresses.
pub struct WithoutLinkLocal;

impl Resolve for WithoutLinkLocal {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let count = found.len();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| !is_link_local_or_metadata(address.ip())).collect();
            if allowed.is_empty() && count > 0 {
                let message = format!("{} has link-local or metadata addresses only", name.as_str());
                tracing::warn!(reason = message, "a handler is not called; see handlers.allow_link_local");
                return Err(Box::<dyn Error + Send + Sync>::from(message));
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolve(name: &str) -> Result<Vec<SocketAddr>, String> {
        let name = name.parse::<Name>().map_err(|error| error.to_string())?;
        WithoutLinkLocal.resolve(name).await.map(Iterator::collect).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn what_is_connected_to_is_what_was_looked_at() {
        assert!(resolve("localhost").await.is_ok_and(|found| !found.is_empty()));
        let refused = resolve("169.254.169.254").await;
        assert_eq!(refused, Err("169.254.169.254 has link-local or metadata addresses only".into()));
    }
}
