//! Brings metadata files to another document of the metadata API: what differs between the document before and after is
//! edited, everything else in the files stays, comments and formatting included.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::config::document::{Document, LISTS};
use crate::config::json_nodes::list;
use crate::config::print::{actions_graphql, actions_yaml};
use crate::config::sdl::{self, Signatures};
use crate::config::yaml::parse;
use crate::edits::files::name_of;
use crate::edits::sdl::SdlEditor;
use crate::edits::sdl_tree::{Block, blocks};
use crate::edits::yaml::{is_same, reconcile};
use crate::model::action::OperationKind;
use crate::model::source::Source;
use crate::model::types::Types;

/// `actions.yaml` and `actions.graphql`.
#[derive(Clone, Debug)]
pub struct MetadataTexts {
    /// The YAML.
    pub yaml: Arc<Source>,
    /// The SDL.
    pub graphql: Arc<Source>,
}

/// The texts of both files for `after`, if they can be edited to it; they hold `before`. `types` are those that `after` makes.
#[must_use]
pub fn edited(files: &MetadataTexts, before: &Document, after: &Document, types: &Types) -> Option<(String, String)> {
    let yaml = edited_yaml(&files.yaml, before, after)?;
    let graphql = edited_graphql(&files.graphql.text, before, after, types)?;
    is_read_as(&yaml, &graphql, after, types).then_some((yaml, graphql))
}

/// The order of actions and types has no meaning.
fn is_read_as(yaml: &str, graphql: &str, wanted: &Document, types: &Types) -> bool {
    let Ok(node) = parse(&Arc::new(Source::new("actions.yaml", yaml))) else { return false };
    let (mut signatures, source) = (Signatures::default(), Arc::new(Source::new("actions.graphql", graphql)));
    if !sdl::read(&source, &mut signatures, &mut Vec::new()) {
        return false;
    }
    let read =
        Document { inherited_roles: wanted.inherited_roles.clone(), ..Document::of_files(&[node], None, &signatures) };
    let printed = |document: &Document| {
        let sorted = sorted(document);
        // As a value: the order of keys has no meaning either.
        let yaml = parse(&Arc::new(Source::new("", actions_yaml(&sorted)))).ok().map(|node| node.to_json());
        (yaml, actions_graphql(&sorted, types))
    };
    printed(&read) == printed(wanted)
}

fn sorted(document: &Document) -> Document {
    let by_name = |values: &[Value]| {
        let mut values = values.to_vec();
        values.sort_by(|one, other| name_of(one).cmp(&name_of(other)));
        values
    };
    let types = LISTS.iter().map(|kind| (kind.key().to_owned(), by_name(document.list(*kind)).into()));
    Document { actions: by_name(&document.actions), custom_types: types.collect(), ..Document::default() }
}

// YAML.

fn edited_yaml(file: &Arc<Source>, before: &Document, after: &Document) -> Option<String> {
    let printed = |document: &Document| Some(parse(&Arc::new(Source::new("", actions_yaml(document)))).ok()?.to_json());
    let (old, new) = (printed(before)?, printed(after)?);
    let mut wanted = match parse(file).ok()?.to_json() {
        Value::Object(members) => members,
        Value::Null => Map::new(),
        _ => return None,
    };
    let known = wanted.get("actions").map(list).unwrap_or_default();
    let actions = merged_list(known, member(&old, "actions"), member(&new, "actions"));
    if !actions.is_empty() || wanted.contains_key("actions") {
        wanted.insert("actions".to_owned(), actions.into());
    }
    let has_types = wanted.contains_key("custom_types");
    let mut types = wanted.get("custom_types").and_then(Value::as_object).cloned().unwrap_or_default();
    for kind in LISTS {
        let key = kind.key();
        let of = |document| Some(member(Value::get(document, "custom_types")?, key));
        let (old, new) = (of(&old).unwrap_or_default(), of(&new).unwrap_or_default());
        let known = types.get(key).filter(|known| known.is_array());
        let mut merged = merged_list(known.map(list).unwrap_or_default(), old, new);
        if !has_types {
            // A name alone is in actions.graphql already.
            merged.retain(|entry| entry.as_object().is_none_or(|entry| entry.len() > 1));
        }
        if known.is_some() || !merged.is_empty() {
            types.insert(key.to_owned(), merged.into());
        }
    }
    if !types.is_empty() {
        wanted.insert("custom_types".to_owned(), types.into());
    }
    reconcile(file, &wanted.into()).ok()
}

fn member<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).map(list).unwrap_or_default()
}

/// The file's list after the change from `old` to `new`.
fn merged_list(file: &[Value], old: &[Value], new: &[Value]) -> Vec<Value> {
    let find = |values: &[Value], wanted: &Value| values.iter().find(|value| is_same(value, wanted)).cloned();
    let mut merged = Vec::new();
    for item in file {
        match (find(old, item), find(new, item)) {
            (old, Some(new)) => merged.push(merged_value(item, old.as_ref(), &new)),
            // The document does not have it.
            (None, None) => merged.push(item.clone()),
            (Some(_), None) => {}
        }
    }
    // What is in the document and not in the file stands in the other file.
    let is_new = |item: &&Value| find(file, item).is_none() && find(old, item).as_ref() != Some(*item);
    merged.extend(new.iter().filter(is_new).cloned());
    merged
}

