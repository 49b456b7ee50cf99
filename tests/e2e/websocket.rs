//! GraphQL over WebSocket: the clients that people use, and the protocol to the letter.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pillion_test_support::engines::{Engines, SubscriptionsEngine, run_node};
use pillion_test_support::message::read_head;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::websocket::{LEGACY, MODERN, Socket, hear, open, ready, say, start};
use pillion_test_support::{free_port, trials, wait_until};
use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::server::{Request, Response};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    the_graphql_ws_clients,
    the_messages_of_the_protocol,
    the_hasura_dialect_authenticates_at_connection_init,
    results_are_pushed,
    headers_of_a_websocket,
    headers_of_a_websocket_are_validated,
    an_upstream_websocket_that_ends,
    the_upstream_authorizes_connections,
    idle_sockets_take_little_memory,
    a_closed_upstream_websocket_closes_the_clients,
    subscriptions_survive_a_restart_of_the_upstream,
    an_id_is_free_once_its_operation_has_failed,
    a_mutation_finishes_after_its_websocket_closes,
    websockets_end_at_shutdown,
    a_token_that_expires_ends_a_socket,
    other_protocols_pass_through,
    clients_that_do_not_read_are_disconnected,
    unresponsive_clients_are_disconnected,
    websocket_origins_are_checked,
    cookies_of_the_upgrade_request,
];

fn setup(engine: u16, handlers: &Scripted) -> Setup {
    Setup::before(engine).with_actions("hasura-async", handlers.port)
}

