//! Clients that go away, that take their time, and that are too many.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::harness::client::Client;
use super::harness::engines::Engines;
use super::harness::pillion::{Pillion, Setup};
use super::harness::scripted::{Reply, Scripted};
use super::harness::wait_until;

/// The tests.
pub const TESTS: &[super::Test] = &[
    ("what_nobody_waits_for_is_given_up", what_nobody_waits_for_is_given_up),
    ("what_has_begun_to_write_is_finished", what_has_begun_to_write_is_finished),
    ("the_next_request_may_come_early", the_next_request_may_come_early),
    ("heads_that_do_not_end", heads_that_do_not_end),
    ("connections_that_rest", connections_that_rest),
    ("bodies_that_drip", bodies_that_drip),
    ("answers_that_are_read_slowly", answers_that_are_read_slowly),
    ("more_than_there_is_room_for", more_than_there_is_room_for),
    ("streams_that_are_reset_at_once", streams_that_are_reset_at_once),
];

const COUNT: &str = "{ count }";
const ONE: &str = r#"{"data":{"count":1}}"#;

fn before(engines: &Engines, handlers: &Scripted, config: &str) -> Pillion {
    Setup::before(engines.postgraphile).with_shop(handlers.port).config(config).start().wait_until_ready()
}

fn post(document: &str) -> Vec<u8> {
    let body = serde_json::json!({ "query": document }).to_string();
    post_text(&body)
}

fn post_text(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Calls `count` and waits for so long.
fn ask_over_http2(pillion: &Pillion, patience: Duration) -> Option<String> {
    pillion::install_tls_provider();
    let url = format!("http://127.0.0.1:{}/graphql", pillion.port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
        let request = client.post(&url).header("content-type", "application/json").body(r#"{"query":"{ count }"}"#);
        let waited = tokio::time::timeout(patience, request.send()).await;
        // The stream is reset, if it is not over, before the connection goes.
        tokio::time::sleep(Duration::from_millis(100)).await;
        match waited {
            Ok(answer) => Some(answer.expect("a response").text().await.expect("a text")),
            Err(_) => None,
        }
    })
}

fn what_nobody_waits_for_is_given_up(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Hang);
    let config = "actions: { count: { max_concurrent_calls: 1 } }\n";
    let pillion = before(engines, &handlers, config);
    let gone = || pillion.metric("pillion_requests_total{kind=\"client_closed\"}");
    let get = b"GET /graphql?query=%7B%20count%20%7D HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let batch = post_text(r#"[{"query":"{ count }"},{"query":"{ count productById(id: 1) { name } }"}]"#);
    let ways = [post(COUNT), post("{ count productById(id: 1) { name } }"), get, batch];
    for (number, bytes) in ways.iter().enumerate() {
        let mut client = pillion.client();
        client.send(bytes);
        // Each finds the one place free again.
        wait_until("the call", || !handlers.take_seen().is_empty());
        drop(client);
        wait_until("that it is given up", || gone() >= (number + 1) as f64);
    }
    // A stream of HTTP/2 is reset.
    assert_eq!(ask_over_http2(&pillion, Duration::from_millis(1500)), None);
    wait_until("that it is given up", || gone() >= 5.0);
    assert_eq!(handlers.take_seen().len(), 1);
    wait_until("nothing in flight", || pillion.metric("pillion_requests_in_flight") == 0.0);
    pillion.wait_for_log("\"outcome\":\"client_closed\"");
    handlers.on_path("/count", Reply::json("1"));
    assert_eq!(pillion.client().ask(COUNT).text(), ONE);
}

fn what_has_begun_to_write_is_finished(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/cancelOrder", Reply::Late(Duration::from_millis(300), Box::new(Reply::json(r#"{"id":"1"}"#))));
    handlers.on_path("/sendCode", Reply::json("true"));
    let pillion = before(engines, &handlers, "");
    let mut client = pillion.client();
    client.send(&post("mutation { cancelOrder(id: 1) { id } sendCode(phone: \"1\") }"));
    wait_until("the first call", || !handlers.take_seen().is_empty());
    drop(client);
    wait_until("the second call", || handlers.take_seen().iter().any(|seen| seen.path() == "/sendCode"));
    assert_eq!(pillion.metric("pillion_requests_total{kind=\"client_closed\"}"), 0.0);
}

