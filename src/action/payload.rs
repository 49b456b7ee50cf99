//! The JSON payload of a handler call, as Hasura documents it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::session::Session;

#[derive(Serialize)]
struct Payload<'a> {
    action: ActionName<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<&'a [&'a Map<String, Value>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    session_variables: &'a Session,
    request_query: &'a str,
}

#[derive(Serialize)]
struct ActionName<'a> {
    name: &'a str,
}

/// The JSON that a handler receives. `request_query` is the client's whole document, unchanged.
///
/// # Errors
/// None that these types can cause; the signature is `serde_json`'s.
///
/// # Examples
/// ```
/// use pillion::action::payload::body;
/// use pillion::session::Session;
/// use serde_json::{Value, json};
///
/// let Value::Object(variables) = json!({ "x-hasura-role": "user", "x-hasura-user-id": "7" }) else { unreachable!() };
/// let Value::Object(input) = json!({ "productId": 1 }) else { unreachable!() };
/// let session = Session::stored(variables).unwrap();
/// let payload: Value = serde_json::from_slice(&body("quote", &input, &session, "{ quote(productId: 1) }").unwrap()).unwrap();
/// assert_eq!(payload["input"], json!({ "productId": 1 }));
/// assert_eq!(payload["session_variables"]["x-hasura-user-id"], "7");
/// ```
pub fn body(
    action_name: &str,
    input: &Map<String, Value>,
    session: &Session,
    request_query: &str,
) -> Result<Vec<u8>, serde_json::Error> {
    body_with_data(action_name, input, None, session, request_query)
}

/// The same with `data`: what the upstream has said before the call.
///
/// # Errors
/// None that these types can cause; the signature is `serde_json`'s.
pub fn body_with_data(
    action_name: &str,
    input: &Map<String, Value>,
    data: Option<&Value>,
    session: &Session,
    request_query: &str,
) -> Result<Vec<u8>, serde_json::Error> {
    let action = ActionName { name: action_name };
    write(&Payload { action, input: Some(input), inputs: None, data, session_variables: session, request_query })
}

/// The JSON of one request for several calls: the same, with the arguments of each call in `inputs`.
///
/// # Errors
/// None that these types can cause; the signature is `serde_json`'s.
///
/// # Examples
/// ```
/// use pillion::action::payload::batch_body;
/// use pillion::session::Session;
/// use serde_json::{Map, Value, json};
///
/// let Value::Object(variables) = json!({ "x-hasura-role": "user" }) else { unreachable!() };
/// let Value::Object(first) = json!({ "id": 1 }) else { unreachable!() };
/// let (session, second) = (Session::stored(variables).unwrap(), Map::new());
/// let payload: Value = serde_json::from_slice(&batch_body("profile", &[&first, &second], &session, "{ users }").unwrap()).unwrap();
/// assert_eq!(payload["inputs"], json!([{ "id": 1 }, {}]));
/// assert_eq!(payload.get("input"), None);
/// ```
pub fn batch_body(
    action_name: &str,
    inputs: &[&Map<String, Value>],
    session: &Session,
    request_query: &str,
) -> Result<Vec<u8>, serde_json::Error> {
    batch_body_with_data(action_name, inputs, None, session, request_query)
}

/// The same with `data`: a list of what the upstream has said before each call.
///
/// # Errors
/// None that these types can cause; the signature is `serde_json`'s.
pub fn batch_body_with_data(
    action_name: &str,
    inputs: &[&Map<String, Value>],
    data: Option<&Value>,
    session: &Session,
    request_query: &str,
) -> Result<Vec<u8>, serde_json::Error> {
    let action = ActionName { name: action_name };
    write(&Payload { action, input: None, inputs: Some(inputs), data, session_variables: session, request_query })
}

fn write(payload: &Payload<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(256 + payload.request_query.len());
    serde_json::to_writer(&mut json, payload)?;
    Ok(json)
}
