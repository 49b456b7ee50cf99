//! The JSON Schema of `pillion.yaml` and the program agree: 10,000 configurations made of right and wrong values at random are
//! read by both, and what one of them accepts, the other one accepts.

use std::sync::Arc;

use pillion::config::formats::Format;
use pillion::config::metadata::Metadata;
use pillion::config::sdl::Signatures;
use pillion::config::settings::Settings;
use pillion::config::settings_table::{ACTION_KEYS, ActionValue, Kind, Member, SETTINGS};
use pillion::config::values::Values;
use pillion::config::{json_schema, metadata, metadata_schema, yaml};
use pillion::model::source::{Diagnostic, Severity, Source};
use pillion_test_support::mutate::Mutator;
use serde_json::{Map, Value, json};

const CONFIGURATIONS: usize = 10_000;

/// What other settings need; they are not what is tested here.
const ASSUMED: &[(&str, &str)] = &[
    ("upstream.url", "http://upstream:8080"),
    ("metadata.folder", "metadata"),
    ("database.url", "postgres://database/pillion"),
    ("redis.url", "rediss+sentinel://cache:26379/main"),
    ("auth.admin_secret", "a secret of the administrator"),
    ("tls.cert_file", "cert.pem"),
    ("tls.key_file", "key.pem"),
    ("handlers.tls_cert_file", "cert.pem"),
    ("handlers.tls_key_file", "key.pem"),
    ("telemetry.otlp_endpoint", "http://collector:4318"),
];

/// Settings that contradict each other, which no schema of single settings can say.
const CONTRADICTIONS: &[(&str, &str)] = &[
    ("auth.hook", "auth.jwt_secret"),
    ("auth.hook", "auth.jwt_secrets"),
    ("auth.hook", "auth.unauthorized_role"),
    ("upstream.url", "upstream.graphql_path"),
    ("redis.url", "redis.sentinel_user"),
    ("redis.url", "redis.sentinel_password"),
    ("redis.url", "redis.tls_ca_file"),
];

/// A language of its own within a string: only the program reads it.
const JWT: &str = r#"{"type": "HS256", "key": "0123456789012345678901234567890123456789"}"#;

pub fn the_schema_and_the_program_agree() -> Result<(), String> {
    let schema = jsonschema::validator_for(&json_schema::pillion_yaml()).map_err(|error| error.to_string())?;
    let mut random = Mutator::new("configurations");
    let (mut accepted, mut failures) = (0, Vec::new());
    for _ in 0..CONFIGURATIONS {
        let configuration = configuration(&mut random);
        let said = program_says(&configuration);
        if said.is_none() {
            accepted += 1;
        }
        if schema.is_valid(&configuration) != said.is_none() {
            let by_schema: Vec<String> = schema.iter_errors(&configuration).map(|error| error.to_string()).collect();
            let by_program = said.unwrap_or_else(|| "accepts it".to_owned());
            let by_schema = if by_schema.is_empty() { "accepts it".to_owned() } else { by_schema.join("; ") };
            failures.push(format!("{configuration}\n  schema: {by_schema:.200}\n  program: {by_program}"));
        }
    }
    if !failures.is_empty() {
        let shown: Vec<String> = failures.iter().take(20).cloned().collect();
        return Err(format!("{} of {CONFIGURATIONS}:\n{}", failures.len(), shown.join("\n")));
    }
    // Both verdicts are tested.
    let is_mixed = (CONFIGURATIONS / 10..CONFIGURATIONS * 9 / 10).contains(&accepted);
    if is_mixed { Ok(()) } else { Err(format!("{accepted} of {CONFIGURATIONS} are accepted")) }
}

