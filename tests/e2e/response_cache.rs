//! What keeps one action, one caller or one handler from harming all others.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::client::Client;
use super::harness::engines::{Engines, Process, node};
use super::harness::message::Message;
use super::harness::pillion::{Pillion, Setup};
use super::harness::scripted::{Reply, Scripted};
use super::harness::tls::certificate;
use super::harness::{free_port, wait_for_port, wait_until};

/// The tests.
pub const TESTS: &[super::Test] = &[
    ("a_rate_for_each_caller", a_rate_for_each_caller),
    ("a_rate_by_address", a_rate_by_address),
    ("replicas_count_together", replicas_count_together),
    ("a_handler_that_hangs_takes_its_own_places_only", a_handler_that_hangs_takes_its_own_places_only),
    ("the_circuit_breaker_opens_and_closes", the_circuit_breaker_opens_and_closes),
    ("impatient_clients_open_no_breaker", impatient_clients_open_no_breaker),
    ("what_is_harmless_is_tried_again", what_is_harmless_is_tried_again),
    ("clients_say_how_long_they_wait", clients_say_how_long_they_wait),
    ("handlers_that_trust_nobody", handlers_that_trust_nobody),
    ("hosts_that_may_not_be_called", hosts_that_may_not_be_called),
    ("answers_are_kept_for_those_who_ask_the_same", answers_are_kept_for_those_who_ask_the_same),
    ("one_fetches_for_all_who_ask_at_once", one_fetches_for_all_who_ask_at_once),
    ("an_old_answer_while_another_is_fetched", an_old_answer_while_another_is_fetched),
    ("replicas_keep_answers_together", replicas_keep_answers_together),
    ("what_cannot_be_kept", what_cannot_be_kept),
];

fn start(engines: &Engines, handlers: &Scripted, config: &str) -> Pillion {
    let setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
    setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret").config(config).start().wait_until_ready()
}

fn ask(pillion: &Pillion, headers: &[(&str, &str)], query: &str) -> Message {
    let body = json!({ "query": query }).to_string();
    let own = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", "s3cret")];
    pillion.client().request("POST", "/graphql", &[&own, headers].concat(), body.as_bytes())
}

fn code(answer: &Message) -> Value {
    answer.json()["errors"][0]["extensions"]["code"].clone()
}

fn a_rate_for_each_caller(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    handlers.on_path("/sendCode", Reply::json("true"));
    let config = "actions: { count: { rate_limit: [2 per 1h by x-hasura-user-id, 4 per 1h] } }\n";
    let pillion = start(engines, &handlers, config);
    let user = |id| [("X-Hasura-User-Id", id)];
    let ask = |id, query| ask(&pillion, &user(id), query);
    for _ in 0..2 {
        assert_eq!(ask("1", "{ count }").json(), json!({ "data": { "count": 1 } }));
    }
    let rejected = ask("1", "{ count }");
    let error = &rejected.json()["errors"][0];
    assert_eq!(error["message"], "rate limit exceeded: 2 per 3600 s; 0 calls remain; try again in 1800 s");
    assert_eq!(error["extensions"]["code"], "rate-limit-exceeded");
    assert_eq!(error["extensions"]["retryAfter"], 1800);
    assert_eq!(rejected.header("retry-after"), Some("1800"));
    // Others are not concerned, until all together are too many.
    assert_eq!(code(&ask("2", "{ count }")), Value::Null);
    assert_eq!(code(&ask("3", "{ count }")), Value::Null);
    let all = ask("4", "{ count }").json();
    assert!(all["errors"][0]["message"].as_str().is_some_and(|text| text.contains("4 per 3600 s")), "{all}");
    // Two calls in one document are two, and another action has no limit.
    assert_eq!(code(&ask("1", "mutation { sendCode(phone: \"1\") }")), Value::Null);
    assert_eq!(handlers.take_seen().iter().filter(|seen| seen.path() == "/count").count(), 4);
    let rejections = pillion.metric("pillion_handler_calls_rejected_total{action=\"count\",reason=\"rate_limit\"}");
    assert_eq!(rejections, 2.0);
}

