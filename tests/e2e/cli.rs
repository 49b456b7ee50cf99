//! `pillion check`, `explain` and `schema`, as people and pipelines call them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use pillion_test_support::engines::{Engines, run_node};
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{tls, trials, wait_for_port};
use serde_json::{Value, json};

use super::startup::folder;

pub const TESTS: &[super::Test] = trials![
    check_reports_diagnostics,
    check_warns,
    check_probes_the_upstream,
    check_compares_extension_fields_as_each_role,
    check_probes_handlers,
    check_probes_dependencies,
    check_warns_of_lost_features,
    commands_read_the_configuration_of_their_folder,
    explain_shows_the_plan,
    explain_shows_validation_errors,
    explain_shows_relationship_fetches,
    explain_shows_extension_fields,
    explain_shows_transformed_requests,
    explain_validates_upstream_fields,
    schema_prints_the_merged_schema_of_a_role,
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metadata").join(name)
}

/// Runs a command with nothing in its environment but these variables.
fn pillion(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).stdin(std::process::Stdio::null());
    command.output().expect("pillion runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_says(output: &Output, status: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} is not in:\n{said}");
    }
}

const HANDLERS: (&str, &str) = ("HANDLERS", "http://127.0.0.1:1");

fn check(metadata: &Path, more: &[&str], environment: &[(&str, &str)]) -> Output {
    let metadata = metadata.display().to_string();
    pillion(&[&["check", "--metadata", metadata.as_str()], more].concat(), environment)
}

fn check_reports_diagnostics(_: &Engines) {
    let fine = folder(
        "fine",
        &[
            ("actions.graphql", "type Query { one: Int }\n"),
            (
                "actions.yaml",
                "actions:\n  - name: one\n    definition: {handler: 'http://127.0.0.1:1'}\n    permissions: [{role: user}]\n",
            ),
        ],
    );
    assert_says(&check(&fine, &["--strict"], &[]), 0, &["0 errors, 0 warnings"]);
    std::fs::write(fine.join("actions.graphql"), "type Query {\n  one(a: Out): Int\n}\ntype Out {\n  b: Int\n}\n")
        .expect("a file");
    let broken = check(&fine, &[], &[]);
    assert_says(
        &broken,
        1,
        &["actions.graphql:2:10: error:", "2 |   one(a: Out): Int", "  |          ^^^", "help:", "1 error"],
    );
    let json = check(&fine, &["--format", "json"], &[]);
    let told: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!((json.status.code(), &told["errors"]), (Some(1), &json!(1)));
    let found = &told["diagnostics"][0];
    assert_eq!((&found["severity"], &found["line"], &found["column"]), (&json!("error"), &json!(2), &json!(10)));
    assert!(found["file"].as_str().is_some_and(|file| file.ends_with("actions.graphql")), "{told}");
    // A variable that is not set, and a call that makes no sense.
    assert_says(&check(&fixture("shop"), &[], &[]), 1, &["the environment variable HANDLERS is not set"]);
    assert_eq!(check(&fine, &["--colour"], &[]).status.code(), Some(2));
    // A variable that a template cannot see fails every call.
    std::fs::write(fine.join("actions.graphql"), "type Query { one(a: Int): Int }\n").expect("a file");
    let transform = "request_transform: {version: 2, body: {action: transform, template: '{\"b\": {{$bdy.input.a}}}'}}";
    let yaml =
        format!("actions:\n  - name: one\n    definition:\n      handler: 'http://127.0.0.1:1'\n      {transform}\n");
    std::fs::write(fine.join("actions.yaml"), yaml).expect("a file");
    assert_says(
        &check(&fine, &[], &[]),
        1,
        &["actions.yaml:5:", "Variable '$bdy' not in scope", "Did you mean \"$body\"?"],
    );
    std::fs::remove_dir_all(fine).expect("the folder");
}

