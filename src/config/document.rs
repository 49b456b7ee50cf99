//! The metadata of actions and stored documents as one JSON document, in the form in which Hasura exports it. Commands of the metadata API
//! edit it; files are read into it and written from it.

use serde_json::{Map, Value, json};

use crate::config::json_nodes::{list, node_at, place_of};
use crate::config::metadata;
use crate::config::metadata::{Metadata, TypeList};
use crate::config::metadata_keys::{DEFAULT, DEPRECATED, IS_DEPRECATED, IS_ONE_OF, SPECIFIED_BY};
use crate::config::resolve::{Usable, resolve_usable};
use crate::config::resolver::ResolveOptions;
use crate::config::sdl::{Signature, Signatures};
use crate::config::stored_lists::StoredLists;
use crate::config::upstream_types::LookUp;
use crate::config::yaml::Node;
use crate::model::action::{OperationKind, Tolerated};
use crate::model::source::{Diagnostic, SourceFile};
use crate::model::types::{EnumValue, InputValue, OutputField, TypeDefinition, TypeKind};

/// The metadata of actions, and the stored documents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Each with `name`, `definition`, `permissions` and `comment`.
    pub actions: Vec<Value>,
    /// `enums`, `input_objects`, `objects`, `scalars`.
    pub custom_types: Map<String, Value>,
    /// Each with `role_name` and `role_set`.
    pub inherited_roles: Vec<Value>,
    /// Query collections, the allow list and REST endpoints.
    pub stored: StoredLists,
}

/// The lists of `custom_types`, in the order in which Hasura's tools write them.
pub const LISTS: [TypeList; 4] = [TypeList::Enums, TypeList::InputObjects, TypeList::Objects, TypeList::Scalars];

impl Document {
    /// The contents of all files with actions together; those with stored documents are left out.
    #[must_use]
    pub fn of_files(files: &[Node], inherited_roles: Option<&Node>, signatures: &Signatures) -> Self {
        let mut document = Self::default();
        for file in files.iter().map(Node::to_json) {
            document.actions.extend(list_of(&file, "actions").iter().cloned());
            let types = file.get("custom_types").unwrap_or(&Value::Null);
            for kind in LISTS {
                let entries = list_of(types, kind.key()).iter();
                let all: Vec<Value> = document.list(kind).iter().chain(entries).cloned().collect();
                if !all.is_empty() {
                    document.custom_types.insert(kind.key().into(), all.into());
                }
            }
        }
        document.inherited_roles = inherited_roles.map(Node::to_json).as_ref().map(list).unwrap_or_default().to_vec();
        for (name, signature) in &signatures.actions {
            if let Some(Value::Object(action)) = document.actions.iter_mut().find(|action| action["name"] == **name) {
                add_signature(action, signature);
            }
        }
        for (name, (definition, _)) in &signatures.types {
            document.add_definition(name, definition);
        }
        document
    }

    /// The document in an export, whatever else that holds.
    #[must_use]
    pub fn of_export(export: &Map<String, Value>) -> Self {
        let get = |key: &str| export.get(key).unwrap_or(&Value::Null);
        Self {
            actions: list(get("actions")).to_vec(),
            custom_types: get("custom_types").as_object().cloned().unwrap_or_default(),
            inherited_roles: list(get("inherited_roles")).to_vec(),
            stored: StoredLists::of_export(export),
        }
    }

