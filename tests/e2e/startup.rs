//! What stops the start, what is only warned about, and what is said.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Setup;
use pillion_test_support::process::Process;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{free_port, trials, wait_until};
use serde_json::{Value, json};

pub const TESTS: &[super::Test] = trials![
    four_flags_are_sufficient,
    all_diagnostics_have_locations,
    flag_over_environment_over_file,
    a_whole_exported_folder_is_read,
    the_example_file_is_the_defaults,
    a_port_in_use,
    empty_secrets,
    invalid_auth_hooks,
    invalid_action_settings,
    unusable_tls_files,
    inconsistent_actions_can_be_disabled,
    undefined_types_stop_the_start,
    extension_fields_that_do_not_fit_are_logged,
    warnings_are_summed_up_by_kind,
    an_unrestricted_list_of_roles_is_a_warning,
    an_unavailable_upstream_is_a_warning,
    all_output_has_the_format_of_the_log,
    jobs_on_an_ephemeral_volume_are_a_warning,
    durations_of_zero,
    the_demo_cleans_up,
];

pub fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = temp_folder().join(format!("startup-{name}"));
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    folder
}

fn four_flags_are_sufficient(engines: &Engines) {
    let folder = folder("empty", &[("version.yaml", "version: 3\n")]);
    let mut setup = Setup::before(engines.postgraphile);
    setup.metadata = Some(folder.clone());
    let pillion = setup.start().wait_until_ready();
    assert_eq!(pillion.ready.lines().count(), 1);
    assert!(pillion.ready.contains(&format!("\"clients\":\"127.0.0.1:{}\"", pillion.port)), "{}", pillion.ready);
    assert!(pillion.ready.contains("\"actions\":0"), "{}", pillion.ready);
    pillion.wait_for_log("every client may call every action");
    pillion.wait_for_log("holds neither actions.yaml nor actions.graphql: there are no actions");
    assert_eq!(pillion.client().ask("{ productById(id: 1) { name } }").status(), 200);
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn all_diagnostics_have_locations(_: &Engines) {
    let files = [
        ("actions.graphql", "type Query {\n  one(a: Thing): Int!\n  two: Int!\n}\ntype Thing { a: Int }\n"),
        (
            "actions.yaml",
            "actions:\n  - name: one\n    definition:\n      handler: '{{NO_SUCH_VARIABLE}}/one'\n  - name: two\n    definition:\n      handler: not-an-address\n      colour: red\n  - name: three\n    definition:\n      handler: http://a.example\n",
        ),
    ];
    let folder = folder("mistakes", &files);
    let mut setup = Setup::before(1).config("limits: {max_depth: many}\n");
    setup.metadata = Some(folder.clone());
    let (status, said) = setup.start_in_vain();
    assert!(!status.success());
    for wanted in [
        "the type: \"Thing\" is not defined in custom types",
        "NO_SUCH_VARIABLE",
        "actions.yaml:4:",
        "actions.yaml:7:",
        "actions.graphql:2:",
        "three",
        "help: ",
        "many",
        "depth",
        "unknown key \"colour\"",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in:\n{said}");
    }
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn flag_over_environment_over_file(_: &Engines) {
    let setup = || Setup::before(1).config("log: {format: text}\ndialect: wrong-in-file\n");
    let (_, said) = setup().start_in_vain();
    assert!(said.contains("wrong-in-file"), "{said}");
    let (_, said) = setup().env("PILLION_DIALECT", "wrong-in-environment").start_in_vain();
    assert!(said.contains("wrong-in-environment"), "{said}");
    let (_, said) = setup().env("PILLION_DIALECT", "hasura").flag("--dialect=wrong-in-flag").start_in_vain();
    assert!(said.contains("wrong-in-flag"), "{said}");
}

fn a_whole_exported_folder_is_read(engines: &Engines) {
    let files = [
        ("config.yaml", "version: 3\nmetadata_directory: metadata\n"),
        ("metadata/version.yaml", "version: 3\n"),
        (
            "metadata/inherited_roles.yaml",
            "- role_name: chief\n  role_set: [boss]\n- role_name: boss\n  role_set: [clerk, nobody]\n",
        ),
        ("metadata/databases/databases.yaml", "[]\n"),
        ("metadata/actions/b.graphql", "type Mutation { two: Int }\n"),
        ("metadata/actions/b.yaml", "actions:\n  - name: two\n    definition: {handler: 'http://127.0.0.1:1'}\n"),
        ("metadata/actions.graphql", "extend type Query {\n  \"\"\"One.\"\"\"\n  one: Int\n}\n"),
        (
            "metadata/actions.yaml",
            "actions:\n  - name: one\n    comment: The first.\n    definition: {kind: '', type: query, handler: 'http://127.0.0.1:1'}\ncustom_types: {enums: [], input_objects: [], objects: [], scalars: []}\n",
        ),
    ];
    let folder = folder("exported", &files);
    let mut setup = Setup::before(engines.postgraphile);
    setup.metadata = Some(folder.clone());
    let pillion = setup.start();
    assert!(pillion.ready.contains("\"actions\":2"), "{}", pillion.ready);
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn the_example_file_is_the_defaults(engines: &Engines) {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/pillion.example.yaml");
    let pillion = Setup::before(engines.postgraphile).flag("--config").flag(example).start().wait_until_ready();
    assert!(!pillion.log().contains("unknown key"), "{}", pillion.log());
    assert_eq!(pillion.client().ask("{ productById(id: 1) { name } }").status(), 200);
}

fn a_port_in_use(_: &Engines) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let (status, said) = Setup::before(1)
        .flag(&format!("--tls-listen={address}"))
        .config("tls: {cert_file: a, key_file: b}\n")
        .start_in_vain();
    assert!(!status.success());
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    assert!(said.contains("choose another with --tls-listen"), "{said}");
}

fn empty_secrets(_: &Engines) {
    let start = |name: &str, value: &str| Setup::before(1).env(name, value).start_in_vain().1;
    assert!(start("HASURA_GRAPHQL_ADMIN_SECRET", " ").contains("empty admin secret"));
    assert!(
        start("HASURA_GRAPHQL_JWT_SECRET", r#"{"type":"HS256","key":"0123456789abcdef0123456789abcdef"}"#)
            .contains("requires --admin-secret")
    );
    assert!(start("HASURA_GRAPHQL_UNAUTHORIZED_ROLE", "guest").contains("everybody is admin"));
    let said = start("HASURA_GRAPHQL_JWT_SECRET", r#"{"type":"HS256","key":"too-short-and-secret"}"#);
    assert!(!said.contains("too-short-and-secret"), "{said}");
}

fn invalid_auth_hooks(_: &Engines) {
    let hook = || Setup::before(1).env("HASURA_GRAPHQL_AUTH_HOOK", "http://me:c4nary@127.0.0.1/");
    let secret = || hook().env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
    let says = |setup: Setup, wanted: &str| {
        let (_, said) = setup.start_in_vain();
        assert!(said.contains(wanted) && !said.contains("c4nary"), "{said}");
    };
    says(hook(), "Fatal Error : --auth-hook (HASURA_GRAPHQL_AUTH_HOOK) requires --admin-secret");
    let jwt = r#"{"type":"HS256","key":"0123456789abcdef0123456789abcdef"}"#;
    says(secret().env("HASURA_GRAPHQL_JWT_SECRET", jwt), "Both webhook and JWT mode cannot be enabled");
    says(secret().env("HASURA_GRAPHQL_UNAUTHORIZED_ROLE", "guest"), "is not allowed when --auth-hook");
    says(secret().env("HASURA_GRAPHQL_AUTH_HOOK_MODE", "PUT"), "\"PUT\" is not one of GET, POST");
    says(secret().env("PILLION_AUTH_HOOK_CACHE_KEY_HEADERS", "a b"), "cannot be the name of a header");
    let ftp = Setup::before(1).env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret");
    says(ftp.env("HASURA_GRAPHQL_AUTH_HOOK", "ftp://me:c4nary@127.0.0.1/"), "not an http or https address");
}

fn invalid_action_settings(_: &Engines) {
    let yaml = "actions:\n  count:\n    method: PUT\n    response_headers: [content-length, 'a b']\n    \
                forwarded_query_params: [query]\n    admin_secret: true\n    colour: red\n";
    let (_, said) = Setup::before(1).with_shop(1).config(yaml).start_in_vain();
    for wanted in [
        "3:13: error: \"method\": \"PUT\" is not one of GET, POST",
        "4:24: error: the header 'content-length' of a response is not a handler's to write",
        "4:40: error: \"a b\" cannot be the name of a header",
        "5:30: error: the parameter \"query\" cannot be sent on",
        "action 'count' shall get the admin secret, and there is none",
        "7:5: error: unknown key \"colour\" in an action's settings",
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
    let yaml = "actions: {customer: {method: GET}}\n";
    let (_, said) = Setup::before(1).with_actions("rest", 1).config(yaml).start_in_vain();
    assert!(said.contains("action 'customer' has a request transform, and in pillion.yaml a method"), "{said}");
}

fn unusable_tls_files(_: &Engines) {
    let folder = folder("pem", &[("rubbish.pem", "-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")]);
    let rubbish = folder.join("rubbish.pem").display().to_string();
    let tls =
        |file: &str| format!("tls: {{listen: '127.0.0.1:{}', cert_file: {file}, key_file: {file}}}\n", free_port());
    let (_, said) = Setup::before(1).config(&tls("nowhere.pem")).start_in_vain();
    assert!(said.contains("nowhere.pem"), "{said}");
    let (_, said) = Setup::before(1).config(&tls(&rubbish)).start_in_vain();
    assert!(said.contains("rubbish.pem"), "{said}");
    let (_, said) = Setup::before(1).config("upstream: {tls_ca_file: nowhere.pem}\n").start_in_vain();
    assert!(said.contains("nowhere.pem"), "{said}");
    wait_until("the folder to go", || std::fs::remove_dir_all(&folder).is_ok());
}

const HALF: [(&str, &str); 2] = [
    (
        "actions.graphql",
        "type Query { fine: Int  unset(id: ID): Int  lost: Lost  far(by: Mood): Int }\ntype Lost { at: Nowhere }\n",
    ),
    (
        "actions.yaml",
        "actions:\n  - name: fine\n    definition: {handler: '{{HANDLERS}}/fine'}\n  - name: unset\n    definition: \
         {handler: '{{NOWHERE}}/unset'}\n  - name: lost\n    definition: {handler: '{{HANDLERS}}/lost'}\n  - name: far\n    \
         definition: {handler: '{{HANDLERS}}/far'}\n",
    ),
];

fn inconsistent_actions_can_be_disabled(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/fine", Reply::json("7"));
    let folder = folder("half", &HALF);
    let setup = |inconsistency: &str| {
        let address = format!("http://127.0.0.1:{}", handlers.port);
        let setup = Setup::before(engines.yoga).env("HANDLERS", &address);
        let fields = "fields: { Book.unset: 'unset(id: $id)', Book.far: 'far(by: $title)' }\n";
        let mut setup = setup.env("PILLION_METADATA_ON_INCONSISTENCY", inconsistency).config(fields);
        setup.metadata = Some(folder.clone());
        setup
    };
    let (status, said) = setup("reject").start_in_vain();
    assert!(!status.success() && said.contains("the environment variable NOWHERE is not set"), "{said}");
    let pillion = setup("serve").start().wait_until_ready();
    let fields = || pillion.client().ask("{ __type(name: \"RootQuery\") { fields { name } } }").text();
    let fine = || pillion.client().ask("{ fine }").text();
    assert_eq!(fine(), r#"{"data":{"fine":7}}"#);
    let shown = fields();
    assert!(shown.contains("\"fine\"") && !shown.contains("unset") && !shown.contains("lost"), "{shown}");
    assert!(pillion.client().ask("{ unset }").text().contains("Cannot query field"));
    // Each is named once in the log, and where one looks for it.
    let actions = ["action \\\"unset\\\"", "action \\\"lost\\\"", "action \\\"far\\\"", "type \\\"Lost\\\""];
    let fields_of_them = ["extension field \\\"Book.unset\\\"", "extension field \\\"Book.far\\\""];
    for object in actions.into_iter().chain(fields_of_them) {
        pillion.wait_for_log(&format!("\"object\":\"{object}\""));
        assert_eq!(pillion.log().matches(&format!("\"object\":\"{object}\"")).count(), 1, "{}", pillion.log());
    }
    let details = pillion.admin("/readyz?verbose").1;
    for wanted in [
        "metadata: inconsistent\n",
        "not served: action \"unset\": ",
        "the environment variable NOWHERE is not set",
        "not served: type \"Lost\": ",
        "the type \"Nowhere\" for field \"at\" in  object type \"Lost\" does not exist",
        "the extension field \"Book.unset\" needs action 'unset', which cannot be used",
        "the extension field \"Book.far\" needs action 'far', which cannot be used",
    ] {
        assert!(details.contains(wanted), "{wanted} is not in:\n{details}");
    }
    // The same after a reload, which takes what has become right.
    let reload = || {
        let answer = Client::admin(pillion.admin).request("POST", "/reload", &[("Content-Length", "0")], b"");
        (answer.status(), answer.text())
    };
    assert_eq!(reload().0, 200);
    assert_eq!(fine(), r#"{"data":{"fine":7}}"#);
    assert!(!fields().contains("\"lost\""));
    let right = HALF[0].1.replace("Nowhere", "Int").replace("Mood", "Period");
    std::fs::write(folder.join("actions.graphql"), right).expect("a file");
    assert_eq!(reload().0, 200);
    wait_until("the action that is right by now", || fields().contains("\"lost\"") && fields().contains("\"far\""));
    assert!(!fields().contains("unset"));
    // `check` names it whatever the setting says.
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_pillion"))
        .args(["check", "--metadata"])
        .arg(&folder)
        .env("HANDLERS", "http://127.0.0.1:1")
        .env("PILLION_METADATA_ON_INCONSISTENCY", "serve")
        .output()
        .expect("pillion check");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("NOWHERE is not set") && said.contains("the type \"Period\" is not defined here"), "{said}");
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn undefined_types_stop_the_start(engines: &Engines) {
    let files = [
        ("actions.graphql", "type Query {\n  one(by: vektor): Int\n  two: Period\n}\n"),
        (
            "actions.yaml",
            "actions:\n  - name: one\n    definition: {handler: 'http://127.0.0.1:1'}\n  - name: two\n    definition: \
             {handler: 'http://127.0.0.1:1'}\n",
        ),
    ];
    let folder = folder("nobody-has", &files);
    let mut setup = Setup::before(engines.yoga);
    setup.metadata = Some(folder.clone());
    let (status, said) = setup.start_in_vain();
    assert_eq!(status.code(), Some(1), "{said}");
    let wanted = "actions.graphql:2:11: error: the type: \"vektor\" is not defined in custom types";
    assert!(said.contains(wanted) && !said.contains("\"Period\""), "{said}");
    std::fs::remove_dir_all(folder).expect("the folder");
}

/// The others are served: an upstream's table may have gone while Pillion was down.
fn extension_fields_that_do_not_fit_are_logged(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/act", Reply::json("7"));
    let yaml =
        format!("actions:\n  - name: act\n    definition: {{handler: 'http://127.0.0.1:{}/act'}}\n", handlers.port);
    let files = [("actions.graphql", "type Query { act(id: ID): Int }\n"), ("actions.yaml", yaml.as_str())];
    let folder = folder("unfit-fields", &files);
    let fields = "fields:\n  Bok.act: 'act(id: $id)'\n  Book.one: 'act(id: $idd)'\n  Book.two: 'act(id: $id)'\n";
    let mut setup = Setup::before(engines.yoga).config(fields);
    setup.metadata = Some(folder.clone());
    let pillion = setup.start().wait_until_ready();
    for words in [
        ":2:3: error: the extension field \\\"Bok.act\\\": the upstream has no type \\\"Bok\\\". Did you mean \\\"Book\\\"?",
        ":3:3: error: the extension field \\\"Book.one\\\": the upstream's type \\\"Book\\\" has no key field \\\"idd\\\"",
    ] {
        pillion.wait_for_log(words);
    }
    assert!(!pillion.log().contains("Book.two"), "{}", pillion.log());
    assert_eq!(pillion.client().ask("{ act }").text(), r#"{"data":{"act":7}}"#);
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn warnings_are_summed_up_by_kind(engines: &Engines) {
    let action = |name: &str| {
        format!(
            "  - name: {name}\n    definition:\n      handler: 'http://127.0.0.1:1'\n      colour: red\n      size_{name}: 1\n"
        )
    };
    let yaml = format!("actions:\n{}{}{}", action("one"), action("two"), action("three"));
    let files = [("actions.graphql", "type Query { one: Int two: Int three: Int }\n"), ("actions.yaml", yaml.as_str())];
    let folder = folder("warnings", &files);
    let mut setup = Setup::before(engines.postgraphile);
    setup.metadata = Some(folder.clone());
    let pillion = setup.start().wait_until_ready();
    pillion.wait_for_log("6 times, `pillion check` shows all of them; the first: ");
    let log = pillion.log();
    assert_eq!(log.matches("unknown key").count(), 1, "{log}");
    assert!(log.contains("actions.yaml:5:7: unknown key \\\"colour\\\" in a definition; help: "), "{log}");
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn an_unrestricted_list_of_roles_is_a_warning(_: &Engines) {
    let check = |roles: &str| {
        let secret = format!(
            r#"{{"type":"HS256","key":"0123456789abcdef0123456789abcdef","claims_map":{{"x-hasura-allowed-roles":{roles},"x-hasura-default-role":{{"path":"$.role"}}}}}}"#
        );
        let checked = std::process::Command::new(env!("CARGO_BIN_EXE_pillion"))
            .arg("check")
            .env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret")
            .env("HASURA_GRAPHQL_JWT_SECRET", secret)
            .output()
            .expect("pillion check");
        String::from_utf8_lossy(&checked.stdout).into_owned()
    };
    let said = check(r#"["app_user","app_clerk"]"#);
    for wanted in [
        "warning: HASURA_GRAPHQL_JWT_SECRET: claims_map lets every user take every one of these roles: app_user, app_clerk",
        "help: read them from the token: \"x-hasura-allowed-roles\": {\"path\": \"$.roles\"}",
        "0 errors, 2 warnings",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in:\n{said}");
    }
    // That there is no metadata folder is the other one.
    assert!(check(r#"["app_user"]"#).contains("0 errors, 1 warning"));
    assert!(check(r#"{"path":"$.role"}"#).contains("0 errors, 1 warning"));
}

fn an_unavailable_upstream_is_a_warning(engines: &Engines) {
    let pillion = Setup::before(1).start();
    assert!(pillion.ready.contains("\"pillion is listening\""), "{}", pillion.ready);
    pillion.wait_for_log("upstream unavailable");
    let log = pillion.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("upstream unavailable")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    for wanted in ["\"WARN\"", "\"url\":\"http://127.0.0.1:1\"", "Connection refused (os error 111)"] {
        assert!(warnings[0].contains(wanted), "{wanted} is not in {log}");
    }
    // One that answers, but not as GraphQL does.
    let handlers = pillion_test_support::scripted::Scripted::start();
    let config = "upstream: {health_check_interval: 500ms}\n";
    let pillion = Setup::before(handlers.port).config(config).start();
    pillion.wait_for_log("something that is not a GraphQL response");
    let pillion = Setup::before(engines.postgraphile).start().wait_until_ready();
    assert!(!pillion.whole_log("TERM").contains("upstream unavailable"));
}

fn durations_of_zero(_: &Engines) {
    let config = "drain_delay: 0\nshutdown_timeout: 0s\nupstream: {pool_idle_timeout: 0s, health_check_interval: 0s, request_timeout: 48h}\n\
                  handlers: {pool_idle_timeout: 0ms, queue_timeout: 0s}\njobs: {initial_backoff: 0s, lease_duration: 0s}\n";
    let (_, said) = Setup::before(1).config(config).start_in_vain();
    for wanted in [
        "upstream.health_check_interval: a time of zero has no meaning here",
        "jobs.lease_duration: a time of zero has no meaning here",
        "upstream.request_timeout: the time is longer than a day",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in:\n{said}");
    }
    assert_eq!(said.matches("error:").count(), 3, "{said}");
}

fn the_demo_cleans_up(_: &Engines) {
    let temporary = folder("demo", &[("marker", "")]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.arg("demo").env_clear().env("TMPDIR", &temporary).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process(command.spawn().expect("pillion starts"));
    let mut lines = BufReader::new(process.0.stdout.take().expect("its output")).lines();
    let is_shown = lines.any(|line| line.is_ok_and(|line| line.contains("Ctrl-C ends all of it")));
    assert!(is_shown, "it shows its requests");
    let files = || std::fs::read_dir(&temporary).expect("the folder").count();
    assert_eq!(files(), 2, "its metadata can be read while it runs");
    let began = Instant::now();
    let status = std::process::Command::new("kill").args(["-INT", &process.0.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()));
    wait_until("the end of the demo", || process.0.try_wait().is_ok_and(|status| status.is_some()));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(files(), 1, "its folder is gone");
    std::fs::remove_dir_all(temporary).expect("the folder");
}

/// The line that it is ready, warnings, rejected reloads, the end, and why it cannot start.
fn all_output_has_the_format_of_the_log(engines: &Engines) {
    let handlers = Scripted::start();
    let setup = || Setup::before(engines.postgraphile).with_shop(handlers.port);
    let pillion = setup().config("log: { level: error }\n").start().wait_until_ready();
    let ready: Value = serde_json::from_str(&pillion.ready).expect("a line of JSON");
    for (field, wanted) in [
        ("level", json!("INFO")),
        ("message", json!("pillion is listening")),
        ("clients", json!(format!("127.0.0.1:{}", pillion.port))),
        ("admin", json!(format!("127.0.0.1:{}", pillion.admin))),
        ("upstream", json!(format!("http://127.0.0.1:{}", engines.postgraphile))),
    ] {
        assert_eq!(ready[field], wanted, "{field}: {}", pillion.ready);
    }
    std::fs::write(pillion.config.as_ref().expect("a file"), "log: { levle: info }\n").expect("a file");
    pillion.signal("HUP");
    pillion.wait_for_log("levle");
    let log = pillion.whole_log("TERM");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }

    let text = setup().config("log: { format: text }\n").start();
    assert!(text.ready.contains(" INFO ") && text.ready.contains(" pillion is listening clients=127.0.0.1:"));
    let refused = |config: &str| {
        let file = temp_folder().join(format!("format-{}.yaml", free_port()));
        std::fs::write(&file, config).expect("a file");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pillion"));
        let command = command.arg("serve").arg("--upstream=http://127.0.0.1:1").arg("--config").arg(&file).env_clear();
        let output = command.output().expect("pillion serve");
        std::fs::remove_file(&file).expect("a file");
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let said = refused("# a comment\nclients: {}\nlog: { level: loud }\n");
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let places: Vec<_> = lines.iter().map(|line| (line["level"].as_str(), line["line"].as_u64())).collect();
    assert_eq!(places, [(Some("ERROR"), Some(2)), (Some("ERROR"), Some(3))], "{said}");
    assert!(lines[1]["message"].as_str().is_some_and(|message| message.contains("\"loud\" is not one of")), "{said}");
    let said = refused("log: { format: text, level: loud }\n");
    assert!(said.starts_with("error: ") || said.contains(":1:"), "{said}");
}

/// /dev/shm is memory on every Linux; an emptyDir is among the lines that the unit test reads.
fn jobs_on_an_ephemeral_volume_are_a_warning(_: &Engines) {
    let upstream = Scripted::start();
    let file = format!("/dev/shm/pillion-e2e-{}-{}.db", std::process::id(), free_port());
    let setup = Setup::before(upstream.port).with_actions("values", upstream.port);
    let pillion = setup.env("PILLION_JOBS_STORE", &format!("sqlite://{file}")).start();
    pillion.wait_for_log("lost with its container or pod");
    let log = pillion.whole_log("TERM");
    ["", "-wal", "-shm", ".lock"].iter().for_each(|ending| drop(std::fs::remove_file(format!("{file}{ending}"))));
    let warning = log.lines().find(|line| line.contains("lost with its container")).expect("the warning");
    for wanted in ["\"WARN\"", "\"volume\":\"memory\"", &file, "set jobs.store to a PostgreSQL"] {
        assert!(warning.contains(wanted), "{wanted} is not in {warning}");
    }
}
