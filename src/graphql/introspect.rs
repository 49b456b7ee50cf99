//! Schema introspection: <https://spec.graphql.org/September2025/#sec-Schema-Introspection>.
//!
//! Ours and not the library's, which builds a tree of the response first (80 ms instead of 10 for a schema of 2,000
//! types) and does not know `isOneOf`. What is selected is compiled once, and then written for each type.

use std::collections::HashSet;

use apollo_compiler::ast::{Directive, DirectiveList, Field, Type, Value as Literal};
use apollo_compiler::schema::{
    DirectiveDefinition, EnumValueDefinition, ExtendedType, FieldDefinition, InputValueDefinition,
};
use apollo_compiler::{Name, Node, Schema};
use indexmap::IndexMap;
use serde_json::Value;

use crate::graphql::coerce::Variables;
use crate::graphql::collect_fields::Condition;
use crate::graphql::document::Document;
use crate::graphql::schema::RoleSchema;
use crate::graphql::schema_builder::ListedDirective;
use crate::graphql::selection::collect;
use crate::model::json::write_text;

/// One root field of introspection, compiled for the variables of a request.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Introspection {
    root: Root,
    selected: Vec<IntrospectionSelection>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Root {
    /// `__schema`
    Schema,
    /// `__type(name:)`
    Type(String),
}

/// A field of an introspection type, in the words of the specification.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IntrospectionSelection {
    /// Its key in the response with quotes and colon.
    key: String,
    name: &'static str,
    include_deprecated: bool,
    selected: Vec<IntrospectionSelection>,
}

/// Why introspection is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntrospectionError {
    /// Lists within lists: each multiplies the response by the size of the schema.
    #[error(
        "Maximum introspection depth exceeded: at most {max} of fields, interfaces, possibleTypes and inputFields are \
         allowed within one another"
    )]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// The response has become too large.
    #[error("the response to introspection is larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
}

/// The lists that lead from a type to further types, and so from one list into the next, as graphql-js's
/// `MaxIntrospectionDepthRule` has them.
const NESTING_LISTS: [&str; 4] = ["fields", "interfaces", "possibleTypes", "inputFields"];

/// The types of introspection that have fields.
#[derive(Clone, Copy)]
enum MetaType {
    Schema,
    Type,
    Field,
    InputValue,
    EnumValue,
    Directive,
}

impl MetaType {
    fn name(self) -> &'static str {
        match self {
            Self::Schema => "__Schema",
            Self::Type => "__Type",
            Self::Field => "__Field",
            Self::InputValue => "__InputValue",
            Self::EnumValue => "__EnumValue",
            Self::Directive => "__Directive",
        }
    }

    /// Each field, and what its value is made of.
    fn fields(self) -> &'static [(&'static str, Option<MetaType>)] {
        const TYPE: Option<MetaType> = Some(MetaType::Type);
        const INPUTS: Option<MetaType> = Some(MetaType::InputValue);
        match self {
            Self::Schema => &[
                ("description", None),
                ("types", TYPE),
                ("queryType", TYPE),
                ("mutationType", TYPE),
                ("subscriptionType", TYPE),
                ("directives", Some(MetaType::Directive)),
            ],
            Self::Type => &[
                ("kind", None),
                ("name", None),
                ("description", None),
                ("specifiedByURL", None),
                ("fields", Some(MetaType::Field)),
                ("interfaces", TYPE),
                ("possibleTypes", TYPE),
                ("enumValues", Some(MetaType::EnumValue)),
                ("inputFields", INPUTS),
                ("ofType", TYPE),
                ("isOneOf", None),
            ],
            Self::Field => &[
                ("name", None),
                ("description", None),
                ("args", INPUTS),
                ("type", TYPE),
                ("isDeprecated", None),
                ("deprecationReason", None),
            ],
            Self::InputValue => &[
                ("name", None),
                ("description", None),
                ("type", TYPE),
                ("defaultValue", None),
                ("isDeprecated", None),
                ("deprecationReason", None),
            ],
            Self::EnumValue => {
                &[("name", None), ("description", None), ("isDeprecated", None), ("deprecationReason", None)]
            }
            Self::Directive => &[
                ("name", None),
                ("description", None),
                ("isRepeatable", None),
                ("locations", None),
                ("args", INPUTS),
                ("isDeprecated", None),
                ("deprecationReason", None),
            ],
        }
    }
}

