//! Spans, as a collector gets them.

use std::path::Path;
use std::process::{Command, Stdio};

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::message::Message;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::process::Process;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{free_port, trials, wait_for_port, wait_until};
use serde_json::{Value, json};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    a_trace_from_client_to_handler,
    otlp_over_grpc_is_flushed_at_shutdown,
    only_sampled_traces_are_recorded,
    an_unavailable_collector_does_no_harm,
];

/// One that remembers what it has got.
pub struct Collector {
    /// Where it takes OTLP over HTTP.
    pub http: u16,
    grpc: u16,
    _process: Process,
}

impl Collector {
    /// Starts one.
    pub fn start() -> Self {
        let (http, grpc) = (free_port(), free_port());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines");
        let mut command = Command::new(folder.join(".venv/bin/python"));
        command.arg(folder.join("collector.py")).env("PORT", http.to_string()).env("GRPC_PORT", grpc.to_string());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = Process(process.expect("the collector starts; `make setup` installs it"));
        wait_for_port(http);
        Self { http, grpc, _process: process }
    }

    fn spans(&self) -> Vec<Value> {
        let answer = Client::connect(self.http).request("GET", "/spans", &[], b"").json();
        answer.as_array().cloned().unwrap_or_default()
    }

    /// Those of a trace, once one of them has this name.
    pub fn wait_for(&self, trace: &str, name: &str) -> Vec<Value> {
        let of_trace = || self.spans().into_iter().filter(|span| span["trace"] == trace).collect::<Vec<_>>();
        wait_until("spans", || of_trace().iter().any(|span| span["name"] == name));
        of_trace()
    }
}

fn setup(engines: &Engines, handlers: &Scripted, endpoint: &str) -> Setup {
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    setup.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret")
}

fn ask(pillion: &Pillion, headers: &[(&str, &str)], query: &str) -> Message {
    let own = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", "s3cret")];
    let body = json!({ "query": query }).to_string();
    pillion.client().request("POST", "/graphql", &[&own, headers].concat(), body.as_bytes())
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn parent(sampled: &str) -> String {
    format!("00-{TRACE}-b7ad6b7169203331-{sampled}")
}

fn a_trace_from_client_to_handler(engines: &Engines) {
    let (collector, handlers) = (Collector::start(), Scripted::start());
    handlers.on_path("/count", Reply::json("1"));
    handlers.on_path("/quote", Reply::status(500, "{}"));
    let setup = setup(engines, &handlers, &format!("http://127.0.0.1:{}", collector.http));
    let setup = setup.env("OTEL_EXPORTER_OTLP_HEADERS", "X-Key=c4nary").env("OTEL_SERVICE_NAME", "shop");
    let pillion = setup.start().wait_until_ready();
    let query = "{ count quote(productId: 1) { total } productById(id: 1) { name } }";
    ask(&pillion, &[("traceparent", &parent("01"))], query);
    let spans = collector.wait_for(TRACE, "graphql");
    let named =
        |name: &str| spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{name}: {spans:?}"));
    let root = named("graphql");
    assert_eq!((&root["parent"], &root["kind"]), (&json!("b7ad6b7169203331"), &json!(2)));
    assert_eq!((&root["service"], &root["way"], &root["key"]), (&json!("shop"), &json!("http"), &json!("c4nary")));
    let attributes = &root["attributes"];
    assert_eq!(attributes["url.path"], "/graphql");
    assert_eq!(attributes["http.response.status_code"], 200);
    assert_eq!(attributes["pillion.actions"], json!(["count", "quote"]));
    assert_eq!((&attributes["pillion.role"], &attributes["pillion.outcome"]), (&json!("admin"), &json!("errors")));
    assert_eq!(root["is_error"], true);
    for name in ["authenticate", "plan", "validate", "run", "respond", "upstream", "handler count", "handler quote"] {
        let span = named(name);
        assert_eq!(span["parent"], root["id"], "{name}");
        assert!(span["nanoseconds"].as_i64() <= root["nanoseconds"].as_i64(), "{name}");
    }
    let (good, bad) = (named("handler count"), named("handler quote"));
    assert_eq!((&good["kind"], &good["is_error"]), (&json!(3), &json!(false)));
    assert_eq!(good["attributes"]["url.template"], "{{HANDLERS}}/count");
    assert_eq!((&bad["attributes"]["error.type"], &bad["is_error"]), (&json!("5xx"), &json!(true)));
    assert_eq!(named("upstream")["attributes"]["server.port"], engines.postgraphile);
    // The handler's own spans are part of the call's.
    let seen = handlers.take_seen();
    let call = seen.iter().find(|seen| seen.path() == "/count").expect("the call");
    let context = call.header("traceparent").expect("a context");
    assert_eq!(context, format!("00-{TRACE}-{}-01", good["id"].as_str().unwrap_or_default()));
    let all = serde_json::to_string(&spans).expect("JSON");
    assert!(!all.contains("s3cret") && !pillion.log().contains("c4nary"));
    // Nothing is made of what passes through.
    assert!(pillion.metric("pillion_spans_total{outcome=\"sent\"}") >= 9.0);
}

fn otlp_over_grpc_is_flushed_at_shutdown(engines: &Engines) {
    let (collector, handlers) = (Collector::start(), Scripted::start());
    handlers.on_path("/count", Reply::json("1"));
    let setup = setup(engines, &handlers, &format!("http://127.0.0.1:{}", collector.grpc));
    let setup = setup.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=1");
    let mut pillion = setup.start().wait_until_ready();
    ask(&pillion, &[("traceparent", &parent("01"))], "{ count }");
    // What has not been sent yet is sent at the end.
    pillion.signal("TERM");
    wait_until("the end", || pillion.process.0.try_wait().is_ok_and(|status| status.is_some()));
    let spans = collector.wait_for(TRACE, "graphql");
    assert!(spans.iter().all(|span| span["way"] == "grpc" && span["key"] == "1"), "{spans:?}");
    assert!(spans.iter().any(|span| span["name"] == "handler count"));
}

fn only_sampled_traces_are_recorded(engines: &Engines) {
    let (collector, handlers) = (Collector::start(), Scripted::start());
    handlers.on_path("/count", Reply::json("1"));
    let setup = setup(engines, &handlers, &format!("http://127.0.0.1:{}", collector.http));
    let pillion = setup.env("OTEL_TRACES_SAMPLER_ARG", "0.0").start().wait_until_ready();
    ask(&pillion, &[("traceparent", &parent("00"))], "{ count }");
    ask(&pillion, &[], "{ count }");
    // B3 decides as well, with its own headers.
    let b3 = [
        ("X-B3-TraceId", "1af7651916cd43dd8448eb211c80319c"),
        ("X-B3-SpanId", "b7ad6b7169203331"),
        ("X-B3-Sampled", "1"),
    ];
    ask(&pillion, &b3, "{ count }");
    collector.wait_for("1af7651916cd43dd8448eb211c80319c", "graphql");
    assert!(collector.spans().iter().all(|span| span["trace"] == "1af7651916cd43dd8448eb211c80319c"));
}

fn an_unavailable_collector_does_no_harm(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = setup(engines, &handlers, "http://127.0.0.1:1").start().wait_until_ready();
    for _ in 0..20 {
        assert_eq!(ask(&pillion, &[], "{ count }").json(), json!({ "data": { "count": 1 } }));
    }
    wait_until("failures", || pillion.metric("pillion_spans_total{outcome=\"failed\"}") > 0.0);
    pillion.wait_for_log("OTLP collector unavailable");
}
