//! Applies commands to a metadata document. No input or output.

use serde_json::{Map, Value, json};

use crate::config::document::Document;
use crate::config::json_nodes::list;
use crate::metadata_api::command::{ActionArgs, PermissionArgs};
use crate::metadata_api::error::ApiError;
use crate::metadata_api::export;
use crate::model::source;
use crate::model::source::Diagnostic;

/// Adds an action.
///
/// # Errors
/// When there is one of its name.
pub(crate) fn create_action(document: &mut Document, args: ActionArgs) -> Result<(), ApiError> {
    let ActionArgs { name, definition, comment } = args;
    if document.action(&name).is_some() {
        return Err(ApiError::new("already-exists", format!("action with name \"{name}\" already exists")));
    }
    let mut action = Map::new();
    action.insert("name".into(), name.into());
    action.insert("definition".into(), definition.into());
    action.extend(comment.map(|comment| ("comment".to_owned(), comment.into())));
    document.actions.push(action.into());
    Ok(())
}

/// Gives an action another definition and comment; its permissions stay.
///
/// # Errors
/// When there is none of its name.
pub(crate) fn update_action(document: &mut Document, args: ActionArgs) -> Result<(), ApiError> {
    let ActionArgs { name, definition, comment } = args;
    let action = document.action_mut(&name).ok_or_else(|| no_such_action(&name))?;
    action.insert("definition".into(), definition.into());
    match comment {
        Some(comment) => action.insert("comment".into(), comment.into()),
        None => action.shift_remove("comment"),
    };
    Ok(())
}

/// Removes an action, its permissions with it.
///
/// # Errors
/// When there is none of its name.
pub(crate) fn drop_action(document: &mut Document, name: &str) -> Result<(), ApiError> {
    document.action(name).ok_or_else(|| no_such_action(name))?;
    document.actions.retain(|action| action["name"] != *name);
    Ok(())
}

/// Lets a role call an action.
///
/// # Errors
/// When it may already, or there is no such action.
pub(crate) fn create_permission(document: &mut Document, args: PermissionArgs) -> Result<(), ApiError> {
    let PermissionArgs { action: name, role, comment } = args;
    let action = document.action_mut(&name).ok_or_else(|| no_such_action(&name))?;
    let mut permissions = action.get("permissions").map(list).unwrap_or_default().to_vec();
    if permissions.iter().any(|permission| permission["role"] == *role) {
        let error = format!("permission for role \"{role}\" is already defined on \"{name}\"");
        return Err(ApiError::new("already-exists", error));
    }
    let mut permission = Map::from_iter([("role".to_owned(), Value::from(role))]);
    permission.extend(comment.map(|comment| ("comment".to_owned(), comment.into())));
    permissions.push(permission.into());
    action.insert("permissions".into(), permissions.into());
    Ok(())
}

/// Lets a role call an action no longer.
///
/// # Errors
/// When it may not.
pub(crate) fn drop_permission(document: &mut Document, args: &PermissionArgs) -> Result<(), ApiError> {
    let PermissionArgs { action: name, role, .. } = args;
    let action = document.action_mut(name).ok_or_else(|| no_such_action(name))?;
    let permissions = action.get("permissions").map(list).unwrap_or_default();
    let left: Vec<Value> = permissions.iter().filter(|permission| permission["role"] != **role).cloned().collect();
    if left.len() == permissions.len() {
        let error = format!("permission for role: \"{role}\" is not defined on \"{name}\"");
        return Err(ApiError::new("not-exists", error));
    }
    action.insert("permissions".into(), left.into());
    Ok(())
}

fn no_such_action(name: &str) -> ApiError {
    ApiError::new("not-exists", format!("action with name \"{name}\" does not exist"))
}

/// What a command was about, for the error that it would make something inconsistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EditTarget {
    /// One action.
    Action(String),
    /// The custom types.
    Types,
    /// All of it.
    Everything,
}

impl EditTarget {
    /// Is this error in what the command was about?
    #[must_use]
    pub(crate) fn has(&self, diagnostic: &Diagnostic) -> bool {
        match (self, diagnostic.subject.as_deref()) {
            (Self::Action(name), Some(source::SourceFile::Action(wrong))) => name == wrong,
            (Self::Types, Some(source::SourceFile::Type(_))) => true,
            _ => false,
        }
    }
}

/// The error of a command after which `document` would be inconsistent.
#[must_use]
pub(crate) fn inconsistent(document: &Document, subject: &EditTarget, found: &[Diagnostic]) -> ApiError {
    let objects = objects(document, found);
    let own = objects.iter().find(|object| match subject {
        EditTarget::Action(name) => object["name"] == format!("action {name}"),
        EditTarget::Types => object["type"] == "custom_types",
        EditTarget::Everything => false,
    });
    let (code, error) = match (own, subject) {
        (Some(own), _) => ("invalid-configuration", own["reason"].as_str().unwrap_or_default().to_owned()),
        (None, EditTarget::Everything) => ("unexpected", "cannot continue due to inconsistent metadata".into()),
        (None, _) => ("unexpected", "cannot continue due to new inconsistent metadata".into()),
    };
    ApiError { internal: Some(Box::new(objects.into())), ..ApiError::new(code, error) }
}

/// Each inconsistent object with the reason, in Hasura's form. Whatever is not about an action or an extension field is
/// about the types.
#[must_use]
pub(crate) fn objects(document: &Document, found: &[Diagnostic]) -> Vec<Value> {
    let mut objects = Vec::new();
    let reasons = |action: Option<&str>| -> Vec<&str> {
        let own = found.iter().filter(|one| match one.subject.as_deref() {
            Some(source::SourceFile::Action(name)) => action == Some(name),
            Some(source::SourceFile::ExtensionField(_)) => false,
            _ => action.is_none(),
        });
        own.map(|one| one.message.as_str()).collect()
    };
    let types = reasons(None);
    if !types.is_empty() {
        let because = match types.as_slice() {
            [only] => format!("because {only}"),
            several => format!("for the following reasons:\n  • {}", several.join("\n  • ")),
        };
        objects.push(json!({
            "definition": export::inconsistent_types(document),
            "reason": format!("Inconsistent object: validation for the given custom types failed {because}"),
            "name": "custom_types custom_types",
            "type": "custom_types",
        }));
    }
    for action in document.actions.iter().filter_map(Value::as_object) {
        let name = action.get("name").and_then(Value::as_str).unwrap_or_default();
        let reasons = reasons(Some(name));
        if !reasons.is_empty() {
            objects.push(json!({
                "definition": export::inconsistent_action(action),
                "reason": format!("Inconsistent object: in action \"{name}\"; {}", reasons.join("; ")),
                "name": format!("action {name}"),
                "type": "action",
            }));
        }
    }
    objects.extend(found.iter().filter_map(|one| match one.subject.as_deref() {
        Some(source::SourceFile::ExtensionField(name)) => Some(json!({
            "definition": { "field": name },
            "reason": format!("Inconsistent object: {}", one.message),
            "name": format!("extension field {name}"),
            "type": "extension_field",
        })),
        _ => None,
    }));
    objects
}
