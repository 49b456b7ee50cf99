//! The circuit breaker of an action: when it opens, when it closes, and what does not count against a handler.

use std::time::Duration;

use pillion_test_support::engines::Engines;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};
use serde_json::{Value, json};

use super::harness::shop::{ask_as_admin, error_code, start_with_secret};

/// The tests.
pub const TESTS: &[super::Test] =
    trials![the_circuit_breaker_opens_and_closes, client_timeouts_do_not_open_the_circuit_breaker];

fn the_circuit_breaker_opens_and_closes(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::status(500, "{}"));
    let pillion =
        start_with_secret(engines, &handlers, "handlers: { circuit_breaker: { enabled: true, reset_timeout: 1s } }\n");
    let standing = || pillion.metric("pillion_circuit_breaker_state{action=\"count\"}");
    for _ in 0..20 {
        assert_eq!(error_code(&ask_as_admin(&pillion, &[], "{ count }")), "unexpected");
    }
    assert_eq!(standing(), 2.0);
    handlers.take_seen();
    let rejected = ask_as_admin(&pillion, &[], "{ count }");
    assert_eq!(error_code(&rejected), "handler-unavailable");
    assert!(rejected.header("retry-after").is_some());
    assert_eq!(handlers.take_seen().len(), 0);
    handlers.on_path("/count", Reply::json("1"));
    wait_until("that it is tried again", || error_code(&ask_as_admin(&pillion, &[], "{ count }")) == Value::Null);
    assert_eq!(standing(), 0.0);
}

/// A call that ends because its client did not want to wait tells nothing about its handler.
fn client_timeouts_do_not_open_the_circuit_breaker(engines: &Engines) {
    let handlers = Scripted::start();
    let slowly = |reply: Reply| Reply::Late(Duration::from_millis(600), Box::new(reply));
    handlers.on_path("/count", slowly(Reply::json("1")));
    let pillion =
        start_with_secret(engines, &handlers, "handlers: { circuit_breaker: { enabled: true, reset_timeout: 1s } }\n");
    let standing = || pillion.metric("pillion_circuit_breaker_state{action=\"count\"}");
    let impatient = [("X-Request-Timeout", "1ms")];
    let all_at_once = |count: usize| {
        std::thread::scope(|scope| {
            for _ in 0..count {
                scope.spawn(|| {
                    let answer = ask_as_admin(&pillion, &impatient, "{ count }").json();
                    let error = &answer["errors"][0]["extensions"]["internal"]["error"];
                    assert_eq!(error["message"], "Response timeout", "{answer}");
                });
            }
        });
    };
    all_at_once(25);
    assert_eq!((standing(), ask_as_admin(&pillion, &[], "{ count }").json()), (0.0, json!({ "data": { "count": 1 } })));
    // Shorter times are raised to one in which a handler can answer.
    handlers.on_path("/count", Reply::Late(Duration::from_millis(10), Box::new(Reply::json("1"))));
    assert_eq!(ask_as_admin(&pillion, &impatient, "{ count }").json(), json!({ "data": { "count": 1 } }));
    // Once it is open for a reason, a trial that is cut short is the next one's, who finds that the handler is well.
    handlers.on_path("/count", Reply::status(500, "{}"));
    wait_until("that it opens", || {
        ask_as_admin(&pillion, &[], "{ count }");
        standing() == 2.0
    });
    handlers.on_path("/count", slowly(Reply::json("1")));
    wait_until("a trial that is cut short", || {
        let answer = ask_as_admin(&pillion, &impatient, "{ count }");
        assert_ne!(error_code(&answer), Value::Null, "{}", answer.text());
        error_code(&answer) != "handler-unavailable"
    });
    assert_eq!(ask_as_admin(&pillion, &[], "{ count }").json(), json!({ "data": { "count": 1 } }));
    assert_eq!(standing(), 0.0);
}