fn a_rate_by_address(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let limit = "handlers: { rate_limit: [1 per 1h by address] }\n";
    let pillion =
        start(engines, &handlers, &format!("{limit}downstream: {{ client_address_header: X-Forwarded-For }}\n"));
    let ask_for = |forwarded: &str| code(&ask(&pillion, &[("X-Forwarded-For", forwarded)], "{ count }"));
    let limited = json!("rate-limit-exceeded");
    // Only the last element is the proxy's own word.
    for (forwarded, wanted) in [
        ("10.0.0.1", Value::Null),
        ("10.0.0.1", limited.clone()),
        ("10.9.9.9, 10.0.0.1", limited.clone()),
        ("10.0.0.2", Value::Null),
        ("2001:db8::1", Value::Null),
        ("2001:db8::2", limited.clone()),
        ("2001:db8:0:1::1", Value::Null),
    ] {
        assert_eq!(ask_for(forwarded), wanted, "{forwarded}");
    }
    // Whoever has a /48 calls sixteen times as often, and four times with a /56 of it.
    let allowed = |networks: &dyn Fn(u32) -> String| {
        (0..40).filter(|number| ask_for(networks(*number).as_str()) == Value::Null).count()
    };
    assert_eq!(allowed(&|number| format!("2001:db8:0:{:x}::1", 0x10 + number)), 2);
    assert_eq!(allowed(&|number| format!("2001:db8:0:{:x}::1", 0x100 * (1 + number))), 12);
    assert_eq!(ask_for("2001:db8:1::1"), Value::Null);
    // Without the setting the header is anybody's.
    let pillion = start(engines, &handlers, limit);
    let ask_for = |forwarded| code(&ask(&pillion, &[("X-Forwarded-For", forwarded)], "{ count }"));
    assert_eq!((ask_for("10.0.0.1"), ask_for("10.0.0.2")), (Value::Null, limited));
}

/// A Redis with nothing in it.
struct Redis {
    port: u16,
    process: Option<Process>,
}

impl Redis {
    fn start() -> Self {
        let mut redis = Self { port: free_port(), process: None };
        redis.start_again();
        redis
    }

    fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let process = command.stdout(Stdio::null()).spawn().expect("redis-server starts; `make setup` installs it");
        self.process = Some(Process(process));
        wait_for_port(self.port);
    }
}

fn replicas_count_together(engines: &Engines) {
    let mut redis = Redis::start();
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    handlers.on_path("/sendCode", Reply::json("true"));
    let config = format!(
        "redis: {{ url: 'redis://127.0.0.1:{}' }}\nhandlers: {{ rate_limit: [3 per 1h by x-hasura-user-id] }}\n\
         actions: {{ sendCode: {{ rate_limit_failure_mode: deny }} }}\n",
        redis.port
    );
    let replicas = [start(engines, &handlers, &config), start(engines, &handlers, &config)];
    let user = [("X-Hasura-User-Id", "1")];
    let (query, mutation) = ("{ count }", "mutation { sendCode(phone: \"1\") }");
    let codes = |query| [0, 1, 0, 1].map(|replica: usize| code(&ask(&replicas[replica], &user, query)));
    let limited = json!("rate-limit-exceeded");
    assert_eq!(codes(query), [Value::Null, Value::Null, Value::Null, limited.clone()]);
    assert_eq!(code(&ask(&replicas[0], &user, mutation)), Value::Null);
    // While it is away, what the configuration says, visibly.
    redis.process = None;
    assert_eq!(codes(query), [Value::Null, Value::Null, Value::Null, Value::Null]);
    assert_eq!(code(&ask(&replicas[0], &user, mutation)), limited);
    assert!(replicas[0].metric("pillion_rate_limit_store_errors_total{action=\"sendCode\"}") >= 1.0);
    redis.start_again();
    wait_until("that calls are counted again", || codes(query)[3] == limited);
}

