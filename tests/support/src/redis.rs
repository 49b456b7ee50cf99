//! A Redis of one's own, which can be stopped: one server, a cluster, or a master with a replica and a Sentinel.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::Process;
use super::{free_port, wait_for_port, wait_until};
use crate::temp::temp_folder;

/// A Redis with nothing in it.
pub struct Redis {
    /// Where it listens.
    pub port: u16,
    process: Option<Process>,
    options: Vec<String>,
    folder: Folder,
    tls: Option<Tls>,
}

/// A certificate and its key, with which servers know each other and clients know them.
#[derive(Clone)]
pub struct Tls {
    /// The file of the certificate, which signs itself.
    pub certificate: PathBuf,
    key: PathBuf,
}

impl Tls {
    /// With a certificate of its own.
    pub fn new() -> Self {
        let (certificate, key) = super::tls::certificate();
        Self { certificate, key }
    }

    /// Options of a server that has it: each line of its configuration.
    fn options(&self) -> Vec<[String; 2]> {
        let (certificate, key) = (self.certificate.display().to_string(), self.key.display().to_string());
        let option = |name: &str, value: &str| [name.to_owned(), value.to_owned()];
        vec![
            option("tls-cert-file", &certificate),
            option("tls-key-file", &key),
            option("tls-ca-cert-file", &certificate),
            option("tls-auth-clients", "no"),
            option("tls-replication", "yes"),
        ]
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

impl Redis {
    /// Starts one on a free port.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more options.
    pub fn start_with(options: &[&str]) -> Self {
        Self::start_as(options, None)
    }

    /// One that is reached by TLS only.
    pub fn start_with_tls(tls: &Tls) -> Self {
        Self::start_as(&[], Some(tls))
    }

    fn start_as(options: &[&str], tls: Option<&Tls>) -> Self {
        let mut options: Vec<String> = options.iter().map(ToString::to_string).collect();
        for [name, value] in tls.map(Tls::options).unwrap_or_default() {
            options.extend([format!("--{name}"), value]);
        }
        let tls = tls.cloned();
        let mut redis = Self { port: free_port(), process: None, options, folder: Folder::new("redis"), tls };
        redis.start_again();
        redis
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it on the same port, with nothing in it again.
    pub fn start_again(&mut self) {
        // What a replica was sent.
        let _ = std::fs::remove_file(self.folder.0.join("dump.rdb"));
        let mut command = Command::new("redis-server");
        let port = self.port.to_string();
        match &self.tls {
            Some(_) => command.args(["--port", "0", "--tls-port", &port]),
            None => command.args(["--port", &port]),
        };
        command.arg("--dir").arg(&self.folder.0).args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let process = command.args(&self.options).stdout(Stdio::null()).spawn();
        self.process = Some(Process(process.expect("redis-server starts; `make setup` installs it")));
        wait_for_port(self.port);
    }

    /// The id of its process.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.0.id())
    }

    /// What a command gives, as `redis-cli` prints it.
    pub fn ask(&self, arguments: &[&str]) -> String {
        redis_cli(self.port, self.certificate(), arguments)
    }

    fn certificate(&self) -> Option<&Path> {
        self.tls.as_ref().map(|tls| tls.certificate.as_path())
    }
}

fn redis_cli(port: u16, certificate: Option<&Path>, arguments: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "--no-auth-warning"]);
    if let Some(certificate) = certificate {
        command.arg("--tls").arg("--cacert").arg(certificate);
    }
    let output = command.args(arguments).output().expect("redis-cli is in the package of redis-server");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = temp_folder().join(format!("{name}-{}", free_port()));
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A Redis Cluster: three masters, and a replica of each.
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

/// How long a node may be away until the others replace it, in milliseconds.
const NODE_TIMEOUT: &str = "1000";

impl RedisCluster {
    /// Starts one, and waits until it serves all slots.
    pub fn start() -> Self {
        Self::start_as(None)
    }

    /// One that is reached by TLS only.
    pub fn start_with_tls(tls: &Tls) -> Self {
        Self::start_as(Some(tls))
    }

    fn start_as(tls: Option<&Tls>) -> Self {
        let nodes: Vec<Redis> = (0..6).map(|_| start_node(tls)).collect();
        let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let mut create = Command::new("redis-cli");
        if let Some(tls) = tls {
            create.arg("--tls").arg("--cacert").arg(&tls.certificate);
        }
        create.args(["--cluster", "create"]).args(&addresses).args(["--cluster-replicas", "1", "--cluster-yes"]);
        let created = create.output().expect("redis-cli is in the package of redis-server");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        let cluster = Self { nodes };
        cluster.wait_until_complete();
        cluster
    }

    /// Its address, with all of its nodes.
    pub fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let scheme = if self.nodes.iter().any(|node| node.tls.is_some()) { "rediss" } else { "redis" };
        format!("{scheme}+cluster://{}", nodes.join(","))
    }

    /// Waits until every master has its replica, and every node knows that all slots are served.
    fn wait_until_complete(&self) {
        for node in &self.nodes {
            wait_until("that the cluster serves all slots", || {
                node.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                    && (node.ask(&["INFO", "replication"]).contains("master_link_status:up")
                        || node.ask(&["INFO", "replication"]).contains("state=online"))
            });
        }
    }

    /// The places of the nodes that are masters now.
    pub fn masters(&self) -> Vec<usize> {
        let is_master = |node: &Redis| node.id().is_some() && node.ask(&["ROLE"]).starts_with("master");
        (0..self.nodes.len()).filter(|index| is_master(&self.nodes[*index])).collect()
    }

    /// Ends a node at once.
    pub fn stop(&mut self, index: usize) {
        self.nodes[index].stop();
    }

