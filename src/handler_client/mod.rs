//! The HTTP client for handlers.

pub(crate) mod exchange;
pub(crate) mod signature;
pub(crate) mod stand_in;

use std::sync::{Arc, LazyLock};

use reqwest::{Certificate, Client, Identity};
use zeroize::Zeroizing;

use crate::config::settings::Handlers;
use crate::http_client::PerThread;
use crate::http_client::connection_pool::Pool;
use crate::http_client::dns_filter::FilteringResolver;
use crate::http_client::outbound::{self, EnvironmentProxy};

/// The HTTP clients for handlers: no redirects, no cookies, no proxy unless it is configured.
///
/// # Errors
/// When the file of authorities is no good, or TLS cannot be set up.
pub(crate) fn clients(settings: &Handlers) -> Result<PerThread<HandlerClient>, String> {
    let (settings, first) = (settings.clone(), client(settings)?);
    PerThread::new(move || {
        let resolver = FilteringResolver { link_local: settings.allow_link_local, private: settings.allow_private };
        let plain = Pool::new(resolver, settings.connect_timeout, settings.pool_idle_timeout);
        let plain = (!settings.use_environment_proxy).then(|| Arc::new(plain));
        let (settings, first) = (settings.clone(), first.clone());
        // What could be made once can be made again; if not, a shared connection is better than none.
        let general = move || client(&settings).unwrap_or(first);
        Ok(HandlerClient { general: Arc::new(LazyLock::new(Box::new(general))), plain })
    })
}

/// A client that is made when it is first used. It reads the system's certificates, which takes milliseconds, and a thread that
/// calls handlers in clear text needs none.
pub(crate) type LazyClient = LazyLock<Client, Box<dyn FnOnce() -> Client + Send>>;

/// What calls handlers.
#[derive(Clone)]
pub(crate) struct HandlerClient {
    /// For TLS and proxies, and for authentication.
    pub general: Arc<LazyClient>,
    /// In clear text, unless there may be a proxy.
    pub plain: Option<Arc<Pool>>,
}

fn client(settings: &Handlers) -> Result<Client, String> {
    let proxy = if settings.use_environment_proxy { EnvironmentProxy::Used } else { EnvironmentProxy::Ignored };
    let mut builder = outbound::builder(settings.connect_timeout, proxy).pool_idle_timeout(settings.pool_idle_timeout);
    if !settings.allow_link_local || !settings.allow_private {
        let resolver = FilteringResolver { link_local: settings.allow_link_local, private: settings.allow_private };
        builder = builder.dns_resolver(Arc::new(resolver));
    }
    if let Some((certificate, key)) = &settings.identity {
        builder = builder.identity(identity(certificate, key)?);
    }
    if let Some(path) = &settings.tls_ca_file {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    builder.build().map_err(|error| format!("TLS for handlers cannot be set up: {error}"))
}

fn identity(certificate: &str, key: &str) -> Result<Identity, String> {
    let read = |setting: &str, path: &str| {
        std::fs::read(path).map(Zeroizing::new).map_err(|error| format!("handlers.{setting}: {path}: {error}"))
    };
    let pem = [read("tls_key_file", key)?, read("tls_cert_file", certificate)?].map(|pem| pem.to_vec()).concat();
    let wrong = |_| format!("handlers.tls_key_file: {key} and {certificate} are no key with its certificate");
    Identity::from_pem(&Zeroizing::new(pem)).map_err(wrong)
}

fn certificates(path: &str) -> Result<Vec<Certificate>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("handlers.tls_ca_file: {path}: {error}"))?;
    let certificates =
        Certificate::from_pem_bundle(&pem).map_err(|_| format!("handlers.tls_ca_file: {path}: this is not PEM"))?;
    if certificates.is_empty() {
        return Err(format!("handlers.tls_ca_file: {path}: there is no certificate in it"));
    }
    Ok(certificates)
}