fn a_handler_that_hangs_takes_its_own_places_only(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/quote", Reply::Hang);
    handlers.on_path("/count", Reply::json("1"));
    let config =
        "actions: { quote: { max_concurrent_calls: 3, max_queued_calls: 2 } }\nhandlers: { queue_timeout: 300ms }\n";
    let pillion = start(engines, &handlers, config);
    let quote = r#"{"query":"{ quote(productId: 1) { total } }"}"#;
    let head =
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-Hasura-Admin-Secret: s3cret\r\n";
    let ask_later = || {
        let mut client = pillion.client();
        client.send(format!("{head}Content-Length: {}\r\n\r\n{quote}", quote.len()).as_bytes());
        client
    };
    let _held: Vec<Client> = (0..3).map(|_| ask_later()).collect();
    wait_until("the calls", || {
        handlers.take_seen().len() == 3 || pillion.metric("pillion_handler_calls_in_flight") == 3.0
    });
    let mut waiting: Vec<Client> = (0..2).map(|_| ask_later()).collect();
    wait_until("those that wait", || pillion.metric("pillion_handler_calls_queued{action=\"quote\"}") == 2.0);
    let begun = Instant::now();
    let rejected = ask(&pillion, &[], "{ quote(productId: 1) { total } }");
    assert_eq!(code(&rejected), "concurrency-limit-exceeded");
    assert_eq!(rejected.header("retry-after"), Some("1"));
    assert_eq!(ask(&pillion, &[], "{ count productById(id: 1) { name } }").json()["data"]["count"], 1);
    for client in &mut waiting {
        let answer = client.answer().expect("a response");
        assert_eq!(code(&answer), "concurrency-limit-exceeded", "{}", answer.text());
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for the handler's timeout");
}

fn the_circuit_breaker_opens_and_closes(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::status(500, "{}"));
    let pillion = start(engines, &handlers, "handlers: { circuit_breaker: { enabled: true, reset_timeout: 1s } }\n");
    let standing = || pillion.metric("pillion_circuit_breaker_state{action=\"count\"}");
    for _ in 0..20 {
        assert_eq!(code(&ask(&pillion, &[], "{ count }")), "unexpected");
    }
    assert_eq!(standing(), 2.0);
    handlers.take_seen();
    let rejected = ask(&pillion, &[], "{ count }");
    assert_eq!(code(&rejected), "handler-unavailable");
    assert!(rejected.header("retry-after").is_some());
    assert_eq!(handlers.take_seen().len(), 0);
    handlers.on_path("/count", Reply::json("1"));
    wait_until("that it is tried again", || code(&ask(&pillion, &[], "{ count }")) == Value::Null);
    assert_eq!(standing(), 0.0);
}

/// A call that ends because its client did not want to wait tells nothing about its handler.
fn impatient_clients_open_no_breaker(engines: &Engines) {
    let handlers = Scripted::start();
    let slowly = |reply: Reply| Reply::Late(Duration::from_millis(600), Box::new(reply));
    handlers.on_path("/count", slowly(Reply::json("1")));
    let pillion = start(engines, &handlers, "handlers: { circuit_breaker: { enabled: true, reset_timeout: 1s } }\n");
    let standing = || pillion.metric("pillion_circuit_breaker_state{action=\"count\"}");
    let impatient = [("X-Request-Timeout", "1ms")];
    let all_at_once = |count: usize| {
        std::thread::scope(|scope| {
            for _ in 0..count {
                scope.spawn(|| {
                    let answer = ask(&pillion, &impatient, "{ count }").json();
                    let error = &answer["errors"][0]["extensions"]["internal"]["error"];
                    assert_eq!(error["message"], "Response timeout", "{answer}");
                });
            }
        });
    };
    all_at_once(25);
    assert_eq!((standing(), ask(&pillion, &[], "{ count }").json()), (0.0, json!({ "data": { "count": 1 } })));
    // Shorter times are raised to one in which a handler can answer.
    handlers.on_path("/count", Reply::Late(Duration::from_millis(10), Box::new(Reply::json("1"))));
    assert_eq!(ask(&pillion, &impatient, "{ count }").json(), json!({ "data": { "count": 1 } }));
    // Once it is open for a reason, a trial that is cut short is the next one's, who finds that the handler is well.
    handlers.on_path("/count", Reply::status(500, "{}"));
    wait_until("that it opens", || {
        ask(&pillion, &[], "{ count }");
        standing() == 2.0
    });
    handlers.on_path("/count", slowly(Reply::json("1")));
    wait_until("a trial that is cut short", || {
        let answer = ask(&pillion, &impatient, "{ count }");
        assert_ne!(code(&answer), Value::Null, "{}", answer.text());
        code(&answer) != "handler-unavailable"
    });
    assert_eq!(ask(&pillion, &[], "{ count }").json(), json!({ "data": { "count": 1 } }));
    assert_eq!(standing(), 0.0);
}

