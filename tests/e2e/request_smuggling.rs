//! What two readers of HTTP could understand differently: a table of hundreds of tricks (`tests/fixtures/framing`) with our
//! answers, and other readers beside ours on all of them and on what is made of them at random.
//!
//! `UPDATE_EXPECT=1` writes the responses into the tables; a person reads the difference. `PILLION_FUZZ_CASES` says how many
//! mutations the readers are compared on.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pillion_test_support::client::Client;
use pillion_test_support::engines::{Engines, node};
use pillion_test_support::message::{read_body, read_head};
use pillion_test_support::mutate::Mutator;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::process::Process;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{free_port, trials, wait_for_port, wait_until, yaml};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub const TESTS: &[super::Test] = trials![
    every_framing_trick_has_the_expected_response,
    what_comes_during_a_request_is_read_to_the_letter,
    other_parsers_read_the_same_requests,
    other_parsers_read_the_same_responses,
];

/// What is sent after the bytes of each case. Whoever has read them to their end answers it.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Mutations of the tables on which readers are compared: about ten seconds.
const CASES: usize = 1_500;

/// How long nothing must come until we believe that nothing will.
const QUIET: Duration = Duration::from_millis(40);

/// A file of cases, as it is written.
struct Table {
    path: PathBuf,
    text: String,
    cases: Vec<Value>,
}

/// The tables of requests or of responses.
fn tables(of_responses: bool) -> Vec<Table> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/framing");
    let entries = std::fs::read_dir(folder).expect("tables");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let wanted = |path: &PathBuf| path.to_string_lossy().contains("responses") == of_responses;
    let tables = paths.into_iter().filter(wanted).map(|path| {
        let text = std::fs::read_to_string(&path).expect("a file");
        let mut file = yaml::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let cases = file["cases"].as_array_mut().map(std::mem::take).expect("cases");
        Table { path, text, cases }
    });
    tables.collect()
}

impl Table {
    fn name_of(&self, case: &Value) -> String {
        let file = self.path.file_stem().unwrap_or_default().to_string_lossy();
        format!("{file}: {}", case["name"].as_str().expect("a name"))
    }

    /// Writes what came out behind the bytes of each case.
    fn update(&self, got: &[String]) {
        let mut got = got.iter();
        let mut written = String::new();
        for line in self.text.lines() {
            let is_answer = ["    answers:", "    upstream:", "    answer:", "    elsewhere:"];
            if is_answer.iter().any(|key| line.starts_with(key)) {
                continue;
            }
            written.push_str(line);
            written.push('\n');
            if line.starts_with("    bytes:") {
                written.push_str(got.next().expect("a response for each"));
            }
        }
        std::fs::write(&self.path, written).expect("a file");
    }
}

/// Each character is a byte; `{{x*3}}` is three of what stands before the star.
fn bytes_of(case: &Value) -> Vec<u8> {
    let mut rest = case["bytes"].as_str().expect("bytes").to_owned();
    let mut whole = String::new();
    while let Some((before, (unit, count), after)) = repetition(&rest) {
        whole = format!("{whole}{before}{}", unit.repeat(count));
        rest = after;
    }
    whole.push_str(&rest);
    whole.chars().map(|character| u8::try_from(u32::from(character)).expect("a byte")).collect()
}

fn repetition(text: &str) -> Option<(String, (String, usize), String)> {
    let (before, rest) = text.split_once("{{")?;
    let (inside, after) = rest.split_once("}}")?;
    let (unit, count) = inside.rsplit_once('*')?;
    Some((before.to_owned(), (unit.to_owned(), count.parse().ok()?), after.to_owned()))
}

/// An upstream that says 204 to everything, and Pillion before it.
struct Proxy {
    upstream: Scripted,
    _handlers: Scripted,
    pillion: Pillion,
}

