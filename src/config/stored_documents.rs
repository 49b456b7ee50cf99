//! The stored documents of a metadata folder, and what refers to them: query collections, the allow list, REST endpoints.

use std::sync::Arc;

use crate::config::query_collections::QueryCollections;
use crate::config::yaml::Node;
use crate::config::{query_collections, rest_endpoints};
use crate::model::limits::Limits;
use crate::model::source::Diagnostic;
use crate::rest::endpoint::RestEndpoint;

/// The names of the files, in the folder itself or in its `metadata/`.
pub const FILES: [&str; 3] = ["query_collections.yaml", "allow_list.yaml", "rest_endpoints.yaml"];

/// The files' contents, as far as they are there.
#[derive(Debug, Default)]
pub struct DocumentFiles {
    /// `query_collections.yaml`.
    pub query_collections: Option<Node>,
    /// `allow_list.yaml`.
    pub allow_list: Option<Node>,
    /// `rest_endpoints.yaml`.
    pub rest_endpoints: Option<Node>,
}

/// What the files define.
#[derive(Clone, Debug, Default)]
pub struct StoredDocuments {
    /// The collections.
    pub collections: QueryCollections,
    /// The list of allowed collections, as it was written.
    pub allow_list: Option<Node>,
    /// The endpoints.
    pub rest_endpoints: Arc<[RestEndpoint]>,
}

impl DocumentFiles {
    /// The place of the file of this name.
    pub fn file(&mut self, name: &str) -> Option<&mut Option<Node>> {
        match FILES.iter().position(|known| *known == name)? {
            0 => Some(&mut self.query_collections),
            1 => Some(&mut self.allow_list),
            _ => Some(&mut self.rest_endpoints),
        }
    }
}

/// Resolves the references between the files.
#[must_use]
pub fn resolve(files: DocumentFiles, limits: &Limits, diagnostics: &mut Vec<Diagnostic>) -> StoredDocuments {
    let DocumentFiles { query_collections, allow_list, rest_endpoints } = files;
    let collections = query_collections.map(|node| query_collections::read(&node, diagnostics)).unwrap_or_default();
    let endpoints =
        rest_endpoints.map(|node| rest_endpoints::read(&node, &collections, limits, diagnostics)).unwrap_or_default();
    StoredDocuments { collections, allow_list, rest_endpoints: endpoints.into() }
}
