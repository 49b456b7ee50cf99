//! Reads the upstream's socket: its messages go to the client, or to the operation that completes them.

use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::protocol::graphql_ws::{FromServer, Subprotocol, errors_of, read_server};
use crate::websocket::Close;
use crate::websocket::event::Event;
use crate::websocket::queue::Sender;
use crate::websocket::upstream_routes::{Destination, UpstreamMessage, UpstreamRoutes};
use crate::websocket::upstream_socket::text_of;

/// How messages of the upstream are handed on.
pub(super) struct UpstreamReader {
    /// To the session.
    pub tell: Sender<Event>,
    /// To operations.
    pub routes: Arc<UpstreamRoutes>,
    /// The upstream's subprotocol.
    pub upstreams: Subprotocol,
    /// The client's.
    pub clients: Subprotocol,
}

impl UpstreamReader {
    /// Reads the socket of this number to its end. It reads no further while the client, or an operation, has as many messages
    /// as may wait, so that the upstream is slowed down.
    pub(super) async fn read(self, mut stream: impl Stream<Item = Result<Message, Error>> + Unpin, number: u64) {
        let mut close = None;
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Close(frame) = &message {
                close = frame.as_ref().and_then(Close::of_frame);
            }
            let Some(text) = text_of(message) else { continue };
            if !self.hand_on(&text).await {
                return;
            }
        }
        self.tell.send(Event::UpstreamGone(number, close), 0).await;
    }

    /// `false` if the session is over.
    async fn hand_on(&self, text: &str) -> bool {
        let Ok(message) = read_server(text) else { return true };
        let destination = match &message {
            FromServer::Next(id, _) | FromServer::Error(id, _) | FromServer::Complete(id) => {
                self.routes.destination(id)
            }
            _ => Destination::Client,
        };
        match destination {
            Destination::Nowhere => true,
            Destination::Client => match self.translate(text, message) {
                Some(event) => self.tell.send(event, text.len()).await,
                None => true,
            },
            Destination::Operation(queue) => {
                let message = match message {
                    FromServer::Next(_, payload) => UpstreamMessage::Next(payload.get().to_owned()),
                    FromServer::Error(_, payload) => UpstreamMessage::Error(errors_of(payload)),
                    _ => UpstreamMessage::Complete,
                };
                // An operation that has ended in the meantime wants nothing more.
                queue.send(message, text.len()).await;
                true
            }
        }
    }

    /// The upstream's message in the client's subprotocol. Payloads that are the same in both stay as they are.
    fn translate(&self, text: &str, message: FromServer<'_>) -> Option<Event> {
        let (same, clients) = (self.upstreams == self.clients, self.clients);
        Some(match message {
            FromServer::Next(_, _) if same => Event::Say(text.to_owned(), None),
            FromServer::Next(id, payload) => Event::Say(clients.next(&id, payload.get()), None),
            FromServer::Error(id, _) if same => Event::Say(text.to_owned(), Some(id)),
            FromServer::Error(id, payload) => Event::Say(clients.error(&id, &errors_of(payload)), Some(id)),
            FromServer::Complete(id) => Event::Say(clients.complete(&id), Some(id)),
            FromServer::Ping => Event::UpstreamPing,
            FromServer::Ack(_) | FromServer::Rejected(_) | FromServer::Other => return None,
        })
    }
}
