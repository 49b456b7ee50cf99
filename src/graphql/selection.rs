//! The selection set of an action's field, fragments expanded.

use std::collections::HashSet;
use std::sync::Arc;

use apollo_compiler::Node;
use apollo_compiler::ast::{Field, OperationDefinition, Selection};
use indexmap::IndexMap;

use crate::graphql::action_mode::ActionMode;
use crate::graphql::collect_fields::{Condition, directives_of, is_included};
use crate::graphql::document::Document;
use crate::graphql::extension_sites::ExtensionSites;
use crate::graphql::relationship_selection::{RelationshipSelection, related_field};
use crate::model::action::Action;
use crate::model::types::Types;

/// The selection on one object type; empty for scalars and enums.
#[derive(Debug, Default, PartialEq)]
pub struct SubSelection {
    /// The selections, in order.
    pub fields: Vec<SelectedField>,
    /// Instead of that: every declared field, to the bottom.
    pub is_all: bool,
}

/// The field of a job that holds its action's output.
pub const OUTPUT: &str = "output";

/// One selected field.
#[derive(Debug, PartialEq)]
pub struct SelectedField {
    /// Its key in the response.
    pub response_name: String,
    /// Its name in the type, or `__typename`.
    pub name: String,
    /// The selections of its value.
    pub selected: SubSelection,
    /// Set if its value comes from the upstream: it is a relationship.
    pub related: Option<Arc<RelationshipSelection>>,
}

impl SubSelection {
    /// Every declared field, to the bottom.
    #[must_use]
    pub fn all() -> Self {
        Self { fields: Vec::new(), is_all: true }
    }

    /// Every relationship in it, to the bottom.
    #[must_use]
    pub fn related(&self) -> Vec<&RelationshipSelection> {
        let mut related = Vec::new();
        for field in &self.fields {
            related.extend(field.related.as_deref());
            related.extend(field.selected.related());
        }
        related
    }
}

/// What selections are read from.
pub struct Selector<'s> {
    /// The document.
    pub document: &'s Document,
    /// Its operation.
    pub operation: &'s OperationDefinition,
    /// The types of the actions.
    pub types: &'s Types,
    /// The values of the variables that decide what is selected.
    pub condition: Condition<'s>,
    /// The extension fields that rows of relationships have.
    pub sites: Option<&'s ExtensionSites>,
}

impl Selector<'_> {
    /// The selections of a call's output, or of a job's fields.
    #[must_use]
    pub fn of_call(&self, action: &Action, kind: ActionMode, fields: &[&Node<Field>]) -> SubSelection {
        match kind {
            ActionMode::Now => self.select(action.output.named(), fields),
            ActionMode::Later => SubSelection::default(),
            ActionMode::Result => self.select_result(action, fields),
        }
    }

    /// The type of jobs is not among those of the actions: it is made for the schema alone.
    fn select_result(&self, action: &Action, fields: &[&Node<Field>]) -> SubSelection {
        let selected = self.group(&action.result_type(), fields).into_iter().filter_map(|(response_name, fields)| {
            let name = fields.first()?.name.to_string();
            let inner = (name == OUTPUT).then(|| self.select(action.output.named(), &fields));
            let selected = inner.unwrap_or_default();
            Some(SelectedField { response_name: response_name.to_owned(), name, selected, related: None })
        });
        SubSelection { fields: selected.collect(), is_all: false }
    }

    fn group<'f>(&'f self, type_name: &str, fields: &[&'f Node<Field>]) -> IndexMap<&'f str, Vec<&'f Node<Field>>> {
        let mut groups: IndexMap<&str, Vec<&Node<Field>>> = IndexMap::new();
        let mut visited = HashSet::new();
        for field in fields {
            collect(self.document, type_name, &field.selection_set, self.condition, &mut visited, &mut groups);
        }
        groups
    }

    /// [CollectSubfields](https://spec.graphql.org/September2025/#CollectSubfields()) for the object type `type_name`,
    /// to the bottom. The size check has bounded what fragments can expand to.
    #[must_use]
    pub fn select(&self, type_name: &str, fields: &[&Node<Field>]) -> SubSelection {
        let (Some(definition), Some(object)) = (self.types.get(type_name), self.types.object(type_name)) else {
            return SubSelection::default();
        };
        let selected = self.group(type_name, fields).into_iter().filter_map(|(response_name, fields)| {
            let name = fields.first()?.name.to_string();
            let selected = object.get(&name).map(|field| self.select(field.ty.named(), &fields));
            let related = definition.relationship(&name);
            let related =
                related.map(|found| Arc::new(related_field(self.document, self.operation, &fields, found, self.sites)));
            let response_name = response_name.to_owned();
            Some(SelectedField { response_name, name, selected: selected.unwrap_or_default(), related })
        });
        SubSelection { fields: selected.collect(), is_all: false }
    }
}

pub(crate) fn collect<'d>(
    document: &'d Document,
    type_name: &str,
    selection_set: &'d [Selection],
    condition: Condition<'_>,
    visited: &mut HashSet<&'d str>,
    groups: &mut IndexMap<&'d str, Vec<&'d Node<Field>>>,
) {
    for selection in selection_set {
        if !is_included(directives_of(selection), condition) {
            continue;
        }
        match selection {
            Selection::Field(field) => groups.entry(field.response_name()).or_default().push(field),
            Selection::InlineFragment(inline) => {
                if inline.type_condition.as_ref().is_none_or(|name| name == type_name) {
                    collect(document, type_name, &inline.selection_set, condition, visited, groups);
                }
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragment(&spread.fragment_name)
                    && visited.insert(&spread.fragment_name)
                    && fragment.type_condition == type_name
                {
                    collect(document, type_name, &fragment.selection_set, condition, visited, groups);
                }
            }
        }
    }
}

/// Does a directive anywhere below `fields` leave something out or in?
#[must_use]
pub fn is_conditional(document: &Document, fields: &[&Node<Field>]) -> bool {
    let mut visited = HashSet::new();
    fields.iter().any(|field| any_condition(document, &field.selection_set, &mut visited))
}

fn any_condition<'d>(document: &'d Document, selection_set: &'d [Selection], visited: &mut HashSet<&'d str>) -> bool {
    selection_set.iter().any(|selection| {
        let directives = directives_of(selection);
        if directives.has("skip") || directives.has("include") {
            return true;
        }
        match selection {
            Selection::Field(field) => any_condition(document, &field.selection_set, visited),
            Selection::InlineFragment(inline) => any_condition(document, &inline.selection_set, visited),
            Selection::FragmentSpread(spread) => {
                visited.insert(&spread.fragment_name)
                    && document
                        .fragment(&spread.fragment_name)
                        .is_some_and(|fragment| any_condition(document, &fragment.selection_set, visited))
            }
        }
    })
}
