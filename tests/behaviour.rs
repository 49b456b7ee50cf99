//! Behaviour documentation: `docs/behaviour/` is generated from the cases of `tests/fixtures/http`, a page for each family,
//! and compared with what is committed. `UPDATE_EXPECT=1 cargo test --test behaviour` writes it.

#![allow(clippy::expect_used, clippy::panic, missing_docs, reason = "a test that fails says so by a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pillion_test_support::fixtures::{self, Family};
use serde_json::Value;

/// How many lines of a block are shown, and how much of a line.
const MAX_LINES: usize = 80;
const MAX_LINE: usize = 600;

/// JSON that is no longer than this stands on one line.
const JSON_WIDTH: usize = 100;

/// What the reader sees of a document that was cut.
const CUT_NOTE: &str = "*Shortened: the fixture has the rest.*";

const KEYS_OF_A_FAMILY: &[&str] = &[
    "about",
    "actions",
    "cases",
    "config",
    "engine",
    "environment",
    "handlers_are",
    "over_sockets",
    "probe",
    "tables",
    "writes_metadata",
];

const KEYS_OF_A_CASE: &[&str] = &[
    "name",
    "method",
    "path",
    "headers",
    "query",
    "operation_name",
    "variables",
    "extensions",
    "body",
    "handlers",
    "engine",
    "expect",
    "handlers_saw",
    "upstream_saw",
];

/// How names of families are written in titles.
const TITLE_WORDS: &[(&str, &str)] =
    &[("api", "API"), ("cors", "CORS"), ("get", "GET"), ("hasura", "Hasura"), ("http", "HTTP"), ("post", "POST")];

const INTRODUCTION: &str = "\
Each page is a family of cases from [`tests/fixtures/http`](../../tests/fixtures/http): what a client sends, what the handlers \
and the upstream respond, what the client gets, and what the handlers and the upstream saw of it. The end-to-end tests run every \
case against the real program, so what stands here is what it does.

The cases of a page run one after the other against one process. A handler that a case does not mention responds as the last \
case before it said. A request is `POST /graphql` with `Content-Type: application/json` unless the case says otherwise. Of \
headers and of what handlers and the upstream saw, only what matters in the case is shown.";

fn main_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page or block of Markdown, a paragraph each.
type Paragraphs = Vec<String>;

#[test]
fn the_pages_equal_the_fixtures() {
    let folder = main_folder().join("docs/behaviour");
    let wanted = pages();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        write(&folder, &wanted);
    }
    let names: Vec<String> = wanted.keys().cloned().collect();
    assert_eq!(listing(&folder), names, "docs/behaviour has other pages; run the tests with UPDATE_EXPECT=1");
    for (name, page) in wanted {
        let committed = fs::read_to_string(folder.join(&name)).expect("a page");
        assert!(committed == page, "docs/behaviour/{name} is not what the fixtures say; run with UPDATE_EXPECT=1");
    }
}

fn write(folder: &Path, pages: &BTreeMap<String, String>) {
    fs::create_dir_all(folder).expect("a folder");
    for stale in listing(folder).into_iter().filter(|name| !pages.contains_key(name)) {
        fs::remove_file(folder.join(stale)).expect("a page that is no more");
    }
    for (name, page) in pages {
        fs::write(folder.join(name), page).expect("a page");
    }
}

