//! The layout of `src/` and the language of everything that people read: no import rings between files, a file for each
//! concept, no retired words.

#![allow(clippy::expect_used, clippy::panic, missing_docs, reason = "a test that fails says so by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Files that import one another in a ring today, by the ring.
const RINGS: &[&[&str]] = &[];

/// Words that a better known term replaces: none of them may occur. See CONTRIBUTING.md.
const RETIRED_WORDS: &[&str] = &[
    "engine",
    "left alone",
    "anew",
    "kept answer",
    "stored call",
    "too much is going on",
    "turned away",
    "begin again",
    "answer",
    "refus",
    "mistake",
    "remedy",
    "remedies",
    "whoever",
    "nobody",
    "somebody",
    " places ",
];

/// Words that are also retired in names of tests and of fixture cases, where they would only make riddles.
const RETIRED_IN_NAMES: &[&str] = &["anybody", "everybody", "told", "kept", "mended", "ours", "us"];

/// Names of others and established phrases in which such a word is right.
const ESTABLISHED: &[&str] = &[
    "base64::engine",     // a module and a trait of the crate
    "connection refused", // the operating system's words for ECONNREFUSED
    "connection_refused",
    "connectionrefused",
    "connectrefused",        // an error type of pingora
    "is_connection_refusal", // a method of the redis crate
    "graphql engine",        // what readers call their upstream
    "graphql-engine",        // the name of Hasura's repository and image
    "refused_stream",        // an error code of HTTP/2
    "regex engine",
    "template engine", // Hasura's key, and the message about it
    "template_engine",
    "test_support::engines",
    "tests/engines", // the upstreams that the end-to-end tests start
];

/// What an engineer looks for, and a file or folder whose name says so.
const CONCEPTS: &[(&str, &str)] = &[
    ("listener", "server/listener.rs"),
    ("connection life cycle", "server/connection_lifecycle.rs"),
    ("HTTP/1 codec", "downstream/http1_session.rs"),
    ("HTTP/1 framing", "protocol/http1/framing.rs"),
    ("HTTP/2", "downstream/http2_stream_timeout.rs"),
    ("server-sent events", "routes/sse.rs"),
    ("WebSocket", "routes/websocket.rs"),
    ("CORS", "downstream/cors.rs"),
    ("passthrough", "routes/passthrough.rs"),
    ("route", "routes/route.rs"),
    ("GET with a document", "routes/graphql_get.rs"),
    ("request context", "request/context.rs"),
    ("graceful shutdown", "server/graceful_shutdown.rs"),
    ("background tasks", "server/background_tasks.rs"),
    ("slow client", "downstream/connection_deadline.rs"),
    ("client disconnect", "routes/client_disconnect.rs"),
    ("authentication", "auth/mod.rs"),
    ("authorization", "execution/authorize.rs"),
    ("rate limit", "traffic_shaping/rate_limit.rs"),
    ("circuit breaker", "traffic_shaping/circuit_breaker.rs"),
    ("concurrency limit", "traffic_shaping/concurrency_limit.rs"),
    ("retry", "handler/retry.rs"),
    ("replay", "model/replay.rs"),
    ("response cache", "traffic_shaping/response_cache.rs"),
    ("Redis", "traffic_shaping/redis.rs"),
    ("transform", "action/transform.rs"),
    ("header precedence", "action/header_precedence.rs"),
    ("relationship", "action/relationship.rs"),
    ("introspection", "pipeline/introspection.rs"),
    ("schema cache", "runtime/schema_cache.rs"),
    ("mask", "graphql/mask.rs"),
    ("plan", "graphql/plan.rs"),
    ("plan cache", "runtime/plan_cache.rs"),
    ("coercion", "graphql/coerce.rs"),
    ("merge", "graphql/merge.rs"),
    ("job store", "jobs/store.rs"),
    ("job worker", "job_runner/worker.rs"),
    ("job completion", "job_runner/completion.rs"),
    ("reload", "reload/mod.rs"),
    ("snapshot", "runtime/snapshot.rs"),
    ("load shedding", "runtime/load_shedding.rs"),
    ("health check", "runtime/upstream_health_check.rs"),
    ("panic isolation", "runtime/panic_isolation.rs"),
    ("memory budget", "memory/budget.rs"),
    ("metrics", "telemetry/metrics.rs"),
    ("tracing", "telemetry/traces.rs"),
    ("logs", "telemetry/logs.rs"),
    ("access log", "execution/access_log.rs"),
    ("connection pool", "http_client/connection_pool.rs"),
    ("DNS filter", "http_client/dns_filter.rs"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("node_modules") {
            found.extend(files(&path, endings));
        } else if !path.ends_with("package-lock.json")
            && path.extension().is_some_and(|ending| endings.iter().any(|known| ending == *known))
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn name_in_src(path: &Path) -> String {
    path.strip_prefix(root().join("src")).expect("a source").to_string_lossy().into_owned()
}

/// The module that a file of `src/` defines: `a/b.rs` and `a/b/mod.rs` are `a::b`.
fn module(file: &str) -> Vec<String> {
    let mut segments: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    segments.pop_if(|last| last == "mod");
    segments
}

/// Every path below `crate` that a source names outside of its comments and tests, groups taken apart.
fn paths(source: &str) -> Vec<Vec<String>> {
    let code = source.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line} ")).collect();
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        let (path, rest) = rest.split_at(end);
        let segments: Vec<String> = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let Some(group) =
            rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).filter(|_| path.ends_with("::"))
        else {
            found.push(segments);
            continue;
        };
        let leaves = group.split(',').filter_map(|leaf| leaf.split_whitespace().next());
        found.extend(leaves.map(|leaf| segments.iter().cloned().chain(leaf.split("::").map(str::to_owned)).collect()));
    }
    found
}

