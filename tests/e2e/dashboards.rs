//! What `dashboards/` asks a real Prometheus is there to be asked.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::process::Process;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::websocket::{MODERN, ready, say, start};
use pillion_test_support::{free_port, trials, wait_for_port, yaml};
use serde_json::{Value, json};

/// The tests.
pub const TESTS: &[super::Test] = trials![every_panel_and_rule_has_data, alerts_fire_and_resolve];

fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

fn promtool(arguments: &[&str], input: &str) {
    let mut command = Command::new("promtool");
    command.current_dir(dashboards()).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.stderr(Stdio::piped()).spawn().expect("promtool runs; `make setup` installs it");
    process.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
    let output = process.wait_with_output().expect("its output");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
}

/// Prometheus itself, with our rules, and its data in a folder that goes with it.
struct Prometheus {
    port: u16,
    folder: PathBuf,
    _process: Process,
}

impl Prometheus {
    fn start(target: u16) -> Self {
        let folder = temp_folder().join("prometheus");
        fs::create_dir_all(&folder).expect("a folder");
        let rules = dashboards().join("rules.yaml").display().to_string();
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [rules],
            "scrape_configs": [{ "job_name": "pillion", "static_configs": [{ "targets": [format!("127.0.0.1:{target}")] }] }],
        });
        let (file, port) = (folder.join("prometheus.yml"), free_port());
        fs::write(&file, config.to_string()).expect("a file");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = Process(process.expect("prometheus starts; `make setup` installs it"));
        wait_for_port(port);
        Self { port, folder, _process: process }
    }

    fn ask(&self, path: &str) -> Value {
        Client::connect(self.port).request("GET", path, &[], b"").json()
    }

    /// How many series have a value that is a number, or what is wrong with the expression. What was never observed has a
    /// quantile, too: it is not a number.
    fn count(&self, expression: &str) -> Result<usize, String> {
        let query: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let answer = self.ask(&format!("/api/v1/query?query={query}"));
        if answer["status"] != "success" {
            return Err(format!("{expression}: {answer}"));
        }
        let is_number = |series: &&Value| series["value"][1].as_str().is_some_and(|value| value != "NaN");
        Ok(answer["data"]["result"].as_array().into_iter().flatten().filter(is_number).count())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const GRAPHQL: &str = "type Query { good: Int  bad: Int  limited: Int  slow: Int  score(id: Int!): Int  own(id: Int!): Int }\ntype Mutation { later: Int  never: Int }\n";

const CONFIG: &str = "dialect: standard
fields: { Product.score: 'score(id: $id)' }
redis: { url: 'redis://127.0.0.1:1' }
jobs: { initial_backoff: 500ms }
handlers: { circuit_breaker: { enabled: true, reset_timeout: 1s }, max_retries: 1 }
actions:
  limited: { rate_limit: [1 per 1h] }
  good: { cache: { ttl: 1s } }
  own: { before: 'query ($id: Int!) { row: productById(id: $id) { name } }', require: [row] }
  slow: { max_concurrent_calls: 1, max_queued_calls: 0 }
  later: { max_attempts: 3 }
  never: { max_concurrency: 1 }
";

/// One in which everything happens that can be counted.
fn busy(engines: &Engines, handlers: &Scripted, folder: &Path) -> Pillion {
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("actions.graphql"), GRAPHQL).expect("a file");
    let action = |name: &str, kind: &str| {
        let handler = format!("http://127.0.0.1:{}/{name}", handlers.port);
        format!("  - name: {name}\n    definition: {{kind: {kind}, handler: '{handler}'}}\n")
    };
    let sync = ["good", "bad", "limited", "slow", "score", "own"].map(|name| action(name, "synchronous")).concat();
    let later = ["later", "never"].map(|name| action(name, "asynchronous")).concat();
    fs::write(folder.join("actions.yaml"), format!("actions:\n{sync}{later}")).expect("a file");
    for (path, reply) in [
        ("/good", Reply::json("1")),
        ("/score", Reply::json("1")),
        ("/bad", Reply::status(503, "{}")),
        ("/limited", Reply::json("1")),
        ("/slow", Reply::Late(Duration::from_millis(300), Box::new(Reply::json("1")))),
        ("/later", Reply::status(503, "{}")),
        ("/never", Reply::Hang),
    ] {
        handlers.on_path(path, reply);
    }
    let mut setup = Setup::before(engines.postgraphile).config(CONFIG);
    setup.metadata = Some(folder.to_path_buf());
    let keys = format!(r#"{{"jwk_url":"http://127.0.0.1:{}/keys"}}"#, handlers.port);
    let setup = setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").env("HASURA_GRAPHQL_JWT_SECRET", &keys);
    setup.start().wait_until_ready()
}

fn ask(pillion: &Pillion, query: &str) {
    let headers = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", "s3cret")];
    let body = json!({ "query": query }).to_string();
    pillion.client().request("POST", "/graphql", &headers, body.as_bytes());
}

fn load(pillion: &Pillion) {
    for query in [
        "{ good productById(id: 1) { name } }",
        "{ own(id: 987654) }",
        "{ bad }",
        "{ limited }",
        "{ productById(id: 1) { name } }",
        "{ productById(id: 1) { score } }",
        "mutation { later }",
        "mutation { never }",
        "{ __typename good }",
        "{ __type(name: \"Product\") { name } }",
        "{ nothing good }",
    ] {
        ask(pillion, query);
    }
    std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| ask(pillion, "{ slow }"))));
    });
    let twice =
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nX-Hasura-Role: a\r\nX-Hasura-Role: b\r\nContent-Length: 2\r\n\r\n{}";
    let mut client = pillion.client();
    client.send(twice);
    client.read_response();
    Client::admin(pillion.admin).request("POST", "/reload", &[("Content-Length", "0")], b"");
}

