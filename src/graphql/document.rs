//! A client's document: parsed within limits, with its operation selected.

use std::ops::Range;
use std::sync::Arc;

use apollo_compiler::ast::{Definition, FragmentDefinition, OperationDefinition, OperationType};
use apollo_compiler::diagnostic::{Diagnostic, ToCliReport};
use apollo_compiler::parser::{Parser, SourceSpan};
use apollo_compiler::validation::{DiagnosticData, DiagnosticList};
use apollo_compiler::{Node, Schema, ast};
use indexmap::IndexMap;

use crate::graphql::{diagnostics, fast_parser};
use crate::model::action::OperationKind;
use crate::model::limits::Limits;
use crate::model::response::{Location, location_at};

/// A parsed document. `check_document` checks the rules that need no schema.
#[derive(Debug)]
pub struct Document {
    /// The client's text. Every range in the syntax tree is a range of its bytes.
    pub text: Arc<str>,
    operations: Vec<Node<OperationDefinition>>,
    fragments: IndexMap<String, Node<FragmentDefinition>>,
    ast: ast::Document,
}

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum DocumentError {
    /// Its text is longer than allowed.
    #[error("the document has {bytes} bytes; at most {max} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The parser stopped at a limit.
    #[error("the document has more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// It breaks the grammar or a rule.
    #[error("the document is not valid")]
    Invalid {
        /// Was it the grammar?
        syntax: bool,
        /// Each error; never more than the limit, never empty.
        diagnostics: Vec<SyntaxError>,
        /// How many further errors there are.
        more: usize,
    },
    /// It holds no operation of the wanted name.
    #[error("no such operation found in the document: \"{0}\"")]
    UnknownOperation(String),
    /// An operation is named, but the document's only one has no name.
    #[error("operationName cannot be used when an anonymous operation exists in the document")]
    NameForAnonymous,
    /// There are none or several operations, and no name selects one.
    #[error("exactly one operation has to be present in the document when operationName is not specified")]
    NotOneOperation,
}

/// One error in a document.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntaxError {
    /// The error, with graphql-js's message where the parser knows it.
    pub message: String,
    /// Where.
    pub location: Option<Location>,
    /// The byte it starts at.
    pub offset: Option<usize>,
}

/// Parses `text`.
///
/// # Errors
/// [`DocumentError`], with at most `limits.errors_max` errors in its grammar.
///
/// # Examples
/// ```
/// use pillion::graphql::document::{DocumentError, parse};
/// use pillion::model::limits::Limits;
///
/// let limits = Limits { max_tokens: 6, ..Limits::default() };
/// assert!(parse("{ a }", &limits).is_ok());
/// assert_eq!(parse("{ a b c d e f }", &limits).err(), Some(DocumentError::TooMany { what: "tokens", max: 6 }));
/// ```
pub fn parse(text: &str, limits: &Limits) -> Result<Document, DocumentError> {
    if text.len() > limits.max_document_size {
        return Err(DocumentError::TooLong { bytes: text.len(), max: limits.max_document_size });
    }
    if let Some(ast) = fast_parser::parse(text, limits) {
        return Ok(Document::of(text, ast));
    }
    parse_with_library(text, limits)
}

fn parse_with_library(text: &str, limits: &Limits) -> Result<Document, DocumentError> {
    let mut parser = Parser::new().recursion_limit(limits.max_recursion).token_limit(limits.max_tokens);
    let parsed = parser.parse_ast(text, "document");
    if parser.tokens_reached() > limits.max_tokens {
        return Err(DocumentError::TooMany { what: "tokens", max: limits.max_tokens });
    }
    if parser.recursion_reached() > limits.max_recursion {
        return Err(DocumentError::TooMany { what: "levels of nesting", max: limits.max_recursion });
    }
    let ast = parsed.map_err(|failed| {
        let (diagnostics, more) = diagnostics(text, &failed.errors, limits.max_errors, "", None);
        DocumentError::Invalid { syntax: true, diagnostics, more }
    })?;
    Ok(Document::of(text, ast))
}

/// The errors in `errors` but for one kind, cut to `max`, and how many there are beyond: rendering thousands of them
/// is itself an attack. Names that are suggested are those of `schema`.
pub(crate) fn diagnostics(
    text: &str,
    errors: &DiagnosticList,
    max: usize,
    kind_left_out: &str,
    schema: Option<&Schema>,
) -> (Vec<SyntaxError>, usize) {
    let is_told =
        |diagnostic: &Diagnostic<'_, DiagnosticData>| diagnostic.error.unstable_error_name() != Some(kind_left_out);
    let count = errors.iter().filter(is_told).count();
    let diagnostics: Vec<SyntaxError> =
        errors.iter().filter(is_told).take(max).map(|found| diagnostic(text, found.error, schema)).collect();
    let more = count - diagnostics.len();
    (diagnostics, more)
}

fn diagnostic(text: &str, diagnostic: &DiagnosticData, schema: Option<&Schema>) -> SyntaxError {
    let offset = diagnostic.location().map(|span| span.offset());
    SyntaxError {
        message: diagnostics::message(text, diagnostic, schema),
        location: offset.map(|offset| location_at(text, offset)),
        offset,
    }
}

impl Document {
    /// The document that was parsed from `text`.
    #[must_use]
    pub fn of(text: &str, ast: ast::Document) -> Self {
        let mut operations = Vec::new();
        let mut fragments = IndexMap::new();
        for definition in &ast.definitions {
            match definition {
                Definition::OperationDefinition(operation) => operations.push(operation.clone()),
                Definition::FragmentDefinition(fragment) => {
                    fragments.insert(fragment.name.to_string(), fragment.clone());
                }
                _ => {}
            }
        }
        Self { text: text.into(), operations, fragments, ast }
    }

