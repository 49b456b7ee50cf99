//! The scripted responses of a case: what a handler or the upstream responds, or how it fails to.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::config::yaml::{Data, Fields, Node};
use crate::graphql::suggestions::did_you_mean;
use crate::model::source::Diagnostic;

/// What follows an unknown key of a test file.
pub(crate) const UNKNOWN_KEY: &str = "correct or remove it; docs/how-to/testing.md lists all keys";

/// What a handler or the upstream does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// It responds.
    Response {
        /// The status.
        status: StatusCode,
        /// All headers, the length of the body among them.
        headers: HeaderMap,
        /// The body.
        body: Bytes,
    },
    /// It does not.
    Fault(Fault),
}

/// How a handler or the upstream fails to respond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing listens on its port.
    Unreachable,
    /// It does not respond in time.
    Timeout,
    /// It closes the connection without a response.
    Closed,
}

const FAULTS: [(&str, Fault); 3] =
    [("unreachable", Fault::Unreachable), ("timeout", Fault::Timeout), ("closed", Fault::Closed)];

/// One response, or a list of them: each request takes the next one, and further requests the last one.
pub(crate) fn read_all(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Vec<Reply> {
    match &node.data {
        Data::List(items) => items.iter().filter_map(|item| read(item, diagnostics)).collect(),
        _ => read(node, diagnostics).into_iter().collect(),
    }
}

fn read(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Reply> {
    let fields = Fields::of(node, "a response", diagnostics)?;
    let reply = match fields.get("fault") {
        Some(fault) => read_fault(fault, diagnostics).map(Reply::Fault),
        None => read_response(node, &fields, diagnostics),
    };
    fields.reject_unknown(UNKNOWN_KEY, diagnostics);
    reply
}

fn read_fault(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Fault> {
    let text = node.scalar_text().unwrap_or_default();
    let found = FAULTS.iter().find(|(name, _)| *name == text).map(|(_, fault)| *fault);
    if found.is_none() {
        let names = FAULTS.map(|(name, _)| name);
        let message = format!("\"{text}\" is no fault.{}", did_you_mean(&text, names.into_iter()));
        node.reject(message, &format!("write one of {}", names.join(", ")), diagnostics);
    }
    found
}

fn read_response(node: &Node, fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Reply> {
    let status = read_status(fields, diagnostics)?;
    // A value of null is a value.
    let json = node.entries().iter().find(|(key, ..)| key == "json").map(|(.., value)| value.to_json());
    let (_, text) = (fields.get("json"), fields.text("text", diagnostics));
    if json.is_some() && text.is_some() {
        node.reject("a response has json or text, not both", "remove one of them", diagnostics);
    }
    let kind = if json.is_some() || text.is_none() { "application/json" } else { "text/plain" };
    let body = json.map(|json| json.to_string()).or(text).unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in read_headers(fields, diagnostics) {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else { continue };
        if name == CONTENT_TYPE {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
    }
    headers.insert(CONTENT_LENGTH, body.len().into());
    Some(Reply::Response { status, headers, body: body.into() })
}

/// The status; 200 if there is none.
pub(crate) fn read_status(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<StatusCode> {
    let Some(node) = fields.get("status") else { return Some(StatusCode::OK) };
    let number = fields.count("status", diagnostics)?;
    let status = u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok());
    if status.is_none() {
        node.reject(format!("{number} is no status of HTTP"), "write a number such as 200", diagnostics);
    }
    status
}

/// Headers as pairs; one with a list of values has several.
pub(crate) fn read_headers(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, _, node) in fields.get("headers").map(Node::entries).unwrap_or_default() {
        let Some(name) = node.header_name(name, diagnostics) else { continue };
        let values = if let Data::List(items) = &node.data { items.iter().collect() } else { vec![node] };
        for value in values {
            match value.scalar_text().filter(|text| HeaderValue::try_from(text.as_str()).is_ok()) {
                Some(text) => headers.push((name.as_str().to_owned(), text)),
                None => value.reject("this cannot be the value of a header", "write a string", diagnostics),
            }
        }
    }
    headers
}
