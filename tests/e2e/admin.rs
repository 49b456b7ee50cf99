//! The admin listener, and the line a request leaves in the log.

use super::harness::engines::Engines;
use super::harness::pillion::Setup;
use super::harness::scripted::{Reply, Scripted};
use super::harness::wait_until;

pub const TESTS: &[super::Test] = &[
    ("health_readiness_and_metrics", health_readiness_and_metrics),
    ("one_line_a_request", one_line_a_request),
    ("secrets_are_nowhere", secrets_are_nowhere),
    ("a_log_that_nobody_reads", a_log_that_nobody_reads),
    ("lines_for_some_of_what_goes_well", lines_for_some_of_what_goes_well),
    ("a_defect_ends_what_it_is_in", a_defect_ends_what_it_is_in),
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
    // They are counted once they are answered.
    for kind in ["action", "pass_through"] {
        let metric = format!("pillion_requests_total{{kind=\"{kind}\"}}");
        wait_until(&metric, || pillion.metric(&metric) == 2.0);
    }
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

/// Its pipe is full after a hundred lines or so, and its queue after some thousands.
fn a_log_that_nobody_reads(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let mut setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    setup.log_is_unread = true;
    let mut pillion = setup.start().wait_until_ready();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = pillion.client();
                (0..1500).for_each(|_| assert_eq!(client.ask("{ count }").status(), 200));
            });
        }
    });
    assert!(pillion.metric("pillion_log_lines_dropped_total") > 100.0);
    pillion.signal("TERM");
    wait_until("its end", || pillion.process.0.try_wait().is_ok_and(|status| status.is_some()));
}

/// What goes wrong is always told.
fn lines_for_some_of_what_goes_well(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    let pillion = setup.config("log: { every: 5, types: [action-handler-log] }\n").start().wait_until_ready();
    let mut client = pillion.client();
    (0..10).for_each(|_| drop(client.ask("{ count }")));
    handlers.on_path("/count", Reply::status(400, r#"{"message":"no"}"#));
    (0..10).for_each(|_| drop(client.ask("{ count }")));
    let log = pillion.whole_log("TERM");
    let count =
        |words: &str, more: &str| log.lines().filter(|line| line.contains(words) && line.contains(more)).count();
    assert_eq!(
        (count("\"request\"", "\"outcome\":\"success\""), count("\"request\"", "\"outcome\":\"errors\"")),
        (2, 10),
        "{log}"
    );
    assert_eq!((count("handler call", "\"status\":200"), count("handler call", "\"status\":400")), (2, 10), "{log}");
}

/// One in a request, one in the loop that takes stored calls, one in such a call.
fn a_defect_ends_what_it_is_in(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
    let setup = Setup::before(engines.postgraphile).with_actions("hasura-async", handlers.port);
    let setup = setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").env("PILLION_FAILPOINTS", "request,worker,job");
    let pillion = setup.config("async: { lease: 1s }\n").start().wait_until_ready();
    let headers = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", "s3cret")];
    let body = br#"{"query":"mutation { later(number: 1) }"}"#;
    let answer = pillion.client().request("POST", "/graphql", &headers, body);
    assert_eq!((answer.status(), answer.header("connection")), (500, Some("close")), "{}", answer.text());
    assert_eq!(answer.json()["errors"][0]["extensions"]["code"], "unexpected");
    let id = pillion.client().request("POST", "/graphql", &headers, body).json()["data"]["later"].clone();
    let body = serde_json::json!({ "query": "query($id: uuid!) { later(id: $id) { output { id } } }", "variables": { "id": id } });
    wait_until("its result", || {
        let answer = pillion.client().request("POST", "/graphql", &headers, body.to_string().as_bytes());
        answer.json()["data"]["later"]["output"] == serde_json::json!([{ "id": 1 }])
    });
    assert_eq!(pillion.metric("pillion_panics_total"), 3.0);
    wait_until("nothing in flight", || pillion.metric("pillion_requests_in_flight") == 0.0);
    assert_eq!(pillion.admin("/readyz").0, 200);
    let log = pillion.whole_log("TERM");
    assert_eq!(log.matches("a defect of Pillion").count(), 3, "{log}");
    assert!(log.contains("src/execute/defects.rs"), "{log}");
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
