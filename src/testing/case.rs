//! A case of a test file: who sends what, what handlers and upstream respond, and what is expected.

use http::{HeaderName, Method};
use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::config::yaml::{Data, Fields, Node};
use crate::model::source::{Diagnostic, SourceLocation};
use crate::testing::case_reply;
use crate::testing::case_reply::{Reply, UNKNOWN_KEY, read_headers, read_status};

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: SourceLocation,
    /// The role of its caller; without one the headers of the request say who sends it.
    pub role: Option<String>,
    /// The caller's session variables.
    pub session_variables: Vec<(String, String)>,
    /// What is sent.
    pub request: CaseRequest,
    /// What handlers respond, by the names of actions, and where each is named.
    pub handlers: IndexMap<String, Vec<Reply>>,
    /// Where they are named.
    pub handler_places: Vec<(String, SourceLocation)>,
    /// What the upstream responds.
    pub upstream: Vec<Reply>,
    /// What the client must get; `None` if the case does not say it yet.
    pub expect: Option<Expectation>,
    /// What handlers must have got.
    pub handlers_saw: Option<Vec<Seen>>,
    /// What the upstream must have got.
    pub upstream_saw: Option<Vec<Seen>>,
}

/// The client's request.
#[derive(Clone, Debug)]
pub(crate) struct CaseRequest {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// All headers but those about the body.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What the client must get. What is not named is not compared, but for the status, which is 200.
#[derive(Debug)]
pub(crate) struct Expectation {
    /// The status.
    pub status: u16,
    /// Headers with their values; none for one that must be absent.
    pub headers: Vec<(HeaderName, Vec<String>)>,
    /// The body as JSON.
    pub json: Option<Value>,
    /// The body as text.
    pub text: Option<String>,
    /// What the body must contain.
    pub contains: Vec<String>,
    /// What it must not contain.
    pub lacks: Vec<String>,
    /// Paths in the body whose values are not compared, such as `data.order.id`.
    pub ignore: Vec<String>,
}

/// A request that a handler or the upstream must have got: of it what is named.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Keys and values of the file.
    pub wanted: Map<String, Value>,
}

/// What the cases of a file share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    role: Option<String>,
    session_variables: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    handlers: IndexMap<String, Vec<Reply>>,
    handler_places: Vec<(String, SourceLocation)>,
    upstream: Vec<Reply>,
}

impl Shared {
    /// The keys beside `cases`.
    pub(crate) fn read(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut shared = Self {
            role: fields.text("role", diagnostics),
            session_variables: read_session_variables(fields, diagnostics),
            headers: read_headers(fields, diagnostics),
            ..Self::default()
        };
        read_replies(fields, (&mut shared.handlers, &mut shared.handler_places), &mut shared.upstream, diagnostics);
        shared
    }
}

/// Reads a case; `None` if it cannot be run.
pub(crate) fn read(node: &Node, shared: &Shared, diagnostics: &mut Vec<Diagnostic>) -> Option<Case> {
    let fields = Fields::of(node, "a case", diagnostics)?;
    let name = fields.required_text("name", diagnostics);
    let request = read_request(node, &fields, shared, diagnostics);
    let mut session_variables = shared.session_variables.clone();
    for (name, value) in read_session_variables(&fields, diagnostics) {
        session_variables.retain(|(known, _)| *known != name);
        session_variables.push((name, value));
    }
    let (mut handlers, mut handler_places) = (shared.handlers.clone(), shared.handler_places.clone());
    let mut upstream = shared.upstream.clone();
    read_replies(&fields, (&mut handlers, &mut handler_places), &mut upstream, diagnostics);
    let expect = fields.get("expect").and_then(|node| read_expectation(node, diagnostics));
    let handlers_saw = read_seen(&fields, "handlers_saw", diagnostics);
    let upstream_saw = read_seen(&fields, "upstream_saw", diagnostics);
    let role = fields.text("role", diagnostics).or_else(|| shared.role.clone());
    fields.reject_unknown(UNKNOWN_KEY, diagnostics);
    let (name, request, place) = (name?, request?, node.place.clone());
    Some(Case {
        name,
        place,
        role,
        session_variables,
        request,
        handlers,
        handler_places,
        upstream,
        expect,
        handlers_saw,
        upstream_saw,
    })
}

/// Names without their prefix get it: `user-id` is `x-hasura-user-id`.
fn read_session_variables(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for (name, _, node) in fields.get("session_variables").map(Node::entries).unwrap_or_default() {
        let Some(text) = node.scalar_text() else {
            node.reject("a session variable must be a string", "write a string", diagnostics);
            continue;
        };
        let name = name.to_ascii_lowercase();
        let name = if name.starts_with("x-hasura-") { name } else { format!("x-hasura-{name}") };
        if node.header_name(&name, diagnostics).is_some() {
            variables.push((name, text));
        }
    }
    variables
}

type Handlers<'h> = (&'h mut IndexMap<String, Vec<Reply>>, &'h mut Vec<(String, SourceLocation)>);

