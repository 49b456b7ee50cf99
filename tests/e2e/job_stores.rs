//! What the stores of asynchronous actions hold, and how much of it.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use pillion::config::settings::DatabaseSettings;
use pillion::internals::{
    Claim, Database, Filter, JobStore, NewJob, Outcome, PURGE_MAX, PostgresStore, Requeued, SqliteStore, Status,
};
use pillion::model::secret::Secret;
use pillion_test_support::engines::Engines;
use pillion_test_support::pgbouncer::PgBouncer;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{library, trials, wait_until};
use serde_json::{Value, json};
use uuid::Uuid;

use super::jobs::{ADMIN, Store, accept, ask_as, many, setup, start, stores, wait_for};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    a_job_behind_a_thousand_others_is_found,
    only_the_newest_jobs_are_retained,
    among_many_completed_jobs,
    a_claim_does_not_read_the_backlog,
    pending_jobs_have_a_size_limit,
    system_clock_changes,
    deleted_credentials_are_erased_from_files,
    stores_of_the_first_edition_are_migrated,
    attempts_are_counted_apart_from_claims,
];

const HOUR: Duration = Duration::from_secs(3600);

async fn open(store: &str) -> Box<dyn JobStore> {
    if let Some(path) = store.strip_prefix("sqlite://") {
        return Box::new(SqliteStore::open(path.as_ref(), false).expect("a store"));
    }
    pillion::install_tls_provider();
    let settings = DatabaseSettings { url: Secret::new(store.to_owned()), tls_ca_file: None };
    Box::new(PostgresStore::open(Database::new(&settings).expect("a database")).await.expect("a store"))
}

/// Does something with a store of each kind, and with one behind `PgBouncer`.
fn with_each(engines: &Engines, name: &str, work: &impl AsyncFn(&dyn JobStore)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bouncer = PgBouncer::start(engines.database, 1);
    let pooled = bouncer.url_of(&engines.new_database(&format!("{name}_pooled")));
    for store in stores(engines, name).into_iter().chain([pooled]) {
        let _store = Store(store.clone());
        runtime.block_on(async { work(&*open(&store).await).await });
    }
}

fn job() -> NewJob {
    let text = || String::from("{}");
    let (payload, headers, session) = (text(), text(), text());
    NewJob { id: Uuid::new_v4(), action: "later".into(), payload, headers, session, lifetime: HOUR }
}

fn claim(limit: usize, lease: Duration) -> Claim {
    Claim { limit, lease, action: "later".into() }
}

fn a_job_behind_a_thousand_others_is_found(engines: &Engines) {
    with_each(engines, "behind", &async |log: &dyn JobStore| {
        let many: Vec<NewJob> = (0..1_200).map(|_| job()).collect();
        log.insert(&many).await.expect("stored");
        assert_eq!(log.claim(&claim(1_200, HOUR)).await.expect("claimed").len(), 1_200);
        let last = job();
        log.insert(std::slice::from_ref(&last)).await.expect("stored");
        // Its worker dies at once, again and again; all others are well.
        for attempt in 1..=3 {
            let claimed = log.claim(&claim(10, Duration::ZERO)).await.expect("claimed");
            let claimed: Vec<_> = claimed.iter().map(|job| (job.id, job.attempts)).collect();
            assert_eq!(claimed, [(last.id, attempt)]);
        }
        assert_eq!(log.pending_actions().await.expect("names"), ["later"]);
        let others = ["another", "latest"].map(|name| NewJob { action: name.into(), ..job() });
        log.insert(&others).await.expect("stored");
        assert_eq!(log.pending_actions().await.expect("names"), ["another", "later", "latest"]);
    });
}

