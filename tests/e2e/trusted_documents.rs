//! Trusted documents: every form of an id by every transport in every role, files that change or are broken, and what the upstream's
//! own list is given.

use std::path::PathBuf;
use std::process::Command;

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::websocket::{LEGACY, MODERN, hear, ready, say};
use pillion_test_support::{repository, trials, wait_until};
use serde_json::{Value, json};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    every_form_by_every_transport_in_every_role,
    unlisted_documents_are_counted_and_logged,
    web_sockets_of_other_protocols_are_rejected,
    changed_files_take_effect,
    broken_files_are_reported_with_their_places,
    the_export_is_what_the_upstream_gets,
    check_says_what_the_upstreams_list_lacks,
];

/// A document, its name and the role that it is listed for, if only for one.
struct Sample {
    text: &'static str,
    id: Option<&'static str>,
    is_listed: bool,
    role: Option<&'static str>,
}

const SAMPLES: [Sample; 3] = [
    Sample { text: "query RelayMixed { user { name } count }", id: Some("relay-mixed"), is_listed: true, role: None },
    Sample { text: "query OwnQuote { quote }", id: None, is_listed: true, role: Some("customer") },
    Sample { text: "query Unlisted { quote }", id: None, is_listed: false, role: None },
];

const ROLES: [&str; 3] = ["guest", "customer", "admin"];

fn start(upstream: u16, handlers: &Scripted, only: &str) -> Pillion {
    let setup = Setup::before(upstream).with_actions("trusted", handlers.port);
    let setup = setup.env("PILLION_INTROSPECTION_MODE", "upstream").env("PILLION_DOCUMENTS_ONLY", only);
    let setup = setup.env("PILLION_DOCUMENTS_FOLDER", "tests/fixtures/documents");
    setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").start().wait_until_ready()
}

fn hash_of(text: &str) -> String {
    pillion::documents::document_hash::DocumentHash::of(text.as_bytes()).to_string()
}

/// The forms in which a document can be asked for. What is not listed has no id.
fn forms(sample: &Sample) -> Vec<Value> {
    let mut forms = vec![json!({ "query": sample.text })];
    if sample.is_listed {
        let hash = hash_of(sample.text);
        forms.push(json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } }));
        forms.push(json!({ "documentId": format!("sha256:{hash}") }));
        forms.extend(sample.id.map(|id| json!({ "documentId": id })));
    }
    forms
}

const TRANSPORTS: [&str; 6] = ["post", "get", "batch", "modern", "legacy", "events"];

/// What comes of it, as text.
fn send(pillion: &Pillion, transport: &str, role: &str, form: &Value) -> String {
    let own = [("X-Hasura-Admin-Secret", "s3cret"), ("X-Hasura-Role", role)];
    let json_type = ("Content-Type", "application/json");
    let mut client = pillion.client();
    match transport {
        "post" => {
            client.request("POST", "/graphql", &[&own[..], &[json_type]].concat(), form.to_string().as_bytes()).text()
        }
        "batch" => {
            let body = json!([{ "query": "query Counted { count }" }, form]).to_string();
            let answer = client.request("POST", "/graphql", &[&own[..], &[json_type]].concat(), body.as_bytes());
            answer.json()[1].to_string()
        }
        "get" => {
            let encode = |value: &Value| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>()
            };
            let members = form.as_object().expect("an object").iter();
            let query: Vec<String> = members.map(|(name, value)| format!("{name}={}", encode(value))).collect();
            client.request("GET", &format!("/graphql?{}", query.join("&")), &own, b"").text()
        }
        "events" => {
            let headers = [&own[..], &[json_type, ("Accept", "text/event-stream")]].concat();
            client.request("POST", "/graphql", &headers, form.to_string().as_bytes()).text()
        }
        _ => {
            let (protocol, verb) = if transport == "modern" { (MODERN, "subscribe") } else { (LEGACY, "start") };
            let init = json!({ "headers": { "X-Hasura-Admin-Secret": "s3cret", "X-Hasura-Role": role } });
            let mut socket = ready(pillion, protocol, &[], &init.to_string());
            say(&mut socket, &json!({ "type": verb, "id": "1", "payload": form }).to_string());
            hear(&mut socket).expect("a message")["payload"].to_string()
        }
    }
}

