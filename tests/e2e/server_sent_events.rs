//! Answers as streams of server-sent events.

use std::io::Read;
use std::time::Duration;

use pillion_test_support::client::Client;
use pillion_test_support::engines::{Engines, run_node};
use pillion_test_support::message::{Message, read_head};
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};
use serde_json::{Value, json};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    the_graphql_sse_client,
    content_negotiation_of_streams,
    the_bytes_of_a_stream,
    http1_0_clients_get_no_chunks,
    streams_end_at_shutdown,
    disconnected_clients_are_released,
    a_token_that_expires_ends_a_stream,
];

const EVENTS: (&str, &str) = ("Accept", "text/event-stream");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn setup(engine: u16, handlers: &Scripted) -> Setup {
    Setup::before(engine).with_actions("hasura-async", handlers.port)
}

fn ask_with_npm(pillion: &Pillion, operations: &Value) -> Vec<Vec<Value>> {
    let url = format!("http://127.0.0.1:{}/graphql", pillion.port);
    let input = json!({ "client": "events", "url": url, "params": {}, "operations": operations });
    let output = run_node("sockets.mjs", &[], &input.to_string());
    serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}"))
}

fn the_graphql_sse_client(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::Late(Duration::from_millis(300), Box::new(Reply::json(r#"[{"id":7}]"#))));
    let pillion = setup(engines.postgraphile, &handlers).start().wait_until_ready();
    let subscription = "subscription ($id: uuid!) { later(id: $id) { id output { id } } }";
    let operations = json!([
        { "query": "mutation { later(number: 1) }" },
        { "query": subscription, "variables": { "id": { "$": 0 } }, "take": 2 },
        { "query": "query ($id: uuid!) { later(id: $id) { output { id } } productById(id: 1) { name } }", "variables": { "id": { "$": 0 } } },
        { "query": "query ($id: uuid!) { later(id: $id) { nowhere } }", "variables": { "id": { "$": 0 } } },
    ]);
    let all = ask_with_npm(&pillion, &operations);
    let told: Vec<&Value> = all[1].iter().map(|result| &result["data"]["later"]["output"]).collect();
    assert_eq!(told, [&Value::Null, &json!([{ "id": 7 }])], "{all:?}");
    assert_eq!(
        all[2],
        [json!({ "data": { "later": { "output": [{ "id": 7 }] }, "productById": { "name": "City bicycle" } } })]
    );
    assert!(all[3][0]["errors"][0]["message"].as_str().is_some_and(|said| said.contains("nowhere")), "{all:?}");
    // What has no action in it is the upstream's, and so is its stream.
    let pillion = setup(engines.yoga, &handlers).start().wait_until_ready();
    let all = ask_with_npm(&pillion, &json!([{ "query": "{ books { id } }" }]));
    assert_eq!(all[0], [json!({ "data": { "books": [{ "id": "1" }] } })]);
}

fn post(client: &mut Client, headers: &[(&str, &str)], document: &str) -> Message {
    client.request("POST", "/graphql", headers, json!({ "query": document }).to_string().as_bytes())
}

fn content_negotiation_of_streams(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json("[]"));
    let pillion =
        setup(engines.postgraphile, &handlers).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").start().wait_until_ready();
    let secret = ("X-Hasura-Admin-Secret", "s3cret");
    let any = ("Accept", "application/graphql-response+json, application/json, text/event-stream, multipart/mixed");
    let id = uuid::Uuid::new_v4();
    let query = format!("{{ later(id: \"{id}\") {{ id }} }}");
    let stream = "text/event-stream; charset=utf-8";
    let mut client = pillion.client();
    // urql takes everything, whatever it asks.
    for (accept, kind) in [
        (any, "application/graphql-response+json; charset=utf-8"),
        (EVENTS, stream),
        (("X-None", ""), "application/json; charset=utf-8"),
    ] {
        let answer = post(&mut client, &[JSON, secret, accept], &query);
        assert_eq!((answer.status(), answer.header("content-type")), (200, Some(kind)));
        let data = r#"{"data":{"later":null}}"#;
        let told = format!("event: next\ndata: {data}\n\nevent: complete\ndata:\n\n");
        assert_eq!(answer.text(), if kind == stream { told.as_str() } else { data });
    }
    // By GET, as a browser's EventSource does; nothing is written that way.
    let get = |client: &mut Client, document: &str| {
        let document = percent_encoding::utf8_percent_encode(document, percent_encoding::NON_ALPHANUMERIC);
        client.request("GET", &format!("/graphql?query={document}"), &[EVENTS, secret], b"")
    };
    let answer = get(&mut client, &query);
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some(stream)));
    assert_eq!(get(&mut client, "mutation { later(number: 1) }").status(), 405);
    // Whoever may not ask is told so before anything is streamed.
    let rejected = post(&mut client, &[JSON, ("X-Hasura-Admin-Secret", "wrong"), EVENTS], &query);
    assert!(rejected.header("content-type") != Some(stream) && rejected.text().contains("access-denied"));
    // A subscription for which no stream is taken.
    let rejected = post(&mut client, &[JSON, secret], &format!("subscription {query}"));
    assert!(rejected.text().contains("subscription"), "{}", rejected.text());
}

