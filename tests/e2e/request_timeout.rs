//! The request timeout that a client asks for.

use std::time::{Duration, Instant};

use pillion_test_support::engines::Engines;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::trials;

use super::harness::shop::{ask_as_admin, start_with_secret};

/// The tests.
pub const TESTS: &[super::Test] = trials![the_request_timeout_header];

fn the_request_timeout_header(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Hang);
    let pillion = start_with_secret(engines, &handlers, "");
    let begun = Instant::now();
    let answer = ask_as_admin(&pillion, &[("X-Request-Timeout", "300ms")], "{ count }").json();
    assert_eq!(answer["errors"][0]["extensions"]["internal"]["error"]["message"], "Response timeout", "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(10), "the action's own timeout is 30 s");
}