fn what_is_harmless_is_tried_again(engines: &Engines) {
    let handlers = Scripted::start();
    let secret = format!("whsec_{}", "AAAA".repeat(10));
    let config = format!(
        "handlers: {{ max_retries: 2, signing_secrets: {secret} }}\nactions: {{ placeOrder: {{ max_retries: 0 }} }}\n"
    );
    let pillion = start(engines, &handlers, &config);
    let paths = |status| {
        handlers.on_path("/count", Reply::status(status, "{}"));
        handlers.on_path("/sendCode", Reply::status(status, "{}"));
        ask(&pillion, &[], "{ count }");
        ask(&pillion, &[], "mutation { sendCode(phone: \"1\") }");
        handlers.take_seen()
    };
    let count = |seen: &[Message], path| seen.iter().filter(|seen| seen.path() == path).count();
    let seen = paths(503);
    assert_eq!((count(&seen, "/count"), count(&seen, "/sendCode")), (3, 1), "a mutation is not harmless");
    let ids: Vec<_> = seen.iter().take(3).map(|seen| seen.header("webhook-id")).collect();
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "attempts are one message");
    let seen = paths(500);
    assert_eq!((count(&seen, "/count"), count(&seen, "/sendCode")), (1, 1), "500 may come again");
    // Ten in reserve, and a tenth of all calls.
    for _ in 0..12 {
        paths(503);
    }
    let seen = paths(503);
    assert_eq!(count(&seen, "/count"), 1, "no storm");
    assert!(pillion.metric("pillion_handler_retries_total{action=\"count\"}") >= 10.0);
}

fn clients_say_how_long_they_wait(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::Hang);
    let pillion = start(engines, &handlers, "");
    let begun = Instant::now();
    let answer = ask(&pillion, &[("X-Request-Timeout", "300ms")], "{ count }").json();
    assert_eq!(answer["errors"][0]["extensions"]["internal"]["error"]["message"], "Response timeout", "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(10), "the action's own timeout is 30 s");
}

fn handlers_that_trust_nobody(engines: &Engines) {
    let (cert, key) = certificate();
    let (other_cert, other_key) = certificate();
    let secrets =
        ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"].map(|key| format!("whsec_{key}"));
    let [old, new] = &secrets;
    let port = free_port();
    let mut command = node(&["trusting.mjs"], port);
    for (name, value) in [("CERT", &cert), ("KEY", &key), ("CA", &cert)] {
        command.env(name, value);
    }
    let _handler = Process(command.env("SECRET", new).spawn().expect("node starts"));
    wait_for_port(port);
    let answer = |secrets: &str, (cert, key): (&PathBuf, &PathBuf), authority: &PathBuf| {
        let [cert, key, authority] = [cert, key, authority].map(|path| path.display().to_string());
        let config = format!(
            "handlers: {{ tls_ca_file: '{authority}', tls_cert_file: '{cert}', tls_key_file: '{key}' }}\n\
             actions: {{ count: {{ signing_secrets_from_env: [SECRETS] }} }}\n"
        );
        let setup = Setup::before(engines.postgraphile).with_shop(1).config(&config).env("SECRETS", secrets);
        let pillion = setup.env("HANDLERS", &format!("https://localhost:{port}")).start().wait_until_ready();
        pillion.client().ask("{ count }").json()
    };
    let own = (&cert, &key);
    assert_eq!(answer(new, own, &cert), json!({ "data": { "count": 42 } }));
    // While one secret takes the other's place, both sign.
    assert_eq!(answer(&format!("{old} {new}"), own, &cert), json!({ "data": { "count": 42 } }));
    let rejected = answer(old, own, &cert);
    assert_eq!(rejected["errors"][0]["message"], "No matching signature found");
    let rejected = answer(new, (&other_cert, &other_key), &cert);
    assert_eq!(rejected["errors"][0]["message"], "http exception when calling webhook", "{rejected}");
    let said = |config: &str| Setup::before(1).with_shop(1).config(config).start_in_vain().1;
    let text =
        said(&format!("handlers: {{ tls_cert_file: '{}', tls_key_file: '{}' }}\n", cert.display(), cert.display()));
    assert!(text.contains("no key with its certificate"), "{text}");
    let text = said("handlers: { signing_secrets: c4nary }\n");
    assert!(
        text.contains("error: handlers.signing_secrets: this is not a secret that signs") && !text.contains("c4nary"),
        "{text}"
    );
}

