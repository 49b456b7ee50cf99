//! What an upstream says about GET and about pages of other origins, and who answers where it says nothing.

use pillion_test_support::engines::{Engines, node};
use pillion_test_support::message::Message;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::process::Process;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{free_port, trials, wait_until};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    an_upstream_that_rejects_get,
    an_upstream_with_csrf_protection,
    support_for_get_is_probed_once,
    the_upstreams_own_headers_win,
    without_cors,
];

const ORIGIN: &str = "access-control-allow-origin";
const COUNT: &str = "/graphql?query=%7Bcount%7D";
const FOUR: &str = r#"{"data":{"count":4}}"#;

fn stage(engine: u16, config: &str) -> (Scripted, Pillion) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("4"));
    let pillion = Setup::before(engine).with_shop(handlers.port).config(config).start().wait_until_ready();
    (handlers, pillion)
}

/// A real one of one's own.
fn start_upstream(arguments: &[&str], environment: &[(&str, &str)]) -> (Process, u16) {
    let port = free_port();
    let mut command = node(arguments, port);
    let process = Process(command.envs(environment.iter().copied()).spawn().expect("node starts"));
    wait_until("an upstream that answers", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            && pillion_test_support::client::Client::connect(port).ask("{ __typename }").status() == 200
    });
    (process, port)
}

fn get(pillion: &Pillion, path: &str, headers: &[(&str, &str)]) -> Message {
    pillion.client().request("GET", path, headers, b"")
}

/// PostGraphile does, unless it is told otherwise.
fn an_upstream_that_rejects_get(engines: &Engines) {
    let database = format!("postgres://shop@127.0.0.1:{}/postgres", engines.database);
    let environment =
        [("DATABASE_URL", database.as_str()), ("GRAPHILE_ENV", "production"), ("GRAPHQL_OVER_GET", "false")];
    let (_process, port) =
        start_upstream(&["node_modules/.bin/postgraphile", "--config", "graphile.config.mjs"], &environment);
    let (handlers, pillion) = stage(port, "");
    let directly = pillion_test_support::client::Client::connect(port).request(
        "GET",
        COUNT,
        &[("Accept", "application/json")],
        b"",
    );
    assert_eq!(directly.status(), 405, "{}", directly.text());
    for path in [COUNT, "/graphql?query=%7Bcount%20productById(id%3A1)%7Bname%7D%7D"] {
        let rejected = get(&pillion, path, &[("Origin", "https://shop.example")]);
        assert_eq!((rejected.status(), rejected.text()), (405, directly.text()), "{path}");
        assert_eq!(rejected.header(ORIGIN), None);
    }
    assert!(handlers.take_seen().is_empty());
    pillion.wait_for_log("upstream_rejected_get");
    assert_eq!(pillion.client().ask("{ count }").text(), FOUR);
    // Streams of events are ours, whatever the upstream does with GET.
    let stream = get(&pillion, COUNT, &[("Accept", "text/event-stream"), ("Origin", "https://shop.example")]);
    assert!(stream.text().contains(FOUR), "{}", stream.text());
    assert_eq!(stream.header(ORIGIN), None);

    let (_handlers, pillion) = stage(port, "graphql_get: allow\n");
    let answer = get(&pillion, COUNT, &[("Origin", "https://shop.example")]);
    assert_eq!((answer.text().as_str(), answer.header(ORIGIN)), (FOUR, None));
    let (handlers, pillion) = stage(engines.yoga, "graphql_get: deny\n");
    let rejected = get(&pillion, COUNT, &[]);
    assert_eq!((rejected.status(), rejected.header("allow")), (405, Some("POST")), "{}", rejected.text());
    assert!(handlers.take_seen().is_empty());
}

/// Yoga with Apollo's rule: a GET that a page could send without a preflight is refused with 400.
fn an_upstream_with_csrf_protection(_: &Engines) {
    let (_process, port) = start_upstream(&["yoga.mjs"], &[("CSRF_PREVENTION", "true")]);
    let (handlers, pillion) = stage(port, "");
    let origin = ("Origin", "https://shop.example");
    let rejected = get(&pillion, COUNT, &[origin]);
    assert_eq!(rejected.status(), 400, "{}", rejected.text());
    assert!(rejected.text().contains("cross-site request forgery"), "{}", rejected.text());
    assert!(handlers.take_seen().is_empty());
    let answer = get(&pillion, COUNT, &[origin, ("apollo-require-preflight", "true")]);
    assert_eq!((answer.text().as_str(), answer.header(ORIGIN)), (FOUR, Some("https://shop.example")));
    assert_eq!(get(&pillion, COUNT, &[origin]).status(), 400, "both are remembered");
}

