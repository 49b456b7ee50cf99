//! Diagnostics of the configuration: source locations, messages and help texts.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use crate::model::excerpt;

/// A text with the name under which its author knows it.
pub struct Source {
    /// The file's path as it was given to us.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// What of it no excerpt may show; see [`Source::hide`].
    hidden: OnceLock<Vec<Range<usize>>>,
    /// The byte with which each line but the first begins. Counted once: a schema has a place for each of its fields.
    line_starts: OnceLock<Vec<usize>>,
}

impl Source {
    /// Nothing of it is hidden yet.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), hidden: OnceLock::new(), line_starts: OnceLock::new() }
    }

    /// The line of a byte, from 1, and the byte with which it begins.
    fn line_at(&self, offset: usize) -> (usize, usize) {
        let starts =
            self.line_starts.get_or_init(|| self.text.match_indices('\n').map(|(newline, _)| newline + 1).collect());
        let passed = starts.partition_point(|start| *start <= offset);
        (passed + 1, passed.checked_sub(1).and_then(|last| starts.get(last)).copied().unwrap_or_default())
    }

    /// Hides these characters (ranges of their numbers) from all excerpts, also of locations that are known already.
    /// The reader of a format that holds secrets calls this once; later calls have no effect.
    pub fn hide(&self, characters: Vec<Range<usize>>) {
        let _ = self.hidden.set(characters);
    }

    /// The lines of the text, as they may be shown: `***` stands for what is hidden, and for logins in URLs.
    #[must_use]
    pub fn shown_lines(&self) -> Vec<String> {
        let hidden = self.hidden.get().map(Vec::as_slice).unwrap_or_default();
        let (mut lines, mut first, mut range) = (Vec::new(), 0, 0);
        for line in self.text.split_inclusive('\n') {
            let (mut shown, mut is_masked) = (String::with_capacity(line.len()), false);
            for (at, character) in (first..).zip(line.chars()) {
                while hidden.get(range).is_some_and(|hidden| hidden.end <= at) {
                    range += 1;
                }
                let is_hidden = hidden.get(range).is_some_and(|hidden| hidden.contains(&at));
                if !is_hidden || character.is_whitespace() {
                    shown.push(character);
                    is_masked = false;
                } else if !std::mem::replace(&mut is_masked, true) {
                    shown.push_str("***");
                }
            }
            first += line.chars().count();
            lines.push(excerpt::without_logins(&shown).into_owned());
        }
        lines
    }
}

/// Without the text, which may hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A place in a [`Source`]: line and column count from 1, columns in characters.
#[derive(Clone, Debug)]
pub struct SourceLocation {
    /// The text this place is in.
    pub source: Arc<Source>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters stand there, at least one: the token that is meant.
    pub length: usize,
}

impl SourceLocation {
    /// The same place without its text: what stands there may not be shown.
    #[must_use]
    pub fn unquoted(&self) -> Self {
        let source = Source::new(self.source.name.clone(), "");
        Self { source: Arc::new(source), ..*self }
    }

    /// One character.
    #[must_use]
    pub fn new(source: &Arc<Source>, line: usize, column: usize) -> Self {
        Self { source: Arc::clone(source), line, column, length: 1 }
    }

    /// The place of the byte `offset` in `source`, with the word that begins there.
    #[must_use]
    pub fn at_offset(source: &Arc<Source>, offset: usize) -> Self {
        let rest = source.text.get(offset..).unwrap_or_default();
        let is_of_word = |character: &char| character.is_alphanumeric() || matches!(character, '_' | '$' | '@');
        let word: usize = rest.chars().take_while(is_of_word).map(char::len_utf8).sum();
        Self::at_span(source, offset..offset + word)
    }

    /// The place of these bytes of `source`, up to the end of their first line.
    #[must_use]
    pub fn at_span(source: &Arc<Source>, span: Range<usize>) -> Self {
        let offset = if source.text.is_char_boundary(span.start) { span.start } else { source.text.len() };
        let (line, line_start) = source.line_at(offset);
        let before = source.text.get(line_start..offset).unwrap_or_default();
        let text = source.text.get(span).unwrap_or_default().lines().next().unwrap_or_default();
        Self {
            source: Arc::clone(source),
            line,
            column: before.chars().count() + 1,
            length: text.chars().count().max(1),
        }
    }
}

