//! Load shedding: more than can be served, and less memory or descriptors than are needed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};

use super::harness::shop::{MIXED, MIXED_RESPONSE};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    ten_times_the_capacity,
    partial_bodies_do_not_starve_others,
    event_streams_do_not_starve_others,
    each_client_has_a_share,
    file_descriptors_run_out,
    idle_connections_make_room,
    memory_runs_out,
];

fn ten_times_the_capacity(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(50), Box::new(Reply::json("1"))));
    let config = "limits: { max_concurrent_requests: 8 }\n";
    let pillion =
        Setup::before(engines.postgraphile).with_shop(handlers.port).config(config).start().wait_until_ready();
    let (good, shed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let until = Instant::now() + Duration::from_secs(2);
    std::thread::scope(|scope| {
        for _ in 0..80 {
            scope.spawn(|| {
                while Instant::now() < until {
                    let answer = pillion.client().ask(MIXED);
                    match answer.status() {
                        200 => {
                            assert_eq!(answer.text(), MIXED_RESPONSE);
                            good.fetch_add(1, Ordering::Relaxed);
                        }
                        503 => {
                            assert_eq!(answer.header("retry-after"), Some("1"));
                            assert!(answer.text().contains("\"code\":\"overloaded\""), "{}", answer.text());
                            shed.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(20));
                        }
                        other => panic!("{other}: {}", answer.text()),
                    }
                }
            });
        }
        assert_eq!(pillion.admin("/healthz").0, 200);
        assert_eq!(pillion.admin("/readyz").0, 200);
    });
    let (good, shed) = (good.into_inner(), shed.into_inner());
    assert!(good >= 50 && shed > good, "{good} were answered, {shed} refused");
    assert!(pillion.metric("pillion_shed_requests_total{resource=\"requests\"}") >= 1.0);
    // At once, everything is as before.
    assert_eq!(pillion.client().ask(MIXED).text(), MIXED_RESPONSE);
}

/// The beginning of a request with a body, and ten bytes of it, in every way that it may be read.
fn half_sent() -> [(&'static str, String); 4] {
    let half = |path: &str, framing: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{framing}\r\n\r\n{body}")
    };
    [
        ("as clients usually send it", half("/graphql", "Content-Length: 1000000", "{\"query\": \"")),
        ("in chunks", half("/graphql", "Transfer-Encoding: chunked", "a\r\n{\"query\": \r\n")),
        ("longer than what is held", half("/graphql", "Content-Length: 100000000", "{\"query\": \"")),
        ("for nobody here", half("/elsewhere", "Content-Length: 1000000", "{\"query\": \"")),
    ]
}

fn partial_bodies_do_not_starve_others(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let config = "limits: { max_concurrent_requests: 4, max_incomplete_requests: 8 }\n";
    let pillion =
        Setup::before(engines.postgraphile).with_shop(handlers.port).config(config).start().wait_until_ready();
    let incomplete = || pillion.metric("pillion_incomplete_requests");
    for (name, half) in half_sent() {
        let mut clients: Vec<Client> = (0..8).map(|_| pillion.client()).collect();
        clients.iter_mut().for_each(|client| client.send(half.as_bytes()));
        wait_until(&format!("half a body, {name}"), || incomplete() == 8.0);
        assert_eq!(pillion.client().ask(MIXED).text(), MIXED_RESPONSE, "{name}");
        // One more is too many, but whoever sends all at once needs no such place.
        let mut rejected = pillion.client();
        rejected.send(half.as_bytes());
        let answer = rejected.read_response().expect("a response");
        assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("1")), "{name}: {}", answer.text());
        assert!(answer.text().contains("whose body has not arrived"), "{}", answer.text());
        assert_eq!(pillion.client().ask(MIXED).text(), MIXED_RESPONSE, "{name}");
        drop(clients);
        wait_until("that nobody is waited for", || incomplete() == 0.0);
    }
    // A place is taken when the body is there: four of these are worked on, and the fifth is too many.
    handlers.on_path("/count", Reply::Late(Duration::from_millis(1500), Box::new(Reply::json("1"))));
    let body = r#"{"query":"{ count }"}"#;
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}",
        body.len()
    );
    let mut clients: Vec<Client> = (0..6).map(|_| pillion.client()).collect();
    clients.iter_mut().for_each(|client| client.send(format!("{head}\r\n\r\n").as_bytes()));
    wait_until("six heads", || incomplete() == 6.0);
    clients.iter_mut().for_each(|client| client.send(body.as_bytes()));
    let mut statuses: Vec<u16> =
        clients.iter_mut().map(|client| client.read_response().expect("a response").status()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 503, 503]);
    assert!(pillion.metric("pillion_shed_requests_total{resource=\"requests\"}") >= 2.0);
    assert!(pillion.metric("pillion_shed_requests_total{resource=\"incomplete_requests\"}") >= 4.0);
}

