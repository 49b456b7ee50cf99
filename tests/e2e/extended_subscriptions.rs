//! Extension fields in the upstream's subscriptions: each event is completed before its client gets it.

use std::time::Duration;

use pillion_test_support::engines::{Engines, SubscriptionsEngine, run_node};
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::websocket::{LEGACY, MODERN, Socket, hear, ready, say, start};
use pillion_test_support::{free_port, trials, wait_until};
use serde_json::{Value, json};

use super::server_sent_events::read_until;

/// The tests.
pub const TESTS: &[super::Test] = trials![
    events_are_completed_in_order,
    a_failed_call_costs_its_fields,
    a_subscription_that_is_stopped_says_nothing_more,
    names_that_are_not_extension_fields_go_to_the_upstream,
    a_fast_upstream_is_slowed_down,
    a_rejected_subscription_never_reaches_the_upstream,
    errors_of_the_upstream_are_about_the_clients_document,
    an_upstream_that_is_lost_closes_the_socket,
    queries_and_mutations_on_a_socket,
    events_of_postgraphile,
    streams_are_completed_in_order,
    streams_that_go_to_the_upstream,
    a_rejected_stream_says_why,
    a_client_that_leaves_ends_the_upstreams_stream,
];

fn setup(engine: u16, handlers: &Scripted) -> Setup {
    let fields = "fields:\n  Row.offer: 'offer(productId: $id)'\n  Row.mood: 'mood(stars: $id)'\n";
    Setup::before(engine).with_actions("extension-fields", handlers.port).config(fields)
}

