//! One schema: what graphql-js, the reference, makes of it, and what each role sees of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::time::Duration;

use pillion_test_support::client::Client;
use pillion_test_support::engines::{Engines, RolesEngine, run_node};
use pillion_test_support::message::Message;
use pillion_test_support::pillion::{Pillion, Setup};
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::{free_port, trials, wait_until};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

pub const TESTS: &[super::Test] = trials![
    introspection_equals_the_reference,
    partial_introspection_equals_the_reference,
    introspection_hides_forbidden_actions,
    code_is_generated_for_mixed_documents,
    upstreams_without_introspection,
    upstreams_with_malformed_introspection,
    older_upstreams_get_an_older_introspection_query,
    introspection_size_limit,
    introspection_is_rendered_once,
    a_schema_that_changes,
    mutations_wait_for_the_schema,
    introspection_null_booleans_and_stale_schemas,
    conflicting_names_stop_the_start,
    the_reason_of_a_fatal_error_is_logged,
    conflicts_with_an_upstream_that_starts_later,
    prefixes_resolve_conflicts,
    introspection_mode_upstream,
    schemas_vary_by_header,
];

const ADMIN: &str = "s3cret";

/// Before an upstream, with actions and an admin secret.
fn setup(engine: u16, actions: &str) -> Setup {
    Setup::before(engine).with_actions(actions, 1).env("HASURA_GRAPHQL_ADMIN_SECRET", ADMIN)
}

/// Asks in a role.
fn ask(pillion: &Pillion, role: &str, query: &str, variables: &Value) -> Value {
    let headers = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", ADMIN), ("X-Hasura-Role", role)];
    let body = json!({ "query": query, "variables": variables }).to_string();
    let answer = pillion.client().request("POST", "/graphql", &headers, body.as_bytes());
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {}", answer.text()))
}

/// The introspection queries of tools that are built on graphql-js, the fullest first.
fn tool_queries() -> Vec<String> {
    let lines = run_node("graphql-js.mjs", &["queries"], "");
    lines.lines().map(|line| serde_json::from_str(line).expect("a query")).collect()
}

/// What graphql-js answers to these requests on the schema that `full` describes; first what it thinks of the schema.
fn reference(full: &Value, requests: &[(String, Value)]) -> (Value, Vec<Value>) {
    let mut input = format!("{full}\n");
    for (query, variables) in requests {
        input.push_str(&format!("{}\n", json!({ "query": query, "variables": variables })));
    }
    let output = run_node("graphql-js.mjs", &[], &input);
    let mut lines = output.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let verdict = lines.next().expect("a verdict");
    (verdict, lines.collect())
}

