//! Merges the results of a plan's steps into one response: keys in the order of the document, the upstream's bytes
//! copied as they are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::model::strict_json::{read_object, skip_space, value_end};

/// The response to a root field, as JSON text; `None` where there is none and null must stand.
pub type FieldValue<'a> = Option<Cow<'a, str>>;

/// What the upstream gave back for its part.
#[derive(Debug, Default)]
pub struct UpstreamResult<'a> {
    /// The JSON of each of its root fields by response name.
    pub data: HashMap<Cow<'a, str>, &'a str>,
    /// Was `data` there? Without it the errors are of the request, and nothing has run.
    pub has_data: bool,
    /// Was `data` there, and null? Then a field that may not be null failed.
    pub data_is_null: bool,
    /// Its errors, each untouched.
    pub errors: Vec<&'a RawValue>,
    /// Its extensions, untouched.
    pub extensions: Option<&'a RawValue>,
}

impl<'a> UpstreamResult<'a> {
    /// A response with nothing but data, whose root fields are known; `None` if they are not within it.
    #[must_use]
    pub fn of_root_fields(body: &'a [u8], fields: &'a [(String, Range<usize>)]) -> Option<Self> {
        let field = |(name, range): &'a (String, Range<usize>)| {
            Some((Cow::Borrowed(name.as_str()), std::str::from_utf8(body.get(range.clone())?).ok()?))
        };
        let data = fields.iter().map(field).collect::<Option<_>>()?;
        Some(Self { data, has_data: true, ..Self::default() })
    }
}

/// Why bytes are no response of a GraphQL server.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamResultError {
    /// They are not JSON, or `data`, `errors` or `extensions` has the wrong type.
    #[error("the response is not a GraphQL response: {0}")]
    NotGraphql(#[from] serde_json::Error),
    /// Neither `data` nor an error is in it.
    #[error("the response is not a GraphQL response: it has neither data nor errors")]
    Empty,
}

/// Reads the response of a GraphQL server. Nothing below the root fields is looked at.
///
/// # Errors
/// [`UpstreamResultError`].
///
/// # Examples
/// ```
/// use pillion::graphql::merge::read_upstream_result;
///
/// let result = read_upstream_result(br#"{"data":{"a":1.10}}"#).unwrap();
/// assert_eq!(result.data["a"], "1.10");
/// assert!(read_upstream_result(b"<html>").is_err());
/// ```
pub fn read_upstream_result(body: &[u8]) -> Result<UpstreamResult<'_>, UpstreamResultError> {
    let result = match read_well_formed(body) {
        Some(result) => result,
        None => read_any(body)?,
    };
    if !result.has_data && result.errors.is_empty() {
        return Err(UpstreamResultError::Empty);
    }
    Ok(result)
}

/// Reads a response as nearly all are; `None` leaves it to [`read_any`], which knows what is wrong.
fn read_well_formed(body: &[u8]) -> Option<UpstreamResult<'_>> {
    let json = std::str::from_utf8(body).ok()?;
    let bytes = json.as_bytes();
    let (mut result, mut errors) = (UpstreamResult::default(), None);
    let end = read_object(json, skip_space(bytes, 0), |member| {
        let start = member.value;
        match (member.key.as_ref(), bytes.get(start)?) {
            ("data", b'{') if !result.has_data => {
                result.has_data = true;
                read_object(json, start, |member| {
                    let end = value_end(bytes, member.value)?;
                    result.data.insert(member.key, json.get(member.value..end)?);
                    Some(end)
                })
            }
            ("errors", b'[') if errors.is_none() => {
                let end = value_end(bytes, start)?;
                errors = Some(serde_json::from_str::<Vec<&RawValue>>(json.get(start..end)?).ok()?);
                Some(end)
            }
            ("extensions", b'{') if result.extensions.is_none() => {
                let end = value_end(bytes, start)?;
                result.extensions = Some(serde_json::from_str(json.get(start..end)?).ok()?);
                Some(end)
            }
            ("data" | "errors" | "extensions", _) => None,
            _ => value_end(bytes, start),
        }
    })?;
    result.errors = errors.unwrap_or_default();
    (skip_space(bytes, end) == bytes.len()).then_some(result)
}

/// Reads any response.
fn read_any(body: &[u8]) -> Result<UpstreamResult<'_>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Envelope<'a> {
        // `Some(None)` is a null, `None` is absent.
        #[serde(borrow, default, deserialize_with = "present")]
        data: Option<Option<HashMap<BorrowedKey<'a>, &'a RawValue>>>,
        #[serde(borrow, default)]
        errors: Option<Vec<&'a RawValue>>,
        #[serde(borrow, default)]
        extensions: Option<&'a RawValue>,
    }
    let Envelope { data, errors, extensions } = serde_json::from_slice(body)?;
    // Duplicate keys are the upstream's responsibility: the last one counts, as in most JSON parsers.
    let (has_data, data_is_null) = (data.is_some(), matches!(data, Some(None)));
    let data = data.flatten().unwrap_or_default().into_iter().map(|(key, value)| (key.0, value.get())).collect();
    let extensions = extensions.filter(|extensions| extensions.get().starts_with('{'));
    Ok(UpstreamResult { data, has_data, data_is_null, errors: errors.unwrap_or_default(), extensions })
}

