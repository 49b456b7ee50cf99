//! The keys of the rows that extension fields stand in, each once for each call.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::execution::authorized_extensions::AuthorizedExtensions;
use crate::graphql::extension_rows::{RowKey, RowScan};
use crate::graphql::selection::SubSelection;
use crate::model::json::parse_strict;

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
    /// The values of each distinct key.
    pub keys: Vec<Vec<Value>>,
    /// Where each of them stands, by the JSON of its values.
    by_text: HashMap<String, usize>,
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
        let mut keys = Self::default();
        let mut selections: HashMap<&'p [usize], Arc<SubSelection>> = HashMap::new();
        for (json, scan) in pieces {
            let selection = |group: &'p Vec<usize>| {
                let known = selections.entry(group.as_slice()).or_insert_with(|| extensions.selection(group));
                Arc::clone(known)
            };
            let selections = scan.groups.iter().map(selection).collect();
            let targets = scan.rows.iter().map(|row| {
                let group = scan.groups.get(row.group).map(Vec::as_slice).unwrap_or_default();
                keys.target(extensions, json, (row.group, group), &row.key)
            });
            let targets = targets.collect();
            keys.pieces.push(PieceKeys { targets, selections });
        }
        keys
    }

    /// How many distinct keys there are.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.calls.iter().map(|call| call.keys.len()).sum()
    }

    fn target(
        &mut self,
        extensions: &AuthorizedExtensions,
        json: &str,
        (group, sites): (usize, &[usize]),
        key: &RowKey,
    ) -> Target {
        let Some((index, field)) = extensions.call(sites) else { return Target::NullKey { is_nullable: true } };
        let is_nullable = field.field().ty.is_nullable();
        let missing = |key: usize| {
            let key = field.field().key_fields().get(key).map_or_else(String::new, |name| (*name).to_owned());
            Target::Missing { key, is_nullable }
        };
        let ranges = match key {
            RowKey::Values(ranges) => ranges,
            RowKey::Null => return Target::NullKey { is_nullable },
            RowKey::Missing(key) => return missing(*key),
        };
        let mut text = String::new();
        for range in ranges {
            text.push_str(json.get(range.clone()).unwrap_or_default());
            // No JSON value has this byte outside of a string, and none within one.
            text.push('\0');
        }
        let call = self.call(index);
        let Some(known) = self.calls.get_mut(call) else { return missing(0) };
        known.rows += 1;
        if let Some(key) = known.by_text.get(&text) {
            return Target::Key { call, key: *key, group };
        }
        let value = |text: &str| parse_strict(text.as_bytes()).unwrap_or_default();
        let key = known.keys.len();
        known.keys.push(text.split_terminator('\0').map(value).collect());
        known.by_text.insert(text, key);
        Target::Key { call, key, group }
    }

    fn call(&mut self, index: usize) -> usize {
        if let Some(known) = self.calls.iter().position(|call| call.index == index) {
            return known;
        }
        self.calls.push(CallKeys { index, keys: Vec::new(), by_text: HashMap::new(), rows: 0 });
        self.calls.len() - 1
    }
}
