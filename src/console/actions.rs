//! Actions on the console: the list with its traffic, everything about one action, its failures, and the headers that its handler
//! gets.

use std::collections::BTreeSet;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::HeaderName;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::action::header_precedence::{not_forwarded, sourced};
use crate::changes::check::assumed;
use crate::changes::effective_settings::place_text;
use crate::config::action_summary::{ActionSummary, details, summaries};
use crate::config::document::Document;
use crate::config::json_nodes::list;
use crate::config::load::{Loaded, environment, read_file, read_files};
use crate::config::settings_table::ACTION_KEYS;
use crate::config::yaml::{Node, parse};
use crate::console::changes::{read, revision};
use crate::console::playground::{Identity, OperationRequest, sourced_json};
use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply};
use crate::console::{Console, activity, sample, time};
use crate::edits::files::{name_of, type_names};
use crate::model::action::{Action, ActionSchema};
use crate::model::types::Types;
use crate::telemetry::logs::milliseconds;

/// The actions of the files, whatever variables are set.
fn load(console: &Console) -> Result<Loaded, ApiError> {
    console.source.load(&assumed()).map_err(ApiError::invalid)
}

/// Lists all of them.
pub(super) fn list_actions(console: &Console) -> ApiResult {
    let (loaded, files) = (load(console)?, read(console)?);
    let traffic = Traffic::of(console);
    let rows: Vec<Value> = summaries(&loaded.schema)
        .iter()
        .map(|summary| row(summary, action_named(&loaded.schema, &summary.name), &traffic))
        .collect();
    Ok(Reply::json(&json!({
        "revision": revision(&files),
        "actions": rows,
        "roles": roles(&loaded.schema),
        "types": type_names(&files).unwrap_or_default(),
    })))
}

/// All roles that the actions name.
pub(super) fn roles(schema: &ActionSchema) -> BTreeSet<String> {
    schema.actions.values().flat_map(|action| action.roles.iter().cloned()).collect()
}

/// The roles of what is served, admin among them.
pub(super) fn all_roles(console: &Console) -> Reply {
    let snapshot = console.services.snapshot.load();
    let roles = roles(&snapshot.catalog.schema).into_iter().filter(|role| role != "admin");
    let roles: Vec<String> = ["admin".to_owned()].into_iter().chain(roles).collect();
    Reply::json(&json!({ "roles": roles }))
}

/// What is known of the traffic of all actions.
struct Traffic {
    rates: std::collections::HashMap<String, activity::ActionRates>,
    breakers: Vec<(String, &'static str)>,
    served: BTreeSet<String>,
}

impl Traffic {
    fn of(console: &Console) -> Self {
        let services = &console.services;
        let schema = &services.snapshot.load().catalog.schema;
        Self {
            rates: console.activity.actions(services, SystemTime::now()),
            breakers: activity::breakers(services),
            served: schema.actions.values().map(|action| action.name.clone()).collect(),
        }
    }
}

fn action_named<'s>(schema: &'s ActionSchema, name: &str) -> Option<&'s Action> {
    schema.actions.values().find(|action| action.name == name).map(AsRef::as_ref)
}

fn row(summary: &ActionSummary, action: Option<&Action>, traffic: &Traffic) -> Value {
    let mut row = json!(summary);
    let rates = traffic.rates.get(&summary.name);
    let breaker = traffic.breakers.iter().find(|(name, _)| *name == summary.name).map(|(_, state)| *state);
    let more = json!({
        "request_transform": action.is_some_and(|action| action.request_transform.is_some()),
        "response_transform": action.is_some_and(|action| action.response_transform.is_some()),
        "guards": action.map(guards).unwrap_or_default(),
        "served": traffic.served.contains(&summary.name),
        "requests_per_second": rates.map_or(0.0, |rates| rates.per_second),
        "error_share": rates.and_then(|rates| rates.error_share),
        "p99_ms": rates.and_then(|rates| rates.p99_ms),
        "calls_total": rates.map_or(0.0, |rates| rates.totals.calls),
        "failures_total": rates.map_or(0.0, |rates| rates.totals.failures),
        "breaker": breaker,
    });
    if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
        row.extend(more);
    }
    row
}

/// The policies that an action has, by their keys.
fn guards(action: &Action) -> Vec<&'static str> {
    let rules = &action.policies;
    let all = [
        ("cache", rules.cache.is_some()),
        ("rate_limit", !rules.rate_limits.is_empty()),
        ("circuit_breaker", rules.circuit_breaker_reset_timeout.is_some()),
        ("signed", !rules.signing_keys.is_empty()),
        ("idempotent", action.idempotent),
        ("batch", action.batch_size.is_some()),
    ];
    all.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

