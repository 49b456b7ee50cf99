//! What the upstream is asked before a handler call (`before`): row-level security decides, jobs ask twice, cached responses are for
//! callers with the same rows, and what is wrong is found by the commands, in the log and in metrics.

use std::process::{Command, Output, Stdio};

use pillion_test_support::engines::{Engines, TablesEngine, node};
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::process::Process;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{free_port, repository, trials, wait_for_port, wait_until};
use serde_json::{Value, json};

use super::jobs::{Store, accept, ask_as, stores, wait_for};
use super::startup::folder;

pub const TESTS: &[super::Test] = trials![
    row_level_security_decides,
    jobs_ask_when_they_are_accepted_and_when_they_run,
    cached_responses_are_for_the_same_data,
    causes_are_in_the_log_and_in_metrics,
    commands_show_and_check_it,
    a_reload_checks_the_schema_of_each_role,
    cases_of_pillion_test,
];

/// The articles of two authors, which each of them sees alone.
const ARTICLES: &str = "
    create role rls_visitor nologin;
    create table post (id integer primary key, author_id integer not null, title text not null);
    alter table post enable row level security;
    create policy own on post using (author_id = nullif(current_setting('app.user_id', true), '')::integer);
    grant select, update on post to rls_visitor;
    insert into post values (1, 7, 'Bicycles'), (2, 8, 'Helmets');
";

fn postgraphile(url: &str) -> (u16, Process) {
    let mut psql = Command::new("psql");
    psql.args(["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", url, "--command", ARTICLES]);
    assert!(psql.status().is_ok_and(|status| status.success()));
    let port = free_port();
    let mut command = node(&["node_modules/.bin/postgraphile", "--config", "rls.config.mjs"], port);
    let process = Process(command.env("DATABASE_URL", url).spawn().expect("node starts"));
    wait_for_port(port);
    (port, process)
}

const AUTHOR: &[(&str, &str)] = &[("X-Hasura-Role", "author"), ("X-Hasura-User-Id", "7")];
const OTHER: &[(&str, &str)] = &[("X-Hasura-Role", "author"), ("X-Hasura-User-Id", "8")];

