//! The keys of the rows that extension fields stand in, each once for each call.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::execution::authorized_extensions::AuthorizedExtensions;
use crate::graphql::extension_rows::{RowKey, RowScan};
use crate::graphql::selection::SubSelection;
use crate::model::extension_field::{ExtensionField, KeyList};
use crate::model::json::parse_checked;

/// What a row's field needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The value of a key.
    Key {
        /// Which of [`FieldKeys::calls`].
        call: usize,
        /// Which of its keys.
        key: usize,
        /// Which of [`PieceKeys::selections`] is selected of it.
        group: usize,
    },
    /// Nothing: a value of its key is null.
    NullKey {
        /// May the field be null?
        is_nullable: bool,
    },
    /// The upstream has left out a key field.
    Missing {
        /// Its name.
        key: String,
        /// May the field be null?
        is_nullable: bool,
    },
}

/// The keys of one call.
#[derive(Debug)]
pub(crate) struct CallKeys {
    /// Which of [`AuthorizedExtensions::calls`].
    pub index: usize,
    /// Each distinct key.
    pub keys: KeyList,
    /// How many rows have them.
    pub rows: usize,
}

/// The rows of one piece of JSON.
#[derive(Debug)]
pub(crate) struct PieceKeys {
    /// One for each of its rows.
    pub targets: Vec<Target>,
    /// What is selected, for each of its groups.
    pub selections: Vec<Arc<SubSelection>>,
}

/// The keys of all rows of one round.
#[derive(Debug, Default)]
pub(crate) struct FieldKeys {
    /// The calls that are needed.
    pub calls: Vec<CallKeys>,
    /// One for each piece.
    pub pieces: Vec<PieceKeys>,
}

impl FieldKeys {
    /// Collects them.
    #[must_use]
    pub(crate) fn collect<'p, 's: 'p>(
        extensions: &AuthorizedExtensions,
        pieces: impl Iterator<Item = (&'p str, &'p RowScan<'s>)>,
    ) -> Self {
        let mut collector = Collector { extensions, found: Self::default(), rows: 0, known: Vec::new() };
        let mut selections: HashMap<&'p [usize], Arc<SubSelection>> = HashMap::new();
        for (json, scan) in pieces {
            let selection = |group: &'p Vec<usize>| {
                let known = selections.entry(group.as_slice()).or_insert_with(|| extensions.selection(group));
                Arc::clone(known)
            };
            let selections = scan.groups.iter().map(selection).collect();
            collector.rows = scan.rows.len();
            let groups: Vec<Option<Group<'_>>> = scan.groups.iter().map(|sites| collector.group(sites)).collect();
            let targets = scan.rows.iter().map(|row| match groups.get(row.group) {
                Some(Some(group)) => collector.target(json, scan, (row.group, group), &row.key),
                _ => Target::NullKey { is_nullable: true },
            });
            let targets = targets.collect();
            collector.found.pieces.push(PieceKeys { targets, selections });
        }
        collector.found
    }

    /// How many distinct keys there are.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.calls.iter().map(|call| call.keys.len()).sum()
    }
}

/// What the rows of one group of a scan have in common.
struct Group<'f> {
    /// Which of [`AuthorizedExtensions::calls`].
    index: usize,
    field: &'f ExtensionField,
    is_nullable: bool,
}

struct Collector<'x, 'p> {
    extensions: &'x AuthorizedExtensions,
    found: FieldKeys,
    /// Rows of the piece that is read.
    rows: usize,
    /// For each call, where each of its keys stands, by the JSON of its values. The hasher is seeded for each process.
    known: Vec<HashMap<Cow<'p, str>, usize, RandomState>>,
}

impl<'x, 'p> Collector<'x, 'p> {
    fn group(&self, sites: &[usize]) -> Option<Group<'x>> {
        let (index, field) = self.extensions.call(sites)?;
        Some(Group { index, field: field.field(), is_nullable: field.field().ty.is_nullable() })
    }

    /// Which of the calls that are collected. Rows without a key need none.
    fn call(&mut self, index: usize, width: usize) -> usize {
        self.found.calls.iter().position(|call| call.index == index).unwrap_or_else(|| {
            self.found.calls.push(CallKeys { index, keys: KeyList::new(width), rows: 0 });
            // At most as many as there are rows, so that it grows once.
            self.known.push(HashMap::with_capacity_and_hasher(self.rows, RandomState::default()));
            self.found.calls.len() - 1
        })
    }

    fn target(&mut self, json: &'p str, scan: &RowScan<'_>, (group, of): (usize, &Group<'_>), key: &RowKey) -> Target {
        let is_nullable = of.is_nullable;
        let missing = |key: usize| {
            let key = of.field.key_fields().get(key).map_or_else(String::new, |name| (*name).to_owned());
            Target::Missing { key, is_nullable }
        };
        match key {
            RowKey::Values(_) => {}
            RowKey::Null => return Target::NullKey { is_nullable },
            RowKey::Missing(key) => return missing(*key),
        }
        let ranges = scan.key_values(key);
        let index = self.call(of.index, ranges.len());
        let (Some(call), Some(known)) = (self.found.calls.get_mut(index), self.known.get_mut(index)) else {
            return missing(0);
        };
        call.rows += 1;
        let next = call.keys.len();
        let key = *known.entry(text_of(json, ranges)).or_insert_with(|| {
            let value = |range: &Range<usize>| {
                json.get(range.clone()).and_then(|text| parse_checked(text).ok()).unwrap_or_default()
            };
            call.keys.push(ranges.iter().map(value));
            next
        });
        Target::Key { call: index, key, group }
    }
}

/// The JSON of all values of a key.
fn text_of<'p>(json: &'p str, ranges: &[Range<usize>]) -> Cow<'p, str> {
    if let [only] = ranges {
        return Cow::Borrowed(json.get(only.clone()).unwrap_or_default());
    }
    let mut text = String::new();
    for range in ranges {
        text.push_str(json.get(range.clone()).unwrap_or_default());
        // No JSON value has this byte outside of a string, and none within one.
        text.push('\0');
    }
    Cow::Owned(text)
}
