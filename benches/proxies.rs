//! `make bench`: nginx as a plain proxy, a plain pingora proxy, a gateway on Node that does the same job
//! (`benches/peers/stitching.mjs`) and Pillion, one after the other in every round, before the same upstream and handler
//! (nginx with files). The proxy has one processor, load and upstream have the other.
//! Everything is given as a ratio to the plain pingora proxy in the same round, because machines are noisy.

#![allow(clippy::indexing_slicing, missing_docs, reason = "a measurement that goes wrong may end")]

mod big_schema;
mod plain_proxy;
mod tools;

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tools::{Fallible, Folder, Process, free_port, median, memory_kib, wait_for};

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, listen, upstream] = arguments.as_slice()
        && command == "plain-proxy"
    {
        plain_proxy::run(listen, upstream);
    }
    let bench = Bench::new()?;
    let report = bench.run()?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench.md");
    fs::write(&path, &report)?;
    println!("\n{report}\nwritten to {}", path.display());
    Ok(())
}

/// One kind of load.
struct Scenario {
    name: &'static str,
    path: &'static str,
    document: &'static str,
    /// Without it only Pillion can answer.
    is_plain: bool,
    /// Is every document another one, so that none has a plan yet?
    is_new: bool,
    /// Of which scenario the plain proxy's figures are what ratios are to.
    base: usize,
    /// How many clients at a time.
    connections: usize,
}

const MIXED: &str = "{ items { id } act { ok } }";

/// The scenarios before introspection.
const ORDINARY: usize = 5;

const PLAIN: Scenario = Scenario {
    name: "no action, 1 KB",
    path: "/graphql",
    document: "{ items { id } }",
    is_plain: true,
    is_new: false,
    base: 0,
    connections: 32,
};

const SCENARIOS: [Scenario; 6] = [
    PLAIN,
    Scenario { name: "no action, 100 KB", path: "/large/graphql", base: 1, ..PLAIN },
    Scenario { name: "one action", document: "{ act { ok } }", is_plain: false, ..PLAIN },
    Scenario { name: "mixed, warm plan", document: MIXED, is_plain: false, ..PLAIN },
    Scenario { name: "mixed, cold plan", document: MIXED, is_plain: false, is_new: true, ..PLAIN },
    Scenario {
        name: "introspection, 2,000 types",
        path: "/large/graphql",
        document: INTROSPECTION,
        base: 5,
        connections: 4,
        ..PLAIN
    },
];

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

/// A proxy under test.
struct Proxy {
    name: &'static str,
    port: u16,
    process: Process,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Passes everything on.
    Plain,
    /// Knows the small schema, and calls the handler.
    Gateway,
    Pillion,
}

impl Proxy {
    fn can(&self, scenario: &Scenario) -> bool {
        match self.kind {
            Kind::Plain => scenario.is_plain,
            Kind::Gateway => scenario.path == PLAIN.path,
            Kind::Pillion => true,
        }
    }
}

struct Bench {
    folder: Folder,
    _upstream: Process,
    proxies: Vec<Proxy>,
    start: Duration,
    idle_kib: u64,
    upstream_port: u16,
    rounds: usize,
    seconds: u64,
}

