//! The upstream's end of a client's WebSocket: one connection for all of the session's operations on the upstream.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri, header};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::config::settings::Upstream;
use crate::protocol::graphql_ws::{FromServer, Subprotocol, read_server, reason_of};
use crate::protocol::hop_by_hop::end_to_end;
use crate::websocket::{Close, FORBIDDEN, UPSTREAM_READ_BUFFER_BYTES};

/// Any connection.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

type Socket = WebSocketStream<Box<dyn Wire>>;

/// A connection to the upstream that has been acknowledged.
pub(super) struct UpstreamSocket {
    /// What the upstream speaks.
    pub vocabulary: Subprotocol,
    /// The payload of its acknowledgement, as JSON.
    pub ack: Option<String>,
    /// To it.
    pub sink: SplitSink<Socket, Message>,
    /// From it.
    pub stream: SplitStream<Socket>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// The upstream cannot be reached, or the connection was lost. A later attempt may succeed.
    Unavailable(String),
    /// It does not speak GraphQL over WebSocket.
    NotSupported(String),
    /// It does, and has rejected this client.
    Rejected(SocketRejection),
}

/// How the upstream rejected a client.
#[derive(Debug)]
pub(super) struct SocketRejection {
    /// How it has closed the connection, or would have.
    pub close: Close,
    /// The payload of its `connection_error`, as JSON, if it has sent one.
    pub payload: Option<String>,
}

/// Whom to connect to as whom.
pub(super) struct Introduction<'i> {
    /// The upstream.
    pub settings: &'i Upstream,
    /// How TLS is spoken with it.
    pub tls: &'i Arc<ClientConfig>,
    /// Path and query of the client's request.
    pub path: &'i str,
    /// The headers of the client's request.
    pub headers: &'i HeaderMap,
    /// The client's `connection_init` payload, as JSON.
    pub payload: Option<&'i str>,
    /// The client's sub-protocol; it is tried first with the upstream.
    pub vocabulary: Subprotocol,
    /// Bytes of one message.
    pub message_bytes_max: usize,
}

/// How long all of it may take, unless a client waits for it.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects and introduces the client.
///
/// # Errors
/// [`ConnectError`].
pub(super) async fn connect(
    introduction: &Introduction<'_>,
    timeout: Duration,
) -> Result<UpstreamSocket, ConnectError> {
    let connected = tokio::time::timeout(timeout, connect_now(introduction)).await;
    let late = || ConnectError::Unavailable(format!("the upstream's WebSocket did not open within {timeout:?}"));
    connected.unwrap_or_else(|_| Err(late()))
}

/// Upstreams report an unsupported sub-protocol in many ways, so the other one is always tried; the reported error is
/// that of the client's own.
async fn connect_now(introduction: &Introduction<'_>) -> Result<UpstreamSocket, ConnectError> {
    let first = match connect_in(introduction, introduction.vocabulary).await {
        Err(ConnectError::NotSupported(reason)) => reason,
        done => return done,
    };
    match connect_in(introduction, introduction.vocabulary.other()).await {
        Err(ConnectError::NotSupported(_)) => Err(ConnectError::NotSupported(first)),
        done => done,
    }
}

async fn connect_in(introduction: &Introduction<'_>, vocabulary: Subprotocol) -> Result<UpstreamSocket, ConnectError> {
    let (mut sink, mut stream) = shake_hands(introduction, vocabulary).await?.split();
    // A peer that no longer reads may have sent the reason.
    let _ = sink.send(Message::text(vocabulary.init(introduction.payload))).await;
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Close(Some(frame)) = &message {
            return Err(closed(frame));
        }
        let Some(text) = text_of(message) else { continue };
        match read_server(&text) {
            Ok(FromServer::Ack(payload)) => {
                let ack = payload.map(|payload| payload.get().to_owned());
                return Ok(UpstreamSocket { vocabulary, ack, sink, stream });
            }
            Ok(FromServer::Rejected(payload)) => {
                let close = Close::because(FORBIDDEN.0, reason_of(payload));
                let payload = payload.map(|payload| payload.get().to_owned());
                return Err(ConnectError::Rejected(SocketRejection { close, payload }));
            }
            _ => {}
        }
    }
    Err(ConnectError::Unavailable("the upstream's WebSocket was lost before the upstream acknowledged it".into()))
}

