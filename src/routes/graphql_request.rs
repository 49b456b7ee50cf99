//! The context of a request, read off its head, and how its response is sent.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri, header, request};
use uuid::Uuid;

use crate::config::settings::Upstream;
use crate::config::units::parse_duration;
use crate::downstream::client_address::ClientAddress;
use crate::downstream::session::DownstreamSession;
use crate::downstream::write_response::ResponseStyle;
use crate::downstream::{cors, request_head_checks, write_response};
use crate::execution::{access_log, spans};
use crate::memory::Share;
use crate::model::request::Caller;
use crate::protocol::media_type::ResponseType;
use crate::protocol::trace;
use crate::protocol::trace::TraceContext;
use crate::request::context::RequestContext;
use crate::request::response::Response;
use crate::routes::gateway::{Gateway, RequestState};
use crate::telemetry::request_kind::RequestKind;

/// HTTP/2 names the host beside the path, and not among the headers.
pub(crate) fn add_host(headers: &mut HeaderMap, uri: &Uri) {
    if let (false, Some(authority)) = (headers.contains_key(header::HOST), uri.authority())
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(header::HOST, host);
    }
}

/// The header in which clients set their timeout: `2s`, `500ms`.
const TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");

/// The deadline of a request, and whether the client requested it. It can request less than `max`, down to `min`: with
/// no time at all, handlers would only be called for nothing.
fn timeout(headers: &HeaderMap, min: Duration, max: Duration) -> (Duration, bool) {
    let wanted = headers.get(TIMEOUT).and_then(|value| parse_duration(value.to_str().ok()?));
    match wanted.map(|wanted| wanted.max(min)).filter(|wanted| *wanted < max) {
        Some(wanted) => (wanted, true),
        None => (max, false),
    }
}

/// The upstream's path and query for a client's request.
pub(crate) fn upstream_path(upstream: &Upstream, uri: &Uri, is_graphql: bool) -> String {
    let whole = uri.path_and_query().map_or_else(|| uri.path(), |path| path.as_str());
    if !is_graphql || upstream.graphql_path.is_none() {
        return whole.to_owned();
    }
    let path = upstream.path_for(uri.path());
    uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// Reads the context of a request off its head.
pub(crate) fn read_context(
    gateway: &Gateway,
    downstream: &DownstreamSession<'_>,
    ctx: &RequestState,
) -> RequestContext {
    let head = downstream.head();
    let snapshot = gateway.services.snapshot.load();
    let settings = &snapshot.configured.settings;
    let random = Uuid::new_v4();
    let request_id = trace::request_id(&head.headers).map_or_else(|| random.to_string(), str::to_owned);
    let mut headers = head.headers.clone();
    add_host(&mut headers, &head.uri);
    let client = ctx.client.unwrap_or_else(|| ClientAddress::of(&settings.client_addresses, downstream));
    let address = client.address();
    let mut trace = TraceContext::read(&headers, random.as_u128());
    spans::sample(&gateway.services, &mut trace);
    let path = head.uri.path().to_owned();
    let (timeout, is_clients_deadline) =
        timeout(&headers, settings.min_request_timeout, snapshot.catalog.limits.request_timeout);
    RequestContext {
        upstream_path: context_upstream_path(gateway, head, &settings.graphql_paths),
        query: head.uri.query().unwrap_or_default().to_owned(),
        is_get: head.method == Method::GET,
        response_type: ResponseType::negotiate(&headers),
        shows_status: path.ends_with("/v1alpha1/graphql"),
        // A page can send a GET without a preflight, so there is no reason to believe that the upstream would allow it.
        cors: if head.method == Method::POST || settings.cors.completes_upstream {
            cors::response_headers(&settings.cors, &headers)
        } else {
            HeaderMap::new()
        },
        compressed_from: settings.compressed_from,
        way: path.into(),
        started: ctx.started,
        is_clients_deadline,
        share: ctx.share.clone(),
        ..RequestContext::detached(
            Arc::new(Caller { headers, for_handlers: None, address, request_id }),
            trace,
            ctx.started + timeout,
        )
    }
}

/// Path and query for the upstream's part of a request, if they are not the path that it came by.
fn context_upstream_path(gateway: &Gateway, head: &request::Parts, graphql_paths: &[String]) -> Option<String> {
    let (upstream, path) = (gateway.services.upstream.settings(), head.uri.path());
    let is_mapped = upstream.graphql_path.is_some() && request_head_checks::is_graphql_path(path, graphql_paths);
    // The upstream is queried by POST, so a document must not stand in the URL as well.
    let has_query = head.method != Method::GET && head.uri.query().is_some();
    if !is_mapped && !has_query {
        return None;
    }
    let mut mapped = upstream_path(upstream, &head.uri, is_mapped);
    if head.method == Method::GET {
        mapped.truncate(mapped.find('?').unwrap_or(mapped.len()));
    }
    Some(mapped)
}

/// Sends the response to a request that concerned us, and writes the line about it.
///
/// # Errors
/// When the client has disconnected.
pub(crate) async fn send(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    context: &RequestContext,
    response: Response,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    ctx.kind = response.kind;
    access_log::record(&gateway.services, &response, context);
    // Everything else that the request held is freed.
    share.shrink_to(response.body.len());
    write_response::write(downstream, response, ResponseStyle::of(context), Some(share)).await?;
    Ok(true)
}

/// Sends a response that is not GraphQL. The caller has written its log line.
///
/// # Errors
/// When the client has disconnected.
pub(crate) async fn send_json(
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    context: &RequestContext,
    kind: RequestKind,
    status: u16,
    body: String,
) -> pingora::Result<bool> {
    ctx.kind = kind;
    let response = Response::new(status, body.into_bytes(), kind.label());
    write_response::write(
        downstream,
        response,
        ResponseStyle { response_type: ResponseType::Json, ..ResponseStyle::of(context) },
        None,
    )
    .await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_choose_their_timeout_within_limits() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(70));
        let of = |text: &str| {
            let headers = HeaderMap::from_iter([(TIMEOUT, text.parse().expect("a value"))]);
            timeout(&headers, min, max)
        };
        for (text, wanted) in [
            ("2s", (Duration::from_secs(2), true)),
            ("1ms", (min, true)),
            ("0s", (max, false)),
            ("70s", (max, false)),
            ("2m", (max, false)),
            ("soon", (max, false)),
        ] {
            assert_eq!(of(text), wanted, "{text}");
        }
        assert_eq!(timeout(&HeaderMap::new(), min, max), (max, false));
        assert_eq!(
            timeout(&HeaderMap::from_iter([(TIMEOUT, "1ms".parse().expect("a value"))]), max, min),
            (min, false)
        );
    }
}