/// Compiles a validated root field, `__schema` or `__type`, in all its occurrences. At most `depth_max` of the lists
/// that lead to further types may stand within one another.
///
/// # Errors
/// [`IntrospectionError::TooDeep`].
pub fn compile(
    document: &Document,
    fields: &[Node<Field>],
    variables: &Variables,
    max_depth: usize,
) -> Result<Introspection, IntrospectionError> {
    let condition = |name: &str| variables.get(name) == Some(&Value::Bool(true));
    let compiler = Compiler { document, variables, condition: &condition, max_depth };
    let occurrences: Vec<&Node<Field>> = fields.iter().collect();
    let first = occurrences.first();
    let (root, meta_type) = match first.map(|field| field.name.as_str()) {
        Some("__type") => {
            let name = first.and_then(|field| compiler.argument(field, "name")).unwrap_or_default();
            (Root::Type(name.as_str().unwrap_or_default().to_owned()), MetaType::Type)
        }
        _ => (Root::Schema, MetaType::Schema),
    };
    Ok(Introspection { root, selected: compiler.select(meta_type, &occurrences, max_depth)? })
}

struct Compiler<'c> {
    document: &'c Document,
    variables: &'c Variables,
    condition: Condition<'c>,
    max_depth: usize,
}

impl Compiler<'_> {
    fn select(
        &self,
        meta_type: MetaType,
        fields: &[&Node<Field>],
        depth_left: usize,
    ) -> Result<Vec<IntrospectionSelection>, IntrospectionError> {
        let mut groups: IndexMap<&str, Vec<&Node<Field>>> = IndexMap::new();
        let mut visited = HashSet::new();
        for field in fields {
            let type_name = meta_type.name();
            collect(self.document, type_name, &field.selection_set, self.condition, &mut visited, &mut groups);
        }
        let mut selected = Vec::with_capacity(groups.len());
        for (response_name, fields) in groups {
            let Some(first) = fields.first() else { continue };
            let found = meta_type.fields().iter().find(|(name, _)| *name == first.name.as_str());
            // Anything that is in no list is `__typename`; validation has rejected everything else.
            let (name, of) = found.copied().unwrap_or(("__typename", None));
            let inner = match of {
                None => Vec::new(),
                Some(of) if NESTING_LISTS.contains(&name) => {
                    let max = self.max_depth;
                    self.select(of, &fields, depth_left.checked_sub(1).ok_or(IntrospectionError::TooDeep { max })?)?
                }
                Some(of) => self.select(of, &fields, depth_left)?,
            };
            let include_deprecated = self.argument(first, "includeDeprecated") == Some(Value::Bool(true));
            selected.push(IntrospectionSelection {
                key: format!("\"{response_name}\":"),
                name,
                include_deprecated,
                selected: inner,
            });
        }
        Ok(selected)
    }

    fn argument(&self, field: &Field, name: &str) -> Option<Value> {
        let argument = field.arguments.iter().find(|argument| argument.name == name)?;
        match argument.value.as_ref() {
            Literal::Boolean(value) => Some(Value::Bool(*value)),
            Literal::String(text) => Some(Value::from(text.as_str())),
            Literal::Variable(name) => self.variables.get(name.as_str()).cloned(),
            _ => None,
        }
    }
}

/// Renders one compiled root field, as JSON text.
///
/// # Errors
/// [`IntrospectionError::TooLarge`].
pub fn execute(schema: &RoleSchema, field: &Introspection, bytes_max: usize) -> Result<String, IntrospectionError> {
    let mut writer = Writer { role: schema, schema: &schema.schema, json: Vec::with_capacity(1024), bytes_max };
    match &field.root {
        Root::Schema => writer.schema(&field.selected),
        Root::Type(name) => writer.named_type(name, &field.selected),
    }
    if writer.is_full() {
        return Err(IntrospectionError::TooLarge { max: bytes_max });
    }
    // Only JSON has been written, and that is UTF-8.
    Ok(String::from_utf8(writer.json).unwrap_or_default())
}

struct Writer<'w> {
    role: &'w RoleSchema,
    schema: &'w Schema,
    json: Vec<u8>,
    bytes_max: usize,
}

