//! The metadata API beyond single commands: what is written where, several replicas, and Hasura behind it.

use std::path::Path;
use std::time::{Duration, Instant};

use pillion_test_support::engines::Engines;
use pillion_test_support::pgbouncer::PgBouncer;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};
use serde_json::{Value, json};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    the_metadata_api_is_off_by_default,
    files_are_written_in_the_format_of_hasuras_tools,
    other_files_of_the_folder_are_preserved,
    interrupted_writes_are_completed,
    reload_metadata_reads_edited_files,
    unwritable_metadata_stores,
    replicas_share_a_database,
    a_hasura_export_includes_the_actions,
    a_bulk_with_commands_of_the_upstream,
    names_of_the_upstream_are_rejected,
    inconsistent_objects_stay_disabled,
    extension_fields_come_and_go_with_their_actions,
    inconsistent_objects_are_merged_into_one_list,
    replicas_with_different_environments,
    unauthenticated_commands_are_cheap,
    stored_documents_are_edited_in_place,
    stored_documents_without_an_action_reach_the_upstream,
    stored_documents_are_merged_and_split,
    replicas_share_stored_documents,
];

const SECRET: (&str, &str) = ("X-Hasura-Admin-Secret", "s3cret");

/// Sends a command as an admin: status and answer.
fn command(pillion: &Pillion, body: &Value) -> (u16, Value) {
    let (status, text) = command_text(pillion, body);
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn command_text(pillion: &Pillion, body: &Value) -> (u16, String) {
    let headers = [("Content-Type", "application/json"), SECRET];
    let answer = pillion.client().request("POST", "/v1/metadata", &headers, body.to_string().as_bytes());
    (answer.status(), answer.text())
}

fn ask(pillion: &Pillion, document: &str) -> Value {
    let body = json!({ "query": document }).to_string();
    let headers = [("Content-Type", "application/json"), SECRET];
    pillion.client().request("POST", "/graphql", &headers, body.as_bytes()).json()
}

fn setup(engine: u16, actions: &str, handlers: u16) -> Setup {
    let setup = Setup::before(engine).with_actions(actions, handlers).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
    setup.with_own_copy()
}

fn into_folder(engine: u16, actions: &str, handlers: u16) -> Setup {
    setup(engine, actions, handlers).flag("--metadata-api=folder")
}

fn create(name: &str) -> Value {
    let definition = json!({ "type": "query", "output_type": "Int", "handler": "{{HANDLERS}}/number" });
    json!({ "type": "create_action", "args": { "name": name, "definition": definition } })
}

fn done() -> (u16, Value) {
    (200, json!({ "message": "success" }))
}

fn the_metadata_api_is_off_by_default(engines: &Engines) {
    let pillion = setup(engines.postgraphile, "empty", 1).start().wait_until_ready();
    assert_eq!(command(&pillion, &create("mine")).0, 404);
}

fn files_are_written_in_the_format_of_hasuras_tools(engines: &Engines) {
    let pillion = into_folder(engines.postgraphile, "empty", 1).start().wait_until_ready();
    let folder = pillion.copy.clone().expect("a folder");
    let types = json!({
        "enums": [{ "name": "Tone", "values": [{ "value": "KIND", "description": "not \"rough\"" }] }],
        "input_objects": [{ "name": "In", "fields": [{ "name": "tone", "type": "Tone!" }] }],
        "objects": [{
            "name": "Out",
            "description": "What comes out",
            "fields": [{ "name": "id", "type": "Int!", "description": "Its number" }],
            "relationships": [{ "name": "row", "type": "object", "remote_table": "rows", "field_mapping": { "id": "id" } }],
        }],
        "scalars": [{ "name": "Money" }],
    });
    let action = json!({
        "name": "greet",
        "comment": "Says \"yes\": and more",
        "definition": {
            "kind": "synchronous",
            "type": "mutation",
            "handler": "{{HANDLERS}}/greet",
            "arguments": [{ "name": "in", "type": "[In!]!" }, { "name": "price", "type": "Money", "description": "how much" }],
            "output_type": "Out!",
            "headers": [{ "name": "x-key", "value_from_env": "HANDLERS" }, { "name": "x-on", "value": "yes" }],
            "forward_client_headers": true,
            "timeout": 10,
            "request_transform": {
                "version": 2,
                "template_engine": "Kriti",
                "body": { "action": "transform", "template": "{\n  \"a\": {{$body.input}}\n}" },
            },
        },
    });
    assert_eq!(command(&pillion, &json!({ "type": "set_custom_types", "args": types })), done());
    assert_eq!(command(&pillion, &json!({ "type": "create_action", "args": action })), done());
    let permission = json!({ "action": "greet", "role": "user", "comment": "all of them" });
    assert_eq!(command(&pillion, &json!({ "type": "create_action_permission", "args": permission })), done());
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    let wanted_graphql = r#"input In {
  tone: Tone!
}

type Out {
  "Its number"
  id: Int!
}

enum Tone {
  "not \"rough\""
  KIND
}

scalar Money

type Mutation {
  greet(
    in: [In!]!
    "how much"
    price: Money
  ): Out!
}
"#;
    assert_eq!(read("actions.graphql"), wanted_graphql);
    let wanted_yaml = r#"# Empty: commands of the metadata API create the actions.
actions:
  - name: greet
    definition:
      kind: synchronous
      handler: "{{HANDLERS}}/greet"
      headers:
        - name: x-key
          value_from_env: HANDLERS
        - name: x-on
          value: "yes"
      forward_client_headers: true
      timeout: 10
      request_transform:
        version: 2
        template_engine: Kriti
        body:
          action: transform
          template: |-
            {
              "a": {{$body.input}}
            }
    comment: "Says \"yes\": and more"
    permissions:
      - role: user
        comment: all of them
custom_types:
  enums:
    - name: Tone
  input_objects:
    - name: In
  objects:
    - name: Out
      description: What comes out
      relationships:
        - name: row
          type: object
          remote_table: rows
          field_mapping:
            id: id
  scalars:
    - name: Money
"#;
    assert_eq!(read("actions.yaml"), wanted_yaml);
    assert_eq!(names_in(&folder), ["actions.graphql", "actions.yaml"]);
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Every folder of the tests is rewritten by a command and says the same afterwards.
fn other_files_of_the_folder_are_preserved(engines: &Engines) {
    for actions in ["supplies", "rest", "hasura-sync", "relationships", "handlers"] {
        let engine = engines.postgraphile;
        let start = |setup: Setup| {
            let keys = ["KEY", "PAYMENTS", "API_KEY", "CRM_KEY", "ACTION_SECRET_ENV", "FORMER_KEY", "ACTION_SECRET"];
            let setup = keys.into_iter().fold(setup, |setup, name| setup.env(name, "http://127.0.0.1:1"));
            setup.flag("--dialect=standard").start()
        };
        let export = |pillion: &Pillion| command(pillion, &json!({ "type": "export_metadata", "args": {} }));
        let schema = |pillion: &Pillion| ask(pillion, ALL);
        let pillion = start(into_folder(engine, actions, 1)).wait_until_ready();
        let (before, seen_before) = (export(&pillion), schema(&pillion));
        assert_eq!(before.0, 200, "{actions}: {before:?}");
        assert_eq!(command(&pillion, &create("pillion_test")), done(), "{actions}");
        assert_eq!(command(&pillion, &json!({ "type": "drop_action", "args": { "name": "pillion_test" } })), done());
        assert_eq!(schema(&pillion), seen_before, "{actions}");
        let folder = pillion.copy.clone().expect("a folder");
        let mut again = into_folder(engine, actions, 1);
        std::fs::remove_dir_all(again.copy.as_ref().expect("a copy")).expect("it goes");
        copy(&folder, again.copy.as_ref().expect("a copy"));
        again.flags.retain(|flag| flag != "--metadata-api=folder");
        let again = start(again.flag("--metadata-api=folder")).wait_until_ready();
        let after = export(&again).1;
        for key in ["actions", "custom_types"] {
            for (number, wanted) in parts(&before.1[key]).iter().enumerate() {
                assert_eq!(parts(&after[key]).get(number), Some(wanted), "{actions}");
            }
        }
        assert_eq!(schema(&again), seen_before, "{actions}");
    }
}

/// The elements of a list, or of the lists of an object.
fn parts(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(lists) => lists.values().flat_map(parts).collect(),
        _ => Vec::new(),
    }
}

