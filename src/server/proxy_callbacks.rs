//! pingora's callbacks (`ProxyHttp`), in the order in which it calls them.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

use crate::downstream::session::{DownstreamSession, DownstreamTimeouts};
use crate::downstream::session_deadline::deadline_of;
use crate::downstream::{cors, http2_stream_timeout};
use crate::http_client::failure;
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::min_rate::Allowance;
use crate::model::replay::Replay;
use crate::model::response::RequestError;
use crate::protocol::hop_by_hop;
use crate::protocol::http1::framing::framing_of;
use crate::protocol::media_type::is_event_stream;
use crate::routes::gateway::{Gateway, RequestState, Upload};
use crate::routes::{graphql_request, reject, route};
use crate::telemetry::request_kind::RequestKind;
use crate::upstream::UpstreamError;
use crate::upstream::client::is_untouched;
use crate::upstream::reads::{body_only_reads, query_string_only_reads};

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = RequestState;

    fn new_ctx(&self) -> RequestState {
        RequestState::new(self)
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut RequestState) -> pingora::Result<bool> {
        let settings = &self.services.configured().settings;
        if let Some(deadline) = deadline_of(session.as_downstream()) {
            deadline.head_was_read();
        }
        // pingora has seen whether the client closes the connection, or must not be believed about where its request ends.
        let is_last = session.as_downstream().get_keepalive().is_none()
            || self.closes_connections()
            || hop_by_hop::closes(&session.req_header().headers)
            // The bytes after an upgrade are not HTTP, if the upstream agrees; if it does not, they would be ambiguous.
            || hop_by_hop::wants_websocket(&session.req_header().headers);
        session.set_keepalive((!is_last).then_some(settings.keepalive_timeout.as_secs()));
        // Bytes before the response are the client's next request, and only its disconnect is an end.
        session.set_pipelining_enabled(true);
        let timeouts = DownstreamTimeouts::of(settings);
        session.set_read_timeout(Some(timeouts.pause));
        session.set_write_timeout(Some(timeouts.for_piece_of_pingora()));
        session.set_total_drain_timeout(Some(timeouts.upload.grace));
        let screened =
            route::route(self, &mut DownstreamSession::of_pingora(session.as_downstream_mut(), timeouts), ctx).await?;
        // Bytes on an upgraded connection are no body.
        let may_have_body = !screened && !ctx.body_was_read && !session.is_upgrade_req();
        if may_have_body && !session.as_downstream_mut().is_body_done() {
            let allowance = Allowance::new(timeouts.upload).up_to(timeouts.pause);
            ctx.upload = Some(Upload { allowance, heard: Instant::now() });
        }
        Ok(screened)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        chunk: &mut Option<Bytes>,
        is_end: bool,
        ctx: &mut RequestState,
    ) -> pingora::Result<()> {
        if is_end {
            ctx.admission.body_has_passed();
            ctx.upload = None;
            http2_stream_timeout::body_has_arrived();
        }
        let Some(upload) = &mut ctx.upload else { return Ok(()) };
        upload.allowance.moved(chunk.as_ref().map_or(0, Bytes::len), upload.heard.elapsed());
        if upload.allowance.left().is_zero() {
            return Err(Error::new_down(ErrorType::ReadTimedout));
        }
        upload.wait(session, self.services.configured().settings.stream_idle_timeout);
        Ok(())
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut RequestState) -> pingora::Result<Box<HttpPeer>> {
        let peer = self.services.upstream.peer().ok_or_else(|| Error::new_up(ErrorType::ConnectNoRoute))?;
        Ok(Box::new(HttpPeer::clone(&peer)))
    }

    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        _: bool,
        _: &HttpPeer,
        _: RawFd,
        _: Option<&Digest>,
        ctx: &mut RequestState,
    ) -> pingora::Result<()> {
        // Not before: the client is not slow because the upstream is not there.
        if let Some(upload) = &mut ctx.upload {
            upload.wait(session, self.services.configured().settings.stream_idle_timeout);
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        upstream_request: &mut RequestHeader,
        ctx: &mut RequestState,
    ) -> pingora::Result<()> {
        if ctx.body_was_read {
            // 100 Continue has been sent to the client.
            upstream_request.remove_header(&header::EXPECT);
        }
        if let Some(host) = self.services.upstream.host_header() {
            upstream_request.insert_header(header::HOST, host)?;
        }
        let upstream = self.services.upstream.settings();
        if ctx.is_graphql && upstream.graphql_path.is_some() {
            let path = graphql_request::upstream_path(upstream, &upstream_request.uri, true);
            let path = path.parse().map_err(|_| Error::new_in(ErrorType::InvalidHTTPHeader))?;
            upstream_request.set_uri(path);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestState,
    ) -> pingora::Result<()> {
        // After a response before the end of the body pingora closes the connection, also after 100 Continue.
        let is_final = !response.status.is_informational();
        session.set_close_on_response_before_downstream_finish(is_final);
        let configured = self.services.configured();
        let cors = &configured.settings.cors;
        if !cors.completes_upstream || !is_final {
            return Ok(());
        }
        let request = session.req_header();
        let added = if cors::is_preflight(request) {
            let added = cors::preflight_headers(cors, &request.headers, &response.headers);
            if !added.is_empty() {
                // Whatever the upstream returns for the method, it is no preflight response for the browser.
                *response = ResponseHeader::build(StatusCode::NO_CONTENT, Some(added.len()))?;
                ctx.drops_body = true;
            }
            added
        } else {
            cors::missing_headers(cors, &request.headers, &response.headers)
        };
        if !added.is_empty() {
            let others: Vec<_> = response.headers.keys().filter(|name| cors::is_cors_header(name)).cloned().collect();
            for name in others {
                response.remove_header(&name);
            }
        }
        for (name, value) in &added {
            response.append_header(name.clone(), value.clone())?;
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        ctx: &mut RequestState,
    ) -> pingora::Result<Option<Duration>> {
        if ctx.drops_body {
            *body = None;
        }
        Ok(None)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestState,
    ) -> pingora::Result<()> {
        let is_unasked = response.status == StatusCode::SWITCHING_PROTOCOLS
            && !hop_by_hop::wants_websocket(&session.req_header().headers);
        if is_unasked || framing_of(&response.headers).is_err() {
            return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
        }
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            ctx.kind = RequestKind::WebSocket;
            ctx.admission.stream_begins();
        }
        if let (true, Some(share)) = (is_event_stream(&response.headers), &ctx.share) {
            let rejected = |error: RequestError| Error::new_in(ErrorType::HTTPStatus(error.status));
            ctx.admission.becomes_stream(&self.services, share).map_err(rejected)?;
        }
        Ok(())
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut RequestState,
        client_reused: bool,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("peer {peer}"));
        let is_timeout = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
        let is_upstreams = *error.esource() == ErrorSource::Upstream;
        // A stale pooled connection fails in many ways; it counts that no response began on it.
        let is_stale = client_reused && is_upstreams && !is_timeout && session.response_written().is_none();
        let is_whole = !session.as_downstream().retry_buffer_truncated();
        let is_untouched = is_upstreams && is_whole && is_untouched(error.root_cause());
        error.set_retry(is_untouched || is_stale && replay_of(self, session, ctx).is_allowed());
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut RequestState) -> FailToProxy {
        let failed = |error_code| FailToProxy { error_code, can_reuse_downstream: false };
        if session.response_written().is_some() {
            return failed(0);
        }
        let fault = match (error.etype(), error.esource()) {
            (ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed, ErrorSource::Downstream) => {
                // The client has disconnected.
                return failed(0);
            }
            (ErrorType::ReadTimedout, ErrorSource::Downstream) => {
                return failed(respond_plainly(session, 408).await);
            }
            (ErrorType::HTTPStatus(status), _) => return failed(respond_plainly(session, *status).await),
            (_, ErrorSource::Downstream) => return failed(respond_plainly(session, 400).await),
            (ErrorType::ReadTimedout | ErrorType::WriteTimedout | ErrorType::ConnectTimedout, _) => {
                UpstreamError::TimedOut
            }
            (kind, ErrorSource::Upstream) if !was_connected(kind) => UpstreamError::Unreachable(reason_of(error)),
            _ => UpstreamError::Broken(reason_of(error)),
        };
        let was_sent = *error.etype() != ErrorType::ConnectTimedout;
        let may_write = was_sent && ctx.is_graphql && !replay_of(self, session, ctx).is_allowed();
        let timeouts = DownstreamTimeouts::of(&self.services.configured().settings);
        let downstream = &mut DownstreamSession::of_pingora(session.as_downstream_mut(), timeouts);
        failed(reject::send_upstream_error(self, downstream, ctx, &fault, may_write).await)
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut RequestState) {
        if let Some(deadline) = deadline_of(session.as_downstream()) {
            self.await_next_head(deadline);
        }
        let status = session.response_written().map(|head| head.status);
        self.finish(session.req_header().uri.path(), error, status, ctx);
    }

    fn suppress_error_log(&self, _: &Session, _: &RequestState, _: &Error) -> bool {
        // Its message holds headers and addresses; `logging` has ours.
        true
    }
}

