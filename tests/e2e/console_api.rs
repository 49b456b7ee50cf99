//! The API of the console: what it gives before different upstreams, who may call it, and what keeps a change from being
//! written.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::message::Message;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{free_port, repository, trials, wait_until, yaml};
use serde_json::{Value, json};

pub const TESTS: &[super::Test] = trials![
    each_endpoint_before_postgraphile,
    each_endpoint_before_hasuras_names,
    every_documented_endpoint_is_there,
    only_its_own_page_may_call_it,
    a_session_by_the_token,
    it_is_off_where_it_is_not_asked_for,
    each_kind_of_change_is_shown_and_saved,
    the_second_of_two_saves_is_rejected,
    a_rejected_reload_says_why,
    files_that_cannot_be_written_give_a_diff,
    a_job_runs_again,
    failures_are_listed_without_secrets,
    operations_over_all_transports,
    no_secret_is_in_any_response,
    the_page_has_its_headers,
];

/// Secrets in variables and files. None may be in a response.
const CANARIES: [&str; 5] =
    ["c4nary-offer-key", "c4nary-admin-secret", "c4nary-static-header", "c4nary-token", "c4nary-password"];

/// A console with the actions of the browser's cases, in a folder of their own.
struct Console {
    pillion: Pillion,
    folder: PathBuf,
    handlers: Scripted,
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Pillion before an upstream, with the actions of the browser's cases in `folder`.
pub fn setup(upstream: u16, handlers: u16, folder: &Path) -> Setup {
    let from = repository().join("tests/console");
    for file in ["pillion.yaml", "metadata/actions.yaml", "metadata/actions.graphql", "metadata/version.yaml"] {
        let to = folder.join(file);
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(from.join(file), to).expect("a copy");
    }
    let mut setup = Setup::before(upstream)
        .env("HANDLERS", &format!("http://127.0.0.1:{handlers}"))
        .env("OFFER_KEY", "c4nary-offer-key")
        .env("HASURA_GRAPHQL_ADMIN_SECRET", "c4nary-admin-secret")
        .env("PILLION_CONFIG", &folder.join("pillion.yaml").display().to_string());
    setup.metadata = Some(folder.join("metadata"));
    setup
}

impl Console {
    fn before(upstream: u16, more: impl FnOnce(Setup) -> Setup) -> Self {
        let folder = temp_folder().join(format!("console-{}", free_port()));
        let handlers = Scripted::start();
        handlers.on_path("/offer", Reply::json(r#"{"total":12.5,"note":null}"#));
        let pillion = more(setup(upstream, handlers.port, &folder)).start().wait_until_ready();
        Self { pillion, folder, handlers }
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Message {
        let path = format!("/console/api{path}");
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        if method == "POST" && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            all.push(("content-type", "application/json"));
        }
        Client::admin(self.pillion.admin).request(method, &path, &all, body.as_bytes())
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let response = self.call("GET", path, &[], "");
        (response.status(), response.json())
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.call("POST", path, &[], &body.to_string());
        let text = response.text();
        (response.status(), if text.is_empty() { Value::Null } else { response.json() })
    }

    fn preview(&self, change: &Value) -> Value {
        let (status, preview) = self.post("/changes/preview", &json!({ "change": change }));
        assert_eq!(status, 200, "{change}: {preview}");
        preview
    }

    /// Shows a change, and saves it.
    fn save(&self, change: &Value) -> Value {
        let preview = self.preview(change);
        assert_eq!(preview["ok"], true, "{change}: {preview}");
        let body = json!({ "change": change, "revision": preview["revision"] });
        let (status, saved) = self.post("/changes/save", &body);
        assert_eq!((status, &saved["saved"]), (200, &json!(true)), "{change}: {saved}");
        saved
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).expect("a file")
    }
}

/// Method, path and body of a request, and values in its response by their pointers.
type Row = (&'static str, String, Value, Vec<(&'static str, Value)>);

/// Requests to all endpoints that only read, and what is in their responses.
fn table(field: &str) -> Vec<Row> {
    let operation = json!({ "query": format!("{{ {field} offer(productId: 1) {{ total }} }}"),
        "as": { "kind": "role", "role": "user", "session_variables": { "x-hasura-user-id": "1" } } });
    let admin = json!({ "query": format!("{{ {field} }}") });
    vec![
        ("GET", "/session".into(), json!(null), vec![("/authenticated", json!(true)), ("/needs_token", json!(false))]),
        (
            "GET",
            "/overview".into(),
            json!(null),
            vec![
                ("/upstream/up", json!(true)),
                ("/configuration/writable", json!(true)),
                ("/jobs/store", json!("SQLite")),
                ("/configuration/last_reload", json!(null)),
                ("/breakers", json!([])),
            ],
        ),
        ("GET", "/activity".into(), json!(null), vec![("/interval_seconds", json!(10))]),
        (
            "POST",
            "/check".into(),
            json!({ "handlers": true }),
            vec![("/errors", json!(0)), ("/checks/0/kind", json!("upstream")), ("/checks/0/result", json!("passed"))],
        ),
        ("POST", "/doctor".into(), json!({}), vec![("/items/0/check", json!("configuration"))]),
        ("POST", "/reload".into(), json!({}), vec![("/ok", json!(true))]),
        (
            "GET",
            "/actions".into(),
            json!(null),
            vec![("/actions/0/name", json!("offer")), ("/actions/0/served", json!(true)), ("/roles", json!(["user"]))],
        ),
        (
            "GET",
            "/actions/offer".into(),
            json!(null),
            vec![
                ("/headers/0", json!({ "name": "x-offer-key", "value_from_env": "OFFER_KEY", "is_set": true })),
                ("/headers/1", json!({ "name": "x-static", "value": "***" })),
                ("/entry/definition/headers/1/value", json!("***")),
                ("/sample_arguments", json!({ "productId": 1 })),
            ],
        ),
        (
            "GET",
            "/actions/nothing".into(),
            json!(null),
            vec![("/error/message", json!("there is no action \"nothing\""))],
        ),
        ("GET", "/actions/offer/failures".into(), json!(null), vec![("/failures", json!([]))]),
        ("GET", "/roles".into(), json!(null), vec![("/roles", json!(["admin", "user"]))]),
        (
            "POST",
            "/headers".into(),
            json!({ "action": "offer", "client": { "x-a": "b" } }),
            vec![
                (
                    "/headers/0",
                    json!({ "name": "x-offer-key", "value": "***", "source": "configured", "overrides": [] }),
                ),
                ("/not_forwarded/0/name", json!("x-a")),
            ],
        ),
        (
            "POST",
            "/explain".into(),
            operation.clone(),
            vec![
                ("/concerns_us", json!(true)),
                ("/role", json!("user")),
                ("/schema_known", json!(true)),
                ("/steps/0/type", json!("upstream")),
                ("/steps/1/action", json!("offer")),
                ("/steps/1/mode", json!("now")),
                ("/steps/1/headers/0/source", json!("configured")),
            ],
        ),
        (
            "POST",
            "/explain".into(),
            json!({ "query": "{ offer(productId: 1) { totals } }" }),
            vec![("/error/diagnostics/0/file", json!("operation")), ("/error/diagnostics/0/column", json!(25))],
        ),
        (
            "POST",
            "/explain".into(),
            json!({ "query": "{ offer(productId: 1) { total } }", "as": { "kind": "role", "role": "guest" } }),
            vec![("/error/diagnostics/0/line", json!(1))],
        ),
        (
            "POST",
            "/run".into(),
            operation,
            vec![
                ("/status", json!(200)),
                ("/truncated", json!(false)),
                ("/timing/steps/0/name", json!("authenticate")),
            ],
        ),
        ("POST", "/run".into(), admin, vec![("/status", json!(200)), ("/timing", json!(null))]),
        (
            "POST",
            "/transform".into(),
            json!({ "action": "offer", "input": { "productId": 7 }, "request_transform":
            { "version": 2, "url": "{{$base_url}}/{{$body.input.productId}}", "body": { "action": "transform", "template": "{\"id\": {{$body.input.productId}}}" } } }),
            vec![
                ("/request/before/body/input/productId", json!(7)),
                ("/request/after/body", json!({ "id": 7 })),
                ("/diagnostics", json!([])),
            ],
        ),
        (
            "POST",
            "/transform".into(),
            json!({ "request_transform": { "version": 2, "body": { "action": "transform", "template": "{\n  \"id\": {{ if }} }" } } }),
            vec![
                ("/request/after", json!(null)),
                ("/diagnostics/0/file", json!("request_transform.body.template")),
                ("/diagnostics/0/line", json!(2)),
            ],
        ),
        (
            "POST",
            "/transform".into(),
            json!({ "response_transform": { "version": 2, "body": { "action": "transform", "template": "{{ $body.a }}" } }, "response": { "status": 200, "body": { "a": 3 } } }),
            vec![("/response/after/body", json!(3))],
        ),
        (
            "POST",
            "/openapi".into(),
            json!({ "document": OPENAPI }),
            vec![
                ("/operations/0/id", json!("petById")),
                ("/operations/0/becomes", json!("query petById(id: Int!): Pet")),
                ("/operations/0/tags", json!(["pets"])),
                ("/left_out/0/severity", json!("warning")),
            ],
        ),
        (
            "POST",
            "/openapi".into(),
            json!({ "document": "openapi: 3.1.0\n" }),
            vec![("/error/diagnostics/0/severity", json!("error"))],
        ),
        (
            "POST",
            "/openapi".into(),
            json!({ "url": "file:///etc/passwd" }),
            vec![(
                "/error/message",
                json!("this is not an http or https address; help: write https://host/openapi.yaml"),
            )],
        ),
        ("GET", "/code/frameworks".into(), json!(null), vec![("/frameworks/0/name", json!("express"))]),
        ("GET", "/code?framework=axum&action=offer".into(), json!(null), vec![("/files/0/owner", json!("user"))]),
        (
            "GET",
            "/code?framework=cobol".into(),
            json!(null),
            vec![("/error/message", json!("there is no such framework"))],
        ),
        ("GET", "/schema/diff?from=admin&to=admin".into(), json!(null), vec![("/diff", json!(""))]),
        ("GET", "/jobs".into(), json!(null), vec![("/jobs", json!([]))]),
        (
            "GET",
            "/jobs/4b27291d-b523-43f6-b70a-0b2334c418c2".into(),
            json!(null),
            vec![("/error/message", json!("there is no such call, or it does not stand there"))],
        ),
        (
            "GET",
            "/settings".into(),
            json!(null),
            vec![("/settings/0/key", json!("listen")), ("/settings/0/origin", json!("flag"))],
        ),
        ("GET", "/metrics".into(), json!(null), vec![("/metrics/0/name", json!("pillion_requests_total"))]),
        ("GET", "/nothing".into(), json!(null), vec![("/error/message", json!("there is nothing at this path"))]),
        (
            "GET",
            "/run".into(),
            json!(null),
            vec![("/error/message", json!("there is nothing at this path for this method"))],
        ),
        (
            "POST",
            "/headers".into(),
            json!({ "action": 3 }),
            vec![(
                "/error/message",
                json!("the body: invalid type: integer `3`, expected a string at line 1 column 11"),
            )],
        ),
    ]
}

const OPENAPI: &str = "openapi: 3.0.3
info: { title: pets, version: '1' }
servers: [{ url: 'https://pets.example' }]
paths:
  /pets/{id}:
    get:
      operationId: petById
      tags: [pets]
      parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
      responses: { '200': { description: a pet, content: { application/json: { schema: { $ref: '#/components/schemas/Pet' } } } } }
  /broken:
    get:
      operationId: broken
      responses: { '200': { description: b, content: { application/json: { schema: { $ref: '#/components/schemas/Nothing' } } } } }
components: { schemas: { Pet: { type: object, properties: { name: { type: string } } } } }
";

fn assert_table(console: &Console, field: &str) {
    for (method, path, body, wanted) in table(field) {
        let (status, json) = if method == "GET" { console.get(&path) } else { console.post(&path, &body) };
        assert_eq!(status >= 400, json.get("error").is_some(), "{path} {body}: {status} {json}");
        for (pointer, value) in wanted {
            assert_eq!(json.pointer(pointer), Some(&value), "{method} {path} {body}: {pointer} of {json}");
        }
    }
    let (_, schema) = console.get("/schema?role=user");
    assert!(schema["sdl"].as_str().is_some_and(|sdl| sdl.contains("offer(productId: Int!")), "{schema}");
    let (_, schema) = console.get("/schema?role=admin&format=introspection");
    assert!(schema["introspection"]["data"]["__schema"]["types"].is_array(), "{schema}");
    let file = console.call("GET", "/schema?role=user&download=1", &[], "");
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"schema-user.graphql\""));
    let archive = console.call("GET", "/code/download?framework=express", &[], "");
    assert_eq!((archive.status(), archive.body.get(..2)), (200, Some(&[0x1f, 0x8b][..])));
    let (_, fields) = console.get("/upstream/fields");
    assert!(fields["query"].as_array().is_some_and(|fields| !fields.is_empty()), "{fields}");
}

