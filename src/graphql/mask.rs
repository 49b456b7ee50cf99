//! A part of a document: the client's own text in which everything that is not part of it is blank.
//!
//! Nothing is re-printed, so comments and formatting survive, and the line and column of every error that the
//! upstream finds are right for the client's document.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use apollo_compiler::Node;
use apollo_compiler::ast::{Definition, Field, OperationDefinition, Selection};

use crate::graphql::collect_fields::is_on;
use crate::graphql::document::{Document, range_of};
use crate::graphql::edited_text::{EditPlace, rewrite};
use crate::graphql::extension_sites::ExtensionSites;
use crate::graphql::variable_uses::Uses;

/// What stays in a masked document.
pub struct Keep<'k> {
    /// Which root fields.
    pub field: &'k dyn Fn(&Field) -> bool,
    /// Fragments on another type than the root's: do they stay?
    pub other_types: bool,
    /// The operation's own directives: do they stay?
    pub operation_directives: bool,
    /// Directives that go wherever they stand, by name.
    pub drops_directive: fn(&str) -> bool,
    /// What does not stay wherever it stands.
    pub never: &'k [Range<usize>],
    /// The extension fields of the document, in whose place the upstream is asked for the keys of its rows.
    pub sites: Option<&'k ExtensionSites>,
}

/// A masked document.
#[derive(Debug, PartialEq)]
pub struct Masked {
    /// The client's text, partly blank. Line breaks stay, and every character is as many columns wide as it was.
    pub text: String,
    /// The variables it still uses, in order of definition.
    pub variables: Vec<String>,
    /// Where it is not the client's text, line by line.
    pub edits: Vec<EditPlace>,
}

/// A fragment that would have to be whole in one place and cut in another.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("fragment \"{name}\" holds an action and is used below the root of the operation")]
pub struct FragmentBelowRoot {
    /// Its name.
    pub name: String,
    /// Where it is defined.
    pub offset: usize,
}

/// Blanks everything but `keep` in the document's text, and what only the blanked parts used: fragments, variable
/// definitions, other operations.
///
/// # Errors
/// [`FragmentBelowRoot`].
pub fn mask(
    document: &Document,
    operation: &Node<OperationDefinition>,
    root_type: &str,
    keep: &Keep<'_>,
) -> Result<Masked, FragmentBelowRoot> {
    let Blanks { ranges, variables } = blanks(document, operation, root_type, keep)?;
    let edits = keep.sites.map(|sites| sites.edits.as_slice()).unwrap_or_default();
    let (text, edits) = rewrite(&document.text, ranges, edits);
    Ok(Masked { text, variables, edits })
}

/// What a mask takes out of a document.
#[derive(Debug)]
pub(crate) struct Blanks {
    /// The bytes that become blank. A node that goes has a range of its own, or lies in one.
    pub ranges: Vec<Range<usize>>,
    /// The variables that are still used, in order of definition.
    pub variables: Vec<String>,
}

/// Finds everything but `keep`, and what only that used.
///
/// # Errors
/// [`FragmentBelowRoot`].
pub(crate) fn blanks(
    document: &Document,
    operation: &Node<OperationDefinition>,
    root_type: &str,
    keep: &Keep<'_>,
) -> Result<Blanks, FragmentBelowRoot> {
    let mut masker = Masker {
        document,
        root_type,
        keep,
        blanks: keep.never.to_vec(),
        root_fragments: HashMap::new(),
        cut_fragments: HashSet::new(),
        uses: Uses::without(document, keep.drops_directive).instead_of(keep.sites),
    };
    masker.root_selection_set(&operation.selection_set);
    masker.check_fragments()?;
    if keep.operation_directives {
        masker.uses.directives(&operation.directives);
    } else {
        masker.blanks.extend(operation.directives.iter().filter_map(range_of));
    }
    masker.blank_definitions(operation);
    masker.blank_variables(operation);
    masker.blanks.extend(masker.uses.left_out.iter().copied().filter_map(range_of));
    let used = |name: &&str| masker.uses.variables.contains(name);
    let variables = operation.variables.iter().map(|variable| variable.name.as_str()).filter(used);
    let variables = variables.map(str::to_owned).collect();
    Ok(Blanks { ranges: masker.blanks, variables })
}

struct Masker<'d, 'k: 'd> {
    document: &'d Document,
    root_type: &'k str,
    keep: &'k Keep<'k>,
    blanks: Vec<Range<usize>>,
    /// Fragments on the root type met at the root, and whether anything of them stays.
    root_fragments: HashMap<&'d str, bool>,
    /// Those of them that lost something.
    cut_fragments: HashSet<&'d str>,
    /// What the kept fields use. Fragments in it are met below the root and stay whole.
    uses: Uses<'d>,
}

