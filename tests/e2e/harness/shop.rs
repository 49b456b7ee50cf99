//! Pillion before PostGraphile with the sample actions (`tests/fixtures/metadata/shop`), and requests to it.

use std::time::Duration;

use pillion_test_support::engines::Engines;
use pillion_test_support::message::Message;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::Scripted;
use serde_json::{Value, json};

/// A document that calls one action.
pub const COUNT: &str = "{ count }";
/// What it gets if the handler responds with 1.
pub const ONE: &str = r#"{"data":{"count":1}}"#;

/// A document for the upstream and an action.
pub const MIXED: &str = "{ count productById(id: 1) { name } }";
/// What it gets if the handler responds with 1.
pub const MIXED_RESPONSE: &str = r#"{"data":{"count":1,"productById":{"name":"City bicycle"}}}"#;

/// Before PostGraphile with the sample actions and this configuration.
pub fn start(engines: &Engines, handlers: &Scripted, config: &str) -> Pillion {
    Setup::before(engines.postgraphile).with_shop(handlers.port).config(config).start().wait_until_ready()
}

/// Before PostGraphile with the sample actions, an admin secret and this configuration.
pub fn start_with_secret(engines: &Engines, handlers: &Scripted, config: &str) -> Pillion {
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").config(config).start().wait_until_ready()
}

/// Sends a document as an admin, with these headers.
pub fn ask_as_admin(pillion: &Pillion, headers: &[(&str, &str)], query: &str) -> Message {
    let body = json!({ "query": query }).to_string();
    let own = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", "s3cret")];
    pillion.client().request("POST", "/graphql", &[&own, headers].concat(), body.as_bytes())
}

/// The code of the first error.
pub fn error_code(answer: &Message) -> Value {
    answer.json()["errors"][0]["extensions"]["code"].clone()
}

/// A request with a document, as bytes.
pub fn post_bytes(document: &str) -> Vec<u8> {
    let body = serde_json::json!({ "query": document }).to_string();
    post_body_bytes(&body)
}

/// A request with this body, as bytes.
pub fn post_body_bytes(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Calls `count` and waits for so long.
pub fn ask_over_http2(pillion: &Pillion, patience: Duration) -> Option<String> {
    pillion::install_tls_provider();
    let url = format!("http://127.0.0.1:{}/graphql", pillion.port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
        let request = client.post(&url).header("content-type", "application/json").body(r#"{"query":"{ count }"}"#);
        let waited = tokio::time::timeout(patience, request.send()).await;
        // The stream is reset, if it is not over, before the connection goes.
        tokio::time::sleep(Duration::from_millis(100)).await;
        match waited {
            Ok(answer) => Some(answer.expect("a response").text().await.expect("a text")),
            Err(_) => None,
        }
    })
}