    /// [GetOperation](https://spec.graphql.org/September2025/#GetOperation()), with Hasura's messages. An empty name
    /// counts as none.
    ///
    /// # Errors
    /// When the choice is not clear.
    ///
    /// # Examples
    /// ```
    /// use pillion::graphql::document::{DocumentError, parse};
    /// use pillion::model::limits::Limits;
    ///
    /// let document = parse("query A { a } query B { b }", &Limits::default()).unwrap();
    /// assert!(document.operation(Some("B")).is_ok());
    /// assert_eq!(document.operation(None).err(), Some(DocumentError::NotOneOperation));
    /// ```
    pub fn operation(&self, name: Option<&str>) -> Result<&Node<OperationDefinition>, DocumentError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return match self.operations.as_slice() {
                [only] => Ok(only),
                _ => Err(DocumentError::NotOneOperation),
            };
        };
        if self.operations.iter().any(|operation| operation.name.is_none()) {
            return Err(DocumentError::NameForAnonymous);
        }
        self.operations
            .iter()
            .find(|operation| operation.name.as_ref().is_some_and(|own| own == name))
            .ok_or_else(|| DocumentError::UnknownOperation(name.to_owned()))
    }

    /// All operations, in order.
    #[must_use]
    pub fn operations(&self) -> &[Node<OperationDefinition>] {
        &self.operations
    }

    /// The fragment of this name.
    #[must_use]
    pub fn fragment(&self, name: &str) -> Option<&Node<FragmentDefinition>> {
        self.fragments.get(name)
    }

    /// Everything in the document, in order.
    #[must_use]
    pub fn definitions(&self) -> &[Definition] {
        &self.ast.definitions
    }

    /// The document as it was parsed.
    #[must_use]
    pub fn syntax_tree(&self) -> &ast::Document {
        &self.ast
    }

    /// Where a node starts, for the client.
    #[must_use]
    pub fn location<T>(&self, node: &Node<T>) -> Option<Location> {
        node.location().map(|span: SourceSpan| location_at(&self.text, span.offset()))
    }
}

/// The bytes of the document's text that a node stands for.
pub(crate) fn range_of<T>(node: &Node<T>) -> Option<Range<usize>> {
    node.location().map(|span| span.offset()..span.end_offset())
}

/// The kind of an operation.
#[must_use]
pub fn kind_of(operation: &OperationDefinition) -> OperationKind {
    match operation.operation_type {
        OperationType::Query => OperationKind::Query,
        OperationType::Mutation => OperationKind::Mutation,
        OperationType::Subscription => OperationKind::Subscription,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> DocumentError {
        let limits = Limits::default();
        parse(text, &limits)
            .and_then(|document| crate::graphql::check_document::check_document(&document, &limits))
            .expect_err("the document should be rejected")
    }

    #[test]
    fn limits_stop_the_parser() {
        assert!(matches!(error_of(&" ".repeat(300_000)), DocumentError::TooLong { .. }));
        assert_eq!(
            error_of(&format!("{{{}}}", "a ".repeat(20_000))),
            DocumentError::TooMany { what: "tokens", max: 15_000 }
        );
        for nesting in [200, 3_000] {
            let text = "{a".repeat(nesting) + &"}".repeat(nesting);
            assert_eq!(error_of(&text), DocumentError::TooMany { what: "levels of nesting", max: 128 });
            let value = format!("{{a(b:{}{})}}", "[".repeat(nesting), "]".repeat(nesting));
            assert_eq!(error_of(&value), DocumentError::TooMany { what: "levels of nesting", max: 128 });
        }
    }

    #[test]
    fn rules_that_need_no_schema_are_checked() {
        for text in [
            "{ ...A } fragment A on Q { ...A }",
            "{ ...Missing }",
            "{ a } fragment Unused on Q { a }",
            "query ($unused: Int) { a }",
            "{ a(b: $undefined) }",
            "query A { a } query A { b }",
            "{ a } { b }",
            "type T { a: Int }",
            "",
            "{ a(",
        ] {
            assert!(
                matches!(error_of(text), DocumentError::Invalid { ref diagnostics, .. } if !diagnostics.is_empty()),
                "{text}"
            );
        }
    }

    #[test]
    fn errors_are_capped() {
        let text = format!("{{ a {} }}", "@x ".repeat(2_000));
        assert!(parse(&text, &Limits::default()).is_ok_and(|document| {
            crate::graphql::check_document::check_document(&document, &Limits::default()).is_ok()
        }));
        let text = format!("{{ {} }}", "...X ".repeat(2_000));
        let DocumentError::Invalid { diagnostics, more, .. } = error_of(&text) else { panic!("not invalid") };
        assert_eq!(diagnostics.len(), 20);
        assert!(more > 0);
    }

    #[test]
    fn the_operation_is_selected_by_name() {
        let document = parse("query A { a } query B { b }", &Limits::default()).expect("valid");
        assert!(document.operation(Some("B")).is_ok());
        assert_eq!(document.operation(None).err(), Some(DocumentError::NotOneOperation));
        assert_eq!(document.operation(Some("")).err(), Some(DocumentError::NotOneOperation));
        assert_eq!(document.operation(Some("C")).err(), Some(DocumentError::UnknownOperation("C".into())));
        let anonymous = parse("{ a }", &Limits::default()).expect("valid");
        assert_eq!(anonymous.operation(Some("A")).err(), Some(DocumentError::NameForAnonymous));
    }
}
