//! Extension fields of an upstream that responds with other types than its schema says, has more rows than there may be
//! keys, or does not show its schema; and clients that disconnect while rounds of calls are made.

use std::collections::HashMap;

use pillion_test_support::client::Client;
use pillion_test_support::engines::{Engines, node, run_node};
use pillion_test_support::message::Message;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::process::Process;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{free_port, trials, wait_for_port, wait_until};
use serde_json::{Value, json};

use super::harness::shop::post_bytes;

pub const TESTS: &[super::Test] = trials![
    upstreams_with_other_types_than_their_schema,
    more_rows_than_keys_are_allowed,
    keys_are_sent_as_they_are,
    arguments_are_within_the_memory_budget,
    an_unknown_schema_rejects_documents_with_extension_fields,
    all_rounds_end_when_a_client_disconnects,
];

/// An upstream that shows the schema of `tests/engines/extension-world.mjs` and otherwise responds as it is told.
struct Stage {
    upstream: Scripted,
    handlers: Scripted,
    pillion: Pillion,
}

/// What the introspection of that schema is, and the settings that add fields to it.
fn world() -> (String, String) {
    let port = free_port();
    let _engine = Process(node(&["extension-fields.mjs"], port).spawn().expect("node starts"));
    wait_for_port(port);
    let query = run_node("graphql-js.mjs", &["queries"], "");
    let query: Value = serde_json::from_str(query.lines().next().expect("a query")).expect("a string");
    let shown = Client::connect(port).post(&json!({ "query": query }).to_string()).text();
    let config = Client::connect(port).request("GET", "/config", &[], b"").json();
    (shown, config["config"].as_str().expect("settings").to_owned())
}

impl Stage {
    fn start(more_config: &str) -> Self {
        let (shown, config) = world();
        let (upstream, handlers) = (Scripted::start(), Scripted::start());
        upstream.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
        upstream.on_word("PillionIntrospection", Reply::json(&shown));
        let config = config.split("limits:").next().expect("the first part").to_owned() + more_config;
        let pillion = Setup::before(upstream.port).with_actions("extension-world", handlers.port).config(&config);
        Self { upstream, handlers, pillion: pillion.start().wait_until_ready() }
    }

    fn ask(&self, query: &str, upstream: &str) -> Message {
        self.upstream.on_path("/graphql", Reply::json(upstream));
        self.pillion.client().ask(query)
    }
}

/// The paths of errors with their messages.
fn errors(answer: &Value) -> HashMap<String, String> {
    let error = |error: &Value| (error["path"].to_string(), error["message"].as_str().unwrap_or_default().to_owned());
    answer["errors"].as_array().into_iter().flatten().map(error).collect()
}

