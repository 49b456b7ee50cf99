//! Compiled transforms: how the request to a handler and its response are rewritten (Hasura's REST connectors).

use http::Method;
use http::header::HeaderName;

use crate::kriti::Template;

/// `request_transform`. What is absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct RequestTransform {
    /// Instead of POST.
    pub method: Option<Method>,
    /// The whole address.
    pub url: Option<Template>,
    /// Replaces the address's query.
    pub query: Option<QueryTransform>,
    /// What becomes of the body.
    pub body: BodyTransform,
    /// Set after all others, in order.
    pub add_headers: Vec<(HeaderName, Template)>,
    /// Removed before that.
    pub remove_headers: Vec<HeaderName>,
}

/// `query_params`.
#[derive(Clone, Debug)]
pub enum QueryTransform {
    /// Name and value, each a template; a parameter may do without a value.
    Pairs(Vec<(Template, Option<Template>)>),
    /// The query as one string.
    Text(Template),
    /// The handler's own query and all arguments: strings as they are, the rest as JSON, null not at all.
    Input,
}

/// `body`.
#[derive(Clone, Debug, Default)]
pub enum BodyTransform {
    /// It stays.
    #[default]
    Keep,
    /// There is none.
    Remove,
    /// It is the value of this template, as JSON.
    Json(Template),
    /// It is an HTML form with these fields.
    Form(Vec<(String, Template)>),
}

/// `response_transform`.
#[derive(Clone, Debug, Default)]
pub struct ResponseTransform {
    /// What becomes of the response's body.
    pub body: BodyTransform,
}
