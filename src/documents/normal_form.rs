//! The normal form of a document, by which it is compared with the allow-list as Hasura compares it: by its syntax tree. White
//! space, commas and comments do not count, nor does any field named `__typename`; the order of everything counts.

use apollo_compiler::ast::{self, Definition, Selection};

use crate::documents::document_hash::DocumentHash;

/// The field that clients add to selections of their own accord.
const TYPE_NAME: &str = "__typename";

/// The hash of a document's normal form.
///
/// # Examples
/// ```
/// use pillion::documents::normal_form::normal_form;
/// use pillion::graphql::document::parse;
/// use pillion::model::limits::Limits;
///
/// let of = |text: &str| normal_form(parse(text, &Limits::default()).unwrap().syntax_tree());
/// assert_eq!(of("{ user { name } quote }"), of("query { user { name __typename } # mine\n quote, }"));
/// assert_ne!(of("{ user { name } quote }"), of("{ quote user { name } }"));
/// ```
#[must_use]
pub fn normal_form(document: &ast::Document) -> DocumentHash {
    let definitions = &document.definitions;
    if !definitions.iter().any(|definition| has_type_name(selections(definition))) {
        return DocumentHash::of(document.serialize().no_indent().to_string().as_bytes());
    }
    let mut stripped = document.clone();
    for definition in &mut stripped.definitions {
        match definition {
            Definition::OperationDefinition(operation) => strip(&mut operation.make_mut().selection_set),
            Definition::FragmentDefinition(fragment) => strip(&mut fragment.make_mut().selection_set),
            _ => {}
        }
    }
    DocumentHash::of(stripped.serialize().no_indent().to_string().as_bytes())
}

fn selections(definition: &Definition) -> &[Selection] {
    match definition {
        Definition::OperationDefinition(operation) => &operation.selection_set,
        Definition::FragmentDefinition(fragment) => &fragment.selection_set,
        _ => &[],
    }
}

/// The parser's limit bounds the recursion, here and below.
fn has_type_name(selection_set: &[Selection]) -> bool {
    selection_set.iter().any(|selection| match selection {
        Selection::Field(field) => field.name == TYPE_NAME || has_type_name(&field.selection_set),
        Selection::InlineFragment(inline) => has_type_name(&inline.selection_set),
        Selection::FragmentSpread(_) => false,
    })
}

fn strip(selection_set: &mut Vec<Selection>) {
    selection_set.retain(|selection| !matches!(selection, Selection::Field(field) if field.name == TYPE_NAME));
    for selection in selection_set {
        match selection {
            Selection::Field(field) if has_type_name(&field.selection_set) => {
                strip(&mut field.make_mut().selection_set);
            }
            Selection::InlineFragment(inline) if has_type_name(&inline.selection_set) => {
                strip(&mut inline.make_mut().selection_set);
            }
            _ => {}
        }
    }
}
