//! Where the extension fields of a row stand among its members. The rows of a list mostly have the same members in the same
//! order, so that this is worked out once for many of them.

use std::borrow::Cow;
use std::ops::Range;

use crate::graphql::extension_rows::RowKey;
use crate::graphql::extension_sites::ExtensionSites;

/// A member of a row.
#[derive(Clone, Debug)]
pub(crate) struct Member<'j> {
    /// Its key, unescaped.
    pub key: Cow<'j, str>,
    /// From the key's opening quote to the end of the value.
    pub range: Range<usize>,
    /// The first byte of the value.
    pub value: usize,
}

impl Member<'_> {
    fn value(&self) -> Range<usize> {
        self.value..self.range.end
    }
}

/// The layout of rows with these members.
#[derive(Debug, Default)]
pub(crate) struct RowLayout {
    /// The keys of the members.
    keys: Vec<String>,
    /// The row's extension fields, in the order of the response.
    pub fields: Vec<FieldLayout>,
    /// Is a member part of the client's response, or in the place of a field? Others were asked for because of the keys.
    pub is_kept: Vec<bool>,
    /// Is any of them not?
    pub removes: bool,
}

/// An extension field of a row.
#[derive(Debug)]
pub(crate) struct FieldLayout {
    /// Which: a place in [`RowScan::groups`](crate::graphql::extension_rows::RowScan::groups).
    pub group: usize,
    /// The member that its key and value take the place of.
    pub member: usize,
    /// The members that hold the values of the key, or the key field that is missing.
    key: Result<Vec<usize>, usize>,
}

impl FieldLayout {
    /// The key in a row. Its values are added to `values`.
    pub(crate) fn read_key(&self, json: &str, members: &[Member<'_>], values: &mut Vec<Range<usize>>) -> RowKey {
        let found = match &self.key {
            Ok(found) => found,
            Err(missing) => return RowKey::Missing(*missing),
        };
        let first = values.len();
        for member in found.iter().filter_map(|index| members.get(*index)) {
            if json.get(member.value()) == Some("null") {
                values.truncate(first);
                return RowKey::Null;
            }
            values.push(member.value());
        }
        RowKey::Values(first..values.len())
    }
}

impl RowLayout {
    /// The layout of rows with these members: aliases among them tell which fields a row has. `group` gives the number of
    /// the group of some sites.
    pub(crate) fn new(
        sites: &ExtensionSites,
        members: &[Member<'_>],
        group: &mut dyn FnMut(Vec<usize>) -> usize,
    ) -> Self {
        // By response name, in the order of the response.
        let mut found: Vec<(Vec<usize>, usize)> = Vec::new();
        let mut is_kept = vec![true; members.len()];
        for (index, (member, is_kept)) in members.iter().zip(&mut is_kept).enumerate() {
            let Some((site, key)) = sites.read_alias(&member.key) else { continue };
            let known =
                found.iter_mut().find(|(known, _)| known.first().is_some_and(|first| is_same(sites, *first, site)));
            *is_kept = known.is_none() && key == 0;
            match known {
                Some((known, _)) if key == 0 && !known.contains(&site) => known.push(site),
                None if key == 0 => found.push((vec![site], index)),
                _ => {}
            }
        }
        let fields = found.into_iter().map(|(of, member)| {
            let key = key_members(sites, of.first().copied(), members);
            FieldLayout { group: group(of), member, key }
        });
        let fields = fields.collect();
        let keys = members.iter().map(|member| member.key.clone().into_owned()).collect();
        let removes = is_kept.contains(&false);
        Self { keys, fields, is_kept, removes }
    }

    fn is_of(&self, members: &[Member<'_>]) -> bool {
        self.keys.len() == members.len() && self.keys.iter().zip(members).all(|(key, member)| *key == member.key)
    }
}

fn is_same(sites: &ExtensionSites, one: usize, other: usize) -> bool {
    let name = |site: usize| sites.sites.get(site).map(|site| site.field.response_name());
    name(one) == name(other)
}

/// The members with the values of a site's key fields, or which key field the upstream has left out.
fn key_members(sites: &ExtensionSites, site: Option<usize>, members: &[Member<'_>]) -> Result<Vec<usize>, usize> {
    let names = site.and_then(|site| sites.sites.get(site)).map(|site| site.keys.as_slice()).unwrap_or_default();
    let member =
        |(index, name): (usize, &String)| members.iter().position(|member| member.key == name.as_str()).ok_or(index);
    names.iter().enumerate().map(member).collect()
}

/// Layouts that are remembered: of a list, of the lists within its rows, and of a few types of an abstract one.
const LAYOUTS_MAX: usize = 8;

/// The layouts of the rows of a response that were met last.
#[derive(Debug, Default)]
pub(crate) struct RowLayouts {
    all: Vec<RowLayout>,
    /// Where the next one goes.
    next: usize,
}

impl RowLayouts {
    /// The layout of a row with these members; `make` makes it if it is not known.
    pub(crate) fn of(
        &mut self,
        members: &[Member<'_>],
        make: impl FnOnce(&[Member<'_>]) -> RowLayout,
    ) -> Option<&RowLayout> {
        let index = self.all.iter().position(|layout| layout.is_of(members)).unwrap_or_else(|| {
            let index = self.next;
            let layout = make(members);
            match self.all.get_mut(index) {
                Some(oldest) => *oldest = layout,
                None => self.all.push(layout),
            }
            self.next = (index + 1) % LAYOUTS_MAX;
            index
        });
        self.all.get(index)
    }
}
