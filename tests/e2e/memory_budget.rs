//! Attacks on the memory of the process: told that it may take 256 MiB, it stays below, and others are answered.
//!
//! The tests do a part of each attack; `make abuse` does all of it (`PILLION_ABUSE_SCALE=1`) against the release build.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::tls::{Listener, client_config};
use pillion_test_support::websocket::{MODERN, ready};
use pillion_test_support::{trials, wait_for_port, wait_until};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tungstenite::Message;

use super::harness::EndOfTest;
use super::slow_clients::connect_from;

/// The tests.
pub const TESTS: &[super::Test] = trials![
    large_values,
    values_within_the_limits,
    streams_that_are_not_read,
    clients_that_do_not_read,
    decompression_bombs,
    partial_request_heads,
    request_heads_in_fragments,
    stalled_bodies,
    slowly_read_responses,
    tls_connections_without_a_handshake,
    payloads_on_sockets,
    unauthorized_metadata_writes,
    one_client_cannot_exhaust_the_budget,
    idle_connections,
    partial_bodies,
    idle_event_streams,
    impatient_clients,
    clients_with_many_networks,
];

const MIB: usize = 1024 * 1024;

/// What the container may use.
const LIMIT: usize = 256 * MIB;

/// How much of each attack is done.
pub fn scaled(whole: usize) -> usize {
    let scale = std::env::var("PILLION_ABUSE_SCALE").ok().and_then(|scale| scale.parse::<f64>().ok()).unwrap_or(0.1);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few millions"
    )]
    let part = (whole as f64 * scale) as usize;
    part.max(1)
}

/// Pillion, its upstream and its handlers.
struct Stage {
    pillion: Pillion,
    handlers: Scripted,
    engine: Scripted,
}

/// A schema of 300 types with 15 fields each, in which every field leads to another type.
fn schema() -> Value {
    let named = |name: &str| json!({ "kind": "OBJECT", "name": name, "ofType": null });
    let string = json!({ "kind": "SCALAR", "name": "String", "ofType": null });
    let object = |name: String, fields: Vec<Value>| {
        json!({ "kind": "OBJECT", "name": name, "fields": fields, "interfaces": [], "inputFields": null,
                "enumValues": null, "possibleTypes": null })
    };
    let field = |name: String, ty: &Value| json!({ "name": name, "args": [], "type": ty, "isDeprecated": false });
    let mut types = vec![json!({ "kind": "SCALAR", "name": "String" })];
    for index in 0..300 {
        let fields = (0..15).map(|at| field(format!("field{at}"), &named(&format!("Type{}", (index + at) % 300))));
        types.push(object(format!("Type{index}"), fields.collect()));
    }
    types.push(object("Query".into(), vec![field("name".into(), &string), field("type".into(), &named("Type0"))]));
    json!({ "queryType": { "name": "Query" }, "mutationType": null, "subscriptionType": null, "types": types,
            "directives": [] })
}

impl Stage {
    fn start(config: &str) -> Self {
        Self::start_limited("", config)
    }

