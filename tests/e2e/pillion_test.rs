//! `pillion test`: cases are run without a network through the whole request path, what differs is shown, and expected
//! responses are rewritten.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pillion_test_support::engines::Engines;
use pillion_test_support::trials;
use serde_json::Value;

use super::startup::folder;

pub const TESTS: &[super::Test] = trials![
    cases_pass_and_fail_without_a_network,
    every_stage_of_a_request_is_run,
    the_schema_of_the_upstream_is_known,
    cases_do_not_depend_on_each_other,
    reports_for_programs,
    expected_responses_are_rewritten,
    wrong_test_files_are_rejected_with_locations,
    callers_are_authenticated_as_configured,
];

const ACTIONS: &str = "\
actions:
  - name: quote
    definition:
      kind: synchronous
      handler: '{{QUOTES}}/quote'
      headers: [{ name: x-secret, value_from_env: QUOTE_SECRET }]
    permissions: [{ role: user }]
  - name: order
    definition: { kind: synchronous, handler: 'http://orders:3000/order' }
    permissions: [{ role: user }]
  - name: ship
    definition: { kind: asynchronous, handler: 'http://orders:3000/ship' }
";

const SIGNATURES: &str = "\
type Query { quote(to: String!): Quote }
type Mutation { order(id: Int!): Int! ship(id: Int!): Int }
type Quote { price: Float! carrier: Carrier days: [Int!] }
enum Carrier { POST DRONE }
";

/// A project with these files beside its actions.
fn project(name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
    let metadata = [("actions.yaml", ACTIONS), ("actions.graphql", SIGNATURES)];
    folder(&format!("pillion-test-{name}"), &[&metadata, files].concat())
}

