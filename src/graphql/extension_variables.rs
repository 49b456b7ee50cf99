//! The variables that extension fields use of a document: those of their arguments, and those that decide what is
//! selected below them.

use std::collections::HashSet;

use apollo_compiler::ast::Selection;

use crate::graphql::collect_fields::{conditions_of, directives_of};
use crate::graphql::document::Document;
use crate::graphql::extension_sites::ExtensionSites;
use crate::graphql::variable_uses::Uses;

/// Their names. What a relationship below them uses is the upstream's.
#[must_use]
pub fn own_variables<'d>(document: &'d Document, sites: &'d ExtensionSites) -> HashSet<&'d str> {
    let mut uses = Uses::new(document);
    for site in &sites.sites {
        site.field.arguments.iter().for_each(|argument| uses.argument(argument));
    }
    let mut visited = HashSet::new();
    for site in &sites.sites {
        add_conditions(document, &site.field.selection_set, &mut visited, &mut uses.variables);
    }
    uses.variables
}

/// The parser's limit bounds the recursion.
fn add_conditions<'d>(
    document: &'d Document,
    selection_set: &'d [Selection],
    visited: &mut HashSet<&'d str>,
    names: &mut HashSet<&'d str>,
) {
    for selection in selection_set {
        names.extend(conditions_of(directives_of(selection)));
        match selection {
            Selection::Field(field) => add_conditions(document, &field.selection_set, visited, names),
            Selection::InlineFragment(inline) => add_conditions(document, &inline.selection_set, visited, names),
            Selection::FragmentSpread(spread) => {
                if visited.insert(&spread.fragment_name)
                    && let Some(fragment) = document.fragment(&spread.fragment_name)
                {
                    add_conditions(document, &fragment.selection_set, visited, names);
                }
            }
        }
    }
}
