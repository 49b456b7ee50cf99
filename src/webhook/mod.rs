//! Calling handlers.

pub mod call;

use crate::config::settings::Handlers;

/// The client that calls handlers: no redirects, no cookies, no proxy unless the settings say so.
///
/// # Errors
/// When the file of authorities is no good, or TLS cannot be set up.
pub fn client(settings: &Handlers) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(settings.pool_idle_timeout)
        .tcp_nodelay(true)
        // A call is never sent again behind our back; see `call`.
        .retry(reqwest::retry::never());
    if !settings.use_environment_proxy {
        builder = builder.no_proxy();
    }
    if let Some(path) = &settings.tls_ca_file {
        let pem = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| format!("{path}: this is not PEM"))?;
        if certificates.is_empty() {
            return Err(format!("{path}: there is no certificate in it"));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| format!("TLS for handlers cannot be set up: {error}"))
}
