//! Parses `actions.graphql`: the actions' signatures and their types, in SDL.
//!
//! Hasura's tools write one block for each action, so most real files define `Mutation` many times, and some define
//! `scalar String`. The blocks are merged; no validating schema builder would take such a file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use apollo_compiler::ast::{Definition, Directive, EnumTypeDefinition, FieldDefinition, InputValueDefinition};
use apollo_compiler::diagnostic::ToCliReport;
use apollo_compiler::parser::SourceSpan;
use apollo_compiler::validation::DiagnosticList;
use apollo_compiler::{Name, Node, ast};
use indexmap::IndexMap;

use crate::config::sdl_directives;
use crate::config::sdl_directives::{Annotations, Owner};
use crate::graphql::brackets;
use crate::graphql::coerce::{Variables, json_of, type_ref};
use crate::graphql::diagnostics;
use crate::model::action::OperationKind;
use crate::model::source::{Diagnostic, Source, SourceFile, SourceLocation, assign};
use crate::model::types::{
    Deprecation, EnumValue, InputValue, OutputField, TypeDefinition, TypeKind, TypeRef, is_built_in_scalar,
};

/// The contents of all `actions.graphql` files together.
#[derive(Clone, Debug, Default)]
pub struct Signatures {
    /// The fields of all `Query` and `Mutation` blocks, by name.
    pub actions: IndexMap<String, Signature>,
    /// All other types, by name.
    pub types: IndexMap<String, (TypeDefinition, SourceLocation)>,
    /// Interfaces, by name. Hasura's tools drop them, so that they may stand there as long as nothing has their type.
    pub interfaces: IndexMap<String, SourceLocation>,
    /// Where the types of fields and arguments stand, by their coordinate: `action`, `action(argument:)`, `Type.field`.
    pub type_places: HashMap<String, SourceLocation>,
    /// Fields of `Subscription`, which are no actions.
    pub subscriptions: HashSet<String>,
}

/// One action as the SDL declares it.
#[derive(Clone, Debug)]
pub struct Signature {
    /// Where.
    pub place: SourceLocation,
    /// Of which block it is a field.
    pub kind: OperationKind,
    /// Its arguments.
    pub arguments: Vec<InputValue>,
    /// Its type.
    pub output: TypeRef,
    /// Its description; the YAML's comment wins.
    pub description: Option<String>,
    /// Why it should not be called any more.
    pub deprecated: Option<Deprecation>,
}

/// Reads one file into `signatures`. `false` if it is not SDL at all: what other files say of it would mislead.
pub fn read(source: &Arc<Source>, signatures: &mut Signatures, diagnostics: &mut Vec<Diagnostic>) -> bool {
    // A file with nothing but comments is no document, and no error.
    if source.text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return true;
    }
    let document = match ast::Document::parse(source.text.as_str(), &source.name) {
        Ok(document) => document,
        Err(failed) => {
            diagnostics.extend(syntax_error(source, &failed.errors));
            return false;
        }
    };
    let mut reader = Reader { source, signatures, diagnostics };
    for definition in &document.definitions {
        let start = reader.diagnostics.len();
        reader.definition(definition);
        if let Some(name) = definition.name().filter(|name| root_kind(name).is_none()) {
            assign(reader.diagnostics, start, &SourceFile::Type(name.to_string()));
        }
    }
    true
}

/// The first one; others follow from it. A bracket that is not closed is named itself, not where its end was missed.
fn syntax_error(source: &Arc<Source>, errors: &DiagnosticList) -> Option<Diagnostic> {
    let offset_of = |span: SourceSpan| span.offset();
    let first = errors.iter().min_by_key(|found| found.error.location().map_or(usize::MAX, offset_of))?;
    let offset = first.error.location().map(offset_of);
    if let Some((at, bracket)) = brackets::unclosed(&source.text)
        && offset.is_none_or(|offset| at < offset)
    {
        let place = SourceLocation::at_span(source, at..at + 1);
        let message = format!("syntax error: this {bracket} is never closed");
        return Some(Diagnostic::error(Some(place), message, "close it where its block ends"));
    }
    let place = offset.map(|offset| SourceLocation::at_offset(source, offset));
    let message = diagnostics::message(&source.text, first.error, None);
    Some(Diagnostic::error(place, message, "correct the GraphQL"))
}

