//! `pillion config`, `completions`, `man` and `version`: what the program says about itself.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use pillion_test_support::engines::Engines;
use pillion_test_support::trials;
use serde_json::{Value, json};

use super::startup::folder;

pub const TESTS: &[super::Test] = trials![
    config_prints_schema_and_example,
    config_shows_values_and_origins,
    config_explains_a_setting,
    config_rejects_unknown_settings_and_broken_files,
    error_codes_are_explained,
    completions_are_generated_for_each_shell,
    manual_pages_are_generated_for_each_command,
    version_is_machine_readable,
];

/// Runs a command with nothing in its environment but these variables.
fn pillion(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).stdin(std::process::Stdio::null());
    command.output().expect("pillion runs")
}

fn printed(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = pillion(arguments, environment);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn config_prints_schema_and_example(_: &Engines) {
    let committed = |file: &str| {
        std::fs::read_to_string(pillion_test_support::repository().join("config").join(file)).expect("a file")
    };
    assert_eq!(printed(&["config", "schema"], &[]), committed("pillion.schema.json"));
    assert_eq!(printed(&["config", "example"], &[]), committed("pillion.example.yaml"));
    // Settings have no meaning there.
    assert_eq!(pillion(&["config", "schema", "--listen", "8000"], &[]).status.code(), Some(2));
}

fn config_shows_values_and_origins(_: &Engines) {
    let folder = folder(
        "config-show",
        &[(
            "pillion.yaml",
            "limits:\n  request_timeout: 40s\nauth:\n  admin_secret: c4nary-file\n  jwt:\n    variables: {x-hasura-user-id: sub}\n",
        )],
    );
    let file = folder.join("pillion.yaml").display().to_string();
    let environment = [
        ("PILLION_CORS_ALLOWED_ORIGINS", "https://a.example,https://b.example"),
        ("PILLION_AUTH_JWT_KEY", "c4nary-variable"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:c4nary-url@collector:4318"),
    ];
    let json = printed(&["config", "show", "--json", "--config", &file, "--listen=:9000"], &environment);
    assert!(!json.contains("c4nary"), "{json}");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let entries = json["settings"].as_array().expect("a list");
    let by_key: BTreeMap<&str, &Value> =
        entries.iter().map(|entry| (entry["key"].as_str().expect("a key"), entry)).collect();
    let is = |key: &str, value: Value, origin: &str, place: Value| {
        let wanted = json!({ "key": key, "value": value, "origin": origin, "place": place });
        assert_eq!(*by_key[key], wanted);
    };
    is("listen", json!(":9000"), "flag", json!("--listen"));
    is("limits.request_timeout", json!("40s"), "file", json!(format!("{file}:2:20")));
    is("auth.admin_secret", json!("***"), "file", json!(format!("{file}:4:17")));
    is("auth.jwt.variables", json!({ "x-hasura-user-id": "sub" }), "file", json!(format!("{file}:6:16")));
    let origins = json!(["https://a.example", "https://b.example"]);
    is("cors.allowed_origins", origins, "variable", json!("PILLION_CORS_ALLOWED_ORIGINS"));
    is("auth.jwt.key", json!("***"), "variable", json!("PILLION_AUTH_JWT_KEY"));
    is("telemetry.otlp_endpoint", json!("http://collector:4318/"), "variable", json!("OTEL_EXPORTER_OTLP_ENDPOINT"));
    is("log.format", json!("json"), "default", json!(null));
    is("upstream.url", json!(null), "default", json!(null));
    let text = printed(&["config", "show", "--config", &file], &environment);
    assert!(!text.contains("c4nary") && text.lines().count() == entries.len(), "{text}");
    let line = |key: &str| text.lines().find(|line| line.starts_with(&format!("{key}: "))).expect("a line").to_owned();
    assert!(line("limits.request_timeout").starts_with("limits.request_timeout: 40s "), "{text}");
    assert!(line("limits.request_timeout").ends_with(&format!(" # {file}:2:20")), "{text}");
    assert!(
        line("upstream.url").starts_with("upstream.url: (not set) ") && line("upstream.url").ends_with(" # default")
    );
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn config_explains_a_setting(_: &Engines) {
    let wanted = "limits.request_timeout\n  Timeout of a request with an action as a whole.\n  \
                  type:       a time such as 500ms, 30s or 1m30s\n  default:    70s\n  value:      40s\n  \
                  origin:     PILLION_LIMITS_REQUEST_TIMEOUT\n  variables:  PILLION_LIMITS_REQUEST_TIMEOUT\n  \
                  applies:    on reload\n";
    let environment = [("PILLION_LIMITS_REQUEST_TIMEOUT", "40s")];
    for name in ["limits.request_timeout", "PILLION_LIMITS_REQUEST_TIMEOUT"] {
        assert_eq!(printed(&["config", "explain", name], &environment), wanted);
    }
    let listen = printed(&["config", "explain", "--", "--listen"], &[]);
    assert!(listen.starts_with("listen\n") && listen.contains("applies:    at the next start"), "{listen}");
    let group = printed(&["config", "explain", "auth.jwt"], &[("PILLION_AUTH_JWT_KEY", "c4nary")]);
    assert!(group.contains("auth.jwt.algorithm\n") && group.contains("one of HS256, HS384"), "{group}");
    assert!(group.contains("value:      ***") && !group.contains("c4nary"), "{group}");
    assert!(printed(&["config", "explain", "fields"], &[]).contains("each resolved by a query action"));
}

fn config_rejects_unknown_settings_and_broken_files(_: &Engines) {
    let fails = |arguments: &[&str], words: &str| {
        let output = pillion(arguments, &[]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && errors.contains(words), "{errors}");
        assert!(output.stdout.is_empty(), "{output:?}");
    };
    fails(&["config", "explain", "limits.request_timeot"], "Did you mean \"limits.request_timeout\"");
    fails(&["config", "show", "--config", "/nowhere/pillion.yaml"], "/nowhere/pillion.yaml");
    let folder = folder("config-broken", &[("pillion.yaml", "limits: {request_timeot: 4s}\n")]);
    let file = folder.join("pillion.yaml").display().to_string();
    fails(&["config", "show", "--config", &file], "unknown key \"limits.request_timeot\"");
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn error_codes_are_explained(_: &Engines) {
    let one = printed(&["error", "rate-limit-exceeded"], &[]);
    assert!(
        one.starts_with("rate-limit-exceeded: ") && one.contains("\n  cause: ") && one.contains("\n  help:  "),
        "{one}"
    );
    let all = printed(&["error"], &[]);
    assert!(all.lines().count() > 30 && all.contains("validation-failed"), "{all}");
    let output = pillion(&["error", "rate-limit-exeeded"], &[]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && errors.contains("Did you mean \"rate-limit-exceeded\""), "{errors}");
}

fn completions_are_generated_for_each_shell(_: &Engines) {
    for (shell, word) in [
        ("bash", "complete -F _pillion"),
        ("zsh", "#compdef pillion"),
        ("fish", "complete -c pillion"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[pillion]"),
    ] {
        let script = printed(&["completions", shell], &[]);
        assert!(script.contains(word) && script.contains("configured-header-precedence"), "{shell}: {script:.400}");
    }
    assert_eq!(pillion(&["completions", "tcsh"], &[]).status.code(), Some(2));
}

fn manual_pages_are_generated_for_each_command(_: &Engines) {
    let page = printed(&["man"], &[]);
    assert!(page.contains(".TH pillion 1") && page.contains("pillion\\-check(1)"), "{page:.400}");
    let folder = folder("man", &[("empty.txt", "")]);
    let path = folder.display().to_string();
    assert_eq!(printed(&["man", &path], &[]), "");
    for file in ["pillion.1", "pillion-serve.1", "pillion-config-show.1"] {
        let page = std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(page.contains(".SH NAME"), "{page:.400}");
    }
    std::fs::remove_dir_all(&folder).expect("the folder");
    let output = pillion(&["man", &path], &[]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains(&path), "{output:?}");
}

fn version_is_machine_readable(_: &Engines) {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(printed(&["version"], &[]), format!("pillion {version}\n"));
    let json: Value = serde_json::from_str(&printed(&["version", "--json"], &[])).expect("JSON");
    assert_eq!((&json["version"], &json["os"]), (&json!(version), &json!(std::env::consts::OS)));
    assert!(json["features"].as_array().is_some_and(|features| features.contains(&json!("server"))), "{json}");
}