/// Which files of `src/` use which.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let sources = files(&root().join("src"), &["rs"]);
    let by_module: BTreeMap<Vec<String>, String> =
        sources.iter().map(|path| name_in_src(path)).map(|name| (module(&name), name)).collect();
    let used = |name: &str, source: &str| {
        let file_of = |path: Vec<String>| (1..=path.len()).rev().find_map(|length| by_module.get(path.get(..length)?));
        paths(source).into_iter().filter_map(file_of).filter(|other| *other != name).cloned().collect()
    };
    let named = sources.iter().map(|path| (name_in_src(path), fs::read_to_string(path).expect("a source")));
    named.map(|(name, source)| (name.clone(), used(&name, &source))).collect()
}

/// Every file that can be reached from another one.
fn reachable(from: &str, uses: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(name) = next.pop() {
        next.extend(uses.get(&name).into_iter().flatten().filter(|other| found.insert((*other).clone())).cloned());
    }
    found
}

#[test]
fn no_new_rings_between_files() {
    let uses = uses();
    let reached: BTreeMap<&String, BTreeSet<String>> = uses.keys().map(|name| (name, reachable(name, &uses))).collect();
    let is_reached = |from: &String, to: &String| reached.get(from).is_some_and(|found| found.contains(to));
    let ring = |name: &String| {
        uses.keys().filter(|other| is_reached(name, other) && is_reached(other, name)).cloned().collect()
    };
    let rings: BTreeSet<Vec<String>> = uses.keys().map(ring).filter(|ring: &Vec<String>| ring.len() > 1).collect();
    let known: BTreeSet<Vec<String>> =
        RINGS.iter().map(|ring| ring.iter().map(|name| (*name).to_owned()).collect()).collect();
    assert_eq!(rings, known, "left: the rings that there are; a ring that is gone leaves the list for ever");
}

#[test]
fn concepts_are_found_by_file_name() {
    for (concept, file) in CONCEPTS {
        assert!(root().join("src").join(file).exists(), "{concept}: src/{file} is not there");
    }
}

