//! Concurrency limits: a handler that hangs takes its own permits and queue only.

use std::time::{Duration, Instant};

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};

use super::harness::shop::{ask_as_admin, error_code, start_with_secret};

/// The tests.
pub const TESTS: &[super::Test] = trials![a_hanging_handler_uses_its_own_permits_only];

fn a_hanging_handler_uses_its_own_permits_only(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/quote", Reply::Hang);
    handlers.on_path("/count", Reply::json("1"));
    let config =
        "actions: { quote: { max_concurrent_calls: 3, max_queued_calls: 2 } }\nhandlers: { queue_timeout: 300ms }\n";
    let pillion = start_with_secret(engines, &handlers, config);
    let quote = r#"{"query":"{ quote(productId: 1) { total } }"}"#;
    let head =
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-Hasura-Admin-Secret: s3cret\r\n";
    let ask_later = || {
        let mut client = pillion.client();
        client.send(format!("{head}Content-Length: {}\r\n\r\n{quote}", quote.len()).as_bytes());
        client
    };
    let _held: Vec<Client> = (0..3).map(|_| ask_later()).collect();
    wait_until("the calls", || {
        handlers.take_seen().len() == 3 || pillion.metric("pillion_handler_calls_in_flight") == 3.0
    });
    let mut waiting: Vec<Client> = (0..2).map(|_| ask_later()).collect();
    wait_until("those that wait", || pillion.metric("pillion_handler_calls_queued{action=\"quote\"}") == 2.0);
    let begun = Instant::now();
    let rejected = ask_as_admin(&pillion, &[], "{ quote(productId: 1) { total } }");
    assert_eq!(error_code(&rejected), "concurrency-limit-exceeded");
    assert_eq!(rejected.header("retry-after"), Some("1"));
    assert_eq!(ask_as_admin(&pillion, &[], "{ count productById(id: 1) { name } }").json()["data"]["count"], 1);
    for client in &mut waiting {
        let answer = client.read_response().expect("a response");
        assert_eq!(error_code(&answer), "concurrency-limit-exceeded", "{}", answer.text());
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for the handler's timeout");
}