fn check_warns(_: &Engines) {
    let odd = folder(
        "odd",
        &[
            (
                "actions.graphql",
                "type Query { slow(a: In): Out }\ninput In { a: Int }\ntype Out { b: Int }\n\"of no use\"\ntype Idle { c: Int }\n",
            ),
            (
                "actions.yaml",
                "actions:\n  - name: slow\n    definition:\n      handler: 'http://127.0.0.1:1'\n      timeout: 90\n      forward_client_headers: true\n      headers: [{name: X-Api-Key, value_from_env: KEY}]\n",
            ),
        ],
    );
    let warned = check(&odd, &[], &[("KEY", "c4nary"), ("PILLION_LIMITS_REQUEST_TIMEOUT", "70s")]);
    assert_says(
        &warned,
        0,
        &[
            "only admin may call action 'slow'",
            "action 'slow' may take 90 s, but a client's request 70 s as a whole",
            "actions.graphql:5:6: warning: no action uses the type 'Idle'",
            "a client can replace the header 'x-api-key' of action 'slow'",
            "0 errors, 4 warnings",
        ],
    );
    assert!(!said(&warned).contains("c4nary"));
    assert_eq!(check(&odd, &["--strict"], &[("KEY", "k")]).status.code(), Some(1));
    std::fs::remove_dir_all(odd).expect("the folder");
}

fn check_probes_the_upstream(engines: &Engines) {
    let upstream = format!("http://127.0.0.1:{}", engines.yoga);
    assert_says(&check(&fixture("shop"), &["--upstream", &upstream], &[HANDLERS]), 0, &["0 errors"]);
    let clash = folder(
        "check-clash",
        &[
            ("actions.graphql", "type Query {\n  own: Book\n}\ntype Book {\n  pages: Int\n}\n"),
            ("actions.yaml", "actions:\n  - name: own\n    definition: {handler: 'http://127.0.0.1:1'}\n"),
        ],
    );
    let words = [
        "actions.graphql:4:6: error: the actions and the upstream both define the type \"Book\"",
        "upstream: type Book implements Thing {",
    ];
    assert_says(&check(&clash, &["--upstream", &upstream], &[]), 1, &words);
    let lookups = folder(
        "check-lookups",
        &[
            ("actions.graphql", "type Query {\n  own: Mine\n}\ntype Mine {\n  a: Int\n}\n"),
            (
                "actions.yaml",
                "actions:\n  - name: own\n    definition: {handler: 'http://127.0.0.1:1'}\ncustom_types:\n  objects:\n    - name: Mine\n      relationships:\n        - {name: gone, type: object, remote_table: gone, field_mapping: {a: id}}\n        - {name: books, type: array, remote_table: books, field_mapping: {a: id}}\n",
            ),
            ("pillion.yaml", "relationships:\n  Mine.book: \"book(isbn: $a)\"\n  Mine.other: \"other(id: $a)\"\n"),
        ],
    );
    let config = lookups.join("pillion.yaml").display().to_string();
    let words = [
        "actions.graphql:4:6: error: the remote table \"gone\" for relationship \"gone\" of object type \"Mine\" does not exist",
        "the column \"id\" of remote table \"books\" for relationship \"books\" of object type \"Mine\" does not exist",
        "the argument \"isbn\" of the upstream's root field \"book\" for relationship \"book\" of object type \"Mine\" does not",
        "the root field \"other\" of the upstream for relationship \"other\" of object type \"Mine\" does not exist",
        "4 errors",
    ];
    assert_says(&check(&lookups, &["--upstream", &upstream, "--config", &config], &[]), 1, &words);
    std::fs::remove_dir_all(lookups).expect("the folder");
    // The address may come by a variable or the file as well, unless files are all that is wanted.
    assert_says(&check(&clash, &[], &[("PILLION_UPSTREAM", &upstream)]), 1, &["both define the type \"Book\""]);
    let offline = check(&clash, &["--offline"], &[("PILLION_UPSTREAM", &upstream)]);
    assert_says(&offline, 0, &["upstream not looked at", "0 errors"]);
    for (address, failure) in [
        ("http://127.0.0.1:1", "TCP: 127.0.0.1:1: Connection refused (os error 111)"),
        ("http://nosuch.invalid", "DNS: nosuch.invalid:80: "),
    ] {
        let away = check(&clash, &["--upstream", address], &[]);
        assert_says(
            &away,
            2,
            &[&format!("upstream not checked: {address}"), failure, "incomplete: 1 check could not be made"],
        );
        assert!(!said(&away).contains("0 errors"), "{}", said(&away));
        let json = check(&clash, &["--format", "json"], &[("PILLION_UPSTREAM", address)]);
        let told: Value = serde_json::from_slice(&json.stdout).expect("JSON");
        assert_eq!((json.status.code(), &told["complete"]), (Some(2), &json!(false)), "{told}");
        let upstream = told["checks"].as_array().and_then(|all| all.iter().find(|one| one["kind"] == "upstream"));
        let reason = upstream.and_then(|upstream| upstream["reason"].as_str()).unwrap_or_default();
        assert!(reason.starts_with(failure), "{told}");
    }
    // A page of HTML, and an authority that is not trusted.
    let pages = Scripted::start();
    pages.on_path("/graphql", Reply::status(404, "<html></html>"));
    let page = check(&clash, &["--upstream", &format!("http://127.0.0.1:{}", pages.port)], &[]);
    assert_says(&page, 2, &["upstream not checked", "GraphQL: 127.0.0.1", "404"]);
    let tls = tls::Listener::on_free_port();
    let _behind_tls = Setup::before(engines.yoga).config(&tls.config).start().wait_until_ready();
    wait_for_port(tls.port);
    let address = format!("https://localhost:{}", tls.port);
    let untrusted = check(&clash, &["--upstream", &address], &[]);
    assert_says(&untrusted, 2, &["upstream not checked", "TLS: localhost:", "invalid peer certificate"]);
    let authority = tls.certificate.display().to_string();
    let trusted = check(&clash, &["--upstream", &address], &[("PILLION_UPSTREAM_TLS_CA_FILE", &authority)]);
    assert_says(&trusted, 1, &["ok (DNS, TCP, TLS, HTTP, GraphQL)", "both define the type \"Book\""]);
    let nothing = check(&clash, &["--all"], &[]);
    assert_says(&nothing, 1, &["upstream not checked: none is configured", "incomplete", "1 error"]);
    std::fs::remove_dir_all(clash).expect("the folder");
}

