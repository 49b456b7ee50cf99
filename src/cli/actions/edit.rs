//! Checks an edit, shows it, and writes it.

use std::collections::HashMap;

use clap::ArgMatches;

use crate::changes::check::appearing;
use crate::cli::{config_file, metadata_folder, report, source_of, write_out};
use crate::edits::FileEdit;
use crate::edits::diff::unified_diff;
use crate::edits::files::ActionFiles;
use crate::edits::read::read_action_files;
use crate::edits::write::write;
use crate::model::source::{Diagnostic, Severity};

/// What an edit does, in words.
#[derive(Default)]
pub(super) struct Done {
    /// In a few words, in the past.
    pub(super) what: String,
    pub(super) warnings: Vec<Diagnostic>,
    /// What is to be done or known next.
    pub(super) notes: Vec<String>,
}

/// The files of the metadata folder, and `pillion.yaml` if it is given.
pub(super) fn read(arguments: &ArgMatches) -> Result<ActionFiles, String> {
    read_action_files(&metadata_folder(arguments)?, config_file(arguments)).map_err(|found| report(&found))
}

/// Checks the files as `pillion check` does, prints the diff, and writes them unless this is a dry run.
///
/// # Errors
/// The errors that the files would have and have not yet, or why they cannot be written.
pub(super) fn apply(arguments: &ArgMatches, edits: &[FileEdit], done: &Done) -> Result<(), String> {
    if edits.is_empty() {
        eprintln!("nothing changes: it is so already");
        return Ok(());
    }
    let (errors, new_warnings): (Vec<_>, Vec<_>) = appearing(&source_of(arguments), edits, &HashMap::new())
        .into_iter()
        .partition(|found| found.severity == Severity::Error);
    if !errors.is_empty() {
        return Err(format!("{}\n\nerror: nothing is written", report(&errors)));
    }
    let warnings = [done.warnings.clone(), new_warnings].concat();
    let is_dry = arguments.get_flag("dry-run");
    if !is_dry {
        write(edits).map_err(|error| format!("error: {error}"))?;
    }
    let diffs: String = edits.iter().map(unified_diff).collect();
    write_out(diffs.as_bytes())?;
    if !warnings.is_empty() {
        eprintln!("{}\n", report(&warnings));
    }
    let dry = if is_dry { " (dry run: nothing is written)" } else { "" };
    eprintln!("{}{dry}", done.what);
    for note in &done.notes {
        eprintln!("{note}");
    }
    Ok(())
}
