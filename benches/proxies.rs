//! `make bench`: Pillion beside what only passes on and what does the same job, one after the other in every round, before
//! the same upstream and handler (nginx with files, and a server of our own where responses are late or bodies large). Everything
//! is given as a ratio to the plain pingora proxy in the same round as well, because machines are noisy.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a measurement that goes wrong may end"
)]

mod big_schema;
mod peers;
mod picture;
mod plain_proxy;
#[allow(dead_code, reason = "other measurements need more of it")]
mod server;
#[allow(dead_code, reason = "other measurements need more of it")]
mod tools;
mod wrk;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use peers::{CHANGED, DELAYS, FURTHER, Kind, MIXED, OTHER, OTHER_CPU, PLAIN_PINGORA, Peer, Peers, TYPES};
use picture::{Group, draw};
use pillion_test_support::client::Client;
use server::Server;
use tools::{Fallible, Folder, GRAPHQL, Line, line, median, memory_kib, post_well, publish, send_alone};
use wrk::{Load, Measured};

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, listen, upstream] = arguments.as_slice()
        && command == "plain-proxy"
    {
        plain_proxy::run(listen, upstream);
    }
    // What is measured is put on the other processor when it is started.
    Command::new("taskset").args(["-cp", OTHER_CPU, &std::process::id().to_string()]).output()?;
    let bench = Bench::new()?;
    let report = bench.run()?;
    publish("proxies", &report)
}

/// One kind of load.
struct Scenario {
    name: &'static str,
    path: &'static str,
    document: &'static str,
    /// The text of its one variable, in bytes.
    text_bytes: usize,
    is_new: bool,
    who: &'static [Who],
    connections: usize,
    /// See [`Load::streams`].
    streams: usize,
    pause_ms: usize,
    /// Is the plain proxy of the first scenario what it is compared with?
    base: Base,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Direct,
    Plain,
    Gateways,
    Unchecked,
    Listed,
    One,
    Hundred,
    Thousand,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    /// The plain proxy in the first scenario, which does less.
    First,
    /// The plain proxy in the same one.
    Same,
    Nothing,
}

use Who::{Direct, Gateways, Hundred, Listed, One, Plain, Thousand, Unchecked};

impl Who {
    fn is(self, kind: Kind) -> bool {
        match self {
            Self::Direct => kind == Kind::Direct,
            Self::Plain => kind == Kind::Plain,
            Self::Gateways => kind == Kind::Gateway,
            Self::Unchecked => kind == Kind::Unchecked,
            Self::Listed => kind == Kind::Listed,
            Self::One => kind == Kind::Pillion(1),
            Self::Hundred => kind == Kind::Pillion(100),
            Self::Thousand => kind == Kind::Pillion(1000),
        }
    }
}

const PASS: Scenario = Scenario {
    name: "no action, 1 KB",
    path: "/graphql",
    document: "{ items { id } }",
    text_bytes: 0,
    is_new: false,
    who: &[Direct, Plain, Gateways, Unchecked, One, Hundred, Thousand],
    connections: 32,
    streams: 0,
    pause_ms: 0,
    base: Base::Same,
};

const OURS: Scenario = Scenario { who: &[Gateways, Unchecked, One, Hundred, Thousand], base: Base::First, ..PASS };

const FEW: &[Who] = &[Plain, One];

