//! Fixtures: reads the families of cases in `tests/fixtures`.

use std::path::Path;

use serde_json::Value;

use super::{repository, yaml};

/// A family of cases: a file, and its name without its ending.
pub struct Family {
    /// The file's name.
    pub name: String,
    /// What it holds.
    pub file: Value,
}

/// Reads a file of `tests/fixtures`.
pub fn read(name: &str) -> Value {
    read_file(&repository().join("tests/fixtures").join(name))
}

/// Reads all families of a folder in `tests/fixtures`, sorted by name.
pub fn families(folder: &str) -> Vec<Family> {
    let folder = repository().join("tests/fixtures").join(folder);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let yaml = paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    yaml.map(|path| Family { name: name(&path), file: read_file(&path) }).collect()
}

fn read_file(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    yaml::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
