//! The operations that a document lists: method, path and name of each.

use crate::config::yaml::Node;
use crate::model::source::SourceLocation;
use crate::openapi::document::Document;
use crate::openapi::names::{capitalized, field_name};
use crate::openapi::problem::Problem;

/// An operation as it stands in a document.
#[derive(Clone, Debug)]
pub(crate) struct Listed<'d> {
    /// Its `operationId`, or one made of method and path.
    pub(crate) id: String,
    pub(crate) method: &'static str,
    pub(crate) path: &'d str,
    pub(crate) path_item: &'d Node,
    pub(crate) node: &'d Node,
    /// Where it is named.
    pub(crate) place: SourceLocation,
}

/// An operation of the document.
#[derive(Clone, Debug)]
pub struct ImportedOperation {
    /// Its `operationId`, or one made of method and path.
    pub id: String,
    /// Its method.
    pub method: &'static str,
    /// Its path.
    pub path: String,
    /// Its tags.
    pub tags: Vec<String>,
}

impl Listed<'_> {
    /// For messages.
    pub(crate) fn label(&self) -> String {
        format!("operation '{}' ({} {})", self.id, self.method, self.path)
    }

    /// For readers of the result.
    pub(crate) fn described(&self) -> ImportedOperation {
        let tags = self.node.member("tags").map(Node::items).unwrap_or_default();
        ImportedOperation {
            id: self.id.clone(),
            method: self.method,
            path: self.path.to_owned(),
            tags: tags.iter().filter_map(|tag| tag.as_text().map(str::to_owned)).collect(),
        }
    }

    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.node.member("tags").map(Node::items).unwrap_or_default().iter().any(|item| item.as_text() == Some(tag))
    }
}

const METHODS: [(&str, &str); 8] = [
    ("get", "GET"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("head", "HEAD"),
    ("options", "OPTIONS"),
    ("trace", "TRACE"),
];

/// All operations in the order of the document, and paths that cannot be read.
pub(crate) fn list<'d>(document: &Document<'d>) -> (Vec<Listed<'d>>, Vec<(String, Problem)>) {
    let (mut listed, mut problems) = (Vec::new(), Vec::new());
    for (path, _, item) in document.root().member("paths").map(Node::entries).unwrap_or_default() {
        let path_item = match document.follow(item) {
            Ok(path_item) => path_item,
            Err(problem) => {
                problems.push((format!("path {path}"), problem));
                continue;
            }
        };
        for (key, place, node) in path_item.entries() {
            let Some((_, method)) = METHODS.iter().find(|(known, _)| known == key) else { continue };
            let id_node = node.member("operationId");
            let id = id_node.and_then(Node::scalar_text).unwrap_or_else(|| derived_id(key, path));
            let place = id_node.map_or(place, |node| &node.place).clone();
            listed.push(Listed { id, method, path, path_item, node, place });
        }
    }
    (listed, problems)
}

/// `GET /pets/{petId}` is `getPetsByPetId`.
fn derived_id(method: &str, path: &str) -> String {
    let mut id = method.to_owned();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if segment.starts_with('{') {
            id.push_str("By");
        }
        id.push_str(&capitalized(&field_name(segment)));
    }
    id
}
