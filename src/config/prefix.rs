//! Prefixes for actions and types, against collisions with the upstream's names.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::action::{Action, ActionSchema, SourceMap};
use crate::model::extension_field::ExtensionField;
use crate::model::types::{InputValue, TypeDefinition, TypeKind, TypeRef, Types};

/// The prefixes of names. Empty prefixes change nothing.
#[derive(Clone, Debug, Default)]
pub struct Prefixes {
    /// Before the name of every object, input object and enum of the actions. Scalars keep theirs: those that the
    /// upstream has as well are shared.
    pub types: String,
    /// Before the name of every action's root field. Handlers, logs and metrics use the action's own name.
    pub fields: String,
}

/// The same actions under their prefixed names.
#[must_use]
pub fn apply(schema: ActionSchema, prefixes: &Prefixes) -> ActionSchema {
    if prefixes.types.is_empty() && prefixes.fields.is_empty() {
        return schema;
    }
    let new_names: HashMap<String, String> = schema
        .types
        .0
        .iter()
        .filter(|(_, definition)| !definition.is_upstreams && !matches!(definition.kind, TypeKind::Scalar))
        .map(|(name, _)| (name.clone(), format!("{}{name}", prefixes.types)))
        .collect();
    let new_name = |name: &str| new_names.get(name).map_or(name, String::as_str).to_owned();
    let actions = schema.actions.into_values().map(|action| {
        // This is the only handle yet, so nothing is copied.
        let action = Arc::unwrap_or_clone(action);
        let action = Action {
            field: format!("{}{}", prefixes.fields, action.name),
            arguments: inputs(action.arguments, &new_name),
            output: type_ref(action.output, &new_name),
            ..action
        };
        (action.field.clone(), Arc::new(action))
    });
    let locations = SourceMap {
        actions: schema
            .locations
            .actions
            .into_iter()
            .map(|(name, place)| (format!("{}{name}", prefixes.fields), place))
            .collect(),
        types: schema.locations.types.into_iter().map(|(name, place)| (new_name(&name), place)).collect(),
        extension_fields: schema.locations.extension_fields,
    };
    // Their own names, and those of the types that they are on, are the upstream's.
    let extension_fields = schema.extension_fields.iter().map(|field| {
        Arc::new(ExtensionField {
            action: format!("{}{}", prefixes.fields, field.action),
            ty: type_ref(field.ty.clone(), &new_name),
            ..ExtensionField::clone(field)
        })
    });
    let extension_fields = extension_fields.collect();
    let types = schema.types.0.into_iter().map(|(name, definition)| (new_name(&name), rename(definition, &new_name)));
    ActionSchema { actions: actions.collect(), types: Types(types.collect()), extension_fields, locations, ..schema }
}

fn rename(definition: TypeDefinition, new_name: &impl Fn(&str) -> String) -> TypeDefinition {
    let kind = match definition.kind {
        TypeKind::InputObject(fields) => TypeKind::InputObject(inputs(fields, new_name)),
        TypeKind::Object(mut fields) => {
            for field in fields.values_mut() {
                field.ty = type_ref(field.ty.clone(), new_name);
            }
            TypeKind::Object(fields)
        }
        kind @ (TypeKind::Scalar | TypeKind::Enum(_)) => kind,
    };
    TypeDefinition { kind, ..definition }
}

fn inputs(inputs: Vec<InputValue>, new_name: &impl Fn(&str) -> String) -> Vec<InputValue> {
    inputs.into_iter().map(|input| InputValue { ty: type_ref(input.ty, new_name), ..input }).collect()
}

fn type_ref(ty: TypeRef, new_name: &impl Fn(&str) -> String) -> TypeRef {
    match ty {
        TypeRef::Named(name) => TypeRef::Named(new_name(&name)),
        TypeRef::List(inner) => TypeRef::List(Box::new(type_ref(*inner, new_name))),
        TypeRef::NonNull(inner) => TypeRef::NonNull(Box::new(type_ref(*inner, new_name))),
    }
}