/// The names of all files in a folder, sorted.
fn listing(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// All pages by their file names, the index among them.
fn pages() -> BTreeMap<String, String> {
    let families = fixtures::families("http");
    let mut pages: BTreeMap<String, String> =
        families.iter().map(|Family { name, file }| (format!("{name}.md"), page(name, file))).collect();
    pages.insert("README.md".to_owned(), index(&families));
    pages
}

fn index(families: &[Family]) -> String {
    let row = |Family { name, file }: &Family| {
        let about = escape(&one_line(text(&file["about"])));
        let count = list(&file["cases"]).len();
        let cases = if count == 1 { "case" } else { "cases" };
        format!("- [{}]({name}.md), {count} {cases}. {about}", title(name))
    };
    let rows: Vec<String> = families.iter().map(row).collect();
    let source = "<!-- Generated from tests/fixtures/http by tests/behaviour.rs. Do not edit. -->";
    join(&[source.into(), "# Behaviour".into(), INTRODUCTION.into(), rows.join("\n")])
}

fn page(name: &str, file: &Value) -> String {
    assert_known(file, KEYS_OF_A_FAMILY, name);
    let source = format!("<!-- Generated from tests/fixtures/http/{name}.yaml by tests/behaviour.rs. Do not edit. -->");
    let mut page = vec![source, format!("# {}", title(name)), escape(text(&file["about"]).trim_end())];
    page.extend(set_up(file));
    page.push(format!("The fixture is [`{name}.yaml`](../../tests/fixtures/http/{name}.yaml)."));
    for case in list(&file["cases"]) {
        assert_known(case, KEYS_OF_A_CASE, name);
        page.push(format!("## {}", escape(&one_line(text(&case["name"])))));
        page.extend(request(case));
        page.extend(
            object(&case["handlers"]).flat_map(|(name, reply)| {
                response_of(&format!("Handler {} responds", code(&format!("/{name}"))), reply)
            }),
        );
        if !case["engine"].is_null() {
            page.extend(response_of("The upstream responds", &case["engine"]));
        }
        page.extend(result(&case["expect"]));
        page.extend(seen("Handler calls", case.get("handlers_saw")));
        page.extend(seen("Requests to the upstream", case.get("upstream_saw")));
    }
    join(&page)
}

/// A key that the pages would not show must not go unnoticed.
fn assert_known(value: &Value, known: &[&str], name: &str) {
    for (key, _) in object(value) {
        assert!(known.contains(&key.as_str()), "{name}: tests/behaviour.rs does not know {key:?}");
    }
}

/// What all cases of a family share.
fn set_up(file: &Value) -> Paragraphs {
    let upstream = match file["engine"].as_str() {
        None | Some("postgraphile") => "PostGraphile over PostgreSQL",
        Some("yoga") => "GraphQL Yoga",
        Some("roles") => "a server whose schema depends on the role (`tests/engines/roles.mjs`)",
        Some("tables") => "a server with Hasura's dialect over the tables below (`tests/engines/tables.mjs`)",
        Some("stand-in") => "a stand-in that responds as each case says",
        Some(other) => panic!("unknown upstream {other}"),
    };
    let actions = file["actions"].as_str().unwrap_or("shop");
    let mut facts = vec![
        format!("- Upstream: {upstream}."),
        format!("- Actions: [`{actions}`](../../tests/fixtures/metadata/{actions})."),
    ];
    if file["handlers_are"] == "processes" {
        facts.push("- Handlers: with Express and Flask ([`handlers`](../../tests/engines/handlers)).".into());
    }
    if file["writes_metadata"] == true {
        facts.push("- The actions are a copy that is written to: what a case changes, the next ones have.".into());
    }
    if file["over_sockets"] == true {
        facts.push(
            "- Cases with a JSON response are also sent over WebSockets, in both protocols, with the same result."
                .into(),
        );
    }
    let mut shown = vec![facts.join("\n")];
    if let Some(probe) = file["probe"].as_str() {
        shown.push("Until a case says otherwise, the upstream responds".into());
        shown.extend(body_block(probe));
    }
    let variables: Vec<String> =
        object(&file["environment"]).map(|(name, value)| format!("{name}={}", text(value))).collect();
    if !variables.is_empty() {
        shown.push("Environment variables".into());
        shown.extend(block("properties", &variables.join("\n")));
    }
    if let Some(config) = file["config"].as_str() {
        shown.push("Configuration, `pillion.yaml`".into());
        shown.extend(block("yaml", config));
    }
    if file["tables"].as_object().is_some_and(|tables| !tables.is_empty()) {
        shown.push("Tables of the upstream".into());
        shown.extend(block("json", &json(&file["tables"], 0)));
    }
    shown
}

fn request(case: &Value) -> Paragraphs {
    let path = case["path"].as_str().unwrap_or("/graphql");
    let line = format!("{} {path}", case["method"].as_str().unwrap_or("POST"));
    let mut shown = vec![format!("**Request** {}", code(&line))];
    shown.extend(headers_block(&case["headers"]));
    let in_path = url_document(path);
    if let Some(document) = case["query"].as_str().or(in_path.as_deref()) {
        shown.extend(block("graphql", document));
    }
    if let Some(name) = case["operation_name"].as_str() {
        shown.push(format!("Operation name: {}", code(name)));
    }
    for (key, title) in [("variables", "Variables"), ("extensions", "Extensions")] {
        if let Some(value) = case.get(key) {
            shown.push(title.into());
            shown.extend(block("json", &json(value, 0)));
        }
    }
    match &case["body"] {
        Value::Null => {}
        Value::String(body) => shown.extend(body_block(body)),
        body => shown.extend(block("json", &json(body, 0))),
    }
    shown
}

/// The document in a target's query, as text.
fn url_document(path: &str) -> Option<String> {
    let (_, query) = path.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "query").map(|(_, value)| value.into_owned())
}