/// Every upstream with the actions that suit it, and the roles of those.
fn stages(engines: &Engines) -> [(&'static str, Pillion, &'static [&'static str]); 4] {
    // Deeper than anybody asks, to see more of what may be asked.
    let start = |engine, actions| {
        setup(engine, actions).config("limits: {max_introspection_depth: 20}\n").start().wait_until_ready()
    };
    let shop: &[&str] = &["admin", "customer", "guest", "boss", "nobody"];
    let supplies: &[&str] = &["admin", "clerk", "customer", "nobody"];
    [
        ("postgraphile", start(engines.postgraphile, "shop"), shop),
        ("postgraphile", start(engines.postgraphile, "supplies"), supplies),
        ("yoga", start(engines.yoga, "shop"), shop),
        ("roles", start(engines.roles, "supplies"), supplies),
    ]
}

fn introspection_equals_the_reference(engines: &Engines) {
    let queries = tool_queries();
    for (engine, pillion, roles) in stages(engines) {
        for role in roles {
            let full = ask(&pillion, role, &queries[0], &Value::Null);
            let requests: Vec<(String, Value)> = queries.iter().map(|query| (query.clone(), Value::Null)).collect();
            let (verdict, wanted) = reference(&full, &requests);
            assert_eq!(verdict["errors"], json!([]), "{engine}, {role}: {verdict}");
            for ((query, _), wanted) in requests.iter().zip(wanted) {
                assert_same(&wanted, &ask(&pillion, role, query, &Value::Null), &format!("{engine}, {role}: {query}"));
            }
        }
    }
}

/// Keys in their order, too.
fn assert_same(wanted: &Value, got: &Value, what: &str) {
    let (wanted, got) = (wanted.to_string(), got.to_string());
    if wanted != got {
        let at = wanted.bytes().zip(got.bytes()).take_while(|(one, other)| one == other).count();
        let around = |text: &str| text.chars().skip(at.saturating_sub(200)).take(400).collect::<String>();
        panic!("{what}\nwanted …{}…\ngot    …{}…", around(&wanted), around(&got));
    }
}

/// Fields of the introspection types: name, the type of what is below, whether it takes `includeDeprecated`.
type MetaField = (&'static str, Option<&'static str>, bool);

fn meta_fields(meta_type: &str) -> &'static [MetaField] {
    match meta_type {
        "__Schema" => &[
            ("description", None, false),
            ("queryType", Some("__Type"), false),
            ("mutationType", Some("__Type"), false),
            ("subscriptionType", Some("__Type"), false),
            ("types", Some("__Type"), false),
            ("directives", Some("__Directive"), true),
        ],
        "__Type" => &[
            ("kind", None, false),
            ("name", None, false),
            ("description", None, false),
            ("specifiedByURL", None, false),
            ("isOneOf", None, false),
            ("fields", Some("__Field"), true),
            ("interfaces", Some("__Type"), false),
            ("possibleTypes", Some("__Type"), false),
            ("enumValues", Some("__EnumValue"), true),
            ("inputFields", Some("__InputValue"), true),
            ("ofType", Some("__Type"), false),
        ],
        "__Field" => &[
            ("name", None, false),
            ("description", None, false),
            ("args", Some("__InputValue"), true),
            ("type", Some("__Type"), false),
            ("isDeprecated", None, false),
            ("deprecationReason", None, false),
        ],
        "__InputValue" => &[
            ("name", None, false),
            ("description", None, false),
            ("type", Some("__Type"), false),
            ("defaultValue", None, false),
            ("isDeprecated", None, false),
            ("deprecationReason", None, false),
        ],
        "__EnumValue" => &[
            ("name", None, false),
            ("description", None, false),
            ("isDeprecated", None, false),
            ("deprecationReason", None, false),
        ],
        _ => &[
            ("name", None, false),
            ("description", None, false),
            ("isRepeatable", None, false),
            ("locations", None, false),
            ("args", Some("__InputValue"), true),
            ("isDeprecated", None, false),
            ("deprecationReason", None, false),
        ],
    }
}

/// A selection on an introspection type, at most `depth` deep.
fn selections(meta_type: &'static str, depth: u32) -> BoxedStrategy<String> {
    let usable: Vec<MetaField> =
        meta_fields(meta_type).iter().copied().filter(|(_, inner, _)| depth > 0 || inner.is_none()).collect();
    let field = proptest::sample::select(usable).prop_flat_map(move |(name, inner, deprecated)| {
        let below = inner.map_or_else(
            || Just(String::new()).boxed(),
            |inner| selections(inner, depth.saturating_sub(1)).prop_map(|text| format!(" {{ {text} }}")).boxed(),
        );
        let argument = if deprecated {
            prop_oneof![Just(""), Just("(includeDeprecated: true)"), Just("(includeDeprecated: $deprecated)")].boxed()
        } else {
            Just("").boxed()
        };
        let directive = prop_oneof![8 => Just(""), 1 => Just(" @skip(if: $skip)"), 1 => Just(" @include(if: true)")];
        // A key of its own for each way to ask, so that nothing has to be merged that cannot be.
        (below, argument, directive, any::<bool>(), 0..1_000_000_u32).prop_map(
            move |(below, argument, directive, inline, number)| {
                let field = format!("k{number}: {name}{argument}{directive}{below}");
                if inline { format!("... on {meta_type} {{ {field} }}") } else { field }
            },
        )
    });
    let type_name = Just("__typename".to_owned());
    let shared = match (meta_type, depth) {
        ("__Type", 0) | ("__Schema", _) => Just("__typename".to_owned()).boxed(),
        ("__Type", _) => Just("...Shared".to_owned()).boxed(),
        _ => Just("n: name".to_owned()).boxed(),
    };
    proptest::collection::vec(prop_oneof![6 => field, 1 => type_name, 1 => shared], 1..4)
        .prop_map(|fields| fields.join(" "))
        .boxed()
}

fn documents() -> impl Strategy<Value = String> {
    let types = ["Query", "RootQuery", "Filter", "Found", "Exhibit", "Period", "ISBN", "Quote", "Stock", "nothing"];
    let schema = selections("__Schema", 4).prop_map(|text| format!("s: __schema {{ {text} }}"));
    let one = (selections("__Type", 3), proptest::sample::select(types.to_vec()))
        .prop_map(|(text, name)| format!("t: __type(name: \"{name}\") {{ {text} }}"));
    let by_variable = selections("__Type", 3).prop_map(|text| format!("v: __type(name: $name) {{ {text} }}"));
    (prop_oneof![schema, one, by_variable], any::<bool>()).prop_map(|(field, deprecated)| {
        // Every variable is used, so that strict servers take it.
        format!(
            "query ($name: String! = \"Book\", $deprecated: Boolean! = {deprecated}, $skip: Boolean!) \
             {{ {field} u: __type(name: $name) {{ n: name fields(includeDeprecated: $deprecated) {{ name \
             isDeprecated @skip(if: $skip) }} ...Shared }} }} \
             fragment Shared on __Type {{ kind ofType {{ name ...Deep }} }} \
             fragment Deep on __Type {{ description __typename }}"
        )
    })
}

const DOCUMENTS: usize = 300;

fn partial_introspection_equals_the_reference(engines: &Engines) {
    let full_query = &tool_queries()[0];
    for (engine, pillion, _) in stages(engines) {
        let mut runner = TestRunner::new_with_rng(
            Config::default(),
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        );
        let requests: Vec<(String, Value)> = (0..DOCUMENTS)
            .map(|number| {
                let document = documents().new_tree(&mut runner).expect("a document").current();
                let name = ["Book", "Order", "Product", "products", "RootMutation"][number % 5];
                let skip = number % 2 == 0;
                let variables =
                    if number % 3 == 0 { json!({ "skip": skip }) } else { json!({ "skip": skip, "name": name }) };
                (document, variables)
            })
            .collect();
        let full = ask(&pillion, "admin", full_query, &Value::Null);
        let (_, wanted) = reference(&full, &requests);
        let valid = wanted.iter().filter(|answer| answer.get("data").is_some()).count();
        assert!(valid > DOCUMENTS * 9 / 10, "only {valid} documents are valid");
        for ((query, variables), wanted) in requests.iter().zip(wanted) {
            assert_same(&wanted, &ask(&pillion, "admin", query, variables), &format!("{engine}: {query} {variables}"));
        }
    }
}

/// Every name, description and default in an introspection result.
fn words(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(found.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| words(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| words(field, found)),
        _ => {}
    }
}

/// What belongs to actions that only some may call, and those who may: written down here, so that the program does not
/// check itself.
fn secrets(actions: &str) -> BTreeMap<&'static str, &'static [&'static str]> {
    let shop: &[(&str, &[&str])] = &[
        ("secretReport", &["admin"]),
        ("Report", &["admin"]),
        ("rows", &["admin"]),
        ("search", &["admin", "customer"]),
        ("SearchInput", &["admin", "customer"]),
        ("Colour", &["admin", "customer"]),
        ("GREEN", &["admin", "customer"]),
        ("Hit", &["admin", "customer"]),
        ("json", &["admin", "customer"]),
        ("placeOrder", &["admin", "customer"]),
        ("Orders a product.", &["admin", "customer"]),
        ("OrderInput", &["admin", "customer"]),
        ("quote", &["admin", "customer", "guest", "boss"]),
        ("What a number of pieces costs.", &["admin", "customer", "guest", "boss"]),
    ];
    let supplies: &[(&str, &[&str])] = &[
        ("advice", &["admin", "clerk", "customer"]),
        ("What to take.", &["admin", "clerk", "customer"]),
        ("In the house.", &["admin", "clerk", "customer"]),
        ("How long is a unit?", &["admin", "clerk", "customer"]),
        ("stock", &["admin", "clerk"]),
        ("reserve", &["admin", "customer"]),
        ("Stock", &["admin", "clerk", "customer"]),
        ("restock", &["admin", "clerk"]),
        ("Orders what is missing.", &["admin", "clerk"]),
        ("RestockItem", &["admin", "clerk"]),
        ("Rejected", &["admin", "clerk"]),
        ("bigint", &["admin", "clerk"]),
        ("fields of action: \"restock\"", &["admin", "clerk"]),
    ];
    let table = if actions == "shop" { shop } else { supplies };
    table.iter().copied().collect()
}

fn introspection_hides_forbidden_actions(engines: &Engines) {
    let full_query = &tool_queries()[0];
    for (engine, actions, roles) in [
        (engines.yoga, "shop", &["admin", "customer", "guest", "boss", "nobody", "unheard-of"]),
        (engines.roles, "supplies", &["admin", "clerk", "customer", "guest", "nobody", "unheard-of"]),
    ] {
        let pillion = setup(engine, actions).start().wait_until_ready();
        let seen: BTreeMap<&str, BTreeSet<String>> = roles
            .iter()
            .map(|role| {
                let mut found = BTreeSet::new();
                words(&ask(&pillion, role, full_query, &Value::Null), &mut found);
                (*role, found)
            })
            .collect();
        for (secret, may_see) in secrets(actions) {
            for role in roles {
                let sees = seen[role].contains(secret);
                assert_eq!(sees, may_see.contains(role), "{role} and {secret}");
                // A name is no way around it either.
                let by_name = format!("{{ __type(name: {}) {{ name }} }}", json!(secret));
                let named = ask(&pillion, role, &by_name, &Value::Null);
                assert!(named["data"]["__type"].is_null() || sees, "{role} and {secret}: {named}");
            }
        }
    }
    // And the upstream's own secrets stay with those to whom it shows them.
    let pillion = setup(engines.roles, "supplies").start().wait_until_ready();
    for (role, sees) in [("customer", false), ("clerk", true)] {
        let fields = ask(&pillion, role, "{ __type(name: \"products\") { fields { name } } }", &Value::Null);
        assert_eq!(fields.to_string().contains("price"), sees, "{role}: {fields}");
        let stock = ask(&pillion, role, "{ __type(name: \"Stock\") { fields { name } } }", &Value::Null);
        assert!(stock.to_string().contains("\"alike\""), "{stock}");
        assert_eq!(stock.to_string().contains("alike_aggregate"), sees, "{role}: {stock}");
    }
}

fn code_is_generated_for_mixed_documents(engines: &Engines) {
    let pillion = setup(engines.postgraphile, "shop").start().wait_until_ready();
    let full = ask(&pillion, "customer", &tool_queries()[0], &Value::Null);
    let document = "
        query Mixed($id: Int!, $filter: SearchInput) {
          productById(id: $id) { name price }
          quote(productId: $id) { total currency }
          search(filter: $filter) { id related { title } }
        }
        mutation Buy($order: OrderInput!, $review: CreateReviewInput!) {
          createReview(input: $review) { review { stars } }
          placeOrder(order: $order) { status }
        }";
    let usage = "
        const variables: MixedQueryVariables = { id: 1, filter: { text: 'x', colour: 'RED' } };
        declare const mixed: MixedQuery;
        const name: string | undefined = mixed.productById?.name;
        const total: number = mixed.quote.total;
        const titles: string[] | undefined = mixed.search[0].related?.map((hit) => hit.title);
        declare const buy: BuyMutation;
        const stars: number | undefined = buy.createReview?.review?.stars;
        const status: string | undefined = buy.placeOrder?.status;
        export { variables, name, total, titles, stars, status };";
    let input = json!({ "introspection": full["data"], "document": document, "usage": usage });
    let output: Value = serde_json::from_str(&run_node("codegen.mjs", &[], &input.to_string())).expect("JSON");
    assert_eq!(output["problems"], json!([]), "{output}");
    // The check can fail.
    let wrong = usage.replace("total: number", "total: boolean");
    let input = json!({ "introspection": full["data"], "document": document, "usage": wrong });
    let output: Value = serde_json::from_str(&run_node("codegen.mjs", &[], &input.to_string())).expect("JSON");
    assert!(output["problems"].to_string().contains("not assignable to type 'boolean'"), "{output}");
}

fn upstreams_without_introspection(_: &Engines) {
    let engine = RolesEngine::start();
    let handlers = Scripted::start();
    handlers.on_path("/advice", Reply::json("[]"));
    for (how, status, words) in
        [("closed", 200, "introspection has been disabled"), ("400", 400, "no introspection here")]
    {
        engine.control(&json!({ "introspection": how }).to_string());
        let pillion = Setup::before(engine.port).with_actions("supplies", handlers.port).start().wait_until_ready();
        let mut client = pillion.client();
        let answer = client.ask("{ __schema { types { name } } }");
        assert_eq!(answer.status(), status, "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
        // Actions still work, beside the upstream's fields and beside introspection.
        let mixed = client.ask("{ advice { text } products { name } }").text();
        assert_eq!(mixed, r#"{"data":{"advice":[],"products":[{"name":"City bicycle"}]}}"#);
        let beside = client.ask("{ advice { text } __schema { types { name } } }").text();
        assert!(beside.contains(words), "{beside}");
        pillion.wait_for_log("upstream introspection failed");
        assert_eq!(pillion.log().matches("upstream introspection failed").count(), 1, "{}", pillion.log());
        assert!(pillion.metric("pillion_upstream_introspections_total{outcome=\"rejected\"}") >= 1.0);
        assert!(pillion.metric("pillion_upstream_validations_total{outcome=\"schema_unknown\"}") >= 1.0);
    }
}

fn upstreams_with_malformed_introspection(_: &Engines) {
    let (engine, handlers) = (Scripted::start(), Scripted::start());
    handlers.on_path("/count", Reply::json("1"));
    let probe = r#"{"data":{"__typename":"Query","a":7}}"#;
    let half = r#"{"data":{"__schema":{"queryType":{"name":"Query"},"types":[{"kind":"OB"#;
    let schema = |types: &str| {
        format!(r#"{{"data":{{"__schema":{{"queryType":{{"name":"Query"}},"directives":[],"types":[{types}]}}}}}}"#)
    };
    let dangling = schema(
        r#"{"kind":"OBJECT","name":"Query","interfaces":[],"fields":[{"name":"a","args":[],"type":{"kind":"OBJECT","name":"Gone"}}]}"#,
    );
    let cut = schema(
        r#"{"kind":"OBJECT","name":"Query","interfaces":[],"fields":[{"name":"a","args":[],"type":{"kind":"NON_NULL","ofType":null}}]}"#,
    );
    let bad_name = schema(r#"{"kind":"OBJECT","name":"Que ry","interfaces":[],"fields":[]}"#);
    for (outcome, reply) in [
        ("not_graphql", Reply::json("<html>")),
        ("not_graphql", Reply::json(half)),
        ("not_graphql", Reply::json(r#"{"data":{"__schema":{"types":7}}}"#)),
        ("rejected", Reply::status(500, r#"{"errors":[{"message":"out of order"}]}"#)),
        ("rejected", Reply::json(r#"{"data":null}"#)),
        ("not_graphql", Reply::json("[]")),
        ("wrong_shape", Reply::json(&dangling)),
        ("wrong_shape", Reply::json(&cut)),
        ("wrong_shape", Reply::json(&bad_name)),
        ("connection_closed", Reply::Close),
        ("connection_closed", Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}".to_vec())),
    ] {
        engine.on_path("/graphql", Reply::json(probe));
        let setup =
            Setup::before(engine.port).with_shop(handlers.port).config("upstream: {health_check_interval: 1h}\n");
        let pillion = setup.start().wait_until_ready();
        // The probe's own response had no schema in it.
        let rejected = "pillion_upstream_introspections_total{outcome=\"rejected\"}";
        let before = pillion.metric(rejected);
        engine.on_path("/graphql", reply.clone());
        // The upstream's response may well end the connection.
        let body = r#"{"query":"{ __schema { types { name } } }"}"#;
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut client = pillion.client();
        client.send(format!("{head}{body}").as_bytes());
        client.read_response();
        let metric = format!("pillion_upstream_introspections_total{{outcome=\"{outcome}\"}}");
        let wanted = if outcome == "rejected" { before + 1.0 } else { 1.0 };
        wait_until("the response to be counted", || pillion.metric(&metric) == wanted);
        pillion.wait_for_log("upstream introspection failed");
        engine.on_path("/graphql", Reply::json(probe));
        assert_eq!(pillion.client().ask("{ count a }").text(), r#"{"data":{"count":1,"a":7}}"#, "{reply:?}");
    }
}

fn older_upstreams_get_an_older_introspection_query(_: &Engines) {
    let engine = RolesEngine::start();
    engine.control(r#"{"introspection":"2018"}"#);
    let pillion = setup(engine.port, "supplies").start().wait_until_ready();
    let answer = ask(
        &pillion,
        "admin",
        "{ __schema { queryType { name } } __type(name: \"Purpose\") { specifiedByURL enumValues { name } } }",
        &Value::Null,
    );
    assert_eq!(
        answer,
        json!({ "data": {
            "__schema": { "queryType": { "name": "query_root" } },
            "__type": { "specifiedByURL": null, "enumValues": [{ "name": "HOME" }, { "name": "WORK" }] },
        } })
    );
    assert_eq!(pillion.metric("pillion_upstream_introspections_total{outcome=\"success\"}"), 2.0);
}

/// Some upstreams answer null for the booleans of introspection that they do not know. Whatever else is wrong with the
/// answer stands where operators look.
fn introspection_null_booleans_and_stale_schemas(_: &Engines) {
    let upstream = Scripted::start();
    let answer = |deprecated: &str, fields: &str| {
        let argument = format!(
            r#"{{"name":"n","type":{{"kind":"SCALAR","name":"Int"}},"defaultValue":null,"isDeprecated":{deprecated}}}"#
        );
        let field = format!(
            r#"{{"name":"rows","args":[{argument}],"type":{{"kind":"SCALAR","name":"Int"}},"isDeprecated":{deprecated}}}"#
        );
        let query = format!(r#"{{"kind":"OBJECT","name":"Query","interfaces":[],"{fields}":[{field}]}}"#);
        let value = format!(r#"{{"name":"OLD","isDeprecated":{deprecated},"deprecationReason":null}}"#);
        let enumeration = format!(r#"{{"kind":"ENUM","name":"Age","enumValues":[{value}]}}"#);
        let int = r#"{"kind":"SCALAR","name":"Int"}"#;
        let directive = format!(
            r#"{{"name":"skip","locations":["FIELD"],"args":[],"isRepeatable":{deprecated},"isDeprecated":{deprecated}}}"#
        );
        format!(
            r#"{{"data":{{"__schema":{{"queryType":{{"name":"Query"}},"types":[{query},{enumeration},{int}],"directives":[{directive}]}}}}}}"#
        )
    };
    upstream.on_path("/graphql", Reply::json(&answer("null", "fields")));
    let pillion =
        setup(upstream.port, "shop").config("upstream: {health_check_interval: 100ms}\n").start().wait_until_ready();
    let shown = ask(&pillion, "admin", "{ __type(name: \"Query\") { fields { name isDeprecated } } }", &Value::Null);
    let fields = &shown["data"]["__type"]["fields"];
    assert_eq!(fields[0], json!({ "name": "rows", "isDeprecated": false }), "{shown}");
    assert!(fields.as_array().is_some_and(|fields| fields.len() > 1), "{shown}");
    assert!(pillion.admin("/readyz?verbose").1.ends_with("upstream.schema: ok\n"));
    upstream.on_path("/graphql", Reply::json(&answer("false", "nothing")));
    ask(&pillion, "clerk", "{ __type(name: \"Query\") { fields { name } } }", &Value::Null);
    let details = pillion.admin("/readyz?verbose").1;
    assert!(details.contains("upstream.schema: not known for the role \"clerk"), "{details}");
    assert!(details.contains("the schema is incomplete: the type Query has no fields"), "{details}");
}

fn introspection_size_limit(engines: &Engines) {
    let start = |bytes: &str| {
        let limit = format!("limits: {{max_introspection_size: {bytes}}}\n");
        Setup::before(engines.yoga).with_shop(1).config(&limit).start().wait_until_ready()
    };
    let again: String = (0..40).map(|n| format!("k{n}: types {{ name description fields {{ name }} }} ")).collect();
    let repeated = format!("{{ __schema {{ {again} }} }}");
    let answer: Value = serde_json::from_slice(&start("100KiB").client().ask(&repeated).body).expect("JSON");
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(answer["errors"][0]["message"], "the response to introspection is larger than 102400 bytes");
    assert_eq!(answer["errors"][0]["path"], json!(["__schema"]));
    // The upstream's own response is larger than this, so it is left to answer itself.
    let pillion = start("1KiB");
    let answer = pillion.client().ask("{ __type(name: \"RootQuery\") { fields { name } } }").text();
    assert!(answer.contains("\"books\"") && !answer.contains("\"quote\""), "{answer}");
    assert!(pillion.metric("pillion_upstream_introspections_total{outcome=\"too_large\"}") >= 1.0);
}

/// What decides a response to introspection, and nothing else, makes another one of it; whatever was rendered before is
/// byte for byte what would be rendered now.
fn introspection_is_rendered_once(_: &Engines) {
    let engine = RolesEngine::start();
    let start = || setup(engine.port, "supplies").start().wait_until_ready();
    let pillion = start();
    let query = "query ($all: Boolean!, $with: Boolean!) { kind: __typename __schema { \
                 types { name description @include(if: $with) fields(includeDeprecated: $all) { name type { name ofType { name } } } } } }";
    let other = "{ __type(name: \"query_root\") { fields { name } } }";
    let send =
        |pillion: &Pillion, (role, query, all, with): (&str, &str, bool, bool), more: &[(&str, &str)]| -> Message {
            let mut headers =
                vec![("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", ADMIN), ("X-Hasura-Role", role)];
            headers.extend_from_slice(more);
            let body = json!({ "query": query, "variables": { "all": all, "with": with } }).to_string();
            pillion.client().request("POST", "/graphql", &headers, body.as_bytes())
        };
    let cases = [
        ("admin", query, true, true),
        ("admin", query, true, false),
        ("admin", other, false, false),
        ("clerk", query, true, true),
        ("clerk", other, false, false),
    ];
    let ask_all = |pillion: &Pillion| cases.map(|case| send(pillion, case, &[("X-Request-Id", "another")]).text());
    let lookups =
        |outcome: &str| pillion.metric(&format!("pillion_introspection_cache_lookups_total{{outcome=\"{outcome}\"}}"));
    let cold = ask_all(&pillion);
    assert!(cold[0] != cold[1] && cold[0] != cold[3], "variables and roles decide");
    assert_eq!((lookups("hit"), lookups("miss")), (0.0, 5.0));
    assert_eq!(ask_all(&pillion), cold);
    assert_eq!((lookups("hit"), lookups("miss")), (5.0, 5.0));
    assert!(pillion.metric("pillion_introspection_cache_bytes") > 5000.0);
    // Compressed now and from what was compressed.
    for _ in 0..2 {
        let packed = send(&pillion, cases[0], &[("Accept-Encoding", "gzip")]);
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        let mut opened = String::new();
        flate2::read::GzDecoder::new(&*packed.body).read_to_string(&mut opened).expect("a compressed body");
        assert_eq!(opened, cold[0]);
    }
    // A field appears, goes, and so does what shows it.
    engine.control(r#"{"extra":true}"#);
    let changed = ask_all(&pillion);
    assert!(changed.iter().zip(&cold).all(|(changed, cold)| changed != cold && changed.contains("\"extra\"")));
    assert_eq!(ask_all(&start()).each_ref().map(in_order), changed.each_ref().map(in_order));
    engine.control("{}");
    assert_eq!(ask_all(&pillion), cold);
    let in_any_order = cold.each_ref().map(in_order);
    assert_eq!(ask_all(&start()).each_ref().map(in_order), in_any_order);
    // What was rendered goes with the snapshot that it was rendered for.
    let misses = lookups("miss");
    assert_eq!(Client::admin(pillion.admin).request("POST", "/reload", &[("Content-Length", "0")], b"").status(), 200);
    assert_eq!(ask_all(&pillion).each_ref().map(in_order), in_any_order);
    assert_eq!(lookups("miss"), misses + 5.0);
    // An upstream that shows no schema any more is left to respond itself, whatever was rendered before.
    engine.control(r#"{"introspection":"closed"}"#);
    assert!(ask_all(&pillion).iter().zip(&cold).all(|(closed, cold)| closed != cold));
}

/// A schema that is merged anew lists scalars of the specification that only the actions use in an order of its own.
fn in_order(text: impl AsRef<str>) -> Value {
    let mut response: Value = serde_json::from_str(text.as_ref()).expect("JSON");
    if let Some(types) = response["data"]["__schema"]["types"].as_array_mut() {
        types.sort_by_key(|definition| definition["name"].to_string());
    }
    response
}

fn a_schema_that_changes(_: &Engines) {
    let engine = RolesEngine::start();
    let handlers = Scripted::start();
    handlers.on_path("/advice", Reply::json("[]"));
    let pillion = Setup::before(engine.port).with_actions("supplies", handlers.port).start().wait_until_ready();
    let mut client = pillion.client();
    let with_extra = "{ advice { text } extra }";
    let rejected = client.ask(with_extra).text();
    assert!(rejected.contains("field 'extra' not found in type: 'query_root'"), "{rejected}");
    assert!(handlers.take_seen().is_empty());
    // A field appears: a document that seems to be wrong is looked at again with fresh eyes.
    engine.control(r#"{"extra":true}"#);
    wait_until("the new field to be known", || {
        client.ask(with_extra).text() == r#"{"data":{"advice":[],"extra":null}}"#
    });
    // It goes: what the upstream rejects although it was believed makes us ask at once.
    engine.control(r#"{"extra":false}"#);
    let asked = "pillion_upstream_introspections_total{outcome=\"success\"}";
    let before = pillion.metric(asked);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    handlers.take_seen();
    assert!(client.ask(with_extra).text().contains("errors"));
    assert_eq!(handlers.take_seen().len(), 1);
    wait_until("the upstream to be asked", || pillion.metric(asked) > before);
    wait_until("the document to be refused", || {
        client.ask(with_extra).text().contains("field 'extra' not found") && handlers.take_seen().is_empty()
    });
}

fn mutations_wait_for_the_schema(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/sendCode", Reply::json("true"));
    let start = || {
        let setup = Setup::before(engines.postgraphile).with_shop(handlers.port);
        setup.env("HASURA_GRAPHQL_ADMIN_SECRET", ADMIN).start().wait_until_ready()
    };
    let pillion = start();
    // Nobody has asked in this role before.
    let rejected = ask(&pillion, "customer", "mutation { sendCode(phone: \"1\") createReviw { x } }", &Value::Null);
    assert!(rejected["errors"][0]["message"].as_str().is_some_and(|text| text.contains("createReviw")), "{rejected}");
    assert_eq!(rejected["errors"][0]["locations"], json!([{ "line": 1, "column": 33 }]));
    assert!(handlers.take_seen().is_empty());
    assert_eq!(pillion.metric("pillion_upstream_validations_total{outcome=\"invalid\"}"), 1.0);
    // A query has no side effects, so it does not wait.
    let pillion = start();
    handlers.on_path("/count", Reply::json("1"));
    ask(&pillion, "customer", "{ count productById(id: 1) { name } }", &Value::Null);
    assert_eq!(pillion.metric("pillion_upstream_validations_total{outcome=\"schema_unknown\"}"), 1.0);
    wait_until("the schema to be known", || {
        ask(&pillion, "customer", "{ count productById(id: 1) { name } }", &Value::Null);
        pillion.metric("pillion_upstream_validations_total{outcome=\"valid\"}") >= 1.0
    });
}

const CLASH_SDL: &str =
    "type Query {\n  books(n: Int): Book\n  own: Int\n}\ntype Book {\n  id: ID!\n  spine: ISBN\n}\nscalar ISBN\n";
const CLASH_YAML: &str = "actions:\n  - name: books\n    definition: {handler: 'http://127.0.0.1:1/books'}\n  - name: own\n    definition: {handler: 'http://127.0.0.1:1/own'}\n";

/// Actions that clash with the upstream, in a folder of that name: each test has one of its own, and removes it.
fn clash(engines: &Engines, name: &str) -> (Setup, std::path::PathBuf) {
    let files = [("actions.graphql", CLASH_SDL), ("actions.yaml", CLASH_YAML)];
    let folder = super::startup::folder(name, &files);
    let mut setup = Setup::before(engines.yoga);
    setup.metadata = Some(folder.clone());
    (setup, folder)
}

fn conflicting_names_stop_the_start(engines: &Engines) {
    let (setup, folder) = clash(engines, "clash-start");
    let (status, said) = setup.start_in_vain();
    assert_eq!(status.code(), Some(1), "{said}");
    for wanted in [
        "actions.graphql:5:6: error: the actions and the upstream both define the type \"Book\"",
        "actions: type Book {",
        "upstream: type Book implements Thing {",
        "actions.graphql:2:3: error: the actions and the upstream both define the field \"books\" of RootQuery",
        "upstream: books(first: Int = 10): [Book!]!",
        "names.type_prefix",
        "names.field_prefix",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in:\n{said}");
    }
    assert!(!said.contains("\"ISBN\""), "a scalar is shared: {said}");
    std::fs::remove_dir_all(folder).expect("the folder");
}

/// A reader that has fallen behind still learns why the program has ended.
fn the_reason_of_a_fatal_error_is_logged(engines: &Engines) {
    let (setup, folder) = clash(engines, "clash-log");
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    // A pipe of Linux holds so much: nothing more can be written until somebody reads.
    writer.write_all(&[b'.'; 64 * 1024]).expect("room");
    let mut process = setup.spawn_into(writer);
    std::thread::sleep(Duration::from_secs(5));
    let mut said = String::new();
    reader.read_to_string(&mut said).expect("text");
    assert_eq!(process.0.wait().expect("a status").code(), Some(1));
    let said = said.trim_start_matches('.');
    assert!(said.contains("error: the actions and the upstream both define the type \"Book\""), "{said}");
    std::fs::remove_dir_all(folder).expect("the folder");
}

/// Whoever comes first waits for the other; nothing has been served before both are seen.
fn conflicts_with_an_upstream_that_starts_later(_: &Engines) {
    let files = [
        ("actions.graphql", "type Query {\n  own: products\n}\ntype products {\n  id: Int\n}\n"),
        ("actions.yaml", "actions:\n  - name: own\n    definition: {handler: 'http://127.0.0.1:1'}\n"),
    ];
    let folder = super::startup::folder("clash-later", &files);
    let port = free_port();
    let mut setup = Setup::before(port).config("upstream: {health_check_interval: 100ms}\n");
    setup.metadata = Some(folder.clone());
    let mut pillion = setup.start();
    assert_eq!(pillion.admin("/readyz").0, 503);
    let _engine = RolesEngine::start_on(port);
    wait_until("the end of pillion", || pillion.process.0.try_wait().is_ok_and(|status| status.is_some()));
    let status = pillion.process.0.wait().expect("its status");
    assert_eq!(status.code(), Some(1));
    pillion.wait_for_log("both define the type \"products\"");
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn prefixes_resolve_conflicts(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/books", Reply::json(r#"{"id":"7","spine":"x"}"#));
    let (setup, folder) = clash(engines, "clash-prefixes");
    let yaml = CLASH_YAML.replace("127.0.0.1:1/", &format!("127.0.0.1:{}/", handlers.port));
    std::fs::write(folder.join("actions.yaml"), yaml).expect("a file");
    let setup = setup.config("names: {type_prefix: Act, field_prefix: do_}\n");
    let pillion = setup.start().wait_until_ready();
    let mut client = pillion.client();
    let answer = client.ask("{ do_books(n: 1) { __typename id ...on ActBook { spine } } books { title } }").text();
    assert_eq!(
        answer,
        r#"{"data":{"do_books":{"__typename":"ActBook","id":"7","spine":"x"},"books":[{"title":"Zen and the Art of Motorcycle Maintenance"}]}}"#
    );
    let seen = handlers.take_seen();
    assert_eq!(seen[0].json()["action"]["name"], "books");
    let types = client.ask("{ a: __type(name: \"ActBook\") { kind } b: __type(name: \"ActISBN\") { kind } }").text();
    assert_eq!(types, r#"{"data":{"a":{"kind":"OBJECT"},"b":null}}"#);
    std::fs::remove_dir_all(folder).expect("the folder");
}

fn introspection_mode_upstream(engines: &Engines) {
    let pillion = Setup::before(engines.yoga)
        .with_shop(1)
        .env("PILLION_INTROSPECTION_MODE", "upstream")
        .start()
        .wait_until_ready();
    let answer = pillion.client().ask("{ __type(name: \"RootQuery\") { fields { name } } }").text();
    assert!(answer.contains("\"books\"") && !answer.contains("\"quote\""), "{answer}");
    assert!(!pillion.admin("/metrics").1.contains("pillion_upstream_introspections_total{"));
}

/// The upstream here shows a schema by a header that is not the role; what one tenant sees is no measure for another.
fn schemas_vary_by_header(_: &Engines) {
    let engine = RolesEngine::start();
    let handlers = Scripted::start();
    handlers.on_path("/advice", Reply::json("[]"));
    let setup = Setup::before(engine.port).with_actions("supplies", handlers.port);
    let pillion = setup.config("introspection: {vary_by_headers: [x-tenant]}\n").start().wait_until_ready();
    let ask_as = |tenant: &str| {
        let headers = [("Content-Type", "application/json"), ("X-Tenant", tenant)];
        let body = json!({ "query": "{ advice { text } products_aggregate { count } }" }).to_string();
        pillion.client().request("POST", "/graphql", &headers, body.as_bytes()).text()
    };
    let counted = r#"{"data":{"advice":[],"products_aggregate":{"count":1}}}"#;
    // The upstream says it in other words, so these are ours.
    let rejected = "field 'products_aggregate' not found in type: 'query_root'";
    wait_until("the small tenant's schema to be known", || ask_as("small").contains(rejected));
    for _ in 0..3 {
        assert_eq!(ask_as("big"), counted);
        let small = ask_as("small");
        assert!(small.contains(rejected), "{small}");
    }
}
