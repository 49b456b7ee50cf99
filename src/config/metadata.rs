//! `actions.yaml` as Hasura writes it. Nothing is looked up yet; [`crate::config::resolve`] does that.

use indexmap::IndexMap;
use serde_json::Value;

use crate::config::document::{DEFAULT, DEPRECATED, IS_DEPRECATED, IS_ONE_OF, SPECIFIED_BY};
use crate::config::sdl::Signatures;
use crate::config::transform;
use crate::config::yaml::{Data, Fields, Node};
use crate::model::source::{Diagnostic, SourceFile, SourceLocation, assign};
use crate::model::transform::{BodyTransform, RequestTransform, ResponseTransform};
use crate::model::types::{Deprecation, EnumValue, Lookup, NO_LONGER_SUPPORTED, Relationship, Table};

/// What all `actions.yaml` files together say.
#[derive(Debug, Default)]
pub struct Metadata {
    /// The `actions` lists.
    pub actions: Vec<ActionEntry>,
    /// The `custom_types` lists.
    pub types: Vec<TypeEntry>,
    /// What `inherited_roles.yaml` says: each role with those it is made of.
    pub inherited_roles: Vec<(String, Vec<String>)>,
}

/// One element of `actions`.
#[derive(Debug)]
pub struct ActionEntry {
    /// Where its name stands.
    pub place: SourceLocation,
    /// The action's name.
    pub name: String,
    /// `synchronous`, `asynchronous`, empty or absent.
    pub kind: Option<(String, SourceLocation)>,
    /// `query` or `mutation`; only JSON exports have it.
    pub operation: Option<(String, SourceLocation)>,
    /// Only JSON exports have them.
    pub arguments: Vec<InputEntry>,
    /// Only JSON exports have it.
    pub output_type: Option<(String, SourceLocation)>,
    /// The reason of its `@deprecated`. Hasura has no place for it.
    pub deprecated: Option<Deprecation>,
    /// The handler's address, a template.
    pub handler: Option<(String, SourceLocation)>,
    /// Configured headers, in order.
    pub headers: Vec<HeaderEntry>,
    /// See [`crate::model::action::HeaderRules`].
    pub forward_client_headers: bool,
    /// See [`crate::model::action::HeaderRules`].
    pub ignored_client_headers: Option<Vec<(String, SourceLocation)>>,
    /// Seconds.
    pub timeout: Option<u64>,
    /// Roles.
    pub permissions: Vec<String>,
    /// Its description.
    pub comment: Option<String>,
    /// How the request to its handler is rewritten.
    pub request_transform: Option<RequestTransform>,
    /// How the handler's answer is.
    pub response_transform: Option<ResponseTransform>,
}

/// A header with a value of either kind.
#[derive(Debug)]
pub struct HeaderEntry {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: SourceLocation,
    /// What its value is made of.
    pub value: HeaderSource,
}

/// Where a header's value comes from.
#[derive(Debug)]
pub enum HeaderSource {
    /// `value`, a template.
    Value(String, SourceLocation),
    /// `value_from_env`.
    FromEnvironment(String, SourceLocation),
}

/// An argument or an input field in a JSON export.
#[derive(Debug)]
pub struct InputEntry {
    /// Its name.
    pub name: String,
    /// Its type as text.
    pub ty: (String, SourceLocation),
    /// Its description.
    pub description: Option<String>,
    /// Its default as JSON. Hasura has no place for it.
    pub default: Option<Value>,
    /// The reason of its `@deprecated`. Hasura has no place for it.
    pub deprecated: Option<Deprecation>,
}

/// Which list of `custom_types` an entry stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeList {
    /// `enums`
    Enums,
    /// `input_objects`
    InputObjects,
    /// `objects`
    Objects,
    /// `scalars`
    Scalars,
}

impl TypeList {
    /// The list's key.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Enums => "enums",
            Self::InputObjects => "input_objects",
            Self::Objects => "objects",
            Self::Scalars => "scalars",
        }
    }
}

