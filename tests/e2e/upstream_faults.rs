//! An upstream that is down, slow, breaks off or restarts.

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{free_port, trials, wait_until};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    the_upstream_goes_down_and_recovers,
    the_upstream_is_slow,
    truncated_responses_are_errors,
    the_upstream_restarts_repeatedly,
];

fn the_upstream_goes_down_and_recovers(_: &Engines) {
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

fn the_upstream_is_slow(_: &Engines) {
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

fn truncated_responses_are_errors(_: &Engines) {
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
        assert_eq!(answer["errors"][0]["message"], "the connection to the handler broke", "cut at {cut}");
    }
}

fn the_upstream_restarts_repeatedly(_: &Engines) {
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
