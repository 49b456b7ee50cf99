//! Splits a document into the upstream's operation and a handler call, and merges what both give.
//!
//! `cargo run --example split_and_merge`

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "an example that goes wrong may end")]

use pillion::config::actions::read_actions;
use pillion::graphql::document::parse;
use pillion::graphql::merge::{Merged, read_upstream_result, write};
use pillion::graphql::plan::{PlanOptions, plan};
use pillion::graphql::root_types::RootTypes;
use pillion::model::limits::Limits;
use pillion::model::response::Dialect;

const ACTIONS_GRAPHQL: &str = "type Query { quote(productId: Int!): Float }";
const ACTIONS_YAML: &str = "actions: [{ name: quote, definition: { handler: http://handlers/quote } }]";
const DOCUMENT: &str = "{ productById(id: 1) { name } price: quote(productId: 1) }";

fn main() {
    let schema = read_actions(ACTIONS_GRAPHQL, ACTIONS_YAML, &|_| None).expect("two files without errors");
    let (limits, roots) = (Limits::default(), RootTypes::usual(Dialect::Standard));
    let document = parse(DOCUMENT, &limits).expect("a valid document");
    let operation = document.operation(None).expect("one operation");
    let options =
        PlanOptions { schema: &schema, roots: &roots, limits: &limits, serves_introspection: false, sites: None };
    let plan = plan(&document, operation, &options, &|_| true).expect("a plan");

    println!("client:    {DOCUMENT}");
    println!("upstream:  {}", plan.parts[0].query_json);
    println!("handler:   {} as {}", plan.calls[0].action.name, plan.fields[1].response_name);

    let upstream = br#"{"data":{"productById":{"name":"City bicycle"}}}"#;
    let result = read_upstream_result(upstream).expect("a GraphQL response");
    let value = |name: &str| result.data.get(name).map(|json| (*json).into());
    let data = vec![("productById", value("productById")), ("price", Some("890.0".into()))];
    let merged = Merged { data: Some(data), ..Merged::default() };
    println!("response:  {}", String::from_utf8_lossy(&write(&merged)));
}
