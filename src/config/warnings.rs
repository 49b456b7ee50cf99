//! Warnings of `pillion check`: configuration that is valid but suspicious.

use std::collections::HashSet;

use crate::config::settings::Settings;
use crate::graphql::schema::reachable_types;
use crate::model::action::{Action, ActionSchema};
use crate::model::source::Diagnostic;
use crate::model::types::BUILT_IN_SCALARS;

/// Everything that looks like an oversight.
#[must_use]
pub fn lint(schema: &ActionSchema, settings: &Settings) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let actions: Vec<&Action> = schema.actions.values().map(AsRef::as_ref).collect();
    for action in &actions {
        let place = schema.locations.actions.get(&action.field);
        if action.roles.is_empty() {
            let message = format!("only admin may call action '{}'", action.name);
            warnings.push(Diagnostic::warning(place.cloned(), message, "add its permissions, unless that is meant"));
        }
        let is_cut = settings.limits.request_timeout_is_given && !action.is_async;
        if is_cut && action.timeout > settings.limits.request_timeout {
            let message = format!(
                "action '{}' may take {} s, but a client's request {} s as a whole",
                action.name,
                action.timeout.as_secs(),
                settings.limits.request_timeout.as_secs()
            );
            let help = "lower its timeout, or raise limits.request_timeout";
            warnings.push(Diagnostic::warning(place.cloned(), message, help));
        }
    }
    for name in schema.types.0.keys() {
        let Some(meant) = BUILT_IN_SCALARS.iter().find(|scalar| *scalar != name && scalar.eq_ignore_ascii_case(name))
        else {
            continue;
        };
        let message = format!("the type '{name}' is another scalar than '{meant}'");
        let help = format!("write {meant}, unless a scalar of the database is meant");
        warnings.push(Diagnostic::warning(schema.locations.types.get(name).cloned(), message, help));
    }
    let used: HashSet<&str> = reachable_types(&schema.types, &actions, None).into_iter().collect();
    for name in schema.types.0.keys().filter(|name| !used.contains(name.as_str())) {
        // Without a place it is one of those that every schema has.
        if let Some(place) = schema.locations.types.get(name) {
            let message = format!("no action uses the type '{name}'");
            warnings.push(Diagnostic::warning(Some(place.clone()), message, "remove it, or use it"));
        }
    }
    warnings
}
