//! Compiles `request_transform` and `response_transform` of Hasura's metadata, so that an error in a template is found
//! when the program starts.

use http::header::HeaderName;
use http::{Method, header};

use crate::action::transform::{REQUEST_VARIABLES, RESPONSE_VARIABLES};
use crate::config::yaml::{Data, Fields, Node};
use crate::graphql::suggestions::did_you_mean;
use crate::kriti::parse::{parse, parse_text};
use crate::kriti::scope::{UnboundVariable, unbound_variables};
use crate::kriti::{Template, TemplateError};
use crate::model::source::Diagnostic;
use crate::model::transform::{BodyTransform, QueryTransform, RequestTransform, ResponseTransform};
use crate::protocol::hop_by_hop::is_hop_by_hop;

/// The variables that a template can look up.
type Scope = &'static [&'static str];

/// Reads `request_transform`.
pub fn read_request(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<RequestTransform> {
    let fields = Fields::of(node, "a request transform", diagnostics)?;
    check_edition(&fields, diagnostics);
    let scope: Scope = &REQUEST_VARIABLES;
    let method = fields.get("method").and_then(|node| read_method(node, diagnostics));
    let url = fields.get("url").and_then(|node| text_template(node, scope, diagnostics));
    let query = fields.get("query_params").and_then(|node| read_query(node, scope, diagnostics));
    let body = fields.get("body").and_then(|node| read_body(node, scope, diagnostics)).unwrap_or_default();
    let (mut add_headers, mut remove_headers) = (Vec::new(), Vec::new());
    // Early versions have the content type by itself.
    if let Some(template) = fields.get("content_type").and_then(|node| text_template(node, scope, diagnostics)) {
        add_headers.push((header::CONTENT_TYPE, template));
    }
    if let Some(node) = fields.get("request_headers")
        && let Some(headers) = Fields::of(node, "request headers", diagnostics)
    {
        if let Some(added) = headers.get("add_headers") {
            add_headers.extend(read_added(added, scope, diagnostics));
        }
        for node in headers.list("remove_headers", diagnostics) {
            let name = node.scalar_text().unwrap_or_default();
            remove_headers.extend(header_name(&name, node, diagnostics));
        }
        headers.finish(diagnostics);
    }
    fields.finish(diagnostics);
    Some(RequestTransform { method, url, query, body, add_headers, remove_headers })
}

/// Reads `response_transform`.
pub fn read_response(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<ResponseTransform> {
    let fields = Fields::of(node, "a response transform", diagnostics)?;
    check_edition(&fields, diagnostics);
    let scope: Scope = &RESPONSE_VARIABLES;
    let body = fields.get("body").and_then(|node| read_body(node, scope, diagnostics)).unwrap_or_default();
    fields.finish(diagnostics);
    Some(ResponseTransform { body })
}

fn check_edition(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) {
    // The body, in which the versions differ, shows its version itself.
    if let Some(node) = fields.get("version")
        && !matches!(node.data, Data::Integer(1 | 2))
    {
        node.reject("there are the versions 1 and 2 of transforms", "write version: 2", diagnostics);
    }
    if let Some(node) = fields.get("template_engine")
        && node.scalar_text().as_deref() != Some("Kriti")
    {
        node.reject("the only template engine is Kriti", "write template_engine: Kriti", diagnostics);
    }
}

fn read_method(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Method> {
    let text = node.scalar_text().unwrap_or_default().to_ascii_uppercase();
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
    let method = known.into_iter().find(|method| method.as_str() == text);
    if method.is_none() {
        node.reject("this is not an HTTP method that a handler can be called with", "write GET or POST", diagnostics);
    }
    method
}

/// A template that stands for the inside of a string.
fn text_template(node: &Node, scope: Scope, diagnostics: &mut Vec<Diagnostic>) -> Option<Template> {
    template(node, scope, parse_text, diagnostics)
}

/// A template with these variables.
pub(crate) fn template(
    node: &Node,
    scope: Scope,
    parse: fn(&str) -> Result<Template, TemplateError>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Template> {
    let Some(text) = node.scalar_text() else {
        node.reject(format!("a template must be a string, and is {}", node.kind()), "write a string", diagnostics);
        return None;
    };
    match parse(&text) {
        Ok(template) => {
            check_variables(node, &template, scope, diagnostics);
            Some(template)
        }
        Err(error) => {
            node.reject(error.to_string(), "correct the template; a body must be JSON with {{ … }} in it", diagnostics);
            None
        }
    }
}

/// An unbound variable fails every call, or those that evaluate it.
fn check_variables(node: &Node, template: &Template, scope: Scope, diagnostics: &mut Vec<Diagnostic>) {
    for UnboundVariable { name, error, is_certain } in unbound_variables(template, scope) {
        let suggestion = did_you_mean(&name, scope.iter().copied());
        let stop = if suggestion.is_empty() { "" } else { "." };
        let help = format!("use {}, or a variable of a range around it{stop}{suggestion}", scope.join(", "));
        if is_certain {
            node.reject(error.to_string(), &help, diagnostics);
        } else {
            let message = format!("{error}: calls that come to it fail");
            diagnostics.push(Diagnostic::warning(Some(node.place.clone()), message, help));
        }
    }
}

fn read_query(node: &Node, scope: Scope, diagnostics: &mut Vec<Diagnostic>) -> Option<QueryTransform> {
    let Data::Map(entries) = &node.data else {
        return text_template(node, scope, diagnostics).map(QueryTransform::Text);
    };
    let mut pairs = Vec::with_capacity(entries.len());
    for (name, place, value) in entries {
        let name = Node { data: Data::Text(name.clone()), place: place.clone() };
        let value = match value.data {
            Data::Null => Some(None),
            _ => text_template(value, scope, diagnostics).map(Some),
        };
        if let (Some(name), Some(value)) = (text_template(&name, scope, diagnostics), value) {
            pairs.push((name, value));
        }
    }
    Some(QueryTransform::Pairs(pairs))
}

/// Version 1 has a template, version 2 an action.
fn read_body(node: &Node, scope: Scope, diagnostics: &mut Vec<Diagnostic>) -> Option<BodyTransform> {
    if !matches!(node.data, Data::Map(_)) {
        return template(node, scope, parse, diagnostics).map(BodyTransform::Json);
    }
    let fields = Fields::of(node, "a body", diagnostics)?;
    let action = fields.required_text("action", diagnostics)?;
    let (template_node, form) = (fields.get("template"), fields.get("form_template"));
    fields.finish(diagnostics);
    match (action.as_str(), template_node, form) {
        ("remove", ..) => Some(BodyTransform::Remove),
        ("transform", Some(node), _) => template(node, scope, parse, diagnostics).map(BodyTransform::Json),
        ("transform", None, _) => {
            node.reject("a body that is transformed needs a \"template\"", "add \"template\"", diagnostics);
            None
        }
        ("x_www_form_urlencoded", _, Some(form)) => Some(BodyTransform::Form(read_form(form, scope, diagnostics))),
        ("x_www_form_urlencoded", ..) => {
            node.reject("a form needs a \"form_template\"", "add \"form_template\" with its fields", diagnostics);
            None
        }
        _ => {
            let help = "write remove, transform or x_www_form_urlencoded";
            node.reject(format!("\"{action}\" is nothing that can be done to a body"), help, diagnostics);
            None
        }
    }
}

fn read_form(node: &Node, scope: Scope, diagnostics: &mut Vec<Diagnostic>) -> Vec<(String, Template)> {
    let Some(fields) = Fields::of(node, "a form", diagnostics) else { return Vec::new() };
    let fields =
        fields.all().filter_map(|(name, _, node)| Some((name.to_owned(), text_template(node, scope, diagnostics)?)));
    fields.collect()
}

fn read_added(node: &Node, scope: Scope, diagnostics: &mut Vec<Diagnostic>) -> Vec<(HeaderName, Template)> {
    let Some(fields) = Fields::of(node, "added headers", diagnostics) else { return Vec::new() };
    let mut added = Vec::new();
    for (name, _, node) in fields.all() {
        if let (Some(name), Some(template)) =
            (header_name(name, node, diagnostics), text_template(node, scope, diagnostics))
        {
            added.push((name, template));
        }
    }
    added
}

fn header_name(name: &str, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<HeaderName> {
    let name = node.header_name(name, diagnostics)?;
    if is_hop_by_hop(&name) || name == header::CONTENT_LENGTH {
        let message = format!("the header '{name}' is about the connection and has no effect here");
        diagnostics.push(Diagnostic::warning(Some(node.place.clone()), message, "remove it"));
        return None;
    }
    Some(name)
}
