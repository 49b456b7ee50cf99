//! What our HTTP clients have in common: for the upstream, for handlers and for authentication.

pub(crate) mod connection;
pub(crate) mod connection_pool;
pub(crate) mod decode;
pub(crate) mod dns_filter;
pub(crate) mod failure;
pub(crate) mod message;
pub(crate) mod outbound;
pub(crate) mod tls;

use bytes::Bytes;
use reqwest::Response;
use thread_local::ThreadLocal;

use crate::http_client::failure::reason_of;
use crate::memory::{NoRoom, Share};
use crate::model::chunks::{Chunks, TooLong};
use crate::model::error_kind::{ErrorKind, Reason};
use crate::protocol::http1::response::InvalidResponse;

/// Why no whole response came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportFault {
    /// No connection, or TLS failed.
    Connect(Reason),
    /// Not in time.
    Timeout,
    /// The connection ended, or the response was not HTTP.
    Broken(Reason),
    /// More than is held.
    TooLarge,
    /// More than the memory budget has room for.
    NoRoom,
}

impl TransportFault {
    /// The response is not HTTP.
    #[must_use]
    pub(crate) fn invalid_http(what: &'static str) -> Self {
        Self::Broken(Reason::new(ErrorKind::InvalidHttp, what))
    }

    /// The peer closed the connection too early.
    #[must_use]
    pub(crate) fn closed() -> Self {
        Self::Broken(Reason::new(
            ErrorKind::ConnectionClosed,
            "the connection was closed before the end of the response",
        ))
    }

    /// The system reported an error on a connection.
    #[must_use]
    pub(crate) fn broken(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Broken(reason_of(error, ErrorKind::ConnectionClosed))
    }

    /// The cause, for logs.
    #[must_use]
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Connect(reason) | Self::Broken(reason) => reason,
            Self::Timeout => Reason::new(ErrorKind::Timeout, "no whole response within the timeout"),
            Self::TooLarge => Reason::new(ErrorKind::TooLarge, "the response is too large"),
            Self::NoRoom => Reason::new(ErrorKind::Memory, "the memory budget has no room for the response"),
        }
    }

    /// There is no connection.
    #[must_use]
    pub(crate) fn unconnected(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Connect(reason_of(error, ErrorKind::ConnectionFailed))
    }
}

impl From<NoRoom> for TransportFault {
    fn from(_: NoRoom) -> Self {
        Self::NoRoom
    }
}

impl From<InvalidResponse> for TransportFault {
    fn from(_: InvalidResponse) -> Self {
        Self::invalid_http("this is no response of HTTP/1.1, or its length is ambiguous")
    }
}

/// Charges bytes of a response to the waiting request, before they are held.
///
/// # Errors
/// [`TransportFault::NoRoom`].
pub(crate) fn charge(share: Option<&Share>, bytes: usize) -> Result<(), TransportFault> {
    share.map_or(Ok(()), |share| share.grow(bytes)).map_err(TransportFault::from)
}

/// One client for each thread that needs one. A connection lives on the thread that made it, and a request that had to
/// go through another thread's connection would wait for that thread twice.
pub(crate) struct PerThread<C: Send> {
    build: Box<dyn Fn() -> Result<C, String> + Send + Sync>,
    first: C,
    own: ThreadLocal<C>,
}

impl<C: Clone + Send + Sync> PerThread<C> {
    /// Clients that `build` makes.
    ///
    /// # Errors
    /// Why the first one cannot be made.
    pub(crate) fn new(build: impl Fn() -> Result<C, String> + Send + Sync + 'static) -> Result<Self, String> {
        let first = build()?;
        Ok(Self { build: Box::new(build), first, own: ThreadLocal::new() })
    }

    /// Those of all threads.
    pub(crate) fn all(&self) -> impl Iterator<Item = &C> {
        std::iter::once(&self.first).chain(self.own.iter())
    }

    /// This thread's client.
    pub(crate) fn here(&self) -> &C {
        // What could be made once can be made again; if not, a shared connection is better than none.
        self.own.get_or(|| (self.build)().unwrap_or_else(|_| self.first.clone()))
    }
}

/// The whole body of a response, decoded.
///
/// # Errors
/// [`TransportFault`], also when there is more of it than `bytes_max`.
pub(crate) async fn read_body(response: Response, bytes_max: usize) -> Result<Bytes, TransportFault> {
    read_body_within(response, bytes_max, None).await
}

/// The same, charged to `share`.
///
/// # Errors
/// [`TransportFault`].
pub(crate) async fn read_body_within(
    mut response: Response,
    bytes_max: usize,
    share: Option<&Share>,
) -> Result<Bytes, TransportFault> {
    let mut chunks = Chunks::new(bytes_max);
    while let Some(chunk) = response.chunk().await.map_err(|error| fault_of(&error))? {
        charge(share, chunk.len())?;
        chunks.push(chunk).map_err(|TooLong(_)| TransportFault::TooLarge)?;
    }
    Ok(chunks.finish())
}

/// A URL without userinfo and query, which may hold secrets.
#[must_use]
pub(crate) fn shown_url(url: &reqwest::Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// The library's own message holds the URL, so only the cause is taken from it.
#[must_use]
pub(crate) fn fault_of(error: &reqwest::Error) -> TransportFault {
    if error.is_timeout() && !error.is_connect() {
        return TransportFault::Timeout;
    }
    match std::error::Error::source(error) {
        _ if error.is_timeout() => TransportFault::Connect(Reason::new(ErrorKind::ConnectTimeout, "connect timeout")),
        _ if error.is_connect() => TransportFault::unconnected(error),
        Some(source) if source.is::<std::io::Error>() => TransportFault::unconnected(error),
        _ => TransportFault::broken(error),
    }
}