fn only_the_newest_jobs_are_retained(engines: &Engines) {
    with_each(engines, "newest", &async |log: &dyn JobStore| {
        let (ended, waits): (Vec<NewJob>, NewJob) = ((0..10).map(|_| job()).collect(), job());
        for job in &ended {
            log.insert(std::slice::from_ref(job)).await.expect("stored");
            log.claim(&claim(1, HOUR)).await.expect("claimed");
            let outcome = Outcome::Completed("1".into());
            assert!(log.finish(job.id, 1, &outcome).await.expect("finished"));
        }
        log.insert(std::slice::from_ref(&waits)).await.expect("stored");
        let ids: Vec<Uuid> = ended.iter().chain([&waits]).map(|job| job.id).collect();
        assert_eq!(log.ended_of(&ids).await.expect("a response").len(), 10);
        assert_eq!(log.drop_all_but(3).await.expect("a response"), 7);
        assert_eq!(log.drop_all_but(3).await.expect("a response"), 0);
        let mut kept = log.ended_of(&ids).await.expect("a response");
        kept.sort();
        let mut newest = ids[7..10].to_vec();
        newest.sort();
        assert_eq!(kept, newest);
        let waiting = Filter { status: Some(Status::Created), ..Filter::default() };
        assert_eq!(log.list(&waiting, PURGE_MAX as usize).await.expect("a list").len(), 1);
        let counts = log.counts().await.expect("counts");
        assert_eq!(counts.len(), 1);
        assert!((6..100).contains(&counts[0].bytes), "{counts:?}");
    });
}

/// The statistics of PostgreSQL say that few jobs wait, as they do whenever many have come since.
fn a_claim_does_not_read_the_backlog(engines: &Engines) {
    const BACKLOG: usize = 5_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let store = engines.new_database("backlog");
    runtime.block_on(async {
        let log = open(&store).await;
        let (client, connection) = tokio_postgres::connect(&store, tokio_postgres::NoTls).await.expect("one");
        tokio::spawn(connection);
        let ended = "insert into pillion.action_log (id, action_name, input_payload, request_headers, session_variables, \
                     status, expires_at) select md5(n::text)::uuid, 'later', '{}', '{}', '{}', \
                     case when n <= 20 then 'created' else 'completed' end, now() \
                     from generate_series(1, 200) n; analyze pillion.action_log; \
                     alter table pillion.action_log set (autovacuum_enabled = off)";
        client.batch_execute(ended).await.expect("ended jobs");
        log.insert(&(0..BACKLOG).map(|_| job()).collect::<Vec<_>>()).await.expect("stored");
        let entries_read = async || -> i64 {
            let sql = "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'action_log_waiting'";
            let _ = client.batch_execute("select pg_stat_clear_snapshot(), pg_sleep(1.1)").await;
            client.query_one(sql, &[]).await.expect("statistics").get(0)
        };
        let before = entries_read().await;
        for _ in 0..10 {
            assert_eq!(log.claim(&claim(16, HOUR)).await.expect("claimed").len(), 16);
            assert_eq!(log.pending_actions().await.expect("names"), ["later"]);
        }
        // Each claim passes those that were claimed before.
        let read = entries_read().await - before;
        assert!(read > 0 && read < 3_000, "{read} entries of the index were read by ten claims");
    });
}

/// `make chaos` has a million of them.
fn among_many_completed_jobs(engines: &Engines) {
    let crowd = if many(0) == 0 { 5_000 } else { 1_000_000 };
    let columns = "id, action_name, input_payload, request_headers, session_variables, response_payload, \
                   created_at, response_received_at, status, expires_at, attempts";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for store in stores(engines, "crowd") {
        let _store = Store(store.clone());
        runtime.block_on(async {
            let log = open(&store).await;
            if let Some(path) = store.strip_prefix("sqlite://") {
                let sql = format!(
                    "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {crowd}) \
                     insert into action_log ({columns}, run_after) select printf('%032x', n), 'later', '{{}}', '{{}}', \
                     '{{}}', '1', n, n, 'completed', n, 1, 0 from numbers"
                );
                rusqlite::Connection::open(path).and_then(|file| file.execute_batch(&sql)).expect("a crowd");
            } else {
                let sql = format!(
                    "insert into pillion.action_log ({columns}) select md5(n::text)::uuid, 'later', '{{}}', '{{}}', \
                     '{{}}', '1', to_timestamp(n), to_timestamp(n), 'completed', now(), 1 from generate_series(1, {crowd}) n; \
                     analyze pillion.action_log"
                );
                let (client, connection) = tokio_postgres::connect(&store, tokio_postgres::NoTls).await.expect("one");
                tokio::spawn(connection);
                client.batch_execute(&sql).await.expect("a crowd");
            }
            let mut times = Vec::new();
            for _ in 0..100 {
                let job = job();
                log.insert(std::slice::from_ref(&job)).await.expect("stored");
                let begun = Instant::now();
                let claimed = log.claim(&claim(10, HOUR)).await.expect("claimed");
                times.push(begun.elapsed());
                assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [job.id]);
            }
            times.sort();
            let begun = Instant::now();
            let mut deleted = 0;
            while let count @ 1.. = log.drop_all_but(crowd - 3_500).await.expect("deleted") {
                deleted += count;
            }
            assert_eq!(deleted, 3_500);
            let store = store.split(':').next().unwrap_or_default();
            let (claims, deletions) = (times[50], begun.elapsed());
            eprintln!("{store}: {crowd} ended calls, a claim takes {claims:?}, to delete 3,500 of them {deletions:?}");
        });
    }
}

