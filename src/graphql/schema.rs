//! The schema of a role: the actions that it may call, alone or merged into the upstream's schema.

use std::collections::HashSet;
use std::sync::LazyLock;

use apollo_compiler::ast::{DirectiveList, Type, Value};
use apollo_compiler::collections::{HashMap, IndexMap, IndexSet};
use apollo_compiler::schema::{
    Component, ComponentName, EnumType, EnumValueDefinition, ExtendedType, FieldDefinition, Implementers,
    InputObjectType, InputValueDefinition, ObjectType, ScalarType,
};
use apollo_compiler::validation::Valid;
use apollo_compiler::{Name, Node, Schema, name, schema};

use crate::graphql::built_in_schema::{built_in, deprecated_because, one_of, specified_by};
use crate::graphql::diagnostics::PLACEHOLDER;
use crate::graphql::extension_fields::ExtensionFields;
use crate::graphql::literal::{literal_text, parse_value};
use crate::graphql::root_types::RootTypes;
use crate::graphql::schema_builder::ListedDirective;
use crate::model::action::{Action, ActionSchema, OperationKind};
use crate::model::types::{Deprecation, InputValue, OutputField, TypeKind, TypeRef, Types, is_built_in_scalar};

/// A schema as one role sees it.
pub struct RoleSchema {
    /// The schema.
    pub schema: Valid<Schema>,
    /// Which types implement which interface.
    pub implementers: HashMap<Name, Implementers>,
    /// The directives that introspection shows: the upstream's.
    pub directives: Vec<ListedDirective>,
    /// The extension fields in it. There are none without the upstream's types.
    pub extension_fields: ExtensionFields,
}

impl RoleSchema {
    pub(crate) fn new(schema: Schema, directives: Vec<ListedDirective>) -> Result<Self, String> {
        let schema = schema.validate().map_err(|failed| {
            failed.errors.iter().next().map_or_else(String::new, |diagnostic| diagnostic.error.to_string())
        })?;
        Ok(Self {
            implementers: schema.implementers_map(),
            schema,
            directives,
            extension_fields: ExtensionFields::default(),
        })
    }
}

/// The schema of the actions that `role` may call, with only the types that those reach.
///
/// # Errors
/// The validator's message. Loading has checked this for all actions.
pub fn of_actions(actions: &ActionSchema, roots: &RootTypes, role: &str) -> Result<RoleSchema, String> {
    let mut schema = built_in().clone();
    let mut builder = Builder { schema: &mut schema, types: &actions.types };
    let visible: Vec<&Action> =
        actions.actions.values().map(AsRef::as_ref).filter(|action| action.allows(role)).collect();
    builder.root(&roots.query, visible.iter().copied().filter_map(|action| query_field(action, role)))?;
    builder.root(&roots.mutation, visible.iter().copied().filter_map(|action| mutation_field(action, role)))?;
    let has_subscription = visible.iter().any(|action| action.is_async);
    if has_subscription {
        builder.root(&roots.subscription, visible.iter().copied().filter_map(result_field))?;
    }
    for name in reachable_types(&actions.types, &visible, Some(role)) {
        builder.definition(name)?;
    }
    for action in visible.iter().filter(|action| action.is_async) {
        builder.result_type(action)?;
    }
    let definition = schema.schema_definition.make_mut();
    definition.query = Some(component_name(&roots.query)?);
    definition.mutation = Some(component_name(&roots.mutation)?);
    definition.subscription = has_subscription.then(|| component_name(&roots.subscription)).transpose()?;
    RoleSchema::new(schema, Vec::new())
}

/// A field of a root type.
struct RootField<'a> {
    action: &'a Action,
    ty: TypeRef,
    /// `None` for those of the action itself.
    arguments: Option<Vec<InputValue>>,
    description: Option<String>,
}

fn query_field<'a>(action: &'a Action, role: &str) -> Option<RootField<'a>> {
    if action.is_async { result_field(action) } else { own_field(action, OperationKind::Query, role) }
}

fn mutation_field<'a>(action: &'a Action, role: &str) -> Option<RootField<'a>> {
    let field = own_field(action, OperationKind::Mutation, role)?;
    // An asynchronous action returns an id at once.
    Some(if action.is_async { RootField { ty: non_null("uuid"), ..field } } else { field })
}