/// The cause of an upstream failure. The words are those of the system or of pingora's error type: its contexts hold headers.
fn reason_of(error: &Error) -> Reason {
    let kind = match error.etype() {
        ErrorType::ConnectNoRoute => return Reason::new(ErrorKind::Dns, "the host name has no known address"),
        ErrorType::ConnectRefused => ErrorKind::ConnectionRefused,
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => ErrorKind::ConnectTimeout,
        ErrorType::TLSHandshakeFailure
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError
        | ErrorType::TLSWantX509Lookup => ErrorKind::Tls,
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::H2Error => ErrorKind::InvalidHttp,
        ErrorType::ConnectionClosed => ErrorKind::ConnectionClosed,
        ErrorType::ReadError | ErrorType::WriteError => ErrorKind::ConnectionReset,
        _ => ErrorKind::ConnectionFailed,
    };
    let root = error.root_cause();
    match root.is::<Error>() {
        true => Reason::new(kind, error.etype().as_str().to_owned()),
        false => Reason::new(failure::reason_of(root, kind).kind(), root.to_string()),
    }
}

/// Was there a connection, so that the request may have arrived?
fn was_connected(error: &ErrorType) -> bool {
    matches!(
        error,
        ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::ConnectionClosed
            | ErrorType::InvalidHTTPHeader
            | ErrorType::H1Error
            | ErrorType::H2Error
    )
}

