//! The upstream's policy for GET: some reject it (405), some only where a page could have sent it without a preflight
//! (400, against CSRF), and their CORS headers say which pages may read the response. Requests with an action are
//! served here, so the upstream is probed with the smallest query by GET, with the client's headers, and its response
//! decides for ours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, header};
use quick_cache::sync::Cache;

use crate::downstream::cors;
use crate::protocol::hop_by_hop::end_to_end;
use crate::request::context::RequestContext;
use crate::upstream::{Fetched, UpstreamClient, UpstreamError};

/// What the upstream does with GET requests of one kind.
pub(crate) struct GetPolicy {
    /// Its response, if it does not take them.
    pub rejection: Option<Fetched>,
    /// Its CORS headers.
    pub cors: HeaderMap,
}

/// The policy as far as it is known.
pub(crate) struct GetPolicies {
    known: Cache<Box<str>, (Instant, Arc<GetPolicy>)>,
}

/// Kinds of requests that are remembered. There are as many as there are origins and sets of headers.
const KINDS_MAX: usize = 512;

/// How long they are.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// Bytes of a rejection.
const REJECTION_BYTES_MAX: usize = 64 * 1024;

/// By which our own questions are known in the upstream's logs.
const REQUEST_ID: HeaderValue = HeaderValue::from_static("pillion-probe");

/// Of these headers the values count as well, of others whether they are there.
static TELLING: [HeaderName; 5] = [
    header::ORIGIN,
    header::CONTENT_TYPE,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("x-requested-with"),
];

/// They are about the body, or about what the client has already.
static LEFT_OUT: [HeaderName; 9] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
];

impl Default for GetPolicies {
    fn default() -> Self {
        Self { known: Cache::new(KINDS_MAX) }
    }
}

impl GetPolicies {
    /// The upstream's policy for such a request, cached or probed now.
    ///
    /// # Errors
    /// When the upstream cannot be probed. It is then unknown whether it would take the request.
    pub(crate) async fn of(
        &self,
        upstream: &UpstreamClient,
        context: &RequestContext,
    ) -> Result<Arc<GetPolicy>, UpstreamError> {
        let (path, headers) = (context.upstream_path(), &context.caller.headers);
        let kind = kind_of(path, headers);
        if let Some((since, policy)) = self.known.get(&*kind)
            && since.elapsed() < KNOWN_FOR
        {
            return Ok(policy);
        }
        let question = format!("{path}?query=%7B__typename%7D");
        let fetched = upstream.get(&question, &probe_headers(upstream, headers), REJECTION_BYTES_MAX).await?;
        let is_about_the_kind = is_about_the_kind(fetched.status);
        let cors = cors::headers_of(&fetched.headers);
        let policy = Arc::new(GetPolicy { rejection: rejection(fetched), cors });
        if is_about_the_kind {
            self.known.insert(kind, (Instant::now(), Arc::clone(&policy)));
        }
        Ok(policy)
    }
}

/// A caller that only we can authenticate is rejected by the upstream for that and not for the GET.
fn rejection(fetched: Fetched) -> Option<Fetched> {
    let is_taken = fetched.status.is_success() || fetched.status == StatusCode::UNAUTHORIZED;
    (!is_taken).then_some(fetched)
}

/// Does this status hold for every request of this kind? Others may be about one caller, or one moment.
fn is_about_the_kind(status: StatusCode) -> bool {
    status.is_success() || matches!(status.as_u16(), 400 | 404 | 405 | 406 | 415 | 501)
}

fn kind_of(path: &str, headers: &HeaderMap) -> Box<str> {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let telling = TELLING.iter().flat_map(|name| headers.get_all(name));
    let telling: Vec<_> = telling.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    // No header has a line's end in it.
    [path, &names.join(" "), &telling.join("\n")].join("\n").into()
}

fn probe_headers(upstream: &UpstreamClient, client: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(client.len() + 2);
    for (name, value) in end_to_end(client).filter(|(name, _)| !LEFT_OUT.contains(name)) {
        headers.append(name.clone(), value.clone());
    }
    if upstream.names_host_itself() {
        headers.remove(header::HOST);
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/graphql-response+json, application/json"));
    headers.insert(HeaderName::from_static("x-request-id"), REQUEST_ID);
    headers
}

/// A rejection as it goes on to the client: with all of the upstream's headers, and `more`.
#[must_use]
pub(crate) fn relayed(rejection: &Fetched, more: &HeaderMap) -> (StatusCode, HeaderMap, Bytes) {
    let mut headers = HeaderMap::with_capacity(rejection.headers.len() + 1);
    for (name, value) in end_to_end(&rejection.headers).chain(more) {
        headers.append(name.clone(), value.clone());
    }
    headers.insert(header::CONTENT_LENGTH, rejection.body.len().into());
    (rejection.status, headers, rejection.body.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_depend_on_what_a_page_can_choose() {
        let kind = |pairs: &[(&'static str, &'static str)]| {
            let header = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            kind_of("/graphql", &pairs.iter().map(header).collect())
        };
        assert_eq!(kind(&[("authorization", "a"), ("accept", "b")]), kind(&[("accept", "c"), ("authorization", "d")]));
        assert_ne!(kind(&[("origin", "https://a")]), kind(&[("origin", "https://b")]));
        assert_ne!(kind(&[]), kind(&[("x-apollo-operation-name", "a")]));
        assert_ne!(kind(&[("content-type", "application/json")]), kind(&[("content-type", "text/plain")]));
    }

    #[test]
    fn only_rejections_of_the_kind_are_cached() {
        let fetched = |status: u16| Fetched {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        for (status, is_rejected, is_kept) in [
            (200, false, true),
            (401, false, false),
            (400, true, true),
            (403, true, false),
            (404, true, true),
            (405, true, true),
            (429, true, false),
            (503, true, false),
        ] {
            let fetched = fetched(status);
            assert_eq!(is_about_the_kind(fetched.status), is_kept, "{status}");
            assert_eq!(rejection(fetched).is_some(), is_rejected, "{status}");
        }
    }
}
