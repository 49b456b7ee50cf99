//! Retries of handler calls: which calls are retried, and the retry budget.

use super::harness::shop::{ask_as_admin, start_with_secret};
use pillion_test_support::engines::Engines;
use pillion_test_support::message::Message;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::trials;

/// The tests.
pub const TESTS: &[super::Test] = trials![queries_are_retried];

fn queries_are_retried(engines: &Engines) {
    let handlers = Scripted::start();
    let secret = format!("whsec_{}", "AAAA".repeat(10));
    let config = format!(
        "handlers: {{ max_retries: 2, signing_secrets: {secret} }}\nactions: {{ placeOrder: {{ max_retries: 0 }} }}\n"
    );
    let pillion = start_with_secret(engines, &handlers, &config);
    let paths = |status| {
        handlers.on_path("/count", Reply::status(status, "{}"));
        handlers.on_path("/sendCode", Reply::status(status, "{}"));
        ask_as_admin(&pillion, &[], "{ count }");
        ask_as_admin(&pillion, &[], "mutation { sendCode(phone: \"1\") }");
        handlers.take_seen()
    };
    let count = |seen: &[Message], path| seen.iter().filter(|seen| seen.path() == path).count();
    let seen = paths(503);
    assert_eq!((count(&seen, "/count"), count(&seen, "/sendCode")), (3, 1), "a mutation is not harmless");
    let ids: Vec<_> = seen.iter().take(3).map(|seen| seen.header("webhook-id")).collect();
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "attempts are one message");
    let seen = paths(500);
    assert_eq!((count(&seen, "/count"), count(&seen, "/sendCode")), (1, 1), "500 may come again");
    // Ten in reserve, and a tenth of all calls.
    for _ in 0..12 {
        paths(503);
    }
    let seen = paths(503);
    assert_eq!(count(&seen, "/count"), 1, "no storm");
    assert!(pillion.metric("pillion_handler_retries_total{action=\"count\"}") >= 10.0);
}
