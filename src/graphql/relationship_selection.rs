//! A relationship as a client selects it: the part of the document that is needed to fetch its rows from the upstream.

use apollo_compiler::Node;
use apollo_compiler::ast::{
    Argument, Directive, DirectiveList, Field, OperationDefinition, Selection, Value, VariableDefinition,
};

use crate::graphql::collect_fields::is_incremental;
use crate::graphql::document::{Document, range_of};
use crate::graphql::edited_text::{edited, pieces};
use crate::graphql::extension_sites::{Edit, ExtensionSites};
use crate::graphql::response_shape::FieldShape;
use crate::graphql::variable_uses::Uses;
use crate::model::response::Location;
use crate::model::types::Relationship;

/// A selected relationship. Its texts are the client's own.
#[derive(Debug, PartialEq, Eq)]
pub struct RelationshipSelection {
    /// Which rows.
    pub relationship: Relationship,
    /// Where its first occurrence stands.
    pub location: Option<Location>,
    /// Are the rows summed up, as Hasura's `…_aggregate` does?
    pub is_aggregate: bool,
    /// `where`, to which the condition on the keys is added.
    pub where_argument: Option<WhereArgument>,
    /// The other arguments, each as `name: value`.
    pub arguments: Vec<String>,
    /// Directives that are the upstream's business.
    pub directives: String,
    /// The selections of the rows, without braces; empty if there are none.
    pub selection: String,
    /// The fragments that this uses, by name.
    pub fragments: Vec<(String, String)>,
    /// The variables that all of this uses.
    pub variables: Vec<VariableText>,
    /// Where the rows have extension fields.
    pub shape: Option<FieldShape>,
}

impl RelationshipSelection {
    /// Bytes of all its arguments.
    #[must_use]
    pub fn arguments_length(&self) -> usize {
        let filter = self.where_argument.as_ref().map_or(0, |filter| filter.text.len());
        filter + self.directives.len() + self.arguments.iter().map(String::len).sum::<usize>()
    }
}

/// A client's `where`.
#[derive(Debug, PartialEq, Eq)]
pub struct WhereArgument {
    /// Its value.
    pub text: String,
    /// The variable that this is, if it is nothing else.
    pub variable: Option<VariableText>,
}

/// The definition of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableText {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: String,
    /// Its default.
    pub default: Option<String>,
}

/// Reads the occurrences of one relationship in a selection; arguments are taken from the first.
#[must_use]
pub fn related_field(
    document: &Document,
    operation: &OperationDefinition,
    fields: &[&Node<Field>],
    (relationship, is_aggregate): (&Relationship, bool),
    sites: Option<&ExtensionSites>,
) -> RelationshipSelection {
    let arguments = fields.first().map(|field| field.arguments.as_slice()).unwrap_or_default();
    // Only Hasura's tables have a `where` that we add to; elsewhere it is an argument like any other.
    let (filters, others): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|argument| argument.name == "where" && relationship.lookup.is_array());
    let filter = filters.first().copied();
    let filter_variable = filter.and_then(|filter| match filter.value.as_ref() {
        Value::Variable(name) => operation.variables.iter().find(|variable| variable.name == *name),
        _ => None,
    });
    let mut uses = Uses::without(document, is_incremental).instead_of(sites);
    others
        .iter()
        .chain(filter.iter().filter(|_| filter_variable.is_none()))
        .for_each(|argument| uses.argument(argument));
    for field in fields {
        upstreams_directives(&field.directives).for_each(|directive| uses.directive(directive));
        uses.selection_set(&field.selection_set);
    }
    let left_out = uses.left_out.iter().copied().filter_map(range_of);
    let edits = pieces(left_out, sites.map(|sites| sites.edits.as_slice()).unwrap_or_default());
    let mut fragments: Vec<(String, String)> = Vec::new();
    for name in uses.fragments.iter().copied() {
        let range = document.fragment(name).and_then(range_of);
        fragments.extend(range.map(|range| (name.to_owned(), edited(&document.text, range, &edits))));
    }
    fragments.sort();
    RelationshipSelection {
        relationship: relationship.clone(),
        location: fields.first().and_then(|field| document.location(field)),
        is_aggregate,
        where_argument: filter.map(|filter| WhereArgument {
            text: text_of(document, &filter.value),
            variable: filter_variable.map(|variable| variable_text(document, variable)),
        }),
        arguments: others.iter().map(|argument| argument_text(document, argument)).collect(),
        directives: fields.iter().map(|field| directives_text(document, &field.directives)).collect(),
        selection: fields.iter().map(|field| selection_text(document, &field.selection_set, &edits)).collect(),
        fragments,
        variables: variables(document, operation, &uses),
        shape: sites.and_then(|sites| sites.shape_of(document, fields)),
    }
}

fn text_of<T>(document: &Document, node: &Node<T>) -> String {
    let range = node.location().map(|span| span.offset()..span.end_offset());
    range.and_then(|range| document.text.get(range)).unwrap_or_default().to_owned()
}

fn argument_text(document: &Document, argument: &Node<Argument>) -> String {
    format!("{}: {}", argument.name, text_of(document, &argument.value))
}

/// `@skip` and `@include` have been applied already, and the rows are fetched at once.
fn upstreams_directives(directives: &DirectiveList) -> impl Iterator<Item = &Node<Directive>> {
    let is_ours = |name: &str| name == "skip" || name == "include" || is_incremental(name);
    directives.iter().filter(move |directive| !is_ours(&directive.name))
}

fn directives_text(document: &Document, directives: &DirectiveList) -> String {
    upstreams_directives(directives).map(|directive| format!(" {}", text_of(document, directive))).collect()
}

/// From the first selection to the last, comments between them included.
fn selection_text(document: &Document, selection_set: &[Selection], edits: &[Edit]) -> String {
    let range = |selection: &Selection| {
        let span = match selection {
            Selection::Field(field) => field.location(),
            Selection::FragmentSpread(spread) => spread.location(),
            Selection::InlineFragment(inline) => inline.location(),
        };
        span.map(|span| span.offset()..span.end_offset())
    };
    let first = selection_set.first().and_then(range);
    let last = selection_set.last().and_then(range);
    let whole = first.zip(last).map(|(first, last)| edited(&document.text, first.start..last.end, edits));
    whole.map(|text| text + " ").unwrap_or_default()
}

fn variables(document: &Document, operation: &OperationDefinition, uses: &Uses<'_>) -> Vec<VariableText> {
    let used = operation.variables.iter().filter(|variable| uses.variables.contains(variable.name.as_str()));
    used.map(|variable| variable_text(document, variable)).collect()
}

fn variable_text(document: &Document, variable: &VariableDefinition) -> VariableText {
    VariableText {
        name: variable.name.to_string(),
        ty: variable.ty.to_string(),
        default: variable.default_value.as_ref().map(|value| text_of(document, value)),
    }
}
