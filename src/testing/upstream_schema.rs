//! The upstream's schema from a file, SDL or an introspection result, as the upstream itself would describe it.

use std::sync::Arc;

use apollo_compiler::introspection::partial_execute;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use serde_json::{Value, json};

use crate::graphql::client_schema::build_client_schema;
use crate::model::source::{Diagnostic, Source, SourceLocation};

/// An upstream that is known by its schema only.
pub(crate) enum DescribedUpstream {
    /// Introspection is executed.
    Sdl(Box<Valid<Schema>>),
    /// It has been executed before.
    Introspected(String),
}

impl DescribedUpstream {
    /// Reads the schema: an introspection result if the text is JSON, and SDL otherwise.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(source: &Arc<Source>) -> Result<Self, Vec<Diagnostic>> {
        if source.text.trim_start().starts_with('{') {
            return read_introspection(source).map_err(|diagnostic| vec![diagnostic]);
        }
        Schema::parse_and_validate(source.text.clone(), &source.name).map(Box::new).map(Self::Sdl).map_err(|invalid| {
            let found = invalid.errors.iter().map(|found| {
                let at = found.line_column_range().map(|range| range.start);
                let place = at.map(|at| SourceLocation::new(source, at.line, at.column));
                Diagnostic::error(
                    place,
                    found.error.to_string(),
                    "correct the schema, or write it with `pillion schema`",
                )
            });
            found.collect()
        })
    }

    /// The response to a request of introspection.
    #[must_use]
    pub(crate) fn describe(&self, request: &[u8]) -> String {
        match self {
            Self::Introspected(result) => result.clone(),
            Self::Sdl(schema) => execute(schema, request)
                .unwrap_or_else(|message| json!({ "errors": [{ "message": message }] }).to_string()),
        }
    }
}

fn read_introspection(source: &Arc<Source>) -> Result<DescribedUpstream, Diagnostic> {
    let reject = |message: String| {
        let help = "write it with `pillion schema --upstream-only --format json`";
        Diagnostic::error(None, format!("{}: {message}", source.name), help)
    };
    let value: Value = serde_json::from_str(&source.text).map_err(|error| reject(error.to_string()))?;
    let value = if value.get("__schema").is_some() { json!({ "data": value }) } else { value };
    let text = value.to_string();
    build_client_schema(text.as_bytes()).map_err(|error| reject(error.to_string()))?;
    Ok(DescribedUpstream::Introspected(text))
}

fn execute(schema: &Valid<Schema>, request: &[u8]) -> Result<String, String> {
    let request: Value = serde_json::from_slice(request).map_err(|error| error.to_string())?;
    let query = request.get("query").and_then(Value::as_str).unwrap_or_default();
    let document = ExecutableDocument::parse_and_validate(schema, query, "introspection.graphql");
    let document = document.map_err(|invalid| invalid.errors.to_string())?;
    let operation = document.operations.get(None).map_err(|_| "the request has no operation")?;
    let variables = apollo_compiler::request::coerce_variable_values(schema, operation, &Default::default());
    let variables = variables.map_err(|error| error.message().to_string())?;
    let executed = partial_execute(schema, &schema.implementers_map(), &document, operation, &variables);
    let executed = executed.map_err(|error| error.message().to_string())?;
    serde_json::to_string(&executed).map_err(|error| error.to_string())
}