pub fn the_example_is_valid_and_has_the_defaults() -> Result<(), String> {
    let text = std::fs::read_to_string(pillion_test_support::repository().join("config/pillion.example.yaml"))
        .map_err(|error| error.to_string())?;
    let node = yaml::parse(&Arc::new(Source::new("pillion.example.yaml", text.as_str())))
        .map_err(|diagnostic| diagnostic.to_string())?;
    let schema = jsonschema::validator_for(&json_schema::pillion_yaml()).map_err(|error| error.to_string())?;
    let wrong: Vec<String> = schema.iter_errors(&node.to_json()).map(|error| error.to_string()).collect();
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    let collect = |file| Values::collect(&|_| None, &|_| None, file, &[], &mut Vec::new());
    let (of_file, of_table) = (collect(Some(&node)), collect(None));
    let differs = |key: &&str| of_file.fingerprints().get(key) != of_table.fingerprints().get(key);
    // The table has a list with commas, and a number with a zero that YAML does not keep.
    let is_same = |key: &&str| !["jobs.retry_on", "telemetry.sample_ratio"].contains(key);
    let keys = SETTINGS.iter().map(|setting| setting.key).filter(is_same);
    let others: Vec<&str> = keys.filter(differs).collect();
    if others.is_empty() { Ok(()) } else { Err(format!("not the defaults: {others:?}")) }
}

/// The first error, if there is one.
fn program_says(configuration: &Value) -> Option<String> {
    // JSON is YAML.
    let source = Arc::new(Source::new("pillion.yaml", configuration.to_string()));
    let node = match yaml::parse(&source) {
        Ok(node) => node,
        Err(diagnostic) => return Some(diagnostic.to_string()),
    };
    let mut diagnostics = Vec::new();
    let values = Values::collect(&|_| None, &|_| None, Some(&node), ASSUMED, &mut diagnostics);
    let _ = Settings::read(&values, Some(&node), &mut diagnostics);
    diagnostics.iter().find(|found| found.severity == Severity::Error).map(Diagnostic::on_one_line)
}

fn pick<'p, T>(random: &mut Mutator, from: &'p [T]) -> &'p T {
    &from[random.below(from.len())]
}

/// Samples begin with the right ones.
fn pick_early<'p, T>(random: &mut Mutator, from: &'p [T]) -> &'p T {
    &from[random.below(from.len()).min(random.below(from.len()))]
}

fn configuration(random: &mut Mutator) -> Value {
    let mut whole = Map::new();
    let mut used: Vec<&str> = Vec::new();
    for _ in 0..=random.below(4) {
        let setting = pick(random, SETTINGS);
        let contradicts = |(one, other): &(&str, &str)| {
            (*one == setting.key && used.contains(other)) || (*other == setting.key && used.contains(one))
        };
        // Every caller is admin, beside a secret: only the program knows that one of them is wrong.
        if used.contains(&setting.key)
            || setting.key == "auth.open"
            || is_of_own_jwt(setting.key)
            || CONTRADICTIONS.iter().any(contradicts)
        {
            continue;
        }
        used.push(setting.key);
        let value = match setting.key {
            "auth.jwt_secret" => pick(random, &[json!(JWT), json!({}), json!(null), json!("")]).clone(),
            "auth.jwt_secrets" => pick(random, &[json!(format!("[{JWT}]")), json!([]), json!(null)]).clone(),
            "auth.admin_secrets" => pick(random, &[json!("[\"a\"]"), json!(["a"]), json!(" ")]).clone(),
            _ => value(random, setting.kind, setting.format),
        };
        put(random, &mut whole, setting.key, value);
    }
    let (key, value) = match random.below(24) {
        0 => ("upstrem", json!({ "url": "http://upstream" })),
        1 => ("limits.max_dept", json!(5)),
        2 => ("auth", json!(null)),
        3 => ("cors", json!(null)),
        4 => ("log", json!("json")),
        5 => ("metadata", pick(random, &[json!("folder"), json!(["folder"]), json!(null)]).clone()),
        6..=9 => ("actions", actions(random)),
        10..=11 => ("relationships", relationships(random)),
        13..=14 => ("fields", fields(random)),
        15..=16 if !used.iter().any(|key| key.starts_with("auth.")) => ("auth", json!({ "jwt": own_jwt(random) })),
        12 if random.below(8) == 0 => return pick(random, &[json!(null), json!([]), json!("upstream")]).clone(),
        _ => return whole.into(),
    };
    put(random, &mut whole, key, value);
    whole.into()
}

