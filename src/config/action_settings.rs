//! Settings of single actions in `pillion.yaml`: what Hasura's files have no place for.

use http::header;
use http::header::HeaderName;
use indexmap::IndexMap;

use crate::config::traffic_settings;
use crate::config::traffic_settings::TrafficOverrides;
use crate::config::yaml::{Fields, Node};
use crate::model::source::{Diagnostic, SourceLocation};
use crate::protocol::hop_by_hop::is_hop_by_hop;

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
    /// Is a 2xx body of its handler a GraphQL response?
    pub has_envelope: bool,
    /// What policies it otherwise than all others.
    pub policies: TrafficOverrides,
}

/// Headers of our own response that no handler may write.
const OURS: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    HeaderName::from_static("x-request-id"),
    // Cookies are forwarded to the client by default.
    header::SET_COOKIE,
];

/// What GraphQL itself has in a URL.
const GRAPHQL_PARAMS: [&str; 4] = ["query", "variables", "operationName", "extensions"];

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
        fields.finish(diagnostics);
    }
    actions
}

fn read_one(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> ActionSettings {
    let mut count = |key: &str| {
        let count = fields.count(key, diagnostics).and_then(|count| usize::try_from(count).ok());
        count.map(|count| count.max(1))
    };
    let (calls, attempts, concurrency) =
        (count("max_calls_per_document"), count("max_attempts"), count("max_concurrency"));
    let mut flag = |key: &str| fields.bool(key, diagnostics).unwrap_or(false);
    let (idempotent, session_headers, admin_secret) =
        (flag("idempotent"), flag("session_headers"), flag("admin_secret"));
    let names =
        fields.get("forwarded_client_headers").map(|_| header_names(fields, "forwarded_client_headers", diagnostics));
    ActionSettings {
        place: None,
        calls_per_document_max: calls,
        attempts,
        concurrency,
        idempotent,
        forwarded_client_headers: names,
        session_headers,
        admin_secret,
        is_get: read_method(fields, diagnostics),
        forwarded_query_params: read_params(fields, diagnostics),
        response_headers: read_response_headers(fields, diagnostics),
        has_envelope: read_envelope(fields, diagnostics),
        policies: traffic_settings::read_overrides(fields, diagnostics),
    }
}

fn header_names(fields: &Fields<'_>, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for node in fields.list(key, diagnostics) {
        let text = node.scalar_text().unwrap_or_default();
        names.extend(node.header_name(&text, diagnostics));
    }
    names
}

fn read_response_headers(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<HeaderName> {
    let mut names = header_names(fields, "response_headers", diagnostics);
    for name in names.extract_if(.., |name| OURS.contains(name) || is_hop_by_hop(name)) {
        let message = format!("the header '{name}' of a response is not a handler's to write");
        let place = fields.get("response_headers").map(|node| node.place.clone());
        diagnostics.push(Diagnostic::error(place, message, "remove it; cookies go to the client anyway"));
    }
    names
}

fn read_method(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let Some(node) = fields.get("method") else { return false };
    match node.scalar_text().as_deref() {
        Some("GET") => true,
        Some("POST") => false,
        _ => {
            node.reject("a handler is called by GET or by POST", "write GET, or use a request transform", diagnostics);
            false
        }
    }
}

fn read_envelope(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let Some(node) = fields.get("envelope") else { return false };
    match node.scalar_text().as_deref() {
        Some("graphql") => true,
        Some("none") => false,
        _ => {
            let remedy = "write graphql if the handler returns {\"data\": …, \"errors\": […]}, or none";
            node.reject("there is no such envelope of a handler's response", remedy, diagnostics);
            false
        }
    }
}

fn read_params(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let mut names = Vec::new();
    for node in fields.list("forwarded_query_params", diagnostics) {
        let name = node.scalar_text().unwrap_or_default();
        if name.is_empty() || GRAPHQL_PARAMS.contains(&name.as_str()) {
            node.reject(format!("the parameter \"{name}\" cannot be sent on"), "name another one", diagnostics);
        } else {
            names.push(name);
        }
    }
    names
}
