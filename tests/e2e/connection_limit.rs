//! The connection limit: who is let in, and who is served but not kept.

use super::harness::shop::start;
use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::scripted::Scripted;
use pillion_test_support::{trials, wait_until};

/// The tests.
pub const TESTS: &[super::Test] = trials![connections_above_the_limit];

fn connections_above_the_limit(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = start(engines, &handlers, "limits: { max_connections: 20 }\n");
    let count = || pillion.metric("pillion_connections");
    wait_until("the last of those that looked whether it listens", || count() == 0.0);
    let mut first = pillion.client();
    assert_eq!(first.ask("{ productById(id: 1) { name } }").header("connection"), Some("keep-alive"));
    let mut idle: Vec<Client> = (0..19).map(|_| pillion.client()).collect();
    wait_until("all of them", || count() == 20.0);
    assert!(pillion.client().is_closed(), "one too many");
    assert!(pillion.metric("pillion_shed_requests_total{resource=\"connections\"}") >= 1.0);
    assert_eq!(pillion.admin("/healthz").0, 200);
    // Whoever is in is served, but not kept.
    assert_eq!(first.ask("{ productById(id: 1) { name } }").header("connection"), Some("close"));
    idle.clear();
    wait_until("room", || count() < 10.0);
    assert_eq!(pillion.client().ask("{ productById(id: 1) { name } }").status(), 200);
}
