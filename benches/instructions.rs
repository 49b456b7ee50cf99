//! `make instructions`: how many instructions the pure core takes for what it does again and again, counted by Valgrind, so
//! that no noise hides a step back. Each figure was measured by the release profile; 5 % more of it fails. A change
//! that makes something cheaper, or has a reason to make it dearer, writes the new figure here.

#![allow(
    clippy::expect_used,
    clippy::must_use_candidate,
    clippy::panic,
    missing_docs,
    reason = "a measurement that goes wrong may end"
)]

#[path = "../tests/tables/actions.rs"]
#[allow(dead_code, reason = "it is there for other tests as well")]
mod actions;
mod big_schema;

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};

use http::{HeaderMap, HeaderName, HeaderValue};
use pillion::action::complete_value::{CompletedValue, CompletionRules, complete_value};
use pillion::action::header_precedence::{Precedence, outgoing};
use pillion::action::relationship::RowKeys;
use pillion::action::{handler_response, payload};
use pillion::graphql::client_schema::{UpstreamSchema, read_client_schema};
use pillion::graphql::coerce::{coerce_argument_values, coerce_variable_values};
use pillion::graphql::document::{self, Document};
use pillion::graphql::extension_rows::RowValue;
use pillion::graphql::extension_sites::ExtensionSites;
use pillion::graphql::known_types::KnownTypes;
use pillion::graphql::mask::{Keep, Masked, mask};
use pillion::graphql::merge::{Merged, read_upstream_result, write};
use pillion::graphql::merge_schema::merge as merge_schemas;
use pillion::graphql::plan::{self, Plan, PlanOptions, concern};
use pillion::graphql::root_types::RootTypes;
use pillion::graphql::scan::{ScanResult, Scanner};
use pillion::graphql::scan_rows::scan_response;
use pillion::graphql::schema::{self, RoleSchema};
use pillion::graphql::selection::{Selector, SubSelection};
use pillion::graphql::validate::validate;
use pillion::model::action::ActionSchema;
use pillion::model::json::RawObject;
use pillion::model::limits::Limits;
use pillion::model::response::Dialect;
use pillion::protocol::http::{Body, Element, read_body};
use pillion::session::Session;
use pillion::session::credential::{AuthRules, Credential, read};
use serde_json::{Map, Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The most that a case may take when `figure` is what it took.
fn near(figure: u64) -> LibraryBenchmarkConfig {
    let limit = figure + figure / 20;
    LibraryBenchmarkConfig::default().tool(Callgrind::default().hard_limits([(EventKind::Ir, limit)])).clone()
}

const ACTIONS: &str = "
type Query {
  quote(order: Order!, currency: String = \"EUR\"): Quote!
}
input Order { customer: ID!, lines: [Line!]! }
input Line { sku: String!, count: Int = 1, note: String }
type Quote { total: Float!, currency: String!, lines: [QuoteLine!]! }
type QuoteLine { sku: String!, price: Float!, stock: Int }
";

const DOCUMENT: &str = "query Checkout($order: Order!, $first: Int = 10) {
  items(first: $first, order_by: {name: asc}) { id name price vendor { name } }
  customer_by_pk(id: 7) { ...Customer }
  quote(order: $order) { total currency lines { sku price stock } }
}
fragment Customer on customer { id name address { street city } }";

/// A request as an application sends it, and all that is known before it comes.
struct Known {
    schema: ActionSchema,
    scanner: Scanner,
    roots: RootTypes,
    limits: Limits,
    role: RoleSchema,
    session: Session,
    client: HeaderMap,
    body: Vec<u8>,
    document: Document,
    plan: Plan,
    selected: SubSelection,
    /// Of the upstream, with so many items.
    upstream_response: Vec<u8>,
    handler_response_body: Bytes,
}

fn order() -> Value {
    let line = |sku: usize| json!({ "sku": format!("sku-{sku}"), "count": sku });
    json!({ "order": { "customer": "7", "lines": (1..=10).map(line).collect::<Vec<_>>() } })
}

fn with_items(items: usize) -> &'static Known {
    let schema = actions::from_sdl(ACTIONS);
    let others: Vec<String> = (0..1000).map(|index| format!("another_action_{index}")).collect();
    let scanner = Scanner::new(others.iter().map(String::as_str).chain(["quote"])).expect("a scanner");
    let (roots, limits) = (RootTypes::usual(Dialect::Standard), Limits::default());
    let role = schema::of_actions(&schema, &roots, "user").expect("a schema");
    let headers = [
        ("x-hasura-role", "user"),
        ("x-hasura-user-id", "7"),
        ("user-agent", "an application"),
        ("accept", "application/json"),
        ("x-request-id", "of-the-client"),
    ];
    let client: HeaderMap = headers
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    let Ok(Credential::Session(session)) = read(&AuthRules::default(), &client) else { panic!("no session") };
    let document = parsed();
    let plan = planned(&document, &schema, &roots, &limits);
    let selected = {
        let operation = document.operation(None).expect("one operation");
        let call = plan.calls.first().expect("a call");
        let selector =
            Selector { document: &document, operation, types: &schema.types, condition: &|_| true, sites: None };
        selector.select(call.action.output.named(), &call.fields.iter().collect::<Vec<_>>())
    };
    let quoted = |sku: usize| json!({ "sku": format!("sku-{sku}"), "price": 1.5, "stock": null, "more": "of it" });
    let handler_response_body =
        json!({ "total": 15.0, "currency": "EUR", "lines": (1..=10).map(quoted).collect::<Vec<_>>() });
    let known = Known {
        body: json!({ "query": DOCUMENT, "variables": order() }).to_string().into_bytes(),
        upstream_response: upstream_response(items).into_bytes(),
        handler_response_body: handler_response_body.to_string().into(),
        schema,
        scanner,
        roots,
        limits,
        role,
        session,
        client,
        document,
        plan,
        selected,
    };
    let known: &'static Known = Box::leak(Box::new(known));
    // What is done once in the life of a process is no part of any figure.
    black_box(planned_request(known));
    black_box(learned(known));
    known
}

