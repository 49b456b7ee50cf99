//! Where in which file something was written, and what is wrong there.

use std::fmt;
use std::sync::Arc;

/// A text with the name under which its author knows it.
#[derive(Debug)]
pub struct Source {
    /// The file's path as it was given to us.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A place in a [`Source`]: line and column count from 1, columns in characters.
#[derive(Clone, Debug)]
pub struct Place {
    /// The text this place is in.
    pub source: Arc<Source>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The same place without its text: what stands there may not be shown.
    #[must_use]
    pub fn unquoted(&self) -> Self {
        let source = Source { name: self.source.name.clone(), text: String::new() };
        Self { source: Arc::new(source), ..*self }
    }

    /// The place of the byte `offset` in `source`.
    #[must_use]
    pub fn at_offset(source: &Arc<Source>, offset: usize) -> Self {
        let before = source.text.get(..offset).unwrap_or(&source.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            source: Arc::clone(source),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }
}

/// Does a mistake stop the start?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but probably not as it was meant.
    Warning,
}

/// One mistake in a configuration: what, where and how to mend it.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Whether it stops the start.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where. Absent for things that are written nowhere, such as a flag.
    pub place: Option<Place>,
    /// What else helps to understand it; each may have several lines.
    pub notes: Vec<String>,
    /// What to do about it.
    pub remedy: String,
}

impl Diagnostic {
    /// A mistake that stops the start.
    pub fn error(place: Option<Place>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), place, notes: Vec::new(), remedy: remedy.into() }
    }

    /// Something to be told, which stops nothing.
    pub fn warning(place: Option<Place>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, message: message.into(), place, notes: Vec::new(), remedy: remedy.into() }
    }
}

/// For a person: the place and the message, the offending line, a caret, notes and the remedy.
impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        if let Some(place) = &self.place {
            write!(formatter, "{}:{}:{}: ", place.source.name, place.line, place.column)?;
        }
        write!(formatter, "{severity}: {}", self.message)?;
        if let Some(place) = &self.place
            && let Some(line) = place.source.text.lines().nth(place.line - 1)
        {
            let number = place.line.to_string();
            let indent: String =
                line.chars().take(place.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            write!(formatter, "\n  {number} | {line}\n  {:width$} | {indent}^", "", width = number.len())?;
        }
        for note in &self.notes {
            write!(formatter, "\n  {}", note.replace('\n', "\n  "))?;
        }
        if !self.remedy.is_empty() {
            write!(formatter, "\n  help: {}", self.remedy)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_points_at_the_text() {
        let source = Arc::new(Source { name: "a.yaml".into(), text: "x: 1\n  händler: y\n".into() });
        let offset = source.text.find("händler").unwrap_or_default();
        let diagnostic = Diagnostic::error(Some(Place::at_offset(&source, offset)), "unknown key", "remove it");
        assert_eq!(
            diagnostic.to_string(),
            "a.yaml:2:3: error: unknown key\n  2 |   händler: y\n    |   ^\n  help: remove it"
        );
    }
}
