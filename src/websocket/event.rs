//! Events of a WebSocket session: messages of the tasks of its operations and of the reader of the upstream's socket.

use crate::pipeline::subscription::SubscriptionMessage;
use crate::protocol::graphql_ws::Subprotocol;
use crate::websocket::Close;
use crate::websocket::queue::Sender;
use crate::websocket::upstream_routes::UpstreamMessage;

/// An event of a session.
pub(super) enum Event {
    /// A message of the upstream's for the client, and the operation that it ends.
    Say(String, Option<String>),
    /// A message of an operation that runs here for the client.
    Own(OwnMessage),
    /// Nothing of ours is in an operation that seemed to have something: it is the upstream's.
    Delegate(OperationKey, String),
    /// An operation starts at the upstream with this payload; what the upstream says of it goes into this queue.
    Subscribe(OperationKey, String, Sender<UpstreamMessage>),
    /// The session ends.
    End(Close),
    /// The upstream wants to know whether we are there.
    UpstreamPing,
    /// The upstream's socket of this number has ended, perhaps with a close frame.
    UpstreamGone(u64, Option<Close>),
}

/// An operation of the client's.
#[derive(Clone)]
pub(super) struct OperationKey {
    /// As the client names it.
    pub id: String,
    /// A later one may have the same id.
    pub number: u64,
}

/// A message of an operation that runs here.
pub(super) struct OwnMessage {
    /// The message.
    pub text: String,
    /// Whose.
    pub key: OperationKey,
    /// Does the operation end with it?
    pub is_last: bool,
}

/// How the task of an operation tells the session what comes of it.
pub(super) struct OperationEvents {
    /// To the session.
    pub tell: Sender<Event>,
    /// The client's subprotocol.
    pub vocabulary: Subprotocol,
    /// The operation.
    pub key: OperationKey,
    /// Its payload, as JSON.
    pub payload: String,
}

impl OperationEvents {
    /// Tells it a message. `false` if the session is over.
    pub(super) async fn send(&self, message: SubscriptionMessage) -> bool {
        let id = &self.key.id;
        let (text, is_last) = match message {
            SubscriptionMessage::Next(body) => (self.vocabulary.next(id, &body), false),
            SubscriptionMessage::Rejected(errors) => (self.vocabulary.error(id, &errors), true),
            SubscriptionMessage::Complete => (self.vocabulary.complete(id), true),
            SubscriptionMessage::Delegated => {
                let event = Event::Delegate(self.key.clone(), self.payload.clone());
                return self.tell.send(event, self.payload.len()).await;
            }
        };
        let bytes = text.len();
        self.tell.send(Event::Own(OwnMessage { text, key: self.key.clone(), is_last }), bytes).await
    }

    /// Has the operation started at the upstream.
    pub(super) async fn subscribe(&self, payload: String, queue: Sender<UpstreamMessage>) -> bool {
        let bytes = payload.len();
        self.tell.send(Event::Subscribe(self.key.clone(), payload, queue), bytes).await
    }

    /// Ends the session.
    pub(super) async fn end(&self, close: Close) {
        self.tell.send(Event::End(close), 0).await;
    }
}