fn each_endpoint_before_postgraphile(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup);
    assert_table(&console, "productById(id: 1) { name }");
}

fn each_endpoint_before_hasuras_names(engines: &Engines) {
    let console = Console::before(engines.roles, |setup| setup);
    assert_table(&console, "__typename products { id }");
    let (_, overview) = console.get("/overview");
    assert_eq!(overview["upstream"]["query_root"], "query_root", "{overview}");
}

fn every_documented_endpoint_is_there(engines: &Engines) {
    let text = fs::read_to_string(repository().join("docs/reference/console.openapi.yaml")).expect("the document");
    let document = yaml::read(&text).expect("YAML");
    let paths = document["paths"].as_object().expect("paths");
    let documented: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("an object").keys();
            methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
        })
        .collect();
    let known = pillion::internals::console_endpoints();
    let known: BTreeSet<(String, String)> = known.into_iter().map(|(method, path)| (method.to_owned(), path)).collect();
    assert_eq!(documented, known, "docs/reference/console.openapi.yaml");
    // And each is served: without a session it is denied, and not unknown.
    let console = Console::before(engines.postgraphile, |setup| setup.env("PILLION_ADMIN_TOKEN", "c4nary-token"));
    for (method, path) in known.iter().filter(|(_, path)| !path.ends_with("/session") && !path.ends_with("/login")) {
        let path = path.trim_start_matches("/console/api").replace("{name}", "offer").replace("{id}", "x");
        let response = console.call(method, &path, &[], "{}");
        assert_eq!(response.status(), 401, "{method} {path}: {}", response.text());
    }
}