    /// The same as one JSON value, for where it is kept.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = json!({
            "actions": self.actions,
            "custom_types": self.custom_types,
            "inherited_roles": self.inherited_roles,
        });
        if let Some(members) = json.as_object_mut() {
            members.extend(self.stored.entries().map(|(key, entries)| (key.to_owned(), entries.clone().into())));
        }
        json
    }

    /// The action of this name.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<&Map<String, Value>> {
        self.actions.iter().find(|action| action["name"] == *name).and_then(Value::as_object)
    }

    /// The action of this name, to be changed.
    pub fn action_mut(&mut self, name: &str) -> Option<&mut Map<String, Value>> {
        self.actions.iter_mut().find(|action| action["name"] == *name).and_then(Value::as_object_mut)
    }

    /// The entries of a list of custom types.
    #[must_use]
    pub fn list(&self, kind: TypeList) -> &[Value] {
        self.custom_types.get(kind.key()).map(list).unwrap_or_default()
    }

    /// Puts an entry into a list of custom types, in the place of one of the same name or at the end.
    fn set_entry(&mut self, kind: TypeList, name: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        let mut entries = self.list(kind).to_vec();
        match entries.iter_mut().find(|entry| entry["name"] == *name) {
            Some(Value::Object(entry)) => change(entry),
            _ => {
                let mut entry = Map::from_iter([("name".to_owned(), Value::from(name))]);
                change(&mut entry);
                entries.push(entry.into());
            }
        }
        self.custom_types.insert(kind.key().into(), entries.into());
    }

    fn add_definition(&mut self, name: &str, definition: &TypeDefinition) {
        let (kind, key, members) = match &definition.kind {
            TypeKind::Scalar => (TypeList::Scalars, "", Value::Null),
            TypeKind::Enum(values) => {
                let value = |(value, definition): (&String, &EnumValue)| {
                    let mut json = described(json!({ "value": value }), definition.description.as_deref());
                    if let (Some(reason), Value::Object(members)) = (&definition.deprecated, &mut json) {
                        members.insert(IS_DEPRECATED.into(), true.into());
                        members.insert(DEPRECATED.into(), reason.as_str().into());
                    }
                    json
                };
                (TypeList::Enums, "values", values.iter().map(value).collect())
            }
            TypeKind::InputObject(fields) => {
                (TypeList::InputObjects, "fields", fields.iter().map(input_json).collect())
            }
            TypeKind::Object(fields) => {
                let field = |(name, field): (&String, &OutputField)| {
                    let json =
                        described(json!({ "name": name, "type": field.ty.to_string() }), field.description.as_deref());
                    deprecated(json, field.deprecated.as_deref())
                };
                (TypeList::Objects, "fields", fields.iter().map(field).collect())
            }
        };
        self.set_entry(kind, name, |entry| {
            // Members of the file beside the definition are ignored.
            entry.retain(|key, _| key != "fields" && key != "values");
            if !key.is_empty() {
                entry.insert(key.into(), members);
            }
            if let Some(description) = &definition.description {
                entry.entry("description").or_insert_with(|| description.as_str().into());
            }
            if definition.is_one_of {
                entry.insert(IS_ONE_OF.into(), true.into());
            }
            if let Some(url) = &definition.specified_by {
                entry.insert(SPECIFIED_BY.into(), url.as_str().into());
            }
        });
    }

    /// The same without some of its actions and types.
    #[must_use]
    pub fn without(&self, subjects: &[&SourceFile]) -> Self {
        let mut document = self.clone();
        let is_kept = |entry: &Value, subject: fn(String) -> SourceFile| {
            let named = entry["name"].as_str().map(|name| subject(name.to_owned()));
            named.is_none_or(|named| !subjects.contains(&&named))
        };
        document.actions.retain(|action| is_kept(action, SourceFile::Action));
        for kind in LISTS {
            if let Some(Value::Array(entries)) = document.custom_types.get_mut(kind.key()) {
                entries.retain(|entry| is_kept(entry, SourceFile::Type));
            }
        }
        document
    }

    /// The actions that the document makes: those that can be used, if the others are `tolerated`.
    ///
    /// # Errors
    /// See [`resolve_usable`].
    pub fn resolve(
        &self,
        surroundings: &ResolveOptions<'_>,
        look_up: Option<LookUp<'_>>,
        tolerated: &Tolerated,
    ) -> Result<Usable, Vec<Diagnostic>> {
        let signatures = Signatures::default();
        let read = |diagnostics: &mut Vec<Diagnostic>| {
            let mut metadata = Metadata::default();
            for action in &self.actions {
                let place = place_of(&format!("action {}", action["name"].as_str().unwrap_or_default()));
                let file = json!({ "actions": [action] });
                metadata::read(&node_at(&file, &place), &signatures, &mut metadata, diagnostics);
            }
            let types = json!({ "custom_types": self.custom_types });
            metadata::read(&node_at(&types, &place_of(TYPES)), &signatures, &mut metadata, diagnostics);
            let roles = Value::from(self.inherited_roles.clone());
            metadata::read_inherited_roles(&node_at(&roles, &place_of(TYPES)), &mut metadata, diagnostics);
            (metadata, Signatures::default())
        };
        resolve_usable(&read, surroundings, look_up, tolerated)
    }
}

/// Where errors in the custom types are reported.
const TYPES: &str = "custom_types";

/// The elements of the list that is a member of `object`.
fn list_of<'v>(object: &'v Value, key: &str) -> &'v [Value] {
    object.get(key).map(list).unwrap_or_default()
}

fn add_signature(action: &mut Map<String, Value>, signature: &Signature) {
    if let (Some(description), false) = (&signature.description, action.get("comment").is_some_and(Value::is_string)) {
        action.insert("comment".into(), description.as_str().into());
    }
    let Some(Value::Object(definition)) = action.get_mut("definition") else { return };
    let kind = if signature.kind == OperationKind::Query { "query" } else { "mutation" };
    definition.insert("type".into(), kind.into());
    definition.insert("arguments".into(), signature.arguments.iter().map(input_json).collect());
    definition.insert("output_type".into(), signature.output.to_string().into());
    if let Some(reason) = &signature.deprecated {
        definition.insert(DEPRECATED.into(), reason.as_str().into());
    }
}

fn input_json(input: &InputValue) -> Value {
    let json = described(json!({ "name": input.name, "type": input.ty.to_string() }), input.description.as_deref());
    let mut json = deprecated(json, input.deprecated.as_deref());
    if let (Some(default), Value::Object(fields)) = (&input.default, &mut json) {
        // Hasura has no place for it, so it is never exported.
        fields.insert(DEFAULT.into(), default.clone());
    }
    json
}

fn deprecated(mut json: Value, reason: Option<&str>) -> Value {
    if let (Some(reason), Value::Object(members)) = (reason, &mut json) {
        members.insert(DEPRECATED.into(), reason.into());
    }
    json
}

fn described(mut json: Value, description: Option<&str>) -> Value {
    if let (Some(description), Value::Object(fields)) = (description, &mut json) {
        fields.insert("description".into(), description.into());
    }
    json
}
