//! Asynchronous actions: Hasura's cases, and that nothing is lost, on both stores.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pillion_test_support::client::Client;
use pillion_test_support::engines::{Engines, OwnPostgres, TablesEngine};
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{library, trials, wait_until};
use serde_json::{Value, json};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    hasuras_cases,
    results_are_for_their_callers,
    only_headers_of_the_handler_are_stored,
    failed_jobs_are_retried_as_configured,
    the_reason_of_the_last_attempt_is_shown_to_operators,
    jobs_complete_by_callback,
    late_completions_are_rejected,
    jobs_survive_a_kill,
    replicas_share_the_work,
    a_worker_past_its_lease_is_fenced,
    a_job_of_a_dead_replica_is_claimed_within_15_s,
    leases_are_renewed_together,
    the_jobs_command_needs_the_store_only,
    running_jobs_are_released_at_shutdown,
    a_job_store_that_is_unavailable,
    no_job_id_when_the_store_is_full,
    no_job_id_before_the_job_is_on_disk,
    one_of_two_replicas_dies,
    replicas_start_together,
    unusable_job_stores,
    commands_and_the_metadata_api,
];

/// A store of each kind that nobody else uses.
pub fn stores(engines: &Engines, name: &str) -> [String; 2] {
    let file = temp_folder().join(format!("{name}.db"));
    remove(&file.display().to_string());
    [format!("sqlite://{}", file.display()), engines.new_database(name)]
}

fn remove(path: &str) {
    for ending in ["", "-wal", "-shm", ".lock"] {
        let _ = std::fs::remove_file(format!("{path}{ending}"));
    }
}

/// Removes the file of a store, if it is one.
pub struct Store(pub String);

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(path) = self.0.strip_prefix("sqlite://") {
            remove(path);
        }
    }
}

/// The actions of Hasura's own tests for asynchronous actions.
pub fn setup(engine: u16, handlers: &Scripted, store: &str) -> Setup {
    let setup = Setup::before(engine).with_actions("hasura-async", handlers.port);
    setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").env("PILLION_JOBS_STORE", store)
}

/// Starts it in Hasura's dialect.
pub fn start(engine: u16, handlers: &Scripted, store: &str, config: &str) -> Pillion {
    setup(engine, handlers, store).config(&format!("dialect: hasura\n{config}")).start().wait_until_ready()
}

/// The admin's headers, but for the secret.
pub const ADMIN: &[(&str, &str)] = &[];
const USER: &[(&str, &str)] = &[("X-Hasura-Role", "user"), ("X-Hasura-User-Id", "1")];
const OTHER: &[(&str, &str)] = &[("X-Hasura-Role", "user"), ("X-Hasura-User-Id", "2")];

/// Asks with the admin secret and these headers.
pub fn ask_as(pillion: &Pillion, headers: &[(&str, &str)], query: &str, variables: &Value) -> Value {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let own = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", "s3cret")];
    pillion.client().request("POST", "/graphql", &[&own, headers].concat(), body.as_bytes()).json()
}

/// What a field of the upstream's gives that no other test changes.
fn upstream_field(pillion: &Pillion) -> Value {
    ask_as(pillion, ADMIN, "{ productById(id: 1) { name } }", &json!({}))["data"].take()
}