impl Proxy {
    fn start() -> Self {
        let (upstream, handlers) = (Scripted::start(), Scripted::start());
        let next = Reply::Answer { status: 204, headers: vec![("X-Next".into(), "1".into())], body: Vec::new() };
        upstream.on_path("/next", next);
        upstream.on_word("__typename", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
        upstream.on_path(Scripted::OTHERWISE, Reply::status(204, ""));
        let pillion = Setup::before(upstream.port).with_shop(handlers.port).start().wait_until_ready();
        Self { upstream, _handlers: handlers, pillion }
    }

    /// The whole requests that have reached the upstream, but for our own and the last one.
    fn take_seen(&self) -> Vec<Seen> {
        let seen = self.upstream.take_seen().into_iter();
        let is_ours = |id: Option<&str>| id == Some("pillion-probe");
        let seen =
            seen.filter(|request| !is_ours(request.header("x-request-id")) && !request.text().contains("__schema"));
        let seen = seen.map(|request| Seen {
            method: request.method().to_owned(),
            target: request.path().to_owned(),
            body: request.body,
        });
        seen.filter(|request| request.target != "/next").collect()
    }
}

/// A request as somebody has read it.
#[derive(Clone, PartialEq, Eq)]
struct Seen {
    method: String,
    target: String,
    body: Vec<u8>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, target, body } = self;
        let text = format!("{method} {} {}", target.escape_debug(), body.escape_ascii());
        let short: String = text.trim_end().chars().take(160).collect();
        formatter.write_str(&short)
    }
}

