//! Adds extension fields to the upstream's types in the schema of a role.

use std::sync::Arc;

use apollo_compiler::ast::Type;
use apollo_compiler::collections::IndexMap;
use apollo_compiler::schema::{Component, ExtendedType, FieldDefinition, InputValueDefinition};
use apollo_compiler::{Name, Node, Schema};

use crate::graphql::extension_fields::ExtensionFields;
use crate::graphql::schema::{deprecated, type_of};
use crate::model::extension_field::ExtensionField;

/// A name that the upstream's type has already.
pub struct TakenName<'e> {
    /// The extension field.
    pub field: &'e ExtensionField,
    /// The type: the extension field's, or one that implements it.
    pub type_name: Name,
    /// Its definition here.
    pub own: FieldDefinition,
    /// Its definition there.
    pub upstreams: FieldDefinition,
}

/// What the upstream's schema and the root fields of a role's actions say about extension fields.
pub struct Extender<'s> {
    /// The upstream's schema as the role sees it.
    pub upstream: &'s Schema,
    /// The schema of the actions that the role may call.
    pub own: &'s Schema,
}

impl<'s> Extender<'s> {
    /// The extension fields that the role sees: it may call the action, and the upstream shows it the type and the key
    /// fields. Beside them those whose name is taken.
    #[must_use]
    pub fn visible<'e>(&self, fields: &'e [Arc<ExtensionField>]) -> (ExtensionFields, Vec<TakenName<'e>>) {
        let (mut visible, mut taken) = (ExtensionFields::default(), Vec::new());
        for field in fields {
            let Some(own) = self.definition(field) else { continue };
            let names = self.types_of(field);
            if names.is_empty() {
                continue;
            }
            for type_name in names {
                match self.fields_of(&type_name).and_then(|fields| fields.get(&own.name)) {
                    Some(upstreams) => taken.push(TakenName {
                        field,
                        type_name,
                        own: own.clone(),
                        upstreams: FieldDefinition::clone(upstreams),
                    }),
                    None => visible.insert(&type_name, own.name.clone(), field),
                }
            }
        }
        (visible, taken)
    }

    /// Adds the visible extension fields to the merged schema.
    pub fn extend(&self, merged: &mut Schema, visible: &ExtensionFields) {
        for (type_name, fields) in visible.by_type() {
            let definitions = fields.values().filter_map(|field| self.definition(field));
            let added = definitions.map(|definition| (definition.name.clone(), Component::new(definition)));
            match merged.types.get_mut(type_name) {
                Some(ExtendedType::Object(object)) => object.make_mut().fields.extend(added),
                Some(ExtendedType::Interface(interface)) => interface.make_mut().fields.extend(added),
                _ => {}
            }
        }
    }

    /// Its definition, if the role may call the action: the action's root field without the arguments that the
    /// configuration gives.
    fn definition(&self, field: &ExtensionField) -> Option<FieldDefinition> {
        let query = self.own.schema_definition.query.as_ref().and_then(|query| self.own.get_object(query))?;
        let action = query.fields.get(field.action.as_str())?;
        let is_free = |argument: &&Node<InputValueDefinition>| !field.gives(&argument.name);
        Some(FieldDefinition {
            description: field.description.as_deref().map(Node::new_str),
            name: Name::new(&field.name).ok()?,
            arguments: action.arguments.iter().filter(is_free).cloned().collect(),
            ty: type_of(&field.ty).ok()?,
            directives: deprecated(field.deprecated.as_ref()),
        })
    }

    /// The types that have it, if the key fields are shown: its own, and for an interface those that implement it.
    fn types_of(&self, field: &ExtensionField) -> Vec<Name> {
        let Some(fields) = self.fields_of(&field.type_name) else { return Vec::new() };
        let is_key = |name: &&str| fields.get(*name).is_some_and(|found| is_key_field(self.upstream, found));
        let is_root =
            self.upstream.schema_definition.iter_root_operations().any(|(_, root)| root.as_str() == field.type_name);
        if is_root || !field.key_fields().iter().all(is_key) {
            return Vec::new();
        }
        let implementing = self.upstream.types.iter().filter(|(_, definition)| {
            let interfaces = match definition {
                ExtendedType::Object(object) => &object.implements_interfaces,
                ExtendedType::Interface(interface) => &interface.implements_interfaces,
                _ => return false,
            };
            interfaces.iter().any(|interface| interface.as_str() == field.type_name)
        });
        let own = self.upstream.types.get_key_value(field.type_name.as_str()).into_iter();
        own.chain(implementing).map(|(name, _)| name.clone()).collect()
    }

    fn fields_of(&self, type_name: &str) -> Option<&'s IndexMap<Name, Component<FieldDefinition>>> {
        match self.upstream.types.get(type_name)? {
            ExtendedType::Object(object) => Some(&object.fields),
            ExtendedType::Interface(interface) => Some(&interface.fields),
            _ => None,
        }
    }
}

/// Can the field be selected without arguments, and is its value a scalar, an enum's value or a list of those?
#[must_use]
pub fn is_key_field(schema: &Schema, field: &FieldDefinition) -> bool {
    is_leaf(schema, &field.ty) && field.arguments.iter().all(|argument| !argument.is_required())
}

/// Has a value of this type no fields of its own?
pub(crate) fn is_leaf(schema: &Schema, ty: &Type) -> bool {
    let named = schema.types.get(ty.inner_named_type());
    named.is_none_or(|named| named.is_scalar() || named.is_enum())
}
