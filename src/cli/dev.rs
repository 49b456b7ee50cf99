//! `pillion dev`: serves while you work on actions. Changed files are in effect at once, the log says why something failed,
//! Ctrl-C ends it at once, and `--mock` makes up what handlers would respond.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};

use crate::cli::serve::{LogForm, Serving, serve};
use crate::cli::{NO_UPSTREAM, config_file, flag_of, has_colours, has_upstream, load_from, report, source_of};
use crate::config::load::{Loaded, values_of};
use crate::handler_client::stand_in::HandlerStandIn;
use crate::mock::stand_in::Mock;
use crate::model::source::Diagnostic;
use crate::reload::Load;
use crate::reload::files::Files;
use crate::runtime::services::StandIns;
use crate::telemetry::logs;

/// `dev` for the command line.
#[must_use]
pub(crate) fn command() -> Command {
    Command::new("dev")
        .about("Serves while you work on actions: reloads, a readable log, mocks of handlers.")
        .long_about(
            "Serves as `pillion serve` does, for the time in which you work on actions: files are in effect as soon as they \
             are saved, the log is for people and says why a call failed, errors have extensions.internal, it listens on \
             127.0.0.1 unless listen is set, and Ctrl-C ends it at once.\n\n\
             With --mock no handler is called: auto makes values of the output types, the same for the same arguments; a \
             file has examples of your own. docs/how-to/develop.md describes it.",
        )
        .arg(
            Arg::new("mock")
                .long("mock")
                .value_name("FILE|auto")
                .help("Respond in place of handlers: with made-up values, or with the examples of a file"),
        )
}

/// Serves until Ctrl-C.
pub(crate) fn run(arguments: &ArgMatches) -> ExitCode {
    let served = load_and_serve(arguments);
    logs::finish();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn load_and_serve(arguments: &ArgMatches) -> Result<(), String> {
    let loaded = load(arguments).map_err(|diagnostics| report(&diagnostics))?;
    let mock = arguments.get_one::<String>("mock").map(String::as_str);
    let handlers: Option<Arc<dyn HandlerStandIn>> = match mock {
        None => None,
        Some("auto") => Some(Arc::new(Mock::Auto)),
        Some(file) => {
            let mock = Mock::from_file(PathBuf::from(file), &loaded.schema);
            Some(Arc::new(mock.map_err(|diagnostics| report(&diagnostics))?))
        }
    };
    if handlers.is_some() {
        eprintln!("No handler is called: --mock responds in their place.");
    }
    let files = Files::new(config_file(arguments), &loaded.settings);
    let source = source_of(arguments);
    let arguments = arguments.clone();
    let again: Load = Box::new(move || load(&arguments));
    let serving = Serving {
        again: Some((again, files)),
        stand_ins: StandIns { handlers, upstream: None },
        log: LogForm::Development { has_colours: has_colours() },
        source,
        ..Serving::default()
    };
    serve(loaded, serving)
}

/// The configuration with what is different while developing.
fn load(arguments: &ArgMatches) -> Result<Loaded, Vec<Diagnostic>> {
    let is_mocked = arguments.get_one::<String>("mock").is_some();
    // Actions can be tried with a mock before there is an upstream.
    let assumed = if is_mocked && !has_upstream(arguments) { NO_UPSTREAM } else { &[] };
    let mut loaded = load_from(arguments, assumed)?;
    let values = values_of(config_file(arguments), &|setting| flag_of(arguments, setting))?;
    let settings = &mut loaded.settings;
    if !values.is_given("listen") {
        settings.listen.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    settings.watch_files = true;
    settings.dev_mode = true;
    (settings.drain_delay, settings.shutdown_timeout) = (Duration::ZERO, Duration::ZERO);
    Ok(loaded)
}