/// Puts a value under its key: nested as usual, or as one word with dots. What stands in its way is left as it is.
fn put(random: &mut Mutator, into: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        Some((group, rest)) if random.below(16) > 0 => {
            let dotted = format!("{group}.");
            if into.keys().any(|key| key.starts_with(&dotted)) {
                return;
            }
            if let Value::Object(members) = into.entry(group).or_insert_with(|| json!({})) {
                put(random, members, rest, value);
            }
        }
        Some((group, _)) if into.contains_key(group) => {}
        _ => {
            into.entry(key).or_insert(value);
        }
    }
}

/// Only together do they mean anything.
fn is_of_own_jwt(key: &str) -> bool {
    key.starts_with("auth.jwt.")
}

/// A group that has all it needs, and one setting that may be wrong.
fn own_jwt(random: &mut Mutator) -> Value {
    if random.below(8) == 0 {
        return pick(random, &[json!(null), json!([]), json!("token"), json!(7)]).clone();
    }
    let mut group = json!({ "jwk_url": "https://login.example/keys", "issuer": "login", "default_role": "user" });
    let settings: Vec<_> = SETTINGS.iter().filter(|setting| is_of_own_jwt(setting.key)).collect();
    let setting = pick(random, &settings);
    let key = setting.key.trim_start_matches("auth.jwt.");
    let value = value(random, setting.kind, setting.format);
    // An algorithm and a key contradict the URL, and without the URL or a role the group is not complete.
    let is_alone = ["algorithm", "key", "default_role"].contains(&key) || (key == "jwk_url" && value.is_null());
    if let (Value::Object(members), false) = (&mut group, is_alone) {
        members.insert(key.to_owned(), value);
    }
    group
}

fn actions(random: &mut Mutator) -> Value {
    let mut action = Map::new();
    for _ in 0..=random.below(3) {
        let key = pick(random, ACTION_KEYS);
        let value = match key.value {
            ActionValue::One(kind, format) => value(random, kind, format),
            ActionValue::Mapping(members) => mapping(random, members),
            // Which names it may hold depends on the action, which the schema does not know.
            ActionValue::Free | ActionValue::FreeOrList | ActionValue::FreeOrText => {
                pick(random, &[Value::Null, json!({}), json!("text"), json!(7), json!([])]).clone()
            }
        };
        action.insert(key.key.to_owned(), value);
    }
    if random.below(6) == 0 {
        action.insert((*pick(random, &["retry", "retries", "Cache"])).to_owned(), json!(1));
    }
    let quote = if random.below(12) == 0 { pick(random, &odd_values()).clone() } else { action.into() };
    json!({ "quote": quote })
}

fn mapping(random: &mut Mutator, members: &[Member]) -> Value {
    if random.below(8) == 0 {
        return pick(random, &odd_values()).clone();
    }
    let mut mapping = Map::new();
    for member in members {
        if member.is_required && random.below(6) > 0 || random.below(2) == 0 {
            mapping.insert(member.key.to_owned(), value(random, member.kind, member.format));
        }
    }
    if random.below(6) == 0 {
        mapping.insert("stale".into(), json!("5s"));
    }
    mapping.into()
}

fn relationships(random: &mut Mutator) -> Value {
    const KEYS: [&str; 6] = ["Order.customer", "Order", "Order.customer.name", "Order.the-customer", ".a", "Order._a1"];
    let lookups = [
        json!("customerById(id: $customer_id)"),
        json!("customers(where: { id: { eq: $id } }, first: 1)"),
        json!("customer"),
        json!("customerById(id: $customer_id) { name }"),
        json!("customer: customerById(id: $customer_id)"),
        json!("customerById(id: $customer_id"),
        json!("customerById(id: $id) @skip(if: true)"),
        json!(""),
        json!(true),
        json!(5),
        json!(null),
        json!(["customer"]),
        json!({ "field": "customer" }),
    ];
    let entry = |random: &mut Mutator| ((*pick(random, &KEYS)).to_owned(), pick(random, &lookups).clone());
    match random.below(8) {
        0 => pick(random, &odd_values()).clone(),
        _ => Value::Object((0..=random.below(2)).map(|_| entry(random)).collect()),
    }
}

