//! Actions from a few lines of SDL, as the loader would make them.

use std::fmt::Write as _;
use std::sync::Arc;

use pillion::config::actions::read_all;
use pillion::config::document::Document;
use pillion::config::print::actions_graphql;
use pillion::config::sdl::{self, Signatures};
use pillion::config::upstream_types;
use pillion::config::yaml;
use pillion::model::action::ActionSchema;
use pillion::model::source::{Diagnostic, Source};
use pillion::model::types::Types;

/// Every root field of `text` as an action, whose handler is `http://handlers/NAME`. The role `user` may call all but
/// `hidden`.
pub fn from_sdl(text: &str) -> ActionSchema {
    with_relationships(text, "", "")
}

/// `actions.yaml` for every root field of `text`.
pub fn actions_yaml(text: &str) -> String {
    let mut yaml = String::from("actions:\n");
    for name in root_fields(text) {
        let _ = writeln!(yaml, "  - name: {name}\n    definition: {{handler: 'http://handlers/{name}'}}");
        if name != "hidden" {
            yaml.push_str("    permissions: [{role: user}]\n");
        }
    }
    yaml
}

/// The same with `custom_types` of `actions.yaml` and with `pillion.yaml`.
pub fn with_relationships(text: &str, custom_types: &str, config: &str) -> ActionSchema {
    without_errors(load(text, &format!("{}{custom_types}", actions_yaml(text)), &[], config))
}

fn without_errors((schema, diagnostics): (ActionSchema, Vec<Diagnostic>)) -> ActionSchema {
    let errors: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    assert!(errors.iter().all(|error| error.contains("warning:")), "{errors:?}");
    schema
}

/// `actions.graphql` as it is written again, and the first lines of what is said about the old one.
pub fn written(text: &str, actions: &str) -> (String, Vec<String>) {
    let source = |name: &str, text: &str| Arc::new(Source::new(name, text));
    let (mut signatures, mut diagnostics) = (Signatures::default(), Vec::new());
    sdl::read(&source("actions.graphql", text), &mut signatures, &mut diagnostics);
    let lines =
        diagnostics.iter().map(|diagnostic| diagnostic.to_string().lines().next().unwrap_or_default().to_owned());
    let yaml = yaml::parse(&source("actions.yaml", actions)).expect("YAML");
    let document = Document::of_files(&[yaml], None, &signatures);
    let types =
        Types(signatures.types.iter().map(|(name, (definition, _))| (name.clone(), definition.clone())).collect());
    (actions_graphql(&document, &types), lines.collect())
}

fn root_fields(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        inside =
            inside && !line.starts_with('}') || line.starts_with("type Query") || line.starts_with("type Mutation");
        let name: String = line.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if inside && line.starts_with("  ") && !name.is_empty() {
            names.push(name);
        }
    }
    names
}

/// What the loader makes of both files, and of what `pillion.yaml` says about relationships.
pub fn load(
    graphql: &str,
    actions: &str,
    environment: &[(&str, &str)],
    config: &str,
) -> (ActionSchema, Vec<Diagnostic>) {
    let environment =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let (schema, mut diagnostics) = read_all(graphql, actions, config, &environment);
    diagnostics.extend(upstream_types::undecided(&schema));
    (schema, diagnostics)
}
