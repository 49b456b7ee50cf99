//! `pillion doctor`: the check list before sound and broken surroundings, and that commands have the flags that they use.

use std::path::Path;
use std::process::{Command, Output};

use pillion_test_support::engines::Engines;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::trials;
use serde_json::{Value, json};

use super::startup::folder;

/// The tests.
pub const TESTS: &[super::Test] = trials![
    everything_passes_before_sound_surroundings,
    each_failure_has_its_step_and_what_to_do,
    errors_of_the_configuration_come_first,
    clocks_and_limits_are_compared,
    commands_have_the_flags_that_they_use,
];

/// Runs a command with nothing in its environment but these variables.
fn pillion(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).stdin(std::process::Stdio::null());
    command.output().expect("pillion runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The list as JSON, and the exit status.
fn list(arguments: &[&str], environment: &[(&str, &str)]) -> (Value, Option<i32>) {
    let output = pillion(&[&["doctor", "--format", "json"], arguments].concat(), environment);
    let list = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    (list, output.status.code())
}

fn items<'l>(list: &'l Value, check: &str) -> Vec<&'l Value> {
    list["checks"].as_array().into_iter().flatten().filter(|item| item["check"] == check).collect()
}

/// The only item of a check: its status and what was found.
fn item<'l>(list: &'l Value, check: &str) -> (&'l str, &'l str) {
    match items(list, check).as_slice() {
        [item] => (item["status"].as_str().expect("a status"), item["found"].as_str().expect("a text")),
        others => panic!("{check}: {others:?} of {list:#}"),
    }
}

/// Links lead to a section of the manual.
fn manual_exists(list: &Value) {
    for item in list["checks"].as_array().expect("a list") {
        let (file, anchor) = item["manual"].as_str().and_then(|link| link.split_once('#')).expect("a link");
        let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a page");
        let anchors = page.lines().filter_map(|line| line.strip_prefix("## "));
        let mut anchors = anchors.map(|heading| heading.to_lowercase().replace(' ', "-"));
        assert!(anchors.any(|known| known == anchor), "{file} has no {anchor}");
    }
}

const ACTIONS: &str = "actions:\n  - name: one\n    definition: {kind: asynchronous, handler: '{{HANDLERS}}/one'}\n    permissions: [{role: user}]\n";

fn metadata(name: &str) -> std::path::PathBuf {
    folder(name, &[("actions.graphql", "type Mutation { one: Int }\n"), ("actions.yaml", ACTIONS)])
}

