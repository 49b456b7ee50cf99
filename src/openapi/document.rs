//! An OpenAPI document to look things up in: JSON pointers and `$ref` within the document. References that lead elsewhere are
//! rejected: an import reads one file.

use std::cell::RefCell;
use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use crate::config::yaml::{Data, Node};
use crate::openapi::problem::Problem;

/// References in a row that are followed.
const REFERENCES_MAX: usize = 32;

/// The entries of a mapping.
type Index<'d> = HashMap<&'d str, &'d Node>;

/// A document.
pub(crate) struct Document<'d> {
    root: &'d Node,
    /// What pointers lead to: the same ones stand in a document a thousand times.
    known: RefCell<HashMap<&'d str, Option<&'d Node>>>,
    /// The entries of large mappings, by line and column: a document may have ten thousand schemas.
    indexes: RefCell<HashMap<(usize, usize), Index<'d>>>,
}

impl<'d> Document<'d> {
    pub(crate) fn new(root: &'d Node) -> Self {
        Self { root, known: RefCell::default(), indexes: RefCell::default() }
    }

    pub(crate) fn root(&self) -> &'d Node {
        self.root
    }

    /// The node itself, or what its `$ref` leads to.
    pub(crate) fn follow(&self, node: &'d Node) -> Result<&'d Node, Problem> {
        let mut current = node;
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = reference_of(current) else { return Ok(current) };
            current = self.target(current, reference)?;
        }
        Err(Problem::at(node, "the reference leads back to itself", "correct the \"$ref\""))
    }

    fn target(&self, node: &'d Node, reference: &'d str) -> Result<&'d Node, Problem> {
        let Some(pointer) = reference.strip_prefix('#') else {
            let reason = format!("the reference \"{reference}\" leads to another file, and only this one is read");
            return Err(Problem::at(node, reason, "bundle the document into one file"));
        };
        let known = self.known.borrow().get(reference).copied();
        let target = known.unwrap_or_else(|| self.look_up(pointer));
        self.known.borrow_mut().insert(reference, target);
        let missing =
            || Problem::at(node, format!("the reference \"{reference}\" leads to nothing"), "correct the \"$ref\"");
        target.ok_or_else(missing)
    }

    /// <https://www.rfc-editor.org/rfc/rfc6901>, percent-encoded as in a URL.
    fn look_up(&self, pointer: &str) -> Option<&'d Node> {
        if pointer.is_empty() {
            return Some(self.root);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self.root, |node, segment| {
            let decoded = percent_decode_str(segment).decode_utf8_lossy().replace("~1", "/").replace("~0", "~");
            self.child(node, &decoded)
        })
    }

    fn child(&self, node: &'d Node, key: &str) -> Option<&'d Node> {
        match &node.data {
            Data::List(items) => items.get(key.parse::<usize>().ok()?),
            Data::Map(entries) if entries.len() > LARGE => {
                let mut indexes = self.indexes.borrow_mut();
                let index = indexes
                    .entry((node.place.line, node.place.column))
                    .or_insert_with(|| entries.iter().map(|(key, _, value)| (key.as_str(), value)).collect());
                index.get(key).copied()
            }
            _ => node.member(key),
        }
    }
}

/// Mappings with more entries get an index.
const LARGE: usize = 16;

/// The text of a node's `$ref`.
pub(crate) fn reference_of(node: &Node) -> Option<&str> {
    node.member("$ref").and_then(Node::as_text)
}