impl<'d> Masker<'d, '_> {
    /// Blanks everything that is not kept; returns whether anything is left. The parser's limit bounds the recursion.
    fn root_selection_set(&mut self, selection_set: &'d [Selection]) -> bool {
        let mut any = false;
        for selection in selection_set {
            let (kept, directives, range) = match selection {
                Selection::Field(field) => {
                    let kept = (self.keep.field)(field);
                    if kept {
                        self.uses.field(field);
                    }
                    (kept, &field.directives, range_of(field))
                }
                Selection::InlineFragment(inline) => {
                    let kept = if is_on(inline.type_condition.as_ref(), self.root_type) {
                        self.root_selection_set(&inline.selection_set)
                    } else {
                        self.other_type(&inline.selection_set)
                    };
                    (kept, &inline.directives, range_of(inline))
                }
                Selection::FragmentSpread(spread) => {
                    (self.root_spread(&spread.fragment_name), &spread.directives, range_of(spread))
                }
            };
            if kept {
                self.uses.directives(directives);
                any = true;
            } else {
                self.blanks.extend(range);
            }
        }
        any
    }

    fn other_type(&mut self, selection_set: &'d [Selection]) -> bool {
        if self.keep.other_types {
            self.uses.selection_set(selection_set);
        }
        self.keep.other_types
    }

    fn root_spread(&mut self, name: &'d str) -> bool {
        let Some(fragment) = self.document.fragment(name) else { return false };
        if fragment.type_condition != self.root_type {
            if self.keep.other_types {
                self.uses.fragment(name);
            }
            return self.keep.other_types;
        }
        if let Some(kept) = self.root_fragments.get(name) {
            return *kept;
        }
        let blanks_before = self.blanks.len();
        let kept = self.root_selection_set(&fragment.selection_set);
        if self.blanks.len() > blanks_before {
            self.cut_fragments.insert(name);
        }
        if kept {
            self.uses.directives(&fragment.directives);
        }
        self.root_fragments.insert(name, kept);
        kept
    }

    fn check_fragments(&self) -> Result<(), FragmentBelowRoot> {
        let Some(name) = self.cut_fragments.intersection(&self.uses.fragments).min() else { return Ok(()) };
        let offset = self.document.fragment(name).and_then(range_of).map_or(0, |range| range.start);
        Err(FragmentBelowRoot { name: (*name).to_owned(), offset })
    }

    fn blank_definitions(&mut self, operation: &Node<OperationDefinition>) {
        for definition in self.document.definitions() {
            match definition {
                Definition::OperationDefinition(other) if !Node::ptr_eq(other, operation) => {
                    self.blanks.extend(range_of(other));
                }
                Definition::FragmentDefinition(fragment) => {
                    let name = fragment.name.as_str();
                    let kept = self.root_fragments.get(name) == Some(&true) || self.uses.fragments.contains(name);
                    if !kept {
                        self.blanks.extend(range_of(fragment));
                    }
                }
                _ => {}
            }
        }
    }

    fn blank_variables(&mut self, operation: &OperationDefinition) {
        let unused = |name: &str| !self.uses.variables.contains(name);
        if operation.variables.iter().all(|variable| unused(&variable.name)) {
            self.blanks.extend(parenthesised(&self.document.text, operation));
            return;
        }
        let ranges: Vec<_> =
            operation.variables.iter().filter(|variable| unused(&variable.name)).filter_map(range_of).collect();
        self.blanks.extend(ranges);
    }
}

/// From the parenthesis before the first variable definition to the one after the last.
fn parenthesised(text: &str, operation: &OperationDefinition) -> Option<Range<usize>> {
    let first = operation.variables.first().and_then(range_of)?;
    let last = operation.variables.last().and_then(range_of)?;
    // Between the name and the parenthesis there may be comments, and a comment may hold a parenthesis of its own.
    // So look from the front: the definition's own start is not known here, but its name's is.
    let from = operation.name.as_ref().and_then(apollo_compiler::Name::location).map(|span| span.end_offset());
    let start = match from {
        Some(from) => skip_ignored(text, from),
        None => text.get(..first.start)?.rfind('(')?,
    };
    let end = skip_ignored(text, last.end);
    (text.get(start..)?.starts_with('(') && text.get(end..)?.starts_with(')')).then_some(start..end + 1)
}

/// The first byte at or after `from` that is not [ignored](https://spec.graphql.org/September2025/#Ignored).
fn skip_ignored(text: &str, from: usize) -> usize {
    let mut in_comment = false;
    for (index, character) in text.get(from..).unwrap_or_default().char_indices() {
        match character {
            '\n' | '\r' => in_comment = false,
            '#' => in_comment = true,
            _ if in_comment || character.is_ascii_whitespace() || character == ',' || character == '\u{feff}' => {}
            _ => return from + index,
        }
    }
    text.len()
}
