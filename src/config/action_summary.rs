//! What there is to know of an action, for `pillion actions list` and `show`: as text and as JSON, without secrets.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::document::{Document, LISTS};
use crate::config::json_nodes::list;
use crate::config::print::actions_graphql;
use crate::model::action::{Action, ActionSchema, WrittenValue};
use crate::model::before::{Before, Requirement};
use crate::model::extension_field::ExtensionField;
use crate::model::traffic::{RateKey, TrafficRules};
use crate::model::types::{Lookup, Types};

/// An action in a list.
#[derive(Clone, Debug, Serialize)]
pub struct ActionSummary {
    /// Its name.
    pub name: String,
    /// `query` or `mutation`.
    pub operation: &'static str,
    /// `synchronous` or `asynchronous`.
    pub kind: &'static str,
    /// Its type.
    pub output: String,
    /// The handler's address, variables not filled in.
    pub handler: String,
    /// The roles that may call it beside admin, inherited ones included.
    pub roles: Vec<String>,
    /// Its description.
    pub comment: Option<String>,
    /// The file in which it is defined.
    pub file: Option<String>,
    /// The line there.
    pub line: Option<usize>,
}

/// All of an action.
#[derive(Clone, Debug, Serialize)]
pub struct ActionDetails {
    /// What the list has of it.
    #[serde(flatten)]
    pub summary: ActionSummary,
    /// Its field and its types, SDL.
    pub definition: String,
    /// `POST`, or that of its transform.
    pub method: String,
    /// Seconds.
    pub timeout: f64,
    /// Are the client's headers sent on?
    pub forward_client_headers: bool,
    /// Headers of its own.
    pub headers: Vec<ShownHeader>,
    /// What the upstream is asked before a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<ShownBefore>,
    /// Is its handler's request rewritten?
    pub request_transform: bool,
    /// Is its handler's response?
    pub response_transform: bool,
    /// The relationships of its types, each as `Type.name: …`.
    pub relationships: Vec<String>,
    /// The fields of the upstream's types that it resolves.
    pub fields: Vec<String>,
    /// How much of it may go on, and what happens when its handler fails: by the name of the policy.
    pub policies: Map<String, Value>,
}

/// What the upstream is asked before a call of an action.
#[derive(Clone, Debug, Serialize)]
pub struct ShownBefore {
    /// The query.
    pub query: String,
    /// Who is asked: `the caller`, `admin`, or a role.
    #[serde(rename = "as")]
    pub asked_as: String,
    /// What must be there, by role; under `*` for all others.
    pub require: Map<String, Value>,
    /// What the handler gets.
    pub send: Vec<String>,
    /// The value of the action, if it has no handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond: Option<String>,
}

/// A header of an action, without its value.
#[derive(Clone, Debug, Serialize)]
pub struct ShownHeader {
    /// Its name.
    pub name: String,
    /// The variable that holds its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from_env: Option<String>,
    /// Its value: a template, or `***`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// All actions, in the order of their files.
#[must_use]
pub fn summaries(schema: &ActionSchema) -> Vec<ActionSummary> {
    schema.actions.iter().map(|(field, action)| summary(schema, field, action)).collect()
}

fn summary(schema: &ActionSchema, field: &str, action: &Action) -> ActionSummary {
    let place = schema.locations.actions.get(field);
    ActionSummary {
        name: action.name.clone(),
        operation: action.kind.keyword(),
        kind: if action.is_async { "asynchronous" } else { "synchronous" },
        output: action.output.to_string(),
        handler: action.shown_url().to_owned(),
        roles: action.roles.iter().cloned().collect(),
        comment: action.comment.clone(),
        file: place.map(|place| place.source.name.clone()),
        line: place.map(|place| place.line),
    }
}

/// All of the action of this name; `document` is what its files hold.
#[must_use]
pub fn details(schema: &ActionSchema, document: &Document, types: &Types, name: &str) -> Option<ActionDetails> {
    let (field, action) = schema.actions.iter().find(|(_, action)| action.name == name)?;
    let (definition, used) = definition(document, types, name);
    let transform = action.request_transform.as_ref();
    let method = transform.and_then(|transform| transform.method.as_ref());
    let relationships = used.iter().filter_map(|name| Some((name, schema.types.get(name)?)));
    let relationships = relationships.flat_map(|(owner, definition)| {
        definition.relationships.iter().map(move |one| format!("{owner}.{}: {}", one.name, lookup(&one.lookup)))
    });
    let is_called = |known: &&std::sync::Arc<ExtensionField>| known.action == *field;
    Some(ActionDetails {
        summary: summary(schema, field, action),
        definition,
        method: method.map_or_else(|| "POST".to_owned(), ToString::to_string),
        timeout: action.timeout.as_secs_f64(),
        forward_client_headers: action.headers.forward_client_headers,
        headers: action.headers.configured.iter().map(|header| shown(header.name.as_str(), &header.written)).collect(),
        before: action.before.as_deref().map(shown_before),
        request_transform: transform.is_some(),
        response_transform: action.response_transform.is_some(),
        relationships: relationships.collect(),
        fields: schema.extension_fields.iter().filter(is_called).map(|known| known.coordinate()).collect(),
        policies: policies(action, &action.policies),
    })
}

fn shown_before(before: &Before) -> ShownBefore {
    let names = |all: &[Requirement]| all.iter().map(|one| Value::from(one.field.as_str())).collect::<Value>();
    let mut require: Map<String, Value> =
        before.require.by_role.iter().map(|(role, all)| (role.clone(), names(all))).collect();
    if !before.require.general.is_empty() {
        require.insert("*".to_owned(), names(&before.require.general));
    }
    ShownBefore {
        query: before.query.text.trim().to_owned(),
        asked_as: before.identity.shown(),
        require,
        send: before.send.clone(),
        respond: before.respond.clone(),
    }
}

fn shown(name: &str, written: &WrittenValue) -> ShownHeader {
    let (value_from_env, value) = match written {
        WrittenValue::FromEnvironment(variable) => (Some(variable.clone()), None),
        WrittenValue::Template(template) => (None, Some(template.clone())),
        WrittenValue::Plain => (None, Some("***".to_owned())),
    };
    ShownHeader { name: name.to_owned(), value_from_env, value }
}

fn lookup(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Table { table, is_array, field_mapping } => {
            let kind = if *is_array { "rows" } else { "row" };
            let keys: Vec<String> = field_mapping.iter().map(|(field, column)| format!("{field} = {column}")).collect();
            format!("{kind} of {} by {}", table.root_field(), keys.join(", "))
        }
        Lookup::RootField { field, arguments, .. } => format!("{field}({})", arguments.join(", ")),
    }
}

