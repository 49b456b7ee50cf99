//! Changes a YAML file to hold another value, and leaves everything else in it as it is: comments, blank lines, order, style.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config::yaml::parse;
use crate::edits::lines::{
    Splices, begins_line, indent_of, is_blank, line_start, next_line, with_blank_line, with_comments_above,
    with_comments_below,
};
use crate::edits::yaml_print;
use crate::edits::yaml_tree::{Entry, Item, Shape, tree};
use crate::model::source::{Diagnostic, Source};

/// The text of `source` with what it takes to be read as `wanted`.
///
/// # Errors
/// Why it cannot be edited: it is no YAML, or is written in a way that is not known here.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use pillion::edits::yaml::reconcile;
/// use pillion::model::source::Source;
/// use serde_json::json;
///
/// let source = Arc::new(Source::new("actions.yaml", "actions:\n  - name: a # mine\n    kind: 'x'\n"));
/// let text = reconcile(&source, &json!({ "actions": [{ "name": "a", "kind": "y" }, { "name": "b" }] })).unwrap();
/// assert_eq!(text, "actions:\n  - name: a # mine\n    kind: 'y'\n  - name: b\n");
/// ```
pub fn reconcile(source: &Arc<Source>, wanted: &Value) -> Result<String, Diagnostic> {
    let node = parse(source)?;
    if node.to_json() == *wanted {
        return Ok(source.text.clone());
    }
    let edited = tree(&source.text, &node).and_then(|root| {
        let mut editor = Editor { text: &source.text, splices: Splices::new(&source.text) };
        editor.root(&root, wanted)?;
        editor.splices.applied()
    });
    let is_wanted = |text: &String| {
        let edited = Arc::new(Source::new(source.name.clone(), text.clone()));
        parse(&edited).is_ok_and(|node| node.to_json() == *wanted)
    };
    edited.filter(is_wanted).ok_or_else(|| {
        let help = "write it in block style: each key and each list item on a line of its own";
        Diagnostic::error(Some(node.place.clone()), "this file cannot be edited without rewriting it", help)
    })
}

struct Editor<'t> {
    text: &'t str,
    splices: Splices<'t>,
}