/// What a handler or the upstream is told to respond.
fn response_of(subject: &str, reply: &Value) -> Paragraphs {
    let bytes = || body_block(text(&reply["text"]));
    if let Some(fault) = reply["fault"].as_str() {
        let (what, bytes) = match fault {
            "hang" => ("nothing, and keeps the connection open", Vec::new()),
            "close" => ("nothing, and closes the connection", Vec::new()),
            "raw" => ("these bytes, and closes the connection", bytes()),
            "drip" => ("these bytes, one every 100 ms", bytes()),
            "huge" => return vec![format!("**{subject}** a body of {} bytes", reply["bytes"])],
            other => panic!("unknown fault {other}"),
        };
        return std::iter::once(format!("**{subject}** {what}")).chain(bytes).collect();
    }
    let status = reply["status"].as_u64().unwrap_or(200);
    let mut shown = vec![format!("**{subject}** with status {status}")];
    shown.extend(headers_block(&reply["headers"]));
    shown.extend(match reply["text"].as_str() {
        Some("") => vec!["The body is empty.".into()],
        Some(text) => body_block(text),
        None => block("json", &json(&reply["json"], 0)),
    });
    shown
}

/// What the client must get.
fn result(expect: &Value) -> Paragraphs {
    assert_known(expect, &["status", "headers", "text", "json", "contains", "lacks"], "expect");
    let mut shown = vec![format!("**Response** with status {}", expect["status"].as_u64().unwrap_or(200))];
    shown.extend(headers_block(&expect["headers"]));
    match expect["text"].as_str() {
        Some("") => shown.push("The body is empty.".into()),
        Some(text) => shown.extend(body_block(text)),
        None => {}
    }
    if let Some(value) = expect.get("json") {
        shown.extend(block("json", &json(value, 0)));
    }
    for (key, title) in [("contains", "The body contains"), ("lacks", "The body does not contain")] {
        let parts = expect.get(key).map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]));
        if let Some(parts) = parts {
            let rows: Vec<String> = parts.iter().map(|part| format!("- {}", code(text(part)))).collect();
            shown.extend([title.to_owned(), rows.join("\n")]);
        }
    }
    shown
}

/// What arrived at handlers or the upstream, if the case says so.
fn seen(title: &str, wanted: Option<&Value>) -> Paragraphs {
    let Some(wanted) = wanted else { return Vec::new() };
    let mut shown = vec![match list(wanted).len() {
        0 => format!("**{title}**: none"),
        1 => format!("**{title}**: 1"),
        count => format!("**{title}**: {count}, in this order"),
    }];
    shown.extend(list(wanted).iter().flat_map(seen_request));
    shown
}

fn seen_request(request: &Value) -> Paragraphs {
    let line: Vec<&str> = ["method", "path"].iter().filter_map(|key| request[*key].as_str()).collect();
    let mut shown: Paragraphs = if line.is_empty() { Vec::new() } else { vec![code(&line.join(" "))] };
    shown.extend(headers_block(&request["headers"]));
    let mut rest = request.clone();
    for key in ["method", "path", "headers"] {
        rest.as_object_mut().map(|entries| entries.shift_remove(key));
    }
    let mut take = |key: &str| rest.as_object_mut()?.shift_remove(key)?.as_str().map(str::to_owned);
    let (text, documents) = (take("text"), [take("query"), take("request_query")]);
    shown.extend(text.iter().flat_map(|text| body_block(text)));
    shown.extend(documents.iter().flatten().flat_map(|document| block("graphql", document)));
    if rest.as_object().is_some_and(|entries| !entries.is_empty()) {
        shown.extend(block("json", &json(&rest, 0)));
    }
    if shown.is_empty() { vec!["One, whatever is in it.".into()] } else { shown }
}

/// Headers as on the wire; what is absent is said below.
fn headers_block(headers: &Value) -> Paragraphs {
    let (mut lines, mut absent) = (Vec::new(), Vec::new());
    for (name, value) in object(headers) {
        match value {
            Value::Null => absent.push(code(name)),
            Value::Array(values) => lines.extend(values.iter().map(|value| format!("{name}: {}", text(value)))),
            value => lines.push(format!("{name}: {}", text(value))),
        }
    }
    let mut shown = if lines.is_empty() { Vec::new() } else { block("http", &lines.join("\n")) };
    if !absent.is_empty() {
        shown.push(format!("Absent: {}", absent.join(", ")));
    }
    shown
}

