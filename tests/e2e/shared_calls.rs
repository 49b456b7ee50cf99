//! Calls of one query that share requests to their handler, with what else applies to calls: the response cache, rate limits,
//! metrics, and the failure log.

use pillion_test_support::engines::Engines;
use pillion_test_support::message::Message;
use pillion_test_support::pillion::Pillion;
use pillion_test_support::redis::Redis;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};
use serde_json::{Value, json};

use super::harness::shop::{ask_as_admin, error_code, start_with_secret};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    only_unknown_inputs_are_fetched,
    replicas_share_the_entries_of_batches,
    stale_entries_are_fetched_in_one_request,
    a_rate_limit_counts_requests,
    one_query_does_not_overflow_the_queue,
    one_line_is_logged_for_a_failed_batch,
];

fn inputs(handlers: &Scripted) -> Vec<Value> {
    let payload = |seen: &Message| {
        let json = seen.json();
        if json["inputs"].is_array() { json["inputs"].clone() } else { json["input"].clone() }
    };
    handlers.take_seen().iter().map(payload).collect()
}

fn ask(pillion: &Pillion, codes: &[&str]) -> Message {
    let fields: String = codes.iter().map(|code| format!("{code}: maybe(code: \"{code}\") {{ total }} ")).collect();
    ask_as_admin(pillion, &[], &format!("{{ {fields} }}"))
}

fn totals(pillion: &Pillion, codes: &[&str]) -> Value {
    let answer = ask(pillion, codes).json();
    codes.iter().map(|code| answer["data"][code]["total"].clone()).collect()
}

