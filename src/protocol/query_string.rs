//! The parameters of a GET: GraphQL requests in the query string of a URL.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::limits::Limits;
use crate::model::request::{DocumentIds, Excess, GraphqlRequest};
use crate::protocol::http::{
    DOCUMENT_ID, HttpError, measure_within, missing_query, object_of, read_hash, read_variables,
};

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
/// use pillion::protocol::query_string::read_query_string;
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
