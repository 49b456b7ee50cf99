//! A client's connection from its first byte to its last: how many there may be, and how long each may take to say what it
//! wants. pingora has a timer for each read only, so that whoever sends a byte from time to time would be waited for without
//! end; and none for the first bytes of a connection, by which it tells HTTP/2.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
use super::phases::{Context, Gate};
use crate::execute::World;
use crate::telemetry::metrics::Held;

tokio::task_local! {
    /// That of the connection whose task this is.
    static PACE: Arc<Pace>;
}

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
        let mut direct = Direct::new(stream);
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

    fn is_meant(&self, path: &str) -> bool {
        let world = &self.gate.world;
        guard::is_graphql_path(path, &world.configured().settings.graphql_paths)
            && !world.snapshot.load().scanner.is_empty()
    }

    /// pingora serves all further requests of the connection, as it does by itself.
    async fn hand_over(&self, direct: Direct, shutdown: &ShutdownWatch) -> Option<Stream> {
        let (stream, read) = direct.into_parts();
        let mut session = ServerSession::new_http1(stream);
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
        let requests = PACE.scope(Arc::clone(&pace), self.serve(stream, shutdown));
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

/// The head of a request has been read.
pub fn head_was_read() {
    let _ = PACE.try_with(|pace| pace.until.store(NOT_WAITING, Ordering::Relaxed));
}

/// A request is over, and the next one's head is to be there within `time`.
pub fn next_head_within(time: Duration) {
    let _ = PACE.try_with(|pace| pace.wait(time, false));
}

/// A request is over, and nobody has to send another one; after `time` the connection ends.
fn idle_for(time: Duration) {
    let _ = PACE.try_with(|pace| pace.wait(time, true));
}

/// A head begins, which is to be there within `time`. That of the first request is waited for since the client came.
fn head_begins(time: Duration) {
    let _ = PACE.try_with(|pace| {
        if pace.is_idle.load(Ordering::Relaxed) {
            pace.wait(time, false);
        }
    });
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

/// What a connection is waited for, and how long.
struct Pace {
    /// Until when, in milliseconds on our clock.
    until: AtomicU64,
    /// Is it one that nothing has to come on?
    is_idle: AtomicBool,
}

/// How the wait for a client ended.
#[derive(Debug, PartialEq, Eq)]
enum Waited {
    /// Nothing came, and nothing had to.
    Idle,
    /// Half a head, or nothing at all.
    TooSlow,
}

/// No head is waited for.
const NOT_WAITING: u64 = 0;

impl Pace {
    fn new(patience: Duration) -> Self {
        Self { until: AtomicU64::new(now() + millis(patience)), is_idle: AtomicBool::new(false) }
    }

    fn wait(&self, time: Duration, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::Relaxed);
        self.until.store(now() + millis(time), Ordering::Relaxed);
    }

    /// Returns when what is waited for is not there in time, or up to `patience` later: it looks from time to time only, so
    /// that requests cost no timer.
    async fn end(&self, patience: Duration) -> Waited {
        loop {
            let (until, now) = (self.until.load(Ordering::Relaxed), now());
            let left = match until {
                NOT_WAITING => patience,
                until if until <= now => {
                    return if self.is_idle.load(Ordering::Relaxed) { Waited::Idle } else { Waited::TooSlow };
                }
                until => Duration::from_millis(until - now),
            };
            tokio::time::sleep(left).await;
        }
    }
}

/// Milliseconds since an hour before the first look at this clock; never 0.
fn now() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    millis(START.get_or_init(Instant::now).elapsed()) + 3_600_000
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_is_waited_for_has_an_end() {
        let patience = Duration::from_millis(30);
        let pace = Arc::new(Pace::new(patience));
        assert_eq!(pace.end(patience).await, Waited::TooSlow);
        // Not while a request is under way, and not before it is time for the next.
        let busy = async {
            head_was_read();
            tokio::time::sleep(3 * patience).await;
            next_head_within(2 * patience);
            tokio::time::sleep(patience).await;
        };
        let waiting = PACE.scope(Arc::clone(&pace), busy);
        tokio::select! {
            biased;
            () = waiting => {}
            _ = pace.end(patience) => panic!("it was not late"),
        }
        assert_eq!(pace.end(patience).await, Waited::TooSlow);
    }
}
