//! `pillion documents export`: writes what the upstream gets of the trusted documents, for an upstream that has a list of its own.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};
use http::HeaderMap;

use crate::check::exported_documents::{export, trusted_of};
use crate::cli::{NO_UPSTREAM, block_on, has_upstream, load_from, probe_upstream, report, write_out};
use crate::documents::export::{apollo, hasura, relay};
use crate::model::action::ADMIN_ROLE;
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::services::Services;
use crate::runtime::upstream_health_check;

/// `documents` for the command line; `configured` adds the settings to a command.
#[must_use]
pub(crate) fn command(configured: fn(Command) -> Command) -> Command {
    let export = Command::new("export")
        .about("Writes what the upstream gets of each trusted document, for the upstream's own list.")
        .long_about(
            "Writes what the upstream gets of each trusted document (documents.folder, allow_list.yaml), for the upstream's \
             own list: the document without its actions, once for each combination of conditions by which its fields come \
             and go. An upstream that is configured is asked for its schema, which documents with fields of actions on its \
             types need.",
        )
        .arg(
            Arg::new("format")
                .long("format")
                .required(true)
                .value_parser(["hasura", "apollo", "relay"])
                .help("query_collections.yaml of Hasura, Apollo's persisted query manifest, or Relay's persisted queries"),
        )
        .arg(Arg::new("out").long("out").value_name("FILE").help("The file to write; by default the standard output"));
    Command::new("documents")
        .about("Trusted documents: what the upstream gets of them.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(configured(export))
}

/// Exports.
///
/// # Errors
/// What is wrong with the configuration or with a document, or why the file cannot be written.
pub(crate) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let Some((_, arguments)) = arguments.subcommand() else { return Ok(()) };
    let loaded = load_from(arguments, NO_UPSTREAM).map_err(|diagnostics| report(&diagnostics))?;
    let trusted = trusted_of(&loaded).map_err(|found| report(&found))?;
    crate::install_tls_provider();
    let services = Arc::new(Services::new(loaded).map_err(|reason| format!("error: {reason}"))?);
    let merged = if has_upstream(arguments) { block_on(schema_of(&services))? } else { None };
    let (exported, warnings) =
        export(&services.snapshot.load(), &trusted, merged.as_deref()).map_err(|found| report(&found))?;
    if !warnings.is_empty() {
        eprintln!("{}", report(&warnings));
    }
    let text = match arguments.get_one::<String>("format").map(String::as_str) {
        Some("apollo") => apollo(&exported),
        Some("relay") => relay(&exported),
        _ => hasura(&exported),
    };
    match arguments.get_one::<String>("out").map(PathBuf::from) {
        None => write_out(text.as_bytes()),
        Some(path) => std::fs::write(&path, text).map_err(|error| format!("error: {}: {error}", path.display())),
    }
}

async fn schema_of(services: &Services) -> Option<Arc<MergedSchema>> {
    probe_upstream(services).await.ok()?;
    upstream_health_check::schema_of(services, ADMIN_ROLE, HeaderMap::new()).await.ok()
}
