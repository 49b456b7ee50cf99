//! `request_transform` and `response_transform` as Hasura writes them. Their templates are compiled here, so that a
//! mistake in one is found when the program starts.

use http::Method;
use http::header::{self, HeaderName};

use crate::action::transform::{REQUEST_VARIABLES, RESPONSE_VARIABLES};
use crate::config::yaml::{Data, Fields, Node};
use crate::kriti::parse::{parse, parse_text};
use crate::kriti::scope::{UnboundVariable, unbound_variables};
use crate::kriti::{Template, TemplateError};
use crate::model::source::Diagnostic;
use crate::model::transform::{BodyTransform, QueryTransform, RequestTransform, ResponseTransform};
use crate::protocol::hop_by_hop::is_hop_by_hop;

/// The variables that a template can look up.
type Scope = &'static [&'static str];

/// Reads `request_transform`.
pub fn read_request(node: &Node, mistakes: &mut Vec<Diagnostic>) -> Option<RequestTransform> {
    let fields = Fields::of(node, "a request transform", mistakes)?;
    check_edition(&fields, mistakes);
    let scope: Scope = &REQUEST_VARIABLES;
    let method = fields.get("method").and_then(|node| read_method(node, mistakes));
    let url = fields.get("url").and_then(|node| text_template(node, scope, mistakes));
    let query = fields.get("query_params").and_then(|node| read_query(node, scope, mistakes));
    let body = fields.get("body").and_then(|node| read_body(node, scope, mistakes)).unwrap_or_default();
    let (mut add_headers, mut remove_headers) = (Vec::new(), Vec::new());
    // Early versions have the content type by itself.
    if let Some(template) = fields.get("content_type").and_then(|node| text_template(node, scope, mistakes)) {
        add_headers.push((header::CONTENT_TYPE, template));
    }
    if let Some(node) = fields.get("request_headers")
        && let Some(headers) = Fields::of(node, "request headers", mistakes)
    {
        if let Some(added) = headers.get("add_headers") {
            add_headers.extend(read_added(added, scope, mistakes));
        }
        for node in headers.list("remove_headers", mistakes) {
            let name = node.scalar_text().unwrap_or_default();
            remove_headers.extend(header_name(&name, node, mistakes));
        }
        headers.finish(mistakes);
    }
    fields.finish(mistakes);
    Some(RequestTransform { method, url, query, body, add_headers, remove_headers })
}

/// Reads `response_transform`.
pub fn read_response(node: &Node, mistakes: &mut Vec<Diagnostic>) -> Option<ResponseTransform> {
    let fields = Fields::of(node, "a response transform", mistakes)?;
    check_edition(&fields, mistakes);
    let scope: Scope = &RESPONSE_VARIABLES;
    let body = fields.get("body").and_then(|node| read_body(node, scope, mistakes)).unwrap_or_default();
    fields.finish(mistakes);
    Some(ResponseTransform { body })
}

fn check_edition(fields: &Fields<'_>, mistakes: &mut Vec<Diagnostic>) {
    // What tells the versions apart, the body, tells it by itself.
    if let Some(node) = fields.get("version")
        && !matches!(node.data, Data::Integer(1 | 2))
    {
        node.refuse("there are the versions 1 and 2 of transforms", "write version: 2", mistakes);
    }
    if let Some(node) = fields.get("template_engine")
        && node.scalar_text().as_deref() != Some("Kriti")
    {
        node.refuse("the only template engine is Kriti", "write template_engine: Kriti", mistakes);
    }
}

fn read_method(node: &Node, mistakes: &mut Vec<Diagnostic>) -> Option<Method> {
    let text = node.scalar_text().unwrap_or_default().to_ascii_uppercase();
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
    let method = known.into_iter().find(|method| method.as_str() == text);
    if method.is_none() {
        node.refuse("this is not an HTTP method that a handler can be called with", "write GET or POST", mistakes);
    }
    method
}

/// A template that stands for the inside of a string.
fn text_template(node: &Node, scope: Scope, mistakes: &mut Vec<Diagnostic>) -> Option<Template> {
    template(node, scope, parse_text, mistakes)
}