fn check_compares_extension_fields_as_each_role(engines: &Engines) {
    let permissions = "    permissions: [{role: user}, {role: clerk}, {role: nobody's own}]\n";
    let actions = format!(
        "actions:\n  - name: rate\n    definition: {{handler: 'http://127.0.0.1:1'}}\n{permissions}  - name: own\n    definition: {{handler: 'http://127.0.0.1:1'}}\n"
    );
    let config = |fields: &str| {
        let graphql = "type Query {\n  rate(price: Float, id: Int, name: Boolean): Int\n  own(price: Float): Int\n}\n";
        let files = [("actions.graphql", graphql), ("actions.yaml", &actions), ("pillion.yaml", fields)];
        folder("check-fields", &files)
    };
    let upstream = format!("http://127.0.0.1:{}", engines.roles);
    let look = |fields: &str| {
        let folder = config(fields);
        let file = folder.join("pillion.yaml").display().to_string();
        let output = check(&folder, &["--upstream", &upstream, "--config", &file], &[]);
        std::fs::remove_dir_all(folder).expect("the folder");
        output
    };
    let fine = "fields:\n  products.rated: 'rate(id: $id)'\n  products.own: 'own(price: $price)'\n";
    let told = look(fine);
    assert_says(&told, 0, &["0 errors, 1 warning", "only admin may call action 'own'"]);
    let told = look("fields:\n  products.rate: 'rate(price: $price)'\n  products_aggregate.rate: 'rate(id: $count)'\n");
    let wanted = "pillion.yaml:2:3: warning: role \"user\" cannot read the key field products.price, so it does not see the extension field \"products.rate\"";
    assert_says(&told, 0, &[wanted, "0 errors, 3 warnings", "let the role read the key field"]);
    assert!(!said(&told).contains("clerk"), "{}", said(&told));
    let told = look(
        "fields:\n  product.rate: 'rate(id: $id)'\n  products.rate: 'rate(name: $name)'\n  products.cost: 'rate(price: $cost)'\n",
    );
    let words = [
        "pillion.yaml:2:3: error: the extension field \"product.rate\": the upstream has no type \"product\". Did you mean \"products\"",
        "pillion.yaml:3:3: error: the extension field \"products.rate\": the key field products.name is of the type String!, which argument \"name\" of action 'rate' does not take",
        "pillion.yaml:4:3: error: the extension field \"products.cost\": the upstream's type \"products\" has no key field \"cost\"",
        // For each of them once, and not once more for each role.
        "3 errors, 1 warning",
    ];
    assert_says(&told, 1, &words);
    // With both definitions.
    let words = [
        "pillion.yaml:2:3: error: the actions and the upstream both define the field \"name\" of products",
        "actions: name(price: Float, name: Boolean): Int",
        "upstream: name: String!",
        "give it another name under fields",
    ];
    assert_says(&look("fields:\n  products.name: 'rate(id: $id)'\n"), 1, &words);
}

