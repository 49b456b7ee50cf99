//! A REST endpoint, and which one a method and a path lead to.
//!
//! The rules are those of Hasura's RESTified endpoints: a template of literal segments and variables (`users/:id`), a list of
//! methods, and no two templates that one request could match.

use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::model::source::SourceLocation;

/// What the paths of all endpoints begin with.
pub const PREFIX: &str = "/api/rest/";

/// One endpoint.
#[derive(Clone, Debug)]
pub struct RestEndpoint {
    /// Its name, unique among the endpoints.
    pub name: String,
    /// Its template as it was written.
    pub template: String,
    /// The template, segment by segment.
    pub segments: Vec<Segment>,
    /// The methods that it takes; at least one.
    pub methods: Vec<Method>,
    /// The text of its document, which has exactly one operation.
    pub document: Arc<str>,
    /// The variables of the operation.
    pub variables: Vec<EndpointVariable>,
    /// Does the operation write?
    pub is_mutation: bool,
    /// Its description.
    pub comment: Option<String>,
    /// Where it is defined.
    pub place: SourceLocation,
}

/// A segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Matches itself.
    Literal(String),
    /// Matches anything, which is the value of the variable of this name.
    Variable(String),
}

/// A variable of an endpoint's operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointVariable {
    /// Its name without `$`.
    pub name: String,
    /// The name of its type, or of the innermost element of a list.
    pub type_name: String,
    /// Is it a list?
    pub is_list: bool,
    /// May it be null?
    pub is_nullable: bool,
    /// Has it a default?
    pub has_default: bool,
}

/// Why a template cannot be one. `Display` is Hasura's message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `a//b`, `a/`, `a/:/b`.
    #[error("Empty segments or unnamed variables are not allowed: {0}")]
    Empty(String),
    /// `:id/:id`
    #[error("Duplicate variables found in endpoint paths: {0}")]
    Duplicate(String),
}

/// Where a request leads.
#[derive(Debug)]
pub enum Matched<'e> {
    /// To this endpoint, with the values of its template's variables in order.
    Endpoint(&'e RestEndpoint, Vec<String>),
    /// To none of this method; these have others.
    OtherMethods(Vec<&'e RestEndpoint>),
    /// To none.
    Nothing,
}

/// Reads a template.
///
/// # Errors
/// [`TemplateError`]
///
/// # Examples
/// ```
/// use pillion::rest::endpoint::{Segment, read_template};
///
/// let segments = read_template("users/:id").unwrap();
/// assert_eq!(segments, [Segment::Literal("users".into()), Segment::Variable("id".into())]);
/// assert!(read_template("users/").is_err());
/// ```
pub fn read_template(template: &str) -> Result<Vec<Segment>, TemplateError> {
    let segments: Vec<Segment> = template
        .split('/')
        .map(|segment| match segment.strip_prefix(':') {
            Some(name) => Segment::Variable(name.to_owned()),
            None => Segment::Literal(segment.to_owned()),
        })
        .collect();
    let is_empty = |segment: &Segment| match segment {
        Segment::Literal(text) | Segment::Variable(text) => text.is_empty(),
    };
    if segments.iter().any(is_empty) {
        return Err(TemplateError::Empty(template.to_owned()));
    }
    let mut names: Vec<&String> = segments.iter().filter_map(Segment::variable).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    if names.len() < count { Err(TemplateError::Duplicate(template.to_owned())) } else { Ok(segments) }
}

impl Segment {
    fn variable(&self) -> Option<&String> {
        match self {
            Self::Variable(name) => Some(name),
            Self::Literal(_) => None,
        }
    }
}

impl RestEndpoint {
    /// The names of the template's variables, in order.
    pub fn path_variables(&self) -> impl Iterator<Item = &String> {
        self.segments.iter().filter_map(Segment::variable)
    }

    /// The values of the template's variables, if it matches these segments.
    fn values(&self, path: &[String]) -> Option<Vec<String>> {
        if path.len() != self.segments.len() {
            return None;
        }
        let mut values = Vec::new();
        for (wanted, found) in self.segments.iter().zip(path) {
            match wanted {
                Segment::Variable(_) => values.push(found.clone()),
                Segment::Literal(text) if text == found => {}
                Segment::Literal(_) => return None,
            }
        }
        Some(values)
    }

    /// Could one request match both?
    #[must_use]
    pub fn is_ambiguous_with(&self, other: &Self) -> bool {
        let both = |(one, other): (&Segment, &Segment)| match (one, other) {
            (Segment::Literal(one), Segment::Literal(other)) => one == other,
            _ => true,
        };
        self.segments.len() == other.segments.len()
            && self.methods.iter().any(|method| other.methods.contains(method))
            && self.segments.iter().zip(&other.segments).all(both)
    }
}

/// The endpoint of a method and a URL's path, which may be percent-encoded. A path that does not begin with [`PREFIX`] leads
/// nowhere.
#[must_use]
pub fn find<'e>(endpoints: &'e [RestEndpoint], method: &Method, path: &str) -> Matched<'e> {
    let Some(rest) = path.strip_prefix(PREFIX) else { return Matched::Nothing };
    // Separated first: an encoded slash is part of a value.
    let segments: Vec<String> =
        rest.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect();
    let mut others = Vec::new();
    for endpoint in endpoints {
        let Some(values) = endpoint.values(&segments) else { continue };
        if endpoint.methods.contains(method) {
            return Matched::Endpoint(endpoint, values);
        }
        others.push(endpoint);
    }
    if others.is_empty() { Matched::Nothing } else { Matched::OtherMethods(others) }
}