/// One element of a list of `custom_types`.
#[derive(Debug)]
pub struct TypeEntry {
    /// The list it stands in.
    pub list: TypeList,
    /// Where its name stands.
    pub place: SourceLocation,
    /// The type's name.
    pub name: String,
    /// Replaces the SDL's.
    pub description: Option<String>,
    /// Fields, in JSON exports.
    pub fields: Vec<InputEntry>,
    /// Values of an enum with their descriptions, in JSON exports.
    pub values: Vec<(String, EnumValue)>,
    /// `@oneOf`. Hasura has no place for it.
    pub is_one_of: bool,
    /// The address of `@specifiedBy`. Hasura has no place for it.
    pub specified_by: Option<String>,
    /// Rows of the engine that belong to an object, each with its place.
    pub relationships: Vec<(Relationship, SourceLocation)>,
}

/// Reads one file's content into `metadata_api`. Of what `signatures` define nothing is read that they say themselves.
pub fn read(file: &Node, signatures: &Signatures, metadata: &mut Metadata, mistakes: &mut Vec<Diagnostic>) {
    let Some(fields) = Fields::of(file, "the file", mistakes) else { return };
    for entry in fields.list("actions", mistakes) {
        let start = mistakes.len();
        metadata.actions.extend(read_action(entry, signatures, mistakes));
        if let Some(name) = name_of(entry) {
            assign(mistakes, start, &SourceFile::Action(name));
        }
    }
    if let Some(custom_types) = fields.get("custom_types")
        && let Some(lists) = Fields::of(custom_types, "custom_types", mistakes)
    {
        for list in [TypeList::Enums, TypeList::InputObjects, TypeList::Objects, TypeList::Scalars] {
            for entry in lists.list(list.key(), mistakes) {
                let start = mistakes.len();
                metadata.types.extend(read_type(list, entry, signatures, mistakes));
                if let Some(name) = name_of(entry) {
                    assign(mistakes, start, &SourceFile::Type(name));
                }
            }
        }
        lists.finish(mistakes);
    }
    fields.finish(mistakes);
}

/// Reads `inherited_roles.yaml`: `[{role_name, role_set}]`.
pub fn read_inherited_roles(file: &Node, metadata: &mut Metadata, mistakes: &mut Vec<Diagnostic>) {
    let Data::List(entries) = &file.data else {
        let message = format!("the file must hold a list of inherited roles, not {}", file.kind());
        mistakes.push(Diagnostic::error(Some(file.place.clone()), message, "write - role_name: … and role_set: […]"));
        return;
    };
    for entry in entries {
        let Some(fields) = Fields::of(entry, "an inherited role", mistakes) else { continue };
        let name = fields.required_text("role_name", mistakes);
        let members = fields.list("role_set", mistakes).iter().filter_map(Node::scalar_text).collect();
        metadata.inherited_roles.extend(name.map(|name| (name, members)));
        fields.finish(mistakes);
    }
}

fn name_of(entry: &Node) -> Option<String> {
    let Data::Map(members) = &entry.data else { return None };
    members.iter().find(|(key, ..)| key == "name").and_then(|(.., name)| name.scalar_text())
}

fn placed_text(fields: &Fields<'_>, key: &str, mistakes: &mut Vec<Diagnostic>) -> Option<(String, SourceLocation)> {
    let place = fields.get(key)?.place.clone();
    fields.text(key, mistakes).map(|text| (text, place))
}

