//! HTTP/2 in clear text and with TLS, TLS and HTTP/2 to the upstream, WebSockets passing through.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use pillion_test_support::engines::{Engines, node};
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::process::Process;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::tls::{Listener, certificate};
use pillion_test_support::{free_port, trials, wait_for_port, wait_until};

pub const TESTS: &[super::Test] = trials![
    http2_in_clear_text,
    tls_downstream_and_upstream,
    http2_to_the_upstream,
    an_upstream_that_resets_streams,
    cookies_of_http2_are_one_line,
    handlers_with_tls,
    handlers_behind_a_proxy,
    websockets_pass_through,
];

const MIXED: &str = r#"{"query":"{ productById(id: 1) { name } count }"}"#;
const ANSWER: &str = r#"{"data":{"productById":{"name":"City bicycle"},"count":1}}"#;

/// Posts with a real client and gives version and text.
fn post(builder: reqwest::ClientBuilder, url: &str, body: &str) -> (reqwest::Version, u16, String) {
    pillion::install_tls_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = builder.no_proxy().build().expect("a client");
        let request = client.post(url).header("content-type", "application/json").body(body.to_owned());
        let answer = request.send().await.expect("a response");
        (answer.version(), answer.status().as_u16(), answer.text().await.expect("a text"))
    })
}

fn shop(engine: u16) -> (Scripted, Setup) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let setup = Setup::before(engine).with_shop(handlers.port);
    (handlers, setup)
}

