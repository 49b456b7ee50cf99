//! Settings of single actions in `pillion.yaml`: what Hasura's files have no place for.

use http::header::HeaderName;
use indexmap::IndexMap;

use crate::config::formats::Format;
use crate::config::resolve_before::BeforeSettings;
use crate::config::traffic_settings::TrafficOverrides;
use crate::config::yaml::{Data, Fields, Node};
use crate::config::{traffic_settings, typed_fields};
use crate::model::source::{Diagnostic, SourceLocation};

/// The settings of one action in `pillion.yaml`.
#[derive(Clone, Debug, Default)]
pub struct ActionSettings {
    /// Where they are written.
    pub place: Option<SourceLocation>,
    /// Overrides `limits.max_calls_per_action`: 1 for something like a one-time password.
    pub calls_per_document_max: Option<usize>,
    /// A call whose fate is unknown may be sent again.
    pub idempotent: bool,
    /// Of the client's headers, only these are sent on.
    pub forwarded_client_headers: Option<Vec<HeaderName>>,
    /// Is the session sent to the handler in headers as well?
    pub session_headers: bool,
    /// Is the admin secret sent to it, so that it can query the upstream as an admin?
    pub admin_secret: bool,
    /// Overrides `jobs.max_attempts`.
    pub attempts: Option<usize>,
    /// Overrides `jobs.max_concurrency_per_action`.
    pub concurrency: Option<usize>,
    /// Is it called by GET, with the arguments as query parameters?
    pub is_get: bool,
    /// Parameters of the client's URL that are sent on.
    pub forwarded_query_params: Vec<String>,
    /// Headers of the handler's response that the client gets.
    pub response_headers: Vec<HeaderName>,
    /// Calls that its handler takes in one request.
    pub batch_size: Option<(usize, SourceLocation)>,
    /// Is a 2xx body of its handler a GraphQL response?
    pub has_envelope: bool,
    /// What its arguments are filled with; resolved once these are known.
    pub presets: Option<Node>,
    /// What the upstream is asked before a call; resolved likewise.
    pub before: BeforeSettings,
    /// What policies it otherwise than all others.
    pub policies: TrafficOverrides,
}

/// Reads `actions`, by name.
pub fn read(file: Option<&Node>, diagnostics: &mut Vec<Diagnostic>) -> IndexMap<String, ActionSettings> {
    let mut actions = IndexMap::new();
    let Some(file) = file.and_then(|file| Fields::of(file, "pillion.yaml", diagnostics)) else { return actions };
    let Some(node) = file.get("actions") else { return actions };
    let Some(entries) = Fields::of(node, "actions", diagnostics) else { return actions };
    for (name, place, node) in entries.all() {
        let Some(fields) = Fields::of(node, "an action's settings", diagnostics) else { continue };
        actions
            .insert(name.to_owned(), ActionSettings { place: Some(place.clone()), ..read_one(&fields, diagnostics) });
        fields.finish_strictly(diagnostics);
    }
    actions
}

fn read_one(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> ActionSettings {
    let mut count = |key: &str| typed_fields::count(fields, key, diagnostics);
    let (calls, attempts, concurrency, batch_size) =
        (count("max_calls_per_document"), count("max_attempts"), count("max_concurrency"), count("batch"));
    let mut flag = |key: &str| typed_fields::bool(fields, key, diagnostics).unwrap_or(false);
    let (idempotent, session_headers, admin_secret) =
        (flag("idempotent"), flag("session_headers"), flag("admin_secret"));
    let mut choice = |key: &str, choices| typed_fields::choice(fields, key, choices, diagnostics);
    let (method, envelope) = (choice("method", &["GET", "POST"]), choice("envelope", &["none", "graphql"]));
    ActionSettings {
        place: None,
        calls_per_document_max: calls,
        attempts,
        concurrency,
        idempotent,
        forwarded_client_headers: header_names(fields, "forwarded_client_headers", Format::HeaderName, diagnostics),
        session_headers,
        admin_secret,
        is_get: method == Some("GET"),
        forwarded_query_params: read_params(fields, diagnostics),
        response_headers: read_response_headers(fields, diagnostics),
        batch_size: batch_size.zip(fields.get("batch").map(|node| node.place.clone())),
        has_envelope: envelope == Some("graphql"),
        presets: read_presets(fields, diagnostics),
        before: read_before(fields, diagnostics),
        policies: traffic_settings::read_overrides(fields, diagnostics),
    }
}

/// Their names are resolved once the action is known.
fn read_presets(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    let node = fields.get("presets")?;
    if !matches!(node.data, Data::Map(_)) {
        let message = format!("\"presets\" must be a mapping, and is {}", node.kind());
        node.reject(message, "write an argument and its value, as in user_id: x-hasura-user-id", diagnostics);
        return None;
    }
    Some(node.clone())
}

/// The same.
fn read_before(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> BeforeSettings {
    let handler = typed_fields::choice(fields, "handler", &["none"], diagnostics);
    let _ = typed_fields::texts(fields, "send", None, diagnostics);
    for key in ["before", "respond"] {
        let _ = fields.text(key, diagnostics);
    }
    let mut node = |key: &'static str, wanted: &str, fits: fn(&Data) -> bool| {
        let node = fields.get(key)?;
        if !fits(&node.data) {
            let message = format!("\"{key}\" must be {wanted}, and is {}", node.kind());
            node.reject(message, &format!("write {wanted}"), diagnostics);
            return None;
        }
        Some(node.clone())
    };
    let any = |_: &Data| true;
    BeforeSettings {
        before: node("before", "a query", any),
        variables: node("variables", "a mapping", |data| matches!(data, Data::Map(_))),
        require: node("require", "a mapping or a list", |data| matches!(data, Data::Map(_) | Data::List(_))),
        send: node("send", "a list", any),
        ask_as: node("as", "admin, caller or a role", |data| matches!(data, Data::Map(_) | Data::Text(_))),
        handler: handler.and_then(|_| fields.get("handler").cloned()),
        respond: node("respond", "a root field", any),
    }
}

fn header_names(
    fields: &Fields<'_>,
    key: &str,
    format: Format,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<HeaderName>> {
    let texts = typed_fields::texts(fields, key, Some(format), diagnostics)?;
    let mut names = Vec::with_capacity(texts.len());
    for (text, node) in texts {
        let Some(name) = node.header_name(&text, diagnostics) else { continue };
        if format.except().contains(&name.as_str()) {
            let message = format!("the header '{name}' of a response is not a handler's to write");
            node.reject(message, "remove it; cookies go to the client anyway", diagnostics);
        }
        names.push(name);
    }
    Some(names)
}

fn read_response_headers(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<HeaderName> {
    header_names(fields, "response_headers", Format::ResponseHeader, diagnostics).unwrap_or_default()
}

fn read_params(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let format = Format::ForwardedParam;
    let mut names = Vec::new();
    for (name, node) in
        typed_fields::texts(fields, "forwarded_query_params", Some(format), diagnostics).unwrap_or_default()
    {
        if name.is_empty() || format.except().contains(&name.as_str()) {
            node.reject(format!("the parameter \"{name}\" cannot be sent on"), "name another one", diagnostics);
        } else {
            names.push(name);
        }
    }
    names
}