/// All that could get lost.
const ALL: &str = "{ __schema { types { name kind description enumValues { name description } inputFields { ...Input } \
                   fields { name description type { ...Type } args { ...Input } } } } } \
                   fragment Input on __InputValue { name description defaultValue type { ...Type } } \
                   fragment Type on __Type { name kind ofType { name kind ofType { name kind ofType { name kind } } } }";

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for name in names_in(from) {
        std::fs::copy(from.join(&name), to.join(&name)).expect("a copy");
    }
}

/// Somebody died after the new files had been made known.
fn interrupted_writes_are_completed(engines: &Engines) {
    let setup = into_folder(engines.postgraphile, "empty", 1);
    let folder = setup.copy.clone().expect("a folder");
    let (writing, written) = (folder.join(".pillion-writing"), folder.join(".pillion-written"));
    for folder in [&writing, &written] {
        std::fs::create_dir(folder).expect("a folder");
    }
    std::fs::write(writing.join("actions.yaml"), "half of it").expect("a file");
    std::fs::write(written.join("actions.graphql"), "type Query {\n  late: Int\n}\n").expect("a file");
    std::fs::write(written.join("actions.yaml"), "actions: [{name: late, definition: {handler: 'http://h/'}}]\n")
        .expect("a file");
    let pillion = setup.start().wait_until_ready();
    assert_eq!(names_in(&folder), ["actions.graphql", "actions.yaml"]);
    let exported = command(&pillion, &json!({ "type": "export_metadata", "args": {} })).1;
    assert_eq!(exported["actions"][0]["name"], json!("late"));
}

fn reload_metadata_reads_edited_files(engines: &Engines) {
    let pillion = into_folder(engines.postgraphile, "empty", 1).start().wait_until_ready();
    let folder = pillion.copy.clone().expect("a folder");
    let reload = || command(&pillion, &json!({ "type": "reload_metadata", "args": {} }));
    let known =
        || ask(&pillion, "{ hand }")["errors"][0]["message"] != json!("Cannot query field \"hand\" on type \"Query\".");
    let write = |handler: &str| {
        let definition = format!("{{type: query, output_type: Int, handler: '{handler}'}}");
        std::fs::write(
            folder.join("actions.yaml"),
            format!("actions:\n  - name: hand\n    definition: {definition}\n"),
        )
        .expect("a file");
    };
    write("http://127.0.0.1:1/");
    assert!(!known());
    assert_eq!(reload(), (200, json!({ "message": "success", "is_consistent": true })));
    assert!(known());
    // What is in use stays when the files cannot be used.
    write("{{NOWHERE}}/");
    let (status, answer) = reload();
    assert_eq!((status, &answer["is_consistent"]), (200, &json!(false)));
    assert_eq!(answer["inconsistent_objects"][0]["name"], json!("action hand"));
    assert!(known());
    std::fs::write(folder.join("actions.yaml"), "actions: [").expect("a file");
    let (status, answer) = reload();
    assert!(
        status == 500 && answer["error"].as_str().is_some_and(|text| text.contains("actions.yaml:2:1: error")),
        "{answer}"
    );
    assert!(known());
}

