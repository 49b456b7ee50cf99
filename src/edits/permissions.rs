//! Grants and withdraws permissions of roles for an action.

use serde_json::{Value, json};

use crate::config::json_nodes::list;
use crate::edits::FileEdit;
use crate::edits::files::{ActionFiles, Edit};
use crate::graphql::suggestions::did_you_mean;
use crate::model::action::ADMIN_ROLE;
use crate::model::source::Diagnostic;

/// The files after these roles may call an action, and warnings about roles that nothing else names.
///
/// # Errors
/// There is no such action, a role cannot be given, or the files cannot be edited.
pub fn permit(
    files: &ActionFiles,
    name: &str,
    roles: &[String],
) -> Result<(Vec<FileEdit>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut edit = Edit::new(files)?;
    let missing = edit.no_such_action(name);
    let warnings = check_roles(&edit, roles).map_err(|diagnostic| vec![diagnostic])?;
    let action = edit.action_mut(name).and_then(Value::as_object_mut).ok_or_else(|| vec![missing])?;
    let mut permissions = list(action.get("permissions").unwrap_or(&Value::Null)).to_vec();
    for role in roles {
        if !permissions.iter().any(|permission| permission["role"] == **role) {
            permissions.push(json!({ "role": role }));
        }
    }
    if !permissions.is_empty() {
        action.insert("permissions".into(), permissions.into());
    }
    Ok((edit.finish()?, warnings))
}

/// The files after these roles may not call an action any more.
///
/// # Errors
/// There is no such action, a role may not call it anyway, or the files cannot be edited.
pub fn forbid(files: &ActionFiles, name: &str, roles: &[String]) -> Result<Vec<FileEdit>, Vec<Diagnostic>> {
    let mut edit = Edit::new(files)?;
    let missing = edit.no_such_action(name);
    let action = edit.action_mut(name).and_then(Value::as_object_mut).ok_or_else(|| vec![missing])?;
    let permissions = list(action.get("permissions").unwrap_or(&Value::Null)).to_vec();
    let known: Vec<&str> = permissions.iter().filter_map(|permission| permission["role"].as_str()).collect();
    let mut diagnostics = Vec::new();
    for role in roles.iter().filter(|role| !known.contains(&role.as_str())) {
        let suggestion = did_you_mean(role, known.iter().copied());
        let stop = if suggestion.is_empty() { "" } else { "." };
        let message = format!("role \"{role}\" has no permission for action '{name}'{stop}{suggestion}");
        let help = match role.as_str() {
            ADMIN_ROLE => "admin may call every action".to_owned(),
            _ if known.is_empty() => "only admin may call it".to_owned(),
            _ => format!("its permissions are: {}", known.join(", ")),
        };
        diagnostics.push(Diagnostic::error(None, message, help));
    }
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let is_left = |permission: &&Value| !roles.iter().any(|role| permission["role"] == **role);
    let left: Vec<Value> = permissions.iter().filter(is_left).cloned().collect();
    if left.is_empty() {
        action.shift_remove("permissions");
    } else {
        action.insert("permissions".into(), left.into());
    }
    edit.finish()
}

/// Letters that are missing or too many in a name that was mistyped.
const TYPING_ERRORS_MAX: usize = 2;

/// Warnings about roles that look like another one that is known.
///
/// # Errors
/// A role that cannot be given a permission.
pub(crate) fn check_roles(edit: &Edit<'_>, roles: &[String]) -> Result<Vec<Diagnostic>, Diagnostic> {
    let known = edit.roles();
    let mut warnings = Vec::new();
    for role in roles {
        if role == ADMIN_ROLE {
            return Err(Diagnostic::error(None, "admin may call every action", "leave the role out"));
        }
        if role.trim().is_empty() || role.trim() != role {
            return Err(Diagnostic::error(None, format!("\"{role}\" cannot be a role"), "write its name"));
        }
        let is_near = |other: &&String| other.len().abs_diff(role.len()) <= TYPING_ERRORS_MAX;
        let suggestion = did_you_mean(role, known.iter().filter(is_near).map(String::as_str));
        if !known.contains(role) && !suggestion.is_empty() {
            let message = format!("no other permission names the role \"{role}\".{suggestion}");
            warnings.push(Diagnostic::warning(None, message, "nothing else is wrong with a new role"));
        }
    }
    Ok(warnings)
}
