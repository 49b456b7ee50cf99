//! Checks the queries of `before` against the upstream's schema as a role sees it: are their fields and arguments there, and
//! can what is required of them be missing at all?

use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};

use crate::graphql::document::diagnostics as syntax_errors;
use crate::model::action::{ADMIN_ROLE, Action, ActionSchema};
use crate::model::before::{Before, Identity};
use crate::model::limits::ERRORS_MAX;
use crate::model::source::{Diagnostic, SourceFile};

/// What of the queries that are asked as `role` does not go with `upstream`, the upstream's own schema as that role sees it.
#[must_use]
pub fn diagnostics(upstream: &Schema, actions: &ActionSchema, role: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for action in actions.actions.values() {
        let Some(before) = action.before.as_deref().filter(|before| is_asked_as(action, before, role)) else {
            continue;
        };
        check(upstream, (action, before), role, &mut found);
    }
    found
}

/// Roles as which the upstream is asked before calls of these actions, admin excepted.
#[must_use]
pub fn roles(actions: &ActionSchema) -> Vec<String> {
    let mut roles: Vec<String> = Vec::new();
    for action in actions.actions.values() {
        match action.before.as_deref().map(|before| &before.identity) {
            Some(Identity::Caller) => roles.extend(action.roles.iter().filter(|role| *role != ADMIN_ROLE).cloned()),
            Some(Identity::Role(role)) => roles.push(role.clone()),
            Some(Identity::Admin) | None => {}
        }
    }
    roles.sort_unstable();
    roles.dedup();
    roles
}

fn is_asked_as(action: &Action, before: &Before, role: &str) -> bool {
    match &before.identity {
        Identity::Caller => action.allows(role),
        Identity::Admin => role == ADMIN_ROLE,
        Identity::Role(own) => own == role,
    }
}

fn check(upstream: &Schema, (action, before): (&Action, &Before), role: &str, found: &mut Vec<Diagnostic>) {
    let (text, schema) = (before.query.text.as_str(), Valid::assume_valid_ref(upstream));
    let document = match ExecutableDocument::parse_and_validate(schema, text, "before") {
        Ok(document) => document,
        Err(invalid) => {
            let (errors, _) = syntax_errors(text, &invalid.errors, ERRORS_MAX, "", Some(upstream));
            found.extend(errors.into_iter().map(|error| {
                let place = before.place.within(text, error.offset.unwrap_or_default());
                let message = format!("as role \"{role}\", the upstream would reject the query: {}", error.message);
                let help = "correct the query, or give the role the permission; until then its calls are rejected";
                Diagnostic::error(Some(place), message, help).about(SourceFile::Action(action.name.clone()))
            }));
            return;
        }
    };
    if role != ADMIN_ROLE && before.identity == Identity::Caller {
        // Said once, of what an admin sees.
        return;
    }
    let Some(operation) = document.operations.iter().next() else { return };
    for field in operation.selection_set.fields() {
        let name = field.response_key().as_str();
        let is_required = before.require.all().any(|one| one.field == name);
        let ty = &field.definition.ty;
        if is_required && ty.is_non_null() && !ty.is_list() && !field.selection_set.is_empty() {
            let offset = field.location().map(|span| span.offset());
            let place = before.place.within(text, offset.unwrap_or_default());
            let message = format!("\"{name}\" is required and always there: its type is {ty}");
            let help = "select one field of it that says whether there is something, such as nodes or a count";
            if field.selection_set.selections.len() > 1 {
                found.push(Diagnostic::warning(Some(place), message, help));
            }
        }
    }
}
