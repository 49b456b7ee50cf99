//! `make scale`: how throughput, latency, processor time and the load of one PostgreSQL and one Redis grow with replicas behind a balancer,
//! and what clients notice when replicas are killed and added. `SCALE_REPLICAS` (1,2,4,8) says how many.

#![allow(clippy::indexing_slicing, missing_docs, reason = "a measurement that goes wrong may end")]

#[path = "scale/replicas.rs"]
mod replicas;
#[allow(dead_code, reason = "other measurements need more of it")]
mod server;
#[path = "scale/stores.rs"]
mod stores;
#[allow(dead_code, reason = "other measurements need more of it")]
mod tools;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pillion_test_support::client::Client;
use pillion_test_support::temp::remove_temp_folder;
use pillion_test_support::websocket::{MODERN, ready_at};
use replicas::{Replicas, Surroundings};
use tools::{Fallible, GRAPHQL, post, publish, send_alone};

/// Connections at one time.
const CLIENTS: usize = 32;

/// For how long each load is put on the replicas.
const LOAD_TIME: Duration = Duration::from_secs(5);

/// The rate limit of the action `limited`, and how often it is called.
const LIMIT: usize = 500;
const LIMITED_CALLS: usize = 2_000;

/// Different keys of the response cache, and how often one of them is asked for.
const KEYS: usize = 500;
const LOOKUPS: usize = 4_000;

/// WebSockets by way of the balancer.
const SOCKETS: usize = 1_000;

/// Subscriptions by way of the balancer, each with [`server::EVENTS`] events, one a millisecond.
const SUBSCRIPTIONS: usize = 32;

/// A request that passes, one with an action, and one that enqueues a job.
const PASSING: &str = r#"{"query":"{ __typename }"}"#;
const MIXED: &str = r#"{"query":"{ act { ok } __typename }"}"#;
const JOB: &str = r#"{"query":"mutation { later }"}"#;

fn main() -> Fallible<()> {
    let counts = std::env::var("SCALE_REPLICAS").unwrap_or_else(|_| "1,2,4,8".into());
    let counts: Vec<usize> = counts.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let surroundings = Surroundings::start()?;
    let mut report = format!(
        "## Replicas\n\nPillions behind haproxy with one PostgreSQL (`fsync=on`) and one Redis, upstream and handler in the process that \
         measures, all on the same {} processors: throughput is bound by them, so that processor time is what sizes a deployment. {CLIENTS} \
         connections, {} s for each load. Load average of the machine at the start: {}.\n\n",
        std::thread::available_parallelism()?,
        LOAD_TIME.as_secs(),
        std::fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or_default(),
    );
    let mut lines = Tables::default();
    for count in counts {
        measure(&surroundings, count, &mut lines)?;
    }
    lines.write(&mut report)?;
    writeln!(report, "{}", kill_and_add(&surroundings)?)?;
    drop(surroundings);
    remove_temp_folder();
    publish("scale", &report)
}

/// The rows of each table.
#[derive(Default)]
struct Tables {
    requests: String,
    jobs: String,
    shared: String,
    events: String,
}

