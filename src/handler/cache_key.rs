//! The key of a cached response: everything that the response may depend on, so that two calls share one only if their
//! handler receives the same for the same session. Pure.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::action::transform::forward_query;
use crate::model::action::Action;
use crate::protocol::header_json;
use crate::session::Session;
use crate::traffic_shaping::response_cache::Key;

/// What a handler's response may depend on.
pub struct Dependencies<'k> {
    /// Its action.
    pub action: &'k Action,
    /// In whose name it is called.
    pub session: &'k Session,
    /// The client's headers that the handler gets.
    pub headers: &'k HeaderMap,
    /// The query string of the client's URL.
    pub query: &'k str,
}

impl Dependencies<'_> {
    /// Beside the arguments: the role and the variables that the rules name (all, if they name none), what of the client's
    /// headers and URL the handler gets, and the handler itself. `matched_by` is the field by which the value is found in a
    /// list, if it is an element of one.
    #[must_use]
    pub fn template(&self, by: Option<&[String]>, matched_by: Option<&str>) -> KeyTemplate {
        let Self { action, session, headers, query } = self;
        let variables: Vec<(&str, Option<&str>)> = match by {
            None => session.variables().map(|(name, value)| (name, Some(value))).collect(),
            Some(names) => names.iter().map(|name| (name.as_str(), session.variable(name))).collect(),
        };
        // By name only: the order of a header's values means something.
        let mut headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), header_json::to_json(value))).collect();
        headers.sort_by_key(|(name, _)| *name);
        // As the handler gets them: a parameter without a value is not one with an empty value.
        let mut url = action.handler.url.clone();
        forward_query(&mut url, query, &action.forwarded_query_params);
        let transforms = format!("{:?}", (&action.request_transform, &action.response_transform));
        let handler = [action.handler.base_url.expose(), &transforms];
        let before = json!([session.role(), variables]);
        let after = json!([headers, url.query(), handler, matched_by]);
        KeyTemplate { action: action.name.as_str().into(), before: before.to_string(), after: after.to_string() }
    }
}

/// What the keys of calls of one action have in common. It holds credentials, so it is not shown.
pub struct KeyTemplate {
    action: Arc<str>,
    before: String,
    after: String,
}

impl KeyTemplate {
    /// The key of the call with these arguments, coerced.
    #[must_use]
    pub fn key(&self, input: &Map<String, Value>) -> Key {
        self.key_with_data(input, None)
    }

    /// The same of a call whose handler gets `data` beside them.
    #[must_use]
    pub fn key_with_data(&self, input: &Map<String, Value>, data: Option<&Value>) -> Key {
        let input = sorted_members(input).to_string();
        match data {
            None => Key::new(&self.action, &[&self.before, &input, &self.after]),
            Some(data) => Key::new(&self.action, &[&self.before, &input, &self.after, &sorted(data).to_string()]),
        }
    }
}

fn sorted_members(members: &Map<String, Value>) -> Value {
    let mut members: Vec<(&String, Value)> = members.iter().map(|(name, value)| (name, sorted(value))).collect();
    members.sort_by_key(|(name, _)| *name);
    Value::Object(members.into_iter().map(|(name, value)| (name.clone(), value)).collect())
}

/// The same object is the same, whatever the order of its members.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => sorted_members(members),
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