/// The statuses that come; `next` for the response to what was sent last; `waits`, if the connection then stays open.
fn read_responses(client: &mut Client, wanted: Option<&[String]>) -> Vec<String> {
    let mut answers = Vec::new();
    loop {
        // What is expected to come may take its time.
        let is_waiting = |wanted: &[String]| wanted.get(answers.len()).is_some_and(|next| next == "waits");
        let patience = match wanted {
            None => Duration::from_millis(500),
            Some(wanted) if is_waiting(wanted) => QUIET,
            Some(_) => Duration::from_secs(30),
        };
        client.stream().get_ref().set_read_timeout(Some(patience)).expect("a timeout");
        match read_head(client.stream()) {
            Ok(Some(head)) => {
                let is_next = head.header("x-next").is_some();
                answers.push(if is_next { "next".to_owned() } else { head.status().to_string() });
                // Responses to HEAD have none.
                if head.status() >= 200 && read_body(client.stream(), &head, true).is_err() {
                    return answers;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                answers.push("waits".into());
                return answers;
            }
            _ => return answers,
        }
    }
}

/// Each case as it is written, in pieces, and, where it is a POST, to the path that another reader reads.
fn every_framing_trick_has_the_expected_response(_: &Engines) {
    let proxy = Proxy::start();
    let is_update = std::env::var_os("UPDATE_EXPECT").is_some();
    let (mut failures, mut count) = (Vec::new(), 0);
    for table in tables(false) {
        let mut written = Vec::new();
        for case in &table.cases {
            count += 1;
            let (name, bytes) = (table.name_of(case), bytes_of(case));
            let list = |key: &str| -> Vec<String> {
                let items = case[key].as_array().map(Vec::as_slice).unwrap_or_default();
                items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
            };
            let (wanted, upstream) = (list("answers"), list("upstream"));
            if is_update {
                let (answers, seen) = ask(&proxy, &bytes, bytes.len(), None, 0);
                let list = |items: &[String]| serde_json::to_string(items).expect("JSON").replace("\",\"", "\", \"");
                let answers = answers.join(", ");
                let upstream = if seen.is_empty() { String::new() } else { format!("    upstream: {}\n", list(&seen)) };
                written.push(format!("    answers: [{answers}]\n{upstream}"));
                continue;
            }
            let posted = bytes.starts_with(b"POST / ") && case["same_for_graphql"] != false;
            let other = [&b"POST /graphql "[..], bytes.get(7..).unwrap_or_default()].concat();
            let variants = [(&bytes, bytes.len()), (&bytes, 7), (&other, other.len())];
            for (bytes, step) in variants.into_iter().take(if posted { 3 } else { 2 }) {
                // A long case in pieces tells nothing new.
                if step == 7 && bytes.len() > 4_000 {
                    continue;
                }
                let (answers, seen) = ask(&proxy, bytes, step, Some(&wanted), upstream.len());
                if (&answers, &seen) != (&wanted, &upstream) {
                    let first = String::from_utf8_lossy(bytes.get(..20).unwrap_or(bytes)).into_owned();
                    failures.push(format!(
                        "{name} ({first:?}… in steps of {step})\n  wanted {wanted:?} {upstream:?}\n  got    {answers:?} {seen:?}"
                    ));
                }
            }
        }
        if is_update {
            table.update(&written);
        }
    }
    assert!(count >= 500, "there are {count} cases");
    assert!(failures.is_empty(), "{} of {count}\n{}", failures.len(), failures.join("\n"));
}

/// What stands between two requests is read as always if it comes alone, while the response to the first one is waited for.
fn what_comes_during_a_request_is_read_to_the_letter(_: &Engines) {
    let proxy = Proxy::start();
    let late = Reply::Late(Duration::from_millis(300), Box::new(Reply::status(204, "")));
    proxy.upstream.on_path("/1", late);
    let cases =
        [("\r", &["204", "400"][..]), (" ", &["204", "400"]), ("\r\n", &["204", "next"]), ("\n", &["204", "next"])];
    for (between, wanted) in cases {
        let mut client = proxy.pillion.client();
        client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_until("that it is in flight", || proxy.take_seen().iter().any(|seen| seen.target == "/1"));
        client.send(between.as_bytes());
        // So that it is read before what follows.
        std::thread::sleep(QUIET);
        client.send(NEXT);
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        assert_eq!(read_responses(&mut client, Some(&wanted)), wanted, "{between:?}");
    }
}

/// What is answered to `bytes`, and what reaches the upstream, which is waited for if so many requests are expected there.
fn ask(
    proxy: &Proxy,
    bytes: &[u8],
    step: usize,
    expected: Option<&[String]>,
    upstream: usize,
) -> (Vec<String>, Vec<String>) {
    let mut client = proxy.pillion.client();
    for piece in bytes.chunks(step.max(1)) {
        client.send(piece);
    }
    client.send(NEXT);
    let answers = read_responses(&mut client, expected);
    let mut seen = proxy.take_seen();
    if seen.len() < upstream || expected.is_none() {
        // The response to a good request may be lost with the one behind it that is none.
        let is_waiting = answers.last().is_some_and(|last| last == "waits");
        wait_until("that nothing is in flight", || {
            is_waiting || proxy.pillion.metric("pillion_requests_in_flight") == 0.0
        });
        seen.extend(proxy.take_seen());
    }
    let text = |seen: &Seen| {
        let target = if seen.target == "/graphql" { "/" } else { &seen.target };
        format!("{:?}", Seen { target: target.to_owned(), ..seen.clone() })
    };
    (answers, seen.iter().map(text).collect())
}

/// What a reader makes of a connection.
struct Read {
    /// The whole requests.
    requests: Vec<Seen>,
    /// Has it refused something behind them, or found it to be incomplete?
    is_rejected: bool,
}

/// Node as a reader of requests, and of responses.
struct Node {
    port: u16,
    _process: Process,
}

impl Node {
    fn start() -> Self {
        let port = free_port();
        let process = Process(node(&["readers.mjs"], port).spawn().expect("node starts; `make setup` installs it"));
        wait_for_port(port);
        let node = Self { port, _process: process };
        node.take_seen();
        node
    }

    /// Has it read the bytes of a connection.
    fn read(&self, bytes: &[u8]) {
        let mut client = Client::connect(self.port);
        client.send(bytes);
        let _ = client.stream().get_ref().shutdown(Shutdown::Write);
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(client.stream(), &mut rest);
    }

    /// What it has read on each connection.
    fn take_seen(&self) -> Vec<Read> {
        let answer = Client::connect(self.port).request("GET", "/-/seen", &[("Connection", "close")], b"").json();
        let latin = |text: &Value| text.as_str().unwrap_or_default().chars().map(|c| c as u8).collect::<Vec<u8>>();
        let request = |one: &Value| Seen {
            method: one[0].as_str().unwrap_or_default().to_owned(),
            target: String::from_utf8_lossy(&latin(&one[1])).into_owned(),
            body: latin(&one[2]),
        };
        let connections = answer.as_array().cloned().unwrap_or_default();
        let read = |connection: &Value| Read {
            requests: connection["requests"].as_array().into_iter().flatten().map(request).collect(),
            is_rejected: connection["refused"] == true,
        };
        connections.iter().map(read).collect()
    }

    /// What it reads of the response to this request.
    fn fetch(&self, port: u16, method: &str, path: &str) -> Value {
        let path = format!("/-/fetch?port={port}&path={path}&method={method}");
        Client::connect(self.port).request("GET", &path, &[("Connection", "close")], b"").json()
    }
}

/// What hyper reads of a connection.
fn hyper_reads(runtime: &tokio::runtime::Runtime, bytes: &[u8]) -> Read {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let target = head.uri.to_string();
                let request = Seen { method: head.method.to_string(), target, body: body.to_bytes().to_vec() };
                seen.lock().expect("no panic").push(request);
            }
            Ok::<_, Infallible>(hyper::Response::new(Empty::<Bytes>::new()))
        }
    });
    let is_rejected = runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (mut reader, mut writer) = tokio::io::split(ours);
        let mut builder = hyper::server::conn::http1::Builder::new();
        let connection = builder.half_close(true).serve_connection(TokioIo::new(theirs), service);
        let client = async {
            let _ = writer.write_all(bytes).await;
            let _ = writer.shutdown().await;
            let mut rest = Vec::new();
            let _ = reader.read_to_end(&mut rest).await;
        };
        tokio::join!(connection, client).0.is_err()
    });
    Read { requests: std::mem::take(&mut *seen.lock().expect("no panic")), is_rejected }
}

