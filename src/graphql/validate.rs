//! A document against schemas, before anything runs: our part against the actions that the caller's role may call, and
//! the whole operation against the merged schema where the engine's is known.

use std::collections::HashSet;

use apollo_compiler::ast::{self, Definition, OperationDefinition};
use apollo_compiler::executable::{Field, Selection, SelectionSet};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Node, Schema};

use super::document::{Document, Mistake, kind_of, mistakes};
use super::plan::RootTypes;
use super::uses::Uses;
use crate::model::action::{ActionSchema, OperationKind};
use crate::model::response::location_at;

/// Validates `own_text`, a masked document that holds nothing but action fields:
/// <https://spec.graphql.org/September2025/#sec-Validation>. An action that the role may not call is not in `schema`,
/// so calling it is the same mistake as calling one that does not exist.
///
/// # Errors
/// At most `errors_max` mistakes, and how many there are beyond.
pub fn validate(schema: &Valid<Schema>, own_text: &str, errors_max: usize) -> Result<(), (Vec<Mistake>, usize)> {
    let failed = match ast::Document::parse(own_text, "document") {
        Err(failed) => failed.errors,
        Ok(document) => match document.to_executable_validate(schema) {
            Ok::<Valid<ExecutableDocument>, _>(_) => return Ok(()),
            Err(failed) => failed.errors,
        },
    };
    let has_unknown_field = failed.iter().any(|found| found.error.unstable_error_name() == Some("UndefinedField"));
    // A selection of nothing but unknown fields is told as no selection as well, which would lead astray.
    let kind_left_out = if has_unknown_field { "MissingSubselection" } else { "" };
    Err(mistakes(own_text, &failed, errors_max, kind_left_out))
}

/// Validates a whole operation, with the fragments it uses, against the merged schema.
///
/// # Errors
/// At most `errors_max` mistakes, and how many there are beyond.
pub fn validate_operation(
    schema: &Valid<Schema>,
    document: &Document,
    operation: &Node<OperationDefinition>,
    (actions, roots): (&ActionSchema, &RootTypes),
    errors_max: usize,
) -> Result<(), (Vec<Mistake>, usize)> {
    let validated = match alone(document, operation).to_executable_validate(schema) {
        Ok(validated) => validated,
        Err(failed) => return Err(mistakes(&document.text, &failed.errors, errors_max, "")),
    };
    let mut search = BelowRoot { document: &validated, actions, roots, visited: HashSet::new(), found: Vec::new() };
    for selected in validated.operations.iter() {
        search.root(&selected.selection_set);
    }
    if search.found.is_empty() {
        return Ok(());
    }
    let mut mistakes: Vec<Mistake> = search.found.into_iter().map(|field| below_root(document, field)).collect();
    let more = mistakes.len().saturating_sub(errors_max);
    mistakes.truncate(errors_max);
    Err((mistakes, more))
}

/// The document with nothing but this operation and the fragments it uses.
fn alone(document: &Document, operation: &Node<OperationDefinition>) -> ast::Document {
    let used = Uses::of_operation(document, operation).fragments;
    let mut whole = document.syntax_tree().clone();
    whole.definitions.retain(|definition| match definition {
        Definition::OperationDefinition(other) => Node::ptr_eq(other, operation),
        Definition::FragmentDefinition(fragment) => used.contains(fragment.name.as_str()),
        _ => false,
    });
    whole
}

fn below_root(document: &Document, field: &Node<Field>) -> Mistake {
    let offset = field.location().map(|span| span.offset());
    Mistake {
        message: format!(
            "Cannot query field \"{}\" here: an action can be selected at the root of an operation only.",
            field.name
        ),
        location: offset.map(|offset| location_at(&document.text, offset)),
        offset,
    }
}

/// Looks for actions below the root. Engines like PostGraphile show their root types there, and the merged schema
/// cannot tell the two places apart.
struct BelowRoot<'v> {
    document: &'v Valid<ExecutableDocument>,
    actions: &'v ActionSchema,
    roots: &'v RootTypes,
    visited: HashSet<&'v str>,
    found: Vec<&'v Node<Field>>,
}

impl<'v> BelowRoot<'v> {
    /// Actions may stand here; what is below their fields is looked into.
    fn root(&mut self, selection_set: &'v SelectionSet) {
        for selection in &selection_set.selections {
            match selection {
                Selection::Field(field) => self.below(&field.selection_set),
                Selection::InlineFragment(inline) => self.root(&inline.selection_set),
                Selection::FragmentSpread(spread) => {
                    // A fragment of the root below the root is refused when the parts are made.
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                        && self.visited.insert(&spread.fragment_name)
                    {
                        self.root(&fragment.selection_set);
                    }
                }
            }
        }
    }

