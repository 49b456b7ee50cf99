//! `pillion actions`: actions are created, derived, changed and removed by commands, and work; and what keeps a command from
//! writing anything.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::trials;
use serde_json::{Value, json};

use super::startup::folder;

pub const TESTS: &[super::Test] = trials![
    an_action_from_nothing,
    an_action_of_an_operation_of_postgraphile,
    an_action_of_an_operation_of_hasura,
    an_action_is_shown_without_secrets,
    settings_follow_their_action,
    a_dry_run_writes_nothing,
    edits_that_are_rejected,
    edits_beside_errors_that_are_there,
    the_metadata_api_keeps_comments,
];

/// Runs `pillion actions` with nothing in its environment.
fn actions(metadata: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.arg("actions").args(arguments).arg("--metadata").arg(metadata);
    command.env_clear().stdin(Stdio::null()).output().expect("pillion runs")
}

fn assert_says(output: &Output, status: i32, words: &[&str]) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} is not in:\n{said}");
    }
}

fn text(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).expect("a file")
}

fn an_action_from_nothing(engines: &Engines) {
    let metadata = folder("actions-new", &[("version.yaml", "version: 3\n")]);
    let create = [
        "create",
        "quote",
        "query quote(to: String!): Quote",
        "--type",
        "type Quote { price: Float! }",
        "--handler",
        "{{HANDLERS}}/quote",
        "--role",
        "user",
        "--header-from-env",
        "x-key=QUOTE_KEY",
    ];
    assert_says(&actions(&metadata, &create), 0, &["+  quote(to: String!): Quote", "set QUOTE_KEY: the header x-key"]);
    assert_says(&actions(&metadata, &["permit", "quote", "clerk"]), 0, &["+      - role: clerk"]);
    assert_says(&actions(&metadata, &["rename", "quote", "shipping"]), 0, &["action quote is shipping now"]);
    assert_says(&actions(&metadata, &["list"]), 0, &["shipping\tquery\tQuote\tclerk, user\t{{HANDLERS}}/quote"]);
    let handlers = Scripted::start();
    handlers.on_path("/quote", Reply::json(r#"{"price": 7.5}"#));
    let mut setup = Setup::before(engines.postgraphile).env("QUOTE_KEY", "c4nary");
    setup = setup.env("HANDLERS", &format!("http://127.0.0.1:{}", handlers.port));
    setup.metadata = Some(metadata.clone());
    let pillion = setup.start().wait_until_ready();
    let request = json!({ "query": "{ shipping(to: \"CH\") { price } productById(id: 1) { name } }" }).to_string();
    for role in ["user", "clerk"] {
        let headers = [("x-hasura-role", role), ("content-type", "application/json")];
        let response = pillion.client().request("POST", "/graphql", &headers, request.as_bytes()).json();
        assert_eq!(response["data"]["shipping"]["price"], 7.5, "{response}");
        assert!(response["data"]["productById"]["name"].is_string(), "{response}");
    }
    drop(pillion);
    assert_says(&actions(&metadata, &["remove", "shipping"]), 0, &["action shipping removed, and its types Quote"]);
    assert_eq!(text(&metadata, "actions.yaml"), "actions: []\n");
    assert_says(&actions(&metadata, &["list", "--format", "json"]), 0, &["[]"]);
    fs::remove_dir_all(metadata).expect("the folder");
}

/// Derives an action out of the live schema, and calls it.
fn derived(upstream: u16, name: &str, operation: &str, more: &[&str]) -> (Value, String) {
    let metadata = folder(&format!("actions-{name}"), &[("version.yaml", "version: 3\n")]);
    let url = format!("http://127.0.0.1:{upstream}");
    let derive = ["derive", operation, name, "--handler", "{{HANDLERS}}/derived", "--role", "user", "--upstream", &url];
    assert_says(&actions(&metadata, &[&derive, more].concat()), 0, &[&format!("action {name} created")]);
    let (handlers, sdl) = (Scripted::start(), text(&metadata, "actions.graphql"));
    handlers.on_path("/derived", Reply::json(r#"{"id": 7, "name": "n", "product": {"id": 8, "name": "m"}}"#));
    let mut setup = Setup::before(upstream).env("HANDLERS", &format!("http://127.0.0.1:{}", handlers.port));
    setup.metadata = Some(metadata.clone());
    let pillion = setup.start().wait_until_ready();
    let query = json!({ "query": "query { __schema { mutationType { fields { name args { name type { name kind ofType { name } } } } } queryType { fields { name } } } }" });
    let headers = [("x-hasura-role", "user"), ("content-type", "application/json")];
    let response = pillion.client().request("POST", "/graphql", &headers, query.to_string().as_bytes()).json();
    drop(pillion);
    fs::remove_dir_all(metadata).expect("the folder");
    (response, sdl)
}

fn an_action_of_an_operation_of_postgraphile(engines: &Engines) {
    let operation = "query ($id: Int!) { productById(id: $id) { id name } }";
    let (response, sdl) = derived(engines.postgraphile, "findProduct", operation, &[]);
    for part in ["findProduct(id: Int!): FindProductOutput", "type FindProductOutput {", "  name: String!"] {
        assert!(sdl.contains(part), "{part} is not in:\n{sdl}");
    }
    let fields = response["data"]["__schema"]["queryType"]["fields"].as_array().expect("fields");
    assert!(fields.iter().any(|field| field["name"] == "findProduct"), "{response}");
}

fn an_action_of_an_operation_of_hasura(engines: &Engines) {
    let operation = "query { __typename }";
    let metadata = folder("actions-hasura", &[("version.yaml", "version: 3\n")]);
    let url = format!("http://127.0.0.1:{}", engines.roles);
    let derive = ["derive", operation, "nothing", "--handler", "http://h/", "--upstream", &url];
    assert_says(&actions(&metadata, &derive), 1, &["the operation must select one root field"]);
    let wrong = ["derive", "{ nothing_like_this }", "nothing", "--handler", "http://h/", "--upstream", &url];
    assert_says(&actions(&metadata, &wrong), 1, &["Cannot query field \"nothing_like_this\" on type \"query_root\""]);
    let nowhere = ["derive", operation, "nothing", "--handler", "http://h/", "--upstream", "http://127.0.0.1:9"];
    assert_says(&actions(&metadata, &nowhere), 1, &["upstream http://127.0.0.1:9: "]);
    assert_says(
        &actions(&metadata, &["derive", operation, "a", "--handler", "http://h/"]),
        1,
        &["--upstream URL asks for it"],
    );
    assert!(!metadata.join("actions.yaml").exists());
    fs::remove_dir_all(metadata).expect("the folder");
}

const YAML: &str = "# Ours.\nactions:\n  # the first one\n  - name: own # it is\n    definition:\n      handler: 'http://h/'\n      headers:\n        - name: x-key\n          value: s3cr3t-c4nary # quoted\n        - name: x-other\n          value_from_env: OTHER\n    permissions:\n      - role: user\n\n# What follows.\ncustom_types:\n  scalars: [{name: DateTime}]\n";
const GRAPHQL: &str = "# ours\ntype Query {\n  own(id: ID = 1): DateTime # one\n}\n\nscalar DateTime\n";

fn an_action_is_shown_without_secrets(_: &Engines) {
    let metadata = folder("actions-show", &[("actions.yaml", YAML), ("actions.graphql", GRAPHQL)]);
    let shown = actions(&metadata, &["show", "own"]);
    let words = [
        "x-key: ***",
        "x-other: from the variable OTHER",
        "POST http://h/, within 30 s",
        "admin, user",
        "own(\n    id: ID = 1\n  ): DateTime",
    ];
    assert_says(&shown, 0, &words);
    let json = actions(&metadata, &["show", "own", "--format", "json"]);
    let details: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(
        details["headers"],
        json!([{ "name": "x-key", "value": "***" }, { "name": "x-other", "value_from_env": "OTHER" }])
    );
    assert_eq!((&details["roles"], &details["line"]), (&json!(["user"]), &json!(3)));
    assert_says(&actions(&metadata, &["show", "oven"]), 1, &["there is no action \"oven\". Did you mean \"own\"?"]);
    let permitted = actions(&metadata, &["permit", "own", "clerk"]);
    assert_says(&permitted, 0, &["+      - role: clerk"]);
    for output in [&shown, &json, &permitted] {
        assert!(!String::from_utf8_lossy(&output.stdout).contains("c4nary"), "{output:?}");
    }
    fs::remove_dir_all(metadata).expect("the folder");
}

fn settings_follow_their_action(_: &Engines) {
    let config = "# policies\nactions:\n  own: { max_calls_per_document: 1 } # once\nfields:\n  Product.own: \"own(id: $id)\" # by id\n";
    let metadata =
        folder("actions-config", &[("actions.yaml", YAML), ("actions.graphql", GRAPHQL), ("etc/pillion.yaml", config)]);
    let file = metadata.join("etc/pillion.yaml").display().to_string();
    assert_says(&actions(&metadata, &["rename", "own", "ours", "--config", &file]), 0, &[]);
    assert_eq!(text(&metadata, "etc/pillion.yaml"), config.replace("  own:", "  ours:").replace("\"own(", "\"ours("));
    assert_eq!(text(&metadata, "actions.yaml"), YAML.replace("name: own", "name: ours"));
    assert_eq!(text(&metadata, "actions.graphql"), GRAPHQL.replace("  own(", "  ours("));
    let removed = actions(&metadata, &["remove", "ours", "--config", &file]);
    assert_says(&removed, 1, &["Product.own", "nothing is written"]);
    // Without that file the settings are not looked at.
    assert_says(&actions(&metadata, &["rename", "ours", "own"]), 0, &[]);
    assert_eq!(text(&metadata, "actions.yaml"), YAML);
    fs::remove_dir_all(metadata).expect("the folder");
}

fn a_dry_run_writes_nothing(_: &Engines) {
    let metadata = folder("actions-dry", &[("actions.yaml", YAML), ("actions.graphql", GRAPHQL)]);
    for command in [
        &["create", "new", "query new: Int", "--handler", "http://h/", "--dry-run"][..],
        &["rename", "own", "ours", "--dry-run"],
        &["remove", "own", "--dry-run"],
        &["permit", "own", "clerk", "--dry-run"],
        &["forbid", "own", "user", "--dry-run"],
    ] {
        let output = actions(&metadata, command);
        assert_says(&output, 0, &["+++ ", "(dry run: nothing is written)"]);
        assert_eq!(text(&metadata, "actions.yaml"), YAML);
        assert_eq!(text(&metadata, "actions.graphql"), GRAPHQL);
    }
    assert_says(&actions(&metadata, &["permit", "own", "user"]), 0, &["nothing changes"]);
    fs::remove_dir_all(metadata).expect("the folder");
}

fn edits_that_are_rejected(_: &Engines) {
    let metadata = folder("actions-rejected", &[("actions.yaml", YAML), ("actions.graphql", GRAPHQL)]);
    let create = |signature: &'static str, more: &[&'static str]| {
        actions(&metadata, &[&["create", "new", signature, "--handler", "http://h/"], more].concat())
    };
    assert_says(&create("query new: In", &["--type", "input In { a: Int }"]), 1, &["\"In\"", "nothing is written"]);
    assert_says(&create("query new: Noting", &["--dry-run"]), 0, &["warning: the type \"Noting\" is not defined here"]);
    assert_says(&create("query other: Int", &[]), 1, &["give both the same name"]);
    assert_says(&create("query new Int", &[]), 1, &["signature:1:"]);
    assert_says(&create("query new: Int", &["--handler", "x"]), 2, &["cannot be used multiple times"]);
    assert_says(&create("query new: Int", &["--header", "s3cr3t"]), 1, &["this is not a header"]);
    assert_says(&create("query new: Int", &["--timeout", "0"]), 2, &["--timeout"]);
    let relative = ["create", "new", "query new: Int", "--handler", "/new"];
    assert_says(&actions(&metadata, &relative), 1, &["/new", "nothing is written"]);
    assert_says(&actions(&metadata, &["forbid", "own", "usr"]), 1, &["Did you mean \"user\"?"]);
    assert_says(&actions(&metadata.join("nowhere"), &["permit", "own", "a"]), 1, &["does not exist"]);
    // A file where the folder for new files would be: root may write into any folder.
    fs::write(metadata.join(".pillion-writing"), "").expect("a file");
    assert_says(&actions(&metadata, &["permit", "own", "clerk"]), 1, &["cannot be written: "]);
    fs::remove_file(metadata.join(".pillion-writing")).expect("a file");
    assert_eq!(
        (text(&metadata, "actions.yaml"), text(&metadata, "actions.graphql")),
        (YAML.to_owned(), GRAPHQL.to_owned())
    );
    fs::write(metadata.join("actions.yaml"), "actions:\n  - name: own\n   x: y\n").expect("a file");
    assert_says(&actions(&metadata, &["permit", "own", "clerk"]), 1, &["actions.yaml:3:4: error: this is not YAML"]);
    fs::remove_dir_all(metadata).expect("the folder");
}

fn edits_beside_errors_that_are_there(_: &Engines) {
    let graphql = format!("{GRAPHQL}\ntype Mutation {{ broken: Missing_ }}\n");
    let yaml = YAML.replace("actions:\n", "actions:\n  - name: broken\n    definition: {handler: nowhere}\n");
    let config = "limits:\n  request_timeot: 1s\n";
    let files = [("actions.yaml", yaml.as_str()), ("actions.graphql", graphql.as_str()), ("pillion.yaml", config)];
    let metadata = folder("actions-broken", &files);
    assert_says(&actions(&metadata, &["permit", "own", "clerk"]), 0, &["+      - role: clerk"]);
    // Settings with errors do not hide those that the edit brings.
    let file = metadata.join("pillion.yaml").display().to_string();
    let create = [
        "create",
        "new",
        "query new: Out",
        "--type",
        "type Out { a: Out2 }",
        "--handler",
        "nowhere2",
        "--config",
        &file,
    ];
    assert_says(&actions(&metadata, &create), 1, &["nowhere2", "nothing is written"]);
    assert_says(&actions(&metadata, &["forbid", "own", "clerk", "--config", &file]), 0, &["-      - role: clerk"]);
    assert_eq!(text(&metadata, "actions.yaml"), yaml);
    fs::remove_dir_all(metadata).expect("the folder");
}

fn the_metadata_api_keeps_comments(engines: &Engines) {
    let metadata = folder("actions-api", &[("actions.yaml", YAML), ("actions.graphql", GRAPHQL)]);
    let mut setup = Setup::before(engines.postgraphile)
        .env("OTHER", "x")
        .env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret")
        .flag("--metadata-api=folder");
    setup.metadata = Some(metadata.clone());
    let pillion = setup.start().wait_until_ready();
    let run = |command: Value| {
        let headers = [("content-type", "application/json"), ("x-hasura-admin-secret", "s3cret")];
        let response = pillion.client().request("POST", "/v1/metadata", &headers, command.to_string().as_bytes());
        assert_eq!(response.status(), 200, "{}", response.text());
    };
    run(json!({ "type": "create_action_permission", "args": { "action": "own", "role": "clerk" } }));
    let permitted = YAML.replace("      - role: user\n", "      - role: user\n      - role: clerk\n");
    assert_eq!((text(&metadata, "actions.yaml"), text(&metadata, "actions.graphql")), (permitted, GRAPHQL.to_owned()));
    run(
        json!({ "type": "create_action", "args": { "name": "new", "definition": { "kind": "synchronous", "type": "mutation", "handler": "http://h/", "arguments": [{ "name": "a", "type": "Int!" }], "output_type": "DateTime" } } }),
    );
    let created = text(&metadata, "actions.graphql");
    assert_eq!(created, format!("{GRAPHQL}\ntype Mutation {{\n  new(\n    a: Int!\n  ): DateTime\n}}\n"));
    run(json!({ "type": "drop_action_permission", "args": { "action": "own", "role": "clerk" } }));
    run(json!({ "type": "drop_action", "args": { "name": "new" } }));
    assert_eq!(
        (text(&metadata, "actions.yaml"), text(&metadata, "actions.graphql")),
        (YAML.to_owned(), GRAPHQL.to_owned())
    );
    drop(pillion);
    fs::remove_dir_all(metadata).expect("the folder");
}
