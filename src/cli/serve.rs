//! `pillion serve`.

use std::sync::Arc;

use clap::ArgMatches;

use super::{block_on, load_from, report};
use crate::admin::Admin;
use crate::config::load::Loaded;
use crate::config::settings::JobStore;
use crate::execute::World;
use crate::metadata::Api;
use crate::proxy::server::{self, Beside};
use crate::telemetry::logs;

/// Loads the configuration and serves.
///
/// # Errors
/// Everything that is wrong with the configuration, or why it cannot be served.
pub fn run(arguments: &ArgMatches) -> Result<(), String> {
    serve(load_from(arguments, &[]).map_err(|mistakes| report(&mistakes))?, Vec::new())
}

/// Serves what was loaded, with other services beside it.
///
/// # Errors
/// Why it cannot be served.
pub fn serve(mut loaded: Loaded, mut beside: Vec<Beside>) -> Result<(), String> {
    crate::install_tls_provider();
    logs::start(loaded.settings.log_json, &loaded.settings.log_level);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if loaded.settings.auth.is_open() {
        tracing::warn!(
            "neither an admin secret nor a JWT secret is set: every client may call every action in any role; \
             set HASURA_GRAPHQL_ADMIN_SECRET unless this is development"
        );
    }
    if loaded.settings.auth.unauthorized_variables {
        tracing::warn!(
            "auth.unauthorized_variables is on: a client without a credential can claim to be anybody but a role"
        );
    }
    let failed = |reason: String| format!("error: {reason}");
    let secret = loaded.settings.auth.admin_secrets.first();
    let metadata = block_on(Api::open(&loaded.settings, secret))?.map_err(failed)?;
    let metadata = metadata.map(|(api, schema)| {
        loaded.schema = schema.unwrap_or(std::mem::take(&mut loaded.schema));
        Arc::new(api)
    });
    let world = Arc::new(World::new(loaded).map_err(failed)?);
    block_on(world.open_jobs_for(&world.snapshot.load().schema))?.map_err(failed)?;
    if let (Ok(_), JobStore::Sqlite(file)) = (world.jobs(), &world.settings.jobs.store) {
        tracing::info!(
            file,
            "calls of asynchronous actions are stored in a file: it must be on a volume that stays, and no other replica \
             sees them; for several replicas set async.store to a PostgreSQL"
        );
    }
    let admin = Admin::new(Arc::clone(&world));
    beside.push(server::small_service("admin", world.settings.admin_listen, admin).into());
    server::serve(&world, metadata, beside).map_err(failed)?;
    world.fatal.reason().map_or(Ok(()), |reason| Err(reason.to_owned()))
}