/// Where a value stands.
#[derive(Clone, Copy)]
enum Owner<'e> {
    /// Behind this key of a mapping in block style, which begins in this column.
    Key(&'e Entry, usize),
    /// Behind a dash in this column.
    Dash(usize),
    /// Somewhere in flow style; behind this key, if there is one.
    Flow(Option<&'e Entry>),
}

/// `None` everywhere: the text is written in a way that is not known here.
impl Editor<'_> {
    fn root(&mut self, root: &Item, wanted: &Value) -> Option<()> {
        match &root.shape {
            Shape::Nothing => {
                self.splices.insert_lines(self.text.len(), &yaml_print::block(wanted, 0));
                Some(())
            }
            _ => self.change(root, wanted, Owner::Dash(0)),
        }
    }

    fn change(&mut self, item: &Item, wanted: &Value, owner: Owner<'_>) -> Option<()> {
        if item.value == *wanted {
            return Some(());
        }
        match (&item.shape, wanted) {
            (Shape::Map { is_flow, entries }, Value::Object(wanted_entries)) if !wanted_entries.is_empty() => {
                let stays = entries.iter().any(|entry| wanted_entries.contains_key(&entry.name));
                match (stays, is_flow) {
                    (true, true) => self.flow_map(entries, wanted_entries),
                    (true, false) => self.map(entries, wanted_entries),
                    (false, _) => self.replace(item, wanted, owner),
                }
            }
            (Shape::List { is_flow, items }, Value::Array(wanted_items)) => {
                let Some(pairs) = pairs(items, wanted_items) else { return self.replace(item, wanted, owner) };
                let stays = pairs.iter().any(Option::is_some);
                match (stays, is_flow) {
                    (true, true) => self.flow_list(items, wanted_items, &pairs),
                    (true, false) => self.list(items, wanted_items, &pairs),
                    (false, _) if wanted_items.is_empty() => self.empty_list(item, items, *is_flow, owner),
                    (false, _) => self.replace(item, wanted, owner),
                }
            }
            _ => self.replace(item, wanted, owner),
        }
    }

    // Block style.

    fn map(&mut self, entries: &[Entry], wanted: &Map<String, Value>) -> Option<()> {
        let first = entries.first()?;
        let column = first.key.start - line_start(self.text, first.key.start);
        let kept = entries.iter().position(|entry| wanted.contains_key(&entry.name))?;
        let mut rest = entries;
        if kept > 0 && !begins_line(self.text, first.key.start) {
            // The dash of a list item stands before the first key.
            self.splices.delete(first.key.start..entries.get(kept)?.key.start);
            rest = entries.get(kept..)?;
        }
        for entry in rest {
            match wanted.get(&entry.name) {
                Some(value) => self.change(&entry.item, value, Owner::Key(entry, column))?,
                None => {
                    let region = self.entry_region(entry)?;
                    self.splices.delete(region);
                }
            }
        }
        let mut after = None;
        for (name, value) in wanted {
            match entries.iter().find(|entry| entry.name == *name) {
                Some(known) => after = Some(known),
                None => {
                    let after = after.or_else(|| entries.iter().rfind(|entry| wanted.contains_key(&entry.name)))?;
                    let at = with_comments_below(self.text, after.end(), column);
                    self.splices.insert_lines(at, &yaml_print::entry(name, value, column));
                }
            }
        }
        Some(())
    }

    /// The lines of an entry with its comments.
    fn entry_region(&self, entry: &Entry) -> Option<Range<usize>> {
        if !begins_line(self.text, entry.key.start) {
            return None;
        }
        let column = entry.key.start - line_start(self.text, entry.key.start);
        let start = with_comments_above(self.text, entry.key.start);
        let end = with_comments_below(self.text, entry.end(), column);
        Some(with_blank_line(self.text, start..end))
    }

    fn list(&mut self, items: &[Item], wanted: &[Value], pairs: &[Option<usize>]) -> Option<()> {
        let dashes: Option<Vec<usize>> = items.iter().map(|item| self.dash(item)).collect();
        let dashes = dashes?;
        let column = dashes.first().map(|dash| dash - line_start(self.text, *dash))?;
        for (index, (item, dash)) in items.iter().zip(&dashes).enumerate() {
            match pairs.iter().position(|pair| *pair == Some(index)).and_then(|at| wanted.get(at)) {
                Some(value) => self.change(item, value, Owner::Dash(column))?,
                None => {
                    let region = self.item_region(item, *dash, column);
                    self.splices.delete(with_blank_line(self.text, region));
                }
            }
        }
        let mut after: Option<usize> = None;
        for (value, pair) in wanted.iter().zip(pairs) {
            match pair {
                Some(index) => after = Some(*index),
                None => {
                    let text = yaml_print::item(value, column);
                    let region = |index: usize| Some(self.item_region(items.get(index)?, *dashes.get(index)?, column));
                    match after {
                        Some(index) => {
                            let blank = if self.has_blank_line(index, &region) { "\n" } else { "" };
                            self.splices.insert_lines(region(index)?.end, &format!("{blank}{text}"));
                        }
                        None => self.splices.insert_lines(region(0)?.start, &text),
                    }
                }
            }
        }
        Some(())
    }

    fn item_region(&self, item: &Item, dash: usize, column: usize) -> Range<usize> {
        with_comments_above(self.text, dash)..with_comments_below(self.text, item.end(), column)
    }

    /// Are the items before and at `index` separated by a blank line?
    fn has_blank_line(&self, index: usize, region: &impl Fn(usize) -> Option<Range<usize>>) -> bool {
        let Some((before, here)) = index.checked_sub(1).and_then(|before| Some((region(before)?, region(index)?)))
        else {
            return false;
        };
        self.text.get(before.end..here.start).is_some_and(|between| between.lines().any(is_blank))
    }

    /// The dash before an item, which must be the first of its line.
    fn dash(&self, item: &Item) -> Option<usize> {
        let before = self.text.get(..item.range.start)?.trim_end_matches(' ');
        let dash = before.len().checked_sub(1)?;
        (before.ends_with('-') && begins_line(self.text, dash)).then_some(dash)
    }

    fn empty_list(&mut self, item: &Item, items: &[Item], is_flow: bool, owner: Owner<'_>) -> Option<()> {
        let Owner::Key(entry, _) = owner else { return self.replace(item, &Value::Array(Vec::new()), owner) };
        if is_flow {
            return self.replace(item, &Value::Array(Vec::new()), owner);
        }
        for item in items {
            let dash = self.dash(item)?;
            let region = self.item_region(item, dash, dash - line_start(self.text, dash));
            self.splices.delete(region);
        }
        self.splices.replace(entry.colon_end..entry.colon_end, " []");
        Some(())
    }

    fn replace(&mut self, item: &Item, wanted: &Value, owner: Owner<'_>) -> Option<()> {
        let old = self.text.get(item.range.clone())?;
        let is_scalar = !matches!(wanted, Value::Array(items) if !items.is_empty())
            && !matches!(wanted, Value::Object(entries) if !entries.is_empty());
        match owner {
            Owner::Flow(entry) => {
                let space = if entry.is_some() && item.range.is_empty() { " " } else { "" };
                self.splices.replace(item.range.clone(), format!("{space}{}", yaml_print::flow(wanted)));
            }
            Owner::Key(entry, _) if is_scalar => {
                self.splices.replace(entry.colon_end..entry.end(), format!(" {}", yaml_print::scalar(wanted, old)));
            }
            Owner::Key(entry, column) => {
                let column = if wanted.is_array() { self.list_column(column) } else { column + 2 };
                self.splices.delete(entry.colon_end..entry.end());
                let at = next_line(self.text, entry.end());
                self.splices.insert_lines(at, &yaml_print::block(wanted, column));
            }
            Owner::Dash(_) if is_scalar => {
                self.splices.replace(item.range.start..item.end(), yaml_print::scalar(wanted, old));
            }
            Owner::Dash(column) => {
                let text = yaml_print::block(wanted, column + 2);
                self.splices.replace(item.range.start..item.end(), text.trim());
            }
        }
        Some(())
    }

    /// Some indent lists below their key, some do not: as the first list of the file does.
    fn list_column(&self, column: usize) -> usize {
        let mut lines = self.text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(next) = lines.peek().filter(|next| next.trim_start().starts_with("- ")) else { continue };
            if line.trim_end().ends_with(':') && !line.trim_start().starts_with(['-', '#']) {
                return column + indent_of(next).saturating_sub(indent_of(line));
            }
        }
        column + 2
    }

    // Flow style.

    fn flow_map(&mut self, entries: &[Entry], wanted: &Map<String, Value>) -> Option<()> {
        let is_kept: Vec<bool> = entries.iter().map(|entry| wanted.contains_key(&entry.name)).collect();
        let ranges: Vec<Range<usize>> = entries.iter().map(|entry| entry.key.start..entry.end()).collect();
        for entry in entries {
            if let Some(value) = wanted.get(&entry.name) {
                self.change(&entry.item, value, Owner::Flow(Some(entry)))?;
            }
        }
        let new = wanted.iter().filter(|(name, _)| !entries.iter().any(|entry| entry.name == **name));
        let new: Vec<String> = new.map(|(name, value)| yaml_print::flow_entry(name, value)).collect();
        self.flow(&ranges, &is_kept, &new)
    }

    fn flow_list(&mut self, items: &[Item], wanted: &[Value], pairs: &[Option<usize>]) -> Option<()> {
        let is_kept: Vec<bool> = (0..items.len()).map(|index| pairs.contains(&Some(index))).collect();
        let ranges: Vec<Range<usize>> = items.iter().map(|item| item.range.start..item.end()).collect();
        let mut new = Vec::new();
        for (value, pair) in wanted.iter().zip(pairs) {
            match pair {
                Some(index) => self.change(items.get(*index)?, value, Owner::Flow(None))?,
                None => new.push(yaml_print::flow(value)),
            }
        }
        self.flow(&ranges, &is_kept, &new)
    }

    /// Deletes members with their commas, and adds new ones behind the last that stays.
    fn flow(&mut self, ranges: &[Range<usize>], is_kept: &[bool], new: &[String]) -> Option<()> {
        let first = is_kept.iter().position(|kept| *kept)?;
        let last = is_kept.iter().rposition(|kept| *kept)?;
        if first > 0 {
            self.splices.delete(ranges.first()?.start..ranges.get(first)?.start);
        }
        for (index, pair) in ranges.windows(2).enumerate().skip(first) {
            if let ([before, here], Some(false)) = (pair, is_kept.get(index + 1)) {
                self.splices.delete(before.end..here.end);
            }
        }
        if !new.is_empty() {
            let at = ranges.get(last)?.end;
            self.splices.replace(at..at, format!(", {}", new.join(", ")));
        }
        Some(())
    }
}

