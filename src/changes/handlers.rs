//! Generates handlers for the actions of a configuration ([`crate::codegen`]), for `pillion codegen` and the console.

use std::collections::HashMap;

use crate::changes::check::assumed;
use crate::codegen::generate;
use crate::codegen::options::{Framework, Options};
use crate::codegen::project::Project;
use crate::config::action_settings::{self, ActionSettings};
use crate::config::configuration_source::ConfigurationSource;
use crate::config::load::{Assumed, Loaded, read_file};
use crate::config::yaml;
use crate::model::source::Diagnostic;
use crate::session::claims::ClaimsPlace;

/// Why there is no project.
pub(crate) enum NotGenerated {
    /// What is wrong with the configuration.
    Configuration(Vec<Diagnostic>),
    /// What is wrong with the choice of actions, or with them.
    Actions(Vec<String>),
}

/// The project of handlers that a configuration makes. Without `actions` it is one of all of them.
///
/// # Errors
/// [`NotGenerated`].
pub(crate) fn project(
    source: &ConfigurationSource,
    framework: Framework,
    actions: Vec<String>,
) -> Result<Project, NotGenerated> {
    let settings = settings_of_actions(source);
    let loaded = loaded(source, &settings).map_err(NotGenerated::Configuration)?;
    let options = options_of(framework, actions, &settings, &loaded);
    generate(&loaded.schema, &options).map_err(NotGenerated::Actions)
}

/// What `pillion.yaml` says of single actions. What is wrong with it is found when everything is loaded.
fn settings_of_actions(source: &ConfigurationSource) -> Vec<(String, ActionSettings)> {
    let file = source.file.as_deref().and_then(|path| read_file(path).ok());
    let node = file.and_then(|source| yaml::parse(&source).ok());
    action_settings::read(node.as_ref(), &mut Vec::new()).into_iter().collect()
}

/// Any secret that signs.
const UNSET_SIGNING_SECRET: &str = "whsec_dW5zZXQtdW5zZXQtdW5zZXQtdW5zZXQtdW5zZXQt";

/// The configuration. Secrets need not be known where code is generated.
fn loaded(source: &ConfigurationSource, settings: &[(String, ActionSettings)]) -> Result<Loaded, Vec<Diagnostic>> {
    let mut needed = assumed().settings.to_vec();
    let has_secret = ["auth.admin_secret", "auth.admin_secrets"].iter().any(|key| source.text(key).is_some());
    if !has_secret && settings.iter().any(|(_, settings)| settings.admin_secret) {
        needed.push(("auth.admin_secret", "unset"));
    }
    let signing = settings.iter().flat_map(|(_, settings)| settings.policies.signing_variables());
    source.load(&Assumed {
        settings: &needed,
        variables: signing.map(|name| (name, UNSET_SIGNING_SECRET.to_owned())).collect(),
        ..assumed()
    })
}

fn options_of(
    framework: Framework,
    actions: Vec<String>,
    settings: &[(String, ActionSettings)],
    loaded: &Loaded,
) -> Options {
    let signing = settings.iter().map(|(name, settings)| (name.clone(), settings.policies.signing_variables()));
    let signing_variables: HashMap<_, _> = signing.filter(|(_, variables)| !variables.is_empty()).collect();
    let session_variables = loaded.settings.auth.jwt.iter().flat_map(|rules| match &rules.claims {
        ClaimsPlace::Rules(rules) => rules.variables.iter().map(|(name, _)| name.clone()).collect(),
        ClaimsPlace::Map(map) => map.iter().map(|(name, _)| name.clone()).collect(),
        ClaimsPlace::Namespace(_) | ClaimsPlace::Path(..) => Vec::new(),
    });
    let session_variables = session_variables.collect();
    Options { framework, actions, signing_variables, session_variables }
}
