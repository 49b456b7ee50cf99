//! GraphQL over HTTP, both ways: <https://graphql.github.io/graphql-over-http/draft/>.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use percent_encoding::percent_decode_str;
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
fn measure_within(json: &[u8], what: &str, limits: &Limits) -> Result<Measure, HttpError> {
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
const DOCUMENT_ID: &str = "documentId";

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
fn read_hash<'a>(extensions: &'a RawValue, ids: &mut DocumentIds<'a>) -> bool {
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

fn missing_query() -> HttpError {
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
fn object_of<'a>(key: &str, raw: Option<&'a RawValue>) -> Result<Option<&'a RawValue>, HttpError> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(json) if json.starts_with('{') => Ok(raw),
        Some(_) => Err(HttpError::Malformed(format!("the key '{key}' must be an object"))),
    }
}

fn read_variables(raw: Option<&RawValue>) -> Result<RawObject<'_>, HttpError> {
    let Some(raw) = object_of("variables", raw)? else { return Ok(RawObject::default()) };
    serde_json::from_str(raw.get()).map_err(|error| HttpError::Malformed(format!("the key 'variables': {error}")))
}

/// The parameters of a GET request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct QueryParameters {
    /// The document.
    pub query: Option<String>,
    /// The operation's name.
    pub operation_name: Option<String>,
    /// JSON.
    pub variables: Option<String>,
    /// JSON.
    pub extensions: Option<String>,
    /// The id of the document.
    pub document_id: Option<String>,
}

impl QueryParameters {
    /// The same request as the body of a POST; its JSON has been found to be JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let raw =
            |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned().unwrap_or_else(|| "null".into());
        let text = |text: Option<&String>| Value::from(text.cloned()).to_string();
        format!(
            "{{\"query\":{},\"operationName\":{},\"variables\":{},\"extensions\":{}}}",
            text(self.query.as_ref()),
            text(self.operation_name.as_ref()),
            raw(self.variables.as_ref()),
            raw(self.extensions.as_ref())
        )
    }
}

/// Reads a URL's query string. Unknown parameters are left out.
///
/// # Errors
/// [`HttpError::Malformed`] for a parameter that is given twice or is not UTF-8 once decoded.
///
/// # Examples
/// ```
/// use pillion::protocol::http::read_query_string;
///
/// let parameters = read_query_string("query=%7B+a+%7D&operationName=").unwrap();
/// assert_eq!(parameters.query.as_deref(), Some("{ a }"));
/// ```
pub fn read_query_string(query: &str) -> Result<QueryParameters, HttpError> {
    let mut parameters = QueryParameters::default();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let slot = match decode(name)?.as_str() {
            "query" => &mut parameters.query,
            "operationName" => &mut parameters.operation_name,
            "variables" => &mut parameters.variables,
            "extensions" => &mut parameters.extensions,
            DOCUMENT_ID => &mut parameters.document_id,
            _ => continue,
        };
        if slot.is_some() {
            return Err(HttpError::Malformed(format!("the parameter '{name}' is given twice")));
        }
        *slot = Some(decode(value)?);
    }
    Ok(parameters)
}

/// Decodes [`application/x-www-form-urlencoded`](https://url.spec.whatwg.org/#urlencoded-parsing).
///
/// # Errors
/// [`HttpError::Malformed`] when the decoded bytes are not UTF-8.
pub fn decode(text: &str) -> Result<String, HttpError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| HttpError::Malformed("the URL is not UTF-8 once decoded".into()))
}

/// The request that GET parameters make. It borrows from them. `None` if they have only an id of its document.
///
/// # Errors
/// [`HttpError::Malformed`].
pub fn request_of<'a>(
    parameters: &'a QueryParameters,
    limits: &Limits,
) -> Result<Option<GraphqlRequest<'a>>, HttpError> {
    fn raw<'a>(name: &str, text: Option<&'a String>) -> Result<Option<&'a RawValue>, HttpError> {
        let wrong = |error| HttpError::Malformed(format!("the parameter '{name}' is not valid JSON: {error}"));
        text.filter(|text| !text.is_empty()).map(|text| serde_json::from_str(text).map_err(wrong)).transpose()
    }
    let text = parameters.variables.as_deref().unwrap_or_default();
    let excess = Excess::of(measure_within(text.as_bytes(), "the parameter 'variables'", limits)?, limits);
    let variables = parameters.variables.as_ref().filter(|_| excess.is_none());
    let (variables, extensions) = (raw("variables", variables)?, raw("extensions", parameters.extensions.as_ref())?);
    let (variables, extensions) = (read_variables(variables)?, object_of("extensions", extensions)?);
    let Some(query) = parameters.query.as_deref() else {
        let ids = ids_of(parameters);
        // Those that are to be executed have room for their variables, which are not read otherwise.
        return if excess.is_none() && ids.all().next().is_some() { Ok(None) } else { Err(missing_query()) };
    };
    let operation_name = parameters.operation_name.as_deref().map(Cow::Borrowed);
    Ok(Some(GraphqlRequest { query: Cow::Borrowed(query), operation_name, variables, extensions, excess }))
}