impl SourceLocation {
    /// The place of the byte `offset` of `text`, which is what stands at this place: in quotes, or as a block of lines, which
    /// are indented in the source. This place itself if the text cannot be found there as it is.
    #[must_use]
    pub fn within(&self, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let row = before.matches('\n').count();
        let (line, column) =
            (text.lines().nth(row).unwrap_or_default(), before.rsplit('\n').next().unwrap_or_default());
        let first = text.lines().next().unwrap_or_default();
        let lines: Vec<&str> = self.source.text.lines().skip(self.line - 1).collect();
        let skipped = |index: usize| if index == 0 { self.column - 1 } else { 0 };
        let find = |index: usize, wanted: &str| -> Option<usize> {
            let whole: Vec<char> = lines.get(index)?.chars().collect();
            let rest: String = whole.get(skipped(index)..)?.iter().collect();
            let at = rest.find(wanted.trim())?;
            Some(skipped(index) + rest.get(..at)?.chars().count())
        };
        let start = (0..lines.len().min(BLOCK_HEAD_LINES)).find(|index| find(*index, first).is_some());
        let Some((index, at)) = start.and_then(|start| Some((start + row, find(start + row, line)?))) else {
            return self.clone();
        };
        let indentation = line.chars().take_while(|character| character.is_whitespace()).count();
        let column = at + 1 + column.chars().count().saturating_sub(indentation);
        let word = text.get(offset..).unwrap_or_default().chars();
        let length =
            word.take_while(|character| character.is_alphanumeric() || matches!(character, '_' | '$' | '@')).count();
        Self { source: Arc::clone(&self.source), line: self.line + index, column, length: length.max(1) }
    }
}

/// A block of lines begins in the line after its key, or after blank lines and comments.
const BLOCK_HEAD_LINES: usize = 8;

/// Does an error stop the start?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but probably not as it was meant.
    Warning,
}

/// The one thing that an error makes unusable, where it is one thing only. The rest can then be served without it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourceFile {
    /// The action of this name, without any prefix.
    Action(String),
    /// The custom type of this name, without any prefix.
    Type(String),
    /// The extension field with these coordinates: `Type.field`.
    ExtensionField(String),
}

impl fmt::Display for SourceFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action(name) => write!(formatter, "action \"{name}\""),
            Self::Type(name) => write!(formatter, "type \"{name}\""),
            Self::ExtensionField(name) => write!(formatter, "extension field \"{name}\""),
        }
    }
}

/// One error in a configuration: what, where and how to mend it.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Whether it stops the start.
    pub severity: Severity,
    /// The error, in one sentence.
    pub message: String,
    /// Where. Absent for things that are written nowhere, such as a flag.
    pub place: Option<SourceLocation>,
    /// What else helps to understand it; each may have several lines.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: String,
    /// The object that it makes unusable; nothing if that is not one action, type or field alone.
    pub subject: Option<Box<SourceFile>>,
}

impl Diagnostic {
    /// An error that stops the start.
    pub fn error(place: Option<SourceLocation>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Severity::Error, place, message.into(), help.into())
    }

    /// A warning, which stops nothing.
    pub fn warning(place: Option<SourceLocation>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Severity::Warning, place, message.into(), help.into())
    }

    fn new(severity: Severity, place: Option<SourceLocation>, message: String, help: String) -> Self {
        Self { severity, message, place, notes: Vec::new(), help, subject: None }
    }

    /// The same error, which makes `subject` unusable.
    #[must_use]
    pub fn about(mut self, subject: SourceFile) -> Self {
        self.subject = Some(Box::new(subject));
        self
    }

    /// On one line, without the text that it points at.
    #[must_use]
    pub fn on_one_line(&self) -> String {
        let place = self.place.as_ref();
        let place = place.map(|place| format!("{}:{}:{}: ", place.source.name, place.line, place.column));
        let help = if self.help.is_empty() { String::new() } else { format!("; help: {}", self.help) };
        format!("{}{}{help}", place.unwrap_or_default(), excerpt::without_logins(&self.message))
    }

    /// For programs. The message may not hold logins, as in [`Diagnostic::on_one_line`].
    #[must_use]
    pub fn json(&self) -> Value {
        let place = self.place.as_ref();
        json!({
            "severity": if self.severity == Severity::Error { "error" } else { "warning" },
            "message": excerpt::without_logins(&self.message),
            "file": place.map(|place| place.source.name.as_str()),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "notes": self.notes.iter().map(|note| excerpt::without_logins(note)).collect::<Vec<_>>(),
            "help": self.help,
        })
    }

    /// The message without the names in it: what errors of one kind have in common.
    fn kind(&self) -> String {
        let mut kind = String::with_capacity(self.message.len());
        let mut quote = None;
        for character in self.message.chars() {
            match quote {
                Some(open) if character == open => quote = None,
                Some(_) => continue,
                None if matches!(character, '"' | '\'') => quote = Some(character),
                None => {}
            }
            kind.push(character);
        }
        kind
    }
}

