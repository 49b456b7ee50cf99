//! External types: names such as `vector` or an enum of PostgreSQL that are not defined here and resolve to scalars and
//! enums of the upstream, if its schema has them. Until the schema is known, any value is valid.

use indexmap::IndexMap;

use crate::graphql::schema::reachable_types;
use crate::model::action::ActionSchema;
use crate::model::source::{Diagnostic, SourceFile};
use crate::model::types::TypeKind;

/// What the upstream has under a name: a scalar or an enum; nothing if it has neither.
pub type LookUp<'l> = &'l (dyn Fn(&str) -> Option<TypeKind> + Sync);

/// The errors that there are because the upstream does not have the types either.
#[must_use]
pub fn missing(schema: &ActionSchema, look_up: LookUp<'_>) -> Vec<Diagnostic> {
    let missing = schema.undecided.iter().filter(|(name, _)| look_up(name).is_none());
    missing.flat_map(|(_, diagnostics)| diagnostics.iter().cloned()).collect()
}

/// Copies the types that the upstream has. The others stay undecided.
pub fn fill(schema: &mut ActionSchema, look_up: LookUp<'_>) {
    schema.undecided.retain(|name, _| {
        let Some(kind) = look_up(name) else { return true };
        if let Some(definition) = schema.types.0.get_mut(name) {
            definition.kind = kind;
        }
        false
    });
}

/// The same actions with all types resolved: an action that needs an undefined type is left out.
#[must_use]
pub fn decide(schema: &ActionSchema, look_up: LookUp<'_>) -> ActionSchema {
    let mut decided = schema.clone();
    let mut inconsistent = missing(&decided, look_up);
    fill(&mut decided, look_up);
    let undecided: IndexMap<String, Vec<Diagnostic>> = std::mem::take(&mut decided.undecided);
    let types = &decided.types;
    decided.actions.retain(|field, action| {
        let reachable = reachable_types(types, &[action.as_ref()], None);
        let Some(name) = reachable.into_iter().find(|name| undecided.contains_key(*name)) else { return true };
        let subject = SourceFile::Action(action.name.clone());
        if !inconsistent.iter().any(|diagnostic| diagnostic.subject.as_deref() == Some(&subject)) {
            let message = format!("action '{}' needs the type \"{name}\", which is not defined", action.name);
            let place = schema.locations.actions.get(field).cloned();
            inconsistent.push(Diagnostic::error(place, message, "define it, or correct its name").about(subject));
        }
        false
    });
    let (actions, locations) = (&decided.actions, &schema.locations);
    decided.extension_fields.retain(|field| {
        let has_action = actions.contains_key(&field.action);
        if !has_action {
            let coordinate = field.coordinate();
            let name = schema.actions.get(&field.action).map_or(field.action.as_str(), |action| action.name.as_str());
            let message = format!("the extension field \"{coordinate}\" needs action '{name}', which cannot be used");
            let place = locations.extension_fields.get(&coordinate).cloned();
            let diagnostic = Diagnostic::error(place, message, "correct the action");
            inconsistent.push(diagnostic.about(SourceFile::ExtensionField(coordinate)));
        }
        has_action
    });
    decided.inconsistent.extend(inconsistent);
    decided
}

/// Warnings about what cannot be decided, for a check without the upstream.
#[must_use]
pub fn undecided(schema: &ActionSchema) -> Vec<Diagnostic> {
    let first = |(name, diagnostics): (&String, &Vec<Diagnostic>)| {
        let message =
            format!("the type \"{name}\" is not defined here, and must be a scalar or an enum of the upstream");
        let first = diagnostics.first();
        let place = first.and_then(|diagnostic| diagnostic.place.clone());
        let suggestion =
            first.and_then(|diagnostic| diagnostic.help.split_once(" Did you mean ")).map(|(_, names)| names);
        let help = match suggestion {
            Some(names) => {
                format!("did you mean {names} Otherwise define it; --upstream checks whether the upstream has it")
            }
            None => {
                "define it, or correct its name; --upstream checks whether the upstream has it. Rows of the upstream \
                     are added by a relationship: custom_types in actions.yaml, or relationships in pillion.yaml"
                    .to_owned()
            }
        };
        Diagnostic::warning(place, message, help)
    };
    schema.undecided.iter().map(first).collect()
}

/// Adds values that an enum of the upstream did not have before; nothing if there are none. Others than `name` stay.
#[must_use]
pub fn extended(schema: &ActionSchema, found: &[(String, TypeKind)]) -> Option<ActionSchema> {
    let mut extended: Option<ActionSchema> = None;
    for (name, kind) in found {
        let TypeKind::Enum(values) = kind else { continue };
        let Some(known) = schema.types.get(name).filter(|known| known.is_upstreams) else { continue };
        let TypeKind::Enum(known) = &known.kind else { continue };
        if values.keys().all(|value| known.contains_key(value)) {
            continue;
        }
        let all = known.iter().chain(values).map(|(value, description)| (value.clone(), description.clone())).collect();
        if let Some(definition) = extended.get_or_insert_with(|| schema.clone()).types.0.get_mut(name) {
            definition.kind = TypeKind::Enum(all);
        }
    }
    extended
}
