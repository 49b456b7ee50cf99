//! `pillion check`: validates the configuration, and looks at what it names: upstream, handlers, JWKS, Redis, PostgreSQL.

mod dependencies;
mod handlers;
pub(in crate::cli) mod probe;
pub(in crate::cli) mod target;
mod upstream;

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use crate::cli::check::dependencies::Dependencies;
use crate::cli::check::target::{Target, TargetResult};
use crate::cli::{NO_UPSTREAM, block_on, has_upstream, load_from, report};
use crate::config::load::Loaded;
use crate::config::upstream_types;
use crate::config::warnings::lint;
use crate::model::source::{Diagnostic, Severity};
use crate::runtime::services::Services;

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

/// What to look at beside files and variables.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Wanted {
    upstream: bool,
    handlers: bool,
    dependencies: bool,
}

impl Wanted {
    /// Everything.
    pub(in crate::cli) const ALL: Self = Self { upstream: true, handlers: true, dependencies: true };

    fn of(arguments: &ArgMatches) -> Self {
        let all = arguments.get_flag("all");
        let is_offline = arguments.get_flag("offline");
        Self {
            upstream: !is_offline && (all || has_upstream(arguments)),
            handlers: all || arguments.get_flag("handlers"),
            dependencies: all,
        }
    }
}

/// What is wrong, by what it is about, and what was looked at.
#[derive(Default)]
pub(in crate::cli) struct Findings {
    /// Configuration, variables and metadata.
    pub files: Vec<Diagnostic>,
    /// The actions beside the upstream's schema.
    pub schema: Vec<Diagnostic>,
    /// What of the targets cannot be used.
    pub unusable: Vec<Diagnostic>,
    /// What was looked at.
    pub targets: Vec<Target>,
}

impl Findings {
    /// Those of a configuration that cannot be used.
    fn of_errors(files: Vec<Diagnostic>, wanted: Wanted) -> Self {
        let reason = "the configuration has errors, which come first";
        let targets = wanted.upstream.then(|| Target::not_checked(upstream::KIND, "", reason));
        Self { files, targets: targets.into_iter().collect(), ..Self::default() }
    }

    fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.files.iter().chain(&self.schema).chain(&self.unusable)
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics().filter(|found| found.severity == severity).count()
    }

    fn is_complete(&self) -> bool {
        !self.targets.iter().any(Target::is_missing)
    }

    /// Could the upstream not be looked at? A handler whose host is decided by requests never can, which is no fault.
    fn lacks_upstream(&self) -> bool {
        self.targets.iter().any(|target| target.kind == upstream::KIND && target.is_missing())
    }

    fn failed(&mut self, targets: Vec<Target>) {
        for target in targets {
            if let TargetResult::Failed(failure) = &target.result {
                let message = format!("{} cannot be used: {failure}", target.kind);
                self.unusable.push(Diagnostic::error(None, message, "start it, or correct its address"));
            }
            self.targets.push(target);
        }
    }
}

/// Checks everything and prints the findings.
pub(crate) fn run(arguments: &ArgMatches) -> ExitCode {
    let wanted = Wanted::of(arguments);
    let findings = match load_from(arguments, NO_UPSTREAM) {
        Err(diagnostics) => Findings::of_errors(diagnostics, wanted),
        Ok(loaded) => check(loaded, wanted, has_upstream(arguments)),
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

fn as_json(findings: &Findings) -> Value {
    let diagnostics: Vec<Value> = findings.diagnostics().map(diagnostic_json).collect();
    let checks: Vec<Value> = findings.targets.iter().map(Target::json).collect();
    json!({
        "complete": findings.is_complete(),
        "errors": findings.count(Severity::Error),
        "warnings": findings.count(Severity::Warning),
        "diagnostics": diagnostics,
        "checks": checks,
    })
}

fn diagnostic_json(found: &Diagnostic) -> Value {
    let severity = if found.severity == Severity::Error { "error" } else { "warning" };
    let place = found.place.as_ref();
    json!({
        "severity": severity,
        "message": found.message,
        "file": place.map(|place| place.source.name.as_str()),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "notes": found.notes,
        "help": found.help,
    })
}

/// Looks at all that is wanted.
pub(in crate::cli) fn check(mut loaded: Loaded, wanted: Wanted, has_upstream: bool) -> Findings {
    let mut findings = Findings { files: std::mem::take(&mut loaded.warnings), ..Findings::default() };
    findings.files.extend(lint(&loaded.schema, &loaded.settings));
    findings.files.extend(loaded.schema.inconsistent.iter().cloned());
    let undecided = upstream_types::undecided(&loaded.schema);
    let has_jobs = loaded.schema.actions.values().any(|action| action.is_async);
    let dependencies = Dependencies::of(&loaded.settings, has_jobs);
    if !wanted.upstream || !has_upstream {
        findings.files.extend(undecided);
    }
    findings.targets.extend(not_asked(&loaded, wanted, has_upstream, &dependencies));
    if !wanted.upstream && !wanted.handlers && !wanted.dependencies {
        return findings;
    }
    let looked = block_on(async {
        let services = Services::new(loaded).map_err(|reason| Diagnostic::error(None, reason, ""))?;
        let mut found = Findings::default();
        if wanted.upstream && has_upstream {
            let (target, diagnostics) = upstream::check_upstream(&services).await;
            found.targets.push(target);
            found.schema.extend(diagnostics);
        }
        if wanted.handlers {
            let (targets, diagnostics) = handlers::probe_handlers(&services).await;
            found.targets.extend(targets);
            found.unusable.extend(diagnostics);
        }
        if wanted.dependencies {
            found.failed(dependencies.probe(&services).await);
        }
        Ok::<_, Diagnostic>(found)
    });
    match looked {
        Ok(Ok(found)) => {
            findings.targets.extend(found.targets);
            (findings.schema, findings.unusable) = (found.schema, found.unusable);
        }
        Ok(Err(error)) => findings.files.push(error),
        Err(reason) => findings.files.push(Diagnostic::error(None, reason, "")),
    }
    findings
}

/// What is configured and no flag asked for, so that "0 errors" is not taken for more than it is.
fn not_asked(loaded: &Loaded, wanted: Wanted, has_upstream: bool, dependencies: &Dependencies) -> Vec<Target> {
    let mut targets = Vec::new();
    match (wanted.upstream, has_upstream) {
        (true, false) => {
            let reason = "none is configured: --upstream, PILLION_UPSTREAM or upstream.url in pillion.yaml";
            targets.push(Target::not_checked(upstream::KIND, "", reason));
        }
        (false, false) => targets.push(Target::not_asked(upstream::KIND, "", "give --upstream")),
        (false, true) => targets.push(Target::not_asked(upstream::KIND, "", "because of --offline")),
        (true, true) => {}
    }
    if !wanted.handlers && !loaded.schema.actions.is_empty() {
        targets.push(Target::not_asked("handlers", "", "give --handlers"));
    }
    if !wanted.dependencies {
        targets.extend(dependencies.not_asked("give --all"));
    }
    targets
}
