//! Listener handover: a new process takes the listeners of the one before it, and no request fails.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{free_port, trials, wait_until};

use super::harness::EndOfTest;
use super::harness::shop::{MIXED, MIXED_RESPONSE};

/// The tests.
pub const TESTS: &[super::Test] = trials![listeners_are_handed_over];

/// On one machine, without a balancer: the next one takes the listeners themselves.
fn listeners_are_handed_over(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(5), Box::new(Reply::json("1"))));
    handlers.on_path("/search", Reply::Late(Duration::from_secs(8), Box::new(Reply::json("[]"))));
    let ports = (free_port(), free_port());
    let socket = temp_folder().join("upgrade/socket");
    let start = |is_next: bool| -> Pillion {
        let mut setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
        setup = setup.env("PILLION_UPGRADE_SOCKET_PATH", &socket.display().to_string());
        setup = setup.env("PILLION_UPGRADE_ENABLED", &is_next.to_string());
        setup.ports = Some(ports);
        setup.start()
    };
    let mut current = start(false).wait_until_ready();
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _end = EndOfTest(&is_over);
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = Client::connect(ports.0).ask(MIXED);
                    if answer.text() != MIXED_RESPONSE {
                        is_over.store(true, Ordering::Relaxed);
                        panic!("{}: {}", answer.status(), answer.text());
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..2 {
            // Longer than the handover takes: it is finished by the one that began it.
            let slow = scope.spawn(|| Client::connect(ports.0).ask("{ search { title } }").text());
            wait_until("the slow call", || handlers.take_seen().iter().any(|seen| seen.path() == "/search"));
            // The one that runs waits for the next one.
            let next = scope.spawn(|| start(true));
            current.signal("QUIT");
            let mut old = std::mem::replace(&mut current, next.join().expect("the next one"));
            assert_eq!(slow.join().expect("a response"), r#"{"data":{"search":[]}}"#);
            wait_until("the end of the old one", || old.process.0.try_wait().is_ok_and(|status| status.is_some()));
            assert!(old.process.0.wait().is_ok_and(|status| status.success()));
            let before = answered.load(Ordering::Relaxed);
            wait_until("answers", || is_over.load(Ordering::Relaxed) || answered.load(Ordering::Relaxed) > before + 50);
        }
    });
    let _ = std::fs::remove_file(socket);
}
