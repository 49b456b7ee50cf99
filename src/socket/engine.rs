//! The engine's end of a client's socket: one connection for all that concerns the engine.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::config::settings::Upstream;
use crate::protocol::graphql_ws::{FromServer, Vocabulary, read_server};
use crate::protocol::hop_by_hop::end_to_end;

/// Any connection.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

type Socket = WebSocketStream<Box<dyn Wire>>;

/// A connection to the engine on which it has said that we may.
pub struct EngineSocket {
    /// What the engine speaks.
    pub vocabulary: Vocabulary,
    /// To it.
    pub sink: SplitSink<Socket, Message>,
    /// From it.
    pub stream: SplitStream<Socket>,
}

/// Whom to connect to as whom.
pub struct Introduction<'i> {
    /// The engine.
    pub settings: &'i Upstream,
    /// How TLS is spoken with it.
    pub tls: &'i Arc<ClientConfig>,
    /// Path and query of the client's request.
    pub path: &'i str,
    /// The headers of the client's request.
    pub headers: &'i HeaderMap,
    /// What the client says about itself, as JSON.
    pub payload: Option<&'i str>,
    /// What the client speaks; the engine is asked in it first.
    pub vocabulary: Vocabulary,
    /// Bytes of one message.
    pub message_bytes_max: usize,
}

/// How long all of it may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects and introduces the client.
///
/// # Errors
/// Why the engine does not take it, for the client.
pub async fn connect(introduction: &Introduction<'_>) -> Result<EngineSocket, String> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect_now(introduction)).await;
    connected.unwrap_or_else(|_| Err("the upstream did not answer in time".into()))
}

/// Why it did not come to a conversation.
enum NotTaken {
    /// The engine does not speak this.
    Vocabulary(String),
    /// It does, and does not want this client.
    Client(String),
}

/// Engines say in many ways that they do not speak something, so the other vocabulary is always tried.
async fn connect_now(introduction: &Introduction<'_>) -> Result<EngineSocket, String> {
    let mut reason = String::new();
    for vocabulary in [introduction.vocabulary, introduction.vocabulary.other()] {
        match connect_in(introduction, vocabulary).await {
            Ok(socket) => return Ok(socket),
            Err(NotTaken::Client(reason)) => return Err(reason),
            Err(NotTaken::Vocabulary(told)) => reason = told,
        }
    }
    Err(reason)
}

async fn connect_in(introduction: &Introduction<'_>, vocabulary: Vocabulary) -> Result<EngineSocket, NotTaken> {
    let socket = shake_hands(introduction, vocabulary).await.map_err(NotTaken::Vocabulary)?;
    let (mut sink, mut stream) = socket.split();
    let refused = || NotTaken::Vocabulary("the upstream refused the connection".into());
    sink.send(Message::text(vocabulary.init(introduction.payload))).await.map_err(|_| refused())?;
    while let Some(Ok(message)) = stream.next().await {
        let Message::Text(text) = message else { continue };
        match read_server(&text) {
            Ok(FromServer::Ack) => return Ok(EngineSocket { vocabulary, sink, stream }),
            Ok(FromServer::Refused(reason)) => {
                return Err(NotTaken::Client(format!("the upstream refused the connection: {reason}")));
            }
            _ => {}
        }
    }
    Err(refused())
}

async fn shake_hands(introduction: &Introduction<'_>, vocabulary: Vocabulary) -> Result<Socket, String> {
    let wire = dial(introduction).await?;
    let config = WebSocketConfig::default().max_message_size(Some(introduction.message_bytes_max));
    let request = request(introduction, vocabulary).ok_or("the upstream cannot be asked on this path")?;
    let connected = client_async_with_config(request, wire, Some(config)).await;
    let (socket, _) = connected.map_err(|error| format!("the upstream does not open a WebSocket: {error}"))?;
    Ok(socket)
}

async fn dial(introduction: &Introduction<'_>) -> Result<Box<dyn Wire>, String> {
    let Introduction { settings, tls, .. } = introduction;
    let unreachable = |_| "the upstream cannot be reached".to_owned();
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
const HANDSHAKE: [HeaderName; 6] = [
    header::HOST,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_ACCEPT,
];

fn request(introduction: &Introduction<'_>, vocabulary: Vocabulary) -> Option<Request<()>> {
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