fn hosts_that_may_not_be_called(_: &Engines) {
    let said = |config: &str| Setup::before(1).with_shop(1).config(config).start_in_vain().1;
    let text = said("handlers: { allowed_hosts: [handlers.example, '*.svc.local:80'] }\n");
    assert!(text.contains("the handler of action 'quote' is at a host that is not allowed"), "{text}");
    let text = said("handlers: { allowed_hosts: ['http://x/'] }\n");
    assert!(text.contains("\"http://x/\" is not a host"), "{text}");
    let text = said("handlers: { allow_private: false }\n");
    assert!(text.contains("the handler of action 'quote' has an address of a private network"), "{text}");
    let text = said("handlers: { rate_limit: [5 per day] }\nactions: { count: { rate_limit: [often] } }\n");
    assert!(
        text.contains("pillion.yaml:1:26: error: handlers.rate_limit: \"5 per day\"") || text.contains("\"5 per day\""),
        "{text}"
    );
    assert!(text.contains("\"often\" is not a limit of calls in a time"), "{text}");
}

fn calls(handlers: &Scripted, path: &str) -> usize {
    handlers.take_seen().iter().filter(|seen| seen.path() == path).count()
}

fn purge(pillion: &Pillion, query: &str) -> u16 {
    let path = format!("/cache/purge{query}");
    Client::admin(pillion.admin).request("POST", &path, &[("Content-Length", "0")], b"").status()
}

fn answers_are_kept_for_those_who_ask_the_same(engines: &Engines) {
    let handlers = Scripted::start();
    let answer = Reply::json(r#"{"productId":1,"amount":2,"total":3.5}"#);
    handlers.on_path("/quote", answer.clone());
    let config = "actions: { quote: { cache: { ttl: 1h, vary_by: [x-hasura-org] } } }\n";
    let pillion = start(engines, &handlers, config);
    let as_role = |role, org, user| [("X-Hasura-Role", role), ("X-Hasura-Org", org), ("X-Hasura-User-Id", user)];
    let quote = |who: [(&str, &str); 3], query: &str| ask(&pillion, &who, query).json()["data"].take();
    let first = "{ quote(productId: 1, amount: 2) { total } }";
    assert_eq!(quote(as_role("customer", "a", "1"), first), json!({ "quote": { "total": 3.5 } }));
    assert_eq!(calls(&handlers, "/quote"), 1);
    // The same for another user of the same organisation, selected otherwise, written otherwise.
    for query in [
        "{ quote(productId: 1, amount: 2) { total } }",
        "query Q { x: quote(amount: 2, productId: 1) { amount productId } }",
    ] {
        quote(as_role("customer", "a", "2"), query);
    }
    assert_eq!(calls(&handlers, "/quote"), 0);
    // Not for another organisation, another role, or other arguments.
    for (who, query) in [
        (as_role("customer", "b", "1"), first),
        (as_role("guest", "a", "1"), first),
        (as_role("customer", "a", "1"), "{ quote(productId: 1, amount: 3) { total } }"),
    ] {
        quote(who, query);
        assert_eq!(calls(&handlers, "/quote"), 1, "{who:?} {query}");
    }
    let lookups = |outcome| {
        pillion.metric(&format!("pillion_response_cache_lookups_total{{action=\"quote\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!((lookups("hit"), lookups("miss")), (2.0, 4.0));
    assert!(pillion.metric("pillion_response_cache_bytes") > 0.0);
    assert_eq!((purge(&pillion, "?action=nothing"), purge(&pillion, "?action=quote")), (404, 200));
    quote(as_role("customer", "a", "1"), first);
    assert_eq!(calls(&handlers, "/quote"), 1);
    // Neither an error, nor what the handler does not want to be kept, nor what sets a cookie.
    let with = |name: &str, value: &str| {
        let Reply::Answer { status, mut headers, body } = answer.clone() else { panic!("a response") };
        headers.push((name.to_owned(), value.to_owned()));
        Reply::Answer { status, headers, body }
    };
    let no = Reply::status(400, r#"{"message":"no"}"#);
    for reply in [no, Reply::status(500, "{}"), with("Cache-Control", "private"), with("Set-Cookie", "a=1")] {
        assert_eq!(purge(&pillion, ""), 200);
        handlers.on_path("/quote", reply.clone());
        quote(as_role("customer", "a", "1"), first);
        quote(as_role("customer", "a", "1"), first);
        assert_eq!(calls(&handlers, "/quote"), 2, "{reply:?}");
    }
}

fn one_fetches_for_all_who_ask_at_once(engines: &Engines) {
    let handlers = Scripted::start();
    let config = "actions: { count: { cache: { ttl: 1h } } }\n";
    let pillion = start(engines, &handlers, config);
    let all_at_once = |reply: Reply| {
        handlers.on_path("/count", Reply::Late(Duration::from_millis(400), Box::new(reply)));
        let answers = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(&pillion, &[], "{ count }").json())).collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread")).collect::<Vec<_>>()
        });
        (answers, calls(&handlers, "/count"))
    };
    // Whoever waits for one that fails asks himself, all at one time.
    let begun = Instant::now();
    let (answers, count) = all_at_once(Reply::status(500, "{}"));
    assert!(answers.iter().all(|answer| answer["errors"].is_array()));
    assert!(count == 8 && begun.elapsed() < Duration::from_millis(8 * 400), "{count} in {:?}", begun.elapsed());
    // Whoever cannot wait for so long does not.
    handlers.on_path("/count", Reply::Late(Duration::from_secs(3), Box::new(Reply::json("4"))));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| ask(&pillion, &[], "{ count }").json());
        wait_until("the call", || calls(&handlers, "/count") == 1);
        let begun = Instant::now();
        let late = ask(&pillion, &[("X-Request-Timeout", "200ms")], "{ count }").json();
        assert!(late["errors"].is_array() && begun.elapsed() < Duration::from_secs(2), "{late}");
        assert_eq!(first.join().expect("a thread")["data"]["count"], 4);
    });
    assert_eq!(purge(&pillion, ""), 200);
    calls(&handlers, "/count");
    let (answers, count) = all_at_once(Reply::json("5"));
    assert!(answers.iter().all(|answer| answer["data"]["count"] == 5), "{answers:?}");
    assert_eq!(count, 1);
}

