//! What is none of ours passes byte for byte: any size, any method, chunked or not, compressed or not.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{gzip, trials};

pub const TESTS: &[super::Test] = trials![
    bodies_of_every_size,
    a_connection_goes_on_after_100_continue,
    responses_stream,
    every_method_and_path,
    compressed_bodies_are_scanned,
    large_bodies_pass,
    large_bodies_with_an_action_are_rejected,
    an_upstream_that_stops_reading,
    passthrough_responses_are_unchanged,
];

fn stage() -> (Scripted, Scripted, pillion_test_support::pillion::Pillion) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(engine.port).with_shop(handlers.port).start().wait_until_ready();
    engine.take_seen();
    (engine, handlers, pillion)
}

fn body(length: usize) -> Vec<u8> {
    let start = r#"{"query":"{ a }","x":""#;
    let mut body = start.as_bytes().to_vec();
    // No byte is like its neighbour, so that a lost or doubled piece shows.
    body.extend(
        (0..length - start.len() - 2)
            .map(|index| b'A' + u8::try_from((index * 7 + index / 251) % 26).expect("a letter")),
    );
    body.extend_from_slice(b"\"}");
    body
}

fn bodies_of_every_size(_: &Engines) {
    let (engine, _handlers, pillion) = stage();
    for length in [64, 63 * 1024, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 65 * 1024, 1024 * 1024, 9 * 1024 * 1024] {
        let body = body(length);
        let digest = |seen: &[u8]| seen == body.as_slice();
        let mut client = pillion.client();
        let head = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-Keep: 1\r\n";

        client.send(&[format!("{head}Content-Length: {length}\r\n\r\n").as_bytes(), &body].concat());
        assert_eq!(client.read_response().expect("a response").status(), 200, "{length}");

        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
        for chunk in body.chunks(10_007) {
            client.send(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        client.send(b"0\r\n\r\n");
        // A request pipelined behind a chunked one would have to wait, so a new connection is as good.
        assert_eq!(client.read_response().expect("a response").status(), 200, "{length} in chunks");

        let mut client = pillion.client();
        client.send(format!("{head}Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n").as_bytes());
        assert_eq!(client.read_response().expect("leave to go on").status(), 100, "{length}");
        client.send(&body);
        assert_eq!(client.read_response().expect("a response").status(), 200, "{length} after 100");

        let seen = engine.take_seen();
        let seen: Vec<_> = seen.iter().filter(|seen| seen.header("x-keep").is_some()).collect();
        assert_eq!(seen.len(), 3, "{length}");
        assert!(seen.iter().all(|seen| digest(&seen.body)), "{length}: the upstream saw something else");
    }
    pillion.wait_until_nothing_is_held();
}

/// A client that waits for leave to send its body has its connection for later requests all the same.
fn a_connection_goes_on_after_100_continue(_: &Engines) {
    let (engine, _handlers, pillion) = stage();
    engine.on_path(Scripted::OTHERWISE, Reply::json("{}"));
    let mut client = pillion.client();
    for path in ["/graphql", "/other", "/graphql"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n");
        client.send(format!("{head}Expect: 100-continue\r\nContent-Length: 17\r\n\r\n").as_bytes());
        assert_eq!(client.read_response().expect("leave to go on").status(), 100, "{path}");
        client.send(br#"{"query":"{ a }"}"#);
        let response = client.read_response().expect("a response");
        assert_eq!((response.status(), response.header("connection")), (200, Some("keep-alive")), "{path}");
    }
}

fn responses_stream(_: &Engines) {
    // An upstream whose response takes its time: the first half must be here before the second is sent.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let Ok(Some(head)) = pillion_test_support::message::read_head(&mut stream) else { return };
                let _ = pillion_test_support::message::read_body(&mut stream, &head, false);
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
                );
                std::thread::sleep(Duration::from_millis(600));
                let _ = stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n");
            });
        }
    });
    let handlers = Scripted::start();
    let pillion = Setup::before(port).with_shop(handlers.port).start();
    for body in [body(100), body(100_000)] {
        let mut client = pillion.client();
        let started = Instant::now();
        client.send(format!("POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
        client.send(&body);
        let head = pillion_test_support::message::read_head(client.stream()).expect("a head").expect("a head");
        let mut first = [0; 8];
        client.stream().read_exact(&mut first).expect("the first chunk");
        assert!(first.ends_with(b"first"), "{first:?}");
        assert!(started.elapsed() < Duration::from_millis(500), "the response was held back");
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        let mut rest = [0; 2 + 3 + 6 + 2 + 5];
        client.stream().read_exact(&mut rest).expect("the rest");
        assert!(rest.windows(6).any(|window| window == b"second"));
    }
}

fn every_method_and_path(_: &Engines) {
    let (engine, _handlers, pillion) = stage();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"] {
        engine.on_path(
            "/console/api",
            Reply::Answer {
                status: 207,
                headers: vec![("X-Own".into(), "Value".into())],
                body: if method == "HEAD" { vec![] } else { b"any { count }".to_vec() },
            },
        );
        let mut client = pillion.client();
        let body: &[u8] = if matches!(method, "GET" | "HEAD" | "OPTIONS") { b"" } else { b"{ count }" };
        let answer = client.request(method, "/console/api?x=%7Bcount%7D", &[("X-Mine", "1")], body);
        assert_eq!((answer.status(), answer.header("x-own")), (207, Some("Value")), "{method}");
        let seen = engine.take_seen();
        let seen = seen.iter().find(|seen| seen.header("x-mine").is_some()).expect("the request");
        assert_eq!(seen.start, format!("{method} /console/api?x=%7Bcount%7D HTTP/1.1"));
        assert_eq!((seen.header("host"), seen.body.as_slice()), (Some("api.example"), body), "{method}");
    }
    for method in ["OPTIONS", "PUT", "DELETE"] {
        assert_eq!(pillion.client().request(method, "/graphql", &[], b"").status(), 200, "{method}");
    }
}

