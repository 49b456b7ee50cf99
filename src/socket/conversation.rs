//! What is said on one socket, from the first word to the last.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use uuid::Uuid;

use super::engine::{self, EngineSocket, Introduction};
use super::{
    BAD_REQUEST, Close, EVENTS_MAX, FAREWELL, FORBIDDEN, GOING_AWAY, INIT_TIMEOUT, INIT_TOO_LATE, KEEP_ALIVE,
    LAST_WORDS, NO_TEXT, NO_UTF8, OPERATIONS_MAX, PINGS_MAX, READ_BUFFER_BYTES, RESTARTING, SEND_TIMEOUT, TOO_LARGE,
    TOO_MANY_INITS, TOO_MANY_PINGS, UNAUTHORIZED, headers,
};
use crate::auth::Authenticated;
use crate::execute::subscription::{Request, Told, operate};
use crate::execute::{Verdict, World, understand};
use crate::model::request::Caller;
use crate::model::response::Dialect;
use crate::protocol::graphql_ws::{FromClient, FromServer, Vocabulary, errors_of, read_client, read_server};
use crate::protocol::http::{Body, read_body};
use crate::session::SessionError;
use crate::telemetry::metrics::Held;

/// Who opened the socket.
pub struct Visitor {
    /// The headers of the request that did.
    pub headers: HeaderMap,
    /// Its path and query.
    pub path: String,
    /// Its id.
    pub request_id: String,
    /// The address of the client.
    pub address: Option<IpAddr>,
    /// What is spoken.
    pub vocabulary: Vocabulary,
}

/// Something that has to be told to the client.
enum Event {
    /// A message, and the operation that it ends.
    Say(String, Option<String>),
    /// The engine wants to know whether we are there.
    EnginePing,
    /// The engine's socket has ended.
    EngineGone,
}

/// An operation under way.
struct Operation {
    /// What runs it, if it is ours.
    own: Option<AbortHandle>,
    _counted: Held,
}

impl Operation {
    fn new(world: &World, own: Option<AbortHandle>) -> Self {
        Self { own, _counted: Held::new(&world.metrics.socket_operations) }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some(handle) = &self.own {
            handle.abort();
        }
    }
}

/// What is known once the client has introduced itself.
struct Introduced {
    /// Its payload, as JSON.
    payload: Option<String>,
    caller: Arc<Caller>,
    /// Known at once where the engine is Hasura; otherwise found out by each operation with an action.
    authenticated: Option<Result<Authenticated, SessionError>>,
}

struct EngineEnd {
    vocabulary: Vocabulary,
    sink: SplitSink<WebSocketStream<Box<dyn engine::Wire>>, Message>,
    reader: AbortHandle,
}

