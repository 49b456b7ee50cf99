//! OpenAPI documents as actions, and calls and results of these actions.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use pillion::action::transform::{self, Lookup, TransformedRequest};
use pillion::edits::append::with_actions;
use pillion::edits::sdl::with_definitions;
use pillion::model::action::{Action, ActionSchema};
use pillion::model::json::parse_strict;
use pillion::model::source::{Diagnostic, Source};
use pillion::openapi::import;
use pillion::openapi::imported::Imported;
use pillion::openapi::options::Options;
use serde_json::{Value, json};

use super::actions;

/// The parts that a case shows of an import, what is left out, and the requests and results of its calls.
pub fn openapi(case: &Value) -> String {
    let name = case["file"].as_str().unwrap_or("api.yaml");
    let source = Arc::new(Source::new(name, case["document"].as_str().expect("a document")));
    let imported = match import(&source, &options(&case["options"])) {
        Ok(imported) => imported,
        Err(diagnostics) => return diagnostics.iter().map(Diagnostic::on_one_line).collect::<Vec<_>>().join("\n"),
    };
    let schema = loaded(&imported);
    let shows = |part: &str| case["shows"].as_array().is_some_and(|parts| parts.contains(&json!(part)));
    let mut lines: Vec<String> = Vec::new();
    lines.extend(shows("types").then(|| imported.sdl(|_| false).trim_end().to_owned()));
    lines.extend(shows("actions").then(|| imported.items(0).trim_end().to_owned()));
    lines.extend(imported.left_out.iter().map(Diagnostic::on_one_line));
    lines.extend(
        imported
            .variables
            .iter()
            .filter(|_| shows("variables"))
            .map(|variable| format!("set {} to {}, such as {}", variable.name, variable.purpose, variable.sample)),
    );
    for call in case["calls"].as_array().into_iter().flatten() {
        let Some(action) = schema.actions.get(call["action"].as_str().expect("an action")) else {
            lines.push(format!("error: there is no action {}", call["action"]));
            continue;
        };
        lines.push(called(action, call).unwrap_or_else(|error| format!("error: {error}")));
    }
    lines.join("\n")
}

fn options(options: &Value) -> Options {
    let list = |key: &str| {
        options[key].as_array().into_iter().flatten().map(|item| item.as_str().expect("text").to_owned()).collect()
    };
    Options {
        operations: list("operations"),
        tags: list("tags"),
        roles: list("roles"),
        base_url: options["base_url"].as_str().map(str::to_owned),
        prefix: options["prefix"].as_str().unwrap_or_default().to_owned(),
    }
}

/// The files that the import makes are valid.
pub fn loaded(imported: &Imported) -> ActionSchema {
    if imported.actions.is_empty() {
        return ActionSchema::default();
    }
    let nothing = Arc::new(Source::new("actions.yaml", ""));
    let yaml =
        with_actions(&nothing, imported.values()).unwrap_or_else(|error| panic!("{error}\n{}", imported.items(2)));
    let graphql = with_definitions("", &imported.sdl(|_| false));
    let environment: Vec<(&str, &str)> =
        imported.variables.iter().map(|variable| (variable.name.as_str(), variable.sample.as_str())).collect();
    let (schema, diagnostics) = actions::load(&graphql, &yaml, &environment, "");
    let errors: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{}\n{graphql}\n{yaml}", errors.join("\n"));
    assert_eq!(schema.actions.len(), imported.actions.len());
    schema
}

const BYTES_MAX: usize = 1 << 20;

/// The request of a call, and the result of a response.
fn called(action: &Action, call: &Value) -> Result<String, String> {
    let payload = json!({ "input": call["input"].as_object().cloned().unwrap_or_default() });
    let body = Bytes::from(payload.to_string());
    let lookup = Lookup::of(action.handler.base_url.expose(), &action.handler.url, payload, json!({}), BYTES_MAX);
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let url = action.handler.url.clone();
    let untransformed = TransformedRequest { method: Method::POST, url, headers, body };
    let transform = action.request_transform.as_ref().expect("a request transform");
    let request = transform::request(transform, &lookup, untransformed).map_err(|error| error.to_string())?;
    let mut line = format!("{} {}", request.method, request.url);
    for (name, value) in &request.headers {
        if name != CONTENT_TYPE || value != "application/json" {
            line.push_str(&format!(" {name}: {}", value.to_str().expect("text")));
        }
    }
    line.push_str(&format!(" {}", String::from_utf8_lossy(&request.body)));
    if call["body"].is_null() && call["status"].is_null() {
        return Ok(line.trim_end().to_owned());
    }
    let body = parse_strict(call["body"].to_string().as_bytes()).expect("JSON");
    let status = call["status"].as_u64().map_or(200, |status| u16::try_from(status).expect("a status"));
    let result = match &action.response_transform {
        Some(transform) => transform::response(transform, &lookup, status, body).map_err(|error| error.to_string())?,
        None => body,
    };
    Ok(format!("{}\n  {result}", line.trim_end()))
}
