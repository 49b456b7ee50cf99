//! Validation rules of GraphQL that need no schema.

use std::collections::HashSet;

use apollo_compiler::ast::{Argument, Definition, DirectiveList, Selection, Value};
use apollo_compiler::validation::DiagnosticList;
use apollo_compiler::{Name, Node};

use crate::graphql::document::{Document, DocumentError, SyntaxError, diagnostics};
use crate::graphql::fast_check;
use crate::graphql::variable_uses::Uses;
use crate::model::limits::Limits;
use crate::model::response::location_at;

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
    cut(diagnostics, max)
}

/// Fails if there are errors.
fn cut(mut diagnostics: Vec<SyntaxError>, max: usize) -> Result<(), DocumentError> {
    let more = diagnostics.len().saturating_sub(max);
    diagnostics.truncate(max);
    if diagnostics.is_empty() { Ok(()) } else { Err(DocumentError::Invalid { syntax: false, diagnostics, more }) }
}

/// [Input Object Field Uniqueness](https://spec.graphql.org/September2025/#sec-Input-Object-Field-Uniqueness), which the
/// library does not check. One reader would take the first value and another the last.
fn reject_repeated_input_fields(document: &Document, max: usize) -> Result<(), DocumentError> {
    let mut search = RepeatedInputFields { text: &document.text, diagnostics: Vec::new() };
    for definition in &document.syntax_tree().definitions {
        match definition {
            Definition::OperationDefinition(operation) => {
                for variable in &operation.variables {
                    variable.default_value.iter().for_each(|default| search.value(default));
                    search.directives(&variable.directives);
                }
                search.directives(&operation.directives);
                search.selection_set(&operation.selection_set);
            }
            Definition::FragmentDefinition(fragment) => {
                search.directives(&fragment.directives);
                search.selection_set(&fragment.selection_set);
            }
            _ => {}
        }
    }
    cut(search.diagnostics, max)
}

/// Looks for fields that an object literal has twice.
struct RepeatedInputFields<'d> {
    text: &'d str,
    diagnostics: Vec<SyntaxError>,
}

impl RepeatedInputFields<'_> {
    /// The parser's limit bounds the recursion.
    fn selection_set(&mut self, selection_set: &[Selection]) {
        for selection in selection_set {
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.arguments);
                    self.directives(&field.directives);
                    self.selection_set(&field.selection_set);
                }
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.directives);
                    self.selection_set(&inline.selection_set);
                }
                Selection::FragmentSpread(spread) => self.directives(&spread.directives),
            }
        }
    }

    fn directives(&mut self, directives: &DirectiveList) {
        directives.iter().for_each(|directive| self.arguments(&directive.arguments));
    }

    fn arguments(&mut self, arguments: &[Node<Argument>]) {
        arguments.iter().for_each(|argument| self.value(&argument.value));
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(fields) => self.object(fields),
            _ => {}
        }
    }

    fn object(&mut self, fields: &[(Name, Node<Value>)]) {
        let mut names = HashSet::with_capacity(fields.len());
        for (name, value) in fields {
            if !names.insert(name.as_str()) {
                let offset = name.location().map(|span| span.offset());
                self.diagnostics.push(SyntaxError {
                    message: format!("There can be only one input field named \"{name}\"."),
                    location: offset.map(|offset| location_at(self.text, offset)),
                    offset,
                });
            }
            self.value(value);
        }
    }
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
    if fast_check::is_valid(document) { Ok(()) } else { check_each_rule(document, limits) }
}

/// The same without looking first whether the document is without errors, as most are.
///
/// # Errors
/// As [`check_document`].
pub fn check_each_rule(document: &Document, limits: &Limits) -> Result<(), DocumentError> {
    if let Err(errors) = document.syntax_tree().validate_standalone_executable() {
        reject_errors(&document.text, &errors, limits.max_errors)?;
    }
    reject_undefined_variables(document, limits.max_errors)?;
    reject_repeated_input_fields(document, limits.max_errors)
}
