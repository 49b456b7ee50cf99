//! Resolves `presets` of an action in `pillion.yaml`: what its arguments are filled with, for all roles or for single ones.

use std::collections::BTreeSet;

use crate::action::presets::SCOPE;
use crate::config::transform;
use crate::config::yaml::{Data, Node};
use crate::graphql::coerce::coerce_argument;
use crate::graphql::suggestions::did_you_mean;
use crate::kriti::parse::{parse, parse_text};
use crate::model::action::ADMIN_ROLE;
use crate::model::preset::{Preset, PresetValue, Presets};
use crate::model::source::{Diagnostic, SourceLocation};
use crate::model::types::{InputValue, Types};
use crate::session::SESSION_PREFIX;

/// What presets are resolved against.
pub(crate) struct PresetScope<'s> {
    /// The action's name.
    pub action: &'s str,
    /// Its arguments.
    pub arguments: &'s [InputValue],
    /// The roles that may call it.
    pub roles: &'s BTreeSet<String>,
    /// All types.
    pub types: &'s Types,
}

/// Reads them. A key that is an argument is filled for every role but admin; a key that is a role has a mapping of its own
/// arguments, which takes the place of those for every role.
pub(crate) fn resolve(node: &Node, scope: &PresetScope<'_>, diagnostics: &mut Vec<Diagnostic>) -> Presets {
    let mut presets = Presets::default();
    for (key, place, value) in node.entries() {
        match scope.argument(key) {
            Some(definition) => presets.general.extend(scope.preset(definition, value, diagnostics)),
            None if key == ADMIN_ROLE || scope.roles.contains(key) => {
                presets.by_role.insert(key.clone(), scope.of_role(value, diagnostics));
            }
            None => scope.reject_unknown(key, place, true, diagnostics),
        }
    }
    presets.by_role.entry(ADMIN_ROLE.to_owned()).or_default();
    presets
}

impl PresetScope<'_> {
    fn argument(&self, name: &str) -> Option<&InputValue> {
        self.arguments.iter().find(|argument| argument.name == name)
    }

    fn of_role(&self, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Vec<Preset> {
        if !matches!(node.data, Data::Map(_) | Data::Null) {
            let message = format!("the presets of a role must be a mapping, and are {}", node.kind());
            node.reject(message, "write an argument and its value, as in user_id: x-hasura-user-id", diagnostics);
        }
        let mut presets = Vec::new();
        for (name, place, value) in node.entries() {
            match self.argument(name) {
                Some(definition) => presets.extend(self.preset(definition, value, diagnostics)),
                None => self.reject_unknown(name, place, false, diagnostics),
            }
        }
        presets
    }

    fn preset(&self, definition: &InputValue, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Preset> {
        let text = node.as_text().unwrap_or_default();
        let value = if text.to_ascii_lowercase().starts_with(SESSION_PREFIX) {
            PresetValue::SessionVariable(text.to_ascii_lowercase())
        } else if text.contains("{{") {
            // An expression alone gives a value of any type, and one within text a string.
            let is_value = text.trim_start().starts_with("{{") && text.trim_end().ends_with("}}");
            let parse = if is_value { parse } else { parse_text };
            PresetValue::Template(transform::template(node, &SCOPE, parse, diagnostics)?)
        } else {
            match coerce_argument(self.types, definition, node.to_json()) {
                Ok(value) => PresetValue::Constant(value),
                Err(error) => {
                    let help = format!("write a value of type {}, a session variable, or a template", definition.ty);
                    node.reject(error.to_string(), &help, diagnostics);
                    return None;
                }
            }
        };
        Some(Preset { argument: definition.name.clone(), value })
    }

    fn reject_unknown(&self, name: &str, place: &SourceLocation, may_be_role: bool, diagnostics: &mut Vec<Diagnostic>) {
        let roles = self.roles.iter().map(String::as_str).filter(|_| may_be_role);
        let suggestion = did_you_mean(name, self.arguments.iter().map(|argument| argument.name.as_str()).chain(roles));
        let stop = if suggestion.is_empty() { "" } else { "." };
        let or_role = if may_be_role { ", and no role that may call it" } else { "" };
        let message = format!("action \"{}\" has no argument \"{name}\"{or_role}{stop}{suggestion}", self.action);
        let help = "name an argument, or correct its name";
        diagnostics.push(Diagnostic::error(Some(place.clone()), message, help));
    }
}
