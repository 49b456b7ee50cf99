//! The memory that extension fields take: it grows with the rows of the upstream's response, and no faster.
//!
//! The tests do it with a part of the rows; `make abuse` with all of them (`PILLION_ABUSE_SCALE=1`).

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::trials;
use serde_json::{Value, json};

use super::memory_budget::scaled;

/// The tests.
pub const TESTS: &[super::Test] = trials![memory_is_linear_in_the_rows];

/// Keys in one call of the handler.
const BATCH: usize = 500;

/// Bytes for one row of 38 bytes and its value: what is read, parsed, completed and written of both. 1,700 are usual over
/// 100,000 rows; over few rows the allocator's own steps show (up to 4,200 were seen).
const ROW_BYTES_MAX: usize = 8192;

fn introspection() -> String {
    let scalar = |name: &str| json!({ "kind": "SCALAR", "name": name, "ofType": null });
    let field = |name: &str, ty: Value| json!({ "name": name, "args": [], "type": ty, "isDeprecated": false });
    let object = |name: &str, fields: Vec<Value>| {
        json!({ "kind": "OBJECT", "name": name, "fields": fields, "interfaces": [], "inputFields": null,
                "enumValues": null, "possibleTypes": null })
    };
    let products = json!({ "kind": "LIST", "name": null,
                           "ofType": { "kind": "OBJECT", "name": "Product", "ofType": null } });
    let types = [
        json!({ "kind": "SCALAR", "name": "Int" }),
        json!({ "kind": "SCALAR", "name": "String" }),
        object("Product", vec![field("id", scalar("Int")), field("name", scalar("String"))]),
        object("Query", vec![field("products", products)]),
    ];
    let schema = json!({ "queryType": { "name": "Query" }, "mutationType": null, "subscriptionType": null,
                         "types": types, "directives": [] });
    json!({ "data": { "__schema": schema } }).to_string()
}

fn joined(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(",")
}

fn peak(pillion: &Pillion) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pillion.process.0.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

fn ask_for(pillion: &Pillion, engine: &Scripted, rows: usize) {
    let list = joined(rows, |id| format!(r#"{{"id":{id},"name":"a product","_k0":"Product"}}"#));
    engine.on_path("/graphql", Reply::json(&format!(r#"{{"data":{{"products":[{list}]}}}}"#)));
    let answer = pillion.client().ask("{ products { id name offer { total } } }").json();
    assert_eq!(answer["errors"], Value::Null);
    let list = answer["data"]["products"].as_array().expect("a list");
    let wanted = |id: usize| json!({ "id": id, "name": "a product", "offer": { "total": 0.5 } });
    assert!(list.len() == rows && list.iter().enumerate().all(|(id, row)| *row == wanted(id)), "{rows} rows");
}

fn memory_is_linear_in_the_rows(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_word("ofType", Reply::json(&introspection()));
    engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    handlers.on_path("/offer", Reply::json(&format!("[{}]", joined(BATCH, |_| r#"{"total":0.5}"#.into()))));
    let config = format!(
        "dialect: standard\nfields: {{ Product.offer: 'offer(productId: $id)' }}\nactions: {{ offer: {{ batch: {BATCH} }} }}\n\
         limits: {{ max_field_keys: 100000, max_buffered_bytes: 1GiB, max_client_bytes: 1GiB, max_connection_bytes: 1GiB }}\n"
    );
    let setup = Setup::before(engine.port).with_actions("extension-fields", handlers.port);
    let pillion = setup.config(&config).start().wait_until_ready();
    let few = 2 * BATCH;
    ask_for(&pillion, &engine, few);
    let mut last = (few, peak(&pillion));
    // Each list is twice as long as the one before it.
    for part in [4, 2, 1] {
        let rows = scaled(100_000) / part / BATCH * BATCH;
        ask_for(&pillion, &engine, rows);
        let now = peak(&pillion);
        let growth = now.saturating_sub(last.1) / (rows - last.0);
        eprintln!("abuse: {rows} rows: {} KiB at most, {growth} bytes for each further row", now / 1024);
        assert!(growth < ROW_BYTES_MAX, "{rows} rows: {growth} bytes for each further row");
        last = (rows, now);
    }
    assert_eq!(handlers.take_seen().len(), batches(few));
    pillion.wait_until_nothing_is_held();
}

/// The calls of the handler for all lists.
fn batches(few: usize) -> usize {
    let all = [4, 2, 1].map(|part| scaled(100_000) / part / BATCH);
    few / BATCH + all.iter().sum::<usize>()
}