fn read_action(entry: &Node, signatures: &Signatures, mistakes: &mut Vec<Diagnostic>) -> Option<ActionEntry> {
    let fields = Fields::of(entry, "an action", mistakes)?;
    let name = fields.required_text("name", mistakes)?;
    let place = fields.get("name").map_or_else(|| fields.place().clone(), |node| node.place.clone());
    let mut permissions = Vec::new();
    for permission in fields.list("permissions", mistakes) {
        let Some(fields) = Fields::of(permission, "a permission", mistakes) else { continue };
        permissions.extend(fields.required_text("role", mistakes));
        // Comments are for people, definitions a relic of old exports.
        let _ = (fields.get("comment"), fields.get("definition"));
        fields.finish(mistakes);
    }
    // Exports of Hasura's console hold empty ones.
    let comment = fields.text("comment", mistakes).filter(|comment| !comment.is_empty());
    let nothing = Node { data: Data::Null, place: place.clone() };
    let definition = fields.get("definition");
    if definition.is_none() {
        let message = format!("action '{name}' has no \"definition\"");
        mistakes.push(Diagnostic::error(Some(place.clone()), message, "add a definition with a handler"));
    }
    fields.finish(mistakes);
    let definition = Fields::of(definition.unwrap_or(&nothing), "a definition", mistakes)?;
    let has_signature = signatures.actions.contains_key(&name);
    let (operation, arguments, output_type) = if has_signature {
        ["type", "arguments", "output_type"].into_iter().for_each(|key| definition.ignore(key));
        (None, Vec::new(), None)
    } else {
        (
            placed_text(&definition, "type", mistakes),
            read_inputs(definition.list("arguments", mistakes), "an argument", mistakes),
            placed_text(&definition, "output_type", mistakes),
        )
    };
    let action = ActionEntry {
        place,
        name,
        kind: placed_text(&definition, "kind", mistakes),
        operation,
        arguments,
        output_type,
        deprecated: definition.text(DEPRECATED, mistakes),
        handler: placed_text(&definition, "handler", mistakes),
        headers: definition.list("headers", mistakes).iter().filter_map(|node| read_header(node, mistakes)).collect(),
        forward_client_headers: definition.bool("forward_client_headers", mistakes).unwrap_or(false),
        ignored_client_headers: definition
            .get("ignored_client_headers")
            .map(|_| placed_texts(definition.list("ignored_client_headers", mistakes))),
        // Hasura's tools write no zero: there it stands for a timeout that was not given.
        timeout: definition.count("timeout", mistakes).filter(|seconds| *seconds > 0),
        permissions,
        comment,
        request_transform: definition.get("request_transform").and_then(|node| transform::read_request(node, mistakes)),
        response_transform: definition
            .get("response_transform")
            .and_then(|node| transform::read_response(node, mistakes))
            // One that changes nothing must not make up a value for an answer that has none either.
            .filter(|transform| !matches!(transform.body, BodyTransform::Keep)),
    };
    definition.finish(mistakes);
    Some(action)
}

fn placed_texts(nodes: &[Node]) -> Vec<(String, SourceLocation)> {
    nodes.iter().filter_map(|node| Some((node.scalar_text()?, node.place.clone()))).collect()
}

fn read_header(node: &Node, mistakes: &mut Vec<Diagnostic>) -> Option<HeaderEntry> {
    let fields = Fields::of(node, "a header", mistakes)?;
    let name = fields.required_text("name", mistakes)?;
    let place = fields.get("name").map_or_else(|| fields.place().clone(), |node| node.place.clone());
    let value = placed_text(&fields, "value", mistakes);
    let from_environment = placed_text(&fields, "value_from_env", mistakes);
    fields.finish(mistakes);
    let value = match (value, from_environment) {
        (Some((text, place)), None) => HeaderSource::Value(text, place),
        (None, Some((name, place))) => HeaderSource::FromEnvironment(name, place),
        _ => {
            let message = format!("the header '{name}' needs either \"value\" or \"value_from_env\"");
            mistakes.push(Diagnostic::error(Some(place), message, "give it exactly one of the two"));
            return None;
        }
    };
    Some(HeaderEntry { name, place, value })
}

fn read_inputs(nodes: &[Node], what: &'static str, mistakes: &mut Vec<Diagnostic>) -> Vec<InputEntry> {
    let mut inputs = Vec::new();
    for node in nodes {
        let Some(fields) = Fields::of(node, what, mistakes) else { continue };
        let name = fields.required_text("name", mistakes);
        let ty = placed_text(&fields, "type", mistakes);
        let description = fields.text("description", mistakes);
        let _ = fields.get("arguments");
        let default = fields.get(DEFAULT).map(Node::to_json);
        let deprecated = fields.text(DEPRECATED, mistakes);
        fields.finish(mistakes);
        if let (Some(name), Some(ty)) = (name, ty) {
            inputs.push(InputEntry { name, ty, description, default, deprecated });
        }
    }
    inputs
}

