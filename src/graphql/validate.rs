//! Validates a document against schemas, before anything runs: our part against the actions that the caller's role may
//! call, and the whole operation against the merged schema where the upstream's is known.

use std::collections::HashSet;

use apollo_compiler::ast::{Definition, OperationDefinition};
use apollo_compiler::executable::{Field, Selection, SelectionSet};
use apollo_compiler::validation::{DiagnosticList, Valid};
use apollo_compiler::{ExecutableDocument, Node, Schema, ast};

use crate::graphql::document::{Document, SyntaxError, diagnostics, kind_of};
use crate::graphql::nested_roots::without_actions;
use crate::graphql::root_types::RootTypes;
use crate::graphql::validation_rules;
use crate::graphql::variable_uses::Uses;
use crate::model::action::{ActionSchema, OperationKind};
use crate::model::response::location_at;

/// Validates `own`, a part of the document `text` with nothing in it but action fields:
/// <https://spec.graphql.org/September2025/#sec-Validation>. An action that the role may not call is not in `schema`, so
/// calling it is the same error as calling one that does not exist.
///
/// # Errors
/// At most `errors_max` errors, and how many there are beyond.
pub fn validate(
    schema: &Valid<Schema>,
    own: &ast::Document,
    text: &str,
    max_errors: usize,
) -> Result<(), (Vec<SyntaxError>, usize)> {
    match own.to_executable_validate(schema) {
        Ok(validated) => cut(validation_rules::check(schema, &validated, text), max_errors),
        Err(failed) => Err(diagnose(text, &failed.errors, max_errors, schema)),
    }
}

/// Fails if there are errors.
fn cut(mut diagnostics: Vec<SyntaxError>, max: usize) -> Result<(), (Vec<SyntaxError>, usize)> {
    let more = diagnostics.len().saturating_sub(max);
    diagnostics.truncate(max);
    if diagnostics.is_empty() { Ok(()) } else { Err((diagnostics, more)) }
}

fn diagnose(text: &str, errors: &DiagnosticList, max_errors: usize, schema: &Schema) -> (Vec<SyntaxError>, usize) {
    let has_unknown_field = errors.iter().any(|found| found.error.unstable_error_name() == Some("UndefinedField"));
    // A selection of nothing but unknown fields is reported as an empty selection as well, which would be misleading.
    let kind_left_out = if has_unknown_field { "MissingSubselection" } else { "" };
    diagnostics(text, errors, max_errors, kind_left_out, Some(schema))
}

/// Validates a whole document against the merged schema; or nothing of it but `only`, with the fragments that it uses.
///
/// # Errors
/// At most `errors_max` errors, and how many there are beyond.
pub fn validate_document(
    schema: &Valid<Schema>,
    document: &Document,
    only: Option<&Node<OperationDefinition>>,
    (actions, roots): (&ActionSchema, &RootTypes),
    max_errors: usize,
) -> Result<(), (Vec<SyntaxError>, usize)> {
    let validated = match only {
        Some(operation) => alone(document, operation).to_executable_validate(schema),
        None => document.syntax_tree().to_executable_validate(schema),
    };
    let validated = match validated {
        Ok(validated) => validated,
        Err(failed) => {
            let (mut diagnostics, more) = diagnose(&document.text, &failed.errors, max_errors, schema);
            diagnostics.iter_mut().for_each(|diagnostic| tell_of_root(diagnostic, schema, roots));
            return Err((diagnostics, more));
        }
    };
    let diagnostics = validation_rules::check(schema, &validated, &document.text);
    if !diagnostics.is_empty() {
        return cut(diagnostics, max_errors);
    }
    let mut search = BelowRoot { document: &validated, actions, roots, visited: HashSet::new(), found: Vec::new() };
    for selected in validated.operations.iter() {
        search.root(&selected.selection_set);
    }
    cut(search.found.into_iter().map(|field| below_root(document, field)).collect(), max_errors)
}

