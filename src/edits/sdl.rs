//! Adds, renames and removes definitions of `actions.graphql`, and leaves everything else in it as it is.

use std::ops::Range;

use crate::edits::lines::{
    Splices, begins_line, indent_of, is_blank, is_comment, line_at, line_start, newline_of, next_line, with_blank_line,
    with_comments_above,
};
use crate::edits::sdl_tree::{Block, Member, blocks};
use crate::model::action::OperationKind;

/// A text of definitions that is being edited.
pub(crate) struct SdlEditor<'t> {
    text: &'t str,
    pub(crate) blocks: Vec<Block>,
    splices: Splices<'t>,
    appended: Vec<String>,
}

impl<'t> SdlEditor<'t> {
    /// Nothing has changed yet. `None` if it is not SDL.
    pub(crate) fn new(text: &'t str) -> Option<Self> {
        Some(Self { text, blocks: blocks(text)?, splices: Splices::new(text), appended: Vec::new() })
    }

    /// The field of an action with its block.
    pub(crate) fn root_field(&self, name: &str) -> Option<(&Block, &Member)> {
        let is_root = |block: &&Block| block.root.is_some();
        self.blocks.iter().filter(is_root).find_map(|block| Some((block, block.member(name)?)))
    }

    /// The definition of a type.
    pub(crate) fn definition(&self, name: &str) -> Option<&Block> {
        self.blocks.iter().find(|block| block.root.is_none() && block.name == name)
    }

    /// Adds the field of an action: to the block of its root if there is exactly one, else in a block of its own, as
    /// Hasura's tools write it.
    pub(crate) fn add_root_field(&mut self, kind: OperationKind, field: &str) {
        let mut known = self.blocks.iter().filter(|block| block.root == Some(kind) && !block.members.is_empty());
        match (known.next(), known.next()) {
            (Some(only), None) => {
                let place = Place::behind(self.text, only, only.members.last());
                self.insert(&place, field);
            }
            _ => {
                let root = if kind == OperationKind::Query { "Query" } else { "Mutation" };
                self.append(&format!("type {root} {{\n{}\n}}", reindented(field, "  ")));
            }
        }
    }

    /// Adds a definition at the end.
    pub(crate) fn append(&mut self, definition: &str) {
        self.appended.push(definition.trim_end().to_owned());
    }

    /// Removes the field of an action, with its block if nothing else is in it.
    pub(crate) fn remove_root_field(&mut self, name: &str) {
        let Some((block, member)) = self.root_field(name) else { return };
        let range = if block.members.len() == 1 { block.range.clone() } else { member.range.clone() };
        self.remove(range);
    }

    /// Removes the definition of a type.
    pub(crate) fn remove_definition(&mut self, name: &str) {
        if let Some(range) = self.definition(name).map(|block| block.range.clone()) {
            self.remove(range);
        }
    }

    pub(crate) fn rename_root_field(&mut self, name: &str, new: &str) {
        if let Some(range) = self.root_field(name).map(|(_, member)| member.name_range.clone()) {
            self.splices.replace(range, new);
        }
    }

    /// Other text in the place of a member or a definition.
    pub(crate) fn replace(&mut self, range: Range<usize>, with: &str) {
        let indent = " ".repeat(indent_of(line_at(self.text, line_start(self.text, range.start))));
        let newline = newline_of(self.text);
        self.splices.replace(range, reindented(with, &indent).trim_start().replace('\n', newline));
    }

    /// Adds a member to a definition, behind the one of the name `after` or behind the last one.
    pub(crate) fn add_member(&mut self, definition: &str, after: Option<&str>, member: &str) {
        let place = self.definition(definition).map(|block| {
            let after = after.and_then(|name| block.member(name)).or_else(|| block.members.last());
            Place::behind(self.text, block, after)
        });
        if let Some(place) = place {
            self.insert(&place, member);
        }
    }

    fn insert(&mut self, place: &Place, member: &str) {
        match place {
            Place::Line(at, indent) => {
                self.splices.insert_lines(*at, &format!("{}\n", reindented(member, &" ".repeat(*indent))));
            }
            Place::Inside(at) => self.splices.replace(*at..*at, format!(", {}", member.trim())),
        }
    }

    /// Removes a text with the comments above it, and its lines if nothing else stands there.
    pub(crate) fn remove(&mut self, range: Range<usize>) {
        let behind = self.text.get(range.end..next_line(self.text, range.end)).unwrap_or_default();
        let behind_comma = behind.trim_start_matches([' ', '\t', ',']);
        if begins_line(self.text, range.start) && (is_blank(behind_comma) || is_comment(behind_comma)) {
            let lines = with_comments_above(self.text, range.start)..next_line(self.text, range.end);
            self.splices.delete(with_blank_line(self.text, lines));
        } else if behind_comma.starts_with('}') {
            let before = self.text.get(..range.start).unwrap_or_default().trim_end_matches([' ', '\t', ',']);
            self.splices.delete(before.len()..range.end);
        } else {
            self.splices.delete(range.start..range.end + (behind.len() - behind_comma.len()));
        }
    }

    /// The new text; `None` if it cannot be made, or is not SDL.
    pub(crate) fn finish(self) -> Option<String> {
        let text = self.splices.applied()?;
        let text = self.appended.iter().fold(text, |text, added| with_definitions(&text, &format!("{added}\n")));
        blocks(&text).is_some().then_some(text)
    }
}

/// Where a member goes.
enum Place {
    /// On lines of its own, which begin at this byte and are indented like the others.
    Line(usize, usize),
    /// Behind another one on the same line.
    Inside(usize),
}

impl Place {
    fn behind(text: &str, block: &Block, member: Option<&Member>) -> Self {
        let range = member.map_or(&block.range, |member| &member.range);
        let (start, last) = (range.start, range.end);
        let next = next_line(text, last);
        // The bracket that closes the block must not be on the same line.
        let rest = text.get(last..next).unwrap_or_default();
        let rest = rest.trim_start_matches([' ', '\t', ',']);
        if next < text.len() && (is_blank(rest) || is_comment(rest)) {
            Self::Line(next, indent_of(line_at(text, line_start(text, start))))
        } else {
            Self::Inside(last)
        }
    }
}

impl Block {
    /// The member of this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// The same lines with other spaces before them: the first line's count for all.
fn reindented(text: &str, indent: &str) -> String {
    let text = text.trim_matches('\n').trim_end();
    let old = indent_of(text);
    let lines = text.lines().map(|line| {
        let own = indent_of(line).min(old);
        if is_blank(line) { String::new() } else { format!("{indent}{}", line.get(own..).unwrap_or_default()) }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The text of `actions.graphql` with more definitions at its end.
#[must_use]
pub fn with_definitions(text: &str, definitions: &str) -> String {
    let newline = newline_of(text);
    let mut whole = text.to_owned();
    if !whole.is_empty() && !whole.ends_with('\n') {
        whole.push_str(newline);
    }
    if !whole.is_empty() {
        whole.push_str(newline);
    }
    whole + &definitions.replace('\n', newline)
}
