//! Our part of a document against the actions that the caller's role may call, before anything runs.

use apollo_compiler::ast;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};

use super::document::{Mistake, mistakes};

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

/// The first field that its type does not have, as Hasura names it: path and message.
#[must_use]
pub fn first_unknown_field(schema: &Valid<Schema>, own_text: &str, root: &str) -> Option<(String, String)> {
    let document = ast::Document::parse(own_text, "document").ok()?;
    let selection_set = document.definitions.iter().find_map(|definition| match definition {
        ast::Definition::OperationDefinition(operation) => Some(&operation.selection_set),
        _ => None,
    })?;
    let search = Search { schema, document: &document };
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
    ) -> Option<(String, String)> {
        let depth_left = depth_left.checked_sub(1)?;
        selection_set.iter().find_map(|selection| match selection {
            ast::Selection::Field(field) => self.field(type_name, field, path, depth_left),
            ast::Selection::InlineFragment(inline) => {
                let type_name = inline.type_condition.as_deref().unwrap_or(type_name);
                self.selection_set(type_name, &inline.selection_set, path, depth_left)
            }
            ast::Selection::FragmentSpread(spread) => {
                let fragment = self.document.definitions.iter().find_map(|definition| match definition {
                    ast::Definition::FragmentDefinition(fragment) if fragment.name == spread.fragment_name => {
                        Some(fragment)
                    }
                    _ => None,
                })?;
                self.selection_set(&fragment.type_condition, &fragment.selection_set, path, depth_left)
            }
        })
    }

    fn field(&self, type_name: &str, field: &ast::Field, path: &str, depth_left: usize) -> Option<(String, String)> {
        if field.name == "__typename" {
            return None;
        }
        let path = format!("{path}.{}", field.response_name());
        let object = self.schema.get_object(type_name)?;
        match object.fields.get(&field.name) {
            None => {
                let message = format!("field '{}' not found in type: '{type_name}'", field.name);
                let own_path = format!("{}.{}", path.rsplit_once('.').map_or("$", |(parent, _)| parent), field.name);
                Some((own_path, message))
            }
            Some(definition) => {
                let inner = definition.ty.inner_named_type();
                self.selection_set(inner, &field.selection_set, &format!("{path}.selectionSet"), depth_left)
            }
        }
    }
}