fn pending_jobs_have_a_size_limit(engines: &Engines) {
    for store in stores(engines, "allowed") {
        let _store = Store(store.clone());
        let handlers = Scripted::start();
        handlers.on_path("/later", Reply::Hang);
        let config = "jobs: { max_pending_bytes: 1KiB, lease_duration: 1s }\n";
        let pillion = start(engines.postgraphile, &handlers, &store, config);
        let mut ids = Vec::new();
        let mutation = "mutation { later(number: 1) }";
        let rejection = (0..50).find_map(|_| {
            let answer = ask_as(&pillion, ADMIN, mutation, &json!({}));
            match answer["data"]["later"].as_str() {
                Some(id) => ids.push(id.to_owned()),
                None => return Some(answer),
            }
            None
        });
        let message = "the action could not be stored and will not run; try again later";
        assert_eq!(rejection.expect("a rejection")["errors"][0]["message"], json!(message));
        pillion.wait_for_log("jobs.max_pending_bytes");
        assert!((2..20).contains(&ids.len()), "{}", ids.len());
        // Once there is room, calls are accepted again.
        handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
        for id in &ids {
            let cancel = format!("/jobs/{id}/cancel");
            let own = [("Content-Length", "0")];
            pillion_test_support::client::Client::admin(pillion.admin).request("POST", &cancel, &own, b"");
        }
        wait_until("room", || ask_as(&pillion, ADMIN, mutation, &json!({}))["data"]["later"].is_string());
    }
}

/// Of the store in a file, which has the system's clock; a database has its own.
fn system_clock_changes(engines: &Engines) {
    let [store, _] = stores(engines, "clock");
    let _store = Store(store.clone());
    let (library, clock) = (library("clock.c"), Clock::new());
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
    let replica = |config: &str| {
        let setup = setup(engines.postgraphile, &handlers, &store).config(&format!("dialect: hasura\n{config}"));
        let setup = setup.env("LD_PRELOAD", &library.0.display().to_string());
        setup.env("CLOCK_FILE", &clock.0.display().to_string()).start().wait_until_ready()
    };
    let ends = |pillion: &_, id: &str| {
        let call = wait_for(pillion, ADMIN, "later", id, "created_at errors output { id }")["data"]["later"].take();
        assert_eq!((&call["errors"], &call["output"]), (&Value::Null, &json!([{ "id": 1 }])));
        call["created_at"].as_str().expect("a time").to_owned()
    };
    // Stored by one that runs nothing, and an hour later for the system, which is then set back.
    clock.set(3600);
    let waits = accept(&replica("jobs: { poll_interval: 0 }\n"), ADMIN, "mutation { later(number: 1) }");
    clock.set(0);
    let pillion = replica("jobs: { start_deadline: 10m, lease_duration: 10m }\n");
    let first = ends(&pillion, &waits);
    let half_an_hour = Duration::from_secs(1800);
    assert!(first > humantime::format_rfc3339(SystemTime::now() + half_an_hour).to_string(), "the clock was not set");
    // Time does not go back for who comes later, nor does anything expire when it jumps.
    clock.set(-3600);
    let second = ends(&pillion, &accept(&pillion, ADMIN, "mutation { later(number: 1) }"));
    clock.set(7200);
    let third = ends(&pillion, &accept(&pillion, ADMIN, "mutation { later(number: 1) }"));
    assert!(first < second && second < third, "{first} {second} {third}");
    assert_eq!(handlers.take_seen().len(), 3);
}

