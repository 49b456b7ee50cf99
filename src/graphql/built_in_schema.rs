//! What every schema has: the introspection types, and the scalars and directives of the specification.

use std::sync::LazyLock;

use apollo_compiler::ast::{Directive, DirectiveDefinition, DirectiveLocation, Value};
use apollo_compiler::schema::{Component, DirectiveList, ExtendedType};
use apollo_compiler::{Name, Node, Schema, ast, name};

/// What every schema has: the introspection types, and the scalars and directives of the specification.
#[must_use]
pub fn built_in() -> &'static Schema {
    static BUILT_IN: LazyLock<Schema> = LazyLock::new(|| {
        let mut schema = Schema::new();
        let newer = ast::Document::parse(include_str!("introspection_types.graphql"), "introspection");
        for definition in newer.iter().flat_map(|document| &document.definitions) {
            replace(&mut schema, definition);
        }
        schema.directive_definitions.insert(ONE_OF, one_of_definition());
        schema
    });
    &BUILT_IN
}

/// The library's definitions stay where they are, for its validator knows them by that.
fn replace(schema: &mut Schema, newer: &ast::Definition) {
    match newer {
        ast::Definition::ObjectTypeDefinition(object) => {
            if let Some(ExtendedType::Object(known)) = schema.types.get_mut(&object.name) {
                let fields = object.fields.iter().map(|field| (field.name.clone(), field.clone().into()));
                known.make_mut().fields = fields.collect();
            }
        }
        ast::Definition::EnumTypeExtension(extension) => {
            if let Some(ExtendedType::Enum(known)) = schema.types.get_mut(&extension.name) {
                let values = extension.values.iter().map(|value| (value.value.clone(), value.clone().into()));
                known.make_mut().values.extend(values);
            }
        }
        _ => {}
    }
}

const ONE_OF: Name = name!("oneOf");

fn one_of_definition() -> Node<DirectiveDefinition> {
    Node::new(DirectiveDefinition {
        description: None,
        name: ONE_OF,
        arguments: Vec::new(),
        repeatable: false,
        locations: vec![DirectiveLocation::InputObject],
    })
}

fn with_argument(directive: Name, argument: Name, value: Value) -> Directive {
    let mut directive = Directive::new(directive);
    directive.arguments.push(Node::new(ast::Argument { name: argument, value: Node::new(value) }));
    directive
}

/// `@oneOf`, if it is.
pub(crate) fn one_of(is_one_of: bool) -> DirectiveList {
    is_one_of.then(|| Component::from(Directive::new(ONE_OF))).into_iter().collect()
}

/// `@specifiedBy`.
pub(crate) fn specified_by(url: &str) -> Directive {
    let (directive, argument) = (name!("specifiedBy"), name!("url"));
    with_argument(directive, argument, Value::String(url.to_owned()))
}

/// `@deprecated` with a reason.
pub(crate) fn deprecated_because(reason: Value) -> ast::DirectiveList {
    let directive = with_argument(name!("deprecated"), name!("reason"), reason);
    [Node::new(directive)].into_iter().collect()
}