fn usual() -> &'static Known {
    with_items(24)
}

fn upstream_response(items: usize) -> String {
    let mut json = String::from(r#"{"data":{"items":["#);
    for item in 0..items {
        let comma = if item > 0 { "," } else { "" };
        write!(json, r#"{comma}{{"id":{item},"name":"a name of usual length"}}"#).expect("room");
    }
    json + r#"],"customer_by_pk":{"id":7,"name":"a customer","address":{"street":"a street","city":"a city"}}}}"#
}

fn parsed() -> Document {
    document::parse(DOCUMENT, &Limits::default()).expect("a document")
}

fn planned(document: &Document, schema: &ActionSchema, roots: &RootTypes, limits: &Limits) -> Plan {
    let operation = document.operation(None).expect("one operation");
    let surroundings = PlanOptions { schema, roots, limits, serves_introspection: true, sites: None };
    plan::plan(document, operation, &surroundings, &|_| true).expect("a plan")
}

/// Everything that a new document costs once.
fn learned(known: &Known) -> Plan {
    let Known { schema, roots, limits, role, .. } = known;
    let document = parsed();
    assert!(concern(&document, document.operation(None).expect("one operation"), schema, roots).any());
    pillion::graphql::check_document::check_document(&document, limits).expect("a good document");
    let plan = planned(&document, schema, roots, limits);
    let own = plan.own.as_ref().expect("a part of ours");
    validate(&role.schema, own, DOCUMENT, 20).expect("a good document");
    plan
}

/// Everything that a request costs whose plan is known.
fn planned_request(known: &Known) -> Vec<u8> {
    assert_eq!(looked(known), ScanResult::Action);
    let Ok(Body::One(Element { request: Ok(Some(request)), .. })) = read_body(&known.body, &known.limits) else {
        panic!("no request");
    };
    let input = coerced(known, &request.variables);
    black_box(asked(known, &input, &request.query));
    let shaped = shaped(known);
    merged(known, &shaped.json)
}

fn looked(known: &Known) -> ScanResult {
    known.scanner.scan(&known.body)
}

fn coerced(known: &Known, given: &RawObject<'_>) -> Map<String, Value> {
    let Known { schema, plan, document, .. } = known;
    let operation = document.operation(None).expect("one operation");
    let call = plan.calls.first().expect("a call");
    let variables =
        coerce_variable_values(&schema.types, operation, &plan.own_variables, given).expect("good variables");
    let arguments = &call.fields.first().expect("a field").arguments;
    coerce_argument_values(&schema.types, &call.action.arguments, arguments, &variables).expect("good arguments")
}

fn asked(known: &Known, input: &Map<String, Value>, query: &str) -> (HeaderMap, Vec<u8>) {
    let Known { plan, client, session, .. } = known;
    let action = &plan.calls.first().expect("a call").action;
    let rules = &action.headers;
    let headers = outgoing(rules, Precedence::ClientFirst, client, session, "an-id").expect("good headers");
    (headers, payload::body(&action.name, input, session, query).expect("a body"))
}

fn shaped(known: &Known) -> CompletedValue {
    let Known { schema, plan, selected, handler_response_body, .. } = known;
    let rules = handler_response::ReadRules { is_envelope: false, max_errors: 20 };
    let value = handler_response::read(rules, 200, handler_response_body.clone()).expect("a response").value;
    let rules = CompletionRules { types: &schema.types, dialect: Dialect::Standard, max_list_length: 1000 };
    let output = &plan.calls.first().expect("a call").action.output;
    complete_value(&rules, output, value.node(), selected, &mut RowKeys::default())
}

fn merged(known: &Known, ours: &str) -> Vec<u8> {
    let response = read_upstream_result(&known.upstream_response).expect("a response");
    let fields = known.plan.fields.iter().map(|field| {
        let name = field.response_name.as_str();
        (name, Some(response.data.get(name).copied().unwrap_or(ours).into()))
    });
    write(&Merged { data: Some(fields.collect()), errors: Vec::new(), extensions: Vec::new() })
}

#[library_benchmark(setup = usual, config = near(6238))]
#[bench::one_among_a_thousand()]
fn scan(known: &'static Known) -> ScanResult {
    black_box(looked(black_box(known)))
}

#[library_benchmark(setup = usual, config = near(28_168))]
#[bench::usual_document()]
fn parse(known: &'static Known) -> Document {
    black_box(known);
    black_box(parsed())
}

#[library_benchmark(setup = usual, config = near(124_835))]
#[bench::new_document()]
fn plan_miss(known: &'static Known) -> Plan {
    black_box(learned(black_box(known)))
}

#[library_benchmark(setup = usual, config = near(183_248))]
#[bench::known_document()]
fn plan_hit(known: &'static Known) -> Vec<u8> {
    black_box(planned_request(black_box(known)))
}

#[library_benchmark(setup = usual, config = near(5810))]
#[bench::upstream_operation()]
fn masked(known: &'static Known) -> Masked {
    let operation = known.document.operation(None).expect("one operation");
    let keep = Keep {
        field: &|field| field.name != "quote",
        other_types: true,
        operation_directives: true,
        drops_directive: |_| false,
        never: &[],
        sites: None,
    };
    black_box(mask(black_box(&known.document), operation, "Query", &keep).expect("a document"))
}

fn variables() -> (&'static Known, RawObject<'static>) {
    let text: &'static str = Box::leak(order().to_string().into_boxed_str());
    (usual(), serde_json::from_str(text).expect("an object"))
}

#[library_benchmark(setup = variables, config = near(79_122))]
#[bench::ten_lines()]
fn coerce((known, given): (&'static Known, RawObject<'static>)) -> Map<String, Value> {
    black_box(coerced(black_box(known), &given))
}

#[library_benchmark(setup = usual, config = near(47_490))]
#[bench::ten_lines()]
fn complete_value_of_a_handler(known: &'static Known) -> CompletedValue {
    black_box(shaped(black_box(known)))
}

#[library_benchmark]
#[bench::of_1_kb(args = (24), setup = with_items, config = near(15_270))]
#[bench::of_100_kb(args = (2440), setup = with_items, config = near(1_275_227))]
fn merge(known: &'static Known) -> Vec<u8> {
    black_box(merged(black_box(known), r#"{"total":1.5}"#))
}

/// A document with an extension field, and the upstream's response to it.
struct Extended {
    document: Document,
    merged: RoleSchema,
    sites: Arc<ExtensionSites>,
    plan: Plan,
    response: String,
}

fn with_rows() -> &'static Extended {
    const UPSTREAM: &str = "type Query { items(first: Int): [Item!]! } type Item { id: Int! name: String! vendor: Vendor } \
         type Vendor { name: String }";
    const ROWS: &str = "query Items($first: Int = 10) {
      items(first: $first) { ...Item vendor { name } stock { count } }
    }
    fragment Item on Item { id name stock { count } }";
    let actions = actions::with_relationships(
        "type Query {\n  stock(itemId: Int!, place: String): Stock\n}\ntype Stock { count: Int! }\n",
        "",
        "fields: { Item.stock: 'stock(itemId: $id)' }\n",
    );
    let (roots, limits) = (RootTypes::usual(Dialect::Standard), Limits::default());
    let own = schema::of_actions(&actions, &roots, "user").expect("a schema");
    let upstream = apollo_compiler::Schema::parse(UPSTREAM, "upstream").expect("SDL");
    let upstream = UpstreamSchema { schema: upstream, directives: Vec::new() };
    let merged = merge_schemas(&upstream, &own, &actions, &roots).expect("a schema");
    let document = document::parse(ROWS, &limits).expect("a document");
    let sites = Arc::new(found_sites(&document, &merged));
    let options = PlanOptions {
        schema: &actions,
        roots: &roots,
        limits: &limits,
        serves_introspection: true,
        sites: Some(&sites),
    };
    let operation = document.operation(None).expect("one operation");
    let plan = plan::plan(&document, operation, &options, &|_| true).expect("a plan");
    let mut rows = String::new();
    for id in 0..1000 {
        let comma = if id > 0 { "," } else { "" };
        let vendor = r#"{"name":"a vendor"}"#;
        write!(
            rows,
            r#"{comma}{{"id":{id},"name":"a name of usual length","_k0":"Item","vendor":{vendor},"_k1":{id}}}"#
        )
        .expect("room");
    }
    let response = format!(r#"{{"data":{{"items":[{rows}]}}}}"#);
    let extended: &'static Extended = Box::leak(Box::new(Extended { document, merged, sites, plan, response }));
    black_box(masked_keys(extended));
    black_box(spliced(extended));
    extended
}

fn found_sites(document: &Document, merged: &RoleSchema) -> ExtensionSites {
    let operation = document.operation(None).expect("one operation");
    ExtensionSites::find(document, operation, &merged.schema, &merged.extension_fields).expect("extension fields")
}

fn masked_keys(extended: &Extended) -> Masked {
    let Extended { document, merged, .. } = extended;
    let sites = found_sites(document, merged);
    let keep = Keep {
        field: &|_| true,
        other_types: true,
        operation_directives: true,
        drops_directive: |_| false,
        never: &[],
        sites: Some(&sites),
    };
    let masked = mask(document, document.operation(None).expect("one operation"), "Query", &keep);
    masked.expect("a document")
}

fn spliced(extended: &Extended) -> String {
    let Extended { sites, plan, response, .. } = extended;
    let scan = scan_response(sites, &plan.parts.first().expect("a part").shape, response).expect("data");
    assert_eq!(scan.rows.len(), 1000);
    scan.splice(sites, response, |_| RowValue::Json(r#"{"count":7}"#)).expect("a response").text
}

#[library_benchmark(setup = with_rows, config = near(27_225))]
#[bench::new_document()]
fn mask_extension_fields(extended: &'static Extended) -> Masked {
    black_box(masked_keys(black_box(extended)))
}

#[library_benchmark(setup = with_rows, config = near(2_827_455))]
#[bench::of_1000_rows()]
fn scan_and_splice_rows(extended: &'static Extended) -> String {
    black_box(spliced(black_box(extended)))
}

/// A response of the upstream with 100 tables, and what is known from one with 99.
fn schemas() -> (Bytes, Vec<Arc<KnownTypes>>) {
    let response = |types| Bytes::from(big_schema::introspection_result(types, "table"));
    let (_, known) = read_client_schema(&response(396), &[]).expect("a schema");
    let known = vec![Arc::new(known)];
    // What is made once for all is not counted.
    black_box(read_client_schema(&response(396), &known).expect("a schema"));
    (response(400), known)
}

#[library_benchmark(setup = schemas, config = near(32_429_343))]
#[bench::of_400_types()]
fn read_schema((response, _): (Bytes, Vec<Arc<KnownTypes>>)) -> (UpstreamSchema, KnownTypes) {
    black_box(read_client_schema(black_box(&response), &[]).expect("a schema"))
}

#[library_benchmark(setup = schemas, config = near(22_230_871))]
#[bench::with_a_new_table()]
fn read_changed_schema((response, known): (Bytes, Vec<Arc<KnownTypes>>)) -> (UpstreamSchema, KnownTypes) {
    black_box(read_client_schema(black_box(&response), &known).expect("a schema"))
}

library_benchmark_group!(
    name = core,
    benchmarks = [
        scan,
        parse,
        plan_miss,
        plan_hit,
        masked,
        coerce,
        complete_value_of_a_handler,
        merge,
        mask_extension_fields,
        scan_and_splice_rows,
        read_schema,
        read_changed_schema
    ]
);

main!(library_benchmark_groups = core);
