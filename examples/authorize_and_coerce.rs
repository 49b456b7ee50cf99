//! Authorizes a handler call for a role, and coerces its arguments as the specification says.
//!
//! `cargo run --example authorize_and_coerce`

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "an example that goes wrong may end")]

use pillion::config::actions::read_actions;
use pillion::graphql::coerce::{coerce_argument_values, coerce_variable_values};
use pillion::graphql::document::parse;
use pillion::graphql::plan::{PlanOptions, plan};
use pillion::graphql::root_types::RootTypes;
use pillion::model::json::RawObject;
use pillion::model::limits::Limits;
use pillion::model::response::Dialect;

const ACTIONS_GRAPHQL: &str =
    "type Mutation { order(input: Order!): ID } input Order { product: Int!, amount: Int = 1 }";
const ACTIONS_YAML: &str =
    "actions: [{ name: order, definition: { handler: http://handlers/order }, permissions: [{ role: customer }] }]";

fn main() {
    let schema = read_actions(ACTIONS_GRAPHQL, ACTIONS_YAML, &|_| None).expect("two files without errors");
    let (limits, roots) = (Limits::default(), RootTypes::usual(Dialect::Standard));
    let document = parse("mutation ($product: Int!) { order(input: { product: $product }) }", &limits).expect("valid");
    let operation = document.operation(None).expect("one operation");
    let options =
        PlanOptions { schema: &schema, roots: &roots, limits: &limits, serves_introspection: false, sites: None };
    let plan = plan(&document, operation, &options, &|_| true).expect("a plan");
    let call = &plan.calls[0];
    for role in ["customer", "guest"] {
        println!("{role} may call {}: {}", call.action.name, call.action.allows(role));
    }
    for variables in [r#"{"product": 7}"#, r#"{"product": "seven"}"#] {
        let given: RawObject<'_> = serde_json::from_str(variables).expect("JSON");
        let input = coerce_variable_values(&schema.types, operation, &plan.own_variables, &given).and_then(|values| {
            coerce_argument_values(&schema.types, &call.action.arguments, &call.fields[0].arguments, &values)
        });
        match input {
            Ok(input) => println!("{variables} gives {}", serde_json::Value::Object(input)),
            Err(error) => println!("{variables} is rejected: {} at {}", error.message, error.path),
        }
    }
}