fn only_its_own_page_may_call_it(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup);
    let own = format!("http://127.0.0.1:{}", console.pillion.admin);
    let status =
        |method: &str, path: &str, headers: &[(&str, &str)]| console.call(method, path, headers, "{}").status();
    for (method, path) in [("GET", "/overview"), ("POST", "/reload"), ("POST", "/changes/save")] {
        for headers in [
            [("origin", "http://evil.example")],
            [("origin", "null")],
            [("sec-fetch-site", "cross-site")],
            [("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(status(method, path, &headers), 403, "{path} {headers:?}");
        }
    }
    assert_eq!(status("POST", "/reload", &[("origin", &own), ("sec-fetch-site", "same-origin")]), 200);
    assert_eq!(status("POST", "/reload", &[("content-type", "text/plain")]), 415);
    let mut foreign = Client::admin(console.pillion.admin).with_host("evil.example");
    assert_eq!(foreign.request("GET", "/console/api/overview", &[], b"").status(), 421);
    // What the admin listener has always denied is denied still.
    let page = [("origin", own.as_str())];
    let response = Client::admin(console.pillion.admin).request("POST", "/reload", &page, b"");
    assert_eq!(response.status(), 403, "only the console is for its page");
}

fn a_session_by_the_token(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup.env("PILLION_ADMIN_TOKEN", "c4nary-token"));
    assert_eq!(console.get("/session").1["authenticated"], false);
    assert_eq!(console.get("/overview").0, 401);
    let page = Client::admin(console.pillion.admin).request("GET", "/console/actions", &[], b"");
    assert_eq!((page.status(), page.header("location")), (303, Some("/console/login")));
    assert_eq!(console.post("/login", &json!({ "token": "c4nary-toke" })).0, 401);
    let login = console.call("POST", "/login", &[], r#"{"token":"c4nary-token"}"#);
    assert_eq!(login.status(), 204);
    let cookie = login.header("set-cookie").expect("a cookie").to_owned();
    for word in ["HttpOnly", "SameSite=Strict", "Path=/console"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert!(!cookie.contains("c4nary-token"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let status = |headers: &[(&str, &str)]| console.call("GET", "/overview", headers, "").status();
    assert_eq!(status(&[("cookie", &cookie)]), 200);
    assert_eq!(status(&[("cookie", &format!("{cookie}0"))]), 401);
    assert_eq!(status(&[("authorization", "Bearer c4nary-token")]), 200);
    let logout = console.call("POST", "/logout", &[("cookie", &cookie)], "{}");
    assert!(logout.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
}

fn it_is_off_where_it_is_not_asked_for(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup.env("PILLION_CONSOLE_ENABLED", "false"));
    let (status, body) = console.get("/overview");
    assert!(
        status == 404 && body["error"]["message"].as_str().is_some_and(|text| text.contains("console.enabled")),
        "{body}"
    );
    let on_network = |more: &[(&str, &str)]| {
        let mut setup = Setup::before(engines.postgraphile);
        setup.admin_host = "0.0.0.0";
        more.iter().fold(setup, |setup, (name, value)| setup.env(name, value))
    };
    let pillion = on_network(&[]).start();
    assert_eq!(pillion.admin("/console/api/overview").0, 404);
    let pillion = on_network(&[("PILLION_CONSOLE_ENABLED", "true"), ("PILLION_ADMIN_TOKEN", "c4nary-token")]).start();
    assert_eq!(pillion.admin("/console/api/overview").0, 401);
    let (status, said) = on_network(&[("PILLION_CONSOLE_ENABLED", "true")]).start_in_vain();
    assert!(!status.success() && said.contains("PILLION_CONSOLE_ENABLED") && said.contains("admin.token"), "{said}");
}

fn each_kind_of_change_is_shown_and_saved(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup);
    let graphql = "type Mutation { pay(id: Int!): Receipt }\ntype Receipt { ok: Boolean! }";
    let create = json!({ "kind": "create", "definition": graphql, "handler": "{{HANDLERS}}/pay", "roles": ["user"],
        "headers": [{ "name": "x-secret", "value": "c4nary-password" }] });
    let preview = console.preview(&create);
    assert!(preview["edits"][0]["diff"].as_str().is_some_and(|diff| diff.contains("+  - name: pay")), "{preview}");
    assert!(!preview.to_string().contains("c4nary"), "{preview}");
    let saved = console.save(&create);
    assert_eq!(saved["reload"]["ok"], true, "{saved}");
    let changes = [
        (json!({ "kind": "rename", "action": "pay", "name": "settle" }), "name: settle"),
        (json!({ "kind": "clone", "action": "settle", "name": "settleAgain" }), "name: settleAgain"),
        (json!({ "kind": "permit", "action": "settle", "roles": ["editor"] }), "role: editor"),
        (
            json!({ "kind": "set", "action": "settle", "set": { "timeout": 9, "headers": [{ "name": "x-secret", "keep": true }] } }),
            "timeout: 9",
        ),
        (
            json!({ "kind": "permissions", "grid": [{ "action": "settle", "roles": ["a", "b"] }, { "action": "offer", "roles": [] }] }),
            "role: b",
        ),
        (
            json!({ "kind": "definition", "action": "settle", "definition": "type Mutation { settle(id: ID!): Receipt }" }),
            "settle(id: ID!): Receipt",
        ),
        (
            json!({ "kind": "settings", "action": "settle", "set": { "max_attempts": null, "idempotent": true } }),
            "idempotent: true",
        ),
        (json!({ "kind": "relationship", "type": "Receipt", "name": "product", "set": null }), "settle"),
        (
            json!({ "kind": "derive", "name": "addProduct", "operation": "query ($id: Int!) { productById(id: $id) { name } }", "handler": "{{HANDLERS}}/add" }),
            "addProduct(id: Int!): AddProductOutput",
        ),
        (json!({ "kind": "import_openapi", "document": OPENAPI }), "name: petById"),
        (json!({ "kind": "remove", "action": "settleAgain" }), "settle"),
    ];
    for (change, word) in changes {
        console.save(&change);
        let all = ["metadata/actions.yaml", "metadata/actions.graphql", "pillion.yaml"]
            .map(|file| console.text(file))
            .concat();
        assert!(all.contains(word), "{change}: {word} is not in\n{all}");
        assert!(all.contains("# What the cases begin with."), "comments stay: {change}");
    }
    assert!(console.text("metadata/actions.yaml").contains("c4nary-password"), "the value of a header that stays");
    let (_, action) = console.get("/actions/settle");
    assert_eq!(
        (&action["timeout"], &action["served"], &action["roles"]),
        (&json!(9.0), &json!(true), &json!(["a", "b"]))
    );
    // And what is wrong is shown where it was written.
    let wrong = json!({ "kind": "definition", "action": "offer", "definition": "type Query {\n  offer(: Int\n}" });
    let preview = console.preview(&wrong);
    assert_eq!(
        (&preview["ok"], &preview["diagnostics"][0]["file"], &preview["diagnostics"][0]["line"]),
        (&json!(false), &json!("definition"), &json!(2))
    );
    let (status, _) = console.post("/changes/save", &json!({ "change": wrong, "revision": preview["revision"] }));
    assert_eq!(status, 422);
}

fn the_second_of_two_saves_is_rejected(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup);
    let change = |timeout: u32| json!({ "kind": "set", "action": "offer", "set": { "timeout": timeout } });
    let revision = console.preview(&change(5))["revision"].clone();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let saves: Vec<_> = [5, 6]
            .map(|timeout| {
                let (console, revision) = (&console, &revision);
                scope.spawn(move || {
                    console.post("/changes/save", &json!({ "change": change(timeout), "revision": revision })).0
                })
            })
            .into_iter()
            .collect();
        saves.into_iter().map(|save| save.join().expect("a save")).collect()
    });
    let sorted: BTreeSet<u16> = statuses.iter().copied().collect();
    assert_eq!(sorted, BTreeSet::from([200, 409]), "{statuses:?}");
    // So is one after a change by an editor.
    let revision = console.preview(&change(7))["revision"].clone();
    let file = console.folder.join("metadata/actions.yaml");
    fs::write(&file, format!("{}# by hand\n", console.text("metadata/actions.yaml"))).expect("a file");
    let (status, body) = console.post("/changes/save", &json!({ "change": change(7), "revision": revision }));
    assert_eq!(status, 409, "{body}");
    assert!(console.text("metadata/actions.yaml").ends_with("# by hand\n"));
}

