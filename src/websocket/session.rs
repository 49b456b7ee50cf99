//! The session of one WebSocket, from `connection_init` to its close.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::auth::authenticated::Authenticated;
use crate::config::settings::WebSocketInit;
use crate::execution::prepared_request::{Route, route};
use crate::memory::{MemoryOwner, Share};
use crate::model::action::OperationKind;
use crate::model::request::Caller;
use crate::model::response::{Dialect, default_extensions};
use crate::pipeline::subscription::run;
use crate::protocol::graphql_ws::{FromClient, Subprotocol, read_client};
use crate::protocol::http::{Body, read_body};
use crate::request::context::RequestContext;
use crate::runtime::farewell::time_to_leave;
use crate::runtime::services::Services;
use crate::session::SessionError;
use crate::telemetry::metrics::Held;
use crate::websocket::event::{Event, OperationEvents, OperationKey, OwnMessage};
use crate::websocket::metered::Metered;
use crate::websocket::operation::{Operation, Runner};
use crate::websocket::queue::{Queued, Receiver, Sender, queue};
use crate::websocket::session_times::{Overdue, SessionTimes, Terms};
use crate::websocket::upstream_reader::UpstreamReader;
use crate::websocket::upstream_routes::{UpstreamMessage, UpstreamRoutes};
use crate::websocket::upstream_socket::{
    CONNECT_TIMEOUT, ConnectError, Introduction, SocketRejection, UpstreamSocket, text_of,
};
use crate::websocket::{
    ALREADY_EXISTS, BAD_INIT, BAD_REQUEST, Close, EVENTS_MAX, FORBIDDEN, GOING_AWAY, INIT_COPIES, INIT_TOO_LATE,
    LAST_WORDS, NO_UTF8, OPERATION_BYTES, OPERATIONS_MAX, PINGS_MAX, READ_BUFFER_BYTES, RESTARTING, SEND_TIMEOUT,
    TOO_LARGE, TOO_MANY_INITS, TOO_MANY_PINGS, TRY_AGAIN, UNAUTHORIZED, UPSTREAM_INIT_TIMEOUT, UPSTREAM_LOST,
    UPSTREAM_UNAVAILABLE, completed_events, headers, upstream_socket,
};

/// The client that opened the WebSocket.
pub(crate) struct WebSocketClient {
    /// The request that did.
    pub context: RequestContext,
    /// Whose memory its operations take.
    pub owner: MemoryOwner,
    /// The sub-protocol.
    pub vocabulary: Subprotocol,
}

/// The state after `connection_init`.
struct Introduced {
    /// Its payload, as JSON.
    payload: Option<String>,
    caller: Arc<Caller>,
    /// Known at once where the upstream is Hasura; otherwise found out by each operation with an action.
    authenticated: Option<Result<Authenticated, SessionError>>,
}

struct UpstreamEnd {
    /// Distinguishes it from an earlier operation with the same id.
    number: u64,
    vocabulary: Subprotocol,
    sink: SplitSink<WebSocketStream<Box<dyn upstream_socket::Wire>>, Message>,
    reader: AbortHandle,
}

