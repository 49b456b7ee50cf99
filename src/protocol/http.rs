//! GraphQL requests in the bodies of a POST: <https://graphql.github.io/graphql-over-http/draft/>.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::json::{Measure, RawObject, WithInnerObject, measure};
use crate::model::limits::Limits;
use crate::model::request::{DocumentIds, Excess, GraphqlRequest};

/// Why a body or a query string is no GraphQL request. `Display` is for the client.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not JSON.
    #[error("the body is not valid JSON: {0}")]
    InvalidJson(String),
    /// JSON, but no request.
    #[error("{0}")]
    Malformed(String),
    /// More requests than one batch may have.
    #[error("the batch has {count} requests; at most {max} are allowed")]
    BatchTooLarge {
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
}

/// What a body holds.
#[derive(Debug)]
pub enum Body<'a> {
    /// One request.
    One(Element<'a>),
    /// Several, each to be executed on its own.
    Batch(Vec<Element<'a>>),
}

/// One request of a body.
#[derive(Debug)]
pub struct Element<'a> {
    /// The JSON it was written as.
    pub json: &'a str,
    /// The request; `None` if there is only an id of its document.
    pub request: Result<Option<GraphqlRequest<'a>>, HttpError>,
    /// The ids of its document.
    pub ids: DocumentIds<'a>,
}

impl<'a> Element<'a> {
    /// Reads a body that is one request, in one pass. `None` if there is anything else to say of it.
    fn read_usual(body: &'a str, excess: Option<Excess>) -> Option<Self> {
        let json = body.trim_matches([' ', '\t', '\n', '\r']);
        if excess.is_some() || !json.starts_with('{') {
            return None;
        }
        let mut ids = DocumentIds::default();
        let request = request_with(read_at_once(json)?, excess, &mut ids);
        Some(Self { json, request, ids })
    }

    fn read(json: &'a str, excess: Option<Excess>) -> Self {
        let mut ids = DocumentIds::default();
        let request = read_request(json, excess, &mut ids);
        Self { json, request, ids }
    }
}

/// Reads a POST body of JSON. A byte-order mark is skipped.
///
/// # Errors
/// [`HttpError`], when not even the elements can be separated.
///
/// # Examples
/// ```
/// use pillion::model::limits::Limits;
/// use pillion::protocol::http::{Body, read_body};
///
/// let body = read_body(br#"[{"query":"{ a }"},{"query":"{ b }"}]"#, &Limits::default()).unwrap();
/// assert!(matches!(body, Body::Batch(elements) if elements.len() == 2));
/// assert!(read_body(b"{", &Limits::default()).is_err());
/// ```
pub fn read_body<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Body<'a>, HttpError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| HttpError::InvalidJson(format!("byte {} is not UTF-8", error.valid_up_to())))?;
    let measure = measure_within(bytes, "the body", limits)?;
    let excess = Excess::of(measure, limits);
    if let Some(element) = Element::read_usual(text, excess) {
        return Ok(Body::One(element));
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| HttpError::InvalidJson(error.to_string()))?;
    if !raw.get().starts_with('[') {
        return Ok(Body::One(Element::read(raw.get(), excess)));
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let (elements, count) = FirstElements(limits.max_batch_size)
        .deserialize(&mut deserializer)
        .map_err(|error| HttpError::InvalidJson(error.to_string()))?;
    if count == 0 {
        return Err(HttpError::Malformed("the batch is empty; it must hold at least one request".into()));
    }
    if count > limits.max_batch_size {
        return Err(HttpError::BatchTooLarge { count, max: limits.max_batch_size });
    }
    Ok(Body::Batch(elements.into_iter().map(|raw| Element::read(raw.get(), excess)).collect()))
}

/// Measures JSON before anything is made of it.
pub(super) fn measure_within(json: &[u8], what: &str, limits: &Limits) -> Result<Measure, HttpError> {
    let too_deep = || HttpError::Malformed(format!("{what} is nested deeper than {} levels", limits.max_json_depth));
    measure(json, limits.max_json_depth).ok_or_else(too_deep)
}

/// The first elements of a list, up to so many, and how many there are: a list of millions is not held to be counted.
struct FirstElements(usize);

impl<'de> DeserializeSeed<'de> for FirstElements {
    type Value = (Vec<&'de RawValue>, usize);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for FirstElements {
    type Value = (Vec<&'de RawValue>, usize);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut first, mut count) = (Vec::new(), 0);
        while count < self.0
            && let Some(item) = items.next_element()?
        {
            first.push(item);
            count += 1;
        }
        while items.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok((first, count))
    }
}

/// What of a request decides whose it is, whatever else is in it.
#[derive(serde::Deserialize)]
struct Essence<'a> {
    #[serde(borrow)]
    query: Option<&'a RawValue>,
    #[serde(borrow, rename = "operationName")]
    operation_name: Option<&'a RawValue>,
    #[serde(borrow)]
    extensions: Option<&'a RawValue>,
    #[serde(borrow, rename = "documentId")]
    document_id: Option<&'a RawValue>,
}

