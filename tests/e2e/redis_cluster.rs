//! A Redis Cluster: replicas share rate limits, cached responses and persisted queries in it, also after a master died.

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::message::Message;
use pillion_test_support::pillion::Pillion;
use pillion_test_support::redis::RedisCluster;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};
use serde_json::{Value, json};

use super::harness::shop::{ask_as_admin, error_code, start_with_secret};

/// The tests.
pub const TESTS: &[super::Test] = trials![replicas_share_a_cluster, a_replica_takes_over_for_a_dead_master];

/// A limit for each network and one for each user, a response cache, and documents by their hash.
fn config(cluster: &RedisCluster) -> String {
    format!(
        "redis: {{ url: '{}' }}\ndocuments: {{ apq: {{ enabled: true, store: redis }} }}\n\
         downstream: {{ client_address_header: x-forwarded-for, trusted_proxies: [127.0.0.1/32] }}\n\
         actions:\n  count: {{ rate_limit: [3 per 1h by x-hasura-user-id] }}\n\
         \x20 quote: {{ rate_limit: [2 per 1h by address] }}\n  maybe: {{ batch: 100, cache: {{ ttl: 1h }} }}\n\
         \x20 sendCode: {{ rate_limit: 1000 per 1h by x-hasura-user-id, rate_limit_failure_mode: deny }}\n",
        cluster.url()
    )
}

fn handlers() -> Scripted {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    handlers.on_path("/sendCode", Reply::json("true"));
    handlers.on_path("/quote", Reply::json(r#"{"productId":1,"amount":2,"total":3.5}"#));
    handlers
}

/// The codes of four calls, by turns of two replicas.
fn codes(replicas: &[Pillion; 2], user: &str) -> Vec<Value> {
    let user = [("X-Hasura-User-Id", user)];
    (0..4).map(|number| error_code(&ask_as_admin(&replicas[number % 2], &user, "{ count }"))).collect()
}

fn limited() -> Value {
    json!("rate-limit-exceeded")
}

fn fourth_is_limited() -> Vec<Value> {
    vec![Value::Null, Value::Null, Value::Null, limited()]
}

fn ask_maybe(pillion: &Pillion, numbers: std::ops::Range<u32>) -> Message {
    let fields: String = numbers.map(|number| format!("m{number}: maybe(code: \"{number}\") {{ total }} ")).collect();
    ask_as_admin(pillion, &[], &format!("{{ {fields} }}"))
}

fn replicas_share_a_cluster(engines: &Engines) {
    let cluster = RedisCluster::start();
    let handlers = handlers();
    let replicas = [
        start_with_secret(engines, &handlers, &config(&cluster)),
        start_with_secret(engines, &handlers, &config(&cluster)),
    ];
    // Users are in slots of their own.
    for user in 0..20 {
        assert_eq!(codes(&replicas, &user.to_string()), fourth_is_limited(), "of user {user}");
    }
    assert!(cluster.keys("pillion:rate:*").iter().all(|count| *count > 0), "{:?}", cluster.keys("pillion:rate:*"));
    // The networks of one address are counted in one step.
    let quote = |replica: usize, address: &str| {
        let headers = [("X-Forwarded-For", address)];
        error_code(&ask_as_admin(&replicas[replica], &headers, "{ quote(productId: 1, amount: 2) { total } }"))
    };
    let calls = [quote(0, "2001:db8::1"), quote(1, "2001:db8::2"), quote(0, "2001:db8::3")];
    assert_eq!(calls, [Value::Null, Value::Null, limited()]);
    assert_eq!(quote(1, "2001:db8:1::1"), Value::Null);
    // Entries of a batch are stored and found in all slots.
    let totals: Vec<Value> = (0..20).map(|number| json!({ "total": number })).collect();
    handlers.on_path("/maybe", Reply::json(&json!(totals).to_string()));
    for first in [0, 20, 40] {
        let fetched = ask_maybe(&replicas[0], first..first + 20).json();
        assert_eq!(fetched["data"][format!("m{}", first + 19)]["total"], 19, "{fetched}");
        handlers.take_seen();
        assert_eq!(ask_maybe(&replicas[1], first..first + 20).json(), fetched);
        assert!(handlers.take_seen().is_empty());
    }
    assert_eq!(cluster.keys("pillion:cache:*").iter().sum::<usize>(), 60);
    assert!(cluster.keys("pillion:cache:*").iter().all(|count| *count > 0), "{:?}", cluster.keys("pillion:cache:*"));
    // One replica purges the entries of all slots.
    let purged = Client::admin(replicas[1].admin).request("POST", "/cache/purge", &[("Content-Length", "0")], b"");
    assert_eq!(purged.status(), 200);
    assert_eq!(cluster.keys("pillion:cache:*"), [0, 0, 0]);
    // A document that one replica was told is known to the other.
    let hash = pillion::documents::document_hash::DocumentHash::of(b"{ __typename }").to_string();
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
    let secret = [("X-Hasura-Admin-Secret", "s3cret"), ("Content-Type", "application/json")];
    let post = |replica: usize, body: &Value| {
        replicas[replica].client().request("POST", "/graphql", &secret, body.to_string().as_bytes()).json()
    };
    let named = json!({ "data": { "__typename": "Query" } });
    assert_eq!(post(0, &json!({ "query": "{ __typename }", "extensions": extensions })), named);
    assert_eq!(post(1, &json!({ "extensions": extensions })), named);
    for replica in replicas {
        let log = replica.whole_log("TERM");
        assert!(!log.contains("Redis unavailable"), "{log}");
    }
}

/// Until then, calls whose counters are there are not counted, as their settings say.
fn a_replica_takes_over_for_a_dead_master(engines: &Engines) {
    let mut cluster = RedisCluster::start();
    let handlers = handlers();
    let replicas = [
        start_with_secret(engines, &handlers, &config(&cluster)),
        start_with_secret(engines, &handlers, &config(&cluster)),
    ];
    let all_are_counted =
        |name: &str| (0..20).all(|user| codes(&replicas, &format!("{name}-{user}")) == fourth_is_limited());
    assert!(all_are_counted("before"));
    let dead = cluster.masters()[0];
    cluster.stop(dead);
    let mut is_denied = false;
    for user in 0..40 {
        let user = format!("during-{user}");
        assert!(codes(&replicas, &user)[..3].iter().all(Value::is_null), "a call that cannot be counted is allowed");
        let send = ask_as_admin(&replicas[0], &[("X-Hasura-User-Id", &user)], "mutation { sendCode(phone: \"1\") }");
        is_denied |= error_code(&send) == limited();
    }
    assert!(is_denied, "some counters were on the master that died");
    let mut round = 0;
    wait_until("that all calls are counted again", || {
        round += 1;
        all_are_counted(&format!("after-{round}"))
    });
    assert_eq!(cluster.masters().len(), 3);
    replicas[0].wait_for_log("Redis unavailable");
    // When the dead node comes back, it is a replica, and nothing changes.
    cluster.start_again(dead);
    wait_until("that calls are counted", || {
        round += 1;
        all_are_counted(&format!("back-{round}"))
    });
    wait_until("that the end of the outage is logged", || {
        round += 1;
        codes(&replicas, &format!("log-{round}"));
        replicas[0].log().contains("\"Redis available again\"")
    });
}