impl Drop for UpstreamEnd {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

struct WebSocketSession<S> {
    services: Arc<Services>,
    visitor: WebSocketClient,
    sink: SplitSink<WebSocketStream<S>, Message>,
    tell: Sender<Event>,
    /// Bytes of an incomplete message, and the message that is being parsed.
    received: Arc<Share>,
    /// Bytes held for as long as the WebSocket is open.
    held: Share,
    operations: HashMap<String, Operation>,
    introduced: Option<Introduced>,
    upstream: Option<UpstreamEnd>,
    /// Where messages of the upstream go that are completed.
    routes: Arc<UpstreamRoutes>,
    times: SessionTimes,
    pings: (Instant, usize),
    /// Operations and sockets to the upstream so far.
    numbers: u64,
    /// How the client has closed the connection.
    closed: Option<Close>,
}

/// Why the session is over.
enum End {
    /// We close it.
    Close(Close),
    /// The client has disconnected.
    Gone,
}

type Going = Result<(), End>;

/// Runs until one side ends it. `early` holds bytes that the client has sent already.
pub(crate) async fn run_session<S>(services: Arc<Services>, wire: S, early: Vec<u8>, visitor: WebSocketClient)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let max = services.configured().settings.limits.max_websocket_message_size;
    let config = WebSocketConfig::default()
        .max_message_size(Some(max))
        .max_frame_size(Some(max))
        .read_buffer_size(READ_BUFFER_BYTES);
    let received = Arc::new(services.memory.empty(visitor.owner));
    let wire = Metered::new(wire, Arc::clone(&received));
    let socket = WebSocketStream::from_partially_read(wire, early, Role::Server, Some(config)).await;
    let (sink, mut stream) = socket.split();
    let (tell, told) = queue(EVENTS_MAX, &services.memory, visitor.owner);
    let held = services.memory.empty(visitor.owner);
    let mut session = WebSocketSession {
        services,
        visitor,
        sink,
        tell,
        received,
        held,
        operations: HashMap::new(),
        introduced: None,
        upstream: None,
        routes: UpstreamRoutes::new(),
        times: SessionTimes::new(Instant::now()),
        pings: (Instant::now(), 0),
        numbers: 0,
        closed: None,
    };
    let end = session.go_on(&mut stream, told).await;
    let frame = match end {
        Err(End::Close(close)) => Some(close.into_frame()),
        // A close frame gets a close frame.
        Err(End::Gone) | Ok(()) => None,
    };
    // A client that has disconnected, or does not read, is not waited for.
    let timeout = if frame.is_some() { SEND_TIMEOUT } else { Duration::from_secs(1) };
    let _ = tokio::time::timeout(timeout, session.close(frame)).await;
    session.operations.clear();
    let _ = tokio::time::timeout(LAST_WORDS, session.leave_upstream()).await;
    // A connection that is closed while data arrives may lose the last message.
    let listen = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(LAST_WORDS, listen).await;
}

