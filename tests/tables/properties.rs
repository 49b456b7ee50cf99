//! What holds for every document.

use pillion::graphql::document;
use pillion::graphql::document::Document;
use pillion::graphql::plan::{FieldSource, concern};
use pillion::graphql::scan::{ScanResult, Scanner};
use pillion::model::action::ActionSchema;
use pillion::model::limits::Limits;
use pillion_test_support::random_documents::{Sample, for_each};

use super::actions;
use super::families::{columns, plan, roots};

const ACTIONS: &str = "
type Query {
  count: Int!
  quote(productId: Int!, amount: Int! = 1): Quote!
  maybe(code: String): Quote
}
type Quote { total: Float! amount: Int! }
";

const CASES: u32 = 600;

fn names_action(document: &Document, schema: &ActionSchema) -> bool {
    document.operations().iter().any(|operation| concern(document, operation, schema, &roots()).action)
}

/// (a) Where the bytes name no action, no parser finds one; such a document is not touched.
pub fn documents_without_actions_are_not_split() -> Result<(), String> {
    let schema = actions::from_sdl(ACTIONS);
    let scanner = Scanner::new(schema.actions.keys().map(String::as_str)).map_err(|error| error.to_string())?;
    for_each(CASES, false, |sample| {
        let text = sample.text("Query");
        let document = document::parse(&text, &Limits::default()).map_err(|error| format!("{error:?}\n{text}"))?;
        if names_action(&document, &schema) {
            return Err(format!("an action was found in\n{text}"));
        }
        Ok(())
    })?;
    for_each(CASES, true, |sample| {
        let text = sample.text("Query");
        let document = document::parse(&text, &Limits::default()).map_err(|error| format!("{error:?}\n{text}"))?;
        let json = serde_json::json!({ "query": text }).to_string();
        if names_action(&document, &schema) && scanner.scan(json.as_bytes()) != ScanResult::Action {
            return Err(format!("the bytes hide an action of\n{text}"));
        }
        Ok(())
    })
}

/// (b) Each part parses strictly, has every line and column where it was, and holds only what is its own.
/// (c) The response has exactly the keys that the specification prescribes, in order.
pub fn upstream_operations_are_valid_and_keys_complete() -> Result<(), String> {
    let schema = actions::from_sdl(ACTIONS);
    for_each(CASES, true, |sample| check_plan(&schema, sample))
}

fn check_plan(schema: &ActionSchema, sample: &Sample) -> Result<(), String> {
    let text = sample.text("Query");
    let limits = Limits::default();
    let document = document::parse(&text, &limits).map_err(|error| format!("{error:?}\n{text}"))?;
    let operation = document.operation(None).map_err(|error| error.to_string())?;
    let condition = |_: &str| sample.variable();
    let plan = plan(&document, operation, schema, &condition).map_err(|error| format!("{error:?}\n{text}"))?;
    let keys: Vec<&str> = plan.fields.iter().map(|field| field.response_name.as_str()).collect();
    if keys != sample.keys() {
        return Err(format!("keys {keys:?} instead of {:?} for\n{text}", sample.keys()));
    }
    for (index, part) in plan.parts.iter().enumerate() {
        let masked: String = serde_json::from_str(&part.query_json).map_err(|error| error.to_string())?;
        let parsed = document::parse(&masked, &limits).map_err(|error| format!("{error:?}\n{masked}"))?;
        pillion::graphql::check_document::check_document(&parsed, &limits)
            .map_err(|error| format!("{error:?}\n{masked}"))?;
        if columns(&masked) != columns(&text) {
            return Err(format!("lines or columns moved:\n{text}\n{masked}"));
        }
        if names_action(&parsed, schema) {
            return Err(format!("an action is left in\n{masked}"));
        }
        let own = plan.fields.iter().filter(|field| field.owner == FieldSource::Upstream(index)).count();
        if own != part.fields.len() {
            return Err(format!("{own} fields, but {} in the part of\n{text}", part.fields.len()));
        }
    }
    Ok(())
}
