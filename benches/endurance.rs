//! `make endure`: what clients must not notice. Reloads and rolling restarts at 2,000 requests a second, ten times the load that
//! can be served, a handler that never responds, and hours of mixed load (`ENDURE_SECONDS`, 60 by default).

#![allow(clippy::indexing_slicing, missing_docs, reason = "a measurement that goes wrong may end")]

#[allow(dead_code, reason = "other measurements need more of it")]
mod server;
#[allow(dead_code, reason = "other measurements need more of it")]
mod tools;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pillion_test_support::client::Client;
use pillion_test_support::process::Process;
use pillion_test_support::{free_port, wait_for_port};
use server::Server;
use tools::{Fallible, Folder, GRAPHQL, line, memory_kib, metric, post, program, publish, send_alone};

/// How often each operation is done that clients must not notice.
const TIMES: usize = 20;

/// Requests in a second meanwhile.
const RATE: usize = 2_000;

/// Clients that send them.
const CLIENTS: usize = 50;

/// With an action and with a field of the upstream.
const MIXED: &str = r#"{"query":"{ act { ok } __typename }"}"#;
const LATE: &str = r#"{"query":"{ late { ok } }"}"#;
const HANG: &str = r#"{"query":"{ hang { ok } }"}"#;

fn main() -> Fallible<()> {
    let folder = Folder::new("endure")?;
    let server = Server::start()?;
    let mut report = String::from("## What clients do not notice\n\n");
    let parts: [(&str, Part); 5] =
        [("reloads", reloads), ("restarts", restarts), ("overload", overload), ("hanging", hanging), ("soak", soak)];
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for (_, part) in parts.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|word| word == name)) {
        let line = part(&folder.0, &server)?;
        println!("{line}");
        writeln!(report, "- {line}")?;
    }
    if wanted.is_empty() { publish("endurance", &report) } else { Ok(()) }
}

type Part = fn(&Path, &Server) -> Fallible<String>;

struct Pillion {
    port: u16,
    admin: u16,
    process: Process,
}

impl Pillion {
    fn start(folder: &Path, server: &Server, ports: (u16, u16), config: &str) -> Fallible<Self> {
        write_actions(folder, server.port, 0)?;
        let file = folder.join("pillion.yaml");
        fs::write(&file, format!("dialect: standard\nintrospection: {{ mode: upstream }}\ndrain_delay: 1s\n{config}"))?;
        let (port, admin) = ports;
        let mut command = Command::new(program());
        command.arg("serve").arg(format!("--upstream=http://127.0.0.1:{}", server.port));
        command.arg("--metadata").arg(folder).arg("--config").arg(file).arg("--log-level=error");
        command.arg(format!("--listen=127.0.0.1:{port}")).arg(format!("--admin-listen=127.0.0.1:{admin}"));
        let process = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        wait_for_port(port);
        let pillion = Self { port, admin, process };
        let started = Instant::now();
        while !send_alone(pillion.admin, "GET", "/readyz", "").is_ok_and(|response| response.status() == 200) {
            if started.elapsed() > Duration::from_secs(10) {
                return Err("pillion does not get ready".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(pillion)
    }

    fn metric(&self, name: &str) -> Fallible<f64> {
        metric(self.admin, name)
    }

    fn descriptors(&self) -> Fallible<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.process.0.id()))?.count())
    }
}

fn free_ports() -> (u16, u16) {
    (free_port(), free_port())
}

/// The number makes it another file.
fn write_actions(folder: &Path, port: u16, number: usize) -> Fallible<()> {
    let mut yaml = format!("# {number}\nactions:\n");
    for (name, path) in [("act", "/handler"), ("late", "/handler/late"), ("hang", "/handler/hang")] {
        writeln!(yaml, "  - {{name: {name}, definition: {{handler: 'http://127.0.0.1:{port}{path}'}}}}")?;
    }
    let sdl = "type Done { ok: Boolean! }\ntype Query { act: Done! late: Done! hang: Done! }\n";
    for (name, text) in [("actions.graphql", sdl), ("actions.yaml", &yaml)] {
        let new = folder.join(format!(".{name}"));
        fs::write(&new, text)?;
        fs::rename(new, folder.join(name))?;
    }
    Ok(())
}

/// Clients in the background, each with a connection of its own.
struct Load(Vec<std::thread::JoinHandle<Outcome>>);

/// What came of it. Times are in milliseconds, from when a request was due.
#[derive(Default)]
struct Outcome {
    good: Vec<f64>,
    shed: Vec<f64>,
    /// Neither, or no response at all.
    bad: usize,
}

impl Load {
    /// All together `rate` requests a second, or as many as get a response; the first response is the right one.
    fn start(port: u16, body: &'static str, clients: usize, rate: Option<usize>, time: Duration) -> Fallible<Self> {
        let wanted = post(&mut Client::try_connect(port)?, GRAPHQL, body)?.text();
        let begun = Instant::now();
        let threads = (0..clients).map(|client| {
            let wanted = wanted.clone();
            let pause = rate.map(|rate| Duration::from_secs_f64(clients as f64 / rate as f64));
            let first = pause.unwrap_or_default().mul_f64(client as f64 / clients as f64);
            std::thread::spawn(move || run_client(port, body, &wanted, (begun + first, pause, begun + time)))
        });
        Ok(Self(threads.collect()))
    }

