//! Streams of the playground: an operation over server-sent events or a WebSocket, through the client listener inside the process;
//! its events reach the page as server-sent events of the console's own origin.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL};
use http::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderName, Request};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};
use tokio::io::DuplexStream;
use tokio::sync::mpsc::{Sender, channel};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::console::Console;
use crate::console::exchange::{client_request, send};
use crate::console::playground::OperationRequest;
use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply};
use crate::telemetry::logs::milliseconds;

/// Events that wait for the page.
const EVENTS_MAX: usize = 16;

/// Bytes of one event.
const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long a stream may last.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How often a comment shows whether the page is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Runs an operation over a transport that can give more than one response.
pub(super) async fn stream(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let operation: OperationRequest = request.json()?;
    let (sender, receiver) = channel(EVENTS_MAX);
    let events = Events { sender, began: Instant::now(), count: 0 };
    match operation.transport.as_deref() {
        Some("websocket") => {
            let (socket, headers) = open_socket(console, &operation).await?;
            tokio::spawn(within_lifetime(events, move |events| over_websocket(events, socket, headers, operation)));
        }
        Some("sse") | None => {
            let response = send(console, client_request(console, &operation, "text/event-stream")?).await?;
            tokio::spawn(within_lifetime(events, move |events| over_sse(events, response)));
        }
        Some(_) => return Err(ApiError::bad_request("transport: write sse or websocket")),
    }
    Ok(Reply::stream(receiver))
}

/// Where events go.
struct Events {
    sender: Sender<Bytes>,
    began: Instant,
    count: usize,
}

/// The page has gone.
struct Gone;

impl Events {
    async fn send(&mut self, event: &str, data: &Value) -> Result<(), Gone> {
        self.count += usize::from(event == "next");
        // JSON has no line breaks outside of strings, and in strings they are escaped.
        let text = format!("event: {event}\ndata: {data}\n\n");
        self.sender.send(text.into()).await.map_err(|_| Gone)
    }

    async fn complete(&mut self) -> Result<(), Gone> {
        let data = json!({ "duration_ms": milliseconds(self.began.elapsed()), "count": self.count });
        self.send("complete", &data).await
    }
}

/// Runs a stream until it ends, the page goes, or its time is over.
async fn within_lifetime<F: Future<Output = Result<(), Gone>>>(events: Events, run: impl FnOnce(Events) -> F) {
    let sender = events.sender.clone();
    let keep_alive = async {
        loop {
            tokio::time::sleep(KEEP_ALIVE).await;
            if sender.send(Bytes::from_static(b":\n\n")).await.is_err() {
                return;
            }
        }
    };
    // Whichever ends first ends all: dropping the others closes the connection to the client listener.
    tokio::select! {
        _ = run(events) => {}
        () = keep_alive => {}
        () = tokio::time::sleep(LIFETIME) => {}
    }
}

async fn over_sse(mut events: Events, response: http::Response<hyper::body::Incoming>) -> Result<(), Gone> {
    let (head, mut body) = response.into_parts();
    events.send("open", &json!({ "status": head.status.as_u16(), "transport": "sse" })).await?;
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_stream = content_type.starts_with("text/event-stream");
    let mut buffer = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Some(data) = frame.data_ref() else { continue };
        buffer.extend_from_slice(data);
        if buffer.len() > EVENT_BYTES_MAX {
            return events.send("error", &json!({ "message": "an event is larger than 8 MiB" })).await;
        }
        while let Some(end) = is_stream.then(|| end_of_event(&buffer)).flatten() {
            let event: Vec<u8> = buffer.drain(..end).collect();
            if forward(&mut events, &event).await? {
                return events.complete().await;
            }
        }
    }
    if !is_stream && !buffer.is_empty() {
        events.send("next", &json!({ "payload": payload(&String::from_utf8_lossy(&buffer)) })).await?;
    }
    events.complete().await
}

/// The end of the first event: behind its empty line.
fn end_of_event(buffer: &[u8]) -> Option<usize> {
    let unix = buffer.windows(2).position(|pair| pair == b"\n\n").map(|at| at + 2);
    let dos = buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    [unix, dos].into_iter().flatten().min()
}

