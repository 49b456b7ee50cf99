//! Resolves the types of `actions.graphql` and `custom_types`, and checks every name in them.

use apollo_compiler::Name;

use crate::config::metadata::{InputEntry, Metadata, TypeList};
use crate::config::relationship_settings::RelationshipSettings;
use crate::config::resolver::{Resolver, TypeUse, did_you_mean_type};
use crate::config::sdl::{Signatures, parse_type};
use crate::graphql::coerce::coerce_default;
use crate::model::source::{Diagnostic, SourceFile, SourceLocation};
use crate::model::types::{
    AGGREGATE, BUILT_IN_SCALARS, DATABASE_SCALARS, InputValue, Lookup, OutputField, Relationship, TypeDefinition,
    TypeKind, TypeRef, Types,
};

impl Resolver<'_, '_> {
    /// Types that the metadata defines whole, as JSON exports do.
    pub(crate) fn exported_types(&mut self, metadata: &Metadata, signatures: &mut Signatures) {
        for entry in &metadata.types {
            if signatures.types.contains_key(&entry.name) {
                continue;
            }
            let start = self.diagnostics.len();
            let kind = match entry.list {
                TypeList::Scalars => TypeKind::Scalar,
                TypeList::Enums if !entry.values.is_empty() => TypeKind::Enum(entry.values.iter().cloned().collect()),
                TypeList::InputObjects if !entry.fields.is_empty() => TypeKind::InputObject(self.inputs(&entry.fields)),
                TypeList::Objects if !entry.fields.is_empty() => {
                    let fields = self.inputs(&entry.fields).into_iter();
                    let output = |InputValue { name, ty, description, deprecated, .. }: InputValue| {
                        (name, OutputField { ty, description, deprecated })
                    };
                    TypeKind::Object(fields.map(output).collect())
                }
                _ => {
                    let message = format!("custom type {} is not present in actions.graphql", entry.name);
                    self.error(&entry.place, message, "define it there, or remove it here");
                    self.assign(start, &SourceFile::Type(entry.name.clone()));
                    continue;
                }
            };
            self.assign(start, &SourceFile::Type(entry.name.clone()));
            let definition = TypeDefinition {
                is_one_of: entry.is_one_of,
                specified_by: entry.specified_by.clone(),
                ..TypeDefinition::new(kind, entry.description.clone())
            };
            signatures.types.insert(entry.name.clone(), (definition, entry.place.clone()));
        }
    }

    pub(crate) fn inputs(&mut self, entries: &[InputEntry]) -> Vec<InputValue> {
        let mut inputs = Vec::new();
        for entry in entries {
            let (text, place) = &entry.ty;
            match parse_type(text) {
                Some(ty) => inputs.push(InputValue {
                    name: entry.name.clone(),
                    ty,
                    default: entry.default.clone(),
                    description: entry.description.clone(),
                    deprecated: entry.deprecated.clone(),
                }),
                None => self.error(place, format!("not a valid GraphQL type: {text}"), "write a type such as [Int!]!"),
            }
        }
        inputs
    }

    /// All types, every name in them checked.
    pub(crate) fn types(&mut self, metadata: &Metadata, signatures: &Signatures) -> Types {
        let mut types = Types::default();
        for scalar in BUILT_IN_SCALARS {
            types.0.insert(scalar.to_owned(), TypeDefinition::new(TypeKind::Scalar, None));
        }
        for (name, (definition, _)) in &signatures.types {
            types.0.insert(name.clone(), definition.clone());
        }
        self.describe(metadata, &mut types);
        self.relationships(metadata, &mut types);
        for (name, (definition, place)) in &signatures.types {
            let start = self.diagnostics.len();
            self.reject_reserved(place, "type", name);
            match &definition.kind {
                TypeKind::InputObject(fields) => {
                    for field in fields {
                        self.field_type(&mut types, name, &field.name, &field.ty, place, true);
                    }
                }
                TypeKind::Object(fields) => {
                    for (field, definition) in fields {
                        self.field_type(&mut types, name, field, &definition.ty, place, false);
                    }
                }
                TypeKind::Scalar | TypeKind::Enum(_) => {}
            }
            self.assign(start, &SourceFile::Type(name.clone()));
        }
        self.type_defaults(signatures, &mut types);
        types
    }