fn read_replies(
    fields: &Fields<'_>,
    (handlers, places): Handlers<'_>,
    upstream: &mut Vec<Reply>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (name, place, node) in fields.get("handlers").map(Node::entries).unwrap_or_default() {
        handlers.insert(name.clone(), case_reply::read_all(node, diagnostics));
        places.push((name.clone(), place.clone()));
    }
    if let Some(node) = fields.get("upstream") {
        *upstream = case_reply::read_all(node, diagnostics);
    }
}

fn read_request(
    node: &Node,
    fields: &Fields<'_>,
    shared: &Shared,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<CaseRequest> {
    let method = fields.text("method", diagnostics).unwrap_or_else(|| "POST".to_owned());
    let path = fields.text("path", diagnostics).unwrap_or_else(|| "/graphql".to_owned());
    if let Some(node) = fields.get("path")
        && (!path.starts_with('/') || path.contains(|c: char| c.is_ascii_control() || c == ' '))
    {
        node.reject("a path begins with / and has no spaces", "write a path such as /v1/graphql", diagnostics);
    }
    let parsed = Method::from_bytes(method.as_bytes()).ok();
    if let (None, Some(node)) = (&parsed, fields.get("method")) {
        node.reject(format!("\"{method}\" cannot be a method"), "write GET or POST", diagnostics);
    }
    let mut headers = read_headers(fields, diagnostics);
    let inherited: Vec<_> =
        shared.headers.iter().filter(|(name, _)| headers.iter().all(|(own, _)| own != name)).cloned().collect();
    headers.splice(0..0, inherited);
    let is_get = parsed == Some(Method::GET);
    let body = read_body(node, fields, is_get, diagnostics)?;
    if !is_get && headers.iter().all(|(name, _)| name != "content-type") {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    Some(CaseRequest { method: parsed?, path, headers, body })
}

fn read_body(node: &Node, fields: &Fields<'_>, is_get: bool, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<u8>> {
    let (query, body) = (fields.text("query", diagnostics), fields.get("body"));
    let mut parts = Map::new();
    for (key, name) in [("variables", "variables"), ("operation_name", "operationName"), ("extensions", "extensions")] {
        if let Some(value) = fields.get(key) {
            parts.insert(name.to_owned(), value.to_json());
        }
    }
    match (query, body) {
        (Some(_), Some(body)) => {
            body.reject("the case has both a query and a body", "remove one of them", diagnostics);
            None
        }
        (Some(query), None) => {
            let mut request = Map::from_iter([("query".to_owned(), Value::from(query))]);
            request.extend(parts);
            Some(Value::Object(request).to_string().into_bytes())
        }
        (None, Some(body)) => Some(match &body.data {
            Data::Text(text) => text.clone().into_bytes(),
            _ => body.to_json().to_string().into_bytes(),
        }),
        (None, None) if is_get => Some(Vec::new()),
        (None, None) => {
            node.reject("the case sends nothing", "add a query, or a body", diagnostics);
            None
        }
    }
}

fn read_expectation(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Expectation> {
    let fields = Fields::of(node, "\"expect\"", diagnostics)?;
    let json = node.entries().iter().find(|(key, ..)| key == "json").map(|(.., value)| value.to_json());
    fields.ignore("json");
    let mut headers = Vec::new();
    for (name, _, value) in fields.get("headers").map(Node::entries).unwrap_or_default() {
        let Some(name) = value.header_name(name, diagnostics) else { continue };
        let values = match &value.data {
            Data::List(items) => items.iter().filter_map(Node::scalar_text).collect(),
            _ => value.scalar_text().into_iter().collect(),
        };
        headers.push((name, values));
    }
    let expectation = Expectation {
        status: read_status(&fields, diagnostics)?.as_u16(),
        headers,
        json,
        text: fields.text("text", diagnostics),
        contains: texts(&fields, "contains"),
        lacks: texts(&fields, "lacks"),
        ignore: texts(&fields, "ignore"),
    };
    fields.reject_unknown(UNKNOWN_KEY, diagnostics);
    Some(expectation)
}

/// A string, or a list of them.
fn texts(fields: &Fields<'_>, key: &str) -> Vec<String> {
    let Some(node) = fields.get(key) else { return Vec::new() };
    match &node.data {
        Data::List(items) => items.iter().filter_map(Node::scalar_text).collect(),
        _ => node.scalar_text().into_iter().collect(),
    }
}

fn read_seen(fields: &Fields<'_>, key: &'static str, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<Seen>> {
    fields.get(key)?;
    let items = fields.list(key, diagnostics);
    let read = |node: &Node, diagnostics: &mut Vec<Diagnostic>| match node.to_json() {
        Value::Object(wanted) => Some(Seen { wanted }),
        _ => {
            node.reject("a request must be a mapping", "write the keys that are compared", diagnostics);
            None
        }
    };
    Some(items.iter().filter_map(|node| read(node, diagnostics)).collect())
}
