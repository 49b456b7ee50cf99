//! More than can be served, less than is needed, and replicas that come and go.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::harness::client::Client;
use super::harness::engines::{Engines, Process};
use super::harness::pillion::{Pillion, Setup};
use super::harness::scripted::{Reply, Scripted};
use super::harness::{free_port, wait_for_port, wait_until};

/// The tests.
pub const TESTS: &[super::Test] = &[
    ("ten_times_what_can_be_served", ten_times_what_can_be_served),
    ("few_descriptors_are_left", few_descriptors_are_left),
    ("little_memory_is_left", little_memory_is_left),
    ("replicas_are_replaced", replicas_are_replaced),
    ("one_hands_over_to_the_next", one_hands_over_to_the_next),
];

const MIXED: &str = "{ count productById(id: 1) { name } }";
const ANSWER: &str = r#"{"data":{"count":1,"productById":{"name":"City bicycle"}}}"#;

fn ten_times_what_can_be_served(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(50), Box::new(Reply::json("1"))));
    let config = "limits: { concurrent_requests: 8 }\n";
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
                            assert_eq!(answer.text(), ANSWER);
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
    assert!(pillion.metric("pillion_shed_requests_total{scarce=\"requests\"}") >= 1.0);
    // At once, everything is as before.
    assert_eq!(pillion.client().ask(MIXED).text(), ANSWER);
}

fn few_descriptors_are_left(engines: &Engines) {
    let mut setup = Setup::before(engines.postgraphile);
    setup.descriptors = Some(100);
    let pillion = setup.start().wait_until_ready();
    let ask = || pillion.client().ask("{ productById(id: 1) { name } }");
    assert_eq!(ask().status(), 200);
    let mut idle: Vec<Client> = Vec::new();
    wait_until("too many connections", || {
        idle.push(pillion.client());
        // It looks five times a second.
        std::thread::sleep(Duration::from_millis(30));
        idle.len() >= 60 && {
            let answer = ask();
            answer.status() == 503 && answer.text().contains("descriptors")
        }
    });
    assert!(idle.len() < 100, "{}", idle.len());
    idle.clear();
    wait_until("room again", || ask().status() == 200);
}

fn little_memory_is_left(engines: &Engines) {
    let config = "limits: { memory_bytes: 1MiB }\n";
    let pillion = Setup::before(engines.postgraphile).config(config).start().wait_until_ready();
    let ask = || pillion.client().ask("{ productById(id: 1) { name } }");
    wait_until("that nothing is taken", || ask().status() == 503);
    assert_eq!(pillion.admin("/healthz").0, 200);
    std::fs::write(pillion.config.as_ref().expect("a file"), "limits: { memory_bytes: 8GiB }\n").expect("a file");
    wait_until("that requests are taken", || ask().status() == 200);
}

/// Behind a balancer that looks at /readyz, each of two in turn, under load.
fn replicas_are_replaced(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(5), Box::new(Reply::json("1"))));
    let ports: [(u16, u16); 2] = [(free_port(), free_port()), (free_port(), free_port())];
    let start = |index: usize| -> Pillion {
        let mut setup = Setup::before(engines.postgraphile).with_shop(handlers.port).env("PILLION_DRAIN_DELAY", "1s");
        setup.ports = Some(ports[index]);
        setup.start().wait_until_ready()
    };
    let mut replicas = [Some(start(0)), Some(start(1))];
    let balancer = Balancer::start(&ports);
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = Client::connect(balancer.port).ask(MIXED);
                    if answer.text() != ANSWER {
                        is_over.store(true, Ordering::Relaxed);
                        panic!("{}: {}", answer.status(), answer.text());
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..3 {
            let replica = &mut replicas[round % 2];
            let mut old = replica.take().expect("one that runs");
            old.signal("TERM");
            wait_until("its end", || old.process.0.try_wait().is_ok_and(|status| status.is_some()));
            drop(old);
            *replica = Some(start(round % 2));
            // The balancer has to see it before the other one goes.
            let before = answered.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(500));
            wait_until("answers", || is_over.load(Ordering::Relaxed) || answered.load(Ordering::Relaxed) > before + 50);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// On one machine, without a balancer: the next one takes the listeners themselves.
fn one_hands_over_to_the_next(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Late(Duration::from_millis(5), Box::new(Reply::json("1"))));
    handlers.on_path("/search", Reply::Late(Duration::from_secs(8), Box::new(Reply::json("[]"))));
    let ports = (free_port(), free_port());
    let socket = std::env::temp_dir().join(format!("pillion-e2e-upgrade-{}/socket", std::process::id()));
    let start = |is_next: bool| -> Pillion {
        let mut setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
        setup = setup.env("PILLION_UPGRADE_SOCKET", &socket.display().to_string());
        setup = setup.env("PILLION_UPGRADE", &is_next.to_string());
        setup.ports = Some(ports);
        setup.start()
    };
    let mut current = start(false).wait_until_ready();
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = Client::connect(ports.0).ask(MIXED);
                    if answer.text() != ANSWER {
                        is_over.store(true, Ordering::Relaxed);
                        panic!("{}: {}", answer.status(), answer.text());
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..2 {
            // Longer than the handover takes: it is finished by the one that began it.
            let slow = scope.spawn(|| Client::connect(ports.0).ask("{ search { title } }").text());
            wait_until("the slow call", || handlers.take_seen().iter().any(|seen| seen.path() == "/search"));
            let next = scope.spawn(|| start(true));
            std::thread::sleep(Duration::from_millis(300));
            current.signal("QUIT");
            let mut old = std::mem::replace(&mut current, next.join().expect("the next one"));
            assert_eq!(slow.join().expect("an answer"), r#"{"data":{"search":[]}}"#);
            wait_until("the end of the old one", || old.process.0.try_wait().is_ok_and(|status| status.is_some()));
            assert!(old.process.0.wait().is_ok_and(|status| status.success()));
            let before = answered.load(Ordering::Relaxed);
            wait_until("answers", || is_over.load(Ordering::Relaxed) || answered.load(Ordering::Relaxed) > before + 50);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let _ = std::fs::remove_file(socket);
}

/// A real one, which sends nothing twice.
struct Balancer {
    port: u16,
    _process: Process,
}

impl Balancer {
    fn start(replicas: &[(u16, u16)]) -> Self {
        let port = free_port();
        let mut config = format!(
            "defaults\n  mode http\n  retries 0\n  timeout connect 1s\n  timeout client 10s\n  timeout server 10s\n\
             frontend clients\n  bind 127.0.0.1:{port}\n  default_backend replicas\n\
             backend replicas\n  option httpchk GET /readyz\n"
        );
        for (index, (clients, admin)) in replicas.iter().enumerate() {
            config += &format!("  server r{index} 127.0.0.1:{clients} check port {admin} inter 100ms fall 1 rise 1\n");
        }
        let file = std::env::temp_dir().join(format!("pillion-e2e-haproxy-{}.cfg", std::process::id()));
        std::fs::write(&file, config).expect("a file");
        let mut command = Command::new("haproxy");
        command.arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process(command.spawn().expect("haproxy starts; `make setup` installs it"));
        wait_for_port(port);
        // Both are taken for ready until they have been looked at.
        std::thread::sleep(Duration::from_millis(300));
        let _ = std::fs::remove_file(file);
        Self { port, _process: process }
    }
}