fn everything_passes_before_sound_surroundings(engines: &Engines) {
    let folder = metadata("doctor-fine");
    let (path, store) = (folder.display().to_string(), folder.join("jobs.db").display().to_string());
    let handlers = Scripted::start();
    handlers.on_path("/keys", Reply::json(r#"{"keys":[{"kty":"RSA"}]}"#));
    let upstream = format!("http://127.0.0.1:{}", engines.yoga);
    let address = format!("http://127.0.0.1:{}", handlers.port);
    let environment = [
        ("HANDLERS", address.as_str()),
        ("PILLION_JOBS_STORE", &format!("sqlite://{store}")),
        ("PILLION_LIMITS_MAX_MEMORY_BYTES", "256MiB"),
        ("PILLION_LIMITS_MAX_CONNECTIONS", "10"),
        ("HASURA_GRAPHQL_ADMIN_SECRET", "c4nary"),
        ("HASURA_GRAPHQL_JWT_SECRET", &json!({ "jwk_url": format!("{address}/keys") }).to_string()),
    ];
    let arguments = ["--metadata", path.as_str(), "--upstream", &upstream];
    let (found, status) = list(&arguments, &environment);
    assert_eq!((status, &found["failed"]), (Some(0), &json!(0)), "{found:#}");
    manual_exists(&found);
    assert_eq!(item(&found, "configuration"), ("passed", "no pillion.yaml: 7 settings differ from their defaults"));
    assert_eq!(item(&found, "variables"), ("passed", "all that are named are set"));
    assert_eq!(item(&found, "files"), ("passed", format!("{path}: 1 action").as_str()));
    assert_eq!(item(&found, "upstream"), ("passed", format!("{upstream}: DNS, TCP, HTTP, GraphQL").as_str()));
    assert_eq!(item(&found, "schema"), ("passed", "the actions go with the upstream's schema"));
    let handler = format!("127.0.0.1:{}: DNS, TCP, HTTP", handlers.port);
    assert_eq!(item(&found, "handlers"), ("passed", handler.as_str()));
    assert_eq!(item(&found, "JWKS"), ("passed", format!("{handler}, JWKS").as_str()));
    assert_eq!(item(&found, "clock"), ("passed", "as the upstream's"));
    assert_eq!(item(&found, "file descriptors").0, "passed");
    assert_eq!(item(&found, "memory"), ("passed", "256 MiB, of which requests may use 96 MiB"));
    assert!(item(&found, "job store").1.starts_with(&store), "{found:#}");
    // No action was called, and no store was made.
    assert!(handlers.take_seen().iter().all(|seen| seen.path() != "/one"));
    assert!(!Path::new(&store).exists());
    // For a person: as ASCII in a pipe, also where the terminal could show more.
    let text = pillion(
        &[&["doctor"], arguments.as_slice()].concat(),
        &[environment.as_slice(), &[("LANG", "C.UTF-8")]].concat(),
    );
    assert!(text.status.success() && text.stdout.is_ascii(), "{}", said(&text));
    let text = said(&text);
    assert!(text.contains(&format!("[ok] upstream          {upstream}: DNS, TCP, HTTP, GraphQL\n")), "{text}");
    assert!(text.ends_with(" 0 failed\n") && !text.contains("c4nary"), "{text}");
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn each_failure_has_its_step_and_what_to_do(_: &Engines) {
    let folder = metadata("doctor-dead");
    let path = folder.display().to_string();
    let environment = [
        ("HANDLERS", "http://127.0.0.1:1"),
        ("PILLION_JOBS_STORE", "postgres://user:c4nary@127.0.0.1:1/none"),
        ("PILLION_REDIS_URL", "redis://:c4nary@127.0.0.1:1"),
        ("HASURA_GRAPHQL_ADMIN_SECRET", "c4nary"),
        ("HASURA_GRAPHQL_AUTH_HOOK", "http://127.0.0.1:1/hook?key=c4nary"),
    ];
    let (found, status) = list(&["--metadata", &path, "--upstream", "http://127.0.0.1:1"], &environment);
    assert_eq!((status, &found["failed"]), (Some(1), &json!(5)), "{found:#}");
    assert!(!found.to_string().contains("c4nary"), "{found:#}");
    manual_exists(&found);
    for (check, help) in [
        ("upstream", "start it, correct upstream.url, or let the connection through the firewall"),
        ("handlers", "start it, correct the handler's URL, or let the connection through the firewall"),
        ("Redis", "start it, correct redis.url, or let the connection through the firewall"),
        ("auth hook", "start it, correct auth.hook, or let the connection through the firewall"),
        ("PostgreSQL", "correct the database's URL, its user and its password"),
    ] {
        let (status, text) = item(&found, check);
        assert!(status == "failed" && text.contains("127.0.0.1:1"), "{check}: {text}");
        assert_eq!(items(&found, check)[0]["help"], help);
    }
    // What cannot be compared is no failure.
    assert_eq!(item(&found, "clock"), ("warning", "not compared: the upstream cannot be reached"));
    assert!(items(&found, "schema").is_empty(), "{found:#}");
    let text = said(&pillion(&["doctor", "--metadata", &path, "--upstream", "http://nosuch.invalid"], &environment));
    assert!(text.contains("[x]  upstream          http://nosuch.invalid:80: DNS: nosuch.invalid:80: "), "{text}");
    assert!(text.contains("correct the host in upstream.url, or the DNS of this machine\n"), "{text}");
    assert!(text.contains("see docs/how-to/doctor.md#upstream\n") && text.contains(" 5 failed\n"), "{text}");
    // A page of HTML in the place of a GraphQL response.
    let pages = Scripted::start();
    pages.on_path("/graphql", Reply::status(404, "<html></html>"));
    let (found, _) = list(&["--upstream", &format!("http://127.0.0.1:{}", pages.port)], &[]);
    assert!(items(&found, "upstream")[0]["help"].as_str().is_some_and(|help| help.contains("upstream.graphql_path")));
    let (found, status) = list(&[], &[]);
    assert_eq!((status, item(&found, "upstream").0), (Some(1), "failed"), "{found:#}");
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn errors_of_the_configuration_come_first(_: &Engines) {
    let folder = metadata("doctor-wrong");
    std::fs::write(folder.join("pillion.yaml"), "limts: {}\n").expect("a file");
    let (path, config) = (folder.display().to_string(), folder.join("pillion.yaml").display().to_string());
    let (found, status) = list(&["--metadata", &path, "--config", &config], &[("PILLION_UPSTREAMS", "http://x")]);
    assert_eq!(status, Some(1), "{found:#}");
    let (status, text) = item(&found, "configuration");
    assert!(status == "failed" && text.contains("pillion.yaml:1:1: ") && text.contains("limts"), "{found:#}");
    let variables: Vec<&Value> = items(&found, "variables").iter().map(|item| &item["status"]).collect();
    assert!(variables.contains(&&json!("failed")) && variables.contains(&&json!("warning")), "{found:#}");
    assert_eq!(item(&found, "upstream").0, "warning");
    let (found, status) = list(&["--metadata", "/nowhere"], &[]);
    assert_eq!((status, item(&found, "files").0), (Some(1), "failed"), "{found:#}");
    assert_eq!(pillion(&["doctor", "--colour"], &[]).status.code(), Some(2));
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn clocks_and_limits_are_compared(_: &Engines) {
    let upstream = Scripted::start();
    let date = |date: &str| {
        let head = format!("HTTP/1.1 204 No Content\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n");
        upstream.on_path("/", Reply::Raw(head.into_bytes()));
        let address = format!("http://127.0.0.1:{}", upstream.port);
        list(&["--upstream", &address], &[("PILLION_LIMITS_MAX_CONNECTIONS", "100000000")]).0
    };
    let found = date("Sun, 06 Nov 1994 08:49:37 GMT");
    let (status, text) = item(&found, "clock");
    assert!(status == "failed" && text.ends_with(" s ahead of the upstream's"), "{text}");
    assert!(items(&found, "clock")[0]["help"].as_str().is_some_and(|help| help.contains("NTP")), "{found:#}");
    let (status, text) = item(&found, "file descriptors");
    assert!(status == "warning" && text.contains("limits.max_connections is 100000000"), "{text}");
    let found = date("tomorrow");
    assert_eq!(item(&found, "clock"), ("warning", "not compared: the upstream's responses have no time (Date)"));
}

fn commands_have_the_flags_that_they_use(_: &Engines) {
    let help = |command: &[&str]| said(&pillion(&[command, &["--help"]].concat(), &[]));
    let flags = ["--listen", "--admin-listen", "--metadata <", "--upstream <", "--dialect", "--threads", "--log-level"];
    for (command, used) in [
        (&["serve"][..], &flags[..]),
        (&["check"], &flags),
        (&["doctor"], &flags),
        (&["config", "show"], &flags),
        (&["explain"], &["--metadata <", "--upstream <", "--dialect"]),
        (&["schema"], &["--metadata <", "--upstream <", "--dialect"]),
        (&["import", "openapi"], &["--metadata <"]),
        (&["health"], &["--admin-listen"]),
        (&["jobs", "list"], &[]),
        (&["error"], &[]),
    ] {
        let help = help(command);
        for flag in flags {
            assert_eq!(help.contains(flag), used.contains(&flag), "{command:?} {flag}: {help}");
        }
    }
    assert_eq!(pillion(&["jobs", "list", "--listen=8000"], &[]).status.code(), Some(2));
}
