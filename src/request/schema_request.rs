//! For which caller the upstream's schema is fetched.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;

use crate::request::context::RequestContext;
use crate::session::Session;

/// The caller for whom the upstream is introspected.
pub(crate) struct SchemaRequest<'a> {
    /// Path and query of the upstream.
    pub path: Cow<'a, str>,
    /// The caller's headers.
    pub headers: Cow<'a, HeaderMap>,
    /// The id of the caller's request.
    pub request_id: Cow<'a, str>,
    /// The caller's role.
    pub role: Cow<'a, str>,
    /// How long the upstream may take.
    pub timeout: Duration,
}

impl<'a> SchemaRequest<'a> {
    /// The caller of a request.
    #[must_use]
    pub(crate) fn of(context: &RequestContext<'a>, session: &'a Session, timeout: Duration) -> Self {
        Self {
            path: context.path.into(),
            headers: Cow::Borrowed(&context.caller.headers),
            request_id: context.caller.request_id.as_str().into(),
            role: session.role().into(),
            timeout,
        }
    }

    /// The same for a task that outlives the request.
    #[must_use]
    pub(crate) fn into_owned(self) -> SchemaRequest<'static> {
        SchemaRequest {
            path: self.path.into_owned().into(),
            headers: Cow::Owned(self.headers.into_owned()),
            request_id: self.request_id.into_owned().into(),
            role: self.role.into_owned().into(),
            timeout: self.timeout,
        }
    }
}