impl Writer<'_> {
    /// Nothing more is read once the limit is exceeded, so time is bounded with the bytes.
    fn is_full(&self) -> bool {
        self.json.len() > self.bytes_max
    }

    fn push(&mut self, text: &str) {
        self.json.extend_from_slice(text.as_bytes());
    }

    /// A name of GraphQL, in which nothing needs an escape.
    fn name(&mut self, name: &str) {
        self.push("\"");
        self.push(name);
        self.push("\"");
    }

    fn string(&mut self, text: &str) {
        write_text(text, &mut self.json);
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.push("null"),
        }
    }

    fn boolean(&mut self, value: bool) {
        self.push(if value { "true" } else { "false" });
    }

    fn object(
        &mut self,
        selected: &[IntrospectionSelection],
        mut write: impl FnMut(&mut Self, &IntrospectionSelection),
    ) {
        self.push("{");
        for (index, field) in selected.iter().enumerate() {
            if self.is_full() {
                return;
            }
            if index > 0 {
                self.push(",");
            }
            self.push(&field.key);
            write(self, field);
        }
        self.push("}");
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.push("[");
        for (index, item) in items.into_iter().enumerate() {
            if self.is_full() {
                return;
            }
            if index > 0 {
                self.push(",");
            }
            write(self, item);
        }
        self.push("]");
    }

    fn schema(&mut self, selected: &[IntrospectionSelection]) {
        let schema = self.schema;
        let definition = &schema.schema_definition;
        self.object(selected, |writer, field| {
            let inner = field.selected.as_slice();
            let root = match field.name {
                "description" => return writer.optional(definition.description.as_deref()),
                "types" => return writer.list(schema.types.values(), |writer, ty| writer.definition(ty, inner)),
                "directives" => return writer.directives(field),
                "queryType" => &definition.query,
                "mutationType" => &definition.mutation,
                "subscriptionType" => &definition.subscription,
                _ => return writer.name(MetaType::Schema.name()),
            };
            match root {
                Some(name) => writer.named_type(name, inner),
                None => writer.push("null"),
            }
        });
    }

    fn directives(&mut self, field: &IntrospectionSelection) {
        let (role, definitions) = (self.role, &self.schema.directive_definitions);
        let shown = role.directives.iter().filter(|listed| field.include_deprecated || !listed.is_deprecated);
        let defined = shown.filter_map(|listed| Some((listed, definitions.get(&listed.name)?)));
        self.list(defined, |writer, (listed, directive)| writer.directive(listed, directive, &field.selected));
    }

    fn directive(
        &mut self,
        listed: &ListedDirective,
        directive: &DirectiveDefinition,
        selected: &[IntrospectionSelection],
    ) {
        self.object(selected, |writer, field| match field.name {
            "name" => writer.name(&directive.name),
            "description" => writer.optional(directive.description.as_deref()),
            "isRepeatable" => writer.boolean(directive.repeatable),
            "locations" => writer.list(&listed.locations, |writer, location| writer.string(location)),
            "args" => writer.inputs(directive.arguments.iter(), field),
            "isDeprecated" => writer.boolean(listed.is_deprecated),
            "deprecationReason" => writer.optional(listed.deprecation_reason.as_deref()),
            _ => writer.name(MetaType::Directive.name()),
        });
    }

    fn named_type(&mut self, name: &str, selected: &[IntrospectionSelection]) {
        match self.schema.types.get(name) {
            Some(definition) => self.definition(definition, selected),
            None => self.push("null"),
        }
    }

    fn definition(&mut self, definition: &ExtendedType, selected: &[IntrospectionSelection]) {
        let role = self.role;
        self.object(selected, |writer, field| match (field.name, definition) {
            ("kind", _) => writer.name(kind_of(definition)),
            ("name", _) => writer.name(definition.name()),
            ("description", _) => writer.optional(definition.description().map(|text| &**text)),
            ("specifiedByURL", ExtendedType::Scalar(scalar)) => {
                let directive = scalar.directives.get("specifiedBy");
                writer.optional(directive.and_then(|found| text_argument(found, "url")));
            }
            ("fields", ExtendedType::Object(object)) => {
                writer.fields(object.fields.values().map(|field| &field.node), field);
            }
            ("fields", ExtendedType::Interface(interface)) => {
                writer.fields(interface.fields.values().map(|field| &field.node), field);
            }
            ("interfaces", ExtendedType::Object(object)) => {
                writer.types(object.implements_interfaces.iter().map(|name| &name.name), field);
            }
            ("interfaces", ExtendedType::Interface(interface)) => {
                writer.types(interface.implements_interfaces.iter().map(|name| &name.name), field);
            }
            ("possibleTypes", ExtendedType::Interface(interface)) => {
                let implementers = role.implementers.get(&interface.name);
                writer.types(implementers.into_iter().flat_map(|found| &found.objects), field);
            }
            ("possibleTypes", ExtendedType::Union(union)) => {
                writer.types(union.members.iter().map(|name| &name.name), field);
            }
            ("enumValues", ExtendedType::Enum(found)) => {
                let values = found.values.values().filter(|value| is_shown(&value.directives, field));
                writer.list(values, |writer, value| writer.enum_value(value, &field.selected));
            }
            ("inputFields", ExtendedType::InputObject(input)) => {
                writer.inputs(input.fields.values().map(|input| &input.node), field);
            }
            ("isOneOf", ExtendedType::InputObject(input)) => writer.boolean(input.directives.get("oneOf").is_some()),
            ("__typename", _) => writer.name(MetaType::Type.name()),
            _ => writer.push("null"),
        });
    }

    fn types<'n>(&mut self, names: impl Iterator<Item = &'n Name>, field: &IntrospectionSelection) {
        self.list(names, |writer, name| writer.named_type(name, &field.selected));
    }

    fn fields<'f>(&mut self, fields: impl Iterator<Item = &'f Node<FieldDefinition>>, field: &IntrospectionSelection) {
        let shown = fields.filter(|definition| is_shown(&definition.directives, field));
        self.list(shown, |writer, definition| writer.field(definition, &field.selected));
    }

    fn field(&mut self, definition: &FieldDefinition, selected: &[IntrospectionSelection]) {
        self.object(selected, |writer, field| match field.name {
            "name" => writer.name(&definition.name),
            "description" => writer.optional(definition.description.as_deref()),
            "args" => writer.inputs(definition.arguments.iter(), field),
            "type" => writer.type_ref(&definition.ty, &field.selected),
            "isDeprecated" => writer.boolean(definition.directives.has("deprecated")),
            "deprecationReason" => writer.optional(deprecation_reason(&definition.directives)),
            _ => writer.name(MetaType::Field.name()),
        });
    }

    fn inputs<'i>(
        &mut self,
        inputs: impl Iterator<Item = &'i Node<InputValueDefinition>>,
        field: &IntrospectionSelection,
    ) {
        let shown = inputs.filter(|input| is_shown(&input.directives, field));
        self.list(shown, |writer, input| writer.input(input, &field.selected));
    }

    fn input(&mut self, input: &InputValueDefinition, selected: &[IntrospectionSelection]) {
        self.object(selected, |writer, field| match field.name {
            "name" => writer.name(&input.name),
            "description" => writer.optional(input.description.as_deref()),
            "type" => writer.type_ref(&input.ty, &field.selected),
            "defaultValue" => {
                let text = input.default_value.as_ref().map(|value| value.serialize().no_indent().to_string());
                writer.optional(text.as_deref());
            }
            "isDeprecated" => writer.boolean(input.directives.has("deprecated")),
            "deprecationReason" => writer.optional(deprecation_reason(&input.directives)),
            _ => writer.name(MetaType::InputValue.name()),
        });
    }

    fn enum_value(&mut self, value: &EnumValueDefinition, selected: &[IntrospectionSelection]) {
        self.object(selected, |writer, field| match field.name {
            "name" => writer.name(&value.value),
            "description" => writer.optional(value.description.as_deref()),
            "isDeprecated" => writer.boolean(value.directives.has("deprecated")),
            "deprecationReason" => writer.optional(deprecation_reason(&value.directives)),
            _ => writer.name(MetaType::EnumValue.name()),
        });
    }

    /// A type where it is used: a list and a type without null are types of their own.
    fn type_ref(&mut self, ty: &Type, selected: &[IntrospectionSelection]) {
        match ty {
            Type::Named(name) => self.named_type(name, selected),
            Type::NonNullNamed(name) => {
                self.wrapper("NON_NULL", selected, |writer, inner| writer.named_type(name, inner));
            }
            Type::List(inner) => self.wrapper("LIST", selected, |writer, selected| writer.type_ref(inner, selected)),
            Type::NonNullList(inner) => self.wrapper("NON_NULL", selected, |writer, selected| {
                writer.wrapper("LIST", selected, |writer, selected| writer.type_ref(inner, selected));
            }),
        }
    }

    fn wrapper(
        &mut self,
        kind: &str,
        selected: &[IntrospectionSelection],
        write_inner: impl Fn(&mut Self, &[IntrospectionSelection]),
    ) {
        self.object(selected, |writer, field| match field.name {
            "kind" => writer.name(kind),
            "ofType" => write_inner(writer, &field.selected),
            "__typename" => writer.name(MetaType::Type.name()),
            _ => writer.push("null"),
        });
    }
}

fn kind_of(definition: &ExtendedType) -> &'static str {
    match definition {
        ExtendedType::Scalar(_) => "SCALAR",
        ExtendedType::Object(_) => "OBJECT",
        ExtendedType::Interface(_) => "INTERFACE",
        ExtendedType::Union(_) => "UNION",
        ExtendedType::Enum(_) => "ENUM",
        ExtendedType::InputObject(_) => "INPUT_OBJECT",
    }
}

fn is_shown(directives: &DirectiveList, field: &IntrospectionSelection) -> bool {
    field.include_deprecated || !directives.has("deprecated")
}

fn deprecation_reason(directives: &DirectiveList) -> Option<&str> {
    text_argument(directives.get("deprecated")?, "reason")
}

fn text_argument<'d>(directive: &'d Directive, name: &str) -> Option<&'d str> {
    directive.specified_argument_by_name(name).and_then(|value| value.as_str())
}
