//! Reads the files of Hasura's metadata that Pillion does not serve, to warn of what they lose with actions.

use std::path::Path;

use crate::config::load::{Loaded, environment, read_file};
use crate::config::lost_features::{HasuraFiles, lost_features};
use crate::config::yaml::{Node, parse};

/// Adds the warnings about features of Hasura that do not work for actions.
pub(super) fn warn_of_lost_features(loaded: &mut Loaded) {
    let folder = loaded.settings.metadata.clone();
    let read = |name: &str| folder.as_deref().and_then(|folder| read_metadata(folder, name));
    let files = HasuraFiles {
        query_collections: read("query_collections.yaml"),
        allow_list: read("allow_list.yaml"),
        rest_endpoints: read("rest_endpoints.yaml"),
        enables_allow_list: environment("HASURA_GRAPHQL_ENABLE_ALLOWLIST")
            .is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "true" | "t" | "1" | "yes")),
    };
    loaded.warnings.extend(lost_features(&loaded.schema, &files));
}

/// One that is not there, or that only Hasura can read, says nothing.
fn read_metadata(folder: &Path, name: &str) -> Option<Node> {
    let mut paths = [folder.join(name), folder.join("metadata").join(name)].into_iter();
    let path = paths.find(|path| path.is_file())?;
    parse(&read_file(&path).ok()?).ok()
}