const SCENARIOS: [Scenario; 13] = [
    PASS,
    Scenario { name: "no action, 100 KB", path: "/large/graphql", who: &[Direct, Plain, One, Thousand], ..PASS },
    Scenario { name: "one action", document: "{ act { ok } }", ..OURS },
    Scenario {
        name: "mixed, warm plan",
        document: MIXED,
        who: &[Gateways, Unchecked, Listed, One, Hundred, Thousand],
        ..OURS
    },
    Scenario {
        name: "mixed, HTTP/2, 4 streams each",
        document: MIXED,
        streams: 4,
        who: &[Unchecked, One, Thousand],
        ..OURS
    },
    Scenario { name: "mixed, cold plan", document: MIXED, is_new: true, who: &[Gateways, One, Thousand], ..OURS },
    Scenario {
        name: "mutation, three steps",
        path: "/writes/graphql",
        document: "mutation { one: change { ok } insert { id } two: change { ok } }",
        who: &[One],
        ..OURS
    },
    Scenario {
        name: "a variable of 1 MB",
        document: "mutation ($text: String!) { take(text: $text) { ok } }",
        text_bytes: 1_000_000,
        who: &[Gateways, One],
        connections: 8,
        base: Base::Nothing,
        ..PASS
    },
    Scenario { name: "one action, the upstream asked before", document: "{ checked { ok } }", who: &[One], ..OURS },
    Scenario { name: "no action, 10 connections", connections: 10, who: FEW, ..PASS },
    Scenario { name: "no action, 1,000 connections", connections: 1_000, who: FEW, ..PASS },
    Scenario { name: "no action, 10,000 that pause 2 s", connections: 10_000, pause_ms: 2_000, who: FEW, ..PASS },
    Scenario {
        name: "introspection, 2,000 types",
        path: "/large/graphql",
        document: INTROSPECTION,
        connections: 4,
        who: &[Plain, Unchecked, One, Thousand],
        ..PASS
    },
];

/// The one that changes how allocators treat all that comes after.
const INTROSPECTIONS: usize = 12;

/// What GraphiQL asks.
const INTROSPECTION: &str = "query IntrospectionQuery { __schema { description queryType { name kind } \
    mutationType { name kind } subscriptionType { name kind } types { ...FullType } \
    directives { name description locations args(includeDeprecated: true) { ...InputValue } } } } \
    fragment FullType on __Type { kind name description fields(includeDeprecated: true) { name description \
    args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason } \
    inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef } \
    enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } \
    possibleTypes { ...TypeRef } } \
    fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated \
    deprecationReason } \
    fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name \
    ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }";

/// By scenario, peer and round.
type Results = Vec<Vec<Vec<Measured>>>;

struct Bench {
    folder: Folder,
    peers: Peers,
    late: Server,
    rounds: usize,
    seconds: u64,
}

/// Of what Pillion passes on at most, in percent: at which rates latencies are measured.
const RATES: [f64; 3] = [25.0, 50.0, 75.0];

/// How long each of them is asked for. All connections are opened at once, and the first requests on them, which take longest,
/// must be less than a thousandth of all.
const RATE_SECONDS: u64 = 30;

impl Bench {
    fn new() -> Fallible<Self> {
        let folder = Folder::new("bench")?;
        let late = Server::start()?;
        let number =
            |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        Ok(Self {
            peers: Peers::start(&folder.0, late.port)?,
            folder,
            late,
            rounds: usize::try_from(number("BENCH_ROUNDS", 3))?,
            seconds: number("BENCH_SECONDS", 3),
        })
    }

    fn run(&self) -> Fallible<String> {
        let mut results: Results = vec![vec![Vec::new(); self.peers.all.len()]; SCENARIOS.len()];
        let (early, last) = SCENARIOS.split_at(INTROSPECTIONS);
        for round in 1..=self.rounds {
            self.measure_all(early, &mut results, round)?;
        }
        // Before introspection, after which allocators keep more.
        let (at_rates, five, sizes) = (self.at_rates(&results)?, self.five_actions()?, self.sizes()?);
        let memory = self.memory()?;
        for round in 1..=self.rounds {
            self.measure_all(last, &mut results[INTROSPECTIONS..], round)?;
        }
        let alone = self.introspection_alone()?;
        self.draw(&results)?;
        let mut report = format!(
            "## Beside others\n\n{} rounds of {} s; what is measured has one processor, load, upstream and handler the other; \
             32 connections where nothing else is said; medians, and of requests/s the least and the most. Ratios are to \
             plain pingora in the same round: on the same load, or, where it cannot do the job, on 1 KB without an action. \
             The peers are in [peers](peers).\n\n![requests a second](throughput.svg)\n\n",
            self.rounds, self.seconds
        );
        report.push_str(&self.table(&results)?);
        for part in [at_rates, five, sizes, alone, memory] {
            write!(report, "\n{part}\n")?;
        }
        Ok(report)
    }

