//! GraphQL over WebSocket, in its two sub-protocols, both ways:
//! <https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverWebSocket.md> and the older one of
//! `subscriptions-transport-ws`, whose sub-protocol is called `graphql-ws`.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subprotocol {
    /// `graphql-transport-ws`
    Transport,
    /// `graphql-ws`
    Legacy,
}

impl Subprotocol {
    /// The name of its sub-protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transport => "graphql-transport-ws",
            Self::Legacy => "graphql-ws",
        }
    }

    /// The one that we speak of those that a client offers, the client's first choice first.
    #[must_use]
    pub fn choose(offered: &str) -> Option<Self> {
        let all = [Self::Transport, Self::Legacy];
        offered.split(',').find_map(|name| all.into_iter().find(|known| known.name() == name.trim()))
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Transport => Self::Legacy,
            Self::Legacy => Self::Transport,
        }
    }
}

/// Any message, before it is known who sent it.
#[derive(Deserialize)]
struct Envelope<'m> {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    #[serde(borrow)]
    payload: Option<&'m RawValue>,
}

/// A client's message.
#[derive(Debug)]
pub enum FromClient<'m> {
    /// Its credentials.
    Init(Option<&'m RawValue>),
    /// Run this.
    Start {
        /// Its name on this connection.
        id: String,
        /// A GraphQL request.
        payload: &'m RawValue,
    },
    /// It is not wanted any more.
    Stop(String),
    /// Are you there?
    Ping(Option<&'m RawValue>),
    /// I am.
    Pong,
    /// Good-bye.
    Terminate,
}

/// Reads a client's message, in either vocabulary.
///
/// # Errors
/// What is wrong with it.
pub fn read_client(text: &str) -> Result<FromClient<'_>, String> {
    let message: Envelope<'_> = serde_json::from_str(text).map_err(|_| "Invalid message received".to_owned())?;
    let id = || message.id.clone().filter(|id| !id.is_empty()).ok_or(format!("\"{}\" needs an id", message.kind));
    Ok(match message.kind.as_str() {
        "connection_init" => FromClient::Init(message.payload),
        "subscribe" | "start" => {
            let payload = message.payload.ok_or(format!("\"{}\" needs a payload", message.kind))?;
            FromClient::Start { id: id()?, payload }
        }
        "complete" | "stop" => FromClient::Stop(id()?),
        "ping" => FromClient::Ping(message.payload),
        "pong" => FromClient::Pong,
        "connection_terminate" => FromClient::Terminate,
        other => return Err(format!("Invalid message type \"{}\"", other.chars().take(50).collect::<String>())),
    })
}