fn only_unknown_inputs_are_fetched(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = start_with_secret(engines, &handlers, "actions: { maybe: { batch: 10, cache: { ttl: 1h } } }\n");
    handlers.on_path("/maybe", Reply::json(r#"{"total":1}"#));
    assert_eq!(totals(&pillion, &["x"]), json!([1]));
    assert_eq!(inputs(&handlers), [json!({ "code": "x" })]);
    handlers.on_path("/maybe", Reply::json(r#"[{"total":2},{"error":{"message":"no"}}]"#));
    assert_eq!(totals(&pillion, &["y", "x", "z"]), json!([2, 1, null]));
    assert_eq!(inputs(&handlers), [json!([{ "code": "y" }, { "code": "z" }])]);
    // An error is not cached; a call that is made alone finds what a batch has left.
    handlers.on_path("/maybe", Reply::json(r#"[null]"#));
    let answer = ask(&pillion, &["x", "y", "z"]).json();
    assert_eq!(answer, json!({ "data": { "x": { "total": 1 }, "y": { "total": 2 }, "z": null } }));
    assert_eq!(inputs(&handlers), [json!([{ "code": "z" }])]);
    assert_eq!((totals(&pillion, &["y"]), totals(&pillion, &["z", "x"])), (json!([2]), json!([null, 1])));
    assert!(inputs(&handlers).is_empty());
    let lookups = |outcome| {
        pillion.metric(&format!("pillion_response_cache_lookups_total{{action=\"maybe\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!((lookups("hit"), lookups("miss")), (6.0, 4.0));
}

fn replicas_share_the_entries_of_batches(engines: &Engines) {
    let redis = Redis::start();
    let handlers = Scripted::start();
    let config = format!(
        "redis: {{ url: 'redis://127.0.0.1:{}' }}\nactions: {{ maybe: {{ batch: 10, cache: {{ ttl: 1h }} }} }}\n",
        redis.port
    );
    let replicas = [start_with_secret(engines, &handlers, &config), start_with_secret(engines, &handlers, &config)];
    handlers.on_path("/maybe", Reply::json(r#"[{"total":1},{"total":2}]"#));
    assert_eq!(totals(&replicas[0], &["x", "y"]), json!([1, 2]));
    handlers.on_path("/maybe", Reply::json(r#"[{"total":3}]"#));
    assert_eq!(totals(&replicas[1], &["y", "z", "x"]), json!([2, 3, 1]));
    assert_eq!(inputs(&handlers), [json!([{ "code": "x" }, { "code": "y" }]), json!([{ "code": "z" }])]);
}

fn stale_entries_are_fetched_in_one_request(engines: &Engines) {
    let handlers = Scripted::start();
    let config = "actions: { maybe: { batch: 10, cache: { ttl: 300ms, stale_while_revalidate: 1h } } }\n";
    let pillion = start_with_secret(engines, &handlers, config);
    handlers.on_path("/maybe", Reply::json(r#"[{"total":1},{"total":2}]"#));
    assert_eq!(totals(&pillion, &["x", "y"]), json!([1, 2]));
    inputs(&handlers);
    std::thread::sleep(std::time::Duration::from_millis(400));
    handlers.on_path("/maybe", Reply::json(r#"[{"total":3},{"total":4}]"#));
    assert_eq!(totals(&pillion, &["x", "y"]), json!([1, 2]));
    wait_until("the refresh", || totals(&pillion, &["x", "y"]) == json!([3, 4]));
    assert_eq!(inputs(&handlers)[0], json!([{ "code": "x" }, { "code": "y" }]));
}

fn a_rate_limit_counts_requests(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = start_with_secret(engines, &handlers, "actions: { maybe: { batch: 10, rate_limit: 2 per 1h } }\n");
    handlers.on_path("/maybe", Reply::json(r#"[null,null,null]"#));
    for _ in 0..2 {
        assert_eq!(ask(&pillion, &["x", "y", "z"]).json()["errors"], Value::Null);
    }
    let answer = ask(&pillion, &["x", "y", "z"]);
    assert_eq!(
        (error_code(&answer), answer.json()["errors"].as_array().map(Vec::len)),
        (json!("rate-limit-exceeded"), Some(3))
    );
    assert!(answer.header("retry-after").is_some());
    assert_eq!(inputs(&handlers).len(), 2);
    let calls =
        |outcome| pillion.metric(&format!("pillion_handler_calls_total{{action=\"maybe\",outcome=\"{outcome}\"}}"));
    assert_eq!((calls("success"), calls("rate_limit")), (2.0, 1.0));
}

fn one_query_does_not_overflow_the_queue(engines: &Engines) {
    let handlers = Scripted::start();
    let config = "actions: { maybe: { batch: 1, max_concurrent_calls: 1, max_queued_calls: 0 } }\n";
    let pillion = start_with_secret(engines, &handlers, config);
    let reply = Reply::json(r#"[{"total":1}]"#);
    handlers.on_path("/maybe", Reply::Late(std::time::Duration::from_millis(20), Box::new(reply)));
    assert_eq!(totals(&pillion, &["w", "x", "y", "z"]), json!([1, 1, 1, 1]));
    assert_eq!(inputs(&handlers).len(), 4);
}

fn one_line_is_logged_for_a_failed_batch(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = start_with_secret(engines, &handlers, "actions: { maybe: { batch: 10 } }\n");
    handlers.on_path("/maybe", Reply::json(r#"[{"total":"much"},{"total":"more"}]"#));
    assert_eq!(totals(&pillion, &["x", "y"]), json!([null, null]));
    let calls =
        |outcome| pillion.metric(&format!("pillion_handler_calls_total{{action=\"maybe\",outcome=\"{outcome}\"}}"));
    assert_eq!((calls("success"), calls("wrong_shape")), (0.0, 1.0));
    handlers.on_path("/maybe", Reply::json(r#"[{"total":1},{"error":{"message":"s3cret-7"}}]"#));
    assert_eq!(totals(&pillion, &["x", "y"]), json!([1, null]));
    let log = pillion.whole_log("TERM");
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let failures: Vec<Value> = lines.filter(|line| line["error.kind"].is_string()).collect();
    let said = |index: usize| failures[index]["error.message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(failures.len(), 2, "{log}");
    assert!(said(0).contains("at $.total: "), "{log}");
    assert!(said(1).contains("the handler rejected 1 of 2 inputs"), "{log}");
    assert!(!log.contains("s3cret-7") && !log.contains("much"), "{log}");
}
