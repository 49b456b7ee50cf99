//! `pillion codegen`: the projects of all frameworks are built, pass their own tests, and handle actions behind Pillion; and
//! which files a run of the command writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pillion_test_support::engines::{Engines, RealHandlers};
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::process::Process;
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{fixtures, free_port, trials, wait_for_port, wait_until};
use serde_json::{Value, json};

use super::harness::fixture;
use super::startup::folder;

pub const TESTS: &[super::Test] = trials![
    express_handles_actions,
    nest_handles_actions,
    flask_handles_actions,
    fastapi_handles_actions,
    go_handles_actions,
    axum_handles_actions,
    handlers_of_the_seeds,
    types_alone_are_valid,
    files_of_the_author_stay,
    new_actions_get_their_handlers,
    projects_that_cannot_be_generated,
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn hostile() -> PathBuf {
    root().join("tests/fixtures/codegen/hostile")
}

/// A signing secret, and the value of a header.
const SIGNING_SECRET: &str = "whsec_dGVzdC1zZWNyZXQtdGVzdC1zZWNyZXQtdGVzdC1zZWNyZXQt";
const SECRETS: [(&str, &str); 2] = [("CLASS_SECRET", "between us"), ("FUNC_SECRETS", SIGNING_SECRET)];

fn codegen(metadata: &Path, config: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.arg("codegen").args(more).arg("--metadata").arg(metadata);
    let file = temp_folder().join(format!("codegen-{}.yaml", free_port()));
    fs::write(&file, if config.is_empty() { "{}" } else { config }).expect("a file");
    let output = command.arg("--config").arg(&file).env_clear().stdin(Stdio::null()).output().expect("pillion runs");
    fs::remove_file(file).expect("the file");
    output
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

/// A generated project in a folder of its own.
struct Project {
    framework: &'static str,
    folder: PathBuf,
}

impl Project {
    fn generate(framework: &'static str, name: &str, metadata: &Path, config: &str, actions: &[&str]) -> Self {
        let folder = folder(&format!("codegen-{framework}-{name}"), &[]);
        let output = folder.display().to_string();
        let options = [&["--framework", framework, "--output", output.as_str()], actions].concat();
        assert_says(&codegen(metadata, config, &options), 0, &["files written"]);
        Self { framework, folder }
    }

    fn run(&self, command: &mut Command) {
        let output = command.current_dir(&self.folder).output().expect("a program; `make setup` installs it");
        assert!(output.status.success(), "{} in {}:\n{}", self.framework, self.folder.display(), said(&output));
    }

    fn node(&self) -> Command {
        let mut command = Command::new(root().join("tests/engines/node.sh"));
        command.current_dir(&self.folder);
        command
    }

    fn python(&self) -> Command {
        let mut command = Command::new(root().join("tests/engines/.venv/bin/python"));
        command.current_dir(&self.folder).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn go(&self) -> Command {
        let mut command = Command::new("go");
        command.env("GOCACHE", root().join("target/codegen-go")).env("GOFLAGS", "-mod=mod").env("GOPROXY", "off");
        command
    }

    fn cargo(&self) -> Command {
        let mut command = Command::new("cargo");
        command.env("CARGO_TARGET_DIR", root().join("target/codegen-axum"));
        command
    }

    /// Compiles it and runs its own tests.
    fn build(&self) {
        match self.framework {
            "express" | "nest" => {
                let modules = self.folder.join("node_modules");
                std::os::unix::fs::symlink(root().join("tests/engines/node_modules"), modules).expect("a link");
                self.run(self.node().arg("node_modules/typescript/bin/tsc"));
                self.run(self.node().arg("--test").args(files(&self.folder.join("dist/handlers"), ".test.js")));
            }
            "flask" | "fastapi" => self.run(self.python().args(["-m", "unittest", "discover", "tests"])),
            "go" => {
                let unformatted = self.go_fmt();
                assert!(unformatted.is_empty(), "{unformatted}");
                self.run(self.go().args(["vet", "."]));
                self.run(self.go().args(["test", "."]));
                self.run(self.go().args(["build", "-o", "handlers", "."]));
            }
            "axum" => {
                let lock = root().join("tests/fixtures/codegen/axum.lock");
                fs::copy(lock, self.folder.join("Cargo.lock")).expect("a copy");
                self.run(self.cargo().env("RUSTFLAGS", "-D warnings").args(["test", "--quiet", "--locked"]));
                self.run(self.cargo().env("RUSTFLAGS", "-D warnings").args(["build", "--quiet", "--locked"]));
                let built = root().join("target/codegen-axum/debug/action-handlers");
                fs::copy(built, self.folder.join("handlers")).expect("a copy");
            }
            other => panic!("nobody has said how to build {other}"),
        }
    }

    /// The differences that gofmt would make in what is not its author's.
    fn go_fmt(&self) -> String {
        let generated = fs::read_dir(&self.folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let generated = generated.filter(|name| name.to_string_lossy().starts_with("pillion_"));
        said(&Command::new("gofmt").arg("-d").args(generated).current_dir(&self.folder).output().expect("gofmt"))
    }

    fn start(&self, environment: &[(&str, &str)]) -> (u16, Process) {
        let port = free_port();
        let mut command = match self.framework {
            "express" | "nest" => self.node(),
            "flask" | "fastapi" => self.python(),
            _ => Command::new(self.folder.join("handlers")),
        };
        match self.framework {
            "express" | "nest" => drop(command.arg("dist/main.js")),
            "flask" | "fastapi" => drop(command.arg("main.py")),
            _ => {}
        }
        command.env("PORT", port.to_string()).envs(environment.iter().copied());
        let process = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
        wait_for_port(port);
        (port, process)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.folder).expect("the folder");
        }
    }
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

fn ask(pillion: &Pillion, document: &str) -> Value {
    pillion.client().post(&json!({ "query": document }).to_string()).json()
}

/// Before the handlers on `port`, with these secrets.
fn before(engines: &Engines, port: u16, secrets: &[(&str, &str)]) -> Pillion {
    let address = format!("127.0.0.1:{port}");
    let mut setup = Setup::before(engines.postgraphile).env("HANDLERS", &format!("http://{address}/base"));
    setup.metadata = Some(hostile());
    let setup = setup.config(&config()).env("HOST", &address).env("KEY", "k").env("STAGE", "test");
    let setup = secrets.iter().fold(setup, |setup, (name, value)| setup.env(name, value));
    setup.start().wait_until_ready()
}

fn config() -> String {
    fs::read_to_string(hostile().join("pillion.yaml")).expect("a fixture")
}

/// Names and texts that would break code, a secret, a signature, a batch, an asynchronous action.
fn handles_actions(framework: &'static str, engines: &Engines) {
    let project = Project::generate(framework, "hostile", &hostile(), &config(), &[]);
    project.build();
    let (port, _handlers) = project.start(&SECRETS);
    let pillion = before(engines, port, &SECRETS);
    let document = "{ a: class(import: \"x\", self: class, Self: 7) { type class from { class } match } b: class(self: CLASS) { type } \
                    Class _ list { go } old { then } any(given: {number: 1}) { some } tree { value others { value } left { value } } }";
    let this = json!({ "type": "class", "class": "text", "from": null, "match": {} });
    let wanted = json!({ "data": {
        "a": this, "b": { "type": "class" }, "Class": "text", "_": true, "list": [], "old": { "then": "text" },
        "any": { "some": 1 }, "tree": { "value": "text", "others": [], "left": null },
    } });
    assert_eq!(ask(&pillion, document), wanted);
    let document = "mutation { func { go return interface } delete(input: {import: \"2026-01-01T00:00:00Z\", from: {import: \"\"}}) }";
    let mut result = ask(&pillion, document);
    let id = result["data"]["delete"].take();
    assert_eq!(
        result,
        json!({ "data": { "func": { "go": 1.5, "return": "text", "interface": "class" }, "delete": null } })
    );
    let query = format!("{{ delete(id: {id}) {{ output errors }} }}");
    wait_until("the job", || !ask(&pillion, &query)["data"]["delete"]["output"].is_null());
    let failed = ask(&pillion, "{ endless { __typename } }");
    assert_eq!(failed["errors"][0]["message"], "not implemented", "{failed}");
    drop(pillion);
    let other_secrets =
        [("CLASS_SECRET", "another"), ("FUNC_SECRETS", "whsec_YW5vdGhlci1hbm90aGVyLWFub3RoZXItYW5vdGhlci0=")];
    let pillion = before(engines, port, &other_secrets);
    for document in ["{ class(self: nil) { type } }", "mutation { func { go } }"] {
        let rejected = ask(&pillion, document);
        let error = &rejected["errors"][0];
        assert_eq!(error["extensions"]["internal"]["response"]["status"], 403, "{rejected}");
        assert!(!error["message"].to_string().contains("forbidden"), "{rejected}");
    }
}

fn express_handles_actions(engines: &Engines) {
    handles_actions("express", engines);
}

fn nest_handles_actions(engines: &Engines) {
    handles_actions("nest", engines);
}

fn flask_handles_actions(engines: &Engines) {
    handles_actions("flask", engines);
}

fn fastapi_handles_actions(engines: &Engines) {
    handles_actions("fastapi", engines);
}

fn go_handles_actions(engines: &Engines) {
    handles_actions("go", engines);
}

fn axum_handles_actions(engines: &Engines) {
    handles_actions("axum", engines);
}

/// What an author writes into the generated projects.
fn with_handlers(framework: &'static str, actions: &[&str], config: &str, ending: &str) -> Project {
    let metadata = root().join("tests/fixtures/metadata/handlers");
    let project = Project::generate(framework, "seeds", &metadata, config, actions);
    let into = project.folder.join(if framework == "flask" { "handlers" } else { "src/handlers" });
    for file in files(&root().join("tests/engines/handlers/generated").join(framework), ending) {
        let target = into.join(file.file_name().expect("a name"));
        assert!(target.is_file(), "{} is not generated", target.display());
        fs::copy(&file, target).expect("a copy");
    }
    project
}

/// The cases of `tests/fixtures/http/23-real-handlers.yaml` with generated handlers: Express and Flask, then `NestJS`.
fn handlers_of_the_seeds(engines: &Engines) {
    let mut family =
        fixtures::families("http").into_iter().find(|family| family.name == "23-real-handlers").expect("it");
    let config = family.file["config"].as_str().expect("settings").to_owned();
    // A middleware of their own rejects an action that is not configured with its secret; generated code has no secret then.
    family.file["cases"]
        .as_array_mut()
        .expect("a list")
        .retain(|case| !case["query"].to_string().contains("unsecured"));
    let environment =
        [("ACTION_SECRET_ENV", "between-us"), ("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret"), ("API_KEY", "key-1")];
    let identity = RealHandlers::start(&environment);
    let api = format!("http://127.0.0.1:{}", identity.express);
    let environment = [&environment[..], &[("IDENTITY_API", api.as_str())]].concat();
    let actions =
        ["auth0", "sentHeaders", "UserLogin", "registerUser", "bulkCreateUsers", "uploadAndProcessFile", "syncWithCrm"];
    let express = with_handlers("express", &actions, &config, ".ts");
    let flask = with_handlers("flask", &["processPayment"], &config, ".py");
    let nest = with_handlers("nest", &["registerUser"], &config, ".ts");
    for project in [&express, &nest] {
        // Their authors' tests would follow what they have written.
        for test in files(&project.folder.join("src/handlers"), ".test.ts") {
            fs::write(test, "import { test } from \"node:test\";\ntest(\"nothing\", () => {});\n").expect("a file");
        }
        project.build();
    }
    let ((express_port, first), (flask_port, second)) = (express.start(&environment), flask.start(&environment));
    let handlers = RealHandlers::of(express_port, flask_port, vec![first, second]);
    fixture::run_with(&family, engines, Some(handlers)).unwrap_or_else(|failures| panic!("{failures}"));
    let (port, process) = nest.start(&environment);
    let handlers = RealHandlers::of(port, port, vec![process]);
    family.file["cases"]
        .as_array_mut()
        .expect("a list")
        .retain(|case| case["query"].to_string().contains("registerUser"));
    fixture::run_with(&family, engines, Some(handlers)).unwrap_or_else(|failures| panic!("{failures}"));
}

fn types_alone_are_valid(_: &Engines) {
    for framework in ["typescript-types", "python-types", "go-types", "rust-types"] {
        let project = Project::generate(framework, "types", &hostile(), &config(), &["class", "tree"]);
        match framework {
            "typescript-types" => {
                let tsc = root().join("tests/engines/node_modules/typescript/bin/tsc");
                project.run(project.node().arg(tsc).args(["--noEmit", "--strict", "types.ts"]));
            }
            // `types` is a module of Python's own, so it is read as a file.
            "python-types" => project.run(project.python().args(["-I", "types.py"])),
            "go-types" => project.run(Command::new("gofmt").args(["-l", "types.go"])),
            _ => project.run(Command::new("rustfmt").args(["--edition", "2024", "--emit", "stdout", "types.rs"])),
        }
    }
}

fn files_of_the_author_stay(_: &Engines) {
    let metadata = folder("codegen-author-metadata", &[("actions.yaml", ""), ("actions.graphql", "")]);
    let write = |graphql: &str, names: &[&str]| {
        let items =
            names.iter().map(|name| format!("  - {{ name: {name}, definition: {{ handler: 'http://h/{name}' }} }}\n"));
        fs::write(metadata.join("actions.yaml"), format!("actions:\n{}", items.collect::<String>())).expect("a file");
        fs::write(metadata.join("actions.graphql"), graphql).expect("a file");
    };
    write("type Query { a: Int! }", &["a"]);
    let project = Project::generate("flask", "author", &metadata, "", &[]);
    let output = project.folder.display().to_string();
    let options = ["--framework", "flask", "--output", output.as_str()];
    let check = [&options[..], &["--check"]].concat();
    let handler = project.folder.join("handlers/a.py");
    fs::write(&handler, "# mine").expect("a file");
    assert_says(&codegen(&metadata, "", &check), 0, &["all files are current"]);

    write("type Query { a: Int! b(text: String!): Int! }", &["a", "b"]);
    let stale = codegen(&metadata, "", &check);
    assert_says(&stale, 1, &["handlers/b.py: missing", "pillion_actions/types.py: outdated", "are not current"]);
    assert!(!project.folder.join("handlers/b.py").exists());
    let json = codegen(&metadata, "", &[&check[..], &["--format", "json"]].concat());
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["current"], false);

    assert_says(
        &codegen(&metadata, "", &options),
        0,
        &["handlers/a.py: kept, as it is yours", "handlers/b.py: created"],
    );
    assert_eq!(fs::read_to_string(&handler).expect("a file"), "# mine");
    assert_says(&codegen(&metadata, "", &check), 0, &[]);
    fs::remove_dir_all(metadata).expect("the folder");
}

/// `pillion actions create` and `derive` with `--codegen`.
fn new_actions_get_their_handlers(engines: &Engines) {
    let metadata = folder("codegen-create", &[("version.yaml", "version: 3\n")]);
    let output = metadata.join("handlers");
    let create = |name: &str, signature: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        command
            .args(["actions", "create", name, signature, "--handler", "{{HANDLERS}}/x", "--role", "user"])
            .args(more);
        command.args(["--codegen", "flask", "--codegen-output"]).arg(&output).arg("--metadata").arg(&metadata);
        command.env_clear().stdin(Stdio::null()).output().expect("pillion runs")
    };
    assert_says(&create("a", "query a(to: String!): Float!", &["--dry-run"]), 0, &["nothing is written"]);
    assert!(!output.exists());
    assert_says(&create("a", "query a(to: String!): Float!", &[]), 0, &["handlers/a.py generated"]);
    fs::write(output.join("handlers/a.py"), "def a(input, call):\n    return len(input[\"to\"])\n").expect("a file");
    assert_says(
        &create("b", "mutation b: Boolean!", &[]),
        0,
        &["handlers/b.py generated", "pillion_actions/types.py generated"],
    );
    let project = Project { framework: "flask", folder: output.clone() };
    let (port, _handlers) = project.start(&[]);
    let mut setup = Setup::before(engines.postgraphile).env("HANDLERS", &format!("http://127.0.0.1:{port}"));
    setup.metadata = Some(metadata.clone());
    let pillion = setup.start().wait_until_ready();
    assert_eq!(ask(&pillion, "{ a(to: \"abc\") }"), json!({ "data": { "a": 3 } }));
    assert_eq!(ask(&pillion, "mutation { b }"), json!({ "data": { "b": true } }));
    drop((pillion, project));
    fs::remove_dir_all(metadata).expect("the folder");
}

fn projects_that_cannot_be_generated(_: &Engines) {
    let taken = folder("codegen-taken", &[("file", "")]);
    let output = taken.join("file/below").display().to_string();
    let found = codegen(&hostile(), &config(), &["--framework", "go", "--output", &output]);
    assert_says(&found, 1, &["error: ", "file/below", "Not a directory"]);
    let found = codegen(&hostile(), &config(), &["--framework", "go", "--check", "--output", &output, "nothing"]);
    assert_says(&found, 2, &["error: there is no action 'nothing'; there are class, "]);
    let found = codegen(&hostile(), "actions: { nothing: {} }", &["--framework", "go", "--output", &output]);
    assert_says(&found, 1, &["nothing"]);
    assert!(said(&codegen(&hostile(), "", &["--framework", "cobol"])).contains("invalid value 'cobol'"));
    let metadata = root().join("tests/fixtures/metadata/handlers");
    let output = taken.join("flask").display().to_string();
    let found = codegen(&metadata, "", &["--framework", "flask", "--output", &output, "auth0"]);
    let warning = "warning: action 'auth0': servers of Flask drop the header 'action_secret'; name it 'action-secret'";
    assert_says(&found, 0, &[warning]);
    fs::remove_dir_all(taken).expect("the folder");
}
