//! The response cache: who shares a response, request coalescing, stale-while-revalidate, purging, and several
//! replicas with one Redis.

use std::time::{Duration, Instant};

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::redis::Redis;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};
use serde_json::json;

use super::harness::shop::{ask_as_admin, start_with_secret};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    responses_are_cached_by_key,
    concurrent_requests_are_coalesced,
    stale_while_revalidate,
    replicas_share_the_response_cache,
    responses_that_are_not_cacheable,
    a_get_says_how_fresh_its_cached_responses_are,
];

fn calls(handlers: &Scripted, path: &str) -> usize {
    handlers.take_seen().iter().filter(|seen| seen.path() == path).count()
}

fn purge(pillion: &Pillion, query: &str) -> u16 {
    let path = format!("/cache/purge{query}");
    Client::admin(pillion.admin).request("POST", &path, &[("Content-Length", "0")], b"").status()
}

fn responses_are_cached_by_key(engines: &Engines) {
    let handlers = Scripted::start();
    let answer = Reply::json(r#"{"productId":1,"amount":2,"total":3.5}"#);
    handlers.on_path("/quote", answer.clone());
    let config = "actions: { quote: { cache: { ttl: 1h, vary_by: [x-hasura-org] } } }\n";
    let pillion = start_with_secret(engines, &handlers, config);
    let as_role = |role, org, user| [("X-Hasura-Role", role), ("X-Hasura-Org", org), ("X-Hasura-User-Id", user)];
    let quote = |who: [(&str, &str); 3], query: &str| ask_as_admin(&pillion, &who, query).json()["data"].take();
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

fn concurrent_requests_are_coalesced(engines: &Engines) {
    let handlers = Scripted::start();
    let config = "actions: { count: { cache: { ttl: 1h } } }\n";
    let pillion = start_with_secret(engines, &handlers, config);
    let all_at_once = |reply: Reply| {
        handlers.on_path("/count", Reply::Late(Duration::from_millis(400), Box::new(reply)));
        let answers = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| ask_as_admin(&pillion, &[], "{ count }").json())).collect();
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
        let first = scope.spawn(|| ask_as_admin(&pillion, &[], "{ count }").json());
        wait_until("the call", || calls(&handlers, "/count") == 1);
        let begun = Instant::now();
        let late = ask_as_admin(&pillion, &[("X-Request-Timeout", "200ms")], "{ count }").json();
        assert!(late["errors"].is_array() && begun.elapsed() < Duration::from_secs(2), "{late}");
        assert_eq!(first.join().expect("a thread")["data"]["count"], 4);
    });
    assert_eq!(purge(&pillion, ""), 200);
    calls(&handlers, "/count");
    let (answers, count) = all_at_once(Reply::json("5"));
    assert!(answers.iter().all(|answer| answer["data"]["count"] == 5), "{answers:?}");
    assert_eq!(count, 1);
}

fn stale_while_revalidate(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let pillion = start_with_secret(
        engines,
        &handlers,
        "actions: { count: { cache: { ttl: 500ms, stale_while_revalidate: 1h } } }\n",
    );
    let count = || ask_as_admin(&pillion, &[], "{ count }").json()["data"]["count"].take();
    assert_eq!(count(), 1);
    std::thread::sleep(Duration::from_millis(600));
    handlers.on_path("/count", Reply::Late(Duration::from_millis(300), Box::new(Reply::json("2"))));
    assert_eq!((count(), count()), (json!(1), json!(1)));
    wait_until("the new answer", || count() == 2);
    assert!(pillion.metric("pillion_response_cache_lookups_total{action=\"count\",outcome=\"stale\"}") >= 2.0);
}

fn replicas_share_the_response_cache(engines: &Engines) {
    let mut redis = Redis::start();
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let config = format!(
        "redis: {{ url: 'redis://127.0.0.1:{}' }}\nactions: {{ count: {{ cache: {{ ttl: 1h }}, response_headers: [x-total] }} }}\n",
        redis.port
    );
    let replicas = [start_with_secret(engines, &handlers, &config), start_with_secret(engines, &handlers, &config)];
    let count = |replica: usize| ask_as_admin(&replicas[replica], &[], "{ count }").json()["data"]["count"].take();
    assert_eq!((count(0), count(1), count(0)), (json!(1), json!(1), json!(1)));
    assert_eq!(calls(&handlers, "/count"), 1);
    handlers.on_path("/count", Reply::json("2"));
    assert_eq!(purge(&replicas[0], "?action=count"), 200);
    assert_eq!(count(0), 2);
    wait_until("the other replica", || count(1) == 2);
    assert_eq!(calls(&handlers, "/count"), 1);
    // Without Redis each asks for itself.
    redis.stop();
    handlers.on_path("/count", Reply::json("3"));
    wait_until("the handler's response", || count(1) == 3);
}

fn responses_that_are_not_cacheable(_: &Engines) {
    let said = |config: &str| Setup::before(1).with_shop(1).config(config).start_in_vain().1;
    let text = said("actions: { sendCode: { cache: { ttl: 1h } } }\n");
    assert!(text.contains("the responses of action 'sendCode' cannot be kept: it is a mutation"), "{text}");
    let text = said("actions: { count: { cache: { stale_while_revalidate: 1h } } }\n");
    assert!(text.contains("a cache needs a time to live"), "{text}");
    let text = said("actions: { count: { cache: { ttl: 1h, vary_by: [authorization] } } }\n");
    assert!(text.contains("\"authorization\" is no session variable"), "{text}");
}

/// Only responses that consist of cached ones alone.
fn a_get_says_how_fresh_its_cached_responses_are(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let config = "graphql_get: allow\nactions: { count: { cache: { ttl: 1h } } }\n";
    let pillion = start_with_secret(engines, &handlers, config);
    let get = |document: &str| {
        let path = format!("/graphql?query={}", document.replace(' ', "%20"));
        let headers = [("X-Hasura-Admin-Secret", "s3cret"), ("X-Hasura-Role", "customer"), ("X-Hasura-Org", "a")];
        pillion.client().request("GET", &path, &headers, b"")
    };
    assert_eq!(get("{count}").header("cache-control"), None);
    let cached = get("{count}");
    assert_eq!(cached.text(), r#"{"data":{"count":1}}"#);
    let lifetime = cached.header("cache-control").and_then(|text| text.strip_prefix("private, max-age="));
    assert!(
        lifetime.and_then(|text| text.parse::<u64>().ok()).is_some_and(|seconds| (3_500..=3_600).contains(&seconds))
    );
    assert!(cached.header("age").and_then(|text| text.parse::<u64>().ok()).is_some_and(|seconds| seconds < 60));
    assert!(cached.all("vary").join(", ").contains("x-hasura-role, x-hasura-org"), "{:?}", cached.all("vary"));
    assert_eq!(get("{count productById(id:1){name}}").header("cache-control"), None);
    assert_eq!(ask_as_admin(&pillion, &[("X-Hasura-Role", "customer")], "{ count }").header("cache-control"), None);
}
