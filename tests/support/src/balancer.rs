//! A real load balancer, which sends nothing twice: haproxy before several replicas.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::process::Process;
use super::{free_port, wait_for_port};
use crate::temp::temp_folder;

/// Sends requests to the replicas that are ready, by turns.
pub struct Balancer {
    /// Where it listens.
    pub port: u16,
    /// Its process.
    pub process: Process,
}

impl Balancer {
    /// Starts one before replicas, each by its port for clients and its port for admins. One that does not run yet is used from when
    /// it is ready.
    pub fn start(replicas: &[(u16, u16)]) -> Self {
        let port = free_port();
        let mut config = format!(
            "defaults\n  mode http\n  retries 0\n  timeout connect 1s\n  timeout client 30s\n  timeout server 30s\n\
             \x20 timeout tunnel 1h\nfrontend clients\n  bind 127.0.0.1:{port}\n  default_backend replicas\n\
             backend replicas\n  balance roundrobin\n  option httpchk GET /readyz\n"
        );
        for (index, (clients, admin)) in replicas.iter().enumerate() {
            let server = format!("  server r{index} 127.0.0.1:{clients} check port {admin}");
            writeln!(config, "{server} inter 100ms fall 1 rise 1").expect("memory");
        }
        let file = temp_folder().join(format!("haproxy-{port}.cfg"));
        std::fs::write(&file, config).expect("a file");
        let mut command = Command::new("haproxy");
        command.arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process(command.spawn().expect("haproxy starts; `make setup` installs it"));
        wait_for_port(port);
        // All are taken for ready until they have been looked at.
        std::thread::sleep(Duration::from_millis(300));
        let _ = std::fs::remove_file(file);
        Self { port, process }
    }
}