#[derive(Clone, Copy)]
struct Measured {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

/// Where the engine has other large schemas, each of which is asked for once.
const FRESH: [&str; 5] = ["fresh1", "fresh2", "fresh3", "fresh4", "fresh5"];

/// Types of the large schema.
const TYPES: usize = 2_000;

/// The proxy's processor, and that of everything else.
const PROXY_CPU: &str = "0";
const OTHER_CPU: &str = "1";

impl Bench {
    fn new() -> Fallible<Self> {
        let folder = Folder::new("bench")?;
        write_site(&folder.0)?;
        let upstream_port = free_port()?;
        let upstream = format!("127.0.0.1:{upstream_port}");
        let upstream_process = start_nginx(&folder.0, "upstream", OTHER_CPU, &upstream_conf(&folder.0, upstream_port))?;
        wait_for(upstream_port)?;

        let mut proxies = Vec::new();
        let port = free_port()?;
        let process = start_nginx(&folder.0, "proxy", PROXY_CPU, &proxy_conf(port, &upstream))?;
        proxies.push(Proxy { name: "nginx", port, process, kind: Kind::Plain });
        let port = free_port()?;
        let plain = std::env::current_exe()?;
        let arguments = ["plain-proxy".to_owned(), format!("127.0.0.1:{port}"), upstream.clone()];
        let process = start_pinned(PROXY_CPU, &plain, &arguments)?;
        proxies.push(Proxy { name: "plain pingora", port, process, kind: Kind::Plain });
        wait_for(port)?;
        let port = free_port()?;
        let process = start_gateway(port, &upstream)?;
        proxies.push(Proxy { name: "a stitching gateway on Node", port, process, kind: Kind::Gateway });
        wait_for(port)?;
        let mut start = Duration::ZERO;
        let mut idle_kib = 0;
        for (name, actions, introspection) in [
            ("pillion, engine's part unchecked", 1, "engine"),
            ("pillion, 1 action", 1, "merged"),
            ("pillion, 1000 actions", 1000, "merged"),
        ] {
            let (port, admin) = (free_port()?, free_port()?);
            let metadata = write_metadata(&folder.0, actions, introspection, &upstream)?;
            let started = Instant::now();
            let process = start_pillion(&metadata, port, admin, &upstream)?;
            wait_for(port)?;
            start = started.elapsed();
            std::thread::sleep(Duration::from_secs(1));
            idle_kib = memory_kib(&process, "VmRSS")?;
            proxies.push(Proxy { name, port, process, kind: Kind::Pillion });
        }
        let number =
            |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        Ok(Self {
            folder,
            _upstream: upstream_process,
            proxies,
            start,
            idle_kib,
            upstream_port,
            rounds: usize::try_from(number("BENCH_ROUNDS", 5))?,
            seconds: number("BENCH_SECONDS", 3),
        })
    }

    fn run(&self) -> Fallible<String> {
        let mut report = String::from("# Proxies before the same upstream and handler\n\n");
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown processor");
        writeln!(
            report,
            "{model}; {} rounds of {} s; 32 connections, 4 for introspection; medians.",
            self.rounds, self.seconds
        )?;
        writeln!(
            report,
            "Ratios are to the plain pingora proxy in the same round: without actions, 1 KB (100 KB for 100 KB), and for \
             introspection passing on the engine's own answer.\n"
        )?;
        writeln!(report, "| load | proxy | requests/s | ratio | p50 ms | p99 ms | CPU µs/request | CPU ratio |")?;
        writeln!(report, "|---|---|--:|--:|--:|--:|--:|--:|")?;
        let mut results = self.measure_all(&SCENARIOS[..ORDINARY])?;
        let memory = self.memory()?;
        // Last, because answers of this size change how allocators treat all that comes after.
        results.extend(self.measure_all(&SCENARIOS[ORDINARY..])?);
        for (index, scenario) in SCENARIOS.iter().enumerate() {
            let base = scenario.base;
            for (position, proxy) in self.proxies.iter().enumerate() {
                if !proxy.can(scenario) {
                    continue;
                }
                let row = &results[index][position];
                let of = |value: fn(&Measured) -> f64| median(row.iter().map(value));
                let ratio = |value: fn(&Measured) -> f64| {
                    median(row.iter().zip(&results[base][1]).map(|(own, plain)| value(own) / value(plain)))
                };
                writeln!(
                    report,
                    "| {} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} | {:.2} |",
                    scenario.name,
                    proxy.name,
                    of(|m| m.per_second),
                    ratio(|m| m.per_second),
                    of(|m| m.p50_ms),
                    of(|m| m.p99_ms),
                    of(|m| m.cpu_us),
                    ratio(|m| m.cpu_us),
                )?;
            }
        }
        self.write_introspection(&mut report)?;
        report.push_str(&memory);
        Ok(report)
    }

