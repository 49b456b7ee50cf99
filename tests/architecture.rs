//! What the documents say about the source is true.

#![allow(clippy::expect_used, clippy::panic, missing_docs, reason = "a test that fails says so by a panic")]

#[path = "architecture/chart_values.rs"]
mod chart_values;
#[path = "architecture/dashboards.rs"]
mod dashboards;
#[path = "architecture/manual.rs"]
mod manual;
#[path = "architecture/reference.rs"]
mod reference;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files_in(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_in(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    files_in(folder, "rs")
}

/// The table of ARCHITECTURE.md: folder to what it may use.
fn allowed() -> BTreeMap<String, Vec<String>> {
    let text = read("ARCHITECTURE.md");
    let rows =
        text.lines().skip_while(|line| !line.starts_with("| folder")).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let folder = cells.next().unwrap_or_default().to_owned();
        (folder, cells.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect())
    })
    .collect()
}

/// The folders that a source uses, by every `crate::` in it.
fn used(source: &str) -> Vec<String> {
    let names = source.split("crate::").skip(1);
    names.map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()).collect()
}

#[test]
fn folders_use_only_what_they_may() {
    let allowed = allowed();
    let folders: Vec<&String> = allowed.keys().collect();
    for path in sources(&root().join("src")) {
        let inside = path.strip_prefix(root().join("src")).expect("a source").to_path_buf();
        let folder = inside.iter().next().expect("a name").to_string_lossy().into_owned();
        let Some(may_use) = allowed.get(&folder) else {
            assert!(["lib.rs", "main.rs"].contains(&folder.as_str()), "{folder} is not in the table");
            continue;
        };
        for name in used(&fs::read_to_string(&path).expect("a source")) {
            let is_fine = name == folder || may_use.contains(&name) || !folders.contains(&&name);
            assert!(is_fine, "{} uses {name}, which ARCHITECTURE.md does not allow", inside.display());
        }
    }
}

#[test]
fn the_table_has_no_ring() {
    let mut allowed = allowed();
    while !allowed.is_empty() {
        let done: Vec<String> = allowed
            .iter()
            .filter(|(_, uses)| uses.iter().all(|name| !allowed.contains_key(name)))
            .map(|(name, _)| name.clone())
            .collect();
        assert!(!done.is_empty(), "a ring among {:?}", allowed.keys());
        allowed.retain(|name, _| !done.contains(name));
    }
}

#[test]
fn the_core_does_no_input_or_output() {
    for folder in ["model", "session", "graphql", "action", "protocol", "rest", "config", "openapi", "codegen", "edits"]
    {
        for path in sources(&root().join("src").join(folder)) {
            if ["config/load.rs", "edits/read.rs", "edits/write.rs"].iter().any(|file| path.ends_with(file)) {
                continue;
            }
            let source = fs::read_to_string(&path).expect("a source");
            let code = source.split("#[cfg(test)]").next().unwrap_or_default();
            for word in [
                "async fn",
                ".await",
                "tracing::",
                "std::fs",
                "std::env",
                "SystemTime",
                "Instant::now",
                "tokio",
                "reqwest",
                "pingora::",
            ] {
                assert!(!code.contains(word), "{} has {word:?}", path.display());
            }
        }
    }
}

#[test]
fn every_file_named_in_the_architecture_exists() {
    let mut documents = files_in(&root().join("docs"), "md");
    documents.extend(["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    for document in documents {
        let text = read(&document);
        let document = document.display();
        for name in text.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs")) {
            assert!(root().join("src").join(name).exists() || root().join(name).exists(), "{document} names {name}");
        }
    }
}

/// One page: the details stand in `docs/architecture`, the reasons in `docs/decisions`.
#[test]
fn the_architecture_is_one_page() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(lines <= 150, "{lines} lines");
}

#[test]
fn every_decision_is_in_the_index_and_has_its_parts() {
    let index = read("docs/decisions/README.md");
    for path in files_in(&root().join("docs/decisions"), "md") {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        assert!(index.contains(&format!("]({name})")), "docs/decisions/README.md does not name {name}");
        let text = read(&path);
        for part in ["## Context", "## Decision", "## Consequences"] {
            assert!(text.contains(part), "{name} has no {part}");
        }
    }
}

/// Compares with what is committed; `UPDATE_EXPECT=1` writes it instead.
fn assert_committed(path: &str, wanted: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(root().join(path), wanted).expect("a file");
    }
    assert!(read(path) == wanted, "{path} is not what its source says; run the tests with UPDATE_EXPECT=1");
}

#[test]
fn the_example_and_its_schema_equal_the_settings_table() {
    assert_committed("config/pillion.example.yaml", &pillion::config::settings_doc::example_yaml());
    assert_committed("config/pillion.schema.json", &pillion::config::settings_doc::json_schema());
    let printed = |schema| format!("{schema:#}\n");
    assert_committed("config/actions.schema.json", &printed(pillion::config::metadata_schema::actions_yaml()));
    assert_committed("config/relationships.schema.json", &printed(pillion::config::json_schema::relationships()));
}

