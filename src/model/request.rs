//! The client's GraphQL request, and the caller's session.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderMap;
use serde_json::value::RawValue;

use crate::model::json::{Measure, RawObject};
use crate::model::limits::Limits;

/// One GraphQL request, however it travelled. It borrows from the body it was read from.
#[derive(Debug)]
pub struct GraphqlRequest<'a> {
    /// The document.
    pub query: Cow<'a, str>,
    /// Which of its operations to run.
    pub operation_name: Option<Cow<'a, str>>,
    /// The variables, their JSON untouched.
    pub variables: RawObject<'a>,
    /// Extensions, untouched.
    pub extensions: Option<&'a RawValue>,
    /// What of it is more than a request with an action may have; then its variables have not been read.
    pub excess: Option<Excess>,
}

/// The ids by which a request names its document, beside its text or instead of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentIds<'a> {
    /// `extensions.persistedQuery.sha256Hash`.
    pub hash: Option<Cow<'a, str>>,
    /// `documentId`.
    pub document_id: Option<Cow<'a, str>>,
}

impl DocumentIds<'_> {
    /// All that are there.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.hash.as_deref().into_iter().chain(self.document_id.as_deref())
    }
}

/// A request has too many values, each of which takes a multiple of its text. One that is only sent on may have as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has more than {max} elements of lists and keys of objects")]
pub struct Excess {
    /// The limit.
    pub max: usize,
}

impl Excess {
    /// Has a text of this measure too many?
    #[must_use]
    pub fn of(measure: Measure, limits: &Limits) -> Option<Self> {
        let max = limits.max_values;
        (measure.elements > max).then_some(Self { max })
    }
}

impl GraphqlRequest<'_> {
    /// A document of which nothing else is known any more.
    #[must_use]
    pub fn of_document(query: String) -> Self {
        Self {
            query: query.into(),
            operation_name: None,
            variables: RawObject::default(),
            extensions: None,
            excess: None,
        }
    }
}

/// The peer and client addresses, as far as HTTP shows them.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The request's headers.
    pub headers: HeaderMap,
    /// Those that may be sent on to handlers, if they are others: on a socket, what the client has sent over it.
    pub for_handlers: Option<HeaderMap>,
    /// The peer's address.
    pub address: Option<IpAddr>,
    /// The id of this request: the client's own if it is well-formed, else ours.
    pub request_id: String,
}

impl Caller {
    /// The headers that may be sent on to handlers.
    #[must_use]
    pub fn to_handlers(&self) -> &HeaderMap {
        self.for_handlers.as_ref().unwrap_or(&self.headers)
    }
}
