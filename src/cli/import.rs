//! `pillion import openapi`: adds the operations of an OpenAPI document to the metadata as actions.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::changes::openapi::MetadataFiles;
use crate::changes::{self, fetch};
use crate::cli::{block_on, metadata_folder, report, source_of};
use crate::edits::FileEdit;
use crate::edits::diff::unified_diff;
use crate::edits::write::write;
use crate::model::source::{Diagnostic, Severity};
use crate::openapi::import;
use crate::openapi::imported::Imported;
use crate::openapi::options::Options;

/// `import` for the command line; `configured` adds the settings to a command.
#[must_use]
pub(crate) fn command(configured: fn(Command) -> Command) -> Command {
    let list = |name, kind, help| Arg::new(name).long(name).value_name(kind).action(ArgAction::Append).help(help);
    let option = |name, kind, help| Arg::new(name).long(name).value_name(kind).help(help);
    let openapi = Command::new("openapi")
        .about("Adds the operations of an OpenAPI document (3.0, 3.1) as actions that call them.")
        .long_about(
            "Adds the operations of an OpenAPI document (3.0 or 3.1, YAML or JSON) to actions.yaml and actions.graphql of \
             the metadata folder. What is there stays as it is. What cannot be imported is listed with its reason. The \
             outcome is checked as `pillion check` does, without the upstream, before anything is written.",
        )
        .arg(Arg::new("file").value_name("FILE").required(true).help("A file, or a file:, http: or https: URL of one"))
        .arg(list("operation", "ID", "Import this operation; may be given several times. Default: all"))
        .arg(list("tag", "TAG", "Import the operations with this tag; may be given several times"))
        .arg(list("role", "ROLE", "A role that may call the actions; may be given several times. Default: admin only"))
        .arg(option("base-url", "URL", "The API's address, also with {{NAME}} for a variable. Default: the document's server"))
        .arg(option("prefix", "PREFIX", "What the names of actions and types begin with").default_value(""))
        .arg(Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help("Print a diff, and write nothing"));
    Command::new("import")
        .about("Makes actions of the description of an API.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(configured(openapi))
}

/// Imports a document. The diff of a dry run goes to stdout, everything else to stderr.
///
/// # Errors
/// Why nothing was imported.
pub(crate) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let Some((_, arguments)) = arguments.subcommand() else { return Ok(()) };
    let failed = |diagnostics: Vec<Diagnostic>| report(&diagnostics);
    let files = MetadataFiles::read(&metadata_folder(arguments)?).map_err(failed)?;
    let file = arguments.get_one::<String>("file").map_or("", String::as_str);
    let source = block_on(fetch::read(file))?.map_err(failed)?;
    let imported = import(&source, &options_of(arguments)).map_err(failed)?;
    if imported.actions.is_empty() {
        return Err(format!("{}error: no operation could be imported", left_out(&imported)));
    }
    let collisions = files.collisions(&imported);
    if !collisions.is_empty() {
        return Err(report(&collisions));
    }
    let changes = files.with(&imported).map_err(|diagnostic| report(&[diagnostic]))?;
    check(arguments, &imported, &changes)?;
    let is_dry = arguments.get_flag("dry-run");
    if is_dry {
        changes.iter().for_each(|change| print!("{}", unified_diff(change)));
    } else {
        write(&changes).map_err(|error| format!("error: {error}"))?;
    }
    eprint!("{}{}", left_out(&imported), summary(&imported, &changes, is_dry));
    Ok(())
}

fn options_of(arguments: &ArgMatches) -> Options {
    let list = |name: &str| arguments.get_many::<String>(name).into_iter().flatten().cloned().collect();
    Options {
        operations: list("operation"),
        tags: list("tag"),
        roles: list("role"),
        base_url: arguments.get_one::<String>("base-url").cloned(),
        prefix: arguments.get_one::<String>("prefix").cloned().unwrap_or_default(),
    }
}

/// The checks of `pillion check` on what the files will be.
fn check(arguments: &ArgMatches, imported: &Imported, edits: &[FileEdit]) -> Result<(), String> {
    let samples = imported.variables.iter().map(|variable| (variable.name.clone(), variable.sample.clone()));
    let found = changes::check::check(&source_of(arguments), edits, &samples.collect());
    let errors: Vec<Diagnostic> = found.into_iter().filter(|found| found.severity == Severity::Error).collect();
    if errors.is_empty() { Ok(()) } else { Err(format!("{}\n\nerror: nothing is written", report(&errors))) }
}

/// A line for each part of the document that is left out.
fn left_out(imported: &Imported) -> String {
    imported.left_out.iter().map(|found| format!("{}\n", found.on_one_line())).collect()
}

fn summary(imported: &Imported, changes: &[FileEdit], is_dry: bool) -> String {
    let queries = imported.actions.iter().filter(|action| action.is_query).count();
    let mutations = imported.actions.len() - queries;
    let count = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let (verb, paths) = (
        if is_dry { "would be added" } else { "added" },
        changes.iter().map(|change| change.path.display().to_string()),
    );
    let mut text = format!(
        "{} and {} {verb}: {}; {} left out\n",
        count(queries, "query", "queries"),
        count(mutations, "mutation", "mutations"),
        paths.collect::<Vec<_>>().join(", "),
        count(imported.left_out.len(), "part", "parts"),
    );
    for variable in &imported.variables {
        text.push_str(&format!("set {}: {}\n", variable.name, variable.purpose));
    }
    text
}