/// Waits until `sending` is done. A client that does not read in time has gone.
async fn sent(sending: impl Future<Output = Result<(), Error>>) -> Going {
    match tokio::time::timeout(SEND_TIMEOUT, sending).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(End::Gone),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> WebSocketSession<S> {
    async fn go_on(&mut self, stream: &mut SplitStream<WebSocketStream<S>>, mut told: Receiver<Event>) -> Going {
        let services = Arc::clone(&self.services);
        let mut drained = pin!(services.health.readiness.wait_for_drain().fuse());
        let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            tokio::select! {
                message = stream.next() => {
                    let was_introduced = self.introduced.is_some();
                    self.on_message(message).await?;
                    self.received.shrink_to(0);
                    if self.introduced.is_some() != was_introduced {
                        alarm.as_mut().reset(tokio::time::Instant::now());
                    }
                }
                Some((queued, _share)) = told.recv() => match queued {
                    Queued::Event(event) => self.tell(event).await?,
                    Queued::NoRoom => return Err(End::Close(TRY_AGAIN)),
                },
                () = &mut drained => {
                    self.times.leave_at(time_to_leave(&self.services));
                    alarm.as_mut().reset(tokio::time::Instant::now());
                }
                () = &mut alarm => {
                    let next = self.do_what_is_due().await?;
                    alarm.as_mut().reset(next.into());
                }
            }
        }
    }

    /// Ends the session on shutdown or a timeout, and keeps it alive. The time to do so again.
    async fn do_what_is_due(&mut self) -> Result<Instant, End> {
        let session = self.introduced.as_ref().and_then(|known| known.authenticated.as_ref()?.as_ref().ok());
        let terms = Terms {
            is_introduced: self.introduced.is_some(),
            idle_timeout: self.services.configured().settings.websocket_idle_timeout,
            token: session.and_then(Authenticated::valid_for),
        };
        let now = Instant::now();
        match self.times.overdue(now, &terms) {
            Some(Overdue::Leaving) => {
                let is_hasura = self.services.snapshot.load().catalog.dialect == Dialect::Hasura;
                return Err(End::Close(if is_hasura { RESTARTING } else { GOING_AWAY }));
            }
            Some(Overdue::Introduction) => return Err(End::Close(INIT_TOO_LATE)),
            Some(Overdue::Message) => return Err(End::Gone),
            Some(Overdue::Token) => return Err(End::Close(FORBIDDEN)),
            None => {}
        }
        if self.times.keeps_alive(now, &terms) {
            self.keep_alive().await?;
        }
        Ok(self.times.next(now, &terms))
    }

    /// In the words of the sub-protocol, and of WebSockets: clients respond to one or the other. Both leave together.
    async fn keep_alive(&mut self) -> Going {
        let words = Message::text(self.visitor.vocabulary.keep_alive());
        let both = async {
            self.sink.feed(words).await?;
            self.sink.send(Message::Ping(Vec::new().into())).await
        };
        sent(both).await
    }

    async fn close(&mut self, frame: Option<CloseFrame>) -> Result<(), Error> {
        if frame.is_some() {
            self.sink.send(Message::Close(frame)).await?;
        }
        self.sink.close().await
    }

    async fn send_text(&mut self, text: String) -> Going {
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Going {
        sent(self.sink.send(message)).await
    }

    async fn on_message(&mut self, message: Option<Result<Message, Error>>) -> Going {
        self.times.heard(Instant::now());
        match message {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => match text_of(message) {
                Some(text) => self.handle_message(&text).await,
                None => Err(End::Close(NO_UTF8)),
            },
            Some(Ok(Message::Ping(_))) => self.count_ping(),
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Err(Error::Capacity(_))) => Err(End::Close(TOO_LARGE)),
            Some(Err(Error::Utf8(_))) => Err(End::Close(NO_UTF8)),
            Some(Err(Error::Io(error))) if error.kind() == ErrorKind::OutOfMemory => Err(End::Close(TRY_AGAIN)),
            Some(Ok(Message::Close(frame))) => {
                self.closed = frame.as_ref().and_then(Close::of_frame);
                Err(End::Gone)
            }
            Some(Err(_)) | None => Err(End::Gone),
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

    async fn handle_message(&mut self, text: &str) -> Going {
        match read_client(text) {
            Err(_) => Err(End::Close(BAD_REQUEST)),
            // Boxed: they are short, and otherwise every idle WebSocket carries their size.
            Ok(FromClient::Init(payload)) => Box::pin(self.introduce(payload)).await,
            Ok(FromClient::Start { id, payload }) => Box::pin(self.start(id, payload)).await,
            Ok(FromClient::Stop(id)) => self.stop(&id).await,
            Ok(FromClient::Ping(payload)) => {
                self.count_ping()?;
                self.send_text(self.visitor.vocabulary.pong(payload)).await
            }
            Ok(FromClient::Pong) => Ok(()),
            Ok(FromClient::Terminate) => Err(End::Gone),
        }
    }

    async fn introduce(&mut self, payload: Option<&RawValue>) -> Going {
        if self.introduced.is_some() {
            return Err(End::Close(TOO_MANY_INITS));
        }
        let bytes = payload.map_or(0, |payload| payload.get().len());
        if self.held.grow(INIT_COPIES * bytes).is_err() {
            return Err(End::Close(TRY_AGAIN));
        }
        let payload = payload.map(|payload| payload.get().to_owned());
        if payload.as_ref().is_some_and(|payload| !payload.starts_with('{')) {
            return Err(End::Close(BAD_INIT));
        }
        let configured = self.services.configured();
        let (limits, protected) = (&configured.settings.limits, &configured.protected_headers);
        let checked = headers::introduced(&self.visitor.context.caller.headers, payload.as_deref(), limits, protected);
        let (headers, own) = match checked {
            Ok(checked) => checked,
            Err(error) => return self.reject(&error.message).await,
        };
        let caller = Caller {
            headers,
            for_handlers: Some(own),
            address: self.visitor.context.caller.address,
            request_id: self.visitor.context.caller.request_id.clone(),
        };
        let vocabulary = self.visitor.vocabulary;
        let mut authenticated = None;
        if self.services.snapshot.load().catalog.dialect == Dialect::Hasura {
            let services = &self.services;
            let session = services
                .configured()
                .authenticator
                .authenticate(&*services.configured().handlers.here().general, &caller.headers, || None)
                .await;
            if let Err(error) = &session {
                return self.reject(&error.message).await;
            }
            authenticated = Some(session);
        }
        self.introduced = Some(Introduced { payload, caller: Arc::new(caller), authenticated });
        let ack = match self.services.configured().settings.upstream.websocket_init {
            WebSocketInit::Eager => self.ack_of_upstream().await?,
            WebSocketInit::Lazy => None,
        };
        self.send_text(vocabulary.ack(ack.as_deref())).await?;
        if vocabulary == Subprotocol::Legacy { self.send_text(vocabulary.keep_alive()).await } else { Ok(()) }
    }

    /// Connects to the upstream, and gives the payload of its acknowledgement.
    async fn ack_of_upstream(&mut self) -> Result<Option<String>, End> {
        match self.connect_upstream(UPSTREAM_INIT_TIMEOUT).await {
            Ok(ack) => Ok(ack),
            Err(ConnectError::Rejected(SocketRejection { close, payload })) => {
                let payload = payload.unwrap_or_else(|| json!({ "message": close.1 }).to_string());
                if let Some(rejection) = self.visitor.vocabulary.rejected(&payload) {
                    self.send_text(rejection).await?;
                }
                Err(End::Close(close))
            }
            // Actions need no socket of the upstream. The first operation that does connects again, and reports the
            // error.
            Err(ConnectError::Unavailable(reason) | ConnectError::NotSupported(reason)) => {
                tracing::debug!(reason, "a client is acknowledged without the upstream");
                Ok(None)
            }
        }
    }

    /// Ends the session with a client that has introduced itself badly.
    async fn reject(&mut self, reason: &str) -> Going {
        let payload = Value::from(reason).to_string();
        let Some(rejection) = self.visitor.vocabulary.rejected(&payload) else { return Err(End::Close(FORBIDDEN)) };
        self.send_text(rejection).await?;
        Err(End::Close(BAD_REQUEST))
    }

    async fn fail(&mut self, id: &str, code: &str, reason: &str) -> Going {
        let dialect = self.services.snapshot.load().catalog.dialect;
        let errors = json!([{ "message": reason, "extensions": default_extensions(dialect, code) }]);
        self.send_text(self.visitor.vocabulary.error(id, &errors.to_string())).await
    }

    async fn start(&mut self, id: String, payload: &RawValue) -> Going {
        let is_legacy = self.visitor.vocabulary == Subprotocol::Legacy;
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
            return Err(End::Close(Close::because(ALREADY_EXISTS, format!("Subscriber for {id} already exists"))));
        }
        if self.operations.len() >= OPERATIONS_MAX {
            let reason = format!("at most {OPERATIONS_MAX} operations run on one connection");
            return self.fail(&id, "query-limit-exceeded", &reason).await;
        }
        let (caller, authenticated) = (Arc::clone(&introduced.caller), introduced.authenticated.clone());
        let snapshot = self.services.snapshot.load_full();
        let limits = &self.services.configured().settings.limits;
        let looks_up_all = snapshot.catalog.enforcement.concerns_every_document();
        let (kind, is_completed, payload) = match read_body(payload.get().as_bytes(), limits) {
            Ok(Body::One(element)) => match route(&self.services, &snapshot, element).await {
                Route::Execute(prepared_request) if looks_up_all || !prepared_request.is_introspection_only() => {
                    let payload = prepared_request.payload(payload.get());
                    (prepared_request.kind(), prepared_request.may_extend_subscription(), payload)
                }
                Route::Execute(prepared_request) => {
                    return self.start_at_upstream(id, &prepared_request.payload(payload.get())).await;
                }
                Route::Rewritten(with_text) => return self.start_at_upstream(id, &with_text).await,
                // Whether the upstream knows a hash is seen by its response over HTTP only.
                Route::Passthrough | Route::UnknownHash => return self.start_at_upstream(id, payload.get()).await,
            },
            _ => return self.fail(&id, "parse-failed", "the payload is not a GraphQL request").await,
        };
        let share = self.services.memory.empty(self.visitor.owner);
        if let Err(no_room) = share.grow(OPERATION_BYTES + payload.len()) {
            return self.fail(&id, "busy", &no_room.to_string()).await;
        }
        let operation = RequestContext {
            way: "websocket".into(),
            upstream_path: Some(self.visitor.context.upstream_path().to_owned()),
            caller,
            share: Some(Arc::new(share)),
            authenticated: OnceCell::new_with(authenticated),
            ..self.visitor.context.for_task()
        };
        let number = self.next_number();
        let (services, owner) = (Arc::clone(&self.services), self.visitor.owner);
        let key = OperationKey { id: id.clone(), number };
        let client = OperationEvents { tell: self.tell.clone(), vocabulary: self.visitor.vocabulary, key, payload };
        let is_mutation = kind == Some(OperationKind::Mutation);
        // A mutation is finished although its client has disconnected, and the shutdown waits for it.
        let counted = is_mutation.then(|| Held::new(&services.metrics.requests_in_flight));
        let run = async move {
            let _counted = counted;
            if is_completed {
                completed_events::run(&services, &snapshot, (&operation, owner), &client).await;
            } else {
                run(&services, &snapshot, &operation, &client.payload, |message| client.send(message)).await;
            }
        };
        let task = tokio::spawn(run);
        let runner = if is_mutation { Runner::Mutation } else { Runner::Task(task.abort_handle()) };
        self.operations.insert(id, Operation::new(&self.services, runner, number));
        Ok(())
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    async fn start_at_upstream(&mut self, id: String, payload: &str) -> Going {
        if self.starts_at_upstream(&id, &id, payload).await? {
            let number = self.next_number();
            self.operations.insert(id, Operation::new(&self.services, Runner::Upstream, number));
        }
        Ok(())
    }

    /// Starts an operation at the upstream whose events are completed by its task, unless the client has stopped it.
    async fn subscribe(&mut self, key: OperationKey, payload: &str, queue: Sender<UpstreamMessage>) -> Going {
        let OperationKey { id, number } = key;
        if !self.is_current(&id, number) {
            return Ok(());
        }
        let Some(mut operation) = self.operations.remove(&id) else { return Ok(()) };
        let Runner::Task(task) = &operation.runner else { return Ok(()) };
        let (task, route) = (task.clone(), self.routes.open(number, queue));
        if self.starts_at_upstream(&id, &route.id, payload).await? {
            operation.runner = Runner::Completed(task, route);
            self.operations.insert(id, operation);
        }
        Ok(())
    }

    /// Nothing comes of what the client has stopped, although there may be a later operation with the same id.
    fn is_current(&self, id: &str, number: u64) -> bool {
        self.operations.get(id).is_some_and(|operation| operation.number == number)
    }

    /// Starts an operation at the upstream, which is to call it `upstream_id`. `false` if the client has an error instead.
    async fn starts_at_upstream(&mut self, id: &str, upstream_id: &str, payload: &str) -> Result<bool, End> {
        // An upstream may close a socket on which nothing runs at any time; then there is another one.
        for _ in 0..2 {
            if self.upstream.is_none() {
                match self.connect_upstream(CONNECT_TIMEOUT).await {
                    Ok(_) => {}
                    Err(ConnectError::NotSupported(reason)) => {
                        return self.fail(id, "upstream-error", &reason).await.map(|()| false);
                    }
                    Err(ConnectError::Rejected(rejection)) => return Err(End::Close(rejection.close)),
                    // Clients take an error for the operation's end, and come back after a close.
                    Err(ConnectError::Unavailable(reason)) => {
                        return Err(End::Close(Close::because(UPSTREAM_UNAVAILABLE, reason)));
                    }
                }
            }
            if self.tell_upstream(|vocabulary| vocabulary.start(upstream_id, payload)).await? {
                return Ok(true);
            }
        }
        Err(End::Close(UPSTREAM_LOST))
    }

    /// Opens the upstream's socket. Gives the payload of its acknowledgement.
    async fn connect_upstream(&mut self, timeout: Duration) -> Result<Option<String>, ConnectError> {
        let introduction = Introduction {
            settings: &self.services.configured().settings.upstream,
            tls: self.services.upstream.tls(),
            path: self.visitor.context.upstream_path(),
            headers: &self.visitor.context.caller.headers,
            payload: self.introduced.as_ref().and_then(|known| known.payload.as_deref()),
            vocabulary: self.visitor.vocabulary,
            message_bytes_max: self.services.configured().settings.limits.max_upstream_response_size,
        };
        let UpstreamSocket { vocabulary, ack, sink, stream } = upstream_socket::connect(&introduction, timeout).await?;
        let number = self.next_number();
        let reader = UpstreamReader {
            tell: self.tell.clone(),
            routes: Arc::clone(&self.routes),
            upstreams: vocabulary,
            clients: self.visitor.vocabulary,
        };
        let reader = tokio::spawn(reader.read(stream, number));
        self.upstream = Some(UpstreamEnd { number, vocabulary, sink, reader: reader.abort_handle() });
        Ok(ack)
    }

    /// Sends the upstream a message. `false` if its socket is lost and nothing ran on it; otherwise that is the end.
    async fn tell_upstream(&mut self, message: impl Fn(Subprotocol) -> String) -> Result<bool, End> {
        let Some(upstream) = &mut self.upstream else { return Ok(false) };
        let sent = upstream.sink.send(Message::text(message(upstream.vocabulary)));
        if matches!(tokio::time::timeout(SEND_TIMEOUT, sent).await, Ok(Ok(()))) {
            return Ok(true);
        }
        self.upstream_is_lost(None).map(|()| false)
    }

    /// The client gets a close, after which it reconnects; an error would end its operations for good.
    fn upstream_is_lost(&mut self, close: Option<Close>) -> Going {
        self.upstream = None;
        let concerns_the_client = close.as_ref().is_some_and(|Close(code, _)| (4000..5000).contains(code));
        if concerns_the_client || self.operations.values().any(Operation::is_upstreams) {
            return Err(End::Close(close.unwrap_or(UPSTREAM_LOST)));
        }
        Ok(())
    }

    /// Closes the upstream's socket as the client has closed its own.
    async fn leave_upstream(&mut self) -> Result<(), Error> {
        let Some(upstream) = &mut self.upstream else { return Ok(()) };
        if let Some(close) = self.closed.take() {
            upstream.sink.send(Message::Close(Some(close.into_frame()))).await?;
        }
        upstream.sink.close().await
    }

    async fn stop(&mut self, id: &str) -> Going {
        let Some(operation) = self.operations.remove(id) else { return Ok(()) };
        let id_at_upstream = operation.id_at_upstream(id).map(str::to_owned);
        // Its task ends first: the upstream's socket may wait for it.
        drop(operation);
        if let Some(id) = id_at_upstream {
            self.tell_upstream(|vocabulary| vocabulary.stop(&id)).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, event: Event) -> Going {
        match event {
            Event::Say(text, ended) => {
                if let Some(id) = ended {
                    self.operations.remove(&id);
                }
                self.send_text(text).await
            }
            Event::Own(OwnMessage { text, key: OperationKey { id, number }, is_last }) => {
                if !self.is_current(&id, number) {
                    return Ok(());
                }
                if is_last {
                    self.operations.remove(&id);
                }
                self.send_text(text).await
            }
            Event::Delegate(OperationKey { id, number }, payload) => {
                if !self.is_current(&id, number) {
                    return Ok(());
                }
                self.operations.remove(&id);
                // Boxed: rare, and otherwise every idle WebSocket carries the size of these futures.
                Box::pin(self.start_at_upstream(id, &payload)).await
            }
            Event::Subscribe(key, payload, queue) => Box::pin(self.subscribe(key, &payload, queue)).await,
            Event::End(close) => Err(End::Close(close)),
            Event::UpstreamPing => self.tell_upstream(|vocabulary| vocabulary.pong(None)).await.map(drop),
            Event::UpstreamGone(number, close) => {
                let is_this = self.upstream.as_ref().is_some_and(|upstream| upstream.number == number);
                if is_this { self.upstream_is_lost(close) } else { Ok(()) }
            }
        }
    }
}