fn the_graphql_ws_clients(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::Late(Duration::from_millis(300), Box::new(Reply::json(r#"[{"id":7}]"#))));
    handlers.on_path("/create-user", Reply::json(r#"{"id":1}"#));
    let pillion = setup(engines.postgraphile, &handlers).start().wait_until_ready();
    let notify = format!(
        "psql --quiet --no-psqlrc postgres://shop@127.0.0.1:{}/postgres --command \"notify \\\"postgraphile:news\\\", '{{}}'\"",
        engines.database
    );
    let operations = json!([
        { "query": "{ productById(id: 1) { name } }" },
        { "query": "mutation { later(number: 1) }" },
        { "query": "subscription ($id: uuid!) { later(id: $id) { id output { id } } }", "variables": { "id": { "$": 1 } }, "take": 2 },
        { "query": "query ($id: uuid!) { later(id: $id) { output { id } } productById(id: 1) { name } }", "variables": { "id": { "$": 1 } } },
        { "query": "subscription { listen(topic: \"news\") { relatedNodeId } }", "take": 1, "after": notify },
        { "query": "{ nowhere }" },
        { "query": "query ($id: uuid!) { later(id: $id) { nowhere } }", "variables": { "id": { "$": 1 } } },
    ]);
    for client in ["modern", "legacy", "apollo"] {
        let url = format!("ws://127.0.0.1:{}/graphql", pillion.port);
        let input = json!({ "client": client, "url": url, "params": {}, "operations": operations });
        let output = run_node("sockets.mjs", &[], &input.to_string());
        let all: Vec<Vec<Value>> = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{client}: {output}"));
        let last = |index: usize| &all[index].last().unwrap_or_else(|| panic!("{client} {index}: {output}"))["data"];
        assert_eq!(*last(0), json!({ "productById": { "name": "City bicycle" } }), "{client}: {output}");
        let id = last(1)["later"].as_str().expect("an id");
        let told: Vec<&Value> = all[2].iter().map(|result| &result["data"]["later"]["output"]).collect();
        assert_eq!(told, [&Value::Null, &json!([{ "id": 7 }])], "{client}");
        assert_eq!(all[2][0]["data"]["later"]["id"], json!(id), "{client}");
        assert_eq!(
            *last(3),
            json!({ "later": { "output": [{ "id": 7 }] }, "productById": { "name": "City bicycle" } }),
            "{client}"
        );
        assert_eq!(all[4].len(), 1, "{client}: {output}");
        assert_eq!(*last(4), json!({ "listen": { "relatedNodeId": null } }), "{client}: {output}");
        // Of the upstream's documents and of ours.
        for index in [5, 6] {
            let said = all[index][0].to_string();
            assert!(said.contains("Cannot query field") && said.contains("nowhere"), "{client}: {said}");
        }
    }
}

fn closed(result: Result<Value, (u16, String)>) -> u16 {
    result.map_or_else(|(code, _)| code, |message| panic!("{message}"))
}

fn the_messages_of_the_protocol(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::Hang);
    let pillion = setup(engines.postgraphile, &handlers)
        .config("limits: { max_websocket_message_size: 2KiB }\n")
        .start()
        .wait_until_ready();
    let init = r#"{"type":"connection_init"}"#;
    // What closes a socket, and with which code.
    let waits = start("1", "subscription { listen(topic: \"x\") { relatedNodeId } }");
    let long = format!("{{\"type\":\"ping\",\"payload\":{{\"a\":\"{}\"}}}}", "x".repeat(3_000));
    for (messages, code) in [
        (vec![start("1", "{ allProducts { totalCount } }")], 4401),
        (vec![init.to_owned(), init.to_owned()], 4429),
        (vec![init.to_owned(), waits.clone(), waits], 4409),
        (vec![init.to_owned(), "{".to_owned()], 4400),
        (vec![init.to_owned(), r#"{"type":"eat"}"#.to_owned()], 4400),
        (vec![init.to_owned(), r#"{"type":"subscribe","payload":{}}"#.to_owned()], 4400),
        (vec![r#"{"type":"connection_init","payload":"me"}"#.to_owned()], 4400),
        (vec![r#"{"type":"connection_init","payload":[]}"#.to_owned()], 4400),
        (vec![init.to_owned(), long], 1009),
    ] {
        let mut socket = open(&pillion, MODERN, &[]);
        messages.iter().for_each(|text| say(&mut socket, text));
        let mut last = hear(&mut socket);
        while last.is_ok() {
            last = hear(&mut socket);
        }
        let reason = last.as_ref().map_or_else(|(_, reason)| reason.clone(), |_| String::new());
        assert_eq!(closed(last), code, "{messages:?}");
        // The protocol's own words: clients show them.
        assert!(code != 4409 || reason == "Subscriber for 1 already exists", "{reason}");
    }
    let mut silent = open(&pillion, MODERN, &[]);
    assert_eq!(closed(hear(&mut silent)), 4408);
    // JSON in a binary frame is read, as graphql-ws reads it.
    let mut binary = ready(&pillion, MODERN, &[], "{}");
    binary.send(Message::binary(br#"{"type":"ping"}"#.to_vec())).expect("it is sent");
    assert_eq!(hear(&mut binary), Ok(json!({ "type": "pong" })));
    binary.send(Message::binary(vec![0xff])).expect("it is sent");
    assert_eq!(closed(hear(&mut binary)), 1007);
    let mut garbled = ready(&pillion, MODERN, &[], "{}");
    // A text of one byte that is no UTF-8, under a mask of zeros.
    garbled.get_mut().write_all(&[0x81, 0x81, 0, 0, 0, 0, 0xff]).expect("it is sent");
    assert_eq!(closed(hear(&mut garbled)), 1007);
    let mut eager = ready(&pillion, MODERN, &[], "{}");
    for _ in 0..=100 {
        let _ = eager.send(Message::Ping(Vec::new().into()));
    }
    assert_eq!(closed(hear(&mut eager)), 1008);
    // Some say their first words before they are answered.
    let mut hasty = pillion.client();
    hasty.send(
        b"GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n\
          \x81\x9a\0\0\0\0{\"type\":\"connection_init\"}",
    );
    let head = read_head(hasty.stream()).expect("a head").expect("a response");
    assert_eq!((head.status(), head.header("sec-websocket-accept")), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    let mut frame = [0; 27];
    hasty.stream().read_exact(&mut frame).expect("a response");
    assert_eq!(&frame[2..], br#"{"type":"connection_ack"}"#);
    // Everything that goes well, in both vocabularies.
    for (protocol, next) in [(MODERN, "next"), (LEGACY, "data")] {
        let mut socket = ready(&pillion, protocol, &[], "{}");
        say(&mut socket, &start("a", "{ productById(id: 1) { name } }"));
        let answer = json!({ "data": { "productById": { "name": "City bicycle" } } });
        assert_eq!(hear(&mut socket), Ok(json!({ "id": "a", "type": next, "payload": answer })));
        assert_eq!(hear(&mut socket), Ok(json!({ "id": "a", "type": "complete" })));
        // The id is free again.
        say(&mut socket, &start("a", "mutation { later(number: 1) }"));
        let told = hear(&mut socket).expect("a message");
        assert_eq!((&told["id"], &told["type"]), (&json!("a"), &json!(next)), "{told}");
        assert_eq!(hear(&mut socket), Ok(json!({ "type": "complete", "id": "a" })));
        say(&mut socket, r#"{"type":"ping","payload":{"n":1}}"#);
        assert_eq!(hear(&mut socket), Ok(json!({ "type": "pong", "payload": { "n": 1 } })));
        // Nothing comes of what was stopped.
        let id = told["payload"]["data"]["later"].as_str().expect("an id");
        let follow = format!("subscription {{ later(id: \"{id}\") {{ errors }} }}");
        say(&mut socket, &start("b", &follow));
        assert_eq!(
            hear(&mut socket).map(|message| message["payload"]["data"]["later"]["errors"].clone()),
            Ok(Value::Null)
        );
        say(&mut socket, r#"{"type":"complete","id":"b"}"#);
        say(&mut socket, &start("c", "{ __typename }"));
        assert_eq!(hear(&mut socket).map(|message| message["id"].clone()), Ok(json!("c")));
        // A document that breaks a rule, and one that is none.
        for query in ["{ later(id: 1) }", "{"] {
            say(&mut socket, &start("d", query));
            let mut told = hear(&mut socket).expect("a message");
            while told["id"] != json!("d") {
                told = hear(&mut socket).expect("a message");
            }
            assert_eq!(told["type"], json!("error"), "{told}");
        }
    }
    let mut legacy = open(&pillion, LEGACY, &[]);
    say(&mut legacy, &start("1", "{ __typename }"));
    let told = hear(&mut legacy).expect("a message");
    assert_eq!(told["payload"]["errors"][0]["extensions"], json!({ "code": "start-failed" }), "{told}");
    let mut crowded = ready(&pillion, MODERN, &[], "{}");
    for number in 0..101 {
        say(&mut crowded, &start(&number.to_string(), "subscription { listen(topic: \"x\") { relatedNodeId } }"));
    }
    let told = hear(&mut crowded).expect("a message");
    assert_eq!((&told["type"], &told["id"]), (&json!("error"), &json!("100")), "{told}");
}

fn the_hasura_dialect_authenticates_at_connection_init(engines: &Engines) {
    let handlers = Scripted::start();
    let protected = |config: &str| {
        let setup = setup(engines.postgraphile, &handlers).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
        setup.config(config).start().wait_until_ready()
    };
    let wrong = r#"{"type":"connection_init","payload":{"headers":{"x-hasura-admin-secret":"wrong"}}}"#;
    let pillion = protected("dialect: hasura\n");
    let mut socket = open(&pillion, MODERN, &[]);
    say(&mut socket, wrong);
    assert_eq!(closed(hear(&mut socket)), 4403);
    let mut early = open(&pillion, LEGACY, &[]);
    say(&mut early, &start("1", "{ __typename }"));
    let told = hear(&mut early).expect("a message");
    let extensions = json!({ "path": "$", "code": "start-failed" });
    assert_eq!(told["payload"]["errors"][0]["extensions"], extensions, "{told}");
    let mut socket = open(&pillion, LEGACY, &[]);
    say(&mut socket, wrong);
    let rejected = hear(&mut socket).expect("a message");
    assert_eq!(rejected["type"], json!("connection_error"), "{rejected}");
    assert_eq!(closed(hear(&mut socket)), 4400);
    let mut socket = ready(&pillion, MODERN, &[], r#"{"headers":{"X-Hasura-Admin-Secret":"s3cret"}}"#);
    say(&mut socket, &start("1", "{ __typename }"));
    assert!(hear(&mut socket).is_ok());
    // Elsewhere the upstream may have other ideas of who is who.
    let pillion = protected("");
    let mut socket = ready(&pillion, MODERN, &[], r#"{"x-hasura-admin-secret":"wrong"}"#);
    say(&mut socket, &start("1", "{ allProducts { totalCount } }"));
    assert!(hear(&mut socket).is_ok_and(|told| told["type"] == json!("next")));
    assert!(hear(&mut socket).is_ok_and(|told| told["type"] == json!("complete")));
    say(&mut socket, &start("2", "mutation { later(number: 1) }"));
    let told = hear(&mut socket).expect("a message");
    let error = json!({ "message": "the admin secret is wrong", "extensions": { "code": "access-denied" } });
    assert_eq!(told["payload"], json!([error]), "{told}");
}

fn results_are_pushed(engines: &Engines) {
    let store = engines.new_database("pushed");
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::Late(Duration::from_millis(1_500), Box::new(Reply::json(r#"[{"id":7}]"#))));
    let replica = |config: &str| {
        setup(engines.postgraphile, &handlers)
            .env("PILLION_JOBS_STORE", &store)
            .config(config)
            .start()
            .wait_until_ready()
    };
    // One runs the calls, the other has the clients.
    let (_worker, front) = (replica(""), replica("jobs: { poll_interval: 0 }\n"));
    let mut socket = ready(&front, MODERN, &[], "{}");
    say(&mut socket, &start("1", "mutation { later(number: 1) }"));
    let id = hear(&mut socket).expect("a message")["payload"]["data"]["later"].as_str().expect("an id").to_owned();
    assert!(hear(&mut socket).is_ok());
    say(&mut socket, &start("2", &format!("subscription {{ later(id: \"{id}\") {{ output {{ id }} }} }}")));
    assert_eq!(hear(&mut socket).map(|told| told["payload"]["data"]["later"]["output"].clone()), Ok(Value::Null));
    let started = Instant::now();
    assert_eq!(
        hear(&mut socket).map(|told| told["payload"]["data"]["later"]["output"].clone()),
        Ok(json!([{ "id": 7 }]))
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}

fn headers_of_a_websocket(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json("[]"));
    let pillion = setup(engines.postgraphile, &handlers).start().wait_until_ready();
    let payload = r#"{"headers":{"X-Mine":"from init","Cookie":"b=2"}}"#;
    let mut socket = ready(&pillion, MODERN, &[("Cookie", "a=1"), ("X-Other", "from the upgrade")], payload);
    say(&mut socket, &start("1", "mutation { later(number: 1) }"));
    assert!(hear(&mut socket).is_ok());
    let mut seen = Vec::new();
    wait_until("the handler's call", || {
        seen.extend(handlers.take_seen());
        !seen.is_empty()
    });
    let call = &seen[0];
    let got = ["x-mine", "cookie", "x-other", "sec-websocket-key", "upgrade"].map(|name| call.header(name));
    assert_eq!(got, [Some("from init"), Some("b=2"), None, None, None]);
}

/// As those of any request: what cannot be read is a bad credential and not a lesser role.
fn headers_of_a_websocket_are_validated(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    handlers.on_path("/later", Reply::json("[]"));
    let secured = setup(engine.port, &handlers).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
    let pillion = secured.env("HASURA_GRAPHQL_UNAUTHORIZED_ROLE", "user").start().wait_until_ready();
    for payload in [
        r#"{"x-hasura-admin-secret":7}"#,
        r#"{"headers":{"x-hasura-admin-secret":["s3cret"]}}"#,
        r#"{"headers":{"x-hasura-admin-secret":"wrong\r\n"}}"#,
        r#"{"Authorization":["Bearer x"]}"#,
        r#"{"headers":{"Connection":"authorization, x-hasura-role","Authorization":"Bearer x"}}"#,
        r#"{"headers":{"Connection":"x-hasura-admin-secret","x-hasura-admin-secret":"s3cret"}}"#,
        r#"{"headers":{"X-Hasura-Role":"a","x-hasura-role":"b"}}"#,
    ] {
        let init = format!(r#"{{"type":"connection_init","payload":{payload}}}"#);
        let mut socket = open(&pillion, MODERN, &[]);
        say(&mut socket, &init);
        assert_eq!(closed(hear(&mut socket)), 4403, "{payload}");
        let mut socket = open(&pillion, LEGACY, &[]);
        say(&mut socket, &init);
        assert_eq!(hear(&mut socket).map(|told| told["type"].clone()), Ok(json!("connection_error")), "{payload}");
        assert_eq!(closed(hear(&mut socket)), 4400, "{payload}");
    }
    let many: String = (0..300).map(|index| format!(r#","a{index}":"{}""#, "b".repeat(1000))).collect();
    let mut socket = open(&pillion, MODERN, &[]);
    say(&mut socket, &format!(r#"{{"type":"connection_init","payload":{{"headers":{{"a":"b"{many}}}}}}}"#));
    assert_eq!(closed(hear(&mut socket)), 4403);
    // What others would take for a session variable reaches nobody.
    engine.take_seen();
    let payload = r#"{"headers":{"x_hasura_role":"admin","X_Hasura_User_Id":"1","x_authorization":"x","X-Hasura-Admin-Secret":"s3cret","X-Mine":"1"}}"#;
    let mut socket = ready(&pillion, MODERN, &[], payload);
    say(&mut socket, &start("1", "mutation { later(number: 1) a }"));
    assert!(hear(&mut socket).is_ok());
    let seen = engine.take_seen();
    let part = seen.iter().find(|seen| seen.header("x-mine").is_some()).expect("the upstream's part");
    assert_eq!(part.header("x-hasura-admin-secret"), Some("s3cret"));
    let odd = part.headers.iter().find(|(name, _)| name.contains("hasura_") || name.contains("x_hasura"));
    assert_eq!(odd, None);
}

/// Under cors.allowed_origins: ["*"], a page of another origin opens a socket without its visitor's cookies.
fn cookies_of_the_upgrade_request(engines: &Engines) {
    // An admin's.
    const COOKIE: &str = "session=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJodHRwczovL2hhc3VyYS5pby9qd3QvY2xhaW1zIjp7IngtaGFzdXJhLWRlZmF1bHQtcm9sZSI6ImFkbWluIiwieC1oYXN1cmEtYWxsb3dlZC1yb2xlcyI6WyJhZG1pbiJdfX0.HZAq65SI_Ge3EdH5BPLgVbocQenIa8lUHqtP5c17DaE";
    let handlers = Scripted::start();
    let rule =
        r#"{"type":"HS256","key":"0123456789abcdef0123456789abcdef","header":{"type":"Cookie","name":"session"}}"#;
    let setup = setup(engines.postgraphile, &handlers).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
    let setup = setup.env("HASURA_GRAPHQL_JWT_SECRET", rule).config("dialect: hasura\n");
    let pillion = setup.start().wait_until_ready();
    let is_known = |headers: &[(&'static str, &str)]| {
        let mut socket = open(&pillion, MODERN, &[headers, &[("Cookie", COOKIE), ("Host", "api.example")]].concat());
        say(&mut socket, r#"{"type":"connection_init"}"#);
        hear(&mut socket).is_ok_and(|told| told["type"] == json!("connection_ack"))
    };
    assert!(is_known(&[]) && is_known(&[("Origin", "https://api.example")]));
    for page in ["https://evil.example", "null", "https://api.example:81"] {
        assert!(!is_known(&[("Origin", page)]), "{page}");
    }
}

fn an_upstream_websocket_that_ends(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    let pillion = setup(engine.port, &handlers).start().wait_until_ready();
    let mut socket = ready(&pillion, MODERN, &[], "{}");
    // It answers the handshake with 200.
    say(&mut socket, &start("1", "{ a }"));
    let told = hear(&mut socket).expect("a message");
    assert_eq!(
        (&told["type"], &told["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("upstream-error")),
        "{told}"
    );
    // The connection goes on.
    say(&mut socket, &start("1", "mutation { later(number: 1) }"));
    assert!(hear(&mut socket).is_ok_and(|told| told["type"] == json!("next")));
}

/// What a client hears after its `connection_init` with this payload.
fn greeted(pillion: &pillion_test_support::pillion::Pillion, protocol: &str, payload: &str) -> Vec<String> {
    let mut socket = open(pillion, protocol, &[]);
    say(&mut socket, &format!("{{\"type\":\"connection_init\",\"payload\":{payload}}}"));
    let mut heard = Vec::new();
    loop {
        match hear(&mut socket) {
            Ok(message) => {
                let is_ack = message["type"] == json!("connection_ack");
                heard.push(message.to_string());
                if is_ack {
                    return heard;
                }
            }
            Err((code, reason)) => {
                heard.push(format!("closed {code} {reason}"));
                return heard;
            }
        }
    }
}

/// Each has one to the upstream, too.
fn idle_sockets_take_little_memory(_: &Engines) {
    const SOCKETS: usize = 300;
    let (engine, handlers) = (SubscriptionsEngine::start_on(free_port()), Scripted::start());
    let pillion = setup(engine.port, &handlers).start().wait_until_ready();
    let open = || ready(&pillion, MODERN, &[], "{}");
    let first: Vec<Socket> = (0..30).map(|_| open()).collect();
    let before = pillion.status("VmRSS:");
    let others: Vec<Socket> = (0..SOCKETS).map(|_| open()).collect();
    let each = pillion.status("VmRSS:").saturating_sub(before) / SOCKETS;
    assert!(each < 64 * 1024, "{each} bytes each");
    drop((first, others));
}

fn the_upstream_authorizes_connections(_: &Engines) {
    let engine = SubscriptionsEngine::start_on(free_port());
    let handlers = Scripted::start();
    let pillion = setup(engine.port, &handlers).start().wait_until_ready();
    // Its acknowledgement and its rejections are the client's, in the words of either vocabulary.
    for (protocol, payload, wanted) in [
        (MODERN, r#"{"name":"you"}"#, vec![r#"{"type":"connection_ack","payload":{"hello":"you"}}"#]),
        (LEGACY, "{}", vec![r#"{"type":"connection_ack","payload":{"hello":"there"}}"#]),
        (MODERN, r#"{"act":"forbid"}"#, vec!["closed 4403 Forbidden"]),
        (MODERN, r#"{"act":"throw"}"#, vec!["closed 4500 the token has expired"]),
        (MODERN, r#"{"act":"close"}"#, vec!["closed 4401 Token expired"]),
        (
            LEGACY,
            r#"{"act":"forbid"}"#,
            vec![r#"{"type":"connection_error","payload":{"message":"Forbidden"}}"#, "closed 4403 Forbidden"],
        ),
    ] {
        let wanted: Vec<String> = wanted.into_iter().map(canonical).collect();
        let heard: Vec<String> = greeted(&pillion, protocol, payload).iter().map(|text| canonical(text)).collect();
        assert_eq!(heard, wanted, "{protocol} {payload}");
    }
    // A client that is known here is refused with its first operation for the upstream, in the upstream's words.
    let lazy = setup(engine.port, &handlers).config("upstream: { websocket_init: lazy }\n").start().wait_until_ready();
    let mut socket = ready(&lazy, MODERN, &[], r#"{"act":"throw"}"#);
    say(&mut socket, &start("1", "subscription { ticks }"));
    assert_eq!(hear(&mut socket), Err((4500, "the token has expired".to_owned())));
    // Where there is an admin secret, that is the default.
    let known = setup(engine.port, &handlers).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").start().wait_until_ready();
    assert_eq!(greeted(&known, MODERN, r#"{"act":"forbid"}"#), [canonical(r#"{"type":"connection_ack"}"#)]);
    // How the client ends it is the upstream's to know.
    let mut socket = ready(&pillion, MODERN, &[], "{}");
    let frame = tungstenite::protocol::CloseFrame { code: 4999.into(), reason: "I have seen enough".into() };
    socket.close(Some(frame)).expect("it is sent");
    wait_until("the client's close at the upstream", || {
        engine.closed().as_array().is_some_and(|all| all.contains(&json!([4999, "I have seen enough"])))
    });
}

fn canonical(text: &str) -> String {
    serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |value| value.to_string())
}

/// An error would end the client's operations for good; after a close it comes back.
fn a_closed_upstream_websocket_closes_the_clients(_: &Engines) {
    let engine = SubscriptionsEngine::start_on(free_port());
    let handlers = Scripted::start();
    let pillion = setup(engine.port, &handlers).start().wait_until_ready();
    for (protocol, act, wanted) in [
        (MODERN, "closeLater", (4403, "Token expired")),
        (MODERN, "endLater", (1001, "restarting")),
        (MODERN, "breakLater", (1012, "the connection to the upstream was lost")),
        (LEGACY, "breakLater", (1012, "the connection to the upstream was lost")),
    ] {
        let mut socket = ready(&pillion, protocol, &[], &json!({ "act": act }).to_string());
        say(&mut socket, &start("1", "subscription { ticks }"));
        let mut last = hear(&mut socket);
        while let Ok(message) = &last {
            assert!(message["payload"]["data"]["ticks"].is_number(), "{protocol} {act}: {message}");
            last = hear(&mut socket);
        }
        assert_eq!(last, Err((wanted.0, wanted.1.to_owned())), "{protocol} {act}");
    }
    // Whoever asks nothing of the upstream is not told, and gets another socket when that changes.
    let mut socket = ready(&pillion, MODERN, &[], r#"{"act":"breakLater"}"#);
    std::thread::sleep(Duration::from_millis(600));
    say(&mut socket, &start("1", "{ a }"));
    assert_eq!(hear(&mut socket).map(|told| told["payload"].clone()), Ok(json!({ "data": { "a": 1 } })));
}

fn subscriptions_survive_a_restart_of_the_upstream(_: &Engines) {
    let (port, handlers) = (free_port(), Scripted::start());
    let first = SubscriptionsEngine::start_on(port);
    let pillion = setup(port, &handlers).start().wait_until_ready();
    let url = format!("ws://127.0.0.1:{}/graphql", pillion.port);
    let input = json!({ "url": url, "query": "subscription { ticks }", "connections": 2, "take": 3 }).to_string();
    let client = std::thread::spawn(move || run_node("resubscribe.mjs", &[], &input));
    wait_until("a subscription", || pillion.metric("pillion_websocket_operations") > 0.0);
    drop(first);
    // It is away for longer than the client waits before it comes back.
    std::thread::sleep(Duration::from_secs(1));
    let _second = SubscriptionsEngine::start_on(port);
    let told = client.join().expect("the client");
    let events: Vec<Value> = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}"));
    let ticks = events.iter().rev().map_while(|event| event["ticks"].as_u64()).collect::<Vec<_>>();
    assert_eq!(ticks, [2, 1, 0], "{told}");
    assert!(events.iter().all(|event| event.get("error").is_none() && event != "in vain"), "{told}");
}

fn an_id_is_free_once_its_operation_has_failed(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = setup(engines.postgraphile, &handlers).start().wait_until_ready();
    for (protocol, next) in [(MODERN, "next"), (LEGACY, "data")] {
        let mut socket = ready(&pillion, protocol, &[], "{}");
        for round in 0..50 {
            let diagnostic = if round % 2 == 0 { "{ nowhere }" } else { "subscription { nowhere }" };
            say(&mut socket, &start("1", diagnostic));
            let told = hear(&mut socket).expect("an error");
            assert_eq!((&told["type"], &told["id"]), (&json!("error"), &json!("1")), "{told}");
            say(&mut socket, &start("1", "{ __typename }"));
            assert_eq!(hear(&mut socket).map(|told| told["type"].clone()), Ok(json!(next)), "{protocol} {round}");
            assert_eq!(hear(&mut socket).map(|told| told["type"].clone()), Ok(json!("complete")));
        }
    }
}

fn a_mutation_finishes_after_its_websocket_closes(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/sendCode", Reply::Late(Duration::from_millis(500), Box::new(Reply::json("true"))));
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    let mut socket = ready(&pillion, MODERN, &[], "{}");
    say(&mut socket, &start("1", "mutation { sendCode(phone: \"1\") }"));
    wait_until("the call", || pillion.metric("pillion_handler_calls_in_flight") > 0.0);
    drop(socket);
    wait_until("the end of the socket", || pillion.metric("pillion_websocket_connections") < 1.0);
    assert!(pillion.metric("pillion_requests_in_flight") >= 1.0, "the end of the process waits for it");
    let succeeded = r#"pillion_handler_calls_total{action="sendCode",outcome="success"}"#;
    wait_until("the end of the call", || pillion.metric(succeeded) > 0.0);
}

fn websockets_end_at_shutdown(engines: &Engines) {
    let handlers = Scripted::start();
    let mut pillion = setup(engines.postgraphile, &handlers).start().wait_until_ready();
    let mut socket = ready(&pillion, MODERN, &[], "{}");
    say(&mut socket, &start("1", "subscription { listen(topic: \"x\") { relatedNodeId } }"));
    pillion.signal("TERM");
    assert_eq!(closed(hear(&mut socket)), 1001);
    wait_until("the end of pillion", || pillion.process.0.try_wait().is_ok_and(|status| status.is_some()));
}

/// A client whose connection is as good as ever, but that says nothing, not even a pong.
fn unresponsive_clients_are_disconnected(engines: &Engines) {
    let handlers = Scripted::start();
    let config = "downstream: { websocket_idle_timeout: 2s }\n";
    let pillion = setup(engines.postgraphile, &handlers).config(config).start().wait_until_ready();
    let open_sockets = || pillion.metric("pillion_requests_in_flight");
    let silent = ready(&pillion, MODERN, &[], "{}");
    let mut alive = ready(&pillion, MODERN, &[], "{}");
    assert!(open_sockets() >= 2.0);
    alive.get_ref().set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    wait_until("that the silent one is let go", || {
        // It answers pings while it reads.
        let _ = alive.read();
        open_sockets() <= 1.0
    });
    say(&mut alive, r#"{"type":"ping"}"#);
    wait_until("a response to the one who is there", || {
        alive.read().is_ok_and(|message| message.to_text().is_ok_and(|text| text.contains("pong")))
    });
    drop(silent);
}

fn a_token_that_expires_ends_a_socket(engines: &Engines) {
    let handlers = Scripted::start();
    let key = "a-secret-key-that-is-long-enough-for-hs256";
    let setup = setup(engines.postgraphile, &handlers).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
    let setup = setup.env("HASURA_GRAPHQL_JWT_SECRET", &json!({ "type": "HS256", "key": key }).to_string());
    let pillion = setup.config("dialect: hasura\n").start().wait_until_ready();
    let expires = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now").as_secs() + 3;
    let claims = json!({ "x-hasura-default-role": "user", "x-hasura-allowed-roles": ["user"] });
    let claims = json!({ "exp": expires, "https://hasura.io/jwt/claims": claims });
    let token = run_node("token.mjs", &[key], &claims.to_string());
    let payload = json!({ "headers": { "Authorization": format!("Bearer {}", token.trim()) } }).to_string();
    let mut socket = ready(&pillion, MODERN, &[], &payload);
    say(&mut socket, &start("1", "subscription { listen(topic: \"x\") { relatedNodeId } }"));
    assert_eq!(closed(hear(&mut socket)), 4403);
}

fn other_protocols_pass_through(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = setup(engines.postgraphile, &handlers).start().wait_until_ready();
    let stream = TcpStream::connect(("127.0.0.1", pillion.port)).expect("a connection");
    let mut request = format!("ws://127.0.0.1:{}/graphql", pillion.port).into_client_request().expect("a request");
    request.headers_mut().insert("Sec-WebSocket-Protocol", "something-else".parse().expect("a header"));
    // PostGraphile takes what it does not know and closes it; whatever it does, it is its response.
    let through_us = tungstenite::client(request.clone(), stream).map(|(mut socket, _)| closed(hear(&mut socket)));
    let direct = TcpStream::connect(("127.0.0.1", engines.postgraphile)).expect("a connection");
    let directly = tungstenite::client(request, direct).map(|(mut socket, _)| closed(hear(&mut socket)));
    assert_eq!(through_us.map_err(|error| error.to_string()), directly.map_err(|error| error.to_string()));
}

/// An upstream with one subscription, which never ends; `false` once nobody takes it any more.
#[expect(clippy::result_large_err, reason = "it is how the library has its callback")]
fn flood() -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (port, goes_on) = (listener.local_addr().expect("a port").port(), Arc::new(AtomicBool::new(true)));
    let theirs = Arc::clone(&goes_on);
    std::thread::spawn(move || {
        let speak = |_: &Request, mut response: Response| {
            let protocol = "graphql-transport-ws".parse().expect("a header");
            response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
            Ok(response)
        };
        // Whoever asks whether the upstream is there speaks no WebSocket.
        let sockets = listener.incoming().filter_map(|stream| tungstenite::accept_hdr(stream.ok()?, speak).ok());
        for mut socket in sockets {
            socket.read().expect("connection_init");
            socket.send(Message::text(r#"{"type":"connection_ack"}"#)).expect("it is sent");
            socket.read().expect("subscribe");
            let event = json!({ "type": "next", "id": "1", "payload": { "data": "x".repeat(60_000) } }).to_string();
            while socket.send(Message::text(event.clone())).is_ok() {}
            theirs.store(false, Ordering::Relaxed);
        }
    });
    (port, goes_on)
}

fn clients_that_do_not_read_are_disconnected(_: &Engines) {
    let (engine, goes_on) = flood();
    let handlers = Scripted::start();
    let pillion = setup(engine, &handlers).config("introspection: { mode: upstream }\ndialect: standard\n").start();
    let mut socket = ready(&pillion, MODERN, &[], "{}");
    say(&mut socket, &start("1", "subscription { flood }"));
    wait_until("the end of the upstream's socket", || !goes_on.load(Ordering::Relaxed));
}

fn websocket_origins_are_checked(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json("[]"));
    let pillion = setup(engines.postgraphile, &handlers)
        .env("HASURA_GRAPHQL_CORS_DOMAIN", "https://shop.example, https://*.shop.example")
        .start()
        .wait_until_ready();
    let handshake = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", MODERN),
    ];
    let cases = [
        ("https://shop.example", true),
        ("https://admin.shop.example", true),
        ("https://evil.example", false),
        ("null", false),
    ];
    for (origin, is_allowed) in cases {
        // A browser lets any page open a socket and sends the user's cookies with it.
        let headers = [&handshake[..], &[("Origin", origin), ("Cookie", "session=1")]].concat();
        if is_allowed {
            ready(&pillion, MODERN, &[("Origin", origin)], "{}");
        } else {
            let rejected = pillion.client().request("GET", "/graphql", &headers, b"");
            assert!(
                rejected.status() == 400 && rejected.text().contains("does not match configured CORS domains"),
                "{origin}: {}",
                rejected.text()
            );
        }
        let headers = [("Content-Type", "application/json"), ("Origin", origin)];
        let body = br#"{"query":"mutation { later(number: 1) }"}"#;
        let answer = pillion.client().request("POST", "/graphql", &headers, body);
        assert_eq!(answer.header("access-control-allow-origin"), is_allowed.then_some(origin));
    }
    let (status, said) =
        setup(engines.postgraphile, &handlers).config("cors: { allowed_origins: [shop.example] }\n").start_in_vain();
    assert!(!status.success() && said.contains("\"shop.example\" is not an origin"), "{said}");
}