    fn measure_all(&self, scenarios: &[Scenario], results: &mut [Vec<Vec<Measured>>], round: usize) -> Fallible<()> {
        for (scenario, results) in scenarios.iter().zip(results) {
            for (peer, results) in self.peers.all.iter().zip(results) {
                if scenario.who.iter().any(|who| who.is(peer.kind)) {
                    let measured = self.measure(scenario, peer)?;
                    println!("round {round} · {} · {}: {:.0}/s", scenario.name, peer.name, measured.per_second);
                    results.push(measured);
                }
            }
        }
        Ok(())
    }

    fn measure(&self, scenario: &Scenario, peer: &Peer) -> Fallible<Measured> {
        let measured = self.measure_for(scenario, peer, self.seconds)?;
        if scenario.text_bytes > 0 {
            // What large requests took is given back once others come, and is no part of what those take.
            std::thread::sleep(Duration::from_secs(2));
            self.measure_for(&PASS, peer, 1)?;
        }
        Ok(measured)
    }

    fn measure_for(&self, scenario: &Scenario, peer: &Peer, seconds: u64) -> Fallible<Measured> {
        let body = match scenario.text_bytes {
            0 => serde_json::json!({ "query": scenario.document }),
            bytes => serde_json::json!({ "variables": { "text": "a".repeat(bytes) }, "query": scenario.document }),
        };
        let load = Load {
            url: &format!("http://127.0.0.1:{}{}", peer.port, scenario.path),
            body: &body.to_string(),
            is_new: scenario.is_new,
            connections: scenario.connections,
            streams: scenario.streams,
            pause_ms: scenario.pause_ms,
            seconds,
        };
        load.measure(&self.folder.0, OTHER_CPU, &peer.process)
    }

    fn table(&self, results: &Results) -> Fallible<String> {
        let plain = self.peers.all.iter().position(|peer| peer.name == PLAIN_PINGORA).ok_or("no plain proxy")?;
        let mut table = String::from(
            "| load | proxy | requests/s | least to most | ratio | p50 ms | p99 ms | p99.9 ms | CPU µs/request | peak MiB |\n\
             |---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for (scenario, rows) in SCENARIOS.iter().zip(results) {
            let base = match scenario.base {
                Base::First => Some(&results[0][plain]),
                Base::Same => Some(&rows[plain]),
                Base::Nothing => None,
            };
            for (peer, row) in self.peers.all.iter().zip(rows).filter(|(_, row)| !row.is_empty()) {
                let of = |value: fn(&Measured) -> f64| median(row.iter().map(value));
                let ends =
                    |pick: fn(f64, f64) -> f64| row.iter().map(|m| m.per_second).reduce(pick).unwrap_or_default();
                let ratio = base.map_or("–".to_owned(), |base| {
                    let ratios = row.iter().zip(base).map(|(own, plain)| own.per_second / plain.per_second);
                    format!("{:.2}", median(ratios))
                });
                // The upstream has the load's processor, and all of them share it.
                let is_alone = peer.kind != Kind::Direct;
                let own =
                    |value: f64, digits: usize| if is_alone { format!("{value:.digits$}") } else { "–".to_owned() };
                writeln!(
                    table,
                    "| {} | {} | {:.0} | {:.0} to {:.0} | {ratio} | {:.2} | {:.2} | {:.2} | {} | {} |",
                    scenario.name,
                    peer.name,
                    of(|m| m.per_second),
                    ends(f64::min),
                    ends(f64::max),
                    of(|m| m.p50_ms),
                    of(|m| m.p99_ms),
                    of(|m| m.p999_ms),
                    own(of(|m| m.cpu_us), 1),
                    own(of(|m| m.peak_mib), 0),
                )?;
            }
        }
        Ok(table)
    }

