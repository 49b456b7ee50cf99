//! `actions.yaml` as Hasura writes it, parsed. References are resolved in `config/resolve.rs`.

use indexmap::IndexMap;
use serde_json::Value;

use crate::config::metadata_keys::{DEFAULT, DEPRECATED, IS_DEPRECATED, IS_ONE_OF, SPECIFIED_BY};
use crate::config::sdl::Signatures;
use crate::config::transform;
use crate::config::units::parse_span;
use crate::config::yaml::{Data, Fields, Node};
use crate::model::source::{Diagnostic, SourceFile, SourceLocation, assign};
use crate::model::transform::{BodyTransform, RequestTransform, ResponseTransform};
use crate::model::types::{Deprecation, EnumValue, Lookup, NO_LONGER_SUPPORTED, Relationship, Table};

/// The contents of all `actions.yaml` files together.
#[derive(Debug, Default)]
pub struct Metadata {
    /// The `actions` lists.
    pub actions: Vec<ActionEntry>,
    /// The `custom_types` lists.
    pub types: Vec<TypeEntry>,
    /// The contents of `inherited_roles.yaml`: each role with those it inherits from.
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
    /// How the handler's response is.
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
    /// Rows of the upstream that belong to an object, each with its place.
    pub relationships: Vec<(Relationship, SourceLocation)>,
}

/// Reads one file's content into `metadata_api`. Of what `signatures` define nothing is read that they say themselves.
pub fn read(file: &Node, signatures: &Signatures, metadata: &mut Metadata, diagnostics: &mut Vec<Diagnostic>) {
    let Some(fields) = Fields::of(file, "the file", diagnostics) else { return };
    for entry in fields.list("actions", diagnostics) {
        let start = diagnostics.len();
        metadata.actions.extend(read_action(entry, signatures, diagnostics));
        if let Some(name) = name_of(entry) {
            assign(diagnostics, start, &SourceFile::Action(name));
        }
    }
    if let Some(custom_types) = fields.get("custom_types")
        && let Some(lists) = Fields::of(custom_types, "custom_types", diagnostics)
    {
        for list in [TypeList::Enums, TypeList::InputObjects, TypeList::Objects, TypeList::Scalars] {
            for entry in lists.list(list.key(), diagnostics) {
                let start = diagnostics.len();
                metadata.types.extend(read_type(list, entry, signatures, diagnostics));
                if let Some(name) = name_of(entry) {
                    assign(diagnostics, start, &SourceFile::Type(name));
                }
            }
        }
        lists.finish(diagnostics);
    }
    fields.finish(diagnostics);
}

/// Reads `inherited_roles.yaml`: `[{role_name, role_set}]`.
pub fn read_inherited_roles(file: &Node, metadata: &mut Metadata, diagnostics: &mut Vec<Diagnostic>) {
    let Data::List(entries) = &file.data else {
        let message = format!("the file must hold a list of inherited roles, not {}", file.kind());
        diagnostics.push(Diagnostic::error(
            Some(file.place.clone()),
            message,
            "write - role_name: … and role_set: […]",
        ));
        return;
    };
    for entry in entries {
        let Some(fields) = Fields::of(entry, "an inherited role", diagnostics) else { continue };
        let name = fields.required_text("role_name", diagnostics);
        let members = fields.list("role_set", diagnostics).iter().filter_map(Node::scalar_text).collect();
        metadata.inherited_roles.extend(name.map(|name| (name, members)));
        fields.finish(diagnostics);
    }
}

fn name_of(entry: &Node) -> Option<String> {
    let Data::Map(members) = &entry.data else { return None };
    members.iter().find(|(key, ..)| key == "name").and_then(|(.., name)| name.scalar_text())
}

fn placed_text(fields: &Fields<'_>, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<(String, SourceLocation)> {
    let place = fields.get(key)?.place.clone();
    fields.text(key, diagnostics).map(|text| (text, place))
}

