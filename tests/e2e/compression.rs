//! Compression: of our own responses, for who asks for it, over every way to a client, and of what handlers respond.

use std::io::Read;

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::message::Message;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{gzip, trials};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    responses_are_compressed_on_request,
    compression_can_be_disabled,
    events_are_not_compressed,
    compressed_responses_of_handlers,
];

fn stage(engines: &Engines, config: &str) -> (Scripted, Pillion) {
    let handlers = Scripted::start();
    let rows: Vec<_> = (0..20_000).map(|id| serde_json::json!({ "id": id, "name": "City bicycle" })).collect();
    handlers.on_path("/anything", Reply::json(&serde_json::Value::from(rows).to_string()));
    handlers.on_path("/count", Reply::json("1"));
    let pillion =
        Setup::before(engines.postgraphile).with_shop(handlers.port).config(config).start().wait_until_ready();
    (handlers, pillion)
}

fn ask(client: &mut Client, accept: Option<&str>, document: &str) -> Message {
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(accept.map(|accept| ("Accept-Encoding", accept)));
    let body = serde_json::json!({ "query": document }).to_string();
    client.request("POST", "/graphql", &headers, body.as_bytes())
}

fn opened(answer: &Message) -> Vec<u8> {
    let (body, mut text) = (answer.body.as_slice(), Vec::new());
    let read = match answer.header("content-encoding") {
        Some("gzip") => flate2::read::GzDecoder::new(body).read_to_end(&mut text),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_end(&mut text),
        Some("zstd") => zstd::Decoder::new(body).expect("a frame").read_to_end(&mut text),
        _ => return body.to_vec(),
    };
    read.expect("a compressed body");
    text
}

const LARGE: &str = "{ anything productById(id: 1) { name } }";
const INTROSPECTION: &str = "{ __schema { types { name fields { name description type { name } } } } }";

fn responses_are_compressed_on_request(engines: &Engines) {
    let (_handlers, pillion) = stage(engines, "");
    let mut client = pillion.client();
    for document in [LARGE, INTROSPECTION] {
        let plain = ask(&mut client, None, document);
        assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("Accept-Encoding")));
        for (accept, coding) in [
            ("gzip", "gzip"),
            ("br", "br"),
            ("zstd", "zstd"),
            ("gzip, deflate, br, zstd", "zstd"),
            ("gzip;q=0.5, br;q=1.0, zstd;q=0", "br"),
        ] {
            let answer = ask(&mut client, Some(accept), document);
            assert_eq!(answer.header("content-encoding"), Some(coding), "{accept}");
            assert!(answer.body.len() * 4 < plain.body.len(), "{accept}: {} bytes", answer.body.len());
            assert_eq!(opened(&answer), plain.body, "{accept}");
        }
    }
    // A request that is not of the usual kind, and one over HTTP/2.
    let chunked = |client: &mut Client| {
        let body = serde_json::json!({ "query": LARGE }).to_string();
        client.send(format!("POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes());
        client.read_response().expect("a response")
    };
    let plain = ask(&mut client, None, LARGE);
    let answer = chunked(&mut client);
    assert_eq!((answer.header("content-encoding"), opened(&answer)), (Some("gzip"), plain.body.clone()));
    let (encoding, body) = over_http2(&pillion);
    let answer = Message { headers: vec![("content-encoding".into(), encoding)], body, ..Message::default() };
    assert_eq!(opened(&answer), plain.body);
    // Errors too, and neither what is short nor what nobody takes.
    let unknown = format!("{{ anything {} }}", "unknown ".repeat(300));
    let rejected = ask(&mut client, Some("gzip"), &unknown);
    assert!(opened(&rejected).starts_with(b"{\"errors\""), "{}", rejected.text());
    assert_eq!(ask(&mut client, Some("gzip"), "{ count }").text(), r#"{"data":{"count":1}}"#);
    assert_eq!(ask(&mut client, Some("identity"), LARGE).header("content-encoding"), None);
}

/// What a client that opens nothing by itself gets over HTTP/2.
fn over_http2(pillion: &Pillion) -> (String, Vec<u8>) {
    pillion::install_tls_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().no_gzip().no_brotli().http2_prior_knowledge().build();
        let request = client.expect("a client").post(format!("http://127.0.0.1:{}/graphql", pillion.port));
        let request = request.header("content-type", "application/json").header("accept-encoding", "br");
        let body = serde_json::json!({ "query": LARGE }).to_string();
        let answer = request.body(body).send().await.expect("a response");
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        let encoding = answer.headers()["content-encoding"].to_str().expect("a name").to_owned();
        (encoding, answer.bytes().await.expect("a body").to_vec())
    })
}

fn compression_can_be_disabled(engines: &Engines) {
    let (_handlers, pillion) = stage(engines, "compression: { enabled: false }\n");
    let answer = ask(&mut pillion.client(), Some("gzip"), LARGE);
    assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None));
    let (_handlers, pillion) = stage(engines, "compression: { min_size: 10MiB }\n");
    assert_eq!(ask(&mut pillion.client(), Some("gzip"), LARGE).header("content-encoding"), None);
}

fn events_are_not_compressed(engines: &Engines) {
    let (_handlers, pillion) = stage(engines, "");
    let headers = [("Content-Type", "application/json"), ("Accept", "text/event-stream"), ("Accept-Encoding", "gzip")];
    let body = serde_json::json!({ "query": LARGE }).to_string();
    let answer = pillion.client().request("POST", "/graphql", &headers, body.as_bytes());
    assert_eq!(answer.header("content-encoding"), None);
    assert!(answer.text().starts_with("event: next"), "{}", &answer.text()[..100]);
}

fn compressed_responses_of_handlers(engines: &Engines) {
    let handlers = Scripted::start();
    let config = "limits: {max_handler_response_size: 100KiB}\n";
    let pillion =
        Setup::before(engines.postgraphile).with_shop(handlers.port).config(config).start().wait_until_ready();
    let answer = |encoding: &str, body: Vec<u8>| {
        let headers = vec![("Content-Encoding".to_owned(), encoding.to_owned())];
        handlers.on_path("/count", Reply::Answer { status: 200, headers, body });
        pillion.client().ask("{ count }").text()
    };
    let good = r#"{"data":{"count":42}}"#;
    assert_eq!(answer("gzip", gzip(b"42")), good);
    let mut brotlied = Vec::new();
    std::io::Write::write_all(&mut brotli::CompressorWriter::new(&mut brotlied, 4096, 5, 20), b"42").expect("memory");
    assert_eq!(answer("br", brotlied), good);
    let bomb = gzip(&vec![b' '; 50_000_000]);
    assert!(answer("gzip", bomb).contains("the handler's response is too large"));
    assert!(answer("gzip", b"not gzip".to_vec()).contains("the connection to the handler broke"));
    assert!(answer("zstd", b"42?".to_vec()).contains("the handler's response is not JSON"));
}
