//! One request and its response on a client's connection, whichever protocol stack holds it, with the time spent
//! waiting for the client.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{StatusCode, header, request};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorSource, ErrorType};

use crate::config::settings::Settings;
use crate::downstream::http1_session::Http1Session;
use crate::memory;
use crate::model::min_rate::{Allowance, MinRate};

/// The connection to the client, by protocol stack.
enum Downstream<'e> {
    /// A request of any kind.
    Pingora(&'e mut ServerSession),
    /// One of the usual kind.
    Http1(&'e mut Http1Session),
}

/// How long a client is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DownstreamTimeouts {
    /// For the head of a request.
    pub head: Duration,
    /// For each piece of a body or of a response.
    pub pause: Duration,
    /// The lowest rate of a body.
    pub upload: MinRate,
    /// The lowest rate of a response.
    pub download: MinRate,
}

impl DownstreamTimeouts {
    /// From the configuration.
    #[must_use]
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            head: settings.request_header_timeout,
            pause: settings.stream_idle_timeout,
            upload: settings.upload_rate_min,
            download: settings.download_rate_min,
        }
    }

    /// How long pingora may wait until the client has read a piece of a passed-through response. pingora does not
    /// accumulate the time over pieces.
    #[must_use]
    pub(crate) fn for_piece_of_pingora(&self) -> Duration {
        Allowance::new(self.download).for_next(PINGORA_PIECE_BYTES).min(self.pause)
    }
}

/// What pingora reads at a time.
const PINGORA_PIECE_BYTES: usize = 64 * 1024;

/// What a client was too slow for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooSlow {
    /// Sending the body of its request.
    Upload,
    /// Taking the response.
    Download,
}

impl TooSlow {
    /// What pingora has waited for in vain.
    #[must_use]
    pub(crate) fn of(error: &Error) -> Option<Self> {
        match (error.etype(), error.esource()) {
            (ErrorType::ReadTimedout, ErrorSource::Downstream) => Some(Self::Upload),
            (ErrorType::WriteTimedout, ErrorSource::Downstream) => Some(Self::Download),
            _ => None,
        }
    }

    /// The label of the metric.
    #[must_use]
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
        }
    }
}

/// A request that is being served.
pub(crate) struct DownstreamSession<'e> {
    held: Downstream<'e>,
    upload: Allowance,
    download: Allowance,
    /// For each piece that is read, and for each that is written.
    pauses: (Duration, Duration),
    too_slow: Option<TooSlow>,
    /// Can pingora's proxy send the request on?
    is_proxied: bool,
}

impl<'e> DownstreamSession<'e> {
    /// A request that pingora has read, and that its proxy can send on.
    #[must_use]
    pub(crate) fn of_pingora(session: &'e mut ServerSession, patience: DownstreamTimeouts) -> Self {
        Self { is_proxied: true, ..Self::new(Downstream::Pingora(session), patience) }
    }

    /// A stream of HTTP/2 that pingora's proxy knows nothing of.
    #[must_use]
    pub(crate) fn of_http2(session: &'e mut ServerSession, patience: DownstreamTimeouts) -> Self {
        Self::new(Downstream::Pingora(session), patience)
    }

    /// A request of the usual kind.
    #[must_use]
    pub(crate) fn direct(direct: &'e mut Http1Session, patience: DownstreamTimeouts) -> Self {
        Self::new(Downstream::Http1(direct), patience)
    }

    fn new(held: Downstream<'e>, patience: DownstreamTimeouts) -> Self {
        let DownstreamTimeouts { pause, upload, download, .. } = patience;
        Self {
            held,
            upload: Allowance::new(upload),
            download: Allowance::new(download),
            pauses: (pause, pause),
            too_slow: None,
            is_proxied: false,
        }
    }

    /// pingora's session, if it has the connection.
    #[must_use]
    pub(crate) fn session(&mut self) -> Option<&mut ServerSession> {
        match &mut self.held {
            Downstream::Pingora(session) => Some(session),
            Downstream::Http1(_) => None,
        }
    }

    /// Has the connection reached its deadline?
    #[must_use]
    pub(crate) fn too_slow(&self) -> Option<TooSlow> {
        self.too_slow
    }

    /// The request's head.
    #[must_use]
    pub(crate) fn head(&self) -> &request::Parts {
        match &self.held {
            Downstream::Pingora(session) => session.req_header(),
            Downstream::Http1(direct) => direct.head(),
        }
    }