/// A reload that is rejected, and one after it that is not.
fn reject_a_configuration(pillion: &Pillion, folder: &Path) {
    let reload = || drop(Client::admin(pillion.admin).request("POST", "/reload", &[("Content-Length", "0")], b""));
    let file = folder.join("actions.yaml");
    let good = fs::read(&file).expect("the file");
    fs::write(&file, "actions: [").expect("the file");
    reload();
    fs::write(&file, good).expect("the file");
    reload();
}

/// Of the counters and histograms that are shown without having counted anything yet, those that the load does not cause.
const NOT_CAUSED: [&str; 8] = [
    "pillion_ambiguous_headers_dropped_total",
    "pillion_log_lines_dropped_total",
    "pillion_memory_rejections_total",
    "pillion_panics_total",
    "pillion_request_header_timeouts_total",
    "pillion_shed_requests_total",
    "pillion_slow_clients_total",
    "pillion_unlisted_documents_total",
];

/// The counters and histograms of which all series are 0.
fn never_counted(metrics: &str) -> Vec<&str> {
    let mut families: Vec<(&str, f64)> = Vec::new();
    for line in metrics.lines() {
        if let Some((name, "counter" | "histogram")) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            families.push((name, 0.0));
        }
        let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else { continue };
        let name = series.split('{').next().unwrap_or_default();
        let name = name.strip_suffix("_count").unwrap_or(name);
        if let Some((_, sum)) = families.iter_mut().find(|(family, _)| *family == name) {
            *sum += value.parse::<f64>().unwrap_or_default();
        }
    }
    let is_ours_and_never = |(name, sum): &(&str, f64)| name.starts_with("pillion_") && *sum == 0.0;
    let mut never: Vec<&str> = families.into_iter().filter(is_ours_and_never).map(|(name, _)| name).collect();
    never.sort_unstable();
    never
}

/// Every expression of a dashboard, as Grafana would ask it.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get("expr") {
                let text = text.replace("$__rate_interval", "10s").replace("$job", ".*");
                found.push(text.replace("$instance", ".*").replace("$action", ".*"));
            }
            members.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

/// The names of metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_:".contains(letter)));
    let is_name =
        |word: &&str| word.starts_with("pillion_") || word.starts_with("process_") || word.contains(":pillion_");
    words.filter(is_name).map(str::to_owned).collect()
}

fn every_panel_and_rule_has_data(engines: &Engines) {
    let handlers = Scripted::start();
    let folder = temp_folder().join("busy");
    let pillion = busy(engines, &handlers, &folder);
    let mut socket = ready(&pillion, MODERN, &[], r#"{"headers":{"X-Hasura-Admin-Secret":"s3cret"}}"#);
    say(&mut socket, &start("1", "subscription { listen(topic: \"x\") { relatedNodeId } }"));
    let prometheus = Prometheus::start(pillion.admin);
    let dashboard: Value =
        serde_json::from_slice(&fs::read(dashboards().join("pillion.json")).expect("a file")).expect("JSON");
    let mut wanted = Vec::new();
    expressions(&dashboard, &mut wanted);
    assert!(wanted.len() > 40, "{}", wanted.len());
    let rules = fs::read_to_string(dashboards().join("rules.yaml")).expect("a file");
    let rules = yaml::read(&rules).expect("YAML");
    for rule in rules["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array()).flatten() {
        let expression = rule["expr"].as_str().expect("an expression");
        match rule["record"].as_str() {
            Some(name) => wanted.push(name.to_owned()),
            // Nothing may be wrong here, so what it looks at is asked for.
            None => wanted.extend(names(expression)),
        }
    }
    let mut empty = Vec::new();
    for _ in 0..20 {
        load(&pillion);
        reject_a_configuration(&pillion, &folder);
        wanted.retain(|expression| !prometheus.count(expression).is_ok_and(|count| count > 0));
        empty.clone_from(&wanted);
        if empty.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(empty.is_empty(), "nothing to show:\n{}\n{}", empty.join("\n"), pillion.admin("/metrics").1);
    let rules = prometheus.ask("/api/v1/rules");
    let all =
        rules["data"]["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array()).flatten();
    let ill: Vec<_> = all.filter(|rule| rule["health"] != "ok").collect();
    assert!(ill.is_empty(), "{ill:?}");
    let metrics = pillion.admin("/metrics").1;
    promtool(&["check", "metrics"], &metrics);
    assert_eq!(never_counted(&metrics), NOT_CAUSED, "what the load causes is counted, and nothing else");
    drop(pillion);
    let _ = fs::remove_dir_all(folder);
}

fn alerts_fire_and_resolve(_: &Engines) {
    promtool(&["check", "rules", "rules.yaml"], "");
    promtool(&["test", "rules", "alerts.test.yaml"], "");
    let text = |name: &str| fs::read_to_string(dashboards().join(name)).expect("a file");
    let (rules, tests) = (text("rules.yaml"), text("alerts.test.yaml"));
    for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("- name: {name}\n")), "{name} has no case");
    }
}
