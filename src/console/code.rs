//! Handlers for the actions of the files: the code for each framework, and all of it as an archive.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::changes::handlers::{NotGenerated, project};
use crate::codegen::options::Framework;
use crate::codegen::project::{GeneratedFile, Owner, Project};
use crate::console::Console;
use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply};

/// The frameworks.
pub(super) fn frameworks() -> Reply {
    let all = Framework::ALL.map(|one| json!({ "name": one.name(), "types_only": one.is_types_only() }));
    Reply::json(&json!({ "frameworks": all }))
}

fn generated(console: &Console, request: &ApiRequest<'_>) -> Result<(Framework, Project), ApiError> {
    let name = request.parameter("framework").unwrap_or_default();
    let framework = Framework::of_name(&name).ok_or_else(|| ApiError::bad_request("there is no such framework"))?;
    let actions = request.parameters("action").collect();
    let project = project(&console.source, framework, actions).map_err(|failure| match failure {
        NotGenerated::Configuration(found) => ApiError::invalid(found),
        NotGenerated::Actions(errors) => ApiError::bad_request(errors.join("\n")),
    })?;
    Ok((framework, project))
}

/// The files of a project.
pub(super) fn show(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let (_, project) = generated(console, request)?;
    let left_out = project.left_out.iter().map(|(name, reason)| format!("action '{name}' is left out: {reason}"));
    let notes: Vec<String> = left_out.chain(project.warnings.iter().cloned()).collect();
    let files: Vec<Value> = project.files.iter().map(file).collect();
    Ok(Reply::json(&json!({ "files": files, "notes": notes })))
}

fn file(file: &GeneratedFile) -> Value {
    let owner = if file.owner == Owner::Generator { "generated" } else { "user" };
    json!({ "path": file.path, "text": file.text, "owner": owner })
}

/// The project as an archive.
pub(super) fn download(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let (framework, project) = generated(console, request)?;
    let archive = archive(&project).map_err(|_| ApiError::internal())?;
    Ok(Reply::download("application/gzip", &format!("handlers-{}.tar.gz", framework.name()), archive))
}

/// The same files make the same bytes.
fn archive(project: &Project) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in &project.files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, format!("handlers/{}", file.path), file.text.as_bytes())?;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&builder.into_inner()?)?;
    encoder.finish()
}
