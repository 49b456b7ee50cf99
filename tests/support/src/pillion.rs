//! The program itself, as users start it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use super::client::Client;
use super::process::Process;
use super::{free_port, repository, wait_until};
use crate::temp::temp_folder;

/// Where the program is.
static PROGRAM: OnceLock<&'static str> = OnceLock::new();

/// Says where the program is: Cargo tells only the tests of its package (`CARGO_BIN_EXE_pillion`).
pub fn use_program(path: &'static str) {
    PROGRAM.get_or_init(|| path);
}

/// How to start it.
pub struct Setup {
    /// The upstream's address.
    pub upstream: String,
    /// The metadata folder, if any.
    pub metadata: Option<PathBuf>,
    /// What `pillion.yaml` says.
    pub config: String,
    /// More flags.
    pub flags: Vec<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// A metadata folder of its own, removed at the end.
    pub copy: Option<PathBuf>,
    /// Where it alone sees a small disk.
    pub small_disk: Option<PathBuf>,
    /// How many files it may have open.
    pub descriptors: Option<usize>,
    /// Where it listens for clients and for admins, if not anywhere.
    pub ports: Option<(u16, u16)>,
    /// Does nobody read its log?
    pub log_is_unread: bool,
    /// Where its admin listener is.
    pub admin_host: &'static str,
    /// `serve` or `dev`.
    pub command: &'static str,
}

impl Setup {
    /// Before the upstream on `port`.
    pub fn before(port: u16) -> Self {
        Self {
            upstream: format!("http://127.0.0.1:{port}"),
            metadata: None,
            config: String::new(),
            flags: Vec::new(),
            environment: Vec::new(),
            copy: None,
            small_disk: None,
            descriptors: None,
            ports: None,
            log_is_unread: false,
            admin_host: "127.0.0.1",
            command: "serve",
        }
    }

    /// With the sample actions, called on `port`.
    pub fn with_shop(self, handlers: u16) -> Self {
        self.with_actions("shop", handlers)
    }

    /// With the actions of a folder in `tests/fixtures/metadata`, called on `port`.
    pub fn with_actions(mut self, folder: &str, handlers: u16) -> Self {
        self.metadata = Some(repository().join("tests/fixtures/metadata").join(folder));
        self.env("HANDLERS", &format!("http://127.0.0.1:{handlers}"))
    }

    /// With a copy of the metadata folder that may be written to.
    pub fn with_own_copy(mut self) -> Self {
        static COPIES: AtomicUsize = AtomicUsize::new(0);
        let from = self.metadata.take().expect("a metadata folder");
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let to = temp_folder().join(format!("metadata-{number}"));
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir(&to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("the folder") {
            let path = entry.expect("an entry").path();
            std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
        }
        self.metadata = Some(to.clone());
        self.copy = Some(to);
        self
    }

    /// With a disk of 4 MiB in an empty folder, which nobody else sees but through `/proc`.
    pub fn with_small_disk(mut self, folder: &Path) -> Self {
        self.small_disk = Some(folder.to_owned());
        self
    }

    fn program(&self) -> Command {
        let program = PROGRAM.get().expect("`use_program` says where the program is");
        if let Some(count) = self.descriptors {
            let mut command = Command::new("prlimit");
            command.arg(format!("--nofile={count}")).arg(program);
            return command;
        }
        let Some(folder) = &self.small_disk else { return Command::new(program) };
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        command.arg("mount -t tmpfs -o size=4m tmpfs \"$0\" && exec \"$@\"").arg(folder).arg(program);
        command
    }

    /// With an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With `pillion dev`.
    pub fn in_development(mut self) -> Self {
        self.command = "dev";
        self
    }

    /// With a flag.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// With a configuration file.
    pub fn config(mut self, yaml: &str) -> Self {
        self.config.push_str(yaml);
        self
    }

    fn command(&self, port: u16, admin: u16) -> (Command, Option<PathBuf>) {
        let mut command = self.program();
        command.arg(self.command).arg(format!("--upstream={}", self.upstream));
        command.arg(format!("--listen=127.0.0.1:{port}")).arg(format!("--admin-listen={}:{admin}", self.admin_host));
        if let Some(metadata) = &self.metadata {
            command.arg("--metadata").arg(metadata);
        }
        let config = (!self.config.is_empty()).then(|| {
            let path = temp_folder().join(format!("pillion-{port}.yaml"));
            std::fs::write(&path, &self.config).expect("a file");
            command.arg("--config").arg(&path);
            path
        });
        command.args(&self.flags).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("PILLION_JOBS_STORE", format!("sqlite://{}", jobs_file(port).display()));
        command.env("PILLION_DRAIN_DELAY", "100ms");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        (command, config)
    }

    /// Starts it and waits for its line.
    pub fn start(self) -> Pillion {
        self.try_start().unwrap_or_else(|said| panic!("{said}"))
    }

    /// Starts it and waits for nothing.
    pub fn spawn(self) -> Process {
        let (mut command, _) = self.command(free_port(), free_port());
        Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pillion starts"))
    }

    /// Starts it, or gives what it says instead of its line.
    pub fn try_start(self) -> Result<Pillion, String> {
        let (port, admin) = self.ports.unwrap_or_else(|| (free_port(), free_port()));
        let (mut command, config) = self.command(port, admin);
        let mut process = Process(command.spawn().expect("pillion starts"));
        let stdout = process.0.stdout.take().expect("its output");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = if self.log_is_unread { None } else { process.0.stderr.take() };
        let reader = stderr.map(|stderr| read_log(stderr, Arc::clone(&log)));
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready).expect("its line");
        let pillion = Pillion { port, admin, ready, process, log, reader, config, copy: self.copy };
        if pillion.ready.contains("is listening") { Ok(pillion) } else { Err(messages_of(&pillion.whole_log("KILL"))) }
    }

