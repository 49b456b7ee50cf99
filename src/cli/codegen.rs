//! `pillion codegen`: writes projects of handlers for actions, or only their types.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use crate::changes::handlers::{NotGenerated, project};
use crate::cli::{report, source_of};
use crate::codegen::changes::{Change, changes_of};
use crate::codegen::options::Framework;
use crate::codegen::project::{GeneratedFile, Project};

/// The folder of a project.
const OUTPUT: &str = "handlers";

/// `codegen` for the command line.
#[must_use]
pub(crate) fn command() -> Command {
    let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("codegen")
        .about("Generates handlers for actions, or only their types.")
        .long_about(
            "Generates a project of handlers for actions: types of arguments and results, routes, the check of configured \
             secrets and signatures, tests. Files that follow the configuration are overwritten; handlers and everything \
             else are yours and are written only where they are missing. The same configuration makes the same files.\n\n\
             Exit status of --check: 0 if the files are current, 1 if they are not, 2 if that could not be found out.",
        )
        .arg(Arg::new("action").value_name("ACTION").action(ArgAction::Append).help("Default: all actions"))
        .arg(
            Arg::new("framework")
                .long("framework")
                .required(true)
                .value_parser(Framework::ALL.map(Framework::name))
                .help("For which framework, or for which language only the types"),
        )
        .arg(Arg::new("output").long("output").value_name("DIR").default_value(OUTPUT).help("The project's folder"))
        .arg(flag("check", "Write nothing, and say whether the files are current"))
        .arg(
            Arg::new("format")
                .long("format")
                .value_parser(["text", "json"])
                .default_value("text")
                .help("Output format"),
        )
}

/// Generates the files and writes them, or compares them.
pub(crate) fn run(arguments: &ArgMatches) -> ExitCode {
    let only_checks = arguments.get_flag("check");
    match generated(arguments) {
        Ok(is_current) => ExitCode::from(u8::from(only_checks && !is_current)),
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(if only_checks { 2 } else { 1 })
        }
    }
}

/// Were all files current?
fn generated(arguments: &ArgMatches) -> Result<bool, String> {
    let text = |name: &str| arguments.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let actions = arguments.get_many::<String>("action").into_iter().flatten().cloned().collect();
    let project = project_of(arguments, text("framework"), actions)?;
    let folder = PathBuf::from(text("output"));
    let changes = changes_of(&project, |path| existing(&folder.join(path)))?;
    if !arguments.get_flag("check") {
        write_all(&changes, &folder)?;
    }
    if text("format") == "json" {
        println!("{}", as_json(&project, &changes));
    } else {
        print_text(&project, &changes, &folder, arguments.get_flag("check"));
    }
    Ok(!changes.iter().any(|(_, change)| change.is_written()))
}

/// For commands that create actions: generates the handlers of all actions as `--codegen` asks for.
///
/// # Errors
/// Why they cannot be generated.
pub(crate) fn run_after_edit(arguments: &ArgMatches) -> Result<(), String> {
    let text = |name: &str| arguments.get_one::<String>(name).map(String::as_str);
    let Some(framework) = text("codegen").filter(|_| !arguments.get_flag("dry-run")) else { return Ok(()) };
    let project = project_of(arguments, framework, Vec::new())?;
    let folder = PathBuf::from(text("codegen-output").unwrap_or_default());
    let changes = changes_of(&project, |path| existing(&folder.join(path)))?;
    write_all(&changes, &folder)?;
    for (file, _) in changes.iter().filter(|(_, change)| change.is_written()) {
        eprintln!("{} generated", folder.join(&file.path).display());
    }
    Ok(())
}

/// The arguments of [`run_after_edit`].
pub(crate) fn arguments_after_edit() -> [Arg; 2] {
    let framework = "Generate the handlers of all actions afterwards, see `pillion codegen`";
    [
        Arg::new("codegen")
            .long("codegen")
            .value_name("FRAMEWORK")
            .value_parser(Framework::ALL.map(Framework::name))
            .help(framework),
        Arg::new("codegen-output")
            .long("codegen-output")
            .value_name("DIR")
            .default_value(OUTPUT)
            .help("The folder of generated handlers"),
    ]
}

/// What the configuration makes.
fn project_of(arguments: &ArgMatches, framework: &str, actions: Vec<String>) -> Result<Project, String> {
    let framework = Framework::of_name(framework).ok_or("error: --framework: there is no such one")?;
    project(&source_of(arguments), framework, actions).map_err(|failure| match failure {
        NotGenerated::Configuration(found) => report(&found),
        NotGenerated::Actions(errors) => {
            errors.iter().map(|error| format!("error: {error}")).collect::<Vec<_>>().join("\n")
        }
    })
}

fn write_all(changes: &[(&GeneratedFile, Change)], folder: &Path) -> Result<(), String> {
    let written = changes.iter().filter(|(_, change)| change.is_written());
    written.clone().try_for_each(|(file, _)| write(&folder.join(&file.path), &file.text))
}

fn existing(path: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("error: {} cannot be read: {error}", path.display())),
    }
}

/// Writes a file whole: it is there with the old text or with the new one.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let written = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let writing = folder.join(".pillion-writing");
        fs::write(&writing, text)?;
        fs::rename(&writing, path).inspect_err(|_| drop(fs::remove_file(&writing)))
    };
    written().map_err(|error| format!("error: {} cannot be written: {error}", path.display()))
}

fn as_json(project: &Project, changes: &[(&GeneratedFile, Change)]) -> Value {
    let files = changes.iter().map(|(file, change)| json!({ "path": file.path, "change": change.name() }));
    let left_out = project.left_out.iter().map(|(name, reason)| json!({ "action": name, "reason": reason }));
    let is_current = !changes.iter().any(|(_, change)| change.is_written());
    json!({
        "current": is_current,
        "files": files.collect::<Vec<_>>(),
        "left_out": left_out.collect::<Vec<_>>(),
        "warnings": project.warnings,
    })
}

fn print_text(project: &Project, changes: &[(&GeneratedFile, Change)], folder: &Path, only_checks: bool) {
    for (file, change) in changes.iter().filter(|(_, change)| *change != Change::Unchanged) {
        let word = match change {
            Change::Created if only_checks => "missing",
            Change::Updated if only_checks => "outdated",
            Change::Kept if only_checks => continue,
            Change::Kept => "kept, as it is yours",
            other => other.name(),
        };
        println!("{}: {word}", folder.join(&file.path).display());
    }
    let count = changes.iter().filter(|(_, change)| change.is_written()).count();
    match (only_checks, count) {
        (true, 0) => println!("all files are current"),
        (true, _) => println!("{count} of {} files are not current: run the command without --check", changes.len()),
        (false, _) => println!("{count} of {} files written", changes.len()),
    }
    for (name, reason) in &project.left_out {
        eprintln!("action '{name}' is left out: {reason}");
    }
    for warning in &project.warnings {
        eprintln!("warning: {warning}");
    }
}