fn check_probes_handlers(_: &Engines) {
    let handlers = Scripted::start();
    let address = format!("http://127.0.0.1:{}", handlers.port);
    assert_says(&check(&fixture("shop"), &["--handlers"], &[("HANDLERS", &address)]), 0, &["0 errors"]);
    let gone = check(&fixture("shop"), &["--handlers"], &[HANDLERS]);
    let words = [
        "the handler of action 'quote', {{HANDLERS}}/quote, cannot be reached: TCP: 127.0.0.1:1: Connection refused",
        "handler 127.0.0.1:1: TCP",
        "9 errors",
    ];
    assert_says(&gone, 1, &words);
    // No action was called: what a handler sees has neither a body nor its path.
    let seen = handlers.take_seen();
    assert!(
        !seen.is_empty()
            && seen.iter().all(|call| (call.method(), call.path()) == ("OPTIONS", "/") && call.body.is_empty()),
        "{seen:?}"
    );
    assert!(!said(&gone).contains("127.0.0.1:1/"), "addresses stay templates");
    // A request decides about the host.
    let dynamic = folder(
        "dynamic-host",
        &[
            ("actions.graphql", "type Query { one(region: String): Int }\n"),
            (
                "actions.yaml",
                "actions:\n  - name: one\n    definition:\n      handler: 'http://127.0.0.1:1'\n      request_transform:\n        version: 2\n        url: 'http://{{$body.input.region}}.example/x'\n    permissions: [{role: user}]\n",
            ),
        ],
    );
    let words =
        ["handler not checked: action 'one': the request decides about the host of http://{{$body.input.region}}"];
    assert_says(&check(&dynamic, &["--handlers"], &[]), 0, &words);
    std::fs::remove_dir_all(dynamic).expect("the folder");
}

/// Without `--config`: what `pillion init` writes is found by every command that is run beside it.
fn commands_read_the_configuration_of_their_folder(_: &Engines) {
    let actions =
        "actions:\n  - {name: one, definition: {handler: 'http://127.0.0.1:1'}, permissions: [{role: user}]}\n";
    let folder = folder(
        "own-configuration",
        &[
            ("pillion.yaml", "metadata: .\nupstream: {url: 'http://127.0.0.1:1'}\n"),
            ("actions.yaml", actions),
            ("actions.graphql", "type Query { one(id: int): Int }\n"),
        ],
    );
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        command.args(arguments).current_dir(&folder).env_clear().stdin(std::process::Stdio::null());
        command.output().expect("pillion runs")
    };
    let words = ["the type 'int' is another scalar than 'Int'", "0 errors, 1 warning"];
    assert_says(&run(&["check", "--offline"]), 0, &words);
    assert_says(&run(&["actions", "list"]), 0, &["one"]);
    assert_says(&run(&["doctor"]), 1, &["pillion.yaml: 2 settings", "http://127.0.0.1:1"]);
    assert_says(&run(&["config", "show"]), 0, &["http://127.0.0.1:1"]);
    // Another file counts before it.
    std::fs::write(folder.join("other.yaml"), "metadata: nowhere\n").expect("a file");
    let words = ["the metadata folder nowhere does not exist", "or metadata in pillion.yaml"];
    assert_says(&run(&["check", "--offline", "--config", "other.yaml"]), 1, &words);
    std::fs::remove_dir_all(folder).expect("the folder");
}

