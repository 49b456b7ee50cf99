//! `make bench`: an extension field of the upstream's rows. Requests a second beside a gateway on Node that does the same, then
//! the time of a long list beside the upstream's and the handler's own, and the memory that lists of several lengths take.

#![allow(clippy::cast_precision_loss, missing_docs, reason = "a measurement that goes wrong may end")]

#[allow(dead_code, reason = "other measurements need more of it")]
mod big_schema;
#[allow(dead_code, reason = "other measurements need more of it")]
mod peers;
#[allow(dead_code, reason = "other measurements need more of it")]
mod tools;
mod wrk;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use peers::{OTHER_CPU, PROXY_CPU, start_gateway, start_nginx, start_node, start_pillion, upstream_conf};
use pillion_test_support::client::Client;
use pillion_test_support::process::Process;
use pillion_test_support::{free_port, wait_for_port};
use serde_json::{Value, json};
use tools::{Fallible, Folder, GRAPHQL, Line, line, median, memory_kib, post, publish, reset_peak_memory, send_alone};
use wrk::{Load, Measured};

/// Rows of a request beside the gateway.
const ROWS: usize = 100;

/// What clients send there.
const DOCUMENT: &str = "{ items { id name offer { total } } }";

/// Rows of the list whose time is measured.
const LONG: usize = 10_000;

/// How often it is.
const TIMES: usize = 15;

/// Rows of the lists whose memory is measured.
const LENGTHS: [usize; 5] = [1_000, 10_000, 25_000, 50_000, 100_000];

/// Keys in one call of the handler.
const BATCH: usize = 500;

fn main() -> Fallible<()> {
    Command::new("taskset").args(["-cp", OTHER_CPU, &std::process::id().to_string()]).output()?;
    let folder = Folder::new("extension-fields")?;
    let beside = beside_gateway(&folder.0)?;
    let long = long_lists(&folder.0)?;
    let memory = memory_by_rows(&folder.0, &RowSource::start(OTHER_CPU)?)?;
    publish("extension_fields", &format!("## Fields on the upstream's rows\n\n{beside}\n{long}\n\n{memory}\n"))
}

/// What a folder of metadata and `pillion.yaml` say of the field.
fn write_metadata(folder: &Path, handler: &str) -> Fallible<PathBuf> {
    let folder = folder.join(format!("metadata-{}", handler.replace(':', "-")));
    fs::create_dir_all(&folder)?;
    let yaml = format!(
        "actions:\n  - {{name: offer, definition: {{kind: synchronous, handler: 'http://{handler}/offers'}}}}\n"
    );
    fs::write(folder.join("actions.yaml"), yaml)?;
    let graphql = "type Offer { total: Float! }\ntype Query { offer(itemId: Int!): Offer }\n";
    fs::write(folder.join("actions.graphql"), graphql)?;
    let config = format!(
        "dialect: standard\nfields: {{ Item.offer: 'offer(itemId: $id)' }}\nactions: {{ offer: {{ batch: {BATCH} }} }}\n\
         limits: {{ max_field_keys: 100000, max_buffered_bytes: 1GiB, max_client_bytes: 1GiB, max_connection_bytes: 1GiB }}\n"
    );
    fs::write(folder.join("pillion.yaml"), config)?;
    Ok(folder)
}

/// A Pillion that knows the upstream's schema.
fn start(folder: &Path, upstream: &str, document: &str) -> Fallible<(Process, u16)> {
    let (port, metadata) = (free_port(), write_metadata(folder, upstream)?);
    let process = start_pillion(&metadata, port, upstream)?;
    wait_for_port(port);
    wait_until_right(port, document)?;
    Ok((process, port))
}