/// What reaches the upstream of a connection's bytes.
fn pillion_reads(proxy: &Proxy, bytes: &[u8]) -> Vec<Seen> {
    let mut client = proxy.pillion.client();
    client.send(bytes);
    let mut is_clean = false;
    for patience in [QUIET, Duration::from_secs(30)] {
        client.stream().get_ref().set_read_timeout(Some(patience)).expect("a timeout");
        let last = loop {
            match read_head(client.stream()) {
                Ok(Some(head)) => {
                    is_clean |= head.header("x-next").is_some();
                    if head.status() >= 200 && read_body(client.stream(), &head, true).is_err() {
                        break None;
                    }
                }
                Err(error) => break Some(error.kind()),
                Ok(None) => break None,
            }
        };
        if !matches!(last, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)) {
            break;
        }
        // It waits for the rest of something.
        let _ = client.stream().get_ref().shutdown(Shutdown::Write);
    }
    if !is_clean {
        wait_until("that nothing is in flight", || proxy.pillion.metric("pillion_requests_in_flight") == 0.0);
    }
    proxy.take_seen()
}

/// Where another reader stops for a reason: the reader, and what stands in the bytes of such cases.
fn exceptions() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/framing-exceptions.yaml");
    let file = yaml::read(&std::fs::read_to_string(path).expect("a file")).expect("YAML");
    let text = |case: &Value, key: &str| case[key].as_str().expect("a text").to_owned();
    let cases = file["cases"].as_array().cloned().unwrap_or_default();
    cases.iter().map(|case| (text(case, "reader"), text(case, "holds"))).collect()
}

/// Request by request, as far as both have read: what one sees the other sees, and nothing stands between them. We may reject
/// what another takes, and the other way round, but not see what another does not.
fn are_alike(ours: &[Seen], theirs: &Read, may_stop: bool) -> bool {
    let Read { requests, is_rejected } = theirs;
    let stops_early = ours.len() > requests.len() && !is_rejected;
    ours.iter().zip(requests).all(|(ours, theirs)| ours == theirs) && (!stops_early || may_stop)
}