/// What makes an error of a code; the code follows.
const MAKE_ERRORS: &[&str] =
    &["ApiError::new(", "RelatedError::new(", "default_extensions(", "error_json(", "Next::End(failed(", "code: "];

/// The codes of errors in a source: literals behind [`MAKE_ERRORS`], and behind the status of a `RequestError`.
fn codes_in(source: &str) -> Vec<&str> {
    let literal = |rest: &'_ str| -> Option<usize> {
        let end = rest.trim_start().strip_prefix('"')?.find('"')?;
        Some(end + 2 + rest.len() - rest.trim_start().len())
    };
    let behind = |rest: &'static str| source.split(rest).skip(1);
    let requests = behind("RequestError::new(").filter_map(|rest| Some(rest.split_once(',')?.1));
    let all = MAKE_ERRORS.iter().flat_map(|word| behind(word)).chain(requests);
    all.filter_map(|rest| rest.get(..literal(rest)?)).map(|code| code.trim().trim_matches('"')).collect()
}

#[test]
fn every_error_code_is_explained() {
    use pillion::model::error_code::{ERROR_CODES, manual_page};
    assert_committed("docs/reference/errors.md", &manual_page());
    let of_table: Vec<&str> = ERROR_CODES.iter().map(|known| known.code).collect();
    assert!(of_table.is_sorted(), "in alphabetical order");
    let mut whole = String::new();
    for path in sources(&root().join("src")).iter().filter(|path| !path.ends_with("model/error_code.rs")) {
        let text = read(path);
        let source = text.split("#[cfg(test)]").next().unwrap_or_default();
        for code in codes_in(source) {
            assert!(of_table.contains(&code), "{}: src/model/error_code.rs lacks {code:?}", path.display());
        }
        whole.push_str(source);
    }
    for code in of_table {
        assert!(whole.contains(&format!("\"{code}\"")), "nothing makes errors with the code {code:?}");
    }
}

/// A metric that nothing feeds is always 0, and looks as if all were well.
#[test]
fn every_metric_is_fed() {
    let declared = read("src/telemetry/metrics.rs");
    // Their series are looked up once, by names of their own.
    let handles = [
        ("phase_seconds", "phases"),
        ("plan_cache_lookups", "plan_cache_hits"),
        ("requests", "by_request"),
        ("request_seconds", "by_request"),
    ];
    let fed_as = |name| handles.iter().find(|(declared, _)| *declared == name).map_or(name, |(_, handle)| *handle);
    let declarations = declared.lines().filter(|line| line.contains(" = \"pillion_"));
    let names: Vec<&str> = declarations.filter_map(|line| line.trim().split(':').next()).map(fed_as).collect();
    assert!(names.len() > 40, "{}", names.len());
    let others: String = sources(&root().join("src"))
        .iter()
        .filter(|path| !path.ends_with("telemetry/metrics.rs"))
        .map(|path| fs::read_to_string(path).expect("a file"))
        .collect();
    let own = declared.split("impl Metrics {").nth(1).expect("methods");
    for name in names {
        let is_fed = others.contains(&format!(".{name}")) || own.contains(&format!("self.{name}."));
        assert!(is_fed, "nothing feeds {name}");
    }
}

#[test]
fn every_family_of_fixtures_is_explained() {
    let readme = read("tests/fixtures/README.md");
    let mut names: Vec<String> = Vec::new();
    for folder in ["tests/fixtures", "tests/fixtures/http"] {
        for entry in fs::read_dir(root().join(folder)).expect("fixtures") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            names.extend(name.ends_with(".yaml").then_some(name));
        }
    }
    for name in names {
        assert!(readme.contains(&format!("`{name}`")), "tests/fixtures/README.md does not name {name}");
    }
}

#[test]
fn every_passing_hasura_case_exists() {
    let table = read("tests/hasura-cases.md");
    let written = read("tests/e2e/jobs.rs");
    for row in table.lines().filter(|row| row.contains("`e2e/jobs.rs`")) {
        let name = row.split(" | ").next().and_then(|cell| cell.rsplit('/').next()).unwrap_or_default();
        assert!(written.contains(name), "tests/e2e/jobs.rs has no {name}");
    }
    for file in ["24-hasura-sync", "27-metadata-api", "28-hasura-roles", "29-hasura-introspection"] {
        let cell = format!(" | `http/{file}.yaml` | passes |");
        let named = |line: &str| line.strip_prefix("| ")?.strip_suffix(&cell).map(str::to_owned);
        let listed: Vec<String> =
            table.lines().filter_map(named).map(|name| name.trim_start_matches("sync/").to_owned()).collect();
        let cases = read(format!("tests/fixtures/http/{file}.yaml"));
        // What follows are cases of our own.
        let hasuras = cases.split("\n  # Cases of Pillion.\n").next().unwrap_or_default();
        let cell = format!(" | `http/{file}.yaml` | differs: ");
        let differs = |name: &&str| table.contains(&format!("/{name}{cell}"));
        let ours: Vec<&str> = hasuras.lines().filter_map(|line| line.strip_prefix("  - name: ")).collect();
        let ours: Vec<&str> = ours.into_iter().filter(|name| !differs(name)).collect();
        assert_eq!(listed, ours);
    }
}
