//! Bytes that two servers could understand differently: the status, whether the connection ends, and that the next
//! request on it is none that the first one smuggled in.

use std::time::Duration;

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::trials;

pub const TESTS: &[super::Test] = trials![
    framing,
    smuggled_requests_never_run,
    headers_are_limited,
    the_next_request_is_not_affected,
    client_disconnects,
    mixed_requests_on_one_connection,
    a_partial_pipelined_request,
    valid_chunks_pass,
    odd_responses_do_not_reach_the_client,
    long_names_are_not_repeated,
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
        "a length and a coding",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a tab in the target", "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a zero byte in the target", "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a control character in the target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a target without a slash", "GET x?t HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("only a query", "GET ?x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a target that could be another host", "GET @evil/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a target that could be a port", "GET :80/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a host as a target", "GET h:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a whole address", "GET http://a/graphql HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a fragment after a path that is read by us", "POST /#b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", 400),
    ("a star for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a method in small letters", "post / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", 400),
    ("a method with something before it", "xxxGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a long method", "ABCDEFGHIJKLMNOPQRSTU / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("an empty host", "GET / HTTP/1.1\r\nHost: \r\n\r\n", 400),
    ("a space in the host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("a path in the host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("a list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    ("a host that is a colon", "GET / HTTP/1.1\r\nHost: :\r\n\r\n", 400),
    ("a login in the host", "POST / HTTP/1.1\r\nHost: a@b\r\nContent-Length: 2\r\n\r\nab", 400),
    ("a host with two ports", "POST / HTTP/1.1\r\nHost: a:1:2\r\nContent-Length: 2\r\n\r\nab", 400),
    (
        "an address of a proxy that is for one hop",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Forwarded-For\r\n\r\n",
        400,
    ),
    ("another of the kind", "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Real-IP\r\n\r\n", 400),
    ("a standard one", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Forwarded\r\n\r\n", 400),
    ("a certificate", "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Client-Cert\r\n\r\n", 400),
    (
        "a line feed in a chunk's extension",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\n2c\r\n0\r\n\r\n",
        400,
    ),
    ("no size of a chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n", 400),
    ("only an extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n;a\r\n\r\n", 400),
    ("a blank for a size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n \r\n\r\n", 400),
    ("a blank after a size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0 \r\n\r\n", 400),
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
        let answer = client.read_response().unwrap_or_else(|| panic!("{name}: no response"));
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
        client.read_response();
        while client.read_response().is_some() {}
        let seen = engine.take_seen();
        assert!(seen.iter().all(|seen| seen.path() != "/smuggled"), "{path}");
        let framed = seen.iter().filter(|seen| seen.header("x-request-id") != Some("pillion-probe"));
        for seen in framed {
            assert!(seen.header("content-length").is_none() || seen.header("transfer-encoding").is_none(), "{seen:?}");
        }
    }
    // What is one request to some readers is two to others.
    for odd in ["2;\nxx\r\n2c\r\n0\r\n\r\n", "\r\n\r\n", ";a\r\n\r\n", " \r\n\r\n", "0\r\nX: y\n\n", "0\r\n Y\r\n\r\n"]
    {
        for path in ["/", "/graphql"] {
            for step in [1, 7, 10_000] {
                engine.take_seen();
                let mut client = pillion.client();
                let all = format!(
                    "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{odd}\
                     GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
                );
                for piece in all.as_bytes().chunks(step) {
                    client.send(piece);
                }
                let first = client.read_response().map(|answer| answer.status());
                // A bad trailer ends the connection at once.
                assert!(first == Some(200) || first.is_none() && odd.starts_with('0'), "{odd:?}: {first:?}");
                while client.read_response().is_some() {}
                assert!(engine.take_seen().iter().all(|seen| seen.path() != "/smuggled"), "{path} {odd:?}");
            }
        }
    }
    // Bytes after an upgrade that nobody has granted are no request either.
    engine.take_seen();
    let mut client = pillion.client();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_eq!(client.read_response().expect("a response").status(), 200);
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
        assert_eq!(client.read_response().expect("a response").status(), 431);
    }
    assert_eq!(pillion.metric("pillion_rejected_requests_total{reason=\"bad-request\"}"), 2.0);
}

fn the_next_request_is_not_affected(engines: &Engines) {
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

fn client_disconnects(engines: &Engines) {
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
    pillion_test_support::wait_until("nothing in flight", || pillion.metric("pillion_requests_in_flight") == 0.0);
    pillion.wait_until_nothing_is_held();
    assert_eq!(handlers.take_seen().len(), 1);
}

/// On one connection, whole, byte by byte, and with the next request right behind.
fn mixed_requests_on_one_connection(engines: &Engines) {
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
                let answer = client.read_response();
                let answer = answer.unwrap_or_else(|| panic!("no response to {request} in steps of {step}"));
                assert_eq!(answer.text(), *expected, "{request} in steps of {step}");
            }
        }
    }
    let mut client = pillion.client();
    client.send(post(&format!("Content-Length: {}\r\nConnection: close\r\n", ours.len()), ours).as_bytes());
    assert_eq!(client.read_response().expect("a response").header("connection"), Some("close"));
    assert!(client.is_closed());
}

