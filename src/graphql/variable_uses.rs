//! Which variables and fragments a piece of a document uses, through all the fragments it spreads.

use std::collections::HashSet;

use apollo_compiler::Node;
use apollo_compiler::ast::{Argument, Directive, DirectiveList, Field, OperationDefinition, Selection, Value};

use crate::graphql::collect_fields::is_condition;
use crate::graphql::document::Document;
use crate::graphql::extension_sites::ExtensionSites;

/// The uses found so far. Every fragment is walked once, so the walk is linear in the document's text.
pub struct Uses<'d> {
    document: &'d Document,
    /// Directives that are not counted, by name.
    is_left_out: fn(&str) -> bool,
    /// The directives that were met and not counted.
    pub left_out: Vec<&'d Node<Directive>>,
    /// Extension fields, of which only the conditions count: what else they use is not the upstream's.
    sites: Option<&'d ExtensionSites>,
    /// Names of variables.
    pub variables: HashSet<&'d str>,
    /// Names of fragments.
    pub fragments: HashSet<&'d str>,
}

impl<'d> Uses<'d> {
    /// Nothing used yet.
    #[must_use]
    pub fn new(document: &'d Document) -> Self {
        Self::without(document, |_| false)
    }

    /// Nothing used yet; directives of certain names will not count.
    #[must_use]
    pub fn without(document: &'d Document, is_left_out: fn(&str) -> bool) -> Self {
        let (variables, fragments) = (HashSet::new(), HashSet::new());
        Self { document, is_left_out, left_out: Vec::new(), sites: None, variables, fragments }
    }

    /// The same where the upstream is asked for keys instead of these extension fields.
    #[must_use]
    pub fn instead_of(self, sites: Option<&'d ExtensionSites>) -> Self {
        Self { sites, ..self }
    }

    /// All that `operation` uses.
    #[must_use]
    pub fn of_operation(document: &'d Document, operation: &'d OperationDefinition) -> Self {
        let mut uses = Self::new(document);
        uses.directives(&operation.directives);
        uses.selection_set(&operation.selection_set);
        uses
    }

    /// Adds what a field uses, its own directives left out.
    pub fn field(&mut self, field: &'d Field) {
        self.arguments(&field.arguments);
        self.selection_set(&field.selection_set);
    }

    /// Adds what a selection set uses. The parser's limit bounds the recursion.
    pub fn selection_set(&mut self, selection_set: &'d [Selection]) {
        for selection in selection_set {
            match selection {
                Selection::Field(field) if self.sites.is_some_and(|sites| sites.includes(field)) => {
                    field.directives.iter().filter(|directive| is_condition(&directive.name)).for_each(|directive| {
                        self.directive(directive);
                    });
                }
                Selection::Field(field) => {
                    self.directives(&field.directives);
                    self.field(field);
                }
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.directives);
                    self.selection_set(&inline.selection_set);
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.directives);
                    self.fragment(&spread.fragment_name);
                }
            }
        }
    }

    /// Adds a fragment and what it uses.
    pub fn fragment(&mut self, name: &'d str) {
        if let Some(fragment) = self.document.fragment(name)
            && self.fragments.insert(name)
        {
            self.directives(&fragment.directives);
            self.selection_set(&fragment.selection_set);
        }
    }

    /// Adds what directives use.
    pub fn directives(&mut self, directives: &'d DirectiveList) {
        directives.iter().for_each(|directive| self.directive(directive));
    }

    /// Adds what a directive uses.
    pub fn directive(&mut self, directive: &'d Node<Directive>) {
        if (self.is_left_out)(&directive.name) {
            self.left_out.push(directive);
        } else {
            self.arguments(&directive.arguments);
        }
    }

    /// Adds what an argument uses.
    pub fn argument(&mut self, argument: &'d Argument) {
        self.value(&argument.value);
    }

    fn arguments(&mut self, arguments: &'d [Node<Argument>]) {
        arguments.iter().for_each(|argument| self.argument(argument));
    }

    fn value(&mut self, value: &'d Value) {
        match value {
            Value::Variable(name) => {
                self.variables.insert(name);
            }
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(fields) => fields.iter().for_each(|(_, field)| self.value(field)),
            _ => {}
        }
    }
}