fn fields(random: &mut Mutator) -> Value {
    const KEYS: [&str; 6] = ["Product.stock", "Product", "Product.stock.count", "A.the-b", ".a", "_A1._a1"];
    let calls = [
        json!("stocks(skus: [$sku]) by sku"),
        json!("getProfile(id: $id, at: { shop: 1 })"),
        json!("getProfile"),
        json!("stocks(skus: [$sku])by  sku "),
        json!("stocks(skus: [$sku]) by"),
        json!("stocks(skus: [$sku]) bysku"),
        json!("goodby sku"),
        json!("good by sku"),
        json!("getProfile(id: $id) { name }"),
        json!("profile: getProfile(id: $id)"),
        json!("getProfile(id: $id"),
        json!(""),
        json!(7),
        json!(null),
        json!(["getProfile"]),
    ];
    let texts = [json!("text"), json!(null), json!(true), json!(1)];
    let outputs = [json!("nullable"), json!("non_null"), json!(null), json!("null"), json!(true)];
    let entry = |random: &mut Mutator| {
        let call = pick_early(random, &calls).clone();
        let value = match random.below(6) {
            0 => json!({ "call": call }),
            1 => json!({ "call": call, "output": pick(random, &outputs) }),
            2 => json!({ "call": call, "description": pick(random, &texts), "deprecated": pick(random, &texts) }),
            3 => json!({ "output": "nullable" }),
            4 => json!({ "call": call, "ouput": "nullable" }),
            _ => call,
        };
        ((*pick_early(random, &KEYS)).to_owned(), value)
    };
    match random.below(8) {
        0 => pick(random, &odd_values()).clone(),
        _ => Value::Object((0..=random.below(2)).map(|_| entry(random)).collect()),
    }
}

/// What stands where something else belongs.
fn odd_values() -> Vec<Value> {
    vec![json!(null), json!("text"), json!(""), json!(7), json!(-1), json!(1.5), json!(true), json!([]), json!({})]
}

/// A value of this kind, more often a right one than a wrong one.
fn value(random: &mut Mutator, kind: Kind, format: Option<Format>) -> Value {
    if random.below(8) == 0 {
        return pick(random, &odd_values()).clone();
    }
    if kind == Kind::Texts {
        let mut item = || pick_early(random, &texts(format)).clone();
        let items = [item(), item()];
        return match random.below(6) {
            0 => items[0].clone(),
            1 => json!([items[0], null]),
            2 => json!([[items[0]]]),
            3 => json!([]),
            4 => json!([items[0]]),
            _ => json!(items),
        };
    }
    pick_early(random, &scalars(kind, format)).clone()
}

fn scalars(kind: Kind, format: Option<Format>) -> Vec<Value> {
    match kind {
        Kind::Text | Kind::Secret | Kind::Texts => texts(format),
        Kind::Bool => all(&["true", "FALSE", "yes", "n", "on", "off", "1", ""], &[json!(false), json!(true), json!(0)]),
        Kind::Count | Kind::Number => {
            all(&["2", "0", "017", "-1", "two", "1.5", "1 "], &[json!(2), json!(2.0), json!(2.5), json!(0), json!(-3)])
        }
        Kind::Bytes => all(
            &["10MB", "10MiB", "10Mi", "64 KiB", "1.5GB", "100", "100B", "0", "0MiB", "10XB", "MiB", "-1KiB", "1,5MB"],
            &[json!(1024), json!(0), json!(-1), json!(1.5)],
        ),
        Kind::Duration | Kind::DurationOrZero => all(
            &[
                "30s",
                "1m30s",
                "1h 5m",
                "1.5s",
                "1d",
                "24h",
                "48h",
                "2d",
                "86400",
                "86401",
                "500ms",
                "86400001ms",
                "0s",
                "0",
                "0m 0s",
                "0h30m",
                "1441m",
                "90 minutes",
                "5 seconds",
                "1w",
                "5 apples",
                "s",
                "-5s",
                "1m30",
            ],
            &[json!(30), json!(0), json!(86_400), json!(86_401), json!(1.5), json!(2.0), json!(-1)],
        ),
        Kind::Map => vec![
            json!({ "x-hasura-user-id": "sub" }),
            json!({ "X-Hasura-Org": "https://shop.example/org", "x-hasura-team": "$.team.id" }),
            json!({}),
            json!({ "x-hasura-user-id": "" }),
            json!({ "x-hasura-user-id": 7 }),
            json!({ "x-hasura-user-id": null }),
            json!({ "x-hasura-user-id": ["sub"] }),
            json!({ "user-id": "sub" }),
            json!(["sub"]),
        ],
        Kind::Choice(choices) => {
            let mut values = all(choices, &[json!(false), json!(1)]);
            values.extend(all(&["off", "Auto", "false", ""], &[]));
            values
        }
    }
}

