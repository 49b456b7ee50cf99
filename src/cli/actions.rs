//! `pillion actions`: lists, shows, creates, derives, renames and removes actions, and grants permissions, by edits of the
//! files that keep their comments and formatting.

mod arguments;
mod derive;
mod edit;
mod list;
mod show;

use clap::ArgMatches;

use crate::cli::actions::arguments::{text, texts};
use crate::cli::actions::edit::{Done, apply};
use crate::cli::{codegen, report};
use crate::edits::create::create;
use crate::edits::permissions::{forbid, permit};
use crate::edits::remove::remove;
use crate::edits::rename::rename;

pub(crate) use crate::cli::actions::arguments::command;

/// Runs it. Diffs, lists and definitions go to stdout, everything else to stderr.
///
/// # Errors
/// What is wrong with the arguments or the files, or with what they would become.
pub(crate) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let Some((name, arguments)) = arguments.subcommand() else { return Ok(()) };
    match name {
        "list" => list::run(arguments),
        "show" => show::run(arguments),
        "derive" => derive::run(arguments),
        "create" => run_create(arguments),
        "rename" => run_rename(arguments),
        "remove" => run_remove(arguments),
        "permit" => run_permit(arguments),
        _ => run_forbid(arguments),
    }
}

fn run_create(arguments: &ArgMatches) -> Result<(), String> {
    let action = arguments::new_action(arguments)?;
    let files = edit::read(arguments)?;
    let (edits, warnings) = create(&files, &action).map_err(|found| report(&found))?;
    let name = &action.signature.name;
    let done = Done { what: format!("action {name} created"), warnings, notes: arguments::notes(&action) };
    apply(arguments, &edits, &done)?;
    codegen::run_after_edit(arguments)
}

fn run_rename(arguments: &ArgMatches) -> Result<(), String> {
    let (name, new) = (text(arguments, "name"), text(arguments, "new"));
    let files = edit::read(arguments)?;
    let edits = rename(&files, name, new).map_err(|found| report(&found))?;
    let note = "its handler gets the new name in action.name; jobs of the old name stay as they are";
    let done = Done { what: format!("action {name} is {new} now"), notes: vec![note.to_owned()], ..Done::default() };
    apply(arguments, &edits, &done)
}

fn run_remove(arguments: &ArgMatches) -> Result<(), String> {
    let name = text(arguments, "name");
    let files = edit::read(arguments)?;
    let (edits, types) = remove(&files, name, arguments.get_flag("keep-types")).map_err(|found| report(&found))?;
    let types = if types.is_empty() { String::new() } else { format!(", and its types {}", types.join(", ")) };
    apply(arguments, &edits, &Done { what: format!("action {name} removed{types}"), ..Done::default() })
}

fn run_permit(arguments: &ArgMatches) -> Result<(), String> {
    let (name, roles) = (text(arguments, "name"), texts(arguments, "role"));
    let files = edit::read(arguments)?;
    let (edits, warnings) = permit(&files, name, &roles).map_err(|found| report(&found))?;
    apply(
        arguments,
        &edits,
        &Done { what: format!("{} may call {name}", roles.join(", ")), warnings, ..Done::default() },
    )
}

fn run_forbid(arguments: &ArgMatches) -> Result<(), String> {
    let (name, roles) = (text(arguments, "name"), texts(arguments, "role"));
    let files = edit::read(arguments)?;
    let edits = forbid(&files, name, &roles).map_err(|found| report(&found))?;
    apply(
        arguments,
        &edits,
        &Done { what: format!("{} may not call {name} any more", roles.join(", ")), ..Done::default() },
    )
}
