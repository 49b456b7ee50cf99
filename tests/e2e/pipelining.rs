//! HTTP/1.1 pipelining: the next request may come before the response to the one before it.

use std::time::Duration;

use pillion_test_support::engines::Engines;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::trials;

use super::harness::shop::{COUNT, ONE, post_bytes, start};

/// The tests.
pub const TESTS: &[super::Test] = trials![pipelined_requests];

/// Pipelining: RFC 9112, section 9.3.2.
fn pipelined_requests(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(200), Box::new(Reply::json("1"))));
    let pillion = start(engines, &handlers, "");
    // Unless the last one was said to be the last.
    let bytes = String::from_utf8_lossy(&post_bytes(COUNT)).replace("Host: a", "Host: a\r\nConnection: close");
    let mut client = pillion.client();
    client.send(&[bytes.as_bytes(), &post_bytes(COUNT)].concat());
    assert_eq!(client.read_response().expect("a response").header("connection"), Some("close"));
    assert!(client.is_closed());
    let plain = "{ productById(id: 1) { name } }";
    let plains = r#"{"data":{"productById":{"name":"City bicycle"}}}"#;
    for pause in [Duration::ZERO, Duration::from_millis(100)] {
        for (documents, answers) in
            [([COUNT, COUNT], [ONE, ONE]), ([COUNT, plain], [ONE, plains]), ([plain, COUNT], [plains, ONE])]
        {
            let mut client = pillion.client();
            client.send(&post_bytes(documents[0]));
            std::thread::sleep(pause);
            client.send(&post_bytes(documents[1]));
            client.send(&post_bytes(documents[0]));
            for answer in [answers[0], answers[1], answers[0]] {
                let said =
                    client.read_response().unwrap_or_else(|| panic!("no response to {documents:?} after {pause:?}"));
                assert_eq!(said.text(), answer, "{documents:?} after {pause:?}");
            }
        }
    }
}
