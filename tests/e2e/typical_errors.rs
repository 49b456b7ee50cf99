//! Typical errors of users, one after the other: `tests/fixtures/typical_errors.yaml` has what is changed, and the diagnostic.

use std::path::Path;
use std::process::{Command, Stdio};

use pillion_test_support::engines::Engines;
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{fixtures, trials};
use serde_json::Value;

pub const TESTS: &[super::Test] = trials![each_error_has_place_cause_and_help, terminals_get_colours];

fn each_error_has_place_cause_and_help(_: &Engines) {
    let file = fixtures::read("typical_errors.yaml");
    let cases = file["cases"].as_array().expect("cases");
    assert!(cases.len() >= 52, "{}", cases.len());
    let failures: Vec<String> = cases.iter().filter_map(|case| failure(case, &file["defaults"])).collect();
    assert!(failures.is_empty(), "{} of {}:\n\n{}", failures.len(), cases.len(), failures.join("\n\n"));
}

fn failure(case: &Value, defaults: &Value) -> Option<String> {
    let get = |key: &str| if case[key].is_null() { &defaults[key] } else { &case[key] };
    let folder = temp_folder().join("typical-errors");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("metadata")).expect("a folder");
    make_files(&folder, case, &defaults["files"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.args(text(get("command")).split(' ')).current_dir(&folder).env_clear().stdin(Stdio::null());
    for (name, value) in case["environment"].as_object().into_iter().flatten() {
        command.env(name, text(value));
    }
    let output = command.output().expect("pillion runs");
    std::fs::remove_dir_all(&folder).expect("the folder");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let status = output.status.code().map(i64::from);
    let mut wrong: Vec<String> = Vec::new();
    if status != get("status").as_i64() {
        wrong.push(format!("status {status:?}"));
    }
    let parts = get("says").as_array().expect("what is said").iter().map(text);
    wrong.extend(parts.filter(|part| !said.contains(*part)).map(|part| format!("does not say: {part}")));
    if case["once"] == true && said.matches("error: ").count() != 1 {
        wrong.push("says more than the one error".into());
    }
    (!wrong.is_empty()).then(|| format!("{}: {}\n{said}", case["name"], wrong.join("; ")))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

fn make_files(folder: &Path, case: &Value, right: &Value) {
    for files in [right, &case["files"]] {
        for (name, contents) in files.as_object().into_iter().flatten() {
            std::fs::write(folder.join(name), text(contents)).expect("a file");
        }
    }
    for (name, patches) in case["patch"].as_object().into_iter().flatten() {
        let mut contents = std::fs::read_to_string(folder.join(name)).expect("a file");
        for patch in patches.as_array().expect("pairs") {
            let (old, new) = (text(&patch[0]), text(&patch[1]));
            assert!(contents.contains(old), "{}: {old:?} is not in {name}", case["name"]);
            contents = contents.replace(old, new);
        }
        std::fs::write(folder.join(name), contents).expect("a file");
    }
    for (old, new) in case["rename"].as_object().into_iter().flatten() {
        std::fs::rename(folder.join(old), folder.join(text(new))).expect("a file");
    }
}

/// `script` of util-linux makes a terminal.
fn terminals_get_colours(_: &Engines) {
    let says = |no_color: Option<&str>| {
        let command = format!("{} check --dialect apollo", env!("CARGO_BIN_EXE_pillion"));
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).env_remove("NO_COLOR").stdin(Stdio::null());
        script.envs(no_color.map(|value| ("NO_COLOR", value)));
        let output = script.output().expect("script runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (coloured, plain) = (says(None), says(Some("1")));
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    assert!(plain.contains("error: --dialect") && !plain.contains("\u{1b}["), "{plain}");
}
