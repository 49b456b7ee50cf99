//! What is measured: the upstream alone, what only passes on, what does the same job, and Pillion. The one that is measured
//! has one processor, everything else the other.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pillion_test_support::process::Process;
use pillion_test_support::{free_port, wait_for_port};

use crate::big_schema;
use crate::tools::{Fallible, memory_kib, program};

/// The processor of what is measured, and that of everything else.
pub const PROXY_CPU: &str = "0";
pub const OTHER_CPU: &str = "1";

/// Types of the large schema.
pub const TYPES: usize = 2_000;

/// Where the upstream has other large schemas, each of which is asked for once: they have no table in common.
pub const OTHER: [&str; 5] = ["other1", "other2", "other3", "other4", "other5"];

/// The same, each with one table more than the one before.
pub const CHANGED: [&str; 5] = ["changed1", "changed2", "changed3", "changed4", "changed5"];

/// The same again.
pub const FURTHER: [&str; 5] = ["further1", "further2", "further3", "further4", "further5"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The upstream or the handler itself.
    Direct,
    /// Passes everything on.
    Plain,
    /// Knows the small schema, and calls the handler.
    Gateway,
    /// Its introspection is the upstream's, which it does not know.
    Unchecked,
    /// The same, with a list of the documents that may be sent.
    Listed,
    /// With so many actions.
    Pillion(usize),
}

/// A document with a field of the upstream and an action.
pub const MIXED: &str = "{ items { id } act { ok } }";

/// What is measured.
pub struct Peer {
    pub name: &'static str,
    pub kind: Kind,
    pub port: u16,
    pub process: Process,
}

/// Those whose responses are the same in every run.
pub struct Peers {
    pub all: Vec<Peer>,
    /// From the start of a Pillion with 1,000 actions until it listens.
    pub start: Duration,
    /// Of Pillion with 1 action and with 1,000, before any request.
    pub idle_mib: (f64, f64),
}

impl Peers {
    /// Starts all of them; `late` responds late and takes large bodies.
    pub fn start(folder: &Path, late: u16) -> Fallible<Self> {
        write_site(folder)?;
        let upstream_port = free_port();
        let upstream = format!("127.0.0.1:{upstream_port}");
        let process = start_nginx(folder, "upstream", OTHER_CPU, &upstream_conf(folder, upstream_port))?;
        let mut all =
            vec![Peer { name: "none: upstream or handler itself", kind: Kind::Direct, port: upstream_port, process }];
        wait_for_port(upstream_port);
        let mut add = |name, kind, port: u16, process| {
            all.push(Peer { name, kind, port, process });
            wait_for_port(port);
        };
        let port = free_port();
        add("nginx", Kind::Plain, port, start_nginx(folder, "proxy", PROXY_CPU, &proxy_conf(port, &upstream))?);
        let port = free_port();
        let arguments = ["plain-proxy".to_owned(), format!("127.0.0.1:{port}"), upstream.clone()];
        add(PLAIN_PINGORA, Kind::Plain, port, start_pinned(PROXY_CPU, &std::env::current_exe()?, &arguments)?);
        for (name, script) in [("Yoga and stitching, Node", "stitching.mjs"), ("Hive Gateway, Node", "hive.mjs")] {
            let port = free_port();
            add(name, Kind::Gateway, port, start_gateway(script, port, &upstream, late)?);
        }
        let (mut start, mut idle) = (Duration::ZERO, Vec::new());
        for (name, kind) in [
            ("Pillion, upstream unchecked", Kind::Unchecked),
            ("Pillion, documents listed", Kind::Listed),
            ("Pillion, 1 action", Kind::Pillion(1)),
            ("Pillion, 100 actions", Kind::Pillion(100)),
            ("Pillion, 1,000 actions", Kind::Pillion(1000)),
        ] {
            let (port, metadata) = (free_port(), write_metadata(folder, kind, &upstream, late)?);
            let started = Instant::now();
            let process = start_pillion(&metadata, port, &upstream)?;
            wait_for_port(port);
            start = started.elapsed();
            std::thread::sleep(Duration::from_secs(1));
            idle.push(memory_kib(&process, "VmRSS")? as f64 / 1024.0);
            add(name, kind, port, process);
        }
        let idle_mib = (idle.get(2).copied().unwrap_or_default(), idle.last().copied().unwrap_or_default());
        Ok(Self { all, start, idle_mib })
    }