/// Whatever else Hasura's metadata configures for documents with actions.
fn check_warns_of_lost_features(_: &Engines) {
    let folder = folder(
        "lost-features",
        &[
            ("actions.graphql", "type Query { one: Int }\n"),
            (
                "actions.yaml",
                "actions:\n  - name: one\n    definition: {handler: 'http://127.0.0.1:1'}\n    permissions: [{role: user}]\n",
            ),
            (
                "query_collections.yaml",
                "- name: allowed\n  definition:\n    queries:\n      - name: mixed\n        query: 'query { one users { id } }'\n      - name: theirs\n        query: '{ users { id } }'\n- name: rest\n  definition:\n    queries:\n      - {name: get, query: '{ one }'}\n- name: other\n  definition:\n    queries:\n      - {name: idle, query: '{ one }'}\n      - {name: broken, query: '{ one'}\n",
            ),
            ("allow_list.yaml", "- collection: allowed\n  scope: {global: true}\n"),
            (
                "rest_endpoints.yaml",
                "- name: get\n  url: get\n  methods: [GET]\n  definition: {query: {collection_name: rest, query_name: get}}\n",
            ),
        ],
    );
    let words = [
        "query_collections.yaml:4:9: warning: the query 'mixed' of the collection 'allowed' with the action 'one' is in the allow list",
        "which is not enforced",
        "0 errors, 1 warning",
    ];
    assert_says(&check(&folder, &[], &[]), 0, &words);
    let enforced = [("HASURA_GRAPHQL_ENABLE_ALLOWLIST", "true")];
    assert_says(&check(&folder, &[], &enforced), 0, &["0 errors, 0 warnings"]);
    std::fs::write(folder.join("allow_list.yaml"), "[]\n").expect("a file");
    assert_says(&check(&folder, &[], &enforced), 0, &["no document is trusted, so every document of a role but admin"]);
    std::fs::remove_dir_all(folder).expect("the folder");
}

