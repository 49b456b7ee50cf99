//! The real upstreams: PostGraphile over PostgreSQL, and GraphQL Yoga. Started once, ended by id when dropped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::client::Client;
use super::process::Process;
use super::{free_port, repository, wait_until};
use crate::temp::temp_folder;

/// All upstreams.
pub struct Engines {
    /// PostGraphile's port.
    pub postgraphile: u16,
    /// Yoga's port.
    pub yoga: u16,
    /// The port of an upstream whose schema depends on the role.
    pub roles: u16,
    /// PostgreSQL's port.
    pub database: u16,
    _servers: Vec<Process>,
    _postgres: Postgres,
}

struct Postgres {
    folder: PathBuf,
    /// Does it write what is committed to the disk? Tests need not wait for that.
    is_durable: bool,
}

fn upstreams_folder() -> PathBuf {
    repository().join("tests/engines")
}

impl Postgres {
    fn start(port: u16) -> Self {
        let folder = temp_folder().join("postgres");
        let postgres = Self { folder, is_durable: false };
        postgres.run(&["start", &postgres.folder.display().to_string(), &port.to_string()]);
        postgres
    }

    fn script(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new(upstreams_folder().join("postgres.sh"));
        if self.is_durable {
            command.env("POSTGRES_FSYNC", "on");
        }
        let status = command.args(arguments).status();
        status.is_ok_and(|status| status.success())
    }

