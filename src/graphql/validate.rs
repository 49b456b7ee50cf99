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
    let found = mistakes(own_text, &failed, errors_max);
    let more = failed.len().saturating_sub(found.len());
    Err((found, more))
}
