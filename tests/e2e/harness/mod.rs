//! What the end-to-end tests are made of: the real program, real engines, and servers that can be told to fail.

pub mod client;
pub mod engines;
pub mod fixture;
pub mod message;
pub mod pillion;
pub mod scripted;

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A port of loopback that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
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