    fn run(&self, arguments: &[&str]) {
        assert!(self.script(arguments), "postgres.sh {arguments:?} failed; `make setup` installs it");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.script(&["stop", &self.folder.display().to_string()]);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Engines {
    /// Starts them all and waits until they answer.
    pub fn start() -> Self {
        let (database, postgraphile, yoga, roles) = (free_port(), free_port(), free_port(), free_port());
        let postgres = Postgres::start(database);
        let url = format!("postgres://shop@127.0.0.1:{database}/postgres");
        let servers = vec![
            start_node(&["node_modules/.bin/postgraphile", "--config", "graphile.config.mjs"], postgraphile, &url),
            start_node(&["yoga.mjs"], yoga, &url),
            start_node(&["roles.mjs"], roles, &url),
        ];
        [postgraphile, yoga, roles].into_iter().for_each(wait_for_upstream);
        Self { postgraphile, yoga, roles, database, _servers: servers, _postgres: postgres }
    }
}

/// A PostgreSQL of one's own, which can be stopped.
pub struct OwnPostgres {
    port: u16,
    server: Postgres,
}

impl OwnPostgres {
    /// Starts one.
    pub fn start(name: &str) -> Self {
        Self::start_with(name, false)
    }

    /// Starts one that writes what is committed to the disk (`fsync=on`).
    pub fn start_durable(name: &str) -> Self {
        Self::start_with(name, true)
    }

    fn start_with(name: &str, is_durable: bool) -> Self {
        let port = free_port();
        let folder = temp_folder().join(format!("postgres-{name}"));
        let server = Postgres { folder, is_durable };
        server.run(&["start", &server.folder.display().to_string(), &port.to_string()]);
        Self { port, server }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("postgres://shop@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends it at once, as if its machine had died.
    pub fn stop(&self) {
        self.server.run(&["stop", &self.server.folder.display().to_string()]);
    }

    /// Starts it with what it had on disk.
    pub fn start_again(&self) {
        self.server.run(&["again", &self.server.folder.display().to_string(), &self.port.to_string()]);
    }
}

impl Engines {
    /// An empty database of one's own: its address.
    pub fn new_database(&self, name: &str) -> String {
        let server = format!("postgres://shop@127.0.0.1:{}", self.database);
        let mut psql = Command::new("psql");
        psql.args(["--quiet", "--no-psqlrc", &format!("{server}/postgres"), "--command"]);
        let status = psql.arg(format!("create database {name}")).status();
        assert!(status.is_ok_and(|status| status.success()), "the database {name}");
        format!("{server}/{name}")
    }
}

/// An upstream with Hasura's dialect over tables of one's own: see `tests/engines/tables.mjs`.
pub struct TablesEngine {
    /// Where it listens.
    pub port: u16,
    _process: Process,
}

impl TablesEngine {
    /// Starts one over these tables.
    pub fn start(tables: &str) -> Self {
        let port = free_port();
        let mut command = node(&["tables.mjs"], port);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("node starts; `make setup` installs it");
        child.stdin.take().expect("its input").write_all(tables.as_bytes()).expect("it reads");
        let process = Process(child);
        wait_for_upstream(port);
        Self { port, _process: process }
    }

    /// The requests that it has got since this was last asked, as `{path, headers, query, …}`.
    pub fn take_seen(&self) -> serde_json::Value {
        Client::connect(self.port).request("GET", "/seen", &[], b"").json()
    }
}

/// Handlers that users wrote: see `tests/engines/handlers`.
pub struct RealHandlers {
    /// Where those on Express listen.
    pub express: u16,
    /// Where those on Flask do.
    pub flask: u16,
    _processes: Vec<Process>,
}

impl RealHandlers {
    /// Those that run already.
    pub fn of(express: u16, flask: u16, processes: Vec<Process>) -> Self {
        Self { express, flask, _processes: processes }
    }

    /// Starts them with these environment variables.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let (express, flask) = (free_port(), free_port());
        let folder = upstreams_folder().join("handlers");
        let start = |program: &Path, script: &str, port: u16| {
            let mut command = Command::new(program);
            command.arg(folder.join(script)).env("PORT", port.to_string()).envs(environment.iter().copied());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            Process(command.spawn().expect("a handler starts; `make setup` installs what it needs"))
        };
        let processes = vec![
            start(&upstreams_folder().join("node.sh"), "express.mjs", express),
            start(&upstreams_folder().join(".venv/bin/python"), "payment.py", flask),
        ];
        for port in [express, flask] {
            wait_until("a handler that listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        Self { express, flask, _processes: processes }
    }
}

fn wait_for_upstream(port: u16) {
    wait_until("an upstream that answers", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            && Client::connect(port).ask("{ __typename }").status() == 200
    });
}

/// An upstream of one's own whose schema depends on the role, and which can be told to behave in other ways.
pub struct RolesEngine {
    /// Where it listens.
    pub port: u16,
    _process: Process,
}

impl RolesEngine {
    /// Starts one on a free port.
    pub fn start() -> Self {
        Self::start_on(free_port())
    }

    /// Starts one on this port.
    pub fn start_on(port: u16) -> Self {
        let process = start_node(&["roles.mjs"], port, "");
        wait_for_upstream(port);
        Self { port, _process: process }
    }

    /// Tells it how to behave from now on: see `tests/engines/roles.mjs`.
    pub fn control(&self, json: &str) {
        assert_eq!(Client::connect(self.port).request("POST", "/control", &[], json.as_bytes()).status(), 200);
    }
}

/// An upstream of one's own with subscriptions, which treats its clients as they ask: see `tests/engines/subscriptions.mjs`.
pub struct SubscriptionsEngine {
    /// Where it listens.
    pub port: u16,
    _process: Process,
}

impl SubscriptionsEngine {
    /// Starts one on this port.
    pub fn start_on(port: u16) -> Self {
        let process = start_node(&["subscriptions.mjs"], port, "");
        wait_for_upstream(port);
        Self { port, _process: process }
    }

    /// How its sockets were closed so far, as `[code, reason]`.
    pub fn closed(&self) -> serde_json::Value {
        Client::connect(self.port).request("GET", "/closed", &[], b"").json()
    }

    /// How many of its subscriptions to rows are under way.
    pub fn open(&self) -> serde_json::Value {
        Client::connect(self.port).request("GET", "/open", &[], b"").json()
    }
}

/// Runs a script of `tests/engines` on this input and gives its output.
pub fn run_node(script: &str, arguments: &[&str], input: &str) -> String {
    let folder = upstreams_folder();
    let mut command = Command::new(folder.join("node.sh"));
    command.current_dir(folder).arg(script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().expect("node starts");
    let mut stdin = process.stdin.take().expect("its input");
    let input = input.to_owned();
    // Beside reading, so that neither side waits for the other with a full pipe.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = process.wait_with_output().expect("its output");
    writer.join().expect("the writer").expect("all input is taken");
    assert!(output.status.success(), "{script} failed");
    String::from_utf8(output.stdout).expect("text")
}

fn start_node(arguments: &[&str], port: u16, database: &str) -> Process {
    let mut command = node(arguments, port);
    command.env("DATABASE_URL", database).env("GRAPHILE_ENV", "production");
    Process(command.spawn().expect("node starts; `make setup` installs it"))
}

/// A script of `tests/engines` that listens on `port`.
pub fn node(arguments: &[&str], port: u16) -> Command {
    let folder = upstreams_folder();
    // PostGraphile 5 needs a newer Node than many machines have, so it comes with the packages.
    let mut command = Command::new(folder.join("node.sh"));
    command.current_dir(folder).args(arguments).env("PORT", port.to_string());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}
