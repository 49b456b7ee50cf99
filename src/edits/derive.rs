//! Derives an action from an operation of the upstream: its arguments from the operation's variables, its output from what the
//! operation selects.

use std::collections::BTreeSet;
use std::sync::Arc;

use apollo_compiler::ast::{
    EnumTypeDefinition, FieldDefinition, InputObjectTypeDefinition, InputValueDefinition, ObjectTypeDefinition,
    OperationType, ScalarTypeDefinition, Type,
};
use apollo_compiler::diagnostic::ToCliReport;
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Name, Node, Schema, ast};
use indexmap::IndexMap;

use crate::edits::signature::FieldSignature;
use crate::graphql::diagnostics;
use crate::model::action::OperationKind;
use crate::model::source::{Diagnostic, Source, SourceLocation};
use crate::model::types::{DATABASE_SCALARS, is_built_in_scalar};

/// The field of an action and the definitions of its types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// The field.
    pub signature: FieldSignature,
    /// SDL; may be empty.
    pub types: String,
}

/// Types that are copied at most. Arguments such as Hasura's `where` reach the types of every table.
const TYPES_MAX: usize = 200;

/// An action `name` with the arguments and the output of the operation in `text`. Its types get names that are neither in the
/// schema nor in `taken`, the names of types that other actions have.
///
/// # Errors
/// The operation is not valid, or no action can have such arguments or such an output.
pub fn derive(
    schema: &Valid<Schema>,
    text: &str,
    name: &str,
    taken: &BTreeSet<String>,
) -> Result<Derived, Vec<Diagnostic>> {
    let source = Arc::new(Source::new("operation", text));
    let document = ExecutableDocument::parse_and_validate(schema, text, "operation").map_err(|failed| {
        let diagnostic = |found: &apollo_compiler::validation::DiagnosticData, at: Option<usize>| {
            let place = at.map(|offset| SourceLocation::at_offset(&source, offset));
            Diagnostic::error(place, diagnostics::message(text, found, Some(schema)), "correct the operation")
        };
        let found = failed.errors.iter();
        found.map(|found| diagnostic(found.error, found.error.location().map(|span| span.offset()))).collect::<Vec<_>>()
    })?;
    let failed = |message: String, help: &str| {
        vec![Diagnostic::error(Some(SourceLocation::at_offset(&source, 0)), message, help)]
    };
    let operation = document
        .operations
        .get(None)
        .map_err(|_| failed("there must be one operation".to_owned(), "leave the others out"))?;
    let deriver = Deriver {
        schema,
        document: &document,
        prefix: pascal(name),
        taken,
        names: IndexMap::new(),
        outputs: IndexMap::new(),
    };
    deriver.derive(operation, name).map_err(|(message, help)| failed(message, help))
}

type Failure = (String, &'static str);

struct Deriver<'d> {
    schema: &'d Valid<Schema>,
    document: &'d Valid<ExecutableDocument>,
    /// What new names begin with.
    prefix: String,
    taken: &'d BTreeSet<String>,
    /// The copies of input objects, enums and scalars, by the names of their originals.
    names: IndexMap<Name, Name>,
    /// The definitions of output objects by name.
    outputs: IndexMap<Name, Vec<Node<FieldDefinition>>>,
}

