//! YAML with the byte range of every key and value, so that parts of the text can be replaced and the rest stays.

use std::ops::Range;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::Value;

use crate::config::yaml::{Data, Node};

/// A value, and where its text stands.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its bytes. Those of a block collection begin with its first key or behind its first dash.
    pub(crate) range: Range<usize>,
    pub(crate) shape: Shape,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Shape {
    /// Nothing is written: null.
    Nothing,
    Scalar,
    /// In block style, or in flow style: `[a, b]`.
    List {
        is_flow: bool,
        items: Vec<Item>,
    },
    /// In block style, or in flow style: `{a: b}`.
    Map {
        is_flow: bool,
        entries: Vec<Entry>,
    },
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) key: Range<usize>,
    /// Behind the colon.
    pub(crate) colon_end: usize,
    pub(crate) item: Item,
}

impl Item {
    /// Where its last character ends.
    pub(crate) fn end(&self) -> usize {
        let last = match &self.shape {
            Shape::List { is_flow: false, items } => items.last().map(Self::end),
            Shape::Map { is_flow: false, entries } => entries.last().map(Entry::end),
            _ => None,
        };
        last.unwrap_or(self.range.end)
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.shape {
            Shape::Map { entries, .. } => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Self] {
        match &self.shape {
            Shape::List { items, .. } => items,
            _ => &[],
        }
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.name == name)
    }

    /// The value under this key.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|entry| &entry.item)
    }
}

impl Entry {
    pub(crate) fn end(&self) -> usize {
        self.item.end().max(self.colon_end)
    }
}

/// The tree of a text that has been read as `node`; `None` if it is written in a way that is not known here.
pub(crate) fn tree(text: &str, node: &Node) -> Option<Item> {
    // The reader counts characters.
    let mut offsets: Vec<usize> = text.char_indices().map(|(offset, _)| offset).collect();
    offsets.push(text.len());
    let documents = MarkedYaml::load_from_str(text).ok()?;
    let reader = Reader { text, offsets };
    match documents.as_slice() {
        [] => Some(Item { range: text.len()..text.len(), shape: Shape::Nothing, value: Value::Null }),
        [document] => reader.item(document, node),
        _ => None,
    }
}

struct Reader<'t> {
    text: &'t str,
    offsets: Vec<usize>,
}

impl Reader<'_> {
    fn range(&self, node: &MarkedYaml<'_>) -> Option<Range<usize>> {
        let start = *self.offsets.get(node.span.start.index())?;
        let end = *self.offsets.get(node.span.end.index())?;
        Some(start..end.max(start))
    }

    /// The reader of configurations limits the depth.
    fn item(&self, marked: &MarkedYaml<'_>, node: &Node) -> Option<Item> {
        let range = self.range(marked)?;
        let value = node.to_json();
        let (range, shape) = match (&marked.data, &node.data) {
            (YamlData::Sequence(marked), Data::List(nodes)) if marked.len() == nodes.len() => {
                let items: Option<Vec<Item>> =
                    marked.iter().zip(nodes).map(|(item, node)| self.item(item, node)).collect();
                let items = items?;
                let is_flow = self.is_flow(&range, '[', items.first().map(|item| item.range.start));
                let range = if is_flow { self.closed(range, ']')? } else { range };
                (range, Shape::List { is_flow, items })
            }
            (YamlData::Mapping(marked), Data::Map(nodes)) if marked.len() == nodes.len() => {
                let entries = marked.iter().zip(nodes);
                let entries: Option<Vec<Entry>> = entries
                    .map(|((key, value), (name, _, node))| self.entry(name, self.range(key)?, self.item(value, node)?))
                    .collect();
                let entries = entries?;
                let is_flow = self.is_flow(&range, '{', entries.first().map(|entry| entry.key.start));
                let range = if is_flow { self.closed(range, '}')? } else { range };
                (range, Shape::Map { is_flow, entries })
            }
            (YamlData::Value(Scalar::Null), _) if range.is_empty() => (range, Shape::Nothing),
            (YamlData::Sequence(_) | YamlData::Mapping(_), _)
            | (YamlData::Tagged(..), Data::List(_) | Data::Map(_)) => {
                return None;
            }
            _ => (self.scalar(range)?, Shape::Scalar),
        };
        Some(Item { range, shape, value })
    }

    fn entry(&self, name: &str, key: Range<usize>, mut item: Item) -> Option<Entry> {
        let key = self.scalar(key)?;
        let rest = self.text.get(key.end..)?;
        let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let colon = key.end + spaces;
        self.text.get(colon..)?.starts_with(':').then_some(())?;
        if matches!(item.shape, Shape::Nothing) {
            item.range = colon + 1..colon + 1;
        }
        Some(Entry { name: name.to_owned(), key, colon_end: colon + 1, item })
    }

    /// A block collection begins with its first member.
    fn is_flow(&self, range: &Range<usize>, bracket: char, first: Option<usize>) -> bool {
        self.text.get(range.start..).is_some_and(|text| text.starts_with(bracket)) && first != Some(range.start)
    }

    fn closed(&self, range: Range<usize>, bracket: char) -> Option<Range<usize>> {
        self.text.get(range.end..)?.starts_with(bracket).then_some(range.start..range.end + 1)
    }

    /// The end of quotes is looked for: the reader puts it behind the comment that follows. A block scalar begins with
    /// its header, and ends with its last line.
    fn scalar(&self, range: Range<usize>) -> Option<Range<usize>> {
        let text = self.text.get(range.clone())?;
        if let Some(length) = quoted_length(text) {
            return Some(range.start..range.start + length);
        }
        let end = range.start + text.trim_end().len();
        let before = self.text.get(..range.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let is_first_of_line = before.get(line_start..)?.trim().is_empty();
        let header = before.trim_end().rsplit('\n').next().unwrap_or_default();
        let header = header.split(" #").next().unwrap_or_default().trim_end();
        let header_start = header.rfind(['|', '>']).filter(|_| is_first_of_line && line_start > 0);
        let Some(at) = header_start.filter(|at| is_block_header(header, *at)) else { return Some(range.start..end) };
        let header_line = before.trim_end().rfind('\n').map_or(0, |newline| newline + 1);
        let keeps_blank_lines = header.get(at..)?.contains('+');
        let whole = text.trim_end_matches([' ', '\t']);
        let whole = whole.strip_suffix('\n').unwrap_or(whole);
        let end = if keeps_blank_lines { range.start + whole.len() } else { end };
        let end = end.max(header_line + header.len());
        Some(header_line + at..end)
    }
}

/// `|`, `>-`, `|2+`, behind a key, a dash or a tag.
fn is_block_header(line: &str, at: usize) -> bool {
    let indicators = line.get(at + 1..).unwrap_or_default();
    let before = line.get(..at).unwrap_or_default();
    indicators.chars().all(|character| character.is_ascii_digit() || matches!(character, '-' | '+'))
        && before.ends_with([' ', '\t'])
        && before.trim_end().ends_with([':', '-'])
}

/// The bytes of a text in quotes, if it is one.
fn quoted_length(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if quote == '"' && character == '\\' {
            characters.next();
        } else if character == quote {
            if quote == '\'' && characters.peek().is_some_and(|(_, next)| *next == '\'') {
                characters.next();
            } else {
                return Some(at + 1);
            }
        }
    }
    None
}