    /// By scenario, proxy and round.
    fn measure_all(&self, scenarios: &[Scenario]) -> Fallible<Vec<Vec<Vec<Measured>>>> {
        let mut results = vec![vec![Vec::new(); self.proxies.len()]; scenarios.len()];
        for round in 0..self.rounds {
            for (scenario, results) in scenarios.iter().zip(&mut results) {
                for (proxy, results) in self.proxies.iter().zip(results) {
                    if proxy.can(scenario) {
                        let measured = self.measure(scenario, proxy)?;
                        println!(
                            "round {} · {} · {}: {:.0}/s",
                            round + 1,
                            scenario.name,
                            proxy.name,
                            measured.per_second
                        );
                        results.push(measured);
                    }
                }
            }
        }
        Ok(results)
    }

    fn measure(&self, scenario: &Scenario, proxy: &Proxy) -> Fallible<Measured> {
        let script = self.folder.0.join("post.lua");
        let body = format!("{{\\\"query\\\":\\\"{}\\\"}}", scenario.document);
        let mut lua = format!(
            "wrk.method = \"POST\"\nlocal body = \"{body}\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\n"
        );
        lua.push_str(if scenario.is_new {
            // A comment at the end makes it another document.
            "local n = 0\nrequest = function()\n n = n + 1\n \
             return wrk.format(nil, nil, nil, body:sub(1, -3) .. ' #' .. n .. '\"}')\nend\n"
        } else {
            "wrk.body = body\n"
        });
        fs::write(&script, lua)?;
        let url = format!("http://127.0.0.1:{}{}", proxy.port, scenario.path);
        let before = cpu_ticks(&proxy.process)?;
        let duration = format!("{}s", self.seconds);
        let connections = scenario.connections.to_string();
        let output = Command::new("taskset")
            .args(["--cpu-list", OTHER_CPU, "wrk", "--threads", "1", "--connections", &connections, "--latency"])
            .args(["--duration", &duration, "--script"])
            .arg(&script)
            .arg(&url)
            .output()?;
        let ticks = cpu_ticks(&proxy.process)? - before;
        read_wrk(&String::from_utf8(output.stdout)?, ticks)
    }

    /// One after the other on one connection, so that nothing waits for anything else.
    fn write_introspection(&self, report: &mut String) -> Fallible<()> {
        let Some(pillion) = self.proxies.last() else { return Ok(()) };
        let typical = |port| -> Fallible<f64> {
            let times: Vec<f64> = (0..20).map(|_| introspect(port, "large")).collect::<Result<_, _>>()?;
            Ok(median(times.into_iter()))
        };
        let (engine, merged) = (typical(self.upstream_port)?, typical(pillion.port)?);
        let fresh: Vec<f64> = FRESH.iter().map(|folder| introspect(pillion.port, folder)).collect::<Result<_, _>>()?;
        writeln!(
            report,
            "\nIntrospection of {TYPES} types ({} MB), alone on one connection: {engine:.0} ms from the engine, \
             {merged:.0} ms merged with 1,000 actions, {:.0} ms the first time that the engine answers so.",
            big_schema::introspection_result(TYPES).len() / 1_000_000,
            median(fresh.into_iter()),
        )?;
        Ok(())
    }

