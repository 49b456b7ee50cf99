//! Renames an action everywhere: in `actions.yaml`, in its signature, and in `pillion.yaml` where it has settings or
//! resolves fields.

use std::ops::Range;

use serde_json::Value;

use crate::config::yaml::parse;
use crate::edits::FileEdit;
use crate::edits::files::{ActionFiles, Edit, TextFile};
use crate::edits::lines::Splices;
use crate::edits::yaml_print;
use crate::edits::yaml_tree::{Item, tree};
use crate::model::source::{Diagnostic, SourceLocation};

/// The files in which the action has its new name.
///
/// # Errors
/// There is no such action, the new name is taken or cannot be one, or the files cannot be edited.
pub fn rename(files: &ActionFiles, name: &str, new: &str) -> Result<Vec<FileEdit>, Vec<Diagnostic>> {
    let mut edit = Edit::new(files)?;
    edit.check_new_name(name, new).map_err(|error| vec![error])?;
    let mut edits = Vec::new();
    for file in &files.yaml {
        edits.extend(renamed(file, new, |root| names_in_metadata(root, name))?);
    }
    if let Some(file) = &files.config {
        edits.extend(renamed(file, new, |root| names_in_config(&file.source.text, root, name))?);
    }
    for editor in &mut edit.sdl {
        editor.rename_root_field(name, new);
    }
    edits.extend(edit.finish()?);
    Ok(edits)
}

/// A file in which the new name stands at these places.
fn renamed(
    file: &TextFile,
    new: &str,
    find: impl Fn(&Item) -> Vec<Range<usize>>,
) -> Result<Option<FileEdit>, Vec<Diagnostic>> {
    let text = &file.source.text;
    let node = parse(&file.source).map_err(|diagnostic| vec![diagnostic])?;
    let after = tree(text, &node).and_then(|root| {
        let mut splices = Splices::new(text);
        for range in find(&root) {
            let old = text.get(range.clone())?;
            splices.replace(range, yaml_print::scalar(&Value::from(new), old));
        }
        splices.applied()
    });
    let after = after.ok_or_else(|| {
        let place = Some(SourceLocation::new(&file.source, 1, 1));
        let help = "write it in block style: each key and each list item on a line of its own";
        vec![Diagnostic::error(place, "this file cannot be edited in place", help)]
    })?;
    Ok(file.edited(after))
}

fn names_in_metadata(root: &Item, name: &str) -> Vec<Range<usize>> {
    let actions = root.get("actions").map(Item::items).unwrap_or_default();
    let names = actions.iter().filter_map(|action| action.get("name"));
    names.filter(|item| item.value == *name).map(|item| item.range.clone()).collect()
}

/// The key of its settings, and its calls in `fields`, which begin with the action's name.
fn names_in_config(text: &str, root: &Item, name: &str) -> Vec<Range<usize>> {
    let settings = root.get("actions").and_then(|actions| actions.entry(name)).map(|entry| entry.key.clone());
    let fields = root.get("fields").map(Item::entries).unwrap_or_default().iter();
    let calls = fields.map(|field| field.item.get("call").unwrap_or(&field.item));
    let calls = calls.filter_map(|call| {
        let written = text.get(call.range.clone())?;
        let start = written.len() - written.trim_start_matches(['"', '\'', ' ']).len();
        let rest = written.get(start..)?.strip_prefix(name)?;
        let is_whole = !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        is_whole.then(|| call.range.start + start..call.range.start + start + name.len())
    });
    settings.into_iter().chain(calls).collect()
}
