//! Secrets go in wherever there is a place for them, and come out nowhere.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::websocket::{MODERN, hear, open, say};
use pillion_test_support::{trials, wait_until};
use serde_json::json;

use super::distributed_tracing::Collector;

/// The tests.
pub const TESTS: &[super::Test] = trials![secrets_do_not_appear, excerpts_show_no_secrets];

/// As somebody might write it: as it is, and encoded.
fn spellings(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    vec![secret.to_owned(), STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret), hex, percent]
}

fn secrets_do_not_appear(engines: &Engines) {
    let (collector, handlers) = (Collector::start(), Scripted::start());
    handlers.on_path("/later", Reply::Close);
    handlers.on_path("/create-user", Reply::status(500, r#"{"oops":true}"#));
    let signing = STANDARD.encode("c4nary-signing-key-that-is-long");
    let given = [
        ("HASURA_GRAPHQL_ADMIN_SECRETS", "[\"c4nary-admin one\",\"c4nary-admin-two\"]".to_owned()),
        (
            "HASURA_GRAPHQL_JWT_SECRET",
            json!({ "type": "HS256", "key": "c4nary-jwt-key-that-is-long-enough-for-it" }).to_string(),
        ),
        ("PILLION_ADMIN_TOKEN", "c4nary-admin-token".to_owned()),
        ("PILLION_REDIS_URL", "redis://user:c4nary-redis@127.0.0.1:1/0".to_owned()),
        ("PILLION_DATABASE_URL", "postgres://user:c4nary-database@127.0.0.1:1/x".to_owned()),
        ("PILLION_HANDLERS_SIGNING_SECRETS", format!("whsec_{signing}")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-other=c4nary-collector".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", collector.http)),
    ];
    let config = "dialect: hasura\ndev_mode: false\nhandlers: { rate_limit: [1000 per 1s], max_retries: 1 }\n";
    let setup = || {
        let setup = Setup::before(engines.postgraphile).with_actions("hasura-async", handlers.port).config(config);
        given.iter().fold(setup.flag("--log-level=debug"), |setup, (name, value)| setup.env(name, value))
    };
    let pillion = setup().start().wait_until_ready();
    let ask = |secret: (&str, &str), query: &str| {
        let headers = [
            ("Content-Type", "application/json"),
            secret,
            ("Cookie", "session=c4nary-cookie"),
            ("X-Api-Key", "c4nary-client-key"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ];
        let body = json!({ "query": query }).to_string();
        pillion.client().request("POST", "/graphql?token=c4nary-url", &headers, body.as_bytes()).text()
    };
    let admin = ("X-Hasura-Admin-Secret", "c4nary-admin one");
    let mut everything = String::new();
    let id = {
        let answer = ask(admin, "mutation { later(number: 1) }");
        let id = answer.split('"').nth(5).unwrap_or_default().to_owned();
        everything += &answer;
        id
    };
    for (secret, query) in [
        (admin, r#"mutation { create_user(email: "a", name: "b") }"#),
        (("X-Hasura-Admin-Secret", "c4nary-wrong"), "{ __typename }"),
        (("X-Hasura-Admin-Secret", "c4nary-wrong"), "mutation { later(number: 1) }"),
        (("Authorization", "Bearer c4nary.token.x"), "mutation { later(number: 1) }"),
        (("Authorization", "Basic c4nary-basic"), "mutation { later(number: 1) }"),
        (admin, "mutation { later(number: \"c4nary\") nothing }"),
    ] {
        // What a client has written in its document may be said back to it.
        everything += &ask(secret, query).replace("\\\"c4nary\\\"", "");
    }
    let mut socket = open(&pillion, MODERN, &[]);
    say(&mut socket, r#"{"type":"connection_init","payload":{"headers":{"x-hasura-admin-secret":"c4nary-socket"}}}"#);
    everything += &format!("{:?}", hear(&mut socket));
    // The call fails, is tried again or not, and is shown.
    let token = ("Authorization", "Bearer c4nary-admin-token");
    let as_operator = |method: &str, path: &str, token: (&str, &str)| {
        Client::admin(pillion.admin).request(method, path, &[token], b"").text()
    };
    let call = format!("/jobs/{id}");
    wait_until("the end of the call", || as_operator("GET", &call, token).contains("\"status\":\"error\""));
    for path in ["/readyz?verbose", "/metrics", "/jobs", &call] {
        everything += &as_operator("GET", path, token);
        everything += &as_operator("GET", path, ("Authorization", "Bearer c4nary-wrong"));
    }
    everything += &as_operator("POST", "/reload", token);
    everything += &serde_json::to_string(&collector.wait_for("0af7651916cd43dd8448eb211c80319c", "graphql"))
        .expect("JSON")
        .replace("c4nary-collector", "");
    // What the commands say, of a configuration that is good and of one that is not.
    let program = env!("CARGO_BIN_EXE_pillion");
    let folder = format!("{}/tests/fixtures/metadata/hasura-async", env!("CARGO_MANIFEST_DIR"));
    for arguments in [
        vec!["check", "--metadata", &folder, "--handlers"],
        vec![
            "serve",
            "--upstream",
            "http://127.0.0.1:1",
            "--metadata",
            &folder,
            "--metadata-api=postgres",
            "--listen=127.0.0.1:1",
        ],
    ] {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("HANDLERS", "http://user:c4nary-handler@127.0.0.1:1")
            .envs(given.iter().map(|(name, value)| (*name, value)));
        let output = command.output().expect("pillion");
        everything += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
    }
    everything += &pillion.whole_log("TERM");
    let secrets = [
        "c4nary-admin one",
        "c4nary-admin-two",
        "c4nary-admin-token",
        "c4nary-jwt-key",
        "c4nary-redis",
        "c4nary-database",
        "c4nary-signing-key",
        "c4nary-collector",
        "c4nary-cookie",
        "c4nary-client-key",
        "c4nary-url",
        "c4nary-wrong",
        "c4nary.token",
        "c4nary-basic",
        "c4nary-socket",
        "c4nary-handler",
        &signing,
    ];
    for secret in secrets {
        for spelling in spellings(secret) {
            let place = everything.find(&spelling).map(|at| &everything[at.saturating_sub(200)..at + spelling.len()]);
            assert_eq!(place, None, "{secret}");
        }
    }
    assert!(everything.len() > 10_000, "{}", everything.len());
}

/// What is wrong with a file is shown with the line that it is about, and without the secrets in it.
fn excerpts_show_no_secrets(engines: &Engines) {
    let folder = temp_folder().join("excerpts");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    write("actions.graphql", "type Query { act: Int }\n");
    let actions = |definition: &str| format!("actions:\n  - name: act\n    definition:\n{definition}");
    let fine = actions("      handler: 'http://127.0.0.1:1/'\n");
    // Each with a secret in or near the line that a diagnostic is about.
    let cases = [
        (
            "actions.yaml",
            actions(
                "      handler: 'http://127.0.0.1:1/'\n      forward_client_headers: true\n      headers:\n        - { name: X-Api-Key, value: c4nary-live }\n",
            ),
        ),
        (
            "actions.yaml",
            actions(
                "      handler: 'http://127.0.0.1:1/'\n      headers: [{ name: A, value: \"Bearer c4nary-live {{MISSING}}\" }]\n",
            ),
        ),
        ("actions.yaml", actions("      handler: 'http://user:c4nary-live@127.0.0.1:1/{{MISSING}}'\n")),
        ("actions.yaml", actions("      handler: 'ftp://user:c4nary-live@127.0.0.1:1/'\n")),
        (
            "actions.yaml",
            actions(
                "      handler: 'http://127.0.0.1:1/'\n      headers: [{ name: 'a b', value: c4nary-live }, { name: A, value: c4nary-live, typo: 1 }]\n",
            ),
        ),
        (
            "actions.yaml",
            actions(
                "      handler: 'http://127.0.0.1:1/'\n      headers: [{ name: A, value: c4nary-live, value: c4nary-live }]\n",
            ),
        ),
        (
            "actions.yaml",
            actions("      handler: 'http://127.0.0.1:1/'\n      headers: [{ name: A, value: \"c4nary-live }]\n"),
        ),
        (
            "actions.yaml",
            actions("      handler: 'http://127.0.0.1:1/'\n      headers: [{ name: A, value: c4nary-live\n"),
        ),
        (
            "actions.yaml",
            actions(
                "      handler: 'http://127.0.0.1:1/'\n      request_transform: { version: 2, template_engine: Kriti, typo: 1, request_headers: { add_headers: { X-A: c4nary-live, 'a b': x } } }\n",
            ),
        ),
        (
            "actions.yaml",
            actions(
                "      handler: 'http://127.0.0.1:1/'\n      request_transform: { version: 2, template_engine: Kriti, body: { action: transform, template: '{\"apiKey\": \"c4nary-live\", \"b\": {{ nope( }}' } }\n",
            ),
        ),
        ("pillion.yaml", "auth: { admin_secret: c4nary-live, typo: 1 }\n".into()),
        ("pillion.yaml", "auth: { admin_secret: [c4nary-live] }\n".into()),
        ("pillion.yaml", "auth: { admin_secrets: \"[c4nary-live\" }\n".into()),
        ("pillion.yaml", "auth: { jwt_secret: '{\"type\":\"HS256\",\"key\":\"c4nary-live\"}' }\n".into()),
        ("pillion.yaml", "auth:\n  admin_secret: \"c4nary-live\n  typo: c4nary-live\n".into()),
        ("pillion.yaml", "auth:\n  admin_secret: c4nary-live: c4nary-live\n".into()),
        ("pillion.yaml", "handlers: { signing_secrets: c4nary-live, typo: 1 } # was c4nary-live\n".into()),
        ("pillion.yaml", "redis: { url: 'redis://user:c4nary-live@127.0.0.1/', typo: 1 }\n".into()),
        ("pillion.yaml", "database: { url: 'postgres://user:c4nary-live@127.0.0.1/x', typo: 1 }\n".into()),
        ("pillion.yaml", "jobs: { store: 'c4nary-live' }\n".into()),
        ("pillion.yaml", "telemetry: { otlp_headers: 'c4nary-live', typo: 1 }\n".into()),
        ("pillion.yaml", "admin: { token: 'c4nary live', typo: 1 }\n".into()),
        ("pillion.yaml", "upstream: { url: 'http://user:c4nary-live@127.0.0.1:1' }\n".into()),
    ];
    write("actions.yaml", &fine);
    write("pillion.yaml", "limits: { max_depth: 20 }\n");
    let (metadata, config) = (folder.display().to_string(), folder.join("pillion.yaml").display().to_string());
    let mut setup = Setup::before(engines.postgraphile).env("PILLION_RELOAD_WATCH_FILES", "false");
    setup.metadata = Some(folder.clone());
    let pillion = setup.flag("--config").flag(&config).start().wait_until_ready();
    let is_said = |said: &str, what: &str| {
        let said = said.replace("c4nary live", "c4nary-live");
        assert!(!said.contains("c4nary"), "{what}:\n{said}");
    };
    for (name, text) in &cases {
        write("actions.yaml", &fine);
        write("pillion.yaml", "limits: { max_depth: 20 }\n");
        write(name, text);
        let checked = Command::new(env!("CARGO_BIN_EXE_pillion"))
            .args(["check", "--metadata", &metadata, "--config", &config, "--handlers"])
            .output()
            .expect("pillion check");
        let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
        assert!(said.contains("warning: ") || said.contains("error: "), "{text}\n{said}");
        is_said(&said, text);
        let reloaded = Client::admin(pillion.admin).request("POST", "/reload", &[], b"").text();
        is_said(&reloaded, text);
        is_said(&pillion.admin("/readyz?verbose").1, text);
    }
    is_said(&pillion.whole_log("TERM"), "the log");
    let _ = std::fs::remove_dir_all(&folder);
}