/// An action that is selected where the upstream's root is shown without actions.
fn tell_of_root(diagnostic: &mut SyntaxError, schema: &Schema, roots: &RootTypes) {
    let names: Vec<&str> = diagnostic.message.split('"').skip(1).step_by(2).collect();
    let is_of_root = |kind: OperationKind, field: &str, type_name: &str| {
        let root = roots.of(kind);
        without_actions(root) == type_name
            && schema.get_object(root).is_some_and(|object| object.fields.contains_key(field))
    };
    if let [field, type_name, ..] = names.as_slice()
        && [OperationKind::Query, OperationKind::Mutation].iter().any(|kind| is_of_root(*kind, field, type_name))
    {
        diagnostic.message = not_at_root(field);
    }
}

fn not_at_root(field: &str) -> String {
    format!("Cannot query field \"{field}\" here: an action can be selected at the root of an operation only.")
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

fn below_root(document: &Document, field: &Node<Field>) -> SyntaxError {
    let offset = field.location().map(|span| span.offset());
    SyntaxError {
        message: not_at_root(&field.name),
        location: offset.map(|offset| location_at(&document.text, offset)),
        offset,
    }
}

/// Looks for actions below the root, where a fragment on the root type may have brought them.
struct BelowRoot<'v> {
    document: &'v Valid<ExecutableDocument>,
    actions: &'v ActionSchema,
    roots: &'v RootTypes,
    visited: HashSet<&'v str>,
    found: Vec<&'v Node<Field>>,
}

impl<'v> BelowRoot<'v> {
    /// Actions may stand here; the selections of their fields are checked.
    fn root(&mut self, selection_set: &'v SelectionSet) {
        for selection in &selection_set.selections {
            match selection {
                Selection::Field(field) => self.below(&field.selection_set),
                Selection::InlineFragment(inline) => self.root(&inline.selection_set),
                Selection::FragmentSpread(spread) => {
                    // A fragment of the root below the root is rejected when the plan is made.
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

/// A field that its type does not have, or an argument that its field does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Hasura's path to it.
    pub path: String,
    /// With Hasura's messages.
    pub message: String,
}

/// The first field in `document` that its type does not have, or argument that its field does not have. `root` is the type of
/// the operation's own fields.
#[must_use]
pub fn first_unknown(schema: &Schema, document: &ast::Document, root: &str) -> Option<Unknown> {
    let selection_set = document.definitions.iter().find_map(|definition| match definition {
        Definition::OperationDefinition(operation) => Some(&operation.selection_set),
        _ => None,
    })?;
    let search = Search { schema, document };
    search.selection_set(root, selection_set, "$.selectionSet", DEPTH_MAX)
}

/// The same for a whole operation.
#[must_use]
pub fn first_unknown_of_operation(
    schema: &Valid<Schema>,
    document: &Document,
    operation: &Node<OperationDefinition>,
    roots: &RootTypes,
) -> Option<Unknown> {
    first_unknown(schema, &alone(document, operation), roots.of(kind_of(operation)))
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
    ) -> Option<Unknown> {
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

    fn field(&self, type_name: &str, field: &ast::Field, path: &str, depth_left: usize) -> Option<Unknown> {
        if field.name == "__typename" {
            return None;
        }
        let path = format!("{path}.{}", field.response_name());
        // Knows the fields of introspection as well.
        match self.schema.type_field(type_name, &field.name).ok() {
            None if self.schema.types.get(type_name).is_none() => None,
            None => {
                let parent = path.rsplit_once('.').map_or("$", |(parent, _)| parent);
                Some(Unknown {
                    path: format!("{parent}.{}", field.name),
                    message: format!("field '{}' not found in type: '{type_name}'", field.name),
                })
            }
            Some(definition) => {
                let is_unknown =
                    |argument: &&Node<ast::Argument>| definition.argument_by_name(&argument.name).is_none();
                if let Some(argument) = field.arguments.iter().find(is_unknown) {
                    let message = format!("'{}' has no argument named '{}'", field.name, argument.name);
                    return Some(Unknown { path, message });
                }
                let inner = definition.ty.inner_named_type();
                self.selection_set(inner, &field.selection_set, &format!("{path}.selectionSet"), depth_left)
            }
        }
    }
}
