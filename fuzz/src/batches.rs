//! Responses to batches of handler calls.

use bytes::Bytes;
use pillion::action::batch_response::{BatchElement, BatchTarget, read_batch};
use pillion::action::handler_response::{HandlerResponse, ReadRules, read};
use pillion::action::key_text::key_text;
use pillion::model::json::parse_strict;
use serde_json::Value;

/// A list of keys, a line feed, and a response. Read for as many inputs as there are keys, it has each element of the list once
/// and in its order; read by the field `id`, it has for each key the first element with that key and no other.
pub fn batch(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (keys, body) = (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default());
    let (Ok(Value::Array(keys)), Ok(value)) = (parse_strict(keys), parse_strict(body)) else { return };
    for is_envelope in [false, true] {
        let rules = ReadRules { is_envelope, max_errors: 10 };
        let response = || read(rules, 200, Bytes::copy_from_slice(body));
        let (Ok(for_inputs), Ok(for_keys)) = (response(), response()) else { continue };
        let list = if is_envelope { value.get("data").unwrap_or(&Value::Null) } else { &value };
        inputs(for_inputs, list, keys.len());
        by_key(for_keys, list, &keys.iter().collect::<Vec<_>>());
    }
}

fn inputs(response: HandlerResponse, list: &Value, count: usize) {
    let errors = response.errors.len();
    let read = read_batch(response, BatchTarget::Inputs(count));
    let fits = list.as_array().is_some_and(|list| list.len() == count);
    assert_eq!(read.is_ok(), fits, "{count} inputs: {read:?}");
    let Ok(elements) = read else { return };
    let beside: usize = elements.iter().map(|element| element.errors.len()).sum();
    assert!(count == 0 || beside == errors, "{beside} of {errors} errors");
    for (element, item) in elements.iter().zip(list.as_array().into_iter().flatten()) {
        match &element.value {
            Ok(value) => assert_eq!(&value.node().to_tree(), item),
            Err(error) => assert_eq!(item["error"]["message"].as_str(), Some(error.message.as_str())),
        }
    }
}

fn by_key(response: HandlerResponse, list: &Value, keys: &[&Value]) {
    let read = read_batch(response, BatchTarget::Keys { field: "id", keys });
    let fits = list.as_array().is_some_and(|list| list.iter().all(|item| item.get("id").is_some()));
    assert_eq!(read.is_ok(), fits, "{read:?}");
    let Ok(elements) = read else { return };
    assert_eq!(elements.len(), keys.len());
    for (BatchElement { value, .. }, key) in elements.into_iter().zip(keys) {
        let same = |item: &&Value| item.get("id").is_some_and(|id| key_text(id) == key_text(key));
        let first = list.as_array().into_iter().flatten().find(same);
        assert_eq!(value.map(|value| value.node().to_tree()), Ok(first.unwrap_or(&Value::Null).clone()));
    }
}
