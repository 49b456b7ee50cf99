//! The admin listener, and the line a request leaves in the log.

use std::process::Command;
use std::time::{Duration, Instant};

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{free_port, trials, wait_until};

pub const TESTS: &[super::Test] = trials![
    health_readiness_and_metrics,
    one_log_line_for_each_request,
    secrets_are_never_logged,
    a_log_pipe_that_is_not_read,
    successful_requests_are_sampled,
    a_panic_ends_one_request,
    access_to_the_admin_listener,
    the_metrics_listener_is_read_only,
    the_health_command_reads_the_configuration_of_the_server,
    idle_connections_do_not_block_health_checks,
];

fn health_readiness_and_metrics(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    assert_eq!(pillion.admin("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(pillion.admin("/readyz"), (200, "ready\n".to_owned()));
    let details = pillion.admin("/readyz?verbose").1;
    assert!(details.starts_with("ready\nupstream: ok\nactions: "), "{details}");
    assert!(details.contains("\njobs.store: none"), "{details}");
    for path in ["/nothing", "/"] {
        let (status, body) = pillion.admin(path);
        let told: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let paths: Vec<_> =
            told["endpoints"].as_array().expect("a list").iter().map(|one| one["path"].clone()).collect();
        assert!(
            status == 404 && paths.contains(&"/metrics".into()) && paths.contains(&"/jobs/ID/retry".into()),
            "{body}"
        );
    }
    let mut client = pillion.client();
    client.ask("{ count }");
    client.ask("{ count }");
    client.ask("{ productById(id: 1) { name } }");
    client.request("GET", "/", &[], b"");
    // A request is counted when it is over, which is a moment after its response is here.
    wait_until("all to be counted", || pillion.metric("pillion_requests_in_flight") == 0.0);
    // They are counted once they are answered.
    for kind in ["action", "pass_through"] {
        let metric = format!("pillion_requests_total{{kind=\"{kind}\"}}");
        wait_until(&metric, || pillion.metric(&metric) == 2.0);
    }
    assert_eq!(pillion.metric("pillion_handler_calls_total{action=\"count\",outcome=\"success\"}"), 2.0);
    assert_eq!(pillion.metric("pillion_plan_cache_lookups_total{outcome=\"hit\"}"), 1.0);
    assert_eq!(pillion.metric("pillion_upstream_up"), 1.0);
    assert_eq!(pillion.metric("pillion_phase_duration_seconds_count{phase=\"run\"}"), 2.0);
}

fn one_log_line_for_each_request(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    let mut client = pillion.client();
    let headers = [("Content-Type", "application/json"), ("X-Request-Id", "find-me")];
    client.request("POST", "/graphql?key=hidden", &headers, br#"{"query":"{ count productById(id: 1) { name } }"}"#);
    client.ask("{ productById(id: 1) { name } }");
    pillion.wait_for_log("find-me");
    let log = pillion.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("\"request_id\"")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    let line: serde_json::Value = serde_json::from_str(lines[0]).expect("a line of JSON");
    assert_eq!(line["actions"], "count");
    assert_eq!(line["http.response.status_code"], 200);
    assert_eq!(line["outcome"], "success");
    assert_eq!(line["role"], "admin");
    assert!(!log.contains("hidden") && !log.contains("action-handler-log"), "{log}");
    // Each call has one as well, if that is wanted.
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    let setup = setup.env("HASURA_GRAPHQL_ENABLED_LOG_TYPES", "startup,http-log,action-handler-log");
    let pillion = setup.start().wait_until_ready();
    pillion.client().ask("{ count }");
    pillion.wait_for_log("\"type\":\"action-handler-log\"");
    let log = pillion.log();
    let line = log.lines().find(|line| line.contains("action-handler-log")).unwrap_or_default();
    let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    assert_eq!((&line["action_name"], &line["http.response.status_code"]), (&"count".into(), &200.into()));
    assert_eq!((&line["url.template"], &line["response_size"]), (&"{{HANDLERS}}/count".into(), &1.into()));
}

/// Its pipe is full after a hundred lines or so, and its queue after some thousands.
fn a_log_pipe_that_is_not_read(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let mut setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    setup.log_is_unread = true;
    let mut pillion = setup.start().wait_until_ready();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = pillion.client();
                (0..1500).for_each(|_| assert_eq!(client.ask("{ count }").status(), 200));
            });
        }
    });
    assert!(pillion.metric("pillion_log_lines_dropped_total") > 100.0);
    pillion.signal("TERM");
    wait_until("its end", || pillion.process.0.try_wait().is_ok_and(|status| status.is_some()));
}

