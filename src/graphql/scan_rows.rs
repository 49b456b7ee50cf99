//! Finds the rows of extension fields in a response of the upstream, in one walk over its bytes.

use std::ops::Range;

use crate::graphql::extension_rows::{PathStep, RowPlace, RowScan, Step, TOP};
use crate::graphql::extension_sites::ExtensionSites;
use crate::graphql::response_shape::{FieldShape, ResponseShape};
use crate::graphql::row_layout::{Member, RowLayout, RowLayouts};
use crate::model::strict_json::{MemberKey, read_list, read_object, skip_space, value_end};

/// Lists in lists that are looked into; no type has as many.
const LIST_DEPTH_MAX: usize = 64;

/// The extension fields of a response, whose data has this shape; `None` if it has no data or is not what a GraphQL server
/// responds.
#[must_use]
pub fn scan_response<'s>(sites: &'s ExtensionSites, shape: &'s ResponseShape, response: &str) -> Option<RowScan<'s>> {
    let bytes = response.as_bytes();
    let mut data = None;
    let (mut has_errors, mut has_extensions) = (false, false);
    let end = read_object(response, skip_space(bytes, 0), |member| {
        let is_first = match member.key.as_ref() {
            "data" => {
                let (scan, end) = Scanner::new(sites, response).data(shape, member.value)?;
                return data.replace(scan).is_none().then_some(end);
            }
            "errors" => !std::mem::replace(&mut has_errors, true) && is_list_or_null(bytes, member.value),
            "extensions" => !std::mem::replace(&mut has_extensions, true),
            _ => true,
        };
        is_first.then(|| value_end(bytes, member.value))?
    })?;
    let mut scan = data.filter(|_| skip_space(bytes, end) == bytes.len())?;
    scan.has_errors = has_errors;
    scan.has_extensions = has_extensions;
    Some(scan)
}

fn is_list_or_null(bytes: &[u8], start: usize) -> bool {
    matches!(bytes.get(start), Some(b'[' | b'n'))
}

/// The extension fields of a field's value, which is all of `json`.
#[must_use]
pub fn scan_value<'s>(sites: &'s ExtensionSites, shape: &'s FieldShape, json: &str) -> RowScan<'s> {
    let mut scanner = Scanner::new(sites, json);
    match scanner.value(shape, skip_space(json.as_bytes(), 0), 0, TOP, None) {
        Some(_) => scanner.finish(),
        None => RowScan::default(),
    }
}

struct Scanner<'s, 'j> {
    sites: &'s ExtensionSites,
    json: &'j str,
    scan: RowScan<'s>,
    /// The members so far of the row that is read, behind those of the rows around it.
    members: Vec<Member<'j>>,
    layouts: RowLayouts,
}

impl<'s, 'j> Scanner<'s, 'j> {
    fn new(sites: &'s ExtensionSites, json: &'j str) -> Self {
        Self { sites, json, scan: RowScan::default(), members: Vec::new(), layouts: RowLayouts::default() }
    }

