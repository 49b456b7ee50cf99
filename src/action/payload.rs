//! The JSON payload of a handler call, as Hasura documents it.

use serde_json::{Map, Value};

use crate::model::json::{write_object, write_text, write_value};
use crate::session::Session;

/// What a payload holds beside the action's name.
struct Payload<'a> {
    action_name: &'a str,
    inputs: Inputs<'a>,
    data: Option<&'a Value>,
    session: &'a Session,
    request_query: &'a str,
}

/// The arguments of one call, or those of several.
enum Inputs<'a> {
    One(&'a Map<String, Value>),
    Several(&'a [&'a Map<String, Value>]),
    /// A list of those in JSON.
    Written(&'a str),
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
    write(&Payload { action_name, inputs: Inputs::One(input), data, session, request_query })
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
    write(&Payload { action_name, inputs: Inputs::Several(inputs), data, session, request_query })
}

/// The same of inputs that are a list in JSON already.
///
/// # Errors
/// None that these types can cause; the signature is `serde_json`'s.
pub fn body_with_inputs(
    action_name: &str,
    inputs: &str,
    session: &Session,
    request_query: &str,
) -> Result<Vec<u8>, serde_json::Error> {
    write(&Payload { action_name, inputs: Inputs::Written(inputs), data: None, session, request_query })
}

fn write(payload: &Payload<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let Payload { action_name, inputs, data, session, request_query } = payload;
    let values = match inputs {
        Inputs::One(input) => object_size(input),
        Inputs::Several(inputs) => inputs.iter().map(|input| object_size(input) + 1).sum(),
        Inputs::Written(json) => json.len(),
    };
    let mut json = Vec::with_capacity(256 + request_query.len() + values + data.map_or(0, size));
    json.extend_from_slice(br#"{"action":{"name":"#);
    write_text(action_name, &mut json);
    match inputs {
        Inputs::One(input) => {
            json.extend_from_slice(br#"},"input":"#);
            write_object(input, &mut json);
        }
        Inputs::Several(inputs) => {
            json.extend_from_slice(br#"},"inputs":["#);
            for (index, input) in inputs.iter().enumerate() {
                if index > 0 {
                    json.push(b',');
                }
                write_object(input, &mut json);
            }
            json.push(b']');
        }
        Inputs::Written(inputs) => {
            json.extend_from_slice(br#"},"inputs":"#);
            json.extend_from_slice(inputs.as_bytes());
        }
    }
    if let Some(data) = data {
        json.extend_from_slice(br#","data":"#);
        write_value(data, &mut json);
    }
    json.extend_from_slice(br#","session_variables":"#);
    serde_json::to_writer(&mut json, session)?;
    json.extend_from_slice(br#","request_query":"#);
    write_text(request_query, &mut json);
    json.push(b'}');
    Ok(json)
}

/// About the bytes that a value takes as JSON: without it a large text is copied again where the buffer grows.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum::<usize>() + 2,
        Value::Object(object) => object_size(object),
    }
}

fn object_size(object: &Map<String, Value>) -> usize {
    object.iter().map(|(name, value)| name.len() + 4 + size(value)).sum::<usize>() + 2
}
