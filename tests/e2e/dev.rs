//! `pillion dev`: reloads, a log for people, an end at once, and mocks in the place of handlers.

use std::fs;
use std::process::{Command, Stdio};

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};
use serde_json::{Value, json};

use super::harness::shop::post_bytes;
use super::startup::folder;

pub const TESTS: &[super::Test] = trials![
    made_values_in_place_of_handlers,
    a_mock_is_within_everything_else,
    examples_by_arguments,
    wrong_examples_are_rejected_with_locations,
    the_log_says_why_a_call_failed,
    an_interrupt_ends_it_at_once,
    a_mock_needs_no_upstream,
    serving_knows_no_mock,
];

fn dev(port: u16, actions: &str, handlers: u16) -> Setup {
    Setup::before(port).with_actions(actions, handlers).in_development()
}

fn send(pillion: &Pillion, query: &str) -> Value {
    let body = json!({ "query": query }).to_string();
    pillion.client().request("POST", "/graphql", &[("Content-Type", "application/json")], body.as_bytes()).json()
}

fn made_values_in_place_of_handlers(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = dev(engines.postgraphile, "shop", handlers.port).flag("--mock=auto").start().wait_until_ready();
    let query = "{ productById(id: 1) { name } quote(productId: 3) { productId total currency } \
                 search(filter: { text: \"a\" }) { id title related { id } } }";
    let response = send(&pillion, query);
    assert_eq!(response["data"]["productById"]["name"], "City bicycle", "{response}");
    assert_eq!(response["data"]["quote"]["productId"], 3, "{response}");
    assert_eq!(response["data"]["quote"]["currency"], "CH", "{response}");
    assert!(response["data"]["quote"]["total"].is_number(), "{response}");
    assert_eq!(response["data"]["search"].as_array().map(Vec::len), Some(2), "{response}");
    assert_eq!(response["data"]["search"][1]["id"], "2", "{response}");
    assert_eq!(send(&pillion, query), response);
    let order = send(&pillion, "mutation { placeOrder(order: { productId: 1 }) { id } }");
    assert!(order["errors"].is_null() && order["data"]["placeOrder"].is_object(), "{order}");
    // What is validated and denied stays so.
    assert!(send(&pillion, "{ quote(productId: \"x\") { total } }")["errors"].is_array());
    assert!(handlers.take_seen().is_empty(), "a handler was called");
}

/// Relationships, extension fields with keys and batches, and transforms.
fn a_mock_is_within_everything_else(engines: &Engines) {
    let config = "relationships:\n  Wish.product: 'productById(id: $productId)'\n";
    let pillion = dev(engines.postgraphile, "lookups", 1).config(config).flag("--mock=auto").start().wait_until_ready();
    let wish = send(&pillion, "mutation { wish(productId: 2) { product { name } } }");
    assert_eq!(wish, json!({ "data": { "wish": { "product": { "name": "Helmet" } } } }));
    let config = "fields:\n  Product.offer: 'offer(productId: $id)'\n  Product.stored: 'stocks(products: [$name]) by product'\n  \
                  Review.mood: 'mood(text: $body, stars: $stars)'\nactions:\n  mood: { batch: 2 }\n";
    let pillion =
        dev(engines.postgraphile, "extension-fields", 1).config(config).flag("--mock=auto").start().wait_until_ready();
    let query = "{ allProducts(first: 2) { nodes { name stored { product pieces } offer { total product_id } } } \
                 allReviews(first: 2) { nodes { mood } } }";
    let response = send(&pillion, query);
    let nodes = &response["data"]["allProducts"]["nodes"];
    assert_eq!(nodes[1]["stored"]["product"], "Helmet", "{response}");
    assert!(nodes[0]["offer"]["total"].is_number(), "{response}");
    assert!(response["data"]["allReviews"]["nodes"][0]["mood"].is_string(), "{response}");
    assert!(response["errors"].is_null(), "{response}");
    // A value is not transformed once more.
    let pillion = dev(engines.postgraphile, "rest", 1).flag("--mock=auto");
    let pillion = pillion.env("REST", "http://127.0.0.1:1").start().wait_until_ready();
    let names = send(&pillion, "{ __schema { queryType { fields { name } } } }");
    assert!(names["data"]["__schema"]["queryType"]["fields"].is_array(), "{names}");
}

