//! `pillion schema`: prints the merged schema, for code generators and reviews.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::{block_on, header_argument, headers_of, load_from, probe_upstream, report, role_argument};
use crate::graphql::print_schema::print_schema;
use crate::model::action::ActionSchema;
use crate::pipeline::introspection;
use crate::runtime::services::Services;
use crate::runtime::upstream_health_check;

/// `schema` for the command line.
#[must_use]
pub(crate) fn command() -> Command {
    Command::new("schema")
        .about("Prints the upstream's schema with the actions in it, as a role sees it.")
        .arg(
            Arg::new("upstream-only")
                .long("upstream-only")
                .action(ArgAction::SetTrue)
                .help("Leave the actions out: with --format json, this is the file for explain --upstream-schema"),
        )
        .arg(role_argument())
        .arg(header_argument())
        .arg(
            Arg::new("format")
                .long("format")
                .value_parser(["sdl", "json"])
                .default_value("sdl")
                .help("SDL, or the result of the introspection query"),
        )
}

/// Fetches the upstream's schema and prints the merged one.
///
/// # Errors
/// What is wrong with the configuration, or why the upstream's schema cannot be had.
pub(crate) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let mut loaded = load_from(arguments, &[]).map_err(|diagnostics| report(&diagnostics))?;
    if arguments.get_flag("upstream-only") {
        loaded.schema = ActionSchema::default();
    }
    let headers = headers_of(arguments)?;
    let role = arguments.get_one::<String>("role").map_or("admin", String::as_str);
    let as_json = arguments.get_one::<String>("format").is_some_and(|format| format == "json");
    let text = block_on(async {
        let services = Services::new(loaded).map_err(|reason| format!("error: {reason}"))?;
        probe_upstream(&services).await.map_err(|reason| format!("error: {reason}"))?;
        let merged = upstream_health_check::schema_of(&services, role, headers).await;
        let merged = merged.map_err(|error| format!("error: the upstream's schema is not known: {error}"))?;
        if as_json { introspection::full_result(&merged) } else { Ok(print_schema(&merged.role_schema)) }
    })??;
    print!("{text}");
    Ok(())
}
