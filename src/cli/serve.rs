//! `pillion serve`: starts the proxy.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use clap::ArgMatches;
use pingora::server::ShutdownWatch;
use pingora::services::background::{BackgroundService, background_service};

use crate::admin::Admin;
use crate::cli::{block_on, config_file, flag_of, load_from, report, source_of};
use crate::config::configuration_source::ConfigurationSource;
use crate::config::load::{Loaded, text_of};
use crate::config::settings::JobStoreSettings;
#[cfg(feature = "console")]
use crate::console::Console;
use crate::graphql::fast_parser;
use crate::jobs::ephemeral_volume::ephemeral_volume;
use crate::metadata_api::Api;
use crate::model::source::{Diagnostic, Severity, summed_up};
use crate::reload::files::Files;
use crate::reload::{Load, Reloader};
use crate::runtime::services::{Services, StandIns};
use crate::runtime::upstream_types;
use crate::server::graceful_shutdown::AtExit;
use crate::server::listener;
use crate::server::listener::BackgroundTask;
use crate::telemetry::logs;

/// Loads the configuration and serves. Why it cannot is written to standard error, in the format of the log unless a person
/// reads it.
pub(crate) fn run(arguments: &ArgMatches) -> ExitCode {
    let started = load_and_serve(arguments);
    logs::finish();
    let Err(failure) = started else { return ExitCode::SUCCESS };
    let format = text_of("log.format", config_file(arguments), &|setting| flag_of(arguments, setting));
    match std::io::stderr().is_terminal() || format.as_deref() != Some("json") {
        true => eprintln!("{}", failure.text()),
        false => logs::write_lines(std::io::stderr, true, || failure.log()),
    }
    ExitCode::FAILURE
}

/// Why it cannot be served.
enum StartFailure {
    /// Everything that is wrong with the configuration.
    Configuration(Vec<Diagnostic>),
    Other(String),
}

impl StartFailure {
    fn text(&self) -> String {
        match self {
            Self::Configuration(diagnostics) => report(diagnostics),
            Self::Other(reason) => reason.clone(),
        }
    }

    /// A line for each of them.
    fn log(&self) {
        let diagnostics = match self {
            Self::Configuration(diagnostics) => diagnostics,
            Self::Other(reason) => return tracing::error!("{reason}"),
        };
        for diagnostic in diagnostics {
            let place = diagnostic.place.as_ref();
            let (file, line) = (place.map(|place| place.source.name.as_str()), place.map(|place| place.line));
            let column = place.map(|place| place.column);
            match diagnostic.severity {
                Severity::Error => tracing::error!(file, line, column, "{diagnostic}"),
                Severity::Warning => tracing::warn!(file, line, column, "{diagnostic}"),
            }
        }
    }
}

fn load_and_serve(arguments: &ArgMatches) -> Result<(), StartFailure> {
    let loaded = load_from(arguments, &[]).map_err(StartFailure::Configuration)?;
    let config_file = arguments.get_one::<String>("config").map(PathBuf::from);
    let source = source_of(arguments);
    let arguments = arguments.clone();
    let again: Load = Box::new(move || load_from(&arguments, &[]));
    let files = Files::new(config_file.as_deref(), &loaded.settings);
    serve(loaded, Serving { again: Some((again, files)), source, ..Serving::default() }).map_err(StartFailure::Other)
}

/// What is served beside the loaded configuration, and how.
pub(crate) struct Serving {
    /// Loads the configuration again while it is served, from these files.
    pub again: Option<(Load, Files)>,
    /// Other services.
    pub beside: Vec<BackgroundTask>,
    /// Runs before the process ends.
    pub at_exit: AtExit,
    /// What responds in place of others. `pillion serve` has none.
    pub stand_ins: StandIns,
    /// The form of the log.
    pub log: LogForm,
    /// Where the configuration comes from, for the console.
    pub source: ConfigurationSource,
}

/// The form of the log.
#[derive(Clone, Copy)]
pub(crate) enum LogForm {
    /// As it is configured.
    Configured,
    /// For a person who works on actions.
    Development {
        /// Is it coloured?
        has_colours: bool,
    },
}

impl Default for Serving {
    fn default() -> Self {
        let (beside, at_exit): (_, AtExit) = (Vec::new(), Box::new(|| {}));
        let (stand_ins, source) = Default::default();
        Self { again: None, beside, at_exit, stand_ins, log: LogForm::Configured, source }
    }
}

