//! Timeouts of a connection: header read timeout, keep-alive timeout, slow bodies and slow readers.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};

use super::harness::shop::{COUNT, ONE, ask_over_http2, post_bytes, start};

/// The tests.
pub const TESTS: &[super::Test] =
    trials![request_head_timeout, keep_alive_timeout, slow_request_bodies, slow_response_readers,];

fn request_head_timeout(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(1500), Box::new(Reply::json("1"))));
    let pillion = start(engines, &handlers, "downstream: { request_header_timeout: 1s, keepalive_timeout: 1s }\n");
    let closes = |mut client: Client, bytes: &[u8]| {
        let started = Instant::now();
        for byte in bytes.iter().cycle() {
            client.send(&[*byte]);
            std::thread::sleep(Duration::from_millis(20));
            let stream = client.stream().get_mut();
            stream.set_nonblocking(true).expect("a socket");
            let read = stream.read(&mut [0; 64]);
            stream.set_nonblocking(false).expect("a socket");
            if !read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "it is still open");
        }
    };
    // From the beginning, within what becomes HTTP/2 and then makes no sense, within a header, and after a request.
    closes(pillion.client(), b"P");
    closes(pillion.client(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nx");
    closes(pillion.client(), &[b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 4000]].concat());
    let mut client = pillion.client();
    assert_eq!(client.ask("{ productById(id: 1) { name } }").status(), 200);
    closes(client, &[b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 4000]].concat());
    assert!(pillion.client().is_closed(), "whoever says nothing is let go");
    wait_until("that they are counted", || pillion.metric("pillion_request_header_timeouts_total") >= 4.0);
    // Whoever waits for a response is not slow, however often they ask, in either version.
    let mut client = pillion.client();
    assert_eq!((client.ask(COUNT).text(), client.ask(COUNT).text()), (ONE.into(), ONE.into()));
    assert_eq!(ask_over_http2(&pillion, Duration::from_secs(20)).as_deref(), Some(ONE));
}

/// They end after their time, whoever reads their requests, and are no fault of their clients.
fn keep_alive_timeout(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = start(engines, &handlers, "downstream: { request_header_timeout: 2s, keepalive_timeout: 1s }\n");
    for request in [post_bytes(COUNT), b"GET /graphql?query=%7Bcount%7D HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()] {
        let mut client = pillion.client();
        for _ in 0..3 {
            client.send(&request);
            assert_eq!(client.read_response().expect("a response").text(), ONE);
            std::thread::sleep(Duration::from_millis(400));
        }
        assert!(client.is_closed(), "it rests for ever");
    }
    assert_eq!(pillion.metric("pillion_request_header_timeouts_total"), 0.0);
}

/// Ten seconds are given; after that it must come at some pace.
fn slow_request_bodies(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    let pillion = Setup::before(engine.port).with_shop(handlers.port).start().wait_until_ready();
    std::thread::scope(|scope| {
        for path in ["/graphql", "/elsewhere"] {
            let pillion = &pillion;
            scope.spawn(move || {
                let mut client = pillion.client();
                let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n");
                client.send(head.as_bytes());
                let started = Instant::now();
                let mut stream = client.stream().get_ref().try_clone().expect("a socket");
                let dripping = scope.spawn(move || {
                    while started.elapsed() < Duration::from_secs(25) && stream.write_all(b" ").is_ok() {
                        std::thread::sleep(Duration::from_millis(200));
                    }
                });
                let status = client.read_response().map(|answer| answer.status());
                assert_eq!(status, Some(408), "{path}");
                assert!(started.elapsed() > Duration::from_secs(9), "{path}");
                drop(client);
                let _ = dripping.join();
            });
        }
    });
}

fn slow_response_readers(engines: &Engines) {
    let handlers = Scripted::start();
    let text = "x".repeat(7_900_000);
    handlers.on_path("/anything", Reply::json(&format!("\"{text}\"")));
    let pillion = start(engines, &handlers, "downstream: { stream_idle_timeout: 1s }\n");
    let mut client = pillion.client();
    client.send(&post_bytes("{ anything }"));
    let (started, mut bytes, mut piece) = (Instant::now(), 0, vec![0; 64 * 1024]);
    while bytes < text.len() {
        let read = client.stream().read(&mut piece).expect("more");
        assert!(read > 0, "it ended after {bytes} bytes");
        bytes += read;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(started.elapsed() > Duration::from_secs(2), "this was too fast to show anything");
    // Who does not read at all is not waited for.
    let mut client = pillion.client();
    client.send(&post_bytes("{ anything }"));
    wait_until("that it is let go", || pillion.metric("pillion_requests_in_flight") == 0.0);
}