    /// The latencies while a part of what Pillion can do is asked for.
    fn at_rates(&self, results: &Results) -> Fallible<String> {
        let position = |kind| self.peers.all.iter().position(|peer| peer.kind == kind).ok_or("no such peer");
        let most = median(results[0][position(Kind::Pillion(1))?].iter().map(|m| m.per_second));
        const PAUSE_MS: usize = 10;
        let mut text = format!(
            "At a part of what Pillion passes on at most ({most:.0}/s, 1 KB), for {RATE_SECONDS} s from connections that pause for \
             {PAUSE_MS} ms:\n\n\
             | part | proxy | requests/s | p50 ms | p99 ms | p99.9 ms |\n|--:|---|--:|--:|--:|--:|\n"
        );
        for percent in RATES {
            // A connection is busy for its pause and about a millisecond.
            let connections = (most * percent / 100.0 * (PAUSE_MS as f64 + 1.0) / 1000.0) as usize;
            let scenario = Scenario { connections, pause_ms: PAUSE_MS, ..PASS };
            let wanted = [Direct, Plain, One];
            for peer in self.peers.all.iter().filter(|peer| wanted.iter().any(|who| who.is(peer.kind))) {
                let Measured { per_second, p50_ms, p99_ms, p999_ms, .. } =
                    self.measure_for(&scenario, peer, RATE_SECONDS)?;
                let name = &peer.name;
                writeln!(
                    text,
                    "| {percent} % | {name} | {per_second:.0} | {p50_ms:.2} | {p99_ms:.2} | {p999_ms:.2} |"
                )?;
            }
        }
        Ok(text)
    }

    /// Five actions at once take as long as the slowest of them.
    fn five_actions(&self) -> Fallible<String> {
        const TIMES: usize = 200;
        let slowest = DELAYS[DELAYS.len() - 1];
        let calls: String = DELAYS.iter().map(|delay| format!(" late_{delay} {{ ok }}")).collect();
        let times = |port: u16, path: &str, document: &str| -> Fallible<f64> {
            let mut client = Client::connect(port);
            let times = (0..TIMES).map(|_| {
                let started = Instant::now();
                post_well(&mut client, path, document)?;
                Ok(started.elapsed().as_secs_f64() * 1000.0)
            });
            Ok(median(times.collect::<Fallible<Vec<_>>>()?.into_iter()))
        };
        let direct = times(self.late.port, &format!("/handler/wait/{slowest}"), "{ x }")?;
        let pillion = self.peers.of(Kind::Pillion(1))?.port;
        let one = times(pillion, GRAPHQL, &format!("{{ late_{slowest} {{ ok }} }}"))?;
        let five = times(pillion, GRAPHQL, &format!("{{ items {{ id }}{calls} }}"))?;
        Ok(format!(
            "Five actions whose handlers take {DELAYS:?} ms, and a field of the upstream, in one query: {five:.2} ms at the median; \
             the slowest handler alone takes {direct:.2} ms, and {one:.2} ms through Pillion."
        ))
    }

    /// The cost of a new document, by its length.
    fn sizes(&self) -> Fallible<String> {
        let pillion = self.peers.of(Kind::Pillion(1))?;
        let mut points = Vec::new();
        for fields in [10, 100, 200, 400, 800] {
            let names: String = (0..fields).map(|index| format!(" f{index}: name")).collect();
            let document = format!("{{ act {{ ok }} items {{{names} }} }}");
            let body = serde_json::json!({ "query": document }).to_string();
            let load = Load {
                url: &format!("http://127.0.0.1:{}/sizes/graphql", pillion.port),
                body: &body,
                is_new: true,
                connections: PASS.connections,
                streams: 0,
                pause_ms: 0,
                seconds: self.seconds,
            };
            let rounds = (0..self.rounds).map(|_| load.measure(&self.folder.0, OTHER_CPU, &pillion.process));
            let rounds = rounds.collect::<Fallible<Vec<_>>>()?;
            points.push((document.len() as f64 / 1024.0, median(rounds.iter().map(|m| m.cpu_us))));
        }
        let Line { slope, start, fit } = line(&points);
        let seen: Vec<String> = points.iter().map(|(size, cpu)| format!("{cpu:.0} µs for {size:.1} KiB")).collect();
        Ok(format!(
            "Processor time of a mixed request with a document that was never seen before: {}. A line through them: {start:.0} \
             µs and {slope:.0} µs for each KiB, R² = {fit:.3}.",
            seen.join(", ")
        ))
    }