fn template(
    node: &Node,
    scope: Scope,
    parse: fn(&str) -> Result<Template, TemplateError>,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Template> {
    let Some(text) = node.scalar_text() else {
        node.refuse(format!("a template must be a string, and is {}", node.kind()), "write a string", mistakes);
        return None;
    };
    match parse(&text) {
        Ok(template) => {
            check_variables(node, &template, scope, mistakes);
            Some(template)
        }
        Err(error) => {
            node.refuse(error.to_string(), "correct the template; a body must be JSON with {{ … }} in it", mistakes);
            None
        }
    }
}

/// A variable that nobody binds fails each call, or those that come to where it stands.
fn check_variables(node: &Node, template: &Template, scope: Scope, mistakes: &mut Vec<Diagnostic>) {
    for UnboundVariable { error, is_certain } in unbound_variables(template, scope) {
        let remedy = format!("use {}, or a variable of a range around it", scope.join(", "));
        if is_certain {
            node.refuse(error.to_string(), &remedy, mistakes);
        } else {
            let message = format!("{error}: calls that come to it fail");
            mistakes.push(Diagnostic::warning(Some(node.place.clone()), message, remedy));
        }
    }
}

fn read_query(node: &Node, scope: Scope, mistakes: &mut Vec<Diagnostic>) -> Option<QueryTransform> {
    let Data::Map(entries) = &node.data else { return text_template(node, scope, mistakes).map(QueryTransform::Text) };
    let mut pairs = Vec::with_capacity(entries.len());
    for (name, place, value) in entries {
        let name = Node { data: Data::Text(name.clone()), place: place.clone() };
        let value = match value.data {
            Data::Null => Some(None),
            _ => text_template(value, scope, mistakes).map(Some),
        };
        if let (Some(name), Some(value)) = (text_template(&name, scope, mistakes), value) {
            pairs.push((name, value));
        }
    }
    Some(QueryTransform::Pairs(pairs))
}

/// Version 1 has a template, version 2 an action.
fn read_body(node: &Node, scope: Scope, mistakes: &mut Vec<Diagnostic>) -> Option<BodyTransform> {
    if !matches!(node.data, Data::Map(_)) {
        return template(node, scope, parse, mistakes).map(BodyTransform::Json);
    }
    let fields = Fields::of(node, "a body", mistakes)?;
    let action = fields.required_text("action", mistakes)?;
    let (template_node, form) = (fields.get("template"), fields.get("form_template"));
    fields.finish(mistakes);
    match (action.as_str(), template_node, form) {
        ("remove", ..) => Some(BodyTransform::Remove),
        ("transform", Some(node), _) => template(node, scope, parse, mistakes).map(BodyTransform::Json),
        ("transform", None, _) => {
            node.refuse("a body that is transformed needs a \"template\"", "add \"template\"", mistakes);
            None
        }
        ("x_www_form_urlencoded", _, Some(form)) => Some(BodyTransform::Form(read_form(form, scope, mistakes))),
        ("x_www_form_urlencoded", ..) => {
            node.refuse("a form needs a \"form_template\"", "add \"form_template\" with its fields", mistakes);
            None
        }
        _ => {
            let remedy = "write remove, transform or x_www_form_urlencoded";
            node.refuse(format!("\"{action}\" is nothing that can be done to a body"), remedy, mistakes);
            None
        }
    }
}

fn read_form(node: &Node, scope: Scope, mistakes: &mut Vec<Diagnostic>) -> Vec<(String, Template)> {
    let Some(fields) = Fields::of(node, "a form", mistakes) else { return Vec::new() };
    let fields =
        fields.all().filter_map(|(name, _, node)| Some((name.to_owned(), text_template(node, scope, mistakes)?)));
    fields.collect()
}

fn read_added(node: &Node, scope: Scope, mistakes: &mut Vec<Diagnostic>) -> Vec<(HeaderName, Template)> {
    let Some(fields) = Fields::of(node, "added headers", mistakes) else { return Vec::new() };
    let mut added = Vec::new();
    for (name, _, node) in fields.all() {
        if let (Some(name), Some(template)) = (header_name(name, node, mistakes), text_template(node, scope, mistakes))
        {
            added.push((name, template));
        }
    }
    added
}

fn header_name(name: &str, node: &Node, mistakes: &mut Vec<Diagnostic>) -> Option<HeaderName> {
    let name = node.header_name(name, mistakes)?;
    if is_hop_by_hop(&name) || name == header::CONTENT_LENGTH {
        let message = format!("the header '{name}' is about the connection and has no effect here");
        mistakes.push(Diagnostic::warning(Some(node.place.clone()), message, "remove it"));
        return None;
    }
    Some(name)
}