/// The text of a message, if it has one: clients and servers exist that send JSON in binary frames.
pub(super) fn text_of(message: Message) -> Option<Utf8Bytes> {
    match message {
        Message::Text(text) => Some(text),
        Message::Binary(bytes) => bytes.try_into().ok(),
        _ => None,
    }
}

/// The meaning of a close instead of an acknowledgement.
fn closed(frame: &CloseFrame) -> ConnectError {
    let code = u16::from(frame.code);
    match Close::of_frame(frame) {
        Some(close) if !NOT_UNDERSTOOD.contains(&code) => {
            ConnectError::Rejected(SocketRejection { close, payload: None })
        }
        _ => ConnectError::NotSupported(format!("the upstream closed its WebSocket with {code}: {}", frame.reason)),
    }
}

/// With which servers close a connection whose sub-protocol they do not speak: a protocol error, data of a kind that is
/// not taken, and graphql-ws's "Invalid message" and "Subprotocol not acceptable".
const NOT_UNDERSTOOD: [u16; 4] = [1002, 1003, 4400, 4406];

async fn shake_hands(introduction: &Introduction<'_>, vocabulary: Subprotocol) -> Result<Socket, ConnectError> {
    let wire = dial(introduction).await.map_err(ConnectError::Unavailable)?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(introduction.message_bytes_max))
        .read_buffer_size(UPSTREAM_READ_BUFFER_BYTES);
    let no_path = || ConnectError::NotSupported("the upstream cannot be reached on this path".into());
    let request = request(introduction, vocabulary).ok_or_else(no_path)?;
    let connected = client_async_with_config(request, wire, Some(config)).await;
    connected.map(|(socket, _)| socket).map_err(|error| of_handshake(&error, vocabulary))
}

fn of_handshake(error: &Error, vocabulary: Subprotocol) -> ConnectError {
    match error {
        Error::Http(response) => {
            let status = response.status().as_u16();
            let reason =
                format!("the upstream responded to the handshake of {} with status {status}", vocabulary.name());
            match status {
                429 | 502..=504 => ConnectError::Unavailable(reason),
                _ => ConnectError::NotSupported(reason),
            }
        }
        Error::Io(_) | Error::ConnectionClosed | Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            ConnectError::Unavailable(format!("the connection to the upstream broke during the handshake: {error}"))
        }
        error => ConnectError::NotSupported(format!("the upstream does not speak {}: {error}", vocabulary.name())),
    }
}

async fn dial(introduction: &Introduction<'_>) -> Result<Box<dyn Wire>, String> {
    let Introduction { settings, tls, .. } = introduction;
    let unreachable = |error: std::io::Error| format!("the upstream cannot be reached: {error}");
    let tcp = TcpStream::connect((settings.host.as_str(), settings.port)).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    if !settings.is_tls {
        return Ok(Box::new(tcp));
    }
    let name = rustls::pki_types::ServerName::try_from(settings.host.clone()).map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(tls));
    Ok(Box::new(connector.connect(name, tcp).await.map_err(unreachable)?))
}

/// Headers that belong to one handshake.
static HANDSHAKE: [HeaderName; 6] = [
    header::HOST,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_ACCEPT,
];

fn request(introduction: &Introduction<'_>, vocabulary: Subprotocol) -> Option<Request<()>> {
    let Introduction { settings, path, headers, .. } = introduction;
    let authority = settings.authority();
    let scheme = if settings.is_tls { "wss" } else { "ws" };
    let uri = format!("{scheme}://{authority}{path}").parse::<Uri>().ok()?;
    let mut request = Request::new(());
    *request.uri_mut() = uri;
    let own = request.headers_mut();
    for (name, value) in end_to_end(headers).filter(|(name, _)| !HANDSHAKE.contains(name)) {
        own.append(name.clone(), value.clone());
    }
    let client_host = headers.get(header::HOST).filter(|_| !settings.is_tls).cloned();
    let host = client_host.or_else(|| HeaderValue::try_from(authority).ok())?;
    own.insert(header::HOST, host);
    own.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    own.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    own.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    own.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::try_from(generate_key()).ok()?);
    own.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(vocabulary.name()));
    Some(request)
}