/// What goes wrong is always told.
fn successful_requests_are_sampled(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    let pillion =
        setup.config("log: { success_sample_every: 5, types: [action-handler-log] }\n").start().wait_until_ready();
    let mut client = pillion.client();
    (0..10).for_each(|_| drop(client.ask("{ count }")));
    handlers.on_path("/count", Reply::status(400, r#"{"message":"no"}"#));
    (0..10).for_each(|_| drop(client.ask("{ count }")));
    let log = pillion.whole_log("TERM");
    let count =
        |words: &str, more: &str| log.lines().filter(|line| line.contains(words) && line.contains(more)).count();
    assert_eq!(
        (count("\"request\"", "\"outcome\":\"success\""), count("\"request\"", "\"outcome\":\"errors\"")),
        (2, 10),
        "{log}"
    );
    assert_eq!(
        (count("\"handler call\"", "status_code\":200"), count("\"handler call\"", "status_code\":400")),
        (2, 10),
        "{log}"
    );
}

/// One in a request, one in the loop that takes jobs, one in such a call.
fn a_panic_ends_one_request(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json(r#"[{"id":1}]"#));
    let setup = Setup::before(engines.postgraphile).with_actions("hasura-async", handlers.port);
    let setup = setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").env("PILLION_FAILPOINTS", "request,worker,job");
    let pillion = setup.config("jobs: { lease_duration: 1s }\n").start().wait_until_ready();
    let headers = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", "s3cret")];
    let body = br#"{"query":"mutation { later(number: 1) }"}"#;
    let answer = pillion.client().request("POST", "/graphql", &headers, body);
    assert_eq!((answer.status(), answer.header("connection")), (500, Some("close")), "{}", answer.text());
    assert_eq!(answer.json()["errors"][0]["extensions"]["code"], "unexpected");
    let id = pillion.client().request("POST", "/graphql", &headers, body).json()["data"]["later"].clone();
    let body = serde_json::json!({ "query": "query($id: uuid!) { later(id: $id) { output { id } } }", "variables": { "id": id } });
    wait_until("its result", || {
        let answer = pillion.client().request("POST", "/graphql", &headers, body.to_string().as_bytes());
        answer.json()["data"]["later"]["output"] == serde_json::json!([{ "id": 1 }])
    });
    assert_eq!(pillion.metric("pillion_panics_total"), 3.0);
    wait_until("nothing in flight", || pillion.metric("pillion_requests_in_flight") == 0.0);
    assert_eq!(pillion.admin("/readyz").0, 200);
    let log = pillion.whole_log("TERM");
    assert_eq!(log.matches("internal error (bug), please report").count(), 3, "{log}");
    assert!(log.contains("src/runtime/panic_isolation.rs"), "{log}");
}

fn secrets_are_never_logged(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/placeOrder", Reply::Close);
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port).flag("--log-level=debug");
    let setup = setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "open-sesame").env("HASURA_GRAPHQL_DEV_MODE", "true");
    let pillion = setup.start().wait_until_ready();
    let mut client = pillion.client();
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Hasura-Admin-Secret", "open-sesame"),
        ("Authorization", "tell-nobody"),
    ];
    let body = br#"{"query":"mutation { placeOrder(order: {productId: 1}) { id } }"}"#;
    let answer = client.request("POST", "/graphql", &headers, body).text();
    assert!(answer.contains("the connection to the handler broke"), "{answer}");
    let metrics = pillion.admin("/metrics").1;
    let everything = answer + &metrics + &pillion.whole_log("TERM");
    for secret in ["open-sesame", "tell-nobody", "configured-key"] {
        assert!(!everything.contains(secret), "{secret} can be seen in:\n{everything}");
    }
}

