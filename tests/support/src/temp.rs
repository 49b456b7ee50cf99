//! Files of tests and of what they start: in one folder for each process, which is removed at its end.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// The folder for files of this process.
pub fn temp_folder() -> PathBuf {
    let folder = FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("pillion-tests-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        folder
    });
    folder.clone()
}

/// Removes it, with all that is left in it by processes that were killed. Nothing may use it any more.
pub fn remove_temp_folder() {
    if let Some(folder) = FOLDER.get() {
        // A file in it may be another user's; what cannot be removed stays.
        let _ = fs::remove_dir_all(folder);
    }
}
