//! The result of a test run, and how it is printed: as text for people and as JSON for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::testing::compare::Mismatch;

/// What all files came to.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases whose expected response was rewritten.
    pub updated: usize,
    /// Each with its cases.
    pub files: Vec<FileReport>,
}

/// What one file came to.
#[derive(Debug, Serialize)]
pub(crate) struct FileReport {
    /// Its path.
    pub file: String,
    /// Its cases, without those that were filtered out.
    pub cases: Vec<CaseReport>,
}

/// What one case came to.
#[derive(Debug, Serialize)]
pub(crate) struct CaseReport {
    /// Its name.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// How it ended.
    pub outcome: CaseOutcome,
    /// How long it took.
    pub duration_ms: f64,
    /// What was not as expected.
    pub mismatches: Vec<Mismatch>,
    /// Warnings and errors that Pillion logged meanwhile.
    pub log: Vec<String>,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CaseOutcome {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed,
    /// Not as expected, and what is expected was rewritten.
    Updated,
}

impl Report {
    /// With one more file.
    pub(crate) fn add(&mut self, file: FileReport) {
        for case in &file.cases {
            match case.outcome {
                CaseOutcome::Passed => self.passed += 1,
                CaseOutcome::Failed => self.failed += 1,
                CaseOutcome::Updated => self.updated += 1,
            }
        }
        self.files.push(file);
    }

    /// For a person. Cases that passed are lines; others show what differs: `-` is expected, `+` is what there was.
    #[must_use]
    pub(crate) fn text(&self, has_colours: bool) -> String {
        let colours = Colours { is_on: has_colours };
        let mut text = String::new();
        for file in &self.files {
            let _ = writeln!(text, "{}", file.file);
            for case in &file.cases {
                add_case(&mut text, &file.file, case, colours);
            }
            text.push('\n');
        }
        let _ = write!(text, "{} passed, {} failed", self.passed, self.failed);
        if self.updated > 0 {
            let _ = write!(text, ", {} updated", self.updated);
        }
        text.push('\n');
        text
    }

    /// For programs.
    #[must_use]
    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

fn add_case(text: &mut String, file: &str, case: &CaseReport, colours: Colours) {
    let (mark, colour) = match case.outcome {
        CaseOutcome::Passed => ("ok", GREEN),
        CaseOutcome::Failed => ("FAILED", RED),
        CaseOutcome::Updated => ("updated", YELLOW),
    };
    let _ = writeln!(text, "  {} {}", colours.paint(colour, mark), case.name);
    if case.outcome != CaseOutcome::Failed {
        return;
    }
    let _ = writeln!(text, "    at {file}:{}", case.line);
    for mismatch in &case.mismatches {
        let _ = writeln!(text, "    {}:", mismatch.what);
        for line in mismatch.shown().lines() {
            let colour = match line.chars().next() {
                Some('-') => RED,
                Some('+') => GREEN,
                _ => NO_COLOUR,
            };
            let _ = writeln!(text, "      {}", colours.paint(colour, line));
        }
    }
    for line in &case.log {
        let _ = writeln!(text, "    log: {line}");
    }
}

#[derive(Clone, Copy)]
struct Colours {
    is_on: bool,
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const NO_COLOUR: &str = "";

impl Colours {
    fn paint(self, colour: &str, text: &str) -> String {
        if self.is_on && colour != NO_COLOUR { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Milliseconds with three decimals.
#[must_use]
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
