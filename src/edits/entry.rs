//! Changes keys of an action's entry in `actions.yaml`, duplicates an action, and changes entries of the mappings in
//! `pillion.yaml`.

use serde_json::{Map, Value, json};

use crate::edits::FileEdit;
use crate::edits::files::{ActionFiles, Edit, name_of};
use crate::edits::lines::{is_blank, line_start};
use crate::model::source::Diagnostic;

/// Keys of an action's entry that stand beside its `definition`.
const OUTER: [&str; 2] = ["comment", "permissions"];

/// The files after these keys of an action have these values; `null` removes a key. A header that is to keep its value is
/// `{"name": …, "keep": true}`.
///
/// # Errors
/// There is no such action, or the files cannot be edited.
pub fn set(files: &ActionFiles, name: &str, keys: &Map<String, Value>) -> Result<Vec<FileEdit>, Vec<Diagnostic>> {
    let mut edit = Edit::new(files)?;
    let missing = edit.no_such_action(name);
    let entry = edit.action_mut(name).and_then(Value::as_object_mut).ok_or_else(|| vec![missing])?;
    for (key, value) in keys {
        if OUTER.contains(&key.as_str()) {
            put(entry, key, value.clone());
            continue;
        }
        let definition = entry.entry("definition").or_insert_with(|| json!({}));
        let Some(definition) = definition.as_object_mut() else { continue };
        let value = if key == "headers" { with_kept(value, definition.get("headers"))? } else { value.clone() };
        put(definition, key, value);
    }
    edit.finish()
}

fn put(entry: &mut Map<String, Value>, key: &str, value: Value) {
    let is_nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    if is_nothing {
        entry.shift_remove(key);
    } else {
        entry.insert(key.to_owned(), value);
    }
}

/// The headers with the values of those that keep theirs: a value that is never shown cannot come back.
fn with_kept(headers: &Value, known: Option<&Value>) -> Result<Value, Vec<Diagnostic>> {
    let known = known.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let kept = |header: &Value| {
        if header["keep"] != true {
            return Ok(header.clone());
        }
        let name = name_of(header).unwrap_or_default();
        let is_it = |known: &&Value| name_of(known).is_some_and(|known| known.eq_ignore_ascii_case(name));
        known.iter().find(is_it).cloned().ok_or_else(|| {
            let message = format!("there is no header \"{name}\" whose value could stay");
            vec![Diagnostic::error(None, message, "give it a value")]
        })
    };
    headers.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(kept).collect()
}

/// The files with a second action `new` that is like `name`, with the same types.
///
/// # Errors
/// There is no such action, the new name is taken, or the files cannot be edited.
pub fn duplicate(files: &ActionFiles, name: &str, new: &str) -> Result<Vec<FileEdit>, Vec<Diagnostic>> {
    let mut edit = Edit::new(files)?;
    edit.check_new_name(name, new).map_err(|error| vec![error])?;
    for actions in edit.yaml.iter_mut().filter_map(|file| file.get_mut("actions")?.as_array_mut()) {
        if let Some(index) = actions.iter().position(|action| name_of(action) == Some(name))
            && let Some(mut copy) = actions.get(index).cloned()
        {
            if let Some(members) = copy.as_object_mut() {
                members.insert("name".into(), new.into());
            }
            actions.insert(index + 1, copy);
        }
    }
    for (file, editor) in files.graphql.iter().zip(&mut edit.sdl) {
        let found = editor.root_field(name).and_then(|(block, member)| Some((block.root?, member.range.clone())));
        let Some((kind, range)) = found else { continue };
        let text = file.source.text.get(range).unwrap_or_default();
        // Its name stands behind its description, if it has one.
        let at = editor.root_field(name).map_or(0, |(_, member)| member.name_range.start - member.range.start);
        let (before, rest) = text.split_at_checked(at).unwrap_or(("", text));
        // The first line has its spaces back, so that all lines are indented alike.
        let start = editor.root_field(name).map_or(0, |(_, member)| member.range.start);
        let lead = file.source.text.get(line_start(&file.source.text, start)..start).filter(|lead| is_blank(lead));
        let lead = lead.unwrap_or_default();
        let field = format!("{lead}{before}{new}{}", rest.strip_prefix(name).unwrap_or(rest));
        editor.add_root_field(kind, &field);
    }
    edit.finish()
}

