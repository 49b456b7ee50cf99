//! The rows of extension fields in a response of the upstream: their keys and paths, and the response with the values of
//! the fields in their places. Nothing else of the response's bytes is changed.

use std::collections::HashMap;
use std::ops::Range;

use crate::graphql::extension_sites::ExtensionSites;
use crate::model::response::PathSegment;

/// The place of one extension field in one row.
#[derive(Debug)]
pub struct RowPlace {
    /// Which: a place in [`RowScan::groups`].
    pub group: usize,
    /// The values of its key fields.
    pub key: RowKey,
    /// The bytes that its key and value take the place of.
    pub(super) range: Range<usize>,
    /// The row, in the tree of paths.
    pub(super) path: usize,
    /// The nearest value around it that may be null, if there is one.
    pub(super) nullable: Option<usize>,
}

/// The key of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowKey {
    /// Its values: where they stand in the list of all, see [`RowScan::key_values`].
    Values(Range<usize>),
    /// One of them is null.
    Null,
    /// The upstream has left this key field out.
    Missing(usize),
}

/// A step from a value to one within it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathStep<'s> {
    /// The step that leads to the value; [`TOP`] if it is the whole.
    pub parent: usize,
    pub segment: Step<'s>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'s> {
    /// A response name.
    Field(&'s str),
    Index(usize),
}

/// The extension fields of a response.
#[derive(Debug, Default)]
pub struct RowScan<'s> {
    /// In the order of the response.
    pub rows: Vec<RowPlace>,
    /// The occurrences that make up one field of a row: more than one if several fragments select it.
    pub groups: Vec<Vec<usize>>,
    /// Has the response errors of its own?
    pub has_errors: bool,
    /// Has it extensions?
    pub has_extensions: bool,
    /// The values of a response's root fields, in its order.
    pub root_fields: RootFields,
    by_sites: HashMap<Vec<usize>, usize>,
    /// The JSON of the key values of all rows.
    pub(super) key_values: Vec<Range<usize>>,
    /// What was only asked for because of the keys.
    pub(super) removed: Vec<Range<usize>>,
    pub(super) nullable: Vec<Range<usize>>,
    pub(super) steps: Vec<PathStep<'s>>,
}

/// The response names of root fields, and where in the text of a response their values stand.
pub type RootFields = Vec<(String, Range<usize>)>;

/// A text with values for its extension fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Spliced {
    /// The text.
    pub text: String,
    /// Its root fields, if it is a response with nothing but data.
    pub root_fields: Option<RootFields>,
}

/// The path of the whole.
pub(super) const TOP: usize = usize::MAX;

/// What is put into the place of an extension field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowValue<'v> {
    /// This JSON.
    Json(&'v str),
    /// Null, which its type does not allow: the row becomes null, or what is around it.
    NullAbove,
}