/// A body as it is on the wire.
fn body_block(body: &str) -> Paragraphs {
    let language = match body.trim_start().chars().next() {
        Some('{' | '[') => "json",
        Some('<') => "html",
        _ => "text",
    };
    block(language, body)
}

/// A fenced block. The fence is longer than any run of backticks in it, and what cannot be seen is escaped.
fn block(language: &str, content: &str) -> Paragraphs {
    let content = visible(content.trim_end_matches(['\n', '\r']));
    let cut_line = |line: &str| match line.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{} …", line.split_at(end).0),
        None => line.trim_end().to_owned(),
    };
    let lines: Vec<String> = content.lines().take(MAX_LINES).map(cut_line).collect();
    let is_cut = content.lines().count() > MAX_LINES || content.lines().any(|line| line.chars().count() > MAX_LINE);
    let fence = "`".repeat(longest_run_of_backticks(&content).max(2) + 1);
    let block = format!("{fence}{language}\n{}\n{fence}", lines.join("\n"));
    if is_cut { vec![block, CUT_NOTE.into()] } else { vec![block] }
}

/// A code span on one line.
fn code(content: &str) -> String {
    let content = one_line(&visible(content));
    let fence = "`".repeat(longest_run_of_backticks(&content) + 1);
    let needs_room = content.is_empty() || content.starts_with('`') || content.ends_with('`');
    let room = if needs_room { " " } else { "" };
    format!("{fence}{room}{content}{room}{fence}")
}

fn longest_run_of_backticks(content: &str) -> usize {
    content.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// Control and formatting characters as JSON escapes them, but for the ends of lines.
fn visible(content: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let shown = |c: char| if is_hidden(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    content.replace("\r\n", "\n").chars().map(shown).collect()
}

/// Text in which nothing is Markdown but the code spans that it has.
fn escape(content: &str) -> String {
    let parts: Vec<&str> = content.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escape_prose(content);
    }
    let shown = |(index, part): (usize, &&str)| {
        if index.is_multiple_of(2) { escape_prose(part) } else { format!("`{part}`") }
    };
    parts.iter().enumerate().map(shown).collect()
}

fn escape_prose(content: &str) -> String {
    let mut escaped = String::new();
    let mut before = ' ';
    let mut letters = content.chars().peekable();
    while let Some(c) = letters.next() {
        // Within a word an underscore is only an underscore.
        let is_in_word = before.is_alphanumeric() && letters.peek().is_some_and(|next| next.is_alphanumeric());
        if matches!(c, '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&') || (c == '_' && !is_in_word) {
            escaped.push('\\');
        }
        escaped.push(c);
        before = c;
    }
    escaped
}

/// `06-http` is "HTTP".
fn title(name: &str) -> String {
    let words = name.split('-').filter(|word| word.parse::<u32>().is_err());
    let known =
        |word: &str| TITLE_WORDS.iter().find(|(short, _)| *short == word).map_or(word, |(_, long)| long).to_owned();
    let title: Vec<String> = words.map(known).collect();
    let title = title.join(" ");
    let mut letters = title.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// JSON with its keys in order: on one line where it fits, else an entry a line.
fn json(value: &Value, depth: usize) -> String {
    let line = json_line(value);
    let (open, close, entries): (_, _, Vec<String>) = match value {
        _ if line.chars().count() + 2 * depth <= JSON_WIDTH => return line,
        Value::Array(items) => ('[', ']', items.iter().map(|item| json(item, depth + 1)).collect()),
        Value::Object(entries) => {
            let entry =
                |(key, value): (&String, &Value)| format!("{}: {}", Value::from(key.as_str()), json(value, depth + 1));
            ('{', '}', entries.iter().map(entry).collect())
        }
        _ => return line,
    };
    let (outer, inner) = ("  ".repeat(depth), "  ".repeat(depth + 1));
    format!("{open}\n{inner}{}\n{outer}{close}", entries.join(&format!(",\n{inner}")))
}

fn json_line(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(json_line).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) if !entries.is_empty() => {
            let entry =
                |(key, value): (&String, &Value)| format!("{}: {}", Value::from(key.as_str()), json_line(value));
            format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}

fn join(paragraphs: &[String]) -> String {
    let mut page = paragraphs.join("\n\n");
    page.push('\n');
    page
}

fn one_line(content: &str) -> String {
    content.split(['\n', '\r']).map(str::trim_end).collect::<Vec<_>>().join(" ").trim_end().to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
