//! Parses `rootField(argument: $field)`, the notation of `pillion.yaml` for relationships and extension fields: a root
//! field with its arguments, in which `$field` is a field of the object at hand.

use apollo_compiler::Node;
use apollo_compiler::ast::{Definition, Document, Field, Selection};

use crate::graphql::diagnostics;

/// A root field with its arguments.
pub(crate) struct RootFieldCall {
    /// The document that was parsed; locations in `field` are offsets in it.
    pub(crate) source: String,
    /// Without alias, directives and selections.
    pub(crate) field: Node<Field>,
}

/// Parses `text`; `what` says in messages what has to stand there: "root field of the upstream".
///
/// # Errors
/// Why it is anything else.
pub(crate) fn parse(text: &str, what: &str) -> Result<RootFieldCall, String> {
    let source = format!("{{{text}}}");
    let document = Document::parse(source.as_str(), "lookup").map_err(|failed| {
        // The last brace is ours.
        let written = source.strip_suffix('}').unwrap_or_default();
        failed.errors.iter().next().map_or_else(String::new, |found| diagnostics::message(written, found.error, None))
    })?;
    let field = match document.definitions.as_slice() {
        [Definition::OperationDefinition(operation)] => match operation.selection_set.as_slice() {
            [Selection::Field(field)] => field.clone(),
            _ => return Err(format!("it must be one {what}")),
        },
        _ => return Err(format!("it must be one {what}")),
    };
    if field.alias.is_some() || !field.selection_set.is_empty() || !field.directives.is_empty() {
        return Err("it must be a field with its arguments and nothing else; the client selects what is below".into());
    }
    Ok(RootFieldCall { source, field })
}