    /// One after the other on one connection, so that nothing waits for anything else.
    fn introspection_alone(&self) -> Fallible<String> {
        let (upstream, pillion) = (self.peers.of(Kind::Direct)?.port, self.peers.of(Kind::Pillion(1000))?.port);
        let median_of = |port, folders: &[&str]| -> Fallible<f64> {
            let times = folders.iter().map(|folder| introspect(port, folder)).collect::<Fallible<Vec<f64>>>()?;
            Ok(median(times.into_iter()))
        };
        let (direct, merged) = (median_of(upstream, &["large"; 20])?, median_of(pillion, &["large"; 20])?);
        // The changed ones come first, after one that they are like.
        let changed = median_of(pillion, &CHANGED)?;
        let memory = self.memory_of_schemas(&FURTHER)?;
        let other = median_of(pillion, &OTHER)?;
        Ok(format!(
            "Introspection of {TYPES} types ({} MB), alone on one connection: {direct:.0} ms from the upstream, {merged:.0} ms \
             merged with 1,000 actions; {other:.0} ms the first time that the upstream responds so, {changed:.0} ms if one of \
             500 tables is new, and {memory:.1} MiB for each such schema.",
            big_schema::introspection_result(TYPES, "table").len() / 1_000_000,
        ))
    }

    /// MiB for each of the schemas in these folders.
    fn memory_of_schemas(&self, folders: &[&str]) -> Fallible<f64> {
        let pillion = self.peers.of(Kind::Pillion(1000))?;
        let before = memory_kib(&pillion.process, "VmRSS")?;
        let body = serde_json::json!({ "query": "{ __schema { queryType { name } } }" }).to_string();
        for folder in folders {
            let response = send_alone(pillion.port, "POST", &format!("/{folder}/graphql"), &body)?.text();
            if !response.contains(r#"{"name":"Query"}"#) {
                return Err(format!("introspection gave {response}").into());
            }
        }
        Ok(memory_kib(&pillion.process, "VmRSS")?.saturating_sub(before) as f64 / 1024.0 / folders.len() as f64)
    }

    fn memory(&self) -> Fallible<String> {
        let pillion = self.peers.of(Kind::Pillion(1000))?;
        let before = memory_kib(&pillion.process, "VmRSS")? / 1024;
        let mut clients: Vec<Client> = (0..1000).map(|_| Client::connect(pillion.port)).collect();
        clients.iter_mut().try_for_each(|client| post_well(client, GRAPHQL, MIXED))?;
        let crowded = memory_kib(&pillion.process, "VmRSS")? / 1024;
        Ok(format!(
            "Pillion with 1,000 actions listens {} ms after its start; resident memory is {:.0} MiB then ({:.0} MiB with one \
             action), {before} MiB after all of the above but introspection, and {crowded} MiB with 1,000 more connections that \
             have each made a mixed request.",
            self.peers.start.as_millis(),
            self.peers.idle_mib.1,
            self.peers.idle_mib.0
        ))
    }

    fn draw(&self, results: &Results) -> Fallible<()> {
        let group = |index: usize| {
            let rows = self.peers.all.iter().zip(&results[index]);
            let shown = rows
                .filter(|(peer, row)| !row.is_empty() && !matches!(peer.kind, Kind::Unchecked | Kind::Pillion(100)));
            let bars = shown.map(|(peer, row)| (peer.name.to_owned(), median(row.iter().map(|m| m.per_second))));
            Group { title: SCENARIOS[index].name, bars: bars.collect() }
        };
        let picture = draw("Requests a second", &[0, 1, 2, 3, 4].map(group));
        Ok(fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/throughput.svg"), picture)?)
    }
}

/// Milliseconds for a whole response.
fn introspect(port: u16, folder: &str) -> Fallible<f64> {
    let body = serde_json::json!({ "query": INTROSPECTION }).to_string();
    let started = Instant::now();
    let response = send_alone(port, "POST", &format!("/{folder}/graphql"), &body)?.body;
    let took = started.elapsed().as_secs_f64() * 1000.0;
    let is_whole = response.ends_with(b"}}}") && response.len() > 1_000_000;
    let start = String::from_utf8_lossy(response.get(..1000).unwrap_or(&response));
    if is_whole { Ok(took) } else { Err(format!("introspection gave {} bytes: {start}", response.len()).into()) }
}
