//! The import of OpenAPI documents on the console: a document or its address, and which of its operations become actions.

use std::sync::Arc;

use apollo_compiler::ast::{Definition, Document};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::changes::fetch::fetch;
use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply, diagnostics_json, variables_json};
use crate::model::source::{Diagnostic, Source};
use crate::openapi::imported::{Imported, ImportedAction};
use crate::openapi::options::Options;

/// What to import.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ImportRequest {
    document: Option<String>,
    url: Option<String>,
    operations: Vec<String>,
    tags: Vec<String>,
    roles: Vec<String>,
    base_url: Option<String>,
    prefix: String,
}

impl ImportRequest {
    /// Imports it.
    ///
    /// # Errors
    /// What is wrong with the document or its address.
    pub(super) async fn run(self) -> Result<Imported, Vec<Diagnostic>> {
        let source = match (self.document.filter(|text| !text.trim().is_empty()), self.url) {
            (Some(text), _) => Arc::new(Source::new("document", text)),
            (None, Some(url)) => read(&url).await.map_err(|found| vec![found])?,
            (None, None) => {
                return Err(vec![Diagnostic::error(None, "there is no document", "paste it, or give its address")]);
            }
        };
        let options = Options {
            operations: self.operations,
            tags: self.tags,
            roles: self.roles,
            base_url: self.base_url.filter(|url| !url.is_empty()),
            prefix: self.prefix,
        };
        crate::openapi::import(&source, &options)
    }
}

/// A file of this machine is no address that a page may name.
async fn read(url: &str) -> Result<Arc<Source>, Diagnostic> {
    match Url::parse(url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => fetch(url).await,
        _ => Err(Diagnostic::error(None, "this is not an http or https address", "write https://host/openapi.yaml")),
    }
}

/// Lists the operations of a document, and what they become.
pub(super) async fn list(request: &ApiRequest<'_>) -> ApiResult {
    let import: ImportRequest = request.json()?;
    let imported = import.run().await.map_err(ApiError::invalid)?;
    let operations: Vec<Value> = imported.actions.iter().map(operation).collect();
    Ok(Reply::json(&json!({
        "operations": operations,
        "left_out": diagnostics_json(&imported.left_out),
        "variables": variables_json(&imported.variables),
    })))
}

fn operation(action: &ImportedAction) -> Value {
    json!({
        "id": action.operation.id,
        "method": action.operation.method,
        "path": action.operation.path,
        "becomes": becomes(action),
        "tags": action.operation.tags,
    })
}

/// `query petById(id: Int!): Pet`, without its description.
fn becomes(action: &ImportedAction) -> String {
    let keyword = if action.is_query { "query" } else { "mutation" };
    let document = Document::parse(format!("type Query {{\n{}\n}}", action.signature), "signature");
    let field = document.ok().and_then(|document| match document.definitions.first() {
        Some(Definition::ObjectTypeDefinition(object)) => object.fields.first().cloned(),
        _ => None,
    });
    let Some(mut field) = field else { return format!("{keyword} {}", action.name) };
    let plain = field.make_mut();
    plain.description = None;
    for argument in &mut plain.arguments {
        argument.make_mut().description = None;
    }
    format!("{keyword} {}", plain.serialize().no_indent())
}