fn own_field<'a>(action: &'a Action, kind: OperationKind, role: &str) -> Option<RootField<'a>> {
    (action.kind == kind).then(|| RootField {
        action,
        ty: action.output.clone(),
        arguments: action.presets.visible_arguments(role, &action.arguments),
        description: action.comment.clone(),
    })
}

/// The field that returns the result of an asynchronous action.
fn result_field(action: &Action) -> Option<RootField<'_>> {
    action.is_async.then(|| RootField {
        action,
        ty: TypeRef::Named(action.result_type()),
        arguments: Some(result_arguments().to_vec()),
        description: action.comment.clone(),
    })
}

/// The argument that names a job.
#[must_use]
pub fn result_arguments() -> &'static [InputValue] {
    static ARGUMENTS: LazyLock<[InputValue; 1]> = LazyLock::new(|| {
        let description = Some("the unique id of an action".into());
        [InputValue { name: "id".into(), ty: non_null("uuid"), default: None, description, deprecated: None }]
    });
    ARGUMENTS.as_slice()
}

fn non_null(name: &str) -> TypeRef {
    TypeRef::NonNull(Box::new(TypeRef::Named(name.into())))
}

struct Builder<'b> {
    schema: &'b mut Schema,
    types: &'b Types,
}

type Built<T> = Result<T, String>;

impl Builder<'_> {
    fn root<'a>(&mut self, root: &str, fields: impl Iterator<Item = RootField<'a>>) -> Built<()> {
        let mut definitions = IndexMap::default();
        for field in fields {
            let arguments = self.inputs(field.arguments.as_ref().unwrap_or(&field.action.arguments))?;
            let definition = FieldDefinition {
                description: field.description.as_deref().map(Node::new_str),
                name: new_name(&field.action.field)?,
                arguments,
                ty: type_of(&field.ty)?,
                directives: deprecated(field.action.deprecated.as_ref()),
            };
            definitions.insert(definition.name.clone(), Component::new(definition));
        }
        if definitions.is_empty() {
            let ty = Type::Named(name!("Boolean"));
            let definition = FieldDefinition {
                description: None,
                name: PLACEHOLDER,
                arguments: Vec::new(),
                ty,
                directives: DirectiveList::new(),
            };
            definitions.insert(PLACEHOLDER, Component::new(definition));
        }
        self.object(root, None, definitions)
    }

    fn object(
        &mut self,
        name: &str,
        description: Option<&str>,
        fields: IndexMap<Name, Component<FieldDefinition>>,
    ) -> Built<()> {
        let name = new_name(name)?;
        let object = ObjectType {
            description: description.map(Node::new_str),
            name: name.clone(),
            implements_interfaces: IndexSet::default(),
            directives: schema::DirectiveList::default(),
            fields,
        };
        self.schema.types.insert(name, object.into());
        Ok(())
    }

    /// The fields of a job.
    fn result_type(&mut self, action: &Action) -> Built<()> {
        let name = action.result_type();
        let mut fields = IndexMap::default();
        for (field, ty, description) in [
            ("created_at", non_null("timestamptz"), "the time at which this action was created"),
            ("errors", TypeRef::Named("json".into()), "errors related to the invocation"),
            ("id", non_null("uuid"), "the unique id of an action"),
            // There is none until the call has ended, and if it failed.
            ("output", action.output.nullable().clone(), "the output fields of this action"),
        ] {
            let description = Some(description.into());
            let field = self.field(field, &OutputField { ty, description, deprecated: None })?;
            fields.insert(field.name.clone(), Component::new(field));
        }
        self.object(&name, Some(&format!("fields of action: \"{}\"", action.name)), fields)
    }

    fn definition(&mut self, type_name: &str) -> Built<()> {
        let Some(definition) = self.types.get(type_name) else { return Ok(()) };
        let name = new_name(type_name)?;
        let description = definition.description.as_deref();
        let described = description.map(Node::new_str);
        let directives = schema::DirectiveList::default;
        let built: ExtendedType = match &definition.kind {
            TypeKind::Scalar if is_built_in_scalar(type_name) => return Ok(()),
            TypeKind::Scalar => {
                let url = definition.specified_by.as_deref().map(specified_by);
                let directives = url.into_iter().map(Component::from).collect();
                ScalarType { description: described, name: name.clone(), directives }.into()
            }
            TypeKind::Enum(values) => {
                let values = values.iter().map(|(value, definition)| {
                    let value = new_name(value)?;
                    let description = definition.description.as_deref().map(Node::new_str);
                    let directives = deprecated(definition.deprecated.as_ref());
                    let definition = EnumValueDefinition { description, value: value.clone(), directives };
                    Ok((value, Component::new(definition)))
                });
                let values = values.collect::<Built<_>>()?;
                EnumType { description: described, name: name.clone(), directives: directives(), values }.into()
            }
            TypeKind::InputObject(fields) => {
                let fields = self.inputs(fields)?.into_iter().map(|field| (field.name.clone(), field.into())).collect();
                let directives = one_of(definition.is_one_of);
                InputObjectType { description: described, name: name.clone(), directives, fields }.into()
            }
            TypeKind::Object(fields) => {
                let fields = fields.iter().map(|(field_name, field)| {
                    let field = self.field(field_name, field)?;
                    Ok((field.name.clone(), Component::new(field)))
                });
                let fields = fields.collect::<Built<_>>()?;
                return self.object(type_name, description, fields);
            }
        };
        self.schema.types.insert(name, built);
        Ok(())
    }

    fn field(&self, field_name: &str, field: &OutputField) -> Built<FieldDefinition> {
        Ok(FieldDefinition {
            description: field.description.as_deref().map(Node::new_str),
            name: new_name(field_name)?,
            arguments: Vec::new(),
            ty: type_of(&field.ty)?,
            directives: deprecated(field.deprecated.as_ref()),
        })
    }

    fn inputs(&self, inputs: &[InputValue]) -> Built<Vec<Node<InputValueDefinition>>> {
        let inputs = inputs.iter().map(|input| {
            let default = input.default.as_ref().map(|value| {
                let text = literal_text(self.types, &input.ty, value);
                parse_value(&text).ok_or_else(|| format!("the default of \"{}\" is no GraphQL value", input.name))
            });
            Ok(Node::new(InputValueDefinition {
                description: input.description.as_deref().map(Node::new_str),
                name: new_name(&input.name)?,
                ty: Node::new(type_of(&input.ty)?),
                default_value: default.transpose()?,
                directives: deprecated(input.deprecated.as_ref()),
            }))
        });
        inputs.collect()
    }
}

