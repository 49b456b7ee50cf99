//! Actions from the texts of Hasura's two files alone, with every setting at its default. For programs that embed the
//! core, and for examples; the server reads whole folders (`config/load.rs`).

use std::sync::Arc;
use std::time::Duration;

use crate::action::header_precedence::Precedence;
use crate::config::action_settings;
use crate::config::extension_field_settings;
use crate::config::metadata::{self, Metadata};
use crate::config::prefix::Prefixes;
use crate::config::relationship_settings;
use crate::config::resolve::resolve;
use crate::config::resolver::ResolveOptions;
use crate::config::sdl::{self, Signatures};
use crate::config::traffic_settings::TrafficDefaults;
use crate::config::yaml;
use crate::model::action::ActionSchema;
use crate::model::address::AllowedHosts;
use crate::model::source::{Diagnostic, Severity, Source};
use crate::model::traffic::TrafficRules;

/// Reads `actions.graphql` and `actions.yaml`. Warnings are left out; variables of handlers are looked up in `environment`.
///
/// # Errors
/// Every error, with file, line and column.
///
/// # Examples
/// ```
/// let graphql = "type Query { quote(productId: Int!): Quote } type Quote { total: Float! }";
/// let yaml = "actions: [{ name: quote, definition: { handler: http://handlers/quote } }]";
/// let schema = pillion::config::actions::read_actions(graphql, yaml, &|_| None).unwrap();
/// assert_eq!(schema.actions["quote"].output.named(), "Quote");
///
/// let unknown = "actions: [{ name: quoted, definition: { handler: http://handlers/quote } }]";
/// let diagnostics = pillion::config::actions::read_actions(graphql, unknown, &|_| None).unwrap_err();
/// assert!(diagnostics[0].to_string().starts_with("actions.yaml:1:19: error:"), "{}", diagnostics[0]);
/// ```
pub fn read_actions(
    graphql: &str,
    yaml: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<ActionSchema, Vec<Diagnostic>> {
    let (schema, mut diagnostics) = read_all(graphql, yaml, "", environment);
    diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    if diagnostics.is_empty() { Ok(schema) } else { Err(diagnostics) }
}

/// The same with what a `pillion.yaml`, which may be empty, says of relationships, extension fields and single actions, and with warnings. If a diagnostic is an error,
/// the schema must not be used.
#[must_use]
pub fn read_all(
    graphql: &str,
    yaml: &str,
    config: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (ActionSchema, Vec<Diagnostic>) {
    let source = |name: &str, text: &str| Arc::new(Source::new(name, text));
    let (mut metadata, mut signatures, mut diagnostics) = (Metadata::default(), Signatures::default(), Vec::new());
    let mut is_broken = !sdl::read(&source("actions.graphql", graphql), &mut signatures, &mut diagnostics);
    match yaml::parse(&source("actions.yaml", yaml)) {
        Ok(node) => metadata::read(&node, &signatures, &mut metadata, &mut diagnostics),
        Err(diagnostic) => {
            is_broken = true;
            diagnostics.push(diagnostic);
        }
    }
    if is_broken {
        return (ActionSchema::default(), diagnostics);
    }
    let config = yaml::parse(&source("pillion.yaml", config)).map_err(|diagnostic| diagnostics.push(diagnostic)).ok();
    let relationships = relationship_settings::read(config.as_ref(), &mut diagnostics);
    let extension_fields = extension_field_settings::read(config.as_ref(), &mut diagnostics);
    let actions = action_settings::read(config.as_ref(), &mut diagnostics);
    let options = ResolveOptions {
        environment,
        actions: &actions,
        precedence: Precedence::ClientFirst,
        relationships: &relationships,
        extension_fields: &extension_fields,
        max_calls_per_action: 20,
        prefixes: &Prefixes::default(),
        jobs: (1, 16),
        policies: &traffic_defaults(),
        allows_private: true,
        allowed_hosts: &AllowedHosts::default(),
        allows_link_local: false,
        admin_secret: None,
        knows_all_actions: true,
    };
    let schema = resolve(metadata, signatures, &options, &mut diagnostics);
    (schema, diagnostics)
}

fn traffic_defaults() -> TrafficDefaults {
    let second = Duration::from_secs(1);
    let rules = TrafficRules {
        max_concurrent_calls: 256,
        max_queued_calls: 64,
        queue_timeout: second,
        circuit_breaker_reset_timeout: None,
        max_retries: 0,
        rate_limits: Vec::new(),
        denies_when_store_unavailable: false,
        signing_keys: Vec::new(),
        cache: None,
    };
    TrafficDefaults { rules, circuit_breaker_reset_timeout: second }
}