    fn finish(self) -> Outcome {
        let mut all = Outcome::default();
        for outcome in self.0.into_iter().map(|thread| thread.join().unwrap_or_default()) {
            all.good.extend(outcome.good);
            all.shed.extend(outcome.shed);
            all.bad += outcome.bad;
        }
        all
    }
}

fn run_client(port: u16, body: &str, wanted: &str, times: (Instant, Option<Duration>, Instant)) -> Outcome {
    let (mut due, pause, end) = times;
    let mut outcome = Outcome::default();
    let mut connection = None;
    while due < end {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let open = connection.take().map_or_else(|| Client::try_connect(port).map_err(Into::into), Ok);
        let responded = open.and_then(|mut open| post(&mut open, GRAPHQL, body).map(|response| (open, response)));
        let took = due.elapsed().as_secs_f64() * 1000.0;
        match responded {
            Ok((open, response)) => {
                match (response.status(), response.text() == wanted) {
                    (200, true) => outcome.good.push(took),
                    (503, _) => outcome.shed.push(took),
                    _ => outcome.bad += 1,
                }
                connection = response.keeps_connection().then_some(open);
            }
            Err(_) => outcome.bad += 1,
        }
        due = pause.map_or_else(Instant::now, |pause| due + pause);
    }
    outcome
}

fn p99(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() * 99 / 100).copied().unwrap_or_default()
}

fn summary(what: &str, outcome: &Outcome) -> String {
    let Outcome { good, shed, bad } = outcome;
    format!("{what}: {} responses as expected, {} others; p99 {:.1} ms", good.len(), shed.len() + bad, p99(good))
}

fn reloads(folder: &Path, server: &Server) -> Fallible<String> {
    let pillion = Pillion::start(folder, server, free_ports(), "")?;
    let time = Duration::from_secs(TIMES as u64 / 2 + 2);
    let load = Load::start(pillion.port, MIXED, CLIENTS, Some(RATE), time)?;
    for number in 0..TIMES {
        std::thread::sleep(Duration::from_millis(500));
        write_actions(folder, server.port, number + 1)?;
        if send_alone(pillion.admin, "POST", "/reload", "")?.status() != 200 {
            return Err("it is not reloaded".into());
        }
    }
    Ok(summary(&format!("{TIMES} reloads at {RATE} requests/s"), &load.finish()))
}

fn restarts(folder: &Path, server: &Server) -> Fallible<String> {
    let ports = [free_ports(), free_ports()];
    let start = |index: usize| Pillion::start(folder, server, ports[index], "");
    let mut replicas = [Some(start(0)?), Some(start(1)?)];
    let (port, _balancer) = start_balancer(folder, &ports)?;
    // A drain, a start, and half a second for the balancer to see it.
    let time = Duration::from_secs(TIMES as u64 * 5 / 2 + 10);
    let load = Load::start(port, MIXED, CLIENTS, Some(RATE), time)?;
    let begun = Instant::now();
    for round in 0..TIMES {
        let mut old = replicas[round % 2].take().ok_or("one that runs")?;
        Command::new("kill").args(["-TERM", &old.process.0.id().to_string()]).status()?;
        old.process.0.wait()?;
        drop(old);
        replicas[round % 2] = Some(start(round % 2)?);
        std::thread::sleep(Duration::from_millis(500));
    }
    let took = begun.elapsed();
    let what = format!("{TIMES} restarts behind a balancer within {:.0} s at {RATE} requests/s", took.as_secs_f64());
    Ok(summary(&what, &load.finish()))
}

