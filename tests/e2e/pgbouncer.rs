//! The job store behind `PgBouncer` in transaction pooling mode: consecutive statements of a connection run on different connections
//! of the server, and notifications never come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pillion::config::settings::DatabaseSettings;
use pillion::internals::{Claim, Database, JobStore, NewJob, Outcome, PostgresStore};
use pillion::model::secret::Secret;
use pillion_test_support::engines::Engines;
use pillion_test_support::pgbouncer::PgBouncer;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};
use serde_json::json;
use uuid::Uuid;

use super::jobs::{ADMIN, accept, start, wait_for};

/// The tests.
pub const TESTS: &[super::Test] = trials![connections_of_the_server_are_shared, jobs_run_in_all_replicas];

const HOUR: Duration = Duration::from_secs(3600);

/// Many statements at one time on few connections of the server.
fn connections_of_the_server_are_shared(engines: &Engines) {
    let bouncer = PgBouncer::start(engines.database, 3);
    let url = bouncer.url_of(&engines.new_database("shared_connections"));
    pillion::install_tls_provider();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let settings = DatabaseSettings { url: Secret::new(url), tls_ca_file: None };
        let database = Database::new(&settings).expect("a database");
        // As two replicas.
        let stores = [
            Arc::new(PostgresStore::open(database.clone()).await.expect("a store")),
            Arc::new(PostgresStore::open(database).await.expect("a store")),
        ];
        let run = |number: usize| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move {
                let text = || String::from("{}");
                let (payload, headers, session) = (text(), text(), text());
                let job = NewJob { id: Uuid::new_v4(), action: "a".into(), payload, headers, session, lifetime: HOUR };
                store.insert(std::slice::from_ref(&job)).await.expect("stored");
                let claim = Claim { limit: 1, lease: HOUR, action: "a".into() };
                let claimed = store.claim(&claim).await.expect("claimed");
                for job in &claimed {
                    let held = [(job.id, job.fencing_token)];
                    assert_eq!(store.renew(&held, HOUR).await.expect("renewed"), [job.id]);
                    let outcome = Outcome::Completed("1".into());
                    assert!(store.finish(job.id, job.fencing_token, &outcome).await.expect("finished"));
                }
                claimed.len()
            })
        };
        let tasks: Vec<_> = (0..200).map(run).collect();
        let mut finished = 0;
        for task in tasks {
            finished += task.await.expect("a task");
        }
        assert_eq!(finished, 200);
    });
}

/// A replica that accepts jobs and runs none, and two that poll for them.
fn jobs_run_in_all_replicas(engines: &Engines) {
    let bouncer = PgBouncer::start(engines.database, 2);
    let url = bouncer.url_of(&engines.new_database("pooled_jobs"));
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
    let poll = |interval: u32| format!("jobs: {{ poll_interval: {interval} }}\n");
    let accepting = start(engines.postgraphile, &handlers, &url, &poll(0));
    let running: Vec<_> = (0..2).map(|_| start(engines.postgraphile, &handlers, &url, &poll(200))).collect();
    for pillion in [&accepting].into_iter().chain(&running) {
        pillion.wait_for_log("no notification came by the connection");
    }
    let replicas = [&accepting, &running[0], &running[1]];
    let later = |number: usize| format!("mutation {{ later(number: {number}) }}");
    let ids: Vec<String> = (0..60).map(|number| accept(replicas[number % 3], ADMIN, &later(number))).collect();
    for id in &ids {
        let seen = wait_for(&accepting, ADMIN, "later", id, "output { id }");
        assert_eq!(seen["data"]["later"], json!({ "output": [{ "id": 1 }] }));
    }
    let mut calls: HashMap<String, usize> = HashMap::new();
    for seen in handlers.take_seen() {
        *calls.entry(seen.json()["input"]["number"].to_string()).or_default() += 1;
    }
    assert!(calls.len() == 60 && calls.values().all(|count| *count == 1), "{calls:?}");
    wait_until("that no job waits", || accepting.metric("pillion_jobs{action=\"later\",status=\"created\"}") == 0.0);
    for pillion in [accepting].into_iter().chain(running) {
        let log = pillion.whole_log("TERM");
        assert!(!log.contains("prepared statement") && !log.contains("job store failed"), "{log}");
    }
}
