//! One request and its answer, whoever holds the connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{StatusCode, request};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use super::direct::Direct;

/// A request that is being answered.
pub enum Exchange<'e> {
    /// Of any kind.
    Pingora(&'e mut ServerSession),
    /// Of the usual kind.
    Direct(&'e mut Direct),
}

impl Exchange<'_> {
    /// The request's head.
    #[must_use]
    pub fn head(&self) -> &request::Parts {
        match self {
            Self::Pingora(session) => session.req_header(),
            Self::Direct(direct) => direct.head(),
        }
    }

    /// Bytes of the request's head, about.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        match self {
            Self::Pingora(session) => {
                let head = session.req_header();
                let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
                head.uri.path_and_query().map_or(0, |target| target.as_str().len()) + fields.sum::<usize>()
            }
            Self::Direct(direct) => direct.head_bytes(),
        }
    }

    /// Has all of the body arrived, as far as can be told without reading it? What is not known to be there may still come.
    #[must_use]
    pub fn has_whole_body(&self) -> bool {
        match self {
            Self::Pingora(ServerSession::H2(session)) => session.is_body_done(),
            Self::Pingora(session) => {
                let headers = &session.req_header().headers;
                let is_nothing = |length: &HeaderValue| length == "0";
                !headers.contains_key(header::TRANSFER_ENCODING)
                    && headers.get_all(header::CONTENT_LENGTH).iter().all(is_nothing)
            }
            Self::Direct(direct) => direct.has_whole_body(),
        }
    }

    /// Takes a header out.
    pub fn remove_header(&mut self, name: &HeaderName) {
        match self {
            Self::Pingora(session) => drop(session.req_header_mut().remove_header(name)),
            Self::Direct(direct) => drop(direct.head_mut().headers.remove(name)),
        }
    }

    /// Puts a header in the place of all of its name.
    pub fn replace_header(&mut self, name: &HeaderName, value: HeaderValue) {
        match self {
            // Fails only for what is no name and no value.
            Self::Pingora(session) => drop(session.req_header_mut().insert_header(name.clone(), value)),
            Self::Direct(direct) => drop(direct.head_mut().headers.insert(name.clone(), value)),
        }
    }

    /// Whom the connection is from.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer_address().as_ref().map(SocketAddr::ip)
    }

    /// The same with the port, which no two connections share.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Pingora(session) => session.client_addr()?.as_inet().copied(),
            Self::Direct(direct) => direct.peer(),
        }
    }

    /// The connection ends with this request.
    pub fn close(&mut self) {
        match self {
            Self::Pingora(session) => session.set_keepalive(None),
            Self::Direct(direct) => direct.close(),
        }
    }

    /// How long each piece of the answer may take.
    pub fn set_write_timeout(&mut self, patience: Duration) {
        match self {
            Self::Pingora(session) => session.set_write_timeout(Some(patience)),
            Self::Direct(direct) => direct.set_patience(patience),
        }
    }

    /// Keeps the body as far as pingora can, so that it can send the request on itself.
    pub fn keep_body(&mut self) {
        if let Self::Pingora(session) = self {
            session.enable_retry_buffering();
        }
    }

    /// Can pingora send the request on itself, with the body that has been read?
    #[must_use]
    pub fn has_kept_body(&self) -> bool {
        match self {
            Self::Pingora(session) => !session.retry_buffer_truncated(),
            Self::Direct(_) => false,
        }
    }

    /// Lets a client that waits for leave send its body.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn write_continue(&mut self) -> pingora::Result<()> {
        match self {
            Self::Pingora(session) => session.write_continue_response().await,
            // A request that expects it is not of the usual kind.
            Self::Direct(_) => Ok(()),
        }
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When it breaks off or takes too long.
    pub async fn read_body(&mut self) -> pingora::Result<Option<Bytes>> {
        match self {
            Self::Pingora(session) => session.read_request_body().await,
            Self::Direct(direct) => direct.read_body().await,
        }
    }

    /// Ends when the client has gone; its body must have been read. What it says meanwhile is kept for the next request.
    pub async fn gone(&mut self) {
        match self {
            Self::Pingora(session) => {
                // What came with a head that has no body is laid aside by this only, and comes before what is read here.
                session.is_body_done();
                drop(session.read_body_or_idle(true).await);
            }
            Self::Direct(direct) => direct.gone().await,
        }
    }

    /// Begins the answer.
    ///
    /// # Errors
    /// When the client is gone, or something has been written before.
    pub async fn write_head<'h>(
        &mut self,
        status: StatusCode,
        headers: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>,
    ) -> pingora::Result<()> {
        match self {
            Self::Pingora(session) => {
                let mut head = ResponseHeader::build_no_case(status, headers.size_hint().1)?;
                for (name, value) in headers {
                    head.append_header(name.clone(), value.clone())?;
                }
                session.write_response_header(Box::new(head)).await
            }
            Self::Direct(direct) => direct.write_head(status, headers),
        }
    }

    /// Writes a piece of the answer.
    ///
    /// # Errors
    /// When the client is gone or takes too long.
    pub async fn write_body(&mut self, piece: Bytes) -> pingora::Result<()> {
        match self {
            Self::Pingora(session) => session.write_response_body(piece, false).await,
            Self::Direct(direct) => direct.write_body(&piece, false).await,
        }
    }

    /// Writes the last piece of the answer.
    ///
    /// # Errors
    /// When the client is gone or takes too long.
    pub async fn finish(&mut self, piece: Bytes) -> pingora::Result<()> {
        match self {
            Self::Pingora(session) => {
                session.write_response_body(piece, true).await?;
                session.finish_body().await
            }
            Self::Direct(direct) => direct.write_body(&piece, true).await,
        }
    }

    /// Has something of an answer been written?
    #[must_use]
    pub fn has_begun(&self) -> bool {
        match self {
            Self::Pingora(session) => session.response_written().is_some(),
            Self::Direct(direct) => direct.has_begun(),
        }
    }

    /// Ends the connection, or the stream of HTTP/2, whatever has been written.
    pub async fn shutdown(&mut self) {
        match self {
            Self::Pingora(session) => session.shutdown().await,
            Self::Direct(direct) => direct.shutdown().await,
        }
    }
}