fn read_type(
    list: TypeList,
    node: &Node,
    signatures: &Signatures,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<TypeEntry> {
    let fields = Fields::of(node, "a custom type", mistakes)?;
    let name = fields.required_text("name", mistakes)?;
    let place = fields.get("name").map_or_else(|| fields.place().clone(), |node| node.place.clone());
    let (members, values) = if signatures.types.contains_key(&name) {
        // Hasura's tools drop them as well, whatever they are.
        ["fields", "values"].into_iter().for_each(|key| fields.ignore(key));
        (Vec::new(), Vec::new())
    } else {
        (read_inputs(fields.list("fields", mistakes), "a field", mistakes), read_values(&fields, mistakes))
    };
    let relationships = fields.list("relationships", mistakes);
    let entry = TypeEntry {
        list,
        place,
        name,
        description: fields.text("description", mistakes).filter(|description| !description.is_empty()),
        fields: members,
        values,
        is_one_of: fields.bool(IS_ONE_OF, mistakes).unwrap_or(false),
        specified_by: fields.text(SPECIFIED_BY, mistakes),
        relationships: relationships.iter().filter_map(|node| read_relationship(node, mistakes)).collect(),
    };
    fields.finish(mistakes);
    Some(entry)
}

fn read_values(fields: &Fields<'_>, mistakes: &mut Vec<Diagnostic>) -> Vec<(String, EnumValue)> {
    let mut values = Vec::new();
    for value in fields.list("values", mistakes) {
        let Some(value_fields) = Fields::of(value, "an enum value", mistakes) else { continue };
        let description = value_fields.text("description", mistakes);
        let reason = value_fields.text(DEPRECATED, mistakes);
        let is_deprecated = value_fields.bool(IS_DEPRECATED, mistakes).unwrap_or(false);
        let deprecated = reason.or_else(|| is_deprecated.then(|| NO_LONGER_SUPPORTED.to_owned()));
        let definition = EnumValue { description, deprecated };
        values.extend(value_fields.required_text("value", mistakes).map(|value| (value, definition)));
        value_fields.finish(mistakes);
    }
    values
}

fn read_relationship(node: &Node, mistakes: &mut Vec<Diagnostic>) -> Option<(Relationship, SourceLocation)> {
    let fields = Fields::of(node, "a relationship", mistakes)?;
    let name = fields.required_text("name", mistakes);
    let place = fields.get("name").map_or_else(|| fields.place().clone(), |node| node.place.clone());
    let mut refuse = |place: &SourceLocation, message: String, remedy: &str| {
        mistakes.push(Diagnostic::error(Some(place.clone()), message, remedy));
    };
    let is_array = match fields.get("type").and_then(Node::scalar_text).as_deref() {
        Some("object") => false,
        Some("array") => true,
        _ => {
            refuse(fields.place(), "a relationship needs a \"type\"".into(), "write type: object or type: array");
            false
        }
    };
    let table = fields.get("remote_table").and_then(read_table);
    if table.is_none() {
        let remedy = "write remote_table: {schema: public, name: …}, or the table's name alone";
        refuse(fields.place(), "a relationship needs a \"remote_table\"".into(), remedy);
    }
    // Which of the engine's databases it is, the engine knows by the table's root field.
    let _ = fields.get("source");
    let mut field_mapping = IndexMap::new();
    if let Some(node) = fields.get("field_mapping")
        && let Some(entries) = Fields::of(node, "a field mapping", mistakes)
    {
        let columns = entries.all().filter_map(|(field, _, column)| Some((field.to_owned(), column.scalar_text()?)));
        field_mapping.extend(columns);
    }
    fields.finish(mistakes);
    Some((Relationship { name: name?, lookup: Lookup::Table { table: table?, is_array, field_mapping } }, place))
}

/// `name`, or `{schema, name}`.
fn read_table(node: &Node) -> Option<Table> {
    if let Some(name) = node.scalar_text() {
        return Some(Table { schema: "public".into(), name });
    }
    let Data::Map(entries) = &node.data else { return None };
    let text = |key: &str| entries.iter().find(|(name, ..)| name == key).and_then(|(.., node)| node.scalar_text());
    Some(Table { schema: text("schema").unwrap_or_else(|| "public".into()), name: text("name")? })
}
