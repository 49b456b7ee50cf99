//! Removes an action with its settings and with the types that only it used.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::config::document::LISTS;
use crate::edits::FileEdit;
use crate::edits::files::{ActionFiles, Edit, name_of};
use crate::model::source::Diagnostic;

/// The files without an action, and the names of the types that went with it.
///
/// # Errors
/// There is no such action, or the files cannot be edited.
pub fn remove(
    files: &ActionFiles,
    name: &str,
    keeps_types: bool,
) -> Result<(Vec<FileEdit>, Vec<String>), Vec<Diagnostic>> {
    let mut edit = Edit::new(files)?;
    if !edit.action_names().contains(name) {
        return Err(vec![edit.no_such_action(name)]);
    }
    let types = if keeps_types { BTreeSet::new() } else { own_types(&edit, name) };
    for file in &mut edit.yaml {
        if let Some(actions) = file.get_mut("actions").and_then(Value::as_array_mut) {
            actions.retain(|action| name_of(action) != Some(name));
        }
        for kind in LISTS {
            if let Some(list) = file.pointer_mut(&format!("/custom_types/{}", kind.key())).and_then(Value::as_array_mut)
            {
                list.retain(|entry| name_of(entry).is_none_or(|name| !types.contains(name)));
            }
        }
    }
    for editor in &mut edit.sdl {
        editor.remove_root_field(name);
        types.iter().for_each(|name| editor.remove_definition(name));
    }
    if let Some(config) = &mut edit.config {
        remove_settings(config, name, &types);
    }
    Ok((edit.finish()?, types.into_iter().collect()))
}

/// The defined types that this action reaches and no other one.
fn own_types(edit: &Edit<'_>, name: &str) -> BTreeSet<String> {
    let fields = || {
        let blocks = edit.sdl.iter().flat_map(|editor| &editor.blocks).filter(|block| block.root.is_some());
        blocks.flat_map(|block| &block.members)
    };
    let of_action = reachable(edit, fields().filter(|field| field.name == name).flat_map(|field| &field.uses));
    let of_others = reachable(edit, fields().filter(|field| field.name != name).flat_map(|field| &field.uses));
    of_action.difference(&of_others).cloned().collect()
}

fn reachable<'e>(edit: &'e Edit<'_>, names: impl Iterator<Item = &'e String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&String> = names.collect();
    while let Some(name) = next.pop() {
        let Some(block) = edit.sdl.iter().find_map(|editor| editor.definition(name)) else { continue };
        if found.insert(name.clone()) {
            next.extend(&block.uses);
        }
    }
    found
}

/// Settings of an action that is not there, and relationships of a type that is not, would be errors.
fn remove_settings(config: &mut Value, name: &str, types: &BTreeSet<String>) {
    let Some(settings) = config.as_object_mut() else { return };
    let is_of_type = |key: &str| key.split_once('.').is_some_and(|(owner, _)| types.contains(owner));
    for (section, is_gone) in
        [("actions", &(|key: &str| key == name) as &dyn Fn(&str) -> bool), ("relationships", &is_of_type)]
    {
        let Some(entries) = settings.get_mut(section).and_then(Value::as_object_mut) else { continue };
        let count = entries.len();
        entries.retain(|key, _| !is_gone(key));
        if entries.is_empty() && count > 0 {
            settings.shift_remove(section);
        }
    }
}
