//! An upstream that is down, slow, or breaks off; handlers that close connections.

use std::time::Duration;

use super::harness::engines::Engines;
use super::harness::message::Message;
use super::harness::pillion::Setup;
use super::harness::scripted::{Reply, Scripted};
use super::harness::{free_port, gzip, wait_until};

pub const TESTS: &[super::Test] = &[
    ("the_engine_is_down_and_comes_back", the_engine_is_down_and_comes_back),
    ("the_engine_is_slow", the_engine_is_slow),
    ("half_an_answer_is_never_a_whole_one", half_an_answer_is_never_a_whole_one),
    ("mutations_are_never_sent_twice", mutations_are_never_sent_twice),
    ("writes_are_sent_once_however_they_are_named", writes_are_sent_once_however_they_are_named),
    ("a_call_that_breaks_off_is_made_once", a_call_that_breaks_off_is_made_once),
    ("a_handler_that_closes_connections", a_handler_that_closes_connections),
    ("connections_are_used_again", connections_are_used_again),
    ("compressed_answers_of_handlers", compressed_answers_of_handlers),
    ("an_engine_that_restarts_again_and_again", an_engine_that_restarts_again_and_again),
];

fn the_engine_is_down_and_comes_back(_: &Engines) {
    let port = free_port();
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let setup = Setup::before(port).with_shop(handlers.port).config("upstream: {health_check_interval: 100ms}\n");
    let pillion = setup.start();
    wait_until("the first look", || pillion.admin("/readyz").1.contains("cannot be reached"));
    assert_eq!(pillion.admin("/healthz").0, 200);

    let mut client = pillion.client();
    let answer = client.ask("{ productById(id: 1) { name } }");
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(answer.json()["errors"][0]["extensions"]["code"], "upstream-error");
    let headers = [("Content-Type", "application/json"), ("Accept", "application/graphql-response+json")];
    let answer = pillion.client().request("POST", "/graphql", &headers, br#"{"query":"{a}"}"#);
    assert_eq!(answer.header("content-type"), Some("application/graphql-response+json; charset=utf-8"));
    let long = format!(r#"{{"query":"{{a}}","x":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(pillion.client().post(&long).status(), 502);

    // Actions need no upstream, and in a mixed document they are not hidden by its absence.
    assert_eq!(pillion.client().ask("{ count }").text(), r#"{"data":{"count":1}}"#);
    let mixed = pillion.client().ask("{ count a b }").json();
    assert_eq!(mixed["data"], serde_json::json!({ "count": 1, "a": null, "b": null }));
    assert_eq!(mixed["errors"].as_array().map(Vec::len), Some(2));
    assert_eq!(mixed["errors"][0]["path"], serde_json::json!(["a"]));

    let engine = Scripted::start_on(port);
    engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    let pillion = pillion.wait_until_ready();
    assert_eq!(pillion.client().ask("{ __typename }").status(), 200);
}

fn the_engine_is_slow(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_path("/graphql", Reply::Hang);
    handlers.on_path("/count", Reply::json("1"));
    let config = "upstream: {request_timeout: 300ms, stream_idle_timeout: 300ms}\n";
    let pillion = Setup::before(engine.port).with_shop(handlers.port).config(config).start();
    let answer = pillion.client().ask("{ a }");
    assert_eq!((answer.status(), &answer.json()["errors"][0]["extensions"]["code"]), (504, &"upstream-timeout".into()));
    let long = format!(r#"{{"query":"{{a}}","x":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(pillion.client().post(&long).status(), 504);
    let mixed = pillion.client().ask("{ a count }").json();
    assert_eq!(mixed["data"], serde_json::json!({ "a": null, "count": 1 }));
    assert_eq!(mixed["errors"][0]["extensions"]["code"], "upstream-timeout");
}

fn half_an_answer_is_never_a_whole_one(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    let pillion = Setup::before(engine.port).with_shop(handlers.port).start();
    let whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"data\":{\"a\":12}}";
    handlers.on_path("/count", Reply::json("1"));
    for cut in (0..whole.len()).step_by(3) {
        engine.on_path("/graphql", Reply::Raw(whole[..cut].to_vec()));
        let mixed = pillion.client().ask("{ a count }").json();
        assert_eq!(mixed["data"], serde_json::json!({ "a": null, "count": 1 }), "cut at {cut}");
    }
    engine.on_path("/graphql", Reply::Raw(whole.to_vec()));
    assert_eq!(pillion.client().ask("{ a count }").text(), r#"{"data":{"a":12,"count":1}}"#);

    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7";
    for cut in 0..whole.len() {
        handlers.on_path("/count", Reply::Raw(whole[..cut].to_vec()));
        let answer = pillion.client().ask("{ count }").json();
        assert_eq!(answer["errors"][0]["message"], "http exception when calling webhook", "cut at {cut}");
    }
}

fn mutations_are_never_sent_twice(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    let pillion = Setup::before(engine.port).with_shop(handlers.port).start();
    handlers.on_path("/sendCode", Reply::json("true"));
    for document in [r#"mutation { pay }"#, r#"mutation { sendCode(phone: "1") pay }"#] {
        engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
        // A connection that has been used, so that a repetition would be possible.
        pillion.client().ask("{ __typename }");
        engine.take_seen();
        engine.on_path("/graphql", Reply::Close);
        let answer = pillion.client().ask(document).text();
        assert!(answer.contains("upstream-error"), "{answer}");
        let seen = engine.take_seen().into_iter().filter(|seen| seen.text().contains("pay")).count();
        assert_eq!(seen, 1, "{document}");
        if document.contains("sendCode") {
            assert!(answer.contains(r#""completed":["sendCode"]"#), "{answer}");
        }
    }
}

/// On a connection that was kept and dies without a response.
fn writes_are_sent_once_however_they_are_named(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    let pillion = Setup::before(engine.port).with_shop(handlers.port).flag("--threads=1").start();
    handlers.on_path("/count", Reply::json("1"));
    let hash = r#"{"persistedQuery":{"version":1,"sha256Hash":"mark"}}"#;
    let posted = [
        (r#"{"query":"mutation { mark }"}"#.to_owned(), 1),
        (r#"{"query":"\u006dutation { mark }"}"#.to_owned(), 1),
        (format!(r#"{{"extensions":{hash}}}"#), 1),
        (format!(r#"{{"query":"{{ a }}","extensions":{hash}}}"#), 1),
        (r#"{"documentId":"mark"}"#.to_owned(), 1),
        (r#"{"id":"mark"}"#.to_owned(), 1),
        (r#"{"query":"{ a }","id":"mark"}"#.to_owned(), 1),
        (r#"[{"query":"{ a }"},{"id":"mark"}]"#.to_owned(), 1),
        (format!(r#"[{{"extensions":{hash}}},{{"extensions":{hash}}}]"#), 1),
        (r#"[{"query":"{ mark }"},{"query":"mutation { a }"}]"#.to_owned(), 1),
        // One element is ours, so each of the others is sent on its own.
        (format!(r#"[{{"query":"{{ count }}"}},{{"extensions":{hash}}}]"#), 1),
        // What only reads is sent again.
        (r#"{"query":"{ mark }"}"#.to_owned(), 2),
        (r#"[{"query":"{ mark }"},{"query":"{ b }"}]"#.to_owned(), 2),
        (r#"{"query":"{ mark count }"}"#.to_owned(), 2),
    ];
    let got = ["id=mark", "extensions=%7B%22persistedQuery%22%3A%22mark%22%7D", "query=mutation%7Bmark%7D"];
    let got = got.map(|query| (query, 1)).into_iter().chain([("query=%7Bmark%7D", 2)]);
    let posted = posted.into_iter().map(|(body, times)| ("POST", "/graphql".to_owned(), body, times));
    let posted = posted.chain([("POST", "/graphql?id=mark".to_owned(), r#"{"query":"{ a }"}"#.to_owned(), 1)]);
    let got = got.map(|(query, times)| ("GET", format!("/graphql?{query}"), String::new(), times));
    for (method, path, body, times) in posted.chain(got) {
        let headers: &[(&str, &str)] = if method == "POST" { &[("Content-Type", "application/json")] } else { &[] };
        engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
        // A connection that has been used, so that a repetition would be possible.
        pillion.client().ask("{ __typename }");
        pillion.client().ask("{ __typename count }");
        pillion.client().request("GET", "/graphql?query=%7B__typename%7D", &[], b"");
        engine.take_seen();
        engine.on_path("/graphql", Reply::Close);
        let answer = pillion.client().request(method, &path, headers, body.as_bytes()).text();
        assert!(answer.contains("upstream-error"), "{answer}");
        let is_it = |seen: &Message| seen.text().contains("mark") || seen.path().contains("mark");
        let seen = engine.take_seen().into_iter().filter(is_it).count();
        assert_eq!(seen, times, "{method} {path} {body}");
    }
}

fn a_call_that_breaks_off_is_made_once(engines: &Engines) {
    let handlers = Scripted::start();
    let start = |config: &str| {
        let setup = Setup::before(engines.postgraphile).with_shop(handlers.port).flag("--threads=1");
        setup.config(config).start().wait_until_ready()
    };
    for (config, times) in [("handlers: {max_retries: 0}\n", 1), ("handlers: {max_retries: 1}\n", 2)] {
        let pillion = start(config);
        handlers.on_path("/count", Reply::json("1"));
        assert_eq!(pillion.client().ask("{ count }").text(), r#"{"data":{"count":1}}"#);
        handlers.take_seen();
        handlers.on_path("/count", Reply::Close);
        let answer = pillion.client().ask("{ count }").text();
        assert!(answer.contains("http exception when calling webhook"), "{answer}");
        assert_eq!(handlers.take_seen().len(), times, "{config}");
    }
}

fn a_handler_that_closes_connections(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    handlers.on_path("/sendCode", Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue".to_vec()));
    let mut client = pillion.client();
    for _ in 0..50 {
        let answer = client.ask(r#"mutation { sendCode(phone: "1") }"#);
        assert_eq!(answer.text(), r#"{"data":{"sendCode":true}}"#);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(handlers.take_seen().len(), 50);
}

fn connections_are_used_again(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_path("/graphql", Reply::json(r#"{"data":{"a":1}}"#));
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(engine.port).with_shop(handlers.port).flag("--threads=1").start().wait_until_ready();
    let mut client = pillion.client();
    for _ in 0..20 {
        client.ask("{ a }");
        client.ask("{ a count }");
    }
    // One for each of: what streams through, the upstream's parts, and our own look at the upstream.
    assert!(engine.connections() <= 4, "{} connections to the upstream", engine.connections());
    assert!(handlers.connections() <= 2, "{} connections to the handlers", handlers.connections());
}

fn compressed_answers_of_handlers(engines: &Engines) {
    let handlers = Scripted::start();
    let config = "limits: {max_handler_response_size: 100KiB}\n";
    let pillion =
        Setup::before(engines.postgraphile).with_shop(handlers.port).config(config).start().wait_until_ready();
    let answer = |encoding: &str, body: Vec<u8>| {
        let headers = vec![("Content-Encoding".to_owned(), encoding.to_owned())];
        handlers.on_path("/count", Reply::Answer { status: 200, headers, body });
        pillion.client().ask("{ count }").text()
    };
    let good = r#"{"data":{"count":42}}"#;
    assert_eq!(answer("gzip", gzip(b"42")), good);
    let mut brotlied = Vec::new();
    std::io::Write::write_all(&mut brotli::CompressorWriter::new(&mut brotlied, 4096, 5, 20), b"42").expect("memory");
    assert_eq!(answer("br", brotlied), good);
    let bomb = gzip(&vec![b' '; 50_000_000]);
    assert!(answer("gzip", bomb).contains("http exception when calling webhook"));
    assert!(answer("gzip", b"not gzip".to_vec()).contains("http exception when calling webhook"));
    assert!(answer("zstd", b"42?".to_vec()).contains("not a valid json response from webhook"));
}

fn an_engine_that_restarts_again_and_again(_: &Engines) {
    let port = free_port();
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(port).with_shop(handlers.port).start();
    for round in 0..20 {
        let engine = Scripted::start_on(port);
        engine.on_path("/graphql", Reply::json(r#"{"data":{"a":1}}"#));
        // Connections of the upstream before are dead by now; nobody may be given one of them.
        for document in ["{ a }", "{ a count }", "{ a }"] {
            let answer = pillion.client().ask(document);
            assert!(answer.text().starts_with(r#"{"data":{"a":1"#), "round {round}: {}", answer.text());
        }
    }
}