fn start_balancer(folder: &Path, replicas: &[(u16, u16)]) -> Fallible<(u16, Process)> {
    let port = free_port();
    let mut config = format!(
        "defaults\n  mode http\n  retries 0\n  timeout connect 1s\n  timeout client 10s\n  timeout server 10s\n\
         frontend clients\n  bind 127.0.0.1:{port}\n  default_backend replicas\n\
         backend replicas\n  option httpchk GET /readyz\n"
    );
    for (index, (clients, admin)) in replicas.iter().enumerate() {
        writeln!(config, "  server r{index} 127.0.0.1:{clients} check port {admin} inter 100ms fall 1 rise 1")?;
    }
    let file = folder.join("haproxy.cfg");
    fs::write(&file, config)?;
    let mut command = Command::new("haproxy");
    let process = Process(command.arg("-f").arg(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    wait_for_port(port);
    // Both are taken for ready until they have been looked at.
    std::thread::sleep(Duration::from_millis(500));
    Ok((port, process))
}

/// A handler that takes 100 ms and a limit of 100 concurrent requests: a thousand requests a second can be served.
fn overload(folder: &Path, server: &Server) -> Fallible<String> {
    let pillion = Pillion::start(folder, server, free_ports(), "limits: { max_concurrent_requests: 100 }\n")?;
    let time = Duration::from_secs(10);
    let alone = Load::start(pillion.port, LATE, 100, None, time)?.finish();
    let peak = alone.good.len() as f64 / time.as_secs_f64();
    let load = Load::start(pillion.port, LATE, 1000, Some(10_000), time)?;
    std::thread::sleep(time / 2);
    let asked = Instant::now();
    let is_alive = send_alone(pillion.admin, "GET", "/healthz", "")?.status() == 200;
    let healthz = asked.elapsed().as_secs_f64() * 1000.0;
    let Outcome { good, shed, bad } = load.finish();
    let ended = Instant::now();
    while send_alone(pillion.port, "POST", GRAPHQL, LATE)?.status() != 200 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let recovered = ended.elapsed().as_secs_f64() * 1000.0;
    let goodput = good.len() as f64 / time.as_secs_f64();
    Ok(format!(
        "ten times the load: alone {peak:.0}/s with p99 {:.0} ms; then {goodput:.0}/s ({:.0} %) with p99 {:.0} ms, {} shed \
         with p99 {:.0} ms, {bad} others; healthz {} after {healthz:.0} ms; at most {} MiB; served again after \
         {recovered:.0} ms",
        p99(&alone.good),
        100.0 * goodput / peak,
        p99(&good),
        shed.len(),
        p99(&shed),
        if is_alive { "ok" } else { "failed" },
        memory_kib(&pillion.process, "VmHWM")? / 1024
    ))
}

/// 500 clients wait for a handler that never responds, while others have their requests served as before.
fn hanging(folder: &Path, server: &Server) -> Fallible<String> {
    let pillion = Pillion::start(folder, server, free_ports(), "")?;
    let time = Duration::from_secs(10);
    let measure =
        || Ok::<_, Box<dyn std::error::Error>>(Load::start(pillion.port, MIXED, 16, Some(RATE), time)?.finish());
    let alone = measure()?;
    let waiting: Vec<TcpStream> = (0..500).map(|_| begin(pillion.port, HANG)).collect::<Result<_, _>>()?;
    let beside = measure()?;
    drop(waiting);
    Ok(format!(
        "500 clients on a handler that never responds: p99 of others {:.2} ms alone, {:.2} ms beside them, {} and {} failed",
        p99(&alone.good),
        p99(&beside.good),
        alone.bad + alone.shed.len(),
        beside.bad + beside.shed.len()
    ))
}

/// Sends a request, and waits for nothing.
fn begin(port: u16, body: &str) -> Fallible<TcpStream> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    let length = body.len();
    let head = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length:";
    connection.write_all(format!("{head} {length}\r\n\r\n{body}").as_bytes())?;
    Ok(connection)
}

/// Mixed load, new documents, clients that leave, and a reload every few seconds.
fn soak(folder: &Path, server: &Server) -> Fallible<String> {
    let seconds = std::env::var("ENDURE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60_u64);
    let pillion = Pillion::start(folder, server, free_ports(), "")?;
    let time = Duration::from_secs(seconds);
    let load = Load::start(pillion.port, MIXED, CLIENTS, Some(RATE), time)?;
    let begun = Instant::now();
    let (mut number, mut samples) = (0, Vec::new());
    while begun.elapsed() < time {
        number += 1;
        send_alone(
            pillion.port,
            "POST",
            GRAPHQL,
            &format!(r#"{{"query":"{{ a{number}: act {{ ok }} __typename }}"}}"#),
        )?;
        drop(begin(pillion.port, HANG)?);
        if number % 500 == 0 {
            write_actions(folder, server.port, number)?;
            send_alone(pillion.admin, "POST", "/reload", "")?;
        }
        if number % 50 == 0 {
            let minutes = begun.elapsed().as_secs_f64() / 60.0;
            samples.push((minutes, memory_kib(&pillion.process, "VmRSS")? as f64 / 1024.0));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let outcome = load.finish();
    std::thread::sleep(Duration::from_secs(1));
    let warm: Vec<(f64, f64)> = samples.iter().copied().filter(|(at, _)| *at > seconds as f64 / 60.0 / 3.0).collect();
    let (first, last) = (warm.first().copied().unwrap_or_default(), warm.last().copied().unwrap_or_default());
    let minute = samples.iter().rev().find(|(at, _)| *at <= 1.0).copied().unwrap_or_default();
    Ok(format!(
        "{seconds} s of mixed load with {number} new documents, as many clients that leave, and {} reloads: {} responses, {} \
         failed; {:.1} MiB after a minute, {:.1} MiB after a third, {:.1} MiB at the end, {:+.2} MiB in ten minutes; then {} requests in flight, {} \
         descriptors",
        number / 500,
        outcome.good.len(),
        outcome.bad + outcome.shed.len(),
        minute.1,
        first.1,
        last.1,
        10.0 * line(&warm).slope,
        pillion.metric("pillion_requests_in_flight")?,
        pillion.descriptors()?
    ))
}