fn compressed_bodies_are_scanned(_: &Engines) {
    let (engine, handlers, pillion) = stage();
    let json = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    let plain = gzip(br#"{"query":"{ a }"}"#);
    assert_eq!(pillion.client().request("POST", "/graphql", &json, &plain).status(), 200);
    let seen = engine.take_seen();
    let seen = seen.iter().find(|seen| seen.header("content-encoding").is_some()).expect("the request");
    assert_eq!(seen.body, plain, "it passes compressed as it was");

    let ours = gzip(br#"{"query":"{ count }"}"#);
    assert_eq!(pillion.client().request("POST", "/graphql", &json, &ours).text(), r#"{"data":{"count":1}}"#);
    assert_eq!(handlers.take_seen().len(), 1);

    let bomb = gzip(&vec![b' '; 200_000_000]);
    assert_eq!(pillion.client().request("POST", "/graphql", &json, &bomb).status(), 413);
    let mut cut = ours.clone();
    cut.truncate(20);
    assert_eq!(pillion.client().request("POST", "/graphql", &json, &cut).status(), 400);
    for encoding in ["gzip, gzip", "compress", "x"] {
        let headers = [("Content-Type", "application/json"), ("Content-Encoding", encoding)];
        assert_eq!(pillion.client().request("POST", "/graphql", &headers, &ours).status(), 415, "{encoding}");
    }
    assert!(handlers.take_seen().is_empty());
}

/// As large as it wants to be, in every framing, with nothing of it held.
fn large_bodies_pass(_: &Engines) {
    let (engine, _handlers, pillion) = stage();
    let length = 24 * 1024 * 1024;
    let variables = "\"count { \\\" [".repeat(1024);
    let first = body(length);
    // Variables first, with an action's name in them and all that could be taken for the end of something.
    let start = format!(
        r#"{{"variables":{{"query":"{{ count }}","a":[{{"query":"\"count"}}],"{}":1}},"x":""#,
        variables.replace('"', "\\\"")
    );
    let last = [start.as_bytes(), &first[30..length - 2], br#"","query":"{ a }"}"#].concat();
    for body in [first, last] {
        let json = [("Content-Type", "application/json"), ("X-Keep", "1")];
        assert_eq!(pillion.client().request("POST", "/graphql", &json, &body).status(), 200);
        let head = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-Keep: 1\r\n";
        let mut client = pillion.client();
        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
        for chunk in body.chunks(100_003) {
            client.send(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        client.send(b"0\r\n\r\n");
        assert_eq!(client.read_response().expect("a response").status(), 200);
        // The connection goes on.
        assert_eq!(client.ask("{ count }").text(), r#"{"data":{"count":1}}"#);
        client.send(format!("{head}Content-Length: {}\r\nExpect: 100-continue\r\n\r\n", body.len()).as_bytes());
        assert_eq!(client.read_response().expect("leave to go on").status(), 100);
        client.send(&body);
        assert_eq!(client.read_response().expect("a response").status(), 200);
        let seen = engine.take_seen();
        let seen: Vec<_> = seen.iter().filter(|seen| seen.header("x-keep").is_some()).collect();
        assert!(seen.len() == 3 && seen.iter().all(|seen| seen.body == body), "{} came", seen.len());
    }
    let memory = pillion.metric("process_resident_memory_bytes");
    assert!(memory < 150.0 * 1024.0 * 1024.0, "{memory} bytes");
    pillion.wait_until_nothing_is_held();
    // An upload, whatever its file holds.
    let part = |name: &str| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
    let upload = |document: &str| {
        let operations = format!("{}{{\"query\":\"{document}\"}}\r\n{}", part("operations"), part("0\"; filename=\"a"));
        [operations.as_bytes(), &b"{ count } ".repeat(2 * 1024 * 1024), b"\r\n--x--\r\n"].concat()
    };
    let form = [("Content-Type", "multipart/form-data; boundary=x")];
    assert_eq!(pillion.client().request("POST", "/graphql", &form, &upload("{ a }")).status(), 200);
    assert!(engine.take_seen().iter().any(|seen| seen.body == upload("{ a }")));
    let rejected = pillion.client().request("POST", "/graphql", &form, &upload("{ count }"));
    assert!(rejected.status() == 415 && rejected.text().contains("application/json"), "{}", rejected.text());
    assert!(engine.take_seen().is_empty());
    // Elsewhere nothing is looked at.
    engine.on_path("/upload", Reply::json("{}"));
    let large = vec![b'x'; 20 * 1024 * 1024];
    assert_eq!(pillion.client().request("POST", "/upload", &[], &large).status(), 200);
    assert!(engine.take_seen().iter().any(|seen| seen.body == large));
}

/// Wherever it stands: the upstream has never got all of the request.
fn large_bodies_with_an_action_are_rejected(_: &Engines) {
    let (engine, handlers, pillion) = stage();
    let filling = "x".repeat(12 * 1024 * 1024);
    let json = [("Content-Type", "application/json")];
    for body in [
        format!(r#"{{"query":"{{ count }}","x":"{filling}"}}"#),
        format!(r#"{{"x":"{filling}","query":"{{ count }}"}}"#),
        format!(r#"{{"x":"{filling}","qu\u0065ry":"{{ \u0063ount }}"}}"#),
        format!(r#"[{{"query":"{{ a }}"}},{{"x":"{filling}","query":"{{ a count }}"}}]"#),
        format!(r#"{{"query":"{{ a }}","x":"{filling}","query":"{{ count }}"}}"#),
    ] {
        let answer = pillion.client().request("POST", "/graphql", &json, body.as_bytes());
        assert_eq!((answer.status(), answer.header("connection")), (413, Some("close")), "{}", &body[..20]);
        assert!(answer.text().contains("a request with an action in it must not be larger than 10485760 bytes"));
    }
    // In chunks, of which nobody knows how many there will be.
    let mut client = pillion.client();
    client.send(
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 0x10_0000], b"\r\n"].concat();
    for _ in 0..11 {
        client.send(&chunk);
    }
    client.send(b"13\r\n{\"query\":\"{count}\"}\r\n0\r\n\r\n");
    assert!(client.read_response().is_none_or(|answer| answer.status() == 413));
    assert!(client.is_closed());
    // A compressed body is opened so far only.
    let headers = [json[0], ("Content-Encoding", "gzip")];
    for (body, status) in [
        (format!(r#"{{"query":"{{ a }}","x":"{filling}"}}"#), 200),
        (format!(r#"{{"query":"{{ count }}","x":"{filling}"}}"#), 413),
        (format!(r#"{{"x":"{filling}","query":"{{ a }}"}}"#), 413),
    ] {
        let answer = pillion.client().request("POST", "/graphql", &headers, &gzip(body.as_bytes()));
        assert_eq!(answer.status(), status, "{}", answer.text());
    }
    let seen = engine.take_seen();
    assert!(seen.len() == 1 && seen[0].header("content-encoding").is_some(), "{}", seen.len());
    assert!(handlers.take_seen().is_empty());
    pillion.wait_until_nothing_is_held();
}

/// An upstream may reject a body before it has read all of it.
fn an_upstream_that_stops_reading(_: &Engines) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let Ok(Some(_)) = pillion_test_support::message::read_head(&mut stream) else { return };
                let _ = stream.write_all(b"HTTP/1.1 413 Enough\r\nContent-Length: 2\r\n\r\nno");
                std::thread::sleep(Duration::from_secs(2));
            });
        }
    });
    let handlers = Scripted::start();
    let pillion = Setup::before(port).with_shop(handlers.port).start();
    let answer =
        pillion.client().request("POST", "/graphql", &[("Content-Type", "application/json")], &body(30_000_000));
    assert_eq!((answer.status(), answer.text().as_str()), (413, "no"));
}

fn passthrough_responses_are_unchanged(_: &Engines) {
    let (engine, _handlers, pillion) = stage();
    let strange = b" {\"data\" :{\"a\":1.0, \"a\":\"\\u00e9\" }}\n".to_vec();
    let headers = vec![
        ("Content-Type".to_owned(), "application/graphql-response+json".to_owned()),
        ("X-Own".to_owned(), "1".to_owned()),
    ];
    engine.on_path("/graphql", Reply::Answer { status: 400, headers, body: strange.clone() });
    for body in [body(100), body(100_000)] {
        let answer = pillion.client().request("POST", "/graphql", &[("Content-Type", "application/json")], &body);
        assert_eq!((answer.status(), &answer.body), (400, &strange));
        assert_eq!(
            (answer.header("content-type"), answer.header("x-own")),
            (Some("application/graphql-response+json"), Some("1"))
        );
    }
}
