//! A GraphQL request that is executed here: its metadata, and how its response is written.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri, header};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::auth::authenticated::Authenticated;
use crate::config::settings::Upstream;
use crate::config::values::parse_duration;
use crate::downstream::client_address::named_client;
use crate::downstream::session::DownstreamSession;
use crate::downstream::write_response::ResponseStyle;
use crate::downstream::{cors, request_head_checks, write_response};
use crate::execution::{access_log, spans};
use crate::memory::Share;
use crate::metadata_api::ApiRequest;
use crate::model::request::Caller;
use crate::pipeline::subscription::SubscriptionRequest;
use crate::protocol::http::ResponseType;
use crate::protocol::trace;
use crate::protocol::trace::TraceContext;
use crate::request::context::RequestContext;
use crate::request::response::Response;
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::get_policy;
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

/// What is kept of a request while it is served.
pub(crate) struct IncomingRequest {
    caller: Caller,
    trace: TraceContext,
    /// The path alone, which may be logged.
    path: String,
    upstream_path: String,
    query: String,
    cors: HeaderMap,
    response_type: ResponseType,
    compressed_from: usize,
}

impl IncomingRequest {
    /// Reads it off the request's head.
    pub(crate) fn of(gateway: &Gateway, downstream: &DownstreamSession<'_>) -> Self {
        let head = downstream.head();
        let configured = gateway.services.configured();
        let settings = &configured.settings;
        let random = Uuid::new_v4();
        let request_id = trace::request_id(&head.headers).map_or_else(|| random.to_string(), str::to_owned);
        let mut headers = head.headers.clone();
        add_host(&mut headers, &head.uri);
        let address = named_client(&settings.client_addresses, downstream).or_else(|| downstream.peer());
        let mut trace = TraceContext::read(&headers, random.as_u128());
        spans::sample(&gateway.services, &mut trace);
        let path = head.uri.path().to_owned();
        let upstream = gateway.services.upstream.settings();
        let is_mapped =
            upstream.graphql_path.is_some() && request_head_checks::is_graphql_path(&path, &settings.graphql_paths);
        let mut upstream_path = upstream_path(upstream, &head.uri, is_mapped);
        if head.method == Method::GET {
            // The upstream is queried by POST, so a document must not stand in the URL as well.
            upstream_path.truncate(upstream_path.find('?').unwrap_or(upstream_path.len()));
        }
        Self {
            response_type: ResponseType::negotiate(&headers),
            // A page can send a GET without a preflight, so there is no reason to believe that the upstream would allow it.
            cors: if head.method == Method::POST || settings.cors.completes_upstream {
                cors::response_headers(&settings.cors, &headers)
            } else {
                HeaderMap::new()
            },
            compressed_from: settings.compressed_from,
            trace,
            caller: Caller { headers, for_handlers: None, address, request_id },
            path,
            upstream_path,
            query: head.uri.query().unwrap_or_default().to_owned(),
        }
    }

    /// Writes the line about it.
    pub(crate) fn log(&self, gateway: &Gateway, response: &Response, began: Instant) {
        access_log::record(&gateway.services, response, &self.caller, &self.trace, &self.path, began);
    }

    /// The same for the metadata API, which may outlive the request.
    pub(crate) fn asked(&self) -> ApiRequest {
        let Caller { headers, request_id, .. } = &self.caller;
        ApiRequest { path: self.upstream_path.clone(), headers: headers.clone(), request_id: request_id.clone() }
    }

    /// The client's address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.caller.address
    }

    /// How its responses are written.
    pub(crate) fn manner(&self) -> ResponseStyle<'_> {
        let Self { response_type, cors, caller, compressed_from, .. } = self;
        ResponseStyle {
            response_type: *response_type,
            request_id: &caller.request_id,
            cors,
            compressed_from: *compressed_from,
            closes: false,
        }
    }

    /// The upstream's CORS headers.
    pub(crate) fn set_cors(&mut self, cors: &HeaderMap) {
        if cors.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) || self.cors.is_empty() {
            self.cors = cors.clone();
        }
    }

    /// The upstream's path, and the client's headers.
    pub(crate) fn get_asked(&self) -> get_policy::PolicyProbe<'_> {
        get_policy::PolicyProbe { path: &self.upstream_path, headers: &self.caller.headers }
    }

    /// The same for an operation that may yield more than one result.
    pub(crate) fn request(
        &self,
        way: &'static str,
        payload: String,
        authenticated: Authenticated,
        share: Arc<Share>,
    ) -> SubscriptionRequest {
        SubscriptionRequest {
            way,
            payload,
            share,
            path: self.upstream_path.clone(),
            caller: Arc::new(self.caller.clone()),
            authenticated: Some(Ok(authenticated)),
        }
    }

    /// How the request came.
    pub(crate) fn context<'v>(
        &'v self,
        gateway: &Gateway,
        ctx: &RequestState,
        is_get: bool,
        share: Option<&'v Share>,
    ) -> RequestContext<'v> {
        let (min, max) = (
            gateway.services.configured().settings.min_request_timeout,
            gateway.services.snapshot.load().catalog.limits.request_timeout,
        );
        let (timeout, is_clients_deadline) = timeout(&self.caller.headers, min, max);
        RequestContext {
            share,
            caller: &self.caller,
            trace: &self.trace,
            path: &self.upstream_path,
            query: &self.query,
            is_get,
            response_type: self.response_type,
            shows_status: self.path.ends_with("/v1alpha1/graphql"),
            deadline: ctx.started + timeout,
            is_clients_deadline,
            subscription: None,
            batch: None,
            handler_headers: HeaderMap::new(),
            authenticated: OnceCell::new(),
        }
    }
}

/// Sends the response to a request that concerned us, and writes the line about it.
///
/// # Errors
/// When the client has disconnected.
pub(crate) async fn send(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    incoming: &IncomingRequest,
    response: Response,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    ctx.kind = response.kind;
    incoming.log(gateway, &response, ctx.started);
    // Everything else that the request held is freed.
    share.shrink_to(response.body.len());
    write_response::write(downstream, response, incoming.manner(), Some(share)).await?;
    Ok(true)
}

/// Sends a response that is not GraphQL. The caller has written its log line.
///
/// # Errors
/// When the client has disconnected.
pub(crate) async fn send_json(
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    incoming: &IncomingRequest,
    kind: RequestKind,
    status: u16,
    body: String,
) -> pingora::Result<bool> {
    ctx.kind = kind;
    let response = Response::new(status, body.into_bytes(), kind.label());
    write_response::write(
        downstream,
        response,
        ResponseStyle { response_type: ResponseType::Json, ..incoming.manner() },
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