    /// Bytes of the request's head, about.
    #[must_use]
    pub(crate) fn head_bytes(&self) -> usize {
        match &self.held {
            Downstream::Pingora(session) => {
                let head = session.req_header();
                let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
                head.uri.path_and_query().map_or(0, |target| target.as_str().len()) + fields.sum::<usize>()
            }
            Downstream::Http1(direct) => direct.head_bytes(),
        }
    }

    /// Has all of the body arrived, as far as is known without reading it? Otherwise more may come.
    #[must_use]
    pub(crate) fn has_whole_body(&self) -> bool {
        match &self.held {
            Downstream::Pingora(ServerSession::H2(session)) => session.is_body_done(),
            Downstream::Pingora(session) => {
                let headers = &session.req_header().headers;
                let is_nothing = |length: &HeaderValue| length == "0";
                !headers.contains_key(header::TRANSFER_ENCODING)
                    && headers.get_all(header::CONTENT_LENGTH).iter().all(is_nothing)
            }
            Downstream::Http1(direct) => direct.has_whole_body(),
        }
    }

    /// Takes a header out.
    pub(crate) fn remove_header(&mut self, name: &HeaderName) {
        match &mut self.held {
            Downstream::Pingora(session) => drop(session.req_header_mut().remove_header(name)),
            Downstream::Http1(direct) => drop(direct.head_mut().headers.remove(name)),
        }
    }

    /// Puts a header in the place of all of its name.
    pub(crate) fn replace_header(&mut self, name: &HeaderName, value: HeaderValue) {
        match &mut self.held {
            // Fails only for an invalid name or value.
            Downstream::Pingora(session) => drop(session.req_header_mut().insert_header(name.clone(), value)),
            Downstream::Http1(direct) => drop(direct.head_mut().headers.insert(name.clone(), value)),
        }
    }