impl Deriver<'_> {
    fn derive(mut self, operation: &Operation, name: &str) -> Result<Derived, Failure> {
        let (kind, root) = match operation.operation_type {
            OperationType::Query => (OperationKind::Query, &self.schema.schema_definition.query),
            OperationType::Mutation => (OperationKind::Mutation, &self.schema.schema_definition.mutation),
            OperationType::Subscription => {
                return Err(("actions are queries or mutations".to_owned(), "derive it from another operation"));
            }
        };
        let root = root.as_ref().and_then(|root| self.schema.get_object(root));
        if root.is_some_and(|root| root.fields.contains_key(name)) {
            return Err((format!("the upstream has a field \"{name}\" already"), "choose another name"));
        }
        let name =
            Name::new(name).map_err(|_| (format!("\"{name}\" cannot be a name"), "use letters, digits and _"))?;
        let field = self.root_field(&operation.selection_set)?;
        let arguments = self.arguments(operation, &field)?;
        let output_name = format!("{}Output", self.prefix);
        let ty = self.output(&field, &output_name)?;
        let types = self.copies()?;
        let definition = FieldDefinition {
            description: None,
            name: name.clone(),
            arguments,
            ty,
            directives: ast::DirectiveList::new(),
        };
        let outputs = self.outputs.iter().map(|(name, fields)| {
            let definition = ObjectTypeDefinition {
                description: None,
                name: name.clone(),
                implements_interfaces: Vec::new(),
                directives: ast::DirectiveList::new(),
                fields: fields.clone(),
            };
            definition.to_string().trim_end().to_owned()
        });
        let types = types.into_iter().chain(outputs).collect::<Vec<_>>().join("\n\n");
        let signature = FieldSignature { name: name.to_string(), kind, text: definition.to_string().trim().to_owned() };
        Ok(Derived { signature, types })
    }

    fn root_field(&self, selections: &SelectionSet) -> Result<Node<Field>, Failure> {
        let fields = self.fields(selections)?;
        let mut fields = fields.into_values();
        match (fields.next(), fields.next()) {
            (Some(selected), None) => Ok(selected.first),
            _ => Err(("the operation must select one root field".to_owned(), "leave the others out")),
        }
    }

    /// The operation's variables; if it has none, the arguments that its root field is given.
    fn arguments(&mut self, operation: &Operation, field: &Field) -> Result<Vec<Node<InputValueDefinition>>, Failure> {
        let argument = |name: &Name, ty: Type, default: Option<Node<ast::Value>>| {
            Node::new(InputValueDefinition {
                description: None,
                name: name.clone(),
                ty: Node::new(ty),
                default_value: default,
                directives: ast::DirectiveList::new(),
            })
        };
        let mut arguments = Vec::new();
        for variable in &operation.variables {
            arguments.push(argument(&variable.name, self.copied(&variable.ty)?, variable.default_value.clone()));
        }
        if arguments.is_empty() {
            let given = |known: &&Node<InputValueDefinition>| field.arguments.iter().any(|one| one.name == known.name);
            for known in field.definition.arguments.iter().filter(given) {
                arguments.push(argument(&known.name, self.copied(&known.ty)?, None));
            }
        }
        Ok(arguments)
    }

    /// The type of a selected field: scalars and enums are copied, and what is selected of an object becomes a new type, which
    /// is called `name` if that is free.
    fn output(&mut self, field: &Field, name: &str) -> Result<Type, Failure> {
        if field.selection_set.selections.is_empty() {
            return self.copied(field.ty());
        }
        let name = self.free(name)?;
        // Before those below it: the types stand in the order of the operation.
        self.outputs.insert(name.clone(), Vec::new());
        self.check_count()?;
        let mut fields = Vec::new();
        for (key, selected) in self.fields(&field.selection_set)? {
            let below = format!("{}{}", self.prefix, pascal(selected.first.ty().inner_named_type()));
            let ty = self.output(&selected.first, &below)?;
            fields.push(Node::new(FieldDefinition {
                description: selected.first.definition.description.clone(),
                name: key,
                arguments: Vec::new(),
                ty: if selected.is_conditional { ty.nullable() } else { ty },
                directives: ast::DirectiveList::new(),
            }));
        }
        if fields.is_empty() {
            let message = format!("nothing but __typename is selected of \"{}\"", field.name);
            return Err((message, "select fields of it"));
        }
        self.outputs.insert(name.clone(), fields);
        Ok(renamed(field.ty(), &name))
    }

    /// The fields of a selection set by their response names, those of its fragments among them.
    fn fields(&self, selections: &SelectionSet) -> Result<IndexMap<Name, Selected>, Failure> {
        let mut found = IndexMap::new();
        self.collect(selections, false, &mut found)?;
        Ok(found)
    }

    /// The parser's limit bounds the recursion, and validation rejects fragments that contain themselves.
    fn collect(
        &self,
        set: &SelectionSet,
        is_conditional: bool,
        found: &mut IndexMap<Name, Selected>,
    ) -> Result<(), Failure> {
        for selection in &set.selections {
            let (directives, inner) = match selection {
                Selection::Field(field) => {
                    add(found, field, is_conditional || has_condition(&field.directives))?;
                    continue;
                }
                Selection::InlineFragment(inline) => (&inline.directives, &inline.selection_set),
                Selection::FragmentSpread(spread) => match self.document.fragments.get(&spread.fragment_name) {
                    Some(fragment) => (&spread.directives, &fragment.selection_set),
                    None => continue,
                },
            };
            let is_always = inner.ty == set.ty || self.schema.is_subtype(&inner.ty, &set.ty);
            self.collect(inner, is_conditional || has_condition(directives) || !is_always, found)?;
        }
        Ok(())
    }

    /// This type with copies of what it names.
    fn copied(&mut self, ty: &Type) -> Result<Type, Failure> {
        let named = ty.inner_named_type();
        let copy = match self.names.get(named) {
            Some(copy) => copy.clone(),
            None => {
                let copy = match self.schema.types.get(named) {
                    Some(ExtendedType::Scalar(_)) | None => named.clone(),
                    _ => self.free(&format!("{}{}", self.prefix, pascal(named)))?,
                };
                self.names.insert(named.clone(), copy.clone());
                self.check_count()?;
                copy
            }
        };
        Ok(renamed(ty, &copy))
    }

    /// The definitions of all copies. Those of input objects add more.
    fn copies(&mut self) -> Result<Vec<String>, Failure> {
        let mut definitions = Vec::new();
        let mut index = 0;
        while let Some((original, copy)) = self.names.get_index(index).map(|(one, other)| (one.clone(), other.clone()))
        {
            index += 1;
            let schema = self.schema;
            let definition = match schema.types.get(&original) {
                Some(ExtendedType::InputObject(known)) => {
                    let mut fields = Vec::with_capacity(known.fields.len());
                    for field in known.fields.values() {
                        fields.push(Node::new(InputValueDefinition {
                            description: field.description.clone(),
                            name: field.name.clone(),
                            ty: Node::new(self.copied(&field.ty)?),
                            default_value: field.default_value.clone(),
                            directives: kept(field.directives.iter()),
                        }));
                    }
                    let directives = kept(known.directives.iter().map(|directive| &directive.node));
                    InputObjectTypeDefinition { description: known.description.clone(), name: copy, directives, fields }
                        .to_string()
                }
                Some(ExtendedType::Enum(known)) => {
                    let values = known.values.values().map(|value| {
                        let mut value = value.node.clone();
                        let directives = kept(value.directives.iter());
                        value.make_mut().directives = directives;
                        value
                    });
                    EnumTypeDefinition {
                        description: known.description.clone(),
                        name: copy,
                        directives: ast::DirectiveList::new(),
                        values: values.collect(),
                    }
                    .to_string()
                }
                Some(ExtendedType::Scalar(known)) if !self.is_known_scalar(&original) => {
                    let directives = ast::DirectiveList::new();
                    ScalarTypeDefinition { description: known.description.clone(), name: copy, directives }.to_string()
                }
                _ => continue,
            };
            definitions.push(definition.trim_end().to_owned());
        }
        Ok(definitions)
    }

    /// Must it not be defined? The upstream's scalars may be, under their own names.
    fn is_known_scalar(&self, name: &str) -> bool {
        is_built_in_scalar(name) || DATABASE_SCALARS.contains(&name) || self.taken.contains(name)
    }

    /// This name, or the next one with a number that is free.
    fn free(&self, name: &str) -> Result<Name, Failure> {
        let is_taken = |name: &str| {
            self.schema.types.contains_key(name)
                || self.taken.contains(name)
                || self.names.values().any(|known| known == name)
                || self.outputs.contains_key(name)
        };
        let numbered = (2..=TYPES_MAX).map(|number| format!("{name}{number}"));
        let name = std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name));
        let name = name.and_then(|name| Name::new(&name).ok());
        name.ok_or_else(|| ("no name is free for its types".to_owned(), "choose another name for the action"))
    }

    fn check_count(&self) -> Result<(), Failure> {
        if self.names.len() + self.outputs.len() <= TYPES_MAX {
            return Ok(());
        }
        let message = format!("its arguments and its output reach more than {TYPES_MAX} types");
        Err((
            message,
            "give single values as variables: mutation ($name: String!) { insert_author_one(object: {name: $name}) { id } }",
        ))
    }
}

