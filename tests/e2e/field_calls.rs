//! Handler calls for the rows of an upstream: the response cache by key, rate limits, the concurrency limit, and metrics.

use std::time::Duration;

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::trials;
use serde_json::{Value, json};

use super::harness::shop::ask_as_admin;

/// The tests.
pub const TESTS: &[super::Test] = trials![
    only_unknown_keys_are_fetched,
    keys_that_do_not_fit_cost_their_rows,
    a_rate_limit_is_one_failure_of_all_further_rows,
    rows_of_one_query_do_not_overflow_the_queue,
];

const FIELDS: &str = "fields:
  Product.offer: 'offer(productId: $id)'
  Product.stored: 'stocks(products: [$name]) by product'
  Product.inStock: 'offer(productId: $stock)'
";

fn start(engines: &Engines, handlers: &Scripted, actions: &str) -> Pillion {
    let setup = Setup::before(engines.postgraphile).with_actions("extension-fields", handlers.port);
    let config = format!("{FIELDS}actions: {{ {actions} }}\n");
    setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").config(&config).start().wait_until_ready()
}

fn rows(pillion: &Pillion, first: usize, fields: &str) -> Value {
    let query = format!("{{ allProducts(first: {first}, orderBy: ID_ASC) {{ nodes {{ {fields} }} }} }}");
    ask_as_admin(pillion, &[], &query).json()
}

fn inputs(handlers: &Scripted) -> Vec<Value> {
    handlers.take_seen().iter().map(|seen| seen.json()["input"].clone()).collect()
}

fn only_unknown_keys_are_fetched(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = start(engines, &handlers, "stocks: { cache: { ttl: 1h } }");
    let pieces = |first: usize| {
        let answer = rows(&pillion, first, "stored { pieces }");
        let nodes = answer["data"]["allProducts"]["nodes"].as_array().cloned().unwrap_or_default();
        nodes.iter().map(|row| row["stored"]["pieces"].clone()).collect::<Value>()
    };
    handlers.on_path("/stocks", Reply::json(r#"[{"product":"City bicycle","pieces":1}]"#));
    assert_eq!(pieces(2), json!([1, null]));
    assert_eq!(inputs(&handlers), [json!({ "products": ["City bicycle", "Helmet"] })]);
    // That there is nothing for a key is known as well.
    handlers.on_path("/stocks", Reply::json(r#"[{"product":"Lock","pieces":3},{"product":"Helmet","pieces":2}]"#));
    assert_eq!(pieces(3), json!([1, null, 3]));
    assert_eq!(inputs(&handlers), [json!({ "products": ["Lock"] })]);
    assert_eq!(pieces(3), json!([1, null, 3]));
    assert!(inputs(&handlers).is_empty());
    // A list of one element is not that element.
    let answer = ask_as_admin(&pillion, &[], r#"{ stocks(products: ["Lock"]) { pieces } }"#).json();
    assert_eq!(answer["data"]["stocks"], json!([{ "pieces": 3 }, { "pieces": 2 }]));
    let metric = |selector: &str| pillion.metric(selector);
    assert_eq!(metric("pillion_field_batches_total{action=\"stocks\"}"), 2.0);
    assert_eq!(metric("pillion_field_batch_size_sum"), 3.0);
    assert_eq!(metric("pillion_response_cache_lookups_total{action=\"stocks\",outcome=\"hit\"}"), 5.0);
}

/// A number of 64 bits is no `Int`.
fn keys_that_do_not_fit_cost_their_rows(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = start(engines, &handlers, "");
    handlers.on_path("/offer", Reply::json(r#"{"total":1}"#));
    let answer = rows(&pillion, 2, "offer { total } inStock { total }");
    assert_eq!(answer["data"]["allProducts"]["nodes"][1], json!({ "offer": { "total": 1 }, "inStock": null }));
    let message = "a key of the row does not fit the argument \"productId\" of the type Int!";
    assert_eq!(answer["errors"][0]["message"], message);
    assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1));
    assert!(!answer.to_string().contains("9007199254740993"), "{answer}");
    assert_eq!(inputs(&handlers).len(), 2);
}

fn a_rate_limit_is_one_failure_of_all_further_rows(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = start(engines, &handlers, "offer: { rate_limit: 1 per 1h, max_concurrent_calls: 2 }");
    handlers.on_path("/offer", Reply::json(r#"{"total":1}"#));
    let answer = rows(&pillion, 3, "offer { total }");
    let nodes = [json!({ "offer": { "total": 1 } }), json!({ "offer": null }), json!({ "offer": null })];
    assert_eq!(answer["data"]["allProducts"]["nodes"], json!(nodes));
    assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "rate-limit-exceeded");
    assert_eq!(answer["errors"][0]["extensions"]["rows"], 2);
    let calls =
        |outcome| pillion.metric(&format!("pillion_handler_calls_total{{action=\"offer\",outcome=\"{outcome}\"}}"));
    assert_eq!((calls("success"), calls("rate_limit")), (1.0, 1.0));
}

fn rows_of_one_query_do_not_overflow_the_queue(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = start(engines, &handlers, "offer: { max_concurrent_calls: 1, max_queued_calls: 0 }");
    handlers.on_path("/offer", Reply::Late(Duration::from_millis(20), Box::new(Reply::json(r#"{"total":1}"#))));
    let answer = rows(&pillion, 3, "offer { total } more: offer(pieces: 2) { total }");
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    assert_eq!(answer["data"]["allProducts"]["nodes"][2], json!({ "offer": { "total": 1 }, "more": { "total": 1 } }));
    assert_eq!(inputs(&handlers).len(), 6);
}