    /// The one of this kind.
    pub fn of(&self, kind: Kind) -> Fallible<&Peer> {
        Ok(self.all.iter().find(|peer| peer.kind == kind).ok_or("no such peer")?)
    }
}

/// What the others are compared with.
pub const PLAIN_PINGORA: &str = "plain pingora";

pub fn start_pinned(cpu: &str, program: &Path, arguments: &[String]) -> Fallible<Process> {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cpu]).arg(program).args(arguments);
    Ok(Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
}

pub fn start_gateway(script: &str, port: u16, upstream: &str, handler: u16) -> Fallible<Process> {
    start_node(PROXY_CPU, script, port, upstream, handler)
}

pub fn start_node(cpu: &str, script: &str, port: u16, upstream: &str, handler: u16) -> Fallible<Process> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cpu]).arg(folder.join("tests/engines/node.sh"));
    command.arg(folder.join("benches/peers").join(script)).env("PORT", port.to_string()).env("UPSTREAM", upstream);
    command.env("HANDLER", format!("127.0.0.1:{handler}")).env("NODE_ENV", "production");
    Ok(Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
}

pub fn start_pillion(metadata: &Path, port: u16, upstream: &str) -> Fallible<Process> {
    let arguments = [
        "serve".to_owned(),
        format!("--upstream=http://{upstream}"),
        format!("--metadata={}", metadata.display()),
        format!("--listen=127.0.0.1:{port}"),
        format!("--admin-listen=127.0.0.1:{}", free_port()),
        "--threads=1".to_owned(),
        // The others write no line for each request either.
        "--log-level=warn".to_owned(),
        "--config".to_owned(),
        metadata.join("pillion.yaml").display().to_string(),
    ];
    start_pinned(PROXY_CPU, &program(), &arguments)
}

pub fn start_nginx(folder: &Path, name: &str, cpu: &str, http: &str) -> Fallible<Process> {
    let conf = folder.join(format!("{name}.conf"));
    let text = format!(
        "daemon off; master_process off; worker_processes 1; pid {0}/{name}.pid; error_log {0}/{name}.log crit;\n\
         events {{ worker_connections 16384; }}\nhttp {{ access_log off; keepalive_requests 100000000;\n\
         client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;\n\
         uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n{http}\n}}\n",
        folder.display()
    );
    fs::write(&conf, text)?;
    start_pinned(cpu, Path::new("nginx"), &["-c".to_owned(), conf.display().to_string()])
}