/// What we let pass, hyper and Node read as the same requests, as far as they read it at all.
fn other_parsers_read_the_same_requests(_: &Engines) {
    let (proxy, node) = (Proxy::start(), Node::start());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for table in tables(false) {
        cases.extend(table.cases.iter().map(|case| (table.name_of(case), bytes_of(case))));
    }
    let seeds: Vec<Vec<u8>> =
        cases.iter().map(|(_, bytes)| bytes.clone()).filter(|bytes| bytes.len() < 2_000).collect();
    let count = std::env::var("PILLION_FUZZ_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(CASES);
    let mut mutator = Mutator::new("framing");
    cases.extend((0..count).map(|index| (format!("mutation {index}"), mutator.mutate(&seeds))));
    let all: Vec<Vec<u8>> = cases.iter().map(|(_, bytes)| [bytes, NEXT].concat()).collect();
    all.iter().for_each(|bytes| node.read(bytes));
    let by_node = node.take_seen();
    assert_eq!(by_node.len(), all.len(), "Node has seen other connections");
    let exceptions = exceptions();
    let (mut failures, mut both) = (Vec::new(), [0, 0]);
    for (((name, _), bytes), by_node) in cases.iter().zip(&all).zip(by_node) {
        let ours = pillion_reads(&proxy, bytes);
        let by_hyper = hyper_reads(&runtime, bytes);
        for (index, (reader, theirs)) in [("hyper", by_hyper), ("node", by_node)].into_iter().enumerate() {
            let mut theirs = theirs;
            theirs.requests.retain(|request| request.target != "/next");
            both[index] += usize::from(!ours.is_empty() && !theirs.requests.is_empty());
            let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
            let is_excepted = |(known, holds): &(String, String)| known == reader && text.contains(holds);
            if are_alike(&ours, &theirs, exceptions.iter().any(is_excepted)) {
                continue;
            }
            let bytes = bytes.escape_ascii().to_string();
            let bytes: String = bytes.chars().take(600).collect();
            failures.push(format!(
                "{name}: {reader} sees {:?}, the upstream gets {ours:?} of b\"{bytes}\"",
                theirs.requests
            ));
        }
    }
    assert!(failures.is_empty(), "{} of {}\n{}", failures.len(), all.len(), failures.join("\n"));
    // If hardly anything were accepted by both, all this would tell nothing.
    assert!(both.iter().all(|both| *both > 300), "both accept {both:?} of {}", all.len());
}

/// What our client reads of a response is what Node reads of it, as far as it reads it at all; and each has its response.
fn other_parsers_read_the_same_responses(_: &Engines) {
    let (proxy, node) = (Proxy::start(), Node::start());
    let is_update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut failures = Vec::new();
    let mut seeds = Vec::new();
    for table in tables(true) {
        let mut written = Vec::new();
        for case in &table.cases {
            let (name, bytes) = (table.name_of(case), bytes_of(case));
            let [ours, elsewhere] = ["POST", "GET"].map(|method| fetched(&proxy, &bytes, method));
            seeds.push(bytes.clone());
            if is_update {
                let differs = if ours == elsewhere { String::new() } else { format!("    elsewhere: {elsewhere:?}\n") };
                written.push(format!("    answer: {ours:?}\n{differs}"));
                continue;
            }
            let wanted = case["answer"].as_str().unwrap_or_default();
            let wanted = (wanted, case["elsewhere"].as_str().unwrap_or(wanted));
            if (ours.as_str(), elsewhere.as_str()) != wanted {
                failures.push(format!("{name}: wanted {wanted:?}, got {:?}", (&ours, &elsewhere)));
            }
            failures.extend(disagreement(&node, &proxy, &name, &bytes, [&ours, &elsewhere]));
        }
        if is_update {
            table.update(&written);
        }
    }
    let count = std::env::var("PILLION_FUZZ_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(CASES / 5);
    let mut mutator = Mutator::new("responses");
    for index in 0..if is_update { 0 } else { count } {
        let bytes = mutator.mutate(&seeds);
        let [ours, elsewhere] = ["POST", "GET"].map(|method| fetched(&proxy, &bytes, method));
        failures.extend(disagreement(&node, &proxy, &format!("mutation {index}"), &bytes, [&ours, &elsewhere]));
    }
    assert!(failures.is_empty(), "{}\n{}", failures.len(), failures.join("\n"));
}

/// Status and body that a client gets of a response: a POST by our own client, a GET by pingora's.
fn fetched(proxy: &Proxy, bytes: &[u8], method: &str) -> String {
    let path = if method == "POST" { "/graphql" } else { "/other" };
    proxy.upstream.on_path(path, Reply::Raw(bytes.to_vec()));
    let mut client = proxy.pillion.client();
    let length = if method == "POST" { "Content-Length: 2\r\n" } else { "" };
    let body = if method == "POST" { "{}" } else { "" };
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{length}\r\n{body}").as_bytes());
    loop {
        let Ok(Some(head)) = read_head(client.stream()) else { return "nothing".into() };
        if head.status() < 200 {
            continue;
        }
        return match read_body(client.stream(), &head, true) {
            Ok(_) if head.status() == 502 => "502".into(),
            Ok(body) => format!("{} {}", head.status(), body.escape_ascii()).trim_end().to_owned(),
            Err(_) => format!("{} broken off", head.status()),
        };
    }
}

/// What Node reads where we read something else.
fn disagreement(node: &Node, proxy: &Proxy, name: &str, bytes: &[u8], ours: [&String; 2]) -> Vec<String> {
    let mut found = Vec::new();
    for (method, path, ours) in [("POST", "/graphql", ours[0]), ("GET", "/other", ours[1])] {
        let is_read = ours != "502" && ours != "nothing" && !ours.ends_with("broken off");
        if !is_read {
            continue;
        }
        let theirs = node.fetch(proxy.upstream.port, method, path);
        if theirs.get("error").is_some() {
            continue;
        }
        let body: Vec<u8> = theirs["body"].as_str().unwrap_or_default().chars().map(|c| c as u8).collect();
        let theirs = format!("{} {}", theirs["status"], body.escape_ascii()).trim_end().to_owned();
        if theirs != *ours {
            found
                .push(format!("{name}, {method}: Node reads {theirs:?}, we {ours:?} of b\"{}\"", bytes.escape_ascii()));
        }
    }
    found
}
