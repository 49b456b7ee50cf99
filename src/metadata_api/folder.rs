//! The metadata folder as the store that commands write to.
//!
//! The files are written beside the old ones, committed by one rename, and then moved over them. After a crash between
//! the rename and the last move, the next start finishes the work; a crash before it leaves the old files.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::config::document::Document;
use crate::config::load::{INCONSISTENT, INHERITED_ROLES, metadata_files, read_files};
use crate::config::print::{actions_graphql, actions_yaml, inherited_roles_yaml};
use crate::model::source::Severity;
use crate::model::types::Types;

/// A metadata folder.
pub(crate) struct Folder {
    /// As it is configured.
    root: PathBuf,
    /// Where the files are.
    files: PathBuf,
}

/// Files that are being written.
const WRITING: &str = ".pillion-writing";

/// Files that are complete, and count.
const WRITTEN: &str = ".pillion-written";

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
        folder.finish().map_err(failed)?;
        let probe = folder.files.join(WRITING);
        fs::create_dir_all(&probe).and_then(|()| fs::remove_dir_all(&probe)).map_err(failed)?;
        let others = metadata_files(root, &mut Vec::new());
        let is_own =
            |path: &PathBuf| path.parent() == Some(&folder.files) && path.extension().is_none_or(|e| e != "yml");
        match others.iter().find(|path| !is_own(path)) {
            Some(other) => Err(format!(
                "metadata_api.store: actions are written to {shown}/actions.yaml and actions.graphql; move what is in {} there",
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
        self.finish().map_err(|error| error.to_string())?;
        let mut diagnostics = Vec::new();
        let files = read_files(&self.root, &mut diagnostics);
        match diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error) {
            Some(diagnostic) => Err(diagnostic.to_string()),
            None => Ok(Document::of_files(&files.actions, files.inherited_roles.as_ref(), &files.signatures)),
        }
    }

    /// Writes the files, all of them or none. `types` are those that the document makes; `accepted` lists the accepted
    /// inconsistencies, a line each.
    ///
    /// # Errors
    /// Why they cannot be written.
    pub(crate) fn save(&self, document: &Document, types: &Types, accepted: &[String]) -> io::Result<()> {
        let mut texts =
            vec![("actions.yaml", actions_yaml(document)), ("actions.graphql", actions_graphql(document, types))];
        if !document.inherited_roles.is_empty() || self.files.join(INHERITED_ROLES).is_file() {
            texts.push((INHERITED_ROLES, inherited_roles_yaml(document)));
        }
        if !accepted.is_empty() || self.files.join(INCONSISTENT).is_file() {
            texts.push((INCONSISTENT, accepted.iter().map(|line| format!("{line}\n")).collect()));
        }
        write_together(&self.files, &texts)
    }

    /// Moves complete files to where they belong.
    fn finish(&self) -> io::Result<()> {
        finish(&self.files)
    }
}

/// Writes files of a folder, by their names, all of them or none.
///
/// # Errors
/// Why they cannot be written.
pub(crate) fn write_together(folder: &Path, texts: &[(&str, String)]) -> io::Result<()> {
    finish(folder)?;
    let writing = folder.join(WRITING);
    let _ = fs::remove_dir_all(&writing);
    fs::create_dir(&writing)?;
    let written = texts.iter().try_for_each(|(name, text)| write(folder, &writing, name, text));
    if let Err(error) = written.and_then(|()| sync(&writing)) {
        let _ = fs::remove_dir_all(&writing);
        return Err(error);
    }
    fs::rename(&writing, folder.join(WRITTEN))?;
    sync(folder)?;
    finish(folder)
}

fn write(folder: &Path, writing: &Path, name: &str, text: &str) -> io::Result<()> {
    let mut file = File::create(writing.join(name))?;
    if let Ok(old) = fs::metadata(folder.join(name)) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Moves complete files to where they belong.
fn finish(folder: &Path) -> io::Result<()> {
    let written = folder.join(WRITTEN);
    if !written.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&written)? {
        let entry = entry?;
        fs::rename(entry.path(), folder.join(entry.file_name()))?;
    }
    sync(folder)?;
    fs::remove_dir(&written)
}

/// A rename in a folder survives a power failure.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