    /// Starts it with its errors going into a pipe of the caller's.
    pub fn spawn_into(self, errors: std::io::PipeWriter) -> Process {
        let (mut command, _) = self.command(free_port(), free_port());
        Process(command.stdout(Stdio::null()).stderr(errors).spawn().expect("pillion starts"))
    }

    /// Starts it, for it to fail. Gives its status and what it says.
    pub fn start_in_vain(self) -> (ExitStatus, String) {
        let (mut command, config) = self.command(free_port(), free_port());
        let mut process = Process(command.spawn().expect("pillion starts"));
        wait_until("the end of pillion", || process.0.try_wait().is_ok_and(|status| status.is_some()));
        let mut said = String::new();
        process.0.stderr.take().expect("its errors").read_to_string(&mut said).expect("text");
        config.map(std::fs::remove_file);
        (process.0.wait().expect("its status"), messages_of(&said))
    }
}

/// The messages of a log's lines; what is no such line is as it is.
fn messages_of(log: &str) -> String {
    let message =
        |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?.get("message")?.as_str()?.to_owned());
    let messages: Vec<String> = log.lines().map(|line| message(line).unwrap_or_else(|| line.to_owned())).collect();
    messages.join("\n")
}

fn read_log(stderr: ChildStderr, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    })
}

/// Where a program on this port stores calls, unless it is told otherwise.
pub fn jobs_file(port: u16) -> PathBuf {
    temp_folder().join(format!("jobs-{port}.db"))
}

/// The running program. It ends when it is dropped.
pub struct Pillion {
    /// Where clients connect.
    pub port: u16,
    /// Where the admin listener is.
    pub admin: u16,
    /// The line it has printed.
    pub ready: String,
    /// Its process.
    pub process: Process,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// Its configuration file, if it has one.
    pub config: Option<PathBuf>,
    /// Its own metadata folder, if it has one.
    pub copy: Option<PathBuf>,
}

impl Pillion {
    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.process.0.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "{name}");
    }

    /// What of its log has been read by now: its last lines may still be on their way.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has logged these words.
    pub fn wait_for_log(&self, words: &str) {
        wait_until(&format!("{words:?} in the log"), || self.log().contains(words));
    }

    /// Ends it with a signal, and gives all that it has logged.
    pub fn whole_log(mut self, signal: &str) -> String {
        let _ = Command::new("kill").args([&format!("-{signal}"), &self.process.0.id().to_string()]).status();
        let _ = self.process.0.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.log()
    }

    /// A connection to it.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// GET on the admin listener: status and text.
    pub fn admin(&self, path: &str) -> (u16, String) {
        let answer = Client::admin(self.admin).request("GET", path, &[], b"");
        (answer.status(), answer.text())
    }

    /// Waits until `/readyz` says so.
    pub fn wait_until_ready(self) -> Self {
        wait_until("readiness", || self.admin("/readyz").0 == 200);
        self
    }

    /// Bytes of memory of the process, by a key of `/proc/PID/status` such as `VmRSS:`.
    pub fn status(&self, key: &str) -> usize {
        let path = format!("/proc/{}/status", self.process.0.id());
        let text = std::fs::read_to_string(path).expect("a process");
        let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
    }

    /// A metric by its name, with labels that may be some of those that it has: the sum of all series that have them. 0 if
    /// there is none.
    pub fn metric(&self, selector: &str) -> f64 {
        let (name, labels) = selector.split_once('{').unwrap_or((selector, "}"));
        let labels: Vec<&str> = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect();
        let text = self.admin("/metrics").1;
        let value = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (of, has) = series.split_once('{').unwrap_or((series, "}"));
            let has: Vec<&str> = has.trim_end_matches('}').split(',').collect();
            (of == name && labels.iter().all(|label| has.contains(label))).then(|| value.parse::<f64>().ok())?
        };
        text.lines().filter_map(value).sum()
    }

    /// Waits until requests hold no memory: a response reaches its client before what it held is given back.
    pub fn wait_until_nothing_is_held(&self) {
        wait_until("that nothing is held", || self.metric("pillion_buffered_bytes") == 0.0);
    }
}

impl Drop for Pillion {
    fn drop(&mut self) {
        if let Some(config) = &self.config {
            let _ = std::fs::remove_file(config);
        }
        for ending in ["", "-wal", "-shm", ".lock"] {
            let _ = std::fs::remove_file(format!("{}{ending}", jobs_file(self.port).display()));
        }
        if let Some(copy) = &self.copy {
            let _ = std::fs::remove_dir_all(copy);
        }
    }
}
