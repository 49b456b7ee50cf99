//! A client of GraphQL over WebSocket that says exactly what it is told to.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::{Message, WebSocket};

use super::pillion::Pillion;

/// The vocabulary of the library graphql-ws.
pub const MODERN: &str = "graphql-transport-ws";
/// That of the older subscriptions-transport-ws.
pub const LEGACY: &str = "graphql-ws";

/// An open one.
pub type Socket = WebSocket<TcpStream>;

/// Opens one.
pub fn open(pillion: &Pillion, protocol: &str, headers: &[(&'static str, &str)]) -> Socket {
    open_at(pillion.port, protocol, headers)
}

fn open_at(port: u16, protocol: &str, headers: &[(&'static str, &str)]) -> Socket {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    let mut request = format!("ws://127.0.0.1:{port}/graphql").into_client_request().expect("a request");
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol.parse().expect("a header"));
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    tungstenite::client(request, stream).unwrap_or_else(|error| panic!("{error}")).0
}

/// Sends a message.
pub fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).expect("it is sent");
}

/// The next message but for what only says that somebody is there; `Err` is how the socket was closed.
pub fn hear(socket: &mut Socket) -> Result<Value, (u16, String)> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                let message: Value = serde_json::from_str(&text).expect("JSON");
                if !["ka", "ping"].contains(&message["type"].as_str().unwrap_or_default()) {
                    return Ok(message);
                }
            }
            Ok(Message::Close(Some(CloseFrame { code, reason }))) => return Err((code.into(), reason.to_string())),
            Ok(Message::Close(None)) | Err(_) => return Err((0, String::new())),
            Ok(_) => {}
        }
    }
}

/// Opens one and introduces the client.
pub fn ready(pillion: &Pillion, protocol: &str, headers: &[(&'static str, &str)], payload: &str) -> Socket {
    ready_at(pillion.port, protocol, headers, payload)
}

/// The same on a port of loopback.
pub fn ready_at(port: u16, protocol: &str, headers: &[(&'static str, &str)], payload: &str) -> Socket {
    let mut socket = open_at(port, protocol, headers);
    say(&mut socket, &format!("{{\"type\":\"connection_init\",\"payload\":{payload}}}"));
    assert_eq!(hear(&mut socket).map(|message| message["type"].clone()), Ok(json!("connection_ack")));
    socket
}

/// The message that starts an operation.
pub fn start(id: &str, query: &str) -> String {
    json!({ "type": "subscribe", "id": id, "payload": { "query": query } }).to_string()
}