/// Sends an event on. Was it the last one?
async fn forward(events: &mut Events, event: &[u8]) -> Result<bool, Gone> {
    let (mut name, mut data) = (String::new(), Vec::new());
    for line in String::from_utf8_lossy(event).lines() {
        if let Some(value) = line.strip_prefix("event:") {
            name = value.trim().to_owned();
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
        }
    }
    if name == "complete" {
        return Ok(true);
    }
    if !data.is_empty() {
        events.send("next", &json!({ "payload": payload(&data.join("\n")) })).await?;
    }
    Ok(false)
}

fn payload(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

type Socket = WebSocketStream<DuplexStream>;

/// A WebSocket to the client listener, and the headers that the client sends over it.
async fn open_socket(
    console: &Console,
    operation: &OperationRequest,
) -> Result<(Socket, Map<String, Value>), ApiError> {
    let failed = |reason: String| ApiError::unavailable(format!("the client listener: {reason}"));
    let headers = operation.client_headers(console)?;
    let configured = console.services.configured();
    let path = configured.settings.graphql_paths.first().map_or("/graphql", String::as_str);
    let mut request = Request::new(());
    *request.uri_mut() = format!("ws://localhost{path}").parse().map_err(|_| ApiError::internal())?;
    let over_socket = as_json(&headers);
    *request.headers_mut() = headers;
    for (name, value) in [
        (HOST, "localhost"),
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_PROTOCOL, "graphql-transport-ws"),
    ] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let key = HeaderValue::try_from(generate_key()).map_err(|_| ApiError::internal())?;
    request.headers_mut().insert(SEC_WEBSOCKET_KEY, key);
    let stream = console.listener.connect().map_err(|error| failed(error.to_string()))?;
    let (socket, _) = client_async(request, stream).await.map_err(|error| failed(error.to_string()))?;
    Ok((socket, over_socket))
}

fn as_json(headers: &HeaderMap) -> Map<String, Value> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), Value::from(value.to_str().ok()?)))
    };
    headers.iter().filter_map(text).collect()
}

/// <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>
async fn over_websocket(
    mut events: Events,
    mut socket: Socket,
    headers: Map<String, Value>,
    operation: OperationRequest,
) -> Result<(), Gone> {
    events.send("open", &json!({ "status": 101, "transport": "websocket" })).await?;
    let init = json!({ "type": "connection_init", "payload": { "headers": headers } });
    if socket.send(Message::text(init.to_string())).await.is_err() {
        return events.send("error", &json!({ "message": "the connection has ended" })).await;
    }
    while let Some(Ok(message)) = socket.next().await {
        let message: Value = match &message {
            Message::Text(text) => serde_json::from_str(text.as_str()).unwrap_or_default(),
            Message::Close(frame) => {
                let reason = frame.as_ref().map(|frame| format!("{}: {}", u16::from(frame.code), frame.reason));
                let reason = reason.unwrap_or_else(|| "the connection has ended".to_owned());
                return events.send("error", &json!({ "message": reason })).await;
            }
            _ => continue,
        };
        let payload = message.get("payload").cloned().unwrap_or_default();
        match message.get("type").and_then(Value::as_str).unwrap_or_default() {
            "connection_ack" => {
                let subscribe = json!({ "id": "1", "type": "subscribe", "payload": operation.body() });
                let _ = socket.send(Message::text(subscribe.to_string())).await;
            }
            "ping" => {
                let _ = socket.send(Message::text(r#"{"type":"pong"}"#)).await;
            }
            "next" => events.send("next", &json!({ "payload": payload })).await?,
            "error" => {
                let data = json!({ "message": "the operation was rejected", "payload": payload });
                events.send("error", &data).await?;
                return events.complete().await;
            }
            "complete" => {
                let _ = socket.close(None).await;
                return events.complete().await;
            }
            _ => {}
        }
    }
    events.complete().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_end_with_an_empty_line() {
        assert_eq!(end_of_event(b"data: 1\n\ndata: 2\n\n"), Some(9));
        assert_eq!(end_of_event(b"data: 1\r\n\r\n"), Some(11));
        assert_eq!(end_of_event(b"data: 1\n"), None);
    }
}
