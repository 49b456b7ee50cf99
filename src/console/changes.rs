//! Changes of actions on the console: each is an edit of the files, which is shown as a diff with what would be wrong then, and
//! written only if the files are still those that were shown.

use std::collections::HashMap;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::changes::check::appearing;
use crate::changes::openapi::MetadataFiles;
use crate::config::settings::MetadataApi;
use crate::console::Console;
use crate::console::import::ImportRequest;
use crate::console::playground::Identity;
use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply, diagnostics_json, variables_json};
use crate::edits::create::{HeaderValue, NewAction, NewHeader, create};
use crate::edits::define::{WrittenDefinition, define, in_definition, parse_definition};
use crate::edits::derive::derive;
use crate::edits::diff::unified_diff;
use crate::edits::files::{ActionFiles, type_names};
use crate::edits::permissions::{forbid, permit};
use crate::edits::read::read_action_files;
use crate::edits::remove::remove;
use crate::edits::rename::rename;
use crate::edits::signature::FieldSignature;
use crate::edits::write::{WriteError, probe, write};
use crate::edits::{FileEdit, entry};
use crate::model::source::{Diagnostic, Severity};
use crate::openapi::imported::Variable;

/// The body of a preview or a save.
#[derive(Deserialize)]
struct ChangeRequest {
    change: Change,
    #[serde(default)]
    revision: String,
}

/// A change.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Change {
    Create {
        definition: String,
        #[serde(flatten)]
        handler: NewHandler,
    },
    Derive {
        name: String,
        operation: String,
        #[serde(default, rename = "as")]
        identity: Identity,
        #[serde(flatten)]
        handler: NewHandler,
    },
    Clone {
        action: String,
        name: String,
    },
    Rename {
        action: String,
        name: String,
    },
    Remove {
        action: String,
        #[serde(default)]
        keep_types: bool,
    },
    Permit {
        action: String,
        roles: Vec<String>,
    },
    Forbid {
        action: String,
        roles: Vec<String>,
    },
    Permissions {
        grid: Vec<Permissions>,
    },
    Definition {
        action: String,
        definition: String,
    },
    Set {
        action: String,
        set: Map<String, Value>,
    },
    Settings {
        action: String,
        set: Map<String, Value>,
    },
    Relationship {
        #[serde(rename = "type")]
        owner: String,
        name: String,
        set: Value,
    },
    Field {
        coordinate: String,
        set: Value,
    },
    ImportOpenapi(ImportRequest),
}

/// The roles of one action.
#[derive(Deserialize)]
struct Permissions {
    action: String,
    roles: Vec<String>,
}

/// How a new action is called, and by whom.
#[derive(Default, Deserialize)]
#[serde(default)]
struct NewHandler {
    handler: String,
    asynchronous: bool,
    roles: Vec<String>,
    headers: Vec<WrittenHeader>,
    forward_client_headers: bool,
    timeout: Option<u64>,
    comment: Option<String>,
}

#[derive(Deserialize)]
struct WrittenHeader {
    name: String,
    value: Option<String>,
    value_from_env: Option<String>,
}

impl NewHandler {
    fn action(self, signature: FieldSignature, types: String) -> NewAction {
        let header = |header: WrittenHeader| NewHeader {
            name: header.name,
            value: match header.value_from_env {
                Some(variable) => HeaderValue::FromEnvironment(variable),
                None => HeaderValue::Text(header.value.unwrap_or_default()),
            },
        };
        NewAction {
            signature,
            types,
            handler: self.handler,
            is_async: self.asynchronous,
            forward_client_headers: self.forward_client_headers,
            headers: self.headers.into_iter().map(header).collect(),
            timeout: self.timeout,
            roles: self.roles,
            comment: self.comment.filter(|comment| !comment.is_empty()),
        }
    }
}

/// What a change does to the files.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) edits: Vec<FileEdit>,
    /// What is worth knowing of the change itself.
    pub(super) warnings: Vec<Diagnostic>,
    /// What it does, in words.
    pub(super) summary: String,
    notes: Vec<String>,
    pub(super) variables: Vec<Variable>,
    pub(super) left_out: Vec<Diagnostic>,
    /// The definition that was sent, in which diagnostics are placed.
    definition: Option<WrittenDefinition>,
}

/// The files, if there is a metadata folder.
pub(super) fn read(console: &Console) -> Result<ActionFiles, ApiError> {
    let Some(folder) = console.source.metadata_folder() else {
        return Err(ApiError::not_found("there is no metadata folder: start Pillion with --metadata FOLDER"));
    };
    read_action_files(&folder, console.source.file.as_deref()).map_err(ApiError::invalid)
}

