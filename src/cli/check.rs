//! `pillion check`: validates the configuration, and checks it against the upstream and the handlers.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::cli::{NO_UPSTREAM, block_on, load_from, probe_upstream, report};
use crate::config::load::Loaded;
use crate::config::upstream_types;
use crate::config::warnings::lint;
use crate::graphql::check_relationships::missing;
use crate::model::action::{ADMIN_ROLE, ActionSchema};
use crate::model::source::{Diagnostic, Severity};
use crate::runtime::services::Services;
use crate::runtime::upstream_health_check;

/// `check` for the command line.
#[must_use]
pub(crate) fn command() -> Command {
    Command::new("check")
        .about("Checks configuration, metadata, variables and templates.")
        .long_about(
            "Checks configuration, metadata, variables and templates; with --upstream also whether the actions go with \
             the upstream's schema, and with --handlers whether every handler can be reached.\n\n\
             Exit status: 0 if nothing is wrong, 1 if something is, 2 if it could not be checked.",
        )
        .arg(flag("handlers", "Connect to the host of every handler"))
        .arg(flag("strict", "Take warnings for errors"))
        .arg(
            Arg::new("format")
                .long("format")
                .value_parser(["text", "json"])
                .default_value("text")
                .help("Output format"),
        )
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// The findings, and whether everything could be checked.
struct Findings {
    diagnostics: Vec<Diagnostic>,
    is_complete: bool,
}

/// Checks everything and prints the findings.
pub(crate) fn run(arguments: &ArgMatches) -> ExitCode {
    let asks_upstream = arguments.value_source("upstream.url") == Some(ValueSource::CommandLine);
    let findings = match load_from(arguments, NO_UPSTREAM) {
        Err(diagnostics) => Findings { diagnostics, is_complete: true },
        Ok(loaded) => check(loaded, asks_upstream, arguments.get_flag("handlers")),
    };
    let count = |severity| findings.diagnostics.iter().filter(|found| found.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if arguments.get_one::<String>("format").is_some_and(|format| format == "json") {
        let diagnostics: Vec<Value> = findings.diagnostics.iter().map(as_json).collect();
        println!("{}", json!({ "errors": errors, "warnings": warnings, "diagnostics": diagnostics }));
    } else {
        if !findings.diagnostics.is_empty() {
            println!("{}\n", report(&findings.diagnostics));
        }
        println!("{errors} {}, {warnings} {}", plural(errors, "error"), plural(warnings, "warning"));
    }
    match () {
        () if !findings.is_complete => ExitCode::from(2),
        () if errors > 0 || warnings > 0 && arguments.get_flag("strict") => ExitCode::from(1),
        () => ExitCode::SUCCESS,
    }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

fn as_json(found: &Diagnostic) -> Value {
    let severity = if found.severity == Severity::Error { "error" } else { "warning" };
    let place = found.place.as_ref();
    json!({
        "severity": severity,
        "message": found.message,
        "file": place.map(|place| place.source.name.as_str()),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "notes": found.notes,
        "help": found.remedy,
    })
}

fn check(mut loaded: Loaded, asks_upstream: bool, asks_handlers: bool) -> Findings {
    let mut diagnostics = std::mem::take(&mut loaded.warnings);
    diagnostics.extend(lint(&loaded.schema, &loaded.settings));
    diagnostics.extend(loaded.schema.inconsistent.iter().cloned());
    let undecided = upstream_types::undecided(&loaded.schema);
    if !asks_upstream {
        diagnostics.extend(undecided);
    }
    if !asks_upstream && !asks_handlers {
        return Findings { diagnostics, is_complete: true };
    }
    let connect_timeout = loaded.settings.handlers.connect_timeout;
    let outcome = block_on(async {
        let services = Services::new(loaded).map_err(|reason| format!("error: {reason}"))?;
        let mut found = Vec::new();
        if asks_handlers {
            found.extend(look_at_handlers(&services.snapshot.load().catalog.schema, connect_timeout).await);
        }
        if asks_upstream {
            found.extend(compare_with_upstream(&services).await?);
        }
        Ok::<_, String>(found)
    });
    let is_complete = match outcome.and_then(|outcome| outcome) {
        Ok(found) => {
            diagnostics.extend(found);
            true
        }
        Err(reason) => {
            eprintln!("{reason}");
            false
        }
    };
    Findings { diagnostics, is_complete }
}

/// One connection for each host and port.
async fn look_at_handlers(schema: &ActionSchema, timeout: Duration) -> Vec<Diagnostic> {
    let mut reached: BTreeMap<(String, u16), Result<(), String>> = BTreeMap::new();
    let mut found = Vec::new();
    for action in schema.actions.values() {
        let url = &action.handler.url;
        let address = (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default().unwrap_or(80));
        if !reached.contains_key(&address) {
            let outcome = connect(&address, timeout).await;
            reached.insert(address.clone(), outcome);
        }
        if let Some(Err(reason)) = reached.get(&address) {
            let template = &action.handler.template;
            let message = format!("the handler of action '{}', {template}, cannot be reached: {reason}", action.name);
            let place = schema.locations.actions.get(&action.field).cloned();
            found.push(Diagnostic::error(place, message, "start it, or correct its address"));
        }
    }
    found
}

async fn connect((host, port): &(String, u16), timeout: Duration) -> Result<(), String> {
    // An address of version 6 stands in brackets in a URL.
    let host = host.trim_matches(['[', ']']);
    match tokio::time::timeout(timeout, TcpStream::connect((host, *port))).await {
        Err(_) => Err("no response in time".into()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(_)) => Ok(()),
    }
}

async fn compare_with_upstream(services: &Services) -> Result<Vec<Diagnostic>, String> {
    probe_upstream(services).await.map_err(|reason| format!("error: {reason}"))?;
    let error = match upstream_health_check::schema_of(services, ADMIN_ROLE, HeaderMap::new()).await {
        Ok(merged) => {
            let schema = &services.snapshot.load().catalog.schema;
            let mut found = missing(&merged.role_schema.schema, schema);
            if let Some(decided) = &merged.decided {
                found.extend(decided.inconsistent.iter().skip(schema.inconsistent.len()).cloned());
            }
            return Ok(found);
        }
        Err(error) => error,
    };
    if !error.conflicts().is_empty() {
        let locations = &services.snapshot.load().catalog.schema.locations;
        return Ok(error.conflicts().iter().map(|conflict| conflict.diagnostic(locations)).collect());
    }
    let remedy = "names that exclude one another cannot be found, and the upstream's part of documents is left to it";
    let mut found = upstream_types::undecided(&services.snapshot.load().catalog.schema);
    found.push(Diagnostic::warning(None, format!("the upstream's schema is not known: {error}"), remedy));
    Ok(found)
}
