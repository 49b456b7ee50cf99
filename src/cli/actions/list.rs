//! `pillion actions list`: one line for each action.

use std::fmt::Write as _;
use std::io::IsTerminal;

use clap::ArgMatches;
use serde_json::json;

use crate::changes::check::assumed;
use crate::cli::{metadata_folder, report, source_of, write_out};
use crate::config::action_summary::{ActionSummary, summaries};
use crate::config::load::Loaded;

/// Prints the list.
///
/// # Errors
/// What is wrong with the files.
pub(super) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let actions = summaries(&load(arguments)?.schema);
    if arguments.get_one::<String>("format").is_some_and(|format| format == "json") {
        return write_out(format!("{:#}\n", json!(actions)).as_bytes());
    }
    write_out(table(&actions, std::io::stdout().is_terminal()).as_bytes())
}

/// The actions, whatever variables are set.
pub(super) fn load(arguments: &ArgMatches) -> Result<Loaded, String> {
    metadata_folder(arguments)?;
    source_of(arguments).load(&assumed()).map_err(|found| report(&found))
}

/// Aligned columns, with a header for people; programs get tabs between the columns.
fn table(actions: &[ActionSummary], is_for_people: bool) -> String {
    let rows: Vec<[String; 5]> = actions.iter().map(row).collect();
    if !is_for_people {
        return rows.iter().map(|row| format!("{}\n", row.join("\t"))).collect();
    }
    let header = ["NAME", "KIND", "OUTPUT", "ROLES", "HANDLER"].map(str::to_owned);
    let rows: Vec<[String; 5]> = [header].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(line, "{cell:<width$}  ", width = width(column).unwrap_or_default());
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn row(action: &ActionSummary) -> [String; 5] {
    let kind = if action.kind == "asynchronous" { "async mutation" } else { action.operation };
    let roles = if action.roles.is_empty() { "admin only".to_owned() } else { action.roles.join(", ") };
    [action.name.clone(), kind.to_owned(), action.output.clone(), roles, action.handler.clone()]
}