fn unwritable_metadata_stores(engines: &Engines) {
    let said = |setup: Setup| {
        let (status, said) = setup.start_in_vain();
        assert!(!status.success());
        said
    };
    let open = Setup::before(engines.postgraphile).with_actions("empty", 1).with_own_copy();
    let said_open = said(open.flag("--metadata-api=folder"));
    assert!(said_open.contains("without an admin secret everybody could change the metadata"), "{said_open}");
    let nowhere = Setup::before(engines.postgraphile).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
    let said_nowhere = said(nowhere.flag("--metadata-api=folder"));
    assert!(said_nowhere.contains("there is no metadata folder to write into"), "{said_nowhere}");
    let split = into_folder(engines.postgraphile, "empty", 1);
    let folder = split.copy.clone().expect("a folder").join("actions");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("more.yaml"), "actions: []\n").expect("a file");
    let said_split = said(split);
    assert!(said_split.contains("move what is in") && said_split.contains("more.yaml"), "{said_split}");
    let missing = setup(engines.postgraphile, "empty", 1).flag("--metadata-api=postgres");
    assert!(said(missing).contains("set PILLION_DATABASE_URL"));
    let dead = setup(engines.postgraphile, "empty", 1).flag("--metadata-api=postgres");
    let said_dead = said(dead.env("PILLION_DATABASE_URL", "postgres://user:c4nary@127.0.0.1:1/none"));
    assert!(said_dead.contains("the database cannot be used") && !said_dead.contains("c4nary"), "{said_dead}");
}

fn replicas_share_a_database(engines: &Engines) {
    share_metadata(engines, &engines.new_database("replicas"));
    let bouncer = PgBouncer::start(engines.database, 2);
    share_metadata(engines, &bouncer.url_of(&engines.new_database("pooled_replicas")));
}

fn share_metadata(engines: &Engines, url: &str) {
    let handlers = Scripted::start();
    handlers.on_path("/number", Reply::json("7"));
    let start = |actions: &str| {
        let setup = setup(engines.postgraphile, actions, handlers.port).flag("--metadata-api=postgres");
        setup.env("PILLION_DATABASE_URL", url).start().wait_until_ready()
    };
    // The first one brings its folder along, the second one's counts for nothing.
    let one = start("lookups");
    let other = start("empty");
    let export = |pillion: &Pillion| command(pillion, &json!({ "type": "export_metadata", "version": 2, "args": {} }));
    assert_eq!(export(&one), export(&other));
    assert_eq!(export(&one).1["metadata"]["actions"][0]["name"], json!("wishes"));
    assert_eq!(command(&one, &create("shared")), done());
    assert_eq!(ask(&one, "{ shared }"), json!({ "data": { "shared": 7 } }));
    let started = Instant::now();
    wait_until("the other replica's action", || ask(&other, "{ shared }")["data"]["shared"] == json!(7));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // Both change something at the same time, again and again: nothing is lost, and who is too late is told.
    let made: Vec<String> = std::thread::scope(|scope| {
        let threads = [(&one, "a"), (&other, "b")].map(|(pillion, letter)| {
            scope.spawn(move || {
                let mut made = Vec::new();
                for number in 0..10 {
                    let name = format!("{letter}{number}");
                    match command(pillion, &create(&name)) {
                        (200, _) => made.push(name),
                        (409, error) => assert_eq!(error["code"], json!("conflict")),
                        other => panic!("{other:?}"),
                    }
                }
                made
            })
        });
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
    });
    let names = |pillion: &Pillion| -> Vec<String> {
        let exported = export(pillion).1;
        let actions = exported["metadata"]["actions"].as_array().cloned().unwrap_or_default();
        actions.iter().filter_map(|action| action["name"].as_str().map(str::to_owned)).collect()
    };
    let kept = names(&one);
    assert_eq!(kept, names(&other));
    assert_eq!(kept.len(), 3 + made.len());
    assert!(made.len() >= 10 && made.iter().all(|name| kept.contains(name)), "{made:?} {kept:?}");
    // A third one finds it all.
    drop(one);
    assert_eq!(names(&start("empty")), kept);
}

/// Hasura cannot be run here: its GraphQL is a real upstream's, its metadata API says what it is told.
fn hasura() -> Scripted {
    let hasura = Scripted::start();
    hasura.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"query_root","__schema":{"queryType":{"name":"query_root"},"mutationType":null,"subscriptionType":null}}}"#));
    hasura
}

fn before_hasura(hasura: &Scripted) -> Pillion {
    let setup = into_folder(hasura.port, "lookups", 1).config("introspection: { mode: upstream }\n");
    setup.start().wait_until_ready()
}

