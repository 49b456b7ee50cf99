//! Reads the response to one handler call that is for several inputs or keys: an element for each input in their order, or
//! elements that name their keys.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::action::batch_error::BatchError;
use crate::action::handler_error::{
    ErrorExtensions, HandlerError, HandlerResponseError, MESSAGE_BYTES_MAX, UNEXPECTED, cut,
};
use crate::action::handler_response::HandlerResponse;
use crate::action::key_text::key_text;
use crate::model::json::member;
use crate::model::response::PathSegment;

/// What a response has for one input or key.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchElement {
    /// The value, or the handler's error in its place.
    pub value: Result<Arc<Value>, HandlerError>,
    /// Errors beside the value. Their paths start at it.
    pub errors: Vec<HandlerError>,
}

impl From<HandlerResponse> for BatchElement {
    fn from(HandlerResponse { value, errors }: HandlerResponse) -> Self {
        Self { value: Ok(Arc::new(value)), errors }
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
        _ if response.value.is_null() && !response.errors.is_empty() => {
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
/// use serde_json::json;
///
/// let value = json!([{ "picture": "a.png" }, { "error": { "message": "no such user" } }]);
/// let elements = read_list(HandlerResponse { value, errors: Vec::new() }, 2).unwrap();
/// assert_eq!(elements[0].value.as_deref(), Ok(&json!({ "picture": "a.png" })));
/// assert_eq!(elements[1].value.as_ref().unwrap_err().message, "no such user");
/// ```
pub fn read_list(response: HandlerResponse, inputs: usize) -> Result<Vec<BatchElement>, BatchError> {
    let HandlerResponse { value, errors } = response;
    let list = list_of(value)?;
    if list.len() != inputs {
        return Err(BatchError::WrongLength { expected: inputs, found: list.len() });
    }
    let mut elements: Vec<BatchElement> =
        list.into_iter().map(|value| BatchElement { value: element(value), errors: Vec::new() }).collect();
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
/// use serde_json::json;
///
/// let value = json!([{ "sku": "b", "left": 2 }, { "sku": "a", "left": 1 }]);
/// let elements = read_by_key(HandlerResponse { value, errors: Vec::new() }, "sku", &[&json!("a"), &json!("c")]).unwrap();
/// assert_eq!(elements[0].value.as_deref(), Ok(&json!({ "sku": "a", "left": 1 })));
/// assert_eq!(elements[1].value.as_deref(), Ok(&json!(null)));
/// ```
pub fn read_by_key(response: HandlerResponse, field: &str, keys: &[&Value]) -> Result<Vec<BatchElement>, BatchError> {
    let HandlerResponse { value, errors } = response;
    let wanted: HashSet<Cow<'_, str>> = keys.iter().map(|key| key_text(key)).collect();
    let mut by_key: HashMap<String, (usize, Arc<Value>)> = HashMap::new();
    for (index, element) in list_of(value)?.into_iter().enumerate() {
        let Value::Object(object) = &element else {
            return Err(BatchError::NotAnObject { index, found: kind_of(&element), field: field.to_owned() });
        };
        let Some(key) = member(object, field) else { return Err(BatchError::NoKey { index, field: field.to_owned() }) };
        let key = key_text(key);
        if wanted.contains(&key) && !by_key.contains_key(&*key) {
            by_key.insert(key.into_owned(), (index, Arc::new(element)));
        }
    }
    let found: Vec<Option<&(usize, Arc<Value>)>> = keys.iter().map(|key| by_key.get(&*key_text(key))).collect();
    let mut errors_of: HashMap<Option<usize>, Vec<HandlerError>> = HashMap::new();
    for error in errors {
        let (index, error) = attributed(error);
        errors_of.entry(index).or_default().push(error);
    }
    let mut common = errors_of.remove(&None).unwrap_or_default();
    let elements = found.into_iter().map(|found| {
        let own = found.and_then(|(index, _)| errors_of.get(&Some(*index))).cloned().unwrap_or_default();
        let value = found.map(|(_, value)| Arc::clone(value)).unwrap_or_default();
        BatchElement { value: Ok(value), errors: std::mem::take(&mut common).into_iter().chain(own).collect() }
    });
    Ok(elements.collect())
}

fn list_of(value: Value) -> Result<Vec<Value>, BatchError> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(BatchError::NotAList { found: kind_of(&other) }),
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
fn element(value: Value) -> Result<Arc<Value>, HandlerError> {
    if !is_error(&value) {
        return Ok(Arc::new(value));
    }
    let Value::Object(mut object) = value else { return Ok(Arc::default()) };
    let Some(Value::Object(mut error)) = object.remove("error") else { return Ok(Arc::default()) };
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

fn is_error(value: &Value) -> bool {
    let only = |object: &Map<String, Value>| match member(object, "error") {
        Some(Value::Object(error)) if object.len() == 1 => {
            let is_known = |(name, value): (&String, &Value)| match name.as_str() {
                "message" => value.is_string(),
                "extensions" => value.is_object(),
                _ => false,
            };
            error.contains_key("message") && error.iter().all(is_known)
        }
        _ => false,
    };
    value.as_object().is_some_and(only)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