/// Streams of our own, and of the upstream.
fn event_streams_do_not_starve_others(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    engine.on_path("/graphql", Reply::json(r#"{"data":{"__typename":"Query"}}"#));
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:\n\n";
    engine.on_word("passing", Reply::Open(head.to_vec()));
    engine.on_path("/events", Reply::Open(head.to_vec()));
    handlers.on_path("/ping", Reply::json("1"));
    let config = "dialect: standard\nlimits: { max_concurrent_requests: 4, max_event_streams: 8, max_client_event_streams: 7 }\n\
                  downstream: { client_address_header: X-Forwarded-For }\n";
    let setup = Setup::before(engine.port).with_actions("values", handlers.port);
    let pillion = setup.config(config).start().wait_until_ready();
    let subscription = r#"{"query":"subscription { later(id: \"00000000-0000-4000-8000-000000000000\") { id } }"}"#;
    let post = |body: &str| {
        format!("POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}", body.len())
    };
    let passing = r#"{"query":"subscription { passing }"}"#;
    for (name, head, body) in [
        ("our own", post(subscription), subscription),
        ("those of the upstream", post(passing), passing),
        ("those on other paths", "GET /events HTTP/1.1\r\nHost: a".to_owned(), ""),
    ] {
        let subscribe = |client: &str| {
            let mut stream = pillion.client();
            let head = format!("{head}\r\nAccept: text/event-stream\r\nX-Forwarded-For: {client}\r\n\r\n{body}");
            stream.send(head.as_bytes());
            let head = pillion_test_support::message::read_head(stream.stream()).expect("a head").expect("a response");
            (stream, head.status())
        };
        let mut open: Vec<_> = (0..7).map(|_| subscribe("192.0.2.1")).collect();
        assert!(open.iter().all(|(_, status)| *status == 200), "{name}");
        let streams = || pillion.metric("pillion_event_streams");
        assert_eq!(streams(), 7.0, "{name}");
        assert_eq!(subscribe("192.0.2.1").1, 429, "{name}");
        open.push(subscribe("192.0.2.2"));
        assert_eq!(open.last().map(|(_, status)| *status), Some(200), "{name}");
        assert_eq!(subscribe("192.0.2.3").1, 503, "{name}");
        assert_eq!(pillion.client().ask("{ ping }").text(), r#"{"data":{"ping":1}}"#, "{name}");
        drop(open);
        wait_until("the end of the streams", || streams() == 0.0);
    }
    for scarce in ["event_streams", "client_event_streams"] {
        assert_eq!(pillion.metric(&format!("pillion_shed_requests_total{{resource=\"{scarce}\"}}")), 3.0, "{scarce}");
    }
    pillion.wait_until_nothing_is_held();
}

fn each_client_has_a_share(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Hang);
    handlers.on_path("/search", Reply::json("[]"));
    let config = "limits: { max_client_requests: 2 }\ndownstream: { client_address_header: X-Forwarded-For }\n";
    let pillion =
        Setup::before(engines.postgraphile).with_shop(handlers.port).config(config).start().wait_until_ready();
    let in_flight = || pillion.metric("pillion_requests_in_flight");
    let send = |client: &str, body: &str, length: usize| {
        let mut sender = pillion.client();
        let head = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json";
        let fields = format!("Content-Length: {length}\r\nX-Forwarded-For: {client}");
        sender.send(format!("{head}\r\n{fields}\r\n\r\n{body}").as_bytes());
        sender
    };
    let hanging = r#"{"query":"{ count }"}"#;
    let ask = |client: &str| {
        let body = r#"{"query":"{ productById(id: 1) { name } }"}"#;
        let answer = send(client, body, body.len()).read_response().expect("a response");
        assert!(answer.status() != 429 || answer.header("retry-after") == Some("1"));
        answer.status()
    };
    // One that is worked on, and one whose body is on its way.
    let mut held = vec![send("192.0.2.1", hanging, hanging.len()), send("192.0.2.1", "{", 100)];
    wait_until("two requests", || in_flight() == 2.0);
    assert_eq!((ask("192.0.2.1"), ask("::ffff:192.0.2.1"), ask("192.0.2.2")), (429, 429, 200));
    // Two of each /64, four of a /56 and six of a /48, whoever has more of them.
    for (network, more) in [("2001:db8:0:1", 2), ("2001:db8:0:2", 2), ("2001:db8:0:100", 2)] {
        // A response reaches its client before its request is over.
        let settled = |held: &[Client]| u32::try_from(held.len()).is_ok_and(|count| in_flight() == f64::from(count));
        wait_until("those that are held alone", || settled(&held));
        held.extend((0..more).map(|_| send(&format!("{network}::1"), hanging, hanging.len())));
        wait_until("more of them", || settled(&held));
    }
    for (client, status) in [
        ("2001:db8:0:1::2", 429),
        ("2001:db8:0:3::1", 429),
        ("2001:db8:0:200::1", 429),
        ("2001:db8:1::1", 200),
        ("192.0.2.2", 200),
    ] {
        assert_eq!(ask(client), status, "{client}");
    }
    assert_eq!(pillion.metric("pillion_shed_requests_total{resource=\"client_requests\"}"), 5.0);
    drop(held);
    wait_until("that they are over", || ask("192.0.2.1") == 200 && ask("2001:db8:0:1::2") == 200);
    // A proxy that is named is no client, and nobody else is believed about a client's address.
    for (proxies, named, wanted) in
        [("127.0.0.0/8", true, (429, 200)), ("192.0.2.0/24", true, (429, 429)), ("127.0.0.1", false, (200, 200))]
    {
        let header = if named { ", client_address_header: X-Forwarded-For" } else { "" };
        let config =
            format!("limits: {{ max_client_requests: 2 }}\ndownstream: {{ trusted_proxies: [{proxies}]{header} }}\n");
        let pillion =
            Setup::before(engines.postgraphile).with_shop(handlers.port).config(&config).start().wait_until_ready();
        let send = |client: &str, body: &str| {
            let mut sender = pillion.client();
            let head = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json";
            let fields = format!("Content-Length: {}\r\nX-Forwarded-For: {client}", body.len());
            sender.send(format!("{head}\r\n{fields}\r\n\r\n{body}").as_bytes());
            sender
        };
        let _held = [send("192.0.2.1", hanging), send("192.0.2.1", hanging)];
        wait_until("two requests", || pillion.metric("pillion_requests_in_flight") == 2.0);
        let status = |client: &str| {
            let body = r#"{"query":"{ productById(id: 1) { name } }"}"#;
            send(client, body).read_response().expect("a response").status()
        };
        assert_eq!((status("192.0.2.1"), status("192.0.2.2")), wanted, "{proxies}");
    }
}

fn file_descriptors_run_out(engines: &Engines) {
    let mut setup = Setup::before(engines.postgraphile);
    setup.descriptors = Some(100);
    let pillion = setup.start().wait_until_ready();
    let ask = || pillion.client().ask("{ productById(id: 1) { name } }");
    assert_eq!(ask().status(), 200);
    pillion.wait_for_log("raise `ulimit -n`");
    // What clients ask for needs descriptors, too: connections may have half of them. From nine tenths on, nothing is taken.
    let is_rejected = || {
        let mut client = pillion.client();
        client.send(b"GET /graphql HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_response().is_none_or(|answer| answer.status() == 503 && answer.text().contains("descriptors"))
    };
    let mut idle: Vec<Client> = Vec::new();
    wait_until("too many connections", || {
        idle.push(pillion.client());
        // It looks five times a second.
        std::thread::sleep(Duration::from_millis(30));
        is_rejected()
    });
    assert!(idle.len() <= 55, "{}", idle.len());
    assert_eq!(pillion.admin("/healthz").0, 200);
    idle.clear();
    wait_until("room again", || !is_rejected());
    wait_until("that requests are taken", || ask().status() == 200);
}

/// What waits for the next call is closed before a client has to be rejected.
fn idle_connections_make_room(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(500), Box::new(Reply::json("1"))));
    let mut setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    setup.descriptors = Some(100);
    let pillion = setup.config("handlers: { pool_idle_timeout: 10m }\n").start().wait_until_ready();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(pillion.client().ask("{ count }").text(), r#"{"data":{"count":1}}"#));
        }
    });
    let kept = handlers.connections();
    assert!((10..=20).contains(&kept) && handlers.closed() == 0, "{kept} connections, {} closed", handlers.closed());
    let mut idle: Vec<Client> = Vec::new();
    wait_until("that they are closed", || {
        idle.push(pillion.client());
        std::thread::sleep(Duration::from_millis(30));
        handlers.closed() == kept
    });
    assert!(idle.len() <= 50, "{}", idle.len());
    assert_eq!(pillion.metric("pillion_shed_requests_total{resource=\"descriptors\"}"), 0.0);
}

fn memory_runs_out(engines: &Engines) {
    let config = "limits: { max_memory_bytes: 1MiB }\n";
    let pillion = Setup::before(engines.postgraphile).config(config).start().wait_until_ready();
    let ask = || pillion.client().ask("{ productById(id: 1) { name } }");
    wait_until("that nothing is taken", || ask().status() == 503);
    assert_eq!(pillion.admin("/healthz").0, 200);
    std::fs::write(pillion.config.as_ref().expect("a file"), "limits: { max_memory_bytes: 8GiB }\n").expect("a file");
    wait_until("that requests are taken", || ask().status() == 200);
}
