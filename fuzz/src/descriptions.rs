//! Descriptions of APIs.

use std::collections::HashMap;
use std::sync::Arc;

use pillion::config::actions::read_all;
use pillion::edits::append::with_actions;
use pillion::edits::sdl::with_definitions;
use pillion::model::source::{Severity, Source};
use pillion::openapi::import;
use pillion::openapi::options::Options;

/// An OpenAPI document in YAML or JSON. It is imported in part, or rejected; and the files with what is imported are valid.
pub fn openapi(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let options =
        Options { base_url: Some("{{API}}".to_owned()), roles: vec!["user".to_owned()], ..Options::default() };
    let imported = match import(&Arc::new(Source::new("api", text)), &options) {
        Ok(imported) => imported,
        Err(diagnostics) => return assert!(diagnostics.iter().all(|diagnostic| !diagnostic.to_string().is_empty())),
    };
    let lines = text.split(['\n', '\r']).count();
    for found in &imported.left_out {
        let place = found.place.as_ref().expect("a place in the document");
        assert!((1..=lines + 1).contains(&place.line), "there is no line {}: {found}", place.line);
    }
    if imported.actions.is_empty() {
        return;
    }
    let nothing = Arc::new(Source::new("actions.yaml", ""));
    let yaml = with_actions(&nothing, imported.values()).expect("a file that can be added to");
    let graphql = with_definitions("", &imported.sdl(|_| false));
    let variables = imported.variables.iter().map(|variable| (variable.name.as_str(), variable.sample.clone()));
    let variables: HashMap<&str, String> = variables.collect();
    let (_, diagnostics) = read_all(&graphql, &yaml, "", &|name| variables.get(name).cloned());
    let error = diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
    assert!(error.is_none(), "{}\n{graphql}\n{yaml}", error.expect("an error"));
}
