//! Builds the upstream's schema from its introspection result, as graphql-js's `buildClientSchema` does.

use std::collections::HashMap;
use std::sync::LazyLock;

use apollo_compiler::ast::{Directive, DirectiveDefinition, DirectiveLocation, Type, Value};
use apollo_compiler::collections::{IndexMap, IndexSet};
use apollo_compiler::schema::{
    Component, ComponentName, DirectiveList, EnumType, EnumValueDefinition, ExtendedType, FieldDefinition,
    InputObjectType, InputValueDefinition, InterfaceType, ObjectType, ScalarType, SchemaDefinition, UnionType,
};
use apollo_compiler::{Name, Node, Schema, ast, name};
use foldhash::fast::RandomState;

use crate::graphql::introspection_result::{
    IntrospectionDirective, IntrospectionEnumValue, IntrospectionField, IntrospectionInput, IntrospectionResult,
    IntrospectionSchema, IntrospectionType, IntrospectionTypeRef, Kind, NamedRef, Text,
};
use crate::graphql::root_types::RootTypes;
use crate::model::response::Dialect;

/// The upstream's schema as one caller sees it.
#[derive(Clone)]
pub struct UpstreamSchema {
    /// Without the proof that it is valid: it is a part of what is validated later.
    pub schema: Schema,
    /// The directives as the upstream lists them; the schema has more of them, because we use them to represent what
    /// the upstream declares otherwise.
    pub directives: Vec<ListedDirective>,
}

impl UpstreamSchema {
    /// Is it valid?
    ///
    /// # Errors
    /// [`ClientSchemaError::Invalid`] with the first violation.
    pub fn check(&self) -> Result<(), ClientSchemaError> {
        self.schema.clone().validate().map(drop).map_err(|failed| {
            let first = failed.errors.iter().next().map(|diagnostic| diagnostic.error.to_string());
            ClientSchemaError::Invalid(first.unwrap_or_default())
        })
    }

    /// The names of its root types, and the error format of such an upstream.
    #[must_use]
    pub fn roots_and_dialect(&self) -> (RootTypes, Dialect) {
        let definition = &self.schema.schema_definition;
        let name = |root: &Option<ComponentName>| root.as_ref().map(ToString::to_string);
        let query = name(&definition.query).unwrap_or_default();
        RootTypes::of_upstream(&query, name(&definition.mutation), name(&definition.subscription))
    }
}

/// What introspection shows of a directive beside its definition.
#[derive(Clone, Debug)]
pub struct ListedDirective {
    /// Its name.
    pub name: Name,
    /// Its locations, in the upstream's words: some may be unknown to the library.
    pub locations: Vec<String>,
    /// Is it deprecated?
    pub is_deprecated: bool,
    /// Why.
    pub deprecation_reason: Option<String>,
}

/// Why a response gives no schema.
#[derive(Debug, thiserror::Error)]
pub enum ClientSchemaError {
    /// It is not JSON, or not in the shape of an introspection result.
    #[error("the response is not an introspection result: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The upstream returned errors instead.
    #[error("the upstream returned errors: {0}")]
    Rejected(String),
    /// A part that has to be there is not.
    #[error("the schema is incomplete: {0}")]
    Incomplete(String),
    /// The schema breaks a rule of GraphQL.
    #[error("the schema is not valid: {0}")]
    Invalid(String),
}

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

/// Builds the schema from the bytes of the upstream's response, and validates it.
///
/// # Errors
/// [`ClientSchemaError`].
pub fn build_client_schema(response: &[u8]) -> Result<UpstreamSchema, ClientSchemaError> {
    let schema = read_client_schema(response)?;
    schema.check()?;
    Ok(schema)
}

