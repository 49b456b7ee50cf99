//! The console in a real browser: `tests/console/run.mjs` makes, tries, operates and attacks it with Debian's Chromium, before
//! PostGraphile, before an upstream with Hasura's names, and where it asks for a token.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Setup;
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{free_port, repository, trials};
use serde_json::Value;

pub const TESTS: &[super::Test] = trials![before_postgraphile, before_hasuras_names, with_a_token];

/// Why the browser cannot be tried here, if it cannot.
fn missing() -> Option<&'static str> {
    let has = |path: &str| repository().join(path).exists();
    match (has("console/dist/index.html"), has("tests/engines/node_modules/playwright-core")) {
        (false, _) => Some("console/dist is missing: `make console` builds it"),
        (_, false) => Some("playwright-core is missing: tests/setup.sh installs it"),
        _ if std::env::var_os("CHROMIUM").is_none() && !Path::new("/usr/bin/chromium").exists() => {
            Some("there is no Chromium")
        }
        _ => None,
    }
}

/// Runs all cases that fit, each of which reports in a line of JSON.
fn run(upstream: u16, kind: &str, token: &str) {
    if let Some(reason) = missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    let folder = temp_folder().join(format!("browser-{kind}-{}", free_port()));
    let handlers = free_port();
    let mut setup: Setup = super::console_api::setup(upstream, handlers, &folder);
    if !token.is_empty() {
        setup = setup.env("PILLION_ADMIN_TOKEN", token);
    }
    let pillion = setup.start().wait_until_ready();
    let node = repository().join("tests/engines/node.sh");
    let mut command = Command::new(node);
    command.current_dir(repository().join("tests/engines")).arg(repository().join("tests/console/run.mjs"));
    command.env("CONSOLE_URL", format!("http://127.0.0.1:{}/console/", pillion.admin));
    command.env("CONSOLE_TOKEN", token).env("CONSOLE_FOLDER", &folder).env("CONSOLE_UPSTREAM", kind);
    command
        .env("CONSOLE_HANDLER_PORT", handlers.to_string())
        .env("CONSOLE_CLIENTS", format!("http://127.0.0.1:{}", pillion.port));
    let output = command.stdin(Stdio::null()).output().expect("node starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let cases: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let failed: Vec<&Value> = cases.iter().filter(|case| case["ok"] != true).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !cases.is_empty(), "{said}{errors}");
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), listed(&failed));
    let _ = fs::remove_dir_all(&folder);
}

fn listed(failed: &[&Value]) -> String {
    failed.iter().map(|case| format!("{}: {}\n", case["case"], case["problems"])).collect()
}

fn before_postgraphile(engines: &Engines) {
    run(engines.postgraphile, "postgraphile", "");
}

fn before_hasuras_names(engines: &Engines) {
    run(engines.roles, "hasura", "");
}

fn with_a_token(engines: &Engines) {
    run(engines.postgraphile, "postgraphile", "c4nary-token");
}
