//! Adds actions to the texts of `actions.yaml` and `actions.graphql`: what is there stays as it is, comments and formatting
//! included.

use std::sync::Arc;

use serde_json::Value;

use crate::config::yaml::{Data, Node, parse};
use crate::model::source::{Diagnostic, Source, SourceLocation};

/// The text of `actions.yaml` with more items at the end of `actions`. `items` gives them indented by so many spaces.
///
/// # Errors
/// Why nothing can be added: the file is not YAML, or `actions` is not a list in block style.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use pillion::config::append::with_items;
/// use pillion::model::source::Source;
///
/// let source = Arc::new(Source::new("actions.yaml", "actions:\n  - name: a # mine\n\ncustom_types: {}\n"));
/// let text = with_items(&source, |indent| format!("{}- name: b\n", " ".repeat(indent))).unwrap();
/// assert_eq!(text, "actions:\n  - name: a # mine\n  - name: b\n\ncustom_types: {}\n");
/// ```
pub fn with_items(source: &Arc<Source>, items: impl Fn(usize) -> String) -> Result<String, Diagnostic> {
    let root = parse(source)?;
    let (line, indent, drops_brackets) = insertion(source, &root)?;
    let added = items(indent);
    let newline = if source.text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut text = String::with_capacity(source.text.len() + added.len());
    if line == NEW_LIST {
        text.push_str(&source.text);
        end_line(&mut text, newline);
        text.push_str(&format!("actions:\n{added}").replace('\n', newline));
    } else {
        for (index, existing) in source.text.split_inclusive('\n').enumerate() {
            if index == line {
                text.push_str(&added.replace('\n', newline));
            }
            let is_key = drops_brackets && index + 1 == line;
            text.push_str(&if is_key { without_brackets(existing) } else { existing.to_owned() });
        }
        if source.text.split_inclusive('\n').count() <= line {
            end_line(&mut text, newline);
            text.push_str(&added.replace('\n', newline));
        }
    }
    check(source, &root, text, &items(0))
}

/// The text of `actions.graphql` with more definitions at its end.
#[must_use]
pub fn with_definitions(text: &str, definitions: &str) -> String {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut whole = text.to_owned();
    end_line(&mut whole, newline);
    if !whole.is_empty() {
        whole.push_str(newline);
    }
    whole + &definitions.replace('\n', newline)
}

fn end_line(text: &mut String, newline: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(newline);
    }
}

/// There is no `actions` yet.
const NEW_LIST: usize = usize::MAX;

/// Spaces before the items of a new list.
const INDENT: usize = 2;

/// Before which line the items go (from 0), how they are indented, and whether `[]` goes from the line before them.
fn insertion(source: &Arc<Source>, root: &Node) -> Result<(usize, usize, bool), Diagnostic> {
    let reject =
        |place: &SourceLocation, message: &str, help: &str| Err(Diagnostic::error(Some(place.clone()), message, help));
    let entries = match &root.data {
        Data::Null => return Ok((NEW_LIST, INDENT, false)),
        Data::Map(entries) => entries,
        _ => return reject(&root.place, "the file must hold a mapping", "write actions: and a list"),
    };
    let Some(at) = entries.iter().position(|(key, ..)| key == "actions") else {
        let is_block = entries.first().is_none_or(|(_, place, _)| place.column == 1);
        let help = "write the file in block style: a key on each line";
        return if is_block {
            Ok((NEW_LIST, INDENT, false))
        } else {
            reject(&root.place, "nothing can be added to this", help)
        };
    };
    let Some((_, key, list)) = entries.get(at) else { return Ok((NEW_LIST, INDENT, false)) };
    let help = "write the list in block style: - name: … on a line of its own";
    let items = match &list.data {
        Data::Null => return Ok((key.line, INDENT, false)),
        Data::List(items) => items,
        _ => return reject(&list.place, "\"actions\" must be a list", help),
    };
    let line_of = |place: &SourceLocation| source.text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
    let Some(first) = items.first() else {
        let is_simple = list.place.line == key.line && line_of(key).contains("[]");
        return if is_simple {
            Ok((key.line, INDENT, true))
        } else {
            reject(&list.place, "nothing can be added to this list", help)
        };
    };
    let before: String = line_of(&first.place).chars().take(first.place.column.saturating_sub(1)).collect();
    let (indent, dash) = before.split_at(before.len() - before.trim_start_matches(' ').len());
    if dash.trim_end() != "-" {
        return reject(&list.place, "nothing can be added to this list", help);
    }
    let end = entries.get(at + 1).map_or(usize::MAX, |(_, next, _)| next.line.saturating_sub(1));
    let lines = source.text.lines().enumerate().take(end);
    let is_of_list = |line: &str| !line.trim().is_empty() && !line.starts_with('#') && line.trim_end() != "...";
    let last = lines.filter(|(_, line)| is_of_list(line)).last().map_or(0, |(index, _)| index);
    Ok((last + 1, indent.len(), false))
}