/// The file's value after the change from `old` to `new`. The depth is that of metadata.
fn merged_value(file: &Value, old: Option<&Value>, new: &Value) -> Value {
    match (file, old, new) {
        (file, Some(old), new) if old == new => file.clone(),
        (Value::Object(file), Some(Value::Object(old)), Value::Object(new)) => {
            let mut merged = Map::new();
            for (key, value) in file {
                match (old.get(key), new.get(key)) {
                    (old, Some(new)) => merged.insert(key.clone(), merged_value(value, old, new)),
                    (None, None) => merged.insert(key.clone(), value.clone()),
                    (Some(_), None) => None,
                };
            }
            for (key, value) in new {
                if !merged.contains_key(key) && old.get(key) != Some(value) {
                    merged.insert(key.clone(), value.clone());
                }
            }
            merged.into()
        }
        (Value::Array(file), Some(Value::Array(old)), Value::Array(new)) if new.iter().all(Value::is_object) => {
            merged_list(file, old, new).into()
        }
        _ => new.clone(),
    }
}

// SDL.

/// Definitions or fields as they are printed, in that order.
type Printed<'t> = IndexMap<&'t str, (Option<OperationKind>, &'t str, &'t Block)>;

fn edited_graphql(file: &str, before: &Document, after: &Document, types: &Types) -> Option<String> {
    let (old_text, new_text) = (actions_graphql(before, types), actions_graphql(after, types));
    let (old, new) = (blocks(&old_text)?, blocks(&new_text)?);
    let mut editor = SdlEditor::new(file)?;
    let (old_fields, new_fields) = (fields(&old_text, &old)?, fields(&new_text, &new)?);
    let undescribed = undescribed(before, after);
    for name in old_fields.keys().filter(|name| !new_fields.contains_key(*name)) {
        editor.remove_root_field(name);
    }
    for (name, (kind, text, _)) in &new_fields {
        let is_equal = old_fields.get(name).is_some_and(|(old_kind, old, _)| old_kind == kind && old == text);
        let known = editor.root_field(name).map(|(block, member)| (block.root, member.range.clone()));
        match known {
            Some(_) if is_equal && !undescribed.contains(*name) => {}
            Some((root, range)) if root == *kind => editor.replace(range, text),
            _ if is_equal && known.is_none() => {}
            _ => {
                editor.remove_root_field(name);
                editor.add_root_field((*kind)?, text);
            }
        }
    }
    let (old_types, new_types) = (definitions(&old_text, &old)?, definitions(&new_text, &new)?);
    for name in old_types.keys().filter(|name| !new_types.contains_key(*name)) {
        editor.remove_definition(name);
    }
    for (name, (_, text, block)) in &new_types {
        let old = old_types.get(name);
        if old.is_some_and(|(_, old, _)| old == text) && !undescribed.contains(*name) {
            continue;
        }
        match (editor.definition(name).map(|known| known.range.clone()), old) {
            (Some(_), Some((_, _, old)))
                if !undescribed.contains(*name) && is_alike((&old_text, old), (&new_text, block)) =>
            {
                edit_members(&mut editor, name, (&old_text, old), (&new_text, block))?;
            }
            (Some(range), _) => editor.replace(range, text),
            (None, _) => editor.append(text),
        }
    }
    editor.finish()
}

/// Actions and types that have no description any more: the SDL may hold it.
fn undescribed(before: &Document, after: &Document) -> BTreeSet<String> {
    let described = |document: &Document| {
        let actions = document.actions.iter().filter(|action| action["comment"].is_string());
        let types = LISTS.iter().flat_map(|kind| document.list(*kind)).filter(|entry| entry["description"].is_string());
        actions.chain(types).filter_map(name_of).map(str::to_owned).collect::<BTreeSet<String>>()
    };
    described(before).difference(&described(after)).cloned().collect()
}

fn fields<'t>(text: &'t str, blocks: &'t [Block]) -> Option<Printed<'t>> {
    let mut fields = Printed::new();
    for block in blocks.iter().filter(|block| block.root.is_some()) {
        for member in &block.members {
            fields.insert(&member.name, (block.root, with_indent(text, member.range.start, member.range.end)?, block));
        }
    }
    Some(fields)
}

fn definitions<'t>(text: &'t str, blocks: &'t [Block]) -> Option<Printed<'t>> {
    let types = blocks.iter().filter(|block| block.root.is_none());
    types.map(|block| Some((block.name.as_str(), (None, text.get(block.range.clone())?, block)))).collect()
}

/// From the start of the line, so that its indentation is known.
fn with_indent(text: &str, start: usize, end: usize) -> Option<&str> {
    let line = text.get(..start)?.rfind('\n').map_or(0, |newline| newline + 1);
    text.get(line..end)
}

/// Do they differ in their members only?
fn is_alike((old_text, old): (&str, &Block), (new_text, new): (&str, &Block)) -> bool {
    let head = |text: &str, block: &Block| text.get(block.head.clone()).map(|head| head.trim().to_owned());
    let stays = old.members.iter().any(|member| new.member(&member.name).is_some());
    stays && head(old_text, old) == head(new_text, new)
}

fn edit_members(
    editor: &mut SdlEditor<'_>,
    name: &str,
    (old_text, old): (&str, &Block),
    (new_text, new): (&str, &Block),
) -> Option<()> {
    for member in old.members.iter().filter(|member| new.member(&member.name).is_none()) {
        let range = editor.definition(name)?.member(&member.name)?.range.clone();
        editor.remove(range);
    }
    let mut after = None;
    for member in &new.members {
        let text = with_indent(new_text, member.range.start, member.range.end)?;
        let old = old.member(&member.name).and_then(|old| with_indent(old_text, old.range.start, old.range.end));
        match editor.definition(name)?.member(&member.name).map(|known| known.range.clone()) {
            Some(range) => {
                after = Some(member.name.as_str());
                if old != Some(text) {
                    editor.replace(range, text);
                }
            }
            None => editor.add_member(name, after, text),
        }
    }
    Some(())
}
