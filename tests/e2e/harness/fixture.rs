//! Fixtures: what a client sends, what handlers answer, what comes out, and what handlers and upstream have seen.

use pillion_test_support::client::Client;
use pillion_test_support::engines::{Engines, RealHandlers, TablesEngine};
use pillion_test_support::fixtures::Family;
use pillion_test_support::message::Message;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::websocket::{LEGACY, MODERN, hear, open, say};
use serde_json::{Map, Value, json};

struct Stage {
    handlers: Scripted,
    stand_in: Scripted,
    tables: Option<TablesEngine>,
    pillion: Pillion,
    _real_handlers: Option<RealHandlers>,
}

/// Runs all cases of a family, one after the other, and reports all that fail.
pub fn run(family: &Family, engines: &Engines) -> Result<(), String> {
    run_with(family, engines, None)
}

/// The same with handlers that run already.
pub fn run_with(family: &Family, engines: &Engines, handlers: Option<RealHandlers>) -> Result<(), String> {
    let stage = Stage::start(&family.file, engines, handlers);
    let mut failures = Vec::new();
    for case in list(&family.file["cases"]) {
        let name = case["name"].as_str().expect("a case has a name");
        let over_sockets = || if family.file["over_sockets"] == true { run_over_sockets(case, &stage) } else { Ok(()) };
        if let Err(failure) = run_case(case, &stage).and_then(|()| over_sockets()) {
            failures.push(format!("{} · {name}:\n{failure}", family.name));
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!("{}\n\nlog:\n{}", failures.join("\n\n"), stage.pillion.log()))
    }
}

