//! The types of keys: those that an action's arguments expect, and whether they take values of the upstream's fields, by the
//! rules of JSON input coercion.

use apollo_compiler::Schema;
use apollo_compiler::ast::Type;
use apollo_compiler::schema::ExtendedType;

use crate::model::action::Action;
use crate::model::extension_field::{ArgumentTemplate, ExtensionField};
use crate::model::types::{TypeKind, TypeRef, Types, is_built_in_scalar};

/// For each key its name, the argument that it stands in, and the type that is expected there. In a custom scalar anything
/// may stand, so keys there are not among them.
#[must_use]
pub fn expected_types<'f>(
    types: &'f Types,
    action: &'f Action,
    field: &'f ExtensionField,
) -> Vec<(&'f str, &'f str, &'f TypeRef)> {
    let mut found = Vec::new();
    for (name, template) in &field.arguments {
        if let Some(definition) = action.arguments.iter().find(|known| known.name == *name) {
            collect(types, template, &definition.ty, &mut |key, ty| found.push((key, name.as_str(), ty)));
        }
    }
    found
}

fn collect<'f>(
    types: &'f Types,
    template: &'f ArgumentTemplate,
    ty: &'f TypeRef,
    found: &mut impl FnMut(&'f str, &'f TypeRef),
) {
    match (template, ty.nullable()) {
        (ArgumentTemplate::Key(name), ty) => found(name, ty),
        (ArgumentTemplate::List(items), TypeRef::List(inner)) => {
            items.iter().for_each(|item| collect(types, item, inner, found));
        }
        (ArgumentTemplate::Object(given), TypeRef::Named(name)) => {
            let Some(TypeKind::InputObject(fields)) = types.get(name).map(|definition| &definition.kind) else {
                return;
            };
            for (name, template) in given {
                if let Some(field) = fields.iter().find(|field| field.name == *name) {
                    collect(types, template, &field.ty, found);
                }
            }
        }
        _ => {}
    }
}

/// Does `expected`, a type of ours, take the values of an upstream's field of the type `found`? Nulls do not count: a row
/// without a key has no call.
#[must_use]
pub fn takes(types: &Types, expected: &TypeRef, upstream: &Schema, found: &Type) -> bool {
    match (expected.nullable(), found) {
        (TypeRef::List(expected), Type::List(found) | Type::NonNullList(found)) => {
            takes(types, expected, upstream, found)
        }
        (TypeRef::Named(expected), Type::Named(found) | Type::NonNullNamed(found)) => {
            takes_named(types, expected, upstream, found)
        }
        (TypeRef::Named(expected), Type::List(_) | Type::NonNullList(_)) => is_custom_scalar(types, expected),
        _ => false,
    }
}

fn takes_named(types: &Types, expected: &str, upstream: &Schema, found: &str) -> bool {
    let is_enum = matches!(upstream.types.get(found), Some(ExtendedType::Enum(_)));
    if expected == found || is_custom_scalar(types, expected) {
        return true;
    }
    if !is_enum && !is_built_in_scalar(found) {
        // The values of a scalar of the upstream are not known.
        return true;
    }
    match expected {
        "ID" => is_enum || matches!(found, "String" | "Int"),
        "String" => is_enum || found == "ID",
        "Float" => found == "Int",
        _ => false,
    }
}

fn is_custom_scalar(types: &Types, name: &str) -> bool {
    let kind = types.get(name).map(|definition| &definition.kind);
    !is_built_in_scalar(name) && matches!(kind, None | Some(TypeKind::Scalar))
}
