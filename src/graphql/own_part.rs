//! Our own part of a document without the relationships in it, which are the engine's to judge.

use std::collections::HashSet;

use apollo_compiler::ast::{self, Definition, Field, Selection};
use apollo_compiler::{Node, name};

use super::collect_fields::{conditions_of, directives_of};
use super::document::Document;
use super::selection::OUTPUT;
use super::uses::Uses;
use crate::model::action::ActionSchema;

/// Our part of a document, cut.
pub struct Cut {
    /// What is left.
    pub document: ast::Document,
    /// The variables that it still uses, and those that decide whether a relationship is selected.
    pub variables: HashSet<String>,
    /// Was there a relationship in it?
    pub has_relationships: bool,
}

/// Takes the relationships out of `own`, and the variables and fragments that only they used.
#[must_use]
pub fn without_relationships(own: &ast::Document, root_type: &str, schema: &ActionSchema) -> Cut {
    let mut cutter = Cutter { root_type, schema, has_relationships: false, conditions: HashSet::new() };
    let mut document = own.clone();
    for definition in &mut document.definitions {
        match definition {
            Definition::OperationDefinition(operation) => {
                cutter.selection_set(root_type, &mut operation.make_mut().selection_set);
            }
            Definition::FragmentDefinition(fragment) => {
                let type_name = fragment.type_condition.clone();
                cutter.selection_set(&type_name, &mut fragment.make_mut().selection_set);
            }
            _ => {}
        }
    }
    let Cutter { has_relationships, conditions, .. } = cutter;
    let (mut variables, fragments) = used(&document);
    for definition in &mut document.definitions {
        if let Definition::OperationDefinition(operation) = definition {
            operation.make_mut().variables.retain(|variable| variables.contains(variable.name.as_str()));
        }
    }
    document.definitions.retain(|definition| match definition {
        Definition::FragmentDefinition(fragment) => fragments.contains(fragment.name.as_str()),
        _ => true,
    });
    variables.extend(conditions);
    Cut { document, variables, has_relationships }
}

/// The variables and the fragments that are still used.
fn used(document: &ast::Document) -> (HashSet<String>, HashSet<String>) {
    let document = Document::of("", document.clone());
    let (mut variables, mut fragments) = (HashSet::new(), HashSet::new());
    for operation in document.operations() {
        let uses = Uses::of_operation(&document, operation);
        variables.extend(uses.variables.into_iter().map(str::to_owned));
        fragments.extend(uses.fragments.into_iter().map(str::to_owned));
    }
    (variables, fragments)
}

struct Cutter<'c> {
    root_type: &'c str,
    schema: &'c ActionSchema,
    has_relationships: bool,
    /// The variables that decide whether a relationship is selected.
    conditions: HashSet<String>,
}

impl Cutter<'_> {
    /// The parser's limit bounds the recursion.
    fn selection_set(&mut self, type_name: &str, selection_set: &mut Vec<Selection>) {
        let definition = self.schema.types.get(type_name);
        let is_related = |selection: &mut Selection| match selection {
            Selection::Field(field) => definition.is_some_and(|found| found.relationship(&field.name).is_some()),
            _ => false,
        };
        let mut is_cut = false;
        for related in selection_set.extract_if(.., is_related) {
            is_cut = true;
            self.conditions.extend(conditions_of(directives_of(&related)).map(str::to_owned));
        }
        self.has_relationships |= is_cut;
        if is_cut && selection_set.is_empty() {
            selection_set.push(Selection::Field(Node::new(type_name_field())));
        }
        for selection in selection_set {
            match selection {
                Selection::Field(field) => {
                    if let Some(inner) = self.type_of(type_name, &field.name) {
                        self.selection_set(&inner, &mut field.make_mut().selection_set);
                    }
                }
                Selection::InlineFragment(inline) => {
                    let type_name = inline.type_condition.as_deref().unwrap_or(type_name).to_owned();
                    self.selection_set(&type_name, &mut inline.make_mut().selection_set);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn type_of(&self, type_name: &str, field: &str) -> Option<String> {
        if type_name == self.root_type {
            let action = self.schema.actions.get(field)?;
            return Some(if action.is_async { action.result_type() } else { action.output.named().to_owned() });
        }
        if field == OUTPUT
            && let Some(action) = self.schema.actions.values().find(|action| action.result_type() == type_name)
        {
            return Some(action.output.named().to_owned());
        }
        self.schema.types.object(type_name)?.get(field).map(|field| field.ty.named().to_owned())
    }
}

/// What a selection set holds when all of it was cut.
fn type_name_field() -> Field {
    Field {
        alias: None,
        name: name!("__typename"),
        arguments: Vec::new(),
        directives: ast::DirectiveList::new(),
        selection_set: Vec::new(),
    }
}