struct Reader<'r> {
    source: &'r Arc<Source>,
    signatures: &'r mut Signatures,
    diagnostics: &'r mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn place<T>(&self, node: &Node<T>) -> SourceLocation {
        SourceLocation::at_offset(self.source, node.location().map_or(0, |span| span.offset()))
    }

    /// Remembers where the type of this field or argument stands.
    fn note_type(&mut self, coordinate: String, ty: &ast::Type) {
        if let Some(span) = ty.inner_named_type().location() {
            let place = SourceLocation::at_span(self.source, span.offset()..span.end_offset());
            self.signatures.type_places.insert(coordinate, place);
        }
    }

    /// Past a description, which may have many lines.
    fn place_of_name(&self, name: &Name) -> SourceLocation {
        SourceLocation::at_offset(self.source, name.location().map_or(0, |span| span.offset()))
    }

    fn directives(&mut self, directives: &[Node<Directive>], owner: Owner, of: &str) -> Annotations {
        let source = self.source;
        let place =
            |node: &Node<Directive>| SourceLocation::at_offset(source, node.location().map_or(0, |span| span.offset()));
        sdl_directives::read(directives, (owner, of), place, self.diagnostics)
    }

    fn definition(&mut self, definition: &Definition) {
        match definition {
            Definition::ObjectTypeDefinition(object) => {
                self.directives(&object.directives, Owner::Other, &object.name);
                let place = self.place_of_name(&object.name);
                match root_kind(&object.name) {
                    Some(kind) => self.actions(kind, &object.fields),
                    None if is_subscription(object) => self.subscriptions(&object.fields),
                    None => self.object(&object.name, place, object.description.as_deref(), &object.fields),
                }
            }
            Definition::ObjectTypeExtension(extension) => {
                self.directives(&extension.directives, Owner::Other, &extension.name);
                match root_kind(&extension.name) {
                    Some(kind) => self.actions(kind, &extension.fields),
                    None => self.reject(extension, "an extension of another type than Query and Mutation"),
                }
            }
            Definition::InputObjectTypeDefinition(input) => self.input_object(input),
            Definition::DirectiveDefinition(directive) => {
                let message = format!("the definition of the directive @{} has no effect", directive.name);
                let place = Some(self.place(directive));
                self.diagnostics.push(Diagnostic::warning(place, message, "remove it"));
            }
            Definition::EnumTypeDefinition(enumeration) => {
                self.directives(&enumeration.directives, Owner::Other, &enumeration.name);
                let values = self.enum_values(enumeration);
                let place = self.place_of_name(&enumeration.name);
                self.add(&enumeration.name, place, enumeration.description.as_deref(), TypeKind::Enum(values));
            }
            Definition::ScalarTypeDefinition(scalar) => self.scalar(scalar),
            Definition::InterfaceTypeDefinition(interface) => {
                let place = self.place(interface);
                self.signatures.interfaces.insert(interface.name.to_string(), place);
            }
            Definition::UnionTypeDefinition(union) => self.reject(union, &format!("the union '{}'", union.name)),
            other => {
                let place = SourceLocation::at_offset(self.source, other.location().map_or(0, |span| span.offset()));
                self.reject_at(place, "this definition");
            }
        }
    }

    fn input_object(&mut self, input: &Node<ast::InputObjectTypeDefinition>) {
        let Annotations { is_one_of, .. } = self.directives(&input.directives, Owner::InputObject, &input.name);
        let mut fields = Vec::with_capacity(input.fields.len());
        for field in &input.fields {
            self.note_type(format!("{}.{}", input.name, field.name), &field.ty);
            let value = self.input_value(field);
            if is_one_of && (!value.ty.is_nullable() || value.default.is_some()) {
                let message = format!(
                    "the field \"{}\" of the OneOf input object \"{}\" must be nullable and have no default",
                    field.name, input.name
                );
                let place = Some(self.place_of_name(&field.name));
                self.diagnostics.push(Diagnostic::error(place, message, "remove its \"!\" or its default"));
            }
            fields.push(value);
        }
        let place = self.place_of_name(&input.name);
        let kind = TypeKind::InputObject(fields);
        if let Some(definition) = self.add(&input.name, place, input.description.as_deref(), kind) {
            definition.is_one_of = is_one_of;
        }
    }

    fn enum_values(&mut self, enumeration: &Node<EnumTypeDefinition>) -> IndexMap<String, EnumValue> {
        let mut values = IndexMap::new();
        for value in &enumeration.values {
            let description = value.description.as_ref().map(ToString::to_string);
            let Annotations { deprecated, .. } = self.directives(&value.directives, Owner::Member, &value.value);
            if values.insert(value.value.to_string(), EnumValue { description, deprecated }).is_some() {
                let message =
                    format!("the enum type \"{}\" has duplicate values: \"{}\"", enumeration.name, value.value);
                let place = Some(self.place(value));
                self.diagnostics.push(Diagnostic::error(place, message, "remove one of them"));
            }
        }
        values
    }

    fn reject<T>(&mut self, node: &Node<T>, what: &str) {
        let place = self.place(node);
        self.reject_at(place, what);
    }

    fn reject_at(&mut self, place: SourceLocation, what: &str) {
        let message = format!("actions cannot use {what}");
        let help = "use object types, input objects, enums and scalars, and declare actions in type Query or Mutation";
        self.diagnostics.push(Diagnostic::error(Some(place), message, help));
    }

    fn actions(&mut self, kind: OperationKind, fields: &[Node<FieldDefinition>]) {
        for field in fields {
            let name = field.name.to_string();
            let place = self.place_of_name(&field.name);
            if let Some(known) = self.signatures.actions.get(&name) {
                let message = format!(
                    "action '{name}' is declared twice; the first time in {}:{}:{}",
                    known.place.source.name, known.place.line, known.place.column
                );
                let diagnostic = Diagnostic::error(Some(place), message, "remove one of the two");
                self.diagnostics.push(diagnostic.about(SourceFile::Action(name)));
                continue;
            }
            self.note_type(name.clone(), &field.ty);
            for argument in &field.arguments {
                self.note_type(format!("{name}({}:)", argument.name), &argument.ty);
            }
            // In the order of the text, so that warnings come in it.
            let arguments = field.arguments.iter().map(|argument| self.input_value(argument)).collect();
            let Annotations { deprecated, .. } = self.directives(&field.directives, Owner::Member, &field.name);
            let signature = Signature {
                place,
                kind,
                deprecated,
                arguments,
                output: type_ref(&field.ty),
                description: field.description.as_ref().map(ToString::to_string),
            };
            self.signatures.actions.insert(name, signature);
        }
    }

    fn subscriptions(&mut self, fields: &[Node<FieldDefinition>]) {
        for field in fields {
            let message = format!("\"{}\" cannot be a subscription: actions are queries or mutations", field.name);
            let help = format!("declare it in type Query or Mutation: type Query {{ {}(…): … }}", field.name);
            let place = self.place_of_name(&field.name);
            self.diagnostics.push(Diagnostic::error(Some(place), message, help));
            self.signatures.subscriptions.insert(field.name.to_string());
        }
    }

    fn object(
        &mut self,
        name: &str,
        place: SourceLocation,
        description: Option<&str>,
        fields: &[Node<FieldDefinition>],
    ) {
        let mut output = IndexMap::new();
        for field in fields {
            let field_place = self.place_of_name(&field.name);
            self.note_type(format!("{name}.{}", field.name), &field.ty);
            if !field.arguments.is_empty() {
                let message = format!("the object \"{name}\" can't have arguments");
                let help = format!("remove the arguments of \"{}\"", field.name);
                self.diagnostics.push(Diagnostic::error(Some(field_place.clone()), message, help));
            }
            let value = OutputField {
                ty: type_ref(&field.ty),
                description: field.description.as_ref().map(ToString::to_string),
                deprecated: self.directives(&field.directives, Owner::Member, &field.name).deprecated,
            };
            if output.insert(field.name.to_string(), value).is_some() {
                let message = format!("the object \"{name}\" has duplicate fields: \"{}\"", field.name);
                self.diagnostics.push(Diagnostic::error(Some(field_place), message, "remove one of them"));
            }
        }
        self.add(name, place, description, TypeKind::Object(output));
    }

    fn scalar(&mut self, scalar: &Node<ast::ScalarTypeDefinition>) {
        let place = self.place_of_name(&scalar.name);
        if is_built_in_scalar(&scalar.name) {
            let message = format!("the scalar '{}' is built in", scalar.name);
            self.diagnostics.push(Diagnostic::warning(Some(place), message, "remove it: it has no effect"));
            return;
        }
        let Annotations { specified_by, .. } = self.directives(&scalar.directives, Owner::Scalar, &scalar.name);
        if let Some(definition) = self.add(&scalar.name, place, scalar.description.as_deref(), TypeKind::Scalar) {
            definition.specified_by = specified_by;
        }
    }

    /// The definition as it was added, if it was.
    fn add(
        &mut self,
        name: &str,
        place: SourceLocation,
        description: Option<&str>,
        kind: TypeKind,
    ) -> Option<&mut TypeDefinition> {
        if self.signatures.types.contains_key(name) {
            let message = format!("duplicate type names: \"{name}\"");
            self.diagnostics.push(Diagnostic::error(Some(place), message, "remove or rename one of them"));
            return None;
        }
        if is_built_in_scalar(name) {
            let message = format!("the type name '{name}' is that of a built-in scalar");
            self.diagnostics.push(Diagnostic::error(Some(place), message, "choose another name"));
            return None;
        }
        let definition = TypeDefinition::new(kind, description.map(str::to_owned));
        let (added, _) = self.signatures.types.entry(name.to_owned()).or_insert((definition, place));
        Some(added)
    }

    fn input_value(&mut self, input: &Node<InputValueDefinition>) -> InputValue {
        InputValue {
            deprecated: self.directives(&input.directives, Owner::Member, &input.name).deprecated,
            name: input.name.to_string(),
            ty: type_ref(&input.ty),
            default: input.default_value.as_ref().map(|value| json_of(value, &Variables::new())),
            description: input.description.as_ref().map(ToString::to_string),
        }
    }
}

/// An object named `Subscription` is one like any other, unless its fields have arguments, which only actions can have.
fn is_subscription(object: &ast::ObjectTypeDefinition) -> bool {
    object.name == "Subscription" && object.fields.iter().any(|field| !field.arguments.is_empty())
}

/// Hasura reads these two names only.
pub(crate) fn root_kind(name: &str) -> Option<OperationKind> {
    match name {
        "Query" => Some(OperationKind::Query),
        "Mutation" => Some(OperationKind::Mutation),
        _ => None,
    }
}

/// A type written as text: `[Foo!]!`.
///
/// # Examples
/// ```
/// use pillion::config::sdl::parse_type;
///
/// let ty = parse_type("[Quote!]!").unwrap();
/// assert_eq!((ty.named(), ty.is_list(), ty.is_nullable()), ("Quote", true, false));
/// ```
#[must_use]
pub fn parse_type(text: &str) -> Option<TypeRef> {
    ast::Type::parse(text, "type").ok().map(|ty| type_ref(&ty))
}
