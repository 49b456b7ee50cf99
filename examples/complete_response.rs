//! Completes a handler's response: checks it against the action's type and cuts it to what the client has selected.
//!
//! `cargo run --example complete_response`

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "an example that goes wrong may end")]

use pillion::action::complete_value::{CompletionRules, complete_value};
use pillion::action::handler_response::{ReadRules, read};
use pillion::action::relationship::RowKeys;
use pillion::config::actions::read_actions;
use pillion::graphql::document::parse;
use pillion::graphql::plan::{PlanOptions, plan};
use pillion::graphql::root_types::RootTypes;
use pillion::graphql::selection::Selector;
use pillion::model::limits::Limits;
use pillion::model::response::Dialect;

const ACTIONS_GRAPHQL: &str = "type Query { profile: Profile } type Profile { name: String!, age: Int }";
const ACTIONS_YAML: &str = "actions: [{ name: profile, definition: { handler: http://handlers/profile } }]";

fn main() {
    let schema = read_actions(ACTIONS_GRAPHQL, ACTIONS_YAML, &|_| None).expect("two files without errors");
    let (limits, roots) = (Limits::default(), RootTypes::usual(Dialect::Standard));
    let document = parse("{ profile { who: name } }", &limits).expect("a valid document");
    let operation = document.operation(None).expect("one operation");
    let options =
        PlanOptions { schema: &schema, roots: &roots, limits: &limits, serves_introspection: false, sites: None };
    let plan = plan(&document, operation, &options, &|_| true).expect("a plan");
    let call = &plan.calls[0];
    let selector = Selector { document: &document, operation, types: &schema.types, condition: &|_| true, sites: None };
    let selection = selector.select(call.action.output.named(), &call.fields.iter().collect::<Vec<_>>());
    let rules = CompletionRules { types: &schema.types, dialect: Dialect::Standard, max_list_length: 1000 };
    for (status, body) in [
        (200, r#"{"name":"Ada","age":36,"secret":1}"#),
        (200, r#"{"age":36}"#),
        (400, r#"{"message":"no such profile"}"#),
    ] {
        match read(ReadRules { is_envelope: false, max_errors: 10 }, status, body.to_owned().into()) {
            Ok(response) => {
                let value = complete_value(
                    &rules,
                    &call.action.output,
                    response.value.node(),
                    &selection,
                    &mut RowKeys::default(),
                );
                let errors: Vec<&str> = value.errors.iter().map(|error| error.message.as_str()).collect();
                println!("{status} {body}\n  => {} {errors:?}", value.json);
            }
            Err(error) => println!("{status} {body}\n  => {error}"),
        }
    }
}
