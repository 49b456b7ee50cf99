//! Keys of cached responses.

use std::sync::OnceLock;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use pillion::action::header_precedence::storable_headers;
use pillion::action::transform::forward_query;
use pillion::internals::Dependencies;
use pillion::model::action::Action;
use pillion::session::Session;
use serde_json::{Map, Value};

use super::actions;

fn sample() -> &'static Action {
    static SAMPLE: OnceLock<Action> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let yaml = "actions: [{name: rate, definition: {handler: 'http://h/rate', forward_client_headers: true}}]\n";
        let (mut schema, _) = actions::load("type Query { rate(a: String): Int }", yaml, &[], "");
        let mut action = schema.actions.swap_remove("rate").unwrap_or_else(|| panic!("no action"));
        let action = std::sync::Arc::make_mut(&mut action);
        action.forwarded_query_params = vec!["a".into(), "b".into()];
        action.clone()
    })
}

/// A call, as JSON has it.
struct Call {
    session: Session,
    input: Map<String, Value>,
    headers: HeaderMap,
    query: String,
}

impl Call {
    /// `{"session":{"x-hasura-role":…},"input":{…},"headers":[["x-a","text"],["x-b",[233]]],"query":"a=1"}`
    fn read(text: &str) -> Option<Self> {
        let Value::Object(mut call) = serde_json::from_str(text).ok()? else { return None };
        let Value::Object(session) = call.remove("session")? else { return None };
        let Value::Object(input) = call.remove("input")? else { return None };
        let mut headers = HeaderMap::new();
        for header in call.get("headers")?.as_array()? {
            let name = HeaderName::try_from(header.get(0)?.as_str()?).ok()?;
            let bytes = match header.get(1)? {
                Value::String(text) => text.as_bytes().to_vec(),
                list => list.as_array()?.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect::<Option<_>>()?,
            };
            headers.append(name, HeaderValue::from_bytes(&bytes).ok()?);
        }
        let headers = storable_headers(&sample().headers, &headers);
        Some(Self {
            session: Session::stored(session)?,
            input,
            headers,
            query: call.get("query")?.as_str()?.to_owned(),
        })
    }

    /// Does its handler learn the same as that of another one?
    fn is(&self, other: &Self) -> bool {
        let address = |call: &Self| {
            let mut url = sample().handler.url.clone();
            forward_query(&mut url, &call.query, &sample().forwarded_query_params);
            url
        };
        // Members of objects have no order, here as well as there; numbers are compared by their digits.
        self.session == other.session
            && self.input == other.input
            && self.headers == other.headers
            && address(self) == address(other)
    }
}

/// Two calls with a line `---` between them, or one, which is then compared with itself. They have one key if and only if their
/// handler learns the same of both.
pub fn cache_key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (first, second) = text.split_once("\n---\n").unwrap_or((text, text));
    let (Some(first), Some(second)) = (Call::read(first), Call::read(second)) else { return };
    let key = |call: &Call, by: Option<&[String]>| {
        let Call { session, input, headers, query } = call;
        let dependencies = Dependencies { action: sample(), session, headers, query };
        let (alone, element) = (dependencies.template(by, None), dependencies.template(by, Some("id")));
        assert_ne!(alone.key(input), element.key(input), "a list is not one of its elements");
        alone.key(input).shared()
    };
    assert_eq!(key(&first, None) == key(&second, None), first.is(&second), "{text}");
    let by = ["x-hasura-user-id".to_owned()];
    if first.session.role() != second.session.role()
        || first.session.variable(&by[0]) != second.session.variable(&by[0])
    {
        assert_ne!(key(&first, Some(&by)), key(&second, Some(&by)), "{text}");
    }
}
