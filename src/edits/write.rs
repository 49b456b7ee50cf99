//! Writes edits to disk, all or nothing: new texts stand beside the old ones until all are complete, then one rename of
//! their folder commits them, and they move over the old ones. After a crash between that rename and the last move, the next
//! edit finishes the work; a crash before it leaves the old files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::edits::FileEdit;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Its text is not the one that was edited any more.
    #[error("{} has been changed meanwhile; nothing is written", .0.display())]
    Changed(PathBuf),
    /// The system's reason.
    #[error("{} cannot be written: {}", .0.display(), .1)]
    System(PathBuf, io::Error),
}

/// Files that are being written.
const WRITING: &str = ".pillion-writing";

/// Files that are complete, and count.
const WRITTEN: &str = ".pillion-written";

/// The folders of files with the names and texts of those.
type Folders<'e> = BTreeMap<PathBuf, Vec<(String, &'e str)>>;

/// Writes all edits, or none. Files in several folders are committed one folder after the other; if one cannot be, those before
/// it get their old texts.
///
/// # Errors
/// Why nothing was written.
pub fn write(edits: &[FileEdit]) -> Result<(), WriteError> {
    let mut folders = Folders::new();
    for edit in edits {
        let path = real_path(&edit.path).map_err(|error| WriteError::System(edit.path.clone(), error))?;
        check_unchanged(edit, &path)?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        folders.entry(folder).or_default().push((name, &edit.after));
    }
    for (folder, texts) in &folders {
        if let Err(error) = stage(folder, texts) {
            folders.keys().for_each(|folder| discard(folder));
            return Err(WriteError::System(folder.clone(), error));
        }
    }
    let mut committed: Vec<&PathBuf> = Vec::new();
    for folder in folders.keys() {
        if let Err(error) = commit(folder) {
            folders.keys().for_each(|folder| discard(folder));
            restore(edits, &committed);
            return Err(WriteError::System(folder.clone(), error));
        }
        committed.push(folder);
    }
    Ok(())
}

/// Writes files of a folder, by their names, all of them or none.
///
/// # Errors
/// Why they cannot be written.
pub fn write_folder(folder: &Path, texts: &[(&str, String)]) -> io::Result<()> {
    let texts: Vec<(String, &str)> = texts.iter().map(|(name, text)| ((*name).to_owned(), text.as_str())).collect();
    if let Err(error) = stage(folder, &texts) {
        discard(folder);
        return Err(error);
    }
    commit(folder)
}

/// Can files be written into this folder?
///
/// # Errors
/// Why not.
pub fn probe(folder: &Path) -> io::Result<()> {
    let probe = folder.join(WRITING);
    fs::create_dir_all(&probe).and_then(|()| fs::remove_dir_all(&probe))
}

/// Moves complete files to where they belong, after a crash.
///
/// # Errors
/// Why they cannot be moved.
pub fn finish_interrupted(folder: &Path) -> io::Result<()> {
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

/// Where a link leads, so that the file is replaced and not the link.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    if path.exists() {
        return fs::canonicalize(path);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    Ok(fs::canonicalize(folder)?.join(name))
}

fn check_unchanged(edit: &FileEdit, path: &Path) -> Result<(), WriteError> {
    let now = match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(WriteError::System(edit.path.clone(), error)),
    };
    if now == edit.before { Ok(()) } else { Err(WriteError::Changed(edit.path.clone())) }
}

fn stage(folder: &Path, texts: &[(String, &str)]) -> io::Result<()> {
    finish_interrupted(folder)?;
    let writing = folder.join(WRITING);
    let _ = fs::remove_dir_all(&writing);
    fs::create_dir(&writing)?;
    for (name, text) in texts {
        let mut file = File::create(writing.join(name))?;
        if let Ok(old) = fs::metadata(folder.join(name)) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
    }
    sync(&writing)
}

fn commit(folder: &Path) -> io::Result<()> {
    fs::rename(folder.join(WRITING), folder.join(WRITTEN))?;
    sync(folder)?;
    finish_interrupted(folder)
}