/// Runs `pillion test` in the folder, with nothing in its environment.
fn test(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.arg("test").args(arguments).args(["--metadata", "."]).current_dir(folder);
    command.env_clear().stdin(Stdio::null()).output().expect("pillion runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_says(output: &Output, status: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
}

fn cases_pass_and_fail_without_a_network(_: &Engines) {
    let cases = "\
role: user
handlers: { quote: { json: { price: 7.50, carrier: POST, days: [1, 2] } } }
cases:
  - name: a price
    query: '{ quote(to: \"CH\") { price carrier } }'
    expect: { json: { data: { quote: { carrier: POST, price: 7.5 } } } }
  - name: another price
    query: '{ quote(to: \"CH\") { price days } }'
    expect: { json: { data: { quote: { price: 8, days: [1, 3] } } } }
  - name: a wrong value
    query: '{ quote(to: \"CH\") { carrier } }'
    handlers: { quote: { json: { carrier: SNAIL } } }
    expect: { json: { data: { quote: { carrier: POST } } } }
";
    let folder = project("basic", &[("a.test.yaml", cases)]);
    let words = [
        "ok a price",
        "FAILED another price",
        "at a.test.yaml:7",
        "-       \"price\": 8,",
        "+       \"price\": 7.5",
        "-         3",
        "+         2",
        "1 passed, 2 failed",
        // The client's error is terse, the log says why.
        "log: WARN",
        "got a value that enum Carrier does not have",
    ];
    assert_says(&test(&folder, &["a.test.yaml"]), 1, &words);
    assert_says(&test(&folder, &["a.test.yaml", "--filter", "a price"]), 0, &["1 passed, 0 failed"]);
    // What `pillion check` warns of is said once.
    let misspelt = SIGNATURES.replace("carrier: Carrier", "carrier: Carier");
    fs::write(folder.join("actions.graphql"), misspelt).expect("a file");
    let words = ["warning:", "\"Carier\"", "1 passed, 0 failed"];
    assert_says(&test(&folder, &["a.test.yaml", "--filter", "a price"]), 0, &words);
    assert_says(&test(&folder, &["a.test.yaml", "--filter", "no such"]), 2, &["no case has \"no such\" in its name"]);
    fs::remove_dir_all(folder).expect("the folder");
}

fn every_stage_of_a_request_is_run(_: &Engines) {
    let cases = "\
environment: { QUOTES: 'https://quotes.example/v1', QUOTE_SECRET: s3cr3t }
role: user
session_variables: { user-id: 7 }
cases:
  - name: a mixed query
    headers: { X-Mine: a }
    query: 'query Q($to: String!) { user_by_pk(id: 7) { name } quote(to: $to) { price } }'
    variables: { to: CH }
    upstream: { json: { data: { user_by_pk: { name: Ada } } }, headers: { Set-Cookie: a=b } }
    handlers: { quote: { json: { price: 1.25 } } }
    expect:
      headers: { Content-Type: 'application/json; charset=utf-8', X-Gone: null }
      json: { data: { user_by_pk: { name: Ada }, quote: { price: 1.25 } } }
    handlers_saw:
      - action: quote
        method: POST
        url: https://quotes.example/v1/quote
        path: /v1/quote
        headers: { x-secret: s3cr3t, x-mine: null, x-hasura-admin-secret: null }
        input: { to: CH }
        session_variables: { x-hasura-role: user, x-hasura-user-id: '7' }
    upstream_saw: [{ path: /graphql, query: 'query Q { user_by_pk(id: 7) { name } }', variables: null }]
  - name: a mutation runs in order
    query: 'mutation { order(id: 1) addRow { id } }'
    handlers: { order: { status: 400, json: { message: sold out, code: gone } } }
    expect:
      json: { data: null, errors: [{ message: sold out, path: [order], extensions: { path: $, code: gone } }] }
      ignore: [errors.0.locations, errors.0.extensions]
    upstream_saw: []
  - name: a denied role
    role: guest
    query: '{ quote(to: \"CH\") { price } }'
    expect: { contains: [quote, errors], lacks: price }
    handlers_saw: []
  - name: a batch
    body: [{ query: '{ quote(to: \"CH\") { price } }' }, { query: '{ __typename }' }]
    upstream: { json: { data: { __typename: Query } } }
    handlers: { quote: { json: { price: 1 } } }
    expect: { json: [{ data: { quote: { price: 1 } } }, { data: { __typename: Query } }] }
  - name: what passes
    query: '{ rows { id } }'
    upstream: { status: 418, text: teapot, headers: { X-Up: a } }
    expect: { status: 418, text: teapot, headers: { x-up: a } }
  - name: a handler that is away
    query: '{ quote(to: \"CH\") { price } }'
    handlers: { quote: { fault: unreachable } }
    expect: { contains: errors }
  - name: a handler too slow
    role: admin
    query: '{ quote(to: \"CH\") { price } }'
    handlers: { quote: { fault: timeout } }
    expect: { contains: Response timeout }
  - name: an upstream that is away
    query: '{ rows { id } quote(to: \"CH\") { price } }'
    handlers: { quote: { json: { price: 1 } } }
    upstream: { fault: unreachable }
    expect: { contains: the upstream cannot be reached }
  - name: an asynchronous action
    role: admin
    query: 'mutation { ship(id: 1) }'
    expect: { json: { data: { ship: an id } }, ignore: data.ship }
    handlers_saw: []
  - name: not GraphQL
    body: '{'
    upstream: { status: 400, json: { errors: [] } }
    expect: { status: 400, contains: errors }
  - name: a response is missing
    query: '{ quote(to: \"CH\") { price } }'
    expect: { contains: errors }
";
    let folder = project("stages", &[("a.test.yaml", cases)]);
    let output = test(&folder, &["a.test.yaml"]);
    let words = ["FAILED a response is missing", "a call of \"quote\", for which the case has no response"];
    assert_says(&output, 1, &words);
    assert_says(&output, 1, &["10 passed, 1 failed"]);
    let leftovers: Vec<_> = fs::read_dir(&folder).expect("the folder").collect();
    assert_eq!(leftovers.len(), 3, "{leftovers:?}");
    fs::remove_dir_all(folder).expect("the folder");
}

fn the_schema_of_the_upstream_is_known(_: &Engines) {
    let cases = "\
upstream_schema: upstream.graphql
role: user
cases:
  - name: a field that it does not have
    query: '{ rows { ide } quote(to: \"CH\") { price } }'
    expect: { contains: 'field ''ide'' not found in type: ''row''' }
    upstream_saw: []
  - name: introspection has both
    query: '{ __schema { queryType { name fields { name } } } }'
    expect:
      json: { data: { __schema: { queryType: { name: query_root, fields: [{ name: rows }, { name: quote }] } } } }
  - name: its dialect is found
    query: '{ quote(to: 1) { price } }'
    expect: { contains: '\"code\":\"validation-failed\"' }
";
    let sdl = "schema { query: query_root }\ntype query_root { rows: [row!] }\ntype row { id: Int! }\n";
    let folder = project("schema", &[("a.test.yaml", cases), ("upstream.graphql", sdl)]);
    assert_says(&test(&folder, &["a.test.yaml"]), 0, &["3 passed, 0 failed"]);
    fs::write(folder.join("upstream.graphql"), "type query_root { rows: [gone] }").expect("the file");
    assert_says(&test(&folder, &["a.test.yaml"]), 2, &["upstream.graphql:1:", "gone"]);
    fs::remove_file(folder.join("upstream.graphql")).expect("the file");
    assert_says(&test(&folder, &["a.test.yaml"]), 2, &["a.test.yaml:1:18: error: there is no file upstream.graphql"]);
    fs::remove_dir_all(folder).expect("the folder");
}

fn cases_do_not_depend_on_each_other(_: &Engines) {
    let cases = "\
role: user
handlers: { quote: { json: { price: 1 } } }
cases:
  - { name: one, query: '{ quote(to: \"CH\") { price } }', handlers_saw: [{ action: quote }], expect: { contains: price } }
  - { name: two, query: '{ quote(to: \"CH\") { price } }', handlers_saw: [{ action: quote }], expect: { contains: price } }
  - name: another attempt
    query: '{ quote(to: \"CH\") { price } }'
    handlers: { quote: [{ status: 503 }, { json: { price: 2 } }] }
    expect: { json: { data: { quote: { price: 2 } } } }
    handlers_saw: [{ action: quote }, { action: quote }]
";
    let config = "actions:\n  quote: { cache: { ttl: 1h }, rate_limit: 1 per 1h, max_retries: 1 }\n";
    let folder = project("alone", &[("a.test.yaml", cases), ("pillion.yaml", config)]);
    assert_says(&test(&folder, &["a.test.yaml", "--config", "pillion.yaml"]), 0, &["3 passed, 0 failed"]);
    fs::remove_dir_all(folder).expect("the folder");
}

fn reports_for_programs(_: &Engines) {
    let cases = "\
role: user
handlers: { quote: { json: { price: 1 } } }
cases:
  - { name: good, query: '{ quote(to: \"CH\") { price } }', expect: { contains: price } }
  - { name: 'bad & <ugly>', query: '{ quote(to: \"CH\") { price } }', expect: { status: 400, contains: price } }
";
    let folder = project("reports", &[]);
    fs::create_dir_all(folder.join("tests/more")).expect("folders");
    fs::write(folder.join("tests/more/a.test.yaml"), cases).expect("a file");
    fs::write(folder.join("tests/other.yaml"), "nothing: of ours").expect("a file");
    let output = test(&folder, &["--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["passed"], &report["failed"], output.status.code()), (&1.into(), &1.into(), Some(1)));
    let file = &report["files"][0];
    assert_eq!(file["file"], "tests/more/a.test.yaml");
    let bad = &file["cases"][1];
    assert_eq!((&bad["line"], &bad["outcome"]), (&5.into(), &"failed".into()));
    assert_eq!(bad["mismatches"][0], serde_json::json!({ "what": "status", "expected": "400", "got": "200" }));
    let output = test(&folder, &["--format", "junit"]);
    let words = [
        "<testsuites name=\"pillion\" tests=\"2\" failures=\"1\">",
        "name=\"bad &amp; &lt;ugly&gt;\"",
        "</testsuites>",
    ];
    assert_says(&output, 1, &words);
    assert_says(&test(&folder, &["."]), 1, &["tests/more/a.test.yaml", "1 passed, 1 failed"]);
    fs::remove_dir_all(folder.join("tests/more")).expect("the folder");
    assert_says(&test(&folder, &[]), 2, &["no file in this folder ends with .test.yaml"]);
    fs::remove_dir_all(folder).expect("the folder");
}

fn expected_responses_are_rewritten(_: &Engines) {
    let cases = "\
# Prices.
role: user
handlers: { quote: { json: { price: 2 } } } # shared
cases:
  # The first one.
  - name: known
    query: '{ quote(to: \"CH\") { price } }'
    expect: { json: { data: { quote: { price: 1 } } } } # was 1

  - name: new
    query: '{ quote(to: 1) { price } }'

  - name: requests are not rewritten
    query: '{ quote(to: \"CH\") { price } }'
    expect: { contains: price }
    handlers_saw: []
";
    let folder = project("update", &[("a.test.yaml", cases)]);
    let read = || fs::read_to_string(folder.join("a.test.yaml")).expect("the file");
    assert_says(&test(&folder, &["a.test.yaml"]), 1, &["FAILED new", "the case says nothing of its response"]);
    assert_eq!(read(), cases);
    assert_says(
        &test(&folder, &["a.test.yaml", "--update"]),
        1,
        &["0 passed, 1 failed, 2 updated", "handler call, number of them"],
    );
    let rewritten = read();
    let known = cases.replace("{ price: 1 } } } } # was 1", "{ price: 2 } } } } # was 1");
    let (before, after) = known.split_at(known.find("\n  - name: requests").expect("the case"));
    assert!(rewritten.starts_with(before.trim_end()) && rewritten.ends_with(after), "{rewritten}");
    assert!(rewritten.contains("    expect:\n      json:\n        errors:\n"), "{rewritten}");
    assert_says(&test(&folder, &["a.test.yaml"]), 1, &["2 passed, 1 failed"]);
    fs::remove_dir_all(folder).expect("the folder");
}

fn wrong_test_files_are_rejected_with_locations(_: &Engines) {
    let cases =
        "cases:\n  - name: a\n    query: '{ a }'\n    handlers: { qoute: { json: 1 } }\n    expect: { status: 200 }\n";
    let folder = project("places", &[("a.test.yaml", cases)]);
    let words = ["a.test.yaml:4:17: error: there is no action \"qoute\". Did you mean \"quote\"?", "^^^^^"];
    assert_says(&test(&folder, &["a.test.yaml"]), 2, &words);
    // Also without a flag: `pillion.yaml` is read if it is there.
    fs::write(folder.join("pillion.yaml"), "listen: nowhere\n").expect("a file");
    assert_says(&test(&folder, &["a.test.yaml"]), 2, &["pillion.yaml:1:9"]);
    fs::remove_file(folder.join("pillion.yaml")).expect("the file");
    fs::write(folder.join("a.test.yaml"), cases.replace("name: a", "nmae: a")).expect("the file");
    assert_says(
        &test(&folder, &["a.test.yaml"]),
        2,
        &["a.test.yaml:2:5: error: a case has no \"name\"", "unknown key \"nmae\""],
    );
    assert_says(&test(&folder, &["gone.test.yaml"]), 2, &["gone.test.yaml: the file cannot be read"]);
    fs::write(folder.join("actions.graphql"), "type Query { quote: Gone }").expect("the file");
    assert_says(&test(&folder, &["a.test.yaml"]), 2, &["error:"]);
    fs::remove_dir_all(folder).expect("the folder");
}

fn callers_are_authenticated_as_configured(_: &Engines) {
    let cases = "\
environment:
  HASURA_GRAPHQL_JWT_SECRET: '{\"type\":\"HS256\",\"key\":\"0123456789abcdef0123456789abcdef\",\"claims_map\":{\"x-hasura-allowed-roles\":[\"user\"],\"x-hasura-default-role\":\"user\"}}'
  HASURA_GRAPHQL_ADMIN_SECRET: s3cr3t
handlers: { quote: { json: { price: 1 } } }
cases:
  - name: nothing is offered
    query: '{ quote(to: \"CH\") { price } }'
    expect: { status: 400, lacks: price, contains: a token is required }
  - name: a token
    headers:
      Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3In0.Upi2r-BrjBso9w1lxexVHqT0LCsGSvEw42_8hSvfEdg
    query: '{ quote(to: \"CH\") { price } }'
    expect: { contains: price }
  - name: a wrong secret
    headers: { X-Hasura-Admin-Secret: wrong }
    query: '{ quote(to: \"CH\") { price } }'
    expect: { status: 401, contains: the admin secret is wrong }
  - name: a role
    role: user
    query: '{ quote(to: \"CH\") { price } }'
    expect: { contains: price }
";
    let folder = project("callers", &[("a.test.yaml", cases)]);
    assert_says(&test(&folder, &["a.test.yaml"]), 0, &["4 passed, 0 failed"]);
    let hook = "auth: { hook: 'http://127.0.0.1:1/hook', admin_secret: s3cr3t }\n";
    fs::write(folder.join("pillion.yaml"), hook).expect("a file");
    let cases = "cases:\n  - { name: a, query: '{ quote(to: 1) { price } }', expect: { contains: a } }\n";
    fs::write(folder.join("a.test.yaml"), cases).expect("a file");
    let words = ["an auth hook authenticates callers, and is not called in tests: give the case a role"];
    assert_says(&test(&folder, &["a.test.yaml", "--config", "pillion.yaml"]), 1, &words);
    fs::remove_dir_all(folder).expect("the folder");
}
