//! Relationships over many rows, before upstreams that fail, and in the commands.

use pillion_test_support::engines::{Engines, TablesEngine};
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::trials;
use serde_json::{Value, json};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    rows_are_fetched_in_few_requests,
    relationship_key_limit,
    an_unavailable_upstream_fails_the_rows_only,
    an_upstream_without_introspection_validates_itself,
];

fn people(count: usize) -> String {
    let rows: Vec<Value> = (0..count).map(|id| json!({ "id": id, "name": format!("n{id}") })).collect();
    let tickets: Vec<Value> = (0..count).map(|id| json!({ "id": id, "owner_id": id, "zone": "A" })).collect();
    let stops = json!({ "columns": { "name": "String!", "line": "String!" }, "rows": [] });
    json!({
        "people": { "columns": { "id": "Int!", "name": "String!" }, "rows": rows },
        "tickets": { "columns": { "id": "Int!", "owner_id": "Int!", "zone": "String!" }, "rows": tickets },
        "city_stops": stops,
    })
    .to_string()
}

/// A handler that gives so many trips, each of another rider.
fn trips(handlers: &Scripted, count: usize) {
    let trips: Vec<Value> = (0..count).map(|id| json!({ "id": id, "rider_id": id })).collect();
    handlers.on_path("/trips", Reply::json(&Value::from(trips).to_string()));
}

/// Requests for rows: all but our own questions to the upstream.
fn take_row_requests(engine: &TablesEngine) -> Vec<String> {
    let seen = engine.take_seen();
    let queries = seen.as_array().into_iter().flatten().filter_map(|request| request["query"].as_str());
    queries.filter(|query| query.contains("r0:")).map(str::to_owned).collect()
}

fn start(engine: u16, handlers: &Scripted, config: &str) -> Pillion {
    Setup::before(engine).with_actions("relationships", handlers.port).config(config).start().wait_until_ready()
}

fn rows_are_fetched_in_few_requests(_: &Engines) {
    let (engine, handlers) = (TablesEngine::start(&people(2_500)), Scripted::start());
    let pillion = start(engine.port, &handlers, "");
    let ask = |document: &str| pillion.client().ask(document).json();
    for (count, fields, requests) in [
        (1_000, "rider { name }", 1),
        (1_000, "tickets { zone }", 1),
        (1_000, "rider { name } tickets { zone }", 2),
        (2_500, "rider { name }", 3),
    ] {
        trips(&handlers, count);
        engine.take_seen();
        let answer = ask(&format!("{{ trips {{ id {fields} }} }}"));
        let rows = answer["data"]["trips"].as_array().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(rows.len(), count);
        for (id, row) in rows.iter().enumerate() {
            if fields.contains("rider") {
                assert_eq!(row["rider"], json!({ "name": format!("n{id}") }));
            }
            if fields.contains("tickets") {
                assert_eq!(row["tickets"], json!([{ "zone": "A" }]));
            }
        }
        assert_eq!(take_row_requests(&engine).len(), requests, "{count} × {fields}");
    }
}

fn relationship_key_limit(_: &Engines) {
    let (engine, handlers) = (TablesEngine::start(&people(20)), Scripted::start());
    let pillion = start(engine.port, &handlers, "limits: { max_relationship_keys: 10 }\n");
    trips(&handlers, 11);
    let answer = pillion.client().ask("{ trips { rider { name } } }").json();
    let message = "the response has 11 keys of relationships; at most 10 are looked up";
    let extensions = json!({ "path": "$.selectionSet.trips.selectionSet.rider", "code": "query-limit-exceeded" });
    assert_eq!(answer, json!({ "errors": [{ "message": message, "extensions": extensions }] }));
    assert_eq!(take_row_requests(&engine), Vec::<String>::new());
    trips(&handlers, 10);
    assert_eq!(pillion.client().ask("{ trips { rider { name } } }").json()["errors"], Value::Null);
}

fn an_unavailable_upstream_fails_the_rows_only(_: &Engines) {
    let (engine, handlers) = (TablesEngine::start(&people(3)), Scripted::start());
    let pillion = start(engine.port, &handlers, "dialect: standard\n");
    handlers.on_path("/book", Reply::json(r#"{"id":1,"rider_id":2}"#));
    let document = "mutation { bookTrip(rider: 2) { id rider { name } } }";
    let answer = pillion.client().ask(document).json();
    assert_eq!(answer, json!({ "data": { "bookTrip": { "id": 1, "rider": { "name": "n2" } } } }));
    drop(engine);
    let answer = pillion.client().ask(document).json();
    assert_eq!(answer["data"], json!({ "bookTrip": { "id": 1, "rider": null } }));
    let error = &answer["errors"][0];
    assert_eq!(error["path"], json!(["bookTrip", "rider"]), "{answer}");
    assert_eq!(error["extensions"], json!({ "code": "upstream-error" }));
    let outcomes = pillion.metric(r#"pillion_handler_calls_total{action="bookTrip",outcome="relationship_failed"}"#);
    assert!((outcomes - 1.0).abs() < f64::EPSILON, "{outcomes}");
}

/// Without the upstream's schema nobody can say beforehand whether a selection of its rows is valid.
fn an_upstream_without_introspection_validates_itself(_: &Engines) {
    let (engine, handlers) = (TablesEngine::start(&people(3)), Scripted::start());
    let pillion = start(engine.port, &handlers, "introspection: { mode: upstream }\n");
    handlers.on_path("/trip", Reply::json(r#"{"id":1,"rider_id":2}"#));
    let ask = |document: &str| pillion.client().ask(document).json();
    assert_eq!(ask("{ trip(id: 1) { rider { name } } }")["data"], json!({ "trip": { "rider": { "name": "n2" } } }));
    let answer = ask("{ t: trip(id: 1) { r: rider { nam } } }");
    let path = "$.selectionSet.t.selectionSet.r.selectionSet.nam";
    let extensions = json!({ "path": path, "code": "validation-failed" });
    let message = "field 'nam' not found in type: 'people'";
    assert_eq!(answer, json!({ "errors": [{ "message": message, "extensions": extensions }] }));
    let answer = ask("{ trip(id: 1) { rider } }");
    assert_eq!(answer["errors"][0]["extensions"]["code"], json!("validation-failed"), "{answer}");
}
