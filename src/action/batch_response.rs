//! Reads the response to one handler call that is for several inputs or keys: an element for each input in their order, or
//! elements that name their keys.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::action::batch_error::BatchError;
use crate::action::handler_error::{
    ErrorExtensions, HandlerError, HandlerResponseError, MESSAGE_BYTES_MAX, UNEXPECTED, cut,
};
use crate::action::handler_response::HandlerResponse;
use crate::action::key_text::{key_text, key_text_of};
use crate::model::json_value::{JsonKind, JsonNode, JsonValue};
use crate::model::response::PathSegment;

/// What a response has for one input or key.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchElement {
    /// The value, or the handler's error in its place.
    pub value: Result<JsonValue, HandlerError>,
    /// Errors beside the value. Their paths start at it.
    pub errors: Vec<HandlerError>,
}

impl From<HandlerResponse> for BatchElement {
    fn from(HandlerResponse { value, errors }: HandlerResponse) -> Self {
        Self { value: Ok(value), errors }
    }
}

/// What one handler call is for.
#[derive(Clone, Copy, Debug)]
pub enum BatchTarget<'k> {
    /// One input, whose value is the whole response.
    One,
    /// So many inputs. Their values are the elements of a list, in their order.
    Inputs(usize),
    /// Several keys. Their values are those elements of a list that have them in this field.
    Keys {
        /// The field.
        field: &'k str,
        /// The keys.
        keys: &'k [&'k Value],
    },
}

/// What a response has for each input or key of its call.
///
/// # Errors
/// [`HandlerResponseError::MismatchedBatch`], or the errors that an envelope has instead of data.
pub fn read_batch(
    response: HandlerResponse,
    target: BatchTarget<'_>,
) -> Result<Vec<BatchElement>, HandlerResponseError> {
    let elements = match target {
        BatchTarget::One => return Ok(vec![BatchElement::from(response)]),
        _ if response.value.node().is_null() && !response.errors.is_empty() => {
            return Err(HandlerResponseError::RejectedWithList(response.errors));
        }
        BatchTarget::Inputs(count) => read_list(response, count),
        BatchTarget::Keys { field, keys } => read_by_key(response, field, keys),
    };
    elements.map_err(HandlerResponseError::MismatchedBatch)
}

/// The elements of a response to this many inputs. Each is a value, or an error as it is `{"error": {"message", "extensions"}}`.
///
/// # Errors
/// [`BatchError`]. Then no element can be attributed to an input.
///
/// # Examples
/// ```
/// use pillion::action::batch_response::read_list;
/// use pillion::action::handler_response::HandlerResponse;
/// use pillion::model::json_value::JsonValue;
///
/// let value = JsonValue::parse(r#"[{ "picture": "a.png" }, { "error": { "message": "no such user" } }]"#.into()).unwrap();
/// let elements = read_list(HandlerResponse { value, errors: Vec::new() }, 2).unwrap();
/// assert_eq!(elements[0].value.as_ref().unwrap().to_string(), r#"{"picture":"a.png"}"#);
/// assert_eq!(elements[1].value.as_ref().unwrap_err().message, "no such user");
/// ```
pub fn read_list(response: HandlerResponse, inputs: usize) -> Result<Vec<BatchElement>, BatchError> {
    let HandlerResponse { value, errors } = response;
    let list = list_of(&value)?;
    if list.len() != inputs {
        return Err(BatchError::WrongLength { expected: inputs, found: list.len() });
    }
    let mut elements: Vec<BatchElement> =
        list.map(|value| BatchElement { value: element(value), errors: Vec::new() }).collect();
    for error in errors {
        let (index, error) = attributed(error);
        let index = index.filter(|index| *index < inputs).unwrap_or(0);
        if let Some(element) = elements.get_mut(index) {
            element.errors.push(error);
        }
    }
    Ok(elements)
}