/// Notes on all `diagnostics` from the one at `start` on that they make `subject` unusable, unless that is known
/// already.
pub fn assign(diagnostics: &mut [Diagnostic], start: usize, subject: &SourceFile) {
    for diagnostic in diagnostics.iter_mut().skip(start).filter(|diagnostic| diagnostic.subject.is_none()) {
        diagnostic.subject = Some(Box::new(subject.clone()));
    }
}

/// One line for each kind of diagnostic, with the first place and how many there are: a log has no use for hundreds of
/// the same. Kinds stand in the order of their first diagnostic.
#[must_use]
pub fn summed_up(diagnostics: &[Diagnostic]) -> Vec<String> {
    let mut kinds: Vec<(String, &Diagnostic, usize)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for diagnostic in diagnostics {
        let kind = diagnostic.kind();
        match known.get(&kind).and_then(|index| kinds.get_mut(*index)) {
            Some((.., count)) => *count += 1,
            None => {
                known.insert(kind.clone(), kinds.len());
                kinds.push((kind, diagnostic, 1));
            }
        }
    }
    let line = |(_, first, count): &(String, &Diagnostic, usize)| match count {
        1 => first.on_one_line(),
        _ => format!("{count} times, `pillion check` shows all of them; the first: {}", first.on_one_line()),
    };
    kinds.iter().map(line).collect()
}

/// The width for which excerpts are laid out: they are cut already.
const WIDTH: usize = 1_000;

impl Diagnostic {
    /// For a person: the place and the message, the line with the token marked, notes and the help. Colours are those of
    /// terminals.
    #[must_use]
    pub fn render(&self, has_colours: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let renderer = if has_colours { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
        let message = excerpt::without_logins(&self.message);
        let mut group = Group::with_title(level.primary_title(message));
        let mut prefix = String::new();
        if let Some(place) = &self.place {
            prefix = format!("{}:{}:{}: ", place.source.name, place.line, place.column);
            let at = (place.line, place.column, place.length);
            if let Some((line, marked)) = excerpt::line(&place.source.text, place.source.hidden.get(), at) {
                let snippet = Snippet::source(line).line_start(place.line);
                group = group.element(snippet.annotation(AnnotationKind::Primary.span(marked)));
            }
        }
        for note in &self.notes {
            group = group.element(Level::NOTE.message(excerpt::without_logins(note)));
        }
        if !self.help.is_empty() {
            group = group.element(Level::HELP.message(self.help.as_str()));
        }
        format!("{prefix}{}", renderer.render(&[group]))
    }
}

/// Without colours.
impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_points_at_the_text() {
        let source = Arc::new(Source::new("a.yaml", "x: 1\n  händler: y\n"));
        let offset = source.text.find("händler").unwrap_or_default();
        let diagnostic =
            Diagnostic::error(Some(SourceLocation::at_offset(&source, offset)), "unknown key", "remove it");
        assert_eq!(
            diagnostic.to_string(),
            "a.yaml:2:3: error: unknown key\n  |\n2 |   händler: y\n  |   ^^^^^^^\n  |\n  = help: remove it"
        );
        let coloured = diagnostic.render(true);
        assert!(coloured.starts_with("a.yaml:2:3: \u{1b}["), "{coloured:?}");
    }

    #[test]
    fn places_are_counted_by_lines_and_characters() {
        let source = Arc::new(Source::new("a", "ab\nü x\n\ny"));
        let at = |offset: usize| {
            let place = SourceLocation::at_offset(&source, offset);
            (place.line, place.column, place.length)
        };
        assert_eq!([at(0), at(1), at(2), at(3), at(6)], [(1, 1, 2), (1, 2, 1), (1, 3, 1), (2, 1, 1), (2, 3, 1)]);
        // The second byte of a character, the last line, and what lies beyond the end.
        assert_eq!([at(4), at(8), at(9), at(10), at(99)], [(4, 2, 1), (3, 1, 1), (4, 1, 1), (4, 2, 1), (4, 2, 1)]);
    }

    #[test]
    fn warnings_of_one_kind_are_one_line() {
        let source = Arc::new(Source::new("a.yaml", "x\ny\n"));
        let at = |line: usize| Some(SourceLocation::new(&source, line, 1));
        let unknown = |line, key: &str| Diagnostic::warning(at(line), format!("unknown key \"{key}\""), "remove it");
        let admin_only = Diagnostic::warning(None, "only admin may call action 'a'", "");
        assert_eq!(
            summed_up(&[unknown(1, "x"), admin_only, unknown(2, "it's")]),
            [
                "2 times, `pillion check` shows all of them; the first: a.yaml:1:1: unknown key \"x\"; help: remove it",
                "only admin may call action 'a'",
            ]
        );
    }
}
