//! Merges the upstream's schema and a role's actions into one schema.

use apollo_compiler::ast::{DirectiveList, InputValueDefinition, Type};
use apollo_compiler::schema::{
    Component, EnumValueDefinition, ExtendedType, FieldDefinition, ObjectType, SchemaDefinition,
};
use apollo_compiler::{Name, Node, Schema};

use crate::graphql::built_in_schema::built_in;
use crate::graphql::client_schema::UpstreamSchema;
use crate::graphql::diagnostics::PLACEHOLDER;
use crate::graphql::extend_schema::Extender;
use crate::graphql::nested_roots;
use crate::graphql::root_types::RootTypes;
use crate::graphql::schema::RoleSchema;
use crate::model::action::{ActionSchema, OperationKind, SourceMap};
use crate::model::source::Diagnostic;
use crate::model::types::{
    AGGREGATE, Deprecation, EnumValue, Lookup, NO_LONGER_SUPPORTED, Relationship, TypeKind, Types,
};

/// A name that the actions and the upstream both define.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// A type's, or a root field's.
    pub name: String,
    /// On which type, if it is a field: a root, or a type that an extension field was to be added to.
    pub root: Option<String>,
    /// What the actions define, as SDL.
    pub own: String,
    /// What the upstream defines, as SDL.
    pub upstreams: String,
}

impl Conflict {
    fn what(&self) -> String {
        match &self.root {
            Some(root) => format!("the field \"{}\" of {root}", self.name),
            None => format!("the type \"{}\"", self.name),
        }
    }

    /// The message for people.
    #[must_use]
    pub fn diagnostic(&self, places: &SourceMap) -> Diagnostic {
        let prefix = |setting: &str| format!("rename it here, or set names.{setting}_prefix");
        let extension =
            self.root.as_ref().and_then(|root| places.extension_fields.get(&format!("{root}.{}", self.name)));
        let (place, help) = match (&self.root, extension) {
            (Some(_), Some(place)) => (Some(place), "give it another name under fields in pillion.yaml".to_owned()),
            (Some(_), None) => (places.actions.get(&self.name), prefix("field")),
            (None, _) => (places.types.get(&self.name), prefix("type")),
        };
        let message = format!("the actions and the upstream both define {}", self.what());
        let notes = [("actions", &self.own), ("upstream", &self.upstreams)]
            .map(|(who, sdl)| format!("{who}: {}", shortened(sdl)));
        Diagnostic { notes: notes.into(), ..Diagnostic::error(place.cloned(), message, help) }
    }
}

/// Lines of a definition that a person is shown; a table's type may have hundreds.
const LINES_MAX: usize = 12;

fn shortened(sdl: &str) -> String {
    let mut lines: Vec<&str> = sdl.trim().lines().take(LINES_MAX).collect();
    if sdl.trim().lines().count() > LINES_MAX {
        lines.push("  …");
    }
    lines.join("\n")
}

/// Why there is no merged schema.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Both sides define these names.
    #[error("both the actions and the upstream define {}", names(.0))]
    Conflicts(Vec<Conflict>),
    /// The upstream's root type has another name than the plans were made for.
    #[error("the upstream's {kind} type is called {found} here, and {known} elsewhere")]
    OtherRoot {
        /// Which root.
        kind: &'static str,
        /// What this schema calls it.
        found: String,
        /// What the upstream was known to call it.
        known: String,
    },
    /// The validator's message.
    #[error("the merged schema is not valid: {0}")]
    Invalid(String),
}

fn names(conflicts: &[Conflict]) -> String {
    conflicts.iter().map(Conflict::what).collect::<Vec<_>>().join(", ")
}

const KINDS: [OperationKind; 3] = [OperationKind::Query, OperationKind::Mutation, OperationKind::Subscription];

