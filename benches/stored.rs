//! `make bench`, its second part: how many asynchronous calls are accepted and run in a second on each store, how soon a
//! handler hears of one, what an idle socket takes, and how much later an event of the upstream comes through Pillion.

#![allow(clippy::indexing_slicing, missing_docs, reason = "a measurement that goes wrong may end")]

mod server;
#[allow(dead_code, reason = "other measurements need more of it")]
mod tools;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pillion_test_support::engines::OwnPostgres;
use pillion_test_support::process::Process;
use pillion_test_support::temp::remove_temp_folder;
use pillion_test_support::websocket::{MODERN, Socket, ready_at, say, start};
use pillion_test_support::{free_port, wait_for_port};
use server::Server;
use tools::{Fallible, Folder, GRAPHQL, cpu_ticks, median, memory_kib, metric, program, publish, send_alone};

/// Clients at a time while calls are accepted.
const CLIENTS: usize = 64;

/// For how long calls are accepted.
const SECONDS: u64 = 5;

/// Calls whose way to the handler is timed, one after the other.
const TIMED: usize = 300;

/// Idle WebSockets.
const SOCKETS: usize = 5_000;

/// For how long they are idle.
const IDLE: Duration = Duration::from_secs(10);

/// Results whose way to a subscription is timed, one after the other.
const PUSHED: usize = 50;

const DOCUMENT: &str = r#"{"query":"mutation { act }"}"#;

fn main() -> Fallible<()> {
    let folder = Folder::new("bench-stored")?;
    let server = Server::start()?;
    let postgres = OwnPostgres::start_durable("bench-stored");
    let mut report = String::from("## Asynchronous calls and sockets\n\n");
    writeln!(report, "{CLIENTS} clients for {SECONDS} s; nothing is pinned. PostgreSQL with `fsync=on`.\n")?;
    writeln!(
        report,
        "| store | accepted/s | run/s, the rest of them | to the handler, p50 ms | p99 ms | from it to a subscription, p50 ms | p99 ms |"
    )?;
    writeln!(report, "|---|--:|--:|--:|--:|--:|--:|")?;
    for (name, store) in
        [("SQLite", format!("sqlite://{}/jobs.db", folder.0.display())), ("PostgreSQL", postgres.url())]
    {
        let pillion = Pillion::start(&folder.0, server.port, &store)?;
        let (p50, p99) = time_to_the_handler(&pillion, &server)?;
        let (pushed, pushed99) = time_to_the_subscription(&pillion, &server)?;
        let accepted = accept(&pillion, &folder.0)?;
        let run = run_the_rest(&pillion)?;
        writeln!(report, "| {name} | {accepted:.0} | {run:.0} | {p50:.1} | {p99:.1} | {pushed:.1} | {pushed99:.1} |")?;
        println!(
            "{name}: {accepted:.0} accepted/s, {run:.0} run/s, {p50:.1} ms, {p99:.1} ms, pushed {pushed:.1} ms, {pushed99:.1} ms"
        );
    }
    let pillion = Pillion::start(&folder.0, server.port, &format!("sqlite://{}/sockets.db", folder.0.display()))?;
    let before = memory_kib(&pillion.process, "VmRSS")?;
    // Without what a client needs for itself, which would be much more than the sockets.
    let sockets = (0..SOCKETS).map(|_| open_socket(pillion.port).get_ref().try_clone());
    let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
    let after = memory_kib(&pillion.process, "VmRSS")?;
    let busy = cpu_ticks(&pillion.process)?;
    std::thread::sleep(IDLE);
    // Ticks of 10 ms are hundredths of a second.
    let busy = (cpu_ticks(&pillion.process)? - busy) / IDLE.as_secs_f64();
    drop(sockets);
    writeln!(
        report,
        "\n{SOCKETS} idle sockets: {} MiB, {} MiB without them, and {busy:.1} % of a processor, nearly all of it to keep them alive.",
        after / 1024,
        before / 1024
    )?;
    let (direct, through) = (events(server.port)?, events(pillion.port)?);
    writeln!(
        report,
        "An event of the upstream, at the median: {direct:.0} µs directly, {through:.0} µs through Pillion."
    )?;
    drop(postgres);
    remove_temp_folder();
    publish("stored", &report)
}

struct Pillion {
    port: u16,
    admin: u16,
    process: Process,
}