impl Drop for EngineEnd {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

struct Conversation<S> {
    world: Arc<World>,
    visitor: Visitor,
    sink: SplitSink<WebSocketStream<S>, Message>,
    tell: mpsc::Sender<Event>,
    operations: HashMap<String, Operation>,
    introduced: Option<Introduced>,
    engine: Option<EngineEnd>,
    last_heard: Instant,
    pings: (Instant, usize),
    /// When it is closed, once the process ends.
    leaves: Option<Instant>,
}

/// Why the conversation is over.
enum End {
    /// We say so.
    Close(Close),
    /// There is nobody to tell.
    Gone,
}

type Going = Result<(), End>;

/// Converses until one side ends it. `early` is what the client has said already.
pub async fn converse<S>(world: Arc<World>, wire: S, early: Vec<u8>, visitor: Visitor)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let max = world.configured().settings.limits.socket_message_bytes_max;
    let config = WebSocketConfig::default()
        .max_message_size(Some(max))
        .max_frame_size(Some(max))
        .read_buffer_size(READ_BUFFER_BYTES);
    let socket = WebSocketStream::from_partially_read(wire, early, Role::Server, Some(config)).await;
    let (sink, mut stream) = socket.split();
    let (tell, told) = mpsc::channel(EVENTS_MAX);
    let mut conversation = Conversation {
        world,
        visitor,
        sink,
        tell,
        operations: HashMap::new(),
        introduced: None,
        engine: None,
        last_heard: Instant::now(),
        pings: (Instant::now(), 0),
        leaves: None,
    };
    let end = conversation.go_on(&mut stream, told).await;
    let frame = match end {
        Err(End::Close(Close(code, reason))) => Some(CloseFrame { code: code.into(), reason: reason.into() }),
        // Whoever has said good-bye is answered.
        Err(End::Gone) | Ok(()) => None,
    };
    // Whoever is gone, or does not read, is not waited for.
    let patience = if frame.is_some() { SEND_TIMEOUT } else { Duration::from_secs(1) };
    let _ = tokio::time::timeout(patience, conversation.say_good_bye(frame)).await;
    conversation.operations.clear();
    if let Some(engine) = &mut conversation.engine {
        let _ = tokio::time::timeout(LAST_WORDS, engine.sink.close()).await;
    }
    // A connection that is closed while something comes in may lose what was said last.
    let listen = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(LAST_WORDS, listen).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Conversation<S> {
    async fn go_on(&mut self, stream: &mut SplitStream<WebSocketStream<S>>, mut told: mpsc::Receiver<Event>) -> Going {
        let opened = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut kept_alive = Instant::now();
        let keep_alive = KEEP_ALIVE.min(self.world.configured().settings.socket_timeout / 3);
        loop {
            tokio::select! {
                message = stream.next() => self.hear(message).await?,
                Some(event) = told.recv() => self.tell(event).await?,
                _ = tick.tick() => {
                    self.check(opened)?;
                    if self.introduced.is_some() && kept_alive.elapsed() >= keep_alive {
                        kept_alive = Instant::now();
                        self.say(self.visitor.vocabulary.keep_alive()).await?;
                        self.send(Message::Ping(Vec::new().into())).await?;
                    }
                }
            }
        }
    }

    /// What ends a conversation without anybody saying anything.
    fn check(&mut self, opened: Instant) -> Going {
        if self.world.readiness.is_draining() && self.is_time_to_go() {
            let is_hasura = self.world.snapshot.load().dialect == Dialect::Hasura;
            return Err(End::Close(if is_hasura { RESTARTING } else { GOING_AWAY }));
        }
        if self.introduced.is_none() && opened.elapsed() >= INIT_TIMEOUT {
            return Err(End::Close(INIT_TOO_LATE));
        }
        if self.last_heard.elapsed() >= self.world.configured().settings.socket_timeout {
            return Err(End::Gone);
        }
        let session = self.introduced.as_ref().and_then(|known| known.authenticated.as_ref()?.as_ref().ok());
        if session.is_some_and(Authenticated::has_expired) {
            return Err(End::Close(FORBIDDEN));
        }
        Ok(())
    }

    /// Some sockets are closed at once, others later, within half of the time that there is.
    fn is_time_to_go(&mut self) -> bool {
        let world = &self.world;
        let leaves = self.leaves.get_or_insert_with(|| {
            let sockets = u32::try_from(world.metrics.requests_in_flight.get()).unwrap_or_default();
            let all = FAREWELL.saturating_mul(sockets).min(world.configured().settings.shutdown_timeout / 2);
            Instant::now() + all.mul_f64(f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX))
        });
        *leaves <= Instant::now()
    }

    async fn say_good_bye(&mut self, frame: Option<CloseFrame>) -> Result<(), Error> {
        if frame.is_some() {
            self.sink.send(Message::Close(frame)).await?;
        }
        self.sink.close().await
    }