/// On loopback without a token, on loopback with one, and elsewhere without.
fn access_to_the_admin_listener(engines: &Engines) {
    const CHANGES: [(&str, &str); 9] = [
        ("GET", "/jobs"),
        ("GET", "/jobs/0d0cb9a9-0b5c-4d3a-8f5b-0d6c1f4c1b1e"),
        ("POST", "/jobs/0d0cb9a9-0b5c-4d3a-8f5b-0d6c1f4c1b1e/retry"),
        ("POST", "/jobs/0d0cb9a9-0b5c-4d3a-8f5b-0d6c1f4c1b1e/cancel"),
        ("POST", "/jobs/purge"),
        ("POST", "/reload"),
        ("POST", "/cache/purge"),
        ("GET", "/anything"),
        ("DELETE", "/metrics"),
    ];
    const OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
    let handlers = Scripted::start();
    let setup = || Setup::before(engines.postgraphile).with_shop(handlers.port);
    let status = |pillion: &Pillion, method: &str, path: &str, headers: &[(&str, &str)]| {
        Client::admin(pillion.admin).request(method, path, headers, b"").status()
    };
    let pillion = setup().start().wait_until_ready();
    for (method, path) in CHANGES {
        let got = status(&pillion, method, path, &[]);
        assert!(!matches!(got, 401 | 403), "{method} {path}: {got}");
    }
    // No page, by whatever way it gets there.
    for (method, path) in CHANGES.into_iter().chain(OPEN.map(|path| ("GET", path))) {
        for header in [("Origin", "http://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
            assert_eq!(status(&pillion, method, path, &[header]), 403, "{method} {path} {header:?}");
        }
        // A name that leads here: Client::connect says api.example.
        let by_name = Client::connect(pillion.admin).request(method, path, &[], b"").status();
        let is_probe = path == "/healthz" || path == "/readyz";
        assert_eq!(by_name == 421, !is_probe, "{method} {path}: {by_name}");
    }
    let named = setup().env("PILLION_ADMIN_ALLOWED_HOSTS", "pillion.internal,api.example").start().wait_until_ready();
    assert_eq!(Client::connect(named.admin).request("GET", "/metrics", &[], b"").status(), 200);
    // With a token, also on loopback; it can be exchanged while it runs.
    let file = temp_folder().join("admin-token");
    std::fs::write(&file, "t0ken-one\n").expect("a file");
    let pillion = setup().env("PILLION_ADMIN_TOKEN_FILE", &file.display().to_string());
    let pillion = pillion.env("PILLION_RELOAD_WATCH_FILES", "false").start().wait_until_ready();
    for (method, path) in CHANGES {
        for wrong in [None, Some("Bearer t0ken-two"), Some("Basic t0ken-one"), Some("t0ken-one")] {
            let headers: Vec<_> = wrong.iter().map(|value| ("Authorization", *value)).collect();
            assert_eq!(status(&pillion, method, path, &headers), 401, "{method} {path} {wrong:?}");
        }
    }
    for path in OPEN {
        assert_eq!(status(&pillion, "GET", path, &[]), 200, "{path}");
    }
    let details =
        |headers: &[(&str, &str)]| Client::admin(pillion.admin).request("GET", "/readyz?verbose", headers, b"").text();
    let told = details(&[]);
    assert!(told.starts_with("ready\n") && !told.contains("actions: "), "{told}");
    let (one, two) = ([("Authorization", "Bearer t0ken-one")], [("Authorization", "Bearer t0ken-two")]);
    assert!(details(&one).contains("actions: "));
    assert_eq!(status(&pillion, "POST", "/cache/purge", &one), 200);
    std::fs::write(&file, "t0ken-two\n").expect("a file");
    assert_eq!(status(&pillion, "POST", "/reload", &one), 200);
    assert_eq!((status(&pillion, "GET", "/jobs", &one), status(&pillion, "POST", "/cache/purge", &two)), (401, 200));
    assert!(!pillion.whole_log("TERM").contains("t0ken"));
    let _ = std::fs::remove_file(&file);
    // Where others reach it, nothing of the kind is served without one.
    let mut setup = setup();
    setup.admin_host = "0.0.0.0";
    let pillion = setup.start().wait_until_ready();
    for (method, path) in CHANGES {
        assert_eq!(status(&pillion, method, path, &[]), 403, "{method} {path}");
    }
    assert_eq!(status(&pillion, "GET", "/metrics", &[]), 200);
}

/// Half requests and silence: they take no descriptors of clients, and keep no health check from being answered.
fn idle_connections_do_not_block_health_checks(engines: &Engines) {
    let mut setup = Setup::before(engines.postgraphile).with_shop(1);
    setup.descriptors = Some(1024);
    let pillion = setup.config("downstream: { request_header_timeout: 2s }\n").start().wait_until_ready();
    let mut held: Vec<Client> = (0..900).map(|_| Client::admin(pillion.admin)).collect();
    held.iter_mut().step_by(2).for_each(|client| client.send(b"GET /jobs HTTP/1.1\r\nHost: local"));
    let began = Instant::now();
    let answer = pillion.client().ask("{ productById(id: 1) { name } }");
    assert_eq!((answer.status(), answer.text().contains("City bicycle")), (200, true), "{}", answer.text());
    assert_eq!(pillion.admin("/healthz").0, 200);
    assert_eq!(pillion.admin("/readyz").0, 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(pillion.metric("pillion_shed_requests_total{resource=\"admin_connections\"}") > 800.0);
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", pillion.process.0.id())).expect("its files").count();
    assert!(descriptors < 200, "{descriptors}");
    // In time the rest is let go as well.
    wait_until("the end of them all", || held.iter_mut().all(Client::is_closed));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// Whatever token a request has: the listener is for Prometheus and probes.
fn the_metrics_listener_is_read_only(engines: &Engines) {
    let port = free_port();
    let setup = Setup::before(engines.postgraphile).with_shop(1).env("PILLION_ADMIN_TOKEN", "t0ken");
    let setup = setup.env("PILLION_ADMIN_METRICS_LISTEN", &format!("127.0.0.1:{port}"));
    let pillion = setup.start().wait_until_ready();
    let token = [("Authorization", "Bearer t0ken")];
    let get = |path: &str, headers: &[(&str, &str)]| Client::admin(port).request("GET", path, headers, b"");
    for (path, word) in [("/healthz", "ok"), ("/readyz", "ready"), ("/metrics", "pillion_upstream_up 1")] {
        let response = get(path, &[]);
        assert!(response.status() == 200 && response.text().contains(word), "{path}: {}", response.text());
        assert_eq!(get(path, &[("Origin", "http://evil.example")]).status(), 403, "{path}");
    }
    let details = get("/readyz?verbose", &token).text();
    assert!(details.starts_with("ready\n") && !details.contains("actions: "), "{details}");
    for (method, path) in
        [("GET", "/jobs"), ("GET", "/"), ("POST", "/reload"), ("POST", "/cache/purge"), ("POST", "/jobs/purge")]
    {
        let response = Client::admin(port).request(method, path, &token, b"");
        let paths: Vec<_> =
            response.json()["endpoints"].as_array().expect("a list").iter().map(|one| one["path"].clone()).collect();
        assert_eq!(paths, ["/healthz", "/readyz", "/metrics"], "{method} {path}");
        assert_eq!(response.status(), if method == "GET" { 404 } else { 405 }, "{method} {path}");
    }
    // The admin listener has all of it, as before.
    assert_eq!(Client::admin(pillion.admin).request("POST", "/cache/purge", &token, b"").status(), 200);
}

fn the_health_command_reads_the_configuration_of_the_server(engines: &Engines) {
    let pillion = Setup::before(engines.postgraphile).with_shop(1).env("PILLION_ADMIN_TOKEN", "t0ken").start();
    let pillion = pillion.wait_until_ready();
    let file = temp_folder().join("health.yaml");
    let health = |config: &str, arguments: &[&str]| {
        std::fs::write(&file, config).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        let output =
            command.arg("health").args(arguments).env_clear().env("PILLION_CONFIG", &file).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let config = format!("admin_listen: 127.0.0.1:{}\nadmin: {{ token: t0ken }}\n", pillion.admin);
    assert_eq!(health(&config, &[]), (Some(0), "ok\n".to_owned()));
    assert_eq!(health(&config, &["--ready"]), (Some(0), "ready\n".to_owned()));
    let (status, details) = health(&config, &["--verbose"]);
    assert!(status == Some(0) && details.contains("actions: "), "{details}");
    let (status, details) = health(&config.replace("t0ken", "an0ther"), &["--verbose"]);
    assert!(status == Some(0) && !details.contains("actions: ") && !details.contains("an0ther"), "{details}");
    let (status, said) = health("admin_listen: 127.0.0.1:1\n", &[]);
    assert!(
        status == Some(1) && said.contains("http://127.0.0.1:1/healthz") && said.contains("Connection refused"),
        "{said}"
    );
    std::fs::remove_file(&file).expect("the file");
}