fn support_for_get_is_probed_once(_: &Engines) {
    let upstream = Scripted::start();
    let says = |status: u16, origin: &str| {
        let headers = vec![("Content-Type".into(), "application/json".into()), (ORIGIN.into(), origin.into())];
        upstream.on_path(
            "/graphql",
            Reply::Answer { status, headers, body: br#"{"data":{"__typename":"Query"}}"#.to_vec() },
        );
    };
    says(200, "https://a.example");
    let (_handlers, pillion) = stage(upstream.port, "");
    let asked = || {
        let seen = upstream.take_seen();
        seen.iter().filter(|seen| seen.method() == "GET").map(|seen| seen.path().to_owned()).collect::<Vec<_>>()
    };
    asked();
    for _ in 0..3 {
        let answer = get(&pillion, COUNT, &[("Origin", "https://a.example"), ("Authorization", "Bearer x")]);
        assert_eq!(answer.all(ORIGIN), ["https://a.example"]);
    }
    assert_eq!(asked(), ["/graphql?query=%7B__typename%7D"]);
    // Another origin is another question. What is about the caller or the moment is asked again.
    says(403, "https://a.example");
    for _ in 0..2 {
        assert_eq!(get(&pillion, COUNT, &[("Origin", "https://b.example")]).status(), 403);
    }
    assert_eq!(asked().len(), 2);
    says(401, "https://b.example");
    let answer = get(&pillion, COUNT, &[("Origin", "https://b.example")]);
    assert_eq!((answer.text().as_str(), answer.header(ORIGIN)), (FOUR, Some("https://b.example")));
    // Nobody knows what an upstream would say that does not.
    drop(upstream);
    assert_eq!(get(&pillion, COUNT, &[("Origin", "https://c.example")]).status(), 502);
    assert_eq!(get(&pillion, COUNT, &[("Origin", "https://a.example"), ("Authorization", "y")]).status(), 200);
}

fn the_upstreams_own_headers_win(engines: &Engines) {
    let (_handlers, pillion) = stage(engines.yoga, "cors: { allowed_origins: ['https://shop.example'] }\n");
    let origin = |name: &'static str| [("Origin", name), ("Content-Type", "application/json")];
    let books = br#"{"query":"{ books { id } }"}"#;
    for name in ["https://shop.example", "https://other.example"] {
        // Yoga allows every origin.
        let answer = pillion.client().request("POST", "/graphql", &origin(name), books);
        assert_eq!(answer.all(ORIGIN), [name]);
        let asks = [&origin(name)[..1], &[("Access-Control-Request-Method", "POST")]].concat();
        let preflight = pillion.client().request("OPTIONS", "/graphql", &asks, b"");
        assert_eq!(preflight.all(ORIGIN), [name]);
        assert_ne!(preflight.header("access-control-max-age"), Some("1728000"));
        assert_eq!(get(&pillion, COUNT, &origin(name)[..1]).all(ORIGIN), [name]);
    }
    // Without the setting nothing is added.
    let (_handlers, pillion) = stage(engines.postgraphile, "");
    let name = [("Origin", "https://shop.example"), ("Access-Control-Request-Method", "POST")];
    let preflight = pillion.client().request("OPTIONS", "/graphql", &name, b"");
    assert!(preflight.status() == 405 && preflight.header(ORIGIN).is_none(), "{}", preflight.start);
    let plain = br#"{"query":"{ productById(id: 1) { name } }"}"#;
    let headers = [("Origin", "https://shop.example"), ("Content-Type", "application/json")];
    assert_eq!(pillion.client().request("POST", "/graphql", &headers, plain).header(ORIGIN), None);
    assert_eq!(get(&pillion, COUNT, &headers[..1]).header(ORIGIN), None, "what nobody may read directly");
}

fn without_cors(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("4"));
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    let setup = setup.env("HASURA_GRAPHQL_CORS_DOMAIN", "*").env("HASURA_GRAPHQL_DISABLE_CORS", "true");
    let pillion = setup.start().wait_until_ready();
    let headers = [("Origin", "https://shop.example"), ("Content-Type", "application/json")];
    for document in ["{ count }", "{ productById(id: 1) { name } }"] {
        let body = serde_json::json!({ "query": document }).to_string();
        let answer = pillion.client().request("POST", "/graphql", &headers, body.as_bytes());
        assert_eq!((answer.status(), answer.header(ORIGIN)), (200, None), "{document}");
    }
    let asks = [headers[0], ("Access-Control-Request-Method", "POST")];
    assert_eq!(pillion.client().request("OPTIONS", "/graphql", &asks, b"").header(ORIGIN), None);
    let (status, said) =
        Setup::before(engines.postgraphile).env("HASURA_GRAPHQL_DISABLE_CORS", "maybe").start_in_vain();
    assert!(
        !status.success() && said.contains("HASURA_GRAPHQL_DISABLE_CORS: \"maybe\" is not true or false"),
        "{said}"
    );
}