fn an_old_answer_while_another_is_fetched(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion =
        start(engines, &handlers, "actions: { count: { cache: { ttl: 500ms, stale_while_revalidate: 1h } } }\n");
    let count = || ask(&pillion, &[], "{ count }").json()["data"]["count"].take();
    assert_eq!(count(), 1);
    std::thread::sleep(Duration::from_millis(600));
    handlers.on_path("/count", Reply::Late(Duration::from_millis(300), Box::new(Reply::json("2"))));
    assert_eq!((count(), count()), (json!(1), json!(1)));
    wait_until("the new answer", || count() == 2);
    assert!(pillion.metric("pillion_response_cache_lookups_total{action=\"count\",outcome=\"stale\"}") >= 2.0);
}

fn replicas_keep_answers_together(engines: &Engines) {
    let mut redis = Redis::start();
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let config = format!(
        "redis: {{ url: 'redis://127.0.0.1:{}' }}\nactions: {{ count: {{ cache: {{ ttl: 1h }}, response_headers: [x-total] }} }}\n",
        redis.port
    );
    let replicas = [start(engines, &handlers, &config), start(engines, &handlers, &config)];
    let count = |replica: usize| ask(&replicas[replica], &[], "{ count }").json()["data"]["count"].take();
    assert_eq!((count(0), count(1), count(0)), (json!(1), json!(1), json!(1)));
    assert_eq!(calls(&handlers, "/count"), 1);
    handlers.on_path("/count", Reply::json("2"));
    assert_eq!(purge(&replicas[0], "?action=count"), 200);
    assert_eq!(count(0), 2);
    wait_until("the other replica", || count(1) == 2);
    assert_eq!(calls(&handlers, "/count"), 1);
    // Without Redis each asks for itself.
    redis.process = None;
    handlers.on_path("/count", Reply::json("3"));
    wait_until("the handler's response", || count(1) == 3);
}

fn what_cannot_be_kept(_: &Engines) {
    let said = |config: &str| Setup::before(1).with_shop(1).config(config).start_in_vain().1;
    let text = said("actions: { sendCode: { cache: { ttl: 1h } } }\n");
    assert!(text.contains("the responses of action 'sendCode' cannot be kept: it is a mutation"), "{text}");
    let text = said("actions: { count: { cache: { stale_while_revalidate: 1h } } }\n");
    assert!(text.contains("a cache needs a time to live"), "{text}");
    let text = said("actions: { count: { cache: { ttl: 1h, vary_by: [authorization] } } }\n");
    assert!(text.contains("\"authorization\" is no session variable"), "{text}");
}