fn upstream() -> (SubscriptionsEngine, Scripted, Pillion) {
    let (engine, handlers) = (SubscriptionsEngine::start_on(free_port()), Scripted::start());
    handlers.on_path("/offer", Reply::json(r#"{"total":1}"#));
    let pillion = setup(engine.port, &handlers).start().wait_until_ready();
    (engine, handlers, pillion)
}

/// The first call of this row's offer.
fn of_row(id: usize) -> String {
    format!("\"productId\":{id},")
}

/// The payloads of an operation up to its end.
fn payloads(socket: &mut Socket) -> Vec<Value> {
    let mut payloads = Vec::new();
    loop {
        let message = hear(socket).expect("a message");
        match message["type"].as_str() {
            Some("next" | "data") => payloads.push(message["payload"].clone()),
            Some("complete") => return payloads,
            _ => panic!("{message}"),
        }
    }
}

fn events_are_completed_in_order(_: &Engines) {
    let (_engine, handlers, pillion) = upstream();
    // The first call takes longer than all others together.
    handlers.on_word(&of_row(0), Reply::Late(Duration::from_millis(700), Box::new(Reply::json(r#"{"total":0}"#))));
    handlers.on_word(&of_row(21), Reply::json(r#"{"total":21}"#));
    let document = "subscription { rows(size: 2) { dear: offer(pieces: 9) { total } key: name } }";
    let row = |total: usize| json!({ "dear": { "total": total }, "key": "n" });
    let event = |first, second| json!({ "data": { "rows": [row(first), row(second)] } });
    for protocol in [MODERN, LEGACY] {
        let mut socket = ready(&pillion, protocol, &[], "{}");
        say(&mut socket, &start("1", document));
        assert_eq!(payloads(&mut socket), [event(0, 1), event(1, 1), event(1, 21)], "{protocol}");
        // The id is free again.
        say(&mut socket, &start("1", "{ a }"));
        assert_eq!(payloads(&mut socket), [json!({ "data": { "a": 1 } })]);
    }
    let calls = handlers.take_seen();
    assert_eq!(calls.len(), 12, "one for each row");
    assert!(calls.iter().all(|call| call.json()["input"]["pieces"] == json!(9)));
    wait_until("the end of its operations", || pillion.metric("pillion_websocket_operations") < 1.0);
}

fn a_failed_call_costs_its_fields(_: &Engines) {
    let (engine, handlers, pillion) = upstream();
    handlers.on_word(&of_row(10), Reply::status(400, r#"{"message":"sold out"}"#));
    let document = "subscription { rows(events: 2) { id offer { total } } }";
    let fine = json!({ "data": { "rows": [{ "id": 0, "offer": { "total": 1 } }] } });
    for protocol in [MODERN, LEGACY] {
        let mut socket = ready(&pillion, protocol, &[], "{}");
        say(&mut socket, &start("1", document));
        let told = payloads(&mut socket);
        assert_eq!((told.len(), &told[0]), (2, &fine));
        assert_eq!(told[1]["data"], json!({ "rows": [{ "id": 10, "offer": null }] }));
        let error = &told[1]["errors"][0];
        assert_eq!((&error["message"], &error["path"]), (&json!("sold out"), &json!(["rows", 0, "offer"])));
    }
    let hasura = setup(engine.port, &handlers).config("dialect: hasura\n").start().wait_until_ready();
    let mut socket = ready(&hasura, MODERN, &[], "{}");
    say(&mut socket, &start("1", document));
    let told = payloads(&mut socket);
    assert_eq!((told.len(), &told[0]), (2, &fine));
    assert_eq!((&told[1]["data"], &told[1]["errors"][0]["message"]), (&Value::Null, &json!("sold out")));
}

fn a_subscription_that_is_stopped_says_nothing_more(_: &Engines) {
    let (engine, handlers, pillion) = upstream();
    // A later event waits for its handler without end.
    handlers.on_word(&of_row(30), Reply::Hang);
    let mut socket = ready(&pillion, MODERN, &[], "{}");
    for (last, stops_in_a_call) in [(20, true), (0, false)] {
        say(&mut socket, &start("1", "subscription { rows(events: 100000, every: 5) { id offer { total } } }"));
        for id in (0..=last).step_by(10) {
            let told = hear(&mut socket).expect("an event");
            assert_eq!(told["payload"]["data"]["rows"], json!([{ "id": id, "offer": { "total": 1 } }]), "{told}");
        }
        if stops_in_a_call {
            wait_until("the call", || handlers.take_seen().iter().any(|call| call.json()["input"]["productId"] == 30));
        }
        say(&mut socket, r#"{"type":"complete","id":"1"}"#);
        // Its id belongs to another operation at once.
        say(&mut socket, &start("1", "{ a }"));
        assert_eq!(payloads(&mut socket), [json!({ "data": { "a": 1 } })]);
        wait_until("the end of the upstream's subscription", || engine.open() == json!(0));
    }
    // A client that disconnects ends it as well.
    say(&mut socket, &start("1", "subscription { rows(events: 100000, every: 5) { offer { total } } }"));
    hear(&mut socket).expect("an event");
    drop(socket);
    wait_until("the end of the upstream's subscription", || engine.open() == json!(0));
    wait_until("the end of its operations", || pillion.metric("pillion_websocket_operations") < 1.0);
}

fn names_that_are_not_extension_fields_go_to_the_upstream(_: &Engines) {
    let (_engine, handlers, pillion) = upstream();
    for protocol in [MODERN, LEGACY] {
        let mut socket = ready(&pillion, protocol, &[], "{}");
        say(&mut socket, &start("1", "subscription { others { offer } }"));
        assert_eq!(payloads(&mut socket), [json!({ "data": { "others": { "offer": "its own" } } })]);
        say(&mut socket, &start("1", "{ other { offer } }"));
        assert_eq!(payloads(&mut socket), [json!({ "data": { "other": { "offer": "its own" } } })]);
    }
    assert!(handlers.take_seen().is_empty());
}

/// Far more than may wait here: the upstream's socket is not read while as many events wait as may.
fn a_fast_upstream_is_slowed_down(_: &Engines) {
    let (engine, handlers) = (SubscriptionsEngine::start_on(free_port()), Scripted::start());
    handlers.on_path("/mood", Reply::Late(Duration::from_millis(3), Box::new(Reply::json(r#""GOOD""#))));
    let setup = setup(engine.port, &handlers).config("limits: { max_memory_bytes: 64MiB }\n");
    let pillion = setup.start().wait_until_ready();
    let mut socket = ready(&pillion, MODERN, &[], "{}");
    say(&mut socket, &start("1", "subscription { rows(events: 1000, bytes: 200000) { id name mood } }"));
    for event in 0..1000 {
        let told = hear(&mut socket).expect("an event");
        let row = &told["payload"]["data"]["rows"][0];
        assert_eq!((&row["id"], &row["mood"]), (&json!(event * 10), &json!("GOOD")));
    }
    assert_eq!(hear(&mut socket), Ok(json!({ "type": "complete", "id": "1" })));
}

fn a_rejected_subscription_never_reaches_the_upstream(_: &Engines) {
    let (engine, handlers) = (SubscriptionsEngine::start_on(free_port()), Scripted::start());
    let setup = setup(engine.port, &handlers).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
    let pillion = setup.env("HASURA_GRAPHQL_UNAUTHORIZED_ROLE", "guest").start().wait_until_ready();
    for (protocol, payload, document, wanted) in [
        (MODERN, "{}", "subscription { rows { offer(pieces: \"x\") { total } } }", "Int cannot represent"),
        (LEGACY, "{}", "subscription { rows { mood } }", "Cannot query field"),
        (MODERN, r#"{"x-hasura-admin-secret":"wrong"}"#, "subscription { rows { mood } }", "access-denied"),
    ] {
        let mut socket = ready(&pillion, protocol, &[], payload);
        say(&mut socket, &start("1", document));
        let told = hear(&mut socket).expect("a message");
        assert_eq!(told["type"], json!("error"), "{told}");
        assert!(told.to_string().contains(wanted), "{told}");
    }
    assert_eq!(engine.open(), json!(0));
    assert!(handlers.take_seen().is_empty());
}

fn errors_of_the_upstream_are_about_the_clients_document(_: &Engines) {
    let (_engine, _handlers, pillion) = upstream();
    let document = "subscription { rows { offer(pieces: 2) { total } name } }";
    for protocol in [MODERN, LEGACY] {
        let mut socket = ready(&pillion, protocol, &[], r#"{"act":"reject"}"#);
        say(&mut socket, &start("1", document));
        let told = hear(&mut socket).expect("a message");
        let errors = if protocol == MODERN { &told["payload"] } else { &told["payload"]["errors"] };
        let column = document.find("name").expect("it is there") + 1;
        let location = json!([{ "line": 1, "column": column }]);
        assert_eq!((&errors[0]["message"], &errors[0]["locations"]), (&json!("rejected"), &location), "{told}");
    }
}

fn an_upstream_that_is_lost_closes_the_socket(_: &Engines) {
    let (_engine, _handlers, pillion) = upstream();
    let mut socket = ready(&pillion, MODERN, &[], r#"{"act":"breakLater"}"#);
    say(&mut socket, &start("1", "subscription { rows(events: 100000, every: 20) { offer { total } } }"));
    let mut last = hear(&mut socket);
    while let Ok(message) = &last {
        assert_eq!(message["payload"]["data"]["rows"][0]["offer"]["total"], json!(1), "{message}");
        last = hear(&mut socket);
    }
    assert_eq!(last, Err((1012, "the connection to the upstream was lost".to_owned())));
}

const PRODUCTS: &str =
    "fields:\n  Product.offer: 'offer(productId: $id)'\n  Review.mood: 'mood(text: $body, stars: $stars)'\n";

fn queries_and_mutations_on_a_socket(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/offer", Reply::json(r#"{"total":5}"#));
    handlers.on_path("/mood", Reply::json(r#""GOOD""#));
    let setup = Setup::before(engines.postgraphile).with_actions("extension-fields", handlers.port).config(PRODUCTS);
    let pillion = setup.start().wait_until_ready();
    let query = "{ productById(id: 1) { name offer { total } } }";
    let mutation = "mutation { updateReviewById(input: {id: 3, reviewPatch: {stars: 5}}) { review { id mood } } }";
    let product = json!({ "data": { "productById": { "name": "City bicycle", "offer": { "total": 5 } } } });
    let review = json!({ "data": { "updateReviewById": { "review": { "id": 3, "mood": "GOOD" } } } });
    for protocol in [MODERN, LEGACY] {
        let mut socket = ready(&pillion, protocol, &[], "{}");
        for (document, wanted) in [(query, &product), (mutation, &review)] {
            say(&mut socket, &start("1", document));
            assert_eq!(payloads(&mut socket), std::slice::from_ref(wanted), "{protocol}");
        }
    }
}

fn events_of_postgraphile(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/offer", Reply::json(r#"{"total":5}"#));
    let setup = Setup::before(engines.postgraphile).with_actions("extension-fields", handlers.port).config(PRODUCTS);
    let pillion = setup.start().wait_until_ready();
    let document =
        "subscription { listen(topic: \"offers\") { relatedNode { ... on Product { name offer { total } } } } }";
    let notify = format!(
        "psql --quiet --no-psqlrc postgres://shop@127.0.0.1:{}/postgres --command \
         \"notify \\\"postgraphile:offers\\\", '{{\\\"__node__\\\":[\\\"products\\\",2]}}'\"",
        engines.database
    );
    let node = json!({ "data": { "listen": { "relatedNode": { "name": "Helmet", "offer": { "total": 5 } } } } });
    for client in ["modern", "legacy", "apollo"] {
        let url = format!("ws://127.0.0.1:{}/graphql", pillion.port);
        let operations = json!([{ "query": document, "take": 1, "after": notify }]);
        let input = json!({ "client": client, "url": url, "params": {}, "operations": operations });
        let output = run_node("sockets.mjs", &[], &input.to_string());
        let all: Vec<Vec<Value>> = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{client}: {output}"));
        assert_eq!(all, [[node.clone()]], "{client}");
    }
}

/// The bytes of the stream for a document.
fn streamed(pillion: &Pillion, document: &str) -> String {
    let headers = [("Accept", "text/event-stream"), ("Content-Type", "application/json")];
    let body = json!({ "query": document }).to_string();
    let answer = pillion.client().request("POST", "/graphql", &headers, body.as_bytes());
    let content_type = answer.header("content-type").unwrap_or_default().to_owned();
    assert!(answer.status() == 200 && content_type.starts_with("text/event-stream"), "{}", answer.text());
    answer.text()
}

fn next(payload: &Value) -> String {
    format!("event: next\ndata: {payload}\n\n")
}

const COMPLETE: &str = "event: complete\ndata:\n\n";

fn streams_are_completed_in_order(_: &Engines) {
    let (_engine, handlers, pillion) = upstream();
    handlers.on_word(&of_row(0), Reply::Late(Duration::from_millis(700), Box::new(Reply::json(r#"{"total":0}"#))));
    handlers.on_word(&of_row(21), Reply::status(400, r#"{"message":"sold out"}"#));
    let document = "subscription { rows(size: 2) { offer { total } key: name } }";
    let row = |offer: Value| json!({ "offer": offer, "key": "n" });
    let event = |first, second| json!({ "data": { "rows": [row(first), row(second)] } });
    let one = || json!({ "total": 1 });
    let told = streamed(&pillion, document);
    let rest = told.strip_prefix(&(next(&event(json!({ "total": 0 }), one())) + &next(&event(one(), one()))));
    let last = rest.and_then(|rest| rest.strip_prefix("event: next\ndata: ")?.strip_suffix(&format!("\n\n{COMPLETE}")));
    let last: Value = serde_json::from_str(last.unwrap_or_else(|| panic!("{told}"))).expect("JSON");
    assert_eq!(last["data"], event(one(), Value::Null)["data"]);
    let error = &last["errors"][0];
    assert_eq!((&error["message"], &error["path"]), (&json!("sold out"), &json!(["rows", 1, "offer"])));
    // A query is run as over HTTP, and its result is the only event.
    let row = json!({ "data": { "row": { "offer": { "total": 1 } } } });
    assert_eq!(streamed(&pillion, "{ row(id: 3) { offer { total } } }"), next(&row) + COMPLETE);
    // The library that people use.
    let url = format!("http://127.0.0.1:{}/graphql", pillion.port);
    let operations = json!([{ "query": "subscription { rows(events: 2) { id offer { total } } }" }]);
    let input = json!({ "client": "events", "url": url, "params": {}, "operations": operations });
    let output = run_node("sockets.mjs", &[], &input.to_string());
    let all: Vec<Vec<Value>> = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}"));
    let row = |id: usize, total: usize| json!({ "data": { "rows": [{ "id": id, "offer": { "total": total } }] } });
    assert_eq!(all, [[row(0, 0), row(10, 1)]]);
}

fn streams_that_go_to_the_upstream(_: &Engines) {
    let (_engine, handlers, pillion) = upstream();
    let own = |field: &str| json!({ "data": { field: { "offer": "its own" } } }).to_string();
    // Its bytes are the upstream's.
    for (document, field) in [("subscription { others { offer } }", "others"), ("{ other { offer } }", "other")] {
        let told = streamed(&pillion, document);
        assert!(told.contains(&own(field)) && told.contains("event: complete"), "{told}");
    }
    assert!(handlers.take_seen().is_empty());
}

fn a_rejected_stream_says_why(_: &Engines) {
    let (engine, handlers, pillion) = upstream();
    let told = streamed(&pillion, "subscription { rows { offer(pieces: \"x\") { total } } }");
    assert!(told.contains("Int cannot represent") && told.ends_with(COMPLETE), "{told}");
    // The upstream is gone.
    streamed(&pillion, "subscription { rows { offer { total } } }");
    handlers.take_seen();
    drop(engine);
    let told = streamed(&pillion, "subscription { rows { offer { total } } }");
    assert!(told.contains("upstream-error") && told.ends_with(COMPLETE), "{told}");
    assert!(handlers.take_seen().is_empty());
}

fn a_client_that_leaves_ends_the_upstreams_stream(_: &Engines) {
    let (engine, _handlers, pillion) = upstream();
    let mut client = pillion.client();
    let body = json!({ "query": "subscription { rows(events: 100000, every: 5) { offer { total } } }" }).to_string();
    let head = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n";
    client.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    read_until(&mut client, "\"total\":1");
    assert_eq!(engine.open(), json!(1));
    drop(client);
    wait_until("the end of the upstream's subscription", || engine.open() == json!(0));
}