fn a_rejected_reload_says_why(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup);
    let file = console.folder.join("metadata/actions.yaml");
    let text = console.text("metadata/actions.yaml");
    fs::write(&file, text.replace("handler: \"{{HANDLERS}}/hostile\"", "handler: 3")).expect("a file");
    let (status, body) = console.post("/reload", &json!({}));
    assert_eq!(status, 422, "{body}");
    let diagnostic = &body["error"]["diagnostics"][0];
    assert!(
        diagnostic["text"].as_str().is_some_and(|text| text.contains("handler: 3") && text.contains('^')),
        "{body}"
    );
    let (_, overview) = console.get("/overview");
    assert_eq!(overview["configuration"]["last_reload"]["ok"], false, "{overview}");
    assert_eq!(overview["configuration"]["diagnostics"][0]["severity"], "error", "{overview}");
    fs::write(&file, text).expect("a file");
    assert_eq!(console.post("/reload", &json!({})).0, 200);
    assert_eq!(console.get("/overview").1["configuration"]["last_reload"]["ok"], true);
}

fn files_that_cannot_be_written_give_a_diff(engines: &Engines) {
    // The folder is a file's link to nowhere that could be written, which holds for root as well.
    let console = Console::before(engines.postgraphile, |setup| setup);
    let written = console.folder.join("metadata/.pillion-writing");
    fs::write(&written, "in the way").expect("a file");
    let change = json!({ "kind": "set", "action": "offer", "set": { "timeout": 5 } });
    let preview = console.preview(&change);
    assert_eq!(preview["writable"], false, "{preview}");
    assert!(preview["not_writable_because"].as_str().is_some_and(|reason| reason.contains("metadata")), "{preview}");
    assert!(preview["edits"][0]["diff"].as_str().is_some_and(|diff| diff.contains("+      timeout: 5")), "{preview}");
    let (status, body) = console.post("/changes/save", &json!({ "change": change, "revision": preview["revision"] }));
    assert_eq!(status, 403, "{body}");
}