fn all(texts: &[&str], others: &[Value]) -> Vec<Value> {
    texts.iter().map(|text| json!(text)).chain(others.iter().cloned()).collect()
}

/// Texts of a format, and some that are near.
fn texts(format: Option<Format>) -> Vec<Value> {
    let Some(format) = format else { return all(&["text", "a b", "", " ", "ü"], &[json!(5), json!(true)]) };
    let texts: &[&str] = match format {
        Format::Listen => &[
            "127.0.0.1:8000",
            "[::1]:8000",
            "[::]:0",
            "localhost:8000",
            ":8000",
            "8000",
            "65536",
            ":65535",
            "256.0.0.1:1",
            "example.org:80",
            "127.0.0.1",
            "[::1]",
            "::1:80",
            "http://a:1",
            "",
        ],
        Format::HostName => &["pillion.internal", "pillion", "pillion:80", "*.internal", "", "a b"],
        Format::HeaderName | Format::ResponseHeader | Format::CookieName => {
            &["x-tenant", "X-Tenant", "authorization", "set-cookie", "content-length", "te", "x tenant", "x:y", "ü", ""]
        }
        Format::NamePrefix => &["ext_", "_ext", "Ext2", "", "_", "__ext", "2ext", "ext-", "ü"],
        Format::HttpUrl => &[
            "http://host:8080",
            "https://host",
            "http://host:8080/v1/graphql",
            "http://[::1]:80/",
            "localhost:8080",
            "host",
            "ftp://host",
            "http://user:password@host",
            "http://host?a=1",
            "http://host#a",
            "http://host:99999",
            "http://",
            "",
        ],
        Format::HookUrl => {
            &["http://auth/hook", "https://auth:8443/a?b=c", "auth:3000", "/hook", "ftp://auth/", "http://"]
        }
        Format::Url => &["http://collector:4318", "grpc://collector", "collector:4318", "http://", "/v1/traces", ""],
        Format::Path => &["/graphql", "/v1/graphql", "/", "graphql", "", "/a?b", "/a#b", "/a b"],
        Format::Origin => &[
            "*",
            "https://shop.example",
            "https://*.shop.example",
            "http://localhost:3000",
            "shop.example",
            "https://",
            "https://*",
            "https://a/b",
            "",
        ],
        Format::Network => &[
            "10.0.0.0/8",
            "192.0.2.7",
            "2001:db8::/32",
            "::1",
            "10.0.0.0/33",
            "::1/129",
            "10.0.0.256",
            "localhost",
            "",
        ],
        Format::AllowedHost => &[
            "api.example.org",
            "*.example.org",
            "api.example.org:8443",
            "[::1]:8080",
            "http://api",
            "a/b",
            "a:b",
            "user@a",
            "",
        ],
        Format::RateLimit => &[
            "5 per 60s",
            "5 per 60s by address",
            "5 per 1m30s by x-hasura-user-id",
            "100 per 1",
            "100/s",
            "0 per 60s",
            "5 per 0s",
            "5 per 60s by ip",
            "5 per 60s by x-hasura-",
            "5 calls per 60s",
            "",
        ],
        Format::JobStore => &[
            "sqlite:///data/jobs.db",
            "sqlite://jobs.db",
            "postgres://a:b@c/d",
            "postgresql://c",
            "mysql://x",
            "sqlite://",
            "x",
        ],
        Format::Redis => &[
            "redis://cache:6379/0",
            "rediss://user:p%40ss@cache.example",
            "valkey://[::1]:6379",
            "redis+cluster://u:p@a:1,b,[::1]:2/0",
            "rediss+sentinel://a:26379,b/main/3",
            "redis+unix:///run/redis.sock",
            "unix:///run/redis.sock",
            "redis://",
            "redis://cache/one",
            "redis+cluster://a,b/1",
            "redis+cluster://a,,b",
            "redis+cluster://a:0",
            "redis+sentinel://a,b",
            "redis+sentinel://a/main/one",
            "redis+sentinel://a/main?x",
            "redis+ring://a",
            "http://cache",
            "",
        ],
        Format::RetryOn => &["connection", "timeout, 5xx", "429", "connection,429", "bogus", "5xx, bogus", ""],
        Format::Token => &["0123abcd", "a-b_c", "a b", "ü", ""],
        Format::Ratio => &["0", "1", "0.5", "1.0", ".25", "1.1", "2", "-0.5", "half", ""],
        Format::Pairs => &["a=b", "a=b, c=d", "a", "a=b, c", " "],
        Format::SigningSecrets => &[
            "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            "whsec_c2hvcnQ=",
            "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
            " ",
        ],
        Format::SessionVariable => &["x-hasura-org-id", "X-Hasura-User-Id", "authorization", "org-id", ""],
        Format::ClaimPath => &["role", "https://shop.example/role", "$.realm_access.roles", "a b", "", " "],
        Format::ForwardedParam => &["locale", "page", "query", "extensions", ""],
    };
    let others: &[Value] = match format {
        Format::Listen => &[json!(8000), json!(0), json!(65_536), json!(-1), json!(80.5)],
        Format::Ratio => &[json!(0.5), json!(1), json!(0), json!(1.5), json!(-1)],
        Format::RetryOn => &[json!(429), json!(500), json!(true)],
        Format::RateLimit => &[
            json!({ "requests": 5, "per": "60s" }),
            json!({ "requests": "5", "per": 60, "key": "address" }),
            json!({ "requests": 5, "per": "1m30s", "key": "x-hasura-user-id" }),
            json!({ "requests": 5, "per": "1m", "key": null }),
            json!({ "requests": 0, "per": "60s" }),
            json!({ "requests": 5 }),
            json!({ "requests": 5, "per": "1m 30s" }),
            json!({ "requests": 5, "per": "60s", "by": "address" }),
            json!({ "requests": 5, "per": "60s", "key": "ip" }),
            json!({ "requests": true, "per": "60s" }),
            json!(5),
        ],
        _ => &[json!(5), json!(true)],
    };
    all(texts, others)
}

