//! The checks of `pillion check`: what is wrong with the configuration, and with what it names: upstream, handlers, JWKS, Redis,
//! PostgreSQL.

mod allow_list;
mod dependencies;
pub(crate) mod exported_documents;
mod handlers;
pub(crate) mod probe;
pub(crate) mod target;
mod upstream;

use serde_json::{Value, json};

use crate::check::dependencies::Dependencies;
use crate::check::target::{Target, TargetResult};
use crate::config::load::Loaded;
use crate::config::upstream_types;
use crate::config::warnings::lint;
use crate::model::source::{Diagnostic, Severity};
use crate::runtime::services::Services;

/// What to look at beside files and variables.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// The upstream and its schema.
    pub upstream: bool,
    /// The handlers.
    pub handlers: bool,
    /// JWKS, auth hook, Redis, PostgreSQL.
    pub dependencies: bool,
}

impl Wanted {
    /// Everything.
    pub(crate) const ALL: Self = Self { upstream: true, handlers: true, dependencies: true };
}

/// What is wrong, by what it is about, and what was looked at.
#[derive(Default)]
pub(crate) struct Findings {
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
    pub(crate) fn of_errors(files: Vec<Diagnostic>, wanted: Wanted) -> Self {
        let reason = "the configuration has errors, which come first";
        let targets = wanted.upstream.then(|| Target::not_checked(upstream::KIND, "", reason));
        Self { files, targets: targets.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.files.iter().chain(&self.schema).chain(&self.unusable)
    }

    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.diagnostics().filter(|found| found.severity == severity).count()
    }

    pub(crate) fn is_complete(&self) -> bool {
        !self.targets.iter().any(Target::is_missing)
    }

    /// Could the upstream not be looked at? A handler whose host is decided by requests never can, which is no fault.
    pub(crate) fn lacks_upstream(&self) -> bool {
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

/// The findings for programs.
#[must_use]
pub(crate) fn as_json(findings: &Findings) -> Value {
    as_json_with(findings, Diagnostic::json)
}

/// The same with diagnostics in another form.
#[must_use]
pub(crate) fn as_json_with(findings: &Findings, diagnostic: impl Fn(&Diagnostic) -> Value) -> Value {
    let diagnostics: Vec<Value> = findings.diagnostics().map(diagnostic).collect();
    let checks: Vec<Value> = findings.targets.iter().map(Target::json).collect();
    json!({
        "complete": findings.is_complete(),
        "errors": findings.count(Severity::Error),
        "warnings": findings.count(Severity::Warning),
        "diagnostics": diagnostics,
        "checks": checks,
    })
}

/// Looks at all that is wanted.
pub(crate) async fn check(mut loaded: Loaded, wanted: Wanted, has_upstream: bool) -> Findings {
    let mut findings = Findings { files: std::mem::take(&mut loaded.warnings), ..Findings::default() };
    findings.files.extend(lint(&loaded.schema, &loaded.settings));
    findings.files.extend(loaded.schema.inconsistent.iter().cloned());
    let undecided = upstream_types::undecided(&loaded.schema);
    let has_jobs = loaded.schema.actions.values().any(|action| action.is_async);
    let dependencies = Dependencies::of(&loaded.settings, has_jobs);
    let trusted = allow_list::documents_of(&loaded);
    if !wanted.upstream || !has_upstream {
        findings.files.extend(undecided);
    }
    findings.targets.extend(not_asked(&loaded, wanted, has_upstream, &dependencies));
    if !wanted.upstream && !wanted.handlers && !wanted.dependencies {
        return findings;
    }
    let looked = async {
        let services = Services::new(loaded).map_err(|reason| Diagnostic::error(None, reason, ""))?;
        let mut found = Findings::default();
        if wanted.upstream && has_upstream {
            let (target, diagnostics) = upstream::check_upstream(&services).await;
            found.targets.push(target);
            found.schema.extend(diagnostics);
            found.schema.extend(allow_list::compare(&services, &trusted).await);
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
    }
    .await;
    match looked {
        Ok(found) => {
            findings.targets.extend(found.targets);
            (findings.schema, findings.unusable) = (found.schema, found.unusable);
        }
        Err(error) => findings.files.push(error),
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
