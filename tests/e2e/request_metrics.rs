//! The golden signals: every request is counted once, with its kind and the class of its status, and is timed.

use std::io::Read;
use std::time::Duration;

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};

pub const TESTS: &[super::Test] = trials![every_request_is_counted_with_its_status, streams_are_timed_to_their_head];

/// What one request sends, and as what it is counted.
struct Case {
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
    counted: (&'static str, &'static str),
}

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

const UPGRADE: &[(&str, &str)] = &[
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Protocol", "graphql-transport-ws"),
];

const CASES: &[Case] = &[
    Case {
        method: "POST",
        path: "/graphql",
        headers: JSON,
        body: r#"{"query":"{ a }"}"#,
        status: 200,
        counted: ("pass_through", "2xx"),
    },
    Case { method: "GET", path: "/missing", headers: &[], body: "", status: 404, counted: ("pass_through", "4xx") },
    Case { method: "GET", path: "/moved", headers: &[], body: "", status: 302, counted: ("pass_through", "3xx") },
    Case { method: "GET", path: "/failing", headers: &[], body: "", status: 500, counted: ("pass_through", "5xx") },
    Case {
        method: "POST",
        path: "/v1/graphql",
        headers: JSON,
        body: r#"{"query":"{ b }"}"#,
        status: 503,
        counted: ("pass_through", "5xx"),
    },
    Case {
        method: "POST",
        path: "/graphql",
        headers: JSON,
        body: r#"{"query":"{ count }"}"#,
        status: 200,
        counted: ("action", "2xx"),
    },
    Case {
        method: "POST",
        path: "/graphql",
        headers: &[("Content-Type", "application/json"), ("Content-Encoding", "pigeon")],
        body: "?",
        status: 415,
        counted: ("rejected", "4xx"),
    },
    Case { method: "GET", path: "/closing", headers: &[], body: "", status: 502, counted: ("upstream_error", "5xx") },
];

fn setup() -> (Scripted, Scripted, Pillion) {
    let (upstream, handlers) = (Scripted::start(), Scripted::start());
    upstream.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    upstream.on_path("/missing", Reply::status(404, "{}"));
    upstream.on_path("/moved", Reply::status(302, "{}"));
    upstream.on_path("/failing", Reply::status(500, "{}"));
    upstream.on_path("/v1/graphql", Reply::status(503, "{}"));
    upstream.on_path("/closing", Reply::Close);
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(upstream.port).with_shop(handlers.port).start().wait_until_ready();
    (upstream, handlers, pillion)
}

fn series(name: &str, (kind, status): (&str, &str)) -> String {
    format!("{name}{{kind=\"{kind}\",status=\"{status}\"}}")
}

fn every_request_is_counted_with_its_status(_: &Engines) {
    let (_upstream, _handlers, pillion) = setup();
    // The first failure of these is an increase, because they begin at zero.
    let metrics = pillion.admin("/metrics").1;
    for kind in ["pass_through", "action"] {
        let failed = series("pillion_requests_total", (kind, "5xx"));
        assert!(metrics.contains(&format!("{failed} 0\n")), "{failed}");
    }
    for Case { method, path, headers, body, status, counted } in CASES {
        let series = series("pillion_requests_total", *counted);
        let duration = format!("pillion_request_duration_seconds_count{{kind=\"{}\"}}", counted.0);
        let before = (pillion.metric(&series), pillion.metric(&duration));
        let response = pillion.client().request(method, path, headers, body.as_bytes());
        assert_eq!(response.status(), *status, "{method} {path}: {}", response.text());
        wait_until(&series, || pillion.metric(&series) == before.0 + 1.0);
        wait_until(&duration, || pillion.metric(&duration) == before.1 + 1.0);
    }
    wait_until("all to be counted", || pillion.metric("pillion_requests_in_flight") == 0.0);
    let count = f64::from(u32::try_from(CASES.len()).expect("a few"));
    assert_eq!(pillion.metric("pillion_requests_total"), count);
    assert_eq!(pillion.metric("pillion_request_duration_seconds_count"), count);
}

/// The time that a stream is open is no latency: it would hide all others.
fn streams_are_timed_to_their_head(_: &Engines) {
    let (upstream, _handlers, pillion) = setup();
    let events = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
    upstream.on_path("/events", Reply::Open(events.to_vec()));
    upstream.on_path("/v1/graphql", Reply::Open(events.to_vec()));
    let open = Duration::from_millis(600);
    let case = |method, path, headers, body, counted| Case { method, path, headers, body, status: 0, counted };
    let cases = [
        case("GET", "/events", &[("Accept", "text/event-stream")], "", ("sse", "2xx")),
        case("POST", "/v1/graphql", JSON, r#"{"query":"{ b }"}"#, ("sse", "2xx")),
        case("GET", "/graphql", UPGRADE, "", ("websocket", "1xx")),
    ];
    for Case { method, path, headers, body, counted, .. } in cases {
        let series = series("pillion_requests_total", counted);
        let before = pillion.metric(&series);
        let mut client = Client::connect(pillion.port);
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        client.send(format!("{head}\r\n{body}").as_bytes());
        let mut stream = client.into_stream();
        let mut first = [0; 16];
        stream.read_exact(&mut first).expect("the head of a response");
        std::thread::sleep(open);
        drop(stream);
        wait_until(&series, || pillion.metric(&series) == before + 1.0);
    }
    let total = pillion.metric("pillion_request_duration_seconds_sum{kind=\"sse\"}")
        + pillion.metric("pillion_request_duration_seconds_sum{kind=\"websocket\"}");
    assert!(total < open.as_secs_f64(), "{total} s of three streams that were open for {open:?} each");
}
