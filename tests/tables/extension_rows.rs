//! Extension fields in documents and in responses: what the upstream is asked for in their place, and how their values get
//! into its response.

use std::sync::Arc;

use apollo_compiler::Schema;
use pillion::graphql::client_schema::UpstreamSchema;
use pillion::graphql::document::{self, Document};
use pillion::graphql::extension_rows::{RowKey, RowScan, RowValue, Spliced};
use pillion::graphql::extension_sites::ExtensionSites;
use pillion::graphql::merge::{UpstreamResult, read_upstream_result};
use pillion::graphql::merge_schema::merge;
use pillion::graphql::plan::{self, Plan, PlanOptions};
use pillion::graphql::scan_rows::scan_response;
use pillion::graphql::schema;
use pillion::graphql::upstream_errors::restore_errors;
use pillion::model::limits::Limits;
use pillion::model::response::PathSegment;
use serde_json::{Value, json};

use super::actions;
use super::families::roots;

/// The upstream's operation; then the rows of its response with their keys, and the response with the values.
pub fn extension_rows(case: &Value) -> String {
    let text = |key: &str| case[key].as_str().unwrap_or_default();
    let actions = actions::with_relationships(text("actions"), "", text("config"));
    let own = schema::of_actions(&actions, &roots(), case["role"].as_str().unwrap_or("user")).expect("a schema");
    let upstream = Schema::parse(text("upstream"), "upstream").expect("SDL");
    let upstream = UpstreamSchema { schema: upstream, directives: Vec::new() };
    let merged = match merge(&upstream, &own, &actions, &roots()) {
        Ok(merged) => merged,
        Err(error) => return error.to_string(),
    };
    let limits = Limits::default();
    let document = document::parse(text("document"), &limits).expect("a document");
    let operation = document.operation(None).expect("an operation");
    let sites = ExtensionSites::find(&document, operation, &merged.schema, &merged.extension_fields).map(Arc::new);
    let (roots, sites) = (roots(), sites.as_ref());
    let options = PlanOptions { schema: &actions, roots: &roots, limits: &limits, serves_introspection: true, sites };
    let plan = plan::plan(&document, operation, &options, &|_| true).expect("a plan");
    let mut lines: Vec<String> = plan.parts.iter().map(|part| shown_part(&document, part)).collect();
    if let (Some(sites), Some(response)) = (sites, case["response"].as_str()) {
        lines.extend(shown_response(case, &plan, sites, response));
    }
    lines.join("\n")
}

fn shown_part(document: &Document, part: &plan::UpstreamOperation) -> String {
    let sent: String = serde_json::from_str(&part.query_json).expect("a string");
    let lines = |text: &str| text.lines().count();
    assert_eq!(lines(&sent), lines(&document.text), "lines stay");
    json!({ "upstream": sent, "variables": part.variables }).to_string()
}

fn shown_response(case: &Value, plan: &Plan, sites: &ExtensionSites, response: &str) -> Vec<String> {
    let part = plan.parts.first().expect("a part");
    let mut lines = Vec::new();
    let scan = scan_response(sites, &part.shape, response);
    assert_only_responses_are_scanned(sites, part, response);
    let mut spliced = response.to_owned();
    if let Some(scan) = &scan {
        lines.extend(scan.rows.iter().map(|row| {
            let path: Vec<String> = scan.path(sites, row).iter().map(shown_segment).collect();
            format!("{} ← {}", path.join("."), shown_key(response, scan, &row.key))
        }));
        spliced = splice(case, sites, scan, response);
    }
    lines.push(restore_errors(sites, &part.edits, &spliced).unwrap_or(spliced));
    lines
}

/// What lacks one byte, or ends early, has rows only where it is a response still.
fn assert_only_responses_are_scanned(sites: &ExtensionSites, part: &plan::UpstreamOperation, response: &str) {
    let without = |at: usize| Some(format!("{}{}", response.get(..at)?, response.get(at + 1..)?));
    let cut = |at: usize| response.get(..at).map(str::to_owned);
    for text in (0..response.len()).flat_map(|at| [without(at), cut(at)]).flatten() {
        let is_scanned = scan_response(sites, &part.shape, &text).is_some();
        assert!(!is_scanned || read_upstream_result(text.as_bytes()).is_ok(), "{text}");
    }
}

fn splice(case: &Value, sites: &ExtensionSites, scan: &RowScan<'_>, response: &str) -> String {
    let values = case["values"].as_array().map(Vec::as_slice).unwrap_or_default();
    let value = |row: usize| match values.get(row).and_then(Value::as_str) {
        Some("above") => RowValue::NullAbove,
        Some(json) => RowValue::Json(json),
        None => RowValue::Json("0"),
    };
    let Spliced { text, root_fields } = scan.splice(sites, response, value).expect("the data may be null");
    let read = read_upstream_result(text.as_bytes()).expect("a response");
    if let Some(fields) = &root_fields {
        let known = UpstreamResult::of_root_fields(text.as_bytes(), fields).expect("they are within it");
        assert_eq!(known.data, read.data, "{}", case["name"]);
    }
    // Their places are known unless null has taken all of them, or there is more to read.
    let has_more = !read.errors.is_empty() || read.extensions.is_some() || read.data_is_null;
    assert_eq!(root_fields.is_some(), !has_more, "{}", case["name"]);
    text
}

fn shown_segment(segment: &PathSegment) -> String {
    match segment {
        PathSegment::Field(name) => name.clone(),
        PathSegment::Index(index) => index.to_string(),
    }
}

fn shown_key(response: &str, scan: &RowScan<'_>, key: &RowKey) -> String {
    match key {
        RowKey::Values(_) => {
            scan.key_values(key).iter().map(|range| &response[range.clone()]).collect::<Vec<_>>().join(" ")
        }
        RowKey::Null => "null".into(),
        RowKey::Missing(index) => format!("key {index} is missing"),
    }
}