/// `Option` alone takes a null for absent.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[derive(serde::Deserialize, PartialEq, Eq, Hash)]
#[serde(transparent)]
struct BorrowedKey<'a>(#[serde(borrow)] Cow<'a, str>);

/// The pieces of a response, in the order in which they are written.
#[derive(Debug, Default)]
pub struct Merged<'a> {
    /// Root fields in document order. `None` when the whole of `data` is null.
    pub data: Option<Vec<(&'a str, FieldValue<'a>)>>,
    /// Errors, each as JSON text.
    pub errors: Vec<Cow<'a, str>>,
    /// Extensions objects, each as JSON text; later ones add keys to earlier ones.
    pub extensions: Vec<&'a RawValue>,
}

/// Writes a response: errors first, so that they are not overlooked, as the specification suggests.
///
/// # Examples
/// ```
/// use pillion::graphql::merge::{Merged, write};
///
/// let data = vec![("b", Some("[1]".into())), ("a", None)];
/// let merged = Merged { data: Some(data), ..Merged::default() };
/// assert_eq!(write(&merged), br#"{"data":{"b":[1],"a":null}}"#);
/// ```
#[must_use]
pub fn write(merged: &Merged<'_>) -> Vec<u8> {
    // Large values are not copied twice.
    let values =
        merged.data.iter().flatten().map(|(name, value)| name.len() + value.as_ref().map_or(0, |v| v.len()) + 8);
    let mut json = String::with_capacity(256 + values.sum::<usize>());
    json.push('{');
    if !merged.errors.is_empty() {
        json.push_str("\"errors\":[");
        push_separated(&mut json, merged.errors.iter().map(AsRef::as_ref));
        json.push_str("],");
    }
    json.push_str("\"data\":");
    match &merged.data {
        None => json.push_str("null"),
        Some(fields) => {
            json.push('{');
            for (index, (response_name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                // A GraphQL name needs no escapes.
                json.push('"');
                json.push_str(response_name);
                json.push_str("\":");
                json.push_str(value.as_deref().unwrap_or("null"));
            }
            json.push('}');
        }
    }
    write_extensions(&mut json, &merged.extensions);
    json.push('}');
    json.into_bytes()
}

fn write_extensions(json: &mut String, extensions: &[&RawValue]) {
    let mut keys: indexmap::IndexMap<Cow<'_, str>, &RawValue> = indexmap::IndexMap::new();
    for object in extensions {
        let entries = serde_json::from_str::<indexmap::IndexMap<BorrowedKey<'_>, &RawValue>>(object.get());
        for (key, value) in entries.unwrap_or_default() {
            keys.entry(key.0).or_insert(value);
        }
    }
    if keys.is_empty() {
        return;
    }
    json.push_str(",\"extensions\":{");
    let entries = keys.iter().map(|(key, value)| format!("{}:{}", serde_json::Value::from(key.as_ref()), value.get()));
    push_separated(json, entries);
    json.push('}');
}

fn push_separated<T: AsRef<str>>(json: &mut String, items: impl Iterator<Item = T>) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push_str(item.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstreams_bytes_are_copied_and_keys_follow_the_document() {
        let upstream = r#" {"data" : {"b": 12345678901234567890.10 ,"a":{"x" : "\u00e9"}}, "extensions":{"t": 1.0}} "#;
        let response = read_upstream_result(upstream.as_bytes()).expect("a GraphQL response");
        let value = |name: &str| response.data.get(name).map(|raw| Cow::Borrowed(*raw));
        let merged = Merged {
            data: Some(vec![("a", value("a")), ("act", Some("true".into())), ("b", value("b")), ("gone", None)]),
            errors: Vec::new(),
            extensions: response.extensions.into_iter().collect(),
        };
        assert_eq!(
            String::from_utf8_lossy(&write(&merged)),
            r#"{"data":{"a":{"x" : "\u00e9"},"act":true,"b":12345678901234567890.10,"gone":null},"extensions":{"t":1.0}}"#
        );
    }

    #[test]
    fn anything_but_a_graphql_response_is_rejected() {
        for body in
            ["", "<html>", "[]", "null", "{}", r#"{"data":[]}"#, r#"{"data":1}"#, r#"{"errors":{}}"#, "{\"data\":{"]
        {
            assert!(read_upstream_result(body.as_bytes()).is_err(), "{body} was taken");
        }
        let rejected = read_upstream_result(br#"{"errors":[{"message":"no"}]}"#).expect("a request error");
        assert!(!rejected.data_is_null);
        assert!(read_upstream_result(br#"{"data":null,"errors":[]}"#).expect("null").data_is_null);
    }
}