impl Tables {
    fn write(&self, report: &mut String) -> Fallible<()> {
        report.push_str(
            "| replicas | load | requests/s | p50 ms | p99 ms | CPU of Pillion, µs a request | of haproxy | memory of a replica, MiB |\n\
             |--:|---|--:|--:|--:|--:|--:|--:|\n",
        );
        writeln!(report, "{}", self.requests)?;
        report.push_str(
            "| replicas | accepted/s | run/s | CPU of Pillion, µs a job | of PostgreSQL | transactions a job | connections |\n\
             |--:|--:|--:|--:|--:|--:|--:|\n",
        );
        writeln!(report, "{}", self.jobs)?;
        report.push_str(
            "| replicas | calls allowed of the limit | Redis commands a counted call | CPU of Redis, µs | handler calls for the keys | found in \
             the cache | sockets on each replica | KiB a socket |\n|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        writeln!(report, "{}", self.shared)?;
        writeln!(
            report,
            "{SUBSCRIPTIONS} subscriptions with {} events each, which the upstream sends one a millisecond:\n",
            server::EVENTS
        )?;
        report.push_str(
            "| replicas | events/s | from the upstream to the client, p50 ms | p99 ms | CPU of Pillion, µs an event | of haproxy |\n\
             |--:|--:|--:|--:|--:|--:|\n",
        );
        writeln!(report, "{}", self.events)?;
        Ok(())
    }
}

fn measure(surroundings: &Surroundings, count: usize, tables: &mut Tables) -> Fallible<()> {
    let mut replicas = Replicas::start(surroundings, count, count)?;
    for (name, body) in [("passing", PASSING), ("mixed", MIXED)] {
        Load::run(replicas.port(), body, Duration::from_secs(1));
        let (cpu, balancer) = (replicas.cpu_micros()?, replicas.balancer_cpu_micros()?);
        let outcome = Load::run(replicas.port(), body, LOAD_TIME);
        outcome.fail_if_bad()?;
        let requests = outcome.good.len() as f64;
        let row = format!(
            "| {count} | {name} | {:.0} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} |",
            requests / LOAD_TIME.as_secs_f64(),
            outcome.percentile(50),
            outcome.percentile(99),
            (replicas.cpu_micros()? - cpu) / requests,
            (replicas.balancer_cpu_micros()? - balancer) / requests,
            replicas.memory_mib()?,
        );
        println!("{row}");
        writeln!(tables.requests, "{row}")?;
    }
    let row = jobs(surroundings, &mut replicas, count)?;
    println!("{row}");
    writeln!(tables.jobs, "{row}")?;
    let row = shared(surroundings, &replicas, count)?;
    println!("{row}");
    writeln!(tables.shared, "{row}")?;
    let row = events(&replicas, count)?;
    println!("{row}");
    writeln!(tables.events, "{row}")?;
    Ok(())
}

/// Upstream and clients are on one clock.
fn events(replicas: &Replicas, count: usize) -> Fallible<String> {
    let (port, cpu, balancer) = (replicas.port(), replicas.cpu_micros()?, replicas.balancer_cpu_micros()?);
    let begun = Instant::now();
    let clients: Vec<_> = (0..SUBSCRIPTIONS)
        .map(|_| std::thread::spawn(move || server::event_delays(port).unwrap_or_default()))
        .collect();
    let delays = clients.into_iter().flat_map(|client| client.join().unwrap_or_default());
    let mut delays: Vec<f64> = delays.collect();
    let took = begun.elapsed().as_secs_f64();
    if delays.len() != SUBSCRIPTIONS * server::EVENTS {
        return Err(format!("{} of {} events came", delays.len(), SUBSCRIPTIONS * server::EVENTS).into());
    }
    delays.sort_by(f64::total_cmp);
    let all = delays.len() as f64;
    Ok(format!(
        "| {count} | {:.0} | {:.2} | {:.2} | {:.0} | {:.0} |",
        all / took,
        delays[delays.len() / 2],
        delays[delays.len() * 99 / 100],
        (replicas.cpu_micros()? - cpu) / all,
        (replicas.balancer_cpu_micros()? - balancer) / all,
    ))
}

fn jobs(surroundings: &Surroundings, replicas: &mut Replicas, count: usize) -> Fallible<String> {
    let (cpu, before) = (replicas.cpu_micros()?, surroundings.database.figures()?);
    let begun = Instant::now();
    let outcome = Load::run(replicas.port(), JOB, LOAD_TIME);
    outcome.fail_if_bad()?;
    let (accepted, connections) = (outcome.good.len() as f64, surroundings.database.connections()?);
    while surroundings.database.pending()? > 0 {
        if begun.elapsed() > Duration::from_secs(180) {
            return Err("jobs are still pending after three minutes".into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let took = begun.elapsed().as_secs_f64();
    let after = surroundings.database.figures()?;
    Ok(format!(
        "| {count} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {connections} |",
        accepted / LOAD_TIME.as_secs_f64(),
        accepted / took,
        (replicas.cpu_micros()? - cpu) / accepted,
        (after.cpu_micros - before.cpu_micros) / accepted,
        (after.transactions - before.transactions) / accepted,
    ))
}

fn shared(surroundings: &Surroundings, replicas: &Replicas, count: usize) -> Fallible<String> {
    surroundings.redis.ask(&["FLUSHALL"]);
    let before = surroundings.redis_figures()?;
    let limited = split(LIMITED_CALLS, replicas.port(), |_| r#"{"query":"{ limited { ok } }"}"#.to_owned())?;
    let after = surroundings.redis_figures()?;
    let allowed = limited.iter().filter(|text| text.contains("\"ok\":true")).count();
    // A call that Redis does not count within 50 ms is allowed, and may be counted.
    let uncounted = replicas.metric("pillion_rate_limit_store_errors_total")?.abs();
    if allowed < LIMIT || (allowed - LIMIT) as f64 > uncounted {
        return Err(
            format!("{count} replicas allowed {allowed} calls of {LIMIT}, {uncounted} of them uncounted").into()
        );
    }
    let ask = |number: usize| format!(r#"{{"query":"{{ cached(key: {}) {{ ok }} }}"}}"#, number * 7919 % KEYS);
    let calls = replicas.metric("pillion_handler_calls_total{action=\"cached\"")?;
    let lookups = split(LOOKUPS, replicas.port(), ask)?;
    if let Some(wrong) = lookups.iter().find(|text| !text.contains("\"ok\":true")) {
        return Err(format!("a cached response is not the right one: {wrong}").into());
    }
    let calls = replicas.metric("pillion_handler_calls_total{action=\"cached\"")? - calls;
    let memory = replicas.total_memory_kib()?;
    let sockets: Vec<_> = (0..SOCKETS).map(|_| ready_at(replicas.port(), MODERN, &[], "{}")).collect();
    let spread = replicas.each_metric("pillion_websocket_connections")?;
    let grown = replicas.total_memory_kib()?.saturating_sub(memory) as f64 / SOCKETS as f64;
    drop(sockets);
    let spread = format!(
        "{:.0} to {:.0}",
        spread.iter().copied().fold(f64::MAX, f64::min),
        spread.iter().copied().fold(0.0, f64::max)
    );
    Ok(format!(
        "| {count} | {allowed} of {LIMIT}, {uncounted} uncounted | {:.2} | {:.0} | {calls:.0} of {KEYS} | {:.1} % | {spread} | {grown:.0} |",
        (after.commands - before.commands) / LIMITED_CALLS as f64,
        (after.cpu_micros - before.cpu_micros) / LIMITED_CALLS as f64,
        100.0 * (LOOKUPS as f64 - calls) / LOOKUPS as f64,
    ))
}

/// Kills one of three replicas every two seconds and adds one, while requests and jobs come.
fn kill_and_add(surroundings: &Surroundings) -> Fallible<String> {
    const KILLS: usize = 4;
    let mut replicas = Replicas::start(surroundings, 3, 3 + KILLS)?;
    let port = replicas.port();
    let is_over = Arc::new(AtomicBool::new(false));
    let begin = |body: &'static str, count: usize| -> Vec<std::thread::JoinHandle<Outcome>> {
        (0..count)
            .map(|_| {
                let is_over = Arc::clone(&is_over);
                std::thread::spawn(move || {
                    run_client(port, body, Some(Duration::from_millis(10)), &|| is_over.load(Ordering::Relaxed))
                })
            })
            .collect()
    };
    let (reads, jobs) = (begin(MIXED, 8), begin(JOB, 4));
    for kill in 0..KILLS {
        std::thread::sleep(Duration::from_secs(2));
        replicas.kill_first()?;
        replicas.add(surroundings, 3 + kill)?;
    }
    std::thread::sleep(Duration::from_secs(2));
    is_over.store(true, Ordering::Relaxed);
    let (reads, jobs) = (Outcome::of(reads), Outcome::of(jobs));
    let begun = Instant::now();
    while surroundings.database.pending()? > 0 && begun.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(500));
    }
    let completed = surroundings.database.completed(&jobs.ids)?;
    if completed != jobs.ids.len() {
        return Err(format!("{} of {} accepted jobs are lost", jobs.ids.len() - completed, jobs.ids.len()).into());
    }
    let kinds = |bad: &HashMap<String, usize>| {
        let mut kinds: Vec<String> = bad.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        kinds.sort();
        if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
    };
    Ok(format!(
        "{KILLS} times one of 3 replicas killed with SIGKILL and one added, within {} s: {} mixed requests with the right response, failed: {}; {} jobs \
         accepted, each of them completed, failed requests: {}.",
        2 * KILLS + 2,
        reads.good.len(),
        kinds(&reads.bad),
        jobs.ids.len(),
        kinds(&jobs.bad),
    ))
}

/// Sends so many requests on several connections, and gives their responses.
fn split(count: usize, port: u16, body: impl Fn(usize) -> String + Sync) -> Fallible<Vec<String>> {
    let each = count / CLIENTS;
    let texts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let body = &body;
                scope.spawn(move || {
                    let range = client * each..if client + 1 == CLIENTS { count } else { (client + 1) * each };
                    let send =
                        |number| send_alone(port, "POST", GRAPHQL, &body(number)).map(|response| response.text());
                    range.map(|number| send(number).unwrap_or_default()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    if texts.iter().any(String::is_empty) { Err("a request had no response".into()) } else { Ok(texts) }
}

/// Clients that send one request after the other.
struct Load;

impl Load {
    fn run(port: u16, body: &'static str, time: Duration) -> Outcome {
        let end = Instant::now() + time;
        let client = move || run_client(port, body, None, &|| Instant::now() >= end);
        Outcome::of((0..CLIENTS).map(|_| std::thread::spawn(client)).collect())
    }
}

/// What came of requests. Times are in milliseconds.
#[derive(Default)]
struct Outcome {
    good: Vec<f64>,
    /// The ids of jobs.
    ids: Vec<String>,
    /// How many failed in which way.
    bad: HashMap<String, usize>,
}

impl Outcome {
    fn of(threads: Vec<std::thread::JoinHandle<Self>>) -> Self {
        let mut all = Self::default();
        for outcome in threads.into_iter().map(|thread| thread.join().unwrap_or_default()) {
            all.good.extend(outcome.good);
            all.ids.extend(outcome.ids);
            for (kind, count) in outcome.bad {
                *all.bad.entry(kind).or_default() += count;
            }
        }
        all.good.sort_by(f64::total_cmp);
        all
    }

    fn percentile(&self, percent: usize) -> f64 {
        self.good.get(self.good.len() * percent / 100).copied().unwrap_or_default()
    }

    fn fail_if_bad(&self) -> Fallible<()> {
        if self.bad.is_empty() { Ok(()) } else { Err(format!("requests failed: {:?}", self.bad).into()) }
    }
}

fn run_client(port: u16, body: &str, pause: Option<Duration>, is_over: &dyn Fn() -> bool) -> Outcome {
    let mut outcome = Outcome::default();
    let mut connection = None;
    while !is_over() {
        let begun = Instant::now();
        let open = connection.take().map_or_else(|| Client::try_connect(port).map_err(Into::into), Ok);
        let responded = open.and_then(|mut open| post(&mut open, GRAPHQL, body).map(|response| (open, response)));
        match responded {
            Ok((open, response)) => {
                let text = response.text();
                if response.status() == 200 && !text.contains("\"errors\"") {
                    outcome.good.push(begun.elapsed().as_secs_f64() * 1000.0);
                    outcome.ids.extend(
                        text.split("\"later\":\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned),
                    );
                } else {
                    *outcome.bad.entry(format!("with status {}", response.status())).or_default() += 1;
                }
                connection = response.keeps_connection().then_some(open);
            }
            Err(_) => *outcome.bad.entry("without a response".into()).or_default() += 1,
        }
        if let Some(pause) = pause {
            std::thread::sleep(pause);
        }
    }
    outcome
}