fn read_action(entry: &Node, signatures: &Signatures, diagnostics: &mut Vec<Diagnostic>) -> Option<ActionEntry> {
    let fields = Fields::of(entry, "an action", diagnostics)?;
    let name = fields.required_text("name", diagnostics)?;
    let place = fields.get("name").map_or_else(|| fields.place().clone(), |node| node.place.clone());
    let mut permissions = Vec::new();
    for permission in fields.list("permissions", diagnostics) {
        if let Some(role) = permission.scalar_text() {
            let message = format!("a permission is a mapping with a role, and this is {}", permission.kind());
            permission.reject(message, &format!("write - role: {role}"), diagnostics);
            continue;
        }
        let Some(fields) = Fields::of(permission, "a permission", diagnostics) else { continue };
        permissions.extend(fields.required_text("role", diagnostics));
        // Comments are for people, definitions a relic of old exports.
        let _ = (fields.get("comment"), fields.get("definition"));
        fields.finish(diagnostics);
    }
    // Exports of Hasura's console hold empty ones.
    let comment = fields.text("comment", diagnostics).filter(|comment| !comment.is_empty());
    let nothing = Node { data: Data::Null, place: place.clone() };
    let definition = fields.get("definition");
    if definition.is_none() {
        let message = format!("action '{name}' has no \"definition\"");
        diagnostics.push(Diagnostic::error(Some(place.clone()), message, "add a definition with a handler"));
    }
    fields.finish(diagnostics);
    let definition = Fields::of(definition.unwrap_or(&nothing), "a definition", diagnostics)?;
    let has_signature = signatures.actions.contains_key(&name);
    let (operation, arguments, output_type) = if has_signature {
        ["type", "arguments", "output_type"].into_iter().for_each(|key| definition.ignore(key));
        (None, Vec::new(), None)
    } else {
        (
            placed_text(&definition, "type", diagnostics),
            read_inputs(definition.list("arguments", diagnostics), "an argument", diagnostics),
            placed_text(&definition, "output_type", diagnostics),
        )
    };
    let action = ActionEntry {
        place,
        name,
        kind: placed_text(&definition, "kind", diagnostics),
        operation,
        arguments,
        output_type,
        deprecated: definition.text(DEPRECATED, diagnostics),
        handler: placed_text(&definition, "handler", diagnostics),
        headers: read_headers(&definition, diagnostics),
        forward_client_headers: definition.bool("forward_client_headers", diagnostics).unwrap_or(false),
        ignored_client_headers: definition
            .get("ignored_client_headers")
            .map(|_| placed_texts(definition.list("ignored_client_headers", diagnostics))),
        // Hasura's tools write no zero: there it stands for a timeout that was not given.
        timeout: read_timeout(&definition, diagnostics).filter(|seconds| *seconds > 0),
        permissions,
        comment,
        request_transform: definition
            .get("request_transform")
            .and_then(|node| transform::read_request(node, diagnostics)),
        response_transform: definition
            .get("response_transform")
            .and_then(|node| transform::read_response(node, diagnostics))
            // One that changes nothing must not make up a value for a response that has none either.
            .filter(|transform| !matches!(transform.body, BodyTransform::Keep)),
    };
    definition.finish(diagnostics);
    Some(action)
}