    fn type_defaults(&mut self, signatures: &Signatures, types: &mut Types) {
        for (name, (definition, place)) in &signatures.types {
            let TypeKind::InputObject(fields) = &definition.kind else { continue };
            let start = self.diagnostics.len();
            let fields = self.defaults(types, fields.clone(), place);
            self.assign(start, &SourceFile::Type(name.clone()));
            if let Some(definition) = types.0.get_mut(name) {
                definition.kind = TypeKind::InputObject(fields);
            }
        }
    }

    /// Makes every default a value of its type.
    pub(crate) fn defaults(
        &mut self,
        types: &Types,
        mut inputs: Vec<InputValue>,
        place: &SourceLocation,
    ) -> Vec<InputValue> {
        for input in &mut inputs {
            let Some(default) = input.default.take() else { continue };
            match coerce_default(types, input, default) {
                Ok(default) => input.default = Some(default),
                Err(error) => self.error(place, error.to_string(), "write a default of the right type"),
            }
        }
        inputs
    }

    /// The metadata's descriptions win over the SDL's.
    fn describe(&mut self, metadata: &Metadata, types: &mut Types) {
        for entry in &metadata.types {
            let Some(definition) = types.0.get_mut(&entry.name) else { continue };
            let fits = matches!(
                (entry.list, &definition.kind),
                (TypeList::Scalars, TypeKind::Scalar)
                    | (TypeList::Enums, TypeKind::Enum(_))
                    | (TypeList::InputObjects, TypeKind::InputObject(_))
                    | (TypeList::Objects, TypeKind::Object(_))
            );
            if let Some(description) = &entry.description {
                definition.description = Some(description.clone());
            }
            if !fits {
                let message = format!(
                    "'{}' stands under {}, but is something else in actions.graphql",
                    entry.name,
                    entry.list.key()
                );
                let diagnostic =
                    Diagnostic::error(Some(entry.place.clone()), message, "move it to the list of its kind");
                self.diagnostics.push(diagnostic.about(SourceFile::Type(entry.name.clone())));
            }
        }
    }

    /// The relationships of Hasura's files, looked up by those or by `pillion.yaml`, and those that it adds.
    fn relationships(&mut self, metadata: &Metadata, types: &mut Types) {
        for entry in &metadata.types {
            let start = self.diagnostics.len();
            for (relationship, place) in &entry.relationships {
                self.add_relationship(types, &entry.name, relationship.clone(), place);
            }
            self.assign(start, &SourceFile::Type(entry.name.clone()));
        }
        for RelationshipSettings { type_name, name, lookup, place } in self.surroundings.relationships {
            let known = types
                .0
                .get_mut(type_name)
                .and_then(|definition| definition.relationships.iter_mut().find(|known| known.name == *name));
            let relationship = Relationship { name: name.clone(), lookup: lookup.clone() };
            let start = self.diagnostics.len();
            match known {
                Some(known) => {
                    *known = relationship.clone();
                    self.check_key_fields(types, type_name, &relationship, place);
                }
                None => self.add_relationship(types, type_name, relationship, place),
            }
            self.assign(start, &SourceFile::Type(type_name.clone()));
        }
    }

    /// The checks that Hasura's server makes, with its messages where it has any.
    fn add_relationship(
        &mut self,
        types: &mut Types,
        type_name: &str,
        relationship: Relationship,
        place: &SourceLocation,
    ) {
        let name = &relationship.name;
        self.reject_reserved(place, "relationship", name);
        let Some(fields) = types.object(type_name) else {
            let message = format!("there is no object type \"{type_name}\" that could have a relationship \"{name}\"");
            return self.error(place, message, "correct the type's name");
        };
        let is_taken = |name: &str| {
            let definition = types.get(type_name);
            fields.contains_key(name) || definition.is_some_and(|found| found.relationship(name).is_some())
        };
        let sums = format!("{name}{AGGREGATE}");
        let twin = [name.as_str(), &sums].into_iter().find(|field| is_taken(field));
        if let Some(twin) = twin.filter(|twin| *twin == name || relationship.lookup.is_array()) {
            let message = format!("the object \"{type_name}\" has duplicate fields: \"{twin}\"");
            self.error(place, message, "rename the relationship");
        }
        self.check_key_fields(types, type_name, &relationship, place);
        if let Some(definition) = types.0.get_mut(type_name) {
            definition.relationships.push(relationship);
        }
    }