/// Until a request has every total.
fn wait_until_right(port: u16, document: &str) -> Fallible<Value> {
    let started = Instant::now();
    loop {
        let text = send_alone(port, "POST", GRAPHQL, &json!({ "query": document }).to_string())?.text();
        if text.contains(r#"{"total":"#) && !text.contains(r#""errors""#) {
            return Ok(serde_json::from_str(&text)?);
        }
        if started.elapsed() > Duration::from_secs(20) {
            return Err(format!("{document} gave {text}").into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// An upstream and a handler that are files: a list, and the totals of its rows.
fn write_site(folder: &Path) -> Fallible<()> {
    let site = folder.join("site");
    fs::create_dir_all(&site)?;
    let joined = |one: fn(usize) -> String| (0..ROWS).map(one).collect::<Vec<_>>().join(",");
    let rows = joined(|id| format!(r#"{{"id":{id},"name":"a name of usual length","_k0":"Item"}}"#));
    fs::write(site.join("graphql"), format!(r#"{{"data":{{"items":[{rows}]}}}}"#))?;
    fs::write(site.join("graphql.introspection"), big_schema::introspection_result(0, "table"))?;
    fs::write(site.join("offers"), format!("[{}]", joined(|id| format!(r#"{{"total":{id}.5}}"#))))?;
    Ok(())
}

/// Throughput, with everything else as in `proxies.rs`.
fn beside_gateway(folder: &Path) -> Fallible<String> {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, seconds) = (number("BENCH_ROUNDS", 3), number("BENCH_SECONDS", 3));
    write_site(folder)?;
    let (upstream_port, gateway_port) = (free_port(), free_port());
    let upstream = format!("127.0.0.1:{upstream_port}");
    let _upstream = start_nginx(folder, "upstream", OTHER_CPU, &upstream_conf(folder, upstream_port))?;
    wait_for_port(upstream_port);
    let gateway = start_gateway("extension.mjs", gateway_port, &upstream, upstream_port)?;
    wait_for_port(gateway_port);
    let (pillion, pillion_port) = start(folder, &upstream, DOCUMENT)?;
    if wait_until_right(gateway_port, DOCUMENT)? != wait_until_right(pillion_port, DOCUMENT)? {
        return Err("the gateway and Pillion do not do the same".into());
    }
    let peers = [("Yoga and stitching, Node", gateway, gateway_port), ("Pillion", pillion, pillion_port)];
    let mut results: [Vec<Measured>; 2] = Default::default();
    for round in 1..=rounds {
        for ((name, process, port), results) in peers.iter().zip(&mut results) {
            let url = format!("http://127.0.0.1:{port}{GRAPHQL}");
            let body = json!({ "query": DOCUMENT }).to_string();
            let load =
                Load { url: &url, body: &body, is_new: false, connections: 32, streams: 0, pause_ms: 0, seconds };
            let measured = load.measure(folder, OTHER_CPU, process)?;
            println!("round {round} · {name}: {:.0}/s", measured.per_second);
            results.push(measured);
        }
    }
    table(rounds, seconds, &peers.map(|(name, ..)| name), &results)
}

fn table(rounds: u64, seconds: u64, names: &[&str; 2], results: &[Vec<Measured>; 2]) -> Fallible<String> {
    let mut table = format!(
        "A list of {ROWS} rows with one field that a handler resolves in one batch: {rounds} rounds of {seconds} s, on processors and \
         connections as above, before files as upstream and handler. The gateway collects the keys by a DataLoader.\n\n\
         | proxy | requests/s | least to most | ratio | p50 ms | p99 ms | p99.9 ms | CPU µs/request | peak MiB |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    let [gateway, _] = results;
    for (name, row) in names.iter().zip(results) {
        let of = |value: fn(&Measured) -> f64| median(row.iter().map(value));
        let ends = |pick: fn(f64, f64) -> f64| row.iter().map(|m| m.per_second).reduce(pick).unwrap_or_default();
        writeln!(
            table,
            "| {name} | {:.0} | {:.0} to {:.0} | {:.1} | {:.2} | {:.2} | {:.2} | {:.1} | {:.0} |",
            of(|m| m.per_second),
            ends(f64::min),
            ends(f64::max),
            median(row.iter().zip(gateway).map(|(own, gateway)| own.per_second / gateway.per_second)),
            of(|m| m.p50_ms),
            of(|m| m.p99_ms),
            of(|m| m.p999_ms),
            of(|m| m.cpu_us),
            of(|m| m.peak_mib),
        )?;
    }
    Ok(table)
}

/// An upstream whose lists are as long as is asked for, and the handler of their field, in one process of Node.
struct RowSource {
    _process: Process,
    port: u16,
    address: String,
}

impl RowSource {
    fn start(cpu: &str) -> Fallible<Self> {
        let port = free_port();
        let process = start_node(cpu, "rows.mjs", port, "", port)?;
        wait_for_port(port);
        Ok(Self { _process: process, port, address: format!("127.0.0.1:{port}") })
    }
}

fn list_of(rows: usize) -> String {
    format!("{{ items(first: {rows}) {{ id name offer {{ total }} }} }}")
}

/// What the handler gets for so many rows.
fn batches(rows: usize) -> Vec<String> {
    let ids: Vec<usize> = (0..rows).collect();
    let batch = |ids: &[usize]| {
        let inputs: Vec<Value> = ids.iter().map(|id| json!({ "itemId": id })).collect();
        json!({ "action": { "name": "offer" }, "inputs": inputs, "session_variables": {}, "request_query": list_of(rows) })
    };
    ids.chunks(BATCH).map(|ids| batch(ids).to_string()).collect()
}

/// The milliseconds that it takes to get all responses, one after the other.
fn timed(client: &mut Client, path: &str, bodies: &[String]) -> Fallible<f64> {
    let started = Instant::now();
    for body in bodies {
        let response = post(client, path, body)?;
        if response.status() != 200 || response.body.starts_with(br#"{"errors"#) {
            return Err(format!("{path} gave {}", response.text().chars().take(1000).collect::<String>()).into());
        }
    }
    Ok(started.elapsed().as_secs_f64() * 1000.0)
}

/// Milliseconds for a long list.
struct LongList {
    upstream: f64,
    handler: f64,
    through: f64,
}

impl LongList {
    fn ratio(&self) -> f64 {
        self.through / (self.upstream + self.handler)
    }

    /// One request at a time, so that nothing waits for anything else.
    fn measure(folder: &Path, source: &RowSource) -> Fallible<Self> {
        let (_process, port) = start(folder, &source.address, &list_of(LONG))?;
        let asked = format!("{{ items(first: {LONG}) {{ id name _k0:__typename }} }}");
        let asked = [json!({ "query": asked }).to_string()];
        let (whole, calls) = ([json!({ "query": list_of(LONG) }).to_string()], batches(LONG));
        let (mut pillion, mut other) = (Client::connect(port), Client::connect(source.port));
        let (mut upstream, mut handler, mut through) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TIMES {
            upstream.push(timed(&mut other, GRAPHQL, &asked)?);
            handler.push(timed(&mut other, "/offers", &calls)?);
            through.push(timed(&mut pillion, GRAPHQL, &whole)?);
        }
        let [upstream, handler, through] = [upstream, handler, through].map(|times| median(times.into_iter()));
        Ok(Self { upstream, handler, through })
    }
}

/// With the upstream and the handler on the processor of all other upstreams, and on Pillion's own.
fn long_lists(folder: &Path) -> Fallible<String> {
    let apart = LongList::measure(folder, &RowSource::start(OTHER_CPU)?)?;
    let shared = LongList::measure(folder, &RowSource::start(PROXY_CPU)?)?;
    let LongList { upstream, handler, through } = apart;
    Ok(format!(
        "{LONG} rows of an upstream on Node with one such field, whose handler on Node gets {BATCH} keys in a call: {upstream:.0} ms \
         from the upstream and {handler:.0} ms from the handler, {through:.0} ms through Pillion, {:.2} times both. With both on \
         Pillion's processor, where nothing runs side by side, it is {:.2} times.",
        apart.ratio(),
        shared.ratio()
    ))
}

/// Each list is asked for from a process of its own.
fn memory_by_rows(folder: &Path, source: &RowSource) -> Fallible<String> {
    let mut points = Vec::new();
    for rows in LENGTHS {
        let (process, port) = start(folder, &source.address, &list_of(10))?;
        let before = memory_kib(&process, "VmRSS")?;
        reset_peak_memory(&process)?;
        timed(&mut Client::connect(port), GRAPHQL, &[json!({ "query": list_of(rows) }).to_string()])?;
        points.push((rows as f64, memory_kib(&process, "VmHWM")?.saturating_sub(before) as f64));
    }
    let Line { slope, start, fit } = line(&points);
    let seen: Vec<String> = points.iter().map(|(rows, kib)| format!("{:.1} MiB for {rows}", kib / 1024.0)).collect();
    Ok(format!(
        "Peak memory of one such request beyond that of the idle process: {}. A line through them: {:.1} MiB and {:.0} bytes for each \
         row, R² = {fit:.3}.",
        seen.join(", "),
        start / 1024.0,
        slope * 1024.0
    ))
}