/// Hasura's number of seconds.
fn read_timeout(definition: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<u64> {
    let node = definition.get("timeout")?;
    if let Some(span) =
        node.scalar_text().filter(|_| matches!(node.data, Data::Text(_))).and_then(|text| parse_span(&text))
    {
        let message = format!("\"timeout\" must be a whole number of seconds, and is {}", node.kind());
        node.reject(message, &format!("write timeout: {}", span.as_secs().max(1)), diagnostics);
        return None;
    }
    definition.count("timeout", diagnostics)
}

fn placed_texts(nodes: &[Node]) -> Vec<(String, SourceLocation)> {
    nodes.iter().filter_map(|node| Some((node.scalar_text()?, node.place.clone()))).collect()
}

fn read_headers(definition: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<HeaderEntry> {
    if let Some(node) = definition.get("headers").filter(|node| matches!(node.data, Data::Map(_))) {
        let help = "write a list: - name: X-Name with a value or value_from_env";
        node.reject("\"headers\" must be a list, and is a mapping", help, diagnostics);
        return Vec::new();
    }
    let nodes = definition.list("headers", diagnostics).iter();
    nodes.filter_map(|node| read_header(node, diagnostics)).collect()
}

fn read_header(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<HeaderEntry> {
    let fields = Fields::of(node, "a header", diagnostics)?;
    let name = fields.required_text("name", diagnostics)?;
    let place = fields.get("name").map_or_else(|| fields.place().clone(), |node| node.place.clone());
    let value = placed_text(&fields, "value", diagnostics);
    let from_environment = placed_text(&fields, "value_from_env", diagnostics);
    fields.finish(diagnostics);
    let value = match (value, from_environment) {
        (Some((text, place)), None) => HeaderSource::Value(text, place),
        (None, Some((name, place))) => HeaderSource::FromEnvironment(name, place),
        _ => {
            let message = format!("the header '{name}' needs either \"value\" or \"value_from_env\"");
            diagnostics.push(Diagnostic::error(Some(place), message, "give it exactly one of the two"));
            return None;
        }
    };
    Some(HeaderEntry { name, place, value })
}

fn read_inputs(nodes: &[Node], what: &'static str, diagnostics: &mut Vec<Diagnostic>) -> Vec<InputEntry> {
    let mut inputs = Vec::new();
    for node in nodes {
        let Some(fields) = Fields::of(node, what, diagnostics) else { continue };
        let name = fields.required_text("name", diagnostics);
        let ty = placed_text(&fields, "type", diagnostics);
        let description = fields.text("description", diagnostics);
        let _ = fields.get("arguments");
        let default = fields.get(DEFAULT).map(Node::to_json);
        let deprecated = fields.text(DEPRECATED, diagnostics);
        fields.finish(diagnostics);
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
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<TypeEntry> {
    let fields = Fields::of(node, "a custom type", diagnostics)?;
    let name = fields.required_text("name", diagnostics)?;
    let place = fields.get("name").map_or_else(|| fields.place().clone(), |node| node.place.clone());
    let (members, values) = if signatures.types.contains_key(&name) {
        // Hasura's tools drop them as well, whatever they are.
        ["fields", "values"].into_iter().for_each(|key| fields.ignore(key));
        (Vec::new(), Vec::new())
    } else {
        (read_inputs(fields.list("fields", diagnostics), "a field", diagnostics), read_values(&fields, diagnostics))
    };
    let relationships = fields.list("relationships", diagnostics);
    let entry = TypeEntry {
        list,
        place,
        name,
        description: fields.text("description", diagnostics).filter(|description| !description.is_empty()),
        fields: members,
        values,
        is_one_of: fields.bool(IS_ONE_OF, diagnostics).unwrap_or(false),
        specified_by: fields.text(SPECIFIED_BY, diagnostics),
        relationships: relationships.iter().filter_map(|node| read_relationship(node, diagnostics)).collect(),
    };
    fields.finish(diagnostics);
    Some(entry)
}

fn read_values(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<(String, EnumValue)> {
    let mut values = Vec::new();
    for value in fields.list("values", diagnostics) {
        let Some(value_fields) = Fields::of(value, "an enum value", diagnostics) else { continue };
        let description = value_fields.text("description", diagnostics);
        let reason = value_fields.text(DEPRECATED, diagnostics);
        let is_deprecated = value_fields.bool(IS_DEPRECATED, diagnostics).unwrap_or(false);
        let deprecated = reason.or_else(|| is_deprecated.then(|| NO_LONGER_SUPPORTED.to_owned()));
        let definition = EnumValue { description, deprecated };
        values.extend(value_fields.required_text("value", diagnostics).map(|value| (value, definition)));
        value_fields.finish(diagnostics);
    }
    values
}

fn read_relationship(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<(Relationship, SourceLocation)> {
    let fields = Fields::of(node, "a relationship", diagnostics)?;
    let name = fields.required_text("name", diagnostics);
    let place = fields.get("name").map_or_else(|| fields.place().clone(), |node| node.place.clone());
    let mut reject = |place: &SourceLocation, message: String, help: &str| {
        diagnostics.push(Diagnostic::error(Some(place.clone()), message, help));
    };
    let is_array = match fields.get("type").and_then(Node::scalar_text).as_deref() {
        Some("object") => false,
        Some("array") => true,
        _ => {
            reject(fields.place(), "a relationship needs a \"type\"".into(), "write type: object or type: array");
            false
        }
    };
    let table = fields.get("remote_table").and_then(read_table);
    if table.is_none() {
        let help = "write remote_table: {schema: public, name: …}, or the table's name alone";
        reject(fields.place(), "a relationship needs a \"remote_table\"".into(), help);
    }
    // Which of the upstream's databases it is, the upstream knows by the table's root field.
    let _ = fields.get("source");
    let mut field_mapping = IndexMap::new();
    if let Some(node) = fields.get("field_mapping")
        && let Some(entries) = Fields::of(node, "a field mapping", diagnostics)
    {
        let columns = entries.all().filter_map(|(field, _, column)| Some((field.to_owned(), column.scalar_text()?)));
        field_mapping.extend(columns);
    }
    fields.finish(diagnostics);
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
