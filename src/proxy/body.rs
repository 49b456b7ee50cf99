//! A request's body, held while we look into it. Everything held counts against one budget.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header;
use prometheus::IntGauge;

use super::exchange::Exchange;
use crate::client::decode::too_large;
use crate::model::chunks::{Chunks, TooLong};
use crate::model::response::RequestError;

/// Why a body could not be read.
#[derive(Debug)]
pub enum BodyError {
    /// It is refused; whatever is still coming must not be taken for the next request.
    Refused(RequestError),
    /// The client broke the connection or the framing.
    Broken(Box<pingora::Error>),
}

impl From<RequestError> for BodyError {
    fn from(error: RequestError) -> Self {
        Self::Refused(error)
    }
}

/// The bytes that all requests together may hold.
#[derive(Clone)]
pub struct Budget {
    held: IntGauge,
    bytes_max: i64,
}

impl Budget {
    /// A budget of `bytes_max` bytes, shown by `gauge`.
    #[must_use]
    pub fn new(gauge: &IntGauge, bytes_max: usize) -> Self {
        Self { held: gauge.clone(), bytes_max: i64::try_from(bytes_max).unwrap_or(i64::MAX) }
    }

    /// Nothing yet.
    #[must_use]
    pub fn share(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }
}

/// What one request holds; given back when it is dropped.
pub struct Share {
    budget: Budget,
    bytes: i64,
}

impl Share {
    /// Takes `bytes` more.
    ///
    /// # Errors
    /// 503 when the budget is used up.
    pub fn grow(&mut self, bytes: usize) -> Result<(), RequestError> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.budget.held.add(bytes);
        self.bytes += bytes;
        if self.budget.held.get() > self.budget.bytes_max {
            return Err(RequestError::new(503, "busy", "too many large requests at one time; try again later"));
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.held.sub(self.bytes);
    }
}

/// Does a body come so slowly that it only keeps us busy? Whoever pauses for long is noticed by pingora's own timer.
#[must_use]
pub fn is_too_slow(began: Instant, bytes: u64) -> bool {
    began.elapsed().checked_sub(GRACE).is_some_and(|late| bytes < late.as_secs() * BYTES_PER_SECOND_MIN)
}

/// For so long nobody asks how fast it comes.
const GRACE: Duration = Duration::from_secs(10);

/// After that it comes at this pace, from its beginning.
const BYTES_PER_SECOND_MIN: u64 = 1024;

/// Room is made at once for what a client announces, up to so much: announcing costs it nothing.
const BELIEVED_BYTES_MAX: usize = 1024 * 1024;

/// What has been read of a body.
pub enum Read {
    /// All of it.
    Whole(Bytes),
    /// Its beginning: there is more than may be held.
    Beginning(Bytes),
}

/// How a body is read.
#[derive(Clone, Copy)]
pub struct How {
    /// At most so much of it is held.
    pub bytes_max: usize,
    /// Can pingora send it on afterwards?
    pub is_replayed: bool,
    /// Is the beginning of no use if the body is announced to be longer? It is not waited for then.
    pub wants_all: bool,
}

/// Reads a body to its end, or until it has more bytes than are held. A client that waits for leave to send gets it, unless
/// nothing is read at all.
///
/// # Errors
/// [`BodyError`].
pub async fn read_up_to(exchange: &mut Exchange<'_>, share: &mut Share, how: How) -> Result<Read, BodyError> {
    let announced = announced_length(exchange);
    if how.wants_all && announced.is_some_and(|announced| announced > how.bytes_max) {
        return Ok(Read::Beginning(Bytes::new()));
    }
    give_leave(exchange).await?;
    if how.is_replayed {
        exchange.keep_body();
    }
    let (began, mut bytes) = (Instant::now(), 0);
    let mut chunks = Chunks::expecting(announced.unwrap_or_default().min(BELIEVED_BYTES_MAX), how.bytes_max);
    while let Some(chunk) = exchange.read_body().await.map_err(BodyError::Broken)? {
        share.grow(chunk.len())?;
        bytes += chunk.len() as u64;
        if is_too_slow(began, bytes) {
            return Err(too_slow().into());
        }
        if let Err(TooLong(last)) = chunks.push(chunk) {
            return Ok(Read::Beginning(Bytes::from([chunks.finish(), last].concat())));
        }
    }
    Ok(Read::Whole(chunks.finish()))
}

/// Reads a body to its end, at most `bytes_max` bytes of it. A client that waits for leave to send gets it. pingora can
/// send it on afterwards if it `is_replayed`.
///
/// # Errors
/// [`BodyError`].
pub async fn read(
    exchange: &mut Exchange<'_>,
    bytes_max: usize,
    share: &mut Share,
    is_replayed: bool,
) -> Result<Bytes, BodyError> {
    match read_up_to(exchange, share, How { bytes_max, is_replayed, wants_all: true }).await? {
        Read::Whole(bytes) => Ok(bytes),
        Read::Beginning(_) => Err(too_large(bytes_max).into()),
    }
}

/// How long the client says that its body is.
#[must_use]
pub fn announced_length(exchange: &Exchange<'_>) -> Option<usize> {
    exchange.head().headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A client may wait for leave to send its body.
///
/// # Errors
/// When the client is gone.
pub async fn give_leave(exchange: &mut Exchange<'_>) -> Result<(), BodyError> {
    if exchange.head().headers.contains_key(header::EXPECT) {
        exchange.write_continue().await.map_err(BodyError::Broken)?;
    }
    Ok(())
}

/// The error for a body that only keeps us busy.
#[must_use]
pub fn too_slow() -> RequestError {
    RequestError::new(408, "request-timeout", "the body comes too slowly")
}
