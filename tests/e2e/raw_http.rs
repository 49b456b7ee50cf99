//! Bytes that two servers could understand differently: the status, whether the connection ends, and that the next
//! request on it is none that the first one smuggled in.

use std::time::Duration;

use super::harness::engines::Engines;
use super::harness::pillion::Setup;
use super::harness::scripted::{Reply, Scripted};

pub const TESTS: &[super::Test] = &[
    ("framing", framing),
    ("smuggled_requests_never_run", smuggled_requests_never_run),
    ("headers_are_limited", headers_are_limited),
    ("the_next_request_is_unharmed", the_next_request_is_unharmed),
    ("clients_that_leave", clients_that_leave),
    ("kinds_of_requests_take_turns", kinds_of_requests_take_turns),
    ("half_a_request_comes_early", half_a_request_comes_early),
];

/// Name, bytes, status; zero means that the connection just ends.
const FRAMING: &[(&str, &str, u16)] = &[
    ("two different lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    ("the same length twice", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", 400),
    ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nab", 400),
    ("a sign before the length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nab", 400),
    ("a hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\nab", 400),
    ("an endless length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nab", 400),
    ("an unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    (
        "chunked, but not last",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "two codings",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("a coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    ("a folded header", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
    ("no host", "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", 400),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("a zero byte", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    ("TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    ("GET with a body", "GET /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", 400),
    ("an expectation nobody can meet", "POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 2\r\n\r\nab", 417),
    (
        "a credential that is for one hop",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: authorization\r\nAuthorization: b\r\n\r\n",
        400,
    ),
    ("a role that is for one hop", "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hasura-Role\r\n\r\n", 400),
    ("two roles", "GET / HTTP/1.1\r\nHost: a\r\nX-Hasura-Role: a\r\nX-Hasura-Role: b\r\n\r\n", 400),
    (
        "a negative chunk",
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n0\r\n\r\n",
        400,
    ),
    (
        "a chunk of no number",
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nab\r\n0\r\n\r\n",
        400,
    ),
];

fn framing(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    for path in ["/", "/graphql"] {
        engine.on_path(path, Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    }
    let pillion = Setup::before(engine.port).with_shop(handlers.port).start().wait_until_ready();
    // What is posted to a GraphQL path is read by another reader than the rest.
    let posted = FRAMING.iter().filter(|(_, bytes, _)| bytes.starts_with("POST / "));
    let posted = posted.map(|(name, bytes, status)| (*name, bytes.replacen("POST / ", "POST /graphql ", 1), *status));
    let as_written = FRAMING.iter().map(|(name, bytes, status)| (*name, (*bytes).to_owned(), *status));
    for (name, bytes, status) in as_written.chain(posted) {
        let mut client = pillion.client();
        client.send(bytes.as_bytes());
        let answer = client.answer().unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(answer.status(), status, "{name}: {bytes}: {}", answer.text());
        if status == 405 && !name.contains("CONNECT") {
            assert!(answer.text().contains("not served"), "{name}: {}", answer.text());
        }
        assert!(client.is_closed(), "{name}: the connection goes on");
    }
}

fn smuggled_requests_never_run(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    for path in ["/", "/graphql"] {
        engine.on_path(path, Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    }
    let pillion = Setup::before(engine.port).with_shop(handlers.port).start().wait_until_ready();
    for path in ["/", "/graphql"] {
        engine.take_seen();
        let mut client = pillion.client();
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}").as_bytes());
        client.answer();
        while client.answer().is_some() {}
        let seen = engine.take_seen();
        assert!(seen.iter().all(|seen| seen.path() != "/smuggled"), "{path}");
        let framed = seen.iter().filter(|seen| seen.header("x-request-id") != Some("pillion-probe"));
        for seen in framed {
            assert!(seen.header("content-length").is_none() || seen.header("transfer-encoding").is_none(), "{seen:?}");
        }
    }
    // Bytes after an upgrade that nobody has granted are no request either.
    engine.take_seen();
    let mut client = pillion.client();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_eq!(client.answer().expect("an answer").status(), 200);
    assert!(engine.take_seen().iter().all(|seen| seen.header("upgrade").is_none()));
}

fn headers_are_limited(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    let many = "X: y\r\n".repeat(150);
    let long = format!("X: {}\r\n", "y".repeat(40_000));
    for headers in [many, long] {
        let mut client = pillion.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes());
        assert_eq!(client.answer().expect("an answer").status(), 431);
    }
    assert_eq!(pillion.metric("pillion_rejected_requests_total{reason=\"bad-request\"}"), 2.0);
}

fn the_next_request_is_unharmed(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    let mut client = pillion.client();
    let whole =
        r#"{"query":"query ($a: Int) { count maybe(code: \"é\") { total } }","variables":{"a":[1,{"b":null}]}}"#;
    handlers.on_path("/maybe", Reply::json("null"));
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let cut = &whole[..end];
        let answer = client.post(cut);
        let expected = if cut.contains("count") || cut.contains("maybe") {
            answer.status() == 400
        } else {
            answer.status() >= 400
        };
        assert!(expected, "{cut}: {} {}", answer.status(), answer.text());
        assert_eq!(client.ask("{ count }").text(), r#"{"data":{"count":1}}"#, "after {cut}");
    }
    let nested = format!("{{ count {}{} }}", "a{".repeat(50_000), "}".repeat(50_000));
    let aliases: String = (0..10_000).map(|index| format!("a{index}:count ")).collect();
    let deep_json = format!(r#"{{"query":"{{count}}","variables":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for document in [nested, format!("{{ {aliases} }}")] {
        let answer = client.ask(&document).text();
        assert!(answer.contains("query-limit-exceeded"), "{}", &answer[..200.min(answer.len())]);
        assert_eq!(client.ask("{ count }").text(), r#"{"data":{"count":1}}"#);
    }
    assert_eq!(client.post(&deep_json).status(), 400);
    assert_eq!(
        client
            .request("POST", "/graphql", &[("Content-Type", "application/json")], b"{\"query\":\"{count\xff}\"}")
            .status(),
        400
    );
    let utf16: Vec<u8> = r#"{"query":"{count}"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(
        pillion.client().request("POST", "/graphql", &[("Content-Type", "application/json")], &utf16).status(),
        400
    );
    let with_mark = [b"\xef\xbb\xbf", r#"{"query":"{count}"}"#.as_bytes()].concat();
    let answer = client.request("POST", "/graphql", &[("Content-Type", "application/json")], &with_mark);
    assert_eq!(answer.text(), r#"{"data":{"count":1}}"#);
}

fn clients_that_leave(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    for bytes in [
        &b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{\"query\":\"{ cou"[..],
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"q",
        b"POST /graphql HTT",
    ] {
        pillion.client().send(bytes);
    }
    assert_eq!(pillion.client().ask("{ count }").text(), r#"{"data":{"count":1}}"#);
    super::harness::wait_until("nothing in flight", || pillion.metric("pillion_requests_in_flight") == 0.0);
    assert_eq!(pillion.metric("pillion_buffered_bytes"), 0.0);
    assert_eq!(handlers.take_seen().len(), 1);
}

/// On one connection, whole, byte by byte, and with the next request right behind.
fn kinds_of_requests_take_turns(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    let post = |head: &str, body: &str| {
        format!("POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{head}\r\n{body}")
    };
    let (ours, engines_own) = (r#"{"query":"{ count }"}"#, r#"{"query":"{ __typename }"}"#);
    let plain = |body: &str| post(&format!("Content-Length: {}\r\n", body.len()), body);
    let chunked = post("Transfer-Encoding: chunked\r\n", &format!("{:x}\r\n{ours}\r\n0\r\n\r\n", ours.len()));
    let get = "GET /graphql?query=%7Bcount%7D HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
    let (count, name) = (r#"{"data":{"count":1}}"#, r#"{"data":{"__typename":"Query"}}"#);
    let plain_ours = (plain(ours), count);
    for other in [(chunked, count), (get, count), (plain(engines_own), name)] {
        let turns = [&plain_ours, &other, &plain_ours, &other, &other, &plain_ours];
        let all: String = turns.iter().map(|(request, _)| request.as_str()).collect();
        for step in [all.len(), 1, 37] {
            let mut client = pillion.client();
            for piece in all.as_bytes().chunks(step) {
                client.send(piece);
            }
            for (request, expected) in turns {
                let answer = client.answer();
                let answer = answer.unwrap_or_else(|| panic!("no answer to {request} in steps of {step}"));
                assert_eq!(answer.text(), *expected, "{request} in steps of {step}");
            }
        }
    }
    let mut client = pillion.client();
    client.send(post(&format!("Content-Length: {}\r\nConnection: close\r\n", ours.len()), ours).as_bytes());
    assert_eq!(client.answer().expect("an answer").header("connection"), Some("close"));
    assert!(client.is_closed());
}

/// With the one before it, and the rest while that is worked on.
fn half_a_request_comes_early(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(300), Box::new(Reply::json("1"))));
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    let body = r#"{"query":"{ count }"}"#;
    let head = "HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length:";
    let post = format!("POST /graphql {head} {}\r\n\r\n{body}", body.len());
    let get = "GET /graphql?query=%7Bcount%7D HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
    for (first, second) in [(&get, &get), (&get, &post), (&post, &post), (&post, &get)] {
        let (early, late) = second.split_at(13);
        let mut client = pillion.client();
        client.send(format!("{first}{early}").as_bytes());
        std::thread::sleep(Duration::from_millis(100));
        client.send(late.as_bytes());
        for _ in 0..2 {
            assert_eq!(client.answer().expect("an answer").text(), r#"{"data":{"count":1}}"#, "{first}{second}");
        }
    }
}
