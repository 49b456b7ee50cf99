//! Clients that disconnect: what nobody waits for is given up, and a mutation that has begun is finished.

use std::time::Duration;

use pillion_test_support::engines::Engines;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};

use super::harness::shop::{COUNT, ONE, ask_over_http2, post_body_bytes, post_bytes, start};

/// The tests.
pub const TESTS: &[super::Test] = trials![queries_are_cancelled_on_disconnect, mutations_finish_after_a_disconnect];

fn queries_are_cancelled_on_disconnect(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Hang);
    let config = "actions: { count: { max_concurrent_calls: 1 } }\n";
    let pillion = start(engines, &handlers, config);
    let gone = || pillion.metric("pillion_requests_total{kind=\"client_closed\"}");
    let get = b"GET /graphql?query=%7B%20count%20%7D HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let batch = post_body_bytes(r#"[{"query":"{ count }"},{"query":"{ count productById(id: 1) { name } }"}]"#);
    let ways = [post_bytes(COUNT), post_bytes("{ count productById(id: 1) { name } }"), get, batch];
    for (number, bytes) in ways.iter().enumerate() {
        let mut client = pillion.client();
        client.send(bytes);
        // Each finds the one place free again.
        wait_until("the call", || !handlers.take_seen().is_empty());
        drop(client);
        wait_until("that it is given up", || gone() >= (number + 1) as f64);
    }
    // A stream of HTTP/2 is reset.
    assert_eq!(ask_over_http2(&pillion, Duration::from_millis(1500)), None);
    wait_until("that it is given up", || gone() >= 5.0);
    assert_eq!(handlers.take_seen().len(), 1);
    wait_until("nothing in flight", || pillion.metric("pillion_requests_in_flight") == 0.0);
    pillion.wait_for_log("\"outcome\":\"client_closed\"");
    handlers.on_path("/count", Reply::json("1"));
    assert_eq!(pillion.client().ask(COUNT).text(), ONE);
}

fn mutations_finish_after_a_disconnect(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/cancelOrder", Reply::Late(Duration::from_millis(300), Box::new(Reply::json(r#"{"id":"1"}"#))));
    handlers.on_path("/sendCode", Reply::json("true"));
    let pillion = start(engines, &handlers, "");
    let mut client = pillion.client();
    client.send(&post_bytes("mutation { cancelOrder(id: 1) { id } sendCode(phone: \"1\") }"));
    wait_until("the first call", || !handlers.take_seen().is_empty());
    drop(client);
    wait_until("the second call", || handlers.take_seen().iter().any(|seen| seen.path() == "/sendCode"));
    assert_eq!(pillion.metric("pillion_requests_total{kind=\"client_closed\"}"), 0.0);
}
