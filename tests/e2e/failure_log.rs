//! The failure log: the cause of a broken handler or upstream is in one log line, in the metric's label, in what admins see
//! and in `/readyz?verbose`, and nothing of a client's request or of a response is.

use std::collections::HashMap;

use pillion_test_support::engines::Engines;
use pillion_test_support::message::Message;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::tls::Listener;
use pillion_test_support::{free_port, trials, wait_until};
use serde_json::{Value, json};

use super::harness::shop::{COUNT, ask_as_admin, start_with_secret};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    six_broken_handlers,
    four_broken_upstreams,
    a_flood_of_failures_has_few_lines,
    a_server_error_that_passes_has_a_line,
    a_denied_action_is_named,
    an_upstream_goes_away_and_comes_back,
    a_circuit_breaker_tells_when_it_opens_and_closes,
];

/// The lines with this message, as JSON.
fn lines(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

/// The only line with this message, once it is there.
fn only_line(pillion: &Pillion, message: &str) -> Value {
    wait_until(message, || !lines(&pillion.log(), message).is_empty());
    let found = lines(&pillion.log(), message);
    assert_eq!(found.len(), 1, "{}", pillion.log());
    found.into_iter().next().expect("a line")
}

/// A handler that is broken, and what is said about it.
struct BrokenHandler {
    /// `None`: nothing listens on its port.
    reply: Option<Reply>,
    kind: &'static str,
    level: &'static str,
    /// Parts of the message.
    words: &'static [&'static str],
    status: Option<u16>,
}

const QUOTE: &str = "query Checkout($c4nary: Int!) { c4nary: quote(productId: $c4nary) { c4nary: total currency } }";

/// The client learns only that there is no such field.
fn a_denied_action_is_named(engines: &Engines) {
    let pillion = start_with_secret(engines, &Scripted::start(), "");
    let answer = ask_as_admin(&pillion, &[("X-Hasura-Role", "customer")], "{ secretReport { id } }");
    assert!(answer.text().contains("secretReport") && !answer.text().contains("permission"), "{}", answer.text());
    let line = only_line(&pillion, "request");
    assert_eq!((&line["denied"], &line["role"]), (&json!("secretReport"), &json!("customer")), "{line}");
    // A field that no action has is denied to nobody.
    let pillion = start_with_secret(engines, &Scripted::start(), "");
    ask_as_admin(&pillion, &[("X-Hasura-Role", "customer")], "{ quote(productId: 1) { nothing } }");
    assert!(only_line(&pillion, "request")["denied"].is_null());
}