fn discard(folder: &Path) {
    let _ = fs::remove_dir_all(folder.join(WRITING));
}

/// The best that can be done when a later folder cannot be written: the files of these have their old texts again.
fn restore(edits: &[FileEdit], committed: &[&PathBuf]) {
    for edit in edits {
        let Ok(path) = real_path(&edit.path) else { continue };
        if path.parent().is_some_and(|folder| committed.iter().any(|known| known.as_path() == folder)) {
            let _ = match &edit.before {
                Some(before) => fs::write(&path, before),
                None => fs::remove_file(&path),
            };
        }
    }
}

/// A rename in a folder survives a power failure.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own with a file, and an edit of that and of a new one in a folder beside it.
    fn started(name: &str) -> (PathBuf, Vec<FileEdit>) {
        let folder = std::env::temp_dir().join(format!("pillion-write-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("b")).unwrap();
        fs::write(folder.join("a.yaml"), "old").unwrap();
        let edit = |file: &str, before: Option<&str>| FileEdit {
            path: folder.join(file),
            before: before.map(str::to_owned),
            after: format!("new {file}"),
        };
        let edits = vec![edit("a.yaml", Some("old")), edit("b/c.yaml", None)];
        (folder, edits)
    }

    fn assert_unchanged(folder: &Path) {
        assert_eq!(fs::read_to_string(folder.join("a.yaml")).unwrap(), "old");
        assert!(!folder.join("b/c.yaml").exists());
        let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "a.yaml" || name == "b"), "{left:?}");
    }

    #[test]
    fn files_of_several_folders_are_written() {
        let (folder, edits) = started("all");
        write(&edits).unwrap();
        assert_eq!(fs::read_to_string(folder.join("a.yaml")).unwrap(), "new a.yaml");
        assert_eq!(fs::read_to_string(folder.join("b/c.yaml")).unwrap(), "new b/c.yaml");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn files_that_have_changed_meanwhile_stay() {
        let (folder, mut edits) = started("changed");
        edits[0].before = Some("older".to_owned());
        let error = write(&edits).unwrap_err().to_string();
        assert!(error.ends_with("a.yaml has been changed meanwhile; nothing is written"), "{error}");
        assert_unchanged(&folder);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_keeps_the_others_from_it() {
        let (folder, edits) = started("unwritable");
        // A file where the folder for new files would be: root may write into any folder.
        fs::write(folder.join("b").join(WRITING), "").unwrap();
        let error = write(&edits).unwrap_err().to_string();
        assert!(error.contains("/b cannot be written: "), "{error}");
        assert_unchanged(&folder);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn folders_before_one_that_cannot_be_committed_get_their_old_texts() {
        let (folder, edits) = started("uncommitted");
        // The new text cannot take the place of a folder.
        fs::create_dir_all(folder.join("b").join(WRITTEN).join("x")).unwrap();
        fs::create_dir_all(folder.join("b/x/y")).unwrap();
        assert!(write(&edits).is_err());
        assert_unchanged(&folder);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_interrupted_write_is_finished_and_links_stay_links() {
        let (folder, _) = started("interrupted");
        fs::create_dir(folder.join(WRITTEN)).unwrap();
        fs::write(folder.join(WRITTEN).join("a.yaml"), "finished").unwrap();
        finish_interrupted(&folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join("a.yaml")).unwrap(), "finished");
        std::os::unix::fs::symlink(folder.join("a.yaml"), folder.join("b/link.yaml")).unwrap();
        let edit =
            FileEdit { path: folder.join("b/link.yaml"), before: Some("finished".into()), after: "linked".into() };
        write(&[edit]).unwrap();
        assert_eq!(fs::read_to_string(folder.join("a.yaml")).unwrap(), "linked");
        assert!(fs::symlink_metadata(folder.join("b/link.yaml")).unwrap().is_symlink());
        fs::remove_dir_all(folder).unwrap();
    }
}