fn without_brackets(line: &str) -> String {
    let line = line.replacen("[]", "", 1);
    let end = line.len() - line.trim_start_matches(|character| character != '\n' && character != '\r').len();
    let (line, newline) = line.split_at(end);
    format!("{}{newline}", line.trim_end())
}

/// What was written is read as what was there and what was added.
fn check(source: &Arc<Source>, before: &Node, text: String, added: &str) -> Result<String, Diagnostic> {
    let parsed = |text: &str| parse(&Arc::new(Source::new(source.name.clone(), text))).ok().map(|node| node.to_json());
    let mut wanted = before.to_json().as_object().cloned().unwrap_or_default();
    let mut all = wanted.get("actions").and_then(Value::as_array).cloned().unwrap_or_default();
    all.extend(parsed(added).and_then(|added| added.as_array().cloned()).unwrap_or_default());
    wanted.insert("actions".to_owned(), all.into());
    if parsed(&text) == Some(Value::Object(wanted)) {
        return Ok(text);
    }
    let help = "write the list in block style, with its items indented alike";
    Err(Diagnostic::error(Some(before.place.clone()), "nothing can be added to this file without changing it", help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(text: &str) -> Result<String, String> {
        let items = |indent: usize| format!("{0}- name: b\n{0}  x: 1\n", " ".repeat(indent));
        with_items(&Arc::new(Source::new("a.yaml", text)), items).map_err(|error| error.message)
    }

    #[test]
    fn items_are_added_and_everything_else_stays() {
        for (text, wanted) in [
            ("", "actions:\n  - name: b\n    x: 1\n"),
            ("# ours", "# ours\nactions:\n  - name: b\n    x: 1\n"),
            ("actions:\nother: 1\n", "actions:\n  - name: b\n    x: 1\nother: 1\n"),
            ("actions: [] # none\nother: 1", "actions:  # none\n  - name: b\n    x: 1\nother: 1"),
            ("actions: []", "actions:\n  - name: b\n    x: 1\n"),
            ("other: {a: b}\n", "other: {a: b}\nactions:\n  - name: b\n    x: 1\n"),
            ("actions:\n- name: a # x", "actions:\n- name: a # x\n- name: b\n  x: 1\n"),
            (
                "actions:\r\n    - name: a\r\n\r\n# next\r\nz: 1\r\n",
                "actions:\r\n    - name: a\r\n    - name: b\r\n      x: 1\r\n\r\n# next\r\nz: 1\r\n",
            ),
            (
                "actions:\n  - name: a\n    text: |\n      one\n\n      two\n    # its end\n",
                "actions:\n  - name: a\n    text: |\n      one\n\n      two\n    # its end\n  - name: b\n    x: 1\n",
            ),
        ] {
            assert_eq!(added(text).as_deref(), Ok(wanted), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_added_to_is_rejected() {
        for text in
            ["actions: [{name: a}]", "{actions: []}", "{a: 1}", "[]", "actions: 1", "actions:\n  [\n  ]", "actions: ["]
        {
            assert!(added(text).is_err(), "{text:?}: {:?}", added(text));
        }
    }

    #[test]
    fn definitions_follow_after_an_empty_line() {
        assert_eq!(with_definitions("", "type A\n"), "type A\n");
        assert_eq!(with_definitions("scalar B", "type A\n"), "scalar B\n\ntype A\n");
        assert_eq!(with_definitions("scalar B\r\n", "type A\n"), "scalar B\r\n\r\ntype A\r\n");
    }
}