fn policies(action: &Action, rules: &TrafficRules) -> Map<String, Value> {
    let seconds = |time: Duration| Value::from(time.as_secs_f64());
    let mut policies = Map::new();
    let mut add = |name: &str, value: Value| policies.insert(name.to_owned(), value);
    add("max_concurrent_calls", rules.max_concurrent_calls.into());
    add("max_queued_calls", rules.max_queued_calls.into());
    add("queue_timeout", seconds(rules.queue_timeout));
    add("max_retries", rules.max_retries.into());
    let limit = |limit: &crate::model::traffic::RateLimit| match &limit.by {
        RateKey::All => limit.shown(),
        RateKey::Address => format!("{} by address", limit.shown()),
        RateKey::Variable(name) => format!("{} by {name}", limit.shown()),
    };
    add("rate_limit", rules.rate_limits.iter().map(|one| Value::from(limit(one))).collect());
    add("circuit_breaker_reset_timeout", rules.circuit_breaker_reset_timeout.map_or(Value::Null, seconds));
    add("cache_ttl", rules.cache.as_ref().map_or(Value::Null, |cache| seconds(cache.fresh)));
    add("signed", (!rules.signing_keys.is_empty()).into());
    add("idempotent", action.idempotent.into());
    add("batch", action.batch_size.into());
    add("max_calls_per_document", action.calls_per_document_max.into());
    if action.is_async {
        add("max_attempts", action.attempts_max.into());
        add("max_concurrency", action.concurrency_max.into());
    }
    policies
}

/// The field of an action and the types that it uses as SDL, and the names of those types.
fn definition(document: &Document, types: &Types, name: &str) -> (String, BTreeSet<String>) {
    let actions: Vec<Value> = document.actions.iter().filter(|action| action["name"] == *name).cloned().collect();
    let definitions = actions.iter().map(|action| &action["definition"]);
    let mut next: Vec<&Value> =
        definitions.flat_map(|one| uses(one, "arguments").chain([&one["output_type"]])).collect();
    let mut used = BTreeSet::new();
    while let Some(ty) = next.pop().and_then(Value::as_str) {
        let named = ty.trim_matches(['[', ']', '!', ' ']);
        let entries = LISTS.iter().flat_map(|kind| document.list(*kind)).filter(|entry| entry["name"] == *named);
        if used.insert(named.to_owned()) {
            next.extend(entries.flat_map(|entry| uses(entry, "fields")));
        }
    }
    let mut own = Document { actions, ..Document::default() };
    for kind in LISTS {
        let is_used = |entry: &&Value| entry["name"].as_str().is_some_and(|name| used.contains(name));
        let entries: Vec<Value> = document.list(kind).iter().filter(is_used).cloned().collect();
        own.custom_types.insert(kind.key().to_owned(), entries.into());
    }
    (actions_graphql(&own, types), used)
}

fn uses<'v>(owner: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    owner.get(key).map(list).unwrap_or_default().iter().filter_map(|member| member.get("type"))
}