fn a_hasura_export_includes_the_actions(_: &Engines) {
    let hasura = hasura();
    let pillion = before_hasura(&hasura);
    let own = r#""sources":[{"name":"default", "n":1.10,"tables":[]}]"#;
    let theirs = r#"{"name":"theirs","definition":{"handler":"http://t/"}},{"name":"wish","definition":{"handler":"http://old/"}}"#;
    let types = r#"{"objects":[{"name":"Theirs","fields":[]},{"name":"Wish","fields":[]}],"scalars":[{"name":"s"}]}"#;
    let metadata = format!(r#"{{"version":3,{own},"actions":[{theirs}],"custom_types":{types},"network":{{}}}}"#);
    hasura.on_path("/v1/metadata", Reply::json(&format!(r#"{{"resource_version":12,"metadata":{metadata}}}"#)));
    let (status, text) = command_text(&pillion, &json!({ "type": "export_metadata", "version": 2, "args": {} }));
    assert_eq!(status, 200);
    assert!(
        text.starts_with(&format!(r#"{{"resource_version":12,"metadata":{{"version":3,{own},"actions":["#)),
        "{text}"
    );
    assert!(text.ends_with(r#","network":{}}}"#), "{text}");
    let exported: Value = serde_json::from_str(&text).expect("JSON");
    let names = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(names(&exported["metadata"]["actions"]), ["theirs", "wishes", "wish"]);
    assert_eq!(exported["metadata"]["actions"][2]["definition"]["handler"], json!("{{HANDLERS}}/wish"));
    assert_eq!(names(&exported["metadata"]["custom_types"]["objects"]), ["Theirs", "Wish"]);
    assert_eq!(names(&exported["metadata"]["custom_types"]["scalars"]), ["s"]);
    // The first version has nothing around it.
    hasura.on_path("/v1/metadata", Reply::json(r#"{"version":3,"sources":[]}"#));
    let (_, bare) = command(&pillion, &json!({ "type": "export_metadata", "args": {} }));
    assert_eq!(names(&bare["actions"]), ["wishes", "wish"]);
    let seen = hasura.take_seen();
    let asked = seen.iter().find(|request| request.path() == "/v1/metadata").expect("a request");
    assert_eq!(asked.header("x-hasura-admin-secret"), Some("s3cret"));
}

fn a_bulk_with_commands_of_the_upstream(_: &Engines) {
    let hasura = hasura();
    let pillion = before_hasura(&hasura);
    let commands = |own: Value| {
        let track = |table: &str| json!({ "type": "pg_track_table", "args": { "table": table } });
        json!({ "type": "bulk", "args": [track("a"), own, track("b")] })
    };
    hasura.on_path("/v1/metadata", Reply::json(r#"[{"message":"success","n":1.0},{"message":"also"}]"#));
    let (status, text) = command_text(&pillion, &commands(create("mine")));
    assert_eq!(status, 200);
    assert_eq!(text, r#"[{"message":"success","n":1.0},{"message":"success"},{"message":"also"}]"#);
    let asked = |hasura: &Scripted| {
        let seen = hasura.take_seen();
        seen.into_iter().filter(|request| request.path() == "/v1/metadata").map(|one| one.json()).collect::<Vec<_>>()
    };
    let sent = asked(&hasura);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["args"].as_array().map(Vec::len), Some(2), "{sent:?}");
    // Hasura says no: nothing of ours stays, and the path is that of the client's request.
    hasura.on_path(
        "/v1/metadata",
        Reply::status(400, r#"{"path":"$.args[1].args","error":"no such table","code":"not-exists"}"#),
    );
    let (status, error) = command(&pillion, &commands(create("other")));
    assert_eq!(
        (status, error),
        (400, json!({ "path": "$.args[2].args", "error": "no such table", "code": "not-exists" }))
    );
    assert_eq!(command(&pillion, &json!({ "type": "drop_action", "args": { "name": "other" } })).0, 400);
    // We say no: Hasura is not asked.
    asked(&hasura);
    assert_eq!(command(&pillion, &commands(create("mine"))).0, 400);
    assert_eq!(asked(&hasura), Vec::<Value>::new());
    // A replacement goes to both, each with its own part.
    hasura.on_path("/v1/metadata", Reply::json(r#"{"is_consistent":true,"inconsistent_objects":[]}"#));
    let metadata =
        json!({ "version": 3, "sources": [{ "name": "s" }], "actions": [create("only")["args"]], "custom_types": {} });
    let replace =
        json!({ "type": "replace_metadata", "version": 2, "resource_version": 9, "args": { "metadata": metadata } });
    assert_eq!(command(&pillion, &replace), (200, json!({ "is_consistent": true, "inconsistent_objects": [] })));
    let wanted = json!({ "version": 3, "sources": [{ "name": "s" }] });
    let sent = asked(&hasura);
    assert_eq!((&sent[0]["args"]["metadata"], &sent[0]["resource_version"]), (&wanted, &json!(9)));
    assert_eq!(command(&pillion, &json!({ "type": "drop_action", "args": { "name": "only" } })), done());
    // What is no response of such an API changes nothing.
    hasura.on_path("/v1/metadata", Reply::status(404, "<html>"));
    assert_eq!(command(&pillion, &commands(create("late"))).0, 502);
    assert_eq!(command(&pillion, &json!({ "type": "drop_action", "args": { "name": "late" } })).0, 400);
}

fn names_of_the_upstream_are_rejected(engines: &Engines) {
    let pillion = into_folder(engines.postgraphile, "empty", 1).start().wait_until_ready();
    let (status, error) = command(&pillion, &create("allProducts"));
    assert_eq!((status, &error["code"]), (400, &json!("invalid-configuration")), "{error}");
    assert!(error["error"].as_str().is_some_and(|text| text.contains("allProducts")), "{error}");
    assert_eq!(command(&pillion, &create("mine")), done());
}

/// A project with an action that needs a variable, as Hasura's command line sends it.
fn apply(handler_variable: &str) -> Value {
    let action = |name: &str, handler: &str| {
        let handler = format!("{{{{{handler}}}}}/number");
        json!({ "name": name, "definition": { "kind": "", "type": "query", "handler": handler, "arguments": [], "output_type": "Int" } })
    };
    let actions = [action("fine", "HANDLERS"), action("later", handler_variable)];
    let types = json!({ "enums": [], "input_objects": [], "objects": [], "scalars": [] });
    let metadata = json!({ "version": 3, "sources": [], "actions": actions, "custom_types": types });
    let args = json!({ "allow_inconsistent_metadata": true, "metadata": metadata });
    json!({ "type": "replace_metadata", "version": 2, "args": args })
}

fn inconsistent_objects_stay_disabled(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/number", Reply::json("7"));
    let setup = || into_folder(engines.postgraphile, "empty", handlers.port);
    let pillion = setup().start().wait_until_ready();
    let folder = pillion.copy.clone().expect("a folder");
    let (status, answer) = command(&pillion, &apply("NOT_YET"));
    assert_eq!((status, &answer["is_consistent"]), (200, &json!(false)), "{answer}");
    assert_eq!(answer["inconsistent_objects"][0]["name"], json!("action later"));
    let fine = |pillion: &Pillion| assert_eq!(ask(pillion, "{ fine }"), json!({ "data": { "fine": 7 } }));
    fine(&pillion);
    pillion.wait_for_log("an inconsistent part of the metadata is not served");
    // The files are reloaded, because they have changed and because somebody asks for it.
    wait_until("a reload", || pillion.metric("pillion_config_reloads_total{outcome=\"success\"}") >= 1.0);
    let reload = |pillion: &Pillion| {
        let own = [("Content-Length", "0")];
        pillion_test_support::client::Client::admin(pillion.admin).request("POST", "/reload", &own, b"").status()
    };
    assert_eq!(reload(&pillion), 200);
    fine(&pillion);
    assert!(pillion.admin("/readyz?verbose").1.contains("not served: action \"later\": "));
    // Nobody has accepted what is written by hand.
    let (yaml, graphql) = (folder.join("actions.yaml"), folder.join("actions.graphql"));
    let before = (std::fs::read_to_string(&yaml).expect("a file"), std::fs::read_to_string(&graphql).expect("a file"));
    let by_hand =
        before.0.replace("custom_types:", "  - name: more\n    definition: {handler: '{{NOT_YET}}/'}\ncustom_types:");
    std::fs::write(&graphql, format!("{}type Query {{\n  more: Int\n}}\n", before.1)).expect("a file");
    std::fs::write(&yaml, by_hand).expect("a file");
    assert_eq!(reload(&pillion), 422);
    fine(&pillion);
    std::fs::write(&yaml, &before.0).and_then(|()| std::fs::write(&graphql, &before.1)).expect("the files");
    // The next start leaves it out as well, until it has its variable.
    let next = |variable: &str| {
        let again = setup();
        let place = again.copy.clone().expect("a copy");
        std::fs::remove_dir_all(&place).expect("it goes");
        copy(&folder, &place);
        again.env(variable, &format!("http://127.0.0.1:{}", handlers.port)).start().wait_until_ready()
    };
    let again = next("SOMETHING_ELSE");
    fine(&again);
    assert!(again.admin("/readyz?verbose").1.contains("metadata: inconsistent\n  not served: action \"later\": "));
    let complete = next("NOT_YET");
    assert_eq!(ask(&complete, "{ later }"), json!({ "data": { "later": 7 } }));
    assert!(complete.admin("/readyz?verbose").1.contains("metadata: consistent\n"));
}

/// Only `pillion.yaml` has them, so it does not stop the metadata from being built up.
fn extension_fields_come_and_go_with_their_actions(engines: &Engines) {
    let fields = "fields: { Product.mine: 'mine(id: $id)' }\n";
    let setup = into_folder(engines.postgraphile, "empty", 1).config(fields);
    let pillion = setup.start().wait_until_ready();
    let is_left_out = || {
        pillion
            .admin("/readyz?verbose")
            .1
            .contains(":1:25: the extension field \"Product.mine\" needs action 'mine', which does not exist")
    };
    assert!(is_left_out(), "{}", pillion.admin("/readyz?verbose").1);
    let arguments = |name: &str| json!([{ "name": name, "type": "Int!" }]);
    let create = |argument: &str| {
        let definition = json!({ "type": "query", "output_type": "Int", "handler": "{{HANDLERS}}/", "arguments": arguments(argument) });
        json!({ "type": "create_action", "args": { "name": "mine", "definition": definition } })
    };
    let get = json!({ "type": "get_inconsistent_metadata", "args": {} });
    let (_, answer) = command(&pillion, &get);
    let wanted = json!({
        "name": "extension field Product.mine",
        "type": "extension_field",
        "definition": { "field": "Product.mine" },
        "reason": "Inconsistent object: the extension field \"Product.mine\" needs action 'mine', which does not exist",
    });
    assert_eq!(answer["inconsistent_objects"], json!([wanted]));
    assert_eq!(command(&pillion, &create("id")), done());
    assert!(pillion.admin("/readyz?verbose").1.contains("metadata: consistent\n"));
    // An action that is needed stays, unless that is meant.
    let drop = json!({ "type": "drop_action", "args": { "name": "mine" } });
    let (status, answer) = command(&pillion, &drop);
    assert_eq!((status, &answer["error"]), (400, &json!("cannot continue due to inconsistent metadata")), "{answer}");
    assert_eq!(answer["internal"], json!([wanted]));
    let types = json!({ "enums": [], "input_objects": [], "objects": [], "scalars": [] });
    let metadata = json!({ "version": 3, "sources": [], "actions": [], "custom_types": types });
    let replace = |allowed: bool| {
        let args = json!({ "allow_inconsistent_metadata": allowed, "metadata": metadata });
        command(&pillion, &json!({ "type": "replace_metadata", "version": 2, "args": args }))
    };
    assert_eq!(replace(false).0, 400);
    let (status, answer) = replace(true);
    assert_eq!((status, &answer["inconsistent_objects"]), (200, &json!([wanted])), "{answer}");
    assert!(is_left_out());
    // One that does not go with the field is no better than none.
    let (status, answer) = command(&pillion, &create("no"));
    assert_eq!(status, 200, "{answer}");
    assert!(pillion.admin("/readyz?verbose").1.contains("action 'mine' has no argument \"id\""));
}

fn inconsistent_objects_are_merged_into_one_list(_: &Engines) {
    let hasura = hasura();
    let pillion = before_hasura(&hasura);
    let theirs = r#"{"is_consistent":false,"inconsistent_objects":[{"name":"table t", "n":1.0}]}"#;
    hasura.on_path("/v1/metadata", Reply::json(theirs));
    let get = json!({ "type": "get_inconsistent_metadata", "args": {} });
    // Its own response as it is, as long as ours is consistent.
    assert_eq!(command_text(&pillion, &get), (200, theirs.to_owned()));
    let names = |answer: &Value| -> Vec<Value> {
        let objects = answer["inconsistent_objects"].as_array().into_iter().flatten();
        objects.map(|object| object["name"].clone()).collect()
    };
    let (status, answer) = command(&pillion, &apply("NOT_YET"));
    assert_eq!((status, names(&answer)), (200, vec![json!("table t"), json!("action later")]), "{answer}");
    hasura.on_path("/v1/metadata", Reply::json(r#"{"is_consistent":true,"inconsistent_objects":[]}"#));
    let (_, answer) = command(&pillion, &get);
    assert_eq!((&answer["is_consistent"], names(&answer)), (&json!(false), vec![json!("action later")]));
    // Both drop their own.
    hasura.take_seen();
    hasura.on_path("/v1/metadata", Reply::json(r#"{"message":"success"}"#));
    assert_eq!(command(&pillion, &json!({ "type": "drop_inconsistent_metadata", "args": {} })), done());
    let asked = hasura.take_seen();
    assert!(asked.iter().any(|request| request.json()["type"] == "drop_inconsistent_metadata"));
    hasura.on_path("/v1/metadata", Reply::json(r#"{"is_consistent":true,"inconsistent_objects":[]}"#));
    assert_eq!(command(&pillion, &get).1, json!({ "is_consistent": true, "inconsistent_objects": [] }));
    // The preview is ours: Hasura is not asked.
    hasura.take_seen();
    let test = json!({ "type": "test_webhook_transform", "args": {
        "webhook_url": "http://127.0.0.1:1/", "body": { "a": 1 },
        "request_transform": { "version": 2, "template_engine": "Kriti", "method": "PUT" },
    }});
    let wanted = json!({ "webhook_url": "http://127.0.0.1:1/", "method": "PUT", "headers": [], "body": { "a": 1 } });
    assert_eq!(command(&pillion, &test), (200, wanted));
    assert!(hasura.take_seen().iter().all(|request| request.path() != "/v1/metadata"));
}

fn replicas_with_different_environments(engines: &Engines) {
    let url = engines.new_database("half_replicas");
    let handlers = Scripted::start();
    handlers.on_path("/number", Reply::json("7"));
    let start = |variable: &str| {
        let setup = setup(engines.postgraphile, "empty", handlers.port).flag("--metadata-api=postgres");
        let setup = setup.env("PILLION_DATABASE_URL", &url);
        setup.env(variable, &format!("http://127.0.0.1:{}", handlers.port)).start().wait_until_ready()
    };
    let (without, with) = (start("SOMETHING_ELSE"), start("NOT_YET"));
    assert_eq!(command(&without, &apply("NOT_YET")).1["is_consistent"], json!(false));
    wait_until("the other replica's action", || ask(&with, "{ later }")["data"]["later"] == json!(7));
    assert_eq!(ask(&without, "{ fine }"), json!({ "data": { "fine": 7 } }));
    assert!(ask(&without, "{ later }")["errors"].is_array());
    // A replica that starts later, and one that loads its configuration anew, are no worse.
    let third = start("SOMETHING_ELSE");
    assert_eq!(ask(&third, "{ fine }"), json!({ "data": { "fine": 7 } }));
}

/// What was 560 MiB: ten million bytes of keys from somebody unknown, and from a role that may not.
fn unauthenticated_commands_are_cheap(engines: &Engines) {
    let pillion = into_folder(engines.postgraphile, "empty", 1).start().wait_until_ready();
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pillion.process.0.id())).expect("its status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
        peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    };
    let members: Vec<String> = (0..400_000).map(|number| format!("\"{number:x}\":[1]")).collect();
    let large = format!("{{\"type\":\"run_sql\",\"args\":{{{}}}}}", members.join(","));
    let before = memory();
    let json = ("Content-Type", "application/json");
    for (headers, wanted) in [
        (vec![json], 401),
        (vec![json, ("X-Hasura-Admin-Secret", "wrong")], 401),
        // It is longer than what is taken even of an admin, and known to be so at once.
        (vec![json, SECRET, ("X-Hasura-Role", "user")], 413),
        (vec![json, SECRET], 413),
    ] {
        let mut client = pillion.client();
        client.stream().get_mut().set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
        assert_eq!(client.request("POST", "/v1/metadata", &headers, large.as_bytes()).status(), wanted, "{headers:?}");
    }
    assert!(memory() < before + 40, "{before} → {} MiB", memory());
    // What fits, from a role that may not, is looked through without being made into anything.
    let before = memory();
    let fits = large.get(..3_500_000).unwrap_or_default();
    let fits = format!("{}}}}}", fits.get(..fits.rfind(',').unwrap_or_default()).unwrap_or_default());
    let headers = [json, SECRET, ("X-Hasura-Role", "user")];
    let answer = pillion.client().request("POST", "/v1/metadata", &headers, fits.as_bytes());
    assert_eq!(answer.status(), 404, "the upstream has no such API: {}", answer.text());
    assert!(memory() < before + 40, "{before} → {} MiB", memory());
}

const COLLECTIONS: &str = "# Ours.
- name: shop # the app's
  definition:
    queries:
      # With care.
      - name: all
        query: |
          query All { wishes { note } }
";

fn add_query(collection: &str, name: &str, text: &str) -> Value {
    let args = json!({ "collection_name": collection, "query_name": name, "query": text });
    json!({ "type": "add_query_to_collection", "args": args })
}

fn create_endpoint(name: &str, collection: &str, query: &str) -> Value {
    let definition = json!({ "query": { "collection_name": collection, "query_name": query } });
    let args = json!({ "name": name, "url": name, "methods": ["GET"], "definition": definition });
    json!({ "type": "create_rest_endpoint", "args": args })
}

fn stored_documents_are_edited_in_place(engines: &Engines) {
    let setup = into_folder(engines.postgraphile, "lookups", 1);
    let folder = setup.copy.clone().expect("a folder");
    std::fs::write(folder.join("query_collections.yaml"), COLLECTIONS).expect("a file");
    let actions = std::fs::read_to_string(folder.join("actions.yaml")).expect("a file");
    let pillion = setup.start().wait_until_ready();
    assert_eq!(command(&pillion, &add_query("shop", "few", "{ wishes { note } }")), done());
    let allow = json!({ "type": "add_collection_to_allowlist", "args": { "collection": "shop" } });
    assert_eq!(command(&pillion, &allow), done());
    assert_eq!(command(&pillion, &create_endpoint("wishes", "shop", "few")), done());
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    let collections = format!("{COLLECTIONS}      - name: few\n        query: \"{{ wishes {{ note }} }}\"\n");
    assert_eq!(read("query_collections.yaml"), collections);
    assert_eq!(read("allow_list.yaml"), "- collection: shop\n  scope:\n    global: true\n");
    assert!(
        read("rest_endpoints.yaml").starts_with("- name: wishes\n  url: wishes\n"),
        "{}",
        read("rest_endpoints.yaml")
    );
    assert_eq!(read("actions.yaml"), actions);
    let forbid = json!({ "type": "drop_collection_from_allowlist", "args": { "collection": "shop" } });
    assert_eq!(command(&pillion, &forbid), done());
    assert_eq!(read("allow_list.yaml").trim(), "[]");
    // What commands would not write to is no place for them.
    let split = into_folder(engines.postgraphile, "empty", 1);
    let place = split.copy.clone().expect("a folder");
    std::fs::create_dir(place.join("metadata")).expect("a folder");
    std::fs::write(place.join("metadata").join("allow_list.yaml"), "[]\n").expect("a file");
    let (_, said) = split.start_in_vain();
    assert!(said.contains("move what is in") && said.contains("allow_list.yaml"), "{said}");
}

/// What Hasura has before.
const THEIRS: &str = r#"{"version":3,"sources":[],
    "query_collections":[{"name":"theirs","definition":{"queries":[{"name":"t","query":"{ t }"}]}}],
    "allowlist":[{"collection":"theirs","scope":{"global":false,"roles":["clerk"]}}],
    "rest_endpoints":[{"name":"t","url":"t","methods":["GET"],"definition":{"query":{"collection_name":"theirs","query_name":"t"}}}]}"#;

/// The commands that Hasura was sent, without the looks at what it has.
fn commands_for(hasura: &Scripted) -> Vec<Value> {
    let seen = hasura.take_seen();
    let commands = seen.into_iter().filter(|request| request.path() == "/v1/metadata").map(|one| one.json());
    commands.filter(|command| command["type"] != "export_metadata").collect()
}

fn stored_documents_without_an_action_reach_the_upstream(_: &Engines) {
    let hasura = hasura();
    let pillion = before_hasura(&hasura);
    hasura.on_word("\"export_metadata\"", Reply::json(THEIRS));
    hasura.on_path("/v1/metadata", Reply::json(r#"{"message":"success"}"#));
    let (plain, own) = ("{ products { id } }", "query Own { products { id } wishes { note } }");
    let queries = json!([{ "name": "plain", "query": plain }, { "name": "own", "query": own }]);
    let collect =
        json!({ "type": "create_query_collection", "args": { "name": "shop", "definition": { "queries": queries } } });
    hasura.take_seen();
    assert_eq!(command(&pillion, &collect), done());
    let wanted = json!({ "name": "shop", "definition": { "queries": [{ "name": "plain", "query": plain }] } });
    assert_eq!(commands_for(&hasura), [json!({ "type": "create_query_collection", "args": wanted })]);
    // Hasura has no such document, so it is not to know the endpoint.
    assert_eq!(command(&pillion, &create_endpoint("own", "shop", "own")), done());
    assert_eq!(commands_for(&hasura), Vec::<Value>::new());
    // Of what only Hasura has, it decides; names are taken all the same.
    let theirs = add_query("theirs", "more", plain);
    assert_eq!(command(&pillion, &theirs), done());
    assert_eq!(commands_for(&hasura), [theirs]);
    let (status, error) = command(&pillion, &create_endpoint("t", "shop", "own"));
    assert_eq!((status, &error["code"]), (400, &json!("already-exists")), "{error}");
    let (status, error) =
        command(&pillion, &json!({ "type": "drop_query_collection", "args": { "collection": "theirs" } }));
    assert_eq!((status, &error["code"]), (400, &json!("dependency-error")), "{error}");
    assert_eq!(commands_for(&hasura), Vec::<Value>::new());
    // A document with an action in their collection is ours, for the same callers.
    assert_eq!(command(&pillion, &add_query("theirs", "own", "{ wishes { note } }")), done());
    assert_eq!(commands_for(&hasura), Vec::<Value>::new());
    let folder = pillion.copy.clone().expect("a folder");
    let allowed = std::fs::read_to_string(folder.join("allow_list.yaml")).expect("a file");
    assert_eq!(allowed, "- collection: theirs\n  scope:\n    global: false\n    roles:\n      - clerk\n");
    // An action of the same request counts.
    hasura.on_path("/v1/metadata", Reply::json(r#"{"message":"success"}"#));
    let bulk = json!({ "type": "bulk", "args": [create("fresh"), add_query("shop", "fresh", "{ fresh }")] });
    assert_eq!(command(&pillion, &bulk).0, 200);
    assert_eq!(commands_for(&hasura), Vec::<Value>::new());
    // Hasura says no: nothing of ours stays.
    hasura.on_path("/v1/metadata", Reply::status(400, r#"{"path":"$.args","error":"no","code":"unexpected"}"#));
    let other =
        json!({ "type": "create_query_collection", "args": { "name": "other", "definition": { "queries": [] } } });
    assert_eq!(command(&pillion, &other), (400, json!({ "path": "$.args", "error": "no", "code": "unexpected" })));
    hasura.on_path("/v1/metadata", Reply::json(r#"{"message":"success"}"#));
    assert_eq!(command(&pillion, &other), done());
    // An upstream of which nothing can be learned is no reason to guess.
    hasura.on_word("\"export_metadata\"", Reply::status(500, "<html>"));
    assert_eq!(command(&pillion, &create_endpoint("late", "shop", "plain")).0, 502);
}

fn stored_documents_are_merged_and_split(_: &Engines) {
    let hasura = hasura();
    let pillion = before_hasura(&hasura);
    hasura.on_word("\"export_metadata\"", Reply::json(THEIRS));
    hasura.on_path("/v1/metadata", Reply::json(r#"{"is_consistent":true,"inconsistent_objects":[]}"#));
    let query = |name: &str, text: &str| json!({ "name": name, "query": text });
    let (plain, own) = (query("plain", "{ products { id } }"), query("own", "{ wishes { note } }"));
    let endpoint = |name: &str, query: &str| create_endpoint(name, "shop", query)["args"].clone();
    let collection = |queries: Value| json!([{ "name": "shop", "definition": { "queries": queries } }]);
    let allowed = json!([{ "collection": "shop", "scope": { "global": true } }]);
    let actions = [
        json!({ "name": "wishes", "definition": { "type": "query", "output_type": "[Wish!]", "handler": "{{HANDLERS}}/wishes" } }),
    ];
    let types = json!({ "objects": [{ "name": "Wish", "fields": [{ "name": "note", "type": "String" }] }] });
    let metadata = json!({
        "version": 3, "sources": [], "actions": actions, "custom_types": types,
        "query_collections": collection(json!([plain, own])), "allowlist": allowed,
        "rest_endpoints": [endpoint("p", "plain"), endpoint("o", "own")],
    });
    hasura.take_seen();
    let replace = json!({ "type": "replace_metadata", "version": 2, "args": { "metadata": metadata } });
    assert_eq!(command(&pillion, &replace).0, 200);
    let sent = commands_for(&hasura);
    let wanted = json!({
        "version": 3, "sources": [], "query_collections": collection(json!([plain])), "allowlist": allowed,
        "rest_endpoints": [endpoint("p", "plain")],
    });
    assert_eq!(sent[0]["args"]["metadata"], wanted, "{sent:?}");
    let (_, exported) = command(&pillion, &json!({ "type": "export_metadata", "args": {} }));
    let names = |key: &str, name: &str| -> Vec<Value> {
        exported[key].as_array().into_iter().flatten().map(|one| one[name].clone()).collect()
    };
    assert_eq!(names("query_collections", "name"), ["theirs", "shop"]);
    assert_eq!(names("allowlist", "collection"), ["theirs", "shop"]);
    assert_eq!(names("rest_endpoints", "name"), ["t", "p", "o"]);
    assert_eq!(exported["query_collections"][1]["definition"]["queries"], json!([plain, own]));
    // Both forget theirs.
    hasura.on_path("/v1/metadata", Reply::json(r#"{"message":"success"}"#));
    assert_eq!(command(&pillion, &json!({ "type": "clear_metadata", "args": {} })), done());
    assert_eq!(commands_for(&hasura), [json!({ "type": "clear_metadata", "args": {} })]);
    hasura.on_word("\"export_metadata\"", Reply::json(r#"{"version":3,"sources":[]}"#));
    let (_, exported) = command(&pillion, &json!({ "type": "export_metadata", "args": {} }));
    assert_eq!(exported, json!({ "version": 3, "sources": [] }));
}

fn replicas_share_stored_documents(engines: &Engines) {
    let url = engines.new_database("stored_documents");
    let handlers = Scripted::start();
    handlers.on_path("/number", Reply::json("7"));
    let start = |actions: &str| {
        let setup = setup(engines.postgraphile, actions, handlers.port).flag("--metadata-api=postgres");
        let setup = setup.config("dialect: hasura\ndocuments: { only: actions }\n");
        setup.env("PILLION_DATABASE_URL", &url).start().wait_until_ready()
    };
    let (one, other) = (start("empty"), start("empty"));
    let ask_as = |pillion: &Pillion| {
        let headers = [("Content-Type", "application/json"), SECRET, ("X-Hasura-Role", "user")];
        pillion.client().request("POST", "/graphql", &headers, br#"{"query":"{ shared }"}"#).json()
    };
    let rest = |pillion: &Pillion| pillion.client().request("GET", "/api/rest/shared", &[SECRET], b"").status();
    let permit = json!({ "type": "create_action_permission", "args": { "action": "shared", "role": "user" } });
    let queries = json!([{ "name": "q", "query": "{ shared }" }]);
    let collect =
        json!({ "type": "create_query_collection", "args": { "name": "c", "definition": { "queries": queries } } });
    for own in [create("shared"), permit, collect, create_endpoint("shared", "c", "q")] {
        assert_eq!(command(&one, &own), done(), "{own}");
    }
    assert_eq!(ask_as(&one)["errors"][0]["message"], "query is not allowed");
    wait_until("the other replica's endpoint", || rest(&other) == 200);
    let allow = json!({ "type": "add_collection_to_allowlist", "args": { "collection": "c" } });
    assert_eq!(command(&one, &allow), done());
    wait_until("the other replica's allow list", || ask_as(&other)["data"]["shared"] == json!(7));
    // A third one finds it all, and keeps it when it reloads its configuration.
    let third = start("rest-endpoints");
    let is_complete = || {
        assert_eq!(ask_as(&third)["data"]["shared"], json!(7));
        assert_eq!(rest(&third), 200);
        assert_eq!(third.client().request("GET", "/api/rest/quotes/CH", &[SECRET], b"").status(), 404);
    };
    is_complete();
    let own = [("Content-Length", "0")];
    let reload = pillion_test_support::client::Client::admin(third.admin).request("POST", "/reload", &own, b"");
    assert_eq!(reload.status(), 200);
    is_complete();
}
