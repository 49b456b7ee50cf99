//! The size of a document once every fragment is expanded, counted without expanding them.

use std::collections::HashMap;

use apollo_compiler::ast::{OperationDefinition, Selection};

use crate::graphql::document::{Document, DocumentError};
use crate::model::limits::Limits;

/// What a selection set costs, fragments expanded. All sums saturate, so a document that doubles at every fragment
/// is counted in a time linear in its text.
#[derive(Clone, Copy, Default)]
struct Size {
    selections: usize,
    aliases: usize,
    directives: usize,
    depth: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.selections = self.selections.saturating_add(other.selections);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.depth = self.depth.max(other.depth);
    }
}

/// Checks `operation` against the limits on selections, aliases, directives and depth.
///
/// # Errors
/// [`DocumentError::TooMany`] for the first limit that is passed.
pub fn check(document: &Document, operation: &OperationDefinition, limits: &Limits) -> Result<(), DocumentError> {
    let mut fragments = HashMap::new();
    let mut size = size_of(document, &operation.selection_set, &mut fragments);
    size.directives = size.directives.saturating_add(operation.directives.len());
    for (what, count, max) in [
        ("selections", size.selections, limits.max_selections),
        ("aliases", size.aliases, limits.max_aliases),
        ("directives", size.directives, limits.max_directives),
        ("levels of selection sets", size.depth, limits.max_depth),
    ] {
        if count > max {
            return Err(DocumentError::TooMany { what, max });
        }
    }
    Ok(())
}

/// Recursion is bounded by the parser's limit times the number of fragments in a chain; a chain cannot be a cycle,
/// because the document has been checked.
fn size_of<'d>(document: &'d Document, selection_set: &'d [Selection], fragments: &mut HashMap<&'d str, Size>) -> Size {
    let mut sum = Size::default();
    for selection in selection_set {
        let mut size = match selection {
            Selection::Field(field) => {
                let mut size = size_of(document, &field.selection_set, fragments);
                size.depth = size.depth.saturating_add(1);
                size.aliases = size.aliases.saturating_add(usize::from(field.alias.is_some()));
                size.directives = size.directives.saturating_add(field.directives.len());
                size
            }
            Selection::InlineFragment(inline) => {
                let mut size = size_of(document, &inline.selection_set, fragments);
                size.directives = size.directives.saturating_add(inline.directives.len());
                size
            }
            Selection::FragmentSpread(spread) => {
                let mut size = size_of_fragment(document, &spread.fragment_name, fragments);
                size.directives = size.directives.saturating_add(spread.directives.len());
                size
            }
        };
        size.selections = size.selections.saturating_add(1);
        sum.add(size);
    }
    sum
}

fn size_of_fragment<'d>(document: &'d Document, name: &str, fragments: &mut HashMap<&'d str, Size>) -> Size {
    if let Some(size) = fragments.get(name) {
        return *size;
    }
    let Some(fragment) = document.fragment(name) else { return Size::default() };
    let size = size_of(document, &fragment.selection_set, fragments);
    fragments.insert(&fragment.name, size);
    size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::document::parse;

    fn check_text(text: &str) -> Result<(), DocumentError> {
        let limits = Limits::default();
        let document = parse(text, &limits)?;
        check(&document, document.operation(None)?, &limits)
    }

    #[test]
    fn doubling_fragments_are_counted_not_expanded() {
        let fragments: String =
            (0..30).map(|n| format!("fragment F{n} on Q {{ ...F{m} ...F{m} }} ", m = n + 1)).collect();
        let text = format!("{{ ...F0 }} {fragments} fragment F30 on Q {{ a }}");
        assert_eq!(check_text(&text), Err(DocumentError::TooMany { what: "selections", max: 50_000 }));
    }

    #[test]
    fn aliases_directives_and_depth_have_limits() {
        let aliases: String = (0..501).map(|n| format!("a{n}: a ")).collect();
        assert_eq!(check_text(&format!("{{ {aliases} }}")), Err(DocumentError::TooMany { what: "aliases", max: 500 }));
        let directives = "@d ".repeat(501);
        let rejected = check_text(&format!("{{ a {directives} }}"));
        assert_eq!(rejected, Err(DocumentError::TooMany { what: "directives", max: 500 }));
        let deep = "{a".repeat(65) + &"}".repeat(65);
        let rejected = check_text(&deep);
        assert_eq!(rejected, Err(DocumentError::TooMany { what: "levels of selection sets", max: 64 }));
        assert_eq!(check_text("{ a { b ...on C { d } } }"), Ok(()));
    }
}