/// Reads a stream up to what is waited for.
pub fn read_until(client: &mut Client, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let mut bytes = [0; 1024];
        let count = client.stream().read(&mut bytes).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(count > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    text
}

fn subscribe(pillion: &Pillion, id: &str) -> Client {
    subscribe_with(pillion, id, "X-None: none")
}

fn subscribe_with(pillion: &Pillion, id: &str, header: &str) -> Client {
    let mut client = pillion.client();
    let document = format!("subscription {{ later(id: \"{id}\") {{ output {{ id }} }} }}");
    let body = json!({ "query": document }).to_string();
    let head = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n";
    client.send(format!("{head}{header}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    let head = read_head(client.stream()).expect("a head").expect("a response");
    assert_eq!((head.status(), head.header("cache-control")), (200, Some("no-cache")));
    assert!(head.header("x-request-id").is_some());
    client
}

fn start(pillion: &Pillion) -> String {
    let answer = pillion.client().ask("mutation { later(number: 1) }").json();
    answer["data"]["later"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn the_bytes_of_a_stream(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::Late(Duration::from_millis(500), Box::new(Reply::json(r#"[{"id":7}]"#))));
    let pillion = setup(engines.postgraphile, &handlers).start().wait_until_ready();
    let id = start(&pillion);
    // However an id is written, its end is told at once.
    for written in [id.clone(), id.to_uppercase(), id.replace('-', "")] {
        let mut client = subscribe(&pillion, &written);
        let told = read_until(&mut client, "\"id\":7");
        assert!(told.contains("event: next\ndata: {\"data\":{\"later\":{\"output\":"), "{told}");
    }
}

/// HTTP/1.0: the end of the connection is that of the stream.
fn http1_0_clients_get_no_chunks(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = setup(engines.postgraphile, &handlers).start().wait_until_ready();
    let query = format!("{{ later(id: \"{}\") {{ id }} }}", uuid::Uuid::new_v4());
    let in_url = percent_encoding::utf8_percent_encode(&query, percent_encoding::NON_ALPHANUMERIC);
    let body = json!({ "query": query }).to_string();
    let post = format!(
        "POST /graphql HTTP/1.0\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let get = format!(
        "GET /graphql?query={in_url} HTTP/1.0\r\nHost: a\r\nAccept: text/event-stream\r\nConnection: keep-alive\r\n\r\n"
    );
    for request in [post, get] {
        let mut client = pillion.client();
        client.send(request.as_bytes());
        let answer = client.read_response().expect("a response");
        assert_eq!(
            (answer.status(), answer.header("transfer-encoding"), answer.header("content-length")),
            (200, None, None)
        );
        assert_eq!(answer.text(), "event: next\ndata: {\"data\":{\"later\":null}}\n\nevent: complete\ndata:\n\n");
    }
}

fn streams_end_at_shutdown(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json("[]"));
    let mut pillion = setup(engines.postgraphile, &handlers).start().wait_until_ready();
    let id = start(&pillion);
    let mut client = subscribe(&pillion, &id);
    read_until(&mut client, "event: next");
    pillion.signal("TERM");
    // The stream ends, and not with "complete": its client comes back, to whoever is there then.
    let rest = read_until(&mut client, "0\r\n\r\n");
    assert!(!rest.contains("complete"), "{rest}");
    wait_until("the end of pillion", || pillion.process.0.try_wait().is_ok_and(|status| status.is_some()));
}

fn disconnected_clients_are_released(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json("[]"));
    let pillion = setup(engines.postgraphile, &handlers).start().wait_until_ready();
    let id = start(&pillion);
    let mut client = subscribe(&pillion, &id);
    read_until(&mut client, "event: next");
    let open = || pillion.metric("pillion_requests_in_flight");
    assert!(open() >= 1.0, "{}", open());
    drop(client);
    wait_until("the stream's end", || open() < 1.0);
}

fn a_token_that_expires_ends_a_stream(engines: &Engines) {
    let handlers = Scripted::start();
    let key = "a-secret-key-that-is-long-enough-for-hs256";
    let pillion = setup(engines.postgraphile, &handlers)
        .env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret")
        .env("HASURA_GRAPHQL_JWT_SECRET", &json!({ "type": "HS256", "key": key }).to_string())
        .start()
        .wait_until_ready();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now").as_secs();
    let claims = json!({ "x-hasura-default-role": "admin", "x-hasura-allowed-roles": ["admin"] });
    let claims = json!({ "exp": now + 3, "https://hasura.io/jwt/claims": claims });
    let token = run_node("token.mjs", &[key], &claims.to_string());
    let header = format!("Authorization: Bearer {}", token.trim());
    let mut client = subscribe_with(&pillion, &uuid::Uuid::new_v4().to_string(), &header);
    let told = read_until(&mut client, "0\r\n\r\n");
    // Not with "complete": its client comes back, and is told why it may not.
    assert!(told.contains(r#"{"data":{"later":null}}"#) && !told.contains("complete"), "{told}");
}