/// What stands for the texts of all files: another text makes another revision.
pub(super) fn revision(files: &ActionFiles) -> String {
    let mut context = Context::new(&SHA256);
    for file in files.yaml.iter().chain(&files.graphql).chain(&files.config) {
        for part in [file.path.to_string_lossy().as_bytes(), file.source.text.as_bytes()] {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
    }
    let digest = context.finish();
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Why the files cannot be written here.
pub(super) fn not_writable(console: &Console) -> Option<String> {
    if matches!(console.services.configured().settings.metadata_api, MetadataApi::Postgres(_)) {
        return Some("the actions are stored in PostgreSQL; change them by the metadata API".to_owned());
    }
    let folder = console.source.metadata_folder()?;
    probe(&folder).err().map(|error| format!("the metadata folder {} cannot be written: {error}", folder.display()))
}

/// Shows what a change would do.
pub(super) async fn preview(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let ChangeRequest { change, .. } = request.json()?;
    let files = read(console)?;
    let (prepared, found) = prepare(console, change, &files).await?;
    let is_ok = !found.iter().any(|found| found.severity == Severity::Error);
    let not_writable = not_writable(console);
    Ok(Reply::json(&json!({
        "revision": revision(&files),
        "edits": edits_json(&prepared.edits),
        "diagnostics": diagnostics_json(&found),
        "ok": is_ok,
        "writable": not_writable.is_none(),
        "not_writable_because": not_writable,
        "summary": prepared.summary,
        "notes": prepared.notes,
        "variables": variables_json(&prepared.variables),
        "left_out": diagnostics_json(&prepared.left_out),
    })))
}

/// Writes a change, if the files are still those of its preview, and has the configuration reloaded.
pub(super) async fn save(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let ChangeRequest { change, revision: shown } = request.json()?;
    if let Some(reason) = not_writable(console) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, reason));
    }
    let edits = {
        // No two changes are made at one time, neither here nor by the metadata API.
        let _turn = console.saving.lock().await;
        let _paused = match &console.metadata {
            Some(api) => Some(api.pause().await),
            None => None,
        };
        let files = read(console)?;
        if revision(&files) != shown {
            return Err(changed("the files have been changed since this was shown; nothing is written"));
        }
        let (prepared, found) = prepare(console, change, &files).await?;
        if found.iter().any(|found| found.severity == Severity::Error) {
            return Err(ApiError::invalid(found));
        }
        write(&prepared.edits).map_err(|error| match error {
            WriteError::Changed(_) => changed(&error.to_string()),
            WriteError::System(..) => ApiError::new(StatusCode::FORBIDDEN, error.to_string()),
        })?;
        prepared.edits
    };
    let revision = read(console).map(|files| revision(&files)).unwrap_or_default();
    let reload = match console.services.reloads.request().await {
        Ok(()) => json!({ "ok": true }),
        Err(_) => {
            let found = super::overview::diagnostics(console);
            let message = found.iter().find(|found| found.severity == Severity::Error).map(Diagnostic::on_one_line);
            let last = console.services.reloads.last().and_then(|last| last.outcome.err());
            let message = message.or(last).unwrap_or_else(|| "the configuration was not reloaded".to_owned());
            json!({ "ok": false, "message": message, "diagnostics": diagnostics_json(&found) })
        }
    };
    Ok(Reply::json(&json!({ "saved": true, "revision": revision, "reload": reload, "edits": edits_json(&edits) })))
}

fn changed(message: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, message)
}

fn edits_json(edits: &[FileEdit]) -> Value {
    let edit = |edit: &FileEdit| {
        json!({
            "path": edit.path.display().to_string(),
            "created": edit.before.is_none(),
            "diff": unified_diff(edit),
        })
    };
    edits.iter().map(edit).collect()
}

/// The edits of a change, and all that is to be said of them: of the change itself, and of the files as they would be.
async fn prepare(
    console: &Console,
    change: Change,
    files: &ActionFiles,
) -> Result<(Prepared, Vec<Diagnostic>), ApiError> {
    let prepared = match prepared(console, change, files).await {
        Ok(prepared) => prepared,
        Err(Failure::Diagnostics(found)) => return Ok((Prepared::default(), found)),
        Err(Failure::Api(error)) => return Err(error),
    };
    let samples: HashMap<String, String> =
        prepared.variables.iter().map(|variable| (variable.name.clone(), variable.sample.clone())).collect();
    let mut found = prepared.warnings.clone();
    if !prepared.edits.is_empty() {
        found.extend(appearing(&console.source, &prepared.edits, &samples));
    }
    if let Some(definition) = &prepared.definition {
        found = found.iter().map(|found| in_definition(found, definition)).collect();
    }
    Ok((prepared, found))
}