/// Sends a mutation of one action and gives the id that it answers.
pub fn accept(pillion: &Pillion, headers: &[(&str, &str)], mutation: &str) -> String {
    let answer = ask_as(pillion, headers, mutation, &json!({}));
    let id = answer["data"].as_object().and_then(|data| data.values().next()).and_then(Value::as_str);
    id.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// What is selected of a job.
fn look(pillion: &Pillion, headers: &[(&str, &str)], action: &str, id: &str, selection: &str) -> Value {
    let query = format!("query ($id: uuid!) {{ {action}(id: $id) {{ {selection} }} }}");
    ask_as(pillion, headers, &query, &json!({ "id": id }))
}

/// Waits for the end of a call, and gives what is selected of it.
pub fn wait_for(pillion: &Pillion, headers: &[(&str, &str)], action: &str, id: &str, selection: &str) -> Value {
    let has_ended = || {
        let seen = look(pillion, headers, action, id, "errors output { __typename }");
        let call = &seen["data"][action];
        !call["errors"].is_null() || !call["output"].is_null()
    };
    wait_until("the end of a call", has_ended);
    look(pillion, headers, action, id, selection)
}

const CREATE: &str = r#"mutation { create_user(email: "clarke@hasura.io", name: "Clarke") }"#;

fn hasuras_cases(engines: &Engines) {
    for store in stores(engines, "hasura_async") {
        let _store = Store(store.clone());
        let handlers = Scripted::start();
        let row =
            |id: u64, name: &str, email: &str| json!({ "id": id, "name": name, "email": email, "is_admin": false });
        let columns = json!({ "id": "Int!", "name": "String!", "email": "String!", "is_admin": "Boolean!" });
        let rows = [row(1, "Clarke", "clarke@hasura.io"), row(2, "notClarke", "foo@bar.com")];
        let tables = json!({ "user": { "columns": columns, "rows": rows } });
        let engine = TablesEngine::start(&tables.to_string());
        let pillion = start(engine.port, &handlers, &store, "");
        let user = "__typename id output { __typename id user { __typename name email is_admin } }";

        // test_create_user_fail
        let message = "Given email address is not valid";
        let rejection = json!({ "message": message, "code": "invalid-email" }).to_string();
        handlers.on_path("/create-user", Reply::status(400, &rejection));
        let id = accept(&pillion, ADMIN, r#"mutation { create_user(email: "random-email", name: "Clarke") }"#);
        let errors = json!({ "code": "invalid-email", "path": "$", "error": message });
        let wanted = json!({ "data": { "create_user": { "id": id, "errors": errors } } });
        assert_eq!(wait_for(&pillion, ADMIN, "create_user", &id, "id errors"), wanted);

        // test_async_actions_error_response_user_role, test_async_actions_error_response_admin_role
        let action = "test_async_action_error_response";
        handlers.on_path("/invalid-response", Reply::json("some-string without quotes"));
        let id = accept(&pillion, &USER[..1], &format!("mutation {{ {action} }}"));
        let errors = json!({ "code": "unexpected", "path": "$", "error": "not a valid json response from webhook" });
        let wanted = json!({ "data": { action: { "id": id, "errors": errors } } });
        assert_eq!(wait_for(&pillion, &USER[..1], action, &id, "id errors"), wanted);
        let id = accept(&pillion, ADMIN, &format!("mutation {{ {action} }}"));
        let errors = &wait_for(&pillion, ADMIN, action, &id, "id errors")["data"][action]["errors"];
        assert!(errors["internal"]["request"].is_object(), "{errors}");

        // A list of errors: the first of them as Hasura has it, and all of them.
        let list = r#"{"errors":[{"message":"a","path":["name"],"code":"x"},{"message":"b"}]}"#;
        handlers.on_path("/invalid-response", Reply::status(400, list));
        let id = accept(&pillion, &USER[..1], &format!("mutation {{ {action} }}"));
        let list = json!([
            { "message": "a", "path": ["name"], "extensions": { "path": "$", "code": "x" } },
            { "message": "b", "path": [], "extensions": { "path": "$", "code": "unexpected" } },
        ]);
        let errors = json!({ "code": "x", "path": "$", "error": "a", "errors": list });
        let wanted = json!({ "data": { action: { "id": id, "errors": errors } } });
        assert_eq!(wait_for(&pillion, &USER[..1], action, &id, "id errors"), wanted);

        // test_create_user_success
        handlers.on_path("/create-user", Reply::json(r#"{"id":1}"#));
        let id = accept(&pillion, ADMIN, CREATE);
        let clarke = json!({ "__typename": "user", "name": "Clarke", "email": "clarke@hasura.io", "is_admin": false });
        let output = json!({ "__typename": "UserId", "id": 1, "user": clarke });
        let wanted = json!({ "data": { "create_user": { "__typename": "create_user", "id": id, "output": output } } });
        assert_eq!(wait_for(&pillion, ADMIN, "create_user", &id, user), wanted);

        // test_create_user_roles
        let id = accept(&pillion, USER, r#"mutation { create_user(email: "blake@hasura.io", name: "Blake") }"#);
        let wanted = json!({ "data": { "create_user": { "id": id, "output": { "id": 1 } } } });
        assert_eq!(wait_for(&pillion, USER, "create_user", &id, "id output { id }"), wanted);
        let others = look(&pillion, OTHER, "create_user", &id, "id output { id }");
        assert_eq!(others, json!({ "data": { "create_user": null } }));

        // test_create_user_transformed_success
        handlers.on_path("/create-user", Reply::json(r#"{"id":2}"#));
        handlers.take_seen();
        let id =
            accept(&pillion, ADMIN, r#"mutation { create_user_transformed(email: "c@hasura.io", name: "Clarke") }"#);
        let seen = wait_for(&pillion, ADMIN, "create_user_transformed", &id, user);
        let row = &seen["data"]["create_user_transformed"]["output"]["user"];
        assert_eq!((&row["name"], &row["email"]), (&json!("notClarke"), &json!("foo@bar.com")), "{seen}");
        assert_eq!(handlers.take_seen()[0].json()["input"], json!({ "email": "foo@bar.com", "name": "notClarke" }));

        // test_create_user_nested_success
        handlers.on_path("/create-user-nested", Reply::json(r#"{"userObj":{"id":1}}"#));
        let id = accept(&pillion, ADMIN, r#"mutation { create_user_nested(email: "c@hasura.io", name: "Clarke") }"#);
        let selection = "__typename id output { __typename userObj { __typename id } }";
        let inner = json!({ "__typename": "UserIdObj", "id": 1 });
        let output = json!({ "__typename": "UserIdNested", "userObj": inner });
        let call = json!({ "__typename": "create_user_nested", "id": id, "output": output });
        let wanted = json!({ "data": { "create_user_nested": call } });
        assert_eq!(wait_for(&pillion, ADMIN, "create_user_nested", &id, selection), wanted);

        // test_action_timeout_fail
        let late = Reply::Late(Duration::from_secs(3), Box::new(Reply::json(r#"{"id":1}"#)));
        handlers.on_path("/create-user-timeout", late);
        let id = accept(&pillion, ADMIN, r#"mutation { create_user_timeout(email: "random-email", name: "Clarke") }"#);
        let seen = wait_for(&pillion, ADMIN, "create_user_timeout", &id, "id errors");
        let internal = &seen["data"]["create_user_timeout"]["errors"]["internal"];
        assert_eq!(internal["error"]["message"], json!("Response timeout"));
        assert_eq!(internal["reason"]["kind"], json!("timeout"));
        assert_eq!(internal["request"]["url"], json!("{{HANDLERS}}/create-user-timeout"));
    }
}

fn results_are_for_their_callers(engines: &Engines) {
    let [store, _] = stores(engines, "visible");
    let _store = Store(store.clone());
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json(r#"[{"id":1,"secret":"not declared"}]"#));
    let pillion = start(engines.postgraphile, &handlers, &store, "");
    let id = accept(&pillion, USER, "mutation { later(number: 1) }");
    let seen = wait_for(&pillion, USER, "later", &id, "created_at errors o: output { number: id }");
    let call = &seen["data"]["later"];
    assert_eq!((&call["o"], &call["errors"]), (&json!([{ "number": 1 }]), &Value::Null), "{seen}");
    let created = call["created_at"].as_str().expect("a time");
    assert!(created.starts_with("20") && created.ends_with("+00:00") && created.contains('T'), "{created}");
    let nothing = json!({ "data": { "later": null } });
    let guessed = "00000000-0000-4000-8000-000000000000";
    for (headers, id) in [(OTHER, id.as_str()), (&USER[..1], &id), (USER, guessed)] {
        assert_eq!(look(&pillion, headers, "later", id, "id"), nothing, "{headers:?}");
    }
    // Another action's id is none of this one's.
    assert_eq!(look(&pillion, USER, "create_user", &id, "id"), json!({ "data": { "create_user": null } }));
    assert_eq!(look(&pillion, ADMIN, "later", &id, "id")["data"]["later"]["id"], json!(id));
    let wrong = look(&pillion, USER, "later", "7", "id");
    assert_eq!(wrong["errors"][0]["extensions"]["code"], json!("data-exception"), "{wrong}");
}

/// The row of a call as the store has it.
fn stored(store: &str, id: &str) -> Value {
    let output = jobs(store, &["show", id]);
    serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}"))
}

/// Runs `pillion jobs`.
fn jobs(store: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.arg("jobs").args(arguments).env_clear().env("PILLION_JOBS_STORE", store);
    let output = command.output().expect("pillion runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn only_headers_of_the_handler_are_stored(engines: &Engines) {
    for store in stores(engines, "kept_headers") {
        let _store = Store(store.clone());
        let handlers = Scripted::start();
        let pillion = start(engines.postgraphile, &handlers, &store, "");
        handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
        let headers =
            [USER, &[("Cookie", "c=1"), ("Accept-Language", "de"), ("X-Mine", "2"), ("User-Agent", "u")]].concat();
        let id = accept(
            &pillion,
            &headers,
            "mutation { later(number: 12345678901) @skip(if: false) }".replace("12345678901", "7").as_str(),
        );
        wait_for(&pillion, &headers[..2], "later", &id, "id");
        let seen = handlers.take_seen();
        let call = seen.first().expect("a call");
        assert_eq!(call.header("idempotency-key"), Some(id.as_str()));
        assert_eq!((call.header("cookie"), call.header("x-mine")), (Some("c=1"), Some("2")));
        assert_eq!((call.header("accept-language"), call.header("x-forwarded-user-agent")), (None, Some("u")));
        assert_eq!(call.json()["input"], json!({ "number": 7 }));
        assert_eq!(call.json()["session_variables"], json!({ "x-hasura-role": "user", "x-hasura-user-id": "1" }));
        assert!(call.json()["request_query"].as_str().is_some_and(|query| query.starts_with("mutation { later")));
        // Once it has ended, the client's headers are nowhere.
        if let Some(path) = store.strip_prefix("sqlite://") {
            drop(pillion);
            let bytes =
                [std::fs::read(path).unwrap_or_default(), std::fs::read(format!("{path}-wal")).unwrap_or_default()];
            assert!(!bytes[0].windows(3).any(|window| window == b"c=1"), "the file holds a cookie");
        }
        let row = stored(&store, &id);
        assert_eq!((&row["status"], &row["attempts"]), (&json!("completed"), &json!(1)), "{row}");
    }
}

/// Clients see no errors before a job has ended.
fn the_reason_of_the_last_attempt_is_shown_to_operators(engines: &Engines) {
    let config = "jobs: { max_attempts: 3, initial_backoff: 1h }\n";
    for store in stores(engines, "reasons") {
        let _store = Store(store.clone());
        let handlers = Scripted::start();
        let pillion = start(engines.postgraphile, &handlers, &store, config);
        handlers.on_path("/later", Reply::Close);
        let id = accept(&pillion, ADMIN, "mutation { later(number: 1) }");
        let shown = || Client::admin(pillion.admin).request("GET", &format!("/jobs/{id}"), &[], b"").json();
        wait_until("the end of an attempt", || !shown()["errors"].is_null());
        let job = shown();
        assert_eq!(job["status"], json!("created"), "{job}");
        assert_eq!(job["errors"]["internal"]["reason"]["kind"], json!("connection_closed"), "{job}");
        pillion.wait_for_log("\"error.kind\":\"connection_closed\"");
        let seen = look(&pillion, ADMIN, "later", &id, "errors");
        assert_eq!(seen["data"]["later"]["errors"], Value::Null, "{seen}");
    }
}

fn failed_jobs_are_retried_as_configured(engines: &Engines) {
    let config = "jobs: { max_attempts: 3, initial_backoff: 50ms }\nactions: { create_user: { max_attempts: 1 } }\n";
    for store in stores(engines, "retries") {
        let _store = Store(store.clone());
        let handlers = Scripted::start();
        let pillion = start(engines.postgraphile, &handlers, &store, config);
        // 5xx, three times.
        handlers.on_path("/later", Reply::status(503, "{}"));
        let id = accept(&pillion, ADMIN, "mutation { later(number: 1) }");
        let seen = wait_for(&pillion, USER_OR_ADMIN, "later", &id, "errors");
        assert_eq!(seen["data"]["later"]["errors"]["error"], json!("internal error"), "{seen}");
        let calls = handlers.take_seen();
        assert_eq!(calls.len(), 3);
        let keys: HashSet<_> = calls.iter().map(|call| call.header("idempotency-key")).collect();
        assert_eq!(keys, HashSet::from([Some(id.as_str())]));
        // A handler that comes back is called again.
        handlers.on_path("/later", Reply::Close);
        let id = accept(&pillion, ADMIN, "mutation { later(number: 2) }");
        wait_until("the first attempt", || !handlers.take_seen().is_empty());
        handlers.on_path("/later", Reply::json(r#"[{"id":2}]"#));
        let seen = wait_for(&pillion, ADMIN, "later", &id, "output { id }");
        assert_eq!(seen["data"]["later"]["output"], json!([{ "id": 2 }]));
        // 4xx is the handler's word, and one action has one attempt only.
        handlers.take_seen();
        handlers.on_path("/later", Reply::status(400, r#"{"message":"no"}"#));
        let id = accept(&pillion, ADMIN, "mutation { later(number: 3) }");
        let seen = wait_for(&pillion, ADMIN, "later", &id, "errors");
        assert_eq!(seen["data"]["later"]["errors"], json!({ "code": "unexpected", "path": "$", "error": "no" }));
        handlers.on_path("/create-user", Reply::status(500, "{}"));
        let id = accept(&pillion, ADMIN, CREATE);
        wait_for(&pillion, ADMIN, "create_user", &id, "errors");
        assert_eq!(handlers.take_seen().len(), 2);
        // 429 says when.
        let headers = vec![("Retry-After".to_owned(), "1".to_owned())];
        handlers.on_path("/later", Reply::Answer { status: 429, headers, body: b"{}".to_vec() });
        let id = accept(&pillion, ADMIN, "mutation { later(number: 4) }");
        wait_until("the first attempt", || !handlers.take_seen().is_empty());
        handlers.on_path("/later", Reply::json("[]"));
        assert_eq!(stored(&store, &id)["failures"], json!(1));
        let seen = wait_for(&pillion, ADMIN, "later", &id, "output { id } errors");
        assert_eq!(seen["data"]["later"], json!({ "output": [], "errors": null }), "{seen}");
    }
}

const USER_OR_ADMIN: &[(&str, &str)] = ADMIN;

fn jobs_complete_by_callback(engines: &Engines) {
    for store in stores(engines, "reports") {
        let _store = Store(store.clone());
        let handlers = Scripted::start();
        let pillion = start(engines.postgraphile, &handlers, &store, "jobs: { completion_timeout: 3s }\n");
        let left = Reply::Answer { status: 202, headers: Vec::new(), body: Vec::new() };
        handlers.on_path("/later", left);
        // Accepts a call and gives its id with the token that its handler got.
        let begin = || {
            handlers.take_seen();
            let id = accept(&pillion, USER, "mutation { later(number: 1) }");
            let mut seen = Vec::new();
            wait_until("the handler's call", || {
                seen.extend(handlers.take_seen());
                !seen.is_empty()
            });
            let token = seen[0].header("x-pillion-completion-token").expect("a token").to_owned();
            (id, token)
        };
        let report = |id: &str, verb: &str, token: &str, body: &str| {
            let path = format!("/v1/actions/{id}/{verb}");
            let headers = [("X-Pillion-Completion-Token", token)];
            let answer = pillion.client().request("POST", &path, &headers, body.as_bytes());
            (answer.status(), answer.json())
        };
        let (id, token) = begin();
        assert_eq!(
            look(&pillion, USER, "later", &id, "errors output { id }")["data"]["later"],
            json!({ "errors": null, "output": null })
        );
        let unknown = json!({ "error": "no call of this id waits for a report with this token", "path": "$", "code": "not-found" });
        assert_eq!(report(&id, "complete", "wrong", "[]"), (404, unknown.clone()));
        assert_eq!(report("7", "complete", &token, "[]"), (404, unknown.clone()));
        wait_until("that it is left to the handler", || report(&id, "complete", &token, "{").0 == 400);
        let unfit =
            json!({ "error": "expecting array for the action webhook response", "path": "$", "code": "parse-failed" });
        assert_eq!(report(&id, "complete", &token, "7"), (400, unfit));
        assert_eq!(report(&id, "complete", &token, r#"[{"id":9}]"#), (200, json!({ "message": "success" })));
        assert_eq!(report(&id, "complete", &token, r#"[{"id":8}]"#), (404, unknown.clone()));
        assert_eq!(
            look(&pillion, USER, "later", &id, "output { id }")["data"]["later"]["output"],
            json!([{ "id": 9 }])
        );
        // An error, said in either way.
        for verb in ["complete", "fail"] {
            let (id, token) = begin();
            let body = r#"{"message":"lost","extensions":{"code":"gone"}}"#;
            wait_until("that the report is taken", || report(&id, verb, &token, body).0 == 200);
            let errors = &look(&pillion, USER, "later", &id, "errors")["data"]["later"]["errors"];
            assert_eq!(*errors, json!({ "code": "gone", "path": "$", "error": "lost" }));
        }
        // Nobody reports in time.
        let (id, token) = begin();
        let seen = wait_for(&pillion, USER, "later", &id, "errors");
        assert_eq!(seen["data"]["later"]["errors"]["error"], json!("the handler did not report its result in time"));
        assert_eq!(report(&id, "complete", &token, "[]"), (404, unknown));
        // A body is a response, whatever its status says.
        handlers.on_path("/later", Reply::status(202, r#"[{"id":3}]"#));
        let id = accept(&pillion, USER, "mutation { later(number: 1) }");
        assert_eq!(
            wait_for(&pillion, USER, "later", &id, "output { id }")["data"]["later"]["output"],
            json!([{ "id": 3 }])
        );
    }
}

fn late_completions_are_rejected(engines: &Engines) {
    for store in stores(engines, "deadline") {
        let _store = Store(store.clone());
        let handlers = Scripted::start();
        handlers.on_path("/later", Reply::json("[]"));
        // Nobody runs anything here.
        let pillion =
            start(engines.postgraphile, &handlers, &store, "jobs: { start_deadline: 1s, poll_interval: 0 }\n");
        let id = accept(&pillion, ADMIN, "mutation { later(number: 1) }");
        let seen = wait_for(&pillion, ADMIN, "later", &id, "errors output { id }");
        let errors = json!({ "code": "expired", "path": "$", "error": "the action was not begun before its deadline" });
        assert_eq!(seen["data"]["later"], json!({ "errors": errors, "output": null }));
        assert_eq!(handlers.take_seen().len(), 0);
    }
}

/// Small; `make chaos` has the same for long.
fn jobs_survive_a_kill(engines: &Engines) {
    let (rounds, calls) = match std::env::var("PILLION_CHAOS_ROUNDS") {
        Ok(rounds) => (rounds.parse().expect("a number"), 50),
        Err(_) => (4, 25),
    };
    for store in stores(engines, "killed") {
        let _store = Store(store.clone());
        let handlers = Scripted::start();
        handlers.on_path("/later", Reply::Late(Duration::from_millis(20), Box::new(Reply::json(r#"[{"id":1}]"#))));
        let config = "jobs: { lease_duration: 1s }\n";
        let mut ids = Vec::new();
        for round in 0..rounds {
            let mut pillion = start(engines.postgraphile, &handlers, &store, config);
            let first = AtomicBool::new(false);
            let accepted = std::thread::scope(|scope| {
                let accept = || accept_until_it_dies(pillion.port, calls / 4, &first);
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(accept)).collect();
                wait_until("an accepted call", || first.load(Ordering::Relaxed));
                std::thread::sleep(Duration::from_millis(37 * (round % 7)));
                pillion.signal("KILL");
                threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect::<Vec<_>>()
            });
            ids.extend(accepted);
            let _ = pillion.process.0.wait();
        }
        assert!(!ids.is_empty());
        let pillion = start(engines.postgraphile, &handlers, &store, config);
        let mut seen: HashMap<String, usize> = HashMap::new();
        for id in &ids {
            let answer = wait_for(&pillion, ADMIN, "later", id, "errors output { id }");
            assert_eq!(answer["data"]["later"]["output"], json!([{ "id": 1 }]), "{answer}");
        }
        for call in handlers.take_seen() {
            *seen.entry(call.header("idempotency-key").unwrap_or_default().to_owned()).or_default() += 1;
        }
        let missing: Vec<_> = ids.iter().filter(|id| !seen.contains_key(*id)).collect();
        assert!(missing.is_empty(), "never delivered: {missing:?}");
    }
}

/// By four clients of each port.
fn accept_many(ports: &[u16], calls: usize) -> Vec<String> {
    std::thread::scope(|scope| {
        let clients = ports.iter().flat_map(|port| [*port; 4]);
        let each = calls / ports.len() / 4;
        let accept = move |port| accept_until_it_dies(port, each, &AtomicBool::new(false));
        let threads: Vec<_> = clients.map(|port| scope.spawn(move || accept(port))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
    })
}

fn one_of_two_replicas_dies(engines: &Engines) {
    let [_, store] = stores(engines, "one_dies");
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::Late(Duration::from_millis(5), Box::new(Reply::json(r#"[{"id":1}]"#))));
    let config = "jobs: { lease_duration: 5s, max_concurrency_per_action: 10 }\n";
    let [dies, lives] = [(); 2].map(|()| start(engines.postgraphile, &handlers, &store, config));
    let ids = std::thread::scope(|scope| {
        let accepted = scope.spawn(|| accept_many(&[lives.port], many(320)));
        let worked = r#"pillion_job_attempts_total{action="later",outcome="completed"}"#;
        wait_until("some work of both", || dies.metric(worked) > 9.0);
        dies.signal("KILL");
        accepted.join().expect("a thread")
    });
    assert_eq!(ids.len(), many(320));
    for id in &ids {
        let answer = wait_for(&lives, ADMIN, "later", id, "errors output { id }");
        assert_eq!(answer["data"]["later"]["output"], json!([{ "id": 1 }]), "{answer}");
    }
    let mut calls: HashMap<String, usize> = HashMap::new();
    for call in handlers.take_seen() {
        *calls.entry(call.header("idempotency-key").unwrap_or_default().to_owned()).or_default() += 1;
    }
    assert_eq!(calls.keys().cloned().collect::<HashSet<_>>(), ids.into_iter().collect::<HashSet<_>>());
    // What the dead one had under way, and nothing else, was called again.
    assert!(calls.values().all(|count| *count <= 2), "{calls:?}");
    assert!(calls.values().filter(|count| **count == 2).count() <= 10, "{calls:?}");
}

/// Sets `first` once a call has been accepted.
fn accept_until_it_dies(port: u16, count: usize, first: &AtomicBool) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let body = json!({ "query": "mutation { later(number: 1) }" }).to_string();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nX-Hasura-Admin-Secret: s3cret\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { break };
        let mut client = Client::over(stream);
        client.send(head.as_bytes());
        let Some(answer) = client.read_response() else { break };
        let Some(id) = answer.json()["data"]["later"].as_str().map(str::to_owned) else { break };
        ids.push(id);
        first.store(true, Ordering::Relaxed);
    }
    ids
}

/// How many in a small test; `make chaos` says how many in a long one.
pub fn many(calls: usize) -> usize {
    std::env::var("PILLION_CHAOS_CALLS").map_or(calls, |calls| calls.parse().expect("a number"))
}

fn replicas_share_the_work(engines: &Engines) {
    let [_, store] = stores(engines, "shared_work");
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
    let replicas = [(); 2].map(|()| start(engines.postgraphile, &handlers, &store, ""));
    let calls = many(320);
    let ids = accept_many(&[replicas[0].port, replicas[1].port], calls);
    assert_eq!(ids.len(), calls);
    for id in &ids {
        wait_for(&replicas[0], ADMIN, "later", id, "id");
    }
    let keys: Vec<String> =
        handlers.take_seen().iter().filter_map(|call| call.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(keys.len(), calls, "some were delivered twice");
    assert_eq!(keys.into_iter().collect::<HashSet<_>>(), ids.into_iter().collect::<HashSet<_>>());
    let worked =
        |pillion: &Pillion| pillion.metric(r#"pillion_job_attempts_total{action="later",outcome="completed"}"#);
    assert!(replicas.iter().all(|pillion| worked(pillion) > 0.0), "one replica did it all");
}

/// With nothing configured but the store.
fn a_job_of_a_dead_replica_is_claimed_within_15_s(engines: &Engines) {
    let [_, store] = stores(engines, "takeover");
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::Hang);
    let mut dies = start(engines.postgraphile, &handlers, &store, "");
    let id = accept(&dies, ADMIN, "mutation { later(number: 1) }");
    wait_until("the first call", || !handlers.take_seen().is_empty());
    // Renewed meanwhile, so that it cannot be taken over because the first lease is over.
    let lives = start(engines.postgraphile, &handlers, &store, "");
    std::thread::sleep(Duration::from_secs(5));
    handlers.on_path("/later", Reply::json(r#"[{"id":2}]"#));
    dies.signal("KILL");
    let _ = dies.process.0.wait();
    let died = Instant::now();
    let seen = wait_for(&lives, ADMIN, "later", &id, "output { id }");
    assert_eq!(seen["data"]["later"]["output"], json!([{ "id": 2 }]));
    assert!(died.elapsed() < Duration::from_secs(15), "{:?}", died.elapsed());
    assert_eq!(stored(&store, &id)["attempts"], json!(2));
}

/// A call that takes longer than its lease stays with its replica.
fn leases_are_renewed_together(engines: &Engines) {
    for store in stores(engines, "renewed") {
        let _store = Store(store.clone());
        let handlers = Scripted::start();
        handlers.on_path("/later", Reply::Late(Duration::from_secs(4), Box::new(Reply::json(r#"[{"id":1}]"#))));
        let pillion = start(engines.postgraphile, &handlers, &store, "jobs: { lease_duration: 1s }\n");
        let ids: Vec<String> = (0..8).map(|_| accept(&pillion, ADMIN, "mutation { later(number: 1) }")).collect();
        for id in &ids {
            let seen = wait_for(&pillion, ADMIN, "later", id, "output { id }");
            assert_eq!(seen["data"]["later"]["output"], json!([{ "id": 1 }]));
            assert_eq!(stored(&store, id)["attempts"], json!(1));
        }
        assert_eq!(handlers.take_seen().len(), ids.len());
    }
}

fn a_worker_past_its_lease_is_fenced(engines: &Engines) {
    let [_, store] = stores(engines, "sleeper");
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::Late(Duration::from_secs(1), Box::new(Reply::json(r#"[{"id":1}]"#))));
    let config = "jobs: { lease_duration: 1s }\n";
    let sleeper = start(engines.postgraphile, &handlers, &store, config);
    let id = accept(&sleeper, ADMIN, "mutation { later(number: 1) }");
    wait_until("the first call", || !handlers.take_seen().is_empty());
    sleeper.signal("STOP");
    handlers.on_path("/later", Reply::json(r#"[{"id":2}]"#));
    let other = start(engines.postgraphile, &handlers, &store, config);
    let seen = wait_for(&other, ADMIN, "later", &id, "output { id }");
    sleeper.signal("CONT");
    wait_until("that the sleeper is told", || sleeper.log().contains("taken over") || sleeper.log().contains("stale"));
    assert_eq!(seen["data"]["later"]["output"], json!([{ "id": 2 }]));
    assert_eq!(look(&other, ADMIN, "later", &id, "output { id }"), seen);
    assert_eq!(stored(&store, &id)["attempts"], json!(2));
}

fn running_jobs_are_released_at_shutdown(engines: &Engines) {
    for store in stores(engines, "given_back") {
        let _store = Store(store.clone());
        let handlers = Scripted::start();
        handlers.on_path("/later", Reply::Hang);
        handlers.on_path("/create-user", Reply::Late(Duration::from_secs(1), Box::new(Reply::json(r#"{"id":1}"#))));
        let mut pillion = start(engines.postgraphile, &handlers, &store, "shutdown_timeout: 3s\n");
        let hangs = accept(&pillion, ADMIN, "mutation { later(number: 1) }");
        let ends = accept(&pillion, ADMIN, CREATE);
        wait_until("both calls", || pillion.metric("pillion_handler_calls_in_flight") > 1.0);
        pillion.signal("TERM");
        wait_until("the end of pillion", || pillion.process.0.try_wait().is_ok_and(|status| status.is_some()));
        assert_eq!(stored(&store, &ends)["status"], json!("completed"));
        let row = stored(&store, &hangs);
        assert_eq!((&row["status"], &row["attempts"]), (&json!("created"), &json!(0)), "{row}");
        // The next start runs it at once.
        handlers.on_path("/later", Reply::json("[]"));
        let pillion = start(engines.postgraphile, &handlers, &store, "");
        assert_eq!(wait_for(&pillion, ADMIN, "later", &hangs, "output { id }")["data"]["later"]["output"], json!([]));
    }
}

fn a_job_store_that_is_unavailable(engines: &Engines) {
    let database = OwnPostgres::start("jobs");
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
    let pillion = start(engines.postgraphile, &handlers, &database.url(), "");
    let first = accept(&pillion, ADMIN, "mutation { later(number: 1) }");
    wait_for(&pillion, ADMIN, "later", &first, "id");
    database.stop();
    pillion.wait_for_log("\"job store unavailable, retrying\"");
    let answer = ask_as(&pillion, ADMIN, "mutation { later(number: 2) }", &json!({}));
    let message = "the action could not be stored and will not run; try again later";
    assert_eq!(answer["errors"][0]["message"], json!(message), "{answer}");
    let answer = look(&pillion, ADMIN, "later", &first, "id");
    assert_eq!(answer["errors"][0]["message"], json!("the result of the action cannot be looked up; try again later"));
    // Whatever needs no store goes on.
    assert_eq!(upstream_field(&pillion), json!({ "productById": { "name": "City bicycle" } }));
    database.start_again();
    let mut second = None;
    wait_until("that calls are stored again", || {
        let answer = ask_as(&pillion, ADMIN, "mutation { later(number: 3) }", &json!({}));
        second = answer["data"]["later"].as_str().map(str::to_owned);
        second.is_some()
    });
    wait_for(&pillion, ADMIN, "later", &second.expect("an id"), "id");
    pillion.wait_for_log("\"job store available again\"");
    assert!(!pillion.whole_log("TERM").contains(&database.url()));
}

/// A disk that is full.
fn no_job_id_when_the_store_is_full(engines: &Engines) {
    let folder = temp_folder().join("small-disk");
    let _ = std::fs::create_dir(&folder);
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
    let store = format!("sqlite://{}/jobs.db", folder.display());
    let config = "dialect: hasura\njobs: { lease_duration: 1s }\n";
    let setup = setup(engines.postgraphile, &handlers, &store).config(config).with_small_disk(&folder);
    let pillion = setup.start().wait_until_ready();
    let mut ids = vec![accept(&pillion, ADMIN, "mutation { later(number: 1) }")];
    wait_for(&pillion, ADMIN, "later", &ids[0], "output { id }");
    let disk = format!("/proc/{}/root{}", pillion.process.0.id(), folder.display());
    let ballast = format!("{disk}/ballast");
    let fill = || {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&ballast).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
    };
    // What was written once can be written over, so there may be room for some more.
    let mut rejection = None;
    wait_until("a full disk", || {
        fill();
        let answer = ask_as(&pillion, ADMIN, "mutation { later(number: 1) }", &json!({}));
        match answer["data"]["later"].as_str() {
            Some(id) => ids.push(id.to_owned()),
            None => rejection = Some(answer),
        }
        rejection.is_some()
    });
    let rejection = rejection.expect("a rejection").to_string();
    assert!(rejection.contains("errors") && !rejection.contains("disk"), "{rejection}");
    pillion.wait_for_log("full");
    // Everything else goes on.
    let found = look(&pillion, ADMIN, "later", &ids[0], "output { id }");
    assert_eq!(found["data"]["later"]["output"], json!([{ "id": 1 }]), "{found}");
    assert_eq!(upstream_field(&pillion), json!({ "productById": { "name": "City bicycle" } }));
    std::fs::remove_file(&ballast).expect("room");
    ids.push(accept(&pillion, ADMIN, "mutation { later(number: 1) }"));
    for id in &ids {
        let answer = wait_for(&pillion, ADMIN, "later", id, "errors output { id }");
        assert_eq!(answer["data"]["later"]["output"], json!([{ "id": 1 }]), "{answer}");
    }
    drop(pillion);
    let _ = std::fs::remove_dir(&folder);
}

/// Every call that writes to the disk, flushes it or cuts a file fails once; `make chaos` goes through all of them.
fn no_job_id_before_the_job_is_on_disk(engines: &Engines) {
    let folder = temp_folder().join("faulty");
    let _ = std::fs::create_dir(&folder);
    let (library, file) = (library("faulty.c"), folder.join("faulty.db"));
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
    let store = format!("sqlite://{}", file.display());
    let config = "dialect: hasura\njobs: { lease_duration: 1s }\n";
    let faults: Vec<usize> = if many(0) == 0 { (3..=60).step_by(8).collect() } else { (1..=400).collect() };
    let mut were_hit = 0;
    for fault in faults {
        remove(&file.display().to_string());
        let setup = || setup(engines.postgraphile, &handlers, &store).config(config);
        let faulty = setup().env("LD_PRELOAD", &library.0.display().to_string()).env("FAULT_AT", &fault.to_string());
        let (mut ids, log) = match faulty.try_start() {
            Err(log) => (Vec::new(), log),
            Ok(pillion) => {
                let pillion = pillion.wait_until_ready();
                let ids = (0..6).filter_map(|_| {
                    let answer = ask_as(&pillion, ADMIN, "mutation { later(number: 1) }", &json!({}));
                    answer["data"]["later"].as_str().map(str::to_owned)
                });
                let ids: Vec<String> = ids.collect();
                (ids, pillion.whole_log("KILL"))
            }
        };
        let pillion = setup().start().wait_until_ready();
        ids.push(accept(&pillion, ADMIN, "mutation { later(number: 1) }"));
        for id in &ids {
            let answer = wait_for(&pillion, ADMIN, "later", id, "errors output { id }");
            assert_eq!(answer["data"]["later"]["output"], json!([{ "id": 1 }]), "fault {fault}: {answer}\n{log}");
        }
        let is_hit = log.contains("faulty.db") && log.contains(" fails");
        were_hit += usize::from(is_hit);
        if !is_hit {
            break;
        }
    }
    assert!(were_hit > 3, "{were_hit} faults");
    let _ = std::fs::remove_dir_all(&folder);
}

/// On an empty database, and one of them is killed on the way.
fn replicas_start_together(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
    let rounds: u64 = if many(0) == 0 { 3 } else { 50 };
    for round in 0..rounds {
        let store = engines.new_database(&format!("together_{round}"));
        let setup = || setup(engines.postgraphile, &handlers, &store).config("dialect: hasura\n");
        let started: Vec<Pillion> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| setup().try_start())).collect();
            let killed = scope.spawn(|| {
                let mut process = setup().spawn();
                std::thread::sleep(Duration::from_millis(20 + 7 * round));
                let _ = process.0.kill();
            });
            killed.join().expect("a thread");
            let started = threads.into_iter().map(|thread| thread.join().expect("a thread"));
            started.map(|started| started.unwrap_or_else(|said| panic!("{said}"))).collect()
        });
        for pillion in started {
            let pillion = pillion.wait_until_ready();
            let id = accept(&pillion, ADMIN, "mutation { later(number: 1) }");
            wait_for(&pillion, ADMIN, "later", &id, "id");
        }
    }
}

fn unusable_job_stores(engines: &Engines) {
    let handlers = Scripted::start();
    let said = |store: &str| setup(engines.postgraphile, &handlers, store).start_in_vain().1;
    let folder = temp_folder().join("bad-stores");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("a folder");
    let path = |name: &str| format!("sqlite://{}/{name}", folder.display());
    assert!(said(&path("missing/jobs.db")).contains("No such file"), "{}", said(&path("missing/jobs.db")));
    std::fs::write(folder.join("broken.db"), "this is not a database, but it is long enough to be one ".repeat(40))
        .expect("a file");
    assert!(said(&path("broken.db")).contains("not a database"));
    assert!(said("mysql://c4nary@host/db").contains("this is not the address of a store"));
    assert!(!said("mysql://c4nary@host/db").contains("c4nary"));
    let first = start(engines.postgraphile, &handlers, &path("used.db"), "");
    let used = said(&path("used.db"));
    assert!(used.contains("is in use by another process; end that one, or give this one a file of its own"), "{used}");
    drop(first);
    let dead = said("postgres://user:c4nary@127.0.0.1:1/none");
    assert!(dead.contains("the database cannot be used") && !dead.contains("c4nary"), "{dead}");
    std::fs::remove_dir_all(&folder).expect("the folder");
}

fn the_jobs_command_needs_the_store_only(engines: &Engines) {
    let folder = temp_folder().join("jobs-command");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("a folder");
    let jobs_with = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        command.arg("jobs").args(arguments).env_clear().envs(environment.iter().copied()).current_dir(&folder);
        let output = command.output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let jobs = |arguments: &[&str]| jobs_with(arguments, &[]);
    let (is_well, said) = jobs(&["list"]);
    assert!(!is_well && said.contains("error: no job store at pillion-jobs.db"), "{said}");
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 0, "nothing is made");
    // Nor in a database, where none is.
    let [_, database] = stores(engines, "no_store");
    for _ in 0..2 {
        let (is_well, said) = jobs_with(&["list"], &[("PILLION_JOBS_STORE", &database)]);
        assert!(!is_well && said.contains("error: no job store at postgres://"), "{said}");
    }
    // A configuration with actions whose secrets are not here, relationships, and no upstream.
    let store = folder.join("used.db");
    let handlers = Scripted::start();
    let store_url = format!("sqlite://{}", store.display());
    let pillion = start(engines.postgraphile, &handlers, &store_url, "");
    let id = accept(&pillion, ADMIN, "mutation { later(number: 1) }");
    let config = format!(
        "jobs: {{ store: '{store_url}' }}\nmetadata: nowhere\nrelationships: {{ Order.customer: 'customerById(id: $id)' }}\n"
    );
    std::fs::write(folder.join("pillion.yaml"), config).expect("a file");
    let (is_well, said) = jobs(&["list", "--config", "pillion.yaml", "--older-than", "0s"]);
    assert!(is_well && said.contains(&id), "{said}");
    std::fs::write(folder.join("pillion.yaml"), "jobs: { store: nowhere }\n").expect("a file");
    let (is_well, said) = jobs(&["list", "--config", "pillion.yaml"]);
    assert!(!is_well && said.contains("this is not the address of a store"), "{said}");
    drop(pillion);
    let _ = std::fs::remove_dir_all(&folder);
}

fn commands_and_the_metadata_api(engines: &Engines) {
    for store in stores(engines, "commands") {
        let _store = Store(store.clone());
        let handlers = Scripted::start();
        handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
        handlers.on_path("/create-user", Reply::status(500, "{}"));
        let setup = setup(engines.postgraphile, &handlers, &store).with_own_copy().flag("--metadata-api=folder");
        let pillion = setup.config("dialect: hasura\njobs: { start_deadline: 1h }\n").start().wait_until_ready();
        let done = accept(&pillion, ADMIN, "mutation { later(number: 1) }");
        wait_for(&pillion, ADMIN, "later", &done, "id");
        let broken = accept(&pillion, ADMIN, CREATE);
        wait_for(&pillion, ADMIN, "create_user", &broken, "id");
        let listed = |arguments: &[&str]| {
            let text = jobs(&store, &[&["list"], arguments].concat());
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{text}")))
                .collect::<Vec<_>>()
        };
        assert_eq!(listed(&[]).len(), 2);
        let failed = listed(&["--status=error"]);
        assert_eq!((failed.len(), &failed[0]["id"], &failed[0]["action"]), (1, &json!(broken), &json!("create_user")));
        assert_eq!(listed(&["--action=later", "--older-than=1h"]).len(), 0);
        assert_eq!(stored(&store, &done)["response"], json!([{ "id": 1 }]));
        // Mended, and run again.
        handlers.on_path("/create-user", Reply::json(r#"{"id":5}"#));
        assert_eq!(jobs(&store, &["retry", &broken]), "it runs again\n");
        wait_until("that it has run again", || stored(&store, &broken)["status"] == json!("completed"));
        assert!(jobs(&store, &["cancel", &broken]).contains("no job of this id is under way"));
        // One attempt failed, and one did not.
        assert_eq!(stored(&store, &broken)["attempts"], json!(2));
        // It has a result now, which nobody deletes by mistake.
        let said = jobs(&store, &["retry", &broken]);
        assert!(said.contains("this job is completed") && said.contains("add --force"), "{said}");
        assert_eq!(stored(&store, &broken)["response"], json!({ "id": 5 }));
        handlers.on_path("/create-user", Reply::json(r#"{"id":6}"#));
        assert_eq!(jobs(&store, &["retry", "--force", &broken]), "it runs again\n");
        wait_until("its third attempt", || stored(&store, &broken)["response"] == json!({ "id": 6 }));
        assert_eq!(stored(&store, &broken)["attempts"], json!(3));
        handlers.on_path("/later", Reply::Hang);
        let hangs = accept(&pillion, ADMIN, "mutation { later(number: 2) }");
        assert_eq!(jobs(&store, &["cancel", &hangs]), "it is cancelled\n");
        let seen = look(&pillion, ADMIN, "later", &hangs, "errors")["data"]["later"]["errors"].clone();
        assert_eq!(seen["code"], json!("cancelled"));
        assert_eq!(jobs(&store, &["purge", "--action=create_user"]), "1 deleted\n");
        assert_eq!(listed(&[]).len(), 2);
        // The same over HTTP.
        let admin = |method: &str, path: &str| {
            let answer = Client::admin(pillion.admin).request(method, path, &[], b"");
            (answer.status(), answer.json())
        };
        let (status, all) = admin("GET", "/jobs?status=completed&limit=5");
        assert_eq!((status, all.as_array().map(Vec::len), &all[0]["id"]), (200, Some(1), &json!(done)));
        assert_eq!(admin("GET", &format!("/jobs/{done}")).1["response"], json!([{ "id": 1 }]));
        assert_eq!(admin("POST", &format!("/jobs/{done}/cancel")).0, 404);
        let (status, conflict) = admin("POST", &format!("/jobs/{done}/retry"));
        assert!(
            status == 409 && conflict["error"].as_str().is_some_and(|why| why.contains("?force=true")),
            "{conflict}"
        );
        assert_eq!(admin("POST", &format!("/jobs/{done}/retry?force=yes")).0, 400);
        assert_eq!(admin("GET", &format!("/jobs/{done}")).1["attempts"], json!(1));
        assert_eq!(admin("POST", &format!("/jobs/{hangs}/retry")).0, 200);
        assert_eq!(admin("POST", &format!("/jobs/{hangs}/cancel")).0, 200);
        assert_eq!(admin("POST", "/jobs/purge?action=create_user"), (200, json!({ "deleted": 0 })));
        for (method, path) in [("GET", "/jobs?colour=red"), ("GET", "/jobs?status=red"), ("GET", "/jobs/7")] {
            assert_eq!(admin(method, path).0, 400, "{path}");
        }
        assert_eq!(admin("POST", &format!("/jobs/{done}/eat")).0, 404);
        // Whoever drops an action drops its calls, unless they say otherwise.
        let drop_action = |body: Value| {
            let headers = [("X-Hasura-Admin-Secret", "s3cret"), ("Content-Type", "application/json")];
            let answer = pillion.client().request("POST", "/v1/metadata", &headers, body.to_string().as_bytes());
            assert_eq!(answer.status(), 200, "{}", answer.text());
        };
        drop_action(json!({ "type": "drop_action", "args": { "name": "create_user", "clear_data": false } }));
        assert_eq!(listed(&[]).len(), 2);
        drop_action(json!({ "type": "drop_action", "args": { "name": "later" } }));
        assert_eq!(listed(&[]).len(), 0);
        assert!(jobs(&store, &["show", "7"]).contains("7 is not the id of a call"));
    }
}
