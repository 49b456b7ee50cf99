//! Validation rules of GraphQL that need no schema.

use apollo_compiler::validation::DiagnosticList;

use crate::graphql::document::{Document, DocumentError, SyntaxError, diagnostics};
use crate::graphql::variable_uses::Uses;
use crate::model::limits::Limits;

/// A directive that only the upstream knows is the upstream's business.
const LEFT_TO_UPSTREAM: &str = "UndefinedDirective";

fn reject_errors(text: &str, errors: &DiagnosticList, max: usize) -> Result<(), DocumentError> {
    let (diagnostics, more) = diagnostics(text, errors, max, LEFT_TO_UPSTREAM, None);
    if diagnostics.is_empty() { Ok(()) } else { Err(DocumentError::Invalid { syntax: false, diagnostics, more }) }
}

/// [All Variable Uses Defined](https://spec.graphql.org/September2025/#sec-All-Variable-Uses-Defined), which the
/// parser's own checks leave to those that know the schema.
fn reject_undefined_variables(document: &Document, max: usize) -> Result<(), DocumentError> {
    let mut diagnostics = Vec::new();
    for operation in document.operations() {
        let uses = Uses::of_operation(document, operation);
        let defined = |name: &str| operation.variables.iter().any(|variable| variable.name == name);
        let mut undefined: Vec<&str> = uses.variables.iter().copied().filter(|name| !defined(name)).collect();
        undefined.sort_unstable();
        diagnostics.extend(undefined.into_iter().map(|name| SyntaxError {
            message: format!("Variable \"${name}\" is not defined."),
            location: document.location(operation),
            offset: operation.location().map(|span| span.offset()),
        }));
    }
    let more = diagnostics.len().saturating_sub(max);
    diagnostics.truncate(max);
    if diagnostics.is_empty() { Ok(()) } else { Err(DocumentError::Invalid { syntax: false, diagnostics, more }) }
}

/// Checks what can be checked without a schema: names used twice, fragments and variables that are missing or unused,
/// cycles.
///
/// # Errors
/// [`DocumentError::Invalid`], with at most `limits.max_errors` errors.
///
/// # Examples
/// ```
/// use pillion::graphql::check_document::check_document;
/// use pillion::graphql::document::{DocumentError, parse};
/// use pillion::model::limits::Limits;
///
/// let limits = Limits::default();
/// let document = parse("{ a(id: $id) }", &limits).unwrap();
/// let Err(DocumentError::Invalid { diagnostics, .. }) = check_document(&document, &limits) else { panic!("valid") };
/// assert_eq!(diagnostics[0].message, "Variable \"$id\" is not defined.");
/// ```
pub fn check_document(document: &Document, limits: &Limits) -> Result<(), DocumentError> {
    if let Err(errors) = document.syntax_tree().validate_standalone_executable() {
        reject_errors(&document.text, &errors, limits.max_errors)?;
    }
    reject_undefined_variables(document, limits.max_errors)
}