/// Why a change makes no edits.
enum Failure {
    /// It is wrong.
    Diagnostics(Vec<Diagnostic>),
    /// It cannot be tried.
    Api(ApiError),
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(found: Vec<Diagnostic>) -> Self {
        Self::Diagnostics(found)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

async fn prepared(console: &Console, change: Change, files: &ActionFiles) -> Result<Prepared, Failure> {
    let plain = |edits: Vec<FileEdit>, summary: String| Prepared { edits, summary, ..Prepared::default() };
    Ok(match change {
        Change::Create { definition, handler } => {
            let definition = parse_definition(&definition)?;
            let action = handler.action(definition.signature.clone(), definition.types.clone());
            Prepared { definition: Some(definition), ..created(files, &action)? }
        }
        Change::Derive { name, operation, identity, handler } => {
            let taken = type_names(files)?;
            let merged = super::schema::merged(console, &identity.role()).await?;
            let derived = derive(&merged.role_schema.schema, &operation, &name, &taken)?;
            created(files, &handler.action(derived.signature, derived.types))?
        }
        Change::Clone { action, name } => {
            plain(entry::duplicate(files, &action, &name)?, format!("action {name} created, like {action}"))
        }
        Change::Rename { action, name } => {
            let note = "its handler gets the new name in action.name; jobs of the old name stay as they are";
            let summary = format!("action {action} is {name} now");
            Prepared { notes: vec![note.to_owned()], ..plain(rename(files, &action, &name)?, summary) }
        }
        Change::Remove { action, keep_types } => {
            let (edits, types) = remove(files, &action, keep_types)?;
            let types = if types.is_empty() { String::new() } else { format!(", and its types {}", types.join(", ")) };
            plain(edits, format!("action {action} removed{types}"))
        }
        Change::Permit { action, roles } => {
            let (edits, warnings) = permit(files, &action, &roles)?;
            Prepared { warnings, ..plain(edits, format!("{} may call {action}", roles.join(", "))) }
        }
        Change::Forbid { action, roles } => {
            let edits = forbid(files, &action, &roles)?;
            plain(edits, format!("{} may not call {action} any more", roles.join(", ")))
        }
        Change::Permissions { grid } => plain(permissions(files, &grid)?, "permissions changed".to_owned()),
        Change::Definition { action, definition } => {
            let definition = parse_definition(&definition)?;
            let edits = define(files, &action, &definition)?;
            Prepared { definition: Some(definition), ..plain(edits, format!("definition of {action} changed")) }
        }
        Change::Set { action, set } => plain(entry::set(files, &action, &set)?, format!("action {action} changed")),
        Change::Settings { action, set } => {
            let edits = entry::configure(files, "actions", &action, &set.into(), true)?;
            plain(edits, format!("settings of {action} changed"))
        }
        Change::Relationship { owner, name, set } => {
            let key = format!("{owner}.{name}");
            plain(entry::configure(files, "relationships", &key, &set, false)?, format!("relationship {key} changed"))
        }
        Change::Field { coordinate, set } => {
            let edits = entry::configure(files, "fields", &coordinate, &set, false)?;
            plain(edits, format!("field {coordinate} changed"))
        }
        Change::ImportOpenapi(import) => {
            let folder = console.source.metadata_folder().unwrap_or_default();
            imported(&folder, import).await?
        }
    })
}

async fn imported(folder: &Path, import: ImportRequest) -> Result<Prepared, Failure> {
    let imported = import.run().await?;
    let metadata = MetadataFiles::read(folder)?;
    let collisions = metadata.collisions(&imported);
    if !collisions.is_empty() {
        return Err(collisions.into());
    }
    let edits =
        if imported.actions.is_empty() { Vec::new() } else { metadata.with(&imported).map_err(|found| vec![found])? };
    let summary = format!("{} actions imported, {} parts left out", imported.actions.len(), imported.left_out.len());
    let (variables, left_out) = (imported.variables, imported.left_out);
    Ok(Prepared { edits, summary, variables, left_out, ..Prepared::default() })
}

fn created(files: &ActionFiles, action: &NewAction) -> Result<Prepared, Vec<Diagnostic>> {
    let (edits, warnings) = create(files, action)?;
    let summary = format!("action {} created", action.signature.name);
    let mut notes = Vec::new();
    if action.roles.is_empty() {
        notes.push("only admin may call it, until it has permissions".to_owned());
    }
    for header in &action.headers {
        if let HeaderValue::FromEnvironment(variable) = &header.value {
            notes.push(format!("set {variable}: the header {}", header.name));
        }
    }
    Ok(Prepared { edits, warnings, summary, notes, ..Prepared::default() })
}

/// The whole grid in one edit: each action is changed on what those before it have left.
fn permissions(files: &ActionFiles, grid: &[Permissions]) -> Result<Vec<FileEdit>, Vec<Diagnostic>> {
    let mut changed = files.clone();
    for Permissions { action, roles } in grid {
        let roles: Vec<Value> = roles.iter().map(|role| json!({ "role": role })).collect();
        let set = Map::from_iter([("permissions".to_owned(), Value::from(roles))]);
        for edit in entry::set(&changed, action, &set)? {
            for file in changed.yaml.iter_mut().filter(|file| file.path == edit.path) {
                file.source = std::sync::Arc::new(crate::model::source::Source::new(
                    file.source.name.clone(),
                    edit.after.clone(),
                ));
            }
        }
    }
    let pairs = files.yaml.iter().zip(&changed.yaml);
    Ok(pairs.filter_map(|(before, after)| before.edited(after.source.text.clone())).collect())
}
