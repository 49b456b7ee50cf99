//! Redis with Sentinels: the server that they name is used, and after a failover the new one, without a restart.

use std::process::Command;

use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Pillion;
use pillion_test_support::redis::{RedisCluster, RedisWithSentinel};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};
use serde_json::{Value, json};

use super::harness::shop::{ask_as_admin, error_code, start_with_secret};

/// The tests.
pub const TESTS: &[super::Test] = trials![a_failover_is_followed, check_looks_at_each_address];

fn a_failover_is_followed(engines: &Engines) {
    let mut redis = RedisWithSentinel::start();
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    handlers.on_path("/sendCode", Reply::json("true"));
    let config = format!(
        "redis: {{ url: '{}', sentinel_password: {} }}\nhandlers: {{ rate_limit: [3 per 1h by x-hasura-user-id] }}\n\
         actions: {{ sendCode: {{ rate_limit_failure_mode: deny }} }}\n",
        redis.url(),
        RedisWithSentinel::SENTINEL_PASSWORD
    );
    let replicas = [start_with_secret(engines, &handlers, &config), start_with_secret(engines, &handlers, &config)];
    let codes = |user: &str| -> Vec<Value> {
        let user = [("X-Hasura-User-Id", user)];
        (0..4).map(|number| error_code(&ask_as_admin(&replicas[number % 2], &user, "{ count }"))).collect()
    };
    let limited = json!("rate-limit-exceeded");
    let counted = vec![Value::Null, Value::Null, Value::Null, limited.clone()];
    assert_eq!(codes("1"), counted);
    // They are in the database that the address names.
    let (dead, replica) = (redis.master(), redis.replica());
    assert_eq!(redis.ask(dead, &["-n", "2", "DBSIZE"]).trim(), "1");
    wait_until("that the counter is replicated", || redis.ask(replica, &["-n", "2", "DBSIZE"]).trim() == "1");
    redis.stop(dead);
    assert_eq!(
        codes("2"),
        [Value::Null, Value::Null, Value::Null, Value::Null],
        "calls that cannot be counted are allowed"
    );
    let send = |user: &str| {
        error_code(&ask_as_admin(&replicas[0], &[("X-Hasura-User-Id", user)], "mutation { sendCode(phone: \"1\") }"))
    };
    assert_eq!(send("2"), limited, "but for those that must be counted");
    let mut round = 0;
    let mut is_counted = |what: &str| {
        wait_until(what, || {
            round += 1;
            codes(&format!("round-{round}")) == counted
        });
    };
    is_counted("that the new master is found");
    assert_eq!(redis.master(), replica);
    assert_eq!((codes("1"), send("3")), (vec![limited.clone(); 4], Value::Null), "counters are kept");
    for pillion in &replicas {
        pillion.wait_for_log("Redis unavailable");
        pillion.wait_for_log("\"Redis available again\"");
    }
    // The old master comes back as one, and is made a replica; nothing is counted there.
    redis.start_again(dead);
    wait_until("that the old master is a replica", || redis.ask(dead, &["ROLE"]).starts_with("slave"));
    is_counted("that calls are counted");
    for pillion in replicas {
        no_password_in(&pillion);
    }
}

fn no_password_in(pillion: &Pillion) {
    let log = pillion.log();
    for secret in [RedisWithSentinel::PASSWORD, "of%2Fthe%40servers", RedisWithSentinel::SENTINEL_PASSWORD] {
        assert!(!log.contains(secret), "{log}");
    }
}

fn check_looks_at_each_address(engines: &Engines) {
    let (mut redis, mut cluster) = (RedisWithSentinel::start(), RedisCluster::start());
    let check = |url: &str, password: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        command.args(["check", "--all", "--upstream", &format!("http://127.0.0.1:{}", engines.yoga)]).env_clear();
        command.env("PILLION_REDIS_URL", url);
        if !password.is_empty() {
            command.env("PILLION_REDIS_SENTINEL_PASSWORD", password);
        }
        let output = command.output().expect("pillion runs");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let shown = |url: &str| url.rsplit_once("://").map(|(_, rest)| rest.rsplit('@').next().unwrap_or(rest).to_owned());
    // Every node, and the whole.
    let nodes = shown(&cluster.url()).expect("an address");
    let (is_well, said) = check(&cluster.url(), "");
    assert!(is_well, "{said}");
    for node in nodes.split(',') {
        assert!(said.contains(&format!("Redis {node}: ok (DNS, TCP)\n")), "{said}");
    }
    assert!(said.contains(&format!("Redis {nodes}: ok (Redis)\n")), "{said}");
    // A node of it that is left alone.
    for index in 1..6 {
        cluster.stop(index);
    }
    wait_until("that the slots of the others are missed", || {
        let (is_well, said) = check(&cluster.url(), "");
        !is_well && said.contains(&format!("Redis {nodes}: Redis: "))
    });
    // One Sentinel is away; the other one leads to the master.
    let (is_well, said) = check(&redis.url(), RedisWithSentinel::SENTINEL_PASSWORD);
    assert!(!is_well, "an address at which nothing listens is reported: {said}");
    let url = redis.url_of_running();
    let (is_well, said) = check(&url, RedisWithSentinel::SENTINEL_PASSWORD);
    assert!(is_well && said.contains("/main: ok (Redis)\n"), "{said}");
    assert!(!said.contains("of%2Fthe"), "{said}");
    // Wrong passwords, an unknown master, and no master at all.
    let (is_well, said) = check(&url, "wrong");
    assert!(!is_well && said.contains("Password authentication failed"), "{said}");
    let (is_well, said) = check(&url.replace("/main/", "/other/"), RedisWithSentinel::SENTINEL_PASSWORD);
    assert!(!is_well && said.contains("/other"), "{said}");
    redis.stop(redis.master());
    let (is_well, said) = check(&url, RedisWithSentinel::SENTINEL_PASSWORD);
    assert!(!is_well && said.contains("/main"), "{said}");
}
