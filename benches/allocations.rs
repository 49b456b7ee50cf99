//! `make bench`, its third part: how often Pillion asks its allocator for memory in the course of a request, and for how
//! many bytes. The program runs in a process of this very binary, whose allocator counts.

#![allow(clippy::indexing_slicing, missing_docs, reason = "a measurement that goes wrong may end")]

#[allow(dead_code, reason = "other measurements need more of it")]
mod server;
#[allow(dead_code, reason = "other measurements need more of it")]
mod tools;

use std::alloc::System;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use pillion_test_support::client::Client;
use pillion_test_support::process::Process;
use pillion_test_support::{free_port, wait_for_port};
use server::Server;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tools::{Fallible, Folder, GRAPHQL, post_well, publish};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests before counting, and requests that are counted.
const BEFORE: usize = 500;
const COUNTED: usize = 2_000;

const LOADS: [(&str, &str); 4] = [
    ("no action", "{ __typename }"),
    ("one action", "{ act { ok } }"),
    ("mixed", "{ __typename act { ok } }"),
    ("one action, the upstream asked before", "{ checked { ok } }"),
];

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        std::thread::spawn(tell);
        return pillion::internals::main();
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Says how much has been asked for whenever a line comes.
fn tell() {
    for _ in std::io::stdin().lines().map_while(Result::ok) {
        let stats = ALLOCATOR.stats();
        let calls = stats.allocations + stats.reallocations;
        println!("COUNT {calls} {}", stats.bytes_allocated);
    }
}

fn measure() -> Fallible<()> {
    let folder = Folder::new("allocations")?;
    let server = Server::start()?;
    let mut pillion = Counted::start(&folder.0, server.port)?;
    let mut report = String::from(
        "## Allocations\n\nOf a request with a known plan, on one kept connection.\n\n\
         | load | allocations | bytes |\n|---|--:|--:|\n",
    );
    for (name, document) in LOADS {
        let mut client = Client::connect(pillion.port);
        (0..BEFORE).try_for_each(|_| post_well(&mut client, GRAPHQL, document))?;
        let before = pillion.count()?;
        (0..COUNTED).try_for_each(|_| post_well(&mut client, GRAPHQL, document))?;
        let after = pillion.count()?;
        let each = |count: fn(&(u64, u64)) -> u64| (count(&after) - count(&before)) as f64 / COUNTED as f64;
        writeln!(report, "| {name} | {:.0} | {:.0} |", each(|count| count.0), each(|count| count.1))?;
    }
    publish("allocations", &report)
}

struct Counted {
    port: u16,
    questions: ChildStdin,
    counts: BufReader<ChildStdout>,
    _process: Process,
}

impl Counted {
    fn start(folder: &Path, upstream: u16) -> Fallible<Self> {
        let action = |name: &str| {
            format!("  - {{name: {name}, definition: {{handler: 'http://127.0.0.1:{upstream}/handler'}}}}\n")
        };
        fs::write(folder.join("actions.yaml"), format!("actions:\n{}{}", action("act"), action("checked")))?;
        let graphql = "type Done { ok: Boolean! }\ntype Query { act: Done! checked: Done! }\n";
        fs::write(folder.join("actions.graphql"), graphql)?;
        let config = folder.join("pillion.yaml");
        fs::write(
            &config,
            "dialect: standard\nintrospection: { mode: upstream }\nthreads: 1\n\
             actions: { checked: { before: '{ __typename }', require: [__typename] } }\n",
        )?;
        let port = free_port();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg(format!("--upstream=http://127.0.0.1:{upstream}"));
        command.arg("--metadata").arg(folder).arg("--config").arg(config).arg("--log-level=warn");
        command.arg(format!("--listen=127.0.0.1:{port}")).arg(format!("--admin-listen=127.0.0.1:{}", free_port()));
        let mut process = Process(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        wait_for_port(port);
        std::thread::sleep(Duration::from_secs(1));
        let questions = process.0.stdin.take().ok_or("no standard input")?;
        let counts = BufReader::new(process.0.stdout.take().ok_or("no standard output")?);
        Ok(Self { port, questions, counts, _process: process })
    }

    /// How often, and how many bytes.
    fn count(&mut self) -> Fallible<(u64, u64)> {
        writeln!(self.questions)?;
        let mut line = String::new();
        while !line.starts_with("COUNT ") {
            line.clear();
            if self.counts.read_line(&mut line)? == 0 {
                return Err("it has ended".into());
            }
        }
        let mut counts = line.split_whitespace().skip(1).map(str::parse);
        Ok((counts.next().ok_or("no count")??, counts.next().ok_or("no bytes")??))
    }
}
