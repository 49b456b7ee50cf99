//! `pillion actions derive`: creates an action out of an operation of the upstream.

use std::path::Path;
use std::sync::Arc;

use apollo_compiler::Schema;
use apollo_compiler::validation::Valid;
use clap::ArgMatches;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::cli::actions::arguments::{text, texts};
use crate::cli::actions::edit::{Done, apply, read};
use crate::cli::actions::{arguments, list};
use crate::cli::{block_on, codegen, header_of, probe_upstream, report};
use crate::config::load::read_file;
use crate::edits::create::create;
use crate::edits::derive::derive;
use crate::edits::files::type_names;
use crate::graphql::client_schema::build_client_schema;
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::services::Services;
use crate::runtime::upstream_health_check;

/// Derives it.
///
/// # Errors
/// What is wrong with the operation, or with the files; or why the schema is not known.
pub(super) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let name = text(arguments, "name");
    let files = read(arguments)?;
    let taken = type_names(&files).map_err(|found| report(&found))?;
    let operation = text(arguments, "operation");
    let derived = match arguments.get_one::<String>("schema") {
        Some(path) => derive(&schema_of_file(path)?, operation, name, &taken),
        None => derive(&ask_upstream(arguments)?.role_schema.schema, operation, name, &taken),
    };
    let derived = derived.map_err(|found| report(&found))?;
    let action = arguments::defined(arguments, derived.signature, derived.types)?;
    let (edits, warnings) = create(&files, &action).map_err(|found| report(&found))?;
    let done = Done { what: format!("action {name} created"), warnings, notes: arguments::notes(&action) };
    apply(arguments, &edits, &done)?;
    codegen::run_after_edit(arguments)
}

/// SDL, or the result of the introspection query.
fn schema_of_file(path: &str) -> Result<Valid<Schema>, String> {
    let source = read_file(Path::new(path)).map_err(|found| report(&found))?;
    let failed = |reason: String| format!("error: {path}: {reason}");
    if source.text.trim_start().starts_with('{') {
        let schema = build_client_schema(source.text.as_bytes()).map_err(|error| failed(error.to_string()))?.schema;
        return schema.validate().map_err(|error| failed(error.errors.to_string()));
    }
    Schema::parse_and_validate(source.text.as_str(), path).map_err(|error| failed(error.errors.to_string()))
}

/// The merged schema, as the role of `--as` sees it.
fn ask_upstream(arguments: &ArgMatches) -> Result<Arc<MergedSchema>, String> {
    let loaded = list::load(arguments)?;
    if !crate::cli::has_upstream(arguments) {
        return Err("error: give the schema: --upstream URL asks for it, --schema FILE reads it".to_owned());
    }
    let role = text(arguments, "as");
    let mut headers = HeaderMap::new();
    for header in texts(arguments, "upstream-header") {
        let (name, value) = header_of(&header).ok_or("error: --upstream-header: write 'name: value'")?;
        headers.append(name, value);
    }
    let role_header = HeaderValue::try_from(role).map_err(|_| "error: --as: this cannot be a role")?;
    headers.insert(HeaderName::from_static("x-hasura-role"), role_header);
    block_on(async {
        let services = Services::new(loaded).map_err(|reason| format!("error: {reason}"))?;
        probe_upstream(&services).await.map_err(|reason| format!("error: {reason}"))?;
        let merged = upstream_health_check::schema_of(&services, role, headers).await;
        merged.map_err(|error| format!("error: the upstream's schema is not known: {error}"))
    })?
}
