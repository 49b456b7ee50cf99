//! Builds the definitions of a schema from those of an introspection result.

use std::collections::{HashMap, HashSet};

use apollo_compiler::ast::{DirectiveDefinition, DirectiveLocation, Type, Value};
use apollo_compiler::collections::{IndexMap, IndexSet};
use apollo_compiler::schema::{
    Component, ComponentName, DirectiveList, EnumType, EnumValueDefinition, ExtendedType, FieldDefinition,
    InputObjectType, InputValueDefinition, InterfaceType, ObjectType, ScalarType, SchemaDefinition, UnionType,
};
use apollo_compiler::{Name, Node, Schema, ast};
use foldhash::fast::RandomState;

use crate::graphql::built_in_schema::{built_in, deprecated_because, one_of, specified_by};
use crate::graphql::introspection_result::{
    IntrospectionDirective, IntrospectionEnumValue, IntrospectionField, IntrospectionInput, IntrospectionSchema,
    IntrospectionType, IntrospectionTypeRef, Kind, NamedRef, Text,
};
use crate::graphql::literal::parse_value;

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

pub(crate) type Built<T> = Result<T, ClientSchemaError>;

/// Names and default values stand in a schema again and again; each is made once.
#[derive(Default)]
pub(crate) struct SchemaBuilder {
    names: HashSet<Name, RandomState>,
    values: HashMap<String, Node<Value>, RandomState>,
}

impl SchemaBuilder {
    /// The schema of these types, and of all else that stands in a response.
    pub(crate) fn schema<T>(
        mut self,
        types: &[ExtendedType],
        from: &IntrospectionSchema<'_, T>,
    ) -> Built<(Schema, Vec<ListedDirective>)> {
        let built_in = built_in();
        let types = types.iter().map(|definition| (definition.name().clone(), definition.clone())).collect();
        let mut schema = Schema { types, ..built_in.clone() };
        schema.schema_definition = Node::new(SchemaDefinition {
            description: node_str(from.description.as_ref()),
            directives: DirectiveList::default(),
            query: Some(self.component_name(&from.query_type.name)?),
            mutation: from.mutation_type.as_ref().map(|named| self.component_name(&named.name)).transpose()?,
            subscription: from.subscription_type.as_ref().map(|named| self.component_name(&named.name)).transpose()?,
        });
        for (name, built_in_type) in &built_in.types {
            if name.starts_with("__") {
                schema.types.entry(name.clone()).or_insert_with(|| built_in_type.clone());
            }
        }
        let directives = self.directives(&mut schema, &from.directives)?;
        Ok((schema, directives))
    }

    /// A type of the schema.
    pub(crate) fn named_type(&mut self, from: &IntrospectionType<'_>) -> Built<ExtendedType> {
        match built_in().types.get(from.name.0.as_ref()) {
            // The validator knows these by where they come from.
            Some(built_in_type) => Ok(described(built_in_type, from)),
            None => self.definition(from),
        }
    }

    fn directives(&mut self, schema: &mut Schema, from: &[IntrospectionDirective<'_>]) -> Built<Vec<ListedDirective>> {
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

    fn definition(&mut self, from: &IntrospectionType<'_>) -> Built<ExtendedType> {
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
                let mut by_name = map_for(fields.len());
                by_name.extend(self.inputs(fields)?.into_iter().map(|field| (field.name.clone(), field.into())));
                let directives = one_of(from.is_one_of == Some(true));
                InputObjectType { description, fields: by_name, name, directives }.into()
            }
            Kind::List | Kind::NonNull => {
                return Err(ClientSchemaError::Incomplete(format!("the type {name} is of no kind that has a name")));
            }
        })
    }

    fn fields(
        &mut self,
        owner: &Name,
        from: Option<&[IntrospectionField<'_>]>,
    ) -> Built<IndexMap<Name, Component<FieldDefinition>>> {
        let from = from.ok_or_else(|| missing("fields", owner))?;
        let mut fields = map_for(from.len());
        for field in from {
            let name = self.name(&field.name)?;
            let definition = FieldDefinition {
                description: node_str(field.description.as_ref()),
                name: name.clone(),
                arguments: self.inputs(&field.args)?,
                ty: self.type_ref(&field.ty)?,
                directives: deprecated(field.is_deprecated, field.deprecation_reason.as_ref()),
            };
            fields.insert(name, Component::new(definition));
        }
        Ok(fields)
    }

    fn inputs(&mut self, from: &[IntrospectionInput<'_>]) -> Built<Vec<Node<InputValueDefinition>>> {
        let mut inputs = Vec::with_capacity(from.len());
        for input in from {
            inputs.push(Node::new(InputValueDefinition {
                description: node_str(input.description.as_ref()),
                name: self.name(&input.name)?,
                ty: Node::new(self.type_ref(&input.ty)?),
                default_value: input.default_value.as_ref().map(|text| self.value(&text.0)),
                directives: deprecated(input.is_deprecated, input.deprecation_reason.as_ref()),
            }));
        }
        Ok(inputs)
    }

    fn enum_values(
        &mut self,
        from: &[IntrospectionEnumValue<'_>],
    ) -> Built<IndexMap<Name, Component<EnumValueDefinition>>> {
        let mut values = map_for(from.len());
        for value in from {
            let name = self.name(&value.name)?;
            let definition = EnumValueDefinition {
                description: node_str(value.description.as_ref()),
                value: name.clone(),
                directives: deprecated(value.is_deprecated, value.deprecation_reason.as_ref()),
            };
            values.insert(name, Component::new(definition));
        }
        Ok(values)
    }

    fn type_ref(&mut self, from: &IntrospectionTypeRef<'_>) -> Built<Type> {
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

    fn name(&mut self, text: &Text<'_>) -> Built<Name> {
        if let Some(known) = self.names.get(text.0.as_ref()) {
            return Ok(known.clone());
        }
        let name = Name::new(&text.0).map_err(|error| ClientSchemaError::Invalid(error.to_string()))?;
        self.names.insert(name.clone());
        Ok(name)
    }

    fn component_name(&mut self, text: &Text<'_>) -> Built<ComponentName> {
        self.name(text).map(ComponentName::from)
    }

    fn component_names(&mut self, from: Option<&[NamedRef<'_>]>) -> Built<IndexSet<ComponentName>> {
        from.unwrap_or_default().iter().map(|named| self.component_name(&named.name)).collect()
    }

    /// A default that is no GraphQL value counts as null: validation only needs to know that there is one.
    fn value(&mut self, text: &str) -> Node<Value> {
        if let Some(known) = self.values.get(text) {
            return known.clone();
        }
        let value = parse_value(text).unwrap_or_else(|| Value::Null.into());
        self.values.insert(text.to_owned(), value.clone());
        value
    }
}

/// An empty map with room for so many, and with the seed that all of these have: to make one for each takes time.
fn map_for<T>(length: usize) -> IndexMap<Name, T> {
    IndexMap::with_capacity_and_hasher(length, built_in().types.hasher().clone())
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

fn deprecated(is_deprecated: bool, reason: Option<&Text<'_>>) -> ast::DirectiveList {
    match reason {
        Some(reason) => deprecated_because(Value::String(reason.0.clone().into_owned())),
        None if is_deprecated => deprecated_because(Value::Null),
        None => ast::DirectiveList::new(),
    }
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
