//! The connection pools for the upstream and for handlers.

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};

/// The tests.
pub const TESTS: &[super::Test] = trials![handlers_that_close_connections, connections_are_reused];

fn handlers_that_close_connections(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    handlers.on_path("/sendCode", Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue".to_vec()));
    let mut client = pillion.client();
    for count in 1..=50 {
        let answer = client.ask(r#"mutation { sendCode(phone: "1") }"#);
        assert_eq!(answer.text(), r#"{"data":{"sendCode":true}}"#);
        wait_until("the handler has closed the connection", || handlers.closed() == count);
        // The thread of this connection looks at its sockets before it serves another request.
        client.ask("{ __typename }");
    }
    assert_eq!(handlers.take_seen().len(), 50);
}

fn connections_are_reused(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_path("/graphql", Reply::json(r#"{"data":{"a":1}}"#));
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(engine.port).with_shop(handlers.port).flag("--threads=1").start().wait_until_ready();
    let mut client = pillion.client();
    for _ in 0..20 {
        client.ask("{ a }");
        client.ask("{ a count }");
    }
    // One for each of: what streams through, the upstream's parts, and our own look at the upstream.
    assert!(engine.connections() <= 4, "{} connections to the upstream", engine.connections());
    assert!(handlers.connections() <= 2, "{} connections to the handlers", handlers.connections());
}
