//! Closed stays closed: whatever is wrong with a credential, nobody is let in whom it kept out.

use std::path::{Path, PathBuf};
use std::process::Command;

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{trials, wait_until};
use serde_json::json;

/// The tests.
pub const TESTS: &[super::Test] =
    trials![invalid_credentials_stop_the_start, invalid_credentials_are_rejected_on_reload, open_access_is_logged,];

const SECRET: &str = "s3cret-that-locks";

/// What keeps somebody out.
struct Lock {
    /// Its variable.
    variable: &'static str,
    /// Its key in `pillion.yaml`.
    key: &'static str,
    /// A good value.
    value: String,
    /// What else has to be configured.
    beside: &'static [(&'static str, &'static str)],
    /// Is its value JSON, so that half of it cannot be used?
    is_json: bool,
    /// May the configuration lose it as a whole without letting anybody in?
    may_go: bool,
}

/// All locks there are.
fn locks() -> Vec<Lock> {
    const ADMIN: &[(&str, &str)] = &[("HASURA_GRAPHQL_ADMIN_SECRET", SECRET)];
    let jwt = json!({ "type": "HS256", "key": "a-key-that-is-long-enough-for-a-signature" }).to_string();
    let lock = |variable, key, value: &str, beside, is_json, may_go| Lock {
        variable,
        key,
        value: value.to_owned(),
        beside,
        is_json,
        may_go,
    };
    vec![
        lock("HASURA_GRAPHQL_ADMIN_SECRET", "admin_secret", SECRET, &[], false, false),
        lock("PILLION_ADMIN_SECRET", "admin_secret", SECRET, &[], false, false),
        lock("HASURA_GRAPHQL_ADMIN_SECRETS", "admin_secrets", &json!([SECRET, "other"]).to_string(), &[], true, false),
        lock("HASURA_GRAPHQL_JWT_SECRET", "jwt_secret", &jwt, ADMIN, true, true),
        lock("HASURA_GRAPHQL_JWT_SECRETS", "jwt_secrets", &format!("[{jwt}]"), ADMIN, true, true),
        lock("HASURA_GRAPHQL_AUTH_HOOK", "hook", "http://127.0.0.1:1/hook", ADMIN, false, true),
        lock("PILLION_ADMIN_TOKEN", "admin.token", "t0ken-that-locks", ADMIN, false, false),
    ]
}

/// What can be wrong with it: a name, and what is written in its place. `None`: nothing is.
fn defects(lock: &Lock) -> Vec<(&'static str, Option<String>)> {
    let mut defects = vec![("empty", Some(String::new())), ("blank", Some("  \n".into()))];
    if lock.is_json {
        let half = lock.value.get(..lock.value.len() / 2).unwrap_or_default();
        defects.push(("cut", Some(half.to_owned())));
        defects.push(("[]", Some("[]".into())));
        defects.push(("[\"\"]", Some("[\"\"]".into())));
    }
    defects.push(("removed", None));
    defects
}

/// A folder of one's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = temp_folder().join(format!("locks-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `pillion.yaml` with this at the lock's key. Text in YAML is quoted as JSON is.
fn yaml(lock: &Lock, value: Option<&str>) -> String {
    let Some(value) = value else { return "limits: { max_depth: 20 }\n".into() };
    let value = json!(value);
    match lock.key.split_once('.') {
        Some((group, key)) => format!("{group}: {{ {key}: {value} }}\n"),
        None => format!("auth: {{ {}: {value} }}\n", lock.key),
    }
}

fn setup(engine: u16, lock: &Lock) -> Setup {
    lock.beside.iter().fold(Setup::before(engine), |setup, (name, value)| setup.env(name, value))
}

/// Does whoever offers nothing get at anything?
fn is_open(pillion: &Pillion, lock: &Lock) -> bool {
    if lock.key == "admin.token" {
        return Client::admin(pillion.admin).request("POST", "/cache/purge", &[], b"").status() == 200;
    }
    pillion.client().ask("{ count }").json()["data"]["count"] == 1
}