/// The same for one who validates it himself: with large schemas that takes as long as all the rest.
///
/// # Errors
/// [`ClientSchemaError`].
pub fn read_client_schema(response: &[u8]) -> Result<UpstreamSchema, ClientSchemaError> {
    let response: IntrospectionResult<'_> = match std::str::from_utf8(response) {
        // Else each of its texts is looked through for what is no UTF-8.
        Ok(text) => serde_json::from_str(text)?,
        Err(_) => serde_json::from_slice(response)?,
    };
    let Some(introspected) = response.data.and_then(|data| data.schema) else {
        let first = response.errors.and_then(|errors| errors.into_iter().next());
        let message =
            first.and_then(|error| error.message).map_or_else(|| "no data".into(), |text| text.0.into_owned());
        return Err(ClientSchemaError::Rejected(message));
    };
    Builder::default().schema(&introspected)
}

type Built<T> = Result<T, ClientSchemaError>;

/// Names and default values stand in a schema again and again; each is made once.
#[derive(Default)]
struct Builder<'a> {
    names: HashMap<&'a str, Name, RandomState>,
    values: HashMap<&'a str, Node<Value>, RandomState>,
}

impl<'a> Builder<'a> {
    fn schema(mut self, from: &'a IntrospectionSchema<'a>) -> Built<UpstreamSchema> {
        let built_in = built_in();
        let mut schema = Schema { types: IndexMap::default(), ..built_in.clone() };
        schema.schema_definition = Node::new(SchemaDefinition {
            description: node_str(from.description.as_ref()),
            directives: DirectiveList::default(),
            query: Some(self.component_name(&from.query_type.name)?),
            mutation: from.mutation_type.as_ref().map(|named| self.component_name(&named.name)).transpose()?,
            subscription: from.subscription_type.as_ref().map(|named| self.component_name(&named.name)).transpose()?,
        });
        for definition in &from.types {
            match built_in.types.get_key_value(definition.name.0.as_ref()) {
                // The validator knows these by where they come from.
                Some((name, built_in_type)) => schema.types.insert(name.clone(), described(built_in_type, definition)),
                None => schema.types.insert(self.name(&definition.name)?, self.definition(definition)?),
            };
        }
        for (name, built_in_type) in &built_in.types {
            if name.starts_with("__") {
                schema.types.entry(name.clone()).or_insert_with(|| built_in_type.clone());
            }
        }
        let directives = self.directives(&mut schema, &from.directives)?;
        Ok(UpstreamSchema { schema, directives })
    }