/// Which old item each new one is, `None` for one that is added; nothing at all if their order has changed.
fn pairs(items: &[Item], wanted: &[Value]) -> Option<Vec<Option<usize>>> {
    let mut is_used = vec![false; items.len()];
    let mut pairs = Vec::with_capacity(wanted.len());
    for value in wanted {
        let mut candidates = items.iter().enumerate().filter(|(index, _)| is_used.get(*index) == Some(&false));
        let found = candidates.find(|(_, item)| is_same(&item.value, value)).map(|(index, _)| index);
        if let Some(used) = found.and_then(|index| is_used.get_mut(index)) {
            *used = true;
        }
        pairs.push(found);
    }
    let known: Vec<usize> = pairs.iter().copied().flatten().collect();
    known.is_sorted().then_some(pairs)
}

/// Do both stand for the same thing, whatever else they say?
pub(crate) fn is_same(one: &Value, other: &Value) -> bool {
    match (identity(one), identity(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// The name by which metadata identifies an item of a list.
fn identity(value: &Value) -> Option<(&'static str, &Value)> {
    const KEYS: [&str; 5] = ["name", "role", "role_name", "value", "collection"];
    KEYS.iter().find_map(|key| Some((*key, value.get(*key).filter(|name| name.is_string())?)))
}