/// Pipelining: RFC 9112, section 9.3.2.
fn the_next_request_may_come_early(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(200), Box::new(Reply::json("1"))));
    let pillion = before(engines, &handlers, "");
    // Unless the last one was said to be the last.
    let bytes = String::from_utf8_lossy(&post(COUNT)).replace("Host: a", "Host: a\r\nConnection: close");
    let mut client = pillion.client();
    client.send(&[bytes.as_bytes(), &post(COUNT)].concat());
    assert_eq!(client.answer().expect("a response").header("connection"), Some("close"));
    assert!(client.is_closed());
    let plain = "{ productById(id: 1) { name } }";
    let plains = r#"{"data":{"productById":{"name":"City bicycle"}}}"#;
    for pause in [Duration::ZERO, Duration::from_millis(100)] {
        for (documents, answers) in
            [([COUNT, COUNT], [ONE, ONE]), ([COUNT, plain], [ONE, plains]), ([plain, COUNT], [plains, ONE])]
        {
            let mut client = pillion.client();
            client.send(&post(documents[0]));
            std::thread::sleep(pause);
            client.send(&post(documents[1]));
            client.send(&post(documents[0]));
            for answer in [answers[0], answers[1], answers[0]] {
                let said = client.answer().unwrap_or_else(|| panic!("no response to {documents:?} after {pause:?}"));
                assert_eq!(said.text(), answer, "{documents:?} after {pause:?}");
            }
        }
    }
}

fn heads_that_do_not_end(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(1500), Box::new(Reply::json("1"))));
    let pillion = before(engines, &handlers, "downstream: { request_header_timeout: 1s, keepalive_timeout: 1s }\n");
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
    // Whoever waits for a response is not slow, however often he asks, in either version.
    let mut client = pillion.client();
    assert_eq!((client.ask(COUNT).text(), client.ask(COUNT).text()), (ONE.into(), ONE.into()));
    assert_eq!(ask_over_http2(&pillion, Duration::from_secs(20)).as_deref(), Some(ONE));
}

/// They end after their time, whoever reads their requests, and are no fault of their clients.
fn connections_that_rest(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = before(engines, &handlers, "downstream: { request_header_timeout: 2s, keepalive_timeout: 1s }\n");
    for request in [post(COUNT), b"GET /graphql?query=%7Bcount%7D HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()] {
        let mut client = pillion.client();
        for _ in 0..3 {
            client.send(&request);
            assert_eq!(client.answer().expect("a response").text(), ONE);
            std::thread::sleep(Duration::from_millis(400));
        }
        assert!(client.is_closed(), "it rests for ever");
    }
    assert_eq!(pillion.metric("pillion_request_header_timeouts_total"), 0.0);
}

/// Ten seconds are given; after that it must come at some pace.
fn bodies_that_drip(_: &Engines) {
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
                let status = client.answer().map(|answer| answer.status());
                assert_eq!(status, Some(408), "{path}");
                assert!(started.elapsed() > Duration::from_secs(9), "{path}");
                drop(client);
                let _ = dripping.join();
            });
        }
    });
}

fn answers_that_are_read_slowly(engines: &Engines) {
    let handlers = Scripted::start();
    let text = "x".repeat(7_900_000);
    handlers.on_path("/anything", Reply::json(&format!("\"{text}\"")));
    let pillion = before(engines, &handlers, "downstream: { stream_idle_timeout: 1s }\n");
    let mut client = pillion.client();
    client.send(&post("{ anything }"));
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
    client.send(&post("{ anything }"));
    wait_until("that it is let go", || pillion.metric("pillion_requests_in_flight") == 0.0);
}

fn more_than_there_is_room_for(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = before(engines, &handlers, "limits: { max_connections: 20 }\n");
    let count = || pillion.metric("pillion_connections");
    wait_until("the last of those that looked whether it listens", || count() == 0.0);
    let mut first = pillion.client();
    assert_eq!(first.ask("{ productById(id: 1) { name } }").header("connection"), Some("keep-alive"));
    let mut idle: Vec<Client> = (0..19).map(|_| pillion.client()).collect();
    wait_until("all of them", || count() == 20.0);
    assert!(pillion.client().is_closed(), "one too many");
    assert!(pillion.metric("pillion_shed_requests_total{resource=\"connections\"}") >= 1.0);
    assert_eq!(pillion.admin("/healthz").0, 200);
    // Whoever is in is served, but not kept.
    assert_eq!(first.ask("{ productById(id: 1) { name } }").header("connection"), Some("close"));
    idle.clear();
    wait_until("room", || count() < 10.0);
    assert_eq!(pillion.client().ask("{ productById(id: 1) { name } }").status(), 200);
}

/// CVE-2023-44487: requests that are begun only to be given up.
fn streams_that_are_reset_at_once(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = before(engines, &handlers, "");
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
