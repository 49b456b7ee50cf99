//! What the end-to-end tests are made of: the real program, real upstreams, and servers that can be told to fail.

pub mod client;
pub mod engines;
pub mod fixture;
pub mod message;
pub mod pillion;
pub mod privileges;
pub mod redis;
pub mod scripted;
pub mod shop;
pub mod socket;
pub mod tls;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

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
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "waited 30 s in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until somebody listens on `port`.
pub fn wait_for_port(port: u16) {
    wait_until(&format!("a server on port {port}"), || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

/// `bytes` as RFC 1952 compresses them.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A library to be preloaded, removed at the end.
pub struct Library(pub std::path::PathBuf);

impl Drop for Library {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Builds a library to be preloaded from a file in `tests/engines`.
pub fn library(source: &str) -> Library {
    let file = std::env::temp_dir().join(format!("pillion-e2e-{source}-{}.so", std::process::id()));
    let source = format!("{}/tests/engines/{source}", env!("CARGO_MANIFEST_DIR"));
    let mut command = std::process::Command::new("cc");
    let status = command.args(["-shared", "-fPIC", "-o"]).arg(&file).args([&source, "-ldl"]).status();
    assert!(status.is_ok_and(|status| status.success()), "{source}");
    Library(file)
}
