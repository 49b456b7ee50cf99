//! Root types that the upstream shows below the root as well, as PostGraphile does: `Query.query`, and `query` in the
//! payload of every mutation. Actions can be selected at the root only, and one type cannot say so.
//!
//! So every field of such a type is given the type of an interface instead, which has the upstream's own fields and which
//! the root type implements. Fragments on the root type stay valid below the root, `__typename` stays true, and what
//! clients generate from the schema shows actions where they can be selected. The upstream does not know the interface:
//! where a client's fragment is on it, what its name has more than the root type's is blanked.

use std::ops::Range;

use apollo_compiler::ast::{Definition, FieldDefinition, Selection, Type};
use apollo_compiler::schema::{Component, DirectiveList, ExtendedType, InterfaceType, ObjectType};
use apollo_compiler::{Name, Node, Schema};

use crate::graphql::document::Document;
use crate::graphql::root_types::RootTypes;

/// What the interface's name has more than the root type's.
pub(super) const SUFFIX: &str = "WithoutActions";

/// The name of the interface for this root type.
#[must_use]
pub(super) fn without_actions(root: &str) -> String {
    format!("{root}{SUFFIX}")
}

/// Where the names of such interfaces end in the type conditions of `document`: what the upstream must not see.
#[must_use]
pub(super) fn suffixes(document: &Document, roots: &RootTypes) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if !document.text.contains(SUFFIX) {
        return found;
    }
    let conditions = Conditions { roots, found: &mut found };
    conditions.collect(document);
    found
}

struct Conditions<'c> {
    roots: &'c RootTypes,
    found: &'c mut Vec<Range<usize>>,
}

impl Conditions<'_> {
    fn collect(mut self, document: &Document) {
        for definition in document.definitions() {
            match definition {
                Definition::OperationDefinition(operation) => self.selection_set(&operation.selection_set),
                Definition::FragmentDefinition(fragment) => {
                    self.condition(&fragment.type_condition);
                    self.selection_set(&fragment.selection_set);
                }
                _ => {}
            }
        }
    }

    /// The parser's limit bounds the recursion.
    fn selection_set(&mut self, selection_set: &[Selection]) {
        for selection in selection_set {
            match selection {
                Selection::Field(field) => self.selection_set(&field.selection_set),
                Selection::InlineFragment(inline) => {
                    inline.type_condition.iter().for_each(|name| self.condition(name));
                    self.selection_set(&inline.selection_set);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn condition(&mut self, name: &Name) {
        let root = name.strip_suffix(SUFFIX);
        let roots = [&self.roots.query, &self.roots.mutation, &self.roots.subscription];
        let is_root = root.is_some_and(|root| roots.iter().any(|name| *name == root));
        if let (true, Some(span)) = (is_root, name.location()) {
            self.found.push(span.end_offset() - SUFFIX.len()..span.end_offset());
        }
    }
}

/// Gives the fields of `merged` that have the type `upstream_root` the type of an interface with the fields of
/// `upstream_root`, which is the root type as the upstream shows it. Nothing changes if there are no such fields, or if
/// the interface's name is taken.
pub(super) fn separate(merged: &mut Schema, upstream_root: &ObjectType) {
    let root = &upstream_root.name;
    let Ok(interface) = Name::new(&without_actions(root)) else { return };
    let nested: Vec<Name> =
        merged.types.iter().filter(|(_, ty)| has_field_of(ty, root)).map(|(name, _)| name.clone()).collect();
    if nested.is_empty() || merged.types.contains_key(&interface) {
        return;
    }
    let description =
        format!("The fields of {root} that can be selected below the root of an operation: all but the actions.");
    let definition = InterfaceType {
        description: Some(Node::new_str(&description)),
        name: interface.clone(),
        implements_interfaces: upstream_root.implements_interfaces.clone(),
        directives: DirectiveList::default(),
        fields: upstream_root.fields.clone(),
    };
    merged.types.insert(interface.clone(), definition.into());
    if let Some(ExtendedType::Object(object)) = merged.types.get_mut(root) {
        object.make_mut().implements_interfaces.insert((&interface).into());
    }
    for name in nested.iter().chain([&interface]) {
        if let Some(definition) = merged.types.get_mut(name) {
            for field in fields_of_mut(definition).filter(|field| field.ty.inner_named_type() == root) {
                field.make_mut().ty = renamed(&field.ty, &interface);
            }
        }
    }
}

fn has_field_of(definition: &ExtendedType, root: &Name) -> bool {
    let fields = match definition {
        ExtendedType::Object(object) => &object.fields,
        ExtendedType::Interface(interface) => &interface.fields,
        _ => return false,
    };
    fields.values().any(|field| field.ty.inner_named_type() == root)
}

fn fields_of_mut(definition: &mut ExtendedType) -> impl Iterator<Item = &mut Component<FieldDefinition>> {
    let fields = match definition {
        ExtendedType::Object(object) => Some(&mut object.make_mut().fields),
        ExtendedType::Interface(interface) => Some(&mut interface.make_mut().fields),
        _ => None,
    };
    fields.into_iter().flat_map(|fields| fields.values_mut())
}

fn renamed(ty: &Type, name: &Name) -> Type {
    match ty {
        Type::Named(_) => Type::Named(name.clone()),
        Type::NonNullNamed(_) => Type::NonNullNamed(name.clone()),
        Type::List(inner) => Type::List(Box::new(renamed(inner, name))),
        Type::NonNullList(inner) => Type::NonNullList(Box::new(renamed(inner, name))),
    }
}