/// Every key that `actions.yaml` can have.
const ACTIONS: &str = r#"
actions:
  - name: quote
    definition:
      kind: synchronous
      handler: http://handlers/quote
      headers: [{ name: X-A, value: a }, { name: X-B, value_from_env: B }]
      forward_client_headers: true
      ignored_client_headers: [x-c]
      timeout: 30
      type: query
      arguments: [{ name: to, type: String!, description: where, default: a, deprecated: b }]
      output_type: Quote
      deprecated: use another
      request_transform:
        version: 2
        template_engine: Kriti
        method: GET
        url: "{{$base_url}}/a"
        query_params: { a: "{{$body.input.to}}" }
        body: { action: transform, template: "{{$body.input}}" }
        request_headers: { add_headers: { x-d: e }, remove_headers: [x-f] }
      response_transform: { version: 2, template_engine: Kriti, body: { action: transform, template: "{{$body}}" } }
    permissions: [{ role: user, comment: all }]
    comment: a quote
custom_types:
  enums: [{ name: Speed, description: fast, values: [{ value: FAST, description: fast, is_deprecated: true }] }]
  input_objects: [{ name: To, fields: [{ name: city, type: String }], is_one_of: true }]
  objects:
    - name: Quote
      fields: [{ name: price, type: Float }]
      relationships:
        - name: order
          type: object
          source: default
          remote_table: { schema: public, name: order }
          field_mapping: { price: price }
  scalars: [{ name: Money, specified_by: https://money }]
"#;

/// Each value of [`ACTIONS`] is replaced by others, each mapping gets a key too many, and each key goes: what the schema
/// rejects, `pillion check --strict` does not let pass either.
pub fn the_schema_of_actions_and_the_program_agree() -> Result<(), String> {
    let schema = jsonschema::validator_for(&metadata_schema::actions_yaml()).map_err(|error| error.to_string())?;
    let whole = yaml::parse(&Arc::new(Source::new("actions.yaml", ACTIONS))).map_err(|found| found.to_string())?;
    let whole = whole.to_json();
    let mut pointers = Vec::new();
    pointers_of(&whole, String::new(), &mut pointers);
    let mut changed = vec![whole.clone()];
    for pointer in pointers.iter().filter(|pointer| !is_open(pointer)) {
        for odd in odd_values() {
            let mut other = whole.clone();
            *other.pointer_mut(pointer).expect("a value") = odd;
            changed.push(other);
        }
        let mut other = whole.clone();
        if let Some(Value::Object(members)) = other.pointer_mut(pointer) {
            members.insert("permission".into(), json!("x"));
            changed.push(other);
        }
        let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", ""));
        let mut other = whole.clone();
        if let Some(Value::Object(members)) = other.pointer_mut(parent) {
            members.shift_remove(key);
            changed.push(other);
        }
    }
    let mut failures = Vec::new();
    for file in &changed {
        let said = metadata_says(file);
        if schema.is_valid(file) != said.is_none() {
            let by_schema: Vec<String> =
                schema.iter_errors(file).map(|error| format!("{}: {error}", error.instance_path())).collect();
            failures.push(format!("{file}\n  schema: {by_schema:?}\n  program: {said:?}"));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(format!("{}:\n{}", failures.len(), failures.join("\n"))) }
}

fn pointers_of(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| pointers_of(value, format!("{pointer}/{key}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers_of(item, format!("{pointer}/{index}"), found));
        }
        _ => {}
    }
    found.push(pointer);
}

/// Names of the user's own, and templates, which only a reader of these understands.
fn is_open(pointer: &str) -> bool {
    const OPEN: [&str; 7] =
        ["template", "body", "query_params", "add_headers", "field_mapping", "remote_table", "default"];
    pointer.split('/').any(|segment| OPEN.contains(&segment))
}

/// The first error, or the first unknown key.
fn metadata_says(file: &Value) -> Option<String> {
    let node = yaml::parse(&Arc::new(Source::new("actions.yaml", file.to_string()))).expect("YAML");
    let mut diagnostics = Vec::new();
    metadata::read(&node, &Signatures::default(), &mut Metadata::default(), &mut diagnostics);
    let is_wrong = |found: &&Diagnostic| found.severity == Severity::Error || found.message.starts_with("unknown key");
    diagnostics.iter().find(is_wrong).map(Diagnostic::on_one_line)
}

pub fn the_schema_of_actions_accepts_the_files_of_tests() -> Result<(), String> {
    let schema = jsonschema::validator_for(&metadata_schema::actions_yaml()).map_err(|error| error.to_string())?;
    let root = pillion_test_support::repository();
    let folders = std::fs::read_dir(root.join("tests/fixtures/metadata")).expect("a folder");
    let mut files: Vec<_> = folders.map(|entry| entry.expect("an entry").path().join("actions.yaml")).collect();
    files.push(root.join("demo/metadata/actions.yaml"));
    files.retain(|file| file.is_file());
    assert!(files.len() > 8, "{files:?}");
    let mut failures = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file");
        let node = yaml::parse(&Arc::new(Source::new("actions.yaml", text))).map_err(|found| found.to_string())?;
        let json = node.to_json();
        failures.extend(schema.iter_errors(&json).map(|error| format!("{}: {error}", file.display())));
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}
