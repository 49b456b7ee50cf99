//! Rate limits: by caller and by address, alone and counted together with other replicas in Redis.

use pillion_test_support::engines::Engines;
use pillion_test_support::redis::Redis;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{trials, wait_until};
use serde_json::{Value, json};

use super::harness::shop::{ask_as_admin, error_code, start_with_secret};

/// The tests.
pub const TESTS: &[super::Test] =
    trials![rate_limit_by_session_variable, rate_limit_by_client_address, replicas_share_a_rate_limit];

fn rate_limit_by_session_variable(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    handlers.on_path("/sendCode", Reply::json("true"));
    let config = "actions: { count: { rate_limit: [2 per 1h by x-hasura-user-id, 4 per 1h] } }\n";
    let pillion = start_with_secret(engines, &handlers, config);
    let user = |id| [("X-Hasura-User-Id", id)];
    let ask = |id, query| ask_as_admin(&pillion, &user(id), query);
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
    assert_eq!(error_code(&ask("2", "{ count }")), Value::Null);
    assert_eq!(error_code(&ask("3", "{ count }")), Value::Null);
    let all = ask("4", "{ count }").json();
    assert!(all["errors"][0]["message"].as_str().is_some_and(|text| text.contains("4 per 3600 s")), "{all}");
    // Two calls in one document are two, and another action has no limit.
    assert_eq!(error_code(&ask("1", "mutation { sendCode(phone: \"1\") }")), Value::Null);
    assert_eq!(handlers.take_seen().iter().filter(|seen| seen.path() == "/count").count(), 4);
    let rejections = pillion.metric("pillion_handler_calls_rejected_total{action=\"count\",reason=\"rate_limit\"}");
    assert_eq!(rejections, 2.0);
}

fn rate_limit_by_client_address(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    let limit = "handlers: { rate_limit: [1 per 1h by address] }\n";
    let pillion = start_with_secret(
        engines,
        &handlers,
        &format!("{limit}downstream: {{ client_address_header: X-Forwarded-For }}\n"),
    );
    let ask_for = |forwarded: &str| error_code(&ask_as_admin(&pillion, &[("X-Forwarded-For", forwarded)], "{ count }"));
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
    let pillion = start_with_secret(engines, &handlers, limit);
    let ask_for = |forwarded| error_code(&ask_as_admin(&pillion, &[("X-Forwarded-For", forwarded)], "{ count }"));
    assert_eq!((ask_for("10.0.0.1"), ask_for("10.0.0.2")), (Value::Null, limited));
}

fn replicas_share_a_rate_limit(engines: &Engines) {
    let mut redis = Redis::start();
    let handlers = Scripted::start();
    handlers.on_path("/count", Reply::json("1"));
    handlers.on_path("/sendCode", Reply::json("true"));
    let config = format!(
        "redis: {{ url: 'redis://127.0.0.1:{}' }}\nhandlers: {{ rate_limit: [3 per 1h by x-hasura-user-id] }}\n\
         actions: {{ sendCode: {{ rate_limit_failure_mode: deny }} }}\n",
        redis.port
    );
    let replicas = [start_with_secret(engines, &handlers, &config), start_with_secret(engines, &handlers, &config)];
    let user = [("X-Hasura-User-Id", "1")];
    let (query, mutation) = ("{ count }", "mutation { sendCode(phone: \"1\") }");
    let codes = |query| [0, 1, 0, 1].map(|replica: usize| error_code(&ask_as_admin(&replicas[replica], &user, query)));
    let limited = json!("rate-limit-exceeded");
    assert_eq!(codes(query), [Value::Null, Value::Null, Value::Null, limited.clone()]);
    assert_eq!(error_code(&ask_as_admin(&replicas[0], &user, mutation)), Value::Null);
    // While it is away, what the configuration says, visibly.
    redis.stop();
    assert_eq!(codes(query), [Value::Null, Value::Null, Value::Null, Value::Null]);
    assert_eq!(error_code(&ask_as_admin(&replicas[0], &user, mutation)), limited);
    replicas[0].wait_for_log("Redis unavailable");
    assert!(replicas[0].metric("pillion_rate_limit_store_errors_total{action=\"sendCode\"}") >= 1.0);
    redis.start_again();
    wait_until("that calls are counted again", || codes(query)[3] == limited);
    replicas[0].wait_for_log("\"Redis available again\"");
}