fn examples_by_arguments(engines: &Engines) {
    let examples = "actions:\n  quote:\n    - when: { productId: 1 }\n      returns: { productId: 1, amount: 1, total: 12.50 }\n    \
                    - when: { productId: 2 }\n      error: { message: sold out, code: gone }\n  count: { returns: 41 }\n";
    let folder = folder("mock", &[("mock.yaml", examples)]);
    let file = folder.join("mock.yaml");
    let flag = format!("--mock={}", file.display());
    let pillion = dev(engines.postgraphile, "shop", 1).flag(&flag).start().wait_until_ready();
    let quote = |id: u8| send(&pillion, &format!("{{ quote(productId: {id}) {{ total }} }}"));
    assert_eq!(quote(1), json!({ "data": { "quote": { "total": 12.5 } } }));
    let sold_out = quote(2);
    assert_eq!(sold_out["errors"][0]["message"], "sold out", "{sold_out}");
    assert_eq!(sold_out["errors"][0]["extensions"]["code"], "gone", "{sold_out}");
    // Without an example for them, arguments get a made value.
    assert!(quote(3)["data"]["quote"]["total"].is_number());
    assert_eq!(send(&pillion, "{ count }"), json!({ "data": { "count": 41 } }));
    // Saved, it is in effect; what is wrong is said, and the old ones stay.
    fs::write(&file, examples.replace("41", "many")).expect("the file");
    assert_eq!(send(&pillion, "{ count }"), json!({ "data": { "count": 41 } }));
    pillion.wait_for_log("the previous examples stay in use");
    wait_until("new examples", || {
        fs::write(&file, examples.replace("41", "42")).expect("the file");
        send(&pillion, "{ count }") == json!({ "data": { "count": 42 } })
    });
    fs::remove_dir_all(folder).expect("the folder");
}

fn wrong_examples_are_rejected_with_locations(engines: &Engines) {
    let examples =
        "actions:\n  quote:\n    returns: { productId: one, amount: 1, total: 1 }\n  qoute: { returns: null }\n";
    let folder = folder("mock-wrong", &[("mock.yaml", examples)]);
    let flag = format!("--mock={}", folder.join("mock.yaml").display());
    let (status, said) = dev(engines.postgraphile, "shop", 1).flag(&flag).start_in_vain();
    assert_eq!(status.code(), Some(1), "{said}");
    for words in ["mock.yaml:3:27: error: ", "mock.yaml:4:3: error: there is no action \"qoute\". Did you mean"] {
        assert!(said.contains(words), "{words} is not in:\n{said}");
    }
    let (status, said) = dev(engines.postgraphile, "shop", 1).flag("--mock=gone.yaml").start_in_vain();
    assert!(status.code() == Some(1) && said.contains("gone.yaml: the file cannot be read"), "{said}");
    fs::remove_dir_all(folder).expect("the folder");
}

fn the_log_says_why_a_call_failed(engines: &Engines) {
    let handlers = Scripted::start();
    let setup = dev(engines.postgraphile, "shop", handlers.port).with_own_copy();
    let actions = setup.metadata.clone().expect("a folder").join("actions.yaml");
    let pillion = setup.start().wait_until_ready();
    handlers.on_path("/count", Reply::json("\"many\""));
    let response = send(&pillion, "{ count }");
    // Errors show what was exchanged.
    assert!(response["errors"][0]["extensions"]["internal"].is_object(), "{response}");
    pillion.wait_for_log("WARN  handler call failed: ");
    let log = pillion.log();
    assert!(log.contains("action=count") && !log.contains("request_id"), "{log}");
    // A saved file is in effect, without being asked for.
    let text = fs::read_to_string(&actions).expect("the actions");
    fs::write(&actions, format!("{text}\nnonsense: [")).expect("the actions");
    pillion.wait_for_log("ERROR configuration rejected, keeping the current one");
    fs::write(&actions, format!("{text}\n# saved\n")).expect("the actions");
    pillion.wait_for_log("INFO  configuration applied");
}

fn an_interrupt_ends_it_at_once(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Hang);
    let config = "drain_delay: 1h\nshutdown_timeout: 1h\n";
    let mut pillion = dev(engines.postgraphile, "shop", handlers.port).config(config).start().wait_until_ready();
    let mut client = pillion.client();
    client.send(&post_bytes("{ count }"));
    wait_until("the handler call", || pillion.metric("pillion_handler_calls_in_flight") == 1.0);
    pillion.signal("INT");
    // Neither the delay nor the request in flight is waited for.
    wait_until("its end", || pillion.process.0.try_wait().is_ok_and(|status| status.is_some()));
}

fn a_mock_needs_no_upstream(_: &Engines) {
    let mut setup = dev(1, "shop", 1).flag("--mock=auto");
    setup.upstream = "http://127.0.0.1:1".to_owned();
    let pillion = setup.start();
    assert!(send(&pillion, "{ count }")["data"]["count"].is_number());
}

fn serving_knows_no_mock(_: &Engines) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.args(["serve", "--mock", "auto", "--upstream", "http://127.0.0.1:1"]).env_clear();
    for name in ["PILLION_MOCK", "PILLION_DEV_MOCK"] {
        command.env(name, "auto");
    }
    let output = command.stdin(Stdio::null()).output().expect("pillion runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("unexpected argument '--mock'"), "{said}");
}
