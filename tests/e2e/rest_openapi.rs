//! The description of REST endpoints at `/api/swagger/json`, read by a validator of OpenAPI.

use std::io::Write as _;
use std::process::{Command, Stdio};

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{repository, trials};
use serde_json::{Value, json};

/// The tests.
pub const TESTS: &[super::Test] =
    trials![endpoints_are_described_with_those_of_the_upstream, an_upstream_without_a_description];

const PATH: &str = "/api/swagger/json";

const ADMIN: (&str, &str) = ("X-Hasura-Admin-Secret", "s3cret");

fn start(upstream: &Scripted) -> Pillion {
    upstream.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    let setup = Setup::before(upstream.port).with_actions("rest-endpoints", upstream.port);
    let setup = setup.env("PILLION_INTROSPECTION_MODE", "upstream");
    setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").start().wait_until_ready()
}

fn description(pillion: &Pillion) -> Value {
    let response = Client::connect(pillion.port).request("GET", PATH, &[ADMIN], b"");
    assert_eq!(response.status(), 200, "{}", response.text());
    let description: Value = serde_json::from_str(&response.text()).expect("JSON");
    validate(&description);
    description
}

fn validate(description: &Value) {
    let mut command = Command::new(repository().join("tests/engines/.venv/bin/openapi-spec-validator"));
    let mut validator = command.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the validator");
    validator.stdin.take().expect("its input").write_all(description.to_string().as_bytes()).expect("a reader");
    let output = validator.wait_with_output().expect("its end");
    assert!(output.status.success(), "{}\n{description:#}", String::from_utf8_lossy(&output.stdout));
}

fn endpoints_are_described_with_those_of_the_upstream(_: &Engines) {
    let upstream = Scripted::start();
    let pillion = start(&upstream);
    let theirs = json!({
        "openapi": "3.0.0",
        "info": { "title": "Theirs", "version": "1" },
        "paths": { "/api/rest/users": { "get": { "summary": "theirs", "responses": { "200": { "description": "ok" } } } } },
    });
    upstream.on_path(PATH, Reply::json(&theirs.to_string()));
    let all = description(&pillion);
    assert_eq!(
        (&all["info"]["title"], &all["paths"]["/api/rest/users"]["get"]["summary"]),
        (&json!("Theirs"), &json!("theirs"))
    );
    let quote = &all["paths"]["/api/rest/quotes/{to}"]["get"];
    assert_eq!(
        (&quote["summary"], &quote["description"]),
        (&json!("quote"), &json!("What it costs to send something."))
    );
    let parameters: Vec<_> = quote["parameters"]
        .as_array()
        .expect("parameters")
        .iter()
        .map(|parameter| {
            (
                parameter["in"].as_str(),
                parameter["name"].as_str(),
                parameter["required"].as_bool(),
                parameter["schema"]["type"].as_str(),
            )
        })
        .collect();
    // The list of tags needs a body, which GET has not.
    assert_eq!(
        parameters,
        [
            (Some("path"), Some("to"), Some(true), Some("string")),
            (Some("query"), Some("grams"), Some(false), Some("integer")),
            (Some("query"), Some("express"), Some(false), Some("boolean")),
        ]
    );
    let content = |operation: &Value| operation["responses"]["200"]["content"]["application/json"]["schema"].clone();
    assert_eq!(content(quote)["properties"]["quote"]["properties"]["price"]["type"], "number");
    // What the upstream has for its own fields is not described.
    assert_eq!(content(&all["paths"]["/api/rest/mixed"]["get"])["properties"]["users"], json!({}));
    let book = &all["paths"]["/api/rest/bookings"];
    for method in ["post", "put"] {
        let body = &book[method]["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!((&body["required"], &body["properties"]["weight"]["nullable"]), (&json!(["to"]), &json!(true)));
    }
    let response = Client::connect(pillion.port).request("GET", PATH, &[ADMIN, ("X-Hasura-Role", "user")], b"");
    assert_eq!(response.text(), theirs.to_string(), "only admins see ours");
}

fn an_upstream_without_a_description(_: &Engines) {
    let upstream = Scripted::start();
    let pillion = start(&upstream);
    for reply in [Reply::status(404, "no"), Reply::json("[]"), Reply::json(r#"{"swagger":"2.0","paths":{}}"#)] {
        upstream.on_path(PATH, reply);
        let own = description(&pillion);
        let paths: Vec<&String> = own["paths"].as_object().expect("paths").keys().collect();
        assert_eq!(paths, ["/api/rest/quotes/{to}", "/api/rest/quotes", "/api/rest/mixed", "/api/rest/bookings"]);
    }
}
