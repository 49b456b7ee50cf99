//! Our own part of a document for validation, without relationships, which the upstream validates, and without
//! directives that the specification does not have.

use std::collections::HashSet;
use std::ops::Range;

use apollo_compiler::ast::{Definition, DirectiveList, Field, OperationDefinition, Selection};
use apollo_compiler::{Node, ast, name};

use crate::graphql::built_in_schema::built_in;
use crate::graphql::collect_fields::{conditions_of, directives_of};
use crate::graphql::document::{Document, SyntaxError, range_of};
use crate::graphql::mask::{Blanks, FragmentBelowRoot, Keep, blanks};
use crate::graphql::selection::OUTPUT;
use crate::graphql::variable_uses::Uses;
use crate::model::action::ActionSchema;
use crate::model::response::location_at;

/// Our part of a document, cut.
pub struct Cut {
    /// The rest.
    pub document: ast::Document,
    /// If anything was taken out: the variables that it still uses, and those that decide whether a relationship is
    /// selected.
    pub variables: HashSet<String>,
    /// Was there a relationship in it?
    pub has_relationships: bool,
    /// The directives that were taken out; those on relationships are not among them.
    pub upstream_directives: Vec<UpstreamDirective>,
}

/// A directive on a field of ours that only the upstream can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamDirective {
    /// Its name.
    pub name: String,
    /// The byte of the document where it stands.
    pub offset: usize,
}

impl UpstreamDirective {
    /// The message for an unknown name.
    #[must_use]
    pub fn unknown(&self, text: &str) -> SyntaxError {
        SyntaxError {
            message: format!("Unknown directive \"@{}\".", self.name),
            location: Some(location_at(text, self.offset)),
            offset: Some(self.offset),
        }
    }
}

/// Our part of a document.
#[derive(Debug)]
pub struct OwnPart {
    /// Its syntax tree, whose locations are those of the client's text.
    pub document: ast::Document,
    /// The variables it uses.
    pub variables: Vec<String>,
}

/// Nothing but those root fields of `operation` that `is_own`, and what they use.
///
/// # Errors
/// [`FragmentBelowRoot`].
pub fn own_part(
    document: &Document,
    operation: &Node<OperationDefinition>,
    root_type: &str,
    is_own: &dyn Fn(&Field) -> bool,
) -> Result<OwnPart, FragmentBelowRoot> {
    let Blanks { ranges, variables } = blanks(document, operation, root_type, &keep(is_own))?;
    let blank: HashSet<Range<usize>> = ranges.into_iter().collect();
    let mut own = document.syntax_tree().clone();
    own.definitions.retain_mut(|definition| match definition {
        Definition::OperationDefinition(found) if Node::ptr_eq(found, operation) => {
            let found = found.make_mut();
            found.directives = DirectiveList::new();
            found.variables.retain(|variable| variables.iter().any(|used| variable.name == used.as_str()));
            take_out(&mut found.selection_set, &blank);
            true
        }
        Definition::FragmentDefinition(fragment) if !is_blank(fragment, &blank) => {
            if fragment.type_condition == root_type {
                take_out(&mut fragment.make_mut().selection_set, &blank);
            }
            true
        }
        _ => false,
    });
    Ok(OwnPart { document: own, variables })
}

/// The mask of our part: its root fields, and nothing that only the upstream can know.
pub fn keep<'k>(is_own: &'k dyn Fn(&Field) -> bool) -> Keep<'k> {
    Keep {
        field: is_own,
        other_types: false,
        operation_directives: false,
        drops_directive: |_| false,
        never: &[],
        sites: None,
    }
}

fn is_blank<T>(node: &Node<T>, blank: &HashSet<Range<usize>>) -> bool {
    range_of(node).is_none_or(|range| blank.contains(&range))
}

/// Takes out what is blank at the root. Below a root field that stays, all stays. The parser's limit bounds the recursion.
fn take_out(selection_set: &mut Vec<Selection>, blank: &HashSet<Range<usize>>) {
    selection_set.retain_mut(|selection| match selection {
        Selection::Field(field) => !is_blank(field, blank),
        Selection::FragmentSpread(spread) => !is_blank(spread, blank),
        Selection::InlineFragment(inline) => {
            let stays = !is_blank(inline, blank);
            if stays {
                take_out(&mut inline.make_mut().selection_set, blank);
            }
            stays
        }
    });
}

/// Can there be anything to cut in our part?
#[must_use]
pub fn may_need_cut(text: &str, schema: &ActionSchema) -> bool {
    schema.types.has_relationships() || text.contains('@')
}

