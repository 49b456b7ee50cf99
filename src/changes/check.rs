//! Checks edits of configuration files before they are written, as `pillion check --offline` checks files: which errors and
//! warnings there are with them and not without them.

use std::collections::HashMap;

use crate::config::configuration_source::ConfigurationSource;
use crate::config::load::Assumed;
use crate::config::upstream_types::undecided;
use crate::edits::FileEdit;
use crate::model::source::{Diagnostic, Severity};

/// An address that does not exist: edits are checked without the upstream.
const NO_UPSTREAM: &[(&str, &str)] = &[("upstream.url", "http://upstream.invalid")];

/// Any address: a variable that is not set here may be set where Pillion runs, which `pillion check` looks at.
pub(crate) const UNSET: &str = "http://variable.invalid";

/// What is assumed of variables and settings while files are checked.
#[must_use]
pub(crate) fn assumed() -> Assumed<'static> {
    Assumed { settings: NO_UPSTREAM, unset_variable: Some(UNSET), ..Assumed::default() }
}

/// Errors and warnings that there are with the edits and not without them. `samples` are values of variables that the edits
/// name and that may not be set yet.
#[must_use]
pub(crate) fn appearing(
    source: &ConfigurationSource,
    edits: &[FileEdit],
    samples: &HashMap<String, String>,
) -> Vec<Diagnostic> {
    let new = appearing_in(source, edits, samples);
    if source.file.is_none() || new.iter().any(|found| found.severity == Severity::Error) {
        return new;
    }
    // An error of the settings would keep the actions from being looked at.
    let edits: Vec<FileEdit> = edits.iter().filter(|edit| !source.is_file(&edit.path)).cloned().collect();
    let without = appearing_in(&source.without_file(), &edits, samples);
    if without.iter().any(|found| found.severity == Severity::Error) { without } else { new }
}

fn appearing_in(
    source: &ConfigurationSource,
    edits: &[FileEdit],
    samples: &HashMap<String, String>,
) -> Vec<Diagnostic> {
    let mut known: HashMap<String, usize> = HashMap::new();
    for found in check(source, &[], samples) {
        *known.entry(found.message).or_default() += 1;
    }
    let mut found = check(source, edits, samples);
    found.retain(|found| match known.get_mut(&found.message) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    found
}

/// All errors and warnings that there are with the edits.
#[must_use]
pub(crate) fn check(
    source: &ConfigurationSource,
    edits: &[FileEdit],
    samples: &HashMap<String, String>,
) -> Vec<Diagnostic> {
    let files = edits.iter().filter(|edit| !source.is_file(&edit.path));
    let assumed = Assumed {
        files: files.map(|edit| (edit.path.clone(), edit.after.clone())).collect(),
        config: edits.iter().find(|edit| source.is_file(&edit.path)).map(|edit| edit.after.clone()),
        variables: samples.clone(),
        ..assumed()
    };
    match source.load(&assumed) {
        Err(diagnostics) => diagnostics,
        // Settings may let invalid actions be left out; of what is written now, none may be.
        Ok(loaded) => [loaded.warnings, undecided(&loaded.schema), loaded.schema.inconsistent].concat(),
    }
}
