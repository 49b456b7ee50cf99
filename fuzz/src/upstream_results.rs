//! Responses of the upstream: what is read of them is what `serde_json` reads.

use std::borrow::Cow;
use std::collections::HashMap;

use pillion::graphql::merge::{UpstreamResultError, read_upstream_result};
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(serde::Deserialize)]
struct Reference<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<Option<HashMap<String, &'a RawValue>>>,
    #[serde(borrow, default)]
    errors: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    extensions: Option<&'a RawValue>,
}

/// A null is there.
fn present<'de, D: serde::Deserializer<'de>, T: serde::Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The body of a response. It is taken if and only if it is JSON with `data` or errors, and each of its values is found whole.
pub fn upstream_result(bytes: &[u8]) {
    let reference = match (serde_json::from_slice::<Reference<'_>>(bytes), read_upstream_result(bytes)) {
        (Err(_), Err(UpstreamResultError::NotGraphql(_))) => return,
        (Ok(reference), Err(UpstreamResultError::Empty)) => {
            assert!(reference.data.is_none() && reference.errors.is_none_or(|errors| errors.is_empty()));
            return;
        }
        (Ok(reference), Ok(result)) => (reference, result),
        (reference, result) => panic!("{:?} is not {:?}", reference.err(), result.err()),
    };
    let (Reference { data, errors, extensions }, result) = reference;
    assert_eq!((data.is_some(), matches!(data, Some(None))), (result.has_data, result.data_is_null));
    let data = data.flatten().unwrap_or_default();
    assert_eq!(data.len(), result.data.len());
    for (name, value) in data {
        assert_eq!(result.data.get(&Cow::from(name.as_str())).copied(), Some(value.get()), "{name}");
    }
    let texts = |values: &[&RawValue]| values.iter().map(|value| value.get().to_owned()).collect::<Vec<_>>();
    assert_eq!(texts(&errors.unwrap_or_default()), texts(&result.errors));
    let is_object = |value: &&RawValue| serde_json::from_str::<Value>(value.get()).is_ok_and(|value| value.is_object());
    assert_eq!(extensions.filter(is_object).map(RawValue::get), result.extensions.filter(is_object).map(RawValue::get));
}