pub(crate) fn deprecated(reason: Option<&Deprecation>) -> DirectiveList {
    reason.map(|reason| deprecated_because(Value::String(reason.clone()))).unwrap_or_default()
}

fn new_name(text: &str) -> Built<Name> {
    Name::new(text).map_err(|error| error.to_string())
}

fn component_name(text: &str) -> Built<ComponentName> {
    new_name(text).map(ComponentName::from)
}

pub(crate) fn type_of(ty: &TypeRef) -> Built<Type> {
    Ok(match ty {
        TypeRef::Named(name) => Type::Named(new_name(name)?),
        TypeRef::List(inner) => type_of(inner)?.list(),
        TypeRef::NonNull(inner) => type_of(inner)?.non_null(),
    })
}

/// Every type that a response of these actions can hold, or an argument: of those that `role` may give, or of all.
pub(crate) fn reachable_types<'s>(types: &'s Types, actions: &[&'s Action], role: Option<&str>) -> Vec<&'s str> {
    let mut waiting: Vec<&str> = Vec::new();
    for action in actions {
        let is_visible = |argument: &&InputValue| !role.is_some_and(|role| action.presets.fills(role, &argument.name));
        waiting.extend(action.arguments.iter().filter(is_visible).map(|argument| argument.ty.named()));
        waiting.push(action.output.named());
        if action.is_async {
            waiting.extend(ASYNC_SCALARS);
        }
    }
    // Depth first, in the order in which the types were named.
    waiting.reverse();
    let mut seen = HashSet::new();
    let mut reached = Vec::new();
    while let Some(name) = waiting.pop() {
        if !seen.insert(name) {
            continue;
        }
        reached.push(name);
        match types.get(name).map(|definition| &definition.kind) {
            Some(TypeKind::InputObject(fields)) => waiting.extend(fields.iter().rev().map(|field| field.ty.named())),
            Some(TypeKind::Object(fields)) => waiting.extend(fields.values().rev().map(|field| field.ty.named())),
            _ => {}
        }
    }
    reached
}

/// What the root fields of asynchronous actions are made of.
pub const ASYNC_SCALARS: [&str; 3] = ["uuid", "timestamptz", "json"];