/// The files after the entry `key` of a mapping of `pillion.yaml`, such as `relationships`, has this value; `null` removes it. With
/// `merges`, a mapping takes the keys and leaves its others.
///
/// # Errors
/// There is no `pillion.yaml`, or it cannot be edited.
pub fn configure(
    files: &ActionFiles,
    mapping: &str,
    key: &str,
    value: &Value,
    merges: bool,
) -> Result<Vec<FileEdit>, Vec<Diagnostic>> {
    let mut edit = Edit::new(files)?;
    let Some(config) = &mut edit.config else {
        let help = "start Pillion with --config pillion.yaml (PILLION_CONFIG); a file with {} will do";
        return Err(vec![Diagnostic::error(None, "there is no pillion.yaml for this setting", help)]);
    };
    if config.is_null() {
        *config = json!({});
    }
    let Some(root) = config.as_object_mut() else { return edit.finish() };
    let entries = root.entry(mapping).or_insert_with(|| json!({}));
    if entries.is_null() {
        *entries = json!({});
    }
    if let Some(entries) = entries.as_object_mut() {
        let value = match (value, entries.get(key)) {
            (Value::Object(new), Some(Value::Object(old))) if merges => merged(old, new),
            (Value::Object(new), _) if merges => merged(&Map::new(), new),
            (value, _) => value.clone(),
        };
        let is_nothing = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        if is_nothing {
            entries.shift_remove(key);
        } else {
            entries.insert(key.to_owned(), value);
        }
        if entries.is_empty() {
            root.shift_remove(mapping);
        }
    }
    edit.finish()
}

fn merged(old: &Map<String, Value>, new: &Map<String, Value>) -> Value {
    let mut all = old.clone();
    for (key, value) in new {
        if value.is_null() {
            all.shift_remove(key);
        } else {
            all.insert(key.clone(), value.clone());
        }
    }
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edits::files::TextFile;

    fn files(config: Option<&str>) -> ActionFiles {
        let yaml = "actions:\n  # the first\n  - name: quote\n    definition:\n      handler: http://h # here\n      headers:\n        - name: x-key\n          value: c4nary\n";
        ActionFiles {
            yaml: vec![TextFile::new("actions.yaml", Some(yaml))],
            graphql: vec![TextFile::new("actions.graphql", Some("type Query {\n  \"a quote\"\n  quote: Int\n}\n"))],
            config: config.map(|text| TextFile::new("pillion.yaml", Some(text))),
            inherited_roles: Vec::new(),
        }
    }

    fn after(edits: Result<Vec<FileEdit>, Vec<Diagnostic>>) -> String {
        edits.expect("edits").into_iter().map(|edit| edit.after).collect()
    }

    #[test]
    fn keys_change_and_comments_stay() {
        let keys = json!({ "handler": "http://other", "timeout": 5, "comment": "c",
            "headers": [{ "name": "X-Key", "keep": true }, { "name": "b", "value_from_env": "B" }] });
        let text = after(set(&files(None), "quote", keys.as_object().expect("keys")));
        assert_eq!(
            text,
            "actions:\n  # the first\n  - name: quote\n    definition:\n      handler: \"http://other\" # here\n      headers:\n        - name: x-key\n          value: c4nary\n        - name: b\n          value_from_env: B\n      timeout: 5\n    comment: c\n"
        );
        let keys = json!({ "headers": [{ "name": "y", "keep": true }] });
        assert!(set(&files(None), "quote", keys.as_object().expect("keys")).is_err());
        let keys = json!({ "headers": null });
        assert!(!after(set(&files(None), "quote", keys.as_object().expect("keys"))).contains("headers"));
    }

    #[test]
    fn a_copy_stands_behind_its_original() {
        let text = after(duplicate(&files(None), "quote", "price"));
        assert!(text.contains("- name: price\n    definition:\n      handler: \"http://h\""), "{text}");
        assert!(text.contains("  quote: Int\n  \"a quote\"\n  price: Int\n"), "{text}");
        for (name, new) in [("quote", "quote"), ("quote", "1"), ("none", "price")] {
            assert!(duplicate(&files(None), name, new).is_err(), "{name} {new}");
        }
    }

    #[test]
    fn entries_of_the_configuration() {
        let config = "# ours\nactions:\n  quote:\n    idempotent: true # so it is\nlisten: :8000\n";
        let set = |value: Value, merges| {
            let files = files(Some(config));
            after(configure(&files, "actions", "quote", &value, merges))
        };
        let text = set(json!({ "max_retries": 1 }), true);
        assert!(text.contains("    idempotent: true # so it is\n    max_retries: 1\n"), "{text}");
        // The comment above it goes with it.
        assert_eq!(set(json!({ "idempotent": null }), true), "listen: :8000\n");
        let text = after(configure(&files(Some("{}\n")), "relationships", "Quote.a", &json!("b(c: $d)"), false));
        assert!(text.contains("Quote.a"), "{text}");
        assert!(configure(&files(None), "relationships", "Quote.a", &json!("b"), false).is_err());
    }
}