/// Serves the loaded configuration.
///
/// # Errors
/// Why it cannot be served.
pub(crate) fn serve(mut loaded: Loaded, serving: Serving) -> Result<(), String> {
    let Serving { again, mut beside, at_exit, stand_ins, log, source } = serving;
    #[cfg(not(feature = "console"))]
    let _ = source;
    crate::install_tls_provider();
    match log {
        LogForm::Configured => logs::start(loaded.settings.log_json, &loaded.settings.log_level),
        LogForm::Development { has_colours } => {
            loaded.settings.log_json = false;
            logs::start_for_development(&loaded.settings.log_level, has_colours);
        }
    }
    for warning in summed_up(&loaded.warnings) {
        tracing::warn!("{warning}");
    }
    if loaded.settings.says_open {
        tracing::info!("auth.open is true: every client is admin and may call every action in any role");
    } else if loaded.settings.auth.is_open() {
        tracing::warn!(
            "neither an admin secret nor a JWT secret is set: every client may call every action in any role; set \
             HASURA_GRAPHQL_ADMIN_SECRET, or say that this is meant with auth.open: true (PILLION_AUTH_OPEN)"
        );
    }
    if loaded.settings.auth.unauthorized_session_variables {
        tracing::warn!(
            "auth.unauthorized_session_variables is on: a client without a credential can claim to be anybody but a role"
        );
    }
    let failed = |reason: String| format!("error: {reason}");
    let secret = loaded.settings.auth.admin_secrets.first();
    let metadata = block_on(Api::open(&loaded.settings, secret))?.map_err(failed)?;
    let metadata = metadata.map(|(api, kept)| {
        if let Some(kept) = kept {
            loaded.schema = kept.schema;
            (loaded.documents, loaded.trusted) = kept.documents;
        }
        Arc::new(api)
    });
    upstream_types::log_inconsistent(&loaded.schema);
    fast_parser::prepare();
    let services = Arc::new(Services::with_stand_ins(loaded, stand_ins).map_err(failed)?);
    block_on(services.open_jobs_for(&services.snapshot.load().catalog.schema))?.map_err(failed)?;
    if let (Ok(_), JobStoreSettings::Sqlite(file)) = (services.jobs(), &services.configured().settings.jobs.store) {
        describe_job_file(file);
    }
    count_panics(&services);
    #[cfg(feature = "console")]
    let console = Arc::new(Console::new(Arc::clone(&services), metadata.clone(), source));
    #[cfg(feature = "console")]
    beside.push(background_service("console", Observing(Arc::clone(&console))).into());
    beside.extend(admin_listeners(
        &services,
        #[cfg(feature = "console")]
        console,
    ));
    if let Some((load, files)) = again {
        let reloader =
            Reloader { services: Arc::clone(&services), metadata: metadata.clone(), load, files: files.into() };
        beside.push(background_service("reload", Background(reloader)).into());
    }
    listener::serve(&services, metadata, beside, at_exit).map_err(failed)?;
    services.health.fatal.reason().map_or(Ok(()), |reason| Err(reason.to_owned()))
}

/// The admin listener, and the metrics listener if there is one.
fn admin_listeners(services: &Arc<Services>, #[cfg(feature = "console")] console: Arc<Console>) -> Vec<BackgroundTask> {
    let configured = services.configured();
    let settings = &configured.settings;
    let admin = Admin::new(Arc::clone(services));
    #[cfg(feature = "console")]
    let admin = admin.with_console(console);
    let mut listeners = vec![listener::admin_service(services, "admin", settings.admin_listen, admin)];
    if let Some(listen) = settings.admin.metrics_listen {
        let metrics = Admin::read_only(Arc::clone(services));
        listeners.push(listener::admin_service(services, "metrics", listen, metrics));
    }
    listeners
}

/// Says what a job store in a file means, and warns if the file is on a volume that is lost.
fn describe_job_file(file: &str) {
    match ephemeral_volume(Path::new(file)) {
        None => tracing::info!(
            file,
            "jobs are stored in a file: it must be on a volume that stays, and no other replica sees them; for several \
             replicas set jobs.store to a PostgreSQL"
        ),
        Some(volume) => tracing::warn!(
            file,
            volume,
            "jobs are stored in a file that is lost with its container or pod, and no other replica sees them; put it on a \
             persistent volume, or set jobs.store to a PostgreSQL"
        ),
    }
}

/// A panic ends one request, and is written to the log without what the request held.
fn count_panics(services: &Services) {
    let panics = services.metrics.panics.clone();
    std::panic::set_hook(Box::new(move |panic| {
        panics.inc();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "internal error (bug), please report: a request or a task has ended");
    }));
}

/// Reloads the configuration, in the background.
struct Background(Reloader);

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, _: ShutdownWatch) {
        self.0.run().await;
    }
}

/// Collects what the console shows, in the background.
#[cfg(feature = "console")]
struct Observing(Arc<Console>);

#[cfg(feature = "console")]
#[async_trait]
impl BackgroundService for Observing {
    async fn start(&self, _: ShutdownWatch) {
        self.0.observe().await;
    }
}
