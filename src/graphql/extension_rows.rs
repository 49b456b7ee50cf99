//! The rows of extension fields in a response of the upstream: finds them with their keys, and puts the values of the
//! fields into their places. Nothing else of the response's bytes is changed.

use std::collections::HashMap;
use std::ops::Range;

use crate::graphql::extension_sites::ExtensionSites;
use crate::graphql::json_cursor::{Member, elements, members, value_at};
use crate::graphql::response_shape::{FieldShape, ResponseShape};
use crate::model::response::PathSegment;

/// The place of one extension field in one row.
#[derive(Debug)]
pub struct RowPlace {
    /// Which: a place in [`RowScan::groups`].
    pub group: usize,
    /// The values of its key fields.
    pub key: RowKey,
    /// The bytes that its key and value take the place of.
    range: Range<usize>,
    /// The row, in the tree of paths.
    path: usize,
    /// The nearest value around it that may be null, if there is one.
    nullable: Option<usize>,
}

/// The key of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowKey {
    /// The JSON of each of its values, one after the other.
    Values(Vec<Range<usize>>),
    /// One of them is null.
    Null,
    /// The upstream has left this key field out.
    Missing(usize),
}

/// A step from a value to one within it.
#[derive(Clone, Copy, Debug)]
struct PathStep {
    parent: usize,
    segment: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A response name: where it stands in the list of names.
    Field(usize),
    Index(usize),
}

/// The extension fields of a response.
#[derive(Debug, Default)]
pub struct RowScan<'s> {
    /// In the order of the response.
    pub rows: Vec<RowPlace>,
    /// The occurrences that make up one field of a row: more than one if several fragments select it.
    pub groups: Vec<Vec<usize>>,
    by_sites: HashMap<Vec<usize>, usize>,
    /// What was only asked for because of the keys.
    removed: Vec<Range<usize>>,
    nullable: Vec<Range<usize>>,
    steps: Vec<PathStep>,
    names: Vec<&'s str>,
    by_name: HashMap<&'s str, usize>,
}

/// The path of the whole.
const TOP: usize = usize::MAX;

/// Lists in lists that are looked into; no type has as many.
const LIST_DEPTH_MAX: usize = 64;

/// What is put into the place of an extension field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowValue<'v> {
    /// This JSON.
    Json(&'v str),
    /// Null, which its type does not allow: the row becomes null, or what is around it.
    NullAbove,
}

struct Scanner<'s, 'j> {
    sites: &'s ExtensionSites,
    json: &'j str,
    scan: RowScan<'s>,
}

/// The extension fields of a response, whose data has this shape; `None` if it has no data.
#[must_use]
pub fn scan_response<'s>(sites: &'s ExtensionSites, shape: &'s ResponseShape, response: &str) -> Option<RowScan<'s>> {
    // Of repeated keys the last one counts, as where the response is read.
    let data = members(response, 0).filter(|member| member.key == "data").last()?.value;
    if response.as_bytes().get(data.start) != Some(&b'{') {
        return None;
    }
    let mut scanner = Scanner { sites, json: response, scan: RowScan::default() };
    scanner.scan.nullable.push(data.clone());
    scanner.object(shape, data.start, TOP, Some(0));
    Some(scanner.scan)
}

/// The extension fields of a field's value, which is all of `json`.
#[must_use]
pub fn scan_value<'s>(sites: &'s ExtensionSites, shape: &'s FieldShape, json: &str) -> RowScan<'s> {
    let mut scanner = Scanner { sites, json, scan: RowScan::default() };
    scanner.value(shape, value_at(json, 0), 0, TOP, None);
    scanner.scan
}