    /// The client's address with its port, which no two connections share.
    #[must_use]
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        match &self.held {
            Downstream::Pingora(session) => session.client_addr()?.as_inet().copied(),
            Downstream::Http1(direct) => direct.peer(),
        }
    }

    /// The connection ends with this request.
    pub(crate) fn close(&mut self) {
        match &mut self.held {
            Downstream::Pingora(session) => session.set_keepalive(None),
            Downstream::Http1(direct) => direct.close(),
        }
    }

    /// How long each piece of the response may take.
    pub(crate) fn set_write_timeout(&mut self, pause: Duration) {
        self.pauses.1 = pause;
    }

    /// Keeps the body as far as pingora can, so that it can send the request on itself.
    pub(crate) fn keep_body(&mut self) {
        if let (Downstream::Pingora(session), true) = (&mut self.held, self.is_proxied) {
            session.enable_retry_buffering();
        }
    }

    /// Can pingora send the request on itself, with the body that has been read?
    #[must_use]
    pub(crate) fn has_kept_body(&self) -> bool {
        match &self.held {
            Downstream::Pingora(session) => self.is_proxied && !session.retry_buffer_truncated(),
            Downstream::Http1(_) => false,
        }
    }

    /// Lets a client that waits for leave send its body.
    ///
    /// # Errors
    /// When the client has disconnected.
    pub(crate) async fn write_continue(&mut self) -> pingora::Result<()> {
        match &mut self.held {
            Downstream::Pingora(session) => {
                // To pingora this is a response before the end of the body, after which it closes the connection.
                session.set_close_on_response_before_downstream_finish(false);
                let written = session.write_continue_response().await;
                session.set_close_on_response_before_downstream_finish(true);
                written
            }
            // A request that expects it is not of the usual kind.
            Downstream::Http1(_) => Ok(()),
        }
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When it breaks off or comes too slowly.
    pub(crate) async fn read_body(&mut self) -> pingora::Result<Option<Bytes>> {
        let Self { held, upload, pauses: (pause, _), too_slow, .. } = self;
        let read = pin!(async {
            match held {
                Downstream::Pingora(session) => session.read_request_body().await,
                Downstream::Http1(direct) => direct.read_body().await,
            }
        });
        let Some((piece, waited)) = within(upload.left().min(*pause), read).await else {
            *too_slow = Some(TooSlow::Upload);
            return Err(Error::new_down(ErrorType::ReadTimedout));
        };
        let piece = piece.map_err(|error| of_client(error, too_slow))?;
        upload.moved(piece.as_ref().map_or(0, Bytes::len), waited);
        Ok(piece)
    }

    /// Ends when the client has disconnected; its body must have been read. Bytes that arrive before are kept for the
    /// next request.
    pub(crate) async fn gone(&mut self) {
        match &mut self.held {
            Downstream::Pingora(session) => {
                // What came with a head that has no body is laid aside by this only, and comes before what is read here.
                session.is_body_done();
                drop(session.read_body_or_idle(true).await);
            }
            Downstream::Http1(direct) => direct.gone().await,
        }
    }

    /// Begins the response.
    ///
    /// # Errors
    /// When the client has disconnected, or something has been written before.
    pub(crate) fn write_head<'h>(
        &mut self,
        status: StatusCode,
        headers: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>,
    ) -> impl Future<Output = pingora::Result<()>> {
        let begun = match &mut self.held {
            // Boxed, here and for pieces: the futures of pingora are large, and every request carries the room for one.
            Downstream::Pingora(session) => {
                response_head(status, headers).map(|head| Some(memory::boxed(|| session.write_response_header(head))))
            }
            Downstream::Http1(direct) => direct.write_head(status, headers).map(|()| None),
        };
        async move {
            match begun? {
                Some(written) => written.await,
                None => Ok(()),
            }
        }
    }

    /// Writes a piece of the response.
    ///
    /// # Errors
    /// When the client has disconnected or reads too slowly.
    pub(crate) fn write_body(&mut self, piece: Bytes) -> impl Future<Output = pingora::Result<()>> {
        self.write(piece, false)
    }

    /// Writes the last piece of the response.
    ///
    /// # Errors
    /// When the client has disconnected or reads too slowly.
    pub(crate) fn finish(&mut self, piece: Bytes) -> impl Future<Output = pingora::Result<()>> {
        self.write(piece, true)
    }

    async fn write(&mut self, piece: Bytes, end: bool) -> pingora::Result<()> {
        let Self { held, download, pauses: (_, pause), too_slow, .. } = self;
        let length = piece.len();
        let write = pin!(async {
            match held {
                Downstream::Pingora(session) => memory::boxed(|| write_piece(session, piece, end)).await,
                Downstream::Http1(direct) => direct.write_body(&piece, end).await,
            }
        });
        let Some((written, waited)) = within(download.for_next(length).min(*pause), write).await else {
            *too_slow = Some(TooSlow::Download);
            return Err(Error::new_down(ErrorType::WriteTimedout));
        };
        download.moved(length, waited);
        written.map_err(|error| of_client(error, too_slow))
    }

    /// Has something of a response been written?
    #[must_use]
    pub(crate) fn has_begun(&self) -> bool {
        match &self.held {
            Downstream::Pingora(session) => session.response_written().is_some(),
            Downstream::Http1(direct) => direct.has_begun(),
        }
    }

    /// Ends the connection, or the stream of HTTP/2, whatever has been written.
    pub(crate) async fn shutdown(&mut self) {
        self.close();
        let shutdown = async {
            match &mut self.held {
                Downstream::Pingora(session) => session.shutdown().await,
                Downstream::Http1(direct) => direct.shutdown().await,
            }
        };
        // TLS sends a closing alert, which waits like everything else for a client that does not read.
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, shutdown).await;
    }
}

fn response_head<'h>(
    status: StatusCode,
    headers: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>,
) -> pingora::Result<Box<ResponseHeader>> {
    let mut head = ResponseHeader::build_no_case(status, headers.size_hint().1)?;
    for (name, value) in headers {
        head.append_header(name.clone(), value.clone())?;
    }
    Ok(Box::new(head))
}

async fn write_piece(session: &mut ServerSession, piece: Bytes, end: bool) -> pingora::Result<()> {
    session.write_response_body(piece, end).await?;
    if end { session.finish_body().await } else { Ok(()) }
}

/// An error of the client's connection. pingora has timeouts of its own for a read and a write, which can pass first, and does
/// not say whose they are.
fn of_client(error: Box<Error>, too_slow: &mut Option<TooSlow>) -> Box<Error> {
    let error = error.into_down();
    *too_slow = TooSlow::of(&error).or(*too_slow);
    error
}

/// How long the end of a connection may take to write.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The result of `work`, and the time waited for it; `None` if that takes more than `patience`.
async fn within<T>(patience: Duration, mut work: Pin<&mut impl Future<Output = T>>) -> Option<(T, Duration)> {
    // Nearly always there is nothing to wait for, and then the clock is not read.
    let at_once = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
    if let Poll::Ready(done) = at_once {
        return Some((done, Duration::ZERO));
    }
    let began = Instant::now();
    let done = tokio::time::timeout(patience, work).await.ok()?;
    Some((done, began.elapsed()))
}
