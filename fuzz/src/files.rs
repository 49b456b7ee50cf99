//! Configuration and metadata files.

use std::sync::Arc;

use pillion::config::document::Document;
use pillion::config::metadata::{self, Metadata};
use pillion::config::print::actions_yaml;
use pillion::config::sdl::{self, Signatures};
use pillion::config::yaml::{self, Data, Node};
use pillion::model::source::{Diagnostic, Source};

use serde_json::Value;

use super::actions;

/// A secret that seeds put under `value`.
const SECRET: &str = "s3cr3t-c4nary";

/// `actions.yaml`. It is read, or rejected at a location inside it; a secret is in no diagnostic; and what is written again is read
/// as the same.
pub fn actions_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let source = Arc::new(Source::new("actions.yaml", text));
    let node = match yaml::parse(&source) {
        Ok(node) => node,
        Err(diagnostic) => return assert_placed(text, &diagnostic),
    };
    let (mut metadata, signatures, mut diagnostics) = (Metadata::default(), Signatures::default(), Vec::new());
    metadata::read(&node, &signatures, &mut metadata, &mut diagnostics);
    let is_hidden = secrets(&node, false) == text.matches(SECRET).count();
    for diagnostic in &diagnostics {
        assert_placed(text, diagnostic);
        let shown = diagnostic.to_string();
        assert!(!is_hidden || !shown.contains(SECRET), "a secret is shown: {shown}");
    }
    // The first time something goes that has its place in GraphQL.
    let (document, first) = rewritten(&node);
    let (again, second) = rewritten(&parsed(&first));
    assert_eq!(essence(&again), essence(&document), "it is read as something else:\n{first}");
    assert_eq!(rewritten(&parsed(&second)).1, second, "it is read as something else");
}

fn parsed(text: &str) -> Node {
    let parsed = yaml::parse(&Arc::new(Source::new("actions.yaml", text)));
    parsed.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn rewritten(node: &Node) -> (Document, String) {
    let document = Document::of_files(std::slice::from_ref(node), None, &Signatures::default());
    let text = actions_yaml(&document);
    (document, text)
}

/// What must not change whatever an action's type is.
fn essence(document: &Document) -> Vec<[&Value; 4]> {
    document
        .actions
        .iter()
        .map(|action| {
            let definition = &action["definition"];
            [&action["name"], &action["permissions"], &definition["handler"], &definition["headers"]]
        })
        .collect()
}

/// How often the secret is the whole of a scalar under `value`.
fn secrets(node: &Node, is_value: bool) -> usize {
    match &node.data {
        Data::Text(text) => usize::from(is_value && text == SECRET),
        Data::List(items) => items.iter().map(|item| secrets(item, false)).sum(),
        Data::Map(entries) => entries.iter().map(|(key, _, value)| secrets(value, key == "value")).sum(),
        Data::Null | Data::Bool(_) | Data::Integer(_) | Data::Float(_) => 0,
    }
}

fn assert_placed(text: &str, diagnostic: &Diagnostic) {
    let shown = diagnostic.to_string();
    assert!(!shown.is_empty());
    if let Some(place) = &diagnostic.place {
        // A carriage return ends a line, too.
        let lines = text.split(['\n', '\r']).count();
        assert!((1..=lines + 1).contains(&place.line), "there is no line {}: {shown}", place.line);
    }
}

/// `actions.graphql`. It is read or rejected; and what is written again is read as the same.
pub fn definitions(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (mut signatures, source) = (Signatures::default(), Arc::new(Source::new("actions.graphql", text)));
    sdl::read(&source, &mut signatures, &mut Vec::new());
    let names = signatures.actions.keys();
    let entries: String =
        names.map(|name| format!("  - {{name: '{name}', definition: {{handler: 'http://h/'}}}}\n")).collect();
    let yaml = format!("actions:\n{entries}");
    let (written, diagnostics) = actions::written(text, &yaml);
    if diagnostics.iter().any(|diagnostic| !diagnostic.contains("warning")) {
        return;
    }
    let (again, diagnostics) = actions::written(&written, &yaml);
    assert!(diagnostics.is_empty(), "what is written is rejected: {diagnostics:?}\n{written}");
    assert_eq!(again, written, "it is read as something else");
}
