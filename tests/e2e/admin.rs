//! The admin listener, and the line a request leaves in the log.

use super::harness::engines::Engines;
use super::harness::pillion::Setup;
use super::harness::scripted::{Reply, Scripted};
use super::harness::wait_until;

pub const TESTS: &[super::Test] = &[
    ("health_readiness_and_metrics", health_readiness_and_metrics),
    ("one_line_a_request", one_line_a_request),
    ("secrets_are_nowhere", secrets_are_nowhere),
];

fn health_readiness_and_metrics(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    assert_eq!(pillion.admin("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(pillion.admin("/readyz"), (200, "ready\n".to_owned()));
    let details = pillion.admin("/readyz?verbose").1;
    assert!(details.starts_with("ready\nupstream: ok\nactions: "), "{details}");
    assert!(details.contains("\nasync.store: none"), "{details}");
    assert_eq!(pillion.admin("/nothing").0, 404);
    let mut client = pillion.client();
    client.ask("{ count }");
    client.ask("{ count }");
    client.ask("{ productById(id: 1) { name } }");
    client.request("GET", "/", &[], b"");
    // A request is counted when it is over, which is a moment after its answer is here.
    wait_until("all to be counted", || pillion.metric("pillion_requests_in_flight") == 0.0);
    assert_eq!(pillion.metric("pillion_requests_total{kind=\"action\"}"), 2.0);
    assert_eq!(pillion.metric("pillion_requests_total{kind=\"pass_through\"}"), 2.0);
    assert_eq!(pillion.metric("pillion_handler_calls_total{action=\"count\",outcome=\"success\"}"), 2.0);
    assert_eq!(pillion.metric("pillion_plan_cache_lookups_total{outcome=\"hit\"}"), 1.0);
    assert_eq!(pillion.metric("pillion_upstream_up"), 1.0);
    assert_eq!(pillion.metric("pillion_phase_duration_seconds_count{phase=\"run\"}"), 2.0);
}

fn one_line_a_request(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    let mut client = pillion.client();
    let headers = [("Content-Type", "application/json"), ("X-Request-Id", "find-me")];
    client.request("POST", "/graphql?key=hidden", &headers, br#"{"query":"{ count productById(id: 1) { name } }"}"#);
    client.ask("{ productById(id: 1) { name } }");
    pillion.wait_for_log("find-me");
    let log = pillion.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("\"request_id\"")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    let line: serde_json::Value = serde_json::from_str(lines[0]).expect("a line of JSON");
    assert_eq!(line["actions"], "count");
    assert_eq!(line["status"], 200);
    assert_eq!(line["outcome"], "success");
    assert_eq!(line["role"], "admin");
    assert!(!log.contains("hidden") && !log.contains("action-handler-log"), "{log}");
    // Each call has one as well, if that is wanted.
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    let setup = setup.env("HASURA_GRAPHQL_ENABLED_LOG_TYPES", "startup,http-log,action-handler-log");
    let pillion = setup.start().wait_until_ready();
    pillion.client().ask("{ count }");
    pillion.wait_for_log("\"type\":\"action-handler-log\"");
    let log = pillion.log();
    let line = log.lines().find(|line| line.contains("action-handler-log")).unwrap_or_default();
    let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    assert_eq!((&line["action_name"], &line["status"]), (&"count".into(), &200.into()));
    assert_eq!((&line["url"], &line["response_size"]), (&"{{HANDLERS}}/count".into(), &1.into()));
}

fn secrets_are_nowhere(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/placeOrder", Reply::Close);
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port).flag("--log-level=debug");
    let setup = setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "open-sesame").env("HASURA_GRAPHQL_DEV_MODE", "true");
    let pillion = setup.start().wait_until_ready();
    let mut client = pillion.client();
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Hasura-Admin-Secret", "open-sesame"),
        ("Authorization", "tell-nobody"),
    ];
    let body = br#"{"query":"mutation { placeOrder(order: {productId: 1}) { id } }"}"#;
    let answer = client.request("POST", "/graphql", &headers, body).text();
    assert!(answer.contains("http exception when calling webhook"), "{answer}");
    let metrics = pillion.admin("/metrics").1;
    let everything = answer + &metrics + &pillion.whole_log("TERM");
    for secret in ["open-sesame", "tell-nobody", "configured-key"] {
        assert!(!everything.contains(secret), "{secret} can be seen in:\n{everything}");
    }
}