/// Everything about one action.
pub(super) fn show_action(console: &Console, name: &str) -> ApiResult {
    let (loaded, files) = (load(console)?, read(console)?);
    let folder = console.source.metadata_folder().unwrap_or_default();
    let written = read_files(&folder, &mut Vec::new());
    let document = Document::of_files(&written.actions, written.inherited_roles.as_ref(), &written.signatures);
    let types = written.signatures.types.iter().map(|(name, (definition, _))| (name.clone(), definition.clone()));
    let types = Types(types.collect());
    let missing = || ApiError::not_found(format!("there is no action \"{name}\""));
    let details = details(&loaded.schema, &document, &types, name).ok_or_else(missing)?;
    let action = action_named(&loaded.schema, name).ok_or_else(missing)?;
    let mut json = row(&details.summary, Some(action), &Traffic::of(console));
    let headers: Vec<Value> = details
        .headers
        .iter()
        .map(|header| {
            let mut json = json!(header);
            if let Some(variable) = &header.value_from_env {
                insert(&mut json, "is_set", environment(variable).is_some().into());
            }
            json
        })
        .collect();
    let entry = files.yaml.iter().find_map(|file| {
        let value = parse(&file.source).ok()?.to_json();
        list(value.get("actions")?).iter().find(|action| name_of(action) == Some(name)).cloned()
    });
    let more = json!({
        "revision": revision(&files),
        "definition": details.definition,
        "method": details.method,
        "timeout": details.timeout,
        "forward_client_headers": details.forward_client_headers,
        "headers": headers,
        "entry": entry.map(masked),
        "relationships": details.relationships.iter().map(|text| relationship(text)).collect::<Vec<_>>(),
        "fields": details.fields.iter().map(|field| json!({ "coordinate": field })).collect::<Vec<_>>(),
        "policies": policies(console, &details.policies, name),
        "sample_arguments": sample::arguments(&loaded.schema, action),
        "sample_query": sample::query(&loaded.schema, action),
    });
    if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
        json.extend(more);
    }
    Ok(Reply::json(&json))
}

fn insert(json: &mut Value, key: &str, value: Value) {
    if let Some(members) = json.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

/// `Type.name: …`
fn relationship(text: &str) -> Value {
    let coordinate = text.split(':').next().unwrap_or_default();
    let (owner, name) = coordinate.split_once('.').unwrap_or((coordinate, ""));
    json!({ "type": owner, "name": name, "text": text })
}

/// An entry of `actions.yaml` without the values of its headers.
fn masked(mut entry: Value) -> Value {
    let headers = entry.pointer_mut("/definition/headers").and_then(Value::as_array_mut);
    for header in headers.into_iter().flatten().filter_map(Value::as_object_mut) {
        if header.contains_key("value") {
            header.insert("value".into(), "***".into());
        }
    }
    if let Some(Value::String(handler)) = entry.pointer_mut("/definition/handler") {
        *handler = crate::model::excerpt::without_logins(handler).into_owned();
    }
    entry
}

/// The policies with where each is written.
fn policies(console: &Console, policies: &Map<String, Value>, name: &str) -> Vec<Value> {
    let file = console.source.file.as_deref().and_then(|path| read_file(path).ok());
    let node = file.and_then(|source| parse(&source).ok());
    let own = node.as_ref().and_then(|node| node.member("actions")?.member(name));
    let policy = |(policy, value): (&String, &Value)| {
        let written = match policy.as_str() {
            "cache_ttl" => "cache",
            "circuit_breaker_reset_timeout" => "circuit_breaker",
            "signed" => "signing_secrets_from_env",
            other => other,
        };
        let of_action = own.and_then(|own| own.member(written)).map(|node| place_text(&node.place));
        let group = || {
            let handlers = node.as_ref().and_then(|node: &Node| node.member("handlers")?.member(written));
            handlers.map(|node| place_text(&node.place))
        };
        let origin = of_action.or_else(group).unwrap_or_else(|| "default".to_owned());
        let is_own = ACTION_KEYS.iter().any(|known| known.key == written);
        let key = if is_own { format!("actions.{name}.{written}") } else { format!("handlers.{written}") };
        json!({ "name": policy, "value": value, "origin": origin, "key": key })
    };
    policies.iter().map(policy).collect()
}

/// The last failed calls of an action.
pub(super) fn failures(console: &Console, name: &str) -> Reply {
    let failures = console.services.health.recent_failures.of(name);
    let failures: Vec<Value> = failures
        .iter()
        .map(|failure| {
            json!({
                "at": time::text(failure.at),
                "role": failure.role,
                "kind": failure.kind,
                "message": failure.message,
                "status": failure.status,
                "request_id": failure.request_id,
                "trace_id": failure.trace_id,
                "attempts": failure.attempts,
                "duration_ms": milliseconds(failure.duration),
            })
        })
        .collect();
    Reply::json(&json!({ "failures": failures }))
}

/// A client's request to an action.
#[derive(Deserialize)]
struct HeadersRequest {
    action: String,
    #[serde(default)]
    client: IndexMap<String, String>,
    #[serde(default, rename = "as")]
    identity: Identity,
}

/// Which headers a handler gets of such a client, and where they come from.
pub(super) async fn headers(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let HeadersRequest { action, client, identity } = request.json()?;
    let snapshot = console.services.snapshot.load_full();
    let schema = &snapshot.catalog.schema;
    let known = action_named(schema, &action).ok_or_else(|| ApiError::not_found("this action is not served"))?;
    let operation = OperationRequest {
        query: String::new(),
        variables: None,
        operation_name: None,
        headers: client,
        identity,
        transport: None,
    };
    let (session, client): (_, HeaderMap) = operation.session(console).await?;
    let precedence = snapshot.configured.settings.precedence;
    let found = sourced(&known.headers, precedence, &client, &session, "of-the-request")
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let lost = client.keys().filter_map(|name: &HeaderName| {
        let reason = not_forwarded(&known.headers, name)?;
        Some(json!({ "name": name.as_str(), "reason": reason }))
    });
    Ok(Reply::json(&json!({
        "headers": found.iter().map(sourced_json).collect::<Vec<_>>(),
        "not_forwarded": lost.collect::<Vec<_>>(),
    })))
}