fn write_site(folder: &Path) -> Fallible<()> {
    let others = OTHER.iter().map(|other| (*other, big_schema::introspection_result(TYPES, other)));
    let changed = CHANGED.iter().chain(&FURTHER).zip(1..);
    let changed = changed.map(|(name, more)| (*name, big_schema::introspection_result(TYPES + 4 * more, "table")));
    for (name, response) in others.chain(changed) {
        fs::create_dir_all(folder.join("site").join(name))?;
        fs::write(folder.join("site").join(name).join("graphql.introspection"), response)?;
        // nginx rejects a POST only where there is a file.
        fs::write(folder.join("site").join(name).join("graphql"), "{}")?;
    }
    fs::create_dir_all(folder.join("site/large"))?;
    let items = |count: usize| {
        let item = r#"{"id":1,"name":"a name of usual length"}"#;
        vec![item; count].join(",")
    };
    let small = items(24);
    fs::write(folder.join("site/graphql"), format!(r#"{{"data":{{"items":[{small}]}}}}"#))?;
    // The upstream's part of a mutation, and of documents of every length.
    fs::create_dir_all(folder.join("site/writes"))?;
    fs::create_dir_all(folder.join("site/sizes"))?;
    fs::write(folder.join("site/sizes/graphql"), format!(r#"{{"data":{{"items":[{small}]}}}}"#))?;
    fs::write(folder.join("site/writes/graphql"), format!(r#"{{"data":{{"insert":[{small}]}}}}"#))?;
    fs::write(folder.join("site/large/graphql"), format!(r#"{{"data":{{"items":[{}]}}}}"#, items(2440)))?;
    fs::write(folder.join("site/graphql.introspection"), big_schema::introspection_result(0, "table"))?;
    fs::write(folder.join("site/large/graphql.introspection"), big_schema::introspection_result(TYPES, "table"))?;
    fs::write(folder.join("site/handler"), r#"{"ok":true}"#)?;
    Ok(())
}

pub fn upstream_conf(folder: &Path, port: u16) -> String {
    let site = folder.join("site");
    format!(
        "default_type application/json; open_file_cache max=10;\n\
         # But for those, only introspection has a long body.\n\
         map \"$uri $content_length\" $response {{\n  default $uri; \"~^/(sizes|offers)\" $uri;\n\
           \"~ [0-9][0-9][0-9][0-9]\" $uri.introspection;\n}}\n\
         server {{ listen 127.0.0.1:{port} backlog=16384; root {}; error_page 405 =200 $response; }}",
        site.display()
    )
}

fn proxy_conf(port: u16, upstream: &str) -> String {
    format!(
        "upstream upstream {{ server {upstream}; keepalive 4096; keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{port} backlog=16384; location / {{ proxy_pass http://upstream; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_buffers 16 16k; }} }}"
    )
}

/// How long the handlers of the five late actions take, in milliseconds.
pub const DELAYS: [u64; 5] = [5, 10, 15, 20, 25];

fn write_metadata(folder: &Path, kind: Kind, upstream: &str, late: u16) -> Fallible<PathBuf> {
    let (actions, introspection) = match kind {
        Kind::Pillion(actions) => (actions, "merged"),
        _ => (1, "upstream"),
    };
    let listed = if kind == Kind::Listed { "all" } else { "off" };
    let folder = folder.join(format!("metadata-{actions}-{introspection}-{listed}"));
    fs::create_dir_all(folder.join("documents"))?;
    fs::write(folder.join("documents/mixed.graphql"), MIXED)?;
    let mut yaml = String::from("actions:\n");
    let mut action = |name: &str, handler: &str| {
        writeln!(yaml, "  - {{name: {name}, definition: {{kind: synchronous, handler: 'http://{handler}'}}}}")
    };
    let mut query = String::from("  checked: Done!\n");
    action("checked", &format!("{upstream}/handler"))?;
    for name in std::iter::once("act".to_owned()).chain((1..actions).map(|index| format!("another_{index}"))) {
        writeln!(query, "  {name}: Done!")?;
        action(&name, &format!("{upstream}/handler"))?;
    }
    for delay in DELAYS {
        writeln!(query, "  late_{delay}: Done!")?;
        action(&format!("late_{delay}"), &format!("127.0.0.1:{late}/handler/wait/{delay}"))?;
    }
    action("change", &format!("{upstream}/handler"))?;
    action("take", &format!("127.0.0.1:{late}/handler"))?;
    let mutation = "type Mutation {\n  change: Done!\n  take(text: String!): Done!\n}\n";
    fs::write(folder.join("actions.yaml"), yaml)?;
    let graphql = format!("type Done {{ ok: Boolean! }}\ntype Query {{\n{query}}}\n{mutation}");
    fs::write(folder.join("actions.graphql"), graphql)?;
    let paths: String = OTHER.iter().chain(&CHANGED).chain(&FURTHER).map(|name| format!(", /{name}/graphql")).collect();
    let yaml = format!(
        "graphql_paths: [/graphql, /large/graphql, /writes/graphql, /sizes/graphql{paths}]\ndialect: standard\n\
         documents: {{ folder: {}, only: {listed} }}\nintrospection: {{ mode: {introspection} }}\nlimits: {{max_connections: 16384, max_request_body_size: 4MiB, schema_cache_size: 1GiB}}\n\
         actions: {{ checked: {{ before: '{{ items {{ id }} }}', require: [items] }} }}\n",
        folder.join("documents").display()
    );
    fs::write(folder.join("pillion.yaml"), yaml)?;
    Ok(folder)
}