    /// With further `limits`.
    fn start_limited(limits: &str, config: &str) -> Self {
        let (engine, handlers) = (Scripted::start(), Scripted::start());
        let answer = json!({ "data": { "__typename": "Query", "__schema": schema() } }).to_string();
        engine.on_path(
            "/graphql",
            Reply::json(r#"{"data":{"__typename":"Query","__schema":{"queryType":{"name":"Query"}}}}"#),
        );
        engine.on_word("ofType", Reply::json(&answer));
        engine
            .on_path("/v1/graphql", Reply::Late(Duration::from_secs(5), Box::new(Reply::json(r#"{"data":{"a":1}}"#))));
        engine.on_path("/other", Reply::json(r#"{"other":true}"#));
        handlers.on_path("/act", Reply::json("\"ok\""));
        handlers.on_path("/ping", Reply::json("1"));
        handlers.on_path("/slow", Reply::Late(Duration::from_secs(5), Box::new(Reply::json("\"ok\""))));
        let setup = Setup::before(engine.port).with_actions("values", handlers.port);
        let config = format!("dialect: standard\nlimits: {{ max_memory_bytes: 256MiB, {limits} }}\n{config}");
        let pillion = setup.config(&config).start().wait_until_ready();
        Self { pillion, handlers, engine }
    }

    /// The most memory that it has had.
    fn peak(&self) -> usize {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> usize {
        self.pillion.status(key)
    }

    /// Attacks while others ask: at least 95 % of them are answered, and the memory stays below the limit.
    fn withstands(&self, name: &str, attack: impl FnOnce()) {
        let (before, is_over) = (self.status("VmRSS:"), AtomicBool::new(false));
        let (answered, mut times) = std::thread::scope(|scope| {
            let others = scope.spawn(|| ask_until(&self.pillion, &is_over));
            let end = EndOfTest(&is_over);
            attack();
            drop(end);
            others.join().expect("others")
        });
        times.sort();
        let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
        let (asked, peak) = (times.len(), self.peak());
        eprintln!(
            "abuse: {name}: {} -> {} MiB at most, {answered} of {asked} others answered, p99 {p99:?}, {} held",
            before / MIB,
            peak / MIB,
            self.pillion.metric("pillion_buffered_bytes"),
        );
        assert!(peak < LIMIT, "{name}: {} MiB", peak / MIB);
        assert!(asked > 0 && answered * 100 >= asked * 95, "{name}: {answered} of {asked} others were answered");
        self.handlers.take_seen();
        self.engine.take_seen();
    }

    /// Everything has been given back.
    fn is_even(&self) {
        self.pillion.wait_until_nothing_is_held();
    }

    fn rejections(&self) -> f64 {
        let of = |reason: &str| self.pillion.metric(&format!("pillion_memory_rejections_total{{reason=\"{reason}\"}}"));
        ["budget", "client", "connection", "too_large"].into_iter().map(of).sum()
    }
}

/// The status of the response to a body; 0 if the connection broke because nobody read all of it.
fn status_of(pillion: &Pillion, body: &str) -> u16 {
    let mut client = pillion.client();
    client.send(posted(body).as_bytes());
    client.read_response().map_or(0, |answer| answer.status())
}

/// How many were answered as they should be, and how long each took.
fn ask_until(pillion: &Pillion, is_over: &AtomicBool) -> (usize, Vec<Duration>) {
    let (mut answered, mut times) = (0, Vec::new());
    loop {
        let began = Instant::now();
        answered += usize::from(pillion.client().ask("{ ping }").text() == r#"{"data":{"ping":1}}"#);
        times.push(began.elapsed());
        if is_over.load(Ordering::Relaxed) && times.len() >= 20 {
            return (answered, times);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn repeated(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(",")
}

fn nested(depth: usize) -> String {
    format!("{}{}{}", r#"{"i":"#.repeat(depth - 1), r#"{"n":1}"#, "}".repeat(depth - 1))
}

fn with_variable(document: &str, name: &str, value: &str) -> String {
    format!(r#"{{"query":"{document}","variables":{{"{name}":{value}}}}}"#)
}

fn aliases(argument: &str) -> String {
    (0..20).map(|index| format!("a{index}: act({}) ", argument.replace('#', &index.to_string()))).collect()
}

/// The rows of the table of H1.
fn large() -> Vec<(&'static str, String)> {
    let objects = "query ($j: [In!]) { act(j: $j) }";
    let twenty = format!("query ($s: String) {{ {} }}", aliases("s: $s"));
    let twenty_others = format!("query ($s: String) {{ {} }}", aliases("s: $s, n: #"));
    let string = format!("\"{}\"", "x".repeat(scaled(9 * MIB)));
    let keys = || repeated(scaled(700_000), |index| format!("\"k{index}\":1"));
    vec![
        ("objects 55 deep", with_variable(objects, "j", &format!("[{}]", repeated(scaled(20_000), |_| nested(55))))),
        (
            "numbers",
            with_variable(
                "query ($l: [Int!]) { act(l: $l) }",
                "l",
                &format!("[{}]", repeated(scaled(3_300_000), |_| "1".into())),
            ),
        ),
        (
            "small objects",
            with_variable(objects, "j", &format!("[{}]", repeated(scaled(500_000), |_| r#"{"n":1}"#.into()))),
        ),
        ("one string in 20 calls", with_variable(&twenty, "s", &string)),
        ("one string in 20 other calls", with_variable(&twenty_others, "s", &string)),
        ("unknown keys of an input", with_variable(objects, "j", &format!("{{{}}}", keys()))),
        ("any JSON", with_variable("query ($v: json) { act(v: $v) }", "v", &format!("{{{}}}", keys()))),
        ("keys of the variables", format!(r#"{{"query":"{{ ping }}","variables":{{{}}}}}"#, keys())),
        ("keys of the body", format!(r#"{{"query":"{{ ping }}",{}}}"#, keys())),
    ]
}

/// One at a time, and twelve at once.
fn attack_with(stage: &Stage, rows: &[(&'static str, String)]) {
    for (name, body) in rows {
        stage.withstands(name, || {
            status_of(&stage.pillion, body);
        });
        stage.withstands(&format!("{name}, twelve at once"), || {
            std::thread::scope(|scope| {
                for _ in 0..12 {
                    scope.spawn(|| {
                        let status = status_of(&stage.pillion, body);
                        assert!([0, 200, 400, 413, 503].contains(&status), "{name}: {status}");
                    });
                }
            });
        });
    }
    stage.is_even();
}

fn large_values(_: &Engines) {
    attack_with(&Stage::start(""), &large());
}

/// As large as it may be: here it is the budget that keeps the memory below its limit.
fn values_within_the_limits(_: &Engines) {
    let stage = Stage::start("");
    let objects = "query ($j: [In!]) { act(j: $j) }";
    let string = format!("\"{}\"", "x".repeat(4 * MIB - 4096));
    let rows = [
        (
            "numbers",
            with_variable("query ($l: [Int!]) { act(l: $l) }", "l", &format!("[{}]", repeated(99_000, |_| "1".into()))),
        ),
        ("objects", with_variable(objects, "j", &format!("[{}]", repeated(16_000, |_| r#"{"n":1}"#.into())))),
        ("deep objects", with_variable(objects, "j", &format!("[{}]", repeated(350, |_| nested(55))))),
        (
            "a string in 20 calls",
            with_variable(&format!("query ($s: String) {{ {} }}", aliases("s: $s")), "s", &string),
        ),
    ];
    for (name, body) in &rows {
        assert_eq!(status_of(&stage.pillion, body), 200, "{name}");
    }
    attack_with(&stage, &rows);
    let literal = format!(
        r#"{{"query":"query ($l: [Int!]) {{ act(l: $l, v: [{}]) }}","variables":{{"l":[{}]}}}}"#,
        "$l,".repeat(2_000),
        repeated(10_000, |_| "1".into())
    );
    assert_eq!(stage.pillion.client().post(&literal).status(), 413);
    stage.is_even();
}

/// Schema introspection as tools ask for it, many times in one document.
fn introspection(times: usize) -> String {
    let one = "__schema { types { name kind fields { name type { name kind } args { name } } } }";
    let document: String = (0..times).map(|index| format!("a{index}: {one} ")).collect();
    json!({ "query": format!("{{ {document} }}") }).to_string()
}

/// Windows of HTTP/2 that never open.
fn streams_that_are_not_read(_: &Engines) {
    let stage = Stage::start("");
    let body = introspection(10);
    stage.withstands("streams with windows of 0", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut held = Vec::new();
            for _ in 0..2 {
                let stream =
                    tokio::net::TcpStream::connect(("127.0.0.1", stage.pillion.port)).await.expect("a connection");
                let (mut client, connection) = h2::client::Builder::new()
                    .initial_window_size(0)
                    .handshake::<_, bytes::Bytes>(stream)
                    .await
                    .expect("HTTP/2");
                tokio::spawn(connection);
                for _ in 0..scaled(100) {
                    client = client.ready().await.expect("a stream");
                    let request = http::Request::post(format!("http://a:{}/graphql", stage.pillion.port));
                    let request = request.header("content-type", "application/json").body(()).expect("a request");
                    let (answer, mut sent) = client.send_request(request, false).expect("a stream");
                    sent.send_data(body.clone().into(), true).expect("room for a body");
                    held.push(answer);
                }
            }
            let mut answers = Vec::new();
            for answer in held {
                if let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_secs(20), answer).await {
                    answers.push(answer);
                }
            }
            assert!(answers.iter().any(|answer| answer.status() == 200), "nobody was answered");
            tokio::time::sleep(Duration::from_secs(1)).await;
        });
    });
    stage.is_even();
}

fn posted(body: &str) -> String {
    format!(
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn clients_that_do_not_read(_: &Engines) {
    let stage = Stage::start("downstream: { stream_idle_timeout: 5s }\n");
    for (name, times, clients) in [("40 long answers", 10, scaled(40)), ("300 usual ones", 2, scaled(300))] {
        let body = introspection(times);
        stage.withstands(&format!("{name}, unread"), || {
            let clients: Vec<Client> = (0..clients)
                .map(|_| {
                    let mut client = stage.pillion.client();
                    client.send(posted(&body).as_bytes());
                    client
                })
                .collect();
            std::thread::sleep(Duration::from_secs(3));
            drop(clients);
        });
    }
    stage.is_even();
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    brotli::CompressorWriter::new(&mut compressed, 4096, 11, 24).write_all(bytes).expect("memory");
    compressed
}

fn decompression_bombs(_: &Engines) {
    let stage = Stage::start("");
    let bomb = brotli(&vec![b' '; 10 * MIB - 1]);
    assert!(bomb.len() < 100, "{}", bomb.len());
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "br")];
    // It is rejected before anybody waits for the upstream.
    let answer = stage.pillion.client().request("POST", "/v1/graphql", &headers, &bomb);
    assert_eq!(answer.status(), 413, "{}", answer.text());
    stage.withstands("bombs of 51 bytes", || {
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    for _ in 0..scaled(200) {
                        let _ = stage.pillion.client().request("POST", "/v1/graphql", &headers, &bomb);
                    }
                });
            }
        });
    });
    // What passes is held as it came while the upstream works on it.
    let body = format!(r#"{{"query":"{{ a }}","x":"{}"}}"#, "x".repeat(200_000));
    let small = brotli(body.as_bytes());
    stage.withstands("compressed bodies before a slow upstream", || {
        std::thread::scope(|scope| {
            for _ in 0..scaled(200) {
                scope.spawn(|| {
                    let answer = stage.pillion.client().request("POST", "/v1/graphql", &headers, &small);
                    assert_eq!(answer.status(), 200, "{}", answer.text());
                });
            }
            std::thread::sleep(Duration::from_secs(2));
            let held = stage.pillion.metric("pillion_buffered_bytes");
            #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
            let expected = (scaled(200) * 32 * 1024) as f64;
            assert!(held < expected + 1e6, "{held}");
        });
    });
    stage.is_even();
}

fn partial_request_heads(_: &Engines) {
    let stage = Stage::start("");
    let half = format!("X: {}\r\n", "y".repeat(8_000)).repeat(MIB / 8_000);
    for first in ["GET / HTTP/1.1\r\nHost: a\r\n", "POST /graphql HTTP/1.1\r\nHost: a\r\n"] {
        // Those are read by pingora from their second request on, too.
        for warm in [false, true] {
            stage.withstands(&format!("half heads of 1 MiB, {first:?}, {warm}"), || {
                let clients: Vec<TcpStream> = (0..scaled(400))
                    .map(|_| {
                        let mut stream = TcpStream::connect(("127.0.0.1", stage.pillion.port)).expect("a connection");
                        stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
                        if warm {
                            stream.write_all(b"GET /warm HTTP/1.1\r\nHost: a\r\n\r\n").expect("a connection");
                            let _ = stream.read(&mut [0; 4096]);
                        }
                        let _ = stream.write_all(first.as_bytes()).and_then(|()| stream.write_all(half.as_bytes()));
                        stream
                    })
                    .collect();
                std::thread::sleep(Duration::from_secs(1));
                drop(clients);
            });
        }
    }
    stage.is_even();
}

/// 64 KiB in pieces of 100 bytes: each byte is read a few times and not 300.
fn request_heads_in_fragments(_: &Engines) {
    let stage = Stage::start("");
    let field = format!("X: {}\r\n", "y".repeat(500));
    for first in ["GET / HTTP/1.1\r\nHost: a\r\n", "POST /graphql HTTP/1.1\r\nHost: a\r\n"] {
        stage.withstands(&format!("heads in pieces of 100 bytes, {first:?}"), || {
            std::thread::scope(|scope| {
                for _ in 0..scaled(100) {
                    scope.spawn(|| {
                        let mut client = stage.pillion.client();
                        for piece in format!("{first}{}", field.repeat(60)).as_bytes().chunks(100) {
                            client.send(piece);
                        }
                    });
                }
            });
        });
    }
    stage.is_even();
}

/// Ten bytes of a body, and then nothing.
fn stalled_bodies(_: &Engines) {
    let stage = Stage::start("downstream: { rate_grace_period: 2s }\n");
    for path in ["/graphql", "/elsewhere"] {
        stage.withstands(&format!("ten bytes of a body, {path}"), || {
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n0123456789");
            let clients: Vec<Client> = (0..scaled(4_200))
                .map(|_| {
                    let mut client = stage.pillion.client();
                    client.send(head.as_bytes());
                    client
                })
                .collect();
            let statuses: Vec<u16> = clients.into_iter().map(|mut client| client.read_response().map_or(0, |answer| answer.status())).collect();
            // At full size a few find the stand-in's queue of connections full: 502.
            let is_wanted = |status: &u16| [408, 429, 502, 503].contains(status);
            assert!(statuses.iter().all(is_wanted), "{statuses:?}");
            assert!(statuses.contains(&408));
        });
    }
    stage.is_even();
}

/// Responses that are read by 1 KiB every 50 ms, each well within `downstream.stream_idle_timeout`.
fn slowly_read_responses(_: &Engines) {
    let stage =
        Stage::start("downstream: { rate_grace_period: 2s, min_download_rate: 256KiB, request_header_timeout: 2s }\n");
    // Longer than what the system's buffers take.
    let long = format!("\"{}\"", "x".repeat(7_900_000));
    stage.handlers.on_path("/act", Reply::json(&long));
    let body = r#"{"query":"{ act }"}"#;
    stage.withstands("responses that drip", || {
        let mut clients: Vec<TcpStream> = (0..scaled(40))
            .map(|_| {
                let mut stream = TcpStream::connect(("127.0.0.1", stage.pillion.port)).expect("a connection");
                stream.write_all(posted(body).as_bytes()).expect("a connection");
                stream.set_nonblocking(true).expect("a socket");
                stream
            })
            .collect();
        let (began, mut piece) = (Instant::now(), [0; 1024]);
        let has_ended = |read: std::io::Result<usize>| match read {
            Ok(count) => count == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        let metric = |name: &str| stage.pillion.metric(name);
        let ended = || metric("pillion_slow_clients_total{transfer=\"download\"}");
        while ended() == 0.0 || metric("pillion_requests_in_flight") > 3.0 {
            clients.retain_mut(|client| !has_ended(client.read(&mut piece)));
            std::thread::sleep(Duration::from_millis(50));
            assert!(began.elapsed() < Duration::from_secs(60), "they have no end");
        }
    });
    stage.is_even();
}

/// Connections to the listener for TLS on which nothing is said.
fn tls_connections_without_a_handshake(_: &Engines) {
    let Listener { config, port, .. } = Listener::on_free_port();
    let stage = Stage::start_limited(
        "max_connections: 1000, max_client_connections: 800",
        &format!("{config}downstream: {{ request_header_timeout: 3s }}\n"),
    );
    wait_for_port(port);
    stage.withstands("TLS without a handshake", || {
        // Others have another address.
        let connections: Vec<TcpStream> = (0..scaled(2_000)).map(|_| connect_from("127.0.0.2", port)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a thousand")]
        let expected = scaled(2_000).min(800) as f64;
        wait_until("that they are counted", || stage.pillion.metric("pillion_connections") >= expected);
        wait_until("that they are gone", || stage.pillion.metric("pillion_connections") < 20.0);
        drop(connections);
    });
}

fn payloads_on_sockets(_: &Engines) {
    let stage = Stage::start("");
    let payload = |index: usize| {
        let string = "x".repeat(900_000);
        let query = "query ($s: String) { slow(s: $s) }";
        json!({ "type": "subscribe", "id": index.to_string(), "payload": { "query": query, "variables": { "s": string } } })
            .to_string()
    };
    stage.withstands("payloads of 0.9 MB on sockets", || {
        let mut sockets: Vec<_> = (0..3).map(|_| ready(&stage.pillion, MODERN, &[], "{}")).collect();
        for index in 0..scaled(100) {
            let payload = payload(index);
            for socket in &mut sockets {
                // A socket may be closed when its client holds too much.
                let _ = socket.send(Message::text(payload.clone()));
            }
        }
        std::thread::sleep(Duration::from_secs(1));
        assert!(stage.pillion.metric("pillion_buffered_bytes") > 1e6, "what sockets hold is counted");
        if scaled(100) == 100 {
            assert!(stage.rejections() > 0.0, "nothing was rejected");
        }
        drop(sockets);
    });
    stage.is_even();
}

fn unauthorized_metadata_writes(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    handlers.on_path("/ping", Reply::json("1"));
    let setup = Setup::before(engine.port).with_actions("values", handlers.port).with_own_copy();
    let setup = setup.config("dialect: standard\nlimits: { max_memory_bytes: 256MiB }\n").flag("--metadata-api=folder");
    let pillion =
        setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "secret").env("HASURA_GRAPHQL_UNAUTHORIZED_ROLE", "anonymous");
    let pillion = pillion.start().wait_until_ready();
    let body = format!(r#"{{"type":"bulk","args":[{}]}}"#, repeated(scaled(1_200_000), |_| r#"{"a":1}"#.into()));
    let headers = [("Content-Type", "application/json")];
    let status = pillion.client().request("POST", "/v1/metadata", &headers, body.as_bytes()).status();
    assert!(status >= 400, "{status}");
    let stage = Stage { pillion, handlers, engine };
    assert!(stage.peak() < LIMIT, "{} MiB", stage.peak() / MIB);
}

/// Behind a proxy that names its clients, one of them takes its part only, and none of the proxy's.
fn one_client_cannot_exhaust_the_budget(_: &Engines) {
    let stage = Stage::start("downstream: { client_address_header: X-Forwarded-For }\n");
    let post = |client: &str, size: usize| {
        let body = with_variable("query ($s: String) { slow(s: $s) }", "s", &format!("\"{}\"", "x".repeat(size)));
        let request = posted(&body).replacen("Host: a\r\n", &format!("Host: a\r\nX-Forwarded-For: {client}\r\n"), 1);
        let mut sender = stage.pillion.client();
        sender.send(request.as_bytes());
        sender.read_response().map_or(0, |answer| {
            assert!(answer.status() != 503 || answer.header("retry-after") == Some("1"));
            answer.status()
        })
    };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let status = post("2001:db8::1", 2 * MIB);
                    assert!([0, 200, 503].contains(&status), "{status}");
                }
            });
        }
        // They go on until this is dropped, also by a panic: some of their requests end in between.
        let _pressure = EndOnDrop(&is_over);
        wait_until("a rejection", || stage.pillion.metric("pillion_memory_rejections_total{reason=\"client\"}") > 0.0);
        wait_until("one of the same network", || [0, 503].contains(&post("2001:db8::2", 2 * MIB)));
        assert_eq!(post("2001:db8:1::1", MIB), 200, "others have the rest");
    });
    stage.is_even();
}

/// Says that threads have to end, however the test does.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a client's connection has done before it is idle.
struct Idle {
    name: &'static str,
    /// The requests on it, one after the other.
    requests: &'static [&'static str],
    tls: bool,
    http2: bool,
    /// Of `limits.max_connections`: it may take so many times 8 KiB.
    places: usize,
}

const fn idle(name: &'static str, requests: &'static [&'static str], tls: bool, http2: bool, places: usize) -> Idle {
    Idle { name, requests, tls, http2, places }
}

/// A document, or nothing for a path that is not GraphQL.
const IDLE: [Idle; 9] = [
    idle("silent", &[], false, false, 1),
    idle("passed", &["{ name }"], false, false, 1),
    idle("an action", &["{ ping }"], false, false, 1),
    idle("another path", &[""], false, false, 1),
    idle("all kinds", &["{ name }", "{ ping }", "", "", "{ name }", ""], false, false, 1),
    idle("TLS, all kinds", &["{ name }", "{ ping }", ""], true, false, 2),
    idle("HTTP/2, another path", &[""], false, true, 4),
    idle("HTTP/2, all kinds", &["{ name }", "{ ping }", ""], false, true, 4),
    idle("HTTP/2 with TLS, all kinds", &["{ name }", "{ ping }", ""], true, true, 6),
];

/// What a connection with one place may take: in a debug build as well, whose futures and structures are somewhat larger.
const IDLE_BYTES: usize = if cfg!(debug_assertions) { 10 * 1024 } else { 8 * 1024 };

/// What all of it may take with 10,000 places in use, in a release build.
const ALL_IDLE_BYTES: usize = 120 * MIB;

/// Connections of clients that wait cost little, whatever they have done before.
fn idle_connections(_: &Engines) {
    for kind in IDLE {
        let tls = Listener::on_free_port();
        let stage = Stage::start_limited("max_connections: 20000", &tls.config);
        wait_for_port(tls.port);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(hold_idle(&stage, &kind, &tls));
    }
}

async fn hold_idle(stage: &Stage, kind: &Idle, listener: &Listener) {
    let open = async || {
        let stream =
            tokio::net::TcpStream::connect(("127.0.0.1", if kind.tls { listener.port } else { stage.pillion.port }));
        let stream = stream.await.expect("a connection");
        if !kind.tls {
            return Open::of(stream, kind).await;
        }
        let config = client_config(&listener.certificate, if kind.http2 { "h2" } else { "http/1.1" });
        let name = ServerName::try_from("localhost").expect("a name");
        Open::of(TlsConnector::from(config).connect(name, stream).await.expect("TLS"), kind).await
    };
    let settled = async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.status("VmRSS:")
    };
    let mut held = Vec::new();
    for _ in 0..50 {
        held.push(open().await);
    }
    let (before, count) = (settled().await, scaled(10_000) / kind.places);
    for _ in 0..count {
        held.push(open().await);
    }
    let after = settled().await;
    let each = after.saturating_sub(before) / count;
    eprintln!(
        "abuse: {count} idle connections, {}: {} MiB -> {} MiB, {each} bytes each",
        kind.name,
        before / MIB,
        after / MIB
    );
    let counted = |name: &str| stage.pillion.metric(name).to_string();
    assert_eq!(counted("pillion_connections"), held.len().to_string(), "{}", kind.name);
    let weight = if kind.requests.is_empty() { held.len() } else { held.len() * kind.places };
    assert_eq!(counted("pillion_connection_weight"), weight.to_string(), "{}", kind.name);
    assert!(each <= kind.places * IDLE_BYTES, "{}: {each} bytes", kind.name);
    assert!(cfg!(debug_assertions) || after < ALL_IDLE_BYTES, "{}: {} MiB", kind.name, after / MIB);
    // They have been kept for something.
    for open in held.iter_mut().step_by(100) {
        open.ask("{ ping }").await;
    }
}

/// A client's side of an idle connection.
enum Open {
    Http1(Box<dyn Io>),
    Http2(h2::client::SendRequest<bytes::Bytes>),
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

impl Open {
    async fn of(stream: impl Io + 'static, kind: &Idle) -> Self {
        let mut open = if kind.http2 {
            let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
            tokio::spawn(connection);
            Self::Http2(client)
        } else {
            Self::Http1(Box::new(stream))
        };
        for document in kind.requests {
            open.ask(document).await;
        }
        open
    }

    /// Asks for a document, or for something else, and reads the response.
    async fn ask(&mut self, document: &str) {
        let body = if document.is_empty() { String::new() } else { json!({ "query": document }).to_string() };
        match self {
            Self::Http1(stream) => {
                let get = "GET /other HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
                let request = if body.is_empty() { get } else { posted(&body) };
                stream.write_all(request.as_bytes()).await.expect("a connection");
                let (mut read, mut end) = (Vec::new(), None);
                while end != Some(read.len()) {
                    assert_ne!(stream.read_buf(&mut read).await.expect("a connection"), 0, "{document}");
                    end = end.or_else(|| end_of_response(&read));
                }
                assert!(read.starts_with(b"HTTP/1.1 200 "), "{document}");
            }
            Self::Http2(client) => {
                let request = http::Request::builder().header("content-type", "application/json");
                let request = match body.as_str() {
                    "" => request.uri("http://a/other"),
                    _ => request.method("POST").uri("http://a/graphql"),
                };
                let mut ready = client.clone().ready().await.expect("a stream");
                let request = request.body(()).expect("a request");
                let (answer, mut sent) = ready.send_request(request, body.is_empty()).expect("a stream");
                if !body.is_empty() {
                    sent.send_data(body.into(), true).expect("room for a body");
                }
                let answer = answer.await.expect("a response");
                assert_eq!(answer.status(), 200, "{document}");
                let mut body = answer.into_body();
                while let Some(piece) = body.data().await {
                    body.flow_control().release_capacity(piece.expect("a piece").len()).expect("room");
                }
            }
        }
    }
}

/// Where a response ends, once its head is there.
fn end_of_response(read: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(read);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let length = head.to_ascii_lowercase().split_once("content-length: ")?.1.lines().next()?.parse::<usize>();
    Some(head.len() + 4 + length.expect("a length"))
}

/// As many places as the shipped configuration has, or a part of them with a part of the attack.
fn with_places(config: &str) -> Stage {
    Stage::start_limited(&format!("max_concurrent_requests: {}", scaled(4_096)), config)
}

/// More of them than there are places, from one address and from many.
fn partial_bodies(_: &Engines) {
    let stage = with_places("downstream: { client_address_header: X-Forwarded-For }\n");
    let clients = scaled(4_200);
    let one: &dyn Fn(usize) -> String = &|_| "192.0.2.1".into();
    let many: &dyn Fn(usize) -> String = &|index| format!("192.0.2.{}", index % 32);
    for (name, client, length) in [
        ("of one client", one, 1_000_000),
        ("of many", many, 1_000_000),
        ("of many, longer than is held", many, 5_000_000),
    ] {
        stage.withstands(&format!("half-sent bodies {name}"), || {
            let connections: Vec<TcpStream> = (0..clients)
                .map(|index| {
                    let mut stream = TcpStream::connect(("127.0.0.1", stage.pillion.port)).expect("a connection");
                    let head = format!(
                        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-Forwarded-For: {}\r\n\
                         Content-Length: {length}\r\n\r\n0123456789",
                        client(index)
                    );
                    // What is rejected is closed.
                    let _ = stream.write_all(head.as_bytes());
                    stream
                })
                .collect();
            std::thread::sleep(Duration::from_secs(3));
            drop(connections);
        });
        let shed =
            |scarce: &str| stage.pillion.metric(&format!("pillion_shed_requests_total{{resource=\"{scarce}\"}}"));
        assert_eq!(shed("requests") + shed("incomplete_requests"), 0.0, "{name}");
        assert!(shed("client_requests") > 0.0);
        stage.is_even();
    }
}

/// More dashboards that wait for something than there are places for requests.
fn idle_event_streams(_: &Engines) {
    let stage = with_places("downstream: { client_address_header: X-Forwarded-For }\n");
    let body = r#"{"query":"subscription { later(id: \"00000000-0000-4000-8000-000000000000\") { id } }"}"#;
    let streams = scaled(4_200);
    stage.withstands("idle streams of events", || {
        let mut open = Vec::new();
        for index in 0..streams {
            let mut client = stage.pillion.client();
            let fields = format!("Accept: text/event-stream\r\nX-Forwarded-For: 192.0.2.{}\r\nHost: a\r\n", index % 32);
            client.send(posted(body).replacen("Host: a\r\n", &fields, 1).as_bytes());
            open.push(client.into_stream());
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let all = streams as f64;
        wait_until("all streams", || stage.pillion.metric("pillion_event_streams") == all);
        std::thread::sleep(Duration::from_secs(3));
        drop(open);
    });
    stage.is_even();
}

/// Nobody opens a breaker by not waiting: others are answered by the same handler meanwhile.
fn impatient_clients(_: &Engines) {
    let stage = Stage::start("handlers: { circuit_breaker: { enabled: true, reset_timeout: 1s } }\n");
    stage.handlers.on_path("/ping", Reply::Late(Duration::from_millis(150), Box::new(Reply::json("1"))));
    let impatient = [("Content-Type", "application/json"), ("X-Request-Timeout", "1ms")];
    stage.withstands("clients that do not wait", || {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..scaled(200) {
                        let body = br#"{"query":"{ ping }"}"#;
                        let answer = stage.pillion.client().request("POST", "/graphql", &impatient, body);
                        assert!(!answer.text().contains("handler-unavailable"), "{}", answer.text());
                    }
                });
            }
        });
    });
    assert_eq!(stage.pillion.metric("pillion_circuit_breaker_state{action=\"ping\"}"), 0.0);
}

/// Whoever has a /47 calls from 100,000 networks of it: they have two times sixteen shares, and others all of theirs.
fn clients_with_many_networks(_: &Engines) {
    let stage = Stage::start(
        "downstream: { client_address_header: X-Forwarded-For }\nactions: { act: { rate_limit: [5 per 1h by address] } }\n",
    );
    let call = |client: &mut Client, address: &str| {
        let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", address)];
        let answer = client.request("POST", "/graphql", &headers, br#"{"query":"{ act }"}"#).text();
        assert!(answer.contains("ok") || answer.contains("rate limit exceeded"), "{answer}");
        answer.contains("ok")
    };
    let mut client = stage.pillion.client();
    assert!(call(&mut client, "2001:db8:ffff::1"));
    stage.withstands("callers with many networks", || {
        let allowed: usize = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..2)
                .map(|half| {
                    let (stage, call) = (&stage, &call);
                    scope.spawn(move || {
                        let mut client = stage.pillion.client();
                        let address = |number: usize| format!("2001:db8:{half:x}:{number:x}::1");
                        (0..scaled(51_200)).filter(|number| call(&mut client, &address(*number))).count()
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().expect("calls")).sum()
        });
        assert!(allowed <= 2 * 16 * 5, "{allowed} calls");
    });
    let left = (0..10).filter(|_| call(&mut client, "2001:db8:ffff::1")).count();
    let new = (0..10).filter(|_| call(&mut client, "2001:db8:eeee::1")).count();
    assert_eq!((left, new), (4, 5), "of one who was counted before, and of a new one");
}