impl Pillion {
    fn start(folder: &Path, upstream: u16, store: &str) -> Fallible<Self> {
        let action = |name: &str, path: &str| {
            let handler = format!("http://127.0.0.1:{upstream}{path}");
            format!("  - name: {name}\n    definition:\n      kind: asynchronous\n      handler: {handler}\n")
        };
        let yaml = format!("actions:\n{}{}", action("act", "/handler"), action("late", "/handler/late"));
        fs::write(folder.join("actions.yaml"), yaml)?;
        fs::write(
            folder.join("actions.graphql"),
            "type Done { ok: Boolean! }\ntype Mutation { act: Done! late: Done! }\n",
        )?;
        let config = folder.join("pillion.yaml");
        fs::write(
            &config,
            "dialect: standard\nintrospection: { mode: upstream }\njobs: { max_concurrency: 32, max_concurrency_per_action: 32 }\n",
        )?;
        let (port, admin) = (free_port(), free_port());
        let mut command = Command::new(program());
        command.arg("serve").arg(format!("--upstream=http://127.0.0.1:{upstream}"));
        command.arg("--metadata").arg(folder).arg("--config").arg(config).arg("--log-level=warn");
        command.arg(format!("--listen=127.0.0.1:{port}")).arg(format!("--admin-listen=127.0.0.1:{admin}"));
        command.env("PILLION_JOBS_STORE", store).stdout(Stdio::null());
        let process = Process(command.spawn()?);
        wait_for_port(port);
        std::thread::sleep(Duration::from_secs(1));
        Ok(Self { port, admin, process })
    }

    fn metric(&self, name: &str) -> Fallible<f64> {
        metric(self.admin, name)
    }
}

/// From the response at the client to the call at the handler, while nothing else happens.
fn time_to_the_handler(pillion: &Pillion, server: &Server) -> Fallible<(f64, f64)> {
    let mut times = Vec::with_capacity(TIMED);
    for _ in 0..TIMED {
        let (id, accepted) = accept_one(pillion, "act")?;
        let called = server.called(&id, Duration::from_secs(30)).ok_or("the handler was never called")?;
        times.push(called.saturating_duration_since(accepted).as_secs_f64() * 1000.0);
    }
    Ok(middle_and_end(times))
}

/// From the handler's response to a client that has subscribed to it, while nothing else happens.
fn time_to_the_subscription(pillion: &Pillion, server: &Server) -> Fallible<(f64, f64)> {
    let mut socket = open_socket(pillion.port);
    let mut times = Vec::with_capacity(PUSHED);
    for number in 0..PUSHED {
        let (id, _) = accept_one(pillion, "late")?;
        let query = format!("subscription{{late(id:\"{id}\"){{output{{ok}}}}}}");
        say(&mut socket, &start(&number.to_string(), &query));
        read_until(&mut socket, r#""output":null}}}}"#)?;
        read_until(&mut socket, r#""output":{"ok":true}}}}}"#)?;
        let heard = Instant::now();
        let responded = server.called(&id, Duration::from_secs(30)).ok_or("the handler was never called")?;
        times.push(heard.saturating_duration_since(responded).as_secs_f64() * 1000.0);
    }
    Ok(middle_and_end(times))
}

/// Sends one call; its id, and when the response came.
fn accept_one(pillion: &Pillion, action: &str) -> Fallible<(String, Instant)> {
    let document = DOCUMENT.replace("act", action);
    let response = send_alone(pillion.port, "POST", GRAPHQL, &document)?.text();
    let accepted = Instant::now();
    let id = response.split(&format!("\"{action}\":\"")).nth(1).and_then(|rest| rest.split('"').next());
    Ok((id.ok_or_else(|| format!("no id in {response}"))?.to_owned(), accepted))
}

/// The median and the 99th percentile.
fn middle_and_end(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn accept(pillion: &Pillion, folder: &Path) -> Fallible<f64> {
    let script = folder.join("post.lua");
    fs::write(
        &script,
        format!(
            "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\nwrk.body = '{DOCUMENT}'\n\
             response = function(status, headers, body) if not body:find('\"act\":\"', 1, true) then print(body) end end\n"
        ),
    )?;
    let before = pillion.metric("pillion_jobs_enqueued_total")?;
    let started = Instant::now();
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &CLIENTS.to_string(), "--duration", &format!("{SECONDS}s")])
        .arg("--script")
        .arg(&script)
        .arg(format!("http://127.0.0.1:{}/graphql", pillion.port))
        .output()?;
    let seconds = started.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some(bad) = said.lines().find(|line| line.contains("error") || line.contains("Non-2xx")) {
        return Err(format!("not all were accepted: {bad}").into());
    }
    Ok((pillion.metric("pillion_jobs_enqueued_total")? - before) / seconds)
}

/// Until nothing waits any more.
fn run_the_rest(pillion: &Pillion) -> Fallible<f64> {
    let ended = || pillion.metric("pillion_job_attempts_total");
    let (begun, before) = (Instant::now(), ended()?);
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let (now, accepted) = (ended()?, pillion.metric("pillion_jobs_enqueued_total")?);
        if now >= accepted {
            return Ok((now - before) / begun.elapsed().as_secs_f64());
        }
        if begun.elapsed() > Duration::from_secs(120) {
            return Err(format!("{now} of {accepted} calls were run").into());
        }
    }
}

fn open_socket(port: u16) -> Socket {
    ready_at(port, MODERN, &[], "{}")
}

fn read_until(socket: &mut Socket, end: &str) -> Fallible<()> {
    while !socket.read()?.to_text()?.ends_with(end) {}
    Ok(())
}

/// Microseconds from the upstream to the client, at the median.
fn events(port: u16) -> Fallible<f64> {
    Ok(median(server::event_delays(port)?.into_iter()) * 1000.0)
}