impl RowScan<'_> {
    /// The number of the group of these sites.
    pub(super) fn group(&mut self, sites: Vec<usize>) -> usize {
        let next = self.groups.len();
        let group = *self.by_sites.entry(sites.clone()).or_insert(next);
        if group == next {
            self.groups.push(sites);
        }
        group
    }

    /// The path of a row's field: the row's own, and the field's response name.
    #[must_use]
    pub fn path(&self, sites: &ExtensionSites, row: &RowPlace) -> Vec<PathSegment> {
        let mut path = vec![PathSegment::Field(self.response_name(sites, row).to_owned())];
        let mut at = row.path;
        while let Some(step) = self.steps.get(at) {
            path.push(match step.segment {
                Step::Field(name) => PathSegment::Field(name.to_owned()),
                Step::Index(index) => PathSegment::Index(index),
            });
            at = step.parent;
        }
        path.reverse();
        path
    }

    fn response_name<'r>(&self, sites: &'r ExtensionSites, row: &RowPlace) -> &'r str {
        let first = self.groups.get(row.group).and_then(|group| group.first());
        first.and_then(|site| sites.sites.get(*site)).map_or("", |site| site.field.response_name().as_str())
    }

    /// The JSON of each value of a row's key, by its bytes in the response.
    #[must_use]
    pub fn key_values(&self, key: &RowKey) -> &[Range<usize>] {
        match key {
            RowKey::Values(values) => self.key_values.get(values.clone()).unwrap_or_default(),
            RowKey::Null | RowKey::Missing(_) => &[],
        }
    }

    /// Bytes that the scan itself takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows.len() * size_of::<RowPlace>()
            + self.steps.len() * size_of::<PathStep<'_>>()
            + (self.key_values.len() + self.removed.len() + self.nullable.len()) * size_of::<Range<usize>>()
            + self.root_fields.len() * size_of::<(String, Range<usize>)>()
    }

    /// The text with a value in the place of each row's field, and without what was asked for because of the keys.
    /// `None` if null has taken all of it.
    #[must_use]
    pub fn splice<'v>(
        &self,
        sites: &ExtensionSites,
        json: &str,
        value: impl Fn(usize) -> RowValue<'v>,
    ) -> Option<Spliced> {
        let mut pieces: Vec<(Range<usize>, Piece<'_>)> =
            self.removed.iter().map(|range| (range.clone(), Piece::Nothing)).collect();
        let mut length = json.len();
        for (index, row) in self.rows.iter().enumerate() {
            match value(index) {
                RowValue::Json(json) => {
                    let name = self.response_name(sites, row);
                    length += name.len() + json.len();
                    pieces.push((row.range.clone(), Piece::Member(name, json)));
                }
                RowValue::NullAbove => {
                    let range = self.nullable.get(row.nullable?)?;
                    pieces.push((range.clone(), Piece::Null));
                }
            }
        }
        // What becomes null stands before what is in it.
        pieces.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut writer = Writer::new(json, length, &self.root_fields);
        for (range, piece) in pieces {
            if range.start >= writer.done {
                writer.put(range, &piece);
            }
        }
        let has_more = self.has_errors || self.has_extensions;
        let (text, moved) = writer.finish();
        let root_fields = self.root_fields.iter().zip(moved.chunks_exact(2)).map(|((name, _), place)| match place {
            [Some(start), Some(end)] => Some((name.clone(), *start..*end)),
            _ => None,
        });
        Some(Spliced { root_fields: root_fields.collect::<Option<_>>().filter(|_| !has_more), text })
    }
}

/// Writes a new text with pieces in the place of others.
struct Writer<'w> {
    json: &'w str,
    text: String,
    /// So many bytes of the old text have been dealt with.
    done: usize,
    /// Where root fields begin and end in the old text, in order.
    marks: Vec<usize>,
    /// Where the marks that were passed are in the new text, if they are not within what was replaced.
    moved: Vec<Option<usize>>,
}

impl<'w> Writer<'w> {
    fn new(json: &'w str, length: usize, root_fields: &RootFields) -> Self {
        let marks: Vec<usize> = root_fields.iter().flat_map(|(_, range)| [range.start, range.end]).collect();
        let moved = Vec::with_capacity(marks.len());
        Self { json, text: String::with_capacity(length), done: 0, marks, moved }
    }

    fn put(&mut self, range: Range<usize>, piece: &Piece<'_>) {
        self.copy(range.start);
        piece.write(&mut self.text);
        self.done = range.end;
    }

    fn copy(&mut self, until: usize) {
        while let Some(mark) = self.marks.get(self.moved.len()).filter(|mark| **mark <= until) {
            self.moved.push(mark.checked_sub(self.done).map(|copied| self.text.len() + copied));
        }
        self.text.push_str(self.json.get(self.done..until).unwrap_or_default());
        self.done = until;
    }

    fn finish(mut self) -> (String, Vec<Option<usize>>) {
        self.copy(self.json.len());
        (self.text, self.moved)
    }
}

enum Piece<'p> {
    Nothing,
    Null,
    /// A response name, which needs no escapes, and its value.
    Member(&'p str, &'p str),
}

impl Piece<'_> {
    fn write(&self, text: &mut String) {
        match self {
            Self::Nothing => {}
            Self::Null => text.push_str("null"),
            Self::Member(name, value) => {
                text.push('"');
                text.push_str(name);
                text.push_str("\":");
                text.push_str(value);
            }
        }
    }
}