/// In a variable, in the file of a variable, and in `pillion.yaml`.
fn invalid_credentials_stop_the_start(_: &Engines) {
    let folder = Folder::new("start");
    for lock in &locks() {
        let rejected = |setup: Setup, what: &str| {
            let (status, said) = setup.start_in_vain();
            assert!(!status.success() && said.contains("error: "), "{what}: {said}");
            assert!(!said.contains(SECRET) && !said.contains("a-key-that"), "{what}: {said}");
        };
        for (name, written) in defects(lock) {
            let what = format!("{} {name}", lock.variable);
            let file = match &written {
                Some(text) => folder.file("lock", text),
                None => folder.0.join("nowhere").display().to_string(),
            };
            rejected(setup(1, lock).env(&format!("{}_FILE", lock.variable), &file), &format!("{what} in a file"));
            if let Some(text) = &written {
                rejected(setup(1, lock).env(lock.variable, text), &what);
                rejected(setup(1, lock).config(&yaml(lock, Some(text))), &format!("{what} in pillion.yaml"));
                // What else is given does not make up for it.
                let other = setup(1, lock).env(lock.variable, text).config(&yaml(lock, Some(&lock.value)));
                rejected(other, &format!("{what} beside a good one"));
            }
        }
        let folder_in_its_place =
            setup(1, lock).env(&format!("{}_FILE", lock.variable), &folder.0.display().to_string());
        rejected(folder_in_its_place, &format!("{} unreadable", lock.variable));
        let nothing = format!("auth: {{ {}: }}\n", lock.key);
        if lock.key != "admin.token" {
            rejected(setup(1, lock).config(&nothing), &format!("{} without a value", lock.key));
        }
    }
    // A file that was truncated, and one that was cut.
    for text in ["\n", "auth:\n", "auth: { admin_sec"] {
        let (status, said) = Setup::before(1).config(text).start_in_vain();
        assert!(!status.success() && said.contains("error: "), "{text:?}: {said}");
    }
}

/// How a running one notices.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Notice {
    Watch,
    Hangup,
    Asked,
}

fn invalid_credentials_are_rejected_on_reload(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    // A watcher takes a second to notice, so each lock has its own thread.
    std::thread::scope(|scope| {
        for (number, lock) in locks().into_iter().enumerate() {
            let (engine, handlers) = (engines.postgraphile, handlers.port);
            scope.spawn(move || {
                for notice in [Notice::Watch, Notice::Hangup, Notice::Asked] {
                    let folder = Folder::new(&format!("{number}-{notice:?}"));
                    break_and_mend(&folder, engine, handlers, &lock, notice, false);
                    break_and_mend(&folder, engine, handlers, &lock, notice, true);
                }
            });
        }
    });
}

/// The lock is in the file of a variable, as Kubernetes mounts it, or in `pillion.yaml`.
fn break_and_mend(folder: &Folder, engine: u16, handlers: u16, lock: &Lock, notice: Notice, is_yaml: bool) {
    let write = |value: Option<&str>| if is_yaml { Some(yaml(lock, value)) } else { value.map(str::to_owned) };
    let good = write(Some(&lock.value)).expect("a text");
    let path = PathBuf::from(folder.file(if is_yaml { "pillion.yaml" } else { "lock" }, &good));
    let setup = setup(engine, lock).with_shop(handlers);
    let setup = if is_yaml {
        setup.flag("--config").flag(&path.display().to_string())
    } else {
        setup.env(&format!("{}_FILE", lock.variable), &path.display().to_string())
    };
    let watches = if notice == Notice::Watch { "true" } else { "false" };
    let pillion = setup.env("PILLION_RELOAD_WATCH_FILES", watches).start().wait_until_ready();
    assert!(!is_open(&pillion, lock), "{}", lock.variable);
    for (name, written) in defects(lock) {
        let what = format!("{} {name} {notice:?} {}", lock.variable, path.display());
        // A line that is gone from pillion.yaml is a change like another, as long as it lets nobody in.
        let is_rejected = !(is_yaml && written.is_none() && lock.may_go);
        check_rejection(&pillion, lock, notice, &path, write(written.as_deref()).as_deref(), is_rejected, &what);
        repair(&pillion, lock, notice, &path, &good, &what);
    }
    if is_yaml {
        for text in ["", "auth:\n", "auth: { admin_sec"] {
            check_rejection(&pillion, lock, notice, &path, Some(text), true, text);
            repair(&pillion, lock, notice, &path, &good, text);
        }
    }
    assert!(!pillion.log().contains(SECRET), "{}", lock.variable);
}

fn reloads(pillion: &Pillion, outcome: &str) -> f64 {
    pillion.metric(&format!("pillion_config_reloads_total{{outcome=\"{outcome}\"}}"))
}

/// Writes it, or removes the file; then the running one notices.
fn exchange(pillion: &Pillion, lock: &Lock, notice: Notice, path: &Path, text: Option<&str>) {
    match text {
        // At one go: a watcher may look at any time.
        Some(text) => {
            let new = path.with_extension("new");
            std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path)).expect("a file");
        }
        None => std::fs::remove_file(path).expect("the file"),
    }
    match notice {
        Notice::Watch => {}
        Notice::Hangup => pillion.signal("HUP"),
        Notice::Asked => {
            let bearer = format!("Bearer {}", lock.value);
            let headers = [("Authorization", bearer.as_str())];
            let headers = if lock.key == "admin.token" { headers.as_slice() } else { &[] };
            Client::admin(pillion.admin).request("POST", "/reload", headers, b"");
        }
    }
}

