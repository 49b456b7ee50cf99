//! `pillion check`: validates the configuration, and looks at what it names: upstream, handlers, JWKS, Redis, PostgreSQL.

use std::process::ExitCode;

use crate::check::{Findings, Wanted, as_json, check};
use crate::cli::{NO_UPSTREAM, block_on, has_upstream, load_from, report};
use crate::config::load::Loaded;
use crate::model::source::{Diagnostic, Severity};
use clap::{Arg, ArgAction, ArgMatches, Command};

/// `check` for the command line.
#[must_use]
pub(crate) fn command() -> Command {
    Command::new("check")
        .about("Checks configuration, metadata, variables and templates.")
        .long_about(
            "Checks configuration, metadata, variables and templates. If an upstream is configured (--upstream, \
             PILLION_UPSTREAM or pillion.yaml), also whether it can be reached and whether the actions go with its schema; \
             with --handlers whether every handler can be reached; with --all all of this, JWKS, auth hook, Redis and \
             PostgreSQL. No action is called: handlers get a connection and OPTIONS / without a body.\n\n\
             Exit status: 0 if nothing is wrong, 1 if something is, 2 if nothing is, but something could not be checked.",
        )
        .arg(flag("handlers", "Look whether every handler can be reached, without calling an action"))
        .arg(flag("all", "Look at everything that the configuration names"))
        .arg(flag("offline", "Look at nothing but files and variables").conflicts_with_all(["handlers", "all"]))
        .arg(flag("strict", "Take warnings for errors"))
        .arg(
            Arg::new("format")
                .long("format")
                .value_parser(["text", "json"])
                .default_value("text")
                .help("Output format"),
        )
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn wanted(arguments: &ArgMatches) -> Wanted {
    let all = arguments.get_flag("all");
    let is_offline = arguments.get_flag("offline");
    Wanted {
        upstream: !is_offline && (all || has_upstream(arguments)),
        handlers: all || arguments.get_flag("handlers"),
        dependencies: all,
    }
}

/// Checks everything and prints the findings.
pub(crate) fn run(arguments: &ArgMatches) -> ExitCode {
    let wanted = wanted(arguments);
    let findings = match load_from(arguments, NO_UPSTREAM) {
        Err(diagnostics) => Findings::of_errors(diagnostics, wanted),
        Ok(loaded) => checked(loaded, wanted, has_upstream(arguments)),
    };
    if arguments.get_one::<String>("format").is_some_and(|format| format == "json") {
        println!("{}", as_json(&findings));
    } else {
        print_text(&findings);
    }
    let (errors, warnings) = (findings.count(Severity::Error), findings.count(Severity::Warning));
    match () {
        () if errors > 0 || warnings > 0 && arguments.get_flag("strict") => ExitCode::from(1),
        () if findings.lacks_upstream() => ExitCode::from(2),
        () => ExitCode::SUCCESS,
    }
}

fn print_text(findings: &Findings) {
    let diagnostics: Vec<&Diagnostic> = findings.diagnostics().collect();
    if !diagnostics.is_empty() {
        println!("{}\n", report(diagnostics));
    }
    for target in &findings.targets {
        println!("{}", target.line());
    }
    if !findings.targets.is_empty() {
        println!();
    }
    println!("{}", summary(findings));
}

/// The last line. What could not be checked is no "0 errors".
fn summary(findings: &Findings) -> String {
    let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    let (errors, warnings) = (findings.count(Severity::Error), findings.count(Severity::Warning));
    if findings.is_complete() {
        return format!("{}, {}", count(errors, "error"), count(warnings, "warning"));
    }
    let missing = findings.targets.iter().filter(|target| target.is_missing()).count();
    let found = [(errors, "error"), (warnings, "warning")].into_iter().filter(|(number, _)| *number > 0);
    let found: Vec<String> = found.map(|(number, word)| count(number, word)).collect();
    let rest = if found.is_empty() { "nothing is wrong".to_owned() } else { found.join(", ") };
    format!("incomplete: {} not be made; in what was checked: {rest}", count(missing, "check") + " could")
}

/// What [`check`] finds.
pub(in crate::cli) fn checked(loaded: Loaded, wanted: Wanted, has_upstream: bool) -> Findings {
    block_on(check(loaded, wanted, has_upstream)).unwrap_or_else(|reason| {
        let files = vec![Diagnostic::error(None, reason, "")];
        Findings { files, ..Findings::default() }
    })
}
