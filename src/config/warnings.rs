//! Warnings of `pillion check`: configuration that is valid but suspicious.

use std::collections::HashSet;

use crate::config::settings::Settings;
use crate::graphql::schema::reachable_types;
use crate::model::action::{Action, ActionSchema};
use crate::model::before::{Before, Identity, VariableSource};
use crate::model::source::Diagnostic;
use crate::model::types::BUILT_IN_SCALARS;

/// What `before` of an action may let through, or keep out.
fn lint_before(action: &Action, before: &Before, warnings: &mut Vec<Diagnostic>) {
    let is_widened = before.identity != Identity::Caller;
    if is_widened {
        let message = format!(
            "before action '{}' the upstream is asked as {}, which may see more than the caller",
            action.name,
            before.identity.shown()
        );
        let help = "restrict what is asked by session variables, or remove \"as\"";
        warnings.push(Diagnostic::warning(Some(before.place.clone()), message, help));
    }
    let source = |name: &String| before.variables.iter().find(|variable| variable.name == *name);
    for field in &before.query.fields {
        let mut sources = field.variables.iter().filter_map(source).map(|variable| &variable.source);
        // As the caller, the upstream's permissions restrict rows; a field without any variable is the same for every call.
        let is_restricted =
            if is_widened { sources.any(VariableSource::is_of_session) } else { sources.next().is_some() };
        if !is_restricted && before.require.all().any(|one| one.field == field.response_name) {
            let message = format!(
                "\"{}\" is required before action '{}', and nothing in it depends on the caller",
                field.response_name, action.name
            );
            let help = "restrict it by a session variable, such as x-hasura-user-id";
            let place = before.place.within(&before.query.text, field.offset);
            warnings.push(Diagnostic::warning(Some(place), message, help));
        }
    }
    for variable in before.variables.iter().filter(|variable| !variable.has_default) {
        let VariableSource::Argument(path) = &variable.source else { continue };
        let argument = action.arguments.iter().find(|argument| path.first() == Some(&argument.name));
        if argument.is_some_and(|argument| argument.ty.is_nullable() && argument.default.is_none()) {
            let message = format!(
                "action '{}' can be called without the argument of ${}, and is rejected then",
                action.name, variable.name
            );
            let help = "make the argument non-null, or give the variable a default";
            warnings.push(Diagnostic::warning(Some(before.place.clone()), message, help));
        }
    }
}

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
        if let Some(before) = &action.before {
            lint_before(action, before, &mut warnings);
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