    fn directives(
        &mut self,
        schema: &mut Schema,
        from: &'a [IntrospectionDirective<'a>],
    ) -> Built<Vec<ListedDirective>> {
        let mut definitions = IndexMap::default();
        let mut listed = Vec::with_capacity(from.len());
        for directive in from {
            let name = self.name(&directive.name)?;
            let definition = DirectiveDefinition {
                description: node_str(directive.description.as_ref()),
                name: name.clone(),
                arguments: self.inputs(&directive.args)?,
                repeatable: directive.is_repeatable,
                locations: directive.locations.iter().filter_map(location).collect(),
            };
            listed.push(ListedDirective {
                name: name.clone(),
                locations: directive.locations.iter().map(|text| text.0.clone().into_owned()).collect(),
                is_deprecated: directive.is_deprecated,
                deprecation_reason: directive.deprecation_reason.as_ref().map(|text| text.0.clone().into_owned()),
            });
            definitions.insert(name, Node::new(definition));
        }
        for (name, definition) in &schema.directive_definitions {
            definitions.entry(name.clone()).or_insert_with(|| definition.clone());
        }
        schema.directive_definitions = definitions;
        Ok(listed)
    }

    fn definition(&mut self, from: &'a IntrospectionType<'a>) -> Built<ExtendedType> {
        let name = self.name(&from.name)?;
        let description = node_str(from.description.as_ref());
        let directives = DirectiveList::default();
        Ok(match from.kind {
            Kind::Scalar => {
                let url = from.specified_by_url.as_ref().map(|url| specified_by(&url.0));
                ScalarType { description, name, directives: url.into_iter().map(Component::from).collect() }.into()
            }
            kind @ (Kind::Object | Kind::Interface) => {
                let implements_interfaces = self.component_names(from.interfaces.as_deref())?;
                let fields = self.fields(&name, from.fields.as_deref())?;
                if kind == Kind::Object {
                    ObjectType { description, implements_interfaces, directives, fields, name }.into()
                } else {
                    InterfaceType { description, implements_interfaces, directives, fields, name }.into()
                }
            }
            Kind::Union => {
                let members = self.component_names(from.possible_types.as_deref())?;
                UnionType { description, name, directives, members }.into()
            }
            Kind::Enum => {
                let values = from.enum_values.as_deref().ok_or_else(|| missing("enumValues", &name))?;
                EnumType { description, values: self.enum_values(values)?, name, directives }.into()
            }
            Kind::InputObject => {
                let fields = from.input_fields.as_deref().ok_or_else(|| missing("inputFields", &name))?;
                let fields = self.inputs(fields)?.into_iter().map(|field| (field.name.clone(), field.into()));
                let directives = one_of(from.is_one_of == Some(true));
                InputObjectType { description, fields: fields.collect(), name, directives }.into()
            }
            Kind::List | Kind::NonNull => {
                return Err(ClientSchemaError::Incomplete(format!("the type {name} is of no kind that has a name")));
            }
        })
    }

    fn fields(
        &mut self,
        owner: &Name,
        from: Option<&'a [IntrospectionField<'a>]>,
    ) -> Built<IndexMap<Name, Component<FieldDefinition>>> {
        let from = from.ok_or_else(|| missing("fields", owner))?;
        let fields = from.iter().map(|field| {
            let name = self.name(&field.name)?;
            let definition = FieldDefinition {
                description: node_str(field.description.as_ref()),
                name: name.clone(),
                arguments: self.inputs(&field.args)?,
                ty: self.type_ref(&field.ty)?,
                directives: deprecated(field.is_deprecated, field.deprecation_reason.as_ref()),
            };
            Ok((name, Component::new(definition)))
        });
        fields.collect()
    }

    fn inputs(&mut self, from: &'a [IntrospectionInput<'a>]) -> Built<Vec<Node<InputValueDefinition>>> {
        let inputs = from.iter().map(|input| {
            Ok(Node::new(InputValueDefinition {
                description: node_str(input.description.as_ref()),
                name: self.name(&input.name)?,
                ty: Node::new(self.type_ref(&input.ty)?),
                default_value: input.default_value.as_ref().map(|text| self.value(&text.0)),
                directives: deprecated(input.is_deprecated, input.deprecation_reason.as_ref()),
            }))
        });
        inputs.collect()
    }

    fn enum_values(
        &mut self,
        from: &'a [IntrospectionEnumValue<'a>],
    ) -> Built<IndexMap<Name, Component<EnumValueDefinition>>> {
        let values = from.iter().map(|value| {
            let name = self.name(&value.name)?;
            let definition = EnumValueDefinition {
                description: node_str(value.description.as_ref()),
                value: name.clone(),
                directives: deprecated(value.is_deprecated, value.deprecation_reason.as_ref()),
            };
            Ok((name, Component::new(definition)))
        });
        values.collect()
    }

    fn type_ref(&mut self, from: &'a IntrospectionTypeRef<'a>) -> Built<Type> {
        let inner = || from.of_type.as_deref().ok_or_else(|| ClientSchemaError::Incomplete("a type is cut off".into()));
        Ok(match from.kind {
            Kind::List => self.type_ref(inner()?)?.list(),
            Kind::NonNull => self.type_ref(inner()?)?.non_null(),
            _ => {
                let name = from.name.as_ref();
                let name = name.ok_or_else(|| ClientSchemaError::Incomplete("a type has no name".into()))?;
                Type::Named(self.name(name)?)
            }
        })
    }

    fn name(&mut self, text: &'a Text<'a>) -> Built<Name> {
        if let Some(known) = self.names.get(text.0.as_ref()) {
            return Ok(known.clone());
        }
        let name = Name::new(&text.0).map_err(|error| ClientSchemaError::Invalid(error.to_string()))?;
        self.names.insert(&text.0, name.clone());
        Ok(name)
    }

    fn component_name(&mut self, text: &'a Text<'a>) -> Built<ComponentName> {
        self.name(text).map(ComponentName::from)
    }

    fn component_names(&mut self, from: Option<&'a [NamedRef<'a>]>) -> Built<IndexSet<ComponentName>> {
        from.unwrap_or_default().iter().map(|named| self.component_name(&named.name)).collect()
    }

    /// A default that is no GraphQL value counts as null: validation only needs to know that there is one.
    fn value(&mut self, text: &'a str) -> Node<Value> {
        let value = self.values.entry(text).or_insert_with(|| parse_value(text).unwrap_or_else(|| Value::Null.into()));
        value.clone()
    }
}