/// What a response has for these keys. Its elements are objects whose `field` is the key that they belong to: the first one
/// with a key counts, a key without an element has null, and elements with other keys are ignored.
///
/// # Errors
/// [`BatchError`]. An element that has no key may be that of any of them, so there are no values.
///
/// # Examples
/// ```
/// use pillion::action::batch_response::read_by_key;
/// use pillion::action::handler_response::HandlerResponse;
/// use pillion::model::json_value::JsonValue;
/// use serde_json::json;
///
/// let value = JsonValue::parse(r#"[{ "sku": "b", "left": 2 }, { "sku": "a", "left": 1 }]"#.into()).unwrap();
/// let elements = read_by_key(HandlerResponse { value, errors: Vec::new() }, "sku", &[&json!("a"), &json!("c")]).unwrap();
/// assert_eq!(elements[0].value.as_ref().unwrap().to_string(), r#"{"sku":"a","left":1}"#);
/// assert_eq!(elements[1].value.as_ref().unwrap().to_string(), "null");
/// ```
pub fn read_by_key(response: HandlerResponse, field: &str, keys: &[&Value]) -> Result<Vec<BatchElement>, BatchError> {
    let HandlerResponse { value, errors } = response;
    let wanted: HashSet<Cow<'_, str>> = keys.iter().map(|key| key_text(key)).collect();
    let mut by_key: HashMap<String, (usize, JsonValue)> = HashMap::new();
    for (index, element) in list_of(&value)?.enumerate() {
        let node = element.node();
        if node.kind() != JsonKind::Object {
            return Err(BatchError::NotAnObject { index, found: kind_of(node), field: field.to_owned() });
        }
        let Some(key) = node.get(field) else { return Err(BatchError::NoKey { index, field: field.to_owned() }) };
        let key = key_text_of(key);
        if wanted.contains(&key) && !by_key.contains_key(&*key) {
            let key = key.into_owned();
            by_key.insert(key, (index, element));
        }
    }
    let found: Vec<Option<&(usize, JsonValue)>> = keys.iter().map(|key| by_key.get(&*key_text(key))).collect();
    let mut errors_of: HashMap<Option<usize>, Vec<HandlerError>> = HashMap::new();
    for error in errors {
        let (index, error) = attributed(error);
        errors_of.entry(index).or_default().push(error);
    }
    let mut common = errors_of.remove(&None).unwrap_or_default();
    let elements = found.into_iter().map(|found| {
        let own = found.and_then(|(index, _)| errors_of.get(&Some(*index))).cloned().unwrap_or_default();
        let value = found.map(|(_, value)| value.clone()).unwrap_or_default();
        BatchElement { value: Ok(value), errors: std::mem::take(&mut common).into_iter().chain(own).collect() }
    });
    Ok(elements.collect())
}

fn list_of(value: &JsonValue) -> Result<impl ExactSizeIterator<Item = JsonValue>, BatchError> {
    match value.node().kind() {
        JsonKind::List => Ok(value.items()),
        _ => Err(BatchError::NotAList { found: kind_of(value.node()) }),
    }
}

/// The element that an error is about, and the error with a path that starts there. An error about the whole response is
/// one about its first element: it is reported once.
fn attributed(mut error: HandlerError) -> (Option<usize>, HandlerError) {
    match error.path.first() {
        Some(PathSegment::Index(index)) => {
            let index = *index;
            error.path.remove(0);
            (Some(index), error)
        }
        _ => (None, HandlerError { path: Vec::new(), ..error }),
    }
}

/// An error, if the element is exactly one; everything else is a value.
fn element(value: JsonValue) -> Result<JsonValue, HandlerError> {
    let Some(mut error) = error_in(value.node()) else { return Ok(value) };
    let message = match error.remove("message") {
        Some(Value::String(message)) => cut(message, MESSAGE_BYTES_MAX),
        _ => UNEXPECTED.to_owned(),
    };
    let extensions = match error.remove("extensions") {
        Some(Value::Object(extensions)) => ErrorExtensions::Given(extensions),
        _ => UNEXPECTED.into(),
    };
    Err(HandlerError { message, path: Vec::new(), extensions })
}

/// The content of an element that is `{"error": {"message", "extensions"}}`.
fn error_in(element: JsonNode<'_>) -> Option<Map<String, Value>> {
    let (key, error) = element.members().next().filter(|_| element.len() == 1)?;
    let Value::Object(error) = key.is_key("error").then(|| error.to_tree())? else { return None };
    let is_known = |(name, value): (&String, &Value)| match name.as_str() {
        "message" => value.is_string(),
        "extensions" => value.is_object(),
        _ => false,
    };
    (error.contains_key("message") && error.iter().all(is_known)).then_some(error)
}

fn kind_of(value: JsonNode<'_>) -> &'static str {
    match value.kind() {
        JsonKind::Null => "null",
        JsonKind::Bool => "a boolean",
        JsonKind::Number => "a number",
        JsonKind::String => "a string",
        JsonKind::List => "a list",
        JsonKind::Object => "an object",
    }
}
