//! Replay: what may be sent again after a connection broke, and what is never sent twice.

use pillion_test_support::engines::Engines;
use pillion_test_support::message::Message;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::trials;

/// The tests.
pub const TESTS: &[super::Test] = trials![
    mutations_are_never_sent_twice,
    writes_are_sent_once_however_they_are_named,
    a_broken_handler_call_is_sent_once,
];

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

fn a_broken_handler_call_is_sent_once(engines: &Engines) {
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
        assert!(answer.contains("the connection to the handler broke"), "{answer}");
        assert_eq!(handlers.take_seen().len(), times, "{config}");
    }
}
