//! WebSockets on the GraphQL paths: the handshake is ours, and so is the conversation, if it is one that we speak.

use std::pin::pin;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::guard;
use super::phases::{Context, Gate};
use super::screen::turn_away;
use super::visit::{Visit, may_read};
use crate::model::response::RequestError;
use crate::protocol::graphql_ws::Vocabulary;
use crate::socket::{Visitor, converse};

/// Bytes that are between pingora's side of a socket and ours.
const DUPLEX_BYTES: usize = 4 * 1024;

/// What will be spoken, if it is something that we speak. Other sub-protocols pass through.
pub fn vocabulary(gate: &Gate, session: &ServerSession, ctx: &Context) -> Option<Vocabulary> {
    let headers = &session.req_header().headers;
    if !ctx.is_graphql || !guard::wants_websocket(headers) || gate.world.snapshot.load().scanner.is_empty() {
        return None;
    }
    let mut offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let (first, None) = (offered.next()?, offered.next()) else { return None };
    Vocabulary::choose(first.to_str().ok()?)
}

/// Speaks with the client until one side ends it.
///
/// # Errors
/// When the connection broke.
pub async fn serve(
    gate: &Gate,
    session: &mut ServerSession,
    ctx: &mut Context,
    vocabulary: Vocabulary,
) -> pingora::Result<bool> {
    if !may_read(gate, &session.req_header().headers) {
        let message = "received origin header does not match configured CORS domains";
        return turn_away(gate, session, ctx, RequestError::new(400, "access-denied", message)).await;
    }
    ctx.kind = "websocket";
    let visit = Visit::of(gate, session);
    let Some(accepted) = accept(&session.req_header().headers, vocabulary)? else { return Ok(false) };
    session.set_keepalive(None);
    session.set_read_timeout(None);
    session.write_response_header(Box::new(accepted)).await?;
    let asked = visit.asked();
    let visitor = Visitor { headers: asked.headers, path: asked.path, request_id: asked.request_id, vocabulary };
    let (ours, theirs) = tokio::io::duplex(DUPLEX_BYTES);
    {
        let mut conversation = pin!(converse(gate.world.clone(), theirs, visitor));
        let mut pump = pin!(pump(session, ours));
        tokio::select! {
            // What was said last has still to be carried over.
            () = &mut conversation => drop(tokio::time::timeout(LAST_WORDS, pump).await),
            result = &mut pump => result?,
        }
    }
    session.shutdown().await;
    Ok(true)
}

/// How long a client may take to read how a conversation ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// 101, or nothing if the handshake is not one.
fn accept(headers: &HeaderMap, vocabulary: Vocabulary) -> pingora::Result<Option<ResponseHeader>> {
    let is_current = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_current) else { return Ok(None) };
    let mut head = ResponseHeader::build(StatusCode::SWITCHING_PROTOCOLS, Some(4))?;
    head.insert_header(header::UPGRADE, HeaderValue::from_static("websocket"))?;
    head.insert_header(header::CONNECTION, HeaderValue::from_static("Upgrade"))?;
    head.insert_header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))?;
    head.insert_header(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(vocabulary.name()))?;
    Ok(Some(head))
}

/// Carries bytes between pingora and the conversation.
async fn pump(session: &mut ServerSession, mut ours: DuplexStream) -> pingora::Result<()> {
    let mut buffer = vec![0; DUPLEX_BYTES];
    loop {
        tokio::select! {
            read = session.read_request_body() => match read? {
                Some(bytes) => {
                    if carry(session, &mut ours, &mut buffer, &bytes).await?.is_none() {
                        return Ok(());
                    }
                }
                None => return Ok(()),
            },
            written = ours.read(&mut buffer) => match written {
                Ok(0) | Err(_) => return Ok(()),
                Ok(count) => write(session, &buffer, count).await?,
            },
        }
    }
}

async fn write(session: &mut ServerSession, buffer: &[u8], count: usize) -> pingora::Result<()> {
    let bytes = bytes::Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
    session.write_response_body(bytes, false).await
}

/// Hands bytes over; meanwhile the other side may have something to say, and would wait for us otherwise.
async fn carry(
    session: &mut ServerSession,
    ours: &mut DuplexStream,
    buffer: &mut [u8],
    mut bytes: &[u8],
) -> pingora::Result<Option<()>> {
    let (mut reader, mut writer) = tokio::io::split(ours);
    while !bytes.is_empty() {
        tokio::select! {
            written = writer.write(bytes) => match written {
                Ok(0) | Err(_) => return Ok(None),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            },
            read = reader.read(buffer) => match read {
                Ok(0) | Err(_) => return Ok(None),
                Ok(count) => write(session, buffer, count).await?,
            },
        }
    }
    Ok(Some(()))
}
