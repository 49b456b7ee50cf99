//! HTTP/2 rapid reset (CVE-2023-44487): streams that are reset at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pillion_test_support::engines::Engines;
use pillion_test_support::scripted::Scripted;
use pillion_test_support::{trials, wait_until};

use super::harness::shop::start;

/// The tests.
pub const TESTS: &[super::Test] = trials![rapid_stream_resets];

/// CVE-2023-44487: requests that are begun only to be given up.
fn rapid_stream_resets(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = start(engines, &handlers, "");
    let mut stream = TcpStream::connect(("127.0.0.1", pillion.port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let frame = |kind: u8, flags: u8, id: u32, payload: &[u8]| {
        let length = payload.len().to_be_bytes();
        [&length[5..], &[kind, flags], &id.to_be_bytes(), payload].concat()
    };
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const GOAWAY: u8 = 7;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, b""));
    for number in 0..5_000 {
        let id = 2 * number + 1;
        // GET http://a/, whose headers and body end here; then CANCEL.
        bytes.extend(frame(HEADERS, 5, id, b"\x82\x84\x86\x41\x01a"));
        bytes.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
    }
    // The other side may have had enough of it before all is sent.
    let mut sender = stream.try_clone().expect("a socket");
    let sending = std::thread::spawn(move || drop(sender.write_all(&bytes)));
    let (mut said, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        said.extend_from_slice(&piece[..read]);
    }
    let _ = sending.join();
    let mut kinds = Vec::new();
    let mut rest = said.as_slice();
    while let [a, b, c, kind, _, _, _, _, _, after @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some(next) = after.get(length..) else { break };
        kinds.push(*kind);
        rest = next;
    }
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
    wait_until("nothing in flight", || pillion.metric("pillion_requests_in_flight") == 0.0);
    assert_eq!(pillion.client().ask("{ productById(id: 1) { name } }").status(), 200);
}
