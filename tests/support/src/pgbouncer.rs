//! PgBouncer in transaction pooling mode before a PostgreSQL.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::process::Process;
use super::{free_port, wait_for_port};
use crate::temp::temp_folder;

/// A PgBouncer with few connections to the server, so that clients must share them.
pub struct PgBouncer {
    /// Where it listens.
    pub port: u16,
    folder: PathBuf,
    _process: Process,
}

impl PgBouncer {
    /// Starts one before the PostgreSQL on this port, with at most so many connections to each database.
    pub fn start(database: u16, connections: usize) -> Self {
        let port = free_port();
        let folder = temp_folder().join(format!("pgbouncer-{port}"));
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        let file = folder.join("pgbouncer.ini");
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={database} user=shop\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = {connections}\nmax_client_conn = 1000\n"
        );
        std::fs::write(&file, config).expect("a folder for temporary files");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("pgbouncer");
        // Debian keeps it in a folder of administrators.
        command.env("PATH", format!("{path}:/usr/sbin")).args(["--quiet"]);
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        if is_root {
            // It does not run as root.
            command.args(["--user", "postgres"]);
        }
        let process = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = Process(process.expect("pgbouncer starts; `make setup` installs it"));
        wait_for_port(port);
        Self { port, folder, _process: process }
    }

    /// The address of a database by way of it.
    pub fn url_of(&self, database: &str) -> String {
        let name = database.rsplit('/').next().expect("the name of a database");
        format!("postgres://shop@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