/// The members of a request. Of one with too many values only a few are looked at: it may be the upstream's all the same.
fn members(json: &str, excess: Option<Excess>) -> Result<RawObject<'_>, serde_json::Error> {
    if excess.is_none() {
        return serde_json::from_str(json);
    }
    let Essence { query, operation_name, extensions, document_id } = serde_json::from_str(json)?;
    let members =
        [("query", query), ("operationName", operation_name), ("extensions", extensions), (DOCUMENT_ID, document_id)];
    Ok(RawObject(members.into_iter().filter_map(|(name, raw)| Some((name.into(), raw?))).collect()))
}

/// The members of a request, and those of its variables. Both are read in one pass, because variables may be most of it; what
/// is wrong is found by reading one after the other.
fn members_and_variables(json: &str, excess: Option<Excess>) -> Result<(RawObject<'_>, RawObject<'_>), HttpError> {
    if excess.is_none()
        && let Some(read) = read_at_once(json)
    {
        return Ok(read);
    }
    let object = members(json, excess).map_err(|error| HttpError::Malformed(error.to_string()))?;
    let variables = read_variables(object.get("variables"))?;
    Ok((object, variables))
}

/// The members of a request and those of its variables; `None` if anything is wrong with either.
fn read_at_once(json: &str) -> Option<(RawObject<'_>, RawObject<'_>)> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = WithInnerObject("variables").deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(read)
}

/// The member, and the parameter of a GET, that names a document by its id.
pub(super) const DOCUMENT_ID: &str = "documentId";

/// The member of `extensions` that names a document by its hash.
const PERSISTED_QUERY: &str = "persistedQuery";

fn read_request<'a>(
    json: &'a str,
    excess: Option<Excess>,
    ids: &mut DocumentIds<'a>,
) -> Result<Option<GraphqlRequest<'a>>, HttpError> {
    if !json.starts_with('{') {
        return Err(HttpError::Malformed("a request must be a JSON object".into()));
    }
    request_with(members_and_variables(json, excess)?, excess, ids)
}

/// The request with these members and variables.
fn request_with<'a>(
    (object, variables): (RawObject<'a>, RawObject<'a>),
    excess: Option<Excess>,
    ids: &mut DocumentIds<'a>,
) -> Result<Option<GraphqlRequest<'a>>, HttpError> {
    let extensions = object_of("extensions", object.get("extensions"))?;
    let query = text_of("query", object.get("query"))?;
    let operation_name = text_of("operationName", object.get("operationName"))?;
    let is_by_hash = extensions.is_some_and(|extensions| read_hash(extensions, ids));
    ids.document_id = object.get(DOCUMENT_ID).and_then(|id| text_of(DOCUMENT_ID, Some(id)).ok().flatten());
    let Some(query) = query else {
        // The document may be known by its id.
        return if is_by_hash || ids.document_id.is_some() { Ok(None) } else { Err(missing_query()) };
    };
    Ok(Some(GraphqlRequest { query, operation_name, variables, extensions, excess }))
}

/// Reads the hash of a persisted query. Is there any, whatever it looks like?
pub(super) fn read_hash<'a>(extensions: &'a RawValue, ids: &mut DocumentIds<'a>) -> bool {
    let Ok(extensions) = serde_json::from_str::<RawObject<'_>>(extensions.get()) else { return false };
    let Some(persisted) = extensions.get(PERSISTED_QUERY) else { return false };
    let members = serde_json::from_str::<RawObject<'_>>(persisted.get()).unwrap_or_default();
    ids.hash = members.get("sha256Hash").and_then(|hash| text_of("sha256Hash", Some(hash)).ok().flatten());
    true
}

