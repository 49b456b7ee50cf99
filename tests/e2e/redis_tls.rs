//! Redis by TLS with certificates of a private authority: a server, a cluster, and a master that a Sentinel names.

use std::process::Command;

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Pillion;
use pillion_test_support::redis::{Redis, RedisCluster, RedisWithSentinel, Tls};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};
use serde_json::{Value, json};

use super::harness::shop::{ask_as_admin, error_code, start_with_secret};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    replicas_share_a_server,
    replicas_share_a_cluster,
    a_failover_is_followed,
    an_unknown_authority_is_not_trusted,
    check_connects_with_the_file,
];

/// A limit for each user.
fn config(url: &str, tls: &Tls) -> String {
    format!(
        "redis: {{ url: '{url}', tls_ca_file: '{}' }}\nhandlers: {{ rate_limit: [3 per 1h by x-hasura-user-id] }}\n",
        tls.certificate.display()
    )
}

fn handlers() -> Scripted {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    handlers
}

/// The codes of four calls of a user, by turns of two replicas.
fn codes(replicas: &[Pillion; 2], user: &str) -> Vec<Value> {
    let user = [("X-Hasura-User-Id", user)];
    (0..4).map(|number| error_code(&ask_as_admin(&replicas[number % 2], &user, "{ count }"))).collect()
}

fn fourth_is_limited() -> Vec<Value> {
    vec![Value::Null, Value::Null, Value::Null, json!("rate-limit-exceeded")]
}

fn two(engines: &Engines, handlers: &Scripted, config: &str) -> [Pillion; 2] {
    [start_with_secret(engines, handlers, config), start_with_secret(engines, handlers, config)]
}

fn replicas_share_a_server(engines: &Engines) {
    let tls = Tls::new();
    let (redis, handlers) = (Redis::start_with_tls(&tls), handlers());
    let url = format!("rediss://127.0.0.1:{}", redis.port);
    assert_eq!(codes(&two(engines, &handlers, &config(&url, &tls)), "1"), fourth_is_limited());
    assert_eq!(redis.ask(&["DBSIZE"]).trim(), "1");
}

fn replicas_share_a_cluster(engines: &Engines) {
    let tls = Tls::new();
    let (cluster, handlers) = (RedisCluster::start_with_tls(&tls), handlers());
    let replicas = two(engines, &handlers, &config(&cluster.url(), &tls));
    // Users are in slots of their own, on all nodes.
    for user in 0..20 {
        assert_eq!(codes(&replicas, &user.to_string()), fourth_is_limited(), "of user {user}");
    }
    assert!(cluster.keys("pillion:rate:*").iter().all(|count| *count > 0), "{:?}", cluster.keys("pillion:rate:*"));
}

fn a_failover_is_followed(engines: &Engines) {
    let tls = Tls::new();
    let (mut redis, handlers) = (RedisWithSentinel::start_with_tls(&tls), handlers());
    let password = RedisWithSentinel::SENTINEL_PASSWORD;
    let config =
        config(&redis.url(), &tls).replacen("tls_ca_file", &format!("sentinel_password: {password}, tls_ca_file"), 1);
    let replicas = two(engines, &handlers, &config);
    assert_eq!(codes(&replicas, "1"), fourth_is_limited());
    let (dead, replica) = (redis.master(), redis.replica());
    wait_until("that the counter is replicated", || redis.ask(replica, &["-n", "2", "DBSIZE"]).trim() == "1");
    redis.stop(dead);
    let mut round = 0;
    wait_until("that the new master is found", || {
        round += 1;
        codes(&replicas, &format!("round-{round}")) == fourth_is_limited()
    });
    assert_eq!(redis.master(), replica);
}

/// Calls are not counted then; that the certificate is the reason is logged.
fn an_unknown_authority_is_not_trusted(engines: &Engines) {
    let (tls, other) = (Tls::new(), Tls::new());
    let (redis, handlers) = (Redis::start_with_tls(&tls), handlers());
    let url = format!("rediss://127.0.0.1:{}", redis.port);
    let replicas = two(engines, &handlers, &config(&url, &other));
    assert_eq!(codes(&replicas, "1"), [Value::Null, Value::Null, Value::Null, Value::Null]);
    for pillion in replicas {
        pillion.wait_for_log("Redis unavailable");
        pillion.wait_for_log("certificate");
    }
    assert_eq!(redis.ask(&["DBSIZE"]).trim(), "0");
}

fn check_connects_with_the_file(engines: &Engines) {
    let tls = Tls::new();
    let cluster = RedisCluster::start_with_tls(&tls);
    let check = |ca_file: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        command.args(["check", "--all", "--upstream", &format!("http://127.0.0.1:{}", engines.yoga)]).env_clear();
        command.env("PILLION_REDIS_URL", cluster.url());
        command.envs(ca_file.map(|file| ("PILLION_REDIS_TLS_CA_FILE", file)));
        let output = command.output().expect("pillion runs");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (is_well, said) = check(Some(&tls.certificate.display().to_string()));
    assert!(is_well && said.contains(": ok (Redis)\n"), "{said}");
    let (is_well, said) = check(None);
    assert!(!is_well && said.contains(": Redis: "), "{said}");
    let (is_well, said) = check(Some("Cargo.toml"));
    assert!(
        !is_well && said.contains("redis.tls_ca_file: Cargo.toml: there is no certificate in it that can be used"),
        "{said}"
    );
}
