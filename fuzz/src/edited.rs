//! Edits of metadata files.

use std::collections::BTreeSet;
use std::sync::Arc;

use pillion::config::sdl::{self, Signatures};
use pillion::config::yaml;
use pillion::edits::FileEdit;
use pillion::edits::create::{NewAction, create};
use pillion::edits::files::{ActionFiles, TextFile};
use pillion::edits::permissions::{forbid, permit};
use pillion::edits::remove::remove;
use pillion::edits::signature::parse_signature;
use pillion::model::source::Source;

/// A name that seeds do not have.
const NAME: &str = "fuzzedAction";

/// `actions.yaml`, or `actions.graphql` if it is no YAML. An action is created, permitted, forbidden and removed: no comment is
/// lost, and afterwards the files are as they were, or the edit is rejected.
pub fn edits(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.contains(NAME) {
        return;
    }
    for before in [files(text, "type Query {\n  a: Int\n  b: Int\n}\n"), files("actions:\n  - name: a\n", text)] {
        if is_read(&before) {
            check(&before);
        }
    }
}

fn files(yaml: &str, graphql: &str) -> ActionFiles {
    ActionFiles {
        yaml: vec![TextFile::new("actions.yaml", Some(yaml))],
        graphql: vec![TextFile::new("actions.graphql", Some(graphql))],
        config: None,
        inherited_roles: Vec::new(),
    }
}

/// Commands edit only what is loaded without an error: a mapping, or nothing.
fn is_read(files: &ActionFiles) -> bool {
    let source = |file: &TextFile| Arc::new(Source::new("file", file.source.text.as_str()));
    let is_mapping = |node: yaml::Node| matches!(node.data, yaml::Data::Map(_) | yaml::Data::Null);
    yaml::parse(&source(&files.yaml[0])).is_ok_and(is_mapping)
        && sdl::read(&source(&files.graphql[0]), &mut Signatures::default(), &mut Vec::new())
}

fn check(before: &ActionFiles) {
    let action = NewAction {
        signature: parse_signature(&format!("query {NAME}: FuzzedOutput")).expect("a signature"),
        types: "type FuzzedOutput { a: Int }".to_owned(),
        handler: "http://h/".to_owned(),
        is_async: false,
        forward_client_headers: false,
        headers: Vec::new(),
        timeout: None,
        roles: vec!["one".to_owned()],
        comment: None,
    };
    let Ok((edits, _)) = create(before, &action) else { return };
    let created = after(before, &edits);
    let roles = ["two".to_owned()];
    let (edits, _) = permit(&created, NAME, &roles).expect("it is permitted");
    let permitted = after(&created, &edits);
    let edits = forbid(&permitted, NAME, &roles).expect("it is forbidden");
    let forbidden = after(&permitted, &edits);
    assert_same(&created, &forbidden);
    let (edits, _) = remove(&forbidden, NAME, false).expect("it is removed");
    let removed = after(&forbidden, &edits);
    if has_actions(before) {
        assert_same(before, &removed);
    }
}

/// A list that is empty or missing has another style afterwards.
fn has_actions(files: &ActionFiles) -> bool {
    let node = yaml::parse(&files.yaml[0].source).map(|node| node.to_json()).unwrap_or_default();
    node["actions"].as_array().is_some_and(|actions| !actions.is_empty())
}

fn after(files: &ActionFiles, edits: &[FileEdit]) -> ActionFiles {
    let mut files = files.clone();
    for file in files.yaml.iter_mut().chain(&mut files.graphql) {
        if let Some(edit) = edits.iter().find(|edit| edit.path == file.path) {
            let is_edit_of_what_was_there = edit.before.as_deref() == Some(file.source.text.as_str());
            assert!(is_edit_of_what_was_there);
            *file = TextFile::new(&edit.path, Some(&edit.after));
        }
    }
    files
}

fn assert_same(before: &ActionFiles, after: &ActionFiles) {
    for (before, after) in before.yaml.iter().chain(&before.graphql).zip(after.yaml.iter().chain(&after.graphql)) {
        let (before, after) = (&before.source.text, &after.source.text);
        // The last line gets an end.
        if before.ends_with('\n') {
            let comments = |text: &str| -> BTreeSet<String> {
                text.lines().filter_map(|line| line.split_once('#')).map(|(_, comment)| comment.to_owned()).collect()
            };
            assert_eq!(comments(after), comments(before), "comments\n{before}\n---\n{after}");
        }
    }
}
