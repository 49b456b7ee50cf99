//! A client's connection from its first byte to its last: how many there may be, and who serves it.

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

use super::direct::{Direct, Heard};
use super::exchange::Exchange;
use super::guard;
use super::head_bound::HeadBound;
use super::pace::{Pace, Waited, head_begins, head_was_read, idle_for, with_pace};
use super::phases::{Context, Gate};
use super::strict_stream::StrictStream;
use crate::execute::World;
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

    /// From the first byte to the last.
    async fn serve(&self, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        if !speaks_http1(&mut stream).await? {
            return self.requests.process_new(stream, shutdown).await;
        }
        let share = self.share(&stream);
        let mut direct = Direct::new(stream, share);
        loop {
            match self.answer(&mut direct).await {
                Next::Request => {}
                Next::Pingora => return self.hand_over(direct, shutdown).await,
                Next::End => return None,
            }
        }
    }

    /// Answers the next request, if it is one of the usual kind.
    async fn answer(&self, direct: &mut Direct) -> Next {
        let Self { gate, .. } = self;
        if direct.is_idle() && !direct.listen().await {
            return Next::End;
        }
        head_begins(gate.world.configured().settings.head_timeout);
        match direct.hear(|path| self.is_meant(path)).await {
            Heard::Request => head_was_read(),
            Heard::Other => return Next::Pingora,
            Heard::NoRoom => {
                // Fails only when the client is gone.
                let _ = tell_busy(direct).await;
                direct.shutdown().await;
                return Next::End;
            }
            Heard::End => return Next::End,
        }
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

    /// pingora serves all further requests of the connection, as it does by itself.
    async fn hand_over(&self, direct: Direct, shutdown: &ShutdownWatch) -> Option<Stream> {
        let (stream, read) = direct.into_parts();
        let bytes_max = HEADS_READ * self.gate.world.configured().settings.limits.header_bytes_max;
        let bound = HeadBound::new(self.share(&stream), read.len(), bytes_max);
        let (stream, read) = StrictStream::new(stream, read, bound);
        let mut session = ServerSession::new_http1(Box::new(stream));
        let is_last = *shutdown.borrow();
        session.set_keepalive((!is_last).then_some(FIRST_KEEPALIVE_SECONDS));
        session.set_pipelined_prefix(read);
        let mut kept = self.requests.process_new_http(session, shutdown).await;
        while let Some((stream, settings)) = kept.map(ReusedHttpStream::consume) {
            let mut session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            kept = self.requests.process_new_http(session, shutdown).await;
        }
        None
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
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let world = &self.gate.world;
        let metrics = &world.metrics;
        let _held = Held::new(&metrics.connections);
        let configured = world.configured();
        let max = i64::try_from(configured.settings.limits.connections_max).unwrap_or(i64::MAX);
        if metrics.connections.get() > max {
            metrics.shed.with_label_values(&["connections"]).inc();
            return None;
        }
        let patience = configured.settings.head_timeout;
        let pace = Arc::new(Pace::new(patience));
        let requests = with_pace(Arc::clone(&pace), self.serve(stream, shutdown));
        tokio::select! {
            stream = requests => stream,
            waited = pace.end(patience) => {
                if waited == Waited::TooSlow {
                    metrics.slow_connections.inc();
                }
                None
            }
        }
    }

    async fn cleanup(&self) {
        self.requests.cleanup().await;
    }
}

/// Are there so many that none should be kept for later requests?
#[must_use]
pub fn are_scarce(world: &World, max: usize) -> bool {
    usize::try_from(world.metrics.connections.get()).is_ok_and(|now| now > max - max / 10)
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