    fn below(&mut self, selection_set: &'v SelectionSet) {
        for selection in &selection_set.selections {
            match selection {
                Selection::Field(field) => {
                    if self.is_action(selection_set, field) {
                        self.found.push(field);
                    }
                    self.below(&field.selection_set);
                }
                Selection::InlineFragment(inline) => self.below(&inline.selection_set),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                        && self.visited.insert(&spread.fragment_name)
                    {
                        self.below(&fragment.selection_set);
                    }
                }
            }
        }
    }

    fn is_action(&self, selection_set: &SelectionSet, field: &Field) -> bool {
        [OperationKind::Query, OperationKind::Mutation]
            .into_iter()
            .any(|kind| selection_set.ty == self.roots.of(kind) && self.actions.action(kind, &field.name).is_some())
    }
}

/// A field that its type does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// Hasura's path to it.
    pub path: String,
    /// The type.
    pub type_name: String,
    /// The field's name.
    pub name: String,
}

impl UnknownField {
    /// In Hasura's words.
    #[must_use]
    pub fn message(&self) -> String {
        format!("field '{}' not found in type: '{}'", self.name, self.type_name)
    }
}

/// The first field that its type does not have.
#[must_use]
pub fn first_unknown_field(schema: &Valid<Schema>, own_text: &str, root: &str) -> Option<UnknownField> {
    first_unknown_field_of(schema, &ast::Document::parse(own_text, "document").ok()?, root)
}

/// The same for a whole operation.
#[must_use]
pub fn first_unknown_field_of_operation(
    schema: &Valid<Schema>,
    document: &Document,
    operation: &Node<OperationDefinition>,
    roots: &RootTypes,
) -> Option<UnknownField> {
    first_unknown_field_of(schema, &alone(document, operation), roots.of(kind_of(operation)))
}

fn first_unknown_field_of(schema: &Schema, document: &ast::Document, root: &str) -> Option<UnknownField> {
    let selection_set = document.definitions.iter().find_map(|definition| match definition {
        Definition::OperationDefinition(operation) => Some(&operation.selection_set),
        _ => None,
    })?;
    let search = Search { schema, document };
    search.selection_set(root, selection_set, "$.selectionSet", DEPTH_MAX)
}

/// Deeper than any document that the size check lets through.
const DEPTH_MAX: usize = 256;

struct Search<'s> {
    schema: &'s Schema,
    document: &'s ast::Document,
}

impl Search<'_> {
    fn selection_set(
        &self,
        type_name: &str,
        selection_set: &[ast::Selection],
        path: &str,
        depth_left: usize,
    ) -> Option<UnknownField> {
        let depth_left = depth_left.checked_sub(1)?;
        selection_set.iter().find_map(|selection| match selection {
            ast::Selection::Field(field) => self.field(type_name, field, path, depth_left),
            ast::Selection::InlineFragment(inline) => {
                let type_name = inline.type_condition.as_deref().unwrap_or(type_name);
                self.selection_set(type_name, &inline.selection_set, path, depth_left)
            }
            ast::Selection::FragmentSpread(spread) => {
                let fragment = self.document.definitions.iter().find_map(|definition| match definition {
                    Definition::FragmentDefinition(fragment) if fragment.name == spread.fragment_name => Some(fragment),
                    _ => None,
                })?;
                self.selection_set(&fragment.type_condition, &fragment.selection_set, path, depth_left)
            }
        })
    }

    fn field(&self, type_name: &str, field: &ast::Field, path: &str, depth_left: usize) -> Option<UnknownField> {
        if field.name == "__typename" {
            return None;
        }
        let path = format!("{path}.{}", field.response_name());
        // Knows the fields of introspection as well.
        match self.schema.type_field(type_name, &field.name).ok() {
            None if self.schema.types.get(type_name).is_none() => None,
            None => {
                let parent = path.rsplit_once('.').map_or("$", |(parent, _)| parent);
                Some(UnknownField {
                    path: format!("{parent}.{}", field.name),
                    type_name: type_name.to_owned(),
                    name: field.name.to_string(),
                })
            }
            Some(definition) => {
                let inner = definition.ty.inner_named_type();
                self.selection_set(inner, &field.selection_set, &format!("{path}.selectionSet"), depth_left)
            }
        }
    }
}