/// The ids of the document that GET parameters name.
#[must_use]
pub fn ids_of(parameters: &QueryParameters) -> DocumentIds<'_> {
    let mut ids = DocumentIds { hash: None, document_id: parameters.document_id.as_deref().map(Cow::Borrowed) };
    let extensions = parameters.extensions.as_deref().and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
    if let Some(extensions) = extensions {
        read_hash(extensions, &mut ids);
    }
    ids
}

/// The media types of responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    /// `application/json`: every well-formed request gets status 200.
    Json,
    /// `application/graphql-response+json`: the status shows whether the request was valid.
    GraphqlResponse,
}

/// What `Accept` lists, in small letters, with the weight of each.
fn accepted(headers: &HeaderMap) -> impl Iterator<Item = (String, f32)> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        (media_type, quality)
    })
}

impl ResponseType {
    fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            "application/graphql-response+json" => Some(Self::GraphqlResponse),
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            _ => None,
        }
    }

    /// The media type that the client's `Accept` prefers; `application/json` by default.
    #[must_use]
    pub fn negotiate(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Self::Json);
        for (media_type, quality) in accepted(headers) {
            if let (Some(response_type), true) = (Self::of_media_type(&media_type), quality > best.0) {
                best = (quality, response_type);
            }
        }
        best.1
    }

    /// The `Content-Type` of a response of this type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        }
    }
}

/// Does the client want a page rather than JSON, as a browser does that opens a link? A type that it names counts more than
/// one that a star stands for.
#[must_use]
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let (mut html, mut json, mut any) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (media_type, quality) in accepted(headers) {
        let best = match media_type.as_str() {
            "text/html" | "application/xhtml+xml" => &mut html,
            "application/json" | "application/graphql-response+json" | "text/event-stream" => &mut json,
            "*/*" | "application/*" => &mut any,
            _ => continue,
        };
        *best = best.max(quality);
    }
    html > json && html >= any
}

/// Is the response to be a stream of events? A subscription's is if the client takes one at all; that to a query or a
/// mutation if the client takes nothing else.
#[must_use]
pub fn wants_events(headers: &HeaderMap, is_subscription: bool) -> bool {
    let (mut events, mut json) = (false, false);
    for (media_type, _) in accepted(headers).filter(|(_, quality)| *quality > 0.0) {
        events |= media_type == "text/event-stream";
        json |= ResponseType::of_media_type(&media_type).is_some();
    }
    events && (is_subscription || !json)
}

/// Is a response one whose body is a stream of events?
#[must_use]
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    let media_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case("text/event-stream")
}

/// The media type that a POST declares for its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json` in UTF-8.
    Json,
    /// A form whose bytes may be percent-encoded.
    Form,
    /// Several bodies in one, as for uploads: the text among them can be searched as it is, files are bytes.
    Multipart,
    /// Anything else in UTF-8, or nothing at all: bytes can be searched as they are.
    Other,
    /// Another character set: bytes cannot be searched.
    OtherCharset,
}

impl ContentType {
    /// Reads the header.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let Some(value) = values.next() else { return Self::Other };
        // Two of them, or one that cannot be read, can mean anything.
        let (Ok(text), None) = (value.to_str(), values.next()) else { return Self::OtherCharset };
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
        if charset.is_some_and(|charset| !matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii")) {
            return Self::OtherCharset;
        }
        match media_type.as_str() {
            "application/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            multipart if multipart.starts_with("multipart/") => Self::Multipart,
            _ => Self::Other,
        }
    }
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
