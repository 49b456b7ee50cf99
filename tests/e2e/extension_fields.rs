//! Extension fields against the reference: random documents over an upstream's schema and the fields that actions add to
//! it, compared with what graphql-js makes of the merged schema, and the number of handler calls with that of keys.

use pillion_test_support::client::Client;
use pillion_test_support::engines::{Engines, node};
use pillion_test_support::pillion::Setup;
use pillion_test_support::process::Process;
use pillion_test_support::{free_port, trials, wait_for_port};
use serde_json::{Value, json};

pub const TESTS: &[super::Test] = trials![random_documents_equal_the_reference];

/// `PILLION_EXTENSION_DOCUMENTS` says another number.
const DOCUMENTS: u64 = 2_000;

/// Documents that are asked for in one request to the reference, so that it answers in time.
const CHUNK: u64 = 250;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |number| number.parse().expect(variable))
}

fn random_documents_equal_the_reference(_: &Engines) {
    let port = free_port();
    let _reference = Process(node(&["extension-fields.mjs"], port).spawn().expect("node starts"));
    wait_for_port(port);
    let reference = |method: &str, path: &str, body: &str| -> Value {
        Client::connect(port).request(method, path, &[], body.as_bytes()).json()
    };
    let config = reference("GET", "/config", "");
    let config = config["config"].as_str().expect("its settings");
    let pillion = Setup::before(port).with_actions("extension-world", port).config(config).start().wait_until_ready();
    let (first, documents) = (number("PILLION_EXTENSION_SEED", 1), number("PILLION_EXTENSION_DOCUMENTS", DOCUMENTS));
    let mut totals = [0; 5];
    let names = ["documents", "exact", "calls", "rows", "errors"];
    for seed in (first..first + documents).step_by(usize::try_from(CHUNK).expect("a number")) {
        let count = CHUNK.min(first + documents - seed);
        let request = json!({ "port": pillion.port, "seed": seed, "documents": count });
        let result = reference("POST", "/check", &request.to_string());
        let failures: Vec<&str> =
            result["failures"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(failures.is_empty(), "{}\n\nlog:\n{}", failures.join("\n\n"), pillion.log());
        for (total, name) in totals.iter_mut().zip(names) {
            *total += result[name].as_u64().unwrap_or_else(|| panic!("no number of {name}: {result}"));
        }
    }
    let [done, exact, calls, rows, errors] = totals;
    assert_eq!(done, documents);
    if documents >= DOCUMENTS {
        // Most documents must be about something, and most must be compared to the last call.
        assert!(rows > documents && errors > documents / 4 && calls > documents / 4, "{totals:?}");
        assert!(exact * 10 > documents * 7, "{totals:?}");
    }
}
