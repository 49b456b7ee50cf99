//! Rules of validation that the library checks in part only: variables in positions that do not allow them, and OneOf
//! Input Objects.
//!
//! - [All Variable Usages Are Allowed](https://spec.graphql.org/September2025/#sec-All-Variable-Usages-Are-Allowed): the
//!   library looks at whole arguments only, and takes a default of null for a default.
//! - [OneOf Input Objects](https://spec.graphql.org/September2025/#sec-OneOf-Input-Objects): it does not know
//!   them.

use std::collections::HashSet;

use apollo_compiler::ast::{Argument, DirectiveList, InputValueDefinition, Type, Value as Literal, VariableDefinition};
use apollo_compiler::executable::{Operation, Selection, SelectionSet};
use apollo_compiler::schema::{ExtendedType, InputObjectType};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Node, Schema};

use crate::graphql::document::SyntaxError;
use crate::graphql::variables::is_one_of;
use crate::model::response::location_at;

/// The errors in `document`, which the library has validated and which was parsed from `text`.
#[must_use]
pub fn check(schema: &Valid<Schema>, document: &Valid<ExecutableDocument>, text: &str) -> Vec<SyntaxError> {
    let mut diagnostics = Vec::new();
    for operation in document.operations.iter() {
        let mut walk = Walk { schema, document, text, operation, visited: HashSet::new(), diagnostics: Vec::new() };
        walk.operation();
        diagnostics.append(&mut walk.diagnostics);
    }
    diagnostics.sort_by_key(|diagnostic| diagnostic.offset);
    // A fragment of several operations is looked at for each of them.
    diagnostics.dedup();
    diagnostics
}

struct Walk<'w> {
    schema: &'w Valid<Schema>,
    document: &'w Valid<ExecutableDocument>,
    text: &'w str,
    operation: &'w Operation,
    visited: HashSet<&'w str>,
    diagnostics: Vec<SyntaxError>,
}

impl<'w> Walk<'w> {
    fn operation(&mut self) {
        for variable in &self.operation.variables {
            if let Some(default) = &variable.default_value {
                self.value(&variable.ty, false, default);
            }
            self.directives(&variable.directives);
        }
        self.directives(&self.operation.directives);
        self.selection_set(&self.operation.selection_set);
    }

    /// The parser's limit bounds the recursion, and a chain of fragments is no cycle in a valid document.
    fn selection_set(&mut self, selection_set: &'w SelectionSet) {
        for selection in &selection_set.selections {
            self.directives(selection.directives());
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.definition.arguments, &field.arguments);
                    self.selection_set(&field.selection_set);
                }
                Selection::InlineFragment(inline) => self.selection_set(&inline.selection_set),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                        && self.visited.insert(&spread.fragment_name)
                    {
                        self.directives(&fragment.directives);
                        self.selection_set(&fragment.selection_set);
                    }
                }
            }
        }
    }

    fn directives(&mut self, directives: &DirectiveList) {
        let schema = self.schema;
        for directive in directives {
            if let Some(definition) = schema.directive_definitions.get(&directive.name) {
                self.arguments(&definition.arguments, &directive.arguments);
            }
        }
    }

    fn arguments(&mut self, definitions: &[Node<InputValueDefinition>], given: &[Node<Argument>]) {
        for argument in given {
            if let Some(definition) = definitions.iter().find(|definition| definition.name == argument.name) {
                self.value(&definition.ty, definition.default_value.is_some(), &argument.value);
            }
        }
    }

    /// A literal where a value of type `ty` stands; `has_default` if one takes the place of what is absent there.
    fn value(&mut self, ty: &Type, has_default: bool, literal: &Node<Literal>) {
        match (ty, literal.as_ref()) {
            (_, Literal::Variable(name)) => {
                if let Some(definition) = self.variable(name)
                    && !is_usage_allowed(definition, ty, has_default)
                {
                    self.reject(
                        literal,
                        format!(
                            "Variable \"${name}\" of type \"{}\" used in position expecting type \"{ty}\".",
                            definition.ty
                        ),
                    );
                }
            }
            (Type::List(inner) | Type::NonNullList(inner), Literal::List(items)) => {
                items.iter().for_each(|item| self.value(inner, false, item));
            }
            // A single value stands for a list of it.
            (Type::List(inner) | Type::NonNullList(inner), _) => self.value(inner, false, literal),
            (Type::Named(name) | Type::NonNullNamed(name), Literal::Object(fields)) => {
                let schema = self.schema;
                if let Some(ExtendedType::InputObject(input)) = schema.types.get(name) {
                    for (field_name, value) in fields {
                        if let Some(field) = input.fields.get(field_name) {
                            self.value(&field.ty, field.default_value.is_some(), value);
                        }
                    }
                    if is_one_of(input) {
                        self.one_of(input, literal, fields);
                    }
                }
            }
            _ => {}
        }
    }

    fn one_of(
        &mut self,
        input: &InputObjectType,
        literal: &Node<Literal>,
        fields: &[(apollo_compiler::Name, Node<Literal>)],
    ) {
        let type_name = &input.name;
        let [(field, value)] = fields else {
            return self.reject(literal, format!("OneOf Input Object \"{type_name}\" must specify exactly one key."));
        };
        match value.as_ref() {
            Literal::Null => self.reject(literal, format!("Field \"{type_name}.{field}\" must be non-null.")),
            Literal::Variable(name) => {
                if let Some(definition) = self.variable(name)
                    && !definition.ty.is_non_null()
                {
                    self.reject(
                        value,
                        format!(
                            "Variable \"${name}\" is of type \"{}\" but must be non-nullable to be used for OneOf Input \
                             Object \"{type_name}\".",
                            definition.ty
                        ),
                    );
                }
            }
            _ => {}
        }
    }

    fn variable(&self, name: &str) -> Option<&'w Node<VariableDefinition>> {
        let operation = self.operation;
        operation.variables.iter().find(|definition| definition.name == name)
    }

    fn reject(&mut self, literal: &Node<Literal>, message: String) {
        let offset = literal.location().map(|span| span.offset());
        let location = offset.map(|offset| location_at(self.text, offset));
        self.diagnostics.push(SyntaxError { message, location, offset });
    }
}

/// [IsVariableUsageAllowed](https://spec.graphql.org/September2025/#IsVariableUsageAllowed())
fn is_usage_allowed(definition: &VariableDefinition, position: &Type, has_default: bool) -> bool {
    if !position.is_non_null() || definition.ty.is_non_null() {
        return definition.ty.is_assignable_to(position);
    }
    let has_value = definition.default_value.as_ref().is_some_and(|default| !default.is_null());
    (has_value || has_default) && definition.ty.is_assignable_to(&position.clone().nullable())
}