/// How far the system's clock is ahead.
struct Clock(PathBuf);

impl Clock {
    fn new() -> Self {
        Self(temp_folder().join("clock"))
    }

    fn set(&self, seconds: i32) {
        std::fs::write(&self.0, seconds.to_string()).expect("the clock");
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Credentials of a job are in files that nobody else can read, and in none once it has ended.
fn deleted_credentials_are_erased_from_files(engines: &Engines) {
    use std::os::unix::fs::PermissionsExt;
    let [store, _] = stores(engines, "forgetful");
    let _store = Store(store.clone());
    let path = store.strip_prefix("sqlite://").expect("a file").to_owned();
    let handlers = Scripted::start();
    let late = || Reply::Late(Duration::from_millis(700), Box::new(Reply::json(r#"[{"id":1}]"#)));
    handlers.on_path("/later", late());
    // So long that SQLite takes pages of their own for it.
    let secret = format!("c4nary-cookie-{}", "x".repeat(6_000));
    let cookie = format!("session={secret}");
    let headers = [("Cookie", cookie.as_str()), ("X-Api-Key", "c4nary-key")];
    let files = || ["", "-wal", "-shm"].map(|ending| std::fs::read(format!("{path}{ending}")).unwrap_or_default());
    let holds =
        |needle: &str| files().iter().any(|bytes| bytes.windows(needle.len()).any(|part| part == needle.as_bytes()));
    let holds_any = || holds("c4nary") || holds(&"x".repeat(200));
    // A file that everybody could read is taken from them.
    std::fs::write(&path, "")
        .and_then(|()| std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)))
        .expect("a file");
    let pillion = start(engines.postgraphile, &handlers, &store, "");
    let id = accept(&pillion, &headers, "mutation { later(number: 1) }");
    assert!(holds_any(), "it is stored");
    for ending in ["", "-wal", "-shm", ".lock"] {
        let mode = std::fs::metadata(format!("{path}{ending}")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{ending}");
    }
    wait_for(&pillion, ADMIN, "later", &id, "id");
    wait_until("it to be forgotten", || !holds_any());
    // Also if the process ends at once, or is killed: then the next one forgets.
    let id = accept(&pillion, &headers, "mutation { later(number: 2) }");
    wait_for(&pillion, ADMIN, "later", &id, "id");
    pillion.whole_log("TERM");
    assert!(!holds_any(), "after its end");
    let pillion = start(engines.postgraphile, &handlers, &store, "");
    let id = accept(&pillion, &headers, "mutation { later(number: 3) }");
    wait_for(&pillion, ADMIN, "later", &id, "id");
    pillion.whole_log("KILL");
    let pillion = start(engines.postgraphile, &handlers, &store, "");
    assert!(!holds_any(), "after another start");
    drop(pillion);
}

/// The table of edition 1, in which the attempts were the fencing token, with a call whose worker has died.
const FIRST_EDITION: &str = "
    create table SCHEMA.action_log (
        id TEXT_OR_UUID primary key,
        action_name text not null,
        input_payload text not null,
        request_headers text not null,
        session_variables text not null,
        response_payload text,
        errors text,
        created_at TIME not null,
        response_received_at TIME,
        status text not null,
        attempts integer not null default 0,
        failures integer not null default 0,
        run_after TIME not null,
        expires_at TIME not null,
        lease_until TIME,
        completion_digest BYTES
    );
    insert into SCHEMA.action_log (id, action_name, input_payload, request_headers, session_variables, created_at, status,
        attempts, failures, run_after, expires_at, lease_until)
        values ('0d0cb9a9-0b5c-4d3a-8f5b-0d6c1f4c1b1e', 'later', '{}', '{}', '{}', EARLY, 'processing', 3, 0, EARLY, LATE, EARLY);
";

fn first_edition(words: [&str; 6]) -> String {
    let names = ["SCHEMA", "TEXT_OR_UUID", "TIME", "BYTES", "EARLY", "LATE"];
    names.iter().zip(words).fold(FIRST_EDITION.to_owned(), |sql, (name, word)| sql.replace(name, word))
}

fn stores_of_the_first_edition_are_migrated(engines: &Engines) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for store in stores(engines, "first_edition") {
        let _store = Store(store.clone());
        runtime.block_on(async {
            if let Some(path) = store.strip_prefix("sqlite://") {
                let sql = first_edition(["main", "text", "integer", "blob", "1", "9000000000000000"]);
                let sql = format!("{sql}; pragma user_version = 1;");
                rusqlite::Connection::open(path).and_then(|file| file.execute_batch(&sql)).expect("a store");
            } else {
                let sql = first_edition(["pillion", "uuid", "timestamptz", "bytea", "to_timestamp(1)", "'infinity'"]);
                let sql = format!(
                    "create schema pillion; create table pillion.action_log_edition (edition integer not null); \
                     insert into pillion.action_log_edition values (1); {sql}"
                );
                let (client, connection) = tokio_postgres::connect(&store, tokio_postgres::NoTls).await.expect("one");
                tokio::spawn(connection);
                client.batch_execute(&sql).await.expect("a store");
            }
            // The second time nothing is left to do.
            for (attempts, lost, last) in [(4, 1, false), (5, 0, true)] {
                let log = open(&store).await;
                let claimed = log.claim(&claim(1, Duration::ZERO)).await.expect("claimed");
                let claimed: Vec<_> =
                    claimed.iter().map(|job| (job.attempts, job.fencing_token, job.lost_leases)).collect();
                assert_eq!(claimed, [(attempts, attempts, lost)], "{store}");
                let id = Uuid::parse_str("0d0cb9a9-0b5c-4d3a-8f5b-0d6c1f4c1b1e").expect("an id");
                let outcome = Outcome::Completed("1".into());
                assert!(!log.finish(id, attempts - 1, &outcome).await.expect("a response"), "of the worker before");
                assert!(log.finish(id, attempts, &outcome).await.expect("a response"));
                if !last {
                    // It has ended; it runs again.
                    assert_eq!(log.requeue(id, HOUR, true).await.expect("a response"), Requeued::Done);
                }
            }
        });
    }
}

/// What is released does not count, what is retried by hand counts once, and fencing tokens only grow.
fn attempts_are_counted_apart_from_claims(engines: &Engines) {
    with_each(engines, "attempts", &async |log: &dyn JobStore| {
        let job = job();
        log.insert(std::slice::from_ref(&job)).await.expect("stored");
        let next = async |lease| {
            let claimed = log.claim(&claim(1, lease)).await.expect("claimed");
            claimed.first().map(|job| (job.attempts, job.fencing_token, job.lost_leases)).expect("one")
        };
        assert_eq!(next(HOUR).await, (1, 1, 0));
        assert!(log.release(job.id, 1).await.expect("a response"));
        assert_eq!(next(Duration::ZERO).await, (1, 2, 0));
        // Its worker is lost; what it reports later does not count.
        assert_eq!(next(HOUR).await, (2, 3, 1));
        assert!(!log.finish(job.id, 2, &Outcome::Failed("{}".into())).await.expect("a response"));
        assert_eq!(log.requeue(job.id, HOUR, true).await.expect("a response"), Requeued::NotEnded);
        assert!(log.finish(job.id, 3, &Outcome::Failed("{}".into())).await.expect("a response"));
        assert_eq!(log.requeue(job.id, HOUR, false).await.expect("a response"), Requeued::Done);
        assert_eq!(next(HOUR).await, (3, 4, 0));
        assert!(log.finish(job.id, 4, &Outcome::Completed("1".into())).await.expect("a response"));
        assert_eq!(log.requeue(job.id, HOUR, false).await.expect("a response"), Requeued::IsCompleted);
        assert_eq!(log.find(job.id).await.expect("a response").expect("it").response.as_deref(), Some("1"));
        assert_eq!(log.requeue(job.id, HOUR, true).await.expect("a response"), Requeued::Done);
        assert_eq!(next(HOUR).await, (4, 5, 0));
        assert_eq!(log.requeue(Uuid::new_v4(), HOUR, true).await.expect("a response"), Requeued::NotEnded);
    });
}