    fn finish(mut self) -> RowScan<'s> {
        // A row within another one ends before it.
        self.scan.rows.sort_by_key(|row| row.range.start);
        self.scan
    }

    /// Scans a response's data. Its root type has no extension fields itself.
    fn data(mut self, shape: &'s ResponseShape, start: usize) -> Option<(RowScan<'s>, usize)> {
        let whole = self.nullable(start);
        let end = read_object(self.json, start, |member| {
            let end = self.member(shape, &member, TOP, Some(whole))?;
            self.scan.root_fields.push((member.key.into_owned(), member.value..end));
            Some(end)
        })?;
        self.end_nullable(whole, end);
        Some((self.finish(), end))
    }

    /// Scans the value of an object's member and gives its end.
    fn member(
        &mut self,
        shape: &'s ResponseShape,
        member: &MemberKey<'_>,
        path: usize,
        nearest: Option<usize>,
    ) -> Option<usize> {
        match shape.fields.get_key_value(member.key.as_ref()) {
            Some((name, inner)) => {
                let path = self.step(path, Step::Field(name));
                self.value(inner, member.value, 0, path, nearest)
            }
            None => value_end(self.json.as_bytes(), member.value),
        }
    }

    /// Scans the value that begins here and gives its end. An upstream's lists may nest in another way than its schema says.
    fn value(
        &mut self,
        shape: &'s FieldShape,
        start: usize,
        level: usize,
        path: usize,
        around: Option<usize>,
    ) -> Option<usize> {
        let opening = self.json.as_bytes().get(start);
        if !matches!(opening, Some(b'{' | b'[')) || level > LIST_DEPTH_MAX {
            return value_end(self.json.as_bytes(), start);
        }
        let nullable = shape.nullable.get(level).copied().unwrap_or(true).then(|| self.nullable(start));
        let nearest = nullable.or(around);
        let end = match opening {
            Some(b'{') => self.object(&shape.object, start, path, nearest),
            _ => self.list(shape, start, level, path, nearest),
        }?;
        if let Some(nullable) = nullable {
            self.end_nullable(nullable, end);
        }
        Some(end)
    }

    fn list(
        &mut self,
        shape: &'s FieldShape,
        start: usize,
        level: usize,
        path: usize,
        nearest: Option<usize>,
    ) -> Option<usize> {
        let mut index = 0;
        read_list(self.json, start, |element| {
            let path = self.step(path, Step::Index(index));
            index += 1;
            self.value(shape, element, level + 1, path, nearest)
        })
    }

    /// The depth of the client's selection bounds the recursion.
    fn object(&mut self, shape: &'s ResponseShape, start: usize, path: usize, nearest: Option<usize>) -> Option<usize> {
        let first_member = self.members.len();
        let end = read_object(self.json, start, |member| {
            let end = self.member(shape, &member, path, nearest)?;
            if shape.has_sites {
                self.members.push(Member { key: member.key, range: member.quoted.start..end, value: member.value });
            }
            Some(end)
        })?;
        if shape.has_sites {
            self.row(first_member, path, nearest);
            self.members.truncate(first_member);
        }
        Some(end)
    }

    fn step(&mut self, parent: usize, segment: Step<'s>) -> usize {
        self.scan.steps.push(PathStep { parent, segment });
        self.scan.steps.len() - 1
    }

    /// A value that may be null begins here.
    fn nullable(&mut self, start: usize) -> usize {
        self.scan.nullable.push(start..start);
        self.scan.nullable.len() - 1
    }

    fn end_nullable(&mut self, index: usize, end: usize) {
        if let Some(range) = self.scan.nullable.get_mut(index) {
            range.end = end;
        }
    }

    /// The extension fields of one row.
    fn row(&mut self, first_member: usize, path: usize, nullable: Option<usize>) {
        let Self { sites, json, scan, members, layouts } = self;
        let members = members.get(first_member..).unwrap_or_default();
        let layout = layouts.of(members, |members| RowLayout::new(sites, members, &mut |sites| scan.group(sites)));
        let Some(layout) = layout else { return };
        for field in &layout.fields {
            let Some(range) = members.get(field.member).map(|member| member.range.clone()) else { continue };
            let key = field.read_key(json, members, &mut scan.key_values);
            scan.rows.push(RowPlace { group: field.group, key, range, path, nullable });
        }
        if layout.removes {
            remove(members, &layout.is_kept, &mut scan.removed);
        }
    }
}

/// Members are removed with the comma before them, or with the one behind them where nothing is kept before them.
fn remove(all: &[Member<'_>], is_kept: &[bool], removed: &mut Vec<Range<usize>>) {
    let mut end_of_kept = None;
    for (index, (member, is_kept)) in all.iter().zip(is_kept).enumerate() {
        let range = member.range.clone();
        if *is_kept {
            end_of_kept = Some(range.end);
            continue;
        }
        let removed_range = match (end_of_kept, all.get(index + 1)) {
            (Some(end), _) => end..range.end,
            (None, Some(next)) => range.start..next.range.start,
            (None, None) => range.clone(),
        };
        end_of_kept = end_of_kept.map(|_| range.end);
        removed.push(removed_range);
    }
}
