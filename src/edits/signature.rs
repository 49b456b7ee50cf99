//! Parses the signature of an action as the command line takes it: `query quote(to: String!): Quote`.

use std::sync::Arc;

use apollo_compiler::ast::{Definition, Document};
use apollo_compiler::diagnostic::ToCliReport;

use crate::config::sdl::root_kind;
use crate::graphql::diagnostics;
use crate::model::action::OperationKind;
use crate::model::source::{Diagnostic, Source, SourceLocation};

/// An action's field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSignature {
    /// Its name.
    pub name: String,
    /// Query or mutation.
    pub kind: OperationKind,
    /// The field as it was written.
    pub text: String,
}

const HELP: &str = "write 'query NAME(argument: Type): Type' or 'mutation NAME(argument: Type): Type'";

/// Reads a signature; `type Query { … }` with one field is one as well.
///
/// # Errors
/// What is wrong with it, and where.
///
/// # Examples
/// ```
/// use pillion::edits::signature::parse_signature;
///
/// let signature = parse_signature("query quote(to: String!): Quote").unwrap();
/// assert_eq!((signature.name.as_str(), signature.text.as_str()), ("quote", "quote(to: String!): Quote"));
/// assert!(parse_signature("quote: Quote").is_err());
/// ```
pub fn parse_signature(text: &str) -> Result<FieldSignature, Diagnostic> {
    let source = Arc::new(Source::new("signature", text));
    let trimmed = text.trim();
    let keyword =
        |kind: OperationKind| trimmed.strip_prefix(kind.keyword()).filter(|rest| rest.starts_with(char::is_whitespace));
    let (kind, field) = match [OperationKind::Query, OperationKind::Mutation].map(|kind| Some((kind, keyword(kind)?))) {
        [Some(found), _] | [_, Some(found)] => found,
        _ if trimmed.starts_with("type") || trimmed.starts_with("extend") => return block(&source),
        _ => {
            let message = "the signature must begin with query or mutation";
            return Err(Diagnostic::error(Some(SourceLocation::at_offset(&source, 0)), message, HELP));
        }
    };
    let field = field.trim();
    let root = if kind == OperationKind::Query { "type Query { " } else { "type Mutation { " };
    let written = text.find(field).unwrap_or_default();
    let definitions = parse_definitions(&format!("{root}{field} }}"), HELP, |offset| {
        let offset = offset.saturating_sub(root.len()) + written;
        SourceLocation::at_offset(&source, offset.min(text.trim_end().len().saturating_sub(1)))
    })?;
    match definitions.definitions.as_slice() {
        [Definition::ObjectTypeDefinition(object)] => match object.fields.as_slice() {
            [only] => Ok(FieldSignature { name: only.name.to_string(), kind, text: field.to_owned() }),
            _ => Err(several(&source)),
        },
        _ => Err(several(&source)),
    }
}

fn several(source: &Arc<Source>) -> Diagnostic {
    Diagnostic::error(Some(SourceLocation::at_offset(source, 0)), "the signature must be one field", HELP)
}

fn block(source: &Arc<Source>) -> Result<FieldSignature, Diagnostic> {
    let document = parse_definitions(&source.text, HELP, |offset| SourceLocation::at_offset(source, offset))?;
    let (name, fields) = match document.definitions.as_slice() {
        [Definition::ObjectTypeDefinition(object)] => (&object.name, &object.fields),
        [Definition::ObjectTypeExtension(object)] => (&object.name, &object.fields),
        _ => return Err(several(source)),
    };
    match (root_kind(name), fields.as_slice()) {
        (Some(kind), [only]) => {
            let text = only.to_string();
            Ok(FieldSignature { name: only.name.to_string(), kind, text })
        }
        _ => Err(several(source)),
    }
}

/// SDL that is not in a file; `place` finds where a byte of it was written.
pub(crate) fn parse_definitions(
    text: &str,
    help: &str,
    place: impl Fn(usize) -> SourceLocation,
) -> Result<Document, Diagnostic> {
    Document::parse(text, "definitions").map_err(|failed| {
        let first =
            failed.errors.iter().min_by_key(|found| found.error.location().map_or(usize::MAX, |at| at.offset()));
        let Some(first) = first else { return Diagnostic::error(None, "this is not SDL", help) };
        let message = diagnostics::message(text, first.error, None);
        let at = first.error.location().map(|span| place(span.offset()));
        Diagnostic::error(at, message, help)
    })
}