/// The request of this JSON with the text of its document in the place of the ids; everything else is kept. `None` if it is
/// no object.
///
/// # Examples
/// ```
/// use pillion::protocol::http::with_document;
///
/// let json = r#"{"documentId":"a","variables":{"x":1.0},"extensions":{"persistedQuery":{"version":1},"mine":2}}"#;
/// let written = r#"{"query":"{ x }","variables":{"x":1.0},"extensions":{"mine":2}}"#;
/// assert_eq!(with_document(json, "{ x }").unwrap(), written);
/// ```
#[must_use]
pub fn with_document(json: &str, text: &str) -> Option<String> {
    let members: RawObject<'_> = serde_json::from_str(json).ok()?;
    let mut written = format!("{{\"query\":{}", Value::from(text));
    for (name, value) in members.0.iter().filter(|(name, _)| name != "query" && name != DOCUMENT_ID) {
        let kept = if name == "extensions" { without_hash(value) } else { Some(value.get().into()) };
        if let Some(kept) = kept {
            written.push(',');
            written.push_str(&Value::from(name.as_ref()).to_string());
            written.push(':');
            written.push_str(&kept);
        }
    }
    written.push('}');
    Some(written)
}

/// The extensions but for the hash; `None` if nothing is left of them.
fn without_hash(extensions: &RawValue) -> Option<Cow<'_, str>> {
    let Ok(members) = serde_json::from_str::<RawObject<'_>>(extensions.get()) else {
        return Some(extensions.get().into());
    };
    if members.get(PERSISTED_QUERY).is_none() {
        return Some(extensions.get().into());
    }
    let kept = members.0.iter().filter(|(name, _)| name != PERSISTED_QUERY);
    let kept: Vec<String> = kept.map(|(name, value)| format!("{}:{}", Value::from(name.as_ref()), value)).collect();
    if kept.is_empty() { None } else { Some(format!("{{{}}}", kept.join(",")).into()) }
}

/// The request of this JSON, whose document has this text instead of an id.
///
/// # Errors
/// [`HttpError`].
pub fn request_with_document<'a>(json: &'a str, text: &str, limits: &Limits) -> Result<GraphqlRequest<'a>, HttpError> {
    let excess = Excess::of(measure_within(json.as_bytes(), "the body", limits)?, limits);
    let (object, variables) = members_and_variables(json, excess)?;
    Ok(GraphqlRequest {
        query: Cow::Owned(text.to_owned()),
        operation_name: text_of("operationName", object.get("operationName"))?,
        variables,
        extensions: object_of("extensions", object.get("extensions"))?,
        excess,
    })
}

pub(super) fn missing_query() -> HttpError {
    HttpError::Malformed("the key 'query' was not present".into())
}

/// A string; null and absent are the same.
fn text_of<'a>(key: &str, raw: Option<&'a RawValue>) -> Result<Option<Cow<'a, str>>, HttpError> {
    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(json) => serde_json::from_str::<Text<'_>>(json)
            .map(|text| Some(text.0))
            .map_err(|_| HttpError::Malformed(format!("the key '{key}' must be a string"))),
    }
}

/// An object; null and absent are the same.
pub(super) fn object_of<'a>(key: &str, raw: Option<&'a RawValue>) -> Result<Option<&'a RawValue>, HttpError> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(json) if json.starts_with('{') => Ok(raw),
        Some(_) => Err(HttpError::Malformed(format!("the key '{key}' must be an object"))),
    }
}

pub(super) fn read_variables(raw: Option<&RawValue>) -> Result<RawObject<'_>, HttpError> {
    let Some(raw) = object_of("variables", raw)? else { return Ok(RawObject::default()) };
    serde_json::from_str(raw.get()).map_err(|error| HttpError::Malformed(format!("the key 'variables': {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_read_in_one_pass_is_read_as_any_other() {
        let bodies = [
            r#"{"query":"{ a }","variables":{"x":[1.0,"y"]},"operationName":"A","extensions":{"b":1},"more":0}"#,
            " \n\t\r{\"query\": \"{ a }\"} \n",
            r#"{"variables":null,"query":"{ \u0061 }"}"#,
            r#"{"query":1}"#,
            r#"{"documentId":"a","extensions":{"persistedQuery":{"sha256Hash":"ab"}}}"#,
            "{}",
        ];
        for body in bodies {
            let usual = Element::read_usual(body, None).map(|element| format!("{element:?}"));
            assert_eq!(usual, Some(format!("{:?}", Element::read(body.trim(), None))), "{body}");
        }
    }

    #[test]
    fn what_there_is_more_to_say_of_is_not_read_in_one_pass() {
        let twice = r#"{"query":"{ a }","query":"{ b }"}"#;
        let bodies = ["", "[]", "{", "{} {}", "\u{a0}{}", twice, r#"{"query":"{ a }","variables":[]}"#];
        for body in bodies {
            assert!(Element::read_usual(body, None).is_none(), "{body}");
        }
        let excess = Excess::of(Measure { bytes: 0, containers: 0, elements: usize::MAX }, &Limits::default());
        assert!(excess.is_some() && Element::read_usual("{}", excess).is_none());
    }
}
