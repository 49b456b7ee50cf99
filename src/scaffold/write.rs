//! Writes new files, all or none of them. No file that is there is replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::scaffold::files::NewFile;

/// Which of these paths in a folder are taken. A link that leads nowhere counts as well.
#[must_use]
pub(crate) fn existing<'p>(folder: &Path, paths: &[&'p str]) -> Vec<&'p str> {
    paths.iter().copied().filter(|path| fs::symlink_metadata(folder.join(path)).is_ok()).collect()
}

/// Writes the files into a folder, which is made if it is not there.
///
/// # Errors
/// Which file could not be written, and why. Then nothing has been.
pub(crate) fn write_new(folder: &Path, files: &[NewFile]) -> Result<(), String> {
    let mut made = Made::default();
    let written = files.iter().try_for_each(|file| {
        let path = folder.join(file.path);
        write_one(&path, &file.text, &mut made).map_err(|error| format!("{}: {error}", path.display()))
    });
    if written.is_err() {
        made.undo();
    }
    written
}

/// What has been made, in order.
#[derive(Default)]
struct Made {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Made {
    fn undo(&self) {
        // What cannot be removed any more is said by the error that led here.
        for path in self.files.iter().rev() {
            let _ = fs::remove_file(path);
        }
        for path in self.folders.iter().rev() {
            let _ = fs::remove_dir(path);
        }
    }
}

fn write_one(path: &Path, text: &str, made: &mut Made) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        make_folders(parent, made)?;
    }
    // Fails if there is anything by this name.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    made.files.push(path.to_owned());
    io::Write::write_all(&mut file, text.as_bytes())
}

fn make_folders(folder: &Path, made: &mut Made) -> io::Result<()> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.is_dir()).collect();
    for path in missing.into_iter().rev() {
        fs::create_dir(path)?;
        made.folders.push(path.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_written_or_none() {
        let folder = std::env::temp_dir().join(format!("pillion-write-{}", std::process::id()));
        let file = |path, text: &str| NewFile { path, text: text.to_owned() };
        let files = [file("a/b/c.txt", "c"), file("d.txt", "d")];
        write_new(&folder.join("new"), &files).expect("files");
        assert_eq!(fs::read_to_string(folder.join("new/a/b/c.txt")).expect("a file"), "c");
        assert_eq!(existing(&folder.join("new"), &["a/b/c.txt", "e.txt"]), ["a/b/c.txt"]);
        // The second one is there: the first, and the folders made for it, are taken back.
        let other = folder.join("other");
        fs::create_dir(&other).expect("a folder");
        fs::write(other.join("d.txt"), "mine").expect("a file");
        let error = write_new(&other, &files).expect_err("a file that is there");
        assert!(error.contains("d.txt"), "{error}");
        assert_eq!(fs::read_to_string(other.join("d.txt")).expect("a file"), "mine");
        assert!(!other.join("a").exists());
        fs::remove_dir_all(folder).expect("the folder");
    }
}
