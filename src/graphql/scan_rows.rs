//! Finds the rows of extension fields in a response of the upstream, in one walk over its bytes.

use std::ops::Range;

use crate::graphql::extension_rows::{PathStep, RowPlace, RowScan, Step, TOP};
use crate::graphql::extension_sites::ExtensionSites;
use crate::graphql::json_cursor::{ListCursor, Member, ObjectCursor, value_end, value_start};
use crate::graphql::response_shape::{FieldShape, ResponseShape};
use crate::graphql::row_layout::{RowLayout, RowLayouts};

/// Lists in lists that are looked into; no type has as many.
const LIST_DEPTH_MAX: usize = 64;

/// The extension fields of a response, whose data has this shape; `None` if it has no data.
#[must_use]
pub fn scan_response<'s>(sites: &'s ExtensionSites, shape: &'s ResponseShape, response: &str) -> Option<RowScan<'s>> {
    let (mut found, mut has_errors) = (None, false);
    let mut response_object = ObjectCursor::open(response, 0)?;
    while let Some(member) = response_object.next_key() {
        let mut end = None;
        has_errors |= member.key == "errors";
        if member.key == "data" {
            // Of repeated keys the last one counts, as where the response is read.
            found = None;
            if response.as_bytes().get(member.value) == Some(&b'{') {
                let mut scanner = Scanner::new(sites, response);
                let whole = scanner.nullable(member.value);
                let data_end = scanner.object(shape, member.value, TOP, Some(whole));
                scanner.end_nullable(whole, data_end);
                end = Some(data_end);
                found = Some(scanner.finish());
            }
        }
        response_object.value_ended(end.unwrap_or_else(|| value_end(response, member.value)));
    }
    if let Some(scan) = &mut found {
        scan.has_errors = has_errors;
    }
    found
}

/// The extension fields of a field's value, which is all of `json`.
#[must_use]
pub fn scan_value<'s>(sites: &'s ExtensionSites, shape: &'s FieldShape, json: &str) -> RowScan<'s> {
    let mut scanner = Scanner::new(sites, json);
    scanner.value(shape, value_start(json, 0), 0, TOP, None);
    scanner.finish()
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

    /// Scans the value that begins here and gives its end. An upstream's lists may nest in another way than its schema says.
    fn value(
        &mut self,
        shape: &'s FieldShape,
        start: usize,
        level: usize,
        path: usize,
        around: Option<usize>,
    ) -> usize {
        let opening = self.json.as_bytes().get(start);
        if !matches!(opening, Some(b'{' | b'[')) || level > LIST_DEPTH_MAX {
            return value_end(self.json, start);
        }
        let nullable = shape.nullable.get(level).copied().unwrap_or(true).then(|| self.nullable(start));
        let nearest = nullable.or(around);
        let end = match opening {
            Some(b'{') => self.object(&shape.object, start, path, nearest),
            _ => self.list(shape, start, level, path, nearest),
        };
        if let Some(nullable) = nullable {
            self.end_nullable(nullable, end);
        }
        end
    }

    fn list(
        &mut self,
        shape: &'s FieldShape,
        start: usize,
        level: usize,
        path: usize,
        nearest: Option<usize>,
    ) -> usize {
        let Some(mut list) = ListCursor::open(self.json, start) else { return value_end(self.json, start) };
        let mut index = 0;
        while let Some(element) = list.next_element() {
            let path = self.step(path, Step::Index(index));
            list.element_ended(self.value(shape, element, level + 1, path, nearest));
            index += 1;
        }
        list.end()
    }

    /// The depth of the client's selection bounds the recursion.
    fn object(&mut self, shape: &'s ResponseShape, start: usize, path: usize, nearest: Option<usize>) -> usize {
        let Some(mut object) = ObjectCursor::open(self.json, start) else { return value_end(self.json, start) };
        let first_member = self.members.len();
        while let Some(member) = object.next_key() {
            let end = match shape.fields.get_key_value(member.key.as_ref()) {
                Some((name, inner)) => {
                    let path = self.step(path, Step::Field(name));
                    self.value(inner, member.value, 0, path, nearest)
                }
                None => value_end(self.json, member.value),
            };
            object.value_ended(end);
            if shape.has_sites {
                self.members.push(member.until(end));
            }
        }
        if shape.has_sites {
            self.row(first_member, path, nearest);
            self.members.truncate(first_member);
        }
        object.end()
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
            let Some(range) = members.get(field.member).map(Member::range) else { continue };
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
        let range = member.range();
        if *is_kept {
            end_of_kept = Some(range.end);
            continue;
        }
        let removed_range = match (end_of_kept, all.get(index + 1)) {
            (Some(end), _) => end..range.end,
            (None, Some(next)) => range.start..next.range().start,
            (None, None) => range.clone(),
        };
        end_of_kept = end_of_kept.map(|_| range.end);
        removed.push(removed_range);
    }
}
