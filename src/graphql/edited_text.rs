//! Edits of a document's text: parts become blank or are replaced, and locations are mapped back to the client's text.

use std::ops::Range;

use crate::graphql::extension_sites::Edit;
use crate::model::response::Location;

/// Where a rewritten text is not the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditPlace {
    /// Its line, from 1.
    pub line: usize,
    /// The column in the rewritten text where the replacement begins, from 1.
    pub column: usize,
    /// Columns of the replacement.
    pub width: usize,
    /// By how many columns it pushes the rest of the line to the right.
    pub growth: usize,
}

/// The location in the client's text of one in a rewritten text.
#[must_use]
pub fn location_before(edits: &[EditPlace], location: Location) -> Location {
    let mut shift = 0;
    for edit in edits.iter().filter(|edit| edit.line == location.line && edit.column <= location.column) {
        if location.column < edit.column + edit.width {
            return Location { column: edit.column - shift, ..location };
        }
        shift += edit.growth;
    }
    Location { column: location.column.saturating_sub(shift).max(1), ..location }
}

/// Ranges that are left out, and edits, in the order of the text; an outer one stands before those in it.
#[must_use]
pub(crate) fn pieces(left_out: impl Iterator<Item = Range<usize>>, edits: &[Edit]) -> Vec<Edit> {
    let left_out = left_out.map(|range| Edit { range, text: String::new() });
    let mut pieces: Vec<Edit> = left_out.chain(edits.iter().cloned()).collect();
    pieces.sort_by_key(|edit| (edit.range.start, std::cmp::Reverse(edit.range.end)));
    pieces
}

/// The text of `range` with those edits that lie in it. Of nested ones the outer counts.
#[must_use]
pub(crate) fn edited(text: &str, range: Range<usize>, edits: &[Edit]) -> String {
    let mut written = String::new();
    let mut at = range.start;
    for edit in edits.iter().filter(|edit| range.start <= edit.range.start && edit.range.end <= range.end) {
        if edit.range.start < at {
            continue;
        }
        written.push_str(text.get(at..edit.range.start).unwrap_or_default());
        written.push_str(&edit.text);
        at = edit.range.end;
    }
    written + text.get(at..range.end).unwrap_or_default()
}

/// Writes a space for every column of `blanks`, and each replacement over what it replaces; line breaks stay. An edit
/// that begins in a blank is blank.
#[must_use]
pub(crate) fn rewrite(text: &str, blanks: Vec<Range<usize>>, edits: &[Edit]) -> (String, Vec<EditPlace>) {
    let mut pieces = pieces(blanks.into_iter(), edits);
    let mut writer = Writer { text: String::with_capacity(text.len()), line: 1, line_start: 0, places: Vec::new() };
    let mut done = 0;
    for piece in pieces.drain(..) {
        let start = piece.range.start.max(done);
        if piece.range.end <= start {
            continue;
        }
        let is_edit = !piece.text.is_empty() && start == piece.range.start;
        writer.text.push_str(text.get(done..start).unwrap_or_default());
        let replaced = text.get(start..piece.range.end).unwrap_or_default();
        match is_edit {
            true => writer.replace(replaced, &piece.text),
            false => writer.blank(replaced),
        }
        done = piece.range.end;
    }
    writer.text.push_str(text.get(done..).unwrap_or_default());
    (writer.text, writer.places)
}

struct Writer {
    text: String,
    /// The line at `line_start`, which is known up to the last edit.
    line: usize,
    line_start: usize,
    places: Vec<EditPlace>,
}

impl Writer {
    fn blank(&mut self, replaced: &str) {
        // As most of them are: one copy instead of one for each character.
        if replaced.is_ascii() && memchr::memchr2(b'\n', b'\r', replaced.as_bytes()).is_none() {
            self.text.push_str(&" ".repeat(replaced.len()));
            return;
        }
        for character in replaced.chars() {
            match character {
                '\n' | '\r' => self.text.push(character),
                // Columns are counted in UTF-16 code units by graphql-js, and so by most upstreams.
                _ => (0..character.len_utf16()).for_each(|_| self.text.push(' ')),
            }
        }
    }

    fn replace(&mut self, replaced: &str, with: &str) {
        let first_line_end = replaced.find(['\n', '\r']);
        let (first, rest) = replaced.split_at(first_line_end.unwrap_or(replaced.len()));
        let room = first.encode_utf16().count();
        let column = self.column();
        let growth = if rest.is_empty() { with.len().saturating_sub(room) } else { 0 };
        self.places.push(EditPlace { line: self.line, column, width: with.len().max(1), growth });
        self.text.push_str(with);
        (with.len()..room).for_each(|_| self.text.push(' '));
        self.blank(rest);
    }

    /// The column that is written next, from 1.
    fn column(&mut self) -> usize {
        let written = self.text.get(self.line_start..).unwrap_or_default();
        let bytes = written.as_bytes();
        let mut start = 0;
        for (index, byte) in bytes.iter().enumerate() {
            let ends_line = *byte == b'\n' || (*byte == b'\r' && bytes.get(index + 1) != Some(&b'\n'));
            if ends_line {
                self.line += 1;
                start = index + 1;
            }
        }
        self.line_start += start;
        self.text.get(self.line_start..).unwrap_or_default().encode_utf16().count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::response::location_at;

    fn edit(text: &str, what: &str, with: &str) -> Edit {
        let start = text.find(what).expect("it is there");
        Edit { range: start..start + what.len(), text: with.into() }
    }

    #[test]
    fn locations_are_mapped_back() {
        let text = "{ é\u{1F600}a {\r\n x b(c: 1) d }\n stock e\n}";
        let edits = [edit(text, "b(c: 1)", "_k0:id"), edit(text, "x", "_k1:longer"), edit(text, "stock", "_k2:sku")];
        let mut sorted = edits.to_vec();
        sorted.sort_by_key(|edit| edit.range.start);
        let (rewritten, places) = rewrite(text, Vec::new(), &sorted);
        assert_eq!(rewritten, "{ é\u{1F600}a {\r\n _k1:longer _k0:id  d }\n _k2:sku e\n}");
        for name in ["a", "d", "e"] {
            let at =
                |text: &str| location_at(text, text.rfind(&format!("{name} ")).or(text.rfind(name)).expect("there"));
            assert_eq!(location_before(&places, at(&rewritten)), at(text), "{name}");
        }
        for (alias, field) in [("_k0:id", "b(c"), ("id", "b(c"), ("longer", "x"), ("_k2", "stock"), ("sku", "stock")] {
            let found = location_at(&rewritten, rewritten.find(alias).expect("there"));
            assert_eq!(location_before(&places, found), location_at(text, text.find(field).expect("there")), "{alias}");
        }
    }

    #[test]
    fn line_breaks_stay_and_outer_edits_count() {
        let text = "{ a { b {\n c\n } } }";
        let outer = edit(text, "b {\n c\n }", "_k0:id");
        let inner = edit(text, "c", "_k1:x");
        let (rewritten, places) = rewrite(text, Vec::new(), &[outer.clone(), inner.clone()]);
        assert_eq!(rewritten, "{ a { _k0:id\n  \n   } }");
        assert_eq!(places, [EditPlace { line: 1, column: 7, width: 6, growth: 0 }]);
        assert_eq!(edited(text, 4..text.len() - 2, &[outer, inner.clone()]), "{ _k0:id }");
        let blanks = std::iter::once(4..text.len() - 2).collect();
        let (rewritten, places) = rewrite(text, blanks, &[inner]);
        assert_eq!(rewritten, "{ a      \n  \n     }");
        assert!(places.is_empty());
    }
}
