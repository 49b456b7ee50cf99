//! An upstream whose GraphQL path is another than the clients': `--upstream http://host:8080/v1/graphql`.

use std::process::Command;

use pillion_test_support::engines::Engines;
use pillion_test_support::message::Message;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::trials;
use pillion_test_support::websocket::{MODERN, hear, open, say};
use serde_json::json;

/// The tests.
pub const TESTS: &[super::Test] = trials![
    client_paths_map_to_upstream_paths,
    everything_works_with_a_real_upstream,
    other_endpoints_of_hasura_pass_through,
    commands_use_the_upstream_path,
    the_upstream_path_is_configured_once,
];

fn client_paths_map_to_upstream_paths(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_path("/api/data", Reply::json(r#"{"data":{"a":1}}"#));
    handlers.on_path("/count", Reply::json("1"));
    let mut setup = Setup::before(engine.port).with_shop(handlers.port);
    setup.upstream.push_str("/api/data");
    let pillion = setup.start().wait_until_ready();
    assert!(
        pillion.ready.contains(&format!("\"upstream\":\"http://127.0.0.1:{}/api/data\"", engine.port)),
        "{}",
        pillion.ready
    );
    engine.take_seen();
    let json = ("Content-Type", "application/json");
    let body = br#"{"query":"{ a }"}"#;
    let large = format!(r#"{{"query":"{{ a }}","x":"{}"}}"#, "x".repeat(11 * 1024 * 1024));
    let mixed = br#"{"query":"{ a count }"}"#;
    let mut client = pillion.client();
    for path in ["/graphql?x=1", "/v1/graphql?x=1", "/api/data?x=1", "//%67raphql/?x=1"] {
        assert_eq!(client.request("POST", path, &[json], body).status(), 200, "{path}");
        assert_eq!(client.request("POST", path, &[json], mixed).text(), r#"{"data":{"a":1,"count":1}}"#, "{path}");
        assert_eq!(client.request("GET", path, &[], b"").status(), 200, "{path}");
        assert_eq!(pillion.client().request("POST", path, &[json], large.as_bytes()).status(), 200, "{path}");
    }
    let seen = engine.take_seen();
    let other = seen.iter().filter(|seen| seen.header("x-request-id") != Some("pillion-probe"));
    let other: Vec<&str> =
        other.filter(|seen| !seen.text().contains("PillionIntrospection")).map(Message::path).collect();
    assert_eq!(other, ["/api/data?x=1"; 16]);
    // Other paths stay as they are.
    engine.on_path("/console", Reply::json("{}"));
    assert_eq!(client.request("GET", "/console?x=1", &[], b"").status(), 200);
    assert!(engine.take_seen().iter().any(|seen| seen.path() == "/console?x=1"));
}

fn everything_works_with_a_real_upstream(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let mut setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    setup.upstream.push_str("/graphql");
    let pillion = setup.start().wait_until_ready();
    let mut client = pillion.client();
    let post = |client: &mut pillion_test_support::client::Client, document: &str| {
        let body = json!({ "query": document }).to_string();
        client.request("POST", "/v1/graphql", &[("Content-Type", "application/json")], body.as_bytes()).text()
    };
    let mixed = r#"{"data":{"productById":{"name":"City bicycle"},"count":1}}"#;
    assert_eq!(
        post(&mut client, "{ productById(id: 1) { name } }"),
        r#"{"data":{"productById":{"name":"City bicycle"}}}"#
    );
    assert_eq!(post(&mut client, "{ productById(id: 1) { name } count }"), mixed);
    let fields = post(&mut client, "{ __type(name: \"Query\") { fields { name } } }");
    assert!(fields.contains("\"count\"") && fields.contains("\"productById\""), "{fields}");
    // Over a socket: an action, the upstream's fields and both.
    let mut socket = open(&pillion, MODERN, &[]);
    say(&mut socket, r#"{"type":"connection_init"}"#);
    assert_eq!(hear(&mut socket).expect("a response")["type"], "connection_ack");
    for (id, document, wanted) in [
        ("1", "{ productById(id: 1) { name } }", r#"{"productById":{"name":"City bicycle"}}"#),
        ("2", "{ productById(id: 1) { name } count }", r#"{"productById":{"name":"City bicycle"},"count":1}"#),
    ] {
        say(&mut socket, &json!({ "type": "subscribe", "id": id, "payload": { "query": document } }).to_string());
        assert_eq!(hear(&mut socket).expect("a result")["payload"]["data"].to_string(), wanted);
        assert_eq!(hear(&mut socket).expect("an end")["type"], "complete");
    }
}

fn other_endpoints_of_hasura_pass_through(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    for path in ["/v1/graphql", "/v1beta1/relay", "/v1/metadata", "/v1alpha1/graphql"] {
        engine.on_path(path, Reply::json(r#"{"data":{"__typename":"query_root"}}"#));
    }
    let mut setup = Setup::before(engine.port).with_shop(handlers.port).with_own_copy();
    setup.upstream.push_str("/v1/graphql");
    let setup = setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").flag("--metadata-api=folder");
    let pillion = setup.start().wait_until_ready();
    engine.take_seen();
    let headers = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", "s3cret")];
    let mut client = pillion.client();
    let post = |client: &mut pillion_test_support::client::Client, path: &str, body: &str| {
        assert_eq!(client.request("POST", path, &headers, body.as_bytes()).status(), 200, "{path} {body}");
        let seen = engine.take_seen();
        let seen = seen.iter().filter(|seen| seen.header("x-request-id") != Some("pillion-probe"));
        seen.filter(|seen| !seen.text().contains("PillionIntrospection"))
            .map(|seen| seen.path().to_owned())
            .collect::<Vec<_>>()
    };
    let document = r#"{"query":"{ a }"}"#;
    assert_eq!(post(&mut client, "/graphql", document), ["/v1/graphql"]);
    assert_eq!(post(&mut client, "/v1beta1/relay", document), ["/v1beta1/relay"]);
    assert_eq!(post(&mut client, "/v1alpha1/graphql", document), ["/v1alpha1/graphql"]);
    let of_upstream = r#"{"type":"pg_track_table","args":{"table":"a"}}"#;
    assert_eq!(post(&mut client, "/v1/metadata", of_upstream), ["/v1/metadata"]);
    let of_both = r#"{"type":"bulk","args":[{"type":"pg_track_table","args":{"table":"a"}},{"type":"drop_action","args":{"name":"maybe"}}]}"#;
    let reply = client.request("POST", "/v1/metadata", &headers, of_both.as_bytes());
    assert!(engine.take_seen().iter().any(|seen| seen.path() == "/v1/metadata"), "{}", reply.text());
}

fn commands_use_the_upstream_path(engines: &Engines) {
    let run = |arguments: &[&str], upstream: String| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        let metadata = format!("{}/tests/fixtures/metadata/shop", env!("CARGO_MANIFEST_DIR"));
        command.args(arguments).arg(format!("--upstream={upstream}")).arg(format!("--metadata={metadata}"));
        let output = command.env("HANDLERS", "http://127.0.0.1:1").output().expect("pillion runs");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let with = |path: &str| format!("http://127.0.0.1:{}{path}", engines.postgraphile);
    for arguments in [&["check"][..], &["schema"]] {
        let (code, said) = run(arguments, with("/graphql"));
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        let (code, said) = run(arguments, with("/nowhere"));
        assert_ne!(code, Some(0), "{arguments:?}: {said}");
    }
    let query = temp_folder().join("query.graphql");
    std::fs::write(&query, "{ productById(id: 1) { name } count }").expect("a file");
    let (code, said) = run(&["explain", &query.display().to_string()], with("/graphql"));
    let _ = std::fs::remove_file(&query);
    assert!(code == Some(0) && said.contains("count"), "{said}");
}

fn the_upstream_path_is_configured_once(engines: &Engines) {
    let start = |upstream: &str, config: &str| {
        let mut setup = Setup::before(engines.postgraphile).config(config);
        setup.upstream.push_str(upstream);
        setup.start_in_vain().1
    };
    for (upstream, config, wanted) in [
        ("/a", "upstream: { graphql_path: /b }\n", "upstream.graphql_path: upstream.url has another path: /a"),
        ("", "upstream: { graphql_path: b }\n", "upstream.graphql_path: \"b\" is not a path"),
        ("/a?b=c", "", "--upstream: the address must have neither a query nor a user"),
    ] {
        let said = start(upstream, config);
        assert!(said.contains(wanted), "{upstream} {config}: {said}");
    }
}