    fn memory(&self) -> Fallible<String> {
        let Some(pillion) = self.proxies.last() else { return Ok(String::new()) };
        let peak = memory_kib(&pillion.process, "VmHWM")?;
        let connections: Vec<TcpStream> =
            (0..1000).map(|_| TcpStream::connect(("127.0.0.1", pillion.port))).collect::<Result<_, _>>()?;
        for mut connection in &connections {
            use std::io::{Read, Write};
            let body = r#"{"query":"{ items { id } act { ok } }"}"#;
            write!(
                connection,
                "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )?;
            connection.read_exact(&mut [0; 200])?;
        }
        let crowded = memory_kib(&pillion.process, "VmRSS")?;
        let mib = |kib: u64| kib / 1024;
        let gateway = self.proxies.iter().find(|proxy| proxy.kind == Kind::Gateway);
        let gateway = gateway.map_or(Ok(0), |gateway| memory_kib(&gateway.process, "VmHWM"))?;
        Ok(format!(
            "\nPillion with 1,000 actions: started in {} ms; resident memory {} MiB idle, {} MiB with 1,000 \
            open connections that have each made a mixed request, {} MiB at the peak of the load above, introspection \
            left out. The gateway on Node: {} MiB at the peak.\n",
            self.start.as_millis(),
            mib(self.idle_kib),
            mib(crowded),
            mib(peak),
            mib(gateway)
        ))
    }
}

/// Milliseconds for a whole answer.
fn introspect(port: u16, folder: &str) -> Fallible<f64> {
    use std::io::{Read, Write};
    let body = serde_json::json!({ "query": INTROSPECTION }).to_string();
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    let started = Instant::now();
    write!(
        connection,
        "POST /{folder}/graphql HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    let took = started.elapsed().as_secs_f64() * 1000.0;
    let is_whole = answer.ends_with(b"}}}") && answer.len() > 1_000_000;
    let start = String::from_utf8_lossy(answer.get(..1000).unwrap_or(&answer));
    if is_whole { Ok(took) } else { Err(format!("introspection gave {} bytes: {start}", answer.len()).into()) }
}

fn start_pinned(cpu: &str, program: &Path, arguments: &[String]) -> Fallible<Process> {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cpu]).arg(program).args(arguments);
    Ok(Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
}

fn start_gateway(port: u16, upstream: &str) -> Fallible<Process> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", PROXY_CPU]).arg(folder.join("tests/engines/node.sh"));
    command.arg(folder.join("benches/peers/stitching.mjs")).env("PORT", port.to_string()).env("UPSTREAM", upstream);
    command.env("NODE_ENV", "production").stdout(Stdio::null()).stderr(Stdio::null());
    Ok(Process(command.spawn()?))
}

fn start_pillion(metadata: &Path, port: u16, admin: u16, upstream: &str) -> Fallible<Process> {
    let arguments = [
        "serve".to_owned(),
        format!("--upstream=http://{upstream}"),
        format!("--metadata={}", metadata.display()),
        format!("--listen=127.0.0.1:{port}"),
        format!("--admin-listen=127.0.0.1:{admin}"),
        "--threads=1".to_owned(),
        // The others write no line for each request either.
        "--log-level=warn".to_owned(),
        "--config".to_owned(),
        metadata.join("pillion.yaml").display().to_string(),
    ];
    start_pinned(PROXY_CPU, Path::new(env!("CARGO_BIN_EXE_pillion")), &arguments)
}

fn start_nginx(folder: &Path, name: &str, cpu: &str, http: &str) -> Fallible<Process> {
    let conf = folder.join(format!("{name}.conf"));
    let text = format!(
        "daemon off; master_process off; worker_processes 1; pid {0}/{name}.pid; error_log {0}/{name}.log crit;\n\
         events {{ worker_connections 4096; }}\nhttp {{ access_log off; keepalive_requests 100000000;\n\
         client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;\n\
         uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n{http}\n}}\n",
        folder.display()
    );
    fs::write(&conf, text)?;
    start_pinned(cpu, Path::new("nginx"), &["-c".to_owned(), conf.display().to_string()])
}

fn write_site(folder: &Path) -> Fallible<()> {
    for (index, fresh) in FRESH.iter().enumerate() {
        fs::create_dir_all(folder.join("site").join(fresh))?;
        let answer = big_schema::introspection_result(TYPES + 4 * (index + 1));
        fs::write(folder.join("site").join(fresh).join("graphql.introspection"), answer)?;
        // nginx refuses to be posted to only where there is a file.
        fs::write(folder.join("site").join(fresh).join("graphql"), "{}")?;
    }
    fs::create_dir_all(folder.join("site/large"))?;
    let items = |count: usize| {
        let item = r#"{"id":1,"name":"a name of usual length"}"#;
        format!(r#"{{"data":{{"items":[{}]}}}}"#, vec![item; count].join(","))
    };
    fs::write(folder.join("site/graphql"), items(24))?;
    fs::write(folder.join("site/large/graphql"), items(2440))?;
    fs::write(folder.join("site/graphql.introspection"), big_schema::introspection_result(0))?;
    fs::write(folder.join("site/large/graphql.introspection"), big_schema::introspection_result(TYPES))?;
    fs::write(folder.join("site/handler"), r#"{"ok":true}"#)?;
    Ok(())
}

fn upstream_conf(folder: &Path, port: u16) -> String {
    let site = folder.join("site");
    format!(
        "default_type application/json; open_file_cache max=10;\n\
         # Only introspection takes a long document.\n\
         map $content_length $answer {{ default $uri; \"~^[0-9][0-9][0-9][0-9]\" $uri.introspection; }}\n\
         server {{ listen 127.0.0.1:{port}; root {}; error_page 405 =200 $answer; }}",
        site.display()
    )
}

fn proxy_conf(port: u16, upstream: &str) -> String {
    format!(
        "upstream engine {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://engine; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_buffers 16 16k; }} }}"
    )
}

fn write_metadata(folder: &Path, actions: usize, introspection: &str, upstream: &str) -> Fallible<PathBuf> {
    let folder = folder.join(format!("metadata-{actions}-{introspection}"));
    fs::create_dir_all(&folder)?;
    let mut yaml = String::from("actions:\n");
    let mut graphql = String::from("type Done { ok: Boolean! }\ntype Query {\n");
    let names = std::iter::once("act".to_owned()).chain((1..actions).map(|index| format!("another_{index}")));
    for name in names {
        writeln!(graphql, "  {name}: Done!")?;
        writeln!(yaml, "  - name: {name}\n    definition:\n      kind: synchronous\n      type: query")?;
        writeln!(yaml, "      handler: http://{upstream}/handler")?;
    }
    fs::write(folder.join("actions.yaml"), yaml)?;
    fs::write(folder.join("actions.graphql"), graphql + "}\n")?;
    let yaml = "graphql_paths: [/graphql, /large/graphql, /fresh1/graphql, /fresh2/graphql, /fresh3/graphql, /fresh4/graphql, \
         /fresh5/graphql]\ndialect: standard\n";
    let yaml = format!("{yaml}introspection: {introspection}\n");
    fs::write(folder.join("pillion.yaml"), yaml)?;
    Ok(folder)
}

/// Processor time of a process with all its threads, in ticks of 10 ms.
fn cpu_ticks(process: &Process) -> Fallible<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.0.id()))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    Ok(ticks(11) + ticks(12))
}

fn read_wrk(output: &str, ticks: f64) -> Fallible<Measured> {
    if let Some(bad) = output.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
        return Err(format!("the load met errors: {}", bad.trim()).into());
    }
    let after = |prefix: &str| {
        let line = output.lines().find_map(|line| line.trim().strip_prefix(prefix));
        line.map(str::trim).ok_or_else(|| format!("wrk printed no {prefix}: {output}"))
    };
    let requests: f64 = output
        .lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
        .ok_or("wrk printed no number of requests")?;
    Ok(Measured {
        per_second: after("Requests/sec:")?.parse()?,
        p50_ms: milliseconds(after("50%")?)?,
        p99_ms: milliseconds(after("99%")?)?,
        cpu_us: ticks * 10_000.0 / requests,
    })
}

fn milliseconds(text: &str) -> Fallible<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1000.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(number.parse::<f64>()? * factor);
        }
    }
    Err(format!("wrk printed the time {text}").into())
}