fn every_form_by_every_transport_in_every_role(_: &Engines) {
    let (handlers, upstream) = (Scripted::start(), Scripted::start());
    upstream.on_path("/graphql", Reply::json(r#"{"data":{"user":null}}"#));
    handlers.on_path("/count", Reply::json("1"));
    handlers.on_path("/quote", Reply::json("1.5"));
    for only in ["log", "actions", "all"] {
        let pillion = start(upstream.port, &handlers, only);
        for sample in &SAMPLES {
            for role in ROLES {
                let is_listed = sample.is_listed && sample.role.is_none_or(|only| only == role);
                let is_served = only == "log" || role == "admin" || is_listed;
                for (form, transport) in forms(sample).iter().flat_map(|form| TRANSPORTS.map(|way| (form, way))) {
                    let answer = send(&pillion, transport, role, form);
                    let (data, rejected) = (answer.contains("\"data\""), answer.contains("not in the allow-list"));
                    assert_eq!((data, rejected), (is_served, !is_served), "{only} {role} {transport} {form}: {answer}");
                }
            }
        }
    }
}

fn unlisted_documents_are_counted_and_logged(_: &Engines) {
    let (handlers, upstream) = (Scripted::start(), Scripted::start());
    upstream.on_path("/graphql", Reply::json(r#"{"data":{"user":null}}"#));
    handlers.on_path("/quote", Reply::json("1.5"));
    let pillion = start(upstream.port, &handlers, "log");
    let form = |text: &str| json!({ "query": text });
    let texts = ["query Unlisted { quote }", "{ user { email(of: \"secret\") } }", "query RelayUsers { users { id } }"];
    for text in texts {
        for _ in 0..2 {
            assert!(send(&pillion, "post", "guest", &form(text)).contains("data"));
        }
        send(&pillion, "post", "admin", &form(text));
    }
    assert_eq!(pillion.metric("pillion_unlisted_documents_total{outcome=\"served\"}"), 4.0);
    pillion.wait_for_log(&hash_of(texts[1]));
    let log = pillion.log();
    assert_eq!(log.matches(&hash_of(texts[0])).count(), 1, "{log}");
    assert!(!log.contains("secret\"") && !log.contains(&hash_of(texts[2])), "{log}");
    let pillion = start(upstream.port, &handlers, "all");
    send(&pillion, "post", "guest", &form(texts[1]));
    assert_eq!(pillion.metric("pillion_unlisted_documents_total{outcome=\"rejected\"}"), 1.0);
}

fn web_sockets_of_other_protocols_are_rejected(_: &Engines) {
    let (handlers, upstream) = (Scripted::start(), Scripted::start());
    upstream.on_path("/graphql", Reply::json(r#"{"data":{"user":null}}"#));
    let pillion = start(upstream.port, &handlers, "all");
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "mine"),
    ];
    upstream.take_seen();
    assert_eq!(pillion.client().request("GET", "/graphql", &headers, b"").status(), 405);
    assert!(upstream.take_seen().iter().all(|seen| seen.header("upgrade").is_none()));
}

/// A folder of one's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = temp_folder().join(format!("documents-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("deeper")).expect("a folder");
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("a file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn changed_files_take_effect(_: &Engines) {
    let (handlers, upstream, folder) = (Scripted::start(), Scripted::start(), Folder::new("changed"));
    upstream.on_path("/graphql", Reply::json(r#"{"data":{"user":null}}"#));
    handlers.on_path("/count", Reply::json("1"));
    folder.write("deeper/a.graphql", "query A { count }");
    let setup = Setup::before(upstream.port).with_actions("trusted", handlers.port);
    let setup = setup.env("PILLION_INTROSPECTION_MODE", "upstream").env("PILLION_DOCUMENTS_ONLY", "all");
    let setup = setup.env("PILLION_DOCUMENTS_FOLDER", &folder.0.display().to_string());
    let pillion = setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").start().wait_until_ready();
    let is_served = |text: &str| send(&pillion, "post", "guest", &json!({ "query": text })).contains("\"count\":1");
    assert_eq!((is_served("query A { count }"), is_served("query B { count }")), (true, false));
    folder.write("b.gql", "query B { count }");
    wait_until("the new document", || is_served("query B { count }"));
    std::fs::remove_file(folder.0.join("deeper/a.graphql")).expect("a file");
    wait_until("the removal", || !is_served("query A { count }"));
    // A broken file changes nothing.
    folder.write("c.graphql", "query C { count");
    pillion.wait_for_log("c.graphql:1:");
    assert!(is_served("query B { count }"));
}

fn broken_files_are_reported_with_their_places(_: &Engines) {
    for (name, text, wanted) in [
        ("a.graphql", "query A {\n  count(\n}", "a.graphql:3:1: error: the trusted document is not valid"),
        ("m.json", "{\n  \"a\": \"{ count }\",\n  \"a\": \"{ quote }\"\n}", "m.json:3:"),
        ("m.json", "{\"a\": 1}", "m.json:1:7: error: the document \"a\" is no string"),
    ] {
        let folder = Folder::new("broken");
        folder.write(name, text);
        let setup = Setup::before(1).with_actions("trusted", 1);
        let setup = setup.env("PILLION_DOCUMENTS_FOLDER", &folder.0.display().to_string());
        let said = setup.start_in_vain().1;
        assert!(said.contains(wanted), "{said}");
    }
    let said =
        Setup::before(1).with_actions("trusted", 1).env("PILLION_DOCUMENTS_FOLDER", "/nowhere").start_in_vain().1;
    assert!(said.contains("the folder of trusted documents /nowhere does not exist"), "{said}");
}

fn export(format: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.args(["documents", "export", "--format", format]);
    command.arg("--metadata").arg(repository().join("tests/fixtures/metadata/trusted"));
    command.env("HANDLERS", "http://127.0.0.1:1").env("PILLION_INTROSPECTION_MODE", "upstream");
    command.env("PILLION_DOCUMENTS_FOLDER", repository().join("tests/fixtures/documents"));
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// An upstream that takes only what is exported serves every listed document.
fn the_export_is_what_the_upstream_gets(_: &Engines) {
    let manifest: Value = serde_json::from_str(&export("relay")).expect("JSON");
    let exported: Vec<&str> = manifest.as_object().expect("an object").values().filter_map(Value::as_str).collect();
    let (handlers, upstream) = (Scripted::start(), Scripted::start());
    upstream.on_path("/graphql", Reply::json(r#"{"data":{"user":null,"users":null}}"#));
    handlers.on_path("/count", Reply::json("1"));
    handlers.on_path("/quote", Reply::json("1.5"));
    let pillion = start(upstream.port, &handlers, "all");
    upstream.take_seen();
    for text in [
        "query RelayMixed { user { name } count }",
        "query RelayUsers { users { id } }",
        "query A {\n  user { name }\n  quote\n}\n",
        "query Both {\n  user { ...Name }\n  count\n}\nfragment Name on User { name }",
    ] {
        assert!(send(&pillion, "post", "customer", &json!({ "query": text })).contains("data"));
        for seen in upstream.take_seen().iter().filter(|seen| seen.header("x-request-id") != Some("pillion-probe")) {
            let sent = seen.json()["query"].as_str().expect("a text").to_owned();
            assert!(exported.contains(&sent.as_str()), "{sent:?} is not in {exported:#?}");
        }
    }
    assert!(!exported.iter().any(|text| text.contains("count") || text.contains("quote")), "{exported:#?}");
    let collections = export("hasura");
    assert!(collections.contains("scope: {global: false, roles: [\"customer\"]}"), "{collections}");
    assert!(collections.contains("        query: |-\n          query A {\n            user {"), "{collections}");
    assert!(export("apollo").contains("apollo-persisted-query-manifest"));
}

/// The upstream is another Pillion with a list: one of the clients' documents, and not of what is sent on of them.
fn check_says_what_the_upstreams_list_lacks(_: &Engines) {
    let (handlers, behind) = (Scripted::start(), Scripted::start());
    behind.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    let check = |upstream: &Pillion| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        command.args(["check", "--upstream", &format!("http://127.0.0.1:{}", upstream.port), "--metadata"]);
        command.arg(repository().join("tests/fixtures/metadata/trusted"));
        command.env("HANDLERS", "http://127.0.0.1:1").env("PILLION_INTROSPECTION_MODE", "upstream");
        command.env("PILLION_DOCUMENTS_FOLDER", repository().join("tests/fixtures/documents"));
        command.env("PILLION_DOCUMENTS_ONLY", "all").env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
        String::from_utf8(command.output().expect("it runs").stdout).expect("text")
    };
    behind.take_seen();
    let said = check(&start(behind.port, &handlers, "all"));
    assert!(said.contains("allow-list lacks what it is sent of 'RelayMixed' in the role"), "{said}");
    assert!(said.contains("query RelayMixed { user { name } }") && !said.contains("'RelayUsers'"), "{said}");
    let executed = behind.take_seen().iter().filter(|seen| seen.text().contains("RelayUsers")).count();
    assert!(executed <= 1, "only its own reader may reject an operation that no document has");
    assert!(!check(&start(behind.port, &handlers, "off")).contains("allow-list"));
}