/// Merges `own`, the schema of a role's actions, into what the upstream shows to that role.
///
/// # Errors
/// [`MergeError`].
pub fn merge(
    upstream: &UpstreamSchema,
    own: &RoleSchema,
    actions: &ActionSchema,
    roots: &RootTypes,
) -> Result<RoleSchema, MergeError> {
    let types = &actions.types;
    check_roots(&upstream.schema, roots)?;
    let mut conflicts = conflicts(&upstream.schema, &own.schema, types, roots);
    let extender = Extender { upstream: &upstream.schema, own: &own.schema };
    let (extension_fields, taken) = extender.visible(&actions.extension_fields);
    conflicts.extend(taken.iter().map(|taken| {
        conflict(&taken.field.name, Some(&taken.type_name), taken.own.to_string(), taken.upstreams.to_string())
    }));
    if !conflicts.is_empty() {
        return Err(MergeError::Conflicts(conflicts));
    }
    let mut merged = upstream.schema.clone();
    for kind in KINDS {
        if add_root_fields(&mut merged, &own.schema, kind)
            && let Some(root) = root_of(&upstream.schema.schema_definition, kind)
            && let Some(object) = upstream.schema.get_object(root)
        {
            nested_roots::separate(&mut merged, object);
        }
    }
    for (name, definition) in own_types(&own.schema) {
        merged.types.entry(name.clone()).or_insert_with(|| with_relationships(&upstream.schema, definition, types));
    }
    extender.extend(&mut merged, &extension_fields);
    // Directives of the specification represent what our definitions say in their own.
    for (name, definition) in &own.schema.directive_definitions {
        merged.directive_definitions.entry(name.clone()).or_insert_with(|| definition.clone());
    }
    let merged = RoleSchema::new(merged, upstream.directives.clone()).map_err(MergeError::Invalid)?;
    Ok(RoleSchema { extension_fields, ..merged })
}

