//! A client's connection from its first byte to its last: how many there may be, and who serves it.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use http::header::{self, HeaderValue};
use pingora::ErrorType;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::protocols::{ALPN, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio_util::sync::ReusableBoxFuture;

use super::direct::{Direct, Heard};
use super::exchange::Exchange;
use super::guard;
use super::head_bound::HeadBound;
use super::pace::{Pace, Waited, head_begins, head_was_read, idle_for, with_pace};
use super::phases::{Context, Gate};
use super::places::Places;
use super::recycle::Pool;
use super::strict_stream::StrictStream;
use crate::memory::{Owner, Share};
use crate::telemetry::metrics::Held;

/// What clients connect to.
pub struct Connections {
    requests: Arc<Requests>,
    gate: Gate,
}

/// How it goes on with a connection after a request.
enum Next {
    Request,
    /// With pingora.
    Pingora,
    End,
}

impl Connections {
    /// In front of `proxy`, which was made of `gate`.
    #[must_use]
    pub fn new(proxy: HttpProxy<Gate>, gate: Gate) -> Self {
        Self { requests: Arc::new(Requests(Arc::new(proxy))), gate }
    }

    /// Serves a connection until its client is late.
    async fn serve_in_time(
        self: Arc<Self>,
        stream: Stream,
        shutdown: ShutdownWatch,
        first: Places,
        patience: Duration,
    ) {
        let _open = Held::new(&self.gate.world.metrics.connections);
        let pace = Arc::new(Pace::new(patience));
        tokio::select! {
            () = with_pace(Arc::clone(&pace), Arc::clone(&self).serve(stream, shutdown)) => {}
            waited = pace.end(patience) => {
                if waited == Waited::TooSlow {
                    self.gate.world.metrics.slow_connections.inc();
                }
            }
        }
        drop(first);
    }

    /// From the first byte to the last. While nothing comes, only what is here is in memory: futures that answer a request are
    /// large, and end with it.
    async fn serve(self: Arc<Self>, mut stream: Stream, shutdown: ShutdownWatch) {
        let Some(is_http1) = speaks_http1(&mut stream).await else { return };
        let Some(_beyond_first) = Places::beyond_first(&self.gate.world, &stream, is_http1) else { return };
        if !is_http1 {
            // It is none that could be used again.
            drop(self.requests.process_new(stream, &shutdown).await);
            return;
        }
        let share = self.share(&stream);
        let mut next = Some(Box::new(Direct::new(stream, share)));
        while let Some(direct) = next {
            next = match self.hear(direct).await {
                None => None,
                Some((direct, Next::Pingora)) => Box::pin(self.hand_over(direct, &shutdown)).await,
                Some((direct, _)) => {
                    let mut answer = recycled(Arc::clone(&self).answer(direct));
                    let (direct, next) = poll_fn(|cx| answer.poll(cx)).await;
                    // Fails only at the thread's end.
                    let _ = ANSWERS.try_with(|answers| answers.keep(answer));
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
    async fn hear(&self, mut direct: Box<Direct>) -> Option<(Box<Direct>, Next)> {
        if direct.is_idle() && !direct.listen().await {
            return None;
        }
        head_begins(self.gate.world.configured().settings.head_timeout);
        match direct.hear(|path| self.is_meant(path)).await {
            Heard::Request => {
                head_was_read();
                Some((direct, Next::Request))
            }
            Heard::Other => Some((direct, Next::Pingora)),
            Heard::NoRoom => {
                Box::pin(refuse(&mut direct)).await;
                None
            }
            Heard::End => None,
        }
    }

    /// Answers a request whose head has been read.
    async fn answer(self: Arc<Self>, mut direct: Box<Direct>) -> Answered {
        let next = self.answer_on(&mut direct).await;
        (direct, next)
    }

    async fn answer_on(&self, direct: &mut Direct) -> Next {
        let Self { gate, .. } = self;
        let mut ctx = Context::new(gate);
        if gate.keeps_nobody() {
            direct.close();
        }
        direct.set_patience(gate.world.configured().settings.body_timeout);
        let screened = gate.screen(&mut Exchange::Direct(direct), &mut ctx).await;
        if let Ok(false) = screened {
            direct.unread_head();
            return Next::Pingora;
        }
        if let Err(error) = &screened {
            direct.close();
            if *error.etype() == ErrorType::ReadTimedout && !direct.has_begun() {
                // Fails only when the client is gone.
                let _ = tell_timeout(direct).await;
            }
        }
        gate.finish(direct.head().uri.path(), screened.as_ref().err().map(|error| &**error), &ctx);
        if direct.is_kept() {
            if direct.is_idle() {
                idle_for(gate.world.configured().settings.keepalive_timeout);
            }
            return Next::Request;
        }
        direct.shutdown().await;
        Next::End
    }

    /// What a connection holds while nothing is known of a request. That of a proxy which names its clients is not held against
    /// the proxy.
    fn share(&self, stream: &Stream) -> Share {
        let world = &self.gate.world;
        let configured = world.configured();
        let peer = stream.get_socket_digest().and_then(|digest| digest.peer_addr()?.as_inet().copied());
        let peer = peer.filter(|peer| configured.settings.client_addresses.counts_connections_of(peer.ip()));
        world.memory.empty(peer.map(Owner::peer).unwrap_or_default())
    }

    fn is_meant(&self, path: &str) -> bool {
        let world = &self.gate.world;
        guard::is_graphql_path(path, &world.configured().settings.graphql_paths)
            && !world.snapshot.load().scanner.is_empty()
    }

    /// pingora serves the next request, and those that its client has begun to send by then. Its session costs much, so it does
    /// not wait for more. `None` at the connection's end.
    async fn hand_over(&self, direct: Box<Direct>, shutdown: &ShutdownWatch) -> Option<Box<Direct>> {
        let (stream, read) = direct.into_parts();
        let bytes_max = HEADS_READ * self.gate.world.configured().settings.limits.header_bytes_max;
        let bound = HeadBound::new(self.share(&stream), read.len(), bytes_max);
        let (stream, read) = StrictStream::new(stream, read, bound);
        let mut session = ServerSession::new_http1(Box::new(stream));
        let is_last = *shutdown.borrow();
        session.set_keepalive((!is_last).then_some(FIRST_KEEPALIVE_SECONDS));
        session.set_pipelined_prefix(read);
        for requests in 1.. {
            let (stream, settings) = self.requests.process_new_http(session, shutdown).await?.consume();
            if StrictStream::is_after(&stream, requests) {
                idle_for(self.gate.world.configured().settings.keepalive_timeout);
                let stream = StrictStream::into_inner(stream)?;
                let share = self.share(&stream);
                return Some(Box::new(Direct::new(stream, share)));
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
type Answered = (Box<Direct>, Next);

thread_local! {
    /// Room for the futures that answer requests.
    static ANSWERS: Pool<ReusableBoxFuture<'static, Answered>> = const { Pool::new() };
}

/// The same, where another one has been before if possible.
fn recycled(answer: impl Future<Output = Answered> + Send + 'static) -> ReusableBoxFuture<'static, Answered> {
    match ANSWERS.try_with(Pool::take).ok().flatten() {
        Some(mut room) => {
            room.set(answer);
            room
        }
        None => ReusableBoxFuture::new(answer),
    }
}

/// A head may be so many times as long as headers may be, so that whoever sends a little too much is told.
const HEADS_READ: usize = 2;

/// Until the request's own is set.
const FIRST_KEEPALIVE_SECONDS: u64 = 60;

/// `None` if nothing is said at all.
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

async fn tell_timeout(direct: &mut Direct) -> pingora::Result<()> {
    let nothing = HeaderValue::from_static("0");
    direct.write_head(StatusCode::REQUEST_TIMEOUT, [(&header::CONTENT_LENGTH, &nothing)].into_iter())?;
    direct.write_body(b"", true).await
}

/// Tells a client that there is no room for its request.
async fn refuse(direct: &mut Direct) {
    // Fails only when the client is gone.
    let _ = tell_busy(direct).await;
    direct.shutdown().await;
}

async fn tell_busy(direct: &mut Direct) -> pingora::Result<()> {
    let (nothing, second) = (HeaderValue::from_static("0"), HeaderValue::from_static("1"));
    let headers = [(&header::CONTENT_LENGTH, &nothing), (&header::RETRY_AFTER, &second)];
    direct.close();
    direct.set_patience(LAST_WORD);
    direct.write_head(StatusCode::SERVICE_UNAVAILABLE, headers.into_iter())?;
    direct.write_body(b"", true).await
}

/// How long a client may take to read that there is no room for it.
const LAST_WORD: Duration = Duration::from_secs(1);

#[async_trait]
impl ServerApp for Connections {
    /// pingora's own task is large, because it could shake hands for TLS, so each connection gets another one.
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let world = &self.gate.world;
        let first = Places::first(world)?;
        let patience = world.configured().settings.head_timeout;
        tokio::spawn(Arc::clone(self).serve_in_time(stream, shutdown.clone(), first, patience));
        None
    }

    async fn cleanup(&self) {
        self.requests.cleanup().await;
    }
}

/// The proxy, which tells us when a connection turns out to be one of HTTP/2: h2 has a limit of its own for heads, and
/// requests have tasks of their own.
struct Requests(Arc<HttpProxy<Gate>>);

#[async_trait]
impl HttpServerApp for Requests {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.0.process_new_http(session, shutdown).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        head_was_read();
        self.0.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.0.server_options()
    }

    async fn http_cleanup(&self) {
        self.0.http_cleanup().await;
    }
}
