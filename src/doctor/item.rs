//! A line of `pillion doctor`: what was checked, how that ended, what was found, and what to do.

use serde_json::{Value, json};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Passed,
    /// It works; something about it deserves a look, or could not be looked at.
    Warned,
    Failed,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warned => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What is checked. Each has a section of the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    Configuration,
    Variables,
    Files,
    Upstream,
    Schema,
    Handlers,
    Jwks,
    AuthHook,
    Redis,
    Postgres,
    JobStore,
    Clock,
    Descriptors,
    Memory,
}

impl Area {
    /// All of them, in the order of the list.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 14] = [
        Self::Configuration,
        Self::Variables,
        Self::Files,
        Self::Upstream,
        Self::Schema,
        Self::Handlers,
        Self::Jwks,
        Self::AuthHook,
        Self::Redis,
        Self::Postgres,
        Self::JobStore,
        Self::Clock,
        Self::Descriptors,
        Self::Memory,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Variables => "variables",
            Self::Files => "files",
            Self::Upstream => "upstream",
            Self::Schema => "schema",
            Self::Handlers => "handlers",
            Self::Jwks => "JWKS",
            Self::AuthHook => "auth hook",
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
            Self::JobStore => "job store",
            Self::Clock => "clock",
            Self::Descriptors => "file descriptors",
            Self::Memory => "memory",
        }
    }

    /// The section of the manual, as a link from the root of the repository.
    pub(crate) fn manual(self) -> String {
        format!("docs/how-to/doctor.md#{}", self.name().to_ascii_lowercase().replace(' ', "-"))
    }
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub area: Area,
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do; empty if nothing is to be done.
    pub help: String,
}

impl Item {
    pub(crate) fn new(area: Area, status: Status, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self { area, status, found: found.into(), help: help.into() }
    }

    pub(crate) fn passed(area: Area, found: impl Into<String>) -> Self {
        Self::new(area, Status::Passed, found, "")
    }

    pub(crate) fn json(&self) -> Value {
        let Self { area, status, found, help } = self;
        json!({
            "check": area.name(),
            "status": status.name(),
            "found": found,
            "help": (!help.is_empty()).then_some(help),
            "manual": area.manual(),
        })
    }
}
