//! Rolling update: replicas behind a balancer are replaced under load, and no request fails.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pillion_test_support::balancer::Balancer;
use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{free_port, trials, wait_until};

use super::harness::shop::{MIXED, MIXED_RESPONSE};

/// The tests.
pub const TESTS: &[super::Test] = trials![replicas_are_replaced];

/// Behind a balancer that looks at /readyz, each of two in turn, under load.
fn replicas_are_replaced(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(5), Box::new(Reply::json("1"))));
    let ports: [(u16, u16); 2] = [(free_port(), free_port()), (free_port(), free_port())];
    let start = |index: usize| -> Pillion {
        let mut setup = Setup::before(engines.postgraphile).with_shop(handlers.port).env("PILLION_DRAIN_DELAY", "1s");
        setup.ports = Some(ports[index]);
        setup.start().wait_until_ready()
    };
    let mut replicas = [Some(start(0)), Some(start(1))];
    let balancer = Balancer::start(&ports);
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = Client::connect(balancer.port).ask(MIXED);
                    if answer.text() != MIXED_RESPONSE {
                        is_over.store(true, Ordering::Relaxed);
                        panic!("{}: {}", answer.status(), answer.text());
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..3 {
            let replica = &mut replicas[round % 2];
            let mut old = replica.take().expect("one that runs");
            old.signal("TERM");
            wait_until("its end", || old.process.0.try_wait().is_ok_and(|status| status.is_some()));
            drop(old);
            *replica = Some(start(round % 2));
            // The balancer has to see it before the other one goes.
            let before = answered.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(500));
            wait_until("answers", || is_over.load(Ordering::Relaxed) || answered.load(Ordering::Relaxed) > before + 50);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
