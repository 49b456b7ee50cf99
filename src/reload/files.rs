//! Watches the configuration files by polling: Kubernetes exchanges a link above them, editors put a new file in an old
//! one's place, and some volumes send no notifications about either.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::load::{document_files, metadata_files, named_files, trusted_files};
use crate::config::settings::Settings;

/// A file's identity: its number, its length, when it was changed.
type Mark = (u64, u64, u64, i64, i64);

/// The files as they were.
pub(crate) struct Files {
    config: Option<PathBuf>,
    known: BTreeMap<PathBuf, Option<Mark>>,
    /// The previous observation, if it differs from the known state: the file may still be written to.
    changing: Option<BTreeMap<PathBuf, Option<Mark>>>,
}

impl Files {
    /// As they are now.
    #[must_use]
    pub(crate) fn new(config: Option<&Path>, settings: &Settings) -> Self {
        let mut files = Self { config: config.map(Path::to_path_buf), known: BTreeMap::new(), changing: None };
        files.known = files.stat(settings);
        files
    }

    /// Looks. A change counts once it is the same at two looks in a row.
    pub(crate) fn have_changed(&mut self, settings: &Settings) -> bool {
        let seen = self.stat(settings);
        if self.known == seen {
            self.changing = None;
            return false;
        }
        let is_settled = self.changing.as_ref() == Some(&seen);
        if is_settled {
            self.known = seen;
            self.changing = None;
        } else {
            self.changing = Some(seen);
        }
        is_settled
    }

    fn stat(&self, settings: &Settings) -> BTreeMap<PathBuf, Option<Mark>> {
        let mut paths: Vec<PathBuf> = self.config.iter().cloned().chain(named_files()).collect();
        if let Some(folder) = &settings.metadata {
            paths.push(folder.clone());
            paths.extend(metadata_files(folder, &mut Vec::new()));
            paths.extend(document_files(folder, &BTreeMap::new()));
        }
        if let Some(folder) = &settings.documents.folder {
            paths.extend(trusted_files(folder, &mut Vec::new()));
        }
        let handlers = &settings.handlers;
        paths.extend(handlers.tls_ca_file.iter().map(PathBuf::from));
        paths.extend(handlers.identity.iter().flat_map(|(cert, key)| [cert, key]).map(PathBuf::from));
        paths.into_iter().map(|path| (path.clone(), mark(&path))).collect()
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let found = std::fs::metadata(path).ok()?;
    // A folder's own modification time adds nothing to that of its files.
    let changed = if found.is_dir() { (0, 0) } else { (found.mtime(), found.mtime_nsec()) };
    let length = if found.is_dir() { 0 } else { found.size() };
    Some((found.dev(), found.ino(), length, changed.0, changed.1))
}
