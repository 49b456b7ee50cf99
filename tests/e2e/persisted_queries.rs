//! Automatic persisted queries with the client that has them, replicas that share them, and what may be sent instead of a hash.

use std::net::TcpStream;

use pillion_test_support::client::Client;
use pillion_test_support::engines::{Engines, node, run_node};
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::process::Process;
use pillion_test_support::redis::Redis;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{free_port, trials, wait_until};
use serde_json::{Value, json};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    apollo_clients_link,
    apollo_server_keeps_its_own_persisted_queries,
    replicas_share_documents,
    random_hashes_take_no_memory,
    hashes_of_any_size_are_survived,
];

fn ask_with_apollo(pillion: &Pillion, queries: &[&str], by_get: bool) -> Value {
    let url = format!("http://127.0.0.1:{}/graphql", pillion.port);
    let input = json!({ "url": url, "queries": queries, "byGet": by_get });
    let output = run_node("persisted-queries.mjs", &[], &input.to_string());
    serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}"))
}

/// Neither of these upstreams has persisted queries.
fn apollo_clients_link(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    for (upstream, own) in [(engines.postgraphile, "productById(id: 1) { name }"), (engines.yoga, "books { id }")] {
        for by_get in [false, true] {
            let pillion = Setup::before(upstream).with_shop(handlers.port).start().wait_until_ready();
            let (mixed, plain) = (format!("query Mixed {{ count {own} }}"), format!("query Plain {{ {own} }}"));
            let results = ask_with_apollo(&pillion, &[&mixed, &mixed, &plain, &plain], by_get);
            for (index, wanted) in [(0, 2), (1, 1), (2, 2), (3, 1)] {
                let result = &results[index];
                assert_eq!(result["error"], Value::Null, "{results}");
                assert!(result["data"].is_object(), "{results}");
                assert_eq!(result["requests"].as_array().map(Vec::len), Some(wanted), "{results}");
            }
            assert_eq!(results[1]["data"]["count"], 1, "{results}");
            let method = if by_get { "GET" } else { "POST" };
            assert_eq!(results[3]["requests"], json!([format!("{method} hash")]), "{results}");
            assert!(pillion.metric("pillion_persisted_query_bytes") > 0.0);
        }
    }
}

/// This upstream has persisted queries: it answers hashes of documents without actions, Pillion those of all others.
fn apollo_server_keeps_its_own_persisted_queries(_: &Engines) {
    let (handlers, port) = (Scripted::start(), free_port());
    handlers.on_path("/count", Reply::json("1"));
    let _server = Process(node(&["apollo-server.mjs"], port).spawn().expect("node starts"));
    wait_until("Apollo Server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let direct = |hash: &str| Client::connect(port).request("POST", "/", &[JSON], by_hash(hash).as_bytes()).json();
    for (by_get, name) in [(false, "Post"), (true, "Get")] {
        let setup = Setup::before(port).with_shop(handlers.port).config("upstream: { graphql_path: / }\n");
        let pillion = setup.start().wait_until_ready();
        let mixed = format!("query Mixed{name} {{\n  count\n  books {{\n    id\n  }}\n}}");
        let plain = format!("query Plain{name} {{\n  books {{\n    id\n  }}\n}}");
        let results = ask_with_apollo(&pillion, &[&mixed, &mixed, &plain, &plain], by_get);
        for (index, wanted) in [(0, 2), (1, 1), (2, 2), (3, 1)] {
            let result = &results[index];
            assert_eq!(result["error"], Value::Null, "{results}");
            assert_eq!(result["data"]["books"][0]["id"], "1", "{results}");
            assert_eq!(result["requests"].as_array().map(Vec::len), Some(wanted), "{results}");
        }
        assert_eq!(results[1]["data"]["count"], 1, "{results}");
        // Each has its own, and only its own.
        assert_eq!(direct(&hash_of(&with_type_names(&plain)))["data"]["books"][0]["id"], "1", "{results}");
        let unknown = direct(&hash_of(&with_type_names(&mixed)));
        assert_eq!(unknown["errors"][0]["message"], "PersistedQueryNotFound", "{unknown}");
        // A replica that has seen nothing answers the hash that the upstream knows.
        let fresh = Setup::before(port).with_shop(handlers.port).config("upstream: { graphql_path: / }\n");
        let fresh = fresh.start().wait_until_ready();
        let of_upstream = fresh.client().post(&by_hash(&hash_of(&with_type_names(&plain)))).json();
        assert_eq!(of_upstream["data"]["books"][0]["id"], "1", "{of_upstream}");
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// The document as Apollo Client prints it.
fn with_type_names(text: &str) -> String {
    text.replace("    id\n", "    id\n    __typename\n")
}

fn hash_of(text: &str) -> String {
    pillion::documents::document_hash::DocumentHash::of(text.as_bytes()).to_string()
}

fn by_hash(hash: &str) -> String {
    json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } }).to_string()
}

