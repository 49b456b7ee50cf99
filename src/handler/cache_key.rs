//! The key of a cached response: everything that the response may depend on, so that two calls share one only if their
//! handler receives the same for the same session. Pure.

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
    /// The coerced arguments.
    pub input: &'k Map<String, Value>,
    /// The client's headers that the handler gets.
    pub headers: &'k HeaderMap,
    /// The query string of the client's URL.
    pub query: &'k str,
}

impl Dependencies<'_> {
    /// The role and the variables that the rules name (all, if they name none), the arguments, what of the client's headers
    /// and URL the handler gets, and the handler itself.
    #[must_use]
    pub fn key(&self, by: Option<&[String]>) -> Key {
        let Self { action, session, input, headers, query } = self;
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
        let input = sorted_members(input);
        Key::new(&action.name, &json!([session.role(), variables, input, headers, url.query(), handler]))
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