/// Takes relationships and the upstream's directives out of `own`, and the variables and fragments that only they used.
#[must_use]
pub fn cut(own: &ast::Document, root_type: &str, schema: &ActionSchema) -> Cut {
    let mut cutter = Cutter {
        root_type,
        schema,
        has_relationships: false,
        conditions: HashSet::new(),
        upstream_directives: Vec::new(),
    };
    let mut document = own.clone();
    for definition in &mut document.definitions {
        match definition {
            Definition::OperationDefinition(operation) => {
                let operation = operation.make_mut();
                for variable in &mut operation.variables {
                    if !variable.directives.is_empty() {
                        cutter.directives(&mut variable.make_mut().directives);
                    }
                }
                cutter.selection_set(root_type, &mut operation.selection_set);
            }
            Definition::FragmentDefinition(fragment) => {
                let type_name = fragment.type_condition.clone();
                let fragment = fragment.make_mut();
                cutter.directives(&mut fragment.directives);
                cutter.selection_set(&type_name, &mut fragment.selection_set);
            }
            _ => {}
        }
    }
    let Cutter { has_relationships, conditions, upstream_directives, .. } = cutter;
    if !has_relationships && upstream_directives.is_empty() {
        return Cut { document, variables: HashSet::new(), has_relationships, upstream_directives };
    }
    let (mut variables, fragments) = used(&document);
    for definition in &mut document.definitions {
        if let Definition::OperationDefinition(operation) = definition {
            operation.make_mut().variables.retain(|variable| variables.contains(variable.name.as_str()));
        }
    }
    document.definitions.retain(|definition| match definition {
        Definition::FragmentDefinition(fragment) => fragments.contains(fragment.name.as_str()),
        _ => true,
    });
    variables.extend(conditions);
    Cut { document, variables, has_relationships, upstream_directives }
}

/// The variables and the fragments that are still used.
fn used(document: &ast::Document) -> (HashSet<String>, HashSet<String>) {
    let document = Document::of("", document.clone());
    let (mut variables, mut fragments) = (HashSet::new(), HashSet::new());
    for operation in document.operations() {
        let uses = Uses::of_operation(&document, operation);
        variables.extend(uses.variables.into_iter().map(str::to_owned));
        fragments.extend(uses.fragments.into_iter().map(str::to_owned));
    }
    (variables, fragments)
}

struct Cutter<'c> {
    root_type: &'c str,
    schema: &'c ActionSchema,
    has_relationships: bool,
    /// The variables that decide whether a relationship is selected.
    conditions: HashSet<String>,
    upstream_directives: Vec<UpstreamDirective>,
}

impl Cutter<'_> {
    /// Directives of the specification stay.
    fn directives(&mut self, directives: &mut DirectiveList) {
        for directive in directives.0.extract_if(.., |directive| is_upstreams(&directive.name)) {
            let offset = directive.location().map_or(0, |span| span.offset());
            self.upstream_directives.push(UpstreamDirective { name: directive.name.to_string(), offset });
        }
    }

    /// The parser's limit bounds the recursion.
    fn selection_set(&mut self, type_name: &str, selection_set: &mut Vec<Selection>) {
        let definition = self.schema.types.get(type_name);
        let is_related = |selection: &mut Selection| match selection {
            Selection::Field(field) => definition.is_some_and(|found| found.relationship(&field.name).is_some()),
            _ => false,
        };
        let mut is_cut = false;
        for related in selection_set.extract_if(.., is_related) {
            is_cut = true;
            self.conditions.extend(conditions_of(directives_of(&related)).map(str::to_owned));
        }
        self.has_relationships |= is_cut;
        if is_cut && selection_set.is_empty() {
            selection_set.push(Selection::Field(Node::new(type_name_field())));
        }
        for selection in selection_set {
            match selection {
                Selection::Field(field) => {
                    let inner = self.type_of(type_name, &field.name);
                    let field = field.make_mut();
                    self.directives(&mut field.directives);
                    if let Some(inner) = inner {
                        self.selection_set(&inner, &mut field.selection_set);
                    }
                }
                Selection::InlineFragment(inline) => {
                    let type_name = inline.type_condition.as_deref().unwrap_or(type_name).to_owned();
                    let inline = inline.make_mut();
                    self.directives(&mut inline.directives);
                    self.selection_set(&type_name, &mut inline.selection_set);
                }
                Selection::FragmentSpread(spread) => self.directives(&mut spread.make_mut().directives),
            }
        }
    }

    fn type_of(&self, type_name: &str, field: &str) -> Option<String> {
        if type_name == self.root_type {
            let action = self.schema.actions.get(field)?;
            return Some(if action.is_async { action.result_type() } else { action.output.named().to_owned() });
        }
        if field == OUTPUT
            && let Some(action) = self.schema.actions.values().find(|action| action.result_type() == type_name)
        {
            return Some(action.output.named().to_owned());
        }
        self.schema.types.object(type_name)?.get(field).map(|field| field.ty.named().to_owned())
    }
}

fn is_upstreams(directive: &str) -> bool {
    !built_in().directive_definitions.contains_key(directive)
}

/// What a selection set holds when all of it was cut.
fn type_name_field() -> Field {
    Field {
        alias: None,
        name: name!("__typename"),
        arguments: Vec::new(),
        directives: ast::DirectiveList::new(),
        selection_set: Vec::new(),
    }
}
