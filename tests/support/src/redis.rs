//! A Redis of one's own, which can be stopped.

use std::process::{Command, Stdio};

use super::process::Process;
use super::{free_port, wait_for_port};

/// A Redis with nothing in it.
pub struct Redis {
    /// Where it listens.
    pub port: u16,
    process: Option<Process>,
}

impl Redis {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let mut redis = Self { port: free_port(), process: None };
        redis.start_again();
        redis
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it on the same port, with nothing in it again.
    pub fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let process = command.stdout(Stdio::null()).spawn().expect("redis-server starts; `make setup` installs it");
        self.process = Some(Process(process));
        wait_for_port(self.port);
    }
}