impl Stage {
    fn start(file: &Value, engines: &Engines, given: Option<RealHandlers>) -> Self {
        let (handlers, stand_in) = (Scripted::start(), Scripted::start());
        let tables = file.get("tables").map(|tables| TablesEngine::start(&tables.to_string()));
        let engine = match file["engine"].as_str() {
            Some("tables") => tables.as_ref().expect("the upstream's tables").port,
            None | Some("postgraphile") => engines.postgraphile,
            Some("yoga") => engines.yoga,
            Some("roles") => engines.roles,
            Some("stand-in") => stand_in.port,
            Some(other) => panic!("unknown upstream {other}"),
        };
        if let Some(answer) = file["probe"].as_str() {
            stand_in.on_path("/graphql", Reply::json(answer));
        }
        let actions = file["actions"].as_str().unwrap_or("shop");
        let environment: Vec<(&str, &str)> = object(&file["environment"])
            .map(|(name, value)| (name.as_str(), value.as_str().expect("a variable is a string")))
            .collect();
        let are_real = file["handlers_are"] == "processes";
        let real_handlers = given.or_else(|| are_real.then(|| RealHandlers::start(&environment)));
        let port = real_handlers.as_ref().map_or(handlers.port, |handlers| handlers.express);
        let mut setup = Setup::before(engine).with_actions(actions, port);
        if file["writes_metadata"] == true {
            setup = setup.with_own_copy();
        }
        if let Some(handlers) = &real_handlers {
            setup = setup.env("PAYMENTS", &format!("http://127.0.0.1:{}", handlers.flask));
        }
        for (name, value) in environment {
            setup = setup.env(name, &value.replace("{{HANDLERS}}", &format!("http://127.0.0.1:{}", handlers.port)));
        }
        if let Some(yaml) = file["config"].as_str() {
            setup = setup.config(yaml);
        }
        let pillion = setup.start().wait_until_ready();
        Self { handlers, stand_in, tables, pillion, _real_handlers: real_handlers }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn run_case(case: &Value, stage: &Stage) -> Result<(), String> {
    for (action, reply) in object(&case["handlers"]) {
        stage.handlers.on_path(&format!("/{action}"), reply_of(reply));
    }
    if !case["engine"].is_null() {
        stage.stand_in.on_path("/graphql", reply_of(&case["engine"]));
    }
    stage.handlers.take_seen();
    stage.stand_in.take_seen();
    stage.tables.as_ref().map(TablesEngine::take_seen);
    let answer = send(case, stage);
    let mut failures = Vec::new();
    compare_response(&case["expect"], &answer, &mut failures);
    if let Some(wanted) = case.get("handlers_saw") {
        compare_seen("handler call", list(wanted), &seen_by(&stage.handlers, false), &mut failures);
    }
    if let Some(wanted) = case.get("upstream_saw") {
        match &stage.tables {
            Some(tables) => compare_seen_by_tables(list(wanted), &tables.take_seen(), &mut failures),
            None => {
                compare_seen("request to the upstream", list(wanted), &seen_by(&stage.stand_in, true), &mut failures);
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Sends the same over a socket of each kind, and compares what is told.
fn run_over_sockets(case: &Value, stage: &Stage) -> Result<(), String> {
    let expect = &case["expect"];
    let is_whole = expect["json"].is_object() && expect["status"].as_u64().is_none_or(|status| status == 200);
    if !is_whole || !case["query"].is_string() || !case["path"].is_null() {
        return Ok(());
    }
    for (vocabulary, verb) in [(MODERN, "subscribe"), (LEGACY, "start")] {
        let mut socket = open(&stage.pillion, vocabulary, &[]);
        say(&mut socket, &json!({ "type": "connection_init", "payload": { "headers": case["headers"] } }).to_string());
        let is_known = hear(&mut socket).is_ok_and(|told| told["type"] == "connection_ack");
        if !is_known && expect["json"]["errors"][0]["extensions"]["code"] == "access-denied" {
            continue;
        }
        let payload: Value = serde_json::from_str(&body_of(case)).expect("a request");
        say(&mut socket, &json!({ "type": verb, "id": "1", "payload": payload }).to_string());
        let mut told = hear(&mut socket).map_err(|closed| format!("  {vocabulary}: closed with {closed:?}"))?;
        let payload = told["payload"].take();
        let got = if payload.is_array() { json!({ "errors": payload }) } else { payload };
        // Keys must come in the right order, too.
        let (wanted, got) = (expect["json"].to_string(), got.to_string());
        if got != wanted {
            return Err(format!("  {vocabulary}\n    wanted: {wanted}\n    got:    {got}"));
        }
    }
    Ok(())
}

/// What a server saw, our own questions to it left out.
fn seen_by(server: &Scripted, is_engine: bool) -> Vec<Message> {
    let mut seen = server.take_seen();
    let is_ours = |request: &Message| {
        request.header("x-request-id") == Some("pillion-probe") || request.text().contains("PillionIntrospection")
    };
    seen.retain(|request| !is_engine || !is_ours(request));
    seen
}

fn reply_of(reply: &Value) -> Reply {
    if let Some(fault) = reply["fault"].as_str() {
        let text = || reply["text"].as_str().unwrap_or_default().as_bytes().to_vec();
        return match fault {
            "hang" => Reply::Hang,
            "close" => Reply::Close,
            "raw" => Reply::Raw(text()),
            "drip" => Reply::Drip(text()),
            "huge" => Reply::Huge(usize::try_from(reply["bytes"].as_u64().expect("a size")).expect("a size")),
            other => panic!("unknown fault {other}"),
        };
    }
    let body = match (&reply["text"], &reply["json"]) {
        (Value::String(text), _) => text.clone(),
        (_, json) => json.to_string(),
    };
    let status = reply["status"].as_u64().map_or(200, |status| u16::try_from(status).expect("a status"));
    let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    for (name, value) in object(&reply["headers"]) {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        headers.extend(values.iter().map(|value| (name.clone(), value.as_str().expect("a header").to_owned())));
    }
    Reply::Answer { status, headers, body: body.into_bytes() }
}

fn send(case: &Value, stage: &Stage) -> Message {
    let mut client = Client::connect(stage.pillion.port);
    let mut headers: Vec<(&str, &str)> = Vec::new();
    let has_type =
        case["headers"].as_object().is_some_and(|own| own.keys().any(|key| key.eq_ignore_ascii_case("content-type")));
    let method = case["method"].as_str().unwrap_or("POST");
    if !has_type && method == "POST" {
        headers.push(("Content-Type", "application/json"));
    }
    for (name, value) in object(&case["headers"]) {
        match value {
            Value::Array(values) => {
                headers.extend(values.iter().filter_map(|value| Some((name.as_str(), value.as_str()?))));
            }
            value => headers.extend(value.as_str().map(|value| (name.as_str(), value))),
        }
    }
    let path = case["path"].as_str().unwrap_or("/graphql");
    client.request(method, path, &headers, body_of(case).as_bytes())
}

fn body_of(case: &Value) -> String {
    if let Some(body) = case["body"].as_str() {
        return body.to_owned();
    }
    if case["body"].is_array() || case["body"].is_object() {
        return case["body"].to_string();
    }
    let Some(query) = case["query"].as_str() else { return String::new() };
    let mut body = Map::from_iter([("query".to_owned(), Value::from(query))]);
    for (key, name) in [("variables", "variables"), ("operation_name", "operationName"), ("extensions", "extensions")] {
        if let Some(value) = case.get(key) {
            body.insert(name.into(), value.clone());
        }
    }
    Value::Object(body).to_string()
}

fn compare_response(expect: &Value, answer: &Message, failures: &mut Vec<String>) {
    let status = expect["status"].as_u64().unwrap_or(200);
    let mut differ = |what: &str, wanted: &str, got: &str| {
        if wanted != got {
            failures.push(format!("  {what}\n    wanted: {wanted}\n    got:    {got}"));
        }
    };
    differ("status", &status.to_string(), &answer.status().to_string());
    for (name, value) in object(&expect["headers"]) {
        let got = answer.all(name);
        match value {
            Value::Array(values) => differ(
                name,
                &format!("{values:?}"),
                &format!("{:?}", got.iter().map(|got| Value::from(*got)).collect::<Vec<_>>()),
            ),
            Value::Null => differ(name, "[]", &format!("{got:?}")),
            value => differ(name, value.as_str().unwrap_or_default(), &got.join(", ")),
        }
    }
    if let Some(text) = expect["text"].as_str() {
        differ("body", text, &answer.text());
    }
    if let Some(json) = expect.get("json") {
        // Keys must come in the right order, too, so texts are compared.
        let got =
            serde_json::from_slice::<Value>(&answer.body).map_or_else(|_| answer.text(), |value| value.to_string());
        differ("body", &json.to_string(), &got);
    }
    let text = answer.text();
    for part in list(&expect["lacks"]).iter().filter_map(Value::as_str).filter(|part| text.contains(part)) {
        differ("body lacks", part, &text);
    }
    if let Some(part) = expect.get("contains") {
        let parts = part.as_array().cloned().unwrap_or_else(|| vec![part.clone()]);
        for part in parts.iter().filter_map(Value::as_str).filter(|part| !text.contains(part)) {
            differ("body contains", part, &text);
        }
    }
}

fn compare_seen(what: &str, wanted: &[Value], seen: &[Message], failures: &mut Vec<String>) {
    if wanted.len() != seen.len() {
        let paths: Vec<&str> = seen.iter().map(Message::path).collect();
        failures.push(format!("  wanted {} × {what}, saw {}: {paths:?}", wanted.len(), seen.len()));
        return;
    }
    for (index, (wanted, seen)) in wanted.iter().zip(seen).enumerate() {
        let mut differ = |part: &str, wanted: String, got: String| {
            if wanted != got {
                failures.push(format!("  {what} {index}, {part}\n    wanted: {wanted}\n    got:    {got}"));
            }
        };
        for (key, value) in object(wanted) {
            match key.as_str() {
                "method" => differ("method", value.as_str().unwrap_or_default().into(), seen.method().into()),
                "path" => differ("path", value.as_str().unwrap_or_default().into(), seen.path().into()),
                "text" => differ("text", value.as_str().unwrap_or_default().into(), seen.text()),
                "headers" => {
                    for (name, value) in object(value) {
                        let wanted = value.as_str().map(str::to_owned);
                        let got = seen.header(name).map(str::to_owned);
                        differ(name, format!("{wanted:?}"), format!("{got:?}"));
                    }
                }
                key => differ(key, value.to_string(), seen.json()[key].to_string()),
            }
        }
    }
}

/// What the upstream over tables saw: of each request the keys that are wanted, of its headers those that are.
fn compare_seen_by_tables(wanted: &[Value], seen: &Value, failures: &mut Vec<String>) {
    let is_ours = |request: &Value| {
        let query = request["query"].as_str().unwrap_or_default();
        request["headers"]["x-request-id"] == "pillion-probe" || query.contains("PillionIntrospection")
    };
    let seen: Vec<&Value> = list(seen).iter().filter(|request| !is_ours(request)).collect();
    let shown =
        |requests: &[&Value]| requests.iter().map(|one| format!("\n      {}", one["query"])).collect::<String>();
    if wanted.len() != seen.len() {
        failures.push(format!(
            "  wanted {} × request to the upstream, saw {}:{}",
            wanted.len(),
            seen.len(),
            shown(&seen)
        ));
        return;
    }
    for (wanted, seen) in wanted.iter().zip(seen) {
        for (key, value) in object(wanted) {
            let got = match value {
                Value::Object(headers) if key == "headers" => {
                    headers.keys().map(|name| (name.clone(), seen[key][name].clone())).collect()
                }
                _ => seen[key].clone(),
            };
            if *value != got {
                failures.push(format!("  request to the upstream, {key}\n    wanted: {value}\n    got:    {got}"));
            }
        }
    }
}
