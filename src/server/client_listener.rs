//! Connections of the client listener, from the first byte to the last: connection limit, TLS, protocol detection,
//! keep-alive.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;
use http::{StatusCode, header};
use pingora::apps::{HttpServerApp as _, ServerApp as _};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{ALPN, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use crate::downstream::buffer_pool::BufferPool;
use crate::downstream::connection_deadline::ConnectionDeadline;
use crate::downstream::connection_weight::ConnectionWeights;
use crate::downstream::framing_stream::StrictStream;
use crate::downstream::http1_session::{HeadRead, Http1Session, peer_of};
use crate::downstream::open_connection::OpenConnection;
use crate::downstream::session::{DownstreamSession, DownstreamTimeouts, TooSlow};
use crate::memory::{MemoryOwner, Share};
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::route::route;
use crate::runtime::services::Services;
use crate::server::connection_lifecycle::Listener;
use crate::server::http2_streams::Http2Streams;
use crate::server::reused_future::{Calls, ReusedFuture};
use crate::server::tls::Tls;
use crate::traffic_shaping::per_client_limit::PerClient;

/// What clients connect to.
pub(crate) struct ClientListener {
    proxy: Arc<HttpProxy<Gateway>>,
    gateway: Gateway,
    tls: Option<Tls>,
    /// How many connections each client has.
    clients: Arc<PerClient>,
}

/// How it goes on with a connection after a request.
enum Next {
    Request,
    /// With pingora.
    Pingora,
    End,
}

impl ClientListener {
    /// In front of `server`, which was made of `gate`.
    #[must_use]
    pub(crate) fn new(proxy: HttpProxy<Gateway>, gateway: Gateway, tls: Option<Tls>) -> Self {
        Self { proxy: Arc::new(proxy), gateway, tls, clients: PerClient::new() }
    }

    /// From the first byte to the last. An idle connection holds only what is here: the futures that serve a request
    /// are large, and end with it.
    async fn serve_requests(
        self: Arc<Self>,
        mut stream: Stream,
        deadline: Arc<ConnectionDeadline>,
        shutdown: ShutdownWatch,
    ) {
        if let Some(tls) = self.tls.as_ref().filter(|tls| tls.is_spoken(&stream)) {
            let Some(accepted) = Box::pin(tls.accept(stream)).await else { return };
            stream = accepted;
        }
        let Some(is_http1) = speaks_http1(&mut stream).await else { return };
        let Some(_beyond_first) = ConnectionWeights::beyond_first(&self.gateway.services, &stream, is_http1) else {
            return;
        };
        if !is_http1 {
            // It is none that could be used again.
            drop(
                Arc::new(Http2Streams::new(&self.proxy, &self.gateway, deadline)).process_new(stream, &shutdown).await,
            );
            return;
        }
        let share = self.share(&stream);
        let mut next = Some(Box::new(Http1Session::new(stream, deadline, share)));
        while let Some(direct) = next {
            next = match self.next_request(direct).await {
                None => None,
                Some((direct, Next::Pingora)) => Box::pin(self.hand_over(direct, &shutdown)).await,
                Some((direct, _)) => {
                    let kept = RESPONDERS.try_with(BufferPool::take).ok().flatten();
                    let mut responder = kept.unwrap_or_else(|| ReusedFuture::new(respond));
                    let (direct, next) = responder.call((Arc::clone(&self), direct)).await;
                    // Fails only at the thread's end.
                    let _ = RESPONDERS.try_with(|responders| responders.keep(responder));
                    match next {
                        Next::Request => Some(direct),
                        Next::Pingora => Box::pin(self.hand_over(direct, &shutdown)).await,
                        Next::End => None,
                    }
                }
            };
        }
    }

    /// Waits for the next request, and reads its head: [`Next::Request`], or [`Next::Pingora`] if it is none of the usual kind.
    async fn next_request(&self, mut direct: Box<Http1Session>) -> Option<(Box<Http1Session>, Next)> {
        if direct.is_idle() && !direct.listen().await {
            return None;
        }
        direct.deadline().head_begins(self.gateway.services.configured().settings.request_header_timeout);
        match direct.read_head(|path| self.gateway.matches(path)).await {
            HeadRead::Request => {
                direct.deadline().head_was_read();
                Some((direct, Next::Request))
            }
            HeadRead::Other => Some((direct, Next::Pingora)),
            HeadRead::NoRoom => {
                Box::pin(reject(&mut direct)).await;
                None
            }
            HeadRead::End => None,
        }
    }

    /// How it goes on with the connection after a response, which ended like this.
    fn after(&self, direct: &mut Http1Session, ctx: &RequestState, routed: &pingora::Result<bool>) -> Next {
        let gateway = &self.gateway;
        if let Ok(false) = routed {
            direct.unread_head();
            return Next::Pingora;
        }
        if routed.is_err() {
            direct.close();
        }
        let error = routed.as_ref().err().map(|error| &**error);
        gateway.await_next_head(direct.deadline());
        gateway.finish(direct.head().uri.path(), error, direct.status(), ctx);
        if !direct.is_kept() || ctx.too_slow == Some(TooSlow::Download) {
            return Next::End;
        }
        if direct.is_idle() {
            direct.deadline().idle_for(gateway.services.configured().settings.keepalive_timeout);
        }
        Next::Request
    }

    /// What a connection holds while nothing is known of a request. That of a proxy which names its clients is not held against
    /// the proxy.
    fn share(&self, stream: &Stream) -> Share {
        let services = &self.gateway.services;
        let configured = services.configured();
        let peer = peer_of(stream).filter(|peer| configured.settings.client_addresses.counts_connections_of(peer.ip()));
        services.memory.empty(peer.map(MemoryOwner::peer).unwrap_or_default())
    }

    /// pingora serves the next request, and those that the client has begun to send by then. Its session is expensive,
    /// so it does not wait for more. `None` at the connection's end.
    async fn hand_over(&self, direct: Box<Http1Session>, shutdown: &ShutdownWatch) -> Option<Box<Http1Session>> {
        let deadline = Arc::clone(direct.deadline());
        let (stream, read) = direct.into_parts();
        let bytes_max = HEADS_READ * self.gateway.services.configured().settings.limits.max_request_header_size;
        let share = self.share(&stream);
        let (stream, read) = StrictStream::new(stream, read, Arc::clone(&deadline), (share, bytes_max));
        let (mut session, requests) = (ServerSession::new_http1(Box::new(stream)), &self.proxy);
        let is_last = *shutdown.borrow();
        session.set_keepalive((!is_last).then_some(FIRST_KEEPALIVE_SECONDS));
        session.set_pipelined_prefix(read);
        for number in 1.. {
            let (stream, settings) = requests.process_new_http(session, shutdown).await?.consume();
            if StrictStream::is_after(&stream, number) {
                deadline.idle_for(self.gateway.services.configured().settings.keepalive_timeout);
                let stream = StrictStream::into_inner(stream)?;
                let share = self.share(&stream);
                return Some(Box::new(Http1Session::new(stream, deadline, share)));
            }
            session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
        }
        None
    }
}

/// A connection, and how it goes on with it.
type RequestEnd = (Box<Http1Session>, Next);

/// A request whose head has been read, and of which listener it is.
type RequestBegin = (Arc<ClientListener>, Box<Http1Session>);

thread_local! {
    static RESPONDERS: BufferPool<ReusedFuture<RequestBegin, RequestEnd>> = const { BufferPool::new() };
}

/// Responds to requests. This is not divided further: to call an asynchronous function is to copy its future.
async fn respond(requests: Calls<RequestBegin, RequestEnd>) -> Infallible {
    loop {
        let (listener, mut direct) = requests.next().await;
        let gateway = &listener.gateway;
        let mut ctx = RequestState::new(gateway);
        if gateway.closes_connections() {
            direct.close();
        }
        let timeouts = DownstreamTimeouts::of(&gateway.services.configured().settings);
        let routed = route(gateway, &mut DownstreamSession::direct(&mut direct, timeouts), &mut ctx).await;
        let next = listener.after(&mut direct, &ctx, &routed);
        // A client that does not read gets no closing message.
        if matches!(next, Next::End) && ctx.too_slow != Some(TooSlow::Download) {
            direct.shutdown().await;
        }
        drop(ctx);
        drop(listener);
        requests.finish((direct, next));
    }
}

/// The buffer for a head, as a multiple of the limit on headers, so that a client that exceeds it a little gets a
/// response.
const HEADS_READ: usize = 2;

/// Until the request's own is set.
const FIRST_KEEPALIVE_SECONDS: u64 = 60;

/// `None` if the client sends nothing at all.
async fn speaks_http1(stream: &mut Stream) -> Option<bool> {
    if stream.get_ssl_digest().is_some() {
        return Some(!matches!(stream.selected_alpn_proto(), Some(ALPN::H2)));
    }
    let mut start = [0; H2_PREFACE.len()];
    let can_peek = stream.try_peek(&mut start).await.ok()?;
    Some(!can_peek || start != *H2_PREFACE)
}

/// With which HTTP/2 begins: RFC 9113, section 3.4.
const H2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Responds that there is no room for the request.
async fn reject(direct: &mut Http1Session) {
    // Fails only if the client has disconnected.
    let _ = tokio::time::timeout(LAST_WORD, send_busy(direct)).await;
    direct.shutdown().await;
}

async fn send_busy(direct: &mut Http1Session) -> pingora::Result<()> {
    let (nothing, second) = (HeaderValue::from_static("0"), HeaderValue::from_static("1"));
    let headers = [(&header::CONTENT_LENGTH, &nothing), (&header::RETRY_AFTER, &second)];
    direct.close();
    direct.write_head(StatusCode::SERVICE_UNAVAILABLE, headers.into_iter())?;
    direct.write_body(b"", true).await
}

/// How long a client may take to read that there is no room for it.
const LAST_WORD: Duration = Duration::from_secs(1);

impl Listener for ClientListener {
    /// What counts the connection is held by its deadline, since a WebSocket outlives the serving of its request.
    type Admitted = ();

    fn services(&self) -> &Arc<Services> {
        &self.gateway.services
    }

    fn admit(self: Arc<Self>, stream: &Stream, timeouts: &DownstreamTimeouts) -> Option<(Arc<ConnectionDeadline>, ())> {
        let peer = peer_of(stream).map(|peer| peer.ip());
        let open = OpenConnection::admit(&self.gateway.services, &self.clients, peer)?;
        Some((Arc::new(ConnectionDeadline::new(timeouts.head, timeouts.download, Some(open))), ()))
    }

    fn serve(
        self: Arc<Self>,
        stream: Stream,
        deadline: Arc<ConnectionDeadline>,
        shutdown: ShutdownWatch,
    ) -> impl Future<Output = ()> + Send {
        self.serve_requests(stream, deadline, shutdown)
    }

    /// Beyond the limit, new connections are closed, never old ones.
    fn evicted((): &mut ()) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    fn cleanup(&self) -> impl Future<Output = ()> + Send {
        self.proxy.http_cleanup()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of_future<A, F: Future>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// Each request in flight has one, whatever comes of it: what is rare, or large, is in a box of its own.
    #[test]
    fn the_future_of_a_request_is_small() {
        let bytes = bytes_of_future(respond);
        assert!(bytes <= 4 * 1024, "{bytes} bytes");
    }
}
