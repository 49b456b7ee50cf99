//! The configuration changes while requests are served.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{fixtures, trials, wait_until};
use serde_json::{Value, json};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    a_changed_file_takes_effect,
    an_invalid_configuration_is_rejected,
    every_invalid_configuration_is_rejected,
    kubernetes_swaps_a_symlink,
    reload_status_is_reported,
    secrets_rotate,
    reloads_do_not_disturb_requests,
];

/// A folder of one's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = temp_folder().join(format!("reload-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) {
        // As careful people do it: nobody sees half of it.
        let (new, path) = (self.0.join(format!(".{name}.new")), self.0.join(name));
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path)).expect("a file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const GRAPHQL: &str = "type Query { act: Int }\n";

fn actions(port: u16, path: &str) -> String {
    format!("actions:\n  - name: act\n    definition: {{handler: 'http://127.0.0.1:{port}{path}'}}\n")
}

fn setup(engine: u16, folder: &Folder, port: u16) -> Setup {
    folder.write("actions.graphql", GRAPHQL);
    folder.write("actions.yaml", &actions(port, "/one"));
    let mut setup = Setup::before(engine);
    setup.metadata = Some(folder.0.clone());
    setup
}

fn handlers() -> Scripted {
    let handlers = Scripted::start();
    handlers.on_path("/one", Reply::json("1"));
    handlers.on_path("/two", Reply::json("2"));
    handlers
}

fn act(pillion: &Pillion) -> Value {
    pillion.client().ask("{ act }").json()["data"]["act"].take()
}

fn a_changed_file_takes_effect(engines: &Engines) {
    let (folder, handlers) = (Folder::new("changed"), handlers());
    let config = "handlers: { max_concurrent_calls: 10 }\n";
    let pillion = setup(engines.postgraphile, &folder, handlers.port).config(config).start().wait_until_ready();
    assert_eq!(act(&pillion), 1);
    folder.write("actions.yaml", &actions(handlers.port, "/two"));
    wait_until("the other handler", || act(&pillion) == 2);
    // A new action, for introspection as well.
    let more = format!("{GRAPHQL}type Mutation {{ more: Int }}\n");
    folder.write("actions.graphql", &more);
    let both = actions(handlers.port, "/two");
    folder
        .write("actions.yaml", &format!("{both}  - name: more\n    definition: {{handler: 'http://127.0.0.1:1/'}}\n"));
    wait_until("the new action", || {
        pillion.client().ask("mutation { more }").text().contains("the handler cannot be reached")
    });
    let shown = pillion.client().ask("{ __type(name: \"Mutation\") { fields { name } } }").text();
    assert!(shown.contains("\"more\"") && shown.contains("\"createReview\""), "{shown}");
    // And our own file; what cannot take effect is said.
    let file = pillion.config.clone().expect("a file");
    let text = "handlers: { rate_limit: [1 per 1h] }\njobs: { lease_duration: 33s }\n";
    std::fs::write(file, text).expect("a file");
    wait_until("the limit", || pillion.client().ask("{ act }").text().contains("rate-limit-exceeded"));
    pillion.wait_for_log("some settings take effect at the next start only");
    pillion.wait_for_log("\"settings\":\"jobs.lease_duration\"");
    assert!(pillion.metric("pillion_config_reloads_total{outcome=\"success\"}") >= 3.0);
}

fn an_invalid_configuration_is_rejected(engines: &Engines) {
    let (folder, handlers) = (Folder::new("bad"), handlers());
    let pillion = setup(engines.postgraphile, &folder, handlers.port).start().wait_until_ready();
    assert_eq!(act(&pillion), 1);
    let good = actions(handlers.port, "/two");
    let rejections = || pillion.metric("pillion_config_reloads_total{outcome=\"rejected\"}");
    let clash = "type Query { act: Product }\ntype Product { x: Int }\n";
    for (name, text, reason) in [
        ("actions.yaml", "actions: [", "actions.yaml:2:1: error: this is not YAML"),
        ("actions.yaml", &good.replace("name: act", "name: other"), "action other is not present in actions.graphql"),
        ("actions.yaml", &good.replace("http://", "{{NOWHERE}}"), "the environment variable NOWHERE is not set"),
        ("actions.yaml", "", "action 'act' has a signature, but no definition"),
        ("actions.graphql", clash, "Product"),
    ] {
        let before = rejections();
        folder.write("actions.yaml", &good);
        folder.write(name, text);
        wait_until(reason, || rejections() > before);
        // The one before may be refused once more, where a reload comes between the two files.
        wait_until(reason, || pillion.admin("/readyz?verbose").1.contains(reason));
        assert_eq!(pillion.admin("/readyz?verbose").0, 200);
        assert_eq!((act(&pillion), pillion.metric("pillion_config_last_reload_successful")), (json!(1), 0.0));
    }
    folder.write("actions.graphql", GRAPHQL);
    folder.write("actions.yaml", &good);
    wait_until("the good one", || act(&pillion) == 2);
    wait_until("its metric", || pillion.metric("pillion_config_last_reload_successful") == 1.0);
    // Without any file there is nothing to be used.
    std::fs::remove_dir_all(&folder.0).expect("the folder");
    wait_until("the rejection", || pillion.metric("pillion_config_last_reload_successful") == 0.0);
    assert_eq!(act(&pillion), 2);
}

/// `tests/fixtures/broken.yaml`: what a running one says, and `check` as well.
fn every_invalid_configuration_is_rejected(engines: &Engines) {
    let (folder, handlers) = (Folder::new("broken"), handlers());
    let fixture = fixtures::read("broken.yaml");
    let write = |case: &Value| {
        for (key, file) in [("graphql", "actions.graphql"), ("yaml", "actions.yaml"), ("config", "pillion.yaml")] {
            folder.write(file, case[key].as_str().or(fixture["defaults"][key].as_str()).expect("a text"));
        }
    };
    write(&Value::Null);
    let (metadata, config) = (folder.0.display().to_string(), folder.0.join("pillion.yaml").display().to_string());
    let handler = format!("http://127.0.0.1:{}", handlers.port);
    let upstream = format!("http://127.0.0.1:{}", engines.postgraphile);
    handlers.on_path("/act", Reply::json(r#"{"a":1}"#));
    let mut setup = Setup::before(engines.postgraphile).env("HANDLER", &handler);
    setup.metadata = Some(folder.0.clone());
    let pillion = setup.flag("--config").flag(&config).start().wait_until_ready();
    let cases = fixture["cases"].as_array().expect("cases");
    assert!(cases.len() >= 60);
    for case in cases {
        let (name, says) = (&case["name"], case["says"].as_str().expect("says"));
        write(case);
        if case["check_only"] != true {
            let reloaded = Client::admin(pillion.admin).request("POST", "/reload", &[], b"");
            assert!(reloaded.status() == 422 && reloaded.text().contains(says), "{name}: {}", reloaded.text());
        }
        let checked = Command::new(env!("CARGO_BIN_EXE_pillion"))
            .args(["check", "--metadata", &metadata, "--config", &config])
            .args(["--upstream", &upstream].iter().take(if case["asks_upstream"] == true { 2 } else { 0 }))
            .env("HANDLER", &handler)
            .output()
            .expect("pillion check");
        let text = String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.code() == Some(1) && text.contains(says) && text.contains("help: "), "{name}: {text}");
        let answer = pillion.client().ask("{ act { a } productById(id: 1) { name } }").text();
        assert_eq!(answer, r#"{"data":{"act":{"a":1},"productById":{"name":"City bicycle"}}}"#, "{name}");
    }
    write(&Value::Null);
    wait_until("the good one", || Client::admin(pillion.admin).request("POST", "/reload", &[], b"").status() == 200);
}

fn kubernetes_swaps_a_symlink(engines: &Engines) {
    let (folder, handlers) = (Folder::new("link"), handlers());
    let generation = |name: &str, path: &str| {
        let place = folder.0.join(name);
        std::fs::create_dir(&place).expect("a folder");
        std::fs::write(place.join("actions.graphql"), GRAPHQL).expect("a file");
        std::fs::write(place.join("actions.yaml"), actions(handlers.port, path)).expect("a file");
        let link = folder.0.join("..data_tmp");
        std::os::unix::fs::symlink(name, &link).expect("a link");
        std::fs::rename(link, folder.0.join("..data")).expect("the link");
    };
    generation("..1", "/one");
    for name in ["actions.graphql", "actions.yaml"] {
        std::os::unix::fs::symlink(Path::new("..data").join(name), folder.0.join(name)).expect("a link");
    }
    let mut setup = Setup::before(engines.postgraphile);
    setup.metadata = Some(folder.0.clone());
    let pillion = setup.start().wait_until_ready();
    assert_eq!(act(&pillion), 1);
    generation("..2", "/two");
    std::fs::remove_dir_all(folder.0.join("..1")).expect("the old one");
    wait_until("the other handler", || act(&pillion) == 2);
}

fn reload_status_is_reported(engines: &Engines) {
    let (folder, handlers) = (Folder::new("asked"), handlers());
    let setup = setup(engines.postgraphile, &folder, handlers.port).env("PILLION_RELOAD_WATCH_FILES", "false");
    let pillion = setup.start().wait_until_ready();
    let reload = || {
        let own = [("Content-Length", "0")];
        let answer = Client::admin(pillion.admin).request("POST", "/reload", &own, b"");
        (answer.status(), answer.text())
    };
    folder.write("actions.yaml", &actions(handlers.port, "/two"));
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(act(&pillion), 1);
    assert_eq!(reload(), (200, "the configuration was reloaded\n".to_owned()));
    assert_eq!(act(&pillion), 2);
    folder.write("actions.yaml", "actions: 1");
    let (status, said) = reload();
    assert!(status == 422 && said.contains("actions.yaml:1:10: error:"), "{status} {said}");
    folder.write("actions.yaml", &actions(handlers.port, "/one"));
    pillion.signal("HUP");
    wait_until("the first handler", || act(&pillion) == 1);
}

fn secrets_rotate(engines: &Engines) {
    let (folder, handlers) = (Folder::new("secrets"), handlers());
    let file = folder.0.join("secrets");
    folder.write("secrets", "[\"first\"]\n");
    let setup = setup(engines.postgraphile, &folder, handlers.port);
    let setup = setup.env("HASURA_GRAPHQL_ADMIN_SECRETS_FILE", &file.display().to_string());
    let pillion = setup.start().wait_until_ready();
    let is_admin = |secret: &str| {
        let headers = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", secret)];
        let answer = pillion.client().request("POST", "/graphql", &headers, br#"{"query":"{ act }"}"#);
        answer.json()["data"]["act"] == 1
    };
    assert!(is_admin("first") && !is_admin("second"));
    // Both for a while, then the new one.
    folder.write("secrets", "[\"first\", \"second\"]\n");
    wait_until("the second secret", || is_admin("second"));
    assert!(is_admin("first"));
    folder.write("secrets", "[\"second\"]\n");
    wait_until("the end of the first", || !is_admin("first"));
    assert!(is_admin("second"));
    assert!(!pillion.log().contains("second"));
    // Without its file it is not open to everybody: it goes on as it was, and does not start.
    let rejections = || pillion.metric("pillion_config_reloads_total{outcome=\"rejected\"}");
    std::fs::remove_file(&file).expect("the file");
    wait_until("the rejection", || rejections() > 0.0);
    assert!(is_admin("second") && !is_admin("third"));
    let setup = Setup::before(1).with_shop(1);
    let (_, said) = setup.env("HASURA_GRAPHQL_ADMIN_SECRETS_FILE", &file.display().to_string()).start_in_vain();
    assert!(said.contains("error: HASURA_GRAPHQL_ADMIN_SECRETS_FILE: ") && said.contains("No such file"), "{said}");
}

/// Twenty times under load: every request is answered, by one of the two handlers.
fn reloads_do_not_disturb_requests(engines: &Engines) {
    let (folder, handlers) = (Folder::new("load"), handlers());
    let pillion = setup(engines.postgraphile, &folder, handlers.port).start().wait_until_ready();
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let admin = pillion.admin;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = pillion.client();
                while !is_over.load(Ordering::Relaxed) {
                    let answer = client.ask("{ act productById(id: 1) { name } }").json();
                    let act = answer["data"]["act"].as_u64();
                    let name = &answer["data"]["productById"]["name"];
                    if !matches!(act, Some(1 | 2)) || *name != "City bicycle" {
                        is_over.store(true, Ordering::Relaxed);
                        panic!("{answer}");
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..20 {
            let before = answered.load(Ordering::Relaxed);
            folder.write("actions.yaml", &actions(handlers.port, if round % 2 == 0 { "/two" } else { "/one" }));
            let answer = Client::admin(admin).request("POST", "/reload", &[("Content-Length", "0")], b"");
            assert_eq!(answer.status(), 200, "{}", answer.text());
            wait_until("some responses", || {
                is_over.load(Ordering::Relaxed) || answered.load(Ordering::Relaxed) > before + 20
            });
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(pillion.metric("pillion_config_reloads_total{outcome=\"success\"}") >= 20.0);
    assert_eq!(act(&pillion), 1);
}