fn row_level_security_decides(engines: &Engines) {
    let (upstream, _process) = postgraphile(&engines.new_database("before_rls"));
    let handlers = Scripted::start();
    handlers.on_path("/publish", Reply::json("true"));
    handlers.on_path("/summary", Reply::json(r#"{"text":"ok"}"#));
    let config = "
actions:
  publish:
    before: 'query ($id: Int!) { article: postById(id: $id) { title } rows: allPosts(condition: {id: $id}) { nodes { id } } }'
    require: { article: there is no such article, rows: there is no such article }
    send: [article]
  summary:
    before: 'query ($id: Int!) { article: postById(id: $id) { title } }'
    require: [article]
    send: [article]
  article:
    handler: none
    before: 'query ($id: Int!) { row: postById(id: $id) { id title } }'
    respond: row
";
    let pillion =
        Setup::before(upstream).with_actions("before", handlers.port).config(config).start().wait_until_ready();
    let own = ask_as(&pillion, AUTHOR, "mutation { publish(id: 1) }", &json!({}));
    assert_eq!(own, json!({ "data": { "publish": true } }), "{}", pillion.log());
    assert_eq!(handlers.take_seen()[0].json()["data"], json!({ "article": { "title": "Bicycles" } }));
    // The article of another author, by every way to name it.
    let by_variable = json!({ "id": 2 });
    for (query, variables) in [
        ("mutation { publish(id: 2) }", &json!({})),
        ("mutation ($id: Int!) { publish(id: $id) }", &by_variable),
        ("mutation ($id: Int = 2) { a: publish(id: $id) }", &json!({})),
        ("query ($id: Int!) { summary(id: $id) { text } }", &by_variable),
        ("{ a: summary(id: 2) { text } b: summary(id: 2) { text } }", &json!({})),
        ("fragment S on Query { summary(id: 2) { text } } { ...S }", &json!({})),
        ("mutation { publish(id: 3) }", &json!({})),
        ("mutation { publish(id: -1) }", &json!({})),
    ] {
        let denied = ask_as(&pillion, AUTHOR, query, variables);
        assert_eq!(denied["errors"][0]["extensions"]["code"], "permission-denied", "{query}: {denied}");
    }
    // In a batch each request is judged by itself.
    let batch = json!([{ "query": "mutation { publish(id: 2) }" }, { "query": "{ summary(id: 2) { text } }" }]);
    let headers = [&[("Content-Type", "application/json")], AUTHOR].concat();
    let response = pillion.client().request("POST", "/graphql", &headers, batch.to_string().as_bytes()).json();
    assert!(
        (0..2).all(|index| response[index]["errors"][0]["extensions"]["code"] == "permission-denied"),
        "{response}"
    );
    assert!(handlers.take_seen().is_empty(), "a handler was called");
    assert_eq!(ask_as(&pillion, OTHER, "mutation { publish(id: 2) }", &json!({}))["data"], json!({ "publish": true }));
    let titles =
        |who| ask_as(&pillion, who, "{ one: article(id: 1) { title } two: article(id: 2) { title } }", &json!({}));
    assert_eq!(titles(AUTHOR)["data"], json!({ "one": { "title": "Bicycles" }, "two": null }));
    assert_eq!(titles(OTHER)["data"], json!({ "one": null, "two": { "title": "Helmets" } }));
}

fn tables() -> TablesEngine {
    let row = |id: u64, author: u64, title: &str| json!({ "id": id, "author_id": author, "title": title });
    let shown = ["id", "author_id", "title"];
    let tables = json!({ "articles": {
        "columns": { "id": "Int!", "author_id": "Int!", "title": "String!" },
        "rows": [row(1, 7, "Bicycles"), row(2, 8, "Helmets")],
        "roles": {
            "author": { "columns": shown, "filter": { "author_id": { "_eq": "X-Hasura-User-Id" } } },
            "reader": { "columns": ["id", "title"] },
        },
    } });
    TablesEngine::start(&tables.to_string())
}

fn start(upstream: &TablesEngine, handlers: &Scripted, config: &str) -> Setup {
    let config = format!("{}{ARTICLE}", config.trim_end());
    let setup = Setup::before(upstream.port).with_actions("before", handlers.port).config(&config);
    setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret")
}

fn jobs_ask_when_they_are_accepted_and_when_they_run(engines: &Engines) {
    let config = "
jobs: { initial_backoff: 50ms }
actions:
  export:
    before: 'query ($id: Int!) { rows: articles(where: {id: {_eq: $id}}) { title } }'
    require: { rows: there is no such article }
    send: rows
";
    for store in stores(engines, "before_jobs") {
        let _store = Store(store.clone());
        let (upstream, handlers) = (tables(), Scripted::start());
        handlers.on_path("/export", Reply::json(r#"{"text":"done"}"#));
        let pillion = start(&upstream, &handlers, config).env("PILLION_JOBS_STORE", &store).start().wait_until_ready();
        let denied = ask_as(&pillion, AUTHOR, "mutation { export(id: 2) }", &json!({}));
        assert_eq!(denied["errors"][0]["message"], "there is no such article", "{denied}");
        upstream.take_seen();
        let id = accept(&pillion, AUTHOR, "mutation { export(id: 1) }");
        let result = wait_for(&pillion, AUTHOR, "export", &id, "output { text }");
        assert_eq!(result["data"]["export"]["output"], json!({ "text": "done" }), "{result}");
        let seen = handlers.take_seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].json()["data"], json!({ "rows": [{ "title": "Bicycles" }] }));
        // First as the caller, then with the session that was stored.
        let asked = upstream.take_seen();
        let asked: Vec<&Value> =
            asked.as_array().expect("requests").iter().filter(|one| one["variables"] == json!({ "id": 1 })).collect();
        assert_eq!(asked.len(), 2, "{asked:?}");
        for one in asked {
            assert_eq!(
                (&one["headers"]["x-hasura-role"], &one["headers"]["x-hasura-user-id"]),
                (&json!("author"), &json!("7"))
            );
        }
    }
}

fn cached_responses_are_for_the_same_data(_: &Engines) {
    let (upstream, handlers) = (tables(), Scripted::start());
    handlers.on_path("/summary", Reply::json(r#"{"text":"ok"}"#));
    let config = "
actions:
  summary:
    before: 'query ($id: Int!, $me: String!) { rows: articles(where: {id: {_eq: $id}, title: {_neq: $me}}) { title } }'
    variables: { me: x-hasura-name }
    require: { author: [rows], reader: [], admin: {} }
    send: [rows]
    cache: { ttl: 60s, vary_by: [] }
";
    let pillion = start(&upstream, &handlers, config).start().wait_until_ready();
    let ask = |who: &[(&str, &str)]| {
        let response = ask_as(&pillion, who, "{ summary(id: 1) { text } }", &json!({}));
        (response["data"]["summary"]["text"].clone(), handlers.take_seen().len())
    };
    let named = |name: &'static str| [AUTHOR, &[("X-Hasura-Name", name)]].concat();
    assert_eq!(ask(&named("Ann")), (json!("ok"), 1));
    assert_eq!(ask(&named("Bob")), (json!("ok"), 0), "the same data");
    // Another author has the same key but for the rows: there are none, so a cached response is not for them.
    let other = [OTHER, &[("X-Hasura-Name", "Ann")]].concat();
    assert_eq!(ask(&other), (Value::Null, 0));
    // Of other data there is another response.
    let reader = |name: &'static str| [("X-Hasura-Role", "reader"), ("X-Hasura-User-Id", "9"), ("X-Hasura-Name", name)];
    assert_eq!(ask(&reader("Ann")), (json!("ok"), 1));
    assert_eq!(ask(&reader("Bicycles")), (json!("ok"), 1));
    assert_eq!(ask(&reader("Ann")), (json!("ok"), 0));
}

fn causes_are_in_the_log_and_in_metrics(_: &Engines) {
    let (upstream, handlers) = (Scripted::start(), Scripted::start());
    upstream.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    let config = "
dialect: standard
actions:
  summary:
    before: 'query ($id: Int!) { row: article(id: $id) { secret: title } }'
    require: [row]
    send: [row]
  article: { handler: none, before: '{ row }', respond: row }
";
    let pillion =
        Setup::before(upstream.port).with_actions("before", handlers.port).config(config).start().wait_until_ready();
    handlers.on_path("/summary", Reply::json(r#"{"text":"ok"}"#));
    let ask = |reply: Reply| {
        upstream.on_path("/graphql", reply);
        pillion.client().ask("{ summary(id: 1) { text } }").json()
    };
    let passed = ask(Reply::json(r#"{"data":{"row":{"secret":"s3cr3t-title"}}}"#));
    assert_eq!(passed["data"]["summary"]["text"], "ok", "{passed}");
    handlers.take_seen();
    ask(Reply::json(r#"{"data":{"row":null}}"#));
    pillion.wait_for_log(r#""error.kind":"permission_denied""#);
    ask(Reply::json(r#"{"errors":[{"message":"s3cr3t-error"}],"data":{"row":{"secret":"s3cr3t-title"}}}"#));
    pillion.wait_for_log(r#""error.kind":"before_failed""#);
    ask(Reply::Hang);
    pillion.wait_for_log(r#""error.kind":"timeout""#);
    ask(Reply::status(503, "{}"));
    pillion.wait_for_log(r#""error.kind":"http_status""#);
    ask(Reply::Huge(2 * 1024 * 1024));
    pillion.wait_for_log(r#""error.kind":"too_large""#);
    assert!(pillion.log().contains(r#""upstream.purpose":"before""#));
    assert!(handlers.take_seen().is_empty(), "a handler was called");
    let count = |outcome: &str| {
        pillion.metric(&format!(r#"pillion_before_calls_total{{action="summary",outcome="{outcome}"}}"#))
    };
    assert_eq!((count("passed"), count("denied"), count("failed")), (1.0, 1.0, 4.0));
    pillion.wait_until_nothing_is_held();
    assert!(!pillion.log().contains("s3cr3t"), "{}", pillion.log());
}

const WIDE: &str = "
actions:
  publish:
    before: |
      query ($id: Int!) {
        article: articles(where: {id: {_eq: $id}}) { title author_id }
      }
    require: { article: there is no such article }
    send: [article]
  notify:
    before: 'query ($id: Int!) { rows: articles(where: {id: {_eq: $id}}) { id } }'
    require: [rows]
    as: admin
  archive:
    before: '{ rows: articles { id } }'
    require: [rows]
";

fn pillion(arguments: &[&str], config: &str, upstream: &TablesEngine) -> Output {
    let folder =
        folder("before-commands", &[("pillion.yaml", config), ("document.graphql", "mutation { publish(id: 2) }")]);
    let metadata = repository().join("tests/fixtures/metadata/before").display().to_string();
    let url = format!("http://127.0.0.1:{}", upstream.port);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command
        .args(arguments)
        .args(["--metadata", &metadata, "--config", "pillion.yaml"])
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null());
    command.args(["--upstream", &url].iter().take(if arguments[0] == "actions" { 0 } else { 2 }));
    command.env("HANDLERS", "http://127.0.0.1:9").env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
    command.output().expect("pillion runs")
}

fn assert_says(output: &Output, status: i32, words: &[&str]) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
}

/// An action without a handler in metadata of its own needs one here.
const ARTICLE: &str = "
  article:
    handler: none
    before: 'query ($id: Int!) { row: no_tables articles(where: {id: {_eq: $id}}) { id } }'
    require: [articles]
    respond: row
";

fn commands_show_and_check_it(_: &Engines) {
    let upstream = tables();
    let config = format!("{}{ARTICLE}", WIDE.trim_end());
    assert_says(
        &pillion(&["check"], &config, &upstream),
        1,
        &[
            "pillion.yaml:6:60: error: as role \"reader\", the upstream would reject the query: Cannot query field \"author_id\"",
            "warning: before action 'notify' the upstream is asked as admin, which may see more than the caller",
            "warning: \"rows\" is required before action 'notify', and nothing in it depends on the caller",
            "warning: \"rows\" is required before action 'archive', and nothing in it depends on the caller",
            "warning: action 'notify' can be called without the argument of $id, and is rejected then",
        ],
    );
    let explained = pillion(&["explain", "document.graphql", "--role", "author"], &config, &upstream);
    assert_says(
        &explained,
        0,
        &[
            "before: the upstream is asked as the caller",
            "article: articles(where: {id: {_eq: $id}}) { title author_id }",
            "with {\"id\":2}",
            "required: article",
            "sent as data, beside input: article",
        ],
    );
    assert_says(
        &pillion(&["actions", "show", "notify"], &config, &upstream),
        0,
        &["before          query ($id: Int!)", "asked as        admin", "required        *: [\"rows\"]"],
    );
    assert_says(
        &pillion(&["actions", "show", "article"], &config, &upstream),
        0,
        &["none: its value is \"row\" of before"],
    );
}

fn a_reload_checks_the_schema_of_each_role(_: &Engines) {
    let (upstream, handlers) = (tables(), Scripted::start());
    handlers.on_path("/publish", Reply::json("true"));
    let good = WIDE.trim_end().replace(" author_id }", " }") + ARTICLE;
    let files = folder("before-reload", &[("pillion.yaml", &good)]);
    let file = files.join("pillion.yaml");
    let setup = Setup::before(upstream.port).with_actions("before", handlers.port);
    let setup = setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").flag("--config").flag(&file.display().to_string());
    let pillion: Pillion = setup.start().wait_until_ready();
    std::fs::write(&file, format!("{}{ARTICLE}", WIDE.trim_end())).expect("a file");
    wait_until("the rejection", || pillion.metric("pillion_config_last_reload_successful") == 0.0);
    pillion.wait_for_log("as role \\\"reader\\\", the upstream would reject the query");
    assert_eq!(ask_as(&pillion, AUTHOR, "mutation { publish(id: 1) }", &json!({}))["data"], json!({ "publish": true }));
    assert_eq!(handlers.take_seen()[0].json()["data"], json!({ "article": [{ "title": "Bicycles" }] }));
}

fn cases_of_pillion_test(_: &Engines) {
    let cases = "
role: author
session_variables: { user-id: 7 }
cases:
  - name: own
    query: 'mutation { publish(id: 1) }'
    upstream: { json: { data: { article: [{ title: A }] } } }
    handlers: { publish: { json: true } }
    handlers_saw: [{ action: publish, input: { id: 1 }, data: { article: [{ title: A }] } }]
    upstream_saw: [{ variables: { id: 1 } }]
    expect: { json: { data: { publish: true } } }
  - name: foreign
    query: 'mutation { publish(id: 2) }'
    upstream: { json: { data: { article: [] } } }
    handlers_saw: []
    expect: { contains: permission-denied }
";
    let config = format!("{}{ARTICLE}", WIDE.trim_end());
    let folder = folder("before-test", &[("pillion.yaml", &config), ("tests/before.yaml", cases)]);
    let metadata = repository().join("tests/fixtures/metadata/before").display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.args(["test", "tests/before.yaml", "--metadata", &metadata]).current_dir(folder);
    command.env_clear().env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").stdin(Stdio::null());
    assert_says(&command.output().expect("pillion runs"), 0, &["2 passed, 0 failed"]);
}
