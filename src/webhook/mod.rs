//! Calling handlers.

pub mod call;

use crate::client::{self, Clients};
use crate::config::settings::Handlers;

/// The clients that call handlers, without a proxy unless the settings say so.
///
/// # Errors
/// When the file of authorities is no good, or TLS cannot be set up.
pub fn clients(settings: &Handlers) -> Result<Clients, String> {
    let settings = settings.clone();
    Clients::new(move || client(&settings))
}

fn client(settings: &Handlers) -> Result<reqwest::Client, String> {
    let mut builder = client::builder(settings.connect_timeout, settings.pool_idle_timeout);
    if !settings.use_environment_proxy {
        builder = builder.no_proxy();
    }
    if let Some(path) = &settings.tls_ca_file {
        builder = builder.tls_certs_merge(client::certificates(path)?);
    }
    builder.build().map_err(|error| format!("TLS for handlers cannot be set up: {error}"))
}