/// Redis, PostgreSQL, JWKS and the auth hook.
fn check_probes_dependencies(engines: &Engines) {
    let fine = folder(
        "dependencies",
        &[
            ("actions.graphql", "type Mutation { one: Int }\n"),
            (
                "actions.yaml",
                "actions:\n  - name: one\n    definition: {kind: asynchronous, handler: 'HANDLER'}\n    permissions: [{role: user}]\n",
            ),
        ],
    );
    let handlers = Scripted::start();
    let yaml = std::fs::read_to_string(fine.join("actions.yaml")).expect("a file");
    let yaml = yaml.replace("HANDLER", &format!("http://127.0.0.1:{}", handlers.port));
    std::fs::write(fine.join("actions.yaml"), yaml).expect("a file");
    handlers.on_path("/keys", Reply::json(r#"{"keys":[{"kty":"RSA"}]}"#));
    let (keys, dead) = (format!("http://127.0.0.1:{}/keys", handlers.port), "http://127.0.0.1:1/keys".to_owned());
    let database = engines.new_database("check_dependencies");
    let upstream = format!("http://127.0.0.1:{}", engines.yoga);
    let all = |keys: &str, redis: &str, database: &str| {
        let secret = json!({ "jwk_url": keys }).to_string();
        let environment = [
            ("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret"),
            ("HASURA_GRAPHQL_JWT_SECRET", secret.as_str()),
            ("PILLION_REDIS_URL", redis),
            ("PILLION_JOBS_STORE", database),
            ("PILLION_UPSTREAM", &upstream),
        ];
        check(&fine, &["--all"], &environment)
    };
    let dead_redis = "redis://:c4nary@127.0.0.1:1";
    let broken = all(&dead, dead_redis, "postgres://user:c4nary@127.0.0.1:1/none");
    let words = [
        "JWKS cannot be used: TCP: 127.0.0.1:1: Connection refused",
        "Redis cannot be used: TCP: 127.0.0.1:1: Connection refused",
        "PostgreSQL cannot be used: PostgreSQL: postgres://127.0.0.1:1/none: ",
        "3 errors",
    ];
    assert_says(&broken, 1, &words);
    assert!(!said(&broken).contains("c4nary"), "{}", said(&broken));
    let mixed = all(&keys, dead_redis, &database);
    assert_says(
        &mixed,
        1,
        &["JWKS 127.0.0.1", "ok (DNS, TCP, HTTP, JWKS)", "ok (PostgreSQL)", "ok (DNS, TCP, HTTP, GraphQL)", "1 error"],
    );
    std::fs::remove_dir_all(fine).expect("the folder");
}

fn explain(document: &str, more: &[&str]) -> Output {
    explain_with("shop", document, more)
}

fn explain_with(actions: &str, document: &str, more: &[&str]) -> Output {
    // Tests run side by side.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("explain-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = folder(&name, &[("document.graphql", document)]);
    let path = folder.join("document.graphql").display().to_string();
    let metadata = fixture(actions).display().to_string();
    let output = pillion(&[&["explain", "--metadata", metadata.as_str(), path.as_str()], more].concat(), &[HANDLERS]);
    std::fs::remove_dir_all(folder).expect("the folder");
    output
}

fn explain_shows_the_plan(_: &Engines) {
    let document = "mutation Buy($order: OrderInput!, $stars: Int!) {\n  createReview(input: { stars: $stars }) { id } # é😀\n  placeOrder(order: $order) { id }\n  sendCode(phone: \"1\")\n  deleteReviewById(id: 1) { id }\n}\nquery Other { x }\n";
    let variables = r#"{"order":{"productId":2},"stars":5}"#;
    let more = [
        "--role=customer",
        "--operation=Buy",
        "--header=X-Hasura-User-Id: 7",
        "--header=Authorization: Bearer c4nary",
        "--header=X-Mine: 1",
        "--variables",
        variables,
    ];
    let output = explain(document, &more);
    assert_says(&output, 0, &[]);
    let wanted = "\
mutation as role customer: 4 steps, one after the other
session variables {\"x-hasura-role\":\"customer\",\"x-hasura-user-id\":\"7\"}
├─ 1. upstream: createReview
│     mutation Buy(                   , $stars: Int!) {
│       createReview(input: { stars: $stars }) { id } # é😀
│
│
│
│     }
│
│     with {\"operationName\":\"Buy\",\"variables\":{\"stars\":5}}
├─ 2. action placeOrder as placeOrder: POST {{HANDLERS}}/placeOrder, within 30 s
│     input {\"order\":{\"productId\":2,\"amount\":1}}
│     body {\"action\":{\"name\":\"placeOrder\"},\"input\":{\"order\":{\"productId\":2,\"amount\":1}},\"session_variables\":{\"x-hasura-role\":\"customer\",\"x-hasura-user-id\":\"7\"},\"request_query\":\"QUERY\"}
│     authorization: ***
│     x-mine: 1
│     x-hasura-role: customer
│     x-hasura-user-id: 7
│     x-api-key: ***
│     x-request: ***
│     content-type: application/json
│     user-agent: pillion/0.1.0
│     traceparent, x-b3-*: those of the request
├─ 3. action sendCode as sendCode: POST {{HANDLERS}}/sendCode, within 30 s
│     input {\"phone\":\"1\"}
│     body {\"action\":{\"name\":\"sendCode\"},\"input\":{\"phone\":\"1\"},\"session_variables\":{\"x-hasura-role\":\"customer\",\"x-hasura-user-id\":\"7\"},\"request_query\":\"QUERY\"}
│     content-type: application/json
│     user-agent: pillion/0.1.0
│     traceparent, x-b3-*: those of the request
└─ 4. upstream: deleteReviewById
";
    // The payload has the whole document.
    let in_json = json!(document).to_string();
    let wanted = wanted.replace("QUERY", in_json.trim_matches('"'));
    let told = said(&output);
    let told_lines: Vec<&str> = told.lines().map(str::trim_end).take(wanted.lines().count()).collect();
    assert_eq!(told_lines, wanted.lines().map(str::trim_end).collect::<Vec<_>>(), "{told}");
    assert!(
        told.ends_with("The upstream's part has not been checked: give --upstream or --upstream-schema.\n"),
        "{told}"
    );
    assert!(!told.contains("c4nary") && !told.contains("configured-key"), "{told}");
    // What is sent, to the letter: trailing blanks included.
    assert!(
        told.contains(
            "│       createReview(input: { stars: $stars }) { id } # é😀\n│                                       \n"
        ),
        "{told}"
    );
    assert_says(&explain("{ a b }", &[]), 0, &["the upstream gets the request as it is"]);
    let introspection = explain("{ __schema { description } count a }", &[]);
    assert_says(&introspection, 0, &["query as role admin: 3 steps, side by side", "introspection: __schema"]);
}

fn explain_shows_relationship_fetches(_: &Engines) {
    let document = "{ trip(id: 1) { rider { name } tickets(where: {zone: {_eq: \"A\"}}, limit: 1) { id } legs { person { id } } } }";
    let told = said(&explain_with("relationships", document, &["--role=rider"]));
    for rows in [
        "people(where: {id: {_eq: \"<rider_id>\"}}, limit: 2) { name }",
        "tickets(where: {_and: [{zone: {_eq: \"A\"}}, {owner_id: {_eq: \"<rider_id>\"}}]}, limit: 1) { id }",
        "people(where: {id: {_eq: \"<driver>\"}}, limit: 2) { id }",
    ] {
        assert!(told.contains(&format!("rows of the upstream for its response: {rows}\n")), "{told}");
    }
}

fn explain_shows_extension_fields(engines: &Engines) {
    let fields = "fields:\n  Product.offer: \"offer(productId: $id)\"\n  Product.stored: \"stocks(products: [$name]) by product\"\n  Review.mood: \"mood(text: $body, stars: $stars)\"\n";
    let config = folder("explain-fields", &[("pillion.yaml", fields)]);
    let config_flag = format!("--config={}", config.join("pillion.yaml").display());
    let upstream = format!("--upstream=http://127.0.0.1:{}", engines.postgraphile);
    let document = "{ productById(id: 1) { ...P reviewsByProductId { edges { node { mood } } } } }\nfragment P on Product { stored(site: SOUTH) { pieces } }";
    let told = explain_with("extension-fields", document, &["--role=customer", &config_flag, &upstream]);
    let lines = [
        "{ productById(id: 1) { ...P reviewsByProductId { edges { node { _k1:body _k1_1:stars } } } } }",
        "fragment P on Product { _k0:name                       }",
        "then Product.stored: action stocks, distinct keys from productById.name, a call for each 1000 of them, elements matched by product",
        "with {\"site\":\"SOUTH\"}",
        "then Review.mood: action mood, distinct keys from productById.reviewsByProductId.edges[].node.body \
         productById.reviewsByProductId.edges[].node.stars, a call for each of them",
    ];
    assert_says(&told, 0, &lines);
    let unknown = explain_with("extension-fields", document, &["--role=customer", &config_flag]);
    assert_says(&unknown, 1, &["the upstream's schema is not known", "schema-unknown"]);
    let other =
        explain_with("extension-fields", "{ offers: allProducts { nodes { name } } }", &[&config_flag, &upstream]);
    assert_says(&other, 0, &["the upstream gets the request as it is"]);
    std::fs::remove_dir_all(config).expect("the folder");
}

fn explain_shows_transformed_requests(_: &Engines) {
    let document = "mutation { pay(amount: 5) { id } forget(id: 3) }";
    let told = said(&explain_with("rest", document, &["--role=clerk", "--header=X-Hasura-User-Id: 7"]));
    let wanted = "\
mutation as role clerk: 2 steps, one after the other
session variables {\"x-hasura-role\":\"clerk\",\"x-hasura-user-id\":\"7\"}
├─ 1. action pay as pay: POST {{HANDLERS}}/charges, within 30 s
│     input {\"amount\":5}
│     body amount=5&currency=eur&user=7
│     content-type: application/x-www-form-urlencoded
│     user-agent: pillion/0.1.0
│     traceparent, x-b3-*: those of the request
└─ 2. action forget as forget: DELETE {{$base_url}}/{{$body.input.id}}, within 30 s
      input {\"id\":3}
      body {\"reason\":\"asked for\"}
      content-type: application/json
      user-agent: pillion/0.1.0
      traceparent, x-b3-*: those of the request
";
    assert_eq!(told, wanted);
    let told = said(&explain_with("rest", "{ search(text: \"a b\") { id } }", &["--role=clerk"]));
    assert!(told.contains("GET {{HANDLERS}}/search?key=k") && told.contains("query q=a%20b\n"), "{told}");
    let told = said(&explain_with("rest", document, &["--role=clerk"]));
    let wanted = "would not be called: form_template: Session variable \"x-hasura-user-id\" not found";
    assert!(told.contains(wanted), "{told}");
}

fn explain_shows_validation_errors(_: &Engines) {
    let wrong = explain("{\n  quote(productId: \"x\") { totl }\n}\n", &[]);
    assert_says(&wrong, 1, &["document.graphql:2:20: error:", "document.graphql:2:27: error:", "totl", "2 |   quote("]);
    let denied = explain("{\n  secretReport { rows }\n}\n", &["--role=guest"]);
    let words = [
        "document.graphql:2:3: error: action 'secretReport': role guest may not call it: permissions are ",
        "help: add the role to the permissions",
    ];
    assert_says(&denied, 1, &words);
    assert_says(
        &explain("{ quoet(productId: 1) { total } }", &[]),
        0,
        &["\"quoet\" is not an action", "Did you mean \"quote\""],
    );
    assert_says(&explain("{ count", &[]), 1, &["document.graphql:1:8: error: syntax error"]);
    let missing = "query ($n: Int!) { quote(productId: $n) { total } }";
    assert_says(&explain(missing, &[]), 1, &["Variable \"$n\" of required type \"Int!\" was not provided"]);
    assert_says(&explain("{ count }", &["--variables=[1]"]), 1, &["--variables"]);
    assert_says(&pillion(&["explain", "/nowhere.graphql"], &[]), 1, &["/nowhere.graphql"]);
}

fn schema(port: u16, metadata: &str, more: &[&str]) -> Output {
    let (upstream, metadata) = (format!("http://127.0.0.1:{port}"), fixture(metadata).display().to_string());
    let arguments = ["schema", "--upstream", upstream.as_str(), "--metadata", metadata.as_str()];
    pillion(&[&arguments, more].concat(), &[HANDLERS])
}

fn explain_validates_upstream_fields(engines: &Engines) {
    let empty = folder("upstream-only", &[("engine.json", "")]);
    let engine = schema(engines.yoga, "shop", &["--upstream-only", "--format=json"]);
    assert_says(&engine, 0, &["RootQuery"]);
    let file = empty.join("engine.json");
    std::fs::write(&file, &engine.stdout).expect("a file");
    let engine_schema = format!("--upstream-schema={}", file.display());
    assert_says(
        &explain("{ count books { titel } }", &[&engine_schema]),
        1,
        &["document.graphql:1:17: error:", "titel"],
    );
    let fine = explain("query { count ...F } fragment F on RootQuery { books { title } }", &[&engine_schema]);
    assert_says(&fine, 0, &["2 steps, side by side"]);
    assert!(!said(&fine).contains("has not been checked"));
    // The same without a file: the upstream is asked, by whatever way its address comes.
    let upstream = format!("--upstream=http://127.0.0.1:{}", engines.yoga);
    let asked = explain("{ count books { titel } }", &[&upstream]);
    assert_says(&asked, 1, &["document.graphql:1:17: error:", "titel", "Did you mean"]);
    assert_says(&explain("{ count books { title } }", &[&upstream]), 0, &["2 steps, side by side"]);
    let config = empty.join("pillion.yaml");
    std::fs::write(&config, format!("upstream: {{ url: 'http://127.0.0.1:{}' }}\n", engines.yoga)).expect("a file");
    let config = format!("--config={}", config.display());
    assert_says(&explain("{ count books { titel } }", &[&config]), 1, &["titel"]);
    // One that is away is told, and changes nothing of the plan.
    let away = explain("{ count books { titel } }", &["--upstream=http://127.0.0.1:1"]);
    assert_says(&away, 0, &["2 steps", "has not been checked: upstream http://127.0.0.1:1"]);
    std::fs::remove_dir_all(empty).expect("the folder");
}

fn schema_prints_the_merged_schema_of_a_role(engines: &Engines) {
    for (port, metadata, role) in [
        (engines.postgraphile, "shop", "customer"),
        (engines.yoga, "shop", "admin"),
        (engines.roles, "supplies", "clerk"),
        (engines.roles, "supplies", "customer"),
    ] {
        let role_flag = format!("--role={role}");
        let json = schema(port, metadata, &["--format=json", &role_flag]);
        let sdl = schema(port, metadata, &[&role_flag]);
        assert_says(&json, 0, &[]);
        assert_says(&sdl, 0, &[]);
        let input =
            json!({ "introspection": serde_json::from_slice::<Value>(&json.stdout).expect("JSON"), "sdl": said(&sdl) });
        let verdict: Value = serde_json::from_str(&run_node("same-schema.mjs", &[], &input.to_string())).expect("JSON");
        assert_eq!(verdict, json!({ "same": true }), "{metadata}, {role}: {}", said(&sdl));
    }
    let customers = said(&schema(engines.roles, "supplies", &["--role=customer"]));
    assert!(customers.contains("advice(") && !customers.contains("restock"), "{customers}");
    assert_says(&schema(1, "shop", &[]), 1, &["the upstream cannot be reached"]);
}