fn check_roots(upstream: &Schema, roots: &RootTypes) -> Result<(), MergeError> {
    for kind in KINDS {
        let known = roots.of(kind);
        match root_of(&upstream.schema_definition, kind) {
            Some(found) if found != known => {
                return Err(MergeError::OtherRoot {
                    kind: kind.keyword(),
                    found: found.to_string(),
                    known: known.to_owned(),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn root_of(definition: &SchemaDefinition, kind: OperationKind) -> Option<&Name> {
    let root = match kind {
        OperationKind::Query => &definition.query,
        OperationKind::Mutation => &definition.mutation,
        OperationKind::Subscription => &definition.subscription,
    };
    root.as_ref().map(|component| &component.name)
}

/// The upstream's type of a name that is not defined here: a scalar or an enum. Its other types cannot be used.
#[must_use]
pub fn upstream_type(upstream: &Schema, name: &str) -> Option<TypeKind> {
    match upstream.types.get(name)? {
        ExtendedType::Scalar(_) => Some(TypeKind::Scalar),
        ExtendedType::Enum(found) => {
            let value = |(value, definition): (&Name, &Component<_>)| {
                let definition: &EnumValueDefinition = definition;
                let description = definition.description.as_ref().map(ToString::to_string);
                (value.to_string(), EnumValue { description, deprecated: deprecation(&definition.directives) })
            };
            Some(TypeKind::Enum(found.values.iter().map(value).collect()))
        }
        _ => None,
    }
}

fn deprecation(directives: &DirectiveList) -> Option<Deprecation> {
    let directive = directives.get("deprecated")?;
    let reason = directive.arguments.iter().find(|argument| argument.name == "reason");
    let reason = reason.and_then(|argument| argument.value.as_str());
    Some(reason.unwrap_or(NO_LONGER_SUPPORTED).to_owned())
}

/// Every name that both sides define, types first. A scalar that both define is shared, and everything that is the
/// upstream's anyway is no conflict.
#[must_use]
pub fn conflicts(upstream: &Schema, own: &Schema, types: &Types, roots: &RootTypes) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let is_upstreams = |name: &Name| types.get(name).is_some_and(|known| known.is_upstreams);
    for (name, definition) in own_types(own) {
        let Some(upstreams) = upstream.types.get(name) else { continue };
        let is_shared = upstreams.is_scalar() && definition.is_scalar()
            || is_upstreams(name) && (upstreams.is_scalar() || upstreams.is_enum());
        if !is_shared {
            conflicts.push(conflict(name, None, definition.to_string(), upstreams.to_string()));
        }
    }
    for kind in KINDS {
        let root = roots.of(kind);
        let Some(own_root) = root_of(&own.schema_definition, kind).and_then(|name| own.get_object(name)) else {
            continue;
        };
        let upstream_root = root_of(&upstream.schema_definition, kind);
        if upstream_root.is_none()
            && has_fields(own_root)
            && let Some(upstreams) = upstream.types.get(root)
        {
            conflicts.push(conflict(root, None, format!("the {} type", kind.keyword()), upstreams.to_string()));
        }
        let Some(upstreams) = upstream_root.and_then(|name| upstream.get_object(name)) else { continue };
        for (name, field) in own_fields(own_root) {
            if let Some(upstreams) = upstreams.fields.get(name) {
                conflicts.push(conflict(name, Some(root), field.to_string(), upstreams.to_string()));
            }
        }
    }
    conflicts
}

fn conflict(name: &str, root: Option<&str>, own: String, upstreams: String) -> Conflict {
    Conflict { name: name.to_owned(), root: root.map(str::to_owned), own, upstreams }
}

/// The types that come with the actions, root types left out.
fn own_types(own: &Schema) -> impl Iterator<Item = (&Name, &ExtendedType)> {
    let is_root = |name: &Name| KINDS.iter().any(|kind| root_of(&own.schema_definition, *kind) == Some(name));
    own.types.iter().filter(move |(name, _)| !built_in().types.contains_key(*name) && !is_root(name))
}

fn own_fields(root: &ObjectType) -> impl Iterator<Item = (&Name, &Component<FieldDefinition>)> {
    root.fields.iter().filter(|(name, _)| **name != PLACEHOLDER)
}

fn has_fields(root: &ObjectType) -> bool {
    own_fields(root).next().is_some()
}

/// Adds to a root of the upstream, or makes the root that the upstream does not have. Is there anything to add?
fn add_root_fields(merged: &mut Schema, own: &Schema, kind: OperationKind) -> bool {
    let own_root = root_of(&own.schema_definition, kind).and_then(|name| own.get_object(name));
    let Some(own_root) = own_root.filter(|own_root| has_fields(own_root)) else {
        return false;
    };
    match root_of(&merged.schema_definition, kind).cloned() {
        Some(root) => {
            if let Some(ExtendedType::Object(object)) = merged.types.get_mut(&root) {
                let fields = own_fields(own_root).map(|(name, field)| (name.clone(), field.clone()));
                object.make_mut().fields.extend(fields);
            }
        }
        None => {
            merged.types.insert(own_root.name.clone(), ExtendedType::Object(own_root.clone()));
            let definition = merged.schema_definition.make_mut();
            let root = Some((&own_root.name).into());
            match kind {
                OperationKind::Query => definition.query = root,
                OperationKind::Mutation => definition.mutation = root,
                OperationKind::Subscription => definition.subscription = root,
            }
        }
    }
    true
}

/// An object of the actions with the fields of its relationships, as far as the upstream shows their rows to this role.
fn with_relationships(upstream: &Schema, definition: &ExtendedType, types: &Types) -> ExtendedType {
    let relationships = types.get(definition.name()).map(|found| found.relationships.as_slice()).unwrap_or_default();
    let ExtendedType::Object(object) = definition else { return definition.clone() };
    let mut object = object.clone();
    for relationship in relationships {
        let fields = relationship_fields(upstream, relationship);
        object.make_mut().fields.extend(fields.map(|field| (field.name.clone(), Component::new(field))));
    }
    ExtendedType::Object(object)
}

/// The rows' field has the type of the upstream's root field, and those of its arguments that the relationship does not
/// give. Beside the many rows of a table stands what sums them up.
fn relationship_fields(upstream: &Schema, relationship: &Relationship) -> impl Iterator<Item = FieldDefinition> {
    let root_field = relationship.lookup.root_field();
    let query = upstream.schema_definition.query.as_ref().and_then(|query| upstream.get_object(query));
    let found = |name: &str| query.and_then(|query| query.fields.get(name));
    let field = |name: &str, ty: Type, arguments: Vec<_>| {
        let (name, directives) = (Name::new(name).ok()?, DirectiveList::new());
        Some(FieldDefinition { description: None, name, arguments, ty, directives })
    };
    let rows = found(&root_field).and_then(|rows| match &relationship.lookup {
        Lookup::Table { is_array: true, .. } => field(&relationship.name, rows.ty.clone(), rows.arguments.clone()),
        Lookup::Table { is_array: false, .. } => {
            field(&relationship.name, Type::Named(rows.ty.inner_named_type().clone()), Vec::new())
        }
        Lookup::RootField { arguments: given, .. } => {
            let free =
                |argument: &&Node<InputValueDefinition>| !given.iter().any(|name| *name == argument.name.as_str());
            let arguments = rows.arguments.iter().filter(free).cloned().collect();
            // What the upstream has none of is null.
            field(&relationship.name, rows.ty.clone().nullable(), arguments)
        }
    });
    let sums = found(&format!("{root_field}{AGGREGATE}")).filter(|_| relationship.lookup.is_array());
    let sums = sums
        .and_then(|sums| field(&format!("{}{AGGREGATE}", relationship.name), sums.ty.clone(), sums.arguments.clone()));
    rows.into_iter().chain(sums)
}
