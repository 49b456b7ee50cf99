//! The metadata folder as the store that commands write to.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::document::Document;
use crate::config::load::{
    INCONSISTENT, INHERITED_ROLES, document_files, metadata_files, read_document_files, read_file, read_files,
};
use crate::config::print::{actions_graphql, actions_yaml, inherited_roles_yaml, yaml_text};
use crate::config::stored_lists::StoredLists;
use crate::edits::metadata::{MetadataTexts, edited};
use crate::edits::write::{finish_interrupted, probe, write_folder};
use crate::edits::yaml::reconcile;
use crate::model::source::{Severity, Source};
use crate::model::types::Types;

/// A metadata folder.
pub(crate) struct Folder {
    /// As it is configured.
    root: PathBuf,
    /// Where the files are.
    files: PathBuf,
}

impl Folder {
    /// Makes sure that it can be written, and finishes an interrupted write.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub(crate) fn open(root: &Path) -> Result<Self, String> {
        let inner = root.join("metadata");
        let files = if inner.join("actions.yaml").is_file() { inner } else { root.to_path_buf() };
        let folder = Self { root: root.to_path_buf(), files };
        let shown = folder.files.display();
        let failed = |error: io::Error| format!("metadata_api.store: {shown} cannot be written: {error}");
        finish_interrupted(&folder.files).and_then(|()| probe(&folder.files)).map_err(failed)?;
        let others = [metadata_files(root, &mut Vec::new()), document_files(root, &BTreeMap::new())].concat();
        let is_own =
            |path: &PathBuf| path.parent() == Some(&folder.files) && path.extension().is_none_or(|e| e != "yml");
        match others.iter().find(|path| !is_own(path)) {
            Some(other) => Err(format!(
                "metadata_api.store: commands write to {shown}, actions to actions.yaml and actions.graphql; move what is in {} there",
                other.display()
            )),
            None => Ok(folder),
        }
    }

    /// The contents of the files.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub(crate) fn load(&self) -> Result<Document, String> {
        finish_interrupted(&self.files).map_err(|error| error.to_string())?;
        let mut diagnostics = Vec::new();
        let files = read_files(&self.root, &mut diagnostics);
        let documents = read_document_files(&self.root, &BTreeMap::new(), &mut diagnostics);
        match diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error) {
            Some(diagnostic) => Err(diagnostic.to_string()),
            None => Ok(Document {
                stored: StoredLists::of_files(&documents),
                ..Document::of_files(&files.actions, files.inherited_roles.as_ref(), &files.signatures)
            }),
        }
    }

    /// Writes the files, all of them or none. `types` are those that the document makes; `accepted` lists the accepted
    /// inconsistencies, a line each. What the document does not change stays in the files as it is, comments included, if
    /// they are written in a way that can be edited; otherwise they are written as Hasura's tools write them.
    ///
    /// # Errors
    /// Why they cannot be written.
    pub(crate) fn save(&self, document: &Document, types: &Types, accepted: &[String]) -> io::Result<()> {
        let (yaml, graphql) =
            self.edited(document, types).unwrap_or_else(|| (actions_yaml(document), actions_graphql(document, types)));
        let mut texts = vec![("actions.yaml", yaml), ("actions.graphql", graphql)];
        if !document.inherited_roles.is_empty() || self.files.join(INHERITED_ROLES).is_file() {
            texts.push((INHERITED_ROLES, self.inherited_roles(document)));
        }
        texts.extend(self.stored_documents(document));
        if !accepted.is_empty() || self.files.join(INCONSISTENT).is_file() {
            texts.push((INCONSISTENT, accepted.iter().map(|line| format!("{line}\n")).collect()));
        }
        write_folder(&self.files, &texts)
    }

    fn edited(&self, document: &Document, types: &Types) -> Option<(String, String)> {
        let before = self.load().ok()?;
        let read = |name: &str| {
            let path = self.files.join(name);
            if path.exists() { read_file(&path).ok() } else { Some(Arc::new(Source::new(name, ""))) }
        };
        let texts = MetadataTexts { yaml: read("actions.yaml")?, graphql: read("actions.graphql")? };
        edited(&texts, &before, document, types)
    }

    /// The files of stored documents that change.
    fn stored_documents(&self, document: &Document) -> Vec<(&'static str, String)> {
        let mut texts = Vec::new();
        for (name, entries) in document.stored.files() {
            let file = read_file(&self.files.join(name)).ok();
            if file.is_none() && entries.is_empty() {
                continue;
            }
            let wanted = entries.clone().into();
            let edited = file.as_ref().and_then(|file| reconcile(file, &wanted).ok());
            let text = edited.unwrap_or_else(|| yaml_text(&wanted));
            if file.is_none_or(|file| file.text != text) {
                texts.push((name, text));
            }
        }
        texts
    }

    fn inherited_roles(&self, document: &Document) -> String {
        let file = read_file(&self.files.join(INHERITED_ROLES)).ok();
        let edited = file.and_then(|file| reconcile(&file, &document.inherited_roles.clone().into()).ok());
        edited.unwrap_or_else(|| inherited_roles_yaml(document))
    }
}
