//! `pillion import openapi`: descriptions become actions, which call a real server that implements them; and what keeps an
//! import from writing anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pillion_test_support::engines::{Engines, node};
use pillion_test_support::pillion::Setup;
use pillion_test_support::process::Process;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{fixtures, free_port, trials, wait_until};
use serde_json::json;

use super::startup::folder;

pub const TESTS: &[super::Test] = trials![
    a_pet_shop,
    room_bookings_in_yaml_3_1,
    invoicing_in_json_3_0,
    files_keep_their_comments,
    a_dry_run_prints_a_diff,
    names_that_are_taken,
    documents_that_are_rejected,
    an_invalid_outcome_is_not_written,
    documents_from_urls,
    large_and_hostile_documents,
];

fn description(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openapi").join(name)
}

/// Runs the import with nothing in its environment.
fn import(file: &str, metadata: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.args(["import", "openapi", file, "--metadata"]).arg(metadata).args(more);
    command.env_clear().stdin(Stdio::null()).output().expect("pillion runs")
}

fn assert_says(output: &Output, status: i32, words: &[&str]) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} is not in:\n{said}");
    }
}

fn listing(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Imports a description into an empty folder, and sends the documents of `calls.yaml` to the actions.
fn round_trip(
    engines: &Engines,
    (file, calls): (&str, &str),
    options: &[&str],
    words: &[&str],
    secrets: &[(&str, &str)],
) {
    let metadata = folder(&format!("import-{calls}"), &[("version.yaml", "version: 3\n")]);
    let options = [&["--role", "user", "--base-url", "{{API}}"], options].concat();
    assert_says(&import(&description(file).display().to_string(), &metadata, &options), 0, words);
    let port = free_port();
    let _api = Process(node(&["rest.mjs"], port).spawn().expect("node starts"));
    wait_until("the API listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let mut setup = Setup::before(engines.postgraphile).env("API", &format!("http://127.0.0.1:{port}/{calls}"));
    setup.metadata = Some(metadata.clone());
    let setup = secrets.iter().fold(setup, |setup, (name, value)| setup.env(name, value));
    let pillion = setup.start().wait_until_ready();
    for case in fixtures::read("openapi/calls.yaml")[calls].as_array().expect("a list") {
        let request = json!({ "query": case["send"] }).to_string();
        let headers = [("x-hasura-role", "user"), ("content-type", "application/json")];
        let response = pillion.client().request("POST", "/graphql", &headers, request.as_bytes()).json();
        if case["error"].is_null() {
            assert_eq!(response, case["expect"], "{}", case["send"]);
        } else {
            let error = &response["errors"][0];
            let found = json!({ "message": error["message"], "code": error["extensions"]["code"] });
            assert_eq!(found, case["error"], "{}: {response}", case["send"]);
        }
    }
    drop(pillion);
    fs::remove_dir_all(metadata).expect("the folder");
}

fn a_pet_shop(engines: &Engines) {
    let words = [
        "2 queries and 3 mutations added: ",
        "pets.yaml:46:20: operation 'uploadPhoto' (POST /pets/{petId}/photo) is left out: the body is image/png",
        "field Pet.photo is left out: binary content",
        "set API: the address of the API",
        "set PET_SHOP_KEY: the header X-Api-Key",
    ];
    round_trip(engines, ("pets.yaml", "pets"), &[], &words, &[("PET_SHOP_KEY", "pet-key")]);
}

fn room_bookings_in_yaml_3_1(engines: &Engines) {
    let words = [
        "8 queries and 10 mutations added: ",
        "operation 'getPlan' (GET /rooms/{room-id}/plan) is left out: the response is image/svg+xml, not JSON",
        "operation 'attachFile' (POST /bookings/{id}/attachments) is left out: the body is multipart/form-data",
        "field Booking.subject is left out: alternatives (oneOf, anyOf) without a discriminator",
        "set ROOM_BOOKINGS_TOKEN: \"Bearer …\" with a token",
    ];
    let secrets = [("ROOM_BOOKINGS_TOKEN", "Bearer booking-token")];
    round_trip(engines, ("bookings.yaml", "bookings"), &[], &words, &secrets);
}

fn invoicing_in_json_3_0(engines: &Engines) {
    let words = [
        "8 queries and 12 mutations added: ",
        "operation 'invoices.pdf' (GET /invoices/{invoice_id}/pdf) is left out: the response is application/pdf, not JSON",
        "operation 'invoices.history' (GET /invoices/{invoice_id}/history) is left out: alternatives",
        "header parameter \"X-Dry-Run\" is left out: a header is always sent",
    ];
    let secrets = [("INVOICING_OAUTH", "Bearer i"), ("INVOICING_TENANT", "t1")];
    round_trip(engines, ("invoices.json", "invoices"), &[], &words, &secrets);
}

const GRAPHQL: &str = "# ours\ntype Query { own: Int }\nscalar DateTime\n";
const YAML: &str = "# By hand.\nactions:\n  # the first one\n  - name: own # it is\n    definition: {handler: 'http://h/'}\n\n# What follows.\ncustom_types:\n  scalars: [{name: DateTime}]\n";

/// A small description whose types have names that are easy to take.
const SMALL: &str = "openapi: 3.1.0\nservers: [{url: 'https://api.example'}]\npaths:\n  /a:\n    get:\n      operationId: now\n      responses: {200: {content: {application/json: {schema: {$ref: '#/components/schemas/Now'}}}}}\ncomponents:\n  schemas: {Now: {type: object, properties: {at: {type: string, format: date-time}, by: {type: object}}}}\n";

fn files_keep_their_comments(_: &Engines) {
    let metadata = folder("import-keeps", &[("actions.yaml", YAML), ("actions.graphql", GRAPHQL), ("api.yaml", SMALL)]);
    let file = format!("file://{}", metadata.join("api.yaml").display());
    assert_says(&import(&file, &metadata, &["--role", "user"]), 0, &["1 query and 0 mutations added: "]);
    let yaml = fs::read_to_string(metadata.join("actions.yaml")).expect("a file");
    let (before, after) = YAML.split_once("\n# What follows.").expect("two parts");
    assert!(yaml.starts_with(&format!("{before}  - name: now\n    definition:\n")), "{yaml}");
    assert!(yaml.ends_with(&format!("    permissions:\n      - role: user\n\n# What follows.{after}")), "{yaml}");
    let graphql = fs::read_to_string(metadata.join("actions.graphql")).expect("a file");
    assert!(graphql.starts_with(&format!("{GRAPHQL}\ntype Query {{\n  now: Now\n}}\n")), "{graphql}");
    assert_eq!(graphql.matches("scalar DateTime").count(), 1, "{graphql}");
    assert!(graphql.ends_with("scalar JSON\n"), "{graphql}");
    assert_eq!(listing(&metadata), ["actions.graphql", "actions.yaml", "api.yaml"]);
    fs::remove_dir_all(metadata).expect("the folder");
}

fn a_dry_run_prints_a_diff(_: &Engines) {
    let metadata = folder("import-dry", &[("actions.yaml", YAML), ("api.yaml", SMALL)]);
    let output =
        import(&metadata.join("api.yaml").display().to_string(), &metadata, &["--dry-run", "--base-url", "{{API}}"]);
    // The signature of `own` is missing, which is an error that the folder has had before.
    assert_says(&output, 1, &["action own is not present in actions.graphql", "error: nothing is written"]);
    fs::write(metadata.join("actions.graphql"), "type Query { own: Int }").expect("a file");
    let output =
        import(&metadata.join("api.yaml").display().to_string(), &metadata, &["--dry-run", "--base-url", "{{API}}"]);
    assert_says(&output, 0, &["1 query and 0 mutations would be added: ", "set API: the address of the API"]);
    let diff = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in [
        "+++ ",
        "   - name: own # it is",
        "+  - name: now",
        "+type Query {",
        "+  now: Now",
        "\\ No newline at end of file",
    ] {
        assert!(diff.lines().any(|found| found.starts_with(line)), "{line:?} is not in:\n{diff}");
    }
    assert!(!diff.contains("set API"), "{diff}");
    assert_eq!(fs::read_to_string(metadata.join("actions.yaml")).expect("a file"), YAML);
    assert_eq!(fs::read_to_string(metadata.join("actions.graphql")).expect("a file"), "type Query { own: Int }");
    fs::remove_dir_all(metadata).expect("the folder");
}

fn names_that_are_taken(_: &Engines) {
    let graphql = "type Query { now: Int }\ntype Now { a: Int }\n";
    let yaml = "actions:\n  - name: now\n    definition: {handler: 'http://h/'}\n";
    let metadata = folder("import-taken", &[("actions.yaml", yaml), ("actions.graphql", graphql), ("api.yaml", SMALL)]);
    let file = metadata.join("api.yaml").display().to_string();
    let words = [
        "api.yaml:6:20: error: the action \"now\" of the document is there already: ",
        "actions.graphql:1:14",
        "api.yaml:9:18: error: the type \"Now\" of the document is there already: ",
        "actions.graphql:2:6",
        "--prefix",
    ];
    assert_says(&import(&file, &metadata, &[]), 1, &words);
    assert_eq!(fs::read_to_string(metadata.join("actions.yaml")).expect("a file"), yaml);
    assert_eq!(fs::read_to_string(metadata.join("actions.graphql")).expect("a file"), graphql);
    assert_says(&import(&file, &metadata, &["--prefix", "api_"]), 0, &["1 query and 0 mutations added: "]);
    // Once more the names are taken by the import itself.
    assert_says(
        &import(&file, &metadata, &["--prefix", "api_"]),
        1,
        &["the action \"api_now\"", "the type \"Api_Now\""],
    );
    fs::remove_dir_all(metadata).expect("the folder");
}

fn documents_that_are_rejected(_: &Engines) {
    let swagger = "swagger: '2.0'\n";
    let nothing =
        "openapi: 3.0.0\nservers: [{url: 'https://a.example'}]\npaths: {/a: {head: {operationId: a, responses: {}}}}\n";
    let metadata =
        folder("import-rejects", &[("swagger.yaml", swagger), ("nothing.yaml", nothing), ("api.yaml", SMALL)]);
    let file = |name: &str| metadata.join(name).display().to_string();
    assert_says(&import(&file("nowhere.yaml"), &metadata, &[]), 1, &["nowhere.yaml: the file cannot be read"]);
    assert_says(&import(&file("swagger.yaml"), &metadata, &[]), 1, &["swagger.yaml:1:10: error: this is Swagger 2.0"]);
    let words = ["operation 'a' (HEAD /a) is left out", "error: no operation could be imported"];
    assert_says(&import(&file("nothing.yaml"), &metadata, &[]), 1, &words);
    let words = ["--operation: there is no operation \"know\". Did you mean \"now\"?"];
    assert_says(&import(&file("api.yaml"), &metadata, &["--operation", "know"]), 1, &words);
    assert_says(&import(&file("api.yaml"), &metadata.join("none"), &[]), 1, &["does not exist"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    let output = command.args(["import", "openapi", &file("api.yaml")]).env_clear().output().expect("pillion runs");
    assert_says(&output, 1, &["no metadata folder is given: --metadata FOLDER"]);
    // An item that does not begin behind its dash.
    fs::write(metadata.join("actions.yaml"), "actions:\n  -\n    name: own\n    definition: {handler: 'http://h/'}\n")
        .expect("a file");
    fs::write(metadata.join("actions.graphql"), "type Query { own: Int }\n").expect("a file");
    let words = ["actions.yaml:1:1: error: this file cannot be edited without rewriting it", "block style"];
    assert_says(&import(&file("api.yaml"), &metadata, &[]), 1, &words);
    assert_eq!(listing(&metadata), ["actions.graphql", "actions.yaml", "api.yaml", "nothing.yaml", "swagger.yaml"]);
    fs::remove_dir_all(metadata).expect("the folder");
}

fn an_invalid_outcome_is_not_written(_: &Engines) {
    let metadata = folder("import-invalid", &[("api.yaml", SMALL)]);
    let file = metadata.join("api.yaml").display().to_string();
    let config = metadata.join("pillion.yaml");
    fs::write(&config, "handlers: { allowed_hosts: [other.example] }\n").expect("a file");
    let config = config.display().to_string();
    let words = ["the handler of action 'now' is at a host that is not allowed", "error: nothing is written"];
    assert_says(&import(&file, &metadata, &["--config", &config]), 1, &words);
    assert_eq!(listing(&metadata), ["api.yaml", "pillion.yaml"]);
    fs::remove_dir_all(metadata).expect("the folder");
}

fn documents_from_urls(_: &Engines) {
    let server = Scripted::start();
    server.on_path("/api.yaml", Reply::status(200, SMALL));
    let metadata = folder("import-urls", &[("version.yaml", "version: 3\n")]);
    let url = |path: &str| format!("http://user:c4nary@127.0.0.1:{}{path}?key=c4nary", server.port);
    let output = import(&url("/api.yaml"), &metadata, &[]);
    assert_says(&output, 0, &["1 query and 0 mutations added: "]);
    let output = import(&url("/none.yaml"), &metadata, &[]);
    assert_says(&output, 1, &["/none.yaml: the server responded with status 404"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("c4nary"));
    fs::remove_dir_all(metadata).expect("the folder");
}

/// Ten megabytes, deep nesting, references in rings, aliases that multiply: an error or an import, and never a crash.
fn large_and_hostile_documents(_: &Engines) {
    let head = "\"openapi\": \"3.0.0\", \"servers\": [{\"url\": \"https://a.example\"}]";
    let ok = "{\"responses\": {\"200\": {\"content\": {\"application/json\": {\"schema\": {\"$ref\": \"#/components/schemas/S0\"}}}}}}";
    let schema = |index: usize| {
        let next = format!("{{\"$ref\": \"#/components/schemas/S{}\"}}", index + 1);
        let padding = "x".repeat(5_000);
        format!(
            "\"S{index}\": {{\"type\": \"object\", \"description\": \"{padding}\", \"required\": [\"next\"], \"properties\": {{\"next\": {next}}}}}"
        )
    };
    let schemas: Vec<String> = (0..2_000).map(schema).collect();
    let last = "\"S2000\": {\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}}}";
    let chain = format!(
        "{{{head}, \"paths\": {{\"/a\": {{\"get\": {ok}}}}}, \"components\": {{\"schemas\": {{{}, {last}}}}}}}",
        schemas.join(",")
    );
    assert!(chain.len() > 10_000_000, "{}", chain.len());
    let laughs: String = (1..10)
        .map(|index| format!("a{index}: &a{index} [{}]\n", vec![format!("*a{}", index - 1); 10].join(",")))
        .collect();
    let metadata = folder(
        "import-hostile",
        &[
            ("chain.json", &chain),
            ("deep.json", &"[".repeat(1_000_000)),
            ("deep.yaml", &"- ".repeat(1_000_000)),
            ("laughs.yaml", &format!("a0: &a0 [x]\n{laughs}openapi: 3.0.0\n")),
            ("large.json", &" ".repeat(17 * 1024 * 1024)),
        ],
    );
    let file = |name: &str| metadata.join(name).display().to_string();
    for (name, word) in [
        ("deep.json", "this is not JSON: Maximum nesting depth exceeded"),
        ("deep.yaml", "this is nested too deeply"),
        ("laughs.yaml", "this is not YAML: alias expansion exceeded"),
        ("large.json", "the file is larger than 16 MiB"),
    ] {
        assert_says(&import(&file(name), &metadata, &[]), 1, &[word]);
    }
    assert_says(&import(&file("chain.json"), &metadata, &[]), 0, &["1 query and 0 mutations added: "]);
    fs::remove_dir_all(metadata).expect("the folder");
}