/// The part of a document for a reader: a fixture's comments, description and names of cases, a page's headings; all of other files.
/// Documents and messages in fixtures, and in the pages made from them, are data.
fn prose<'t>(name: &str, text: &'t str) -> Vec<(usize, &'t str)> {
    let lines = (1..).zip(text.lines());
    if name.starts_with("docs/behaviour") {
        return lines.filter(|(_, line)| line.starts_with('#')).collect();
    }
    if !name.starts_with("tests/fixtures") || name.ends_with(".md") {
        return lines.collect();
    }
    let mut is_description = false;
    let mut is_prose = |line: &str| {
        is_description = line.starts_with("about:") || is_description && line.starts_with(' ');
        is_description || line.trim_start().starts_with('#') || case_name(line).is_some()
    };
    lines.filter(|(_, line)| is_prose(line)).map(|(number, line)| (number, case_name(line).unwrap_or(line))).collect()
}

/// The name of a fixture case, if it stands in this line.
fn case_name(line: &str) -> Option<&str> {
    let case = line.strip_prefix("  - ")?;
    let name = case.trim_start_matches(['{', ' ']).strip_prefix("name: ")?;
    Some(if case.starts_with('{') { name.split(", ").next().unwrap_or(name) } else { name })
}

fn retired<'w>(line: &str, words: &'w [&str]) -> Vec<&'w str> {
    let line = ESTABLISHED.iter().fold(line.to_lowercase(), |line, phrase| line.replace(phrase, ""));
    words.iter().filter(|word| line.contains(**word)).map(|word| word.trim()).collect()
}

#[test]
fn retired_words_do_not_occur() {
    let mut read: Vec<PathBuf> = Vec::new();
    for folder in
        ["src", "config", "dashboards", "demo", "docs", "fuzz/src", "fuzz/fuzz_targets", "benches", "tests/fixtures"]
    {
        read.extend(files(&root().join(folder), &["rs", "yaml", "md", "json", "mjs", "graphql"]));
    }
    read.extend(["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    let mut found = Vec::new();
    for path in &read {
        let name = path.strip_prefix(root()).expect("a file of ours").display().to_string();
        for (number, line) in prose(&name, &fs::read_to_string(path).expect("a text")) {
            found.extend(retired(line, RETIRED_WORDS).iter().map(|word| format!("{name}:{number}: {word:?}")));
        }
    }
    assert!(found.is_empty(), "these words are retired, see CONTRIBUTING.md:\n{}", found.join("\n"));
}

/// Names of functions in the tests, fuzz targets and benchmarks, and of cases in the fixtures.
fn names_of_tests() -> Vec<(String, String)> {
    let mut names = Vec::new();
    for folder in ["tests", "fuzz", "benches"] {
        for path in files(&root().join(folder), &["rs", "yaml"]) {
            let file = path.strip_prefix(root()).expect("a file of ours").display().to_string();
            let text = fs::read_to_string(&path).expect("a text");
            let is_fixture = file.starts_with("tests/fixtures");
            let function = |line: &'_ str| {
                let name = line.split("fn ").nth(1)?.split(['(', '<']).next()?;
                Some(name.to_owned()).filter(|_| !line.trim_start().starts_with("//"))
            };
            let named = text
                .lines()
                .filter_map(|line| if is_fixture { case_name(line).map(str::to_owned) } else { function(line) });
            names.extend(named.map(|name| (file.clone(), name)));
        }
    }
    names
}

#[test]
fn names_of_tests_have_no_retired_words() {
    let has_word =
        |name: &str, word: &str| name.to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|part| part == word);
    let mut found = Vec::new();
    for (file, name) in names_of_tests() {
        let plain = name.replace('_', " ");
        let words = retired(&plain, RETIRED_WORDS).into_iter();
        let also = RETIRED_IN_NAMES.iter().copied().filter(|word| has_word(&plain, word));
        found.extend(words.chain(also).map(|word| format!("{file}: {name}: {word:?}")));
    }
    assert!(found.is_empty(), "these words are retired, see CONTRIBUTING.md:\n{}", found.join("\n"));
}
