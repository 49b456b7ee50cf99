//! Checks an edit, shows it, and writes it.

use std::collections::HashMap;
use std::path::Path;

use clap::ArgMatches;

use crate::cli::{NO_UPSTREAM, config_file, flag_of, metadata_folder, report, write_out};
use crate::config::load::{Assumed, load_assuming};
use crate::config::settings_table::Setting;
use crate::config::upstream_types::undecided;
use crate::edits::FileEdit;
use crate::edits::diff::unified_diff;
use crate::edits::files::ActionFiles;
use crate::edits::read::read_action_files;
use crate::edits::write::write;
use crate::model::source::{Diagnostic, Severity};

/// Any address: a variable that is not set here may be set where Pillion runs, which `pillion check` looks at.
pub(super) const UNSET: &str = "http://variable.invalid";

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
    let (errors, new_warnings): (Vec<_>, Vec<_>) =
        appearing(arguments, edits).into_iter().partition(|found| found.severity == Severity::Error);
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

/// Errors and warnings that there are with the edits and not without them.
fn appearing(arguments: &ArgMatches, edits: &[FileEdit]) -> Vec<Diagnostic> {
    let new = appearing_with(arguments, edits, config_file(arguments));
    if config_file(arguments).is_none() || new.iter().any(|found| found.severity == Severity::Error) {
        return new;
    }
    // An error of the settings would keep the actions from being looked at.
    let without = appearing_with(arguments, edits, None);
    if without.iter().any(|found| found.severity == Severity::Error) { without } else { new }
}

fn appearing_with(arguments: &ArgMatches, edits: &[FileEdit], config: Option<&Path>) -> Vec<Diagnostic> {
    let mut known: HashMap<String, usize> = HashMap::new();
    for found in check(arguments, &[], config) {
        *known.entry(found.message).or_default() += 1;
    }
    let mut found = check(arguments, edits, config);
    found.retain(|found| match known.get_mut(&found.message) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    found
}

fn check(arguments: &ArgMatches, edits: &[FileEdit], config: Option<&Path>) -> Vec<Diagnostic> {
    let is_config = |edit: &&FileEdit| config_file(arguments).is_some_and(|config| config == edit.path);
    let files = edits.iter().filter(|edit| !is_config(edit));
    let assumed = Assumed {
        settings: NO_UPSTREAM,
        files: files.map(|edit| (edit.path.clone(), edit.after.clone())).collect(),
        config: edits.iter().find(is_config).map(|edit| edit.after.clone()),
        variables: HashMap::new(),
        unset_variable: Some(UNSET),
        is_isolated: false,
    };
    let folder = metadata_folder(arguments).map(|folder| vec![folder.display().to_string()]).ok();
    let flag = |setting: &Setting| match setting.key {
        "metadata.folder" => folder.clone(),
        _ => flag_of(arguments, setting),
    };
    match load_assuming(config, &flag, &assumed) {
        Err(diagnostics) => diagnostics,
        // Settings may let invalid actions be left out; of what is written now, none may be.
        Ok(loaded) => [loaded.warnings, undecided(&loaded.schema), loaded.schema.inconsistent].concat(),
    }
}