    async fn say(&mut self, text: String) -> Going {
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Going {
        match tokio::time::timeout(SEND_TIMEOUT, self.sink.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Gone),
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, Error>>) -> Going {
        self.last_heard = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => self.understand(&text).await,
            Some(Ok(Message::Binary(_))) => Err(End::Close(NO_TEXT)),
            Some(Ok(Message::Ping(_))) => self.count_ping(),
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Err(Error::Capacity(_))) => Err(End::Close(TOO_LARGE)),
            Some(Err(Error::Utf8(_))) => Err(End::Close(NO_UTF8)),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
        }
    }

    fn count_ping(&mut self) -> Going {
        let (since, count) = &mut self.pings;
        if since.elapsed() > Duration::from_secs(10) {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        if *count > PINGS_MAX { Err(End::Close(TOO_MANY_PINGS)) } else { Ok(()) }
    }

    async fn understand(&mut self, text: &str) -> Going {
        match read_client(text) {
            Err(_) => Err(End::Close(BAD_REQUEST)),
            // In boxes of their own: they are over soon, and every idle socket carries the room for what it may do.
            Ok(FromClient::Init(payload)) => Box::pin(self.introduce(payload)).await,
            Ok(FromClient::Start { id, payload }) => Box::pin(self.start(id, payload)).await,
            Ok(FromClient::Stop(id)) => self.stop(&id).await,
            Ok(FromClient::Ping(payload)) => {
                self.count_ping()?;
                self.say(self.visitor.vocabulary.pong(payload)).await
            }
            Ok(FromClient::Pong) => Ok(()),
            Ok(FromClient::Terminate) => Err(End::Gone),
        }
    }

    async fn introduce(&mut self, payload: Option<&RawValue>) -> Going {
        if self.introduced.is_some() {
            return Err(End::Close(TOO_MANY_INITS));
        }
        let payload = payload.map(|payload| payload.get().to_owned());
        let own = headers::of_payload(payload.as_deref());
        let caller = Caller {
            headers: headers::merged(&self.visitor.headers, &own),
            for_handlers: Some(own),
            address: self.visitor.address,
            request_id: self.visitor.request_id.clone(),
        };
        let vocabulary = self.visitor.vocabulary;
        let mut authenticated = None;
        if self.world.snapshot.load().dialect == Dialect::Hasura {
            let world = &self.world;
            let session = world
                .configured()
                .authenticator
                .authenticate(&world.configured().handlers.here().general, &caller.headers, || None)
                .await;
            if let Err(error) = &session {
                let Some(refusal) = vocabulary.refused(&error.message) else { return Err(End::Close(FORBIDDEN)) };
                self.say(refusal).await?;
                return Err(End::Close(BAD_REQUEST));
            }
            authenticated = Some(session);
        }
        self.introduced = Some(Introduced { payload, caller: Arc::new(caller), authenticated });
        self.say(vocabulary.ack()).await?;
        if vocabulary == Vocabulary::Legacy { self.say(vocabulary.keep_alive()).await } else { Ok(()) }
    }

    async fn fail(&mut self, id: &str, code: &str, reason: &str) -> Going {
        let errors = json!([{ "message": reason, "extensions": { "path": "$", "code": code } }]);
        self.say(self.visitor.vocabulary.error(id, &errors.to_string())).await
    }

    async fn start(&mut self, id: String, payload: &RawValue) -> Going {
        let is_legacy = self.visitor.vocabulary == Vocabulary::Legacy;
        let Some(introduced) = &self.introduced else {
            let reason = "start received before the connection is initialised";
            return if is_legacy {
                self.fail(&id, "start-failed", reason).await
            } else {
                Err(End::Close(UNAUTHORIZED))
            };
        };
        if self.operations.contains_key(&id) {
            let reason = format!("an operation already exists with this id: {id}");
            if is_legacy {
                return self.fail(&id, "start-failed", &reason).await;
            }
            return Err(End::Close(Close(4409, "Subscriber for this id already exists")));
        }
        if self.operations.len() >= OPERATIONS_MAX {
            let reason = format!("at most {OPERATIONS_MAX} operations run on one connection");
            return self.fail(&id, "query-limit-exceeded", &reason).await;
        }
        let (caller, authenticated) = (Arc::clone(&introduced.caller), introduced.authenticated.clone());
        let snapshot = self.world.snapshot.load_full();
        let limits = &self.world.configured().settings.limits;
        let is_ours = match read_body(payload.get().as_bytes(), limits) {
            Ok(Body::One(element)) => matches!(
                understand(&self.world, &snapshot, element).await,
                Verdict::Ours(ours) if !ours.is_introspection_only()
            ),
            _ => return self.fail(&id, "parse-failed", "the payload is not a GraphQL request").await,
        };
        if !is_ours {
            return self.start_at_engine(id, payload).await;
        }
        let request = Request {
            way: "websocket",
            payload: payload.get().to_owned(),
            path: self.visitor.path.clone(),
            caller,
            authenticated,
        };
        let (world, vocabulary, tell, told_id) =
            (Arc::clone(&self.world), self.visitor.vocabulary, self.tell.clone(), id.clone());
        let run = async move {
            let say = |told: Told| {
                let event = match told {
                    Told::Next(body) => Event::Say(vocabulary.next(&told_id, &body), None),
                    Told::Refused(errors) => Event::Say(vocabulary.error(&told_id, &errors), Some(told_id.clone())),
                    Told::Complete => Event::Say(vocabulary.complete(&told_id), Some(told_id.clone())),
                };
                let tell = tell.clone();
                async move { tell.send(event).await.is_ok() }
            };
            operate(&world, &snapshot, &request, say).await;
        };
        let own = tokio::spawn(run).abort_handle();
        self.operations.insert(id, Operation::new(&self.world, Some(own)));
        Ok(())
    }

    async fn start_at_engine(&mut self, id: String, payload: &RawValue) -> Going {
        if self.engine.is_none()
            && let Err(reason) = self.connect_engine().await
        {
            return self.fail(&id, "upstream-error", &reason).await;
        }
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let text = engine.vocabulary.start(&id, payload.get());
        if engine.sink.send(Message::text(text)).await.is_err() {
            self.engine = None;
            return self.fail(&id, "upstream-error", "the connection to the upstream broke").await;
        }
        self.operations.insert(id, Operation::new(&self.world, None));
        Ok(())
    }

    async fn connect_engine(&mut self) -> Result<(), String> {
        let introduction = Introduction {
            settings: &self.world.configured().settings.upstream,
            tls: self.world.engine.tls(),
            path: &self.visitor.path,
            headers: &self.visitor.headers,
            payload: self.introduced.as_ref().and_then(|known| known.payload.as_deref()),
            vocabulary: self.visitor.vocabulary,
            message_bytes_max: self.world.configured().settings.limits.engine_answer_bytes_max,
        };
        let EngineSocket { vocabulary, sink, mut stream } = engine::connect(&introduction).await?;
        let (tell, ours) = (self.tell.clone(), self.visitor.vocabulary);
        let reader = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let Message::Text(text) = message else { continue };
                let Some(event) = translate(&text, vocabulary, ours) else { continue };
                if tell.send(event).await.is_err() {
                    return;
                }
            }
            let _ = tell.send(Event::EngineGone).await;
        });
        self.engine = Some(EngineEnd { vocabulary, sink, reader: reader.abort_handle() });
        Ok(())
    }

    async fn stop(&mut self, id: &str) -> Going {
        let is_engines = self.operations.remove(id).is_some_and(|operation| operation.own.is_none());
        if let (true, Some(engine)) = (is_engines, &mut self.engine) {
            let text = engine.vocabulary.stop(id);
            if engine.sink.send(Message::text(text)).await.is_err() {
                self.engine = None;
            }
        }
        Ok(())
    }

    async fn tell(&mut self, event: Event) -> Going {
        match event {
            Event::Say(text, ended) => {
                if let Some(id) = ended {
                    self.operations.remove(&id);
                }
                self.say(text).await
            }
            Event::EnginePing => {
                let Some(engine) = &mut self.engine else { return Ok(()) };
                let _ = engine.sink.send(Message::text(engine.vocabulary.pong(None))).await;
                Ok(())
            }
            Event::EngineGone => {
                self.engine = None;
                let is_engines = |(_, operation): &(&String, &Operation)| operation.own.is_none();
                let ids: Vec<String> = self.operations.iter().filter(is_engines).map(|(id, _)| id.clone()).collect();
                for id in ids {
                    self.operations.remove(&id);
                    self.fail(&id, "upstream-error", "the connection to the upstream broke").await?;
                }
                Ok(())
            }
        }
    }
}

/// What the engine says, as the client understands it. What is the same in both vocabularies stays as it is.
fn translate(text: &str, engines: Vocabulary, ours: Vocabulary) -> Option<Event> {
    let same = engines == ours;
    Some(match read_server(text).ok()? {
        FromServer::Next(_, _) if same => Event::Say(text.to_owned(), None),
        FromServer::Next(id, payload) => Event::Say(ours.next(&id, payload.get()), None),
        FromServer::Error(id, _) if same => Event::Say(text.to_owned(), Some(id)),
        FromServer::Error(id, payload) => Event::Say(ours.error(&id, &errors_of(payload)), Some(id)),
        FromServer::Complete(id) => Event::Say(ours.complete(&id), Some(id)),
        FromServer::Ping => Event::EnginePing,
        FromServer::Ack | FromServer::Refused(_) | FromServer::Other => return None,
    })
}
