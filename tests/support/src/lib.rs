//! Test support: an HTTP client and a scripted HTTP server, GraphQL over WebSocket, real upstreams, the program as a
//! process, and the reader of fixtures, for end-to-end tests, tables and benchmarks.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that fails says so by a panic"
)]

pub mod balancer;
pub mod client;
pub mod engines;
pub mod fixtures;
pub mod message;
pub mod mutate;
pub mod pgbouncer;
pub mod pillion;
pub mod process;
pub mod random_documents;
pub mod redis;
pub mod scripted;
pub mod temp;
pub mod tls;
pub mod training;
pub mod websocket;
pub mod yaml;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::temp::temp_folder;

/// Functions with their names, so that a test is named once.
#[macro_export]
macro_rules! trials {
    ($($test:ident),* $(,)?) => { &[$((stringify!($test), $test)),*] };
}

/// The folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the repository").to_owned()
}

/// A port of loopback that nobody listens on. Each is given out once, and none is one that the system gives out.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 10_000 + u16::try_from(std::process::id() % 200).unwrap_or_default() * 100;
    loop {
        let port = start.saturating_add(NEXT.fetch_add(1, Ordering::Relaxed));
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until `is_so` holds.
pub fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    wait_until_every(Duration::from_millis(5), what, is_so);
}

fn wait_until_every(interval: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "waited 30 s in vain: {what}");
        std::thread::sleep(interval);
    }
}

/// Waits until somebody listens on `port`. Benchmarks time how long a start takes with this: it looks every millisecond.
pub fn wait_for_port(port: u16) {
    wait_until_every(Duration::from_millis(1), &format!("a server on port {port}"), || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
}

/// `bytes` as RFC 1952 compresses them.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A library to be preloaded, removed at the end.
pub struct Library(pub PathBuf);

impl Drop for Library {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Builds a library to be preloaded from a file in `tests/engines`.
pub fn library(source: &str) -> Library {
    let file = temp_folder().join(format!("{source}.so"));
    let source = repository().join("tests/engines").join(source);
    let mut command = std::process::Command::new("cc");
    let status = command.args(["-shared", "-fPIC", "-o"]).arg(&file).arg(&source).arg("-ldl").status();
    assert!(status.is_ok_and(|status| status.success()), "{}", source.display());
    Library(file)
}
