//! Replaces parts of a text, and finds the lines and comments that belong to them.

use std::ops::Range;

/// Replacements in a text: none overlaps another one.
pub(crate) struct Splices<'t> {
    text: &'t str,
    splices: Vec<(Range<usize>, String)>,
}

impl<'t> Splices<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, splices: Vec::new() }
    }

    pub(crate) fn replace(&mut self, range: Range<usize>, with: impl Into<String>) {
        self.splices.push((range, with.into()));
    }

    pub(crate) fn delete(&mut self, range: Range<usize>) {
        self.replace(range, "");
    }

    /// Inserts whole lines, where a line begins or the text ends. They get the line ends of the text.
    pub(crate) fn insert_lines(&mut self, at: usize, lines: &str) {
        let newline = newline_of(self.text);
        let before = self.text.get(..at).unwrap_or_default();
        let start = if before.is_empty() || before.ends_with('\n') { "" } else { newline };
        self.replace(at..at, format!("{start}{}", lines.replace('\n', newline)));
    }

    /// The text with all replacements; `None` if two overlap that are no deletions.
    pub(crate) fn applied(mut self) -> Option<String> {
        self.splices.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = String::with_capacity(self.text.len());
        let mut done = 0;
        for (range, with) in self.splices {
            // Two deletions may share a blank line.
            let start = if with.is_empty() { range.start.max(done) } else { range.start };
            text.push_str(self.text.get(done..start)?);
            text.push_str(&with);
            done = range.end.max(done);
        }
        text.push_str(self.text.get(done..)?);
        Some(text)
    }
}

/// How lines end in this text.
pub(crate) fn newline_of(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// Where the line of this byte begins.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// Behind the line end of the line of this byte.
pub(crate) fn next_line(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |newline| at + newline + 1)
}

/// Is this byte the first of its line that is no space?
pub(crate) fn begins_line(text: &str, at: usize) -> bool {
    text.get(line_start(text, at)..at).is_some_and(|before| before.chars().all(|character| character == ' '))
}

/// The line that begins at this byte.
pub(crate) fn line_at(text: &str, start: usize) -> &str {
    text.get(start..next_line(text, start)).unwrap_or_default()
}

pub(crate) fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

pub(crate) fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

pub(crate) fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Where the comments begin that stand directly above the line of this byte, and are indented like it.
pub(crate) fn with_comments_above(text: &str, at: usize) -> usize {
    let mut start = line_start(text, at);
    let indent = indent_of(line_at(text, start));
    while start > 0 {
        let above = line_start(text, start - 1);
        let line = line_at(text, above);
        if !is_comment(line) || indent_of(line) != indent {
            break;
        }
        start = above;
    }
    start
}

/// Where the lines end that begin with the one of this byte, with the comments below it that are indented deeper.
pub(crate) fn with_comments_below(text: &str, at: usize, indent: usize) -> usize {
    let mut end = next_line(text, at);
    let mut next = end;
    while next < text.len() {
        let line = line_at(text, next);
        let belongs = is_blank(line) || is_comment(line) && indent_of(line) > indent;
        if !belongs {
            break;
        }
        next = next_line(text, next);
        if !is_blank(line) {
            end = next;
        }
    }
    end
}

/// These lines, and one blank line beside them where two would be left, or one at the start or the end of a block.
pub(crate) fn with_blank_line(text: &str, lines: Range<usize>) -> Range<usize> {
    let is_blank_below = lines.end < text.len() && is_blank(line_at(text, lines.end));
    let above = lines.start.checked_sub(1).map(|newline| line_start(text, newline));
    let line_above = above.map_or("", |above| line_at(text, above));
    match above.filter(|_| is_blank(line_above)) {
        Some(above) if is_blank_below || lines.end >= text.len() => above..lines.end,
        None if is_blank_below && (above.is_none() || line_above.trim_end().ends_with([':', '{'])) => {
            lines.start..next_line(text, lines.end)
        }
        _ => lines,
    }
}
