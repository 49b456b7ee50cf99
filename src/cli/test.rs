//! `pillion test`: runs the cases of test files without a network, and prints what differs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::{block_on, config_file, flag_of, has_colours, report};
use crate::config::load::{Assumed, load_assuming, read_file};
use crate::model::source::Diagnostic;
use crate::testing::report::{CaseOutcome, FileReport, Report};
use crate::testing::run::{CaseRun, run as run_cases};
use crate::testing::suite::{Suite, read};
use crate::testing::upstream_schema::DescribedUpstream;
use crate::testing::{junit, update};

/// `test` for the command line.
#[must_use]
pub(crate) fn command() -> Command {
    Command::new("test")
        .about("Runs the cases of test files against the actions, without a network.")
        .long_about(
            "Runs the cases of test files against the configuration, without a network: handlers and the upstream respond as \
             each case says, and the response to the client and the requests that they got are compared with what it expects. \
             Everything between is what `pillion serve` runs. FILES are test files and folders with files that end with \
             .test.yaml; by default the folder `tests`. docs/how-to/testing.md describes the form.\n\n\
             Exit status: 0 if all cases pass, 1 if one fails, 2 if they could not be run.",
        )
        .arg(Arg::new("files").value_name("FILES").num_args(0..).default_value("tests").help("Test files, and folders of them"))
        .arg(
            Arg::new("filter")
                .long("filter")
                .value_name("TEXT")
                .default_value("")
                .help("Only cases with this in their name"),
        )
        .arg(
            Arg::new("update")
                .long("update")
                .action(ArgAction::SetTrue)
                .help("Write what cases got into their files as what they expect"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_parser(["text", "json", "junit"])
                .default_value("text")
                .help("Output format"),
        )
}

/// Runs the cases and prints the report.
pub(crate) fn run(arguments: &ArgMatches) -> ExitCode {
    let result = run_files(arguments);
    let report = match result {
        Ok(report) => report,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match arguments.get_one::<String>("format").map(String::as_str) {
        Some("json") => print!("{}", report.json()),
        Some("junit") => print!("{}", junit::xml(&report)),
        _ => print!("{}", report.text(has_colours())),
    }
    if report.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn run_files(arguments: &ArgMatches) -> Result<Report, String> {
    let filter = arguments.get_one::<String>("filter").map_or("", String::as_str);
    let (mut whole, mut warned) = (Report::default(), BTreeSet::new());
    // Everything is read before anything is run.
    let mut suites = Vec::new();
    for path in test_files(arguments)? {
        let suite = read_file(&path).and_then(|source| read(&source)).map_err(|found| report(&found))?;
        let schema = upstream_schema(&suite, &path).map_err(|found| report(&found))?;
        suites.push((path, suite, schema));
    }
    for (path, suite, schema) in suites {
        let load = |assumed: &Assumed<'_>| {
            load_assuming(config_file(arguments), &|setting| flag_of(arguments, setting), assumed)
        };
        let (runs, warnings) =
            block_on(run_cases(&suite, &load, schema.as_ref(), filter))?.map_err(|found| report(&found))?;
        for warning in warnings.iter().filter(|warning| warned.insert(warning.to_string())) {
            eprintln!("{}\n", report([warning]));
        }
        let cases = if arguments.get_flag("update") { updated(&path, &suite, runs)? } else { runs };
        whole.add(FileReport {
            file: path.display().to_string(),
            cases: cases.into_iter().map(|run| run.report).collect(),
        });
    }
    match whole.files.iter().all(|file| file.cases.is_empty()) {
        true if !filter.is_empty() => Err(format!("error: --filter: no case has \"{filter}\" in its name")),
        _ => Ok(whole),
    }
}

/// The files that are named, and those of the folders that are named.
fn test_files(arguments: &ArgMatches) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for name in arguments.get_many::<String>("files").into_iter().flatten() {
        let path = Path::new(name);
        if !path.is_dir() {
            files.push(path.to_owned());
            continue;
        }
        let before = files.len();
        add_folder(path, FOLDER_DEPTH_MAX, &mut files).map_err(|error| format!("error: {name}: {error}"))?;
        if files.len() == before {
            return Err(format!(
                "error: {name}: no file in this folder ends with .test.yaml\n  help: see docs/how-to/testing.md"
            ));
        }
    }
    Ok(files)
}

/// How deep folders of test files may be nested.
const FOLDER_DEPTH_MAX: usize = 8;

fn add_folder(folder: &Path, depth_left: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "node_modules" {
            continue;
        }
        if path.is_dir() && depth_left > 0 {
            add_folder(&path, depth_left - 1, files)?;
        } else if path.is_file() && (name.ends_with(".test.yaml") || name.ends_with(".test.yml")) {
            files.push(path);
        }
    }
    Ok(())
}

fn upstream_schema(suite: &Suite, path: &Path) -> Result<Option<Arc<DescribedUpstream>>, Vec<Diagnostic>> {
    let Some((name, place)) = &suite.upstream_schema else { return Ok(None) };
    let file = path.parent().unwrap_or(Path::new("")).join(name);
    if !file.is_file() {
        let message = format!("there is no file {}", file.display());
        let help =
            "name a file with the upstream's schema, beside this one: `pillion schema --upstream-only` writes it";
        return Err(vec![Diagnostic::error(Some(place.clone()), message, help)]);
    }
    read_file(&file).and_then(|source| DescribedUpstream::read(&source)).map(Arc::new).map(Some)
}

/// Writes what failed cases got into their file, and runs nothing again.
fn updated(path: &Path, suite: &Suite, mut runs: Vec<CaseRun>) -> Result<Vec<CaseRun>, String> {
    let is_responses = |run: &CaseRun| run.report.mismatches.iter().all(|one| update::can_update(&one.what));
    let mut got = Vec::new();
    for run in runs.iter_mut().filter(|run| run.report.outcome == CaseOutcome::Failed && is_responses(run)) {
        let index = suite.cases.iter().position(|case| case.name == run.report.name);
        if let (Some(index), Some(response)) = (index, run.response.take()) {
            got.push((index, response));
            run.report.outcome = CaseOutcome::Updated;
        }
    }
    if got.is_empty() {
        return Ok(runs);
    }
    let text = update::with_responses(&suite.source, &suite.cases, &got).map_err(|found| report(&[found]))?;
    write(path, &suite.source.text, &text)?;
    Ok(runs)
}

/// Replaces the file as a whole, unless it has changed meanwhile.
fn write(path: &Path, before: &str, after: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("error: {}: {error}", path.display());
    if std::fs::read_to_string(path).map_err(failed)? != before {
        return Err(format!("error: {}: the file has changed meanwhile, and is not written", path.display()));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = std::fs::write(&temporary, after).and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        failed(error)
    })
}