fn six_broken_handlers(engines: &Engines) {
    let cases = [
        BrokenHandler {
            reply: Some(Reply::Hang),
            kind: "timeout",
            level: "WARN",
            words: &["no whole response within the timeout"],
            status: None,
        },
        BrokenHandler {
            reply: None,
            kind: "connection_refused",
            level: "WARN",
            words: &["Connection refused (os error 111)"],
            status: None,
        },
        BrokenHandler {
            reply: Some(Reply::json(r#"{"productId":1,"amount":1,"total":"c4nary","currency":"CH"}"#)),
            kind: "wrong_shape",
            level: "WARN",
            words: &["at $.total: got scalar String", "expecting Float"],
            status: Some(200),
        },
        BrokenHandler {
            reply: Some(Reply::json("<c4nary>")),
            kind: "not_json",
            level: "WARN",
            words: &["status 200, and the body is not JSON"],
            status: Some(200),
        },
        BrokenHandler {
            reply: Some(Reply::status(500, r#"{"oops":"c4nary"}"#)),
            kind: "http_status",
            level: "WARN",
            words: &["status 500"],
            status: Some(500),
        },
        BrokenHandler {
            reply: Some(Reply::status(400, r#"{"message":"c4nary","extensions":{"code":"sold-out"}}"#)),
            kind: "rejected",
            level: "INFO",
            words: &["the handler rejected the call"],
            status: Some(400),
        },
    ];
    for case in cases {
        check_broken_handler(engines, &case);
    }
}

fn check_broken_handler(engines: &Engines, case: &BrokenHandler) {
    let handlers = Scripted::start();
    let port = match &case.reply {
        Some(reply) => {
            handlers.on_path("/quote", reply.clone());
            handlers.port
        }
        None => free_port(),
    };
    let setup = Setup::before(engines.postgraphile).with_shop(port).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
    // Userinfo and path of a handler's URL may hold secrets.
    let setup = setup.env("HANDLERS", &format!("http://c4nary:c4nary@127.0.0.1:{port}"));
    let pillion = setup.start().wait_until_ready();
    let body = json!({ "query": QUOTE, "variables": { "c4nary": 1 } }).to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Hasura-Admin-Secret", "s3cret"),
        ("X-Request-Id", "r3quest"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let response = pillion.client().request("POST", "/graphql?c4nary=1", &headers, body.as_bytes());

    let line = only_line(&pillion, "handler call failed");
    let BrokenHandler { kind, level, words, status, .. } = case;
    let of = |name: &str| line[name].clone();
    assert_eq!((of("error.kind"), of("level")), (json!(kind), json!(level)), "{line}");
    let message = of("error.message").as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with(&format!("127.0.0.1:{port}: ")), "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
    assert_eq!((of("server.address"), of("server.port")), (json!("127.0.0.1"), json!(port)), "{line}");
    assert_eq!(of("http.response.status_code"), json!(status), "{line}");
    assert_eq!((of("action"), of("role")), (json!("quote"), json!("admin")), "{line}");
    assert_eq!((of("request_id"), of("trace_id")), (json!("r3quest"), json!("0af7651916cd43dd8448eb211c80319c")));
    assert_eq!((of("graphql.operation.name"), of("attempts")), (json!("Checkout"), json!(1)), "{line}");
    assert!(of("duration_ms").is_number(), "{line}");
    assert!(!pillion.log().contains("c4nary"), "{}", pillion.log());

    let label = format!("pillion_handler_calls_total{{action=\"quote\",outcome=\"{kind}\"}}");
    assert_eq!(pillion.metric(&label), 1.0, "{label}");
    let internal = &response.json()["errors"][0]["extensions"]["internal"];
    match *kind {
        // There is nothing to explain about it.
        "rejected" => assert_eq!(internal, &Value::Null),
        _ => assert_eq!(internal["reason"]["kind"], *kind, "{}", response.text()),
    }
}

/// An upstream that is broken, and what is said about it.
struct BrokenUpstream {
    url: String,
    kind: &'static str,
    words: &'static str,
    level: &'static str,
}

fn four_broken_upstreams(_: &Engines) {
    let (html, refused) = (Scripted::start(), free_port());
    let page = Reply::Answer {
        status: 200,
        headers: vec![("Content-Type".into(), "text/html".into())],
        body: b"<html>c4nary</html>".to_vec(),
    };
    html.on_path(Scripted::OTHERWISE, page);
    // A certificate that signs itself.
    let tls = Listener::on_free_port();
    let _stranger = Setup::before(html.port).config(&tls.config).start();
    let cases = [
        BrokenUpstream {
            url: format!("http://127.0.0.1:{refused}"),
            kind: "connection_refused",
            words: "Connection refused (os error 111)",
            level: "WARN",
        },
        BrokenUpstream {
            url: "http://nosuch.invalid:8080".into(),
            kind: "dns",
            words: "failed to lookup address information",
            level: "WARN",
        },
        BrokenUpstream {
            url: format!("https://localhost:{}", tls.port),
            kind: "tls",
            words: "invalid peer certificate",
            level: "ERROR",
        },
        BrokenUpstream {
            url: format!("http://127.0.0.1:{}", html.port),
            kind: "not_graphql",
            words: "something that is not a GraphQL response",
            level: "WARN",
        },
    ];
    for case in cases {
        check_broken_upstream(&case);
    }
}

fn check_broken_upstream(case: &BrokenUpstream) {
    let BrokenUpstream { url, kind, words, level } = case;
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let mut setup = Setup::before(1).with_shop(handlers.port);
    setup.upstream.clone_from(url);
    let pillion = setup.config("upstream: {health_check_interval: 200ms}\n").start();
    let authority = url.split("://").nth(1).unwrap_or_default();

    // Its health check.
    let line = only_line(&pillion, "upstream unavailable: /readyz returns 503, and requests that need it fail");
    assert_eq!((&line["error.kind"], &line["url"]), (&json!(kind), &json!(url)), "{line}");
    assert!(line["error.message"].as_str().is_some_and(|message| message.contains(words)), "{line}");
    let (status, verbose) = pillion.admin("/readyz?verbose");
    assert_eq!(status, 503);
    assert!(verbose.contains(&format!("upstream: {url}: {kind}: ")) && verbose.contains(words), "{verbose}");

    // Its part of a request with an action.
    let mixed = pillion.client().ask("query Mixed { count c4nary }").json();
    assert_eq!(mixed["data"], json!({ "count": 1, "c4nary": null }));
    assert!(!mixed.to_string().contains(authority), "clients do not learn addresses: {mixed}");
    let line = only_line(&pillion, "upstream request failed");
    let message = line["error.message"].as_str().unwrap_or_default();
    assert_eq!((&line["error.kind"], &line["level"]), (&json!(kind), &json!(level)), "{line}");
    assert!(message.starts_with(authority) && message.contains(words), "{message}");
    assert_eq!(line["upstream.purpose"], "operation", "{line}");
    assert_eq!(line["graphql.operation.name"], "Mixed", "{line}");
    assert_eq!(pillion.metric(&format!("pillion_upstream_requests_total{{outcome=\"{kind}\"}}")), 1.0);

    // A request that passes, by our own client and by pingora's. A page of HTML passes.
    let purpose = |pillion: &Pillion| -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for line in lines(&pillion.log(), "upstream request failed") {
            *counts.entry(line["upstream.purpose"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        counts
    };
    let post: Message = pillion.client().ask("{ c4nary }");
    assert!(!post.text().contains(authority), "{}", post.text());
    if *kind != "not_graphql" {
        assert_eq!(post.status(), 502);
        wait_until("the line about a request that was to pass", || purpose(&pillion).get("passthrough") == Some(&1));
        let passed = lines(&pillion.log(), "upstream request failed").into_iter();
        let passed = passed.filter(|line| line["upstream.purpose"] == "passthrough");
        assert!(passed.clone().all(|line| line["error.kind"] == *kind), "{:?}", passed.collect::<Vec<_>>());
    }
    assert!(!pillion.log().contains("c4nary"), "{}", pillion.log());
}

/// A response of the upstream that is forwarded, by our own client and by pingora's.
fn a_server_error_that_passes_has_a_line(_: &Engines) {
    let upstream = Scripted::start();
    upstream.on_path(Scripted::OTHERWISE, Reply::status(503, r#"{"c4nary":1}"#));
    for method in ["POST", "PUT"] {
        let pillion = Setup::before(upstream.port).start();
        let headers = [("Content-Type", "application/json")];
        let response = pillion.client().request(method, "/graphql?c4nary=1", &headers, br#"{"query":"{ c4nary }"}"#);
        assert_eq!(response.status(), 503, "{method}");
        let line = only_line(&pillion, "upstream request failed");
        assert_eq!((&line["error.kind"], &line["level"]), (&json!("http_status"), &json!("WARN")), "{line}");
        assert_eq!(line["http.response.status_code"], 503, "{line}");
        assert_eq!(line["upstream.purpose"], "passthrough", "{line}");
        assert!(!pillion.log().contains("c4nary"), "{}", pillion.log());
    }
}

fn a_flood_of_failures_has_few_lines(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::status(500, "{}"));
    let pillion = start_with_secret(engines, &handlers, "");
    let failures = |pillion: &Pillion| lines(&pillion.log(), "handler call failed");
    for _ in 0..200 {
        ask_as_admin(&pillion, &[], COUNT);
    }
    // The next line says how many had none; it comes with a failure after the pause.
    wait_until("the second line", || {
        ask_as_admin(&pillion, &[], COUNT);
        failures(&pillion).len() >= 2
    });
    let calls = pillion.metric("pillion_handler_calls_total{action=\"count\",outcome=\"http_status\"}");
    let found = failures(&pillion);
    let suppressed: u64 = found.iter().filter_map(|line| line["suppressed"].as_u64()).sum();
    assert!(suppressed > 0 && suppressed as f64 + found.len() as f64 <= calls, "{found:?} of {calls}");
    assert!(found.len() < 100, "{}", found.len());
}

fn an_upstream_goes_away_and_comes_back(_: &Engines) {
    let port = free_port();
    let start = || {
        let upstream = Scripted::start_on(port);
        upstream.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
        upstream
    };
    let upstream = start();
    let config = "upstream: {health_check_interval: 50ms}\n";
    let pillion = Setup::before(port).config(config).start().wait_until_ready();
    let (lost, back) =
        ("upstream unavailable: /readyz returns 503, and requests that need it fail", "upstream available again");
    drop(upstream);
    let line = only_line(&pillion, lost);
    assert_eq!((&line["level"], &line["url"]), (&json!("WARN"), &json!(format!("http://127.0.0.1:{port}"))));
    wait_until("readiness ends", || pillion.admin("/readyz").0 == 503);
    assert!(!pillion.admin("/readyz").1.contains(&port.to_string()), "details are for operators");
    let upstream = start();
    let line = only_line(&pillion, back);
    assert!(line["level"] == "INFO" && line["unavailable_ms"].as_f64().is_some_and(|time| time > 0.0), "{line}");
    drop(upstream);
    wait_until("it is lost again", || lines(&pillion.log(), lost).len() == 2);
}

fn a_circuit_breaker_tells_when_it_opens_and_closes(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::status(500, "{}"));
    let config = "handlers: { circuit_breaker: { enabled: true, reset_timeout: 5s } }\n";
    let pillion = start_with_secret(engines, &handlers, config);
    for _ in 0..30 {
        ask_as_admin(&pillion, &[], COUNT);
    }
    let line = only_line(&pillion, "circuit breaker opened");
    assert_eq!((&line["level"], &line["action"]), (&json!("WARN"), &json!("count")), "{line}");
    assert_eq!((&line["error.kind"], &line["server.port"]), (&json!("http_status"), &json!(handlers.port)), "{line}");
    // Calls that it rejects have the cause of their own.
    wait_until("a rejected call", || {
        lines(&pillion.log(), "handler call failed").iter().any(|line| line["error.kind"] == "circuit_open")
    });
    handlers.on_path("/count", Reply::json("1"));
    wait_until("that it closes", || {
        ask_as_admin(&pillion, &[], COUNT);
        pillion.log().contains("circuit breaker closed")
    });
    only_line(&pillion, "circuit breaker half-open");
    assert_eq!(only_line(&pillion, "circuit breaker closed")["level"], "INFO");
}
