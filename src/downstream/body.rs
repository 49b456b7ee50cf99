//! A request's body, buffered while it is inspected. The buffer is a share of the memory budget.

use bytes::Bytes;
use http::header;
use pingora::ErrorType;

use crate::downstream::session::DownstreamSession;
use crate::http_client::decode::{Encoding, RoomFor, too_large};
use crate::memory::{NoRoom, Share};
use crate::model::chunks::{Chunks, TooLong};
use crate::model::limits::{Limits, RATIO_FLOOR_BYTES};
use crate::model::response::RequestError;
use crate::protocol::http1::framing::content_length;

/// Why a body could not be read.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// It is rejected; bytes that are still coming must not be taken for the next request.
    Rejected(RequestError),
    /// The client broke the connection or the framing.
    Broken(Box<pingora::Error>),
}

impl From<Box<pingora::Error>> for BodyError {
    fn from(error: Box<pingora::Error>) -> Self {
        match error.etype() {
            ErrorType::ReadTimedout => Self::Rejected(too_slow()),
            _ => Self::Broken(error),
        }
    }
}

impl From<RequestError> for BodyError {
    fn from(error: RequestError) -> Self {
        Self::Rejected(error)
    }
}

impl From<NoRoom> for BodyError {
    fn from(no_room: NoRoom) -> Self {
        Self::Rejected(no_room.into())
    }
}

/// The part of a body that has been read.
pub(crate) enum Read {
    /// All of it.
    Whole(Bytes),
    /// Its beginning: there is more than may be held.
    Beginning(Bytes),
}

/// How a body is read.
#[derive(Clone, Copy)]
pub(crate) struct How {
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
pub(crate) async fn read_up_to(
    downstream: &mut DownstreamSession<'_>,
    share: &Share,
    how: How,
) -> Result<Read, BodyError> {
    let announced = announced_length(downstream);
    if how.wants_all && announced.is_some_and(|announced| announced > how.bytes_max) {
        return Ok(Read::Beginning(Bytes::new()));
    }
    send_continue(downstream).await?;
    if how.is_replayed {
        downstream.keep_body();
    }
    let mut chunks = Chunks::expecting(announced.unwrap_or_default(), how.bytes_max);
    while let Some(chunk) = downstream.read_body().await? {
        share.grow(chunk.len())?;
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
pub(crate) async fn read(
    downstream: &mut DownstreamSession<'_>,
    bytes_max: usize,
    share: &Share,
    is_replayed: bool,
) -> Result<Bytes, BodyError> {
    match read_up_to(downstream, share, How { bytes_max, is_replayed, wants_all: true }).await? {
        Read::Whole(bytes) => Ok(bytes),
        Read::Beginning(_) => Err(too_large(bytes_max).into()),
    }
}

/// The length of the body that the client declared.
#[must_use]
pub(crate) fn announced_length(downstream: &DownstreamSession<'_>) -> Option<usize> {
    content_length(&downstream.head().headers)
}

/// A client may wait for leave to send its body.
///
/// # Errors
/// When the client has disconnected.
pub(crate) async fn send_continue(downstream: &mut DownstreamSession<'_>) -> Result<(), BodyError> {
    if downstream.head().headers.contains_key(header::EXPECT) {
        downstream.write_continue().await?;
    }
    Ok(())
}

/// The error for a body that only keeps us busy.
fn too_slow() -> RequestError {
    RequestError::new(408, "request-timeout", "the body comes too slowly")
}

/// What a compressed body is, as far as it has been opened.
pub(crate) enum Opened {
    /// All of it.
    Whole(Decoded),
    /// It becomes larger than it may.
    Beginning(Decoded),
}

/// A compressed body as it is meant, with its own share of the budget: it is dropped before the body itself is.
pub(crate) struct Decoded {
    /// The text.
    pub text: Vec<u8>,
    _share: Share,
}

/// How large a compressed body may become. The sender is unauthenticated.
fn decoded_bytes_max(wire: &Bytes, limits: &Limits) -> usize {
    let ratio = wire.len().saturating_mul(limits.max_decompression_ratio);
    ratio.max(RATIO_FLOOR_BYTES).min(limits.max_request_body_size)
}

/// Decompresses the beginning of a body.
///
/// # Errors
/// 503 without room.
pub(crate) fn decode_beginning(
    encoding: Encoding,
    wire: &Bytes,
    limits: &Limits,
    share: &Share,
) -> Result<Decoded, RequestError> {
    let (bytes_max, share) = (decoded_bytes_max(wire, limits), share.sibling());
    share.grow(bytes_max)?;
    Ok(Decoded { text: encoding.decode_beginning(wire, bytes_max), _share: share })
}

/// Decompresses a body, as far as it may become large.
///
/// # Errors
/// 400 for invalid compressed data, 503 without room.
pub(crate) async fn decode(
    encoding: Encoding,
    wire: &Bytes,
    limits: &Limits,
    share: &Share,
) -> Result<Opened, RequestError> {
    let bytes_max = decoded_bytes_max(wire, limits);
    let (wire, share) = (wire.clone(), share.sibling());
    let decode = move || {
        let room: RoomFor<'_> = &|bytes| share.grow(bytes).map_err(RequestError::from);
        match encoding.decode(&wire, bytes_max, room) {
            Ok(text) => Ok(Opened::Whole(Decoded { text, _share: share })),
            // Room for as much has been taken.
            Err(error) if error.status == 413 => {
                let text = encoding.decode_beginning(&wire, bytes_max);
                Ok(Opened::Beginning(Decoded { text, _share: share }))
            }
            Err(error) => Err(error),
        }
    };
    if bytes_max <= RATIO_FLOOR_BYTES {
        return decode();
    }
    // In a place of its own: it may take milliseconds. It ends early only when the whole program does.
    let decoded = tokio::task::spawn_blocking(decode).await;
    decoded.unwrap_or_else(|_| Err(RequestError::new(500, "unexpected", "internal error")))
}
