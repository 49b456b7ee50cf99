//! SIGTERM: what is in flight is finished, what is new is told to go elsewhere.

use std::time::Duration;

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};

pub const TESTS: &[super::Test] = trials![
    a_request_in_flight_is_finished,
    the_drain_timeout_ends_requests,
    requests_during_the_drain_delay_are_served,
    stops_do_not_flood_the_log,
    zero_drain_delay_and_timeout,
    an_interrupt_skips_the_drain_delay,
];

/// Sends a request without waiting for its response.
fn ask_later(client: &mut Client) {
    let body = r#"{"query":"{ search { title } }"}"#;
    let head = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    client.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

fn wait_for_end(pillion: &mut Pillion) {
    wait_until("the end of pillion", || pillion.process.0.try_wait().is_ok_and(|status| status.is_some()));
}

fn a_request_in_flight_is_finished(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/search", Reply::Late(Duration::from_millis(700), Box::new(Reply::json("[]"))));
    let mut pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    let mut client = pillion.client();
    ask_later(&mut client);
    wait_until("the call", || pillion.metric("pillion_handler_calls_in_flight") > 0.0);
    pillion.signal("TERM");
    wait_until("draining", || pillion.admin("/readyz").1.contains("shutting down"));
    let late = pillion.client().ask("{ productById(id: 1) { name } }");
    assert_eq!((late.status(), late.header("connection")), (200, Some("close")));
    let answer = client.read_response().expect("the response");
    assert_eq!(answer.text(), r#"{"data":{"search":[]}}"#);
    wait_for_end(&mut pillion);
    let status = pillion.process.0.wait().expect("a status");
    assert!(status.success(), "{status}");
}

/// A balancer takes a while to see that /readyz fails.
fn requests_during_the_drain_delay_are_served(engines: &Engines) {
    let setup = Setup::before(engines.postgraphile).env("PILLION_DRAIN_DELAY", "2s");
    let mut pillion = setup.start().wait_until_ready();
    pillion.signal("TERM");
    wait_until("draining", || pillion.admin("/readyz").0 == 503);
    for _ in 0..5 {
        let answer = pillion.client().ask("{ productById(id: 1) { name } }");
        assert_eq!((answer.status(), answer.header("connection")), (200, Some("close")));
    }
    wait_for_end(&mut pillion);
}

fn the_drain_timeout_ends_requests(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/search", Reply::Hang);
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port).config("shutdown_timeout: 500ms\n");
    let mut pillion = setup.start().wait_until_ready();
    let mut client = pillion.client();
    ask_later(&mut client);
    wait_until("the call", || pillion.metric("pillion_handler_calls_in_flight") > 0.0);
    pillion.signal("TERM");
    wait_for_end(&mut pillion);
    assert!(client.read_response().is_none());
}

/// The loops that accept connections end before what they run on does: one that did not wrote thousands of lines in one of
/// twenty stops.
fn stops_do_not_flood_the_log(engines: &Engines) {
    let stop = || {
        for _ in 0..10 {
            let setup = Setup::before(engines.postgraphile).env("PILLION_DRAIN_DELAY", "1ms").with_shop(1);
            let pillion = setup.start();
            assert_eq!(pillion.client().ask("{ productById(id: 1) { name } }").status(), 200);
            let log = pillion.whole_log("TERM");
            assert!(!log.contains("Accept() failed"), "{}", log.chars().take(1_000).collect::<String>());
            assert!(log.lines().count() < 20, "{log}");
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(stop))));
}

/// Ctrl-C comes from a person: no load balancer has to learn of it first.
fn an_interrupt_skips_the_drain_delay(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/search", Reply::Late(Duration::from_millis(700), Box::new(Reply::json("[]"))));
    let setup = || Setup::before(engines.postgraphile).with_shop(handlers.port).env("PILLION_DRAIN_DELAY", "1h");
    // Nothing is in flight: with the delay the test would wait for an hour.
    let mut pillion = setup().start().wait_until_ready();
    pillion.signal("INT");
    wait_for_end(&mut pillion);
    // What is in flight is finished all the same.
    let mut pillion = setup().start().wait_until_ready();
    let mut client = pillion.client();
    ask_later(&mut client);
    wait_until("the call", || pillion.metric("pillion_handler_calls_in_flight") > 0.0);
    pillion.signal("INT");
    assert_eq!(client.read_response().expect("the response").text(), r#"{"data":{"search":[]}}"#);
    wait_for_end(&mut pillion);
    assert!(pillion.process.0.wait().expect("a status").success());
}

fn zero_drain_delay_and_timeout(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/search", Reply::Hang);
    // Nothing is in flight: it ends at once.
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port).env("PILLION_DRAIN_DELAY", "0s");
    let mut pillion = setup.start().wait_until_ready();
    let began = std::time::Instant::now();
    pillion.signal("INT");
    wait_for_end(&mut pillion);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // A second signal ends the wait, whatever is in flight.
    let config = "drain_delay: 0s\nshutdown_timeout: 10m\n";
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port).env("PILLION_DRAIN_DELAY", "1h");
    let mut pillion = setup.config(config).start().wait_until_ready();
    let mut client = pillion.client();
    ask_later(&mut client);
    wait_until("the call", || pillion.metric("pillion_handler_calls_in_flight") > 0.0);
    pillion.signal("INT");
    wait_until("draining", || pillion.admin("/readyz").1.contains("shutting down"));
    pillion.signal("INT");
    wait_for_end(&mut pillion);
}