/// A type that every schema has. Introspection is served here, so its types are ours; a scalar keeps the upstream's
/// description.
fn described(built_in_type: &ExtendedType, from: &IntrospectionType<'_>) -> ExtendedType {
    let ExtendedType::Scalar(scalar) = built_in_type else { return built_in_type.clone() };
    let mut scalar = scalar.clone();
    scalar.make_mut().description = node_str(from.description.as_ref());
    ExtendedType::Scalar(scalar)
}

fn missing(what: &str, owner: &str) -> ClientSchemaError {
    ClientSchemaError::Incomplete(format!("the type {owner} has no {what}"))
}

fn node_str(text: Option<&Text<'_>>) -> Option<Node<str>> {
    text.map(|text| Node::new_str(&text.0))
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

fn deprecated(is_deprecated: bool, reason: Option<&Text<'_>>) -> ast::DirectiveList {
    match reason {
        Some(reason) => deprecated_because(Value::String(reason.0.clone().into_owned())),
        None if is_deprecated => deprecated_because(Value::Null),
        None => ast::DirectiveList::new(),
    }
}

/// `@deprecated` with a reason.
pub(crate) fn deprecated_because(reason: Value) -> ast::DirectiveList {
    let directive = with_argument(name!("deprecated"), name!("reason"), reason);
    [Node::new(directive)].into_iter().collect()
}

/// A GraphQL value as text.
#[must_use]
pub fn parse_value(text: &str) -> Option<Node<Value>> {
    let document = ast::Document::parse(format!("{{a(b:{text}\n)}}"), "value").ok()?;
    let [ast::Definition::OperationDefinition(operation)] = document.definitions.as_slice() else { return None };
    let [ast::Selection::Field(field)] = operation.selection_set.as_slice() else { return None };
    let [argument] = field.arguments.as_slice() else { return None };
    Some(argument.value.clone())
}

/// Every place where a directive may stand; the specification may know more one day.
const LOCATIONS: [DirectiveLocation; 19] = [
    DirectiveLocation::Query,
    DirectiveLocation::Mutation,
    DirectiveLocation::Subscription,
    DirectiveLocation::Field,
    DirectiveLocation::FragmentDefinition,
    DirectiveLocation::FragmentSpread,
    DirectiveLocation::InlineFragment,
    DirectiveLocation::VariableDefinition,
    DirectiveLocation::Schema,
    DirectiveLocation::Scalar,
    DirectiveLocation::Object,
    DirectiveLocation::FieldDefinition,
    DirectiveLocation::ArgumentDefinition,
    DirectiveLocation::Interface,
    DirectiveLocation::Union,
    DirectiveLocation::Enum,
    DirectiveLocation::EnumValue,
    DirectiveLocation::InputObject,
    DirectiveLocation::InputFieldDefinition,
];

fn location(text: &Text<'_>) -> Option<DirectiveLocation> {
    LOCATIONS.into_iter().find(|location| location.name() == text.0)
}
