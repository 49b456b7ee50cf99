//! [CollectFields](https://spec.graphql.org/September2025/#CollectFields()) at the root of an operation.

use std::collections::HashSet;

use apollo_compiler::ast::{DirectiveList, Field, OperationDefinition, Selection, Value};
use apollo_compiler::{Name, Node};
use indexmap::IndexMap;

use crate::graphql::document::Document;

/// The root fields of an operation by response name, in document order. The first occurrence names the field.
pub type CollectedFields<'d> = IndexMap<&'d str, Vec<&'d Node<Field>>>;

/// The value of a boolean variable.
pub type Condition<'c> = &'c dyn Fn(&str) -> bool;

/// Collects the root fields. A fragment on another type than `root_type` may apply all the same, when that type is an
/// interface of the root; its fields are the upstream's, and `opaque` holds those occurrences.
pub fn collect_root_fields<'d>(
    document: &'d Document,
    operation: &'d OperationDefinition,
    root_type: &str,
    condition: Condition<'_>,
) -> (CollectedFields<'d>, HashSet<*const Field>) {
    let mut collector = Collector {
        document,
        root_type,
        condition,
        fields: CollectedFields::new(),
        opaque: HashSet::new(),
        visited: HashSet::new(),
    };
    collector.collect(&operation.selection_set, false);
    (collector.fields, collector.opaque)
}

struct Collector<'d, 'c> {
    document: &'d Document,
    root_type: &'c str,
    condition: Condition<'c>,
    fields: CollectedFields<'d>,
    opaque: HashSet<*const Field>,
    visited: HashSet<&'d str>,
}

impl<'d> Collector<'d, '_> {
    fn collect(&mut self, selection_set: &'d [Selection], opaque: bool) {
        for selection in selection_set {
            if !is_included(directives_of(selection), self.condition) {
                continue;
            }
            match selection {
                Selection::Field(field) => {
                    if opaque {
                        self.opaque.insert(std::ptr::from_ref::<Field>(field));
                    }
                    self.fields.entry(field.response_name()).or_default().push(field);
                }
                Selection::InlineFragment(inline) => {
                    let opaque = opaque || !is_on(inline.type_condition.as_ref(), self.root_type);
                    self.collect(&inline.selection_set, opaque);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragment(&spread.fragment_name)
                        && self.visited.insert(&spread.fragment_name)
                    {
                        let opaque = opaque || fragment.type_condition != self.root_type;
                        self.collect(&fragment.selection_set, opaque);
                    }
                }
            }
        }
    }
}

/// Does a fragment with this type condition stand on `root_type` itself?
#[must_use]
pub fn is_on(type_condition: Option<&Name>, root_type: &str) -> bool {
    type_condition.is_none_or(|name| name == root_type)
}

/// The directives on a selection of any kind.
#[must_use]
pub fn directives_of(selection: &Selection) -> &DirectiveList {
    match selection {
        Selection::Field(field) => &field.directives,
        Selection::FragmentSpread(spread) => &spread.directives,
        Selection::InlineFragment(inline) => &inline.directives,
    }
}

/// `@skip` and `@include`: <https://spec.graphql.org/September2025/#sec-Type-System.Directives.Built-in-Directives>.
#[must_use]
pub fn is_included(directives: &DirectiveList, condition: Condition<'_>) -> bool {
    let value_of = |directive: &str| {
        let argument = directives.get(directive)?.specified_argument_by_name("if")?;
        match argument.as_ref() {
            Value::Boolean(value) => Some(*value),
            Value::Variable(name) => Some(condition(name)),
            // Anything else has been rejected as a value of the wrong type.
            _ => None,
        }
    };
    value_of("skip") != Some(true) && value_of("include") != Some(false)
}

/// `@skip` and `@include`.
pub(crate) fn is_condition(directive: &str) -> bool {
    matches!(directive, "skip" | "include")
}

/// The variables of `@skip` and `@include`.
pub fn conditions_of(directives: &DirectiveList) -> impl Iterator<Item = &str> {
    let argument = |directive: &str| directives.get(directive)?.specified_argument_by_name("if");
    ["skip", "include"].into_iter().filter_map(argument).filter_map(|argument| match argument.as_ref() {
        Value::Variable(name) => Some(name.as_str()),
        _ => None,
    })
}

/// Every field at the root of `operation`, whatever its directives.
#[must_use]
pub fn root_fields<'d>(
    document: &'d Document,
    operation: &'d OperationDefinition,
    root_type: &str,
) -> Vec<&'d Node<Field>> {
    let mut fields = Vec::new();
    add_root_fields(document, &operation.selection_set, root_type, &mut HashSet::new(), &mut fields);
    fields
}

fn add_root_fields<'d>(
    document: &'d Document,
    selection_set: &'d [Selection],
    root_type: &str,
    visited: &mut HashSet<&'d str>,
    fields: &mut Vec<&'d Node<Field>>,
) {
    for selection in selection_set {
        match selection {
            Selection::Field(field) => fields.push(field),
            Selection::InlineFragment(inline) if is_on(inline.type_condition.as_ref(), root_type) => {
                add_root_fields(document, &inline.selection_set, root_type, visited, fields);
            }
            Selection::InlineFragment(_) => {}
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragment(&spread.fragment_name)
                    && visited.insert(&spread.fragment_name)
                    && fragment.type_condition == root_type
                {
                    add_root_fields(document, &fragment.selection_set, root_type, visited, fields);
                }
            }
        }
    }
}

/// The variables that decide which root fields there are, in order of appearance.
#[must_use]
pub fn condition_variables(document: &Document, operation: &OperationDefinition) -> Vec<String> {
    let mut names = Vec::new();
    let mut visited = HashSet::new();
    add_condition_variables(document, &operation.selection_set, &mut visited, &mut names);
    names
}

fn add_condition_variables<'d>(
    document: &'d Document,
    selection_set: &'d [Selection],
    visited: &mut HashSet<&'d str>,
    names: &mut Vec<String>,
) {
    for selection in selection_set {
        for name in conditions_of(directives_of(selection)) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        match selection {
            Selection::Field(_) => {}
            Selection::InlineFragment(inline) => {
                add_condition_variables(document, &inline.selection_set, visited, names);
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragment(&spread.fragment_name)
                    && visited.insert(&spread.fragment_name)
                {
                    add_condition_variables(document, &fragment.selection_set, visited, names);
                }
            }
        }
    }
}

/// Directives of [incremental delivery](https://github.com/graphql/graphql-spec/pull/1110), which request a response in
/// pieces. A server may always respond at once, and an upstream whose response becomes part of ours has to.
pub(crate) fn is_incremental(directive: &str) -> bool {
    matches!(directive, "defer" | "stream")
}