async fn respond_plainly(session: &mut Session, status: u16) -> u16 {
    // Fails only if the client has disconnected.
    let _ = session.as_downstream_mut().respond_error_with_body(status, Bytes::new()).await;
    status
}

/// Whether pingora may send the request again on another connection.
fn replay_of(gateway: &Gateway, session: &Session, ctx: &RequestState) -> Replay<'static> {
    Replay::of(only_reads(gateway, session, ctx))
}

/// On a GraphQL path, only what is known to read; elsewhere HTTP's own rule holds
/// ([RFC 9110, section 9.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2)).
fn only_reads(gateway: &Gateway, session: &Session, ctx: &RequestState) -> bool {
    let (request, client) = (session.req_header(), session.as_downstream());
    if client.retry_buffer_truncated() {
        return false;
    }
    if !ctx.is_graphql {
        return request.method.is_idempotent();
    }
    let configured = gateway.services.configured();
    let limits = &configured.settings.limits;
    match request.method {
        Method::GET | Method::HEAD => query_string_only_reads(request.uri.query(), limits),
        Method::OPTIONS => true,
        // A compressed body has not been read, and the URL may name another document.
        Method::POST if request.headers.contains_key(header::CONTENT_ENCODING) => false,
        Method::POST if ctx.body_was_read && request.uri.query().is_none() => {
            client.get_retry_buffer().is_some_and(|body| body_only_reads(&body, limits))
        }
        _ => false,
    }
}
