//! Secrets go in wherever there is a place for them, and come out nowhere.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::harness::client::Client;
use super::harness::engines::Engines;
use super::harness::pillion::Setup;
use super::harness::scripted::{Reply, Scripted};
use super::harness::socket::{MODERN, hear, open, say};
use super::harness::wait_until;
use super::traces::Collector;

/// The tests.
pub const TESTS: &[super::Test] = &[("secrets_come_out_nowhere", secrets_come_out_nowhere)];

/// As somebody might write it: as it is, and encoded.
fn spellings(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    vec![secret.to_owned(), STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret), hex, percent]
}

fn secrets_come_out_nowhere(engines: &Engines) {
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
        ("PILLION_REDIS_URL", "redis://user:c4nary-redis@127.0.0.1:1/0".to_owned()),
        ("PILLION_DATABASE_URL", "postgres://user:c4nary-database@127.0.0.1:1/x".to_owned()),
        ("PILLION_HANDLERS_SIGNING_SECRETS", format!("whsec_{signing}")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-other=c4nary-collector".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", collector.http)),
    ];
    let config = "dialect: hasura\ndev_mode: false\nhandlers: { rate_limit: [1000 per 1s], retries: 1 }\n";
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
    wait_until("the end of the call", || pillion.admin(&format!("/jobs/{id}")).1.contains("\"status\":\"error\""));
    for path in ["/readyz?verbose", "/metrics", "/jobs", &format!("/jobs/{id}")] {
        everything += &pillion.admin(path).1;
    }
    everything += &Client::connect(pillion.admin).request("POST", "/reload", &[("Content-Length", "0")], b"").text();
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