    /// Starts a node again.
    pub fn start_again(&mut self, index: usize) {
        self.nodes[index].start_again();
    }

    /// How many keys with names of this form each node has.
    pub fn keys(&self, pattern: &str) -> Vec<usize> {
        let count = |node: &Redis| node.ask(&["--scan", "--pattern", pattern]).lines().count();
        self.masters().into_iter().map(|index| count(&self.nodes[index])).collect()
    }
}

fn start_node(tls: Option<&Tls>) -> Redis {
    let bus = free_port().to_string();
    let options = [
        "--tls-cluster",
        if tls.is_some() { "yes" } else { "no" },
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-node-timeout",
        NODE_TIMEOUT,
        "--repl-diskless-sync-delay",
        "0",
    ];
    Redis::start_as(&options, tls)
}

/// A master, its replica, and a Sentinel, which all have passwords.
pub struct RedisWithSentinel {
    servers: Vec<Redis>,
    sentinel: u16,
    tls: Option<Tls>,
    _process: Process,
    _folder: Folder,
}

impl RedisWithSentinel {
    /// The password of the servers.
    pub const PASSWORD: &'static str = "of/the@servers";
    /// The password of the Sentinel.
    pub const SENTINEL_PASSWORD: &'static str = "of-the-sentinel";

    /// Starts them, and waits until the Sentinel knows the replica.
    pub fn start() -> Self {
        Self::start_as(None)
    }

    /// The same, each reached by TLS only.
    pub fn start_with_tls(tls: &Tls) -> Self {
        Self::start_as(Some(tls))
    }

    fn start_as(tls: Option<&Tls>) -> Self {
        let folder = Folder::new("redis-sentinel");
        let login =
            ["--requirepass", Self::PASSWORD, "--masterauth", Self::PASSWORD, "--repl-diskless-sync-delay", "0"];
        let master = Redis::start_as(&login, tls);
        let of_master = ["--replicaof", "127.0.0.1", &master.port.to_string()];
        let replica = Redis::start_as(&[login.as_slice(), of_master.as_slice()].concat(), tls);
        let sentinel = free_port();
        let listens = match tls {
            Some(tls) => {
                let options = tls.options().into_iter().map(|[name, value]| format!("{name} {value}\n"));
                format!("port 0\ntls-port {sentinel}\n{}", options.collect::<String>())
            }
            None => format!("port {sentinel}\n"),
        };
        let config = format!(
            "{listens}bind 127.0.0.1\ndir {folder}\nrequirepass {sentinel_password}\n\
             sentinel monitor main 127.0.0.1 {port} 1\nsentinel auth-pass main {password}\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
            folder = folder.0.display(),
            port = master.port,
            password = Self::PASSWORD,
            sentinel_password = Self::SENTINEL_PASSWORD,
        );
        let file = folder.0.join("sentinel.conf");
        std::fs::write(&file, config).expect("a folder for temporary files");
        let process = Command::new("redis-server").arg(&file).arg("--sentinel").stdout(Stdio::null()).spawn();
        let process = Process(process.expect("redis-server starts; `make setup` installs it"));
        wait_for_port(sentinel);
        let redis =
            Self { servers: vec![master, replica], sentinel, tls: tls.cloned(), _process: process, _folder: folder };
        wait_until("that the Sentinel knows the replica", || {
            redis.ask_sentinel(&["SENTINEL", "REPLICAS", "main"]).contains("\nok\n")
                && redis.servers[1]
                    .ask(&["-a", Self::PASSWORD, "INFO", "replication"])
                    .contains("master_link_status:up")
        });
        redis
    }

    fn ask_sentinel(&self, arguments: &[&str]) -> String {
        redis_cli(self.sentinel, self.certificate(), &[&["-a", Self::SENTINEL_PASSWORD], arguments].concat())
    }

    fn certificate(&self) -> Option<&Path> {
        self.tls.as_ref().map(|tls| tls.certificate.as_path())
    }

    fn scheme(&self) -> &str {
        if self.tls.is_some() { "rediss" } else { "redis" }
    }

    /// Its address, with a Sentinel first that does not run.
    pub fn url(&self) -> String {
        format!(
            "{}+sentinel://:of%2Fthe%40servers@127.0.0.1:{},127.0.0.1:{}/main/2",
            self.scheme(),
            free_port(),
            self.sentinel
        )
    }

    /// The same without the one that does not run.
    pub fn url_of_running(&self) -> String {
        format!("{}+sentinel://:of%2Fthe%40servers@127.0.0.1:{}/main/2", self.scheme(), self.sentinel)
    }

    /// The port of the server that is not the master.
    pub fn replica(&self) -> u16 {
        let master = self.master();
        self.servers.iter().map(|server| server.port).find(|port| *port != master).expect("there are two")
    }

    /// The port of the server that is the master by the Sentinel's word.
    pub fn master(&self) -> u16 {
        let address = self.ask_sentinel(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]);
        address.lines().nth(1).and_then(|port| port.parse().ok()).expect("the Sentinel names a master")
    }

    /// Ends the server on this port at once.
    pub fn stop(&mut self, port: u16) {
        self.servers.iter_mut().filter(|server| server.port == port).for_each(Redis::stop);
    }

    /// Starts the server on this port again, as what it was started as first.
    pub fn start_again(&mut self, port: u16) {
        self.servers.iter_mut().filter(|server| server.port == port).for_each(Redis::start_again);
    }

    /// What a command gives on the server on this port.
    pub fn ask(&self, port: u16, arguments: &[&str]) -> String {
        redis_cli(port, self.certificate(), &[&["-a", Self::PASSWORD], arguments].concat())
    }
}