/// A selected field.
struct Selected {
    /// The first of those with its response name, with the selections of all.
    first: Node<Field>,
    /// May it be absent although the object is there?
    is_conditional: bool,
}

fn add(found: &mut IndexMap<Name, Selected>, field: &Node<Field>, is_conditional: bool) -> Result<(), Failure> {
    if field.name == "__typename" {
        return Ok(());
    }
    let Some(known) = found.get_mut(field.response_key()) else {
        found.insert(field.response_key().clone(), Selected { first: field.clone(), is_conditional });
        return Ok(());
    };
    if known.first.ty().inner_named_type() != field.ty().inner_named_type() {
        let message = format!("\"{}\" has two types", field.response_key());
        return Err((message, "give one of them an alias"));
    }
    known.is_conditional &= is_conditional;
    let more = field.selection_set.selections.iter().cloned();
    known.first.make_mut().selection_set.selections.extend(more);
    Ok(())
}

fn has_condition(directives: &ast::DirectiveList) -> bool {
    directives.iter().any(|directive| matches!(directive.name.as_str(), "skip" | "include"))
}

/// The directives that an action's types may have.
fn kept<'d>(directives: impl Iterator<Item = &'d Node<ast::Directive>>) -> ast::DirectiveList {
    let is_kept = |directive: &&Node<ast::Directive>| matches!(directive.name.as_str(), "deprecated" | "oneOf");
    ast::DirectiveList(directives.filter(is_kept).cloned().collect())
}

/// The same lists and non-nulls around another name.
fn renamed(ty: &Type, name: &Name) -> Type {
    match ty {
        Type::Named(_) => Type::Named(name.clone()),
        Type::NonNullNamed(_) => Type::NonNullNamed(name.clone()),
        Type::List(inner) => Type::List(Box::new(renamed(inner, name))),
        Type::NonNullList(inner) => Type::NonNullList(Box::new(renamed(inner, name))),
    }
}

/// `insert_author_one` as `InsertAuthorOne`.
fn pascal(name: &str) -> String {
    let parts = name.split('_').filter(|part| !part.is_empty());
    parts
        .flat_map(|part| {
            let mut characters = part.chars();
            characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters)
        })
        .collect()
}