fn upstreams_with_other_types_than_their_schema(_: &Engines) {
    let stage = Stage::start("");
    stage.handlers.on_path("/profile", Reply::json(r#"{"size":1}"#));
    let query = "{ users(seed: 1) { code profile { size } } }";
    let (null, one) = (json!(null), json!({ "size": 1 }));
    let cases: [(&str, Value, usize); 12] = [
        // The same as ever.
        (r#"[{"code":"a","_k0":"x"}]"#, json!([{ "code": "a", "profile": one }]), 0),
        (r#"[{"code":"a","_k0":null},null]"#, json!([{ "code": "a", "profile": null }, null]), 0),
        // No list, more lists, and no rows.
        (r#"{"code":"a","_k0":"x"}"#, json!({ "code": "a", "profile": one }), 0),
        (r#"[[{"code":"a","_k0":"x"}],[[]]]"#, json!([[{ "code": "a", "profile": one }], [[]]]), 0),
        (r#""x""#, json!("x"), 0),
        ("[1,true,\"_k0\"]", json!([1, true, "_k0"]), 0),
        // The key is missing: nothing says that the row has the field at all.
        (r#"[{"code":"a"},{"code":"b","_k0":7}]"#, json!([{ "code": "a" }, { "code": "b", "profile": one }]), 0),
        ("[{}]", json!([{}]), 0),
        // Keys that are no scalars do not fit an ID, and cost their own row.
        (
            r#"[{"_k0":["x"],"code":"a"},{"_k0":"y","code":"b"}]"#,
            json!([{ "profile": null, "code": "a" }, { "profile": one, "code": "b" }]),
            1,
        ),
        (r#"[{"_k0":{"a":"}"}},{"_k0":1.5}]"#, json!([{ "profile": null }, { "profile": null }]), 1),
        // More than was asked for, and a name twice.
        (
            r#"[{"code":"a","_k0":"x","more":{"_k9":1}}]"#,
            json!([{ "code": "a", "profile": one, "more": { "_k9": 1 } }]),
            0,
        ),
        (r#"[{"_k0":"x","code":"a","_k0":"y"}]"#, json!([{ "profile": one, "code": "a" }]), 0),
    ];
    for (rows, wanted, failed) in cases {
        let answer = stage.ask(query, &format!(r#"{{"data":{{"users":{rows}}}}}"#));
        let got = answer.json();
        assert_eq!(got["data"]["users"].to_string(), wanted.to_string(), "{rows}: {}", answer.text());
        assert_eq!(errors(&got).len(), failed, "{rows}: {}", answer.text());
    }
    for (response, data) in [
        (r#"{"data":null,"errors":[{"message":"no"}]}"#, json!({ "data": { "users": null } })),
        (
            r#"{"errors":[{"message":"no","path":["users",0,"_k0"]}],"data":{"users":null}}"#,
            json!({ "data": { "users": null } }),
        ),
        (r#"{"data":{}}"#, null.clone()),
        (r#"{"data":[]}"#, null.clone()),
        (r#"{"data":{"users":[{"_k0":"x"#, null.clone()),
        ("<html>", null),
    ] {
        let answer = stage.ask(query, response);
        let got = answer.json();
        if let Some(data) = data.get("data") {
            assert_eq!(got["data"], *data, "{response}: {}", answer.text());
            assert_eq!(got["errors"][0]["message"], "no", "{response}");
        }
        assert!(!answer.text().contains("_k0"), "{response}: {}", answer.text());
    }
    // It still serves.
    let answer = stage.ask(query, r#"{"data":{"users":[{"code":"a","_k0":"x"}]}}"#).json();
    assert_eq!(answer, json!({ "data": { "users": [{ "code": "a", "profile": one }] } }));
}

fn more_rows_than_keys_are_allowed(_: &Engines) {
    let stage = Stage::start("");
    let rows: Vec<String> = (0..100_000).map(|row| format!(r#"{{"code":"c{row}","_k0":"{row}"}}"#)).collect();
    let answer = stage.ask(
        "{ users(seed: 1) { code profile { size } } }",
        &format!(r#"{{"data":{{"users":[{}]}}}}"#, rows.join(",")),
    );
    let got = answer.json();
    let list = got["data"]["users"].as_array().unwrap_or_else(|| panic!("{:.300}", answer.text()));
    assert_eq!(list.len(), 100_000);
    assert_eq!(list[99_999], json!({ "code": "c99999", "profile": null }));
    let message = "the response has 100000 keys of extension fields; at most 20000 are resolved";
    assert_eq!(got["errors"][0]["message"], message);
    assert_eq!(
        (&got["errors"][0]["extensions"]["rows"], got["errors"].as_array().map(Vec::len)),
        (&json!(100_000), Some(1))
    );
    assert!(stage.handlers.take_seen().is_empty());
    // As many rows with few keys are resolved.
    let rows: Vec<String> = (0..100_000).map(|row| format!(r#"{{"_k0":{}}}"#, row % 7)).collect();
    stage.handlers.on_path("/heavies", Reply::json(r#"[{"big":3,"weight":1}]"#));
    let answer = stage
        .ask("{ users(seed: 1) { heavy { weight } } }", &format!(r#"{{"data":{{"users":[{}]}}}}"#, rows.join(",")));
    let list = answer.json();
    assert_eq!(list["data"]["users"][10], json!({ "heavy": { "weight": 1 } }), "{:.300}", answer.text());
    assert_eq!(list["data"]["users"][99_999], json!({ "heavy": null }));
    assert_eq!(stage.handlers.take_seen().len(), 1);
    stage.pillion.wait_until_nothing_is_held();
}

fn keys_are_sent_as_they_are(_: &Engines) {
    let stage = Stage::start("");
    stage.handlers.on_path("/heavies", Reply::json(r#"[{"big":9007199254740993,"weight":1}]"#));
    let keys = [
        "9007199254740992",
        "9007199254740993",
        "-123456789012345678901234567890",
        "1e400",
        "1.0",
        r#""a\"b\\c\u0000\u001f\n\u2028""#,
        r#"["x",{"y":null}]"#,
        "{}",
        "true",
        r#""""#,
    ];
    let rows: Vec<String> = keys.iter().map(|key| format!(r#"{{"_k0":{key}}}"#)).collect();
    let response = format!(r#"{{"data":{{"users":[{}]}}}}"#, rows.join(","));
    let answer = stage.ask("{ users(seed: 1) { heavy { weight } } }", &response).json();
    let weights: Vec<&Value> =
        answer["data"]["users"].as_array().into_iter().flatten().map(|row| &row["heavy"]["weight"]).collect();
    let mut wanted = vec![json!(null); keys.len()];
    wanted[1] = json!(1);
    assert_eq!(weights, wanted.iter().collect::<Vec<_>>(), "{answer}");
    let seen = stage.handlers.take_seen();
    let [call] = seen.as_slice() else { panic!("{} calls", seen.len()) };
    // By value: one of our own spelling for each control character is as good as the upstream's.
    let sent: Value = serde_json::from_str(&format!("[{}]", keys.join(","))).expect("JSON");
    assert_eq!(call.json()["input"]["bigs"], sent);
    // None of it is in what the upstream was asked.
    assert!(stage.upstream.take_seen().iter().all(|seen| !seen.text().contains("9007199254740993")));
}

fn arguments_are_within_the_memory_budget(_: &Engines) {
    let stage = Stage::start("limits: { max_buffered_bytes: 8MiB }\n");
    stage.upstream.on_path("/graphql", Reply::json(r#"{"data":{"users":[]}}"#));
    let weights = vec![1; 10_000];
    let ask = |fields: usize| {
        let fields: String =
            (0..fields).map(|one| format!("m{one}: mood(weights: $w, deep: {{ a: {one} }}) ")).collect();
        let query = format!("query ($w: [Int!]) {{ users(seed: 1) {{ {fields} }} }}");
        stage.pillion.client().post(&json!({ "query": query, "variables": { "w": weights } }).to_string())
    };
    assert_eq!(ask(1).json(), json!({ "data": { "users": [] } }));
    // Each has a list of its own, which would take more than there may be.
    stage.upstream.take_seen();
    assert_eq!(ask(100).status(), 413);
    assert!(stage.upstream.take_seen().is_empty());
    stage.pillion.wait_until_nothing_is_held();
}

fn an_unknown_schema_rejects_documents_with_extension_fields(_: &Engines) {
    let hidden = Reply::json(r#"{"errors":[{"message":"introspection is disabled"}]}"#);
    let (_, config) = world();
    let (upstream, handlers) = (Scripted::start(), Scripted::start());
    upstream.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    upstream.on_word("PillionIntrospection", hidden);
    let setup = Setup::before(upstream.port).with_actions("extension-world", handlers.port).config(&config);
    let pillion = setup.start().wait_until_ready();
    handlers.on_path("/time", Reply::json("5"));
    handlers.on_path("/portrait", Reply::json(r#"{"size":5}"#));
    upstream.on_path("/graphql", Reply::json(r#"{"data":{"users":[{"code":"a"}]}}"#));
    upstream.take_seen();
    let answer = pillion.client().ask("{ time users(seed: 1) { code profile { size } } }");
    assert_eq!((answer.status(), &answer.json()["errors"][0]["extensions"]["code"]), (503, &json!("schema-unknown")));
    // Neither half of it has run.
    assert!(handlers.take_seen().is_empty());
    assert!(upstream.take_seen().iter().all(|seen| seen.text().contains("PillionIntrospection")));
    for (query, wanted) in [
        ("{ time users(seed: 1) { code } }", json!({ "time": 5, "users": [{ "code": "a" }] })),
        ("{ users(seed: 1) { code } }", json!({ "users": [{ "code": "a" }] })),
        ("{ portrait(id: 1) { size } }", json!({ "portrait": { "size": 5 } })),
    ] {
        assert_eq!(pillion.client().ask(query).json(), json!({ "data": wanted }), "{query}");
    }
}

fn all_rounds_end_when_a_client_disconnects(_: &Engines) {
    let stage = Stage::start("");
    let gone = || stage.pillion.metric("pillion_requests_total{kind=\"client_closed\"}");
    let rows = r#"{"data":{"users":[{"_k1":"1"},{"_k1":"2"}]}}"#;
    // In the first round, and in the second one, which has the rows of a relationship. `_k0` is the key of `mood`.
    stage.upstream.on_path("/graphql", Reply::json(rows));
    stage.handlers.on_path("/profile", Reply::Hang);
    let mut client = stage.pillion.client();
    client.send(&post_bytes("{ users(seed: 1) { profile { user { mood } } } }"));
    wait_until("the calls of the first round", || !stage.handlers.take_seen().is_empty());
    drop(client);
    wait_until("that it is given up", || gone() >= 1.0);
    stage.handlers.take_seen();
    stage.handlers.on_path("/profile", Reply::json(r#"{"size":1,"user_id":"1-u-1"}"#));
    stage.handlers.on_path("/mood", Reply::Hang);
    stage.upstream.on_word("1-u-1", Reply::json(r#"{"data":{"r0":{"_k0":3}}}"#));
    let mut client = stage.pillion.client();
    client.send(&post_bytes("{ users(seed: 1) { profile { user { mood } } } }"));
    let is_mood = |seen: &Message| seen.path() == "/mood";
    wait_until("the call of the second round", || stage.handlers.take_seen().iter().any(is_mood));
    drop(client);
    wait_until("that it is given up", || gone() >= 2.0);
    wait_until("nothing in flight", || stage.pillion.metric("pillion_requests_in_flight") == 0.0);
    stage.pillion.wait_until_nothing_is_held();
}