fn with_text(text: &str) -> String {
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash_of(text) } });
    json!({ "query": text, "extensions": extensions }).to_string()
}

fn replicas_share_documents(engines: &Engines) {
    let redis = Redis::start();
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let config =
        format!("redis: {{ url: 'redis://127.0.0.1:{}' }}\ndocuments: {{ apq: {{ store: redis }} }}\n", redis.port);
    let replica = || {
        let setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
        setup.config(&config).start().wait_until_ready()
    };
    let (one, other) = (replica(), replica());
    assert!(other.client().post(&by_hash(&hash_of("{ count }"))).text().contains("PersistedQueryNotFound"));
    assert_eq!(one.client().post(&with_text("{ count }")).text(), r#"{"data":{"count":1}}"#);
    assert_eq!(other.client().post(&by_hash(&hash_of("{ count }"))).text(), r#"{"data":{"count":1}}"#);
    // Without Redis there is nothing to share.
    let said = Setup::before(1).with_shop(1).config("documents: { apq: { store: redis } }\n").start_in_vain().1;
    assert!(said.contains("documents.apq.store") && said.contains("PILLION_REDIS_URL"), "{said}");
}

/// What is not a text is not stored. `make abuse` sends ten million (`PILLION_ABUSE_SCALE=1`).
fn random_hashes_take_no_memory(_: &Engines) {
    let (handlers, upstream) = (Scripted::start(), Scripted::start());
    upstream.on_path("/graphql", Reply::json(r#"{"errors":[{"message":"no document"}]}"#));
    let setup = Setup::before(upstream.port).with_shop(handlers.port).env("PILLION_INTROSPECTION_MODE", "upstream");
    let pillion = setup.start().wait_until_ready();
    let mut client = pillion.client();
    let mut number = 0_u32;
    let mut ask = |count: u32| {
        for _ in 0..count {
            number += 1;
            let body = by_hash(&hash_of(&number.to_string()));
            assert!(client.post(&body).text().contains("PERSISTED_QUERY_NOT_FOUND"));
        }
        upstream.take_seen();
    };
    ask(500);
    let before = pillion.metric("process_resident_memory_bytes");
    let scale = std::env::var("PILLION_ABUSE_SCALE").ok().and_then(|scale| scale.parse::<f64>().ok());
    let (wanted, mut sent) = (scale.map_or(4e3, |scale| scale * 1e7), 0.0);
    while sent < wanted {
        ask(4_000);
        sent += 4e3;
    }
    let grown = pillion.metric("process_resident_memory_bytes") - before;
    assert_eq!(pillion.metric("pillion_persisted_query_bytes"), 0.0);
    assert!(grown < 16e6, "{grown} bytes more");
}

fn hashes_of_any_size_are_survived(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    let pillion = setup.config("documents: { folder: tests/fixtures/documents }\n").start().wait_until_ready();
    let large = "a".repeat(9 * 1024 * 1024);
    for body in [by_hash(&large), json!({ "documentId": large }).to_string(), by_hash("é"), by_hash("")] {
        let answer = pillion.client().post(&body);
        assert!(answer.status() >= 400 || answer.text().contains("errors"), "{}", answer.text());
    }
    for hash in ["1", "null", "[]", "{}"] {
        let body = format!(r#"{{"extensions":{{"persistedQuery":{{"version":1,"sha256Hash":{hash}}}}}}}"#);
        pillion.client().post(&body);
        let body = format!(r#"{{"query":"{{ count }}","extensions":{{"persistedQuery":{hash}}}}}"#);
        assert_eq!(pillion.client().post(&body).text(), r#"{"data":{"count":1}}"#, "{body}");
    }
    assert_eq!(pillion.metric("pillion_persisted_query_bytes"), 0.0);
}
