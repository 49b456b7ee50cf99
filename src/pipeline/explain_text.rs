//! Renders an explained request as a tree of steps, with sensitive values masked.

use std::fmt::Write as _;

use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::action::transform::TransformedRequest;
use crate::graphql::action_mode::ActionMode;
use crate::model::action::{Action, OperationKind};
use crate::pipeline::explain::{Explained, ExplainedBefore, ExplainedField, ExplainedStep};
use crate::session::Session;

/// The whole plan. `unchecked` is why the upstream's part has not been validated.
pub(crate) fn render(explained: &Explained, session: &Session, unchecked: Option<&str>) -> String {
    if !explained.concerns_us {
        let mut text =
            "Nothing of this is an action or introspection: the upstream gets the request as it is.\n".to_owned();
        push_hints(explained, &mut text);
        return text;
    }
    let count = explained.steps.len();
    let order = match (count, explained.kind) {
        (1, _) => "1 step".to_owned(),
        (_, OperationKind::Mutation) => format!("{count} steps, one after the other"),
        _ => format!("{count} steps, side by side"),
    };
    let mut text = format!("{} as role {}: {order}\n", explained.kind.keyword(), session.role());
    let variables: Map<String, Value> =
        session.variables().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    let _ = writeln!(text, "session variables {}", Value::Object(variables));
    for (index, step) in explained.steps.iter().enumerate() {
        let is_last = index + 1 == count;
        let (branch, trunk) = if is_last { ("└─", "   ") } else { ("├─", "│  ") };
        let (title, details) = describe(step);
        let _ = writeln!(text, "{branch} {}. {title}", index + 1);
        for line in details.lines() {
            let gap = if line.is_empty() { "" } else { "   " };
            let _ = writeln!(text, "{trunk}{gap}{line}");
        }
    }
    let asks_upstream = explained.steps.iter().any(|step| matches!(step, ExplainedStep::Upstream { .. }));
    if let (true, Some(reason)) = (asks_upstream, unchecked) {
        let _ = writeln!(text, "The upstream's part has not been checked: {reason}.");
    }
    push_hints(explained, &mut text);
    text
}

fn push_hints(explained: &Explained, text: &mut String) {
    for hint in &explained.hints {
        let _ = writeln!(text, "{hint}");
    }
}

fn describe(step: &ExplainedStep) -> (String, String) {
    match step {
        ExplainedStep::Introspection { response_name } => {
            (format!("introspection: {response_name}"), "served from the merged schema".into())
        }
        ExplainedStep::Upstream { fields, document, body, extension_fields } => {
            let rest: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
            let rest: Map<String, Value> = rest.into_iter().filter(|(key, _)| key != "query").collect();
            let end = if document.ends_with('\n') { "" } else { "\n" };
            let mut details = format!("{document}{end}");
            if !rest.is_empty() {
                let _ = writeln!(details, "with {}", Value::Object(rest));
            }
            extension_fields.iter().for_each(|field| describe_field(field, &mut details));
            (format!("upstream: {}", fields.join(", ")), details)
        }
        ExplainedStep::Action { response_name, action, kind: ActionMode::Result, input, .. } => {
            let title = format!("action {} as {response_name}: what came of a job", action.name);
            (title, format!("input {}\n", Value::Object(input.clone())))
        }
        ExplainedStep::Action { response_name, action, kind, input, request, rows, before } => {
            let Action { name, timeout, .. } = action.as_ref();
            let method = request.as_ref().map_or("call of", |request| request.method.as_str());
            let (url, seconds) = (action.shown_url(), timeout.as_secs());
            let responds = action.responds_with();
            let title = match responds {
                Some(field) => {
                    format!("action {name} as {response_name}: \"{field}\" of the upstream, within {seconds} s")
                }
                None => format!("action {name} as {response_name}: {method} {url}, within {seconds} s"),
            };
            let mut details = format!("input {}\n", Value::Object(input.clone()));
            if let Some(before) = before {
                describe_before(before, &mut details);
            }
            if responds.is_some() {
                return (title, details);
            }
            if *kind == ActionMode::Later {
                details.push_str("enqueued, and its id is returned; then, on each attempt:\n");
            }
            match request {
                Err(error) => {
                    let _ = writeln!(details, "would not be called: {}", error.reason());
                }
                Ok(request) => describe_request(action, request, &mut details),
            }
            details.push_str("traceparent, x-b3-*: those of the request\n");
            for field in rows {
                let _ = writeln!(details, "rows of the upstream for its response: {field}");
            }
            (title, details)
        }
    }
}

/// What the upstream is asked first, in whose name, and what comes of it.
fn describe_before(before: &ExplainedBefore, details: &mut String) {
    let ExplainedBefore { document, variables, asked_as, required, sent } = before;
    let _ = writeln!(details, "before: the upstream is asked as {asked_as}");
    push_indented(document, details);
    match variables {
        Ok(variables) if variables.is_empty() => {}
        Ok(variables) => drop(writeln!(details, "     with {}", Value::Object(variables.clone()))),
        Err(error) => drop(writeln!(details, "     would not be asked: {error}")),
    }
    if !required.is_empty() {
        let _ = writeln!(details, "     required: {}", required.join(", "));
    }
    if !sent.is_empty() {
        let _ = writeln!(details, "     sent as data, beside input: {}", sent.join(", "));
    }
}

fn push_indented(text: &str, details: &mut String) {
    for line in text.lines() {
        let _ = writeln!(details, "     {line}");
    }
}

/// How many calls there are depends on the upstream's response.
fn describe_field(field: &ExplainedField, details: &mut String) {
    let ExplainedField { coordinate, action, rows, keys, matched_by, keys_per_call, arguments, before } = field;
    let keys: Vec<String> = keys.iter().map(|key| format!("{rows}.{key}")).collect();
    let calls = match (matched_by, keys_per_call) {
        (Some(by), _) => format!("a call for each {keys_per_call} of them, elements matched by {by}"),
        (None, 1) => "a call for each of them".to_owned(),
        (None, _) => format!("a batch for each {keys_per_call} of them"),
    };
    let _ =
        writeln!(details, "then {coordinate}: action {}, distinct keys from {}, {calls}", action.name, keys.join(" "));
    let _ = writeln!(details, "     POST {}", action.shown_url());
    if !arguments.is_empty() {
        let _ = writeln!(details, "     with {}", Value::Object(arguments.clone()));
    }
    if let Some((document, asked_as)) = before {
        let _ = writeln!(details, "     before: the upstream is asked once for all of them as {asked_as}");
        push_indented(document, details);
    }
}

/// Its address is left out: variables are filled in there.
fn describe_request(action: &Action, request: &TransformedRequest, details: &mut String) {
    if request.url.query() != action.handler.url.query() {
        let _ = writeln!(details, "query {}", action.handler.shown(request.url.query().unwrap_or_default()));
    }
    if !request.body.is_empty() {
        let _ = writeln!(details, "body {}", action.handler.shown(&String::from_utf8_lossy(&request.body)));
    }
    for (name, value) in &request.headers {
        let _ = writeln!(details, "{name}: {}", shown(name, value));
    }
}

/// A value as it may be shown.
fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    if value.is_sensitive() || [AUTHORIZATION, COOKIE].contains(name) {
        return "***".into();
    }
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
