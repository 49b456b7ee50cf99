//! Clients that stop half-way: in a handshake, a head, a body or a response. Each has an end, whoever reads it here, and
//! whoever is only waiting has not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::Request;
use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::tls::{Listener, client_config};
use pillion_test_support::websocket::{MODERN, hear, ready, say, start};
use pillion_test_support::{trials, wait_for_port, wait_until};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    stalled_bodies,
    stalled_bodies_over_http2,
    waiting_for_a_handler_is_not_slow,
    unread_responses,
    unread_responses_over_http2,
    tls_connections_without_a_handshake,
    request_heads_over_tls,
    request_heads_in_fragments,
    connections_per_client_address,
];

/// What is large enough that no socket's buffers hold all of it.
const LARGE: usize = 7_900_000;

struct Stage {
    pillion: Pillion,
    handlers: Scripted,
    _engine: Scripted,
}

/// An action `anything` and an upstream, both with large responses.
fn stage(config: &str) -> Stage {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    let text = format!("\"{}\"", "x".repeat(LARGE));
    engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    engine.on_path("/v1/graphql", Reply::json(&format!(r#"{{"data":{{"a":{text}}}}}"#)));
    engine.on_path("/large", Reply::json(&text));
    handlers.on_path("/anything", Reply::json(&text));
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(engine.port).with_shop(handlers.port).config(config).start().wait_until_ready();
    Stage { pillion, handlers, _engine: engine }
}

fn slow(pillion: &Pillion, transfer: &str) -> f64 {
    pillion.metric(&format!("pillion_slow_clients_total{{transfer=\"{transfer}\"}}"))
}

fn nothing_is_in_flight(pillion: &Pillion) {
    wait_until("that nothing is in flight", || pillion.metric("pillion_requests_in_flight") == 0.0);
}

fn posted(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const ACTION: &str = r#"{"query":"{ anything }"}"#;
const COUNT: &str = r#"{"query":"{ count }"}"#;
const PASSING: &str = r#"{"query":"{ a }"}"#;

/// Ten bytes, and then nothing: `downstream.stream_idle_timeout` is 60 s.
fn stalled_bodies(_: &Engines) {
    let Stage { pillion, .. } = &stage("downstream: { rate_grace_period: 1s }\n");
    let length = "Content-Length: 1000000\r\n\r\n0123456789";
    let chunked = "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n";
    let json = "Content-Type: application/json\r\n";
    let requests = [
        // Our own reader; a body that is looked through while it passes; pingora's reader, read by us and by itself.
        format!("POST /graphql HTTP/1.1\r\nHost: a\r\n{json}{length}"),
        format!("POST /graphql HTTP/1.1\r\nHost: a\r\n{json}Content-Length: 1000000000\r\n\r\n0123456789"),
        format!("POST /graphql HTTP/1.1\r\nHost: a\r\n{json}{chunked}"),
        format!("PUT /elsewhere HTTP/1.1\r\nHost: a\r\n{length}"),
        format!("POST /elsewhere HTTP/1.1\r\nHost: a\r\n{chunked}"),
        // Nothing at all of it, and much of it.
        "POST /elsewhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n".into(),
        format!("POST /graphql HTTP/1.1\r\nHost: a\r\n{json}Content-Length: 1000000\r\n\r\n{}", " ".repeat(500_000)),
    ];
    std::thread::scope(|scope| {
        for request in &requests {
            scope.spawn(move || {
                let (mut client, began) = (pillion.client(), Instant::now());
                client.send(request.as_bytes());
                let status = client.read_response().map(|answer| answer.status());
                let what = &request[..request.len().min(80)];
                assert_eq!(status, Some(408), "{what:?} after {:?}", began.elapsed());
                assert!(began.elapsed() >= Duration::from_millis(900), "{what:?} after {:?}", began.elapsed());
                assert!(client.is_closed());
            });
        }
    });
    assert_eq!(slow(pillion, "upload"), requests.len() as f64);
    nothing_is_in_flight(pillion);
    pillion.wait_until_nothing_is_held();
}

/// Speaks HTTP/2 with `work`, which opens streams.
fn over_http2<T>(
    pillion: &Pillion,
    window: u32,
    work: impl AsyncFnOnce(&mut h2::client::SendRequest<Bytes>) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", pillion.port)).await.expect("a connection");
        let mut builder = h2::client::Builder::new();
        let (client, connection) = builder
            .initial_window_size(window)
            .initial_connection_window_size(1 << 24)
            .handshake::<_, Bytes>(stream)
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        work(&mut client.ready().await.expect("a connection")).await
    })
}

type Answer = h2::client::ResponseFuture;

fn request(
    client: &mut h2::client::SendRequest<Bytes>,
    method: &str,
    path: &str,
    is_end: bool,
) -> (Answer, SendStream<Bytes>) {
    let request = Request::builder().method(method).uri(format!("http://a{path}"));
    let request = request.header("content-type", "application/json").body(()).expect("a request");
    client.send_request(request, is_end).expect("a stream")
}

fn stalled_bodies_over_http2(_: &Engines) {
    let Stage { pillion, .. } = &stage("downstream: { rate_grace_period: 1s }\n");
    over_http2(pillion, 65_535, async |client| {
        let mut open = Vec::new();
        for path in ["/graphql", "/elsewhere"] {
            let (answer, mut body) = request(client, "POST", path, false);
            body.send_data("0123456789".into(), false).expect("room");
            open.push((path, answer, body));
        }
        for (path, answer, _body) in open {
            let answer = tokio::time::timeout(Duration::from_secs(30), answer).await.expect("an end");
            let status = answer.map(|answer| answer.status().as_u16()).ok();
            // What pingora passes on by itself ends with its stream.
            assert_eq!(status, (path == "/graphql").then_some(408), "{path}");
        }
        // The connection and its other streams go on.
        let (answer, mut body) = request(client, "POST", "/graphql", false);
        body.send_data(COUNT.into(), true).expect("room");
        assert_eq!(answer.await.expect("a response").status(), 200);
    });
    assert_eq!(slow(pillion, "upload"), 2.0);
    nothing_is_in_flight(pillion);
}

/// What takes longer than the grace period because of a handler is no client's fault, and neither is an idle stream.
fn waiting_for_a_handler_is_not_slow(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_secs(3), Box::new(Reply::json("1"))));
    handlers.on_path("/later", Reply::Late(Duration::from_secs(3), Box::new(Reply::json(r#"[{"id":7}]"#))));
    let config = "downstream: { rate_grace_period: 1s, min_download_rate: 256KiB, request_header_timeout: 1s }\n";
    let pillion =
        Setup::before(engines.postgraphile).with_shop(handlers.port).config(config).start().wait_until_ready();
    let mut socket = ready(&pillion, MODERN, &[], "{}");
    say(&mut socket, &start("1", "{ count }"));
    assert!(pillion.metric("pillion_connections") >= 1.0, "sockets are connections");
    assert_eq!(pillion.client().post(COUNT).text(), r#"{"data":{"count":1}}"#);
    let mut chunked = pillion.client();
    let length = format!("{:x}", COUNT.len());
    chunked.send(
        format!("POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{length}\r\n{COUNT}\r\n0\r\n\r\n")
            .as_bytes(),
    );
    assert_eq!(chunked.read_response().expect("a response").text(), r#"{"data":{"count":1}}"#);
    assert_eq!(hear(&mut socket).expect("a result")["payload"]["data"]["count"], 1);
    // Events that come late.
    let setup = Setup::before(engines.postgraphile).with_actions("hasura-async", handlers.port);
    let pillion = setup.config(config).start().wait_until_ready();
    let stored = pillion.client().ask("mutation { later(number: 1) }").text();
    let stored: serde_json::Value = serde_json::from_str(&stored).expect("JSON");
    let id = stored["data"]["later"].as_str().expect("an id");
    let query = format!("subscription {{ later(id: \"{id}\") {{ output {{ id }} }} }}");
    let body = serde_json::json!({ "query": query }).to_string();
    let mut client = pillion.client();
    client.send(
        posted("/graphql", &body).replacen("Host: a\r\n", "Host: a\r\nAccept: text/event-stream\r\n", 1).as_bytes(),
    );
    let (mut text, mut piece) = (String::new(), [0; 1024]);
    while !text.contains(r#"[{"id":7}]"#) {
        let read = client.stream().get_mut().read(&mut piece).expect("an event");
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    assert_eq!((slow(&pillion, "upload"), slow(&pillion, "download")), (0.0, 0.0));
}

/// Reads `bytes` of a response every 20 ms; how many came until the connection ended, or all were there.
fn read_slowly(client: &mut Client, bytes: usize, patience: Duration) -> usize {
    let (mut read, mut piece, began) = (0, vec![0; bytes], Instant::now());
    while read < LARGE && began.elapsed() < patience {
        match client.stream().get_mut().read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => read += count,
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    read
}

/// Of our own, of the upstream through us, and of the upstream through pingora.
fn large_responses() -> [(&'static str, String); 4] {
    let chunked = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )
    };
    [
        ("ours", posted("/graphql", ACTION)),
        ("ours, read by pingora", chunked("/graphql", ACTION)),
        ("the upstream's", posted("/v1/graphql", PASSING)),
        ("the upstream's, by pingora", "GET /large HTTP/1.1\r\nHost: a\r\n\r\n".into()),
    ]
}

/// Each piece is taken within `downstream.stream_idle_timeout`, which is 60 s.
fn unread_responses(_: &Engines) {
    let config = "downstream: { rate_grace_period: 1s, min_download_rate: 256KiB, request_header_timeout: 1s }\n";
    let Stage { pillion, .. } = &stage(config);
    std::thread::scope(|scope| {
        for (what, request) in large_responses() {
            scope.spawn(move || {
                let open = || {
                    let mut client = pillion.client();
                    client.send(request.as_bytes());
                    client
                };
                // 3 MiB a second; then not at all, and 50 KiB a second.
                let read = read_slowly(&mut open(), 64 * 1024, Duration::from_secs(100));
                assert!(read >= LARGE, "{what}: {read}");
                let mut unread = open();
                let read = read_slowly(&mut open(), 1024, Duration::from_secs(60));
                assert!(read < LARGE / 2, "{what}: {read}");
                let rest = read_slowly(&mut unread, 64 * 1024, Duration::from_secs(60));
                assert!(rest < LARGE, "{what}: {rest}");
            });
        }
    });
    wait_until("that all are counted", || slow(pillion, "download") >= 8.0);
    nothing_is_in_flight(pillion);
    pillion.wait_until_nothing_is_held();
    assert_eq!(slow(pillion, "download"), 8.0);
}

/// Takes a body by `bytes` every 20 ms, or nothing of it; was that the whole?
async fn takes(answer: Answer, bytes: Option<usize>) -> bool {
    let Ok(answer) = answer.await else { return false };
    let mut body: RecvStream = answer.into_body();
    let (mut taken, mut unread) = (0, 0);
    while let Some(piece) = body.data().await {
        let Ok(piece) = piece else { return false };
        taken += piece.len();
        let Some(bytes) = bytes else { continue };
        unread += piece.len();
        while unread >= bytes {
            if body.flow_control().release_capacity(bytes).is_err() {
                return false;
            }
            unread -= bytes;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    taken >= LARGE
}

fn unread_responses_over_http2(_: &Engines) {
    let config = "downstream: { rate_grace_period: 1s, min_download_rate: 256KiB }\n";
    let Stage { pillion, .. } = &stage(config);
    let asked = [("POST", "/graphql", ACTION), ("POST", "/v1/graphql", PASSING), ("GET", "/large", "")];
    for (window, bytes, wanted) in
        [(0, None, false), (65_535, None, false), (65_535, Some(1024), false), (65_535, Some(32_768), true)]
    {
        let results = over_http2(pillion, window, async |client| {
            let mut answers = Vec::new();
            for (method, path, body) in asked {
                let (answer, mut sent) = request(client, method, path, body.is_empty());
                if !body.is_empty() {
                    sent.send_data(body.into(), true).expect("room");
                }
                let took = tokio::time::timeout(Duration::from_secs(60), takes(answer, bytes));
                answers.push((path, tokio::spawn(took)));
            }
            let mut results = Vec::new();
            for (path, took) in answers {
                results.push((path, took.await.expect("a task").expect("an end")));
            }
            results
        });
        for (path, took) in results {
            assert_eq!(took, wanted, "{path}, window {window}, {bytes:?} bytes every 20 ms");
        }
    }
    nothing_is_in_flight(pillion);
    pillion.wait_until_nothing_is_held();
    assert_eq!(slow(pillion, "download"), 9.0);
}

fn with_tls(config: &str) -> (Stage, Listener) {
    let tls = Listener::on_free_port();
    let stage = stage(&format!("{}{config}", tls.config));
    wait_for_port(tls.port);
    wait_until("those that only looked", || stage.pillion.metric("pillion_connections") == 0.0);
    (stage, tls)
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream
}

fn has_ended(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// A handshake that does not come is counted, has the deadline of a head, and takes nobody's descriptors.
fn tls_connections_without_a_handshake(_: &Engines) {
    let (Stage { pillion, .. }, Listener { port, .. }) =
        &with_tls("downstream: { request_header_timeout: 2s }\nlimits: { max_connections: 20 }\n");
    let count = || pillion.metric("pillion_connections");
    let silent: Vec<TcpStream> = (0..10).map(|_| connect(*port)).collect();
    // The beginning of a ClientHello.
    let half: Vec<TcpStream> = (0..10).map(|_| connect(*port)).collect();
    half.iter().for_each(|mut stream| stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").expect("a connection"));
    wait_until("that all are counted", || count() == 20.0);
    assert!(has_ended(&connect(*port)) && pillion.client().is_closed(), "more than there may be");
    assert_eq!(pillion.metric("pillion_shed_requests_total{resource=\"connections\"}"), 2.0);
    assert!(silent.iter().chain(&half).all(has_ended));
    wait_until("that they are gone", || count() == 0.0);
    assert_eq!(pillion.metric("pillion_request_header_timeouts_total"), 20.0);
    assert_eq!(pillion.client().post(COUNT).status(), 200);
    // What is no TLS ends at once.
    let mut other = connect(*port);
    other.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("a connection");
    let mut said = Vec::new();
    let _ = other.read_to_end(&mut said);
    assert!(said.len() < 64, "an alert at most");
}

/// Shakes hands, and then writes these bytes for ever, one every 50 ms, or nothing more.
fn drips_over_tls(listener: &Listener, protocol: &str, bytes: &'static [u8], goes_on: bool) -> std::io::Result<()> {
    let config = client_config(&listener.certificate, protocol);
    let mut tls = rustls::ClientConnection::new(config, "localhost".try_into().expect("a name")).expect("TLS");
    let mut stream = connect(listener.port);
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    assert_eq!(tls.alpn_protocol(), Some(protocol.as_bytes()));
    let mut closed = stream.try_clone()?;
    let reading = std::thread::spawn(move || std::io::copy(&mut closed, &mut std::io::sink()));
    let bytes = bytes.iter().cycle().take(if goes_on { usize::MAX } else { bytes.len() });
    for byte in bytes {
        if reading.is_finished() {
            break;
        }
        tls.writer().write_all(&[*byte])?;
        tls.write_tls(&mut stream)?;
        std::thread::sleep(Duration::from_millis(50));
    }
    reading.join().expect("a reader").map(drop)
}

fn request_heads_over_tls(_: &Engines) {
    let (Stage { pillion, .. }, tls) = &with_tls("downstream: { request_header_timeout: 2s, keepalive_timeout: 2s }\n");
    std::thread::scope(|scope| {
        for (protocol, bytes, goes_on) in [
            ("http/1.1", b"".as_slice(), false),
            ("http/1.1", b"x", true),
            ("http/1.1", b"GET / HTTP/1.1\r\nX: y", true),
            // Nothing, half a preface, and a preface and half a frame.
            ("h2", b"", false),
            ("h2", b"PRI * HTTP/2.0\r\n", false),
            ("h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x08\x01\x04", false),
        ] {
            scope.spawn(move || {
                let ended = drips_over_tls(tls, protocol, bytes, goes_on);
                let is_timeout = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
                assert!(!ended.as_ref().is_err_and(is_timeout), "{protocol} {bytes:?}: {ended:?}");
            });
        }
    });
    wait_until("that they are gone", || pillion.metric("pillion_connections") == 0.0);
    assert!(pillion.metric("pillion_request_header_timeouts_total") >= 4.0);
}

/// A head is read to its end however it comes, by us and by pingora.
fn request_heads_in_fragments(_: &Engines) {
    let Stage { pillion, .. } = &stage("limits: { max_request_headers: 200 }\n");
    let fields: String = (0..150).map(|index| format!("X-{index}: {}\r\n", "y".repeat(150))).collect();
    let long = |head: &str| format!("{head}{fields}");
    let action = long("POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n");
    let action = format!("{action}Content-Length: {}\r\n\r\n{COUNT}", COUNT.len());
    let short = posted("/graphql", COUNT);
    let odd = long("GET /graphql?query=%7Bcount%7D HTTP/1.1\r\nHost: a\r\n");
    for pieces in [1, 7, 100, 5000] {
        let mut client = pillion.client();
        for request in [&action, &short, &format!("{odd}\r\n"), &short, &action] {
            for piece in request.as_bytes().chunks(pieces) {
                client.send(piece);
            }
            let answer = client.read_response().unwrap_or_else(|| panic!("no response in pieces of {pieces}"));
            assert_eq!(answer.text(), r#"{"data":{"count":1}}"#, "in pieces of {pieces}");
        }
    }
    // Empty lines before a head: some clients end a body with one, and nobody has hundreds.
    let mut client = pillion.client();
    client.send(format!("\r\n{short}\r\n{short}").as_bytes());
    for _ in 0..2 {
        assert_eq!(client.read_response().expect("a response").status(), 200);
    }
    client.send(format!("{}{short}", "\r\n".repeat(100)).as_bytes());
    assert!(client.read_response().is_none_or(|answer| answer.status() == 400));
}

/// Connects from another address of loopback.
pub fn connect_from(source: &str, port: u16) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(source.parse().expect("an address"), 0)).expect("an address");
        let stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.expect("a connection");
        let stream = stream.into_std().expect("a socket");
        stream.set_nonblocking(false).expect("a socket");
        stream
    })
}

fn connections_per_client_address(_: &Engines) {
    let limits = "limits: { max_client_connections: 5 }\n";
    let Stage { pillion, handlers, .. } = &stage(limits);
    let count = || pillion.metric("pillion_connections");
    wait_until("those that only looked", || count() == 0.0);
    let shed = || pillion.metric("pillion_shed_requests_total{resource=\"client_connections\"}");
    let _socket = ready(pillion, MODERN, &[], "{}");
    let mut held: Vec<TcpStream> = (0..4).map(|_| connect(pillion.port)).collect();
    wait_until("that all are counted, the socket as well", || count() == 5.0);
    assert!(has_ended(&connect(pillion.port)), "one too many");
    assert_eq!(shed(), 1.0);
    let mut other = Client::over(connect_from("127.0.0.2", pillion.port));
    assert_eq!(other.post(COUNT).status(), 200, "another client");
    held.pop();
    wait_until("that one has gone", || count() == 5.0);
    assert_eq!(pillion.client().post(COUNT).status(), 200);
    // A proxy that tells its clients has as many as it needs.
    let setup = Setup::before(handlers.port).with_shop(handlers.port);
    let pillion = setup.config(&format!("{limits}downstream: {{ client_address_header: X-Forwarded-For }}\n")).start();
    wait_until("that it listens", || TcpStream::connect(("127.0.0.1", pillion.port)).is_ok());
    wait_until("those that only looked", || pillion.metric("pillion_connections") == 0.0);
    let held: Vec<TcpStream> = (0..10).map(|_| connect(pillion.port)).collect();
    wait_until("that all are there", || pillion.metric("pillion_connections") == 10.0);
    drop(held);
}