fn a_job_runs_again(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup);
    console.handlers.on_path("/invoice", Reply::status(400, r#"{"message":"no paper"}"#));
    let run = json!({ "query": "mutation { makeInvoice(customer: 1) }" });
    let (_, ran) = console.post("/run", &run);
    let body: Value = serde_json::from_str(ran["body"].as_str().expect("a body")).expect("JSON");
    let id = body["data"]["makeInvoice"].as_str().expect("an id").to_owned();
    let status = || console.get(&format!("/jobs/{id}")).1["status"].clone();
    wait_until("the job to fail", || status() == "error");
    let (_, job) = console.get(&format!("/jobs/{id}"));
    assert_eq!((&job["payload"]["input"]["customer"], &job["attempts"]), (&json!(1), &json!(1)), "{job}");
    console.handlers.on_path("/invoice", Reply::json(r#"{"number":7}"#));
    assert_eq!(console.post(&format!("/jobs/{id}/retry"), &json!({})).0, 200);
    wait_until("the job to succeed", || status() == "completed");
    assert_eq!(console.post(&format!("/jobs/{id}/retry"), &json!({})).0, 409);
    assert_eq!(console.post(&format!("/jobs/{id}/cancel"), &json!({})).0, 404);
    let (_, listed) = console.get("/jobs?status=completed");
    assert_eq!(listed["jobs"][0]["id"], id.as_str(), "{listed}");
    let (_, purged) = console.post("/jobs/purge", &json!({ "status": "completed", "action": null, "older_than": "" }));
    assert_eq!(purged["deleted"], 1, "{purged}");
}

fn failures_are_listed_without_secrets(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup);
    console.handlers.on_path("/offer", Reply::status(500, "c4nary-password"));
    let operation = json!({ "query": "query Failing { offer(productId: 3) { total } }" });
    console.post("/run", &operation);
    let (_, failures) = console.get("/actions/offer/failures");
    let first = &failures["failures"][0];
    assert_eq!(
        (&first["kind"], &first["status"], &first["role"]),
        (&json!("http_status"), &json!(500), &json!("admin")),
        "{failures}"
    );
    assert!(!failures.to_string().contains("c4nary"), "{failures}");
    let (_, actions) = console.get("/actions");
    assert_eq!(actions["actions"][0]["failures_total"], 1.0, "{actions}");
}

fn operations_over_all_transports(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup);
    for transport in ["sse", "websocket"] {
        let body = json!({ "query": "{ productById(id: 1) { name } offer(productId: 1) { total } }", "transport": transport,
            "as": { "kind": "role", "role": "user" } });
        let response = console.call("POST", "/stream", &[], &body.to_string());
        assert_eq!(response.header("content-type"), Some("text/event-stream"));
        let text = response.text();
        let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!(events, ["open", "next", "complete"], "{transport}: {text}");
        assert!(text.contains("\"total\":12.5"), "{transport}: {text}");
    }
    let wrong = json!({ "query": "{ offer(productId: 1) { totals } }", "transport": "websocket" });
    let text = console.call("POST", "/stream", &[], &wrong.to_string()).text();
    assert!(text.contains("event: error") && text.contains("totals"), "{text}");
}

fn no_secret_is_in_any_response(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup.env("PILLION_ADMIN_TOKEN", "c4nary-token"));
    let token = [("authorization", "Bearer c4nary-token")];
    for (method, path, body, _) in table("productById(id: 1) { name }") {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let text = console.call(method, &path, &token, &body).text();
        assert_eq!(CANARIES.iter().find(|canary| text.contains(**canary)), None, "{method} {path}: {text}");
    }
    for transport in ["sse", "websocket"] {
        let body = json!({ "query": "{ offer(productId: 1) { total } }", "transport": transport }).to_string();
        let text = console.call("POST", "/stream", &token, &body).text();
        assert_eq!(CANARIES.iter().find(|canary| text.contains(**canary)), None, "{text}");
    }
    let log = console.pillion.log();
    assert_eq!(CANARIES.iter().find(|canary| log.contains(**canary)), None, "{log}");
}

fn the_page_has_its_headers(engines: &Engines) {
    let console = Console::before(engines.postgraphile, |setup| setup);
    for (path, is_page) in [("/console/", true), ("/console/actions/offer", true), ("/console/api/overview", false)] {
        let response = Client::admin(console.pillion.admin).request("GET", path, &[], b"");
        let policy = response.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("require-trusted-types-for 'script'"), "{policy}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
        let cache = response.header("cache-control").expect("a rule");
        assert!(cache.contains(if is_page { "no-" } else { "no-store" }), "{path}: {cache}");
    }
    let root = Client::admin(console.pillion.admin).request("GET", "/console", &[], b"");
    assert_eq!((root.status(), root.header("location")), (308, Some("/console/")));
}