fn http2_in_clear_text(engines: &Engines) {
    let (_handlers, setup) = shop(engines.postgraphile);
    let pillion = setup.start().wait_until_ready();
    let url = format!("http://127.0.0.1:{}/graphql", pillion.port);
    let client = || reqwest::Client::builder().http2_prior_knowledge();
    assert_eq!(post(client(), &url, MIXED), (reqwest::Version::HTTP_2, 200, ANSWER.to_owned()));
    let plain = r#"{"query":"{ productById(id: 1) { name } }"}"#;
    let answer = r#"{"data":{"productById":{"name":"City bicycle"}}}"#;
    assert_eq!(post(client(), &url, plain), (reqwest::Version::HTTP_2, 200, answer.to_owned()));
    // Longer than the buffer for repetitions, so it goes another way.
    let long = format!(r#"{{"query":"{{ productById(id: 1) {{ name }} }}","x":"{}"}}"#, "x".repeat(90_000));
    assert_eq!(post(client(), &url, &long), (reqwest::Version::HTTP_2, 200, answer.to_owned()));
}

/// RFC 9113, section 8.2.3: whoever reads the first line only would see somebody else.
fn cookies_of_http2_are_one_line(_: &Engines) {
    let engine = Scripted::start();
    for path in ["/other", "/graphql"] {
        engine.on_path(path, Reply::json(r#"{"data":{"a":1}}"#));
    }
    pillion::install_tls_provider();
    let (_handlers, setup) = shop(engine.port);
    let pillion = setup.start().wait_until_ready();
    let passing = r#"{"query":"{ a }"}"#;
    for (path, body) in [("other", passing), ("graphql", passing), ("graphql", r#"{"query":"{ a count }"}"#)] {
        engine.take_seen();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let status = runtime.block_on(async {
            let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
            let request = client.post(format!("http://127.0.0.1:{}/{path}", pillion.port));
            let request = request.header("content-type", "application/json").body(body);
            let pieces = ["a=1", "session=x; b=2", "c=3"].into_iter();
            let request = pieces.fold(request, |request, piece| request.header("cookie", piece));
            request.send().await.expect("a response").status().as_u16()
        });
        assert_eq!(status, 200);
        let seen = engine.take_seen();
        let seen = seen.iter().find(|seen| seen.header("cookie").is_some()).expect("a request with cookies");
        assert_eq!(seen.all("cookie"), ["a=1; session=x; b=2; c=3"], "{path} {body}");
    }
}

/// A Pillion with TLS in front of `engine`, to play an upstream with TLS.
fn with_tls(engine: u16) -> (Pillion, u16, PathBuf) {
    let Listener { config, port, certificate } = Listener::on_free_port();
    let pillion = Setup::before(engine).config(&config).start();
    wait_for_port(port);
    (pillion, port, certificate)
}

fn tls_downstream_and_upstream(engines: &Engines) {
    let (_inner, tls_port, authority) = with_tls(engines.postgraphile);
    let pem = std::fs::read(&authority).expect("the certificate");
    let trusting = || {
        let certificate = reqwest::Certificate::from_pem(&pem).expect("a certificate");
        reqwest::Client::builder().tls_certs_only([certificate])
    };
    let url = format!("https://localhost:{tls_port}/graphql");
    let plain = r#"{"query":"{ productById(id: 1) { name } }"}"#;
    let (version, status, text) = post(trusting(), &url, plain);
    assert_eq!((version, status), (reqwest::Version::HTTP_2, 200), "{text}");
    assert_eq!(post(trusting().http1_only(), &url, plain).0, reqwest::Version::HTTP_11);

    // Every way to the upstream with TLS: streaming, our own parts, and long bodies.
    let (_handlers, setup) = shop(1);
    let config = format!("upstream: {{tls_ca_file: '{}'}}\n", authority.display());
    let mut setup = setup.config(&config);
    setup.upstream = format!("https://localhost:{tls_port}");
    let pillion = setup.start().wait_until_ready();
    let mut client = pillion.client();
    assert_eq!(client.post(MIXED).text(), ANSWER);
    assert_eq!(client.post(plain).text(), r#"{"data":{"productById":{"name":"City bicycle"}}}"#);
    let long = format!(r#"{{"query":"{{ productById(id: 1) {{ name }} }}","x":"{}"}}"#, "x".repeat(90_000));
    assert_eq!(client.post(&long).text(), r#"{"data":{"productById":{"name":"City bicycle"}}}"#);

    // A body that is not held passes in pieces, over HTTP/2 as well.
    let upstream = Scripted::start();
    upstream.on_path("/graphql", Reply::json("{}"));
    let (_front, port, authority) = with_tls(upstream.port);
    let large = format!(r#"{{"x":"{}","query":"{{ a }}"}}"#, "x".repeat(12_000_000));
    for http2 in [false, true] {
        let (_handlers, setup) = shop(1);
        let config = format!("upstream: {{tls_ca_file: '{}', http2: {http2}}}\n", authority.display());
        let mut setup = setup.config(&config);
        setup.upstream = format!("https://localhost:{port}");
        let pillion = setup.start();
        let url = format!("http://127.0.0.1:{}/graphql", pillion.port);
        for client in [reqwest::Client::builder().http2_prior_knowledge(), reqwest::Client::builder().http1_only()] {
            upstream.take_seen();
            assert_eq!(post(client, &url, &large).1, 200, "http2: {http2}");
            assert!(upstream.take_seen().iter().any(|seen| seen.body == large.as_bytes()), "http2: {http2}");
        }
        let ours = large.replace("{ a }", "{ count }");
        assert_eq!(pillion.client().post(&ours).status(), 413, "http2: {http2}");
        assert!(upstream.take_seen().iter().all(|seen| !seen.text().contains("count")), "http2: {http2}");
    }

    // An authority that we do not know is no upstream.
    let (other, _) = certificate();
    let (_handlers, setup) = shop(1);
    let mut setup = setup.config(&format!("upstream: {{tls_ca_file: '{}'}}\n", other.display()));
    setup.upstream = format!("https://localhost:{tls_port}");
    let pillion = setup.start();
    wait_until("the first look", || pillion.admin("/readyz").1.contains("cannot be reached"));
    assert_eq!(pillion.client().post(plain).status(), 502);
}

fn handlers_with_tls(engines: &Engines) {
    // A Pillion with TLS plays the handler's server; it speaks HTTP/2 as well, and so the call does.
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let (_front, tls_port, authority) = with_tls(handlers.port);
    let start = |config: &str| {
        let setup = Setup::before(engines.postgraphile).with_shop(1).config(config);
        setup.env("HANDLERS", &format!("https://localhost:{tls_port}")).start().wait_until_ready()
    };
    let trusting = start(&format!("handlers: {{tls_ca_file: '{}'}}\n", authority.display()));
    assert_eq!(trusting.client().ask("{ count }").text(), r#"{"data":{"count":1}}"#);
    let strict = start("dialect: standard\n");
    let answer = strict.client().ask("{ count }").json();
    assert_eq!(answer["errors"][0]["message"], "the handler cannot be reached");
    assert_eq!(strict.metric("pillion_handler_calls_total{action=\"count\",outcome=\"tls\"}"), 1.0);
    // The one in front asks questions of its own.
    assert_eq!(handlers.take_seen().iter().filter(|seen| seen.path() == "/count").count(), 1);
}

fn handlers_behind_a_proxy(engines: &Engines) {
    let proxy = Scripted::start();
    proxy.on_path("http://handlers.example/count", Reply::json("1"));
    let start = |config: &str| {
        let setup = Setup::before(engines.postgraphile).with_shop(1).config(config);
        let setup = setup.env("HANDLERS", "http://handlers.example");
        setup.env("HTTP_PROXY", &format!("http://127.0.0.1:{}", proxy.port)).start().wait_until_ready()
    };
    let through = start("handlers: {use_environment_proxy: true}\n");
    assert_eq!(through.client().ask("{ count }").text(), r#"{"data":{"count":1}}"#);
    proxy.take_seen();
    let direct = start("handlers: {use_environment_proxy: false}\n");
    assert!(direct.client().ask("{ count }").text().contains("the handler cannot be reached"));
    assert!(proxy.take_seen().is_empty());
}

fn http2_to_the_upstream(engines: &Engines) {
    // Another Pillion plays an upstream that speaks HTTP/2.
    let inner = Setup::before(engines.postgraphile).start().wait_until_ready();
    let (_handlers, setup) = shop(inner.port);
    let pillion = setup.config("upstream: {http2: true}\n").start().wait_until_ready();
    let mut client = pillion.client();
    assert_eq!(client.post(MIXED).text(), ANSWER);
    let plain = r#"{"query":"{ productById(id: 1) { name } }"}"#;
    assert_eq!(client.post(plain).text(), r#"{"data":{"productById":{"name":"City bicycle"}}}"#);
}

/// RFC 9113, sections 6.8 and 8.7: what it has refused or said good-bye to, it has not worked on.
fn an_upstream_that_resets_streams(_: &Engines) {
    let port = free_port();
    let _engine = Process(node(&["http2.mjs"], port).spawn().expect("node"));
    wait_for_port(port);
    let (_handlers, setup) = shop(port);
    let pillion = setup.config("upstream: {http2: true}\n").start().wait_until_ready();
    let plain = r#"{"query":"{ productById(id: 1) { name } }"}"#;
    let long = format!(r#"{{"query":"{{ productById(id: 1) {{ name }} }}","x":"{}"}}"#, "x".repeat(90_000));
    let name = r#""productById":{"name":"City bicycle"}"#;
    for (kind, body) in [("mixed", MIXED), ("plain", plain), ("long", &long)] {
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let pillion = &pillion;
                scope.spawn(move || {
                    let mut client = pillion.client();
                    for number in 0..30 {
                        let id = format!("{kind}-{worker}-{number}");
                        let headers = [("Content-Type", "application/json"), ("X-Request-Id", id.as_str())];
                        let answer = client.request("POST", "/graphql", &headers, body.as_bytes());
                        assert!(answer.status() == 200 && answer.text().contains(name), "{id}: {}", answer.text());
                    }
                });
            }
        });
    }
}

fn websockets_pass_through(_: &Engines) {
    // An upstream that echoes whatever comes after its 101.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || echo(stream));
        }
    });
    let (_handlers, setup) = shop(port);
    let pillion = setup.start();
    let mut client = pillion.client();
    client.send(
        b"GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: something-else\r\n\r\n",
    );
    let head = client.read_response().expect("a head");
    assert_eq!((head.status(), head.header("upgrade")), (101, Some("websocket")));
    client.send(b"frames { count } of any kind");
    let mut echoed = [0; 28];
    client.stream().read_exact(&mut echoed).expect("the echo");
    assert_eq!(&echoed, b"frames { count } of any kind");
}

fn echo(mut stream: TcpStream) {
    let head = pillion_test_support::message::read_head(&mut stream);
    if !head.is_ok_and(|head| head.is_some_and(|head| head.header("upgrade").is_some())) {
        return;
    }
    let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
