//! Reads the files that an edit is about.

use std::path::{Path, PathBuf};

use crate::config::json_nodes::list;
use crate::config::load::{INHERITED_ROLES, metadata_files, read_file};
use crate::config::yaml::parse;
use crate::edits::files::{ActionFiles, TextFile};
use crate::edits::write::finish_interrupted;
use crate::model::source::Diagnostic;

/// The files of a metadata folder, and `pillion.yaml`.
///
/// # Errors
/// What cannot be read.
pub fn read_action_files(folder: &Path, config: Option<&Path>) -> Result<ActionFiles, Vec<Diagnostic>> {
    let inner = folder.join("metadata");
    for folder in [folder, inner.as_path()].into_iter().chain(config.and_then(Path::parent)) {
        finish_interrupted(folder).map_err(|error| {
            let message = format!("{}: an interrupted edit cannot be finished: {error}", folder.display());
            vec![Diagnostic::error(None, message, "correct the rights of the folder")]
        })?;
    }
    let mut diagnostics = Vec::new();
    let paths = metadata_files(folder, &mut diagnostics);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let (mut yaml, mut graphql, mut inherited_roles) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let source = read_file(&path)?;
        if path.ends_with(INHERITED_ROLES) {
            let roles = parse(&source).map_err(|diagnostic| vec![diagnostic])?.to_json();
            let names = list(&roles).iter().filter_map(|role| role["role_name"].as_str().map(str::to_owned));
            inherited_roles.extend(names);
            continue;
        }
        let is_graphql = path.extension().is_some_and(|extension| extension == "graphql");
        let files = if is_graphql { &mut graphql } else { &mut yaml };
        files.push(TextFile { path, source, exists: true });
    }
    let home = home(folder, &inner);
    if yaml.is_empty() {
        yaml.push(TextFile::new(home.join("actions.yaml"), None));
    }
    if graphql.is_empty() {
        graphql.push(TextFile::new(home.join("actions.graphql"), None));
    }
    let config =
        config.map(|path| read_file(path).map(|source| TextFile { path: path.to_owned(), source, exists: true }));
    Ok(ActionFiles { yaml, graphql, config: config.transpose()?, inherited_roles })
}

/// Where new files go.
fn home(folder: &Path, inner: &Path) -> PathBuf {
    let has_yaml = ["actions.yaml", "actions.yml"].iter().any(|name| inner.join(name).is_file());
    if has_yaml { inner.to_owned() } else { folder.to_owned() }
}
