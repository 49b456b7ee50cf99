//! Creates an action: its entry in `actions.yaml`, its field and its types in `actions.graphql`.

use std::fmt::Write as _;
use std::sync::Arc;

use apollo_compiler::ast::{Definition, Document};
use serde_json::{Map, Value, json};

use crate::config::document::LISTS;
use crate::config::metadata::TypeList;
use crate::config::sdl::root_kind;
use crate::edits::FileEdit;
use crate::edits::files::{ActionFiles, Edit};
use crate::edits::permissions::check_roles;
use crate::edits::signature::{FieldSignature, parse_definitions};
use crate::model::action::OperationKind;
use crate::model::source::{Diagnostic, Source, SourceLocation};

/// An action that is to be created.
#[derive(Clone, Debug)]
pub struct NewAction {
    /// Its field.
    pub signature: FieldSignature,
    /// The definitions of its types, SDL; may be empty.
    pub types: String,
    /// The handler's address.
    pub handler: String,
    /// Does its field return an id at once?
    pub is_async: bool,
    /// Are the client's headers sent on?
    pub forward_client_headers: bool,
    /// Headers of its own.
    pub headers: Vec<NewHeader>,
    /// Seconds.
    pub timeout: Option<u64>,
    /// The roles that may call it.
    pub roles: Vec<String>,
    /// Its description.
    pub comment: Option<String>,
}

/// A header of a new action.
#[derive(Clone)]
pub struct NewHeader {
    /// Its name.
    pub name: String,
    /// Its value, or the variable that holds it.
    pub value: HeaderValue,
}

/// Where the value of a header comes from.
#[derive(Clone)]
pub enum HeaderValue {
    /// As it is. It may be a secret.
    Text(String),
    /// A variable.
    FromEnvironment(String),
}

/// Without the value.
impl std::fmt::Debug for NewHeader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewHeader").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The files with one more action, and what is worth knowing.
///
/// # Errors
/// What is wrong with it, or with the files.
pub fn create(files: &ActionFiles, action: &NewAction) -> Result<(Vec<FileEdit>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut edit = Edit::new(files)?;
    let types = definitions(&action.types)?;
    let mut diagnostics = collisions(&edit, action, &types);
    if action.is_async && action.signature.kind == OperationKind::Query {
        let message = format!("action '{}' is a query: only mutations are asynchronous", action.signature.name);
        diagnostics.push(Diagnostic::error(None, message, "declare it as a mutation, or leave --kind out"));
    }
    let warnings = match check_roles(&edit, &action.roles) {
        Ok(warnings) => warnings,
        Err(diagnostic) => {
            diagnostics.push(diagnostic);
            Vec::new()
        }
    };
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    if let Some(file) = edit.yaml.first_mut() {
        if file.is_null() {
            *file = json!({});
        }
        add_entry(file, action);
        for definition in &types {
            list_type(file, definition);
        }
    }
    if let Some(editor) = edit.sdl.first_mut() {
        editor.add_root_field(action.signature.kind, &action.signature.text);
        for definition in &types {
            editor.append(&definition.text);
        }
    }
    Ok((edit.finish()?, warnings))
}

/// A type's definition.
pub(crate) struct NewType {
    pub(crate) name: String,
    list: Option<TypeList>,
    pub(crate) text: String,
}

/// Those of `text`. What is written on one line gets lines of its own.
fn definitions(text: &str) -> Result<Vec<NewType>, Vec<Diagnostic>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let source = Arc::new(Source::new("--type", text));
    let help = "write SDL: type Quote { price: Float! }";
    let document = parse_definitions(text, help, |offset| SourceLocation::at_offset(&source, offset));
    definitions_in(&document.map_err(|diagnostic| vec![diagnostic])?, text, &source)
}