/// A server's message.
#[derive(Debug)]
pub enum FromServer<'m> {
    /// Go on. Its payload is for the client.
    Ack(Option<&'m RawValue>),
    /// A result.
    Next(String, &'m RawValue),
    /// The operation was not run, or ended.
    Error(String, &'m RawValue),
    /// The operation has ended.
    Complete(String),
    /// Are you there?
    Ping,
    /// The connection is rejected. Its payload says why.
    Rejected(Option<&'m RawValue>),
    /// Any other message.
    Other,
}

/// Reads a server's message, in either vocabulary.
///
/// # Errors
/// When it is none.
pub fn read_server(text: &str) -> Result<FromServer<'_>, serde_json::Error> {
    let message: Envelope<'_> = serde_json::from_str(text)?;
    let id = message.id.unwrap_or_default();
    Ok(match (message.kind.as_str(), message.payload) {
        ("connection_ack", payload) => FromServer::Ack(payload),
        ("next" | "data", Some(payload)) => FromServer::Next(id, payload),
        ("error", Some(payload)) => FromServer::Error(id, payload),
        ("complete", _) => FromServer::Complete(id),
        ("ping", _) => FromServer::Ping,
        ("connection_error", payload) => FromServer::Rejected(payload),
        _ => FromServer::Other,
    })
}

fn message(kind: &str, id: Option<&str>, payload: Option<&str>) -> String {
    let mut text = format!("{{\"type\":\"{kind}\"");
    if let Some(id) = id {
        text.push_str(",\"id\":");
        text.push_str(&Value::from(id).to_string());
    }
    if let Some(payload) = payload {
        text.push_str(",\"payload\":");
        text.push_str(payload);
    }
    text.push('}');
    text
}

/// Our messages as a server.
impl Subprotocol {
    /// Go on. `payload` is the upstream's, as JSON.
    #[must_use]
    pub fn ack(self, payload: Option<&str>) -> String {
        message("connection_ack", None, payload)
    }

    /// A result, which is JSON.
    #[must_use]
    pub fn next(self, id: &str, payload: &str) -> String {
        message(if self == Self::Transport { "next" } else { "data" }, Some(id), Some(payload))
    }

    /// The operation was not run. `errors` is a list of errors as JSON.
    #[must_use]
    pub fn error(self, id: &str, errors: &str) -> String {
        match self {
            Self::Transport => message("error", Some(id), Some(errors)),
            Self::Legacy => message("error", Some(id), Some(&format!("{{\"errors\":{errors}}}"))),
        }
    }

    /// The operation has ended.
    #[must_use]
    pub fn complete(self, id: &str) -> String {
        message("complete", Some(id), None)
    }

    /// We are here.
    #[must_use]
    pub fn keep_alive(self) -> String {
        match self {
            Self::Transport => message("ping", None, Some("{\"message\":\"keepalive\"}")),
            Self::Legacy => message("ka", None, None),
        }
    }

    /// Yes, we are.
    #[must_use]
    pub fn pong(self, payload: Option<&RawValue>) -> String {
        message("pong", None, payload.map(RawValue::get))
    }

    /// The connection is rejected; `payload` says why, as JSON. `None` if this sub-protocol closes the connection
    /// instead.
    #[must_use]
    pub fn rejected(self, payload: &str) -> Option<String> {
        (self == Self::Legacy).then(|| message("connection_error", None, Some(payload)))
    }
}

/// Our messages as a client.
impl Subprotocol {
    /// Our credentials.
    #[must_use]
    pub fn init(self, payload: Option<&str>) -> String {
        message("connection_init", None, payload)
    }

    /// Run this.
    #[must_use]
    pub fn start(self, id: &str, payload: &str) -> String {
        message(if self == Self::Transport { "subscribe" } else { "start" }, Some(id), Some(payload))
    }

    /// It is not wanted any more.
    #[must_use]
    pub fn stop(self, id: &str) -> String {
        message(if self == Self::Transport { "complete" } else { "stop" }, Some(id), None)
    }
}

/// The reason in the payload of a `connection_error` message: servers send a string, or an object with a message.
#[must_use]
pub fn reason_of(payload: Option<&RawValue>) -> String {
    let payload = payload.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok()).unwrap_or_default();
    match payload.get("message").unwrap_or(&payload) {
        Value::Null => "Forbidden".to_owned(),
        Value::String(reason) => reason.clone(),
        other => other.to_string(),
    }
}

/// The list of errors in the payload of an `error` message: vocabularies and servers differ in what is around it.
#[must_use]
pub fn errors_of(payload: &RawValue) -> String {
    match serde_json::from_str::<Value>(payload.get()) {
        Ok(Value::Array(_)) => payload.get().to_owned(),
        Ok(Value::Object(mut object)) => match object.remove("errors") {
            Some(errors @ Value::Array(_)) => errors.to_string(),
            _ => format!("[{}]", payload.get()),
        },
        _ => format!("[{{\"message\":{}}}]", Value::from(payload.get())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_vocabularies_are_read() {
        for (text, wanted) in [
            (r#"{"type":"connection_init"}"#, "Init(None)"),
            (r#"{"type":"subscribe","id":"1","payload":{"query":"{a}"}}"#, "Start"),
            (r#"{"id":"1","type":"start","payload":{"query":"{a}"}}"#, "Start"),
            (r#"{"type":"complete","id":"1"}"#, "Stop(\"1\")"),
            (r#"{"type":"stop","id":"1"}"#, "Stop(\"1\")"),
            (r#"{"type":"ping"}"#, "Ping(None)"),
            (r#"{"type":"connection_terminate"}"#, "Terminate"),
        ] {
            let read = read_client(text).map(|message| format!("{message:?}"));
            assert!(read.as_ref().is_ok_and(|read| read.starts_with(wanted)), "{text}: {read:?}");
        }
        for text in [
            "",
            "7",
            "{}",
            r#"{"type":"start"}"#,
            r#"{"type":"start","id":"","payload":{}}"#,
            r#"{"type":"eat","id":"1"}"#,
        ] {
            assert!(read_client(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rejection_has_a_reason_in_every_dialect() -> Result<(), serde_json::Error> {
        for (payload, wanted) in
            [(r#"{"message":"no"}"#, "no"), (r#""no""#, "no"), ("7", "7"), (r#"{"message":null}"#, "Forbidden")]
        {
            assert_eq!(reason_of(Some(serde_json::from_str(payload)?)), wanted);
        }
        assert_eq!(reason_of(None), "Forbidden");
        Ok(())
    }

    #[test]
    fn errors_are_a_list_in_every_dialect() -> Result<(), serde_json::Error> {
        for (payload, wanted) in [
            (r#"[{"message":"a"}]"#, r#"[{"message":"a"}]"#),
            (r#"{"errors":[{"message":"a"}]}"#, r#"[{"message":"a"}]"#),
            (r#"{"message":"a"}"#, r#"[{"message":"a"}]"#),
            (r#""a""#, r#"[{"message":"\"a\""}]"#),
        ] {
            assert_eq!(errors_of(serde_json::from_str(payload)?), wanted);
        }
        Ok(())
    }
}
