//! Replicas behind a balancer with one PostgreSQL and one Redis: what they share stays exact while one is killed and one is added.
//! `make scale` measures the same with more of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pillion_test_support::balancer::Balancer;
use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::redis::Redis;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{free_port, trials, wait_until};
use serde_json::{Value, json};

use super::jobs::{ADMIN, wait_for};

/// The tests.
pub const TESTS: &[super::Test] = trials![a_rate_limit_is_exact, no_accepted_job_is_lost];

/// Two replicas that run, the place of a third, and their balancer.
struct Replicas {
    running: Vec<Pillion>,
    ports: Vec<(u16, u16)>,
    balancer: Balancer,
}

impl Replicas {
    fn start(setup: &dyn Fn() -> Setup) -> Self {
        let ports: Vec<(u16, u16)> = (0..3).map(|_| (free_port(), free_port())).collect();
        let running = ports.iter().take(2).map(|ports| start(setup(), *ports)).collect();
        let balancer = Balancer::start(&ports);
        Self { running, ports, balancer }
    }

    /// Posts a document on a connection of its own. Nothing if there is no response with data or errors.
    fn ask(&self, document: &str) -> Option<Value> {
        let body = json!({ "query": document }).to_string();
        let headers =
            [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", "s3cret"), ("X-Hasura-User-Id", "1")];
        let mut client = Client::try_connect(self.balancer.port).ok()?;
        let response = client.try_request("POST", "/graphql", &headers, body.as_bytes()).ok()?;
        (response.status() == 200).then(|| response.json())
    }
}

fn start(mut setup: Setup, ports: (u16, u16)) -> Pillion {
    setup.ports = Some(ports);
    setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").start().wait_until_ready()
}

fn a_rate_limit_is_exact(engines: &Engines) {
    let redis = Redis::start();
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let setup = || {
        let config = format!(
            "redis: {{ url: 'redis://127.0.0.1:{}' }}\nactions: {{ count: {{ rate_limit: 100 per 24h }} }}\n",
            redis.port
        );
        Setup::before(engines.postgraphile).with_shop(handlers.port).config(&config)
    };
    let mut replicas = Replicas::start(&setup);
    let allowed = |replicas: &Replicas, calls: usize| -> usize {
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(move || {
                        let ask = || replicas.ask("{ count }").expect("a response");
                        (0..calls / 8).filter(|_| ask()["data"]["count"] == 1).count()
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().expect("a thread")).sum()
        })
    };
    assert_eq!(allowed(&replicas, 64), 64);
    replicas.running.push(start(setup(), replicas.ports[2]));
    // The balancer has seen it when it gets a call.
    wait_until("a call at the new replica", || {
        let _ = replicas.ask("{ __typename }");
        replicas.running[2].metric("pillion_requests_total") > 0.0
    });
    let total = 64 + allowed(&replicas, 80);
    // A call that Redis does not count in time is allowed, and may be counted.
    let errors: f64 =
        replicas.running.iter().map(|pillion| pillion.metric("pillion_rate_limit_store_errors_total")).sum();
    assert!(total >= 100 && total as f64 <= 100.0 + errors, "{total} were allowed, {errors} of them uncounted");
    assert_eq!(handlers.take_seen().len(), total);
}

fn no_accepted_job_is_lost(engines: &Engines) {
    let store = engines.new_database("replicas_jobs");
    let handlers = Scripted::start();
    let reply = Reply::json(r#"[{"id":1}]"#);
    handlers.on_path("/later", Reply::Late(Duration::from_millis(20), Box::new(reply)));
    let setup = || {
        let config = "dialect: hasura\njobs: { lease_duration: 2s, poll_interval: 200 }\n";
        let setup = Setup::before(engines.postgraphile).with_actions("hasura-async", handlers.port);
        setup.env("PILLION_JOBS_STORE", &store).config(config)
    };
    let mut replicas = Replicas::start(&setup);
    let is_over = AtomicBool::new(false);
    let mut killed = None;
    let accepted: Vec<String> = std::thread::scope(|scope| {
        let (port, is_over) = (&replicas.balancer.port, &is_over);
        let accept = move |caller: usize| {
            let mut ids = Vec::new();
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                ids.extend(enqueue(*port, caller * 100_000 + number));
            }
            ids
        };
        let callers: Vec<_> = (0..4).map(|caller| scope.spawn(move || accept(caller))).collect();
        let has_run = |pillion: &Pillion| pillion.metric("pillion_job_attempts_total") >= 20.0;
        wait_until("that both replicas run jobs", || replicas.running.iter().all(has_run));
        let victim = replicas.running.remove(0);
        victim.signal("KILL");
        killed = Some(victim);
        replicas.running.push(start(setup(), replicas.ports[2]));
        wait_until("that the new replica runs jobs", || has_run(&replicas.running[1]));
        is_over.store(true, Ordering::Relaxed);
        callers.into_iter().flat_map(|caller| caller.join().expect("a thread")).collect()
    });
    assert!(accepted.len() > 40, "{}", accepted.len());
    for id in &accepted {
        let seen = wait_for(&replicas.running[0], ADMIN, "later", id, "output { id }");
        assert_eq!(seen["data"]["later"]["output"], json!([{ "id": 1 }]), "{id}");
    }
    let mut calls: HashMap<String, usize> = HashMap::new();
    for seen in handlers.take_seen() {
        *calls.entry(seen.json()["input"]["number"].to_string()).or_default() += 1;
    }
    assert!(calls.len() >= accepted.len(), "{} of {}", calls.len(), accepted.len());
    // Only what the killed replica had in hand was called twice.
    let repeated = calls.values().filter(|count| **count > 1).count();
    assert!(calls.values().all(|count| *count <= 2) && repeated <= 32, "{repeated} calls were made again");
}

/// The id of the job, if it was accepted.
fn enqueue(port: u16, number: usize) -> Option<String> {
    let body = json!({ "query": format!("mutation {{ later(number: {number}) }}") }).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", "s3cret")];
    let response = Client::try_connect(port).ok()?.try_request("POST", "/graphql", &headers, body.as_bytes()).ok()?;
    let answer = (response.status() == 200).then(|| response.json())?;
    answer["data"]["later"].as_str().map(str::to_owned)
}