/// With the one before it, and the rest while that is worked on.
fn a_partial_pipelined_request(engines: &Engines) {
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
            assert_eq!(
                client.read_response().expect("a response").text(),
                r#"{"data":{"count":1}}"#,
                "{first}{second}"
            );
        }
    }
}

/// Extensions, trailers and large chunks, in pieces of every size, and a request right behind.
fn valid_chunks_pass(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    handlers.on_path("/count", Reply::json("1"));
    for path in ["/", "/graphql"] {
        engine.on_path(path, Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    }
    let pillion = Setup::before(engine.port).with_shop(handlers.port).start().wait_until_ready();
    let query = r#"{"query":"{ __typename }"}"#;
    let body = format!("{query}{}", " ".repeat(20_000));
    let (first, second) = body.split_at(10);
    let chunks =
        format!("a;x=y;z=\"\\\"\"\r\n{first}\r\n{:X}\r\n{second}\r\n0;last\r\nA: b\r\nC:\r\n\r\n", second.len());
    for path in ["/", "/graphql"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n");
        let all = format!("\r\n{head}Transfer-Encoding: chunked\r\n\r\n{chunks}GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        for step in [1, 13, all.len()] {
            engine.take_seen();
            let mut client = pillion.client();
            for piece in all.as_bytes().chunks(step) {
                client.send(piece);
            }
            for _ in 0..2 {
                assert_eq!(
                    client.read_response().map(|answer| answer.status()),
                    Some(200),
                    "{path} in steps of {step}"
                );
            }
            assert!(engine.take_seen().iter().any(|seen| seen.text() == body), "{path} in steps of {step}");
        }
    }
}

fn odd_responses_do_not_reach_the_client(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    let pillion = Setup::before(engine.port).with_shop(handlers.port).start().wait_until_ready();
    let chunks = "1\r\na\r\n0\r\n\r\n";
    for head in [
        "200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "200 OK\r\nTransfer-Encoding: , chunked",
        "200 OK\r\nTransfer-Encoding: gzip, chunked",
        "200 OK\r\nTransfer-Encoding: identity",
        "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x",
    ] {
        engine.on_path("/other", Reply::Raw(format!("HTTP/1.1 {head}\r\n\r\n{chunks}").into_bytes()));
        let answer = pillion.client().request("GET", "/other", &[], b"");
        assert_eq!(answer.status(), 502, "{head}: {answer:?}");
    }
    // What only one reading is left of goes on in that reading.
    for head in ["Transfer-Encoding : chunked", "Content-Length: 12\r\nTransfer-Encoding: chunked"] {
        engine.on_path("/other", Reply::Raw(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{chunks}").into_bytes()));
        let answer = pillion.client().request("GET", "/other", &[], b"");
        assert_eq!((answer.status(), answer.text()), (200, "a".into()), "{head}: {answer:?}");
        assert_eq!(answer.all("transfer-encoding"), ["chunked"], "{head}: {answer:?}");
        assert_eq!(answer.header("content-length"), None, "{head}: {answer:?}");
    }
}

fn long_names_are_not_repeated(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    let long = "n".repeat(200_000);
    for document in [
        format!("{{ count {long} }}"),
        format!("{{ count {{ {long} }} }}"),
        format!("{{ count(a: ${long}) }}"),
        format!("{{ search(filter: {{ {long}: 1 }}) {{ id }} }}"),
        format!("query {long} {{ count {{ x }} }}"),
    ] {
        let answer = pillion.client().ask(&document);
        assert!(answer.text().contains("errors"), "{}", &answer.text()[..100]);
        assert!(answer.body.len() < 30_000, "{} bytes: {}", answer.body.len(), &answer.text()[..200]);
    }
}