/// Those of a document that was parsed from `text`.
pub(crate) fn definitions_in(
    document: &Document,
    text: &str,
    source: &Arc<Source>,
) -> Result<Vec<NewType>, Vec<Diagnostic>> {
    let mut types = Vec::new();
    for definition in &document.definitions {
        let name = definition.name().map(ToString::to_string).unwrap_or_default();
        let list = match definition {
            Definition::ObjectTypeDefinition(_) => Some(TypeList::Objects),
            Definition::InputObjectTypeDefinition(_) => Some(TypeList::InputObjects),
            Definition::EnumTypeDefinition(_) => Some(TypeList::Enums),
            Definition::ScalarTypeDefinition(_) => Some(TypeList::Scalars),
            _ => None,
        };
        if list.is_none() || root_kind(&name).is_some() {
            let place = definition.location().map(|span| SourceLocation::at_offset(source, span.offset()));
            let message = "this is not a type that an action can use";
            let help = "define objects, input objects, enums and scalars; the signature has the action's own field";
            return Err(vec![Diagnostic::error(place, message, help)]);
        }
        let span = definition.location().map(|span| span.offset()..span.end_offset());
        let written = span.and_then(|span| text.get(span)).unwrap_or_default().trim();
        let text = if written.contains('\n') { written.to_owned() } else { definition.to_string() };
        types.push(NewType { name, list, text });
    }
    Ok(types)
}

fn collisions(edit: &Edit<'_>, action: &NewAction, types: &[NewType]) -> Vec<Diagnostic> {
    let name = &action.signature.name;
    let mut diagnostics = Vec::new();
    if edit.action_names().contains(name) {
        let message = format!("there is an action \"{name}\" already{}", there(edit, name, true));
        diagnostics.push(Diagnostic::error(None, message, "choose another name, or remove that one first"));
    }
    let known = edit.type_names();
    for (index, definition) in types.iter().enumerate() {
        let is_twice = types.iter().take(index).any(|other| other.name == definition.name);
        if known.contains(&definition.name) || is_twice {
            let place = there(edit, &definition.name, false);
            let message = format!("there is a type \"{}\" already{place}", definition.name);
            let help = "leave its definition out to use that one, or choose another name";
            diagnostics.push(Diagnostic::error(None, message, help));
        }
    }
    diagnostics
}

/// Where an action or a type is defined: `: actions.graphql:3:6`.
fn there(edit: &Edit<'_>, name: &str, is_action: bool) -> String {
    let mut text = String::new();
    for (file, editor) in edit.files.graphql.iter().zip(&edit.sdl) {
        let range = if is_action {
            editor.root_field(name).map(|(_, member)| member.name_range.clone())
        } else {
            editor.definition(name).map(|block| block.range.clone())
        };
        if let Some(range) = range {
            let place = SourceLocation::at_span(&file.source, range);
            let _ = write!(text, ": {}:{}:{}", place.source.name, place.line, place.column);
            break;
        }
    }
    text
}

fn add_entry(file: &mut Value, action: &NewAction) {
    let is_query = action.signature.kind == OperationKind::Query;
    let mut definition = Map::new();
    if !is_query {
        definition.insert("kind".into(), if action.is_async { "asynchronous" } else { "synchronous" }.into());
    }
    definition.insert("handler".into(), action.handler.as_str().into());
    if action.forward_client_headers {
        definition.insert("forward_client_headers".into(), true.into());
    }
    if !action.headers.is_empty() {
        let header = |header: &NewHeader| match &header.value {
            HeaderValue::Text(value) => json!({ "name": header.name, "value": value }),
            HeaderValue::FromEnvironment(variable) => json!({ "name": header.name, "value_from_env": variable }),
        };
        definition.insert("headers".into(), action.headers.iter().map(header).collect());
    }
    if let Some(timeout) = action.timeout {
        definition.insert("timeout".into(), timeout.into());
    }
    let mut entry = Map::new();
    entry.insert("name".into(), action.signature.name.as_str().into());
    entry.insert("definition".into(), definition.into());
    if !action.roles.is_empty() {
        entry.insert("permissions".into(), action.roles.iter().map(|role| json!({ "role": role })).collect());
    }
    if let Some(comment) = &action.comment {
        entry.insert("comment".into(), comment.as_str().into());
    }
    let Some(file) = file.as_object_mut() else { return };
    let actions = file.entry("actions").or_insert(Value::Null);
    if actions.is_null() {
        *actions = json!([]);
    }
    if let Some(actions) = actions.as_array_mut() {
        actions.push(entry.into());
    }
}

/// Hasura's tools list types in `actions.yaml` as well. Where such a list is, the new type is named in it.
pub(crate) fn list_type(file: &mut Value, definition: &NewType) {
    let Some(kind) = LISTS.into_iter().find(|kind| definition.list == Some(*kind)) else { return };
    if let Some(types) = file.pointer_mut(&format!("/custom_types/{}", kind.key())).and_then(Value::as_array_mut) {
        types.push(json!({ "name": definition.name }));
    }
}
