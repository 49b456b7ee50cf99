//! `pillion serve`.

use std::path::Path;

use clap::ArgMatches;

use crate::config::load::{Loaded, load};
use crate::config::settings::Setting;
use crate::model::source::Diagnostic;
use crate::proxy::server;
use crate::telemetry::logs;

/// Loads the configuration and serves.
///
/// # Errors
/// Everything that is wrong with the configuration, or why it cannot be served.
pub fn run(arguments: &ArgMatches) -> Result<(), String> {
    let config = arguments.get_one::<String>("config").map(Path::new);
    let flag = |setting: &Setting| {
        setting.flag?;
        let values = arguments.get_many::<String>(setting.key)?;
        Some(values.cloned().collect())
    };
    serve(load(config, &flag).map_err(|mistakes| report(&mistakes))?, Vec::new())
}

/// Serves what was loaded, with other services beside it.
///
/// # Errors
/// Why it cannot be served.
pub fn serve(loaded: Loaded, beside: Vec<server::Beside>) -> Result<(), String> {
    crate::install_tls_provider();
    logs::start(loaded.settings.log_json, &loaded.settings.log_level);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if loaded.settings.auth.admin_secrets.is_empty() && loaded.settings.auth.jwt.is_empty() {
        tracing::warn!(
            "neither an admin secret nor a JWT secret is set: every client may call every action in any role; \
             set HASURA_GRAPHQL_ADMIN_SECRET unless this is development"
        );
    }
    server::serve(loaded, beside).map_err(|reason| format!("error: {reason}"))
}

/// All mistakes, for a person.
#[must_use]
pub fn report(mistakes: &[Diagnostic]) -> String {
    let rendered: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    rendered.join("\n\n")
}