fn check_rejection(
    pillion: &Pillion,
    lock: &Lock,
    notice: Notice,
    path: &Path,
    text: Option<&str>,
    is_rejected: bool,
    what: &str,
) {
    let outcome = if is_rejected { "rejected" } else { "success" };
    let before = reloads(pillion, outcome);
    exchange(pillion, lock, notice, path, text);
    wait_until(&format!("{what}: {outcome}"), || reloads(pillion, outcome) > before);
    assert!(!is_open(pillion, lock), "{what}");
    if is_rejected {
        assert_eq!(pillion.metric("pillion_config_last_reload_successful"), 0.0, "{what}");
        let bearer = format!("Bearer {}", lock.value);
        let headers = [("Authorization", bearer.as_str())];
        let headers = if lock.key == "admin.token" { headers.as_slice() } else { &[] };
        // It is said a moment after it is counted.
        wait_until(&format!("{what}: what /readyz says"), || {
            let told = Client::admin(pillion.admin).request("GET", "/readyz?verbose", headers, b"").text();
            told.contains("the newest one was rejected")
        });
        pillion.wait_for_log("configuration rejected");
    }
}

/// The good one is taken again, and closed as before.
fn repair(pillion: &Pillion, lock: &Lock, notice: Notice, path: &Path, good: &str, what: &str) {
    let before = reloads(pillion, "success");
    exchange(pillion, lock, notice, path, Some(good));
    wait_until(&format!("{what}: mended"), || reloads(pillion, "success") > before);
    assert!(!is_open(pillion, lock), "{what}");
}

fn open_access_is_logged(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let setup = || Setup::before(engines.postgraphile).with_shop(handlers.port);
    // Hasura's default, with a warning; and in so many words.
    let pillion = setup().start().wait_until_ready();
    assert_eq!(pillion.client().ask("{ count }").json()["data"]["count"], 1);
    let log = pillion.whole_log("TERM");
    let warning = log.lines().find(|line| line.contains("neither an admin secret")).unwrap_or_default();
    assert!(warning.contains("\"WARN\"") && warning.contains("auth.open: true (PILLION_AUTH_OPEN)"), "{log}");
    let pillion = setup().config("auth: { open: true }\n").start().wait_until_ready();
    assert_eq!(pillion.client().ask("{ count }").json()["data"]["count"], 1);
    let log = pillion.whole_log("TERM");
    assert!(!log.contains("neither an admin secret") && log.contains("auth.open is true"), "{log}");
    // It does not go with a credential, and false does not go without one.
    let both = setup().config("auth: { open: true }\n").env("HASURA_GRAPHQL_ADMIN_SECRET", SECRET);
    let (_, said) = both.start_in_vain();
    assert!(said.contains("auth.open: this makes everybody admin, and a credential is configured as well"), "{said}");
    let (_, said) = setup().env("PILLION_AUTH_OPEN", "false").start_in_vain();
    assert!(said.contains("PILLION_AUTH_OPEN: there is no credential"), "{said}");
    // Not even in so many words while it runs.
    let folder = Folder::new("open");
    let config = folder.file("pillion.yaml", &format!("auth: {{ admin_secret: {SECRET} }}\n"));
    let pillion = setup().flag("--config").flag(&config).start().wait_until_ready();
    let headers = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", SECRET)];
    std::fs::write(&config, "auth: { open: true }\n").expect("a file");
    let answer = Client::admin(pillion.admin).request("POST", "/reload", &[], b"");
    assert!(answer.status() == 422 && answer.text().contains("restart with auth.open: true"), "{}", answer.text());
    let asked = pillion.client().request("POST", "/graphql", &headers, br#"{"query":"{ count }"}"#);
    assert_eq!(asked.json()["data"]["count"], 1);
    assert_eq!(pillion.client().ask("{ count }").json()["data"]["count"], serde_json::Value::Null);
    // pillion check says the same of a file as the start does.
    let checked = Command::new(env!("CARGO_BIN_EXE_pillion"))
        .args(["check", "--config", &folder.file("empty.yaml", "auth: { admin_secret: '' }\n")])
        .output()
        .expect("pillion check");
    let text = String::from_utf8_lossy(&checked.stdout);
    assert!(text.contains("this credential is given, and is empty"), "{text}");
}