impl<'s> Scanner<'s, '_> {
    /// An upstream's lists may nest in another way than its schema says.
    fn value(&mut self, shape: &'s FieldShape, value: Range<usize>, level: usize, path: usize, around: Option<usize>) {
        let opening = self.json.as_bytes().get(value.start);
        if !matches!(opening, Some(b'{' | b'[')) || level > LIST_DEPTH_MAX {
            return;
        }
        let nearest = match shape.nullable.get(level).copied().unwrap_or(true) {
            true => {
                self.scan.nullable.push(value.clone());
                Some(self.scan.nullable.len() - 1)
            }
            false => around,
        };
        if opening == Some(&b'{') {
            self.object(&shape.object, value.start, path, nearest);
            return;
        }
        for (index, element) in elements(self.json, value.start).enumerate() {
            let path = self.step(path, Step::Index(index));
            self.value(shape, element, level + 1, path, nearest);
        }
    }

    /// The depth of the client's selection bounds the recursion.
    fn object(&mut self, shape: &'s ResponseShape, start: usize, path: usize, nearest: Option<usize>) {
        let json = self.json;
        if shape.has_sites {
            let all: Vec<Member<'_>> = members(json, start).collect();
            self.row(&all, path, nearest);
            all.into_iter().for_each(|member| self.member(shape, &member, path, nearest));
        } else {
            members(json, start).for_each(|member| self.member(shape, &member, path, nearest));
        }
    }

    fn member(&mut self, shape: &'s ResponseShape, member: &Member<'_>, path: usize, nearest: Option<usize>) {
        if let Some((name, inner)) = shape.fields.get_key_value(member.key.as_ref()) {
            let name = self.name(name);
            let path = self.step(path, Step::Field(name));
            self.value(inner, member.value.clone(), 0, path, nearest);
        }
    }

    fn step(&mut self, parent: usize, segment: Step) -> usize {
        self.scan.steps.push(PathStep { parent, segment });
        self.scan.steps.len() - 1
    }

    fn name(&mut self, name: &'s str) -> usize {
        *self.scan.by_name.entry(name).or_insert_with(|| {
            self.scan.names.push(name);
            self.scan.names.len() - 1
        })
    }

    /// The extension fields of one row: the aliases in it tell which it has.
    fn row(&mut self, all: &[Member<'_>], path: usize, nearest: Option<usize>) {
        // By response name, in the order of the response.
        let mut found: Vec<(Vec<usize>, usize)> = Vec::new();
        let mut is_kept = vec![true; all.len()];
        for (index, member) in all.iter().enumerate() {
            let Some((site, key)) = self.sites.read_alias(&member.key) else { continue };
            let known =
                found.iter_mut().find(|(sites, _)| sites.first().is_some_and(|first| self.is_same(*first, site)));
            let is_new = known.is_none() && key == 0;
            match known {
                Some((sites, _)) if key == 0 && !sites.contains(&site) => sites.push(site),
                None if key == 0 => found.push((vec![site], index)),
                _ => {}
            }
            if let (false, Some(kept)) = (is_new, is_kept.get_mut(index)) {
                *kept = false;
            }
        }
        self.remove(all, &is_kept);
        for (sites, index) in found {
            let (Some(first), Some(member)) = (sites.first().copied(), all.get(index)) else { continue };
            let key = self.key(first, all);
            let range = member.range.clone();
            let group = self.group(sites);
            self.scan.rows.push(RowPlace { group, key, range, path, nullable: nearest });
        }
    }

    fn is_same(&self, one: usize, other: usize) -> bool {
        let name = |site: usize| self.sites.sites.get(site).map(|site| site.field.response_name());
        name(one) == name(other)
    }

    fn group(&mut self, sites: Vec<usize>) -> usize {
        let next = self.scan.groups.len();
        let group = *self.scan.by_sites.entry(sites.clone()).or_insert(next);
        if group == next {
            self.scan.groups.push(sites);
        }
        group
    }

    fn key(&self, site: usize, all: &[Member<'_>]) -> RowKey {
        let names = self.sites.sites.get(site).map(|site| site.keys.as_slice()).unwrap_or_default();
        let mut values = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let Some(member) = all.iter().find(|member| member.key == name.as_str()) else {
                return RowKey::Missing(index);
            };
            if self.json.get(member.value.clone()) == Some("null") {
                return RowKey::Null;
            }
            values.push(member.value.clone());
        }
        RowKey::Values(values)
    }

    /// Members are removed with the comma before them, or with the one behind them where nothing is kept before them.
    fn remove(&mut self, all: &[Member<'_>], is_kept: &[bool]) {
        let mut end_of_kept = None;
        for (index, (member, is_kept)) in all.iter().zip(is_kept).enumerate() {
            if *is_kept {
                end_of_kept = Some(member.range.end);
                continue;
            }
            let range = match (end_of_kept, all.get(index + 1)) {
                (Some(end), _) => end..member.range.end,
                (None, Some(next)) => member.range.start..next.range.start,
                (None, None) => member.range.clone(),
            };
            end_of_kept = end_of_kept.map(|_| member.range.end);
            self.scan.removed.push(range);
        }
    }
}

impl RowScan<'_> {
    /// The path of a row's field: the row's own, and the field's response name.
    #[must_use]
    pub fn path(&self, sites: &ExtensionSites, row: &RowPlace) -> Vec<PathSegment> {
        let mut path = vec![PathSegment::Field(self.response_name(sites, row).to_owned())];
        let mut at = row.path;
        while let Some(step) = self.steps.get(at) {
            path.push(match step.segment {
                Step::Field(name) => PathSegment::Field(self.names.get(name).copied().unwrap_or_default().to_owned()),
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

    /// Bytes that the scan itself takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let keys = |row: &RowPlace| match &row.key {
            RowKey::Values(values) => values.len() * size_of::<Range<usize>>(),
            RowKey::Null | RowKey::Missing(_) => 0,
        };
        self.rows.iter().map(keys).sum::<usize>()
            + self.rows.len() * size_of::<RowPlace>()
            + self.steps.len() * size_of::<PathStep>()
            + (self.removed.len() + self.nullable.len()) * size_of::<Range<usize>>()
    }

    /// The text with a value in the place of each row's field, and without what was asked for because of the keys.
    /// `None` if null has taken all of it.
    #[must_use]
    pub fn splice<'v>(
        &self,
        sites: &ExtensionSites,
        json: &str,
        value: impl Fn(usize) -> RowValue<'v>,
    ) -> Option<String> {
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
        let mut text = String::with_capacity(length);
        let mut done = 0;
        for (range, piece) in pieces {
            if range.start < done {
                continue;
            }
            text.push_str(json.get(done..range.start).unwrap_or_default());
            piece.write(&mut text);
            done = range.end;
        }
        text.push_str(json.get(done..).unwrap_or_default());
        Some(text)
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