    fn check_key_fields(
        &mut self,
        types: &Types,
        type_name: &str,
        relationship: &Relationship,
        place: &SourceLocation,
    ) {
        let Relationship { name, lookup } = relationship;
        let Some(fields) = types.object(type_name) else { return };
        for field in lookup.key_fields() {
            let owner = format!("for relationship \"{name}\" in object type \"{type_name}\"");
            match fields.get(field) {
                None => {
                    let message = format!("the field \"{field}\" {owner} does not exist");
                    self.error(place, message, "map a field that the object has");
                }
                Some(found) if found.ty.is_list() && matches!(lookup, Lookup::Table { .. }) => {
                    let message = format!("the type of the field \"{field}\" {owner} is a list type");
                    self.error(place, message, "map a field with a single value");
                }
                Some(found) if types.object(found.ty.named()).is_some() => {
                    let message =
                        format!("Relationships cannot be defined with nested object fields: \"{field}\" {owner}");
                    self.error(place, message, "map a scalar or an enum");
                }
                Some(_) => {}
            }
        }
        let Lookup::Table { table, field_mapping, .. } = lookup else { return };
        if field_mapping.is_empty() {
            let message = format!("the relationship \"{name}\" of object type \"{type_name}\" maps no field");
            self.error(place, message, "add field_mapping: {field: column}");
        }
        let root_field = table.root_field();
        for word in field_mapping.values().chain([&root_field]).filter(|word| !Name::is_valid_syntax(word)) {
            let message = format!("the relationship \"{name}\" needs \"{word}\", which is no name in GraphQL");
            let help = format!("say how it is looked up: relationships: {{{type_name}.{name}: …}} in pillion.yaml");
            self.error(place, message, &help);
        }
    }

    /// <https://spec.graphql.org/September2025/#sec-Names.Reserved-Names>
    pub(crate) fn reject_reserved(&mut self, place: &SourceLocation, what: &str, name: &str) {
        if name.starts_with("__") {
            let message = format!("the {what} '{name}' has a name that is reserved for introspection");
            self.error(place, message, "choose a name without the two underscores");
        }
    }

    fn field_type(
        &mut self,
        types: &mut Types,
        owner: &str,
        field: &str,
        ty: &TypeRef,
        place: &SourceLocation,
        is_input: bool,
    ) {
        let kind = if is_input { "input object type" } else { "object type" };
        let place = &self.type_place(&format!("{owner}.{field}"), place);
        match self.kind_of(types, ty.named()) {
            None => {
                // The two blanks are Hasura's.
                let message =
                    format!("the type \"{}\" for field \"{field}\" in  {kind} \"{owner}\" does not exist", ty.named());
                let fits = |kind: &TypeKind| match kind {
                    TypeKind::Object(_) => !is_input,
                    TypeKind::InputObject(_) => is_input,
                    TypeKind::Scalar | TypeKind::Enum(_) => true,
                };
                let help = format!("define it, or correct its name{}", did_you_mean_type(types, ty.named(), fits));
                let diagnostic = Diagnostic::error(Some(place.clone()), message, help);
                self.leave_to_upstream(ty.named(), diagnostic.about(SourceFile::Type(owner.to_owned())));
            }
            Some(TypeUse::Output) if is_input => {
                let message = format!("field \"{field}\" of {kind} \"{owner}\" has the object type \"{}\"", ty.named());
                self.error(place, message, "use an input object, an enum or a scalar");
            }
            Some(TypeUse::Input) if !is_input => {
                let message =
                    format!("field \"{field}\" of {kind} \"{owner}\" has the input object type \"{}\"", ty.named());
                self.error(place, message, "use an object, an enum or a scalar");
            }
            Some(_) => {}
        }
    }

    /// `name` is not defined here, which is an error unless the upstream has a scalar or an enum of that name.
    pub(crate) fn leave_to_upstream(&mut self, name: &str, diagnostic: Diagnostic) {
        self.undecided.entry(name.to_owned()).or_default().push(diagnostic);
    }

    /// Where a type may stand. A name that no file defines is a scalar of the database, if it has one of that name.
    pub(crate) fn kind_of(&mut self, types: &mut Types, name: &str) -> Option<TypeUse> {
        if types.get(name).is_none() && DATABASE_SCALARS.contains(&name) {
            types.0.insert(name.to_owned(), TypeDefinition::new(TypeKind::Scalar, None));
        }
        if self.interfaces.contains(name) {
            return Some(TypeUse::Both);
        }
        Some(match &types.get(name)?.kind {
            TypeKind::Scalar | TypeKind::Enum(_) => TypeUse::Both,
            TypeKind::InputObject(_) => TypeUse::Input,
            TypeKind::Object(_) => TypeUse::Output,
        })
    }
}
